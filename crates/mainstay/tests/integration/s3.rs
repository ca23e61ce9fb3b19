//! The program against an S3 server that fails as real ones do.

use crate::peer::*;
use crate::scene::{Ended, Scene};
use serde_json::Value;
use std::fs;
use std::io::BufRead as _;
use std::time::Duration;
use testkit::s3_server::{ACCESS_KEY, BUCKET, HttpFault, S3Server, SECRET_KEY};
use testkit::tree::{TreeSpec, content};

/// A scene whose repository is in a bucket.
struct Remote {
    scene: Scene,
    server: S3Server,
}

impl Remote {
    fn new(server: S3Server) -> Self {
        let scene = Scene::empty_in(scratch());
        TreeSpec {
            files: 60,
            max_bytes: 400_000,
            ..TreeSpec::default()
        }
        .build(&scene.path("source"))
        .unwrap();
        Self { scene, server }
    }

    fn run_with(&self, secret: &str, arguments: &[&str]) -> Ended {
        let mut command = self.scene.command();
        command.env(
            "MAINSTAY_REPOSITORY",
            format!("s3:{}/{BUCKET}/prefix", self.server.endpoint()),
        );
        command
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", secret);
        self.scene.ended(command.args(arguments))
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let ended = self.run_with(SECRET_KEY, arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {ended}");
        ended.stdout
    }

    fn source(&self) -> String {
        self.scene.path("source").display().to_string()
    }

    fn restores_latest(&self) {
        self.ok(&[
            "restore",
            &format!("latest:{}", self.source()),
            "--target",
            "out",
            "--delete",
        ]);
        assert_same(&self.scene.path("source"), &self.scene.path("out"));
    }

    /// Everything that a user does.
    fn live(&self) {
        self.ok(&["init"]);
        for round in 0..3 {
            fs::write(self.scene.path(&format!("source/new-{round}")), content(round, 300_000)).unwrap();
            self.ok(&["backup", &self.source()]);
        }
        self.ok(&["check", "--read-data"]);
        self.restores_latest();
        self.ok(&["forget", "--keep-last", "1", "--prune", "--max-unused", "0"]);
        self.ok(&["check", "--read-data"]);
        self.restores_latest();
        assert!(
            !self
                .server
                .calls()
                .iter()
                .any(|call| call.method == "PUT" && call.target.contains("mainstay-test/data/"))
        );
        assert_eq!(self.server.unfinished_uploads(), 0);
    }
}

#[test]
fn everything_works_on_s3() {
    Remote::new(S3Server::start()).live();
}

/// The certificate is signed by nobody, so it has to be named.
#[test]
fn a_server_with_a_certificate_of_its_own_is_trusted_when_it_is_named() {
    let remote = Remote::new(S3Server::start_tls());
    let refused = remote.run_with(SECRET_KEY, &["init"]);
    assert_eq!(refused.code, 2, "{refused}");
    assert!(
        refused.stderr.contains("certificate") && refused.stderr.contains("-o ca-file"),
        "{refused}"
    );
    fs::write(remote.scene.path("ca.pem"), remote.server.certificate().unwrap()).unwrap();
    remote.ok(&["-o", "s3.ca-file=ca.pem", "init"]);
    remote.ok(&["-o", "s3.ca-file=ca.pem", "backup", &remote.source()]);
    remote.ok(&["-o", "ca-file=ca.pem", "check", "--read-data"]);
}

#[test]
fn no_repository_is_made_in_a_bucket_that_is_not_there() {
    let remote = Remote::new(S3Server::start());
    let address = format!("s3:{}/no-such-bucket/prefix", remote.server.endpoint());
    let refused = remote.run_with(SECRET_KEY, &["-r", &address, "init"]);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(
        refused.stderr.contains("no-such-bucket") && refused.stderr.contains("hint: "),
        "{refused}"
    );
}

/// One request in nine fails, each in another way.
#[test]
fn everything_works_on_an_s3_server_that_fails_now_and_then() {
    let server = S3Server::start_with(|call| match call.number % 45 {
        7 => HttpFault::Status(500),
        16 => HttpFault::Reset,
        25 => HttpFault::LoseAnswer,
        34 => HttpFault::Status(503),
        43 => HttpFault::Slow(Duration::from_millis(700)),
        _ => HttpFault::None,
    });
    Remote::new(server).live();
}

/// Every request costs time and money: an unchanged backup takes a handful, however large the tree.
#[test]
fn an_unchanged_backup_takes_few_requests() {
    let remote = Remote::new(S3Server::start());
    remote.ok(&["init"]);
    remote.ok(&["backup", &remote.source()]);
    let requests = |arguments: &[&str]| {
        let before = remote.server.calls().len();
        let output = remote.ok(arguments);
        (output, remote.server.calls().split_off(before))
    };
    let (output, unchanged) = requests(&["--json", "backup", &remote.source()]);
    assert!(unchanged.len() <= 20, "{}: {unchanged:#?}", unchanged.len());
    let summary: Value = serde_json::from_str(output.lines().last().unwrap()).unwrap();
    // The directories above the source are shared with other tests and may change any time: `/`, `/dev`, `/dev/shm`.
    assert!(
        summary["data_blobs"] == 0 && summary["tree_blobs"].as_u64().unwrap() <= 3,
        "{summary:#}"
    );
    let (_, listed) = requests(&["snapshots"]);
    assert!(listed.len() <= 12, "{}: {listed:#?}", listed.len());
    // Without the cache a little more: trees are read, but not file by file.
    let (_, cold) = requests(&["--no-cache", "backup", &remote.source()]);
    assert!(cold.len() <= 40, "{}: {cold:#?}", cold.len());
}

#[test]
fn wrong_keys_and_a_missing_bucket_are_explained() {
    let remote = Remote::new(S3Server::start());
    for arguments in [&["init"][..], &["snapshots"], &["backup", "source"]] {
        let refused = remote.run_with("not the secret", arguments);
        assert_eq!(refused.code, 1, "{refused}");
        assert!(
            refused.stderr.contains("hint: ") && refused.stderr.contains("credentials"),
            "{refused}"
        );
        assert!(!refused.to_string().contains("not the secret"), "{refused}");
    }
    remote.ok(&["init"]);
    let address = format!("s3:{}/no-such-bucket/prefix", remote.server.endpoint());
    let missing = remote.run_with(SECRET_KEY, &["-r", &address, "snapshots"]);
    assert!(missing.code == 1 || missing.code == 10, "{missing}");
    assert!(
        missing.stderr.contains("no-such-bucket") && missing.stderr.contains("hint: "),
        "{missing}"
    );
}

/// A backup that is refused half-way leaves no snapshot, and says what to do.
#[test]
fn an_upload_that_is_refused_stores_no_snapshot() {
    let server = S3Server::start_with(|call| {
        let is_pack = call.method == "PUT" && call.target.contains("/data/");
        if is_pack {
            HttpFault::Status(403)
        } else {
            HttpFault::None
        }
    });
    let remote = Remote::new(server);
    remote.ok(&["init"]);
    let refused = remote.run_with(SECRET_KEY, &["backup", &remote.source()]);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(refused.stderr.contains("hint: "), "{refused}");
    assert!(
        remote.ok(&["snapshots"]).contains("0 snapshots") || !remote.ok(&["snapshots", "--json"]).contains("\"id\"")
    );
    let locks: Vec<_> = remote
        .server
        .calls()
        .into_iter()
        .filter(|call| call.target.contains("/locks/"))
        .collect();
    assert!(locks.iter().any(|call| call.method == "DELETE"), "{locks:#?}");
}

#[test]
fn a_store_that_does_not_answer_is_named_while_it_is_waited_for() {
    let scene = Scene::empty();
    for (options, expected) in [
        (&[][..], "read `config` in `s3:http://127.0.0.1:1/bucket/x`: "),
        (&["--json"], "{\"message\":\"read `config` in"),
    ] {
        let mut running =
            scene.start_with_error(&[options, &["-r", "s3:http://127.0.0.1:1/bucket/x", "snapshots"]].concat());
        let mut line = String::new();
        std::io::BufReader::new(running.stderr.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let pid = rustix::process::Pid::from_child(&running);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert_eq!(running.wait().unwrap().code(), Some(130));
        assert!(line.starts_with(expected) && line.contains("trying again"), "{line}");
    }
}

#[test]
fn without_keys_the_variables_are_named() {
    let scene = Scene::empty();
    let server = S3Server::start();
    let mut command = scene.command();
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    let address = format!("s3:{}/{BUCKET}/prefix", server.endpoint());
    let ended = scene.ended(command.args(["-r", &address, "snapshots"]));
    assert!(ended.code == 1 && ended.stderr.contains("AWS_ACCESS_KEY_ID"), "{ended}");
}
