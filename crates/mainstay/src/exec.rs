//! The only place that starts other programs.
//!
//! They do not get our own variables, which hold passwords; their exit code counts; and they do not outlive us.

use crate::config::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// A program that could not be started, or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was not started.
    #[error("cannot start the command `{program}`")]
    NotStarted {
        /// Its name, without its arguments.
        program: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// It ended with an error.
    #[error("the command `{program}` failed: {}", ended(*status, last_line))]
    Failed {
        /// Its name, without its arguments.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The last line that it wrote to standard error; may be empty.
        last_line: String,
    },
    /// The command line is empty, or a quote in it is not closed.
    #[error("`{line}` is no command line")]
    Unparsable {
        /// As it was given.
        line: String,
    },
}

impl Error {
    /// What to do next, as a sentence.
    pub fn hint(&self) -> String {
        match self {
            Self::NotStarted { .. } => "Check the command's name and that it is installed.",
            Self::Failed { .. } => "Run the command by itself to see what is wrong.",
            Self::Unparsable { .. } => "Check the quotes, or put the command into a script.",
        }
        .to_owned()
    }
}

fn ended(status: ExitStatus, last_line: &str) -> String {
    if last_line.is_empty() {
        status.to_string()
    } else {
        format!("{status}: {last_line}")
    }
}

/// What a command line prints, which is split as a shell would, without variables and wildcards.
pub fn output(line: &str) -> Result<Vec<u8>, Error> {
    let unparsable = || Error::Unparsable { line: line.to_owned() };
    let words: Vec<OsString> = shlex::split(line)
        .ok_or_else(unparsable)?
        .into_iter()
        .map(Into::into)
        .collect();
    output_of(&words)
}

/// What the first word prints with the others as its arguments.
pub fn output_of(words: &[OsString]) -> Result<Vec<u8>, Error> {
    let mut running = Running::start(words)?;
    let mut printed = Vec::new();
    let failed = |source| Error::NotStarted {
        program: name_of(words),
        source,
    };
    running.read_to_end(&mut printed).map_err(failed)?;
    running.finish()?;
    Ok(printed)
}

/// A program whose standard output is read. Dropped before it has ended, it is killed.
#[derive(Debug)]
pub struct Running {
    program: String,
    stdout: ChildStdout,
    ending: Ending,
}

/// The other half of a [`Running`] program: how it ends.
#[derive(Debug)]
pub struct Ending {
    program: String,
    child: Child,
    stderr: Option<JoinHandle<()>>,
    last_line: Arc<Mutex<String>>,
}

/// What a program finds when it starts, beside what we were started with.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// Variables that are set.
    pub variables: Vec<(OsString, OsString)>,
    /// The directory that it runs in.
    pub directory: Option<PathBuf>,
}

impl Running {
    /// Start the first word with the others as its arguments.
    pub fn start(words: &[OsString]) -> Result<Self, Error> {
        Self::start_in(words, &Surroundings::default())
    }

    /// The same, in other surroundings.
    pub fn start_in(words: &[OsString], surroundings: &Surroundings) -> Result<Self, Error> {
        let (program, arguments) = words
            .split_first()
            .ok_or_else(|| Error::Unparsable { line: String::new() })?;
        Self::spawn(program, arguments, surroundings).map_err(|source| Error::NotStarted {
            program: name_of(words),
            source,
        })
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that starts programs")]
    fn spawn(program: &OsStr, arguments: &[OsString], surroundings: &Surroundings) -> io::Result<Self> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for name in env::own_names() {
            command.env_remove(name);
        }
        command.envs(surroundings.variables.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &surroundings.directory {
            command.current_dir(directory);
        }
        let mut child = command.spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let program = program.to_string_lossy().into_owned();
        let last_line = Arc::default();
        let forwarded = stderr.map(|stderr| {
            let last_line = Arc::clone(&last_line);
            std::thread::spawn(move || forward(stderr, &last_line))
        });
        let ending = Ending {
            program: program.clone(),
            child,
            stderr: forwarded,
            last_line,
        };
        let stdout = stdout.ok_or_else(|| io::Error::other("its standard output is not connected"))?;
        Ok(Self {
            program,
            stdout,
            ending,
        })
    }

    /// What is read, and how it ends, for callers that use them in different places.
    pub fn split(self) -> (ChildStdout, Ending) {
        (self.stdout, self.ending)
    }

    /// Wait for the end, and complain unless the program says that it succeeded.
    pub fn finish(self) -> Result<(), Error> {
        // With the pipe closed, a program that still writes ends instead of waiting for us.
        drop(self.stdout);
        self.ending.finish()
    }

    /// Name of the program.
    pub fn program(&self) -> &str {
        &self.program
    }
}

impl Read for Running {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stdout.read(buffer)
    }
}

impl Ending {
    /// Wait for the end, and complain unless the program says that it succeeded.
    pub fn finish(mut self) -> Result<(), Error> {
        let waited = self.child.wait();
        self.join_stderr();
        let program = self.program.clone();
        match waited {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                let last_line = self.last_line.lock().unwrap_or_else(PoisonError::into_inner).clone();
                Err(Error::Failed {
                    program,
                    status,
                    last_line,
                })
            }
            Err(source) => Err(Error::NotStarted { program, source }),
        }
    }

    fn join_stderr(&mut self) {
        if let Some(thread) = self.stderr.take() {
            // It only copies lines; if it panicked, what it copied so far is all there is.
            let _: Option<()> = thread.join().ok();
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Already gone is as good as killed.
            let _: Option<()> = self.child.kill().ok();
            let _: Option<ExitStatus> = self.child.wait().ok();
        }
    }
}

/// Copy what a program complains about to our own standard error, and remember the last line.
fn forward(stderr: ChildStderr, last_line: &Mutex<String>) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    while matches!(reader.by_ref().take(64 << 10).read_until(b'\n', &mut line), Ok(1..)) {
        // Nobody is left to tell if our own standard error is closed.
        let _: Option<()> = io::stderr().write_all(&line).ok();
        let text = String::from_utf8_lossy(&line).trim().to_owned();
        if !text.is_empty() {
            *last_line.lock().unwrap_or_else(PoisonError::into_inner) = text;
        }
        line.clear();
    }
}

fn name_of(words: &[OsString]) -> String {
    words
        .first()
        .map(|word| word.to_string_lossy().into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(output(r#"printf '%s,' "a b" c"#).unwrap(), b"a b,c,");
    }

    #[test]
    fn a_failure_names_the_program_and_its_last_words_but_no_argument() {
        let error = output("sh -c 'echo bad news >&2; exit 3'").unwrap_err().to_string();
        assert_eq!(error, "the command `sh` failed: exit status: 3: bad news");
        assert!(matches!(output("/does/not/exist"), Err(Error::NotStarted { .. })));
        assert!(matches!(output("'open"), Err(Error::Unparsable { .. })));
        assert!(matches!(output(""), Err(Error::Unparsable { .. })));
    }

    #[test]
    fn a_dropped_program_is_killed() {
        let words = ["sleep", "600"].map(OsString::from);
        let running = Running::start(&words).unwrap();
        let pid = running.ending.child.id();
        drop(running);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
}
