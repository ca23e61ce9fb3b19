//! `key generate`, and the recovery kit, whose commands are followed to the letter.

use crate::scene::Scene;
use repository::archive::{AgeRecipients, Encryption, NewArchive, Source, WriteOptions, write};
use repository::{Cancel, Recorder, clock};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use storage::LocalStore;

#[expect(clippy::disallowed_methods, reason = "the commands are for a shell")]
fn shell(directory: &Path, script: &str) -> String {
    let program = assert_cmd::cargo::cargo_bin!("mainstay");
    let path = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());
    let output = Command::new("bash")
        .args(["-ec", &format!("set -o pipefail\n{script}")])
        .current_dir(directory)
        .env_clear()
        .envs([
            ("PATH", path.as_str()),
            ("HOME", "/nonexistent"),
            ("RESTIC_CACHE_DIR", "/tmp/none"),
            ("TZ", "UTC"),
        ])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{script}\n{err}");
    String::from_utf8(output.stdout).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_generated_key_is_age_s_and_is_never_overwritten() {
    let scene = Scene::empty();
    let recipient = scene.ok(&["key", "generate", "archive.key"]);
    assert_eq!(mode(&scene.path("archive.key")), 0o600);
    assert_eq!(shell(&scene.path(""), "age-keygen -y archive.key"), recipient);
    shell(
        &scene.path(""),
        &format!(
            "echo hello | age -r {} | age -d -i archive.key | grep hello",
            recipient.trim()
        ),
    );
    let before = fs::read(scene.path("archive.key")).unwrap();
    let again = scene.run(&["key", "generate", "archive.key"]);
    assert_eq!(again.code, 2, "{again}");
    assert_eq!(fs::read(scene.path("archive.key")).unwrap(), before);
    // Without a file it goes to standard output, but not into JSON.
    let piped = scene.ok(&["key", "generate"]);
    assert!(piped.lines().last().unwrap().starts_with("AGE-SECRET-KEY-1"), "{piped}");
    assert_eq!(scene.run(&["key", "generate", "--json"]).code, 2);
    let secret = String::from_utf8(before).unwrap();
    let secret = secret.lines().last().unwrap();
    let shown = scene.run(&["key", "generate", "--json", "other.key"]);
    assert!(shown.code == 0 && !shown.to_string().contains("SECRET") && !shown.to_string().contains(secret));
}

const PASSWORD: &str = "it's $ome \"secret\"";

/// A repository in restic's format and archives for a recipient, each with what is in `source`.
fn with_two_repositories() -> Scene {
    let scene = Scene::empty();
    fs::create_dir(scene.path("source")).unwrap();
    fs::write(scene.path("source/a.txt"), "content of a\n").unwrap();
    let recipient = scene.ok(&["key", "generate", "archive.key"]);
    fs::write(scene.path("main.secret"), PASSWORD).unwrap();
    fs::write(
        scene.path("mainstay.yaml"),
        format!(
            "host: web1\nrepositories:\n  main:\n    url: ./my repository\n    password: {{file: main.secret}}\n  \
             plain:\n    url: ./archives\n    format: archive\n    encryption: {{age: [{}]}}\n\
             jobs:\n  nightly:\n    to: [main, plain]\n    sources: [files: [./source]]\n",
            recipient.trim()
        ),
    )
    .unwrap();
    scene.ok(&["-r", "main", "init"]);
    scene.ok(&["-r", "main", "backup", "--host", "web1", "source"]);
    // Other paths are another snapshot: the newest of all is not everything.
    fs::create_dir(scene.path("more things")).unwrap();
    fs::write(scene.path("more things/b.txt"), "content of b\n").unwrap();
    scene.ok(&["-r", "main", "backup", "--host", "web1", "more things"]);
    let new = NewArchive {
        name: "web1/nightly-1.tar.zst.age".to_owned(),
        host: "web1".to_owned(),
        job: "nightly".to_owned(),
        start: clock::now(),
        original: None,
    };
    let options = WriteOptions {
        part_size: Some(1 << 20),
        ..WriteOptions::new(Encryption::AgeRecipients(
            AgeRecipients::parse([recipient.trim()]).unwrap(),
        ))
    };
    fs::write(scene.path("source/large"), testkit::tree::content(7, 3 << 20)).unwrap();
    let source = Source::path_as(scene.path("source"), Path::new("source"));
    let store = LocalStore::new(scene.path("archives"));
    let manifest = write(
        &store,
        &new,
        vec![source],
        &options,
        &Cancel::default(),
        &Recorder::default(),
    )
    .unwrap();
    assert!(manifest.parts.len() > 1);
    fs::remove_file(scene.path("source/large")).unwrap();
    scene
}

/// The lines that are to be typed.
fn commands(page: &str) -> String {
    let lines = page.lines().filter_map(|line| line.strip_prefix("    "));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn following_the_page_with_keys_brings_everything_back_both_ways() {
    let scene = with_two_repositories();
    let made = scene.ok(&[
        "recovery-kit",
        "--keys",
        "plain",
        "--identity",
        "archive.key",
        "--output",
        "kit",
    ]);
    assert!(!made.contains("SECRET") && !made.contains("$ome"), "{made}");
    assert_eq!(
        (mode(&scene.path("kit.txt")), mode(&scene.path("kit.html"))),
        (0o600, 0o600)
    );
    let page = fs::read_to_string(scene.path("kit.txt")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    shell(elsewhere.path(), &commands(&page));
    assert_eq!(mode(&elsewhere.path().join("main.password")), 0o600);
    let source = scene.path("source").canonicalize().unwrap();
    let source = source.strip_prefix("/").unwrap().display().to_string();
    for restored in [
        format!("restored-main-web1/{source}"),
        format!("restored-main-web1-by-restic/{source}"),
        "restored-plain-nightly/source".to_owned(),
        "restored-plain-nightly-by-tar/source".to_owned(),
    ] {
        let text = fs::read_to_string(elsewhere.path().join(&restored).join("a.txt")).unwrap();
        assert_eq!(text, "content of a\n", "{restored}");
    }
    let more = source.replace("source", "more things");
    for restored in ["restored-main-web1", "restored-main-web1-by-restic"] {
        let file = elsewhere.path().join(restored).join(&more).join("b.txt");
        assert_eq!(fs::read_to_string(file).unwrap(), "content of b\n", "{restored}");
    }
    let large = elsewhere.path().join("restored-plain-nightly-by-tar/source/large");
    assert_eq!(fs::read(large).unwrap(), testkit::tree::content(7, 3 << 20));
    // The same commands stand on the page that is printed.
    let html = fs::read_to_string(scene.path("kit.html")).unwrap();
    let plain = html
        .replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    assert!(commands(&page).lines().all(|line| plain.contains(line)), "{html}");
    let again = scene.run(&["recovery-kit", "--output", "kit"]);
    assert_eq!(again.code, 2, "{again}");
    assert_eq!(fs::read_to_string(scene.path("kit.txt")).unwrap(), page);
}

#[test]
fn without_keys_the_page_names_the_files_that_they_belong_into() {
    let scene = with_two_repositories();
    scene.ok(&["recovery-kit"]);
    let page = fs::read_to_string(scene.path("mainstay-recovery.txt")).unwrap();
    let recipient = shell(&scene.path(""), "age-keygen -y archive.key");
    let id = shell(
        &scene.path(""),
        "mainstay -r main cat config | grep -o '\"id\": *\"[0-9a-f]*' | grep -o '[0-9a-f]*$'",
    );
    for expected in ["main.password", "plain.key", recipient.trim(), id.trim()] {
        assert!(!expected.is_empty() && page.contains(expected), "{expected}: {page}");
    }
    assert!(!page.contains("$ome") && !page.contains("AGE-SECRET-KEY-"), "{page}");
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("main.password"), PASSWORD).unwrap();
    fs::copy(scene.path("archive.key"), elsewhere.path().join("plain.key")).unwrap();
    shell(elsewhere.path(), &commands(&page));
    assert!(
        elsewhere
            .path()
            .join("restored-plain-nightly-by-tar/source/a.txt")
            .is_file()
    );
}

#[test]
fn encrypted_keys_are_read_by_age_with_the_passphrase_of_the_page() {
    let scene = with_two_repositories();
    fs::write(scene.path("phrase"), "four words for paper\n").unwrap();
    scene.ok(&[
        "recovery-kit",
        "--keys",
        "encrypted",
        "--keys-password-file",
        "phrase",
        "--identity",
        "archive.key",
    ]);
    let page = fs::read_to_string(scene.path("mainstay-recovery.txt")).unwrap();
    assert!(!page.contains("$ome") && !page.contains("AGE-SECRET-KEY-"), "{page}");
    let elsewhere = tempfile::tempdir().unwrap();
    // age asks a terminal for the passphrase.
    fs::write(
        elsewhere.path().join("commands"),
        format!("set -e\n{}", commands(&page)),
    )
    .unwrap();
    fs::write(
        elsewhere.path().join("type.py"),
        "import os, pty, sys\n\
         pid, fd = pty.fork()\n\
         if pid == 0: os.execvp('bash', ['bash', 'commands'])\n\
         seen = b''\n\
         while True:\n    \
             try: data = os.read(fd, 4096)\n    \
             except OSError: break\n    \
             if not data: break\n    \
             before, seen = seen.count(b'passphrase'), seen + data\n    \
             if before == 0 and b'passphrase' in seen: os.write(fd, b'four words for paper\\n')\n\
         code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])\n\
         if code: sys.stderr.buffer.write(seen)\n\
         sys.exit(code)\n",
    )
    .unwrap();
    shell(elsewhere.path(), "python3 type.py");
    assert!(elsewhere.path().join("restored-plain-nightly/source/a.txt").is_file());
    assert_eq!(
        fs::read_to_string(elsewhere.path().join("main.password")).unwrap(),
        format!("{PASSWORD}\n")
    );
}

#[test]
fn a_repository_that_cannot_be_reached_is_on_the_page_all_the_same() {
    let scene = with_two_repositories();
    fs::remove_dir_all(scene.path("my repository")).unwrap();
    let ended = scene.run(&["recovery-kit"]);
    assert_eq!(ended.code, 3, "{ended}");
    let page = fs::read_to_string(scene.path("mainstay-recovery.txt")).unwrap();
    assert!(
        page.contains("could not be reached") && page.contains("restored-plain-nightly"),
        "{page}"
    );
}
