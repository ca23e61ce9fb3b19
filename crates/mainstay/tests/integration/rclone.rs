//! The program on a remote of rclone, with restic as the judge.

use crate::peer::*;
use crate::scene::{Ended, Scene};
use std::fs;
use testkit::tree::{TreeSpec, content};

/// A scene whose repository is in a remote that is a folder.
fn scene() -> Scene {
    let scene = Scene::empty_in(scratch());
    let tree = TreeSpec {
        files: 60,
        max_bytes: 400_000,
        ..TreeSpec::default()
    };
    tree.build(&scene.path("source")).unwrap();
    let remote = format!("[nas]\ntype = alias\nremote = {}\n", scene.path("").display());
    fs::write(scene.path("rclone.conf"), remote).unwrap();
    scene
}

fn run(scene: &Scene, arguments: &[&str]) -> Ended {
    let mut command = scene.command();
    command
        .env("MAINSTAY_REPOSITORY", "rclone:nas:repository")
        .env("RCLONE_CONFIG", scene.path("rclone.conf"));
    scene.ended(command.args(arguments))
}

fn ok(scene: &Scene, arguments: &[&str]) {
    let ended = run(scene, arguments);
    assert_eq!(ended.code, 0, "{arguments:?}: {ended}");
}

fn restores_latest(scene: &Scene, source: &str) {
    ok(
        scene,
        &["restore", &format!("latest:{source}"), "--target", "out", "--delete"],
    );
    assert_same(&scene.path("source"), &scene.path("out"));
}

#[test]
fn heavy_everything_that_a_user_does_over_rclone() {
    let scene = scene();
    let source = scene.path("source").display().to_string();
    ok(&scene, &["init"]);
    for round in 0..2 {
        fs::write(scene.path(&format!("source/new-{round}")), content(round, 300_000)).unwrap();
        ok(&scene, &["backup", &source]);
    }
    ok(&scene, &["check", "--read-data"]);
    restic(&scene, &["check", "--read-data"]);
    restores_latest(&scene, &source);
    ok(&scene, &["forget", "--keep-last", "1", "--prune", "--max-unused", "0"]);
    restic(&scene, &["check", "--read-data"]);
    restic(&scene, &["backup", &source]);
    restores_latest(&scene, &source);
}

#[test]
fn heavy_a_remote_that_is_not_there_is_named() {
    let scene = scene();
    let ended = run(&scene, &["-r", "rclone:nope:x", "snapshots"]);
    assert!(
        ended.code == 2 && ended.stderr.contains("hint: Check the remote"),
        "{ended}"
    );
    let ended = run(&scene, &["-o", "rclone.program=/nowhere", "snapshots"]);
    assert!(ended.code == 2 && ended.stderr.contains("Install rclone"), "{ended}");
    let ended = run(&scene, &["snapshots"]);
    assert_eq!(ended.code, 10, "{ended}");
}
