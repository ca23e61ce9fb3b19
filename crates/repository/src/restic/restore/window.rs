//! A bounded part of the work.

use super::compare;
use super::dirs::Dir;
use super::files::{FileItem, FirstName};
use super::finish;
use super::prepare;
use super::reads;
use super::session::Session;
use super::{blobs, reads::Use};
use crate::restic::node::Node;
use crate::restic::pack::PackedBlob;
use crate::{Id, Result};
use hashbrown::HashMap;
use std::ffi::OsString;
use std::ops::Range;
use std::sync::Arc;

/// A file, or the part of a large one that is in this window.
#[derive(Debug)]
pub struct Piece {
    pub file: Arc<FileItem>,
    /// Index of its first blob in the file's content.
    pub first_blob: usize,
    /// Its blobs in [`Window::uses`].
    pub uses: Range<usize>,
}

/// A symbolic link, pipe or device.
#[derive(Debug)]
pub struct Special {
    pub dir: Arc<Dir>,
    pub node: Node,
    pub first: Option<Arc<FirstName>>,
}

/// A further name of something.
#[derive(Debug)]
pub struct Link {
    pub dir: Arc<Dir>,
    pub name: OsString,
    pub mtime: jiff::Timestamp,
    pub first: Arc<FirstName>,
}

/// A directory in which everything is done once this window is.
#[derive(Debug)]
pub struct Left {
    pub dir: Arc<Dir>,
    /// Its metadata; the root of a snapshot has none.
    pub node: Option<Node>,
    /// The names that the snapshot has in it, if others are to be removed.
    pub names: Option<Vec<OsString>>,
}

/// A part of the work that fits into memory.
#[derive(Debug, Default)]
pub struct Window {
    pub pieces: Vec<Piece>,
    pub specials: Vec<Special>,
    pub links: Vec<Link>,
    pub left: Vec<Left>,
    /// Blobs of the pieces, in their order.
    pub uses: Vec<Use>,
    /// Packs that hold the blobs, in the order in which they were met.
    pub packs: Vec<Id>,
    pack_numbers: HashMap<Id, u32>,
    weight_bytes: usize,
}

/// Memory that a window takes, bytes; three of them exist at a time.
const MAX_WEIGHT_BYTES: usize = 5 << 20;

impl Window {
    pub fn is_full(&self) -> bool {
        self.weight_bytes >= MAX_WEIGHT_BYTES
    }

    pub fn is_empty(&self) -> bool {
        self.weight_bytes == 0
    }

    /// Count the memory of an entry.
    pub fn weigh(&mut self, node: Option<&Node>) {
        let attributes = |node: &Node| {
            node.extended_attributes
                .iter()
                .map(|one| one.name.len() + one.value.len() + 48)
                .sum::<usize>()
        };
        let own = |node: &Node| node.name.len() + node.link_target.len() + size_of_val(node.blobs()) + attributes(node);
        self.weight_bytes += size_of::<FileItem>() + node.map_or(0, own);
    }

    /// Count the memory of names.
    pub fn weigh_names(&mut self, names: &[OsString]) {
        self.weight_bytes += names
            .iter()
            .map(|name| name.len() + size_of::<OsString>())
            .sum::<usize>();
    }

    /// A blob of the piece that is pushed next.
    pub fn push_use(&mut self, pack: Id, blob: PackedBlob, offset: u64) {
        let next = self.packs.len() as u32;
        let pack = *self.pack_numbers.entry(pack).or_insert_with(|| {
            self.packs.push(pack);
            next
        });
        self.uses.push(Use {
            pack,
            blob,
            piece: self.pieces.len() as u32,
            offset,
        });
        self.weight_bytes += size_of::<Use>();
    }
}

/// Do everything in a window. If it ends early, files that are not complete are removed.
pub fn execute(session: &Session<'_>, mut window: Window) -> Result<()> {
    let done = work(session, &mut window);
    if done.is_err() {
        window.pieces.iter().for_each(|piece| piece.file.abandon(session));
    }
    done
}

fn work(session: &Session<'_>, window: &mut Window) -> Result<()> {
    session.cancel.check()?;
    prepare::prepare(session, window)?;
    let reads = reads::group(&mut window.uses, session.read_bytes);
    blobs::transfer(session, window, &reads)?;
    if session.options.verify {
        compare::verify(session, window)?;
    }
    finish::link(session, &window.links)?;
    finish::leave(session, &window.left)
}
