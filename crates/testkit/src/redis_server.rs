//! A real Redis or Valkey on loopback with a password, in a directory that goes away with it.

#![expect(clippy::disallowed_methods, reason = "servers of tests are started here")]

use crate::emulators;
use crate::ssh_server::free_port;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The password of its user `default`.
pub const PASSWORD: &str = "hush";

/// Longer than this no start lasts.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the programs of Valkey are: `valkey-server` and `valkey-cli`.
pub fn valkey_programs() -> PathBuf {
    emulators::directory().join("mysql-9.7/bin")
}

/// A running redis-server or valkey-server.
pub struct RedisServer {
    directory: TempDir,
    port: u16,
    options: Vec<String>,
    program: PathBuf,
    child: Option<Child>,
}

impl RedisServer {
    /// Start a server that keeps everything in memory.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with more options.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_with(options: &[&str]) -> Self {
        Self::start_program("redis-server".into(), options)
    }

    /// A Valkey, which is asked by the same client.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_valkey() -> Self {
        // By itself it waits for more replicas before it sends anything.
        let at_once = ["--repl-diskless-sync-delay", "0"];
        Self::start_program(valkey_programs().join("valkey-server"), &at_once)
    }

    fn start_program(program: PathBuf, options: &[&str]) -> Self {
        let mut server = Self {
            directory: tempfile::tempdir().expect("a temporary directory can be made"),
            port: free_port(),
            options: options.iter().map(ToString::to_string).collect(),
            program,
            child: None,
        };
        server.resume();
        server
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// End it at once.
    ///
    /// # Panics
    /// When it cannot be ended.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("our own process can be ended");
            child.wait().expect("our own process can be waited for");
        }
    }

    /// Start it again after [`stop`](Self::stop).
    ///
    /// # Panics
    /// When it does not start.
    pub fn resume(&mut self) {
        let child = Command::new(&self.program)
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--requirepass", PASSWORD, "--save", ""])
            .arg("--dir")
            .arg(self.directory.path())
            .args(&self.options)
            .stdout(Stdio::null())
            .spawn()
            .expect("the server is installed by `cargo xtask setup`");
        self.child = Some(child);
        let begin = Instant::now();
        while self.ask("PING") != "PONG" {
            assert!(begin.elapsed() < PATIENCE, "the server did not start");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The answer to a command for the first database, or to several, as the client prints it without a terminal.
    ///
    /// # Panics
    /// When there is no client.
    pub fn ask(&self, command: &str) -> String {
        let words: Vec<&str> = ["-n", "0"].into_iter().chain(command.split(' ')).collect();
        self.ask_words(&words)
    }

    /// The answer to the client with these arguments.
    ///
    /// # Panics
    /// When there is no client.
    pub fn ask_words(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .env("REDISCLI_AUTH", PASSWORD)
            .args(words)
            .output()
            .expect("redis-cli is installed (package redis-tools)");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}
