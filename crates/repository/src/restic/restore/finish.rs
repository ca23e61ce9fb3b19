//! What comes after the content of a window: hard links, removals, the metadata of directories.

use super::prepare::{Way, make_way};
use super::remove::has;
use super::session::{Session, count};
use super::window::{Left, Link};
use crate::Result;
use crate::local::apply::{Target, apply_metadata};
use crate::local::meta::stat_fd;
use crate::local::target::TargetDir;
use crate::restic::node::{Node, NodeKind};
use std::io;
use std::os::fd::AsFd;

/// Make further names.
pub fn link(session: &Session<'_>, links: &[Link]) -> Result<()> {
    for link in links {
        session.cancel.check()?;
        let path = || link.dir.path().join(&link.name);
        let tally = &session.tally;
        match try_link(session, link) {
            Ok(Linked::Made) => {
                count(&tally.files, 1);
                tally.entry(path, "restored", 0);
            }
            Ok(Linked::There) => {
                count(&tally.files, 1);
                count(&tally.identical_files, 1);
                tally.entry(path, "unchanged", 0);
            }
            Ok(Linked::Kept) => {
                count(&tally.skipped, 1);
                tally.entry(path, "skipped", 0);
            }
            Err(error) => tally.problem(&path(), format!("it cannot be linked: {error}")),
        }
        session.tally.file_done();
    }
    Ok(())
}

/// What became of a further name.
enum Linked {
    /// It is made.
    Made,
    /// It was there already.
    There,
    /// Something else stays in its place.
    Kept,
}

/// `false` if what is there stays.
fn try_link(session: &Session<'_>, link: &Link) -> io::Result<Linked> {
    let first = &link.first;
    let dir = session.dirs.get(&link.dir)?;
    let there = if link.dir.is_fresh { None } else { dir.stat(&link.name)? };
    if there.is_some_and(|there| !there.is_dir() && session.options.overwrite.keeps(&there, link.mtime)) {
        return Ok(Linked::Kept);
    }
    if !first.is_restored() {
        let first = first.dir.path().join(&first.name);
        return Err(io::Error::other(format!(
            "`{}`, which is the same file, was not restored",
            first.display()
        )));
    }
    let from = session.dirs.get(&first.dir)?;
    if let Some(there) = there {
        if from
            .stat(&first.name)?
            .is_some_and(|original| there.is_same_inode(&original))
        {
            return Ok(Linked::There);
        }
        clear(session, &dir, link)?;
    }
    dir.create_hard_link(&link.name, &from, &first.name)?;
    Ok(Linked::Made)
}

fn clear(session: &Session<'_>, dir: &TargetDir, link: &Link) -> io::Result<()> {
    let path = link.dir.path().join(&link.name);
    // Only its kind and time matter: anything but a directory may be replaced.
    let mut node = Node::new(link.name.clone(), NodeKind::File, 0);
    node.mtime = jiff::Timestamp::MAX;
    match make_way(session, dir, &path, &node)? {
        Way::Free => Ok(()),
        Way::Exists(_) => dir.remove_file(&link.name),
        Way::Kept => Err(io::Error::other("what is there is to be kept")),
    }
}

/// Finish directories in which everything is done: those further down come first.
pub fn leave(session: &Session<'_>, all: &[Left]) -> Result<()> {
    for left in all {
        session.cancel.check()?;
        let done = session.dirs.get(&left.dir).map(|dir| leave_one(session, left, &dir));
        if let Err(error) = done {
            session
                .tally
                .problem(&left.dir.path(), format!("it cannot be opened again: {error}"));
        }
    }
    Ok(())
}

fn leave_one(session: &Session<'_>, left: &Left, dir: &TargetDir) {
    if let Some(names) = left.names.as_ref().filter(|_| !left.dir.is_fresh) {
        session
            .remover()
            .others(dir, &left.dir.path(), &|name| has(names, name));
    }
    let Some(node) = &left.node else { return };
    let mut options = session.options.metadata;
    if left.dir.is_fresh {
        let is_owner_right =
            options.owner && stat_fd(dir).is_ok_and(|stat| (stat.uid, stat.gid) == (node.uid, node.gid));
        options.owner &= !is_owner_right;
        options.remove_foreign_attributes &= left.dir.hands_down;
    }
    for (what, error) in apply_metadata(Target::Open(dir.as_fd()), node, &options) {
        session
            .tally
            .problem(&left.dir.path(), format!("cannot {what}: {error}"));
    }
    count(&session.tally.dirs, 1);
    session.tally.entry(|| left.dir.path(), "restored", 0);
}
