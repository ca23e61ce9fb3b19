//! What is in the target already, and what is to be done about it.

use super::compare;
use super::files::{FileItem, Status};
use super::options::Overwrite;
use super::reads::Use;
use super::session::{Session, count};
use super::window::{Piece, Special, Window};
use crate::Result;
use crate::local::apply::{Target, apply_metadata};
use crate::local::meta::Stat;
use crate::local::scan::read_link;
use crate::local::target::TargetDir;
use crate::restic::mode::from_system;
use crate::restic::node::{Node, NodeKind};
use crate::restic::parallel;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

/// Whether an entry can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Nothing is there (any more).
    Free,
    /// There is an entry of the same kind.
    Exists(Stat),
    /// What is there stays.
    Kept,
}

/// See what is in the place of `node`, and remove it if it is of another kind.
pub fn make_way(session: &Session<'_>, dir: &TargetDir, path: &Path, node: &Node) -> io::Result<Way> {
    let Some(stat) = dir.stat(&node.name)? else {
        return Ok(Way::Free);
    };
    let (kind, _) = from_system(stat.mode);
    if kind == NodeKind::Dir && node.kind == NodeKind::Dir {
        return Ok(Way::Exists(stat));
    }
    if session.options.overwrite.keeps(&stat, node.mtime) {
        return Ok(Way::Kept);
    }
    if kind == node.kind {
        return Ok(Way::Exists(stat));
    }
    match kind {
        NodeKind::Dir if session.options.delete => session.remover().entry(dir, &node.name, path)?,
        NodeKind::Dir => dir.remove_dir(&node.name).map_err(in_the_way)?,
        _ => dir.remove_file(&node.name)?,
    }
    Ok(Way::Free)
}

fn in_the_way(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::DirectoryNotEmpty => io::Error::other("a directory that is not empty is in its place"),
        _ => error,
    }
}

/// Decide about every entry of the window, make those without content, and drop the blobs that are not needed from its uses.
pub fn prepare(session: &Session<'_>, window: &mut Window) -> Result<()> {
    parallel::map(&window.specials, session.threads, |special| {
        place_special(session, special)
    })
    .into_iter()
    .collect::<Result<()>>()?;
    let needs_a_look = |piece: &Piece| !piece.file.dir.is_fresh || piece.file.node.blobs().is_empty();
    let pieces: Vec<usize> = (0..window.pieces.len())
        .filter(|at| needs_a_look(&window.pieces[*at]))
        .collect();
    let looked_at = parallel::map(&pieces, session.threads, |at| {
        session.cancel.check()?;
        Ok(look_at(session, window, &window.pieces[*at]))
    });
    let looked_at = looked_at.into_iter().collect::<Result<Vec<_>>>()?;
    drop_unneeded(window, &pieces, &looked_at);
    Ok(())
}

/// Which blobs of a piece are needed.
enum Needed {
    All,
    None,
    /// Not those that are marked.
    But(Vec<bool>),
}

fn drop_unneeded(window: &mut Window, pieces: &[usize], needed: &[Needed]) {
    if needed.iter().all(|needed| matches!(needed, Needed::All)) {
        return;
    }
    let mut drops = vec![false; window.uses.len()];
    for (at, needed) in pieces.iter().zip(needed) {
        let drops = &mut drops[window.pieces[*at].uses.clone()];
        match needed {
            Needed::All => {}
            Needed::None => drops.fill(true),
            Needed::But(identical) => drops.copy_from_slice(identical),
        }
    }
    let mut drops = drops.into_iter();
    window.uses.retain(|_: &Use| !drops.next().unwrap_or(false));
}

fn look_at(session: &Session<'_>, window: &Window, piece: &Piece) -> Needed {
    let file = &*piece.file;
    if piece.first_blob == 0 {
        match decide(session, file) {
            Ok(status) => file.set_status(status),
            Err(error) => {
                session
                    .tally
                    .problem(&file.path(), format!("it cannot be made: {error}"));
                session.tally.file_done();
                file.set_status(Status::Done);
            }
        }
    }
    match file.status() {
        Status::Done => Needed::None,
        Status::InPlace { size } => compare_piece(session, window, piece, size),
        Status::New | Status::Replace => {
            if file.node.blobs().is_empty() {
                file.finish(session, None);
            }
            Needed::All
        }
    }
}

fn decide(session: &Session<'_>, file: &FileItem) -> io::Result<Status> {
    if file.dir.is_fresh {
        return Ok(Status::New);
    }
    let dir = session.dirs.get(&file.dir)?;
    let stat = match make_way(session, &dir, &file.path(), &file.node)? {
        Way::Free => return Ok(Status::New),
        Way::Exists(stat) => stat,
        Way::Kept => {
            count(&session.tally.skipped, 1);
            session.tally.file_done();
            session.tally.progress(file.size);
            session.tally.entry(|| file.path(), "skipped", file.size);
            return Ok(Status::Done);
        }
    };
    // Its other names may be outside of the target, where nothing must change.
    let is_shared = stat.nlink > 1 && (file.node.links < 2 || !compare::is_identical(session, file).unwrap_or(false));
    Ok(if is_shared {
        Status::Replace
    } else {
        Status::InPlace { size: stat.size }
    })
}

fn compare_piece(session: &Session<'_>, window: &Window, piece: &Piece, size: u64) -> Needed {
    let file = &*piece.file;
    let uses = &window.uses[piece.uses.clone()];
    if uses.is_empty() {
        file.finish(session, None);
        return Needed::None;
    }
    let identical = if is_taken_for_identical(session, file, size) {
        vec![true; uses.len()]
    } else {
        compare::identical_blobs(session, window, piece, size)
    };
    let lengths = uses
        .iter()
        .zip(&identical)
        .filter(|(_, is_identical)| **is_identical)
        .map(|(one, _)| one.blob.plain_length());
    let bytes = lengths.map(u64::from).sum();
    count(&session.tally.identical_bytes, bytes);
    session.tally.progress(bytes);
    let blobs = identical.iter().filter(|is_identical| **is_identical).count();
    if blobs > 0 {
        file.complete(session, blobs, None);
    }
    Needed::But(identical)
}

fn is_taken_for_identical(session: &Session<'_>, file: &FileItem, size: u64) -> bool {
    let has_its_time = || {
        let stat = session.dirs.get(&file.dir).and_then(|dir| dir.stat(&file.node.name));
        stat.is_ok_and(|stat| stat.is_some_and(|stat| stat.mtime == file.node.mtime))
    };
    session.options.overwrite == Overwrite::IfChanged && size == file.size && has_its_time()
}

fn place_special(session: &Session<'_>, special: &Special) -> Result<()> {
    session.cancel.check()?;
    let path = || special.dir.path().join(&special.node.name);
    match try_place_special(session, special) {
        Ok(true) => {
            count(&session.tally.others, 1);
            session.tally.entry(path, "restored", 0);
            if let Some(first) = &special.first {
                first.set_restored();
            }
        }
        Ok(false) => {
            count(&session.tally.skipped, 1);
            session.tally.entry(path, "skipped", 0);
        }
        Err(error) => session.tally.problem(&path(), format!("it cannot be made: {error}")),
    }
    Ok(())
}

/// `false` if it was left out because of what is there.
fn try_place_special(session: &Session<'_>, special: &Special) -> io::Result<bool> {
    let Special { dir, node, .. } = special;
    let open = session.dirs.get(dir)?;
    let way = if dir.is_fresh {
        Way::Free
    } else {
        make_way(session, &open, &dir.path().join(&node.name), node)?
    };
    match way {
        Way::Kept => return Ok(false),
        Way::Exists(stat) if is_same_special(&open, node, &stat) => {}
        Way::Exists(_) => {
            open.remove_file(&node.name)?;
            open.create_special(&node.name, node)?;
        }
        Way::Free => open.create_special(&node.name, node)?,
    }
    let mut options = session.options.metadata;
    options.remove_foreign_attributes &= !dir.is_fresh || dir.hands_down;
    for (what, error) in apply_metadata(
        Target::Entry {
            dir: open.as_fd(),
            name: &node.name,
        },
        node,
        &options,
    ) {
        session
            .tally
            .problem(&dir.path().join(&node.name), format!("cannot {what}: {error}"));
    }
    Ok(true)
}

/// Whether the entry, which is of the same kind, is the same.
fn is_same_special(dir: &TargetDir, node: &Node, stat: &Stat) -> bool {
    let is_shared = stat.nlink > 1 && node.links < 2;
    !is_shared
        && match node.kind {
            NodeKind::Symlink => read_link(dir, &node.name).is_ok_and(|target| target == node.link_target),
            NodeKind::Device | NodeKind::CharDev => stat.rdev == node.device,
            _ => true,
        }
}
