//! The program on stores behind servers of other programs, with restic as the judge where it reads the same.

use crate::peer::*;
use crate::scene::{Ended, Scene};
use std::fs;
use storage::{LocalStore, Store as _};
use testkit::rclone_server::{PASSWORD, RcloneServer, USER};
use testkit::tree::TreeSpec;

fn scene() -> Scene {
    let scene = Scene::empty_in(scratch());
    TreeSpec {
        files: 40,
        max_bytes: 300_000,
        ..TreeSpec::default()
    }
    .build(&scene.path("source"))
    .unwrap();
    scene
}

/// Runs with the user and password of `server` in the variables that are for its kind.
fn run(scene: &Scene, server: &RcloneServer, arguments: &[&str]) -> Ended {
    let mut command = scene.command();
    command.env("MAINSTAY_REPOSITORY", server.url("repository"));
    for name in ["WEBDAV", "RESTIC_REST"] {
        command
            .env(format!("{name}_USERNAME"), USER)
            .env(format!("{name}_PASSWORD"), PASSWORD);
    }
    scene.ended(command.args(arguments))
}

fn ok(scene: &Scene, server: &RcloneServer, arguments: &[&str]) -> String {
    let ended = run(scene, server, arguments);
    assert_eq!(ended.code, 0, "{arguments:?}: {ended}");
    ended.stdout
}

/// Everything that a user does.
fn live(scene: &Scene, server: &RcloneServer) {
    let source = scene.path("source").display().to_string();
    ok(scene, server, &["init"]);
    ok(scene, server, &["backup", &source]);
    fs::write(scene.path("source/new"), "new").unwrap();
    ok(scene, server, &["backup", &source]);
    ok(
        scene,
        server,
        &["forget", "--keep-last", "1", "--prune", "--max-unused", "0"],
    );
    ok(scene, server, &["check", "--read-data"]);
    ok(
        scene,
        server,
        &["restore", &format!("latest:{source}"), "--target", "out"],
    );
    assert_same(&scene.path("source"), &scene.path("out"));
}

#[test]
fn heavy_everything_works_on_a_rest_server_and_restic_agrees() {
    let (scene, server) = (scene(), RcloneServer::rest(&[]));
    live(&scene, &server);
    let password = PASSWORD.replace('/', "%2F").replace('@', "%40").replace(' ', "%20");
    let address = server.url("repository").replace("//", &format!("//{USER}:{password}@"));
    restic_agrees(&scene, &address);
}

/// What is on the server's disk is a repository of restic.
#[test]
fn heavy_everything_works_on_a_webdav_server_and_restic_agrees() {
    let (scene, server) = (scene(), RcloneServer::webdav());
    live(&scene, &server);
    restic_agrees(&scene, &server.files().join("repository").display().to_string());
}

fn restic_agrees(scene: &Scene, repository: &str) {
    restic(scene, &["-r", repository, "check", "--read-data"]);
}

#[test]
fn heavy_an_append_only_server_takes_backups_and_refuses_to_forget() {
    let (scene, server) = (scene(), RcloneServer::rest(&["--append-only"]));
    let source = scene.path("source").display().to_string();
    ok(&scene, &server, &["init"]);
    ok(&scene, &server, &["backup", &source]);
    ok(&scene, &server, &["backup", &source]);
    let refused = run(&scene, &server, &["forget", "--keep-last", "1"]);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(
        refused.stderr.contains("permission denied") && refused.stderr.contains("append-only"),
        "{refused}"
    );
    ok(&scene, &server, &["check"]);
    let password = fs::read_to_string(scene.path("password")).unwrap();
    fs::write(scene.path("second"), password.repeat(2)).unwrap();
    ok(&scene, &server, &["key", "add", "--new-password-file", "second"]);
    let objects = || server_objects(&server);
    let before = objects();
    for arguments in [
        &["tag", "--add", "x"][..],
        &["purge", "--path", &source, "--yes"],
        &["repair", "index", "--read-all-packs"],
        &["key", "passwd", "--new-password-file", "password"],
    ] {
        let refused = run(&scene, &server, arguments);
        assert_eq!(refused.code, 1, "{arguments:?}: {refused}");
        assert!(
            refused.stderr.contains("nothing was changed") && refused.stderr.contains("hint: "),
            "{arguments:?}: {refused}"
        );
        assert_eq!(objects(), before, "{arguments:?}");
    }
    ok(&scene, &server, &["check", "--read-data"]);
}

/// What is on the server's disk but for locks.
fn server_objects(server: &RcloneServer) -> Vec<String> {
    let store = LocalStore::new(server.files().join("repository"));
    let listed = store.list("").unwrap().into_iter().map(|object| object.name);
    listed.filter(|name| !name.starts_with("locks/")).collect()
}

#[test]
fn heavy_a_wrong_password_of_the_server_is_told() {
    let scene = scene();
    for (server, variable) in [
        (RcloneServer::rest(&[]), "RESTIC_REST_PASSWORD"),
        (RcloneServer::webdav(), "WEBDAV_PASSWORD"),
    ] {
        let mut command = scene.command();
        command.env("MAINSTAY_REPOSITORY", server.url("repository"));
        let user = variable.replace("PASSWORD", "USERNAME");
        command.env(user, USER).env(variable, "a wrong one");
        let refused = scene.ended(command.arg("init"));
        assert_eq!(refused.code, 1, "{refused}");
        assert!(
            refused.stderr.contains("hint: ") && refused.stderr.contains(variable),
            "{refused}"
        );
        assert!(!refused.stderr.contains("a wrong one"), "{refused}");
    }
}
