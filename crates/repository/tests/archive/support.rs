//! A directory with a source and a store.

use repository::archive::{Encryption, Identity, Keys, Manifest, NewArchive, Source, WriteOptions, write};
use repository::{Cancel, Recorder, Result, clock};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use storage::{LocalStore, Store};
use testkit::tree::{CompareOptions, compare_trees};

pub struct Bench {
    pub directory: tempfile::TempDir,
    pub monitor: Recorder,
    pub cancel: Cancel,
}

impl Bench {
    /// Neither a source nor an archive yet.
    pub fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            monitor: Recorder::default(),
            cancel: Cancel::default(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn store(&self) -> LocalStore {
        LocalStore::new(self.path("store"))
    }

    /// Archive the directory `source` under its own name.
    pub fn archive(&self, name: &str, options: &WriteOptions) -> Result<Manifest> {
        self.archive_to(&self.store(), name, options)
    }

    pub fn archive_to(&self, store: &dyn Store, name: &str, options: &WriteOptions) -> Result<Manifest> {
        self.archive_of(store, name, vec![self.source()], options)
    }

    pub fn source(&self) -> Source {
        Source::path_as(self.path("source"), Path::new("source"))
    }

    pub fn archive_of(
        &self,
        store: &dyn Store,
        name: &str,
        sources: Vec<Source>,
        options: &WriteOptions,
    ) -> Result<Manifest> {
        write(store, &new(name), sources, options, &self.cancel, &self.monitor)
    }

    /// Run a shell's pipeline in the directory; all of its programs have to succeed.
    #[expect(clippy::disallowed_methods, reason = "the oracles are programs")]
    pub fn shell(&self, line: &str) -> String {
        let output = Command::new("bash")
            .args(["-ec", &format!("set -o pipefail; {line}")])
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{line}\n{out}{err}");
        assert_eq!(err, "", "{line} complains");
        out
    }

    /// Unpack what `read` prints with GNU tar into a new directory `unpacked`, and compare it with the source.
    pub fn assert_unpacks(&self, read: &str) {
        self.shell("rm -rf unpacked && mkdir unpacked");
        self.shell(&format!(
            "{read} | tar -x -p --warning=no-timestamp --xattrs --xattrs-include='*' -C unpacked"
        ));
        self.assert_same("unpacked/source");
    }

    pub fn assert_same(&self, found: &str) {
        let options = CompareOptions {
            sparse: true,
            ..CompareOptions::default()
        };
        let differences = compare_trees(&self.path("source"), &self.path(found), &options);
        assert_eq!(differences, [""; 0]);
    }

    pub fn assert_no_problems(&self) {
        assert_eq!(*self.monitor.problems.lock(), [""; 0]);
    }
}

pub fn new(name: &str) -> NewArchive {
    NewArchive {
        name: name.to_owned(),
        host: "host".to_owned(),
        job: "job".to_owned(),
        start: clock::now(),
        original: None,
    }
}

pub fn plain() -> WriteOptions {
    WriteOptions::new(Encryption::None)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The private keys in a file that is not protected.
pub fn keys_of(file: &[u8]) -> Keys {
    Keys::none()
        .with_identity(Identity::parse(file).unwrap(), None)
        .unwrap()
}
