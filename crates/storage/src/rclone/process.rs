//! The process that speaks to the remote: `rclone rcd`, which is controlled over HTTP on loopback.
//!
//! This is the one place of this crate that starts a program. The program gets a name and a password of its own in its
//! environment, so that nobody else on this host can use it, and ends when we do.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::Signal;

use super::errors::Failure;
use crate::{RcloneOptions, spawn_ending_with_us};

/// What it takes to read a configuration, and to ask a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// How it says that it is ready.
const READY: &str = "Serving remote control on ";

/// Options with which it is started.
///
/// * An address of its choice on loopback, and objects to be read there.
/// * No questions on a terminal: there may be none.
/// * Whatever is moved to a name replaces what has it, also if it looks the same.
/// * An upload may last as long as a large archive takes.
const ARGUMENTS: [&str; 8] = [
    "rcd",
    "--rc-addr=127.0.0.1:0",
    "--rc-serve",
    "--ask-password=false",
    "--ignore-times",
    "--rc-server-read-timeout=240h",
    "--rc-server-write-timeout=240h",
    "--log-level=NOTICE",
];

/// Variables with which a user sets up a daemon of the user's own; ours is not to become that.
const OTHERS: [&str; 8] = [
    "RCLONE_RC_NO_AUTH",
    "RCLONE_RC_HTPASSWD",
    "RCLONE_RC_BASEURL",
    "RCLONE_RC_CERT",
    "RCLONE_RC_KEY",
    "RCLONE_RC_WEB_GUI",
    "RCLONE_LOG_FILE",
    "RCLONE_USE_JSON_LOG",
];

/// Lines of standard error that are kept for messages.
const LINES: usize = 5;

/// A running daemon. It ends when it is dropped.
pub(super) struct Daemon {
    child: Mutex<Child>,
    /// Where it listens, with a slash at the end.
    pub(super) url: String,
    pub(super) user: String,
    pub(super) password: String,
    said: Arc<Mutex<VecDeque<String>>>,
}

impl Daemon {
    /// Start it, and wait until it listens.
    pub(super) fn start(options: &RcloneOptions) -> Result<Self, Failure> {
        let (user, password) = (random()?, random()?);
        let command = command(options, &user, &password);
        let mut child = spawn_ending_with_us(command, Signal::TERM).map_err(|source| Failure::NotStarted {
            program: options.program.clone(),
            source,
        })?;
        let said = Arc::default();
        let ready = child.stderr.take().map(|stderr| listen(stderr, Arc::clone(&said)));
        let mut daemon = Self {
            child: Mutex::new(child),
            url: String::new(),
            user,
            password,
            said,
        };
        let url = ready.and_then(|ready| ready.recv_timeout(PATIENCE).ok());
        match url {
            Some(url) => daemon.url = url,
            None => return Err(Failure::Died(daemon.last_words())),
        }
        Ok(daemon)
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&self) -> bool {
        !matches!(self.child.lock().try_wait(), Ok(None))
    }

    /// What it said last on standard error.
    pub(super) fn last_words(&self) -> String {
        let said = self.said.lock();
        said.iter().map(String::as_str).collect::<Vec<_>>().join("; ")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let mut child = self.child.lock();
        // It may have ended already.
        let _ = child.kill();
        let _ = child.wait();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place of this crate that starts a program"
)]
fn command(options: &RcloneOptions, user: &str, password: &str) -> Command {
    let mut command = Command::new(&options.program);
    for name in &options.hidden_variables {
        command.env_remove(name);
    }
    for name in OTHERS {
        command.env_remove(name);
    }
    command
        .args(ARGUMENTS)
        .args(&options.arguments)
        .env("RCLONE_RC_USER", user)
        .env("RCLONE_RC_PASS", password)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    // Ctrl-C at the terminal is for us: what is left to do then, such as removing a lock, needs the daemon.
    command.process_group(0);
    command
}

/// Read standard error to its end, so that the program never waits for us. The address is sent when it is said.
fn listen(stderr: ChildStderr, said: Arc<Mutex<VecDeque<String>>>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some((_, url)) = line.split_once(READY) {
                let _ = sender.send(url.trim().to_owned());
            }
            let mut said = said.lock();
            if said.len() == LINES {
                said.pop_front();
            }
            said.push_back(line);
        }
    });
    receiver
}

/// A secret of 128 bits.
fn random() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
