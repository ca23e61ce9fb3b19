//! Repositories by the names that the configuration gives them.

use crate::scene::{Ended, Scene};
use std::fs;

const TWO: &str = "host: web1
repositories:
  main:
    url: ./first
    password: {file: first.key}
    compression: max
    pack_size: 4
  offsite:
    url: ./second
    password: {file: second.key}
jobs:
  nightly:
    to: main
    sources: [files: [./source]]
";

/// Two repositories in the configuration, neither of which is there; nothing in the environment names one.
fn with_two() -> Scene {
    let scene = Scene::empty();
    fs::write(scene.path("mainstay.yaml"), TWO).unwrap();
    fs::write(scene.path("first.key"), "one\n").unwrap();
    fs::write(scene.path("second.key"), "two\n").unwrap();
    fs::create_dir(scene.path("source")).unwrap();
    fs::write(scene.path("source/a.txt"), "content of a\n").unwrap();
    scene
}

/// Run it without the variables that name a repository and its password.
fn run(scene: &Scene, arguments: &[&str]) -> Ended {
    scene.ended(
        scene
            .command()
            .env_remove("MAINSTAY_REPOSITORY")
            .env_remove("MAINSTAY_PASSWORD_FILE")
            .args(arguments),
    )
}

fn ok(scene: &Scene, arguments: &[&str]) -> String {
    let ended = run(scene, arguments);
    assert_eq!(ended.code, 0, "{arguments:?}: {ended}");
    ended.stdout
}

#[test]
fn a_name_stands_for_everything_that_is_configured() {
    let scene = with_two();
    ok(&scene, &["-r", "main", "init"]);
    ok(&scene, &["-r", "main", "backup", "source"]);
    assert!(scene.path("first/config").is_file());
    ok(&scene, &["-r", "offsite", "init"]);
    ok(&scene, &["-r", "offsite", "copy", "--from-repo", "main"]);
    assert!(ok(&scene, &["-r", "offsite", "snapshots"]).contains("1 snapshot"));
    // The passwords are the ones that belong to each; the address alone needs one that is given.
    assert_eq!(
        run(&scene, &["-r", "./second", "--password-file", "first.key", "snapshots"]).code,
        12
    );
    ok(
        &scene,
        &["-r", "./second", "--password-file", "second.key", "snapshots"],
    );
    // What is said on the command line goes before the configuration.
    assert_eq!(
        run(&scene, &["-r", "main", "--password-file", "second.key", "snapshots"]).code,
        12
    );
    let by_variable = scene
        .command()
        .env("MAINSTAY_REPOSITORY", "main")
        .args(["snapshots"])
        .output()
        .unwrap();
    assert!(
        by_variable.status.success(),
        "the configured password goes before that of the variable"
    );
}

#[test]
fn without_a_name_the_only_repository_is_used_and_several_are_listed() {
    let scene = with_two();
    let ended = run(&scene, &["snapshots"]);
    assert_eq!(ended.code, 2, "{ended}");
    assert!(
        ended.stderr.contains("--repo NAME") && ended.stderr.contains("main, offsite"),
        "{ended}"
    );
    let one: String = TWO
        .lines()
        .filter(|line| !line.contains("second"))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(scene.path("mainstay.yaml"), one.replace("  offsite:\n", "")).unwrap();
    ok(&scene, &["init"]);
    assert!(ok(&scene, &["snapshots"]).contains("0 snapshots"));
    fs::remove_file(scene.path("mainstay.yaml")).unwrap();
    let ended = run(&scene, &["snapshots"]);
    assert!(
        ended.code == 2 && ended.stderr.contains("no repository is named"),
        "{ended}"
    );
}

#[test]
fn a_configuration_that_is_broken_is_in_nobody_s_way_but_a_name_s() {
    let scene = with_two();
    fs::write(scene.path("mainstay.yaml"), format!("{TWO}nonsense: [\n")).unwrap();
    let repository = scene.path("elsewhere").display().to_string();
    ok(&scene, &["-r", &repository, "--password-file", "first.key", "init"]);
    ok(&scene, &["-r", "./third", "--password-file", "first.key", "init"]);
    let ended = run(&scene, &["-r", "main", "snapshots"]);
    assert!(ended.code == 2 && ended.stderr.contains("mainstay.yaml:"), "{ended}");
    // Readable, but wrong: a name that is not in it is a directory.
    fs::write(scene.path("mainstay.yaml"), format!("{TWO}nonsense: 1\n")).unwrap();
    ok(&scene, &["-r", "third", "--password-file", "first.key", "snapshots"]);
    assert_eq!(run(&scene, &["-r", "main", "snapshots"]).code, 2);
}

#[test]
fn a_directory_of_the_same_name_is_not_confused_with_the_configured_one() {
    let scene = with_two();
    ok(&scene, &["-r", "main", "init"]);
    // A directory that is no repository changes nothing.
    fs::create_dir(scene.path("main")).unwrap();
    ok(&scene, &["-r", "main", "snapshots"]);
    ok(&scene, &["-r", "./main", "--password-file", "second.key", "init"]);
    let ended = run(&scene, &["-r", "main", "forget", "--keep-last", "1"]);
    assert_eq!(ended.code, 2, "{ended}");
    assert!(ended.stderr.contains("`./main`"), "{ended}");
    ok(&scene, &["-r", "./main", "--password-file", "second.key", "snapshots"]);
    // One that is configured under its own name is meant either way.
    fs::write(
        scene.path("mainstay.yaml"),
        TWO.replace("./first", "./main").replace("first.key", "second.key"),
    )
    .unwrap();
    ok(&scene, &["-r", "main", "snapshots"]);
}

#[test]
fn options_of_the_store_go_before_those_of_the_configuration() {
    let scene = with_two();
    let s3 = TWO.replace(
        "url: ./second\n",
        "url: s3://bucket/prefix\n    ca_file: ./first.key\n    access_key: {file: first.key}\n    secret_key: {file: second.key}\n",
    );
    fs::write(scene.path("mainstay.yaml"), s3).unwrap();
    let ended = run(&scene, &["-r", "offsite", "snapshots"]);
    assert!(ended.code == 2 && ended.stderr.contains("first.key"), "{ended}");
    let ended = run(&scene, &["-r", "offsite", "-o", "s3.ca-file=other.pem", "snapshots"]);
    assert!(ended.code == 2 && ended.stderr.contains("other.pem"), "{ended}");
    let ended = run(&scene, &["-r", "offsite", "-o", "s3.regoin=x", "snapshots"]);
    assert!(ended.code == 2 && ended.stderr.contains("s3.regoin"), "{ended}");
}
