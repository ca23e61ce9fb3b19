//! Every difference between two trees.

use super::open_dir;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Display;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What counts as a difference. By default everything that a restore has to put back, except sparseness.
#[derive(Clone, Copy, Debug)]
pub struct CompareOptions {
    /// User and group.
    pub owner: bool,
    /// Times of last modification, to the nanosecond.
    pub times: bool,
    /// The time of the two roots themselves.
    pub root_time: bool,
    /// Extended attributes and ACLs.
    pub attributes: bool,
    /// Which names are hard links to the same file.
    pub hard_links: bool,
    /// Space that files take, give or take 64 KiB and a tenth.
    pub sparse: bool,
    /// Sockets; otherwise they may be missing.
    pub sockets: bool,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self {
            owner: true,
            times: true,
            root_time: true,
            attributes: true,
            hard_links: true,
            sparse: false,
            sockets: false,
        }
    }
}

/// All differences between the directories `a` and `b`, one line each, in order; nothing if there are none. Entries that cannot be
/// read are differences too.
pub fn compare_trees(a: &Path, b: &Path, options: &CompareOptions) -> Vec<String> {
    let mut comparison = Comparison {
        options,
        differences: Vec::new(),
        groups: Default::default(),
    };
    let roots = open_dir(CWD, a).and_then(|a| Ok((a, open_dir(CWD, b)?)));
    match roots {
        Ok((a, b)) => {
            comparison.root(a.as_fd(), b.as_fd());
            comparison.dir(Path::new(""), a.as_fd(), b.as_fd());
        }
        Err(error) => comparison.differences.push(format!("a root cannot be opened: {error}")),
    }
    comparison.hard_links();
    comparison.differences
}

struct Comparison<'a> {
    options: &'a CompareOptions,
    differences: Vec<String>,
    /// For each tree, the names of each file that has several, by device and inode.
    groups: [HashMap<(u64, u64), BTreeSet<PathBuf>>; 2],
}

/// One name in both trees.
struct Pair<'a> {
    path: &'a Path,
    name: &'a [u8],
    dirs: [BorrowedFd<'a>; 2],
    stats: [Stat; 2],
}

impl Comparison<'_> {
    fn add(&mut self, path: &Path, what: &str, a: impl Display, b: impl Display) {
        self.differences
            .push(format!("`{}`: {what}: {a} ≠ {b}", path.display()));
    }

    fn check<T: PartialEq + Display>(&mut self, path: &Path, what: &str, [a, b]: [T; 2]) {
        if a != b {
            self.add(path, what, a, b);
        }
    }

    fn fails(&mut self, path: &Path, error: &io::Error) {
        self.differences.push(format!("`{}`: {error}", path.display()));
    }

    fn root(&mut self, a: BorrowedFd<'_>, b: BorrowedFd<'_>) {
        let path = Path::new(".");
        let stat = |dir| Ok::<_, io::Error>(statat(dir, ".", AtFlags::empty())?);
        match stat(a).and_then(|stat_a| Ok([stat_a, stat(b)?])) {
            Ok(stats) => {
                self.metadata(path, stats, self.options.root_time);
                self.attributes(&Pair {
                    path,
                    name: b".",
                    dirs: [a, b],
                    stats,
                });
            }
            Err(error) => self.fails(path, &error),
        }
    }

    fn dir(&mut self, path: &Path, a: BorrowedFd<'_>, b: BorrowedFd<'_>) {
        match list(a).and_then(|names_a| Ok((names_a, list(b)?))) {
            Ok((names_a, names_b)) => {
                for (name, in_trees) in merge(names_a, names_b) {
                    self.entry(&path.join(std::ffi::OsStr::from_bytes(&name)), &name, in_trees, [a, b]);
                }
            }
            Err(error) => self.fails(path, &error),
        }
    }

    fn entry(&mut self, path: &Path, name: &[u8], in_trees: [bool; 2], dirs: [BorrowedFd<'_>; 2]) {
        let stat = |dir: BorrowedFd<'_>| Ok::<_, io::Error>(statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?);
        if let [true, true] = in_trees {
            match stat(dirs[0]).and_then(|a| Ok([a, stat(dirs[1])?])) {
                Ok(stats) => self.pair(&Pair {
                    path,
                    name,
                    dirs,
                    stats,
                }),
                Err(error) => self.fails(path, &error),
            }
            return;
        }
        let only = dirs[usize::from(in_trees[1])];
        let is_socket = stat(only).is_ok_and(|stat| kind(&stat) == FileType::Socket);
        if self.options.sockets || !is_socket {
            let tree = if in_trees[0] { "first" } else { "second" };
            self.differences
                .push(format!("`{}`: only in the {tree}", path.display()));
        }
    }

    fn pair(&mut self, pair: &Pair<'_>) {
        let [a, b] = pair.stats.each_ref().map(kind);
        if a != b {
            self.add(pair.path, "kind", format!("{a:?}"), format!("{b:?}"));
            return;
        }
        self.metadata(pair.path, pair.stats, self.options.times);
        self.attributes(pair);
        let result = match a {
            FileType::RegularFile => self.file(pair),
            FileType::Symlink => self.link(pair),
            FileType::Directory => self.subdir(pair),
            FileType::BlockDevice | FileType::CharacterDevice => {
                self.check(pair.path, "device", pair.stats.map(|stat| stat.st_rdev));
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(error) = result {
            self.fails(pair.path, &error);
        }
    }

    fn metadata(&mut self, path: &Path, stats: [Stat; 2], times: bool) {
        let [a, b] = stats.map(|stat| stat.st_mode & 0o7777);
        if a != b {
            self.add(path, "permissions", format!("{a:o}"), format!("{b:o}"));
        }
        if self.options.owner {
            self.check(
                path,
                "owner",
                stats.map(|stat| format!("{}:{}", stat.st_uid, stat.st_gid)),
            );
        }
        if times && self.options.times {
            self.check(
                path,
                "modified",
                stats.map(|stat| format!("{}.{:09}", stat.st_mtime, stat.st_mtime_nsec)),
            );
        }
    }

    fn attributes(&mut self, pair: &Pair<'_>) {
        if !self.options.attributes {
            return;
        }
        let read = |tree: usize| attributes(pair.dirs[tree], pair.name);
        match read(0).and_then(|a| Ok([a, read(1)?])) {
            Ok([a, b]) if a != b => self.add(pair.path, "attributes", show(&a), show(&b)),
            Ok(_) => {}
            Err(error) => self.fails(pair.path, &error),
        }
    }

    fn file(&mut self, pair: &Pair<'_>) -> io::Result<()> {
        for (group, stat) in self.groups.iter_mut().zip(&pair.stats) {
            if stat.st_nlink > 1 {
                group
                    .entry((stat.st_dev, stat.st_ino))
                    .or_default()
                    .insert(pair.path.to_owned());
            }
        }
        let sizes = pair.stats.map(|stat| stat.st_size);
        if sizes[0] != sizes[1] {
            self.check(pair.path, "size", sizes);
            return Ok(());
        }
        let open = |tree: usize| open_file(pair.dirs[tree], pair.name);
        if let Some(at) = first_difference(open(0)?, open(1)?)? {
            self.differences
                .push(format!("`{}`: content differs from byte {at} on", pair.path.display()));
        }
        let [a, b] = pair.stats.map(|stat| stat.st_blocks * 512);
        if self.options.sparse && a.abs_diff(b) > (64 << 10) + a.max(b).unsigned_abs() / 10 {
            self.add(pair.path, "bytes taken", a, b);
        }
        Ok(())
    }

    fn link(&mut self, pair: &Pair<'_>) -> io::Result<()> {
        let read = |tree: usize| readlinkat(pair.dirs[tree], pair.name, Vec::new());
        self.check(
            pair.path,
            "link to",
            [read(0)?, read(1)?].map(|target| target.as_bytes().escape_ascii().to_string()),
        );
        Ok(())
    }

    fn subdir(&mut self, pair: &Pair<'_>) -> io::Result<()> {
        let open = |tree: usize| open_dir(pair.dirs[tree], Path::new(std::ffi::OsStr::from_bytes(pair.name)));
        let (a, b) = (open(0)?, open(1)?);
        self.dir(pair.path, a.as_fd(), b.as_fd());
        Ok(())
    }

    /// Names that hang together in one tree have to do so in the other.
    fn hard_links(&mut self) {
        if !self.options.hard_links {
            return;
        }
        let groups = self.groups.each_ref().map(|groups| {
            groups
                .values()
                .filter(|names| names.len() > 1)
                .cloned()
                .collect::<BTreeSet<_>>()
        });
        for (tree, [here, there]) in [
            ("first", [&groups[0], &groups[1]]),
            ("second", [&groups[1], &groups[0]]),
        ] {
            for names in here.difference(there) {
                self.differences
                    .push(format!("{names:?}: hard links to each other only in the {tree}"));
            }
        }
    }
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn list(dir: BorrowedFd<'_>) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        names.push(entry?.file_name().to_bytes().to_vec());
    }
    names.retain(|name| name != b"." && name != b"..");
    Ok(names)
}

/// All names, and in which trees they are.
fn merge(a: Vec<Vec<u8>>, b: Vec<Vec<u8>>) -> BTreeMap<Vec<u8>, [bool; 2]> {
    let mut names: BTreeMap<Vec<u8>, [bool; 2]> = a.into_iter().map(|name| (name, [true, false])).collect();
    b.into_iter().for_each(|name| names.entry(name).or_default()[1] = true);
    names
}

fn open_file(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<impl Read + use<>> {
    let file = openat(
        dir,
        name,
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    Ok(io::BufReader::with_capacity(1 << 17, std::fs::File::from(file)))
}

fn first_difference(a: impl Read, b: impl Read) -> io::Result<Option<u64>> {
    let (mut a, mut b, mut at) = (a, b, 0);
    loop {
        let (mut chunk_a, mut chunk_b) = (Vec::new(), Vec::new());
        (&mut a).take(1 << 20).read_to_end(&mut chunk_a)?;
        (&mut b).take(1 << 20).read_to_end(&mut chunk_b)?;
        if chunk_a != chunk_b {
            let same = chunk_a.iter().zip(&chunk_b).take_while(|(a, b)| a == b).count();
            return Ok(Some(at + same as u64));
        }
        if chunk_a.is_empty() {
            return Ok(None);
        }
        at += chunk_a.len() as u64;
    }
}

type Attributes = BTreeMap<Vec<u8>, Vec<u8>>;

fn attributes(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Attributes> {
    let path = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(std::ffi::OsStr::from_bytes(name));
    let mut buffer = vec![0; 1 << 16];
    let length = match rustix::fs::llistxattr(&path, &mut buffer[..]) {
        Err(rustix::io::Errno::NOTSUP) => 0,
        result => result?,
    };
    let names = buffer[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    let mut value = vec![0; 1 << 16];
    let mut one = |name: &[u8]| {
        let length = rustix::fs::lgetxattr(&path, name, &mut value[..])?;
        Ok((name.to_vec(), value[..length].to_vec()))
    };
    names.map(&mut one).collect()
}

fn show(attributes: &Attributes) -> String {
    let one = |(name, value): (&Vec<u8>, &Vec<u8>)| format!("{}={}", name.escape_ascii(), value.escape_ascii());
    format!("{:?}", attributes.iter().map(one).collect::<Vec<_>>())
}
