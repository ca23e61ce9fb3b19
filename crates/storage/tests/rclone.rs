//! rclone: the program that is started, what it is told, and what is left when it ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use storage::{Error, ErrorKind, Options, Store, open};
use tempfile::TempDir;
use testkit::conformance::pattern;

const MIB: usize = 1 << 20;

struct Scene(TempDir);

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let text = format!(
            "[nas]\ntype = alias\nremote = {}\n",
            directory.path().join("disk").display()
        );
        fs::write(directory.path().join("conf"), text).unwrap();
        Self(directory)
    }

    fn disk(&self) -> PathBuf {
        self.0.path().join("disk")
    }

    fn options(&self) -> Options {
        let mut options = Options {
            sleep: Some(Arc::new(|_| ())),
            ..Options::default()
        };
        options.rclone.arguments = vec![format!("--config={}", self.0.path().join("conf").display())];
        options
    }

    fn store(&self) -> Arc<dyn Store> {
        open(&"rclone:nas:store".parse().unwrap(), &self.options()).unwrap()
    }
}

fn chain(error: &Error) -> String {
    let source = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{error}: {source} ({})", error.hint.as_deref().unwrap_or_default())
}

fn names(store: &dyn Store) -> Vec<String> {
    let mut names: Vec<_> = store.list("").unwrap().into_iter().map(|object| object.name).collect();
    names.sort();
    names
}

/// The daemons that were started with a file of ours.
fn daemons(scene: &Scene) -> Vec<i32> {
    let ours = scene.0.path().display().to_string();
    let is_ours = |pid: &i32| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(&ours))
    };
    let entries = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    entries.filter(is_ours).collect()
}

fn end(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn heavy_a_store_starts_one_program_and_ends_it() {
    let scene = Scene::new();
    let store = scene.store();
    assert_eq!(daemons(&scene), [0; 0], "it is started before it is needed");
    for number in 0..5 {
        store
            .write(&format!("data/{number}"), Bytes::from_static(b"x"))
            .unwrap();
    }
    let running = daemons(&scene);
    assert_eq!(running.len(), 1);
    let line = fs::read(format!("/proc/{}/cmdline", running[0])).unwrap();
    let environment = fs::read(format!("/proc/{}/environ", running[0])).unwrap();
    let environment = String::from_utf8_lossy(&environment).into_owned();
    let secret = environment
        .split('\0')
        .find_map(|pair| pair.strip_prefix("RCLONE_RC_PASS="))
        .unwrap();
    assert!(secret.len() == 32 && !String::from_utf8_lossy(&line).contains(secret));
    drop(store);
    assert_eq!(daemons(&scene), [0; 0], "it goes on without us");
}

#[test]
fn heavy_a_program_that_dies_is_started_again() {
    let scene = Scene::new();
    let store = scene.store();
    store.write("data/one", Bytes::from_static(b"1")).unwrap();
    end(daemons(&scene)[0]);
    assert_eq!(store.read("data/one").unwrap(), "1");
    let mut writer = store.writer("data/two").unwrap();
    writer.write(pattern(MIB, 1)).unwrap();
    end(daemons(&scene)[0]);
    let error = (0..64).find_map(|_| writer.write(pattern(MIB, 1)).err());
    let error = error.or_else(|| writer.finish().err()).expect("its program was ended");
    assert_eq!(error.kind, ErrorKind::Unavailable, "{}", chain(&error));
    assert_eq!(names(&*store), ["data/one"]);
}

#[test]
fn heavy_left_overs_are_hidden_and_removed_after_a_day() {
    let scene = Scene::new();
    let store = scene.store();
    store.write("data/object", Bytes::from_static(b"x")).unwrap();
    let left_over = |name: &str, hours: u64| {
        let path = scene.disk().join("store/data").join(name);
        let file = fs::File::create(&path).unwrap();
        #[expect(clippy::disallowed_methods, reason = "the age of a file is measured with this clock")]
        let time = SystemTime::now() - Duration::from_secs(hours * 3600);
        file.set_modified(time).unwrap();
        path
    };
    let old = left_over("object.tmp~0123456789abcdef", 25);
    let young = left_over("object.tmp~fedcba9876543210", 23);
    let foreign = left_over("notes~", 1000);
    assert_eq!(names(&*store), ["data/object"]);
    assert!(!old.exists() && young.exists() && foreign.exists());
}

#[test]
fn heavy_what_is_wrong_is_said_with_a_hint() {
    let scene = Scene::new();
    let fails = |address: &str, options: &Options| {
        let store = open(&address.parse().unwrap(), options).unwrap();
        let error = store.write("config", Bytes::new()).unwrap_err();
        assert!(error.hint.is_some(), "{}", chain(&error));
        error
    };
    let error = fails("rclone:nope:x", &scene.options());
    assert_eq!(error.kind, ErrorKind::Misconfigured);
    assert!(chain(&error).contains("rclone listremotes"), "{}", chain(&error));
    let mut options = scene.options();
    options.rclone.program = "/no/such/program".into();
    let error = fails("rclone:nas:x", &options);
    assert!(
        error.kind == ErrorKind::Misconfigured && chain(&error).contains("rclone.program"),
        "{}",
        chain(&error)
    );
    let mut options = scene.options();
    options.rclone.arguments.push("--no-such-flag".to_owned());
    let error = fails("rclone:nas:x", &options);
    assert!(
        error.kind == ErrorKind::Misconfigured && chain(&error).contains("no-such-flag"),
        "{}",
        chain(&error)
    );
}

#[test]
fn heavy_a_full_disk_and_a_read_only_one() {
    let scene = Scene::new();
    fs::create_dir(scene.disk()).unwrap();
    let outcome = |flags: MountFlags, work: &dyn Fn(&dyn Store) -> ErrorKind| {
        mount("tmpfs", scene.disk(), "tmpfs", flags, Some(c"size=8m"))
            .expect("this test mounts a file system and has to run as root");
        let kind = work(&*scene.store());
        unmount(scene.disk(), UnmountFlags::DETACH).unwrap();
        kind
    };
    let full = outcome(MountFlags::empty(), &|store| {
        store.write("data/before", pattern(MIB, 1)).unwrap();
        let error = store.write("data/large", pattern(16 * MIB, 2)).unwrap_err();
        store.write("data/after", pattern(MIB, 3)).unwrap();
        assert_eq!(names(store), ["data/after", "data/before"]);
        error.kind
    });
    assert_eq!(full, ErrorKind::Full);
    let read_only = outcome(MountFlags::RDONLY, &|store| {
        store.write("config", Bytes::new()).unwrap_err().kind
    });
    assert_eq!(read_only, ErrorKind::PermissionDenied);
}

/// The part of an object that was sent is not seen, and is removed when the writer is dropped.
#[test]
fn heavy_a_large_object_is_streamed() {
    let scene = Scene::new();
    let store = scene.store();
    let piece = pattern(3 * MIB, 7);
    let peak = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap()
            .to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    };
    let mut writer = store.writer("large").unwrap();
    for _ in 0..10 {
        writer.write(piece.clone()).unwrap();
    }
    let before = peak();
    for _ in 10..100 {
        writer.write(piece.clone()).unwrap();
    }
    let grown = peak() - before;
    assert_eq!(writer.finish().unwrap(), 300 * MIB as u64);
    assert!(grown < 40, "memory grew by {grown} MiB");
    assert_eq!(store.stat("large").unwrap(), 300 * MIB as u64);
    let mut writer = store.writer("given-up").unwrap();
    writer.write(piece).unwrap();
    drop(writer);
    let begin = Instant::now();
    while files(&scene.disk()).len() > 1 {
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", files(&scene.disk()));
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}
