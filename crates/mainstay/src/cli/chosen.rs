//! Which repository a command works on: one at an address, or one that the configuration names.

use super::Context;
use crate::config::address::{self, AddressNames, AddressOptions};
use crate::config::file::{self, Draft};
use crate::config::model::{self, Format};
use crate::config::{Misuse, env};
use std::fs;
use std::path::Path;
use storage::Location;

/// What an address of archives begins with.
const ARCHIVES: &str = "archive:";

/// The repository that a command works on.
#[derive(Clone, Debug)]
pub enum Chosen {
    /// At this address, in restic's format.
    Restic(Location),
    /// At this address, archives.
    Archives(Location),
    /// As the configuration says.
    Configured(Box<model::Repository>),
}

impl Chosen {
    /// Where it is.
    pub fn location(&self) -> &Location {
        match self {
            Self::Restic(location) | Self::Archives(location) => location,
            Self::Configured(repository) => repository.place.location(),
        }
    }

    /// Whether archives are stored there.
    pub fn holds_archives(&self) -> bool {
        match self {
            Self::Restic(_) => false,
            Self::Archives(_) => true,
            Self::Configured(repository) => matches!(repository.format, Format::Archive(_)),
        }
    }

    /// What messages call it.
    pub fn shown(&self) -> String {
        match self {
            Self::Restic(location) | Self::Archives(location) => location.to_string(),
            Self::Configured(repository) => repository.name.clone(),
        }
    }

    /// That restic's format is stored there, for commands that nothing else has a meaning for.
    ///
    /// # Errors
    /// [`Misuse`] if archives are.
    pub fn demand_restic(&self) -> Result<(), Misuse> {
        if !self.holds_archives() {
            return Ok(());
        }
        Err(Misuse::new(
            format!(
                "`{}` holds archives, and this command is for repositories of format `restic`",
                self.shown()
            ),
            "With archives work: snapshots, ls, find, dump, diff, restore, check, forget, purge, stats.",
        ))
    }
}

/// The repository that `options` or the variables name; without either, the only one that is configured.
///
/// # Errors
/// [`Misuse`] if none or several could be meant; the configuration's problems if it is needed and wrong.
pub fn choose(options: AddressOptions, names: AddressNames, context: &Context) -> anyhow::Result<Chosen> {
    match address::given(options, names, context.environment())? {
        None => only_configured(names, context),
        Some(text) => match text.strip_prefix(ARCHIVES) {
            Some(address) => archives(address::location(address)?),
            None if is_name(&text) => named(&text, context),
            None => Ok(Chosen::Restic(address::location(&text)?)),
        },
    }
}

/// Archives, where they can be.
fn archives(location: Location) -> anyhow::Result<Chosen> {
    if matches!(location, Location::Rest(_)) {
        return Err(model::no_archives_at_rest().into());
    }
    Ok(Chosen::Archives(location))
}

/// Whether it could be the name of a repository: anything else is an address, whatever the configuration says.
fn is_name(text: &str) -> bool {
    !text.contains(['/', ':']) && !matches!(text, "" | "." | "..")
}

/// The configured repository of that name; without one, the directory of that name.
fn named(name: &str, context: &Context) -> anyhow::Result<Chosen> {
    let is_configured = |draft: &Draft| draft.repository_names().is_none_or(|names| names.contains(&name));
    let Some(draft) = draft(context)?.filter(is_configured) else {
        return Ok(Chosen::Restic(address::location(name)?));
    };
    let loaded = draft.finish()?;
    match loaded.config.repository(name) {
        Some(repository) => {
            refuse_other_directory(repository)?;
            Ok(Chosen::Configured(Box::new(repository.clone())))
        }
        None => Ok(Chosen::Restic(address::location(name)?)),
    }
}

/// A directory of that name that holds a repository was meant by the same words before it was configured, and a script may go on
/// to mean it: that is for the user to decide.
fn refuse_other_directory(repository: &model::Repository) -> Result<(), Misuse> {
    let name = repository.name.as_str();
    let holds_repository = |path: &Path| path.join("config").is_file() && path.join("keys").is_dir();
    let is_same = match &repository.place {
        model::Place(Location::Local(path)) => {
            matches!((fs::canonicalize(path), fs::canonicalize(name)), (Ok(one), Ok(other)) if one == other)
        }
        _ => false,
    };
    if is_same || !holds_repository(Path::new(name)) {
        return Ok(());
    }
    Err(Misuse::new(
        format!(
            "`{name}` is the name of a configured repository, and there is another repository in the directory `{name}`"
        ),
        format!(
            "Write `./{name}` for the directory; for the one that is configured, run the command in another directory, with `--config`."
        ),
    ))
}

/// The only repository of the configuration.
fn only_configured(names: AddressNames, context: &Context) -> anyhow::Result<Chosen> {
    let nothing = || {
        Misuse::new(
            "no repository is named",
            format!(
                "Name one with `{} ADDRESS`, or set `{}`.",
                names.option, names.variable.name
            ),
        )
    };
    // What is copied from is never guessed.
    let is_main = names.variable == env::REPOSITORY;
    let Some(draft) = draft(context)?.filter(|_| is_main) else {
        return Err(nothing().into());
    };
    let repositories = draft.finish()?.config.repositories;
    match &repositories[..] {
        [only] => Ok(Chosen::Configured(Box::new(only.clone()))),
        several => {
            let known: Vec<&str> = several.iter().map(|repository| repository.name.as_str()).collect();
            let hint = format!("Name one with `{} NAME`: {}.", names.option, known.join(", "));
            Err(Misuse::new("no repository is named, and several are configured", hint).into())
        }
    }
}

/// What the configuration file says, if there is one.
fn draft(context: &Context) -> Result<Option<Draft>, Misuse> {
    match file::path(context.globals().config.as_deref(), context.environment())? {
        None => Ok(None),
        Some(_) => context.draft().map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_are_names() {
        for name in ["main", "off-site.2"] {
            assert!(is_name(name), "{name}");
        }
        for address in ["/srv", "./main", "main/", "s3:x", "memory:x", ".", "..", ""] {
            assert!(!is_name(address), "{address}");
        }
    }
}
