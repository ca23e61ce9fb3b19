//! The program and a bucket.

use crate::peer::*;
use crate::scene::{Ended, Scene};
use std::fs;

/// A scene with a directory `source`, and a bucket of `server`.
pub struct Bucket<S> {
    pub scene: Scene,
    pub server: S,
    url: String,
    keys: [&'static str; 2],
}

impl<S> Bucket<S> {
    /// `url` is that of the bucket; `keys` are the name and the secret of a key.
    pub fn new(server: S, url: String, keys: [&'static str; 2]) -> Self {
        let scene = Scene::empty_in(scratch());
        fs::create_dir(scene.path("source")).unwrap();
        Self {
            scene,
            server,
            url,
            keys,
        }
    }

    pub fn address(&self) -> String {
        format!("s3:{}/prefix", self.url)
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = self.scene.command();
        command
            .env_remove("MAINSTAY_REPOSITORY")
            .env("MAINSTAY_STATE_DIR", self.scene.path("state"))
            .env("AWS_ACCESS_KEY_ID", self.keys[0])
            .env("AWS_SECRET_ACCESS_KEY", self.keys[1]);
        self.scene.ended(command.args(arguments))
    }

    pub fn ok(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {ended}");
        ended.stdout
    }

    /// The same on the repository.
    pub fn on(&self, arguments: &[&str]) -> Ended {
        self.run(&[&["-r", &self.address()], arguments].concat())
    }

    pub fn on_ok(&self, arguments: &[&str]) -> String {
        self.ok(&[&["-r", &self.address()], arguments].concat())
    }

    /// So many snapshots, with a file that differs in each.
    pub fn filled(self, snapshots: usize) -> Self {
        self.on_ok(&["init"]);
        for n in 0..snapshots {
            fs::write(self.scene.path("source/a"), format!("content {n}")).unwrap();
            self.on_ok(&["backup", "source"]);
        }
        self
    }
}
