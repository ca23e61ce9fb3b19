//! What refers to what: snapshots, index, packs, directories.

use super::report::{CheckReport, Findings};
use crate::restic::cache::Cache;
use crate::restic::crypto::OVERHEAD;
use crate::restic::index::Index;
use crate::restic::index::file::IndexFile;
use crate::restic::node::{Node, NodeKind};
use crate::restic::object::ObjectKind;
use crate::restic::pack::{BlobKind, PackedBlob};
use crate::restic::prune::Amount;
use crate::restic::repository::{Repository, read_key};
use crate::restic::snapshot::Snapshot;
use crate::restic::tree::Tree;
use crate::restic::verify::reason;
use crate::restic::walk::{Marks, walk};
use crate::{Cancel, Counters, Id, Result};
use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use std::sync::atomic::AtomicU64;

/// Visit every key file. One that is damaged opens nothing, and restic stops at it even where another would open.
pub fn keys(repository: &Repository, findings: &Findings<'_>) -> Result<()> {
    for (id, _) in repository.list(ObjectKind::Key)? {
        match read_key(&**repository.store(), &id).and_then(|key| key.check()) {
            Err(error) if error.is_damage() => findings.problem("key", &id, reason(error)),
            other => other?,
        }
    }
    Ok(())
}

/// The snapshots that can be read.
pub fn snapshots(repository: &Repository, findings: &Findings<'_>) -> Result<Vec<(Id, Snapshot)>> {
    let ids = repository.list(ObjectKind::Snapshot)?;
    let mut readable = Vec::new();
    for (id, _) in ids {
        match repository.read_json::<Snapshot>(ObjectKind::Snapshot, &id) {
            Ok(snapshot) => readable.push((id, snapshot)),
            Err(error) if error.is_damage() => findings.problem("snapshot", &id, reason(error)),
            Err(error) => return Err(error),
        }
    }
    readable.sort_by_key(|(_, snapshot)| std::cmp::Reverse(snapshot.time.timestamp()));
    Ok(readable)
}

/// Read every index file; the local side file is not believed here. What the damaged ones list is missing from the result.
pub fn load_index(repository: &Repository, findings: &mut Findings<'_>, cancel: &Cancel) -> Result<Index> {
    let files: Vec<Id> = repository
        .list(ObjectKind::Index)?
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    let damaged = Mutex::new(HashMap::new());
    let packs = Mutex::new((HashSet::new(), 0));
    let load = |id: &Id| {
        cancel.check()?;
        match repository
            .read_unpacked(ObjectKind::Index, id)
            .and_then(|json| IndexFile::parse(id, &json))
        {
            Err(error) if error.is_damage() => {
                damaged.lock().insert(*id, reason(error));
                Ok(IndexFile::default())
            }
            Ok(file) => {
                let mut packs = packs.lock();
                let again = file.packs.iter().filter(|pack| !packs.0.insert(pack.id)).count();
                packs.1 += again;
                Ok(file)
            }
            other => other,
        }
    };
    // A side file of its own, made anew and removed at once: the table stays mapped, so that memory does not grow with the repository.
    let side_file = repository
        .cache()
        .map(Cache::index_file)
        .map(|path| path.with_extension(format!("check-{}", std::process::id())));
    let index = Index::load(&repository.config().id, &files, side_file.as_deref(), load);
    if let Some(path) = side_file {
        let _: Option<()> = std::fs::remove_file(path).ok();
    }
    let damaged = damaged.into_inner();
    findings.report.index_files = files.len() - damaged.len();
    findings.report.packs_listed_twice = packs.into_inner().1;
    damaged
        .into_iter()
        .for_each(|(id, reason)| findings.problem("index", &id, reason));
    index
}

/// The packs that the index lists.
pub struct Packs {
    /// By number.
    pub ids: Vec<Id>,
    /// Entries of the index in each.
    pub listed: Vec<u32>,
    /// Size in the store; absent if the pack is missing.
    pub sizes: Vec<Option<u64>>,
    /// Entries of the index that cannot be read.
    pub bad: Marks,
}

/// Compare the packs in the store with the index.
pub fn packs(repository: &Repository, index: &Index, findings: &mut Findings<'_>) -> Result<Packs> {
    let stored: HashMap<Id, u64> = repository.list(ObjectKind::Pack)?.into_iter().collect();
    findings.report.packs = stored.len();
    findings.report.packs_bytes = stored.values().sum();
    let ids = index.pack_list();
    let (mut listed, mut expected) = (vec![0; ids.len()], vec![OVERHEAD as u64 + 4; ids.len()]);
    for at in 0..index.len() {
        let (pack, blob) = index.entry(at);
        listed[pack as usize] += 1;
        expected[pack as usize] += u64::from(blob.length) + blob.header_length() as u64;
    }
    let sizes: Vec<Option<u64>> = ids.iter().map(|id| stored.get(id).copied()).collect();
    for (n, id) in ids.iter().enumerate() {
        match sizes[n] {
            None => findings.problem(
                "pack",
                id,
                format!("it is missing; the index lists {} blobs in it", listed[n]),
            ),
            Some(size) if size != expected[n] => {
                findings.problem(
                    "pack",
                    id,
                    format!("it is {size} bytes long instead of {}", expected[n]),
                );
            }
            Some(_) => {}
        }
    }
    report_orphans(&stored, &ids, findings);
    let bad = Marks::of(index);
    for at in (0..index.len()).filter(|at| is_out_of_reach(index.entry(*at), &sizes)) {
        bad.set(at);
    }
    Ok(Packs {
        ids,
        listed,
        sizes,
        bad,
    })
}

fn is_out_of_reach((pack, blob): (u32, PackedBlob), sizes: &[Option<u64>]) -> bool {
    sizes[pack as usize].is_none_or(|size| u64::from(blob.offset) + u64::from(blob.length) > size)
}

fn report_orphans(stored: &HashMap<Id, u64>, listed: &[Id], findings: &mut Findings<'_>) {
    let listed: HashSet<&Id> = listed.iter().collect();
    let mut orphans: Vec<Id> = stored.keys().filter(|id| !listed.contains(id)).copied().collect();
    orphans.sort_unstable();
    if !orphans.is_empty() {
        let text = format!(
            "{} packs are not listed by the index: left by an interrupted run, removed by the next prune",
            orphans.len()
        );
        findings.monitor.note(&text);
    }
    findings.report.orphan_packs = orphans;
}

/// Visit every directory; marks the first entry of every blob in use.
pub fn trees(
    repository: &Repository,
    index: &Index,
    snapshots: &[(Id, Snapshot)],
    findings: &Findings<'_>,
    cancel: &Cancel,
) -> Result<(Marks, u64)> {
    let marks = Marks::of(index);
    let trees = AtomicU64::new(0);
    let missing = Mutex::new(HashSet::new());
    let roots: Vec<Id> = snapshots.iter().map(|(_, snapshot)| snapshot.tree).collect();
    walk(repository, index, &roots, &marks, cancel, &|id, tree| {
        Counters::add(&trees, 1);
        match tree {
            Ok(tree) => check_tree(index, &marks, id, tree, &missing, findings),
            Err(error) if error.is_damage() => findings.problem("tree", id, error.to_string()),
            Err(error) => return Err(error),
        }
        Ok(())
    })?;
    Ok((marks, trees.into_inner()))
}

fn check_tree(
    index: &Index,
    marks: &Marks,
    id: &Id,
    tree: &Tree,
    missing: &Mutex<HashSet<Id>>,
    findings: &Findings<'_>,
) {
    Counters::add(&findings.monitor.counters().files, tree.nodes.len() as u64);
    for node in &tree.nodes {
        if let Some(reason) = fault_of(node) {
            findings.problem("tree", id, format!("its entry `{}` {reason}", node.name.display()));
        }
        for blob in node.blobs() {
            match index.position(BlobKind::Data, blob) {
                Some(position) => drop(marks.set(position)),
                None if missing.lock().insert(*blob) => {
                    findings.problem(
                        "blob",
                        blob,
                        format!("it is missing: used by `{}` in tree {id}", node.name.display()),
                    );
                }
                None => {}
            }
        }
    }
}

fn fault_of(node: &Node) -> Option<&'static str> {
    match node.kind {
        NodeKind::File if node.content.is_none() => Some("is a file without a list of content"),
        NodeKind::Dir if node.subtree.is_none() => Some("is a directory without a tree"),
        NodeKind::Irregular => Some("is of an unknown kind"),
        _ => None,
    }
}

/// Tell what is in use from what is not.
pub fn count_used(index: &Index, used: &(Marks, u64), report: &mut CheckReport) {
    let mut unused = Amount::default();
    for at in 0..index.len() {
        let length = u64::from(index.entry(at).1.length);
        if used.0.get(at) {
            report.used.add(1, length);
        } else {
            unused.add(1, length);
        }
    }
    report.trees = used.1;
    report.unused = unused;
}
