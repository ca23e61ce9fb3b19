//! Makes large inputs for measurements.
//!
//! - `scale files DIRECTORY COUNT` makes so many small files.
//! - `scale blobs REPOSITORY PASSWORD COUNT` makes a repository whose index describes so many blobs, and one snapshot that uses all of
//!   them. Their packs are empty (sparse) files of the right size: enough for everything but reading content.

use repository::restic::compress::Sealer;
use repository::restic::config::ChunkerKind;
use repository::restic::lock::{Lock, LockKind, LockOptions};
use repository::restic::node::{Node, NodeKind};
use repository::restic::object::ObjectKind;
use repository::restic::pack::BlobKind;
use repository::restic::packer::{PackOptions, Packer};
use repository::restic::repository::{OpenOptions, Repository};
use repository::restic::snapshot::Snapshot;
use repository::restic::tree::Tree;
use repository::{Cancel, Error, Id, Recorder, Result, clock};
use std::path::Path;
use std::sync::Arc;
use storage::LocalStore;
use testkit::scale::{BLOB_BYTES, FakePack, index_json, many_files};

type Done = std::result::Result<(), Box<dyn std::error::Error>>;

fn main() -> Done {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["files", directory, count] => Ok(many_files(directory.as_ref(), count.parse()?)?),
        ["blobs", repository, password, count] => many_blobs(repository.as_ref(), password, count.parse()?),
        _ => Err("usage: scale files DIRECTORY COUNT | scale blobs REPOSITORY PASSWORD COUNT".into()),
    }
}

/// Packs in each index file: as many blobs as restic writes into one.
const PACKS_PER_INDEX: u64 = 500;
/// Blobs that one of the snapshot's files consists of.
const BLOBS_PER_FILE: usize = 50;
/// Files in each of the snapshot's directories.
const FILES_PER_DIR: usize = 100;

fn many_blobs(root: &Path, password: &str, count: u64) -> Done {
    let store = Arc::new(LocalStore::new(root));
    let repository = Repository::init(
        store,
        password.as_bytes(),
        ChunkerKind::FastCdc,
        &OpenOptions::default(),
    )?;
    let packs: Vec<FakePack> = (0..count.div_ceil(FakePack::BLOBS))
        .map(|number| FakePack { number })
        .collect();
    for some in packs.chunks(PACKS_PER_INDEX as usize) {
        repository.write_unpacked(ObjectKind::Index, index_json(some.iter().copied()).as_bytes())?;
        some.iter().try_for_each(|pack| sparse_pack(root, *pack))?;
    }
    let (cancel, monitor) = (Cancel::default(), Recorder::default());
    let work = |packer: &Packer<'_>| write_trees(packer, &packs);
    let lock = Lock::acquire(&repository, LockKind::Shared, &LockOptions::default(), &monitor)?;
    let (tree, _) = Packer::run(&repository, &PackOptions::default(), &lock, &cancel, &monitor, work)?;
    let snapshot = serde_json::json!({ "time": clock::now(), "tree": tree, "paths": ["/many"], "hostname": "scale" });
    repository.write_json(ObjectKind::Snapshot, &serde_json::from_value::<Snapshot>(snapshot)?)?;
    Ok(())
}

fn sparse_pack(root: &Path, pack: FakePack) -> Result<()> {
    let path = root.join(ObjectKind::Pack.object_name(&parse(&pack.id())));
    let make = || {
        std::fs::create_dir_all(path.parent().unwrap_or(root))?;
        // Blobs, the header's entries, and what encloses the header.
        std::fs::File::create(&path)?.set_len(FakePack::BLOBS * (u64::from(BLOB_BYTES) + 41) + 36)
    };
    make().map_err(|source| Error::Local {
        operation: "write",
        path: path.clone(),
        source,
    })
}

fn parse(hex: &str) -> Id {
    hex.parse().unwrap_or_default()
}

/// A directory of directories of files that use every blob once.
fn write_trees(packer: &Packer<'_>, packs: &[FakePack]) -> Result<Id> {
    let mut sealer = Sealer::new(packer.level())?;
    let mut save = |tree: &Tree| {
        let (json, mut sealed) = (tree.to_json(), Vec::new());
        let compressed = sealer.seal(packer.repository().key(), BlobKind::Tree, &json, &mut sealed)?;
        let id = Id::hash(&json);
        packer
            .add(BlobKind::Tree, id, &sealed, json.len(), compressed)
            .map(|()| id)
    };
    let packs_per_dir = FILES_PER_DIR * BLOBS_PER_FILE / FakePack::BLOBS as usize;
    let mut root = Tree::default();
    for (number, packs) in packs.chunks(packs_per_dir).enumerate() {
        let subtree = Some(save(&directory(packs))?);
        root.nodes.push(Node {
            subtree,
            ..Node::new(format!("dir-{number:06}"), NodeKind::Dir, 1 << 31 | 0o755)
        });
    }
    let many = Some(save(&root)?);
    let node = Node {
        subtree: many,
        ..Node::new("many", NodeKind::Dir, 1 << 31 | 0o755)
    };
    save(&Tree { nodes: vec![node] })
}

fn directory(packs: &[FakePack]) -> Tree {
    let blobs: Vec<Id> = packs
        .iter()
        .flat_map(|pack| pack.blobs())
        .map(|id| parse(&id))
        .collect();
    let file = |(number, blobs): (usize, &[Id])| {
        let size = blobs.len() as u64 * 2 * u64::from(BLOB_BYTES);
        Node {
            content: Some(blobs.to_vec()),
            size,
            ..Node::new(format!("file-{number:03}"), NodeKind::File, 0o644)
        }
    };
    Tree {
        nodes: blobs.chunks(BLOBS_PER_FILE).enumerate().map(file).collect(),
    }
}
