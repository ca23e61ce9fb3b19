//! A server that answers: what can be asked of it and done with it.

use super::answers::{Rows, parsed};
use super::dialect::Dialect;
use super::errors::{self, Class};
use super::server::{Program, Server};
use super::version::{Version, is_mariadb};
use crate::config::Misuse;
use crate::config::model::Tls;
use crate::exec::{self, Input};
use crate::source::program::{self, Programs};
use repository::{Cancel, Error, Result};
use std::ffi::OsString;
use std::io::Write;
use std::time::{Duration, Instant};

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// Rows or statements of this size are understood by clients, whatever their usual limit.
const LARGE_PACKETS: &str = "--max-allowed-packet=1G";

/// A server that answered, and the programs that fit it.
#[derive(Clone, Debug)]
pub struct Connected {
    server: Server,
    client: Program,
    dumper: Program,
    /// Options for every use of the client that it knows.
    quiet: &'static [&'static str],
    /// Options for statements that come from a file.
    careful: &'static [&'static str],
    /// What the server says its version is.
    pub version_text: String,
    /// The same, to compare.
    pub version: Version,
    /// As whom the server knows us: `user@host`.
    pub account: String,
    /// What the server makes of upper and lower case in names of tables, its variable `lower_case_table_names`.
    pub name_case: String,
}

impl Connected {
    /// Wait until a server answers, and see whether the programs fit it.
    ///
    /// # Errors
    /// [`Error::Refused`] that says what does not fit, or why there is no answer.
    pub fn open(server: Server, client: Program, dumper: Program, cancel: &Cancel) -> anyhow::Result<Self> {
        let help = server.help(client.name);
        let knows = |option: &str| help.contains(option);
        let mut connected = Self {
            // A statement that fails would be shown as a whole, with the rows or the passwords in it.
            quiet: if knows("--print-query-on-error") {
                &["--skip-print-query-on-error"]
            } else {
                &[]
            },
            // Without these, `\!` in a statement starts programs, and line ends are changed.
            careful: if knows("--sandbox") {
                &["--binary-mode", "--sandbox"]
            } else {
                &["--binary-mode"]
            },
            version: client.version,
            server,
            client,
            dumper,
            version_text: String::new(),
            account: String::new(),
            name_case: String::new(),
        };
        let rows = connected.wait(cancel)?;
        let field = |row: usize, column: usize| {
            rows.get(row)
                .and_then(|row| row.get(column))
                .cloned()
                .unwrap_or_default()
        };
        connected.version_text = field(0, 0);
        connected.account = field(0, 1);
        connected.name_case = field(0, 2);
        connected.check_encrypted(&field(1, 1))?;
        connected.check_versions()?;
        Ok(connected)
    }

    /// Which kind of server it is.
    pub fn dialect(&self) -> Dialect {
        self.server.dialect
    }

    /// Where its programs run.
    pub fn programs(&self) -> Programs {
        self.server.programs.clone()
    }

    /// Versions of everything that takes part.
    pub fn versions(&self) -> [(String, String); 3] {
        [
            ("server".to_owned(), self.version_text.clone()),
            (self.client.name.to_owned(), self.client.text.clone()),
            (self.dumper.name.to_owned(), self.dumper.text.clone()),
        ]
    }

    /// What the server answers.
    ///
    /// # Errors
    /// What is wrong with the query or the connection.
    pub fn query(&self, sql: &str) -> Result<Rows> {
        self.ask(sql, None)
            .map_err(|error| errors::explained(&error, self.dialect()))
    }

    /// The same in a database; the error as the client program gave it.
    ///
    /// # Errors
    /// As the program ended.
    pub fn ask(&self, sql: &str, database: Option<&str>) -> Result<Rows, exec::Error> {
        let mut words = self.client_words(database);
        words.extend(["--batch", "--skip-column-names", "--connect-timeout=10", "--execute"].map(OsString::from));
        words.push(sql.into());
        let printed = self
            .server
            .programs
            .output(&words, &self.server.surroundings(Input::Nothing))?;
        Ok(parsed(&String::from_utf8_lossy(&printed)))
    }

    /// Have the client execute what `write` writes, in a database.
    ///
    /// # Errors
    /// Those of `write`, and what is wrong with the statements: it stops at the first one that fails.
    pub fn execute(
        &self,
        database: Option<&str>,
        write: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> anyhow::Result<()> {
        let mut words = self.client_words(database);
        words.extend(self.careful.iter().map(OsString::from));
        words.push(LARGE_PACKETS.into());
        let fed = program::feed(
            &self.server.programs,
            &words,
            self.server.surroundings(Input::Nothing),
            |input| write(input),
        );
        fed.map_err(|error| match error.downcast::<exec::Error>() {
            Ok(error) => errors::explained(&error, self.dialect()).into(),
            Err(error) => error,
        })
    }

    /// The dump program for one database, and what it finds.
    pub fn dump_command(&self, database: &str, arguments: &[String]) -> (Vec<OsString>, exec::Surroundings) {
        let mut words = vec![OsString::from(self.dumper.name)];
        words.extend(self.server.connection(self.dumper.version));
        words.extend(DUMP_OPTIONS.map(OsString::from));
        words.extend(
            self.dialect()
                .dump_options(self.dumper.version)
                .iter()
                .map(OsString::from),
        );
        words.extend(arguments.iter().map(OsString::from));
        words.extend([OsString::from("--"), database.into()]);
        (words, self.server.surroundings(Input::Nothing))
    }

    fn client_words(&self, database: Option<&str>) -> Vec<OsString> {
        let mut words = vec![OsString::from(self.client.name)];
        words.extend(self.server.connection(self.client.version));
        words.extend(self.quiet.iter().map(OsString::from));
        words.push("--default-character-set=utf8mb4".into());
        words.extend(database.map(|database| format!("--database={database}").into()));
        words
    }

    /// Ask until somebody answers. What will not change is not waited for.
    fn wait(&self, cancel: &Cancel) -> Result<Rows> {
        let begin = Instant::now();
        loop {
            let question =
                "SELECT VERSION(), CURRENT_USER(), @@lower_case_table_names; SHOW SESSION STATUS LIKE 'Ssl_cipher'";
            let error = match self.ask(question, None) {
                Ok(rows) => return Ok(rows),
                Err(error) => error,
            };
            let is_passing = matches!(Class::of(error.last_line()), Class::Unreachable | Class::Lost);
            if !is_passing || begin.elapsed() >= PATIENCE {
                return Err(self.with_reason(errors::explained(&error, self.dialect()), is_passing));
            }
            cancel.check()?;
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    fn with_reason(&self, error: Error, is_unreachable: bool) -> Error {
        let reached = self.server.over_network().filter(|_| is_unreachable);
        let reason = reached.and_then(|reached| errors::why_unreachable(reached.host.as_deref()?, reached.port));
        match (error, reason) {
            (Error::Refused { message, hint }, Some(reason)) => Error::Refused {
                message: format!("{message}: {reason}"),
                hint,
            },
            (error, _) => error,
        }
    }

    /// MariaDB's programs only try to encrypt unless they also check the certificate.
    fn check_encrypted(&self, cipher: &str) -> Result<()> {
        let is_wanted = |tls: Tls| !matches!(tls, Tls::Disable | Tls::Prefer);
        if !self.server.over_network().is_some_and(|reached| is_wanted(reached.tls)) || !cipher.is_empty() {
            return Ok(());
        }
        Err(Error::Refused {
            message: "the connection is not encrypted: the server does not offer it".to_owned(),
            hint: "Give the server a certificate, or allow `tls: prefer`.".to_owned(),
        })
    }

    fn check_versions(&mut self) -> anyhow::Result<()> {
        let (dialect, text) = (self.dialect(), &self.version_text);
        let server_dialect = if is_mariadb(text) {
            Dialect::Mariadb
        } else {
            Dialect::Mysql
        };
        if server_dialect != dialect {
            let (is, not) = (server_dialect.kind(), dialect.kind());
            let message = format!(
                "the server is {} ({text}), not {}",
                server_dialect.name(),
                dialect.name()
            );
            return Err(Misuse::new(message, format!("Write `{is}:` instead of `{not}:`.")).into());
        }
        self.version = Version::of_server(text).ok_or_else(|| Error::Refused {
            message: format!("the server's version cannot be understood: `{text}`"),
            hint: "Check that it is a server of this kind.".to_owned(),
        })?;
        let older = [&self.client, &self.dumper]
            .into_iter()
            .find(|program| program.version < self.version);
        match older {
            Some(Program { name, version, .. }) => Err(Error::Refused {
                message: format!(
                    "`{name}` is of version {version}, older than the server, which is {}",
                    self.version
                ),
                hint: dialect.package_hint().to_owned(),
            }
            .into()),
            None => Ok(()),
        }
    }
}

/// Options of every dump. There is no `USE`, so that it can be restored under another name, and no date, so that it deduplicates.
const DUMP_OPTIONS: [&str; 10] = [
    "--single-transaction",
    "--quick",
    "--routines",
    "--events",
    "--triggers",
    "--hex-blob",
    "--default-character-set=utf8mb4",
    "--no-tablespaces",
    "--skip-dump-date",
    LARGE_PACKETS,
];
