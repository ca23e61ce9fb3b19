//! Random sequences of operations, compared with plain copies of the tree.

use crate::engine::*;
use crate::peer::*;
use crate::scene::Scene;
use fastrand::Rng;
use repository::restic::backup::BackupOptions;
use repository::restic::copy::{CopyOptions, copy};
use repository::restic::lock::{Lock, LockKind, LockOptions};
use repository::restic::packer::PackOptions;
use repository::restic::prune::{MaxUnused, PruneOptions};
use repository::restic::repository::Repository;
use repository::restic::snapshot::Snapshot;
use repository::{Cancel, Id, Recorder};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::{LocalStore, Store};
use testkit::tree::content;

const OPERATIONS: usize = 30;

/// Two repositories, a tree, and a plain copy of the tree for each snapshot in either repository.
struct World {
    random: Rng,
    scene: Scene,
    repositories: [Repository; 2],
    /// What each repository has to list: tags, which name the copies.
    listed: [BTreeSet<String>; 2],
    log: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let scene = Scene::empty_in(scratch());
        fs::create_dir(scene.path("source")).unwrap();
        fs::create_dir(scene.path("copies")).unwrap();
        let make = |name: &str, cache: Option<&Path>| {
            let store: Arc<dyn Store> = Arc::new(LocalStore::new(scene.path(name)));
            init(Arc::clone(&store));
            make_key_cheap(&scene.path(name));
            open(store, cache)
        };
        // Every second seed works with a cache, which remembers across everything that happens.
        let cache = scene.path("cache");
        let cache = seed.is_multiple_of(2).then_some(cache.as_path());
        let repositories = [make("repository", cache), make("other", cache)];
        Self {
            random: Rng::with_seed(seed),
            scene,
            repositories,
            listed: Default::default(),
            log: Vec::new(),
        }
    }

    fn source(&self) -> PathBuf {
        self.scene.path("source")
    }

    /// The tree that a snapshot holds.
    fn copy_of(&self, snapshot: &Snapshot) -> PathBuf {
        self.scene.path("copies").join(&snapshot.tags()[0])
    }

    fn step(&mut self) {
        match self.random.usize(..100) {
            0..40 => self.change_tree(),
            40..65 => self.back_up(),
            65..75 => self.forget_some(),
            75..85 => self.prune(),
            85..95 => self.restore_one(),
            _ => self.copy_all(),
        }
    }

    fn any_name(&mut self) -> PathBuf {
        let random = &mut self.random;
        let depth = random.usize(1..4);
        let names = (0..depth).map(|_| format!("n{}", random.u8(..6)));
        names.fold(self.scene.path("source"), |path, name| path.join(name))
    }

    /// Several changes at once: write, change in place, append, cut, remove, rename, link, permissions.
    fn change_tree(&mut self) {
        for _ in 0..self.random.usize(1..8) {
            let (path, other) = (self.any_name(), self.any_name());
            let kind = self.random.u8(..9);
            self.log.push(format!("change {kind} {}", path.display()));
            self.change(kind, &path, &other);
        }
    }

    fn change(&mut self, kind: u8, path: &Path, other: &Path) {
        let size = [0, 1, 100, 30_000, 700_000, 3_000_000][self.random.usize(..6)];
        let (seed, at) = (self.random.u64(..50), self.random.u64(..40_000));
        let is_file = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
        // Whatever is impossible as the tree is now (a directory in the way, nothing there) is left out.
        let _: Option<()> = match kind {
            0..3 => path
                .parent()
                .and_then(|parent| fs::create_dir_all(parent).ok())
                .and_then(|()| fs::write(path, content(seed, size)).ok()),
            3 if is_file => fs::File::options()
                .write(true)
                .open(path)
                .and_then(|file| file.write_all_at(b"changed in place", at))
                .ok(),
            4 if is_file => fs::File::options()
                .write(true)
                .open(path)
                .and_then(|file| file.set_len(at))
                .ok(),
            5 if is_file => fs::remove_file(path).ok(),
            5 => fs::remove_dir_all(path).ok(),
            6 if !other.starts_with(path) => fs::rename(path, other).ok(),
            7 if is_file => fs::hard_link(path, other).ok(),
            7 => symlink("n0/n1", path).ok(),
            8 => fs::set_permissions(
                path,
                fs::Permissions::from_mode([0o700, 0o755, 0o644][usize::from(seed as u8 % 3)]),
            )
            .ok(),
            _ => None,
        };
    }

    fn back_up(&mut self) {
        let tag = format!("copy-{}", self.log.len());
        let which = usize::from(self.random.u8(..4) == 0);
        copy_tree(&self.source(), &self.scene.path("copies").join(&tag));
        self.log.push(format!("backup {tag} to {which}"));
        let pack = PackOptions {
            pack_size: [100_000, 16 << 20][self.random.usize(..2)],
            ..PackOptions::default()
        };
        let options = BackupOptions {
            tags: vec![tag.clone()],
            allow_empty: true,
            pack,
            lock: LockOptions::default(),
            ..BackupOptions::default()
        };
        let report = backup_with(&self.repositories[which], &self.source(), &options).unwrap();
        assert_eq!(
            (report.totals.problems, report.totals.vanished),
            (0, 0),
            "{:?}",
            self.log
        );
        assert!(report.snapshot.is_some());
        self.listed[which].insert(tag);
    }

    fn any_repository(&mut self) -> Repository {
        self.repositories[self.random.usize(..2)].clone()
    }

    fn forget_some(&mut self) {
        let which = self.random.usize(..2);
        let mut those = snapshots(&self.repositories[which]);
        self.random.shuffle(&mut those);
        those.truncate(those.len() / 2);
        let ids: Vec<Id> = those.iter().map(|(id, _)| *id).collect();
        self.log.push(format!("forget {ids:?} in {which}"));
        if !ids.is_empty() {
            forget(&self.repositories[which], &ids).unwrap();
        }
        for (_, snapshot) in &those {
            self.listed[which].remove(&snapshot.tags()[0]);
        }
        self.assert_listed();
    }

    /// Exactly the snapshots that were made and not forgotten.
    fn assert_listed(&self) {
        for (repository, expected) in self.repositories.iter().zip(&self.listed) {
            let found = snapshots(repository)
                .into_iter()
                .map(|(_, snapshot)| snapshot.tags()[0].clone());
            assert_eq!(found.collect::<BTreeSet<_>>(), *expected, "{:#?}", self.log);
        }
    }

    fn prune(&mut self) {
        let options = PruneOptions {
            max_unused: [MaxUnused::Bytes(0), MaxUnused::Percent(5.0), MaxUnused::Unlimited][self.random.usize(..3)],
            repack_small: self.random.bool(),
            pack_size: [100_000, 16 << 20][self.random.usize(..2)],
            max_repack_bytes: [None, Some(200_000)][self.random.usize(..2)],
            ..PruneOptions::default()
        };
        self.log.push(format!("prune {options:?}"));
        prune_with(&self.any_repository(), &options).unwrap();
    }

    /// Onto what the restore before it left.
    fn restore_one(&mut self) {
        let repository = self.any_repository();
        let all = snapshots(&repository);
        let Some(one) = self.random.choice(&all) else { return };
        self.log.push(format!("restore {}", one.0));
        let report = restore_to(&repository, one, &self.source(), &self.scene.path("restored")).unwrap();
        assert_eq!(report.listed_problems, [], "{:?}", self.log);
        assert_same(&self.copy_of(&one.1), &self.scene.path("restored"));
    }

    fn copy_all(&mut self) {
        let from = self.random.usize(..2);
        self.log.push(format!("copy from {from}"));
        let (here, there) = (&self.repositories[from], &self.repositories[1 - from]);
        let lock = Lock::acquire(there, LockKind::Shared, &LockOptions::default(), &Recorder::default()).unwrap();
        let report = copy(
            here,
            there,
            &snapshots(here),
            &CopyOptions::default(),
            &lock,
            &Cancel::default(),
            &Recorder::default(),
        )
        .unwrap();
        assert_eq!(report.copied.len() + report.skipped.len(), snapshots(here).len());
        let copied = self.listed[from].clone();
        self.listed[1 - from].extend(copied);
        self.assert_listed();
    }

    fn verify(&self) {
        self.assert_listed();
        for repository in &self.repositories {
            assert_healthy(repository);
            for one in snapshots(repository) {
                assert_restores(repository, &one, &self.source(), &self.copy_of(&one.1));
            }
        }
    }
}

fn live(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..OPERATIONS {
        let steps = std::panic::AssertUnwindSafe(|| world.step());
        if let Err(panic) = std::panic::catch_unwind(steps) {
            println!("seed {seed}: {:#?}", world.log);
            std::panic::resume_unwind(panic);
        }
    }
    println!("seed {seed}: {:#?}", world.log);
    world.back_up();
    world.verify();
    restic(&world.scene, &["check", "--read-data"]);
}

#[test]
fn random_operations_1() {
    (1..=3).for_each(live);
}

#[test]
fn random_operations_2() {
    (4..=6).for_each(live);
}

#[test]
fn random_operations_3() {
    (7..=9).for_each(live);
}

#[test]
fn random_operations_4() {
    (10..=12).for_each(live);
}
