//! Servers that are programs of their own.

use std::ffi::OsString;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A running program that listens on this host. It is stopped, and its directory removed, when this is dropped.
pub struct ServerProcess {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
}

/// How long a server may take until it listens.
const PATIENCE: Duration = Duration::from_secs(60);

impl ServerProcess {
    /// Start `program` with the arguments that `arguments` makes of an empty directory for its data and the address to listen on.
    ///
    /// # Panics
    /// When it cannot be started, or does not listen in time; with what it wrote.
    pub fn start(program: impl Into<PathBuf>, arguments: impl Fn(&Path, SocketAddr) -> Vec<OsString>) -> Self {
        let program = program.into();
        let mut log = String::new();
        // The port may be taken by somebody else before the program does; then it ends, and gets another.
        for _ in 0..5 {
            let directory = tempfile::tempdir().expect("a scratch directory can be made");
            let address = free_address();
            let child = spawn(&program, &arguments(directory.path(), address), directory.path());
            let mut server = Self {
                child,
                address,
                directory,
            };
            if server.listens() {
                return server;
            }
            log = std::fs::read_to_string(server.directory().join(LOG)).unwrap_or_default();
        }
        panic!("`{}` does not serve:\n{log}", program.display());
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The directory that it was given for its data, with its log beside them.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Whether it listens now; not, if it has ended.
    fn listens(&mut self) -> bool {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if TcpStream::connect(self.address).is_ok() {
                return true;
            }
            if !matches!(self.child.try_wait(), Ok(None)) {
                return false;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const LOG: &str = "server.log";

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    listener.local_addr().expect("a listener has an address")
}

#[expect(clippy::disallowed_methods, reason = "exec.rs belongs to the product")]
fn spawn(program: &Path, arguments: &[OsString], directory: &Path) -> Child {
    let log = File::create(directory.join(LOG)).expect("a log can be written");
    Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .env("HOME", directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a file can be opened twice"))
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| {
            panic!(
                "`{}` cannot be started, `cargo xtask setup` installs it: {error}",
                program.display()
            )
        })
}
