//! Directories that no restore may remove: the repository that it reads from, and the cache.

use crate::local::meta::{Stat, stat_path};
use std::path::{Path, PathBuf};

/// Known by what they are, so that no other way to name them leads past.
#[derive(Debug)]
pub struct Protected(Vec<Stat>);

impl Protected {
    /// Those of `paths` that exist.
    pub fn new(paths: &[PathBuf]) -> Self {
        let real = paths.iter().filter_map(|path| path.canonicalize().ok());
        Self(real.filter_map(|path| stat_path(&path).ok()).collect())
    }

    /// Whether a directory is one of them.
    pub fn holds(&self, stat: &Stat) -> bool {
        self.0.iter().any(|protected| protected.is_same_inode(stat))
    }

    /// Whether a path is one of them or lies in one.
    pub fn encloses(&self, path: &Path) -> bool {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        real.ancestors()
            .any(|path| stat_path(path).is_ok_and(|stat| self.holds(&stat)))
    }
}
