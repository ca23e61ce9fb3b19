//! A directory of its own for a test, and the program run in it.

use assert_cmd::Command;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A directory with a password file, and the name of a repository that is not there yet.
pub struct Scene {
    root: TempDir,
}

/// How the program ended and what it wrote.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}\n{}{}", self.code, self.stdout, self.stderr)
    }
}

impl Scene {
    /// Without a repository.
    pub fn empty() -> Self {
        Self::empty_in(tempfile::tempdir().unwrap())
    }

    /// The same in a directory of the caller's choice.
    pub fn empty_in(root: TempDir) -> Self {
        fs::write(root.path().join("password"), "secret\n").unwrap();
        fs::create_dir(root.path().join("home")).unwrap();
        Self { root }
    }

    /// With a repository and a source of two files.
    pub fn with_repository() -> Self {
        let scene = Self::empty();
        fs::create_dir_all(scene.path("source/folder")).unwrap();
        fs::write(scene.path("source/folder/a.txt"), "content of a\n").unwrap();
        fs::write(scene.path("source/b.txt"), "content of b\n").unwrap();
        scene.ok(&["init"]);
        scene
    }

    /// With one snapshot in it.
    pub fn with_snapshot() -> Self {
        let scene = Self::with_repository();
        scene.ok(&["backup", "source"]);
        scene
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    /// The program, ready to be given arguments: in the directory, with nothing in its environment but what is needed.
    pub fn command(&self) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("mainstay"));
        self.variables().into_iter().fold(
            command.env_clear().current_dir(self.root.path()),
            |command, (name, value)| command.env(name, value),
        );
        command
    }

    fn variables(&self) -> [(&'static str, PathBuf); 5] {
        [
            ("PATH", "/usr/bin:/bin".into()),
            ("TZ", "UTC".into()),
            ("HOME", self.path("home")),
            ("MAINSTAY_REPOSITORY", "repository".into()),
            ("MAINSTAY_PASSWORD_FILE", "password".into()),
        ]
    }

    /// Run it; the result names this directory `[dir]`.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.ended(self.command().args(arguments))
    }

    /// Run a command made by [`Scene::command`].
    pub fn ended(&self, command: &mut Command) -> Ended {
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| self.hidden(&String::from_utf8_lossy(bytes));
        Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Text that names this directory `[dir]`.
    pub fn hidden(&self, text: &str) -> String {
        text.replace(&self.root.path().display().to_string(), "[dir]")
    }

    /// Run it; it has to succeed. Returns what it wrote to standard output.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {ended}");
        ended.stdout
    }

    /// Start it without waiting for its end, with a pipe to its standard input.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.start_with_output(arguments, Stdio::null())
    }

    /// The same with another standard output.
    pub fn start_with_output(&self, arguments: &[&str], stdout: impl Into<Stdio>) -> Child {
        self.start_with(arguments, stdout, Stdio::null())
    }

    /// The same with a pipe from its standard error, and keys for S3.
    pub fn start_with_error(&self, arguments: &[&str]) -> Child {
        self.start_with(arguments, Stdio::null(), Stdio::piped())
    }

    #[expect(clippy::disallowed_methods, reason = "a test that talks to the running program")]
    pub fn start_with(&self, arguments: &[&str], stdout: impl Into<Stdio>, stderr: Stdio) -> Child {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("mainstay"));
        command
            .args(arguments)
            .env_clear()
            .envs(self.variables())
            .env("AWS_ACCESS_KEY_ID", "nobody")
            .env("AWS_SECRET_ACCESS_KEY", "nothing")
            .current_dir(self.root.path());
        command
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap()
    }

    /// The files below a directory of the repository.
    pub fn objects(&self, kind: &str) -> Vec<PathBuf> {
        files_below(&self.path("repository").join(kind))
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Wait until something holds, a minute at most.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}
