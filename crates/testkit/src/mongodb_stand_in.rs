//! Programs that stand in for those of MongoDB, which no package of the system and no registry has.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use tempfile::TempDir;

/// What all of them are; it needs Node.js.
const PROGRAM: &str = include_str!("mongodb_stand_in.js");

/// A directory with `mongosh`, `mongodump`, `mongorestore` and `mongod`, and the server that the first three reach.
pub struct MongodbStandIn {
    directory: TempDir,
}

impl MongodbStandIn {
    /// With this server: a text of JSON, as the programs keep it.
    ///
    /// # Panics
    /// When files cannot be written.
    pub fn start(server: &str) -> Self {
        let stand_in = Self {
            directory: tempfile::tempdir().expect("a directory can be made"),
        };
        for name in ["mongosh", "mongodump", "mongorestore", "mongod"] {
            let path = stand_in.directory.path().join(name);
            fs::write(&path, PROGRAM).expect("a program can be written");
            fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("it can be made a program");
        }
        stand_in.change(server);
        stand_in
    }

    /// The directory with the programs.
    pub fn programs(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    /// Put another server in its place.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn change(&self, server: &str) {
        fs::write(self.directory.path().join("state.json"), server).expect("a server can be written");
    }

    /// What the server is now.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn server(&self) -> String {
        fs::read_to_string(self.directory.path().join("state.json")).expect("there is a server")
    }

    /// All arguments that the programs were called with.
    ///
    /// # Panics
    /// When no program was called.
    pub fn calls(&self) -> String {
        fs::read_to_string(self.directory.path().join("calls.log")).expect("a program was called")
    }

    /// Take one of the programs away.
    ///
    /// # Panics
    /// When it is gone.
    pub fn remove(&self, program: &str) {
        fs::remove_file(self.directory.path().join(program)).expect("the program is there");
    }
}
