//! Archives behind the commands. They are made by the library, and by `tar`, `gzip`, `age` and `gpg`.

use crate::scene::{Ended, Scene};
use repository::archive::{
    AgeRecipients, Compression, Encryption, GzipLevel, Manifest, NewArchive, OpenPgpKeys, Passphrase, Source,
    WriteOptions, write,
};
use repository::{Cancel, Recorder};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use storage::LocalStore;

/// A tree with a hard link, and a store `archives` that is to be named as `archive:archives`.
fn with_source() -> Scene {
    let scene = Scene::empty();
    fs::create_dir_all(scene.path("source/etc")).unwrap();
    fs::write(scene.path("source/etc/hosts"), "127.0.0.1 localhost\n").unwrap();
    fs::write(scene.path("source/large"), testkit::tree::content(1, 3 << 20)).unwrap();
    fs::hard_link(scene.path("source/large"), scene.path("source/other")).unwrap();
    scene
}

pub fn archive(scene: &Scene, name: &str, start: &str, encryption: Encryption) -> Manifest {
    archive_with(scene, name, start, &WriteOptions::new(encryption))
}

pub fn archive_with(scene: &Scene, name: &str, start: &str, options: &WriteOptions) -> Manifest {
    let new = NewArchive {
        name: name.to_owned(),
        host: "web1".to_owned(),
        job: name.split(['-', '/']).next().unwrap_or_default().to_owned(),
        start: start.parse().unwrap(),
        original: None,
    };
    let store = LocalStore::new(scene.path("archives"));
    let source = Source::path_as(scene.path("source"), Path::new("source"));
    write(
        &store,
        &new,
        vec![source],
        options,
        &Cancel::default(),
        &Recorder::default(),
    )
    .unwrap()
}

pub const DAY_1: &str = "2026-03-01T02:00:00Z";
const DAY_2: &str = "2026-03-02T02:00:00Z";

/// Run it on the archives, with nothing in the environment that names a repository or password.
pub fn run(scene: &Scene, arguments: &[&str]) -> Ended {
    scene.ended(
        scene
            .command()
            .env("MAINSTAY_REPOSITORY", "archive:archives")
            .env_remove("MAINSTAY_PASSWORD_FILE")
            .args(arguments),
    )
}

fn ok(scene: &Scene, arguments: &[&str]) -> String {
    let ended = run(scene, arguments);
    assert_eq!(ended.code, 0, "{arguments:?}: {ended}");
    ended.stdout
}

pub fn failed(scene: &Scene, arguments: &[&str], code: i32, text: &str) {
    let ended = run(scene, arguments);
    assert_eq!(ended.code, code, "{arguments:?}: {ended}");
    assert!(ended.stderr.contains(text), "{arguments:?}: {ended}");
}

#[expect(clippy::disallowed_methods, reason = "the oracles are programs")]
fn shell(scene: &Scene, line: &str) -> String {
    let output = Command::new("bash")
        .args(["-ec", &format!("set -o pipefail; {line}")])
        .current_dir(scene.path(""))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{line}\n{err}");
    String::from_utf8(output.stdout).unwrap()
}

fn assert_restored(scene: &Scene, target: &str) {
    shell(scene, &format!("diff -r source {target}/source"));
    let inode = |name: &str| {
        fs::metadata(scene.path(&format!("{target}/source/{name}")))
            .unwrap()
            .ino()
    };
    assert_eq!(inode("large"), inode("other"), "the hard link is one");
}

#[test]
fn archives_are_listed_read_and_restored() {
    let scene = with_source();
    archive(&scene, "db-1.tar.zst", DAY_1, Encryption::None);
    fs::write(scene.path("source/etc/hosts"), "changed\n").unwrap();
    fs::write(scene.path("source/new"), "new\n").unwrap();
    archive(&scene, "db-2.tar.zst", DAY_2, Encryption::None);
    archive(&scene, "web/1.tar.zst", DAY_1, Encryption::None);

    let listed: Value = serde_json::from_str(&ok(&scene, &["snapshots", "--json", "--job", "db"])).unwrap();
    let ids: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["id"].as_str())
        .collect();
    assert_eq!(ids, ["db-1.tar.zst", "db-2.tar.zst"]);
    assert_eq!(
        (listed[0]["hostname"].as_str(), listed[0]["time"].as_str()),
        (Some("web1"), Some(DAY_1))
    );
    assert_eq!(ok(&scene, &["snapshots", "--latest", "1"]).lines().count(), 4);

    // Any beginning that fits one only, `latest`, and a directory behind a colon.
    assert_eq!(
        ok(&scene, &["dump", "db-1", "/source/etc/hosts"]),
        "127.0.0.1 localhost\n"
    );
    assert_eq!(ok(&scene, &["dump", "latest:/source/etc", "hosts"]), "changed\n");
    assert_eq!(ok(&scene, &["dump", "--job", "web", "latest", "source/new"]), "new\n");
    failed(&scene, &["ls", "db-"], 1, "beginning of 2 archives' names");
    failed(&scene, &["ls", "nothing"], 1, "archive `nothing` was not found");
    failed(
        &scene,
        &["dump", "db-1", "/nowhere"],
        1,
        "path `/nowhere` was not found",
    );

    assert_eq!(
        ok(&scene, &["ls", "db-1", "/source/etc"]),
        "/source/etc\n/source/etc/hosts\n"
    );
    failed(&scene, &["ls", "db-1", "/nowhere"], 1, "path `/nowhere` was not found");
    let lines = ok(&scene, &["ls", "--json", "db-1"]);
    let entry: Value = serde_json::from_str(lines.lines().find(|line| line.contains("hosts")).unwrap()).unwrap();
    assert_eq!(
        (entry["type"].as_str(), entry["size"].as_u64()),
        (Some("file"), Some(20))
    );
    assert!(entry.get("inode").is_none() && entry.get("atime").is_none(), "{entry}");
    let found = ok(&scene, &["find", "--json", "HOSTS", "-i"]);
    assert_eq!(found.lines().count(), 3, "{found}");

    let differences = ok(&scene, &["diff", "db-1", "db-2", "-q"]);
    assert_eq!(differences, "M    /source/etc/hosts\n+    /source/new\n");

    ok(&scene, &["restore", "db-2", "--target", "all", "--verify"]);
    assert_restored(&scene, "all");
    ok(
        &scene,
        &["restore", "db-1:/source", "--target", "part", "--include", "/etc"],
    );
    assert_eq!(shell(&scene, "cd part; find . -type f"), "./etc/hosts\n");
    // What was chosen leads to a first name that was not: the content comes all the same.
    ok(
        &scene,
        &["restore", "db-1:/source", "--target", "link", "--include", "/other"],
    );
    ok(
        &scene,
        &["restore", "db-1:/source", "--target", "link2", "--include", "/large"],
    );
    shell(&scene, "cmp link/other source/large; cmp link2/large source/large");

    shell(&scene, "mkdir tarred");
    ok(&scene, &["dump", "db-2", "/source", "--target", "dumped.tar"]);
    shell(&scene, "tar -xf dumped.tar -C tarred");
    assert_restored(&scene, "tarred");

    let stats: Value = serde_json::from_str(&ok(&scene, &["stats", "--json", "db-1"])).unwrap();
    assert_eq!(stats["total_size"].as_u64(), Some((3 << 20) + 20));
}

#[test]
fn what_is_there_stays_as_the_options_say() {
    let scene = with_source();
    archive(&scene, "db-1.tar.zst", DAY_1, Encryption::None);
    let restore = |arguments: &[&str]| {
        let all = [
            &["restore", "latest:/source/etc", "--target", "out", "--json"],
            arguments,
        ]
        .concat();
        serde_json::from_str::<Value>(ok(&scene, &all).lines().last().unwrap()).unwrap()
    };
    let dry = restore(&["--dry-run"]);
    assert_eq!(
        (dry["total_files"].as_u64(), dry["dry_run"].as_bool()),
        (Some(1), Some(true))
    );
    assert!(!scene.path("out").exists());
    restore(&[]);
    assert_eq!(restore(&["--overwrite", "if-changed"])["files_identical"], 1);
    fs::write(scene.path("out/hosts"), "mine\n").unwrap();
    assert_eq!(restore(&["--overwrite", "never"])["files_skipped"], 1);
    assert_eq!(restore(&["--overwrite", "if-newer"])["files_skipped"], 1);
    assert_eq!(fs::read_to_string(scene.path("out/hosts")).unwrap(), "mine\n");
    // Nothing is said about files that stayed as they were.
    assert_eq!(restore(&["--overwrite", "never", "--verify"])["files_verified"], 0);
    assert_eq!(restore(&["--overwrite", "if-changed", "--verify"])["files_verified"], 1);
    assert_eq!(
        fs::read_to_string(scene.path("out/hosts")).unwrap(),
        "127.0.0.1 localhost\n"
    );

    failed(
        &scene,
        &["restore", "latest", "--target", "archives/x"],
        1,
        "lies in it",
    );
    failed(
        &scene,
        &["restore", "latest", "--target", "y", "--include", "nothing"],
        1,
        "fits the patterns",
    );
}

#[test]
fn options_that_mean_nothing_for_archives_are_refused() {
    let scene = with_source();
    archive(&scene, "db-1.tar.zst", DAY_1, Encryption::None);
    for arguments in [
        &["restore", "latest", "--target", "x", "--no-sparse"][..],
        &["ls", "latest", "--tag", "a"],
        &["snapshots", "--path", "/a"],
        &["snapshots", "--group-by", "host"],
        &["find", "--blob", "00"],
        &["check", "--read-data-subset", "5%"],
        &["check", "--with-cache"],
        &["stats", "--mode", "blobs-per-file"],
        &["forget", "--keep-last", "1", "--prune"],
        &["forget", "--keep-tag", "a"],
        &["ls", "latest", "--no-lock"],
        &["ls", "latest", "--key-hint", "00"],
    ] {
        failed(&scene, arguments, 2, "means nothing for archives");
    }
    for command in [
        &["backup", "source"][..],
        &["prune"],
        &["init"],
        &["key", "list"],
        &["unlock"],
        &["tag", "--add", "x"],
        &["list", "packs"],
        &["repair", "index"],
    ] {
        failed(&scene, command, 2, "for repositories of format `restic`");
    }
    assert!(!scene.path("x").exists());
    // The protocol has no words for them: an empty list would be a lie.
    let at_rest = scene.run(&["-r", "archive:rest:http://127.0.0.1:1/x", "snapshots"]);
    assert_eq!(at_rest.code, 2, "{at_rest}");
    assert!(at_rest.stderr.contains("a REST server keeps no archives"), "{at_rest}");
    let misspelt = scene.run(&["-r", "archive:nowhere", "snapshots"]);
    assert_eq!(misspelt.code, 10, "{misspelt}");
    let restic = Scene::with_snapshot();
    assert_eq!(restic.run(&["ls", "latest", "--identity", "x"]).code, 2);
    assert_eq!(restic.run(&["ls", "latest", "--job", "x"]).code, 1);
}

#[test]
fn forgetting_touches_what_manifests_name_and_never_the_newest() {
    let scene = with_source();
    for (name, start) in [
        ("db-1.tar.zst", DAY_1),
        ("db-2.tar.zst", DAY_2),
        ("web-1.tar.zst", DAY_1),
    ] {
        archive(&scene, name, start, Encryption::None);
    }
    for foreign in ["db-0.tar.zst", "db-1.tar.zst.bak", "notes.txt"] {
        fs::write(scene.path("archives").join(foreign), "not ours").unwrap();
    }
    let plan: Value = serde_json::from_str(
        ok(&scene, &["forget", "--keep-last", "1", "--dry-run", "--json"])
            .lines()
            .last()
            .unwrap(),
    )
    .unwrap();
    assert_eq!(plan["remove"], serde_json::json!(["db-1.tar.zst"]));
    assert_eq!(plan["groups"].as_array().unwrap().len(), 2);
    assert!(ok(&scene, &["snapshots"]).contains("3 archives"));
    failed(&scene, &["forget", "db-2"], 1, "the newest");
    failed(&scene, &["forget", "web-1"], 1, "the newest");
    ok(&scene, &["forget", "--keep-within", "1d", "--keep-last", "1"]);
    let left = shell(&scene, "ls archives");
    assert_eq!(
        left,
        "db-0.tar.zst\ndb-1.tar.zst.bak\ndb-2.tar.zst\ndb-2.tar.zst.manifest.json\nnotes.txt\n\
         web-1.tar.zst\nweb-1.tar.zst.manifest.json\n"
    );
    archive(&scene, "db-3.tar.zst", "2026-03-03T02:00:00Z", Encryption::None);
    ok(&scene, &["forget", "db-2"]);
    assert!(!scene.path("archives/db-2.tar.zst").exists());
}

#[test]
fn check_tells_damage_from_what_it_cannot_prove() {
    let scene = with_source();
    shell(&scene, "age-keygen -o key 2> /dev/null");
    let recipient = AgeRecipients::parse([shell(&scene, "age-keygen -y key").as_str()]).unwrap();
    archive(&scene, "plain-1.tar.zst", DAY_1, Encryption::None);
    archive(
        &scene,
        "sealed-1.tar.zst.age",
        DAY_1,
        Encryption::AgeRecipients(recipient),
    );
    assert!(ok(&scene, &["check"]).contains("checked 2 archives"));
    let report = |arguments: &[&str], code: i32| {
        let ended = run(&scene, &[&["check", "--json", "-q"], arguments].concat());
        assert_eq!(ended.code, code, "{ended}");
        serde_json::from_str::<Value>(ended.stdout.lines().last().unwrap()).unwrap()
    };
    let without = report(&["--read-data"], 0);
    assert_eq!(
        without["content_needs_identity"],
        serde_json::json!(["sealed-1.tar.zst.age"])
    );
    assert_eq!(without["content_proven"], 1);
    assert!(ok(&scene, &["check", "--read-data"]).contains("can only be proven with the identity"));
    assert_eq!(report(&["--read-data", "--identity", "key"], 0)["content_proven"], 2);

    let sealed = scene.path("archives/sealed-1.tar.zst.age");
    let mut bytes = fs::read(&sealed).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&sealed, &bytes).unwrap();
    assert_eq!(report(&[], 0)["num_errors"], 0, "the size is right");
    assert_eq!(
        report(&["--read-data"], 20)["problems"][0]["id"],
        "sealed-1.tar.zst.age"
    );
    bytes.pop();
    fs::write(&sealed, &bytes).unwrap();
    assert_eq!(report(&[], 20)["num_errors"], 1);
    fs::write(scene.path("archives/plain-1.tar.zst.manifest.json"), "{").unwrap();
    assert_eq!(report(&[], 20)["unreadable_manifests"], 1);
}

#[test]
fn private_keys_of_every_kind_open_archives() {
    let scene = with_source();
    let gpg =
        "export GNUPGHOME=$PWD/gnupg; gpg=\"gpg --batch --quiet --no-permission-warning --pinentry-mode loopback\";";
    shell(
        &scene,
        &format!(
            "age-keygen -o key 2> /dev/null; ssh-keygen -q -t ed25519 -N '' -f ssh; ssh-keygen -q -t ed25519 -N hush -f locked; \
             mkdir -m 700 gnupg; {gpg} $gpg --passphrase '' --quick-generate-key a@example.org future-default default 2y; \
             $gpg --export > public; $gpg --export-secret-keys > secret; $gpg --export-secret-keys --armor > secret.asc; \
             $gpg --passphrase hush --quick-generate-key b@example.org future-default default 2y; \
             $gpg --export b@example.org > public2; $gpg --passphrase hush --export-secret-keys b@example.org > secret2; \
             printf 'hush\\n' > hush; printf 'wrong\\n' > wrong"
        ),
    );
    // As `age -p` would write it, which asks a terminal.
    let mut locked_age = Vec::new();
    let identity = fs::read(scene.path("key")).unwrap();
    let encryptor = age::Encryptor::with_user_passphrase("hush".to_owned().into());
    let mut sealed = encryptor.wrap_output(&mut locked_age).unwrap();
    std::io::Write::write_all(&mut sealed, &identity).unwrap();
    sealed.finish().unwrap();
    fs::write(scene.path("key.age"), &locked_age).unwrap();

    let texts = ["age-keygen -y key", "cat ssh.pub", "cat locked.pub"].map(|line| shell(&scene, line));
    let recipients = AgeRecipients::parse(texts.iter().map(String::as_str)).unwrap();
    let rings = ["public", "public2"].map(|name| fs::read(scene.path(name)).unwrap());
    let keys = OpenPgpKeys::parse(rings.iter().map(Vec::as_slice)).unwrap();
    archive(
        &scene,
        "age-1.tar.zst.age",
        DAY_1,
        Encryption::AgeRecipients(recipients),
    );
    archive(&scene, "gpg-1.tar.zst.gpg", DAY_1, Encryption::OpenPgpKeys(keys));
    for (name, files) in [("age-1", &["key", "ssh"][..]), ("gpg-1", &["secret", "secret.asc"])] {
        for file in files {
            let dumped = ok(&scene, &["dump", name, "/source/etc/hosts", "--identity", file]);
            assert_eq!(dumped, "127.0.0.1 localhost\n", "{name} {file}");
        }
        failed(&scene, &["ls", name], 12, "--identity FILE");
    }
    for (name, file) in [("age-1", "key.age"), ("age-1", "locked"), ("gpg-1", "secret2")] {
        let with = |option: &'static [&'static str]| {
            [&["dump", name, "/source/etc/hosts", "--identity", file], option].concat()
        };
        let opened = ok(&scene, &with(&["--identity-password-file", "hush"]));
        assert_eq!(opened, "127.0.0.1 localhost\n", "{name} {file}");
        ok(&scene, &with(&["--identity-password-command", "echo hush"]));
        failed(
            &scene,
            &with(&["--identity-password-file", "wrong"]),
            1,
            "does not open the identity",
        );
        failed(&scene, &with(&[]), 2, "there is no terminal");
    }
    let by_variable = scene
        .command()
        .env("MAINSTAY_REPOSITORY", "archive:archives")
        .env("MAINSTAY_IDENTITY_FILE", "key")
        .args(["ls", "age-1"])
        .output()
        .unwrap();
    assert!(by_variable.status.success());
    failed(&scene, &["ls", "age-1", "--identity", "hush"], 1, "no private key");
    failed(
        &scene,
        &["ls", "age-1", "--identity", "none"],
        2,
        "cannot read the identity",
    );
    // The hint names whom it was encrypted for.
    failed(&scene, &["ls", "age-1"], 12, "ssh-ed25519 AAAA");
}

#[test]
fn passphrases_come_from_the_configuration_or_from_options() {
    let scene = with_source();
    let passphrase = || Passphrase::new("correct horse").unwrap();
    let gzip = WriteOptions {
        compression: Compression::Gzip(GzipLevel::default()),
        ..WriteOptions::new(Encryption::AgePassphrase(passphrase()))
    };
    archive_with(&scene, "age-1.tar.gz.age", DAY_1, &gzip);
    archive(
        &scene,
        "gpg-1.tar.zst.gpg",
        DAY_1,
        Encryption::OpenPgpPassphrase(passphrase()),
    );
    fs::write(scene.path("phrase"), "correct horse\n").unwrap();
    fs::write(
        scene.path("mainstay.yaml"),
        "host: web1\nrepositories:\n  plain:\n    url: ./archives\n    format: archive\n    \
         encryption: {age_passphrase: {file: phrase}}\njobs:\n  nightly:\n    sources: [files: [./source]]\n",
    )
    .unwrap();
    for name in ["age-1", "gpg-1"] {
        ok(&scene, &["-r", "plain", "dump", name, "/source/etc/hosts"]);
        ok(
            &scene,
            &["dump", name, "/source/etc/hosts", "--password-file", "phrase"],
        );
        failed(
            &scene,
            &["-r", "plain", "ls", name, "--password-file", "password"],
            12,
            "with a passphrase",
        );
        failed(&scene, &["ls", name], 2, "no terminal");
    }
    // Alone in the configuration, it need not be named.
    let alone = scene
        .command()
        .env_remove("MAINSTAY_REPOSITORY")
        .args(["check", "--read-data"])
        .output()
        .unwrap();
    assert!(alone.status.success(), "{}", String::from_utf8_lossy(&alone.stderr));
    assert!(String::from_utf8_lossy(&alone.stdout).contains("the content of 2"));
}
