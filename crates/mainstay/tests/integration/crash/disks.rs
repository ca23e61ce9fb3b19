//! Disks that are full.

use super::{assert_restores_latest, random_bytes};
use crate::peer::*;
use crate::scene::Scene;
use std::fs;
use std::path::{Path, PathBuf};
use testkit::tree::{TreeSpec, content};

/// A small disk, unmounted in the end.
pub struct Disk(PathBuf);

impl Disk {
    pub fn mount(path: PathBuf, options: &str) -> Self {
        fs::create_dir_all(&path).unwrap();
        mount(&["-t", "tmpfs", "-o", options, "tmpfs"], &path);
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
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
