//! What is true of WebDAV and of servers for restic's REST protocol only.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use storage::{Error, ErrorKind, Location, Options, Store, open};
use testkit::conformance::pattern;
use testkit::cut_proxy::cut_after;
use testkit::rclone_server::{PASSWORD, RcloneServer, USER};

const MIB: usize = 1024 * 1024;

fn one_try(server: &RcloneServer) -> Options {
    let mut options = server.options();
    options.retry.tries = 1;
    options
}

fn store(server: &RcloneServer) -> Arc<dyn Store> {
    open(&server.location("folder"), &one_try(server)).unwrap()
}

/// A name that restic's layout knows.
fn id(number: u8) -> String {
    format!("{number:02x}").repeat(32)
}

fn pack(number: u8) -> String {
    format!("data/{number:02x}/{}", id(number))
}

/// The errors of each kind of call, on names that every store takes.
fn failures(store: &dyn Store) -> Vec<Error> {
    let name = pack(7);
    vec![
        store.list("data").unwrap_err(),
        store.stat(&name).unwrap_err(),
        store.read(&name).unwrap_err(),
        store.read_range(&name, 0..1).unwrap_err(),
        store.delete(&name).unwrap_err(),
        store.write(&name, Bytes::from_static(b"x")).unwrap_err(),
    ]
}

fn expect_all(store: &dyn Store, kind: ErrorKind) {
    let failures = failures(store);
    assert!(failures.iter().all(|error| error.kind == kind), "{failures:#?}");
    let shown = format!("{failures:?}");
    assert!(!shown.contains(PASSWORD) && !shown.contains("hush"), "{shown}");
}

#[test]
fn heavy_a_wrong_password_is_a_refusal() {
    for server in [RcloneServer::webdav(), RcloneServer::rest(&[])] {
        let mut options = one_try(&server);
        options.webdav.login.password = Some("hush".into());
        options.rest.login.password = Some("hush".into());
        let retries = Arc::new(AtomicUsize::new(0));
        let counter = retries.clone();
        options.retry.tries = 5;
        options.on_retry = Some(Arc::new(move |_, _, _| {
            counter.fetch_add(1, Ordering::SeqCst);
        }));
        expect_all(
            &*open(&server.location("folder"), &options).unwrap(),
            ErrorKind::PermissionDenied,
        );
        assert_eq!(retries.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn heavy_user_and_password_may_stand_in_the_address() {
    for server in [RcloneServer::webdav(), RcloneServer::rest(&[])] {
        let password = PASSWORD.replace('/', "%2F").replace('@', "%40").replace(' ', "%20");
        let address = server.url("folder").replace("//", &format!("//{USER}:{password}@"));
        let store = open(&address.parse().unwrap(), &Options::default()).unwrap();
        store.write(&pack(1), Bytes::from_static(b"x")).unwrap();
        assert_eq!(store.read(&pack(1)).unwrap(), "x");
        assert!(!store.location().contains(USER), "{}", store.location());
    }
}

/// The store of `server` behind another address.
fn through(server: &RcloneServer, address: SocketAddr) -> Arc<dyn Store> {
    let url = server
        .url("folder")
        .replace(&server.address().to_string(), &address.to_string());
    open(&url.parse().unwrap(), &one_try(server)).unwrap()
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Rclone's WebDAV server keeps what came before the connection broke; nobody may take it for the object.
#[test]
fn heavy_an_upload_that_breaks_off_leaves_no_object() {
    for server in [RcloneServer::webdav(), RcloneServer::rest(&[])] {
        let whole = store(&server);
        whole.write(&pack(1), Bytes::from_static(b"before")).unwrap();
        let broken = through(&server, cut_after(server.address(), 300_000));
        let failure = broken.write(&pack(2), pattern(4 * MIB, 1)).unwrap_err();
        assert_eq!(failure.kind, ErrorKind::Unavailable, "{failure:?}");
        let names = || {
            let listed = whole.list("").unwrap();
            listed.into_iter().map(|object| object.name).collect::<Vec<_>>()
        };
        wait_until("half an object stays listed", || names() == [pack(1)]);
        assert_eq!(whole.stat(&pack(2)).unwrap_err().kind, ErrorKind::NotFound);
        whole.write(&pack(2), pattern(4 * MIB, 1)).unwrap();
        assert!(whole.read(&pack(2)).unwrap() == pattern(4 * MIB, 1));
    }
}

#[test]
fn heavy_a_broken_connection_is_tried_again() {
    for server in [RcloneServer::webdav(), RcloneServer::rest(&[])] {
        let address = cut_after(server.address(), 300_000);
        let url = server
            .url("folder")
            .replace(&server.address().to_string(), &address.to_string());
        let retries = Arc::new(AtomicUsize::new(0));
        let counter = retries.clone();
        let mut options = server.options();
        options.retry.tries = 3;
        options.sleep = Some(Arc::new(|_| ()));
        options.on_retry = Some(Arc::new(move |_, _, _| {
            counter.fetch_add(1, Ordering::SeqCst);
        }));
        let store = open(&url.parse().unwrap(), &options).unwrap();
        store.write(&pack(1), pattern(MIB, 1)).unwrap_err();
        assert_eq!(retries.load(Ordering::SeqCst), 2);
        let mut writer = store.writer(&pack(2)).unwrap();
        writer.write(pattern(MIB, 1)).unwrap();
        writer.finish().unwrap_err();
        assert_eq!(retries.load(Ordering::SeqCst), 4);
    }
}

#[test]
fn heavy_what_is_off_or_silent_is_told_apart() {
    for server in [RcloneServer::webdav(), RcloneServer::rest(&[])] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // The system accepts connections for us; nobody reads from them.
        let url = server
            .url("folder")
            .replace(&server.address().to_string(), &address.to_string());
        let mut options = one_try(&server);
        options.http.timeout = Duration::from_millis(200);
        expect_all(&*open(&url.parse().unwrap(), &options).unwrap(), ErrorKind::TimedOut);
        drop(listener);
        expect_all(&*through(&server, address), ErrorKind::Unavailable);
    }
}

#[test]
fn heavy_a_stranger_s_certificate_is_not_trusted() {
    let server = RcloneServer::webdav_tls();
    expect_all(&*store(&server), ErrorKind::Misconfigured);
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "how old a file is, the clock of the system says"
)]
fn heavy_webdav_leftovers_are_hidden_and_removed_when_they_are_old() {
    let server = RcloneServer::webdav();
    let store = store(&server);
    store.write("data/x", Bytes::from_static(b"x")).unwrap();
    let folder = server.files().join("folder/data");
    let two_days_ago = SystemTime::now() - Duration::from_secs(2 * 24 * 3600);
    for (name, time) in [
        ("old.tmp~0123456789abcdef", two_days_ago),
        ("young.tmp~0123456789abcdef", SystemTime::now()),
        ("not ours", two_days_ago),
    ] {
        let file = std::fs::File::create(folder.join(name)).unwrap();
        file.set_modified(time).unwrap();
    }
    // The server notices what others do to its files only after a while.
    let listed = || {
        store
            .list("")
            .unwrap()
            .into_iter()
            .map(|object| object.name)
            .collect::<Vec<_>>()
    };
    let server_restarted = RcloneServer::webdav_at(&server);
    let fresh = open(&server_restarted.location("folder"), &one_try(&server_restarted)).unwrap();
    assert_eq!(listed(), ["data/x"]);
    assert_eq!(fresh.list("").unwrap().len(), 1);
    wait_until("an old temporary object stays", || {
        !folder.join("old.tmp~0123456789abcdef").exists()
    });
    assert!(folder.join("young.tmp~0123456789abcdef").exists() && folder.join("not ours").exists());
}

#[test]
fn heavy_webdav_folders_are_no_objects() {
    let server = RcloneServer::webdav();
    let store = store(&server);
    store.write("data/x", Bytes::from_static(b"x")).unwrap();
    assert_eq!(store.stat("data").unwrap_err().kind, ErrorKind::NotFound);
    store.delete("data").unwrap();
    assert_eq!(store.read("data/x").unwrap(), "x");
}

/// What `rclone` with a remote of its own sees in the folder.
#[expect(clippy::disallowed_methods, reason = "the oracle is a program")]
fn rclone(server: &RcloneServer, command: &str, name: &str) -> String {
    let run = |command: &mut Command| {
        let output = command.output().expect("rclone is installed by `cargo xtask setup`");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let obscured = run(Command::new("rclone").args(["obscure", PASSWORD]));
    let url = server.url("folder").trim_start_matches("webdav+").to_owned();
    run(Command::new("rclone")
        .args([command, &format!(":webdav:{name}"), "--webdav-url", &url])
        .args(["--webdav-user", USER, "--webdav-pass", obscured.trim()]))
}

#[test]
fn heavy_rclone_reads_what_is_written_over_webdav() {
    let server = RcloneServer::webdav();
    let store = store(&server);
    store.write("data/3f/first", Bytes::from_static(b"some words")).unwrap();
    let mut writer = store.writer("second").unwrap();
    writer.write(Bytes::from_static(b"in pieces")).unwrap();
    writer.finish().unwrap();
    assert_eq!(rclone(&server, "cat", "data/3f/first"), "some words");
    assert_eq!(rclone(&server, "cat", "second"), "in pieces");
    let listing = rclone(&server, "ls", "");
    let mut lines: Vec<_> = listing.lines().map(str::trim).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["10 data/3f/first", "9 second"]);
}

#[test]
fn heavy_rest_takes_names_of_restic_s_layout_only() {
    let server = RcloneServer::rest(&[]);
    let store = store(&server);
    for name in ["archive.tar", "data/x", "keys/x", "other/x"] {
        for error in [
            store.write(name, Bytes::new()).unwrap_err(),
            store.writer(name).map(drop).unwrap_err(),
            store.read(name).unwrap_err(),
        ] {
            assert_eq!(error.kind, ErrorKind::InvalidName, "{name}");
            assert!(error.source.unwrap().to_string().contains("restic's format"));
        }
    }
    assert!(store.list("").unwrap().is_empty());
}

#[test]
fn heavy_rest_lists_what_restic_has_names_for() {
    let server = RcloneServer::rest(&[]);
    let store = store(&server);
    let all = [
        "config".to_owned(),
        pack(1),
        pack(2),
        format!("index/{}", id(4)),
        format!("keys/{}", id(3)),
        format!("locks/{}", id(5)),
        format!("snapshots/{}", id(6)),
    ];
    for (size, name) in all.iter().enumerate() {
        store.write(name, pattern(size, 1)).unwrap();
    }
    let names = |prefix: &str| {
        let mut objects = store.list(prefix).unwrap();
        objects.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        for object in &objects {
            assert_eq!(all[object.size as usize], object.name);
        }
        objects.into_iter().map(|object| object.name).collect::<Vec<_>>()
    };
    assert_eq!(names(""), all);
    assert_eq!(names("data"), [pack(1), pack(2)]);
    assert_eq!(names("data/02"), [pack(2)]);
    assert_eq!(names("keys"), [format!("keys/{}", id(3))]);
    assert!(names("nothing").is_empty() && names("config").is_empty());
}

#[test]
fn heavy_an_append_only_server_refuses_to_delete() {
    let server = RcloneServer::rest(&["--append-only"]);
    let store = store(&server);
    store.write(&pack(1), Bytes::from_static(b"content")).unwrap();
    let refused = store.delete(&pack(1)).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::PermissionDenied);
    assert_eq!(store.read(&pack(1)).unwrap(), "content");
    // As if the answer to the first time had been lost.
    store.write(&pack(1), Bytes::from_static(b"content")).unwrap();
    let changed = store.write(&pack(1), Bytes::from_static(b"changed")).unwrap_err();
    assert_eq!(changed.kind, ErrorKind::PermissionDenied);
    assert_eq!(store.read(&pack(1)).unwrap(), "content");
    // Locks come and go.
    let lock = format!("locks/{}", id(9));
    store.write(&lock, Bytes::from_static(b"lock")).unwrap();
    store.delete(&lock).unwrap();
    assert!(store.list("locks").unwrap().is_empty());
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_sent() {
    let refused = |address: &str, options: &Options| {
        let location: Location = address.parse().unwrap();
        let error = open(&location, options).map(drop).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured);
        error.source.unwrap().to_string()
    };
    let mut options = Options::default();
    options.rest.login.user = Some("me".to_owned());
    assert!(refused("rest:http://127.0.0.1:1/", &options).contains("together"));
    options.webdav.login.user = Some("me".to_owned());
    options.webdav.token = Some("hush".into());
    assert!(refused("webdav+http://127.0.0.1:1/", &options).contains("one way"));
    options.http.timeout = Duration::ZERO;
    assert!(refused("webdav+http://127.0.0.1:1/", &options).contains("timeout"));
}
