//! One file that is written under a name of its own until it is whole.

use super::Member;
use super::session::Failure;
use crate::archive::failure::carried;
use crate::local::apply::{ApplyOptions, Failure as MetadataFailure, Target, apply_metadata};
use crate::local::target::TargetDir;
use crate::restic::node::Node;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;

const BUFFER_BYTES: usize = 256 << 10;

/// A file on its way.
pub struct NewFile {
    dir: TargetDir,
    file: File,
    temporary: OsString,
    name: OsString,
    /// Where the next piece of it begins, bytes.
    position: u64,
    is_done: bool,
    /// Its metadata.
    pub node: Option<Node>,
}

impl NewFile {
    /// In `dir`; it gets `name` when it is finished.
    pub fn create(dir: &TargetDir, name: &OsStr) -> io::Result<Self> {
        let temporary = temporary_name();
        Ok(Self {
            file: dir.create_file(&temporary)?,
            dir: dir.open_dir_beneath("".as_ref())?,
            temporary,
            name: name.to_owned(),
            position: 0,
            is_done: false,
            node: None,
        })
    }

    /// What was written so far, bytes.
    pub fn size(&self) -> u64 {
        self.position
    }

    /// Append a member's content; returns its length in bytes. What was a hole is one again.
    pub fn write(&mut self, member: &Member, content: &mut dyn Read) -> Result<u64, Failure> {
        let (start, size) = (self.position, member.node.size);
        match &member.parts {
            Some(parts) => {
                for part in parts {
                    self.part(start + part.start, part.end - part.start, content)?;
                }
            }
            None => self.part(start, size, content)?,
        }
        self.position = start + size;
        self.file.set_len(self.position)?;
        Ok(size)
    }

    fn part(&self, mut at: u64, length: u64, content: &mut dyn Read) -> Result<(), Failure> {
        let end = at + length;
        let mut buffer = vec![0; BUFFER_BYTES.min(usize::try_from(length).unwrap_or(BUFFER_BYTES))];
        while at < end {
            let wanted = buffer.len().min(usize::try_from(end - at).unwrap_or(BUFFER_BYTES));
            let now = &mut buffer[..wanted];
            content
                .read_exact(now)
                .map_err(|error| Failure::Archive(carried(error)))?;
            self.file.write_all_at(now, at)?;
            at += wanted as u64;
        }
        Ok(())
    }

    /// Set its metadata and give it its name; returns what could not be set.
    pub fn finish(mut self, options: &ApplyOptions) -> io::Result<Vec<MetadataFailure>> {
        let failures = match &self.node {
            Some(node) => apply_metadata(Target::Open(self.file.as_fd()), node, options),
            None => Vec::new(),
        };
        self.dir.rename(&self.temporary, &self.name)?;
        self.is_done = true;
        Ok(failures)
    }
}

impl Drop for NewFile {
    /// A part of a file must not look like a file.
    fn drop(&mut self) {
        if !self.is_done {
            self.dir.remove_file(&self.temporary).unwrap_or_default();
        }
    }
}

/// A name that nothing else has.
pub fn temporary_name() -> OsString {
    format!(".mainstay-{:016x}", fastrand::u64(..)).into()
}

/// Another name for the file `first` of `from`, in the place of what has this name.
pub fn replace_with_link(dir: &TargetDir, name: &OsStr, from: &TargetDir, first: &OsStr) -> io::Result<()> {
    let temporary = temporary_name();
    dir.create_hard_link(&temporary, from, first)?;
    let renamed = dir.rename(&temporary, name);
    // Renaming does nothing if both are names of the same file.
    if dir.stat(&temporary)?.is_some() {
        dir.remove_file(&temporary)?;
    }
    renamed
}
