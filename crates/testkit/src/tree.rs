//! Trees of files for tests: made the same from the same seed, and compared to the last detail.
//!
//! [`every_kind`] makes one of each thing that a file system can hold, [`TreeSpec`] many ordinary files, and [`compare_trees`]
//! lists every difference. Most of it needs root: owners, devices, `trusted.*` attributes.

mod compare;
#[cfg(test)]
mod compare_test;
mod kinds;

pub use compare::{CompareOptions, compare_trees};
pub use kinds::every_kind;

use rustix::fs::{CWD, Mode, OFlags, Timespec, Timestamps, mkdirat, openat};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Ordinary files in ordinary directories.
#[derive(Clone, Copy, Debug)]
pub struct TreeSpec {
    /// Same seed, same tree.
    pub seed: u64,
    /// How many files.
    pub files: usize,
    /// How many of them in each directory.
    pub files_per_dir: usize,
    /// Size of the largest, bytes; most are much smaller.
    pub max_bytes: usize,
}

impl Default for TreeSpec {
    fn default() -> Self {
        Self {
            seed: 1,
            files: 100,
            files_per_dir: 10,
            max_bytes: 100_000,
        }
    }
}

impl TreeSpec {
    /// Make the tree below `root`, which is made too if it is missing.
    pub fn build(&self, root: &Path) -> io::Result<()> {
        let mut random = fastrand::Rng::with_seed(self.seed);
        for number in 0..self.files {
            let dir = root.join(format!("dir-{:04}", number / self.files_per_dir.max(1)));
            if number.is_multiple_of(self.files_per_dir.max(1)) {
                std::fs::create_dir_all(&dir)?;
            }
            // Squared, so that small files are the rule.
            let share = random.f64() * random.f64();
            let bytes = (share * self.max_bytes as f64) as usize;
            std::fs::write(
                dir.join(format!("file-{number:06}.dat")),
                content(random.u64(..), bytes),
            )?;
        }
        std::fs::create_dir_all(root)
    }
}

/// So many bytes, the same for the same seed; stretches of noise and of text take turns, so that half of it compresses.
pub fn content(seed: u64, bytes: usize) -> Vec<u8> {
    const STRETCH: usize = 1_000;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut out = Vec::with_capacity(bytes + STRETCH);
    while out.len() < bytes {
        let start = out.len();
        out.resize(start + STRETCH, 0);
        random.fill(&mut out[start..]);
        let line = format!("{seed}: the quick brown fox number {} jumps\n", random.u8(..));
        out.extend(line.bytes().cycle().take(STRETCH));
    }
    out.truncate(bytes);
    out
}

/// Make nested directories below `root` until the path below it has at least `bytes`, with a file `bottom` in the last; all get
/// fixed times. Returns the path of that file relative to `root`, which may be longer than the system accepts in one call.
pub fn deep_path(root: &Path, bytes: usize) -> io::Result<PathBuf> {
    let mut path = PathBuf::new();
    let mut dirs = vec![open_dir(CWD, root)?];
    while path.as_os_str().len() + "/bottom".len() < bytes {
        let name = format!("{:03}-{}", dirs.len(), "d".repeat(90));
        let parent = &dirs[dirs.len() - 1];
        mkdirat(parent, &name, Mode::from_raw_mode(0o755))?;
        let dir = open_dir(parent, Path::new(&name))?;
        dirs.push(dir);
        path.push(name);
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(&dirs[dirs.len() - 1], "bottom", flags, Mode::from_raw_mode(0o644))?;
    dirs.push(file.try_clone()?);
    File::from(file).write_all(b"at the bottom")?;
    for (number, open) in dirs.iter().enumerate() {
        rustix::fs::futimens(open, &timestamps(1_400_000_000 + number as i64, 0))?;
    }
    Ok(path.join("bottom"))
}

fn open_dir(parent: impl std::os::fd::AsFd, name: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(parent, name, flags, Mode::empty())?)
}

/// Set the time of last modification (and of access) of `path`, a symbolic link itself: seconds since 1970 and nanoseconds.
pub fn set_mtime(path: &Path, second: i64, nanosecond: u32) -> io::Result<()> {
    let times = timestamps(second, nanosecond);
    Ok(rustix::fs::utimensat(
        CWD,
        path,
        &times,
        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

fn timestamps(second: i64, nanosecond: u32) -> Timestamps {
    let time = Timespec {
        tv_sec: second,
        tv_nsec: nanosecond.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differences(a: &Path, b: &Path) -> Vec<String> {
        compare_trees(
            a,
            b,
            &CompareOptions {
                times: false,
                ..CompareOptions::default()
            },
        )
    }

    #[test]
    fn same_seed_same_tree() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let spec = TreeSpec::default();
        spec.build(&path("a")).unwrap();
        spec.build(&path("b")).unwrap();
        TreeSpec { seed: 2, ..spec }.build(&path("c")).unwrap();
        assert_eq!(differences(&path("a"), &path("b")), Vec::<String>::new());
        assert!(differences(&path("a"), &path("c")).len() > 50);
        assert_eq!(std::fs::read_dir(path("a")).unwrap().count(), 10);
    }

    #[test]
    fn content_has_the_length_asked_for() {
        for bytes in [0, 1, 999, 2_000, 12_345] {
            assert_eq!(content(7, bytes).len(), bytes);
        }
        assert_ne!(content(1, 100), content(2, 100));
    }

    #[test]
    fn every_kind_can_be_made_twice_alike() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        every_kind(&a, 3).unwrap();
        every_kind(&b, 3).unwrap();
        assert_eq!(compare_trees(&a, &b, &CompareOptions::default()), Vec::<String>::new());
        let path = deep_path(&dir.path().join("a/empty-dir"), 4_000).unwrap();
        assert!((4_000..4_200).contains(&path.as_os_str().len()));
        assert_eq!(
            compare_trees(
                &a,
                &b,
                &CompareOptions {
                    times: false,
                    ..CompareOptions::default()
                }
            )
            .len(),
            1
        );
    }
}
