//! The configuration file: found, read, merged, checked, completed.
//!
//! ```text
//! text ──▶ tree ──▶ merged ──▶ check (against `keys`) ──▶ complete (defaults) ──▶ model (typed values)
//! ```
//!
//! Each step reports what is wrong and goes on, so that all problems are found in one go.

pub mod check;
mod complete;
mod find;
mod merge;
pub mod nearest;
pub mod present;
mod variables;

#[cfg(test)]
mod problems_test;
#[cfg(test)]
mod stores_test;
#[cfg(test)]
mod tests;

pub use find::PLACES;

use super::Misuse;
use super::env::{self, Environment};
use super::keys::{ROOT, Shape};
use super::model::{self, Config};
use super::problem::Problems;
use super::secret::SecretReader;
use super::tree::{self, Content, Node, Origin};
use present::{Present, Seen};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What holds for this host where the configuration does not say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// Its name.
    pub host: String,
    /// Its time zone, if it has a name.
    pub timezone: Option<String>,
}

impl Surroundings {
    /// Those of this process.
    pub fn current() -> Self {
        let zone = jiff::tz::TimeZone::system();
        Self {
            host: repository::local::users::identity().hostname,
            timezone: zone.iana_name().map(str::to_owned),
        }
    }
}

/// A configuration that is complete and makes sense.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Typed.
    pub config: Config,
    /// The same as a tree, in which each value has its origin; it holds no secret, only where they are.
    pub tree: Node,
    /// The files it was read from; none if it came from variables.
    pub files: Vec<PathBuf>,
}

/// A configuration that was read, whether it makes sense or not.
#[derive(Debug)]
pub struct Draft {
    tree: Node,
    config: Option<Config>,
    problems: Problems,
    files: Vec<PathBuf>,
}

impl Draft {
    /// The names of its repositories, as far as it could be read; nothing if it could not be read at all.
    pub fn repository_names(&self) -> Option<Vec<&str>> {
        let entries = self.tree.get("repositories")?.entries();
        Some(entries.iter().map(|entry| entry.key.as_str()).collect())
    }

    /// The names of its jobs, as far as it could be read; nothing if it could not be read at all.
    pub fn job_names(&self) -> Option<Vec<&str>> {
        let entries = self.tree.get("jobs")?.entries();
        Some(entries.iter().map(|entry| entry.key.as_str()).collect())
    }

    /// Look at the secrets and files that it names, too.
    pub fn check_present(&mut self, present: Present, reader: &dyn SecretReader) -> Seen {
        present::check(&self.tree, present, reader, &mut self.problems)
    }

    /// What it says.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn finish(self) -> Result<Loaded, Problems> {
        let Self {
            tree,
            config,
            mut problems,
            files,
        } = self;
        if config.is_none() && problems.is_empty() {
            // No check looked at it, so nothing can be relied on.
            problems.add(
                &tree.origin,
                "the configuration is not understood",
                "Compare it with the guide and the examples.",
            );
        }
        problems.or(config.map(|config| Loaded { config, tree, files }))
    }
}

/// The file that [`draft`] reads, if there is one.
///
/// # Errors
/// [`Misuse`] if one is named that is not there.
pub fn path(given: Option<&Path>, environment: &Environment) -> Result<Option<PathBuf>, Misuse> {
    find::find(given, environment, &PLACES.map(Path::new))
}

/// Read the configuration from where it is.
///
/// # Errors
/// [`Misuse`] if there is none, or a file cannot be read.
pub fn draft(given: Option<&Path>, environment: &Environment) -> Result<Draft, Misuse> {
    let surroundings = Surroundings::current();
    let Some(file) = path(given, environment)? else {
        let tree = variables::tree(environment)?.ok_or_else(none)?;
        return Ok(resolve(tree, Problems::default(), Vec::new(), &surroundings));
    };
    refuse_variables(&file, environment)?;
    let files = find::with_parts(&file)?;
    let texts = files
        .iter()
        .map(|file| Ok((file.clone(), find::read(file)?)))
        .collect::<Result<Vec<_>, Misuse>>()?;
    Ok(from_texts(&texts, &surroundings))
}

/// The same from texts with the paths that they are said to come from, the main one first.
pub fn from_texts(texts: &[(PathBuf, String)], surroundings: &Surroundings) -> Draft {
    let mut problems = Problems::default();
    let mut merged: Option<Node> = None;
    let mut broken = false;
    for (file, text) in texts {
        let name: Arc<Path> = display_path(file).into();
        let part = tree::parse(&name, text, &mut problems);
        // Something is wrong with it, or it is empty.
        broken |= part.is_none() && !problems.is_empty();
        let Some(part) = part.filter(|node| !node.is_null()) else {
            continue;
        };
        if !matches!(part.content, Content::Map(_)) {
            let hint = "Begin with `repositories:` and `jobs:`; `mainstay config init` writes an example.";
            problems.add(&part.origin, "the file is not a map of names and values", hint);
            broken = true;
            continue;
        }
        match &mut merged {
            None => merged = Some(part),
            Some(merged) => merge::merge(merged, part, &mut problems),
        }
    }
    let files = texts.iter().map(|(file, _)| file.clone()).collect();
    // What is missing may stand in the file that could not be read.
    if let Some(tree) = merged.filter(|_| !broken) {
        return resolve(tree, problems, files, surroundings);
    }
    let origin = beginning(texts);
    if problems.is_empty() {
        problems.add(
            &origin,
            "nothing is configured",
            "Run `mainstay config init` to get an example.",
        );
    }
    Draft {
        tree: Node::map([], &origin),
        config: None,
        problems,
        files,
    }
}

fn beginning(texts: &[(PathBuf, String)]) -> Origin {
    texts.first().map_or(Origin::Default, |(file, _)| Origin::File {
        file: display_path(file).into(),
        line: 1,
        column: 1,
    })
}

/// `./mainstay.yaml` as `mainstay.yaml`.
fn display_path(file: &Path) -> PathBuf {
    file.strip_prefix(".").unwrap_or(file).to_path_buf()
}

fn resolve(tree: Node, mut problems: Problems, files: Vec<PathBuf>, surroundings: &Surroundings) -> Draft {
    check::value(&tree, &Shape::Keys(&ROOT), "the configuration", &mut problems);
    let mut tree = complete::complete(tree, surroundings);
    let config = model::config(&tree, &mut problems);
    if let Content::Map(entries) = &mut tree.content {
        // Its values stand in the jobs by now.
        entries.retain(|entry| entry.key != "defaults");
    }
    Draft {
        tree,
        config,
        problems,
        files,
    }
}

/// Whether any of these sources has something that goes into a repository.
pub fn stores_something(sources: &Node) -> bool {
    sources
        .items()
        .iter()
        .any(|source| source.get("hetzner_server").is_none())
}

fn none() -> Misuse {
    let message = format!(
        "there is no configuration: neither {} nor variables",
        PLACES.map(|p| format!("`{p}`")).join(" nor ")
    );
    let hint = format!(
        "Run `mainstay config init`, name a file with `--config FILE`, or set `{}` and `{}`.",
        env::SOURCES.name,
        env::REPOSITORY.name,
    );
    Misuse::new(message, hint)
}

/// Variables that make a job would be ignored beside a file.
fn refuse_variables(file: &Path, environment: &Environment) -> Result<(), Misuse> {
    match variables::ONLY_HERE
        .iter()
        .find(|variable| environment.path(**variable).is_some())
    {
        None => Ok(()),
        Some(variable) => {
            let message = format!(
                "`{}` is set, but the configuration file `{}` counts",
                variable.name,
                file.display()
            );
            Err(Misuse::new(
                message,
                "Write it into the file and unset the variable, or remove the file.",
            ))
        }
    }
}
