//! Trees that are hard to back up and to put back.

use crate::peer::*;
use crate::scene::{Ended, Scene};
use std::fs::{self, File, Permissions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::time::{Duration, Instant};
use testkit::tree::{CompareOptions, compare_trees, every_kind};

fn source(scene: &Scene) -> String {
    scene.path("source").display().to_string()
}

/// Everything, with the metadata of directories above, as a user restores it who lost all.
#[test]
fn every_kind_of_entry_comes_back() {
    let scene = Scene::empty();
    every_kind(&scene.path("source"), 3).unwrap();
    scene.ok(&["init"]);
    scene.ok(&["backup", &source(&scene)]);
    // The second has the first as its parent, and takes over everything.
    let second = summary(&scene.ok(&["backup", "--json", &source(&scene)]));
    assert_eq!(
        (second["files_new"].as_u64(), second["files_changed"].as_u64()),
        (Some(0), Some(0)),
        "{second}"
    );
    assert_eq!(second["data_blobs"], 0, "{second}");
    scene.ok(&["restore", "latest", "--target", "out", "--verify"]);
    let restored = below(&scene.path("out"), &scene.path("source"));
    assert_same_and_sparse(&scene.path("source"), &restored);
    // Once more onto what is there: nothing is written.
    let again = summary(&scene.ok(&["restore", "latest", "--target", "out", "--json"]));
    assert_eq!(
        (again["bytes_restored"].as_u64(), again["files_restored"].as_u64()),
        (Some(0), Some(0)),
        "{again}"
    );
    assert_same_and_sparse(&scene.path("source"), &restored);
}

fn assert_same_and_sparse(source: &Path, restored: &Path) {
    let options = CompareOptions {
        sparse: true,
        ..CompareOptions::default()
    };
    let mut differences = compare_trees(source, restored, &options);
    // Zeros come back as a hole whether they were one or not.
    differences.retain(|difference| !difference.starts_with("`contents/zeros`: bytes taken"));
    assert_eq!(differences, Vec::<String>::new());
}

#[test]
fn heavy_a_folder_of_100_000_files() {
    let scene = Scene::empty_in(scratch());
    let folder = scene.path("source/folder");
    fs::create_dir_all(&folder).unwrap();
    for n in 0..100_000 {
        fs::write(folder.join(format!("file-{n:06}")), format!("content of {n}")).unwrap();
    }
    scene.ok(&["init"]);
    scene.ok(&["backup", &source(&scene)]);
    let second = summary(&scene.ok(&["backup", "--json", &source(&scene)]));
    assert_eq!(second["files_unmodified"], 100_000, "{second}");
    scene.ok(&["restore", &format!("latest:{}", source(&scene)), "--target", "out"]);
    assert_same(&scene.path("source"), &scene.path("out"));
    assert_eq!(
        scene
            .ok(&["ls", "latest"])
            .lines()
            .filter(|line| line.contains("/file-"))
            .count(),
        100_000
    );
}

/// Of 50 GiB, a few bytes are data. Reading the holes would take minutes.
#[test]
fn heavy_a_sparse_file_of_50_gib() {
    let scene = Scene::empty();
    fs::create_dir(scene.path("source")).unwrap();
    let file = File::create(scene.path("source/image")).unwrap();
    let ends = [
        (0, b"beginning"),
        (25 << 30, b"midpoint!"),
        ((50 << 30) - 9, b"its end!!"),
    ];
    ends.iter()
        .for_each(|(at, text)| file.write_all_at(*text, *at).unwrap());
    scene.ok(&["init"]);
    let started = Instant::now();
    scene.ok(&["backup", &source(&scene)]);
    scene.ok(&["restore", &format!("latest:{}", source(&scene)), "--target", "out"]);
    assert!(started.elapsed() < Duration::from_secs(120), "{:?}", started.elapsed());
    let mut restored = File::open(scene.path("out/image")).unwrap();
    let metadata = restored.metadata().unwrap();
    assert_eq!(metadata.len(), 50 << 30);
    assert!(
        metadata.blocks() * 512 < 64 << 20,
        "{} bytes on disk",
        metadata.blocks() * 512
    );
    for (at, text) in ends {
        let mut found = [0; 9];
        restored.read_exact_at(&mut found, at).unwrap();
        assert_eq!(&found, text);
    }
    restored.seek(SeekFrom::Start(10 << 30)).unwrap();
    let mut zeros = vec![1; 1 << 20];
    restored.read_exact(&mut zeros).unwrap();
    assert!(zeros.iter().all(|byte| *byte == 0));
}

/// Run the program as nobody.
fn as_nobody(scene: &Scene, arguments: &[&str]) -> Ended {
    let program = scene.path("program");
    if !program.exists() {
        // Where it was built, nobody may be allowed to look.
        fs::copy(assert_cmd::cargo::cargo_bin!("mainstay"), &program).unwrap();
    }
    let mut command = assert_cmd::Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(program)
        .args(arguments);
    command
        .env_clear()
        .current_dir(scene.path(""))
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", scene.path("home"));
    command
        .env("MAINSTAY_REPOSITORY", "repository")
        .env("MAINSTAY_PASSWORD_FILE", "password");
    scene.ended(&mut command)
}

fn nobody_s_scene() -> Scene {
    let scene = Scene::empty();
    fs::create_dir_all(scene.path("source/folder")).unwrap();
    fs::write(scene.path("source/folder/open"), "for all").unwrap();
    for path in ["", "home", "password", "source", "source/folder", "source/folder/open"] {
        chown(scene.path(path), Some(65_534), Some(65_534)).unwrap();
    }
    assert_eq!(as_nobody(&scene, &["init"]).code, 0);
    scene
}

fn close(path: &Path) {
    chown(path, Some(0), Some(0)).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_source_of_which_nothing_can_be_read_stores_no_snapshot() {
    let scene = nobody_s_scene();
    fs::write(scene.path("source/secret"), "for root").unwrap();
    close(&scene.path("source/secret"));
    let ended = as_nobody(&scene, &["backup", &scene.path("source/secret").to_string_lossy()]);
    assert_eq!(ended.code, 1, "{ended}");
    assert!(
        ended.stderr.contains("source/secret`: Permission denied") && ended.stderr.contains("nothing could be read"),
        "{ended}"
    );
    assert!(scene.objects("snapshots").is_empty());
}

#[test]
fn what_cannot_be_read_is_listed_and_the_rest_is_stored() {
    let scene = nobody_s_scene();
    fs::write(scene.path("source/folder/secret"), "for root").unwrap();
    fs::create_dir(scene.path("source/closed")).unwrap();
    close(&scene.path("source/folder/secret"));
    close(&scene.path("source/closed"));
    for _ in 0..2 {
        let ended = as_nobody(&scene, &["backup", &source(&scene)]);
        assert_eq!(ended.code, 3, "{ended}");
        assert!(
            ended.stderr.contains("source/folder/secret") && ended.stderr.contains("source/closed"),
            "{ended}"
        );
        assert!(ended.stdout.contains("INCOMPLETE: 2 entries"), "{ended}");
    }
    let restored = as_nobody(
        &scene,
        &["restore", &format!("latest:{}", source(&scene)), "--target", "out"],
    );
    assert!(restored.code == 0 || restored.code == 3, "{restored}");
    assert_eq!(fs::read(scene.path("out/folder/open")).unwrap(), b"for all");
    assert!(!scene.path("out/folder/secret").exists());
    assert!(scene.ok(&["snapshots"]).contains("incomplete"));
    restic(&scene, &["check", "--read-data"]);
    // Once it can be read, it is: what was incomplete is no reason to pass it over.
    chown(scene.path("source/folder/secret"), Some(65_534), None).unwrap();
    chown(scene.path("source/closed"), Some(65_534), None).unwrap();
    fs::set_permissions(scene.path("source/closed"), Permissions::from_mode(0o700)).unwrap();
    let ended = as_nobody(&scene, &["backup", &source(&scene)]);
    assert_eq!(ended.code, 0, "{ended}");
    assert!(scene.ok(&["ls", "latest"]).contains("folder/secret"));
}

#[test]
fn a_source_that_cannot_be_read_stores_no_snapshot() {
    let scene = nobody_s_scene();
    fs::create_dir(scene.path("closed")).unwrap();
    close(&scene.path("closed"));
    for bad in ["closed", "missing"] {
        let ended = as_nobody(&scene, &["backup", &source(&scene), bad]);
        assert_eq!(ended.code, 1, "{bad}: {ended}");
        assert!(
            ended.stderr.contains(&format!("/{bad}`")) && ended.stderr.contains("hint: "),
            "{ended}"
        );
        assert_eq!(scene.objects("snapshots").len(), 0, "{bad}");
    }
    // A file that is named is a single file all the same.
    fs::write(scene.path("secret"), "for root").unwrap();
    close(&scene.path("secret"));
    let ended = as_nobody(&scene, &["backup", &source(&scene), "secret"]);
    assert!(ended.code == 3 && ended.stderr.contains("/secret`"), "{ended}");
}
