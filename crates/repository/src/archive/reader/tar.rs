//! A directory of an archive as a tar stream of its own, for `dump`.

use super::{Archive, Member, Out, copy_content, is_trusted_at_end};
use crate::archive::entry::{Entry, EntryKind};
use crate::archive::failure::{carried, refused};
use crate::archive::header::{END_BYTES, Member as Header, padding};
use crate::{Error, Result};
use std::collections::{BTreeMap, HashMap};
use std::io::{Seek as _, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use tar::EntryType;

impl Archive<'_> {
    /// Write `path` to `out`: a file as it is, a directory as a tar archive in which paths are those of this archive. Holes become zeros.
    /// If it is a directory, `may_be_directory` is asked before anything is written.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such path; those of [`Archive::entries`], of `out` and of `may_be_directory`.
    pub fn dump(&self, path: &Path, out: &mut dyn Write, may_be_directory: &dyn Fn() -> Result<()>) -> Result<()> {
        let out = &mut Out(out);
        if !is_trusted_at_end(&self.manifest) {
            return self.dump_to(path, out, may_be_directory);
        }
        let unusable = |error| Error::local("write", std::env::temp_dir())(error);
        let mut scratch = tempfile::tempfile().map_err(unusable)?;
        self.dump_to(path, &mut scratch, may_be_directory)?;
        scratch.rewind().map_err(unusable)?;
        std::io::copy(&mut scratch, out).map(drop).map_err(carried)
    }

    fn dump_to(&self, path: &Path, out: &mut dyn Write, may_be_directory: &dyn Fn() -> Result<()>) -> Result<()> {
        let root = path.strip_prefix("/").unwrap_or(path);
        let mut found = None;
        // Of streams that are stored in pieces, the length of the whole.
        let mut streams: HashMap<PathBuf, u64> = HashMap::new();
        self.entries(&mut |entry: &Entry| {
            if entry.path == root {
                found = Some(entry.kind);
            } else if entry.path.starts_with(root) {
                // Of a single directory within a path that was archived, tar may have no entry.
                found.get_or_insert(EntryKind::Dir);
            }
            if entry.place.part > 0 && entry.path.starts_with(root) {
                streams.insert(entry.path.clone(), entry.size);
            }
            Ok(())
        })?;
        match found {
            Some(EntryKind::File | EntryKind::HardLink) => self.read_file_to(root, out).map(drop),
            Some(EntryKind::Dir) => {
                may_be_directory()?;
                self.tar_of(root, &streams, out)
            }
            Some(_) => Err(refused(
                &format!("`{}` is neither a file nor a directory", path.display()),
                "Dump the directory that it is in, or restore it.",
            )),
            None if root.as_os_str().is_empty() => self.tar_of(root, &streams, out),
            None => Err(Error::NotFound {
                what: "path",
                name: format!("/{}", root.display()),
            }),
        }
    }

    fn tar_of(&self, root: &Path, streams: &HashMap<PathBuf, u64>, out: &mut dyn Write) -> Result<()> {
        // Length of the file that is being written.
        let mut open: Option<u64> = None;
        // Further names of files whose first name is not below `root`, by that name.
        let mut strangers: BTreeMap<PathBuf, Vec<Member>> = BTreeMap::new();
        self.visit(&|path, _| path.starts_with(root), &mut |member, content| {
            if member.entry.kind == EntryKind::HardLink && !member.entry.target.starts_with(root) {
                strangers.entry(member.entry.target.clone()).or_default().push(member);
                return Ok(());
            }
            if member.entry.place.part <= 1 {
                end_of(&mut open, out)?;
                let size = streams.get(&member.entry.path).copied().unwrap_or(member.node.size);
                out.write_all(&headers(&member, size)?).map_err(carried)?;
                open = (member.entry.kind == EntryKind::File).then_some(size);
            }
            if member.entry.kind == EntryKind::File {
                copy_content(&member, content, out)?;
            }
            Ok(())
        })?;
        end_of(&mut open, out)?;
        self.strangers(&strangers, out)?;
        out.write_all(&[0; END_BYTES]).map_err(carried)
    }

    /// The first of the names gets the content, the others lead to it.
    fn strangers(&self, strangers: &BTreeMap<PathBuf, Vec<Member>>, out: &mut dyn Write) -> Result<()> {
        if strangers.is_empty() {
            return Ok(());
        }
        self.visit(&|path, _| strangers.contains_key(path), &mut |mut member, content| {
            let Some((first, others)) = strangers.get(&member.entry.path).and_then(|names| names.split_first()) else {
                return Ok(());
            };
            member.entry.path.clone_from(&first.entry.path);
            let size = member.node.size;
            out.write_all(&headers(&member, size)?).map_err(carried)?;
            copy_content(&member, content, out)?;
            end_of(&mut Some(size), out)?;
            member.entry.kind = EntryKind::HardLink;
            member.entry.target.clone_from(&first.entry.path);
            for other in others {
                member.entry.path.clone_from(&other.entry.path);
                out.write_all(&headers(&member, 0)?).map_err(carried)?;
            }
            Ok(())
        })
    }
}

/// Fill the last block of the entry before.
fn end_of(open: &mut Option<u64>, out: &mut dyn Write) -> Result<()> {
    let Some(size) = open.take() else { return Ok(()) };
    out.write_all(&vec![0; padding(size)]).map_err(carried)
}

fn headers(member: &Member, size: u64) -> Result<Vec<u8>> {
    let kind = match member.entry.kind {
        EntryKind::File => EntryType::Regular,
        EntryKind::HardLink => EntryType::Link,
        EntryKind::Dir => EntryType::Directory,
        EntryKind::Symlink => EntryType::Symlink,
        EntryKind::Device => EntryType::Block,
        EntryKind::CharDev => EntryType::Char,
        EntryKind::Fifo => EntryType::Fifo,
    };
    let header = Header {
        target: member.entry.target.as_os_str().as_bytes(),
        size: if member.entry.kind == EntryKind::File { size } else { 0 },
        ..Header::new(member.entry.path.as_os_str().as_bytes(), &member.node, kind)
    };
    let mut bytes = Vec::new();
    header.push(&mut bytes)?;
    Ok(bytes)
}
