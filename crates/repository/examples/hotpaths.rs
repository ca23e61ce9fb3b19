//! Small workloads for counting instructions, each the same in every run: `hotpaths NAME`, or `hotpaths --list`.
//!
//! Each prints a number that depends on its results, so that no compiler leaves the work out.

use repository::Id;
use repository::restic::chunker::Chunker;
use repository::restic::compress::{Compression, Level, Opener, Sealer};
use repository::restic::config::{ChunkerKind, Config};
use repository::restic::crypto::Key;
use repository::restic::index::Index;
use repository::restic::index::file::{IndexFile, IndexedPack};
use repository::restic::node::{Node, NodeKind};
use repository::restic::pack::{BlobKind, PackedBlob};
use repository::restic::polynomial::Polynomial;
use repository::restic::tree::Tree;

type Failure = Box<dyn std::error::Error>;
/// What a workload ends in.
type Done = std::result::Result<u64, Failure>;
type Workload = fn() -> Done;

const WORKLOADS: &[(&str, Workload)] = &[
    ("chunk_fastcdc", || chunk(ChunkerKind::FastCdc)),
    ("chunk_rabin", || chunk(ChunkerKind::Rabin)),
    ("hash", hash),
    ("seal_compress", || {
        Ok(sealed(&mixed_content())?
            .iter()
            .map(|(blob, _)| u64::from(blob.length))
            .sum())
    }),
    ("open", open),
    ("tree_encode", tree_encode),
    ("tree_decode", tree_decode),
    ("index_parse", index_parse),
    ("index_build", || Ok(index()?.len() as u64)),
    ("index_lookup", index_lookup),
];

#[expect(clippy::print_stdout, reason = "a program of its own")]
fn main() -> Result<(), Failure> {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    if wanted == "--list" {
        WORKLOADS.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(());
    }
    let (_, workload) = WORKLOADS
        .iter()
        .find(|(name, _)| *name == wanted)
        .ok_or("usage: hotpaths --list | NAME")?;
    println!("{}", workload()?);
    Ok(())
}

/// Bytes without any order, the same every time.
fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fastrand::Rng::with_seed(5).fill(&mut bytes);
    bytes
}

fn chunk(kind: ChunkerKind) -> Done {
    // The polynomial of restic's own test suite: a random one would take another number of instructions in every run.
    let chunker = Chunker::new(&Config {
        chunker_polynomial: Polynomial(0x3d_a335_8b4d_c173),
        ..Config::create(kind)
    });
    let content = noise(24 << 20);
    let (mut rest, mut blobs) = (content.as_slice(), 0);
    while !rest.is_empty() {
        rest = &rest[chunker.cut(rest)..];
        blobs += 1;
    }
    Ok(blobs)
}

fn hash() -> Done {
    Ok(u64::from(Id::hash(&noise(16 << 20)).0[0]))
}

/// Blobs of 1 MiB: text, noise, both in turn; and small ones.
fn mixed_content() -> Vec<Vec<u8>> {
    let text: Vec<u8> = (0..200_000_u32)
        .flat_map(|n| format!("{:x} of {n}\n", n.wrapping_mul(2_654_435_761)).into_bytes())
        .collect();
    let noise = noise(1 << 20);
    let turns = text
        .chunks(4_096)
        .zip(noise.chunks(4_096))
        .flat_map(|(text, noise)| [text, noise].concat())
        .take(1 << 20)
        .collect();
    let mut blobs = vec![text[..1 << 20].to_vec(), noise, turns];
    blobs.extend(text[1 << 20..].chunks(2_000).take(200).map(<[u8]>::to_vec));
    blobs
}

fn sealed(content: &[Vec<u8>]) -> Result<Vec<(PackedBlob, Vec<u8>)>, Failure> {
    let (key, level) = (Key::from_bytes(&[9; 64]), Level::new(Compression::Auto));
    let mut sealer = Sealer::new(&level)?;
    let mut blobs = Vec::new();
    for plain in content {
        let mut sealed = Vec::new();
        let uncompressed_length = sealer.seal(&key, BlobKind::Data, plain, &mut sealed)?;
        let length = sealed.len() as u32;
        blobs.push((
            PackedBlob {
                id: Id::hash(plain),
                kind: BlobKind::Data,
                offset: 0,
                length,
                uncompressed_length,
            },
            sealed,
        ));
    }
    Ok(blobs)
}

fn open() -> Done {
    let (key, mut opener, mut plain) = (Key::from_bytes(&[9; 64]), Opener::new()?, Vec::new());
    let blobs = sealed(&mixed_content())?;
    let mut sum = 0;
    // Sealing them is not what is measured, so they are opened several times.
    for _ in 0..5 {
        for (blob, sealed) in &blobs {
            opener.open(&key, blob, sealed, &mut plain)?;
            sum += plain.len() as u64;
        }
    }
    Ok(sum)
}

fn tree() -> Tree {
    let entry = |n: u32| {
        let name = format!("entry number {n:06}{}", if n.is_multiple_of(10) { " äöü" } else { "" });
        let content = Some(vec![Id::hash(&n.to_le_bytes())]);
        let (size, inode, links) = (u64::from(n) * 77, u64::from(n) + 1_000_000, 1);
        let file = Node {
            size,
            inode,
            links,
            content,
            user: "root".into(),
            group: "root".into(),
            ..Node::new(name, NodeKind::File, 0o644)
        };
        let mtime = jiff::Timestamp::new(1_700_000_000 + i64::from(n), 123_456_789).unwrap_or_default();
        Node {
            mtime,
            atime: mtime,
            ctime: mtime,
            ..file
        }
    };
    Tree {
        nodes: (0..20_000).map(entry).collect(),
    }
}

fn tree_encode() -> Done {
    let tree = tree();
    Ok((0..5).map(|_| tree.to_json().len() as u64).sum())
}

fn tree_decode() -> Done {
    let json = tree().to_json();
    (0..5).try_fold(0, |sum, _| {
        Ok(sum + Tree::parse(&Id::default(), &json)?.nodes.len() as u64)
    })
}

const BLOBS: u32 = 100_000;

/// As random as a hash, but cheaper, so that hashing does not outweigh what is measured.
fn blob_id(n: u32) -> Id {
    let mut id = Id::default();
    fastrand::Rng::with_seed(u64::from(n)).fill(&mut id.0);
    id
}

fn index_file() -> IndexFile {
    let blob = |n: u32| {
        let (offset, length, uncompressed_length) = (n % 100 * 5_000, 5_000, Some(10_000));
        PackedBlob {
            id: blob_id(n),
            kind: BlobKind::Data,
            offset,
            length,
            uncompressed_length,
        }
        .into()
    };
    let pack = |p: u32| IndexedPack {
        id: blob_id(u32::MAX - p),
        blobs: (p * 100..(p + 1) * 100).map(blob).collect(),
    };
    IndexFile {
        packs: (0..BLOBS / 100).map(pack).collect(),
        ..IndexFile::default()
    }
}

fn index_parse() -> Done {
    let json = index_file().to_json();
    Ok(IndexFile::parse(&Id::default(), &json)?.packs.len() as u64)
}

fn index() -> repository::Result<Index> {
    let id = Id::default();
    Index::load(&id, &[id], None, |_| Ok(index_file()))
}

fn index_lookup() -> Done {
    let index = index()?;
    let ids: Vec<Id> = (0..BLOBS * 2).map(blob_id).collect();
    // Half of them are there.
    Ok((0..10)
        .map(|_| ids.iter().filter(|id| index.contains(BlobKind::Data, id)).count() as u64)
        .sum())
}
