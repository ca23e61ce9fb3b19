//! A real MariaDB on loopback and on a socket, with data of its own, in a directory that goes away with it.

#![expect(clippy::disallowed_methods, reason = "servers of tests are started here")]

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::ssh_server::free_port;

/// Where Debian puts it: outside the search path of ordinary users.
const MARIADBD: &str = "/usr/sbin/mariadbd";

/// Longer than this no start lasts.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running mariadbd. The user `root` has no password on its socket; over the network there is only who is created.
pub struct MariadbServer {
    directory: TempDir,
    port: u16,
    options: Vec<String>,
    mariadbd: Option<Child>,
}

impl MariadbServer {
    /// Start a server.
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
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        Self::start_in(&parent, options)
    }

    /// The same in a directory.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_in(parent: &Path, options: &[&str]) -> Self {
        let directory = tempfile::tempdir_in(parent).expect("a temporary directory can be made");
        let mut server = Self {
            directory,
            port: free_port(),
            options: options.iter().map(ToString::to_string).collect(),
            mariadbd: None,
        };
        server.make_data();
        server.resume();
        server
    }

    /// A file of the server.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.file("data/socket")
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn make_data(&self) {
        // Whoever starts removes temporary tables of others that share the directory.
        for name in ["data", "tmp"] {
            fs::create_dir(self.file(name)).expect("a directory can be made");
        }
        if rustix::process::geteuid().is_root() {
            // The server refuses to be root.
            let user = number_of("-u", "mysql");
            for name in ["data", "tmp"] {
                chown(self.file(name), Some(user), None).expect("root can give files away");
            }
            fs::set_permissions(self.directory.path(), Permissions::from_mode(0o711)).expect("the directory is ours");
        }
        let output = Command::new("mariadb-install-db")
            .args(self.common())
            .args([
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
            ])
            .output()
            .expect("mariadb-install-db is installed (package mariadb-server)");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn common(&self) -> Vec<String> {
        let mut options = vec![
            "--no-defaults".to_owned(),
            format!("--datadir={}", self.file("data").display()),
            format!("--tmpdir={}", self.file("tmp").display()),
            "--innodb-log-file-size=8M".to_owned(),
        ];
        if rustix::process::geteuid().is_root() {
            options.push("--user=mysql".to_owned());
        }
        options
    }

    /// Start it again after [`stop`](Self::stop).
    ///
    /// # Panics
    /// When it does not start.
    pub fn resume(&mut self) {
        let mut mariadbd = Command::new(MARIADBD)
            .args(self.common())
            .args([
                "--bind-address=127.0.0.1",
                "--innodb-flush-log-at-trx-commit=0",
                "--skip-name-resolve",
            ])
            .arg(format!("--port={}", self.port))
            .arg(format!("--socket={}", self.socket().display()))
            .arg(format!("--pid-file={}", self.file("data/pid").display()))
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(self.file("log")).expect("a log can be written"))
            .spawn()
            .expect("mariadbd is installed (package mariadb-server)");
        let begin = Instant::now();
        while !self.try_sql("SELECT 1").status.success() {
            let ended = mariadbd.try_wait().expect("the process can be asked");
            let log = || fs::read_to_string(self.file("log")).unwrap_or_default();
            assert!(
                ended.is_none() && begin.elapsed() < PATIENCE,
                "mariadbd did not start: {}",
                log()
            );
            thread::sleep(Duration::from_millis(50));
        }
        self.mariadbd = Some(mariadbd);
    }

    /// End it at once.
    ///
    /// # Panics
    /// When it cannot be ended.
    pub fn stop(&mut self) {
        if let Some(mut mariadbd) = self.mariadbd.take() {
            mariadbd.kill().expect("our own process can be ended");
            mariadbd.wait().expect("our own process can be waited for");
        }
    }

    /// What the client prints for statements that `root` runs: tabs and lines, without names of columns.
    ///
    /// # Panics
    /// When one fails.
    pub fn sql(&self, statements: &str) -> String {
        let output = self.try_sql(statements);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{statements}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    /// How the client ends with statements that `root` runs.
    ///
    /// # Panics
    /// When there is no client.
    pub fn try_sql(&self, statements: &str) -> Output {
        let mut client = Command::new("mariadb")
            .args([
                "--no-defaults",
                "--user=root",
                "--batch",
                "--skip-column-names",
                "--default-character-set=utf8mb4",
            ])
            .arg(format!("--socket={}", self.socket().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("mariadb is installed (package mariadb-client)");
        let mut stdin = client.stdin.take().expect("it is piped");
        // A client that cannot connect does not read.
        let _ = stdin.write_all(statements.as_bytes());
        drop(stdin);
        client.wait_with_output().expect("our own process can be waited for")
    }
}

impl Drop for MariadbServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn number_of(option: &str, user: &str) -> u32 {
    let output = Command::new("id")
        .args([option, user])
        .output()
        .expect("every system has `id`");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .expect("the package mariadb-server makes the user `mysql`")
}
