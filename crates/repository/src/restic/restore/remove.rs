//! Removing what is in a target and not in what is restored, for both formats.

use super::protected::Protected;
use crate::filter::Filter;
use crate::local::meta::{Stat, stat_path};
use crate::local::target::TargetDir;
use crate::{Error, Result};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

/// Is told what becomes of entries.
pub(crate) trait Told {
    /// It is gone, or would be.
    fn removed(&self, path: &Path, stat: &Stat);
    /// It, or something in it, stays although it should not.
    fn not_removed(&self, path: &Path, message: String);
}

/// What is removed, and what never is.
#[derive(Clone, Copy)]
pub(crate) struct Remover<'a> {
    /// Which entries may go.
    pub filter: &'a Filter,
    /// What never goes.
    pub protected: &'a Protected,
    /// Who is told.
    pub told: &'a dyn Told,
}

impl Remover<'_> {
    /// Remove what is in `dir`, whose path is `path`, but what belongs there.
    pub fn others(&self, dir: &TargetDir, path: &Path, belongs: &dyn Fn(&OsStr) -> bool) {
        let found = match dir.names() {
            Ok(found) => found,
            Err(error) => return self.told.not_removed(path, format!("it cannot be listed: {error}")),
        };
        for name in found.iter().filter(|name| !belongs(name)) {
            let path = path.join(name);
            if let Err(error) = self.entry(dir, name, &path) {
                self.told.not_removed(&path, format!("it cannot be removed: {error}"));
            }
        }
    }

    /// Remove an entry with what is in it, as far as it is chosen.
    pub fn entry(&self, dir: &TargetDir, name: &OsStr, path: &Path) -> io::Result<()> {
        let Some(stat) = dir.stat(name)? else { return Ok(()) };
        let choice = self.filter.choose(path, stat.is_dir());
        if self.protected.holds(&stat) {
            return Err(io::Error::other("it is the repository or the cache, which stays"));
        }
        if !stat.is_dir() {
            return if choice.itself {
                dir.remove_file(name).map(|()| self.told.removed(path, &stat))
            } else {
                Ok(())
            };
        }
        if choice.inside {
            let inner = dir.open_dir(name)?;
            for name in inner.names()? {
                self.entry(&inner, &name, &path.join(&name))?;
            }
        }
        match dir.remove_dir(name) {
            // Something in it is not chosen.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            _ if !choice.itself => Ok(()),
            result => result.map(|()| self.told.removed(path, &stat)),
        }
    }

    /// Tell what [`Remover::others`] would remove from the directory `path` in `target`.
    pub fn preview_others(&self, target: &Path, path: &Path, belongs: &dyn Fn(&OsStr) -> bool) {
        let place = place(target, path);
        // A link is replaced, and what it leads to stays.
        if !stat_path(&place).is_ok_and(|stat| stat.is_dir() || path.parent().is_none()) {
            return;
        }
        for name in entries(&place).iter().filter(|name| !belongs(name)) {
            self.preview_entry(target, &path.join(name));
        }
    }

    fn preview_entry(&self, target: &Path, path: &Path) {
        let place = place(target, path);
        let Ok(stat) = stat_path(&place) else { return };
        let choice = self.filter.choose(path, stat.is_dir());
        if self.protected.holds(&stat) {
            return;
        }
        if stat.is_dir() && choice.inside {
            for name in entries(&place) {
                self.preview_entry(target, &path.join(name));
            }
        }
        if choice.itself {
            self.told.removed(path, &stat);
        }
    }
}

/// Whether a name is one of `names`, which are in order.
pub(super) fn has(names: &[OsString], name: &OsStr) -> bool {
    names.binary_search_by(|known| known.as_os_str().cmp(name)).is_ok()
}

/// Where an entry would be on this host.
fn place(target: &Path, path: &Path) -> PathBuf {
    target.join(path.strip_prefix("/").unwrap_or(path))
}

fn entries(place: &Path) -> Vec<OsString> {
    let listed = std::fs::read_dir(place).into_iter().flatten().flatten();
    listed.map(|entry| entry.file_name()).collect()
}

/// Refuse to delete something at the root of the host that does not belong there as far as the restore knows, or that the kernel makes.
///
/// # Errors
/// [`Error::Refused`].
pub(crate) fn check_system(target: &Path, filter: &Filter, belongs: &dyn Fn(&OsStr) -> bool) -> Result<()> {
    const MADE_BY_THE_SYSTEM: [&str; 4] = ["dev", "proc", "run", "sys"];
    let is_root = target.canonicalize().is_ok_and(|path| path.parent().is_none());
    if !is_root {
        return Ok(());
    }
    let is_lost = |name: &&OsString| {
        let chosen = filter.choose(&Path::new("/").join(name), true).itself;
        chosen && (!belongs(name) || MADE_BY_THE_SYSTEM.iter().any(|made| made == *name))
    };
    match entries(Path::new("/")).iter().find(is_lost) {
        None => Ok(()),
        Some(lost) => Err(Error::Refused {
            message: format!(
                "restoring to `{}` and deleting everything else would delete `/{}`",
                target.display(),
                lost.to_string_lossy()
            ),
            hint: "Include only the directories that are meant.".to_owned(),
        }),
    }
}
