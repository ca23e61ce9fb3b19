//! Secrets: where they are, and fetching them. Never from an argument, never into a message.

use super::Misuse;
use super::env::{self, Environment};
use super::password;
use super::tree::{Node, Origin};
use crate::exec;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};
use zeroize::Zeroizing;

/// A secret. Its memory is overwritten when it is dropped, and nothing prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Secret {
    /// Take what was read.
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The secret itself.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The secret as text, where bytes that are no text cannot be used.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

/// Where a secret is. It is fetched when it is needed, not before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretSource {
    /// How it is given.
    pub place: SecretPlace,
    /// Where that is written.
    pub origin: Origin,
}

/// How a secret can be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretPlace {
    /// A variable of the environment.
    Variable(String),
    /// A file.
    File(PathBuf),
    /// What a program prints: its name and its arguments.
    Command(Vec<String>),
    /// A credential of the systemd unit.
    Credential(String),
}

/// Where Docker and Compose put secrets.
const DOCKER_SECRETS: &str = "/run/secrets";

/// Fetches secrets; tests have their own.
pub trait SecretReader {
    /// A variable of the environment.
    fn variable(&self, name: &str) -> Option<OsString>;
    /// A file's content.
    fn file(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// What a program prints.
    fn output(&self, words: &[OsString]) -> Result<Vec<u8>, exec::Error>;
}

impl SecretReader for Environment {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.named(name)
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn output(&self, words: &[OsString]) -> Result<Vec<u8>, exec::Error> {
        exec::output_of(words)
    }
}

impl SecretSource {
    /// What a tree says, if it says it correctly.
    pub fn from_node(node: &Node) -> Option<Self> {
        let [entry] = node.entries() else { return None };
        let text = || entry.value.text().map(str::to_owned);
        let place = match entry.key.as_str() {
            "env" => SecretPlace::Variable(text()?),
            "file" => SecretPlace::File(entry.value.origin.resolve(&text()?)),
            "secret" => SecretPlace::File(Path::new(DOCKER_SECRETS).join(text()?)),
            "credential" => SecretPlace::Credential(text()?),
            "command" => {
                let words = entry
                    .value
                    .items()
                    .iter()
                    .filter_map(|word| word.text().map(str::to_owned));
                SecretPlace::Command(words.collect())
            }
            _ => return None,
        };
        Some(Self {
            place,
            origin: node.origin.clone(),
        })
    }

    /// Fetch it.
    ///
    /// # Errors
    /// When it is not there, cannot be read, or is empty, or when the program fails.
    pub fn read(&self, reader: &dyn SecretReader) -> Result<Secret, Misuse> {
        let bytes = self.fetch(reader)?;
        self.refuse_empty(match self.place {
            SecretPlace::Variable(_) => bytes,
            SecretPlace::File(_) | SecretPlace::Credential(_) | SecretPlace::Command(_) => without_newline(&bytes),
        })
    }

    /// Fetch the password of a repository: white space around it is no part of it, as restic reads it.
    ///
    /// # Errors
    /// As [`SecretSource::read`].
    pub fn read_password(&self, reader: &dyn SecretReader) -> Result<Secret, Misuse> {
        let bytes = self.fetch(reader)?;
        self.refuse_empty(match self.place {
            SecretPlace::Variable(_) => bytes,
            SecretPlace::File(_) | SecretPlace::Credential(_) | SecretPlace::Command(_) => password::trimmed(bytes),
        })
    }

    fn fetch(&self, reader: &dyn SecretReader) -> Result<Zeroizing<Vec<u8>>, Misuse> {
        let bytes = match &self.place {
            SecretPlace::Variable(name) => reader.variable(name).ok_or_else(|| unset(name))?.into_vec(),
            SecretPlace::File(path) => read_file(reader, path)?,
            SecretPlace::Credential(name) => {
                let directory = reader
                    .variable(env::CREDENTIALS_DIRECTORY.name)
                    .ok_or_else(|| no_credentials(name))?;
                read_file(reader, &Path::new(&directory).join(name))?
            }
            SecretPlace::Command(words) => {
                let words: Vec<OsString> = words.iter().map(Into::into).collect();
                let failed =
                    |error: exec::Error| Misuse::new(format!("cannot get {self}"), error.hint()).because(error);
                reader.output(&words).map_err(failed)?
            }
        };
        Ok(Zeroizing::new(bytes))
    }

    fn refuse_empty(&self, bytes: Zeroizing<Vec<u8>>) -> Result<Secret, Misuse> {
        if bytes.is_empty() {
            let hint = "Put the secret there; an empty one protects nothing.";
            return Err(Misuse::new(format!("{self} is empty"), hint));
        }
        Ok(Secret(bytes))
    }

    /// Whether a program has to run to fetch it.
    pub fn is_command(&self) -> bool {
        matches!(self.place, SecretPlace::Command(_))
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            SecretPlace::Variable(name) => write!(f, "the variable `{name}`"),
            SecretPlace::File(path) => write!(f, "the file `{}`", path.display()),
            SecretPlace::Credential(name) => write!(f, "the credential `{name}`"),
            // The arguments may be secret themselves.
            SecretPlace::Command(words) => write!(f, "the output of `{}`", words.first().map_or("", String::as_str)),
        }
    }
}

fn unset(name: &str) -> Misuse {
    let hint = format!("Set `{name}` for this program, or read the secret from a file with `{{file: PATH}}`.");
    Misuse::new(format!("the variable `{name}` is not set"), hint)
}

fn no_credentials(name: &str) -> Misuse {
    let message = format!("there is no credential `{name}`, because systemd gave this process none");
    Misuse::new(
        message,
        format!("Add `LoadCredential={name}:PATH` to the unit, or use `{{file: PATH}}`."),
    )
}

fn read_file(reader: &dyn SecretReader, path: &Path) -> Result<Vec<u8>, Misuse> {
    reader.file(path).map_err(|error| {
        let message = format!("cannot read the file `{}`", path.display());
        Misuse::new(message, "Check the file's path and permissions.").because(error)
    })
}

/// Editors and `echo` end the last line; that is no part of the secret. Anything else may be.
pub(super) fn without_newline(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    Zeroizing::new(line.strip_suffix(b"\r").unwrap_or(line).to_vec())
}

#[cfg(test)]
mod tests {
    use super::super::problem::Problems;
    use super::super::tree;
    use super::*;

    /// Files in memory; programs print their last argument.
    struct Fake;

    impl SecretReader for Fake {
        fn variable(&self, name: &str) -> Option<OsString> {
            let known = [("X", " from x "), ("EMPTY", ""), ("CREDENTIALS_DIRECTORY", "/c")];
            known
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.into())
        }

        fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
            let known: [(&str, &[u8]); 6] = [
                ("/etc/mainstay/p", b" hush \r\n"),
                ("/p2", b"two\n\n"),
                ("/empty", b"\n"),
                ("/c/name", b"credential\n"),
                ("/run/secrets/name", b"docker"),
                ("/bytes", b"\xff\n"),
            ];
            let found = known.iter().find(|(known, _)| Path::new(known) == path);
            found
                .map(|(_, content)| content.to_vec())
                .ok_or_else(|| io::ErrorKind::NotFound.into())
        }

        fn output(&self, words: &[OsString]) -> Result<Vec<u8>, exec::Error> {
            Ok(words.last().cloned().unwrap_or_default().into_vec())
        }
    }

    fn source(yaml: &str) -> SecretSource {
        let node = tree::parse(
            &Path::new("/etc/mainstay/m.yaml").into(),
            yaml,
            &mut Problems::default(),
        )
        .unwrap();
        SecretSource::from_node(&node).unwrap()
    }

    fn read(yaml: &str) -> Result<Vec<u8>, String> {
        let secret = source(yaml).read(&Fake);
        secret
            .map(|secret| secret.bytes().to_vec())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn one_newline_at_the_end_is_no_part_of_a_secret_and_all_else_is() {
        for (yaml, bytes) in [
            ("{env: X}", &b" from x "[..]),
            ("{file: p}", b" hush "),
            ("{file: /p2}", b"two\n"),
            ("{file: /bytes}", b"\xff"),
            ("{credential: name}", b"credential"),
            ("{secret: name}", b"docker"),
            ("{command: [pass, show, \"a b\\n\"]}", b"a b"),
        ] {
            assert_eq!(read(yaml).unwrap(), bytes, "{yaml}");
        }
    }

    #[test]
    fn a_repository_s_password_is_read_as_restic_reads_it() {
        assert_eq!(source("{file: p}").read_password(&Fake).unwrap().bytes(), b"hush");
        assert_eq!(source("{file: /p2}").read_password(&Fake).unwrap().bytes(), b"two");
        assert_eq!(source("{env: X}").read_password(&Fake).unwrap().bytes(), b" from x ");
    }

    #[test]
    fn what_is_missing_or_empty_is_an_error_that_names_the_place() {
        for (yaml, message) in [
            ("{env: Y}", "the variable `Y` is not set"),
            ("{env: EMPTY}", "the variable `EMPTY` is empty"),
            ("{file: /empty}", "the file `/empty` is empty"),
            ("{file: /none}", "cannot read the file `/none`"),
            ("{secret: none}", "cannot read the file `/run/secrets/none`"),
            ("{credential: none}", "cannot read the file `/c/none`"),
            ("{command: [pass, '']}", "the output of `pass` is empty"),
        ] {
            assert_eq!(read(yaml).unwrap_err(), message);
        }
        let error = source("{credential: x}").read(&Environment::default()).unwrap_err();
        assert!(error.to_string().contains("systemd gave this process none"), "{error}");
    }

    #[test]
    fn nothing_prints_a_secret() {
        let secret = source("{file: p}").read(&Fake).unwrap();
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(
            source("{command: [pass, show, me]}").to_string(),
            "the output of `pass`"
        );
    }
}
