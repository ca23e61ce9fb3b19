//! restic as the oracle, in both directions.

use crate::peer::*;
use crate::scene::{Scene, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Child;
use testkit::tree::{CompareOptions, TreeSpec, compare_trees, content, every_kind};

/// The directory that is backed up, as text.
fn source(scene: &Scene) -> String {
    scene.path("source").display().to_string()
}

fn repository_bytes(scene: &Scene) -> u64 {
    scene
        .objects("")
        .iter()
        .map(|path| fs::metadata(path).unwrap().len())
        .sum()
}

/// Restored by us, the newest snapshot is what the source is now.
fn we_restore_latest(scene: &Scene) {
    scene.ok(&["restore", &format!("latest:{}", source(scene)), "--target", "ours"]);
    assert_same(&scene.path("source"), &scene.path("ours"));
    fs::remove_dir_all(scene.path("ours")).unwrap();
}

/// Restored by restic; returns where.
fn restic_restores(scene: &Scene, snapshot: &str, target: &str) -> PathBuf {
    restic(scene, &["restore", snapshot, "--target", target]);
    below(&scene.path(target), &scene.path("source"))
}

fn restic_restores_latest(scene: &Scene) {
    assert_same(&scene.path("source"), &restic_restores(scene, "latest", "theirs"));
    fs::remove_dir_all(scene.path("theirs")).unwrap();
}

/// What a change makes of a tree of [`TreeSpec`]: files new, changed and gone, and a directory gone.
fn change(scene: &Scene, round: u64) {
    let path = |name: String| scene.path("source").join(name);
    fs::write(path(format!("new-{round}")), content(round, 70_000)).unwrap();
    fs::write(
        path("dir-0000/file-000001.dat".to_owned()),
        content(100 + round, 50_000),
    )
    .unwrap();
    let _: Option<()> = fs::remove_file(path(format!("dir-0001/file-{:06}.dat", 10 + round))).ok();
    let _: Option<()> = fs::remove_dir_all(path(format!("dir-{:04}", 4 + round))).ok();
}

/// The fields of `a`, which restic wrote, in `b`, which we wrote.
fn assert_fields(a: &Value, b: &Value) {
    for (name, value) in a.as_object().unwrap() {
        assert_eq!(b.get(name), Some(value), "{name} of {a}");
    }
}

fn same_listing(scene: &Scene) {
    let theirs = json_lines(&restic(scene, &["ls", "--json", "latest"]));
    let ours = json_lines(&plain(scene, &["ls", "--json", "latest"]));
    assert_eq!(theirs.len(), ours.len());
    assert!(theirs.len() > 3);
    theirs.iter().zip(&ours).for_each(|(a, b)| assert_fields(a, b));
}

fn changes(text: &str) -> Vec<(String, String)> {
    let field = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().trim_end_matches('/').to_owned();
    let all = json_lines(text);
    let mut changes: Vec<_> = all
        .iter()
        .filter(|line| line["message_type"] == "change")
        .map(|line| (field(line, "path"), field(line, "modifier")))
        .collect();
    changes.sort();
    changes
}

fn same_difference(scene: &Scene) {
    let snapshots: Value = serde_json::from_str(&restic(scene, &["snapshots", "--json"])).unwrap();
    let ids: Vec<&str> = snapshots
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_str().unwrap())
        .collect();
    let arguments = ["diff", "--json", ids[0], ids[1]];
    let (theirs, ours) = (restic(scene, &arguments), plain(scene, &arguments));
    assert!(!changes(&theirs).is_empty());
    assert_eq!(changes(&theirs), changes(&ours));
    assert_eq!(summary(&theirs)["changed_files"], summary(&ours)["changed_files"]);
}

#[test]
fn restic_reads_what_we_write() {
    let scene = Scene::empty();
    every_kind(&scene.path("source"), 1).unwrap();
    scene.ok(&["init"]);
    scene.ok(&[
        "backup",
        &source(&scene),
        "--tag",
        "first,second",
        "--host",
        "elsewhere",
    ]);
    restic(&scene, &["check", "--read-data"]);
    fs::write(scene.path("source/contents/small"), "changed").unwrap();
    fs::remove_file(scene.path("source/links/hard")).unwrap();
    fs::create_dir(scene.path("source/another")).unwrap();
    scene.ok(&["backup", &source(&scene), "--host", "elsewhere"]);
    restic(&scene, &["check", "--read-data"]);
    let snapshots: Value =
        serde_json::from_str(&restic(&scene, &["snapshots", "--json", "--host", "elsewhere"])).unwrap();
    assert_eq!(snapshots[0]["tags"], serde_json::json!(["first", "second"]));
    assert_eq!(snapshots[1]["parent"], snapshots[0]["id"]);
    same_listing(&scene);
    same_difference(&scene);
    we_restore_latest(&scene);
}

/// What this restic cannot put back, it cannot put back of its own snapshots either: the differences have to be the same.
#[test]
fn restic_restores_ours_as_it_restores_its_own() {
    let scene = Scene::empty();
    every_kind(&scene.path("source"), 2).unwrap();
    // restic 0.14 takes the attributes of a symbolic link for those of the file that it leads to.
    rustix::fs::lremovexattr(scene.path("source/attributes/link"), "trusted.of-link").unwrap();
    // And it loses bytes of a link's target that are not UTF-8.
    fs::remove_file(scene.path("source/links/not-utf8")).unwrap();
    scene.ok(&["init"]);
    scene.ok(&["backup", &source(&scene), "--tag", "ours"]);
    restic(&scene, &["backup", &source(&scene), "--tag", "theirs", "--force"]);
    let differences = |tag: &str| {
        restic(&scene, &["restore", "latest", "--tag", tag, "--target", tag]);
        let restored = below(&scene.path(tag), &scene.path("source"));
        compare_trees(&scene.path("source"), &restored, &CompareOptions::default())
    };
    assert_eq!(differences("ours"), differences("theirs"));
    // And we restore what it wrote, all of it.
    scene.ok(&[
        "restore",
        &format!("latest:{}", source(&scene)),
        "--tag",
        "theirs",
        "--target",
        "out",
    ]);
    assert_same(&scene.path("source"), &scene.path("out"));
}

#[test]
fn restic_prunes_ours_and_we_go_on() {
    let scene = Scene::empty();
    TreeSpec {
        max_bytes: 300_000,
        ..TreeSpec::default()
    }
    .build(&scene.path("source"))
    .unwrap();
    scene.ok(&["init"]);
    for round in 0..4 {
        change(&scene, round);
        scene.ok(&["backup", &source(&scene)]);
    }
    restic(&scene, &["forget", "--keep-last", "2", "--prune", "--max-unused", "0"]);
    scene.ok(&["check", "--read-data"]);
    assert_eq!(scene.objects("snapshots").len(), 2);
    we_restore_latest(&scene);
    change(&scene, 4);
    scene.ok(&["backup", &source(&scene)]);
    we_restore_latest(&scene);
    restic(&scene, &["check", "--read-data"]);
    restic_restores_latest(&scene);
}

fn we_go_on_where_restic_stopped(version: &str) {
    let scene = Scene::empty();
    TreeSpec {
        max_bytes: 300_000,
        ..TreeSpec::default()
    }
    .build(&scene.path("source"))
    .unwrap();
    fs::write(scene.path("source/large"), content(77, 20 << 20)).unwrap();
    restic(&scene, &["init", "--repository-version", version]);
    restic(&scene, &["backup", &source(&scene), "--tag", "theirs"]);
    same_listing(&scene);
    scene.ok(&["check", "--read-data"]);
    we_restore_latest(&scene);
    let before = repository_bytes(&scene);
    // Everything is read and cut anew, and found to be there.
    let backup = summary(&scene.ok(&["backup", "--json", "--force", &source(&scene), "--tag", "ours"]));
    assert_eq!(backup["data_blobs"], 0, "{backup}");
    assert!(
        repository_bytes(&scene) - before < 60_000,
        "{before} {}",
        repository_bytes(&scene)
    );
    for round in 0..3 {
        change(&scene, round);
        scene.ok(&["backup", &source(&scene), "--tag", "ours"]);
    }
    restic(&scene, &["check", "--read-data"]);
    scene.ok(&["forget", "--keep-last", "2", "--prune", "--max-unused", "0"]);
    restic(&scene, &["check", "--read-data"]);
    restic_restores_latest(&scene);
    we_restore_latest(&scene);
    let backup = summary(&restic(&scene, &["backup", "--json", "--force", &source(&scene)]));
    assert_eq!(backup["data_blobs"], 0, "{backup}");
    scene.ok(&["check", "--read-data"]);
}

#[test]
fn we_go_on_with_a_repository_of_restic() {
    we_go_on_where_restic_stopped("2");
}

#[test]
fn we_go_on_with_a_repository_of_version_1() {
    we_go_on_where_restic_stopped("1");
}

#[test]
fn writers_take_turns() {
    let scene = Scene::empty();
    TreeSpec {
        max_bytes: 200_000,
        ..TreeSpec::default()
    }
    .build(&scene.path("source"))
    .unwrap();
    scene.ok(&["init"]);
    for round in 0..3 {
        change(&scene, 2 * round);
        scene.ok(&["backup", &source(&scene)]);
        change(&scene, 2 * round + 1);
        restic(&scene, &["backup", &source(&scene)]);
        let both = ["forget", "--keep-last", "3", "--prune", "--max-unused", "0"];
        if round % 2 == 0 {
            restic(&scene, &both)
        } else {
            scene.ok(&both)
        };
        scene.ok(&["check", "--read-data"]);
        restic(&scene, &["check", "--read-data"]);
        we_restore_latest(&scene);
    }
    restic_restores_latest(&scene);
}

/// It has to succeed, whatever happened to it meanwhile.
fn end(mut child: Child) {
    child.stdin.take().unwrap().write_all(b"content").unwrap();
    assert!(child.wait().unwrap().success());
}

fn kill(mut child: Child) {
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
}

/// Without the files that restic has not given their names yet.
fn locks(scene: &Scene) -> usize {
    scene
        .objects("locks")
        .iter()
        .filter(|path| path.file_name().unwrap().len() == 64)
        .count()
}

#[test]
fn a_lock_of_restic_stops_us_and_a_stale_one_does_not() {
    let scene = Scene::with_snapshot();
    let holder = start_restic(&scene, &["backup", "--stdin"]);
    wait_until("the lock of restic", || locks(&scene) == 1);
    for arguments in [
        &["prune"][..],
        &["forget", "--keep-last", "1"],
        &["repair", "index"],
        &["tag", "--add", "x", "latest"],
    ] {
        let refused = scene.run(arguments);
        assert_eq!(refused.code, 11, "{arguments:?}: {refused}");
        assert!(
            refused.stderr.contains("hint: ") && refused.stderr.contains("by process"),
            "{refused}"
        );
    }
    // Adding and reading goes on beside it.
    scene.ok(&["backup", "source"]);
    scene.ok(&["check"]);
    assert!(scene.ok(&["unlock"]).contains("1 lock still held"));
    kill(holder);
    assert_eq!(locks(&scene), 1);
    assert!(scene.ok(&["unlock"]).contains("removed 1 lock"));
    assert_eq!(locks(&scene), 0);
    let holder = start_restic(&scene, &["backup", "--stdin"]);
    wait_until("the second lock of restic", || locks(&scene) == 1);
    kill(holder);
    // Nobody has to unlock by hand.
    scene.ok(&["prune"]);
    assert_eq!(locks(&scene), 0);
}

#[test]
fn our_lock_stops_restic_and_a_stale_one_is_removed_by_it() {
    let scene = Scene::with_snapshot();
    let holder = scene.start(&["backup", "--stdin"]);
    wait_until("our lock", || locks(&scene) == 1);
    let refused = try_restic(&scene, &["prune"]);
    assert_ne!(refused.code, 0, "{refused}");
    assert!(refused.stderr.contains("already locked"), "{refused}");
    restic(&scene, &["backup", &source(&scene)]);
    restic(&scene, &["unlock"]);
    assert_eq!(locks(&scene), 1, "restic takes a lock for stale that is held");
    end(holder);
    assert_eq!(locks(&scene), 0);
    restic(&scene, &["prune"]);
    let holder = scene.start(&["backup", "--stdin"]);
    wait_until("our second lock", || locks(&scene) == 1);
    kill(holder);
    restic(&scene, &["unlock"]);
    assert_eq!(locks(&scene), 0);
}
