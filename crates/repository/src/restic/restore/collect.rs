//! From the walk through a tree to windows of work.

use super::blobs::chain;
use super::dirs::Dir;
use super::files::{FileItem, FirstName};
use super::prepare::{Way, make_way};
use super::session::{Session, count};
use super::window::{Left, Link, Piece, Special, Window};
use crate::restic::ls::{Descend, Visitor};
use crate::restic::node::{Node, NodeKind};
use crate::restic::pack::BlobKind;
use crate::{Error, Id, Result};
use crossbeam_channel::Sender;
use hashbrown::HashMap;
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

/// Makes directories as the walk enters them, and hands out windows.
pub struct Collector<'a> {
    session: &'a Session<'a>,
    sender: Sender<Window>,
    window: Window,
    levels: Vec<Level>,
    firsts: HashMap<(u64, u64), Known>,
    /// The file that is cut into pieces now, or was last.
    cut: Option<Arc<FileItem>>,
}

/// A directory that the walk is in.
struct Level {
    node: Option<Node>,
    state: LevelState,
    names: Option<Vec<OsString>>,
}

enum LevelState {
    /// Not chosen itself; made as soon as something in it is.
    Pending,
    Made(Arc<Dir>),
    /// Reported; nothing in it is restored.
    Failed,
}

/// The first name of an inode with several.
struct Known {
    first: Arc<FirstName>,
    kind: NodeKind,
    content: u64,
    names_left: u64,
}

impl<'a> Collector<'a> {
    pub fn new(session: &'a Session<'a>, sender: Sender<Window>) -> Self {
        let names = session.options.delete.then(Vec::new);
        let root = Level {
            node: None,
            state: LevelState::Made(session.dirs.root()),
            names,
        };
        Self {
            session,
            sender,
            window: Window::default(),
            levels: vec![root],
            firsts: HashMap::new(),
            cut: None,
        }
    }

    /// Hand out the last window.
    pub fn finish(&mut self) -> Result<()> {
        if self.window.is_empty() { Ok(()) } else { self.send() }
    }

    /// The walk ended early: a file that is only partly handed out will never be complete.
    pub fn cut_file(self) -> Option<Arc<FileItem>> {
        self.cut
    }

    fn send(&mut self) -> Result<()> {
        // Nobody receives any more after a failure, which is what the caller reports then.
        self.sender
            .send(std::mem::take(&mut self.window))
            .map_err(|_| Error::Interrupted)
    }

    fn send_if_full(&mut self) -> Result<()> {
        if self.window.is_full() { self.send() } else { Ok(()) }
    }

    /// The directory that the walk is in, made with those above it. `None` if that failed, which is reported already.
    fn dir(&mut self) -> Option<Arc<Dir>> {
        let first_pending = self
            .levels
            .iter()
            .rposition(|level| !matches!(level.state, LevelState::Pending))
            .map_or(0, |at| at + 1);
        for at in first_pending..self.levels.len() {
            let (above, level) = self.levels.split_at_mut(at);
            let parent = above.last().map(|level| &level.state);
            level[0].state = match (parent, &level[0].node) {
                (Some(LevelState::Made(parent)), Some(node)) => make_dir(self.session, parent, node),
                _ => LevelState::Failed,
            };
        }
        match &self.levels.last()?.state {
            LevelState::Made(dir) => Some(Arc::clone(dir)),
            _ => None,
        }
    }

    fn enter(&mut self, path: &Path, node: Node) -> Descend {
        let choice = self.session.options.choose(path, true);
        if !choice.itself && !choice.inside {
            return Descend::No;
        }
        let names = (self.session.options.delete && choice.inside).then(Vec::new);
        self.levels.push(Level {
            node: Some(node),
            state: LevelState::Pending,
            names,
        });
        if choice.itself && self.dir().is_none() {
            self.levels.pop();
            return Descend::No;
        }
        if choice.inside {
            return Descend::Yes;
        }
        self.leave_level();
        Descend::No
    }

    fn leave_level(&mut self) {
        if let Some(Level {
            node,
            state: LevelState::Made(dir),
            names,
        }) = self.levels.pop()
        {
            self.window.weigh(node.as_ref());
            self.window.weigh_names(names.as_deref().unwrap_or_default());
            self.window.left.push(Left { dir, node, names });
        }
    }

    /// Whether the entry is a further name of something that was met; otherwise what others are to be linked to, if there are any.
    fn link(&mut self, dir: &Arc<Dir>, node: &Node) -> std::ops::ControlFlow<(), Option<Arc<FirstName>>> {
        use std::ops::ControlFlow::{Break, Continue};
        if node.links < 2 {
            return Continue(None);
        }
        let key = (node.device_id, node.inode);
        let content = content_hash(node);
        // While a backup runs, a file may vanish and another take its inode.
        if let Some(known) = self
            .firsts
            .get_mut(&key)
            .filter(|known| known.kind == node.kind && known.content == content)
        {
            let first = Arc::clone(&known.first);
            known.names_left -= 1;
            if known.names_left == 0 {
                self.firsts.remove(&key);
            }
            self.window.weigh(None);
            self.window.links.push(Link {
                dir: Arc::clone(dir),
                name: node.name.clone(),
                mtime: node.mtime,
                first,
            });
            return Break(());
        }
        let first = Arc::new(FirstName::new(Arc::clone(dir), node.name.clone()));
        let names_left = node.links - 1;
        self.firsts.insert(
            key,
            Known {
                first: Arc::clone(&first),
                kind: node.kind,
                content,
                names_left,
            },
        );
        Continue(Some(first))
    }

    fn push_file(&mut self, path: &Path, dir: Arc<Dir>, node: Node, first: Option<Arc<FirstName>>) -> Result<()> {
        let size = match content_size(self.session, node.blobs()) {
            Ok(size) => size,
            Err(missing) => {
                let message =
                    format!("its content cannot be read: blob `{missing}` is missing: the index does not list it");
                self.session.tally.problem(path, message);
                self.session.tally.file_done();
                return Ok(());
            }
        };
        let file = Arc::new(FileItem::new(dir, node, size, first));
        self.window.weigh(Some(&file.node));
        let (mut done, mut offset) = (0, 0);
        loop {
            (done, offset) = self.push_piece(&file, done, offset);
            if done == file.node.blobs().len() {
                return self.send_if_full();
            }
            self.cut = Some(Arc::clone(&file));
            self.send()?;
        }
    }

    /// As much of the file as fits into the window. Returns how many blobs, and bytes, of the file are handed out then.
    fn push_piece(&mut self, file: &Arc<FileItem>, first_blob: usize, start: u64) -> (usize, u64) {
        let (mut offset, uses_start) = (start, self.window.uses.len());
        for id in &file.node.blobs()[first_blob..] {
            let Some(found) = self.session.index.find(BlobKind::Data, id) else {
                break;
            };
            self.window.push_use(found.pack, found.blob, offset);
            offset += u64::from(found.blob.plain_length());
            if self.window.is_full() {
                break;
            }
        }
        let uses = uses_start..self.window.uses.len();
        let done = first_blob + uses.len();
        self.window.pieces.push(Piece {
            file: Arc::clone(file),
            first_blob,
            uses,
        });
        (done, offset)
    }

    fn push_other(&mut self, path: &Path, dir: Arc<Dir>, node: Node, first: Option<Arc<FirstName>>) -> Result<()> {
        let tally = &self.session.tally;
        match node.kind {
            NodeKind::Socket => {
                count(&tally.skipped, 1);
                tally.note(&format!(
                    "`{}` is a socket: the program that it belongs to makes it again",
                    path.display()
                ));
            }
            NodeKind::Irregular => tally.problem(path, "entries of its kind cannot be restored".to_owned()),
            _ => {
                self.window.weigh(Some(&node));
                self.window.specials.push(Special { dir, node, first });
            }
        }
        self.send_if_full()
    }
}

impl Visitor for Collector<'_> {
    fn entry(&mut self, path: &Path, node: Node) -> Result<Descend> {
        if let Some(names) = self.levels.last_mut().and_then(|level| level.names.as_mut()) {
            names.push(node.name.clone());
        }
        if node.is_dir() {
            return Ok(self.enter(path, node));
        }
        if !self.session.options.choose(path, false).itself {
            return Ok(Descend::No);
        }
        let Some(dir) = self.dir() else { return Ok(Descend::No) };
        if let std::ops::ControlFlow::Continue(first) = self.link(&dir, &node) {
            match node.kind {
                NodeKind::File => self.push_file(path, dir, node, first)?,
                _ => self.push_other(path, dir, node, first)?,
            }
        }
        Ok(Descend::No)
    }

    fn leave(&mut self, _: &Path) -> Result<()> {
        self.leave_level();
        self.send_if_full()
    }

    fn unreadable(&mut self, path: &Path, error: Error) -> Result<()> {
        if !error.is_damage() {
            return Err(error);
        }
        // What belongs into it is not known, so nothing in it may be removed.
        if let Some(level) = self.levels.last_mut() {
            level.names = None;
        }
        self.session
            .tally
            .problem(path, format!("nothing in it can be restored: {}", chain(&error)));
        Ok(())
    }
}

/// Length of all blobs, bytes, or the first one that the index does not list.
pub fn content_size(session: &Session<'_>, blobs: &[Id]) -> Result<u64, Id> {
    let length = |id: &Id| {
        session
            .index
            .find(BlobKind::Data, id)
            .map(|found| u64::from(found.blob.plain_length()))
            .ok_or(*id)
    };
    blobs.iter().map(length).sum()
}

fn content_hash(node: &Node) -> u64 {
    let mut hasher = DefaultHasher::new();
    (node.blobs(), &node.link_target, node.device).hash(&mut hasher);
    hasher.finish()
}

fn make_dir(session: &Session<'_>, parent: &Arc<Dir>, node: &Node) -> LevelState {
    let path = || parent.path().join(&node.name);
    let made = session.dirs.get(parent).and_then(|open| {
        let way = if parent.is_fresh {
            Way::Free
        } else {
            make_way(session, &open, &path(), node)?
        };
        let is_fresh = match way {
            Way::Free => true,
            Way::Exists(_) => false,
            Way::Kept => {
                return Err(std::io::Error::other(
                    "something else is in its place and is to be kept",
                ));
            }
        };
        Ok((session.dirs.keep(open.create_dir(&node.name)?), is_fresh))
    });
    match made {
        Ok((open, is_fresh)) => {
            let dir = Dir::new(Some(Arc::clone(parent)), node.name.clone(), is_fresh, &open);
            LevelState::Made(Arc::new(dir))
        }
        Err(error) => {
            session.tally.problem(
                &path(),
                format!("it cannot be made, and nothing in it restored: {error}"),
            );
            LevelState::Failed
        }
    }
}
