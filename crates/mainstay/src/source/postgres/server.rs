//! A server: how it is reached, and what it says of itself.

use super::clients::{Clients, major_of};
use super::errors::{explained, is_starting};
use super::session::Session;
use crate::config::model::{Postgres, Tls};
use crate::config::secret::Secret;
use crate::exec;
use crate::source::Surroundings;
use crate::source::program::Programs;
use repository::{Cancel, Error, Result};
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, Instant};

/// How long one attempt to connect may take, seconds.
const CONNECT_SECONDS: &str = "15";
/// How long a server may take to start.
const STARTING: Duration = Duration::from_secs(60);
/// Between two looks at a server that is starting.
const PAUSE: Duration = Duration::from_millis(500);
/// The oldest version whose catalog is understood.
const OLDEST: u32 = 12;

/// A server that answers.
#[derive(Clone, Debug)]
pub struct Server {
    /// The programs that talk to it.
    pub clients: Clients,
    access: Access,
    /// Such as `15.4`.
    pub version: String,
    /// The database to connect to for what concerns all.
    pub maintenance: String,
    /// Ends waiting.
    pub cancel: Cancel,
}

/// How a server is reached, and as whom.
#[derive(Clone, Debug)]
pub struct Access {
    /// Name or address, or the directory of its socket.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who logs in.
    pub user: Option<String>,
    /// With this.
    pub password: Option<Secret>,
    /// How the connection is protected.
    pub tls: Tls,
    /// Certificates to trust.
    pub ca_file: Option<std::path::PathBuf>,
    /// A network that gives no sign of life for so long counts as broken, seconds.
    pub silence_seconds: u32,
}

impl Access {
    /// As it is configured.
    ///
    /// # Errors
    /// If the password cannot be read.
    pub fn new(postgres: &Postgres, surroundings: &Surroundings<'_>) -> anyhow::Result<Self> {
        let reached = &postgres.server;
        let read = |secret: &crate::config::secret::SecretSource| secret.read(surroundings.secrets);
        Ok(Self {
            host: reached.host.clone().unwrap_or_default(),
            port: reached.port,
            user: reached.user.clone(),
            password: reached.password.as_ref().map(read).transpose()?,
            tls: reached.tls,
            ca_file: reached.ca_file.clone(),
            silence_seconds: postgres.silence_seconds,
        })
    }

    fn variables(&self, database: &str) -> Vec<(OsString, OsString)> {
        let tls = match self.tls {
            Tls::Disable => "disable",
            Tls::Prefer => "prefer",
            Tls::Require => "require",
            Tls::VerifyCa => "verify-ca",
            Tls::VerifyFull => "verify-full",
        };
        let mut variables: Vec<(OsString, OsString)> = [
            ("PGHOST", self.host.clone()),
            ("PGPORT", self.port.to_string()),
            ("PGDATABASE", database.to_owned()),
            ("PGSSLMODE", tls.to_owned()),
            ("PGCONNECT_TIMEOUT", CONNECT_SECONDS.to_owned()),
            ("PGAPPNAME", "mainstay".to_owned()),
            // Messages that are told apart are English.
            ("LC_ALL", "C".to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
        if let Some(user) = &self.user {
            variables.push(("PGUSER".into(), user.into()));
        }
        if let Some(password) = &self.password {
            variables.push(("PGPASSWORD".into(), OsStr::from_bytes(password.bytes()).to_owned()));
        }
        if let Some(file) = &self.ca_file {
            variables.push(("PGSSLROOTCERT".into(), file.into()));
        }
        variables
    }

    fn name(&self) -> String {
        match self.host.as_str() {
            "" => format!("port {} in its container", self.port),
            host => format!("{host}:{}", self.port),
        }
    }
}

impl Server {
    /// Wait until it answers, and see which programs fit it. `hints` are databases that may be there, if `postgres` is not.
    ///
    /// # Errors
    /// What stands in the way, with a hint: no program, no server, no right.
    pub fn connect(programs: &Programs, access: Access, hints: &[String], cancel: &Cancel) -> Result<Self> {
        let all = Clients::all(programs)?;
        let mut server = Self {
            clients: all[0].clone(),
            access,
            version: String::new(),
            maintenance: "postgres".to_owned(),
            cancel: cancel.clone(),
        };
        server.version = server.find_maintenance(hints)?;
        let major = major_of(&server.version);
        if major < OLDEST {
            return Err(Error::Refused {
                message: format!("the server is PostgreSQL {}", server.version),
                hint: format!("Versions from {OLDEST} on can be backed up; upgrade it, or use a dump with `command`."),
            });
        }
        server.clients = Clients::fitting(all, &server.version)?;
        Ok(server)
    }

    /// The first database that lets us in; the server's version.
    fn find_maintenance(&mut self, hints: &[String]) -> Result<String> {
        let is_plain = |name: &&String| !name.contains(['*', '?', '[']);
        let others = hints.iter().filter(is_plain).cloned().chain(["template1".to_owned()]);
        let mut first_error = None;
        for database in ["postgres".to_owned()].into_iter().chain(others) {
            self.maintenance = database;
            match self.wait_for_version() {
                Ok(version) => return Ok(version),
                Err(error) if is_of_database(&error) => {
                    first_error.get_or_insert(error);
                }
                Err(error) => return Err(explained(error, &self.name())),
            }
        }
        Err(match first_error {
            Some(error) => explained(error, &self.name()),
            None => Error::Interrupted,
        })
    }

    fn wait_for_version(&self) -> std::result::Result<String, exec::Error> {
        let begin = Instant::now();
        let mut words = self.psql();
        words.extend(["-c".into(), "SHOW server_version".into()]);
        loop {
            let printed = self
                .clients
                .programs
                .output(&words, &self.surroundings(&self.maintenance));
            match printed {
                Err(error) if is_starting(&error) && begin.elapsed() < STARTING && !self.cancel.is_cancelled() => {
                    std::thread::sleep(PAUSE);
                }
                printed => return printed.map(|text| first_word(&text)),
            }
        }
    }

    /// What its programs find.
    pub fn surroundings(&self, database: &str) -> exec::Surroundings {
        exec::Surroundings {
            variables: self.access.variables(database),
            ..exec::Surroundings::default()
        }
    }

    /// The beginning of a command of `psql` that prints for programs.
    pub fn psql(&self) -> Vec<OsString> {
        let options = ["-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1"].map(OsString::from);
        let program = [self.clients.program("psql"), self.patience()];
        program.into_iter().chain(options).collect()
    }

    /// An argument of every program: a statement may take hours, but as long as the other side is there, its system says so when it is asked.
    /// Everything else that belongs to a connection is in the variables, for which there are none of these.
    pub fn patience(&self) -> OsString {
        let seconds = self.access.silence_seconds;
        let (idle, interval) = ((seconds / 2).max(1), (seconds / 12).max(1));
        format!(
            "--dbname=keepalives_idle={idle} keepalives_interval={interval} keepalives_count=6 tcp_user_timeout={}",
            u64::from(seconds) * 1000
        )
        .into()
    }

    /// What a query answers, each row as JSON.
    ///
    /// # Errors
    /// The server's, explained.
    pub fn query(&self, database: &str, sql: &str) -> Result<Vec<Value>> {
        let mut session = Session::open(self, database)?;
        let rows = session.query(sql)?;
        session.close()?;
        Ok(rows)
    }

    /// Statements that answer nothing.
    ///
    /// # Errors
    /// The server's, explained.
    pub fn execute(&self, database: &str, sql: &str) -> Result<()> {
        self.query(database, sql).map(drop)
    }

    /// What the user's own SQL prints, under the settings of the database.
    ///
    /// # Errors
    /// The server's, explained.
    pub fn answer(&self, database: &str, sql: &str) -> Result<String> {
        let mut words = self.psql();
        words.extend(["-c".into(), sql.into()]);
        let printed = self.clients.programs.output(&words, &self.surroundings(database));
        let printed = printed.map_err(|error| explained(error, &self.name()))?;
        Ok(String::from_utf8_lossy(&printed).trim().to_owned())
    }

    /// Host and port, for messages.
    pub fn name(&self) -> String {
        self.access.name()
    }

    /// The version without what follows the first point.
    pub fn major(&self) -> u32 {
        major_of(&self.version)
    }
}

/// Of `15.4 (Debian 15.4-1)`, only the version.
fn first_word(printed: &[u8]) -> String {
    let text = String::from_utf8_lossy(printed);
    text.split_whitespace().next().unwrap_or_default().to_owned()
}

/// Whether another database of the same server may let us in.
fn is_of_database(error: &exec::Error) -> bool {
    let is_it = |said: &str| {
        (said.contains("FATAL:  database ") && said.contains("does not exist"))
            || said.contains("permission denied for database")
            || said.contains("not currently accepting connections")
            || said.contains("no pg_hba.conf entry")
    };
    matches!(error, exec::Error::Failed { said, .. } if is_it(said))
}
