//! The program against a real SSH server, with restic and rclone as judges.

use crate::peer::*;
use crate::scene::{Ended, Scene};
use mainstay::config::env::Environment;
use mainstay::config::file;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use testkit::ssh_server::{SshServer, free_port, whoami};
use testkit::tree::{TreeSpec, content};

/// A scene whose repository is on a server.
struct Remote {
    scene: Scene,
    server: SshServer,
}

impl Remote {
    fn new() -> Self {
        let scene = Scene::empty_in(scratch());
        let tree = TreeSpec {
            files: 60,
            max_bytes: 400_000,
            ..TreeSpec::default()
        };
        tree.build(&scene.path("source")).unwrap();
        let server = SshServer::start();
        Self { scene, server }
    }

    /// Below the user's directory on the server.
    fn repository(&self) -> PathBuf {
        self.server.file("home/backups/web1")
    }

    fn address(&self) -> String {
        format!("sftp://{}@{}/backups/web1", whoami(), self.server.address())
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = self.scene.command();
        command.env("MAINSTAY_REPOSITORY", self.address());
        for (key, file) in [("key-file", "user"), ("known-hosts", "known_hosts")] {
            command.args(["-o", &format!("sftp.{key}={}", self.server.file(file).display())]);
        }
        self.scene.ended(command.args(arguments))
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {ended}");
        ended.stdout
    }

    fn source(&self) -> String {
        self.scene.path("source").display().to_string()
    }

    fn restores_latest(&self) {
        let latest = format!("latest:{}", self.source());
        self.ok(&["restore", &latest, "--target", "out", "--delete"]);
        assert_same(&self.scene.path("source"), &self.scene.path("out"));
    }

    /// restic in the scene, over SSH with the system's `ssh`.
    fn restic(&self, arguments: &[&str]) -> String {
        let file = |name: &str| self.server.file(name).display().to_string();
        let ssh = format!(
            "sftp.command=ssh -F none -p {} -i {} -o IdentitiesOnly=yes -o UserKnownHostsFile={} {}@127.0.0.1 -s sftp",
            self.server.address().port(),
            file("user"),
            file("known_hosts"),
            whoami(),
        );
        let repository = format!("sftp:{}@127.0.0.1:backups/web1", whoami());
        let mut command = restic_command(&self.scene, &["-r", &repository, "-o", &ssh]);
        command.env("HOME", self.scene.path("home"));
        let ended = ended(&command.args(arguments).output().unwrap());
        assert_eq!(ended.code, 0, "restic {arguments:?}: {ended}");
        ended.stdout
    }

    /// The files that rclone sees in the repository, with their sizes.
    #[expect(clippy::disallowed_methods, reason = "tests run rclone as the oracle")]
    fn rclone_sees(&self) -> String {
        let remote = format!(
            ":sftp,host=127.0.0.1,port={},user={},key_file={},shell_type=none:backups/web1",
            self.server.address().port(),
            whoami(),
            self.server.file("user").display(),
        );
        let mut command = Command::new("rclone");
        command
            .args(["--config", "/dev/null", "check", &remote])
            .arg(self.repository());
        let ended = ended(&command.args(["--download"]).output().unwrap());
        assert_eq!(ended.code, 0, "rclone: {ended}");
        ended.stderr
    }
}

#[test]
fn heavy_everything_that_a_user_does_over_sftp() {
    let remote = Remote::new();
    remote.ok(&["init"]);
    for round in 0..3 {
        let file = remote.scene.path(&format!("source/new-{round}"));
        fs::write(file, content(round, 300_000)).unwrap();
        remote.ok(&["backup", &remote.source()]);
    }
    remote.ok(&["check", "--read-data"]);
    remote.restores_latest();
    remote.restic(&["check", "--read-data"]);
    remote.ok(&["forget", "--keep-last", "1", "--prune", "--max-unused", "0"]);
    remote.ok(&["check", "--read-data"]);
    remote.restores_latest();
    remote.restic(&["check", "--read-data"]);
    assert!(remote.rclone_sees().contains("0 differences found"));
}

#[test]
fn heavy_a_repository_that_restic_made_over_sftp() {
    let remote = Remote::new();
    remote.restic(&["init"]);
    remote.restic(&["backup", &remote.source()]);
    remote.restores_latest();
    remote.ok(&["backup", &remote.source()]);
    remote.restic(&["check", "--read-data"]);
}

#[test]
fn heavy_who_is_not_let_in_reads_what_to_do() {
    let remote = Remote::new();
    let stranger = remote.server.make_key("stranger", "ed25519", "");
    let with_key = format!("sftp.key-file={}", stranger.display());
    let ended = remote.run(&["-o", &with_key, "snapshots"]);
    assert!(
        ended.code == 1 && ended.stderr.contains("hint: Check the user"),
        "{ended}"
    );
    let ended = remote.run(&["-o", "sftp.known-hosts=/dev/null", "snapshots"]);
    assert!(ended.code == 2 && ended.stderr.contains("ssh-keyscan -p"), "{ended}");
    assert!(ended.stderr.contains(&remote.server.fingerprint("ed25519")), "{ended}");
    let ended = remote.run(&["-o", "sftp.host-key=SHA256:x", "snapshots"]);
    assert!(ended.code == 2 && ended.stderr.contains("43 letters"), "{ended}");
    let ended = remote.run(&["snapshots"]);
    assert!(ended.code == 10, "{ended}");
}

/// A server that takes nothing but passwords, and does not have OpenSSH's extensions.
#[test]
#[expect(clippy::disallowed_methods, reason = "rclone is a server here")]
fn heavy_a_password_for_another_server() {
    let scene = Scene::with_repository();
    let (port, keys) = (free_port(), SshServer::start());
    let mut server = Command::new("rclone")
        .args([
            "--config",
            "/dev/null",
            "serve",
            "sftp",
            "--addr",
            &format!("127.0.0.1:{port}"),
        ])
        .args(["--vfs-cache-mode", "writes", "--dir-cache-time", "0s"])
        .args(["--user", "u", "--pass", "hush", "--key"])
        .arg(keys.file("host_ed25519"))
        .arg(scene.path(""))
        .env("HOME", scene.path("home"))
        .spawn()
        .unwrap();
    let address = format!("sftp://u@127.0.0.1:{port}/remote");
    let run = |password: &str, arguments: &[&str]| {
        let mut command = scene.command();
        command.env("MAINSTAY_SFTP_PASSWORD", password);
        command.args([
            "-r",
            &address,
            "-o",
            &format!("sftp.host-key={}", keys.fingerprint("ed25519")),
        ]);
        scene.ended(command.args(arguments))
    };
    // It listens a moment after it was started; until then connections are tried again.
    let results = [
        run("hush", &["init"]),
        run("hush", &["backup", "source"]),
        run("hush", &["check", "--read-data"]),
    ];
    let wrong = run("wrong", &["snapshots"]);
    server.kill().unwrap();
    server.wait().unwrap();
    for ended in results {
        assert_eq!(ended.code, 0, "{ended}");
    }
    assert!(
        wrong.code == 1 && wrong.stderr.contains("tried: the password"),
        "{wrong}"
    );
    assert!(!wrong.stderr.contains("wrong"), "{wrong}");
}

/// What a repository of the configuration says is what is used.
#[test]
fn heavy_a_repository_in_the_configuration() {
    let remote = Remote::new();
    let key = remote.server.make_key("locked", "ed25519", "hush");
    remote.server.authorize("locked");
    fs::write(remote.scene.path("passphrase"), "hush\n").unwrap();
    let text = format!(
        "repositories:\n  nas:\n    url: sftp://{}/backups/web1\n    user: {}\n    key_file: {}\n    key_passphrase: {{file: {}}}\n    \
         host_key: {}\n    password: {{file: {}}}\njobs:\n  all:\n    to: [nas]\n    sources: [{{files: {}}}]\n",
        remote.server.address(),
        whoami(),
        key.display(),
        remote.scene.path("passphrase").display(),
        remote.server.fingerprint("ecdsa"),
        remote.scene.path("password").display(),
        remote.source(),
    );
    let file = remote.scene.path("mainstay.yaml");
    fs::write(&file, text).unwrap();
    let environment = Environment::default();
    let loaded = file::draft(Some(&file), &environment).unwrap().finish().unwrap();
    let repository = loaded.config.repository("nas").unwrap();
    let options = repository
        .store_options(storage::Options::default(), &environment)
        .unwrap();
    let store = storage::open(repository.place.location(), &options).unwrap();
    store.write("config", "content".into()).unwrap();
    assert_eq!(fs::read(remote.repository().join("config")).unwrap(), b"content");
}
