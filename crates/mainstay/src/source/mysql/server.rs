//! A server, reached through its client programs.

use super::connected::Connected;
use super::dialect::Dialect;
use super::errors;
use super::version::{Version, is_mariadb};
use crate::config::model::Reached;
use crate::config::secret::SecretReader;
use crate::exec::{self, Input};
use crate::source::program::Programs;
use repository::{Cancel, Error, Result};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// A program that was found.
#[derive(Clone, Debug)]
pub struct Program {
    /// How it is called.
    pub name: &'static str,
    /// What it says of itself.
    pub text: String,
    /// Its version.
    pub version: Version,
}

/// How to get to a server.
#[derive(Clone, Debug)]
pub struct Server {
    /// Which of the two.
    pub dialect: Dialect,
    /// Where its programs run.
    pub programs: Programs,
    /// As configured; nothing for a server of our own.
    reached: Option<Reached>,
    /// Options of every client: where and as whom.
    options: Vec<OsString>,
    /// The password.
    variables: Vec<(OsString, OsString)>,
    /// Clients run here: sockets may be named relative to it.
    directory: Option<PathBuf>,
}

impl Server {
    /// As it is configured.
    ///
    /// # Errors
    /// If the password cannot be read, or its container is not there.
    pub fn of(reached: &Reached, dialect: Dialect, secrets: &dyn SecretReader) -> anyhow::Result<Self> {
        let password = reached
            .password
            .as_ref()
            .map(|password| password.read(secrets))
            .transpose()?;
        // Not an argument, which everybody on the host sees; nor a file, which would have to be where the programs run.
        let variable = |secret| (OsString::from("MYSQL_PWD"), OsStr::from_bytes(secret).to_owned());
        Ok(Self {
            dialect,
            programs: Programs::of(reached.container.as_deref())?,
            options: options(reached),
            variables: password.iter().map(|secret| variable(secret.bytes())).collect(),
            directory: None,
            reached: Some(reached.clone()),
        })
    }

    /// One that was started in `directory` and has its socket there.
    pub fn in_scratch(dialect: Dialect, programs: Programs, directory: PathBuf, socket: &str) -> Self {
        Self {
            dialect,
            programs,
            reached: None,
            options: vec![
                "--protocol=socket".into(),
                format!("--socket={socket}").into(),
                "--user=root".into(),
            ],
            variables: Vec::new(),
            directory: Some(directory),
        }
    }

    /// Find programs that fit, and wait until the server answers.
    ///
    /// # Errors
    /// [`Error::Refused`] that says what is missing: a program, the server, the right password, a newer client.
    pub fn connect(&self, cancel: &Cancel) -> anyhow::Result<Connected> {
        let client = self.find(self.dialect.clients())?;
        let dumper = self.find(self.dialect.dumpers())?;
        Connected::open(self.clone(), client, dumper, cancel)
    }

    /// That there is a client and a dump program.
    ///
    /// # Errors
    /// [`Error::Refused`] that names the one that is missing.
    pub fn find_programs(&self) -> Result<()> {
        self.find(self.dialect.clients())?;
        self.find(self.dialect.dumpers()).map(|_| ())
    }

    /// What a client says of its options; nothing if it does not say.
    pub fn help(&self, client: &str) -> String {
        let words = [client, "--no-defaults", "--help"].map(OsString::from);
        let help = self.programs.output(&words, &exec::Surroundings::default());
        help.map(|help| String::from_utf8_lossy(&help).into_owned())
            .unwrap_or_default()
    }

    fn find(&self, names: &[&'static str]) -> Result<Program> {
        for name in names {
            let words = [name, "--version"].map(OsString::from);
            match self.programs.output(&words, &exec::Surroundings::default()) {
                Ok(printed) => {
                    let text = String::from_utf8_lossy(&printed).trim().to_owned();
                    let is_right = is_mariadb(&text) == (self.dialect == Dialect::Mariadb);
                    if let (Some(version), true) = (Version::of_program(&text), is_right) {
                        return Ok(Program { name, text, version });
                    }
                }
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(errors::explained(&error, self.dialect)),
            }
        }
        Err(Error::Refused {
            message: format!(
                "there is no `{}` of {} on this host",
                names.join("` or `"),
                self.dialect.name()
            ),
            hint: self.dialect.package_hint().to_owned(),
        })
    }

    /// As configured, if it is reached over a network.
    pub fn over_network(&self) -> Option<&Reached> {
        self.reached.as_ref().filter(|reached| !is_socket(reached))
    }

    /// Options of a client of this version.
    pub fn connection(&self, client: Version) -> Vec<OsString> {
        // Option files of this host are not looked at: they could leave out what nobody misses until it is needed.
        let mut words = vec![OsString::from("--no-defaults")];
        words.extend_from_slice(&self.options);
        if let Some(reached) = self.over_network() {
            words.extend(self.dialect.tls(reached, client));
        }
        words
    }

    /// What a client finds.
    pub fn surroundings(&self, input: Input) -> exec::Surroundings {
        exec::Surroundings {
            variables: self.variables.clone(),
            directory: self.directory.clone(),
            input,
            ..exec::Surroundings::default()
        }
    }
}

/// Where and as whom. The name `localhost` stands for a host here, not for a socket.
fn options(reached: &Reached) -> Vec<OsString> {
    let host = reached.host.as_deref().unwrap_or("localhost");
    let mut options: Vec<OsString> = if is_socket(reached) {
        vec!["--protocol=socket".into(), format!("--socket={host}").into()]
    } else {
        vec![
            "--protocol=tcp".into(),
            format!("--host={host}").into(),
            format!("--port={}", reached.port).into(),
        ]
    };
    options.extend(reached.user.iter().map(|user| format!("--user={user}").into()));
    options
}

fn is_socket(reached: &Reached) -> bool {
    reached.host.as_ref().is_some_and(|host| host.starts_with('/'))
}
