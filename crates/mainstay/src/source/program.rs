//! Programs of databases and of the user: what they print becomes a file of the snapshot.

use super::{Patient, Stream};
use crate::docker::{self, Container};
use crate::engine::manifest::Facts;
use crate::exec::{self, Ending, Running};
use parking_lot::Mutex;
use repository::{Cancel, Error, Result};
use sha2::{Digest as _, Sha256};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How much of the end of an output is looked at.
const TAIL_BYTES: usize = 512;

/// Says what is wrong with the end of an output.
pub type CheckEnd = fn(&[u8]) -> std::result::Result<(), String>;

/// Says what a program's failure means.
pub type Explain = Arc<dyn Fn(exec::Error) -> Error + Send + Sync>;

/// Where the programs of a source run.
#[derive(Clone, Debug, Default)]
pub enum Programs {
    /// On this host.
    #[default]
    Host,
    /// In a container.
    Container(Box<Container>),
}

impl Programs {
    /// Where they are, for messages.
    pub fn place(&self) -> &'static str {
        match self {
            Self::Host => "on this host",
            Self::Container(_) => "in the image",
        }
    }

    /// In the container, if one is named.
    ///
    /// # Errors
    /// If there is no such container, or it does not run.
    pub fn of(container: Option<&str>) -> std::result::Result<Self, docker::Error> {
        Ok(match container {
            Some(name) => Self::Container(Box::new(Container::find(None, name)?)),
            None => Self::Host,
        })
    }

    /// Start the first word with the others as its arguments.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(
        &self,
        words: &[OsString],
        surroundings: &exec::Surroundings,
    ) -> std::result::Result<Running, exec::Error> {
        match self {
            Self::Host => Running::start_in(words, surroundings),
            Self::Container(container) => {
                let program = || words.first().map(|word| word.to_string_lossy().into_owned());
                let not_started = |source| exec::Error::NotStarted {
                    program: program().unwrap_or_default(),
                    source,
                };
                container.start(words, surroundings).map_err(not_started)
            }
        }
    }

    /// All that a program prints. It is for short answers: what comes is held in memory.
    ///
    /// # Errors
    /// If it cannot be started or fails.
    pub fn output(
        &self,
        words: &[OsString],
        surroundings: &exec::Surroundings,
    ) -> std::result::Result<Vec<u8>, exec::Error> {
        let mut running = self.start(words, surroundings)?;
        let mut printed = Vec::new();
        let read = running.read_to_end(&mut printed);
        let program = running.program().to_owned();
        running.finish()?;
        read.map_err(|source| exec::Error::NotStarted { program, source })?;
        Ok(printed)
    }
}

/// A program whose output becomes a file. It is started when somebody reads.
pub struct Output {
    /// Where it runs.
    pub programs: Programs,
    /// The program with its arguments.
    pub words: Vec<OsString>,
    /// What it finds.
    pub surroundings: exec::Surroundings,
    /// Ends it.
    pub cancel: Cancel,
    /// Gets the length and hash of what it printed, if somebody wants to know.
    pub facts: Option<Arc<Mutex<Facts>>>,
    /// Looks at the last bytes.
    pub check_end: Option<CheckEnd>,
}

impl Output {
    /// As a file of the snapshot.
    pub fn into_stream(self, path: PathBuf) -> Stream {
        self.into_stream_explained(path, Arc::new(|error| refused(&error)))
    }

    /// The same; `explain` says what it means when the program fails.
    pub fn into_stream_explained(self, path: PathBuf, explain: Explain) -> Stream {
        let state = Arc::new(Mutex::new(State {
            hasher: self.facts.as_ref().map(|_| Sha256::new()),
            ..State::default()
        }));
        let (facts, check_end) = (self.facts.clone(), self.check_end);
        let reader = Box::new(Reader {
            output: self,
            stdout: None,
            state: Arc::clone(&state),
            explain: Arc::clone(&explain),
        });
        let finish = Box::new(move || finish(&mut state.lock(), facts.as_deref(), check_end, &explain));
        Stream { path, reader, finish }
    }
}

struct Reader {
    output: Output,
    stdout: Option<Patient<PipeReader>>,
    state: Arc<Mutex<State>>,
    explain: Explain,
}

/// What is known when the last byte was read.
#[derive(Default)]
struct State {
    ending: Option<Ending>,
    bytes: u64,
    hasher: Option<Sha256>,
    tail: VecDeque<u8>,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.lock();
        let stdout = match &mut self.stdout {
            Some(stdout) => stdout,
            None => {
                let Output {
                    programs,
                    words,
                    surroundings,
                    ..
                } = &self.output;
                let started = programs.start(words, surroundings);
                let running = started.map_err(|error| io::Error::other((self.explain)(error)))?;
                let (stdout, ending) = running.split();
                state.ending = Some(ending);
                self.stdout
                    .insert(Patient::gathering(stdout, self.output.cancel.clone()))
            }
        };
        let read = stdout.read(buffer)?;
        state.take(&buffer[..read]);
        Ok(read)
    }
}

impl State {
    fn take(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        let last = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        self.tail.extend(last);
        let excess = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..excess);
    }
}

fn finish(
    state: &mut State,
    facts: Option<&Mutex<Facts>>,
    check_end: Option<CheckEnd>,
    explain: &Explain,
) -> Result<()> {
    let program = match state.ending.take() {
        Some(ending) => {
            let program = ending.program().to_owned();
            ending.finish().map_err(|error| explain(error))?;
            program
        }
        None => String::new(),
    };
    if let Some(check) = check_end {
        check(state.tail.make_contiguous()).map_err(|reason| Error::Refused {
            message: format!("the output of `{program}` is not whole: {reason}"),
            hint: "Run the job again; if it happens again, look at the server's log.".to_owned(),
        })?;
    }
    if let (Some(facts), Some(hasher)) = (facts, state.hasher.take()) {
        let digest: [u8; 32] = hasher.finalize().into();
        let mut facts = facts.lock();
        facts.bytes = Some(state.bytes);
        facts.sha256 = Some(repository::Id(digest));
    }
    Ok(())
}

fn refused(error: &exec::Error) -> Error {
    Error::Refused {
        message: error.to_string(),
        hint: error.hint(),
    }
}

/// Start a program, have `write` write its input, and wait for its end. What it prints is left out.
///
/// # Errors
/// Those of [`filter`].
pub fn feed(
    programs: &Programs,
    words: &[OsString],
    surroundings: exec::Surroundings,
    write: impl FnOnce(&mut (dyn Write + Send)) -> Result<()>,
) -> anyhow::Result<()> {
    filter(programs, words, surroundings, write, &mut io::sink())
}

/// Start a program, have `write` write its input and write what it prints to `out`, and wait for its end.
///
/// # Errors
/// That of `write`, after which the program is killed, so that it does not take what it has for all there is. The program's, if it
/// failed or stopped reading. That of `out`.
pub fn filter(
    programs: &Programs,
    words: &[OsString],
    surroundings: exec::Surroundings,
    write: impl FnOnce(&mut (dyn Write + Send)) -> Result<()>,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let surroundings = exec::Surroundings {
        input: exec::Input::Piped,
        ..surroundings
    };
    let mut running = programs.start(words, &surroundings)?;
    let stdin = running.stdin();
    let (mut stdout, ending) = running.split();
    std::thread::scope(|scope| {
        // A program that prints must not wait for us; with its output closed, one that nobody listens to ends.
        let copied = scope.spawn(move || io::copy(&mut stdout, out));
        let mut input = Input {
            pipe: stdin,
            failed: false,
        };
        let written = write(&mut input);
        if let (Err(_), false) = (&written, input.failed) {
            drop(ending);
            return Ok(written?);
        }
        drop(input);
        let ended = ending.finish();
        let copied = copied.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?;
        copied.map_err(Error::local("pass on", "what a program prints"))?;
        ended?;
        Ok(written?)
    })
}

/// What is written to a program at once.
const PIECE_BYTES: usize = 256 << 10;
/// With so much unread, it has enough to do for a moment.
const FULL_BYTES: u64 = (exec::PIPE_BYTES - PIECE_BYTES) as u64;
const NAP: Duration = Duration::from_micros(500);
/// After so many naps, whoever writes waits in the pipe: then it also hears that nobody reads any more.
const NAPS: u32 = 20;

/// The input of a program, and whether it stopped reading.
struct Input {
    pipe: Option<PipeWriter>,
    failed: bool,
}

impl Write for Input {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let Some(pipe) = &mut self.pipe else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let piece = &buffer[..buffer.len().min(PIECE_BYTES)];
        // A program that reads little at a time would wake us each time if we waited in the pipe.
        for _ in 0..NAPS {
            if !rustix::io::ioctl_fionread(&*pipe).is_ok_and(|unread| unread > FULL_BYTES) {
                break;
            }
            std::thread::sleep(NAP);
        }
        pipe.write(piece).inspect_err(|_| self.failed = true)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(script: &str) -> Vec<OsString> {
        ["sh", "-c", script].map(OsString::from).to_vec()
    }

    fn captured(script: &str, check_end: Option<CheckEnd>) -> (Result<()>, Vec<u8>, Facts) {
        let facts: Arc<Mutex<Facts>> = Arc::default();
        let output = Output {
            programs: Programs::Host,
            words: words(script),
            surroundings: exec::Surroundings::default(),
            cancel: Cancel::default(),
            facts: Some(Arc::clone(&facts)),
            check_end,
        };
        let mut stream = output.into_stream("/x".into());
        let mut printed = Vec::new();
        stream.reader.read_to_end(&mut printed).unwrap();
        let finished = (stream.finish)();
        let facts = facts.lock().clone();
        (finished, printed, facts)
    }

    #[test]
    fn an_output_counts_only_if_the_program_succeeds_and_its_end_is_there() {
        let (finished, printed, facts) = captured("printf abc", None);
        assert!(finished.is_ok() && printed == b"abc" && facts.bytes == Some(3));
        let (finished, _, facts) = captured("printf abc; exit 4", None);
        assert!(finished.unwrap_err().to_string().contains("exit status: 4") && facts.bytes.is_none());
        let ends_with_c: CheckEnd = |tail| {
            if tail.ends_with(b"c") {
                Ok(())
            } else {
                Err("no c".to_owned())
            }
        };
        assert!(
            captured("head -c 100000 /dev/zero; printf abc", Some(ends_with_c))
                .0
                .is_ok()
        );
        let (finished, ..) = captured("printf ab", Some(ends_with_c));
        assert!(finished.unwrap_err().to_string().contains("no c"));
    }

    #[test]
    fn a_program_is_fed_until_one_of_both_fails() {
        let feed = |script: &str, write: &dyn Fn(&mut dyn Write) -> Result<()>| {
            let fed = super::feed(&Programs::Host, &words(script), exec::Surroundings::default(), |out| {
                write(out)
            });
            fed.map_err(|error| error.to_string())
        };
        let much = |out: &mut dyn Write| {
            let written = (0..100).try_for_each(|_| out.write_all(&[b'x'; 65536]));
            written.map_err(Error::local("write to", "the program"))
        };
        assert_eq!(feed("test $(wc -c) = 6553600", &much), Ok(()));
        assert!(feed("exit 3", &much).unwrap_err().contains("exit status: 3"));
        // A program that would succeed with half of its input does not get to do so.
        let target = tempfile::tempdir().unwrap();
        let mark = target.path().join("mark");
        let damaged = |out: &mut dyn Write| {
            out.write_all(b"half")
                .map_err(Error::local("write to", "the program"))?;
            Err(Error::Interrupted)
        };
        let script = format!("cat >/dev/null && touch {}", mark.display());
        assert_eq!(feed(&script, &damaged), Err(Error::Interrupted.to_string()));
        assert!(!mark.exists());
    }
}
