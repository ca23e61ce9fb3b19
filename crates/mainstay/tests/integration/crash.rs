//! The program dies, or its store fails, at every call; then at moments chosen at random; and disks are full.

use crate::engine::*;
use crate::peer::*;
use crate::scene::Scene;
use repository::restic::copy::{CopyOptions, copy};
use repository::restic::object::ObjectKind;
use repository::restic::pack::BlobKind;
use repository::restic::repair;
use repository::restic::repository::Repository;
use repository::{Cancel, Error, Id, Recorder, Result};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::{ErrorKind, MemoryStore, Store as _};
use tempfile::TempDir;
use testkit::faults::{Fault, FaultyStore};
use testkit::recording::Operation;
use testkit::tree::{TreeSpec, content};

/// What happens at one call. After the first two nothing works any more; after the others the program goes on, and cleans up.
const FAULTS: [Fault; 4] = [
    Fault::CrashBefore,
    Fault::CrashAfter,
    Fault::Fail(ErrorKind::Unavailable),
    Fault::LoseAnswer,
];

/// A repository in memory with snapshots `v1`, `v2` and `v3`, and a plain copy of what each holds; the source holds `v4`.
struct History {
    directory: TempDir,
    memory: MemoryStore,
    objects: Objects,
    /// Opened without faults and without a cache: sees the store as it is.
    sober: Repository,
}

impl History {
    fn new() -> Self {
        let memory = MemoryStore::new();
        let sober = init(Arc::new(memory.clone()));
        let mut history = Self {
            directory: scratch(),
            memory,
            objects: Vec::new(),
            sober,
        };
        for version in 1..=4 {
            history.change(version);
            if version < 4 {
                backup(&history.sober, &history.source(), &format!("v{version}")).unwrap();
            }
        }
        history.objects = stored(&history.memory);
        history
    }

    fn source(&self) -> PathBuf {
        self.directory.path().join("source")
    }

    fn copy_of(&self, tag: &str) -> PathBuf {
        self.directory.path().join(tag)
    }

    /// A third of the files changes with each version.
    fn change(&self, version: u64) {
        for n in 0..12_u64 {
            let path = self.source().join(format!("d{}/f{n}", n % 3));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if version == 1 || (n + version).is_multiple_of(3) {
                fs::write(path, content(n + 100 * version, 9_000 + 800 * n as usize)).unwrap();
            }
        }
        copy_tree(&self.source(), &self.copy_of(&format!("v{version}")));
    }

    fn reset(&self) {
        put_back(&self.memory, &self.objects);
    }

    /// Every snapshot listed restores, those of `tags` are listed, and nothing is damaged.
    fn verify(&self, tags: &[&str]) {
        let listed = snapshots(&self.sober);
        for one in &listed {
            assert_restores(&self.sober, one, &self.source(), &self.copy_of(&one.1.tags()[0]));
        }
        let is_listed = |tag: &&str| listed.iter().any(|(_, snapshot)| snapshot.tags()[0] == **tag);
        assert!(tags.iter().all(is_listed), "{tags:?}: {listed:?}");
        assert_healthy(&self.sober);
    }

    fn ids(&self, tag: &str) -> Vec<Id> {
        let has_tag = |snapshot: &repository::restic::snapshot::Snapshot| snapshot.tags()[0] == tag;
        snapshots(&self.sober)
            .into_iter()
            .filter(|(_, snapshot)| has_tag(snapshot))
            .map(|(id, _)| id)
            .collect()
    }
}

type Objects = Vec<(String, bytes::Bytes)>;

fn stored(memory: &MemoryStore) -> Objects {
    let read = |name: String| (name.clone(), memory.read(&name).unwrap());
    memory.list("").unwrap().into_iter().map(|one| read(one.name)).collect()
}

/// Leave exactly these objects.
fn put_back(memory: &MemoryStore, objects: &Objects) {
    delete_below(memory, "");
    objects
        .iter()
        .for_each(|(name, content)| memory.write(name, content.clone()).unwrap());
}

/// Those of a dead process would be taken over, but the process of the test lives.
fn remove_locks(memory: &MemoryStore) {
    delete_below(memory, "locks");
}

fn delete_below(memory: &MemoryStore, prefix: &str) {
    memory
        .list(prefix)
        .unwrap()
        .iter()
        .for_each(|one| memory.delete(&one.name).unwrap());
}

/// Run `work` with each fault at each of its calls. Afterwards everything listed is whole, and `work` succeeds when it is run again.
fn fail_everywhere(
    cache: Option<&Path>,
    prepare: impl Fn(&History),
    work: impl Fn(&History, &Repository) -> Result<()>,
    kept: &[&str],
) {
    let history = History::new();
    let faulty = FaultyStore::new(Arc::new(history.memory.clone()));
    let repository = open(Arc::new(faulty.clone()), cache);
    let mut failures = 0;
    for call in 1.. {
        let mut reached = false;
        for fault in FAULTS {
            history.reset();
            prepare(&history);
            faulty.heal();
            faulty.at_call(call, fault);
            let result = work(&history, &repository);
            reached |= faulty.calls() >= call;
            failures += u32::from(result.is_err());
            faulty.heal();
            remove_locks(&history.memory);
            history.verify(kept);
            work(&history, &repository).unwrap_or_else(|error| panic!("again after {fault:?} at call {call}: {error}"));
            history.verify(kept);
            assert_eq!(history.memory.list("locks").unwrap(), [], "{fault:?} at call {call}");
        }
        if !reached {
            break;
        }
    }
    assert!(failures > 20, "{failures}");
}

fn backup_v4(history: &History, repository: &Repository) -> Result<()> {
    backup(repository, &history.source(), "v4").map(drop)
}

#[test]
fn heavy_a_backup_can_fail_at_every_call() {
    fail_everywhere(None, |_| {}, backup_v4, &["v1", "v2", "v3"]);
}

/// The cache then knows of objects that the repository lost with the crash.
#[test]
fn heavy_a_backup_with_a_cache_can_fail_at_every_call() {
    let cache = scratch();
    fail_everywhere(Some(cache.path()), |_| {}, backup_v4, &["v1", "v2", "v3"]);
}

#[test]
fn heavy_forget_can_fail_at_every_call() {
    let forget_two = |history: &History, repository: &Repository| {
        let ids = [history.ids("v1"), history.ids("v2")].concat();
        if ids.is_empty() {
            exclusive(repository).map(drop)
        } else {
            forget(repository, &ids)
        }
    };
    fail_everywhere(None, |_| {}, forget_two, &["v3"]);
}

#[test]
fn heavy_prune_can_fail_at_every_call() {
    let forget_one = |history: &History| forget(&history.sober, &history.ids("v1")).unwrap();
    fail_everywhere(None, forget_one, |_, repository| prune(repository), &["v2", "v3"]);
}

#[test]
fn heavy_repair_of_the_index_can_fail_at_every_call() {
    let options = repair::index::Options { read_all_packs: true };
    let work = |_: &History, repository: &Repository| {
        let (lock, cancel, monitor) = (exclusive(repository)?, Cancel::default(), Recorder::default());
        let plan = repair::index::plan(repository, options, &cancel, &monitor)?;
        repair::index::execute(repository, &plan, options, &lock, &cancel, &monitor).map(drop)
    };
    fail_everywhere(None, |_| {}, work, &["v1", "v2", "v3"]);
}

/// The destination fails at every call; whatever it lists then is whole, and copying again completes it.
#[test]
fn heavy_a_copy_can_fail_at_every_call() {
    let history = History::new();
    let memory = MemoryStore::new();
    let sober = init(Arc::new(memory.clone()));
    let key = stored(&memory);
    let faulty = FaultyStore::new(Arc::new(memory.clone()));
    let destination = open(Arc::new(faulty.clone()), None);
    let copy_all = || {
        let (cancel, monitor) = (Cancel::default(), Recorder::default());
        let options = CopyOptions { packs: small_packs() };
        let lock = shared(&destination)?;
        let report = copy(
            &history.sober,
            &destination,
            &snapshots(&history.sober),
            &options,
            &lock,
            &cancel,
            &monitor,
        );
        drop(lock);
        report
    };
    let verify = |count: Option<usize>| {
        let listed = snapshots(&sober);
        for one in &listed {
            assert_restores(&sober, one, &history.source(), &history.copy_of(&one.1.tags()[0]));
        }
        assert!(count.is_none_or(|count| count == listed.len()), "{listed:?}");
        assert_healthy(&sober);
    };
    let mut failures = 0;
    for call in 1.. {
        let mut reached = false;
        for fault in FAULTS {
            put_back(&memory, &key);
            faulty.heal();
            faulty.at_call(call, fault);
            let result = copy_all();
            reached |= faulty.calls() >= call;
            failures += u32::from(result.is_err());
            faulty.heal();
            remove_locks(&memory);
            verify(None);
            copy_all().unwrap_or_else(|error| panic!("again after {fault:?} at call {call}: {error}"));
            verify(Some(3));
        }
        if !reached {
            break;
        }
    }
    assert!(failures > 20, "{failures}");
}

/// A store that claims success: what it did not keep, or kept half of, is named before anything relies on it.
#[test]
fn what_a_lying_store_did_not_keep_is_named_and_there_is_no_snapshot() {
    let history = History::new();
    let faulty = FaultyStore::new(Arc::new(history.memory.clone()));
    let repository = open(Arc::new(faulty.clone()), None);
    for (kind, fault) in [
        ("data", Fault::Lie),
        ("data", Fault::Truncate),
        ("index", Fault::Lie),
        ("snapshots", Fault::Lie),
    ] {
        for nth in 0..2 {
            history.reset();
            faulty.heal();
            let lost = Arc::new(parking_lot::Mutex::new((0, None)));
            let memory = Arc::clone(&lost);
            let hits = move |operation: Operation, name: &str| {
                if operation != Operation::Write || !name.starts_with(kind) {
                    return false;
                }
                let (seen, lost) = &mut *memory.lock();
                *seen += 1;
                if *seen == nth + 1 {
                    *lost = Some(name.to_owned());
                }
                *seen == nth + 1
            };
            faulty.times(1, hits, fault);
            let stored = backup(&repository, &history.source(), "v4");
            let Some(lost) = lost.lock().1.clone() else { continue };
            let id = lost.rsplit('/').next().unwrap();
            let named = matches!(&stored, Err(Error::NotStored { name, .. }) if name == id);
            assert!(named, "{lost}: {stored:?}");
            assert_eq!(history.ids("v4"), [], "{lost}");
            let report = check_all(&history.sober);
            assert_eq!(report.affected_snapshots, [], "{lost}");
            faulty.heal();
            backup(&repository, &history.source(), "v4").unwrap();
            assert_eq!(check_all(&history.sober).affected_snapshots, [], "{lost}");
        }
    }
}

/// A store that claims to have deleted what it keeps: nothing is lost.
#[test]
fn a_store_that_deletes_nothing_is_harmless() {
    let history = History::new();
    let faulty = FaultyStore::new(Arc::new(history.memory.clone()));
    let repository = open(Arc::new(faulty.clone()), None);
    faulty.always(
        |operation, name| operation == Operation::Delete && !name.starts_with("locks"),
        Fault::Lie,
    );
    forget(&repository, &history.ids("v1")).unwrap();
    prune(&repository).unwrap();
    history.verify(&["v1", "v2", "v3"]);
}

// From here on: the real program.

fn kill(child: &mut Child) {
    // It may have ended by itself a moment ago.
    let _: Option<()> = kill_process(Pid::from_child(child), Signal::KILL).ok();
    child.wait().unwrap();
}

/// Kill when `reached` says so, unless the program has ended by then; whether it was killed.
fn kill_when(child: &mut Child, mut reached: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    // Without pauses: the moment may be short.
    while !reached() {
        assert!(Instant::now() < deadline, "the moment to kill did not come");
        if child.try_wait().unwrap().is_some() {
            return false;
        }
    }
    kill(child);
    true
}

/// Until a moment that differs from run to run.
fn spin(time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

/// A scene in memory whose repository opens quickly.
fn quick_scene() -> Scene {
    let scene = Scene::empty_in(scratch());
    scene.ok(&["init"]);
    make_key_cheap(&scene.path("repository"));
    scene
}

fn assert_restores_latest(scene: &Scene, name: &str) {
    let (source, out) = (scene.path("source"), scene.path(name));
    scene.ok(&["restore", &format!("latest:{}", source.display()), "--target", name]);
    assert_same(&source, &out);
    fs::remove_dir_all(out).unwrap();
}

#[test]
fn heavy_a_backup_survives_kill_9_at_thirty_moments() {
    let scene = quick_scene();
    let spec = TreeSpec {
        files: 800,
        files_per_dir: 40,
        max_bytes: 600_000,
        ..TreeSpec::default()
    };
    spec.build(&scene.path("source")).unwrap();
    let source = scene.path("source").display().to_string();
    let mut random = fastrand::Rng::with_seed(9);
    let mut killed = 0;
    for round in 0..30 {
        // Several packs of something new each time.
        fs::write(scene.path("source/new"), random_bytes(round, 24_000_000)).unwrap();
        let before = scene.objects("data").len();
        let (packs, micros) = (random.usize(0..6), random.u64(0..30_000));
        let mut child = scene.start(&["backup", &source, "--pack-size", "4"]);
        let reached = || match packs {
            0 => !scene.objects("locks").is_empty(),
            packs => scene.objects("data").len() >= before + packs,
        };
        killed += u32::from(kill_when(&mut child, || {
            let now = reached();
            if now {
                spin(Duration::from_micros(micros));
            }
            now
        }));
        if round % 6 == 5 {
            scene.ok(&["backup", &source]);
            assert_restores_latest(&scene, "out");
            scene.ok(&["prune", "--max-unused", "0"]);
        }
    }
    assert!(killed >= 20, "{killed}");
    restic(&scene, &["unlock"]);
    restic(&scene, &["check", "--read-data"]);
    scene.ok(&["backup", &source]);
    assert_restores_latest(&scene, "out");
    assert_eq!(scene.objects("locks").len(), 0);
}

#[test]
fn heavy_a_prune_survives_kill_9_at_thirty_moments() {
    let scene = quick_scene();
    let source = scene.path("source").display().to_string();
    for version in 0..5_u64 {
        for n in (0..120_u64).filter(|n| version == 0 || (n + version) % 4 == 0) {
            fs::create_dir_all(scene.path(&format!("source/d{}", n % 7))).unwrap();
            fs::write(
                scene.path(&format!("source/d{}/f{n}", n % 7)),
                content(n + 1000 * version, 200_000),
            )
            .unwrap();
        }
        scene.ok(&["backup", &source, "--pack-size", "4"]);
    }
    scene.ok(&["forget", "--keep-last", "2"]);
    copy_tree(&scene.path("repository"), &scene.path("before"));
    let prune = ["prune", "--max-unused", "0", "--pack-size", "4"];
    let mut random = fastrand::Rng::with_seed(5);
    let (mut killed, mut longest) = (0, Duration::from_secs(2));
    for round in 0..100 {
        copy_tree(&scene.path("before"), &scene.path("repository"));
        let started = Instant::now();
        let until = started + longest.mul_f64(random.f64());
        let mut child = scene.start(&prune);
        if !kill_when(&mut child, || Instant::now() >= until) {
            longest = started.elapsed();
            continue;
        }
        let check = scene.run(&["check", "--read-data"]);
        assert_eq!(check.code, 0, "round {round}: {check}");
        scene.ok(&prune);
        assert_restores_latest(&scene, "out");
        assert_eq!(scene.objects("locks").len(), 0);
        killed += 1;
        if killed == 30 {
            break;
        }
    }
    assert!(killed >= 20, "{killed}");
    restic(&scene, &["check", "--read-data"]);
}

/// A small disk, unmounted in the end.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: PathBuf, options: &str) -> Self {
        fs::create_dir_all(&path).unwrap();
        mount(&["-t", "tmpfs", "-o", options, "tmpfs"], &path);
        Self(path)
    }

    fn enlarge(&self, options: &str) {
        mount(&["-o", &format!("remount,{options}")], &self.0);
    }
}

#[expect(clippy::disallowed_methods, reason = "tests mount small disks")]
fn mount(arguments: &[&str], path: &Path) {
    let output = std::process::Command::new("mount")
        .args(arguments)
        .arg(path)
        .output()
        .unwrap();
    assert!(output.status.success(), "these tests need root: {}", ended(&output));
}

impl Drop for Disk {
    #[expect(clippy::disallowed_methods, reason = "tests unmount their disks")]
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn heavy_a_full_repository_loses_nothing_and_goes_on_when_there_is_room() {
    let scene = Scene::empty();
    let disk = Disk::mount(scene.path("repository"), "size=24m");
    scene.ok(&["init"]);
    let source = scene.path("source").display().to_string();
    fs::create_dir(scene.path("source")).unwrap();
    fs::write(scene.path("source/first"), content(1, 3_000_000)).unwrap();
    scene.ok(&["backup", &source]);
    for n in 0..6 {
        fs::write(scene.path(&format!("source/more-{n}")), random_bytes(n, 10_000_000)).unwrap();
    }
    let full = scene.run(&["backup", &source]);
    assert_eq!(full.code, 1, "{full}");
    assert!(
        full.stderr.contains("no space left") && full.stderr.contains("hint: Free space"),
        "{full}"
    );
    assert_eq!((scene.objects("snapshots").len(), scene.objects("locks").len()), (1, 0));
    scene.ok(&["check", "--read-data"]);
    scene.ok(&["restore", &format!("latest:{source}"), "--target", "out"]);
    assert_eq!(fs::read(scene.path("out/first")).unwrap(), content(1, 3_000_000));
    // Not even a lock can be written now; reading goes on without one.
    let filler = scene.path("repository/filler");
    let _: Option<()> = fs::write(&filler, vec![1; 40 << 20]).ok();
    let prune = scene.run(&["prune"]);
    assert!(
        prune.code == 0 || (prune.code == 1 && prune.stderr.contains("hint: ")),
        "{prune}"
    );
    scene.ok(&["--no-lock", "restore", &format!("latest:{source}"), "--target", "out"]);
    fs::remove_file(filler).unwrap();
    disk.enlarge("size=200m");
    scene.ok(&["backup", &source]);
    assert_restores_latest(&scene, "all");
    scene.ok(&["prune"]);
    restic(&scene, &["check", "--read-data"]);
}

fn random_bytes(seed: u64, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    fastrand::Rng::with_seed(seed).fill(&mut out);
    out
}

#[test]
fn heavy_a_full_cache_is_no_reason_to_fail() {
    let scene = Scene::empty();
    TreeSpec {
        files: 3_000,
        files_per_dir: 30,
        max_bytes: 3_000,
        ..TreeSpec::default()
    }
    .build(&scene.path("source"))
    .unwrap();
    scene.ok(&["init"]);
    let source = scene.path("source").display().to_string();
    let _disk = Disk::mount(scene.path("cache"), "size=32k");
    for _ in 0..2 {
        scene.ok(&["--cache-dir", "cache", "backup", &source]);
        scene.ok(&[
            "--cache-dir",
            "cache",
            "restore",
            &format!("latest:{source}"),
            "--target",
            "out",
        ]);
        assert_same(&scene.path("source"), &scene.path("out"));
        fs::write(scene.path("source/one-more"), "x").unwrap();
    }
}

#[test]
fn heavy_a_full_target_is_refused_or_reported_and_goes_on_when_there_is_room() {
    let scene = Scene::empty();
    TreeSpec {
        files: 100,
        max_bytes: 400_000,
        ..TreeSpec::default()
    }
    .build(&scene.path("source"))
    .unwrap();
    scene.ok(&["init"]);
    let source = scene.path("source").display().to_string();
    scene.ok(&["backup", &source]);
    let disk = Disk::mount(scene.path("out"), "size=2m,nr_inodes=1000");
    let (snapshot, restore) = (format!("latest:{source}"), "restore");
    let refused = scene.run(&[restore, &snapshot, "--target", "out"]);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(refused.stderr.contains("hint: "), "{refused}");
    assert_eq!(
        fs::read_dir(scene.path("out")).unwrap().count(),
        0,
        "nothing is written before there is room"
    );
    // Room for the bytes, but not for as many files: noticed on the way.
    disk.enlarge("size=200m,nr_inodes=40");
    let full = scene.run(&[restore, &snapshot, "--target", "out"]);
    assert!(full.code == 1 || full.code == 3, "{full}");
    assert!(
        full.stderr.to_lowercase().contains("no space left") || full.stderr.contains("hint: "),
        "{full}"
    );
    disk.enlarge("size=200m,nr_inodes=1000");
    scene.ok(&[restore, &snapshot, "--target", "out"]);
    assert_same(&scene.path("source"), &scene.path("out"));
}

/// What blobs and packs are is a matter of the index, so one that is gone after a crash must not be believed.
#[test]
fn a_pack_that_no_index_lists_is_harmless() {
    let history = History::new();
    let repository = &history.sober;
    let index = repository.list(ObjectKind::Index).unwrap();
    backup(repository, &history.source(), "v4").unwrap();
    for (id, _) in repository.list(ObjectKind::Index).unwrap() {
        if !index.iter().any(|(old, _)| *old == id) {
            repository.delete(ObjectKind::Index, &id).unwrap();
        }
    }
    history
        .ids("v4")
        .iter()
        .for_each(|id| repository.delete(ObjectKind::Snapshot, id).unwrap());
    assert!(!assert_healthy(repository).orphan_packs.is_empty());
    backup(repository, &history.source(), "v4").unwrap();
    history.verify(&["v1", "v2", "v3", "v4"]);
    prune(repository).unwrap();
    history.verify(&["v1", "v2", "v3", "v4"]);
    let index = repository.load_index().unwrap();
    assert!(index.iter().any(|location| location.blob.kind == BlobKind::Tree));
    assert_eq!(assert_healthy(repository).orphan_packs, []);
}
