//! Archives restored over what is there, and `--delete`.

use crate::archives::{DAY_1, archive, archive_with, failed, run};
use crate::peer::assert_same;
use crate::scene::Scene;
use repository::archive::{Compression, Encryption, GzipLevel, WriteOptions};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use testkit::tree::TreeSpec;

/// Arguments that make a target the same as the source.
const DELETE: [&str; 5] = ["restore", "latest:/source", "--target", "out", "--delete"];

/// A tree in an archive, restored to `out`.
fn restored(options: &WriteOptions) -> Scene {
    let scene = Scene::empty();
    TreeSpec {
        files: 40,
        max_bytes: 5_000,
        ..TreeSpec::default()
    }
    .build(&scene.path("source"))
    .unwrap();
    fs::create_dir_all(scene.path("source/kept/deep")).unwrap();
    fs::write(scene.path("source/kept/deep/a.txt"), "a").unwrap();
    archive_with(&scene, "db-1", DAY_1, options);
    assert_eq!(run(&scene, &DELETE).code, 0);
    assert_same(&scene.path("source"), &scene.path("out"));
    scene
}

fn plain() -> WriteOptions {
    WriteOptions::new(Encryption::None)
}

fn without_index() -> WriteOptions {
    WriteOptions {
        compression: Compression::Gzip(GzipLevel::default()),
        ..plain()
    }
}

fn deleted(scene: &Scene, more: &[&str]) -> (Value, String) {
    let ended = run(scene, &[&DELETE, more].concat());
    assert_eq!(ended.code, 0, "{ended}");
    let last: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    (last["files_deleted"].clone(), ended.stdout)
}

#[test]
fn what_an_archive_does_not_hold_is_removed_when_that_is_asked_for() {
    for options in [plain(), without_index()] {
        let scene = restored(&options);
        fs::write(scene.path("out/extra"), "").unwrap();
        fs::create_dir_all(scene.path("out/kept/deep/more/folder")).unwrap();
        fs::write(scene.path("out/kept/deep/more/b.txt"), "").unwrap();
        fs::write(scene.path("out/kept/deep/a.txt"), "changed").unwrap();
        let (planned, told) = deleted(&scene, &["--dry-run", "--json", "-vv"]);
        assert_eq!(planned, 4, "{told}");
        assert!(
            told.contains("/kept/deep/more/b.txt") && told.contains("deleted"),
            "{told}"
        );
        assert!(scene.path("out/extra").exists() && scene.path("out/kept/deep/more/b.txt").exists());
        assert_eq!(deleted(&scene, &["--json"]).0, planned);
        // Times of directories included.
        assert_same(&scene.path("source"), &scene.path("out"));
        assert_eq!(deleted(&scene, &["--json"]).0, 0);
    }
}

#[test]
fn what_is_not_chosen_and_what_no_archive_can_hold_stays() {
    let scene = restored(&plain());
    for name in ["out/extra.txt", "out/kept/extra.txt", "out/kept/extra.log"] {
        fs::write(scene.path(name), "").unwrap();
    }
    let _socket = UnixListener::bind(scene.path("out/kept/socket")).unwrap();
    let (count, told) = deleted(&scene, &["--json", "--include", "/kept/*.txt"]);
    assert_eq!(count, 1, "{told}");
    assert!(!scene.path("out/kept/extra.txt").exists());
    assert!(scene.path("out/extra.txt").exists() && scene.path("out/kept/extra.log").exists());
    let (count, told) = deleted(&scene, &["--json", "--exclude", "*.log"]);
    assert_eq!(count, 1, "{told}");
    assert!(!scene.path("out/extra.txt").exists() && scene.path("out/kept/extra.log").exists());
    assert_eq!(deleted(&scene, &["--json"]).0, 1);
    assert!(scene.path("out/kept/socket").exists());
}

#[test]
fn what_is_in_the_way_goes_if_it_may() {
    let scene = restored(&plain());
    fs::create_dir(scene.path("elsewhere")).unwrap();
    fs::write(scene.path("elsewhere/precious"), "").unwrap();
    let spoil = || {
        fs::remove_file(scene.path("out/kept/deep/a.txt")).unwrap();
        fs::create_dir_all(scene.path("out/kept/deep/a.txt/folder")).unwrap();
        fs::rename(scene.path("out/kept"), scene.path("out/moved")).unwrap();
        symlink(scene.path("elsewhere"), scene.path("out/kept")).unwrap();
    };
    spoil();
    let stays = run(&scene, &["restore", "latest:/source", "--target", "out"]);
    assert_eq!(stays.code, 3, "{stays}");
    fs::remove_file(scene.path("out/kept")).unwrap();
    fs::rename(scene.path("out/moved"), scene.path("out/kept")).unwrap();
    let stays = run(&scene, &["restore", "latest:/source", "--target", "out"]);
    assert!(
        stays.code == 3 && stays.stderr.contains("a directory in its place"),
        "{stays}"
    );
    assert_eq!(run(&scene, &DELETE).code, 0);
    assert_same(&scene.path("source"), &scene.path("out"));
    spoil();
    assert_eq!(run(&scene, &DELETE).code, 0);
    assert_same(&scene.path("source"), &scene.path("out"));
    assert!(scene.path("elsewhere/precious").exists());
}

#[test]
fn nothing_is_removed_where_the_archive_does_not_say_what_belongs_there() {
    let scene = restored(&plain());
    let refused = |arguments: &[&str], part: &str| {
        failed(&scene, &[&["restore"], arguments, &["--delete"]].concat(), 1, part);
        assert_same(&scene.path("source"), &scene.path("out"));
    };
    refused(&["latest:/nowhere", "--target", "out"], "no directory `/nowhere`");
    refused(
        &["latest:/nowhere", "--target", "out", "--dry-run"],
        "no directory `/nowhere`",
    );
    refused(&["latest", "--target", "archives"], "lies in it");
    for target in ["/", "/tmp/.."] {
        refused(&["latest", "--target", target, "--dry-run"], "would delete");
        refused(
            &["latest", "--target", target, "--dry-run", "--include", "/*"],
            "would delete",
        );
    }
    // As if a file had been unreadable.
    let manifest = scene.path("archives/db-1.manifest.json");
    let json = fs::read_to_string(&manifest).unwrap();
    fs::remove_file(&manifest).unwrap();
    fs::write(&manifest, json.replace("\"problems\": 0", "\"problems\": 2")).unwrap();
    refused(&["latest:/source", "--target", "out"], "2 entries are missing");
}

#[test]
fn the_repository_of_archives_in_the_target_stays() {
    let scene = restored(&plain());
    fs::create_dir(scene.path("out/inner")).unwrap();
    fs::rename(scene.path("archives"), scene.path("out/inner/archives")).unwrap();
    symlink(scene.path("out/inner/archives"), scene.path("archives")).unwrap();
    fs::write(scene.path("out/other"), "").unwrap();
    let ended = run(&scene, &DELETE);
    assert!(ended.code == 3 && ended.stderr.contains("stays"), "{ended}");
    assert!(!scene.path("out/other").exists());
    assert_eq!(run(&scene, &["check", "--read-data"]).code, 0);
}

/// What OpenPGP decrypts is restored into an empty directory only, so there is nothing to remove.
#[test]
fn deleting_asks_for_nothing_where_the_target_has_to_be_empty() {
    let scene = Scene::empty();
    fs::create_dir(scene.path("source")).unwrap();
    fs::write(scene.path("source/a"), "a").unwrap();
    let passphrase = repository::archive::Passphrase::new("secret").unwrap();
    archive(&scene, "db-1", DAY_1, Encryption::OpenPgpPassphrase(passphrase));
    let restore = || {
        let mut command = scene.command();
        command.env("MAINSTAY_REPOSITORY", "archive:archives").args(DELETE);
        scene.ended(&mut command)
    };
    assert_eq!(restore().code, 0);
    assert_same(&scene.path("source"), &scene.path("out"));
    let again = restore();
    assert!(again.code == 1 && again.stderr.contains("is not empty"), "{again}");
}
