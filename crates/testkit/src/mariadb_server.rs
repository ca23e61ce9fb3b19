//! A real MariaDB or MySQL on loopback and on a socket, with data of its own, in a directory that goes away with it.

#![expect(clippy::disallowed_methods, reason = "servers of tests are started here")]

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::emulators;
use crate::ssh_server::free_port;

/// Which server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// The system's MariaDB.
    Mariadb,
    /// A MariaDB of a later series, with other defaults for TLS.
    NewerMariadb,
    /// MySQL 9.
    Mysql,
}

impl Flavour {
    /// Where its programs are, of the client as well. Debian puts servers outside the search path of ordinary users.
    pub fn programs(self) -> PathBuf {
        match self {
            Self::Mariadb => PathBuf::from("/usr/bin"),
            Self::NewerMariadb => emulators::directory().join("mariadb-11.8/bin"),
            Self::Mysql => emulators::directory().join("mysql-9.7/bin"),
        }
    }

    fn server(self) -> PathBuf {
        match self {
            Self::Mariadb => PathBuf::from("/usr/sbin/mariadbd"),
            Self::NewerMariadb => self.programs().join("mariadbd"),
            Self::Mysql => self.programs().join("mysqld"),
        }
    }

    fn client(self) -> PathBuf {
        self.programs()
            .join(if self == Self::Mysql { "mysql" } else { "mariadb" })
    }

    /// The program that says what is on it.
    pub fn dumper(self) -> PathBuf {
        let name = if self == Self::Mysql {
            "mysqldump"
        } else {
            "mariadb-dump"
        };
        self.programs().join(name)
    }

    /// What only one of them knows.
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Mariadb | Self::NewerMariadb => &["--innodb-log-file-size=8M"],
            Self::Mysql => &[
                "--innodb-redo-log-capacity=8M",
                "--mysqlx=OFF",
                "--secure-file-priv=NULL",
                "--skip-log-bin",
            ],
        }
    }
}

/// Longer than this no start lasts.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running mariadbd or mysqld. The user `root` has no password on its socket; over the network there is only who is created.
pub struct MariadbServer {
    directory: TempDir,
    port: u16,
    options: Vec<String>,
    flavour: Flavour,
    process: Option<Child>,
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
        Self::start_in(&in_memory(), options)
    }

    /// Another one.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_flavour(flavour: Flavour, options: &[&str]) -> Self {
        Self::start_flavour_in(flavour, &in_memory(), options)
    }

    /// The same in a directory.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_in(parent: &Path, options: &[&str]) -> Self {
        Self::start_flavour_in(Flavour::Mariadb, parent, options)
    }

    /// Another one in a directory.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_flavour_in(flavour: Flavour, parent: &Path, options: &[&str]) -> Self {
        let directory = tempfile::tempdir_in(parent).expect("a temporary directory can be made");
        let mut server = Self {
            directory,
            port: free_port(),
            options: options.iter().map(ToString::to_string).collect(),
            flavour,
            process: None,
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
        match self.flavour {
            Flavour::Mysql => self.initialize(
                Command::new(self.flavour.server()).arg("--no-defaults"),
                &["--initialize-insecure"],
            ),
            // What it makes is brought up to date by a server that is newer.
            Flavour::Mariadb | Flavour::NewerMariadb => self.initialize(
                Command::new("mariadb-install-db").arg("--no-defaults"),
                &[
                    "--auth-root-authentication-method=normal",
                    "--skip-test-db",
                    "--skip-name-resolve",
                ],
            ),
        }
    }

    fn initialize(&self, program: &mut Command, options: &[&str]) {
        let output = program
            .args(self.common())
            .args(options)
            .output()
            .expect("the server is installed by `cargo xtask setup`");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn common(&self) -> Vec<String> {
        let mut options = vec![
            format!("--datadir={}", self.file("data").display()),
            format!("--tmpdir={}", self.file("tmp").display()),
        ];
        options.extend(self.flavour.options().iter().map(ToString::to_string));
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
        let mut process = Command::new(self.flavour.server())
            .arg("--no-defaults")
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
            .expect("the server is installed by `cargo xtask setup`");
        let begin = Instant::now();
        while !self.try_sql("SELECT 1").status.success() {
            let ended = process.try_wait().expect("the process can be asked");
            let log = || fs::read_to_string(self.file("log")).unwrap_or_default();
            assert!(
                ended.is_none() && begin.elapsed() < PATIENCE,
                "the server did not start: {}",
                log()
            );
            thread::sleep(Duration::from_millis(50));
        }
        self.process = Some(process);
    }

    /// End it at once.
    ///
    /// # Panics
    /// When it cannot be ended.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("our own process can be ended");
            process.wait().expect("our own process can be waited for");
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
        let mut client = Command::new(self.flavour.client())
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
            .expect("the client is installed by `cargo xtask setup`");
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

/// A directory that no disk slows down, where there is one.
fn in_memory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
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
