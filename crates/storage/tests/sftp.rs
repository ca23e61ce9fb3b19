//! SFTP against a real `sshd`, and against a server that is not OpenSSH: who is let in, which server is believed, what breaks on the way, and what is left then.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use storage::{Error, ErrorKind, Options, Store, open};
use tempfile::TempDir;
use testkit::asyncssh_server::{AsyncsshServer, PASSWORD, Settings};
use testkit::conformance::pattern;
use testkit::proxy::Proxy;
use testkit::ssh_server::{HOST_KEYS, SshServer, open_to_all, whoami};

const MIB: usize = 1 << 20;

/// A server and a directory on it.
struct Scene {
    server: SshServer,
    directory: TempDir,
}

impl Scene {
    fn new() -> Self {
        Self::with(SshServer::start())
    }

    fn with(server: SshServer) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { server, directory }
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    fn store(&self, options: &Options) -> Arc<dyn Store> {
        open(&self.server.location(&self.root()), options).unwrap()
    }

    /// The options with one change, and quick retries.
    fn options(&self, change: impl FnOnce(&mut Options)) -> Options {
        let mut options = self.server.options();
        options.sleep = Some(Arc::new(|_| ()));
        change(&mut options);
        options
    }

    fn writes(&self, change: impl FnOnce(&mut Options)) {
        let store = self.store(&self.options(change));
        store
            .write("config", Bytes::from_static(b"x"))
            .unwrap_or_else(|error| panic!("{}\n{}", chain(&error), self.server.log()));
    }

    /// What the store answers, which must be an error, before it has written anything.
    fn refuses(&self, change: impl FnOnce(&mut Options)) -> Error {
        let store = self.store(&self.options(change));
        let error = store.write("config", Bytes::from_static(b"x")).unwrap_err();
        assert!(!self.root().exists(), "something was written: {}", chain(&error));
        assert!(error.hint.is_some(), "no hint: {}", chain(&error));
        error
    }

    /// A store behind a proxy that cuts connections.
    fn store_behind(&self, proxy: &Proxy, options: &Options) -> Arc<dyn Store> {
        let mut options = options.clone();
        // The proxy has another port, under which nobody knows the server.
        options.sftp.host_key = Some(self.server.fingerprint("ed25519"));
        let address = format!("sftp://{}@{}/{}", whoami(), proxy.address(), self.root().display());
        open(&address.parse().unwrap(), &options).unwrap()
    }
}

fn chain(error: &Error) -> String {
    let source = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{error}: {source} ({})", error.hint.as_deref().unwrap_or_default())
}

/// Every file under `directory`, objects or not.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

fn names(store: &dyn Store) -> Vec<String> {
    let mut names: Vec<_> = store.list("").unwrap().into_iter().map(|object| object.name).collect();
    names.sort();
    names
}

#[test]
fn heavy_a_server_is_believed_by_its_fingerprint_or_by_known_hosts() {
    for kind in HOST_KEYS {
        let scene = Scene::new();
        scene.writes(|options| {
            options.sftp.known_hosts = None;
            options.sftp.host_key = Some(scene.server.fingerprint(kind));
        });
        // A server is asked for a key of the kind that is known, whichever it would rather show.
        scene.server.write_known_hosts(&[kind]);
        scene.writes(|_| ());
    }
    let scene = Scene::new();
    let home = scene.server.file("home");
    fs::create_dir(home.join(".ssh")).unwrap();
    fs::copy(scene.server.file("known_hosts"), home.join(".ssh/known_hosts")).unwrap();
    scene.writes(|options| {
        options.sftp.known_hosts = None;
        options.sftp.home = Some(home);
    });
}

#[test]
fn heavy_a_server_that_nobody_vouched_for_gets_nothing() {
    let scene = Scene::new();
    fs::write(scene.server.file("known_hosts"), "").unwrap();
    let error = scene.refuses(|_| ());
    assert_eq!(error.kind, ErrorKind::Misconfigured);
    let text = chain(&error);
    for expected in [
        scene.server.fingerprint("ed25519"),
        "ssh-keyscan".to_owned(),
        "host_key".to_owned(),
    ] {
        assert!(text.contains(&expected), "{text}");
    }
}

#[test]
fn heavy_a_server_with_another_key_gets_nothing() {
    let mut scene = Scene::new();
    let pinned = scene.server.fingerprint("ed25519");
    scene.server.stop();
    scene.server.make_key("host_ed25519", "ed25519", "");
    scene.server.resume();
    let (by_file, by_fingerprint) = (
        scene.refuses(|_| scene.server.host_key("ed25519").clear()),
        scene.refuses(|options| options.sftp.host_key = Some(pinned)),
    );
    for error in [by_file, by_fingerprint] {
        assert_eq!(error.kind, ErrorKind::Misconfigured);
        let text = chain(&error);
        assert!(text.contains(&scene.server.fingerprint("ed25519")), "{text}");
        assert!(text.contains("between you and the server"), "{text}");
    }
}

#[test]
fn heavy_a_revoked_key_is_never_believed() {
    let scene = Scene::new();
    let file = scene.server.file("known_hosts");
    let known = fs::read_to_string(&file).unwrap();
    let revoked = format!("{known}@revoked * {}", scene.server.host_key("ed25519"));
    fs::write(&file, revoked).unwrap();
    let error = scene.refuses(|_| ());
    assert!(chain(&error).contains("revoked"), "{}", chain(&error));
}

#[test]
fn heavy_keys_of_every_kind_let_us_in() {
    for (kind, passphrase) in [("ed25519", "a b"), ("ecdsa", ""), ("rsa", ""), ("rsa", "secret")] {
        let scene = Scene::new();
        let key = scene.server.make_key("other", kind, passphrase);
        scene.server.authorize("other");
        scene.writes(|options| {
            options.sftp.key_file = Some(key);
            options.sftp.key_passphrase = Some(passphrase.to_owned()).filter(|text| !text.is_empty());
        });
    }
}

#[test]
fn heavy_the_usual_keys_and_the_agent_are_asked_if_nothing_is_said() {
    let scene = Scene::new();
    let home = scene.server.file("home");
    fs::create_dir(home.join(".ssh")).unwrap();
    let nothing = |options: &mut Options| {
        options.sftp.key_file = None;
        options.sftp.home = Some(home.clone());
    };
    let error = scene.refuses(nothing);
    assert_eq!(error.kind, ErrorKind::PermissionDenied);
    assert!(chain(&error).contains("no key and no password"), "{}", chain(&error));
    fs::copy(scene.server.file("user"), home.join(".ssh/id_ed25519")).unwrap();
    scene.writes(nothing);
    fs::remove_file(home.join(".ssh/id_ed25519")).unwrap();
    let agent = Agent::with(&scene.server.file("user"), scene.directory.path());
    scene.writes(|options| {
        nothing(options);
        options.sftp.agent = Some(agent.socket.clone());
    });
}

/// A real ssh-agent that holds one key.
struct Agent {
    socket: PathBuf,
    process: std::process::Child,
}

impl Agent {
    #[expect(clippy::disallowed_methods, reason = "the agent is a program")]
    fn with(key: &Path, directory: &Path) -> Self {
        let socket = directory.join("agent");
        let process = std::process::Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..500 {
            if std::os::unix::net::UnixStream::connect(&socket).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let added = std::process::Command::new("ssh-add")
            .arg("-q")
            .arg(key)
            .env("SSH_AUTH_SOCK", &socket)
            .status();
        assert!(added.unwrap().success());
        Self { socket, process }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn heavy_a_wrong_key_is_refused_with_what_was_tried() {
    let scene = Scene::new();
    let stranger = scene.server.make_key("stranger", "ed25519", "");
    let error = scene.refuses(|options| options.sftp.key_file = Some(stranger));
    assert_eq!(error.kind, ErrorKind::PermissionDenied);
    assert!(
        chain(&error).contains("stranger") && chain(&error).contains("publickey"),
        "{}",
        chain(&error)
    );

    let locked = scene.server.make_key("locked", "ed25519", "right");
    for (passphrase, expected) in [
        (None, "MAINSTAY_SFTP_KEY_PASSPHRASE"),
        (Some("wrong"), "passphrase is right"),
    ] {
        let error = scene.refuses(|options| {
            options.sftp.key_file = Some(locked.clone());
            options.sftp.key_passphrase = passphrase.map(ToOwned::to_owned);
        });
        assert_eq!(error.kind, ErrorKind::Misconfigured);
        assert!(
            chain(&error).contains(expected) && !chain(&error).contains("wrong\""),
            "{}",
            chain(&error)
        );
    }
    let error = scene.refuses(|options| options.sftp.key_file = Some("/nowhere".into()));
    assert!(chain(&error).contains("/nowhere"), "{}", chain(&error));
}

#[test]
fn heavy_a_path_without_a_slash_is_below_the_users_directory() {
    let scene = Scene::new();
    for address in ["sftp://{}/a/b", "sftp:{}:a/b", "sftp://{}/."] {
        let host = format!("{}@{}", whoami(), scene.server.address());
        if address.starts_with("sftp:{}") {
            // This form has no place for a port.
            continue;
        }
        let store = open(&address.replace("{}", &host).parse().unwrap(), &scene.server.options()).unwrap();
        store.write("data/object", Bytes::from_static(b"x")).unwrap();
        assert!(names(&*store).contains(&"data/object".to_owned()));
    }
    let home = scene.server.file("home");
    assert!(home.join("a/b/data/object").exists() && home.join("data/object").exists());
}

#[test]
fn heavy_a_broken_connection_leaves_no_half_object_and_the_next_try_succeeds() {
    let scene = Scene::new();
    let retries = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&retries);
    let options = scene.options(|options| {
        options.on_retry = Some(Arc::new(move |error, _, _| {
            assert!(error.kind.is_transient());
            counter.fetch_add(1, Ordering::SeqCst);
        }));
    });
    let proxy = Proxy::start(scene.server.address(), |number| (number <= 2).then_some(5 * MIB as u64));
    let store = scene.store_behind(&proxy, &options);
    let content = pattern(16 * MIB, 1);
    store.write("data/object", content.clone()).unwrap();
    assert_eq!(retries.load(Ordering::SeqCst), 2);
    assert_eq!(proxy.connections(), 3);
    assert_eq!(names(&*store), ["data/object"]);
    assert!(store.read("data/object").unwrap() == content);
    assert_eq!(files(&scene.root()).len(), 3, "two left-overs wait for tomorrow");
}

#[test]
fn heavy_a_streamed_object_whose_connection_breaks_is_never_visible() {
    let scene = Scene::new();
    let proxy = Proxy::start(scene.server.address(), |number| (number == 1).then_some(5 * MIB as u64));
    let store = scene.store_behind(&proxy, &scene.options(|_| ()));
    let mut writer = store.writer("data/object").unwrap();
    let error = (0..16).find_map(|_| writer.write(pattern(MIB, 1)).err());
    let error = error.or_else(|| writer.finish().err()).expect("the connection was cut");
    assert!(error.kind.is_transient(), "{}", chain(&error));
    assert_eq!(names(&*store), Vec::<String>::new());
    assert_eq!(store.stat("data/object").unwrap_err().kind, ErrorKind::NotFound);
    store.write("data/object", Bytes::from_static(b"again")).unwrap();
    assert_eq!(store.read("data/object").unwrap(), "again");
}

#[test]
fn heavy_a_server_that_was_away_is_found_again() {
    let mut scene = Scene::new();
    let proxy = Proxy::start(scene.server.address(), |_| Some(3 * MIB as u64));
    let store = scene.store_behind(&proxy, &scene.options(|options| options.retry.tries = 2));
    store.write("data/one", pattern(MIB, 1)).unwrap();
    scene.server.stop();
    // The connection that is open goes on until it has sent its share, and then there is nobody.
    let error = store.write("data/two", pattern(8 * MIB, 2)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{}", chain(&error));
    scene.server.resume();
    store.write("data/three", pattern(MIB, 3)).unwrap();
    assert_eq!(names(&*store), ["data/one", "data/three"]);
}

#[test]
fn heavy_many_objects_are_listed_whole() {
    let scene = Scene::new();
    let store = scene.store(&scene.server.options());
    let mut expected: Vec<_> = (0..200).map(|n| format!("data/{:02x}/{n:03}", n % 37)).collect();
    // More than a server puts into one answer.
    expected.extend((0..350).map(|n| format!("snapshots/{n:03}")));
    for name in &expected {
        let path = scene.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    expected.sort();
    assert_eq!(names(&*store), expected);
    assert!(
        store
            .list("")
            .unwrap()
            .iter()
            .all(|object| object.size == object.name.len() as u64)
    );
}

#[test]
fn heavy_foreign_files_and_left_overs_are_no_objects() {
    let scene = Scene::new();
    let store = scene.store(&scene.server.options());
    assert_eq!(
        store.list("").unwrap_err().kind,
        ErrorKind::NotFound,
        "a store that is not there looks empty"
    );
    store.write("data/object", Bytes::from_static(b"x")).unwrap();
    let left_over = |name: &str, hours: u64| {
        let path = scene.root().join("data").join(name);
        let file = fs::File::create(&path).unwrap();
        #[expect(clippy::disallowed_methods, reason = "the age of a file is measured with this clock")]
        let time = SystemTime::now() - Duration::from_secs(hours * 3600);
        file.set_modified(time).unwrap();
        path
    };
    let old = left_over("object.tmp~0123456789abcdef", 25);
    let young = left_over("object.tmp~fedcba9876543210", 23);
    let foreign = left_over("notes~", 1000);
    left_over("with space", 0);
    std::os::unix::fs::symlink(scene.root(), scene.root().join("data/loop")).unwrap();
    std::os::unix::fs::symlink("nowhere", scene.root().join("data/dangling")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("object"), "x").unwrap();
    std::os::unix::fs::symlink("/", elsewhere.path().join("deeper")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), scene.root().join("keys")).unwrap();
    assert_eq!(names(&*store), ["data/object", "keys/object"]);
    assert!(!old.exists(), "it is there for ever");
    assert!(young.exists() && foreign.exists(), "it may belong to somebody");
    assert_eq!(store.read("data").unwrap_err().kind, ErrorKind::NotFound);
}

#[test]
fn heavy_others_cannot_look_into_the_store() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new();
    let store = scene.store(&scene.server.options());
    store.write("data/3f/object", Bytes::from_static(b"x")).unwrap();
    let mode = |path: &str| fs::metadata(scene.root().join(path)).unwrap().permissions().mode() & 0o7777;
    for directory in ["", "data", "data/3f"] {
        assert_eq!(mode(directory), 0o700, "{directory}");
    }
    assert_eq!(mode("data/3f/object"), 0o600);
}

/// Somebody else's directory, also where the tests run as root.
#[test]
fn heavy_a_directory_of_somebody_else_is_refused_with_a_hint() {
    let scene = Scene::new();
    let closed = scene.directory.path().join("closed");
    fs::create_dir(&closed).unwrap();
    let user = match whoami().as_str() {
        "root" => "nobody".to_owned(),
        user => user.to_owned(),
    };
    open_to_all(scene.directory.path());
    fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o500)).unwrap();
    let store = open(&scene.server.location_of(&user, &closed), &scene.server.options()).unwrap();
    let error = store.write("config", Bytes::new()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied, "{}", chain(&error));
    assert!(
        error.hint.as_ref().unwrap().contains("belongs to the user"),
        "{}",
        chain(&error)
    );
}

#[test]
fn heavy_a_full_disk_is_reported_and_left_clean() {
    let scene = Scene::new();
    let disk = scene.directory.path();
    mount("tmpfs", disk, "tmpfs", MountFlags::empty(), Some(c"size=8m"))
        .expect("this test mounts a file system and has to run as root");
    let store = scene.store(&scene.server.options());
    store.write("data/before", pattern(MIB, 1)).unwrap();
    let written = store.write("data/large", pattern(16 * MIB, 2));
    let after = files(disk).len();
    store.write("data/after", pattern(MIB, 3)).unwrap();
    let listed = names(&*store);
    unmount(disk, UnmountFlags::DETACH).unwrap();
    let error = written.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Full, "{}", chain(&error));
    assert_eq!(after, 1, "a part of the object is left");
    assert_eq!(listed, ["data/after", "data/before"]);
}

#[test]
fn heavy_a_server_without_sftp_says_so() {
    let scene = Scene::with(SshServer::start_with(&["Subsystem other /bin/true"]));
    let text = fs::read_to_string(scene.server.file("sshd_config")).unwrap();
    assert!(text.contains("Subsystem sftp"), "the test below needs a line to remove");
    let mut scene = scene;
    scene.server.stop();
    let without: String = text
        .lines()
        .filter(|line| !line.starts_with("Subsystem sftp"))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(scene.server.file("sshd_config"), without).unwrap();
    scene.server.resume();
    let error = scene.refuses(|_| ());
    assert!(chain(&error).contains("no SFTP for this user"), "{}", chain(&error));
}

/// Memory does not grow with the size of an object that is streamed.
#[test]
fn heavy_a_large_object_needs_little_memory() {
    let scene = Scene::new();
    let store = scene.store(&scene.server.options());
    let piece = pattern(3 * MIB, 7);
    let peak = |name: &str| {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    };
    let mut writer = store.writer("large").unwrap();
    for _ in 0..10 {
        writer.write(piece.clone()).unwrap();
    }
    let before = peak("VmHWM");
    for _ in 10..100 {
        writer.write(piece.clone()).unwrap();
    }
    let grown = peak("VmHWM") - before;
    assert_eq!(writer.finish().unwrap(), 300 * MIB as u64);
    assert!(grown < 40, "memory grew by {grown} MiB");
    for start in (0..100).step_by(33) {
        let at = start * 3 * MIB as u64;
        assert!(store.read_range("large", at..at + 3 * MIB as u64).unwrap() == piece);
    }
}

/// A server that is not OpenSSH, with all that it can.
fn another(password: bool, dialogue: bool) -> AsyncsshServer {
    AsyncsshServer::start(Settings {
        extensions: true,
        password,
        dialogue,
    })
}

/// As a password, and as the answer to a question.
const WAYS: [(bool, bool); 3] = [(true, false), (false, true), (true, true)];

#[test]
fn heavy_a_password_lets_us_in() {
    for (password, dialogue) in WAYS {
        let server = another(password, dialogue);
        let store = open(&server.location("store"), &server.options_with(PASSWORD)).unwrap();
        for content in ["1", "2"] {
            store.write("data/object", content.into()).unwrap();
        }
        assert_eq!(store.read("data/object").unwrap(), "2");
        assert_eq!(names(&*store), ["data/object"]);
        assert_eq!(server.passwords(), 1, "{password} {dialogue}");
    }
}

/// Servers shut out who tries too often.
#[test]
fn heavy_a_wrong_password_is_tried_no_more_than_once_in_each_way() {
    for (password, dialogue) in WAYS {
        let server = another(password, dialogue);
        let mut options = server.options_with("hush");
        options.on_retry = Some(Arc::new(|error, _, _| panic!("tried again: {error:?}")));
        let store = open(&server.location("store"), &options).unwrap();
        let error = store.write("data/object", Bytes::new()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::PermissionDenied);
        let text = chain(&error);
        assert!(text.contains("does not let `tester` in (tried: the password"), "{text}");
        assert!(
            text.contains("MAINSTAY_SFTP_PASSWORD") && !format!("{error:?} {text}").contains("hush"),
            "{text}"
        );
        assert_eq!(server.passwords(), usize::from(password) + usize::from(dialogue));
    }
}

#[test]
fn heavy_another_server_is_known_by_its_key_and_knows_ours() {
    let server = another(false, false);
    let store = open(&server.location("store"), &server.options()).unwrap();
    let content = pattern(3 * MIB, 1);
    for _ in 0..2 {
        store.write("data/object", content.clone()).unwrap();
    }
    assert!(store.read("data/object").unwrap() == content);
    // A password where only keys are taken: nothing is sent but the attempt.
    let refused = open(&server.location("store"), &server.options_with(PASSWORD)).unwrap();
    let error = refused.list("").unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied);
    assert!(chain(&error).contains("it takes publickey"), "{}", chain(&error));
    let mut options = another(false, false).options();
    options.sftp.key_file = server.options().sftp.key_file;
    let stranger = open(&server.location("store"), &options).unwrap();
    let error = stranger.list("").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured, "{}", chain(&error));
}
