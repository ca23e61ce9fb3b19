//! Files that change, grow, shrink, vanish or become something else while they are read.

use crate::peer::*;
use crate::scene::Scene;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
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
            scene.ok(&[
                "restore",
                &format!("latest:{source}/live"),
                "--target",
                "changing",
                "--delete",
                "--verify",
            ]);
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
