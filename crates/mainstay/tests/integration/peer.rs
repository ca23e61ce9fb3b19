//! restic beside the program, plain copies of trees, and stores whose password is checked quickly.

use crate::scene::{Ended, Scene};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use repository::Id;
use repository::restic::crypto::Key;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use testkit::tree::{CompareOptions, compare_trees};

/// restic, in the scene's directory, for its repository and password.
#[expect(clippy::disallowed_methods, reason = "tests run restic as the oracle")]
pub fn restic_command(scene: &Scene, arguments: &[&str]) -> Command {
    let mut command = Command::new("restic");
    command
        .args(["--no-cache", "-r", "repository"])
        .args(arguments)
        .current_dir(scene.path(""))
        .env_clear();
    command
        .env("PATH", "/usr/bin:/bin")
        .env("TZ", "UTC")
        .env("RESTIC_PASSWORD_FILE", "password");
    command
}

/// Run restic; how it ended.
pub fn try_restic(scene: &Scene, arguments: &[&str]) -> Ended {
    ended(&restic_command(scene, arguments).stdin(Stdio::null()).output().unwrap())
}

/// Run restic; it has to succeed. Returns what it wrote to standard output.
pub fn restic(scene: &Scene, arguments: &[&str]) -> String {
    let ended = try_restic(scene, arguments);
    assert_eq!(ended.code, 0, "restic {arguments:?}: {ended}");
    ended.stdout
}

/// Start restic with a pipe to its standard input.
pub fn start_restic(scene: &Scene, arguments: &[&str]) -> Child {
    let mut command = restic_command(scene, arguments);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// How any program ended.
pub fn ended(output: &Output) -> Ended {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

/// The lines of an answer in JSON lines.
pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The last message of `--json`.
pub fn summary(text: &str) -> Value {
    json_lines(text).pop().unwrap()
}

/// Make `to` an exact copy of the tree `from`.
#[expect(
    clippy::disallowed_methods,
    reason = "a copy that owes nothing to the code under test"
)]
pub fn copy_tree(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    let output = Command::new("cp").arg("-a").arg(from).arg(to).output().unwrap();
    assert!(output.status.success(), "{}", ended(&output));
}

/// Two trees have to be the same, but for sockets, and for the two directories themselves: that of a target stays as it was.
pub fn assert_same(expected: &Path, found: &Path) {
    let mut differences = compare_trees(
        expected,
        found,
        &CompareOptions {
            root_time: false,
            ..CompareOptions::default()
        },
    );
    differences.retain(|difference| !difference.starts_with("`.`: "));
    assert_eq!(differences, Vec::<String>::new(), "{}", found.display());
}

/// Run the program; it has to succeed. What it wrote to standard output, as it is.
pub fn plain(scene: &Scene, arguments: &[&str]) -> String {
    let ended = ended(&scene.command().args(arguments).output().unwrap());
    assert_eq!(ended.code, 0, "{arguments:?}: {ended}");
    ended.stdout
}

/// Where a tree comes to lie when a whole snapshot is restored to `target`.
pub fn below(target: &Path, source: &Path) -> PathBuf {
    target.join(source.strip_prefix("/").unwrap())
}

/// Where many small files are written: in memory, if there is such a place.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

/// Replace the key of the repository in `location` by one for the same password, `secret`, that opens at once. A test that runs the
/// program hundreds of times would do little but derive keys otherwise.
pub fn make_key_cheap(location: &Path) {
    let mut keys = fs::read_dir(location.join("keys")).unwrap();
    let path = keys.next().unwrap().unwrap().path();
    let file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let number = |name: &str| u32::try_from(file[name].as_u64().unwrap()).unwrap();
    let bytes = |name: &str| BASE64.decode(file[name].as_str().unwrap()).unwrap();
    let params = scrypt::Params::new(number("N").trailing_zeros() as u8, number("r"), number("p")).unwrap();
    let master = derive(b"secret", &bytes("salt"), &params).open(&bytes("data")).unwrap();
    fs::remove_file(path).unwrap();
    store_cheap_key(location, &master, b"secret");
    // Opens the same repository with another password: it must not matter what becomes of it.
    store_cheap_key(location, &master, b"another secret");
}

fn store_cheap_key(location: &Path, master: &[u8], password: &[u8]) {
    let salt: [u8; 64] = rand::random();
    let data = derive(password, &salt, &scrypt::Params::new(1, 1, 1).unwrap()).seal(master);
    let file = json!({
        "created": "2026-01-01T00:00:00Z", "username": String::from_utf8_lossy(password), "hostname": "test",
        "kdf": "scrypt", "N": 2, "r": 1, "p": 1, "salt": BASE64.encode(salt), "data": BASE64.encode(data),
    });
    let content = serde_json::to_vec(&file).unwrap();
    fs::write(location.join("keys").join(Id::hash(&content).to_hex()), content).unwrap();
}

fn derive(password: &[u8], salt: &[u8], params: &scrypt::Params) -> Key {
    let mut derived = [0; 64];
    scrypt::scrypt(password, salt, params, &mut derived).unwrap();
    Key::from_bytes(&derived)
}
