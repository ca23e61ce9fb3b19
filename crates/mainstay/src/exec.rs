//! The only place that starts other programs.
//!
//! They do not get our own variables, which hold passwords; their exit code counts; and they do not outlive us.

use crate::config::env;
use crate::config::secret::Secret;
use rustix::process::Signal;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead as _, BufReader, PipeReader, PipeWriter, Read, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
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
    #[error("the command `{program}` failed: {}", ended(*status, said))]
    Failed {
        /// Its name, without its arguments.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote to standard error; may be empty.
        said: String,
    },
    /// The command line is empty, or a quote in it is not closed.
    #[error("`{line}` is no command line")]
    Unparsable {
        /// As it was given.
        line: String,
    },
}

impl Error {
    /// What the program complained about last; empty if it said nothing, or did not run.
    pub fn last_line(&self) -> &str {
        match self {
            Self::Failed { said, .. } => said.trim_end().lines().next_back().unwrap_or_default().trim(),
            Self::NotStarted { .. } | Self::Unparsable { .. } => "",
        }
    }

    /// Whether the program is not there at all. In a container a shell looks for it, and ends with this code.
    pub fn is_missing(&self) -> bool {
        const NOT_FOUND: i32 = 127;
        match self {
            Self::NotStarted { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Failed { status, .. } => status.code() == Some(NOT_FOUND),
            Self::Unparsable { .. } => false,
        }
    }

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

fn ended(status: ExitStatus, said: &str) -> String {
    match said.trim_end().lines().next_back() {
        Some(last_line) => format!("{status}: {}", last_line.trim()),
        None => status.to_string(),
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
    stdin: Option<PipeWriter>,
    stdout: PipeReader,
    ending: Ending,
}

/// The other half of a [`Running`] program: how it ends.
#[derive(Debug)]
pub struct Ending {
    program: String,
    child: Box<dyn Child>,
    stderr: Option<JoinHandle<()>>,
    said: Arc<Mutex<String>>,
}

/// A program that was started, here or in a container.
pub trait Child: Send + std::fmt::Debug {
    /// Wait until it has ended.
    fn wait(&mut self) -> io::Result<ExitStatus>;

    /// End it, unless it has ended. What cannot be done is left.
    fn kill(&mut self);
}

impl Child for std::process::Child {
    fn wait(&mut self) -> io::Result<ExitStatus> {
        Self::wait(self)
    }

    fn kill(&mut self) {
        if matches!(self.try_wait(), Ok(None)) {
            // Already gone is as good as killed.
            let _: Option<()> = Self::kill(self).ok();
            let _: Option<ExitStatus> = Self::wait(self).ok();
        }
    }
}

/// What a program reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Input {
    /// Nothing.
    #[default]
    Nothing,
    /// What is written to [`Running::stdin`].
    Piped,
    /// This and nothing more. It is short, so that a program that does not read it is not waited for.
    Given(Secret),
}

/// What a program finds when it starts, beside what we were started with.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// Variables that are set.
    pub variables: Vec<(OsString, OsString)>,
    /// The directory that it runs in.
    pub directory: Option<PathBuf>,
    /// What it reads.
    pub input: Input,
    /// Who it runs as, if not as we do; only root may say so.
    pub user: Option<User>,
    /// What it gets when we are gone, however we went. Others are left to find that nobody reads what they print.
    pub at_our_end: Option<Signal>,
}

/// A user of the system.
#[derive(Clone, Copy, Debug)]
pub struct User {
    /// Its number.
    pub id: u32,
    /// The number of its group.
    pub group: u32,
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
            .stdin(match surroundings.input {
                Input::Nothing => Stdio::null(),
                Input::Piped | Input::Given(_) => Stdio::piped(),
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for name in env::own_names() {
            command.env_remove(name);
        }
        command.envs(surroundings.variables.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &surroundings.directory {
            command.current_dir(directory);
        }
        if let Some(user) = surroundings.user {
            command.uid(user.id).gid(user.group);
        }
        let mut child = match surroundings.at_our_end {
            Some(signal) => storage::spawn_ending_with_us(command, signal)?,
            None => command.spawn()?,
        };
        let not_connected = || io::Error::other("its standard output is not connected");
        let stdin = child.stdin.take().map(|pipe| OwnedFd::from(pipe).into());
        let stdout: OwnedFd = child.stdout.take().ok_or_else(not_connected)?.into();
        let stderr: OwnedFd = child.stderr.take().ok_or_else(not_connected)?.into();
        let program = program.to_string_lossy().into_owned();
        Self::new(program, Box::new(child), stdin, stdout.into(), stderr.into()).give(&surroundings.input)
    }

    /// A program that runs and is connected with these pipes.
    pub fn new(
        program: String,
        child: Box<dyn Child>,
        stdin: Option<PipeWriter>,
        stdout: PipeReader,
        stderr: PipeReader,
    ) -> Self {
        for pipe in stdin.iter().map(AsFd::as_fd).chain([stdout.as_fd()]) {
            // A small one works as well.
            let _: Option<usize> = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES).ok();
        }
        let said = Arc::default();
        let forwarded = {
            let said = Arc::clone(&said);
            std::thread::spawn(move || forward(stderr, &said))
        };
        let ending = Ending {
            program,
            child,
            stderr: Some(forwarded),
            said,
        };
        Self { stdin, stdout, ending }
    }

    /// Write what it is given to its input, and end that.
    ///
    /// # Errors
    /// If that cannot be written. A program that has ended or does not listen says itself why.
    pub fn give(mut self, input: &Input) -> io::Result<Self> {
        if let Input::Given(secret) = input
            && let Some(mut stdin) = self.stdin()
        {
            match stdin.write_all(secret.bytes()) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(self)
    }

    /// Where its input is written to; dropped, the program reads the end. There is none if none was asked for, or if it was taken before.
    pub fn stdin(&mut self) -> Option<PipeWriter> {
        self.stdin.take()
    }

    /// What is read, and how it ends, for callers that use them in different places.
    pub fn split(self) -> (PipeReader, Ending) {
        (self.stdout, self.ending)
    }

    /// Wait for the end, and complain unless the program says that it succeeded.
    pub fn finish(self) -> Result<(), Error> {
        // With the pipes closed, a program that still writes or reads ends instead of waiting for us.
        drop((self.stdin, self.stdout));
        self.ending.finish()
    }

    /// Name of the program.
    pub fn program(&self) -> &str {
        &self.ending.program
    }
}

impl Read for Running {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stdout.read(buffer)
    }
}

impl Ending {
    /// Name of the program.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// Wait for the end, and complain unless the program says that it succeeded.
    pub fn finish(mut self) -> Result<(), Error> {
        let waited = self.child.wait();
        self.join_stderr();
        let program = self.program.clone();
        match waited {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
                Err(Error::Failed { program, status, said })
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
        self.child.kill();
    }
}

/// What pipes hold, if the system lets them: programs that write little at a time then wait less for whoever reads.
pub const PIPE_BYTES: usize = 1 << 20;

/// How much of what a program complained about is remembered: at least this, at most twice as much and a line.
const SAID_BYTES: usize = 4 << 10;

/// Copy what a program complains about to our own standard error, and remember the end of it.
fn forward(stderr: PipeReader, said: &Mutex<String>) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    while matches!(reader.by_ref().take(64 << 10).read_until(b'\n', &mut line), Ok(1..)) {
        // Nobody is left to tell if our own standard error is closed.
        let _: Option<()> = io::stderr().write_all(&line).ok();
        remember(
            &String::from_utf8_lossy(&line),
            &mut said.lock().unwrap_or_else(PoisonError::into_inner),
        );
        line.clear();
    }
}

fn remember(line: &str, said: &mut String) {
    said.push_str(line);
    if said.len() > 2 * SAID_BYTES {
        let from = (said.len() - SAID_BYTES..).find(|at| said.is_char_boundary(*at));
        said.drain(..from.unwrap_or_default());
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
        let mut running = Running::start(&["sh", "-c", "echo $$; exec sleep 600"].map(OsString::from)).unwrap();
        let mut pid = String::new();
        BufReader::new(&mut running).read_line(&mut pid).unwrap();
        let process = std::path::PathBuf::from(format!("/proc/{}", pid.trim()));
        assert!(process.exists());
        drop(running);
        assert!(!process.exists());
    }

    #[test]
    fn what_is_given_is_all_that_a_program_reads() {
        let given = Input::Given(Secret::new(b"quiet".to_vec().into()));
        let start = |words: [&str; 1]| {
            let surroundings = Surroundings {
                input: given.clone(),
                ..Surroundings::default()
            };
            Running::start_in(&words.map(OsString::from), &surroundings).unwrap()
        };
        let mut running = start(["cat"]);
        let mut printed = String::new();
        running.read_to_string(&mut printed).unwrap();
        assert_eq!(printed, "quiet");
        running.finish().unwrap();
        start(["true"]).finish().unwrap();
    }

    #[test]
    fn input_goes_in_and_ends() {
        let surroundings = Surroundings {
            input: Input::Piped,
            ..Surroundings::default()
        };
        let mut running = Running::start_in(&["tr", "a-z", "A-Z"].map(OsString::from), &surroundings).unwrap();
        running.stdin().unwrap().write_all(b"quiet").unwrap();
        let mut printed = String::new();
        running.read_to_string(&mut printed).unwrap();
        assert_eq!(printed, "QUIET");
        running.finish().unwrap();
    }
}
