//! A server, reached through its client programs: `mongosh` asks, `mongodump` and `mongorestore` copy.

use super::address::Address;
use super::errors::{self, Class, Told};
use crate::config::Misuse;
use crate::config::model::Mongodb;
use crate::config::secret::{Secret, SecretReader};
use crate::exec::{self, Input};
use crate::source::program::{self, Programs};
use repository::{Cancel, Error, Result};
use serde_json::Value;
use std::ffi::OsString;
use std::io::Write;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Asks.
pub const SHELL: &str = "mongosh";
/// Writes archives.
pub const DUMP: &str = "mongodump";
/// Reads archives.
pub const RESTORE: &str = "mongorestore";

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(500);

/// From here on, versions of the tools are not those of servers.
const OWN_NUMBERS: u32 = 100;

/// The variables in which a script of ours finds the server and what it is asked.
const URI: &str = "MAINSTAY_MONGODB_URI";
const ASKED: &str = "MAINSTAY_MONGODB_ASKED";

/// What stands around each script. Errors are told like answers: the shell's own text of them differs by version.
const BEFORE: &str = "try { const asked = JSON.parse(process.env.MAINSTAY_MONGODB_ASKED); \
                      const admin = connect(process.env.MAINSTAY_MONGODB_URI); let answer = null; ";
const AFTER: &str = " print(EJSON.stringify({answer: answer})); } catch (error) { print(EJSON.stringify({error: \
                     {name: String(error.name), code: Number(error.code) || 0, message: String(error.message)}})); }";

/// How to get to a server.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where its programs run.
    pub programs: Programs,
    address: Address,
    password: Option<Secret>,
}

impl Server {
    /// As it is configured.
    ///
    /// # Errors
    /// If the password cannot be read or used, or the container is not there.
    pub fn of(config: &Mongodb, secrets: &dyn SecretReader) -> anyhow::Result<Self> {
        let password = config.server.password.as_ref();
        let password = password.map(|password| password.read(secrets)).transpose()?;
        if let Some(password) = &password {
            check_password(password)?;
        }
        Ok(Self {
            programs: Programs::of(config.server.container.as_deref())?,
            address: Address::of(&config.server, &config.auth_database),
            password,
        })
    }

    /// One of our own, which these programs reach.
    pub fn in_scratch(programs: Programs, address: Address) -> Self {
        Self {
            programs,
            address,
            password: None,
        }
    }

    /// As whom it is asked, for people.
    pub fn user(&self) -> &str {
        self.address.user().unwrap_or("nobody")
    }

    /// Ask with a script, which finds `asked` and the database `admin` by these names and sets `answer`.
    ///
    /// # Errors
    /// What the server or the shell says.
    pub fn ask(&self, script: &str, asked: &Value) -> Result<Value> {
        self.try_ask(script, asked)?.map_err(|told| told.error())
    }

    /// The same; the server's own error is an answer.
    fn try_ask(&self, script: &str, asked: &Value) -> Result<std::result::Result<Value, Told>> {
        let mut words = [SHELL, "--nodb", "--quiet", "--norc", "--eval"]
            .map(OsString::from)
            .to_vec();
        words.push(format!("{BEFORE}{script}{AFTER}").into());
        let password = self.password.as_ref().and_then(Secret::text);
        let surroundings = exec::Surroundings {
            variables: vec![
                (URI.into(), self.address.uri(password).into()),
                (ASKED.into(), asked.to_string().into()),
            ],
            ..exec::Surroundings::default()
        };
        let printed = self.programs.output(&words, &surroundings);
        let printed = printed.map_err(|error| shell_failed(&error))?;
        let printed = String::from_utf8_lossy(&printed);
        // Whatever the shell has to say comes before it.
        let last = printed.lines().rfind(|line| line.starts_with('{')).unwrap_or_default();
        let mut told: Value = serde_json::from_str(last).unwrap_or_default();
        if let Ok(error) = serde_json::from_value::<Told>(told["error"].take()) {
            return Ok(Err(error));
        }
        match told.get_mut("answer") {
            Some(answer) => Ok(Ok(answer.take())),
            None => Err(Error::Refused {
                message: format!("`{SHELL}` does not answer as expected"),
                hint: format!("Check that `{SHELL}` works there; it may be too old."),
            }),
        }
    }

    /// Wait until the server answers. What will not change is not waited for.
    ///
    /// # Errors
    /// Why it does not.
    pub fn wait(&self, patience: Duration, cancel: &Cancel) -> Result<()> {
        let begin = Instant::now();
        loop {
            match self.try_ask("answer = admin.runCommand({ping: 1}).ok;", &Value::Null)? {
                Ok(_) => return Ok(()),
                Err(told) if told.class() != Class::Unreachable || begin.elapsed() >= patience => {
                    return Err(told.error());
                }
                Err(_) => {}
            }
            cancel.check()?;
            std::thread::sleep(PAUSE);
        }
    }

    /// The same as long as it is usual.
    ///
    /// # Errors
    /// Why it does not answer.
    pub fn wait_as_usual(&self, cancel: &Cancel) -> Result<()> {
        self.wait(PATIENCE, cancel)
    }

    /// What a program says its version is, and that it is there.
    ///
    /// # Errors
    /// If it is not.
    pub fn version_of(&self, program: &'static str) -> Result<String> {
        let words = [program, "--version"].map(OsString::from);
        let printed = self.programs.output(&words, &exec::Surroundings::default());
        let printed = printed.map_err(|error| {
            if program == SHELL {
                shell_failed(&error)
            } else {
                errors::explained(&error)
            }
        })?;
        let printed = String::from_utf8_lossy(&printed);
        let first = printed.lines().next().unwrap_or_default();
        Ok(first.rsplit(' ').next().unwrap_or_default().to_owned())
    }

    /// That one of the tools is there and fits a server. Those that are named after a server know no newer one; later ones, from 100 on,
    /// have numbers of their own.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is not there, or too old.
    pub fn fitting(&self, program: &'static str, server: &str) -> Result<String> {
        let text = self.version_of(program)?;
        let has_own_numbers = numbers(&text).is_some_and(|(major, _)| major >= OWN_NUMBERS);
        if !has_own_numbers && is_older(&text, server) {
            return Err(Error::Refused {
                message: format!("`{program}` {text} is older than the server, {server}"),
                hint: "Install a newer package `mongodb-database-tools`, or name the server's container.".to_owned(),
            });
        }
        Ok(text)
    }

    /// One of the tools with these arguments.
    pub fn tool(&self, program: &str, arguments: &[OsString]) -> Vec<OsString> {
        let mut words = vec![OsString::from(program)];
        words.extend(self.address.options());
        words.extend_from_slice(arguments);
        words
    }

    /// What a tool finds that reads nothing but the password: it asks for one on its standard input.
    pub fn surroundings(&self) -> exec::Surroundings {
        exec::Surroundings {
            input: if self.asks() {
                Input::Given(Secret::new(self.password_line()))
            } else {
                Input::Nothing
            },
            ..exec::Surroundings::default()
        }
    }

    /// Have a tool read the password and then what `write` writes.
    ///
    /// # Errors
    /// Those of `write`, and what the tool complains about.
    pub fn feed(
        &self,
        words: &[OsString],
        write: impl FnOnce(&mut (dyn Write + Send)) -> Result<()>,
    ) -> anyhow::Result<()> {
        let fed = program::feed(&self.programs, words, exec::Surroundings::default(), |input| {
            if self.asks() {
                let written = input.write_all(&self.password_line());
                written.map_err(Error::local("write to", RESTORE))?;
            }
            write(input)
        });
        fed.map_err(|error| match error.downcast::<exec::Error>() {
            Ok(error) => errors::explained(&error).into(),
            Err(error) => error,
        })
    }

    /// Whether a tool asks for a password.
    fn asks(&self) -> bool {
        self.address.user().is_some()
    }

    fn password_line(&self) -> Zeroizing<Vec<u8>> {
        let password = self.password.as_ref().map(Secret::bytes).unwrap_or_default();
        [password, b"\n"].concat().into()
    }
}

/// Whether a version comes before another, if both are versions.
pub fn is_older(version: &str, other: &str) -> bool {
    matches!((numbers(version), numbers(other)), (Some(version), Some(other)) if version < other)
}

/// The first two numbers of a version: `r4.2.24`, `100.9.4`, `7.0.5-rc1`.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let version = version.trim_start_matches(|c: char| !c.is_ascii_digit());
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The tools read a line and take some characters for keys that edit it; the shell needs text.
fn check_password(password: &Secret) -> Result<(), Misuse> {
    let is_usable = |text: &str| !text.chars().any(char::is_control);
    if password.text().is_some_and(is_usable) {
        return Ok(());
    }
    Err(Misuse::new(
        "the password of a `mongodb` source has a line break or another character that is no text",
        "Check where it comes from, or give the user another password.",
    ))
}

fn shell_failed(error: &exec::Error) -> Error {
    if error.is_missing() {
        return Error::Refused {
            message: error.to_string(),
            hint: format!("Install the package `mongodb-{SHELL}`, or name the server's container."),
        };
    }
    errors::explained(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_first_numbers() {
        assert_eq!(numbers("r4.2.24"), Some((4, 2)));
        assert_eq!(numbers("7.0.5-rc1"), Some((7, 0)));
        assert_eq!(numbers("built-without-version-string"), None);
    }

    #[test]
    fn a_password_that_the_tools_would_not_take_as_it_is_is_refused() {
        let check = |bytes: &[u8]| check_password(&Secret::new(bytes.to_vec().into()));
        assert!(check("pä ss%".as_bytes()).is_ok());
        for wrong in [&b"two\nlines"[..], b"\x7f", b"\xff"] {
            assert!(check(wrong).is_err(), "{wrong:?}");
        }
    }
}
