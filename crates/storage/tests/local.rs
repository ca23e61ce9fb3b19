//! What is true of directories only: permissions, left-overs, foreign files, and disks that are full.

use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use storage::{ErrorKind, LocalStore, Store};
use tempfile::TempDir;

fn store() -> (TempDir, LocalStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::new(directory.path());
    (directory, store)
}

fn names(store: &LocalStore) -> Vec<String> {
    let mut names: Vec<_> = store.list("").unwrap().into_iter().map(|object| object.name).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Every file under `directory`, objects or not.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

#[test]
fn others_can_neither_read_nor_change_objects() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("new/store");
    let store = LocalStore::new(&root);
    store.write("data/3f/object", Bytes::from_static(b"x")).unwrap();
    let mut writer = store.writer("data/3f/streamed").unwrap();
    writer.write(Bytes::from_static(b"y")).unwrap();
    let temporary = files(&root)
        .into_iter()
        .find(|path| path.to_string_lossy().contains('~'))
        .unwrap();
    assert_eq!(mode(&temporary), 0o600);
    writer.finish().unwrap();
    for path in ["", "data", "data/3f"] {
        assert_eq!(mode(&root.join(path)), 0o700, "{path}");
    }
    for path in ["data/3f/object", "data/3f/streamed"] {
        assert_eq!(mode(&root.join(path)), 0o400, "{path}");
    }
    store.write("data/3f/object", Bytes::from_static(b"replaced")).unwrap();
    assert_eq!(store.read("data/3f/object").unwrap(), "replaced");
    store.delete("data/3f/object").unwrap();
}

#[test]
fn a_store_that_is_not_there_is_not_an_empty_store() {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::new(directory.path().join("not/mounted"));
    assert_eq!(store.list("").unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(store.list("data").unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(store.read("config").unwrap_err().kind, ErrorKind::NotFound);
    store.delete("config").unwrap();
    assert!(!directory.path().join("not").exists(), "a look has created the store");
    store.write("config", Bytes::new()).unwrap();
    assert_eq!(names(&store), ["config"]);
}

#[test]
fn a_directory_that_was_removed_is_made_again() {
    let (directory, store) = store();
    store.write("data/3f/object", Bytes::new()).unwrap();
    fs::remove_dir_all(directory.path().join("data")).unwrap();
    store.write("data/3f/object", Bytes::new()).unwrap();
    assert_eq!(names(&store), ["data/3f/object"]);
    // Also where only the directory above is known from before.
    fs::remove_dir_all(directory.path().join("data")).unwrap();
    store.write("data/4a/object", Bytes::new()).unwrap();
    assert_eq!(names(&store), ["data/4a/object"]);
}

#[test]
fn left_overs_are_hidden_and_removed_after_a_day() {
    let (directory, store) = store();
    store.write("data/object", Bytes::from_static(b"x")).unwrap();
    let left_over = |name: &str, hours: u64| {
        let path = directory.path().join("data").join(name);
        let file = File::create(&path).unwrap();
        #[expect(clippy::disallowed_methods, reason = "the age of a file is measured with this clock")]
        let now = SystemTime::now();
        file.set_times(FileTimes::new().set_modified(now - Duration::from_secs(hours * 3600)))
            .unwrap();
        path
    };
    let old = left_over("object.tmp~0123456789abcdef", 25);
    let young = left_over("object.tmp~fedcba9876543210", 23);
    let foreign = left_over("notes~", 1000);
    assert_eq!(names(&store), ["data/object"]);
    assert!(!old.exists(), "it is there for ever");
    assert!(young.exists(), "it may belong to a program at work");
    assert!(foreign.exists(), "it is not ours");
}

#[test]
fn links_lead_to_objects_and_are_none() {
    let (directory, store) = store();
    let at = |name: &str| directory.path().join(name);
    store.write("a/one", Bytes::from_static(b"1")).unwrap();
    store.write("two", Bytes::from_static(b"2")).unwrap();
    for (link, target, content) in [
        ("latest", "a/one", "1"),
        ("latest", "two", "2"),
        ("a/latest", "two", "2"),
        ("a/latest", "a/one", "1"),
    ] {
        assert!(store.set_link(link, target).unwrap());
        assert_eq!(fs::read_to_string(at(link)).unwrap(), content, "{link}");
        assert_eq!(store.link_target(link).unwrap().as_deref(), Some(target));
    }
    assert_eq!(names(&store), ["a/one", "two"]);
    assert_eq!(store.read("latest").unwrap_err().kind, ErrorKind::NotFound);
    store.delete("latest").unwrap();
    assert_eq!(store.link_target("latest").unwrap(), None);
    assert_eq!(store.read("two").unwrap(), "2");
    // What is no link to an object is somebody else's.
    symlink("/nowhere", at("elsewhere")).unwrap();
    for name in ["elsewhere", "two"] {
        assert_eq!(store.link_target(name).unwrap(), None);
        store.set_link(name, "a/one").unwrap_err();
    }
    assert_eq!(fs::read_link(at("elsewhere")).unwrap(), Path::new("/nowhere"));
    store.set_link("../outside", "two").unwrap_err();
    store.set_link("inside", "../two").unwrap_err();
    assert_eq!(
        files(directory.path())
            .iter()
            .filter(|path| path.to_string_lossy().contains('~'))
            .count(),
        0
    );
}

#[test]
fn foreign_files_are_no_objects() {
    let (directory, store) = store();
    let root = directory.path();
    store.write("data/object", Bytes::from_static(b"x")).unwrap();
    fs::create_dir_all(root.join("lost+found")).unwrap();
    fs::write(root.join("lost+found/inner"), "x").unwrap();
    fs::write(root.join("data/with space"), "x").unwrap();
    symlink(root.join("data/object"), root.join("data/link")).unwrap();
    symlink("nowhere", root.join("data/dangling")).unwrap();
    assert_eq!(names(&store), ["data/object"]);
    for name in ["data/link", "data/dangling", "data", "data/object/below"] {
        assert_eq!(store.stat(name).unwrap_err().kind, ErrorKind::NotFound, "{name}");
        assert_eq!(store.read(name).unwrap_err().kind, ErrorKind::NotFound, "{name}");
    }
}

#[test]
fn a_linked_directory_is_part_of_the_store_and_a_loop_ends() {
    let (directory, store) = store();
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), directory.path().join("data")).unwrap();
    store.write("data/3f/object", Bytes::from_static(b"x")).unwrap();
    assert!(elsewhere.path().join("3f/object").exists());
    symlink(directory.path(), elsewhere.path().join("loop")).unwrap();
    assert_eq!(names(&store), ["data/3f/object"]);
}

/// A small file system of its own, which goes away with its value.
struct Disk(TempDir);

impl Disk {
    fn new(flags: MountFlags) -> Self {
        let directory = tempfile::tempdir().unwrap();
        mount("tmpfs", directory.path(), "tmpfs", flags, Some(c"size=1m"))
            .expect("this test mounts a file system and has to run as root");
        Self(directory)
    }

    fn store(&self) -> LocalStore {
        LocalStore::new(self.0.path())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(self.0.path(), UnmountFlags::DETACH).unwrap();
    }
}

#[test]
fn heavy_a_full_disk_is_reported_and_left_clean() {
    let disk = Disk::new(MountFlags::empty());
    let store = disk.store();
    store.write("data/before", Bytes::from(vec![1; 100_000])).unwrap();
    let too_large = Bytes::from(vec![2; 2_000_000]);
    assert_eq!(
        store.write("data/large", too_large.clone()).unwrap_err().kind,
        ErrorKind::Full
    );
    assert_eq!(files(disk.0.path()).len(), 1, "a part of the object is left");
    let mut writer = store.writer("data/large").unwrap();
    assert_eq!(writer.write(too_large).unwrap_err().kind, ErrorKind::Full);
    drop(writer);
    assert_eq!(files(disk.0.path()).len(), 1, "a part of the object is left");
    store.write("data/after", Bytes::from(vec![3; 100_000])).unwrap();
    assert_eq!(names(&store), ["data/after", "data/before"]);
}

/// Root may do everything but this, so that a refusal is shown with a read-only disk.
#[test]
fn heavy_a_read_only_disk_refuses() {
    let disk = Disk::new(MountFlags::RDONLY);
    assert_eq!(
        disk.store().write("config", Bytes::new()).unwrap_err().kind,
        ErrorKind::PermissionDenied
    );
    fs::set_permissions(disk.0.path(), Permissions::from_mode(0o700)).unwrap_err();
}

/// Threads that made the directories above an object at the same time took each other's for missing: the first backup into a new
/// repository failed now and then.
#[test]
fn threads_make_the_first_directories_together() {
    for _ in 0..200 {
        let directory = tempfile::tempdir().unwrap();
        let store = LocalStore::new(directory.path().join("new"));
        let start = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for n in 0..8 {
                let (store, start) = (&store, &start);
                scope.spawn(move || {
                    start.wait();
                    store
                        .write(&format!("data/{n:02}/object"), Bytes::from_static(b"x"))
                        .unwrap();
                });
            }
        });
        assert_eq!(store.list("data").unwrap().len(), 8);
    }
}
