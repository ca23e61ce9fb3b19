//! What is not to happen, whatever a user does.

use crate::jobs::Jobs;
use crate::scene::{Scene, wait_until};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;

/// Once lost a source that lies in another one, on another file system.
#[test]
fn a_source_within_another_is_kept_whatever_its_file_system() {
    let scene = Scene::with_repository();
    let other = tempfile::tempdir_in("/dev/shm").unwrap();
    fs::create_dir_all(other.path().join("named/deep")).unwrap();
    fs::write(other.path().join("named/deep/file"), "x").unwrap();
    fs::write(other.path().join("not-named"), "x").unwrap();
    let named = other.path().join("named").display().to_string();
    for sources in [["/dev", &named], [&named, "/dev"]] {
        scene.ok(&[
            "backup",
            "--one-file-system",
            "--exclude",
            "/dev/fd",
            sources[0],
            sources[1],
        ]);
        let listed = scene.ok(&["ls", "latest"]);
        assert!(listed.contains(&format!("{named}/deep/file\n")), "{listed}");
        assert!(
            listed.contains("/dev/null\n") && !listed.contains("not-named"),
            "{listed}"
        );
    }
}

/// Once removed the repository that it was reading from.
#[test]
fn a_restore_does_not_remove_the_repository_or_go_into_it() {
    let scene = Scene::with_snapshot();
    let source = scene.path("source").display().to_string();
    let target = scene.path("target");
    fs::create_dir_all(target.join("inner")).unwrap();
    fs::rename(scene.path("repository"), target.join("inner/moved")).unwrap();
    symlink(target.join("inner/moved"), scene.path("repository")).unwrap();
    fs::write(target.join("other"), "").unwrap();
    let subfolder = format!("latest:{source}");
    let restored = scene.run(&["restore", &subfolder, "--target", "target", "--delete"]);
    assert_eq!(restored.code, 3, "{restored}");
    assert!(
        restored.stderr.contains("inner") && restored.stderr.contains("stays"),
        "{restored}"
    );
    assert!(!target.join("other").exists() && target.join("b.txt").exists());
    for inside in ["target/inner/moved", "target/inner/moved/new/folder", "repository"] {
        let refused = scene.run(&["restore", &subfolder, "--target", inside]);
        assert_eq!(refused.code, 1, "{inside}: {refused}");
        assert!(refused.stderr.contains("hint: "), "{refused}");
    }
    scene.ok(&["check", "--read-data"]);
}

/// Any filter at all once led past this.
#[test]
fn deleting_the_system_is_refused_whatever_the_filter() {
    let scene = Scene::with_snapshot();
    for filter in [
        &["--exclude", "foo"][..],
        &["--exclude-regex", "zzz"],
        &["--include", "*"],
        &["--include", "/*"],
        &["--include", "/**"],
        &["--include-regex", "."],
        &[],
    ] {
        for target in ["/", "//", "/tmp/.."] {
            let arguments = [
                &["restore", "latest", "--target", target, "--delete", "--dry-run"],
                filter,
            ]
            .concat();
            let refused = scene.run(&arguments);
            assert_eq!(refused.code, 1, "{arguments:?}: {refused}");
            assert!(refused.stderr.contains("would delete"), "{refused}");
        }
    }
    let included = scene.path("source").display().to_string();
    scene.ok(&[
        "restore",
        "latest",
        "--target",
        "/",
        "--delete",
        "--dry-run",
        "--include",
        &included,
    ]);
}

#[test]
fn a_restore_of_nothing_is_no_success() {
    let scene = Scene::with_snapshot();
    for more in [&["--dry-run"][..], &[]] {
        let arguments = [
            &["restore", "latest", "--target", "target", "--include", "/not/there"],
            more,
        ]
        .concat();
        let refused = scene.run(&arguments);
        assert_eq!(refused.code, 1, "{refused}");
        assert!(
            refused.stderr.contains("fits the patterns") && refused.stderr.contains("hint: "),
            "{refused}"
        );
    }
}

#[test]
fn a_dry_run_says_what_would_be_removed_and_what_is_there() {
    let scene = Scene::with_snapshot();
    let subfolder = format!("latest:{}", scene.path("source").display());
    let run = |more: &[&str]| scene.ok(&[&["restore", &subfolder, "--target", "target", "--delete"], more].concat());
    run(&[]);
    fs::write(scene.path("target/b.txt"), "changed").unwrap();
    fs::create_dir(scene.path("target/extra")).unwrap();
    fs::write(scene.path("target/extra/file"), "").unwrap();
    let planned = run(&["--dry-run", "--json", "-vv"]);
    let lines: Vec<serde_json::Value> = planned
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let summary = lines.last().unwrap();
    assert_eq!(
        (&summary["files_deleted"], &summary["files_identical"]),
        (&2.into(), &1.into()),
        "{planned}"
    );
    for text in [
        "/extra/file",
        "deleted",
        "/b.txt",
        "changed",
        "/folder/a.txt",
        "unchanged",
    ] {
        assert!(planned.contains(text), "{text}: {planned}");
    }
    assert!(scene.path("target/extra/file").exists());
    let done: serde_json::Value = serde_json::from_str(run(&["--json"]).lines().last().unwrap()).unwrap();
    assert_eq!(done["files_deleted"], summary["files_deleted"]);
}

/// Once ended with a snapshot whose data a prune had taken for leftovers.
#[test]
fn a_backup_whose_lock_was_removed_fails() {
    let scene = Scene::with_repository();
    let mut holder = scene.start(&["--pack-size", "4", "backup", "--stdin"]);
    let mut noise = vec![0; 12 << 20];
    fastrand::Rng::with_seed(1).fill(&mut noise);
    holder.stdin.as_mut().unwrap().write_all(&noise).unwrap();
    wait_until("packs", || !scene.objects("data").is_empty());
    scene.ok(&["unlock", "--remove-all"]);
    scene.ok(&["prune"]);
    holder.stdin.take().unwrap().write_all(b"the end").unwrap();
    assert_eq!(holder.wait().unwrap().code(), Some(1));
    assert!(scene.objects("snapshots").is_empty());
    scene.ok(&["backup", "source"]);
    scene.ok(&["check", "--read-data"]);
}

/// Once removed files that were only missing in the snapshot because they could not be read.
#[test]
fn an_incomplete_snapshot_is_no_reason_to_remove_anything() {
    let jobs = Jobs::new(
        "
repositories:
  main: {url: ./main, password: {file: password}}
jobs:
  data:
    sources:
      - files: ./data
      - command: {run: [sh, -c, 'exit 3'], name: dump.sql}
",
    );
    assert_eq!(jobs.run(&["run", "--init"]).code, 3);
    fs::create_dir_all(jobs.scene.path("out/command")).unwrap();
    fs::write(jobs.scene.path("out/command/dump.sql"), "of yesterday").unwrap();
    let restore = ["-r", "main", "restore", "latest", "--target", "out"];
    for more in [&["--delete"][..], &["--delete", "--dry-run"]] {
        let refused = jobs.run(&[&restore, more].concat());
        assert_eq!(refused.code, 1, "{refused}");
        assert!(
            refused.stderr.contains("1 entry is missing in the snapshot")
                && refused
                    .stderr
                    .contains("hint: Restore without `--delete`, or another snapshot."),
            "{refused}"
        );
    }
    assert_eq!(jobs.run(&restore).code, 0);
    assert!(jobs.scene.path("out/command/dump.sql").exists());
}
