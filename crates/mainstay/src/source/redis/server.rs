//! A Redis or Valkey server, asked through its own command line client.

use crate::config::Misuse;
use crate::config::model::{Reached, Tls};
use crate::config::secret::SecretReader;
use crate::exec::{self, Input, Surroundings};
use crate::source::program::Programs;
use repository::Error;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long a server may load its data before it answers.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(500);

/// Names of the client, the first one that is there.
const CLIENTS: [&str; 2] = ["redis-cli", "valkey-cli"];

/// A server.
#[derive(Debug)]
pub struct Server {
    /// Where the client runs.
    pub programs: Programs,
    options: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    /// What the client is called there. Looked for once.
    client: OnceLock<&'static str>,
}

impl Server {
    /// As it is configured. Nothing is asked.
    ///
    /// # Errors
    /// If the password cannot be read, or the container is not there.
    pub fn new(reached: &Reached, secrets: &dyn SecretReader) -> anyhow::Result<Self> {
        let programs = Programs::of(reached.container.as_deref())?;
        let host = reached.host.as_deref().unwrap_or("127.0.0.1");
        let mut options: Vec<OsString> = if host.starts_with('/') {
            vec!["-s".into(), host.into()]
        } else {
            vec!["-h".into(), host.into(), "-p".into(), reached.port.to_string().into()]
        };
        if let Some(user) = &reached.user {
            options.extend(["--user".into(), user.into()]);
        }
        match reached.tls {
            Tls::Disable | Tls::Prefer => {}
            Tls::Require => options.extend(["--tls".into(), "--insecure".into()]),
            Tls::VerifyCa | Tls::VerifyFull => options.push("--tls".into()),
        }
        if let Some(file) = &reached.ca_file {
            options.extend(["--cacert".into(), file.into()]);
        }
        let mut variables = Vec::new();
        if let Some(password) = &reached.password {
            let password = password.read(secrets)?;
            variables.push(("REDISCLI_AUTH".into(), OsStr::from_bytes(password.bytes()).to_owned()));
        }
        Ok(Self {
            programs,
            options,
            variables,
            client: OnceLock::new(),
        })
    }

    /// One of our own on a socket, which these programs reach.
    pub fn in_scratch(programs: Programs, socket: &Path) -> Self {
        Self {
            programs,
            options: vec!["-s".into(), socket.into()],
            variables: Vec::new(),
            client: OnceLock::new(),
        }
    }

    /// The client with these arguments.
    pub fn words(&self, arguments: &[&str]) -> Vec<OsString> {
        let client = std::iter::once(OsString::from(self.client()));
        let arguments = arguments.iter().map(OsString::from);
        client.chain(self.options.iter().cloned()).chain(arguments).collect()
    }

    /// The first that is there. Both know the variable with the password, and talk to either server.
    fn client(&self) -> &'static str {
        let is_there = |client: &&&str| {
            let words = [**client, "--version"].map(OsString::from);
            let ended = self.programs.output(&words, &Surroundings::default());
            !ended.is_err_and(|error| error.is_missing())
        };
        self.client
            .get_or_init(|| CLIENTS.iter().find(is_there).copied().unwrap_or(CLIENTS[0]))
    }

    /// What the client finds.
    pub fn surroundings(&self, input: Input) -> Surroundings {
        Surroundings {
            variables: self.variables.clone(),
            input,
            ..Surroundings::default()
        }
    }

    /// The answer to a command.
    ///
    /// # Errors
    /// If the server cannot be reached or refuses.
    pub fn ask(&self, command: &[&str]) -> anyhow::Result<String> {
        // With `-e` an answer that is an error makes the client fail.
        let words = self.words(&[&["-e"], command].concat());
        let answer = self.programs.output(&words, &self.surroundings(Input::Nothing));
        let answer = answer.map_err(|error| explained(error, command))?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Wait until it answers: one that was just started loads its data first.
    ///
    /// # Errors
    /// If it does not answer in time, or says no.
    pub fn wait(&self) -> anyhow::Result<()> {
        let begin = Instant::now();
        loop {
            match self.ask(&["ping"]) {
                Ok(_) => return Ok(()),
                Err(error) if begin.elapsed() < READY_TIMEOUT && error.to_string().contains("LOADING") => {
                    std::thread::sleep(PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Its version.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn version(&self) -> anyhow::Result<(&'static str, String)> {
        let info = self.ask(&["info", "server"])?;
        let of = |name: &str| {
            info.lines()
                .find_map(|line| line.strip_prefix(name))
                .map(|text| text.trim().to_owned())
        };
        Ok(match of("valkey_version:") {
            Some(version) => ("valkey", version),
            None => ("redis", of("redis_version:").unwrap_or_default()),
        })
    }

    /// How many keys each of its databases holds.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn keys(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        Ok(parse_keyspace(&self.ask(&["info", "keyspace"])?))
    }
}

/// `db0:keys=3,expires=0,…` → `db0`: 3.
pub fn parse_keyspace(info: &str) -> BTreeMap<String, u64> {
    let of = |line: &str| {
        let (database, counts) = line.trim().split_once(":keys=")?;
        let keys = counts.split(',').next()?.parse().ok()?;
        Some((database.to_owned(), keys))
    };
    info.lines().filter_map(of).collect()
}

/// What an error of the client means.
fn explained(error: exec::Error, command: &[&str]) -> anyhow::Error {
    let said = match &error {
        exec::Error::NotStarted { .. } | exec::Error::Failed { .. } if error.is_missing() => {
            let hint = "Install one of them (Debian calls the packages `redis-tools` and `valkey-tools`), or name the server's container.";
            return Misuse::new("there is neither `redis-cli` nor `valkey-cli`", hint)
                .because(error)
                .into();
        }
        exec::Error::Failed { .. } => error.last_line().to_owned(),
        exec::Error::NotStarted { .. } | exec::Error::Unparsable { .. } => String::new(),
    };
    let hint = if said.contains("WRONGPASS") || said.contains("NOAUTH") || said.contains("invalid password") {
        "Check `user` and `password` of the source.".to_owned()
    } else if said.contains("NOPERM") {
        format!(
            "Allow the user `{}` with `ACL SETUSER`.",
            command.first().unwrap_or(&"")
        )
    } else if said.contains("certificate") {
        "Check `ca_file`: it has to hold the authority that signed the server's certificate.".to_owned()
    } else if said.contains("Connection reset") || said.contains("Server closed the connection") {
        "Check `tls`, and the server's log; if the server wants encryption, set `tls: true`.".to_owned()
    } else if said.contains("Could not connect") || said.contains("Connection refused") {
        "Check that the server runs, and `host`, `port` and `tls` of the source.".to_owned()
    } else {
        error.hint()
    };
    let message = if said.is_empty() {
        error.to_string()
    } else {
        format!("the Redis server cannot be used: {said}")
    };
    Error::Refused { message, hint }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_counted_by_database() {
        let info = "# Keyspace\r\ndb0:keys=3,expires=1,avg_ttl=0\r\ndb12:keys=40,expires=0\r\n";
        assert_eq!(
            parse_keyspace(info),
            [("db0".to_owned(), 3), ("db12".to_owned(), 40)].into()
        );
    }
}
