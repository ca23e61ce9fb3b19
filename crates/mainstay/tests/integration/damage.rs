//! Each kind of object, damaged in each way, and what every command makes of it.

use crate::engine::open;
use crate::peer::*;
use crate::scene::{Ended, Scene, wait_until};
use repository::restic::pack::BlobKind;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::LocalStore;
use testkit::tree::content;

/// What is damaged.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Object {
    Config,
    Key,
    OtherKey,
    Snapshot,
    Index,
    DataPack,
    TreePack,
    Lock,
}

const OBJECTS: [Object; 8] = [
    Object::Config,
    Object::Key,
    Object::OtherKey,
    Object::Snapshot,
    Object::Index,
    Object::DataPack,
    Object::TreePack,
    Object::Lock,
];

/// How.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Damage {
    Removed,
    Truncated,
    OneBit,
    Replaced,
    Empty,
}

const SNAPSHOTS: [&str; 2] = ["first", "second"];

/// A repository with two snapshots in packs and index files of their own, two keys, and the locks of two dead processes.
struct Bench {
    scene: Scene,
    /// For each snapshot, what it holds.
    data: [PathBuf; 2],
    trees: [PathBuf; 2],
    index: [PathBuf; 2],
    snapshots: [PathBuf; 2],
}

impl Bench {
    fn new() -> Self {
        let scene = Scene::empty_in(scratch());
        scene.ok(&["init"]);
        make_key_cheap(&scene.path("repository"));
        let (mut data, mut trees, mut index, mut snapshots) = (vec![], vec![], vec![], vec![]);
        for (round, tag) in SNAPSHOTS.into_iter().enumerate() {
            for n in (0..6).filter(|n| round == 0 || n % 2 == 0) {
                fs::create_dir_all(scene.path(&format!("source/d{}", n % 3))).unwrap();
                fs::write(
                    scene.path(&format!("source/d{}/f{n}", n % 3)),
                    content(n + 10 * round as u64, 20_000),
                )
                .unwrap();
            }
            let before = [
                packs(&scene, BlobKind::Data),
                packs(&scene, BlobKind::Tree),
                set(&scene, "index"),
                set(&scene, "snapshots"),
            ];
            scene.ok(&["backup", &source(&scene), "--tag", tag]);
            copy_tree(&scene.path("source"), &scene.path(tag));
            let after = [
                packs(&scene, BlobKind::Data),
                packs(&scene, BlobKind::Tree),
                set(&scene, "index"),
                set(&scene, "snapshots"),
            ];
            for ((list, before), after) in [&mut data, &mut trees, &mut index, &mut snapshots]
                .into_iter()
                .zip(before)
                .zip(after)
            {
                list.push(after.difference(&before).next().unwrap().clone());
            }
        }
        leave_locks(&scene);
        copy_tree(&scene.path("repository"), &scene.path("sound"));
        let pair = |list: Vec<PathBuf>| <[PathBuf; 2]>::try_from(list).unwrap();
        Self {
            data: pair(data),
            trees: pair(trees),
            index: pair(index),
            snapshots: pair(snapshots),
            scene,
        }
    }

    /// The object to damage, of the newer snapshot, and another of the same kind.
    fn pair(&self, object: Object) -> [PathBuf; 2] {
        let newest_first = |[old, new]: &[PathBuf; 2]| [new.clone(), old.clone()];
        let any =
            |kind: &str| <[PathBuf; 2]>::try_from(set(&self.scene, kind).into_iter().collect::<Vec<_>>()).unwrap();
        match object {
            // There is no second config; a key is as good.
            Object::Config => [self.scene.path("repository/config"), any("keys")[0].clone()],
            Object::Key | Object::OtherKey => {
                let mut keys = any("keys");
                keys.sort_by_key(|key| {
                    fs::read_to_string(key).unwrap().contains("another secret") == (object == Object::Key)
                });
                keys
            }
            Object::Snapshot => newest_first(&self.snapshots),
            Object::Index => newest_first(&self.index),
            Object::DataPack => newest_first(&self.data),
            Object::TreePack => newest_first(&self.trees),
            Object::Lock => any("locks"),
        }
    }

    /// Start from a sound repository, and damage one object; returns its id, shortened.
    fn damage(&self, object: Object, damage: Damage) -> String {
        copy_tree(&self.scene.path("sound"), &self.scene.path("repository"));
        let [path, other] = self.pair(object);
        let sound = fs::read(&path).unwrap();
        let changed = match damage {
            Damage::Removed => None,
            Damage::Truncated => Some(sound[..sound.len() - sound.len() / 3].to_vec()),
            Damage::OneBit => Some(flipped(sound)),
            Damage::Replaced => Some(fs::read(other).unwrap()),
            Damage::Empty => Some(Vec::new()),
        };
        fs::remove_file(&path).unwrap();
        if let Some(content) = changed {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        }
        path.file_name().unwrap().to_string_lossy().chars().take(8).collect()
    }

    /// Run a command; whatever happens, it has to end in an orderly way and say what is wrong.
    fn run(&self, arguments: &[&str]) -> Ended {
        let ended = self.scene.run(arguments);
        let orderly = [0, 1, 3, 10, 11, 12, 20].contains(&ended.code) && !ended.to_string().contains("panicked");
        assert!(orderly, "{arguments:?}: {ended}");
        assert!(
            ![1, 10, 11, 12].contains(&ended.code) || ended.stderr.contains("error: "),
            "{arguments:?}: {ended}"
        );
        ended
    }

    /// Restore both snapshots; returns the files that are right. Whatever is not right has to be named, and the exit code has to tell.
    fn restore(&self) -> BTreeSet<PathBuf> {
        let mut right = BTreeSet::new();
        for (tag, snapshot) in SNAPSHOTS.into_iter().zip(&self.snapshots) {
            let id = snapshot.file_name().unwrap().to_string_lossy().into_owned();
            let ended = self.run(&["restore", &format!("{id}:{}", source(&self.scene)), "--target", "out"]);
            let expected = files_below(&self.scene.path(tag));
            let found: BTreeSet<_> = expected
                .iter()
                .filter(|path| same(&self.scene.path(tag), &self.scene.path("out"), path))
                .collect();
            let missing: Vec<_> = expected.iter().filter(|path| !found.contains(path)).collect();
            match ended.code {
                0 => assert!(missing.is_empty(), "{missing:?}: {ended}"),
                3 => missing
                    .iter()
                    .for_each(|path| assert!(is_named(path, &ended), "{path:?}: {ended}")),
                _ => assert_eq!(found.len(), 0, "{ended}"),
            }
            right.extend(found.into_iter().map(|path| Path::new(tag).join(path)));
            let _: Option<()> = fs::remove_dir_all(self.scene.path("out")).ok();
        }
        right
    }
}

fn source(scene: &Scene) -> String {
    scene.path("source").display().to_string()
}

fn set(scene: &Scene, kind: &str) -> BTreeSet<PathBuf> {
    scene.objects(kind).into_iter().collect()
}

fn packs(scene: &Scene, kind: BlobKind) -> BTreeSet<PathBuf> {
    let location = scene.path("repository");
    let index = open(Arc::new(LocalStore::new(&location)), None).load_index().unwrap();
    let path = |id: repository::Id| location.join("data").join(&id.to_hex()[..2]).join(id.to_hex());
    index
        .iter()
        .filter(|one| one.blob.kind == kind)
        .map(|one| path(one.pack))
        .collect()
}

fn leave_locks(scene: &Scene) {
    let mut holders = Vec::new();
    for n in 1..=2 {
        holders.push(scene.start(&["backup", "--stdin"]));
        wait_until("a lock", || {
            scene
                .objects("locks")
                .iter()
                .filter(|path| path.file_name().unwrap().len() == 64)
                .count()
                == n
        });
    }
    for mut holder in holders {
        kill_process(Pid::from_child(&holder), Signal::KILL).unwrap();
        holder.wait().unwrap();
    }
}

fn flipped(mut content: Vec<u8>) -> Vec<u8> {
    let middle = content.len() / 2;
    content[middle] ^= 4;
    content
}

fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let name = PathBuf::from(path.file_name().unwrap());
        if path.is_dir() {
            found.extend(files_below(&path).into_iter().map(|below| name.join(below)));
        } else {
            found.push(name);
        }
    }
    found
}

fn same(a: &Path, b: &Path, path: &Path) -> bool {
    fs::read(b.join(path)).is_ok_and(|found| found == fs::read(a.join(path)).unwrap())
}

/// The file itself, or a directory above it.
fn is_named(path: &Path, ended: &Ended) -> bool {
    path.ancestors()
        .filter(|path| !path.as_os_str().is_empty())
        .any(|path| ended.stderr.contains(&format!("/{}", path.display())))
        || ended.stderr.contains("warning: `/`: ")
}

/// Go through everything that a user does with a repository.
fn live_through(bench: &Bench, object: Object, damage: Damage) {
    let id = bench.damage(object, damage);
    let what = format!("{object:?} {damage:?} ({id})");
    println!("{what}");
    let opens = !matches!(object, Object::Config | Object::Key);
    let listed = bench.run(&["snapshots"]);
    assert_eq!(opens || listed.code == 0, opens, "{what}: {listed}");
    assert_found(bench, object, damage, &id, &what);
    let before = bench.restore();
    // Of twelve files, the older snapshot's six never depend on the newer one's objects; its data pack holds three.
    let least = match object {
        Object::Config | Object::Key => 0,
        Object::Snapshot | Object::Index | Object::TreePack => 6,
        Object::DataPack => 9,
        Object::OtherKey | Object::Lock => 12,
    };
    let locked = object == Object::Lock && listed.code == 11;
    assert!(locked || before.len() >= least, "{what}: {before:?}");
    let data = set(&bench.scene, "data");
    let prune = bench.run(&["prune", "--max-unused", "0"]);
    if prune.code != 0 {
        assert_eq!(
            data,
            set(&bench.scene, "data"),
            "{what}: refused, but something was deleted"
        );
    }
    let after = bench.restore();
    assert!(
        before.is_subset(&after),
        "{what}: pruned what was in use: {before:?} {after:?}"
    );
    back_up_again(bench, object, &id, &what);
}

/// `check` finds it and names it, unless nobody can know.
fn assert_found(bench: &Bench, object: Object, damage: Damage, id: &str, what: &str) {
    let [check, read] = [&["check"][..], &["check", "--read-data"]].map(|arguments| bench.run(arguments));
    let found = [check.code, read.code];
    match (object, damage) {
        (Object::Config, Damage::Removed) => assert_eq!(found, [10, 10], "{what}: {read}"),
        (Object::Key, Damage::Removed) => assert_eq!(found, [12, 12], "{what}: {read}"),
        (Object::Config, _) => assert!(found == [1, 1] && read.stderr.contains("config"), "{what}: {read}"),
        (Object::Key, _) => assert!(found == [1, 1] && read.to_string().contains(id), "{what}: {read}"),
        (Object::Snapshot | Object::OtherKey, Damage::Removed) | (Object::Lock, Damage::Removed | Damage::Empty) => {
            assert_eq!(found, [0, 0], "{what}: {read}");
        }
        (Object::Lock, _) => assert!(found == [11, 11] && read.to_string().contains(id), "{what}: {read}"),
        // Which index file it was that is gone, nobody knows.
        (Object::Index, Damage::Removed) => {
            assert!(found == [20, 20] && read.stderr.contains("missing"), "{what}: {read}");
        }
        (Object::DataPack, Damage::OneBit) => {
            assert!(found == [0, 20] && read.to_string().contains(id), "{what}: {read}");
        }
        // As long as the other one, it is found by reading it; of another length at once.
        (Object::DataPack, Damage::Replaced) => {
            assert!(found[1] == 20 && read.to_string().contains(id), "{what}: {read}");
        }
        (Object::OtherKey, _) => {
            let hint = format!("`mainstay key remove {id}`");
            assert!(found == [20, 20] && read.to_string().contains(&hint), "{what}: {read}");
            assert!(read.stdout.contains("DAMAGE: 1 problem\n"), "{what}: {read}");
        }
        _ => assert!(found == [20, 20] && check.to_string().contains(id), "{what}: {check}"),
    }
}

/// A backup either fails clearly or, after the repairs that `repair --help` describes, is whole.
fn back_up_again(bench: &Bench, object: Object, id: &str, what: &str) {
    let again = bench.run(&["backup", &source(&bench.scene)]);
    assert!([0, 1, 10, 11, 12].contains(&again.code), "{what}: {again}");
    match object {
        Object::Config | Object::Key => return assert_ne!(again.code, 0, "{what}: {again}"),
        Object::Lock => drop(bench.run(&["unlock", "--remove-all"])),
        Object::OtherKey => remove_key(bench, id, what),
        _ => {}
    }
    let pack = |pack: &Path| pack.file_name().unwrap().to_string_lossy().into_owned();
    bench.run(&["repair", "index"]);
    if matches!(object, Object::DataPack | Object::TreePack) {
        bench.run(&["repair", "packs", &pack(&bench.pair_of_sound(object))]);
    }
    let again = bench.run(&["backup", &source(&bench.scene), "--force"]);
    assert_eq!(again.code, 0, "{what}: {again}");
    bench.scene.ok(&[
        "restore",
        &format!("latest:{}", source(&bench.scene)),
        "--target",
        "mended",
    ]);
    assert_same(&bench.scene.path("source"), &bench.scene.path("mended"));
    fs::remove_dir_all(bench.scene.path("mended")).unwrap();
}

/// What `key list` says leads to a repository in which nothing is wrong.
fn remove_key(bench: &Bench, id: &str, what: &str) {
    let listed = bench.run(&["key", "list"]);
    if listed.code != 0 {
        assert!(listed.stderr.contains("`mainstay key remove ID`"), "{what}: {listed}");
        bench.scene.ok(&["key", "remove", id]);
    }
    bench.scene.ok(&["key", "list"]);
    bench.scene.ok(&["check"]);
}

impl Bench {
    fn pair_of_sound(&self, object: Object) -> PathBuf {
        if object == Object::DataPack {
            self.data[1].clone()
        } else {
            self.trees[1].clone()
        }
    }
}

fn every_object(damage: Damage) {
    let bench = Bench::new();
    OBJECTS
        .into_iter()
        .for_each(|object| live_through(&bench, object, damage));
}

#[test]
fn an_object_is_gone() {
    every_object(Damage::Removed);
}

#[test]
fn an_object_is_cut_short() {
    every_object(Damage::Truncated);
}

#[test]
fn one_bit_of_an_object_is_wrong() {
    every_object(Damage::OneBit);
}

#[test]
fn an_object_is_another_one() {
    every_object(Damage::Replaced);
}

#[test]
fn an_object_is_empty() {
    every_object(Damage::Empty);
}
