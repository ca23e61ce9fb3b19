//! What a program prints, as one file.

use super::{Item, Patient, Source, Stream, Surroundings};
use crate::config::Misuse;
use crate::config::model::{Command, SetTo};
use crate::config::secret::SecretReader;
use crate::engine::manifest::{Facts, Grade};
use crate::exec::{self, Ending, Running};
use repository::{Cancel, Error};
use sha2::{Digest as _, Sha256};
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::ChildStdout;
use std::sync::{Arc, Mutex, PoisonError};

/// Where the output of programs stands in a snapshot.
const COMMAND: &str = "/command";

/// A program whose output is stored.
#[derive(Debug)]
pub struct CommandSource {
    command: Command,
    required: bool,
}

impl CommandSource {
    /// As it is configured.
    pub fn new(command: Command, required: bool) -> Self {
        Self { command, required }
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

    /// The program alone knows.
    fn grade(&self) -> Option<Grade> {
        None
    }

    fn is_required(&self) -> bool {
        self.required
    }

    fn capture(&self, surroundings: &Surroundings<'_>) -> Result<Vec<Item>, Misuse> {
        let output = Output {
            words: self.command.run.iter().map(OsString::from).collect(),
            surroundings: self.surroundings(surroundings.secrets)?,
            cancel: surroundings.cancel.clone(),
            stdout: None,
            state: Arc::default(),
        };
        let state = Arc::clone(&output.state);
        Ok(vec![Item::Stream(Stream {
            path: Path::new(COMMAND).join(&self.command.name),
            reader: Box::new(output),
            finish: Box::new(move || finish(&state)),
        })])
    }
}

/// The output of a program that is started when somebody reads.
struct Output {
    words: Vec<OsString>,
    surroundings: exec::Surroundings,
    cancel: Cancel,
    stdout: Option<Patient<ChildStdout>>,
    state: Arc<Mutex<State>>,
}

/// What is known when the last byte was read.
#[derive(Default)]
struct State {
    ending: Option<Ending>,
    bytes: u64,
    hasher: Sha256,
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let stdout = match &mut self.stdout {
            Some(stdout) => stdout,
            None => {
                let running = Running::start_in(&self.words, &self.surroundings).map_err(io::Error::other)?;
                let (stdout, ending) = running.split();
                state.ending = Some(ending);
                self.stdout.insert(Patient::new(stdout, self.cancel.clone()))
            }
        };
        let read = stdout.read(buffer)?;
        state.bytes += read as u64;
        state.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

fn finish(state: &Mutex<State>) -> repository::Result<Facts> {
    let state = std::mem::take(&mut *state.lock().unwrap_or_else(PoisonError::into_inner));
    let refused = |error: exec::Error| Error::Refused {
        message: error.to_string(),
        hint: error.hint(),
    };
    if let Some(ending) = state.ending {
        ending.finish().map_err(refused)?;
    }
    let digest: [u8; 32] = state.hasher.finalize().into();
    Ok(Facts {
        bytes: Some(state.bytes),
        sha256: Some(repository::Id(digest)),
    })
}
