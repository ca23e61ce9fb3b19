//! Putting a part back.

use crate::config::Misuse;
use std::fmt;
use std::path::PathBuf;

/// How a part is put back.
#[derive(Clone, Debug, Default)]
pub struct PutBack {
    /// Under another name; for files, into another directory.
    pub rename: Option<String>,
    /// What is there already is replaced.
    pub overwrite: bool,
    /// Only this, relative to the part: a directory, a table.
    pub only: Option<PathBuf>,
    /// Directories that are never restored into: repositories and the cache.
    pub protect: Vec<PathBuf>,
}

impl PutBack {
    /// Refuse another name for what has its place at the `url` of an application.
    ///
    /// # Errors
    /// If another name is wanted; `message` says why there is none.
    pub fn check_no_rename(&self, application: &str, message: &str) -> Result<(), Misuse> {
        if self.rename.is_none() {
            return Ok(());
        }
        let hint = format!("Leave out `--as`; another {application} is another `url` in the configuration.");
        Err(Misuse::new(message, hint))
    }
}

/// What putting a part back comes to. Nothing is changed before it is executed.
pub struct Plan<'a> {
    /// Step by step, for people.
    pub steps: Vec<String>,
    /// Do it.
    pub execute: Box<dyn FnOnce() -> anyhow::Result<Restored> + 'a>,
}

impl fmt::Debug for Plan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

/// What was put back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Files, tables or whatever the source counts.
    pub entries: u64,
    /// Content, bytes.
    pub bytes: u64,
    /// Entries that are not restored as they should be.
    pub problems: u64,
}
