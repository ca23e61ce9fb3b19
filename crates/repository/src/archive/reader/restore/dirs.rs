//! The directories on the way to the entry that is restored, open.

use super::RestoreOptions;
use crate::Monitor;
use crate::local::apply::{Target, apply_metadata};
use crate::local::target::TargetDir;
use crate::restic::node::Node;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Component, Path, PathBuf};

/// One level below the other; each is made when something in it is.
pub struct Dirs {
    root: TargetDir,
    levels: Vec<Level>,
    pub problems: u64,
}

struct Level {
    name: OsString,
    /// Set once it is left.
    node: Option<Node>,
    dir: Option<TargetDir>,
}

impl Dirs {
    pub fn new(root: TargetDir) -> Self {
        Self {
            root,
            levels: Vec::new(),
            problems: 0,
        }
    }

    pub fn root(&self) -> &TargetDir {
        &self.root
    }

    /// Go to the directory `path`; those that are left for good get their metadata.
    pub fn enter(&mut self, path: &Path, options: &RestoreOptions, monitor: &dyn Monitor) -> io::Result<()> {
        let names: Vec<&OsStr> = path.components().map(Component::as_os_str).collect();
        let shared = self
            .levels
            .iter()
            .zip(&names)
            .take_while(|(level, name)| level.name == **name)
            .count();
        self.leave(shared, options, monitor);
        for name in &names[shared..] {
            self.levels.push(Level {
                name: (*name).to_owned(),
                node: None,
                dir: None,
            });
        }
        Ok(())
    }

    /// Go to the directory `name` of this one.
    pub fn push(&mut self, name: &OsStr, node: Node) {
        self.levels.push(Level {
            name: name.to_owned(),
            node: Some(node),
            dir: None,
        });
    }

    /// The directory, made if it is missing.
    pub fn current(&mut self) -> io::Result<&TargetDir> {
        for number in 0..self.levels.len() {
            let (above, below) = self.levels.split_at_mut(number);
            let parent = above.last().and_then(|level| level.dir.as_ref()).unwrap_or(&self.root);
            if below[0].dir.is_none() {
                below[0].dir = Some(parent.create_dir(&below[0].name)?);
            }
        }
        Ok(self
            .levels
            .last()
            .and_then(|level| level.dir.as_ref())
            .unwrap_or(&self.root))
    }

    /// Leave every directory.
    pub fn finish(&mut self, options: &RestoreOptions, monitor: &dyn Monitor) {
        self.leave(0, options, monitor);
    }

    fn leave(&mut self, keep: usize, options: &RestoreOptions, monitor: &dyn Monitor) {
        while self.levels.len() > keep {
            let Some(level) = self.levels.pop() else { return };
            let (Some(node), Some(dir)) = (level.node, level.dir) else {
                continue;
            };
            for (what, error) in apply_metadata(Target::Open(dir.as_fd()), &node, &options.metadata) {
                let parents: PathBuf = self.levels.iter().map(|level| &level.name).collect();
                let path = Path::new("/").join(parents).join(&level.name);
                self.problems += 1;
                monitor.problem(&path.display().to_string(), &format!("cannot {what}: {error}"));
            }
        }
    }
}
