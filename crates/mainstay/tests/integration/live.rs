//! Files that change, grow, shrink, vanish or become something else while they are read.

use crate::engine;
use crate::peer::*;
use crate::scene::{Scene, wait_until};
use repository::restic::backup::{self, BackupOptions, Report, Source};
use repository::restic::repository::Repository;
use repository::{Cancel, Counters, Monitor as _, Recorder};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use storage::MemoryStore;
use testkit::hook::HookedStore;
use testkit::recording::Operation;
use testkit::tree::{TreeSpec, content};

const SIZE: usize = 3_000_000;

/// One change of one of the files below `directory`.
fn change(directory: &Path, random: &mut fastrand::Rng) {
    let path = directory.join(format!("f{}", random.u8(..12)));
    let open = || File::options().write(true).open(&path);
    let is_file = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
    // Another change may have left nothing to change.
    let _: Option<()> = match random.u8(..9) {
        0 if is_file => open()
            .and_then(|file| file.write_all_at(&content(random.u64(..), 10_000), random.u64(..SIZE as u64)))
            .ok(),
        1 if is_file => open().and_then(|file| file.set_len(random.u64(..2 * SIZE as u64))).ok(),
        2 if is_file => open().and_then(|file| file.set_len(0)).ok(),
        3 => remove(&path),
        4 => remove(&path).and_then(|()| mknodat(CWD, &path, FileType::Fifo, Mode::RUSR, 0).ok()),
        5 => remove(&path).and_then(|()| symlink("f0", &path).ok()),
        6 => remove(&path)
            .and_then(|()| fs::create_dir(&path).ok())
            .and_then(|()| fs::write(path.join("in"), "x").ok()),
        7 => fs::rename(&path, directory.join("f5")).ok(),
        _ => remove(&path).and_then(|()| fs::write(&path, content(random.u64(..), SIZE)).ok()),
    };
}

/// Whatever is there; it is no error if nothing is.
fn remove(path: &Path) -> Option<()> {
    let removed = if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    removed
        .or_else(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                Ok(())
            } else {
                Err(error)
            }
        })
        .ok()
}

#[test]
fn files_change_while_they_are_read() {
    let scene = Scene::empty_in(scratch());
    let (still, live) = (scene.path("source/still"), scene.path("source/live"));
    TreeSpec {
        files: 60,
        max_bytes: 500_000,
        ..TreeSpec::default()
    }
    .build(&still)
    .unwrap();
    fs::create_dir(&live).unwrap();
    scene.ok(&["init"]);
    make_key_cheap(&scene.path("repository"));
    let source = scene.path("source").display().to_string();
    let stop = AtomicBool::new(false);
    let mut random = fastrand::Rng::with_seed(3);
    std::thread::scope(|scope| {
        let mutator = scope.spawn(|| {
            let mut changes = 0;
            while !stop.load(Ordering::Relaxed) {
                change(&live, &mut random);
                changes += 1;
            }
            changes
        });
        // Ends the other thread also when an assertion fails.
        let _stop = OnDrop(&stop);
        for _ in 0..6 {
            let ended = scene.run(&["backup", &source]);
            assert!(ended.code == 0 || ended.code == 3, "{ended}");
            assert!(!ended.to_string().contains("panicked"), "{ended}");
            scene.ok(&["restore", &format!("latest:{source}/still"), "--target", "out"]);
            assert_same(&still, &scene.path("out"));
            // The changing files come out as something, of one piece.
            let from = format!("latest:{source}/live");
            let restore = ["restore", &from, "--target", "changing", "--verify", "--delete"];
            if ended.code == 3 {
                // What an incomplete snapshot lacks is not removed.
                let refused = scene.run(&restore);
                assert!(
                    refused.code == 1 && refused.stderr.contains("would be removed"),
                    "{refused}"
                );
                fs::remove_dir_all(scene.path("changing")).ok();
            }
            scene.ok(&restore[..restore.len() - usize::from(ended.code == 3)]);
        }
        stop.store(true, Ordering::Relaxed);
        assert!(mutator.join().unwrap() > 20);
    });
    // When it is quiet again, everything is captured, whatever was noted about it while it changed.
    scene.ok(&["backup", &source]);
    scene.ok(&["restore", &format!("latest:{source}"), "--target", "all"]);
    assert_same(&scene.path("source"), &scene.path("all"));
    scene.ok(&["check", "--read-data"]);
    restic(&scene, &["check", "--read-data"]);
}

struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// More than all queues and buffers hold.
const LARGE: usize = 160 << 20;

/// Back up a file of [`LARGE`] bytes that `change` changes when some of it is read, but not all. Returns what was stored of it.
fn changed_in_the_middle(change: impl FnOnce(&File)) -> (Report, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("large");
    fs::write(&path, content(1, LARGE)).unwrap();
    let (waiting, is_open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let gate = {
        let (waiting, is_open) = (Arc::clone(&waiting), Arc::clone(&is_open));
        move |operation, name: &str| {
            if operation == Operation::Write && name.starts_with("data/") {
                waiting.fetch_add(1, Ordering::SeqCst);
                wait_until("the gate is open", || is_open.load(Ordering::SeqCst));
            }
        }
    };
    let repository = engine::init(Arc::new(HookedStore::new(Arc::new(MemoryStore::default()), gate)));
    let report = std::thread::scope(|scope| {
        let options = BackupOptions {
            pack: engine::small_packs(),
            ..BackupOptions::default()
        };
        let repository = &repository;
        let backup = scope.spawn(move || engine::backup_with(repository, directory.path(), &options));
        wait_until("packs are on their way", || waiting.load(Ordering::SeqCst) > 0);
        change(&File::options().write(true).open(&path).unwrap());
        is_open.store(true, Ordering::SeqCst);
        backup.join().unwrap().unwrap()
    });
    let stored = restored(&repository, &report, &path);
    (report, stored)
}

fn restored(repository: &Repository, report: &Report, path: &Path) -> Vec<u8> {
    let target = tempfile::tempdir().unwrap();
    let one = report.snapshot.clone().unwrap();
    engine::restore_to(repository, &one, path.parent().unwrap(), target.path()).unwrap();
    fs::read(target.path().join(path.file_name().unwrap())).unwrap()
}

#[test]
fn a_file_that_grows_while_it_is_read_is_stored_as_it_is_then_and_noted() {
    let more = content(2, 1_000_000);
    let (report, stored) = changed_in_the_middle(|file| file.write_all_at(&more, LARGE as u64).unwrap());
    assert_eq!((report.totals.changed_while_read, report.totals.problems), (1, 0));
    assert!(stored == [content(1, LARGE), more].concat());
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_stored_as_far_as_it_was_read_and_noted() {
    let (report, stored) = changed_in_the_middle(|file| file.set_len(1).unwrap());
    assert_eq!((report.totals.changed_while_read, report.totals.problems), (1, 0));
    assert!(!stored.is_empty() && stored.len() < LARGE);
    assert!(stored == content(1, LARGE)[..stored.len()]);
}

/// The only reader waits for a stream, while the files are listed already.
#[test]
fn files_that_vanish_or_become_something_else_before_they_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let files = ["vanishes", "replaced", "shorter", "stays"].map(|name| directory.path().join(name));
    files.iter().for_each(|path| fs::write(path, "content").unwrap());
    let repository = engine::init(Arc::new(MemoryStore::default()));
    let (release, released) = mpsc::channel::<()>();
    let stream = Source::Stream {
        path: "/a-stream".into(),
        reader: Box::new(Waiting(released)),
        finish: Box::new(|| Ok(())),
        required: true,
    };
    let monitor = Recorder::default();
    let report = std::thread::scope(|scope| {
        let (repository, monitor) = (&repository, &monitor);
        let sources = vec![stream, Source::Path(directory.path().to_owned())];
        let options = BackupOptions {
            read_concurrency: 1,
            ..BackupOptions::default()
        };
        let backup = scope.spawn(move || backup::run(repository, sources, &options, &Cancel::default(), monitor));
        wait_until("all files are listed", || {
            Counters::get(&monitor.counters().total_files) >= files.len() as u64
        });
        fs::remove_file(&files[0]).unwrap();
        fs::remove_file(&files[1]).unwrap();
        fs::create_dir(&files[1]).unwrap();
        fs::write(&files[2], "").unwrap();
        release.send(()).unwrap();
        backup.join().unwrap().unwrap()
    });
    // One that is gone is rightly not there; one that is no file any more is a problem, and the next backup takes what it is then.
    assert_eq!(
        (report.totals.vanished, report.totals.problems),
        (1, 1),
        "{:?}",
        monitor.problems.lock()
    );
    assert_eq!(restored(&repository, &report, &files[2]), b"");
    assert_eq!(restored(&repository, &report, &files[3]), b"content");
}

struct Waiting(mpsc::Receiver<()>);

impl std::io::Read for Waiting {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0.recv().is_err() {
            return Ok(0);
        }
        // One byte, and the end next time.
        self.0 = mpsc::channel().1;
        buffer[0] = b'x';
        Ok(1)
    }
}
