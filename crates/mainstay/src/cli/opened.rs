//! A repository of either format, opened for a command that works with both.

use super::selection::FilterArgs;
use super::{Context, identity};
use crate::config::Misuse;
use repository::archive::Manifest;
use repository::points::{Archives, PointFilter, RestorePoint, RestorePoints, Selected, Snapshots};
use repository::{Error, Monitor};
use storage::Location;

/// What was opened.
#[derive(Debug)]
pub enum Opened {
    /// A repository in restic's format.
    Snapshots(Box<Snapshots>),
    /// Archives.
    Archives(Archives),
}

impl Opened {
    /// What both formats can do.
    pub fn points(&self) -> &dyn RestorePoints {
        match self {
            Self::Snapshots(snapshots) => &**snapshots,
            Self::Archives(archives) => archives,
        }
    }

    /// The options that choose restore points, as far as the format knows what they ask for.
    pub fn filter(&self, args: &FilterArgs) -> Result<PointFilter, Misuse> {
        match self {
            Self::Snapshots(_) => Ok(args.filter().into()),
            Self::Archives(_) => args.of_archives(),
        }
    }

    /// The restore point that `text` names, with the keys that it takes to read it.
    pub fn select(
        &mut self,
        text: &str,
        args: &FilterArgs,
        context: &Context,
        monitor: &dyn Monitor,
    ) -> anyhow::Result<Selected> {
        let filter = self.filter(args)?;
        let selected = self.points().select(text, &filter, monitor)?;
        if let (Self::Archives(archives), RestorePoint::Archive(manifest)) = (self, &selected.point) {
            unlock(archives, [&**manifest], context)?;
        }
        Ok(selected)
    }
}

/// Fetch the keys that these archives need.
pub fn unlock<'m>(
    archives: &mut Archives,
    manifests: impl IntoIterator<Item = &'m Manifest>,
    context: &Context,
) -> anyhow::Result<()> {
    let methods: Vec<&str> = manifests
        .into_iter()
        .map(|manifest| manifest.encryption.method.as_str())
        .collect();
    archives.unlock(identity::keys(&methods, context)?);
    Ok(())
}

impl Context {
    /// Open the repository for reading, whatever its format.
    pub fn open_any(&self, monitor: &dyn Monitor) -> anyhow::Result<Opened> {
        if self.chosen()?.holds_archives() {
            return Ok(Opened::Archives(self.open_archives()?));
        }
        let repository = self.open()?;
        let lock = self.lock_for_reading(&repository, monitor)?;
        let snapshots = Snapshots::new(repository, lock, self.cancel().clone());
        Ok(Opened::Snapshots(Box::new(snapshots)))
    }

    /// Open the archives that were chosen.
    pub fn open_archives(&self) -> anyhow::Result<Archives> {
        self.refuse_what_archives_do_not_have()?;
        let chosen = self.chosen()?;
        // An address that is misspelt must not look like one without archives.
        if let Location::Local(path) = chosen.location()
            && !path.is_dir()
        {
            let location = path.display().to_string();
            return Err(Error::NoRepository { location }.into());
        }
        Ok(Archives::new(self.store_at(chosen)?, self.cancel().clone()))
    }

    fn refuse_what_archives_do_not_have(&self) -> Result<(), Misuse> {
        let globals = self.globals();
        let given = [
            ("--key-hint", globals.key_hint.is_some()),
            ("--cache-dir", globals.cache_dir.is_some()),
            ("--no-cache", globals.no_cache),
            ("--no-lock", globals.no_lock),
            ("--retry-lock", globals.retry_lock.is_some()),
            ("--pack-size", globals.pack_size.is_some()),
            ("--compression", globals.compression.is_some()),
        ];
        refuse(&given)
    }
}

/// That none of these options, which mean nothing for archives, is given.
///
/// # Errors
/// [`Misuse`] that names the first.
pub fn refuse(given: &[(&str, bool)]) -> Result<(), Misuse> {
    match given.iter().find(|(_, is_given)| *is_given) {
        None => Ok(()),
        Some((option, _)) => Err(Misuse::new(
            format!("`{option}` means nothing for archives"),
            "Leave it out; the guide says what works with archives.",
        )),
    }
}
