//! Finding what there is: directories are listed by several threads, deepest first, so that few are open at a time.

use super::blobs::Saver;
use super::directory::{Beginning, Directory};
use super::files::{Batch, FileToRead, ToRead};
use super::job::{Change, Job, Last};
use super::parent::is_unchanged;
use super::scan_cache::{Digest, NO_DIGEST, truncated};
use super::sources::{Child, Named, What};
use crate::local::meta::{Stat, stat_at, stat_path};
use crate::local::node::{node_at, node_from_stat};
use crate::local::scan::{list_dir, open_dir};
use crate::local::xattr::xattrs_of_fd;
use crate::restic::node::{Node, NodeKind};
use crate::restic::pack::BlobKind;
use crate::restic::tree::Tree;
use crate::substitute::{has_companion, is_companion, owner_of};
use crate::{Counters, Error, Id, Result, clock};
use crossbeam_channel::Sender;
use jiff::{SignedDuration, Timestamp};
use parking_lot::{Condvar, Mutex};
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory that is to be listed.
pub struct ToScan {
    /// Where it is an entry; `None` for the root of the host.
    parent: Option<(Arc<Directory>, usize)>,
    /// The directory that holds it, open.
    holder: Arc<OwnedFd>,
    name: OsString,
    stat: Stat,
    /// Its tree in the parent snapshot, as far as the parent's tree was read.
    before: Option<Id>,
    /// The file system of the source, for `--one-file-system`.
    device: u64,
    is_top: bool,
}

/// Directories that wait to be listed; the last one found is taken first.
#[derive(Default)]
pub struct Stack {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<ToScan>,
    at_work: usize,
}

impl Stack {
    fn push(&self, directories: impl IntoIterator<Item = ToScan>) {
        self.state.lock().waiting.extend(directories);
        self.changed.notify_all();
    }

    /// The next directory; `None` when there is none and none can come any more.
    fn pop(&self) -> Option<ToScan> {
        let mut state = self.state.lock();
        loop {
            if let Some(next) = state.waiting.pop() {
                state.at_work += 1;
                return Some(next);
            }
            if state.at_work == 0 {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    fn done(&self) {
        self.state.lock().at_work -= 1;
        self.changed.notify_all();
    }
}

/// Turn the sources into directories to scan and files to read.
pub fn start(job: &Job<'_>, sources: What, stack: &Stack, files: &Sender<ToRead>) -> Result<()> {
    let mut saver = Saver::new(job)?;
    match sources {
        What::WholeHost => {
            let root = Path::new("/");
            let holder = Arc::new(open_directory(root)?);
            let stat = stat_path(root).map_err(Error::local("read", root))?;
            let before = job.parent_tree;
            stack.push([ToScan {
                parent: None,
                holder,
                name: ".".into(),
                stat,
                before,
                device: stat.dev,
                is_top: true,
            }]);
            Ok(())
        }
        What::Named(named, _) => {
            let beginning = Beginning {
                path: "/".into(),
                parent: None,
                node: None,
                before: job.parent_tree,
                digest: NO_DIGEST,
                is_named: true,
            };
            start_named(job, named, beginning, stack, files, &mut saver)
        }
    }
}

fn open_directory(path: &Path) -> Result<OwnedFd> {
    // Links on the way to a source are followed: the user named this path.
    Ok(File::open(path).map_err(Error::local("read", path))?.into())
}

/// A directory on the way to the sources.
fn start_named(
    job: &Job<'_>,
    named: Named,
    beginning: Beginning,
    stack: &Stack,
    files: &Sender<ToRead>,
    saver: &mut Saver<'_>,
) -> Result<()> {
    let before = job.read_parent_tree(beginning.before);
    let count = named.children.len();
    let directory = Directory::new(beginning, count);
    directory.expect(count);
    for (slot, (name, child)) in named.children.into_iter().enumerate() {
        let path = directory.path.join(&name);
        let known = before.as_ref().and_then(|tree| tree.find(&name));
        match child {
            Child::Directory(named) => {
                let path = named.host.clone().unwrap_or(path);
                let node = Some(named_node(job, &name, &path));
                let before = known.and_then(|node| node.subtree);
                let beginning = Beginning {
                    path,
                    parent: Some((Arc::clone(&directory), slot)),
                    node,
                    before,
                    digest: NO_DIGEST,
                    is_named: true,
                };
                start_named(job, named, beginning, stack, files, saver)?;
            }
            Child::Path => start_path(job, &directory, slot, &name, known, stack, files, saver)?,
            Child::Last(content) => {
                let directory = Arc::clone(&directory);
                *job.last.lock() = Some(Last {
                    directory,
                    slot,
                    name,
                    content,
                });
            }
            Child::Stream(stream) => {
                job.expected.add_stream();
                let change = if known.is_some() { Change::Changed } else { Change::New };
                let directory = Arc::clone(&directory);
                send(
                    files,
                    ToRead::Stream {
                        directory,
                        slot,
                        name,
                        stream,
                        change,
                    },
                )?;
            }
        }
    }
    directory.release(1, job, saver)
}

fn named_node(job: &Job<'_>, name: &OsStr, path: &Path) -> Node {
    // Follows links, because the snapshot has a directory here.
    match std::fs::File::open(path).and_then(crate::local::meta::stat_fd) {
        Ok(stat) if stat.is_dir() => node_from_stat(name, &stat, &job.users),
        // Only in the snapshot, on the way to a stream.
        _ => Node {
            mtime: clock::now(),
            ..Node::new(name, NodeKind::Dir, crate::restic::mode::from_system(0o040_755).1)
        },
    }
}

#[expect(clippy::too_many_arguments, reason = "one call, and every value is needed")]
fn start_path(
    job: &Job<'_>,
    directory: &Arc<Directory>,
    slot: usize,
    name: &OsStr,
    known: Option<&Node>,
    stack: &Stack,
    files: &Sender<ToRead>,
    saver: &mut Saver<'_>,
) -> Result<()> {
    let path = directory.path.join(name);
    let holder = Arc::new(open_directory(&directory.path)?);
    let stat = stat_at(&*holder, name).map_err(Error::local("back up", &path))?;
    if stat.is_dir() {
        // The user named it, so it has to be readable: otherwise nothing would be protected, and nobody would notice.
        open_dir(&*holder, name).map_err(Error::local("read", &path))?;
        let (parent, before) = (Some((Arc::clone(directory), slot)), known.and_then(|node| node.subtree));
        stack.push([ToScan {
            parent,
            holder,
            name: name.to_owned(),
            stat,
            before,
            device: stat.dev,
            is_top: true,
        }]);
    } else if stat.is_file() {
        let substitute = job.options.substitute.as_deref();
        let may_be_same = !substitute.is_some_and(|substitute| has_companion(substitute, &*holder, name));
        let file = match take_over(job, known, name, &stat, may_be_same) {
            Ok(node) => return keep(job, directory, slot, &node, saver),
            Err(change) => FileToRead {
                slot,
                name: name.to_owned(),
                change,
                companions: Vec::new(),
            },
        };
        job.expected.add(job.monitor, stat.size);
        send(
            files,
            ToRead::Files(Batch {
                directory: Arc::clone(directory),
                holder,
                files: vec![file],
            }),
        )?;
    } else {
        capture_other(job, directory, known, &holder, slot, name, &stat);
        directory.release(1, job, saver)?;
    }
    Ok(())
}

fn keep(job: &Job<'_>, directory: &Arc<Directory>, slot: usize, node: &Node, saver: &mut Saver<'_>) -> Result<()> {
    directory.set(slot, node);
    job.count_file(directory, &node.name, Change::Unchanged, node.size);
    directory.release(1, job, saver)
}

fn send(files: &Sender<ToRead>, what: ToRead) -> Result<()> {
    files.send(what).map_err(|_| Error::Interrupted)
}

/// List directories until there are no more.
pub fn run(job: &Job<'_>, stack: &Stack, files: &Sender<ToRead>) {
    let mut saver = match Saver::new(job) {
        Ok(saver) => saver,
        Err(error) => return job.fail(error),
    };
    while let Some(next) = stack.pop() {
        if !job.is_stopped()
            && let Err(error) = scan(job, next, stack, files, &mut saver)
        {
            job.fail(error);
        }
        stack.done();
    }
    if !job.is_stopped() {
        job.expected.settle(job.monitor);
    }
}

fn scan(job: &Job<'_>, task: ToScan, stack: &Stack, files: &Sender<ToRead>, saver: &mut Saver<'_>) -> Result<()> {
    let path = task.path();
    let listed_at = clock::now();
    let (fd, names) =
        match open_dir(&*task.holder, &task.name).and_then(|fd| list_dir(fd.as_fd()).map(|names| (fd, names))) {
            Ok(listed) => listed,
            Err(error) if task.is_top => {
                return Err(Error::Local {
                    operation: "read",
                    path,
                    source: error,
                });
            }
            Err(error) => {
                let Some((parent, _)) = &task.parent else { return Ok(()) };
                job.problem(parent, &task.name, &error);
                return parent.release(1, job, saver);
            }
        };
    let fd = Arc::new(fd);
    let names = names_to_follow(job, &path, &fd, names, task.stat.dev == task.device);
    let (entries, failed) = stat_all(job, &path, &fd, names);
    let digest = digest(&entries, listed_at);
    let seen = job.known.as_ref().and_then(|known| known.find(&path));
    let before = seen.map(|seen| seen.tree).or(task.before);
    let same =
        seen.filter(|seen| seen.digest == digest && digest != NO_DIGEST && job.is_stored(BlobKind::Tree, &seen.tree));
    let needs_node = task.parent.as_ref().is_some_and(|(parent, _)| !parent.is_same());
    let node = needs_node.then(|| directory_node(job, &task, &fd));
    let beginning = Beginning {
        path,
        parent: task.parent,
        node,
        before,
        digest,
        is_named: false,
    };
    let directory = match same {
        Some(seen) => Directory::same(beginning, seen.tree),
        None => Directory::new(beginning, entries.len()),
    };
    failed
        .iter()
        .for_each(|(name, error)| job.problem(&directory, name, error));
    let mut scanned = Scanned {
        job,
        directory,
        fd,
        device: task.device,
        before: None,
        directories: Vec::new(),
        batch: Vec::new(),
        batch_bytes: 0,
        files,
    };
    if same.is_some() {
        scanned.take_over_all(entries);
    } else {
        scanned.look_at_all(entries)?;
    }
    let directory = scanned.finish(stack);
    directory.release(1, job, saver)
}

fn directory_node(job: &Job<'_>, task: &ToScan, fd: &OwnedFd) -> Node {
    let mut node = node_from_stat(&task.name, &task.stat, &job.users);
    match (xattrs_of_fd(fd), &task.parent) {
        (Ok(attributes), _) => node.extended_attributes = attributes,
        (Err(error), Some((parent, _))) => job.problem(parent, &task.name, &error),
        (Err(_), None) => {}
    }
    node
}

impl ToScan {
    fn path(&self) -> PathBuf {
        match &self.parent {
            Some((parent, _)) => parent.path.join(&self.name),
            None => "/".into(),
        }
    }
}

/// What is left of a directory: in another file system than its source's, with `--one-file-system`, only what leads to something that
/// was named, too.
pub fn names_to_follow(
    job: &Job<'_>,
    path: &Path,
    fd: &OwnedFd,
    names: Vec<OsString>,
    is_at_home: bool,
) -> Vec<OsString> {
    if is_at_home || !job.options.one_file_system {
        return job.options.filter.unmarked(fd, names);
    }
    let leads_to_named = |name: &OsString| {
        let path = path.join(name);
        job.nested.iter().any(|named| named.starts_with(&path))
    };
    names.into_iter().filter(leads_to_named).collect()
}

/// The file system that a directory's source is in: that of the source around it, unless it was named itself.
pub fn home(job: &Job<'_>, parent: &Path, (name, stat): (&OsStr, &Stat), around: u64) -> u64 {
    if !job.nested.is_empty() && job.nested.contains(&parent.join(name)) {
        stat.dev
    } else {
        around
    }
}

/// An entry of a directory.
pub type Listed = (OsString, Stat);

/// The status of everything that is not left out.
pub fn stat_all(
    job: &Job<'_>,
    path: &Path,
    fd: &OwnedFd,
    names: Vec<OsString>,
) -> (Vec<Listed>, Vec<(OsString, io::Error)>) {
    let (mut entries, mut failed) = (Vec::with_capacity(names.len()), Vec::new());
    let filter = &job.options.filter;
    for name in names {
        match stat_at(fd, &name) {
            // Sockets hold nothing; whoever listens makes them again.
            Ok(stat) if stat.mode & 0o170_000 == 0o140_000 => {}
            Ok(stat) if !filter.is_empty() && filter.leaves_out(&path.join(&name), stat.is_dir()) => {}
            Ok(stat) if stat.is_file() && filter.excludes_size(stat.size) => {}
            Ok(stat) => entries.push((name, stat)),
            Err(error) => failed.push((name, error)),
        }
    }
    (entries, failed)
}

/// Within this time of being changed, a file may change again without getting a later timestamp: the clocks of file systems tick
/// every ten milliseconds or more often.
pub const TICK: SignedDuration = SignedDuration::from_millis(20);

/// A summary of the status of all entries, or none if an entry changed so recently that it could change again unnoticed.
fn digest(entries: &[Listed], listed_at: Timestamp) -> Digest {
    if entries
        .iter()
        .any(|(_, stat)| listed_at.duration_since(stat.ctime) < TICK)
    {
        return NO_DIGEST;
    }
    let mut hasher = blake3::Hasher::new();
    let mut record = Vec::with_capacity(256);
    for (name, stat) in entries {
        record.clear();
        // A directory's own size and links are not part of the snapshot.
        let (size, links) = if stat.is_dir() { (0, 0) } else { (stat.size, stat.nlink) };
        let times = [stat.mtime, stat.ctime].map(|time| time.as_nanosecond() as u64);
        let owner = u64::from(stat.uid) << 32 | u64::from(stat.gid);
        for number in [
            name.len() as u64,
            stat.dev,
            stat.ino,
            u64::from(stat.mode),
            links,
            owner,
            stat.rdev,
            size,
            times[0],
            times[1],
        ] {
            record.extend_from_slice(&number.to_le_bytes());
        }
        record.extend_from_slice(name.as_bytes());
        hasher.update(&record);
    }
    truncated(hasher.finalize())
}

/// The content of a file if it is still what the parent snapshot holds, else what it is now.
fn take_over(
    job: &Job<'_>,
    known: Option<&Node>,
    name: &OsStr,
    stat: &Stat,
    may_be_same: bool,
) -> std::result::Result<Node, Change> {
    let Some(known) = known else { return Err(Change::New) };
    let is_stored = || known.blobs().iter().all(|id| job.is_stored(BlobKind::Data, id));
    if !may_be_same || !is_unchanged(known, stat, job.options) || !is_stored() {
        return Err(Change::Changed);
    }
    job.expected.add(job.monitor, stat.size);
    Counters::add(&job.monitor.counters().bytes, stat.size);
    let mut node = node_from_stat(name, stat, &job.users);
    node.content.clone_from(&known.content);
    node.extended_attributes.clone_from(&known.extended_attributes);
    Ok(node)
}

/// Links, devices and pipes: everything but their status and target is in the status.
fn capture_other(
    job: &Job<'_>,
    directory: &Directory,
    known: Option<&Node>,
    fd: &OwnedFd,
    slot: usize,
    name: &OsStr,
    stat: &Stat,
) {
    match node_at(fd, name, stat, &job.users) {
        Ok(node) => {
            let change = match known {
                None => Change::New,
                Some(known) if (known.kind, known.mtime, known.ctime) == (node.kind, node.mtime, node.ctime) => {
                    Change::Unchanged
                }
                Some(_) => Change::Changed,
            };
            job.count_other(directory, name, change);
            directory.set(slot, &node);
        }
        Err(error) => job.problem(directory, name, &error),
    }
}

/// Files that are read together: enough to make handing them over cheap.
const BATCH_FILES: usize = 64;
const BATCH_BYTES: u64 = 1 << 20;

/// A directory that was listed and whose entries are now sorted out.
struct Scanned<'a, 'j> {
    job: &'a Job<'j>,
    directory: Arc<Directory>,
    fd: Arc<OwnedFd>,
    device: u64,
    before: Option<Tree>,
    directories: Vec<ToScan>,
    batch: Vec<FileToRead>,
    batch_bytes: u64,
    files: &'a Sender<ToRead>,
}

impl Scanned<'_, '_> {
    /// Nothing changed here, only directories are left to look into.
    fn take_over_all(&mut self, entries: Vec<Listed>) {
        for (slot, (name, stat)) in entries.into_iter().enumerate() {
            if stat.is_dir() {
                self.add_directory(slot, name, stat);
            } else if self.is_companion(&name) {
                // Its content is part of another file's.
            } else if stat.is_file() {
                self.job.expected.add(self.job.monitor, stat.size);
                Counters::add(&self.job.monitor.counters().bytes, stat.size);
                self.job
                    .count_file(&self.directory, &name, Change::Unchanged, stat.size);
            } else {
                self.job.count_other(&self.directory, &name, Change::Unchanged);
            }
        }
    }

    fn look_at_all(&mut self, entries: Vec<Listed>) -> Result<()> {
        self.before = self.job.read_parent_tree(self.directory.before());
        let unsettled = self.with_companions(&entries);
        let (left_out, mut companions) = self.companions(&entries);
        for (slot, (name, stat)) in entries.into_iter().enumerate() {
            if stat.is_dir() {
                self.add_directory(slot, name, stat);
            } else if left_out.contains(&slot) {
                // Its content is part of another file's.
            } else if stat.is_file() {
                let may_be_same = !unsettled.contains(&name);
                let companions = companions.remove(&name).unwrap_or_default();
                self.add_file(slot, name, &stat, may_be_same, companions)?;
            } else {
                let known = self.before.as_ref().and_then(|tree| tree.find(&name));
                capture_other(self.job, &self.directory, known, &self.fd, slot, &name, &stat);
            }
        }
        self.send_batch()
    }

    fn is_companion(&self, name: &OsStr) -> bool {
        let substitute = self.job.options.substitute.as_deref();
        substitute.is_some_and(|substitute| is_companion(substitute, &*self.fd, name))
    }

    /// Places of files that hold part of another one's content, and the files by the name of that one.
    fn companions(&self, entries: &[Listed]) -> (HashSet<usize>, HashMap<OsString, Vec<FileToRead>>) {
        let (mut slots, mut by_owner) = (HashSet::new(), HashMap::<_, Vec<_>>::new());
        let Some(substitute) = self.job.options.substitute.as_deref() else {
            return (slots, by_owner);
        };
        for (slot, (name, stat)) in entries.iter().enumerate() {
            if let Some(owner) = owner_of(substitute, name)
                && stat.is_file()
                && is_companion(substitute, &*self.fd, name)
            {
                slots.insert(slot);
                let known = self.before.as_ref().and_then(|tree| tree.find(name));
                by_owner.entry(owner.to_owned()).or_default().push(FileToRead {
                    slot,
                    name: name.clone(),
                    change: if known.is_some() { Change::Changed } else { Change::New },
                    companions: Vec::new(),
                });
            }
        }
        (slots, by_owner)
    }

    /// Files whose content may have changed although their own status has not.
    fn with_companions(&self, entries: &[Listed]) -> HashSet<OsString> {
        let Some(substitute) = self.job.options.substitute.as_deref() else {
            return HashSet::new();
        };
        let full = entries.iter().filter(|(_, stat)| stat.is_file() && stat.size > 0);
        full.filter_map(|(name, _)| owner_of(substitute, name).map(OsStr::to_owned))
            .collect()
    }

    fn add_directory(&mut self, slot: usize, name: OsString, stat: Stat) {
        let before = self.before.as_ref().and_then(|tree| tree.find(&name)?.subtree);
        let (parent, holder) = (Some((Arc::clone(&self.directory), slot)), Arc::clone(&self.fd));
        let device = home(self.job, &self.directory.path, (&name, &stat), self.device);
        self.directories.push(ToScan {
            parent,
            holder,
            name,
            stat,
            before,
            device,
            is_top: false,
        });
    }

    fn add_file(
        &mut self,
        slot: usize,
        name: OsString,
        stat: &Stat,
        may_be_same: bool,
        companions: Vec<FileToRead>,
    ) -> Result<()> {
        let known = self.before.as_ref().and_then(|tree| tree.find(&name));
        match take_over(self.job, known, &name, stat, may_be_same) {
            Ok(node) => {
                self.directory.set(slot, &node);
                self.job
                    .count_file(&self.directory, &node.name, Change::Unchanged, node.size);
            }
            Err(change) => {
                self.job.expected.add(self.job.monitor, stat.size);
                self.batch.push(FileToRead {
                    slot,
                    name,
                    change,
                    companions,
                });
                self.batch_bytes += stat.size;
                if self.batch.len() >= BATCH_FILES || self.batch_bytes >= BATCH_BYTES {
                    self.send_batch()?;
                }
            }
        }
        Ok(())
    }

    fn send_batch(&mut self) -> Result<()> {
        self.batch_bytes = 0;
        let files = std::mem::take(&mut self.batch);
        if files.is_empty() {
            return Ok(());
        }
        self.directory.expect(files.len());
        let (directory, holder) = (Arc::clone(&self.directory), Arc::clone(&self.fd));
        send(
            self.files,
            ToRead::Files(Batch {
                directory,
                holder,
                files,
            }),
        )
    }

    fn finish(mut self, stack: &Stack) -> Arc<Directory> {
        self.directory.expect(self.directories.len());
        // The last one pushed is taken first: in the order of names, so that neighbours are stored next to each other.
        self.directories.reverse();
        stack.push(self.directories);
        self.directory
    }
}
