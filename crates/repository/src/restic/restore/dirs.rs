//! Directories of the target, opened when they are needed.

use crate::local::meta::stat_fd;
use crate::local::target::TargetDir;
use crate::local::xattr::xattrs_of_fd;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

/// Directories that are held open at most, by the ring below; those in use come on top.
const OPEN_DIRS: usize = 128;

/// A directory of the target.
#[derive(Debug)]
pub struct Dir {
    parent: Option<Arc<Self>>,
    name: OsString,
    /// Made by this restore: nothing is in the way in it.
    pub is_fresh: bool,
    /// What is made in it gets a group or an ACL from it.
    pub hands_down: bool,
    open: Mutex<Weak<TargetDir>>,
}

impl Dir {
    /// An entry that exists and was just opened.
    pub fn new(parent: Option<Arc<Self>>, name: OsString, is_fresh: bool, open: &Arc<TargetDir>) -> Self {
        let might = !is_fresh || parent.as_ref().is_none_or(|parent| parent.hands_down);
        let hands_down = might && hands_down(open);
        Self {
            parent,
            name,
            is_fresh,
            hands_down,
            open: Mutex::new(Arc::downgrade(open)),
        }
    }

    /// Where it is in the snapshot.
    pub fn path(&self) -> PathBuf {
        let mut names = Vec::new();
        let mut at = self;
        while let Some(parent) = &at.parent {
            names.push(&at.name);
            at = parent;
        }
        let mut path = PathBuf::from("/");
        path.extend(names.into_iter().rev());
        path
    }
}

/// Whether new entries get a group (set-group-ID bit) or an ACL (default ACL) from the directory. Not knowing counts as yes.
fn hands_down(dir: &TargetDir) -> bool {
    const SET_GROUP_ID: u32 = 0o2000;
    let has_bit = stat_fd(dir).map_or(true, |stat| stat.mode & SET_GROUP_ID != 0);
    has_bit || xattrs_of_fd(dir).map_or(true, |all| all.iter().any(|one| one.name == "system.posix_acl_default"))
}

/// Opens directories, and keeps those that were opened last open: each is opened from its parent, name by name, so that no path can be
/// too long and no link can lead outside.
#[derive(Debug)]
pub struct OpenDirs {
    root: Arc<TargetDir>,
    ring: Mutex<VecDeque<Arc<TargetDir>>>,
}

impl OpenDirs {
    pub fn new(root: TargetDir) -> Self {
        Self {
            root: Arc::new(root),
            ring: Mutex::default(),
        }
    }

    /// The target itself.
    pub fn root(&self) -> Arc<Dir> {
        let is_empty = self.root.names().is_ok_and(|names| names.is_empty());
        let mut root = Dir::new(None, OsString::new(), false, &self.root);
        root.is_fresh = is_empty;
        Arc::new(root)
    }

    /// The directory, open.
    pub fn get(&self, dir: &Dir) -> io::Result<Arc<TargetDir>> {
        if let Some(open) = dir.open.lock().upgrade() {
            return Ok(open);
        }
        // From the nearest directory above that is open, downwards; a loop, because a tree may be deep.
        let (mut closed, mut at) = (vec![dir], dir);
        let mut open = loop {
            let Some(parent) = &at.parent else {
                break Arc::clone(&self.root);
            };
            if let Some(open) = parent.open.lock().upgrade() {
                break open;
            }
            closed.push(parent);
            at = parent;
        };
        for dir in closed.into_iter().rev().filter(|dir| dir.parent.is_some()) {
            open = self.keep(open.open_dir(&dir.name)?);
            *dir.open.lock() = Arc::downgrade(&open);
        }
        Ok(open)
    }

    /// Keep a directory open that was just opened.
    pub fn keep(&self, dir: TargetDir) -> Arc<TargetDir> {
        let dir = Arc::new(dir);
        let mut ring = self.ring.lock();
        let oldest = if ring.len() >= OPEN_DIRS {
            ring.pop_front()
        } else {
            None
        };
        ring.push_back(Arc::clone(&dir));
        drop(ring);
        // Closed outside of the lock.
        drop(oldest);
        dir
    }
}
