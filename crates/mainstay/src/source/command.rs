//! What a program prints, as one file.

use super::program::{self, Output, Programs};
use super::{Hashed, Item, Piece, Plan, Probe, Proof, PutBack, Restored, Source, Stored, Surroundings};
use crate::config::Misuse;
use crate::config::model::{Command, SetTo};
use crate::config::secret::SecretReader;
use crate::exec;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the output of programs stands in a snapshot.
const COMMAND: &str = "/command";

/// A program whose output is stored.
#[derive(Debug)]
pub struct CommandSource {
    command: Command,
}

impl CommandSource {
    /// As it is configured.
    pub fn new(command: Command) -> Self {
        Self { command }
    }

    fn path(&self) -> PathBuf {
        Path::new(COMMAND).join(&self.command.name)
    }

    fn surroundings(&self, secrets: &dyn SecretReader) -> Result<exec::Surroundings, Misuse> {
        let value = |value: &SetTo| match value {
            SetTo::Text(text) => Ok(OsString::from(text)),
            SetTo::Secret(secret) => Ok(OsStr::from_bytes(secret.read(secrets)?.bytes()).to_owned()),
        };
        let variables = &self.command.environment;
        Ok(exec::Surroundings {
            variables: variables
                .iter()
                .map(|(name, set)| Ok((name.into(), value(set)?)))
                .collect::<Result<_, Misuse>>()?,
            directory: self.command.directory.clone(),
            ..exec::Surroundings::default()
        })
    }
}

impl Source for CommandSource {
    fn kind(&self) -> &'static str {
        "command"
    }

    fn name(&self) -> String {
        self.command.name.clone()
    }

    fn roots(&self) -> Vec<PathBuf> {
        vec![self.path()]
    }

    fn capture(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Vec<Piece>> {
        let facts = Arc::default();
        let output = Output {
            programs: Programs::Host,
            words: words(&self.command.run),
            surroundings: self.surroundings(surroundings.secrets)?,
            cancel: surroundings.cancel.clone(),
            facts: Some(Arc::clone(&facts)),
            check_end: None,
        };
        Ok(vec![Piece {
            path: self.path(),
            name: self.name(),
            // The program alone knows.
            grade: None,
            items: vec![Item::Stream(output.into_stream(self.path()))],
            facts,
        }])
    }

    fn probe(&self, _: &Surroundings<'_>) -> anyhow::Result<Probe> {
        Ok(Probe {
            notes: vec!["a program is not run to see what it prints".to_owned()],
            ..Probe::default()
        })
    }

    fn restore<'a>(
        &'a self,
        stored: &'a Stored<'a>,
        options: &'a PutBack,
        surroundings: &'a Surroundings<'a>,
    ) -> anyhow::Result<Plan<'a>> {
        let path = &stored.part.path;
        let (Some(program), None, None) = (self.command.restore.first(), &options.rename, &options.only) else {
            let message = format!("what a program printed cannot be put back: `{}`", path.display());
            let hint = "Give the source a `restore:` command that reads it, without `--as`; or write it to a file with \
                        `mainstay dump`.";
            return Err(Misuse::new(message, hint).into());
        };
        let step = format!("run `{program}`, which reads {}", path.display());
        let execute = move || {
            let mut bytes = 0;
            let inner = self.surroundings(surroundings.secrets)?;
            program::feed(&Programs::Host, &words(&self.command.restore), inner, |input| {
                let mut counted = Counted {
                    input,
                    bytes: &mut bytes,
                };
                stored.copy(path, &mut counted)
            })?;
            Ok(Restored {
                entries: 1,
                bytes,
                problems: 0,
            })
        };
        Ok(Plan {
            steps: vec![step],
            execute: Box::new(execute),
        })
    }

    fn prove(&self, stored: &Stored<'_>, _: &Path, _: &Surroundings<'_>) -> anyhow::Result<Proof> {
        let mut hashed = Hashed::default();
        stored.copy(&stored.part.path, &mut hashed)?;
        let (facts, mut proof) = (&stored.part.facts, Proof::default());
        proof.compare("bytes", facts.bytes.unwrap_or_default(), hashed.bytes);
        let expected = facts.sha256.map(|hash| hash.to_hex()).unwrap_or_default();
        proof.compare("SHA-256", expected, hashed.finish().to_hex());
        proof.counts.push((1, "output".to_owned()));
        Ok(proof)
    }
}

fn words(words: &[String]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

struct Counted<'a> {
    input: &'a mut dyn Write,
    bytes: &'a mut u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.input.write(buffer)?;
        *self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.input.flush()
    }
}
