//! Compares what was restored with what was backed up: every byte, and every attribute that a restore sets.
//!
//! On purpose it shares no code with backup and restore.

use jiff::Timestamp;
use repository::local::xattr::xattrs_of_path;
use repository::{Cancel, Counters, Monitor, Result};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// What a comparison found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Files compared.
    pub files: u64,
    /// Their content, bytes.
    pub bytes: u64,
    /// Entries that are not the same; each is a problem of the monitor.
    pub differences: u64,
    /// Entries of the source that changed after the backup had begun; they are not compared.
    pub changed_meanwhile: u64,
}

/// Compare the trees. What is in `own` is ours and was not backed up.
///
/// # Errors
/// [`repository::Error::Interrupted`].
pub fn compare(
    source: &Path,
    restored: &Path,
    own: &Path,
    began: Timestamp,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<Comparison> {
    let mut comparer = Comparer {
        own,
        began,
        monitor,
        result: Comparison::default(),
    };
    let mut pairs = vec![(source.to_path_buf(), restored.to_path_buf())];
    while let Some((source, restored)) = pairs.pop() {
        cancel.check()?;
        pairs.extend(comparer.entry(&source, &restored));
    }
    Ok(comparer.result)
}

struct Comparer<'a> {
    own: &'a Path,
    began: Timestamp,
    monitor: &'a dyn Monitor,
    result: Comparison,
}

impl Comparer<'_> {
    /// Compare one entry; returns what is in it if it is a directory.
    fn entry(&mut self, source: &Path, restored: &Path) -> Vec<(PathBuf, PathBuf)> {
        match difference(source, restored) {
            Ok(None) => {}
            // Whether it changed is asked after the comparison: a change during the comparison counts, too.
            _ if self.has_changed(source) => self.result.changed_meanwhile += 1,
            Ok(Some(what)) => return self.differs(source, &what),
            Err(error) => return self.differs(source, &format!("it cannot be compared: {error}")),
        }
        match fs::symlink_metadata(source) {
            Ok(metadata) if metadata.is_dir() => self.children(source, restored),
            Ok(metadata) if metadata.is_file() => {
                self.result.files += 1;
                self.result.bytes += metadata.len();
                Counters::add(&self.monitor.counters().files, 1);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn differs(&mut self, source: &Path, what: &str) -> Vec<(PathBuf, PathBuf)> {
        self.result.differences += 1;
        self.monitor.problem(&source.display().to_string(), what);
        Vec::new()
    }

    fn children(&mut self, source: &Path, restored: &Path) -> Vec<(PathBuf, PathBuf)> {
        let names = match (names(source), names(restored)) {
            (Ok(mut here), Ok(there)) => {
                here.extend(there);
                here
            }
            (Err(error), _) | (_, Err(error)) => return self.differs(source, &format!("it cannot be listed: {error}")),
        };
        let pairs = names.into_iter().map(|name| (source.join(&name), restored.join(&name)));
        pairs
            .filter(|(source, _)| source != self.own && !is_socket(source))
            .collect()
    }

    /// Whether the entry changed after the backup began; of one that is not there, its directory tells.
    fn has_changed(&self, source: &Path) -> bool {
        let of_parent = || fs::symlink_metadata(source.parent().unwrap_or(source));
        let Ok(metadata) = fs::symlink_metadata(source).or_else(|_| of_parent()) else {
            return true;
        };
        let changed = Timestamp::new(metadata.ctime(), metadata.ctime_nsec() as i32);
        // The clock of a file system is a few milliseconds behind.
        changed.is_ok_and(|changed| changed >= self.began - jiff::SignedDuration::from_millis(20))
    }
}

fn names(directory: &Path) -> io::Result<BTreeSet<OsString>> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect()
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

/// In what the entries differ, if they do.
fn difference(source: &Path, restored: &Path) -> io::Result<Option<String>> {
    let (here, there) = (fs::symlink_metadata(source)?, fs::symlink_metadata(restored)?);
    if here.mode() != there.mode() {
        return Ok(Some(format!(
            "mode {:o} was restored as {:o}",
            here.mode(),
            there.mode()
        )));
    }
    // Only root can give files to others.
    let is_root = rustix::process::geteuid().is_root();
    if is_root && (here.uid(), here.gid()) != (there.uid(), there.gid()) {
        return Ok(Some(format!(
            "owner {}:{} was restored as {}:{}",
            here.uid(),
            here.gid(),
            there.uid(),
            there.gid()
        )));
    }
    if (here.mtime(), here.mtime_nsec()) != (there.mtime(), there.mtime_nsec()) {
        return Ok(Some("the time of modification is not the same".to_owned()));
    }
    if attributes(source)? != attributes(restored)? {
        return Ok(Some("the extended attributes are not the same".to_owned()));
    }
    content_difference(source, restored, &here, &there)
}

/// Attributes in the order of their names. File systems without any have none.
fn attributes(path: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut attributes: Vec<_> = xattrs_of_path(path)?
        .into_iter()
        .map(|one| (one.name, one.value))
        .collect();
    attributes.sort_unstable();
    Ok(attributes)
}

fn content_difference(source: &Path, restored: &Path, here: &Metadata, there: &Metadata) -> io::Result<Option<String>> {
    let kind = here.file_type();
    let differs = if kind.is_symlink() {
        fs::read_link(source)? != fs::read_link(restored)?
    } else if kind.is_file() {
        here.len() != there.len() || !same_content(source, restored)?
    } else if kind.is_block_device() || kind.is_char_device() {
        here.rdev() != there.rdev()
    } else {
        false
    };
    Ok(differs.then(|| "the content is not the same".to_owned()))
}

fn same_content(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    loop {
        for (file, buffer) in [(&mut a, &mut of_a), (&mut b, &mut of_b)] {
            buffer.clear();
            file.take(1 << 20).read_to_end(buffer)?;
        }
        if of_a != of_b {
            return Ok(false);
        }
        if of_a.is_empty() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use repository::Recorder;
    use std::os::unix::fs::PermissionsExt as _;

    fn later() -> Timestamp {
        crate::clock::now() + jiff::SignedDuration::from_hours(1)
    }

    /// Two trees that are the same but for what `change` does to the second.
    fn compared(began: Timestamp, change: impl FnOnce(&Path)) -> Comparison {
        let root = tempfile::tempdir().unwrap();
        let trees = ["a", "b"].map(|name| root.path().join(name));
        for tree in &trees {
            fs::create_dir_all(tree.join("folder")).unwrap();
            fs::write(tree.join("folder/file"), "content").unwrap();
            std::os::unix::fs::symlink("file", tree.join("folder/link")).unwrap();
        }
        change(&trees[1]);
        let paths = ["folder/file", "folder/link", "folder", ""];
        for path in paths
            .iter()
            .flat_map(|path| trees.iter().map(move |tree| tree.join(path)))
        {
            let Ok(directory) = File::open(path.parent().unwrap()) else {
                continue;
            };
            let times = rustix::fs::Timestamps {
                last_access: rustix::fs::Timespec { tv_sec: 7, tv_nsec: 7 },
                last_modification: rustix::fs::Timespec { tv_sec: 7, tv_nsec: 7 },
            };
            let name = path.file_name().unwrap();
            let _ = rustix::fs::utimensat(directory, name, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
        }
        compare(
            &trees[0],
            &trees[1],
            Path::new("/none"),
            began,
            &Cancel::default(),
            &Recorder::default(),
        )
        .unwrap()
    }

    #[test]
    fn equal_trees_are_equal() {
        let expected = Comparison {
            files: 1,
            bytes: 7,
            ..Comparison::default()
        };
        assert_eq!(compared(later(), |_| {}), expected);
    }

    #[test]
    fn every_difference_is_found() {
        let changes: [fn(&Path); 5] = [
            |tree| fs::write(tree.join("folder/file"), "Content").unwrap(),
            |tree| fs::write(tree.join("folder/more"), "").unwrap(),
            |tree| fs::remove_file(tree.join("folder/file")).unwrap(),
            |tree| fs::set_permissions(tree.join("folder"), fs::Permissions::from_mode(0o700)).unwrap(),
            |tree| {
                fs::remove_file(tree.join("folder/link")).unwrap();
                std::os::unix::fs::symlink("elsewhere", tree.join("folder/link")).unwrap();
            },
        ];
        for (number, change) in changes.into_iter().enumerate() {
            assert_eq!(compared(later(), change).differences, 1, "change {number}");
        }
    }

    #[test]
    fn what_changed_during_the_test_proves_nothing() {
        let result = compared(Timestamp::UNIX_EPOCH, |tree| {
            fs::write(tree.join("folder/file"), "Content").unwrap();
        });
        assert_eq!((result.differences, result.changed_meanwhile), (0, 1));
    }
}
