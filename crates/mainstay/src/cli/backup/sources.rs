//! What is backed up: paths, lists of paths, standard input, or what a command prints.

use super::wildcards;
use crate::cli::patterns::{read, read_lines};
use crate::config::Misuse;
use crate::exec::{Ending, Running};
use crate::source::Patient;
use repository::restic::backup::Source;
use repository::{Cancel, Error};
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Options that name sources.
#[derive(Debug, clap::Args)]
pub struct SourceArgs {
    /// Files and directories; with --stdin-from-command, the command and its arguments
    #[arg(value_name = "PATH")]
    paths: Vec<OsString>,
    /// File with paths to back up, one per line, with wildcards; `\*` stands for `*`
    #[arg(long, value_name = "FILE")]
    files_from: Vec<PathBuf>,
    /// File with paths to back up, one per line, as they are
    #[arg(long, value_name = "FILE")]
    files_from_verbatim: Vec<PathBuf>,
    /// File with paths to back up, each ended by a NUL byte
    #[arg(long, value_name = "FILE")]
    files_from_raw: Vec<PathBuf>,
    /// Back up what comes from standard input, as one file
    #[arg(long, conflicts_with_all = ["paths", "files_from", "files_from_verbatim", "files_from_raw"])]
    stdin: bool,
    /// Path of that file in the snapshot
    #[arg(long, value_name = "NAME", default_value = "stdin")]
    stdin_filename: PathBuf,
    /// Back up what a command prints, as one file; if it fails, there is no snapshot
    #[arg(
        long,
        requires = "paths",
        conflicts_with_all = ["stdin", "files_from", "files_from_verbatim", "files_from_raw"]
    )]
    stdin_from_command: bool,
}

impl SourceArgs {
    /// All paths that are named; none for streams.
    pub fn paths(&self) -> Result<Vec<PathBuf>, Misuse> {
        if self.is_stream() {
            return Ok(Vec::new());
        }
        let mut paths: Vec<PathBuf> = self.paths.iter().map(PathBuf::from).collect();
        for file in &self.files_from {
            for pattern in read_lines(file)? {
                paths.extend(expand(&pattern)?);
            }
        }
        for (files, separator) in [(&self.files_from_verbatim, b'\n'), (&self.files_from_raw, 0)] {
            for file in files {
                paths.extend(separated(&read(file)?, separator));
            }
        }
        if paths.is_empty() || paths.iter().any(|path| path.as_os_str().is_empty()) {
            let hint = "Name files or directories, or use `--stdin`; a variable in the command may be empty.";
            return Err(Misuse::new("no path to back up is given, or an empty one", hint));
        }
        Ok(paths)
    }

    fn is_stream(&self) -> bool {
        self.stdin || self.stdin_from_command
    }

    /// Begin to read streams; a command is started here.
    pub fn open(&self, paths: Vec<PathBuf>, allow_empty: bool, cancel: &Cancel) -> anyhow::Result<Vec<Source>> {
        let cancel = cancel.clone();
        if self.stdin_from_command {
            let running = Running::start(&self.paths)?;
            let program = running.program().to_owned();
            let (stdout, ending) = running.split();
            return Ok(vec![self.stream(
                stdout,
                cancel,
                allow_empty,
                format!("the command `{program}`"),
                Some(ending),
            )]);
        }
        if self.stdin {
            return Ok(vec![self.stream(
                io::stdin(),
                cancel,
                allow_empty,
                "standard input".to_owned(),
                None,
            )]);
        }
        Ok(paths.into_iter().map(Source::Path).collect())
    }

    fn stream<R>(&self, inner: R, cancel: Cancel, allow_empty: bool, name: String, ending: Option<Ending>) -> Source
    where
        R: Read + AsFd + Send + 'static,
    {
        let any = Arc::new(AtomicBool::new(allow_empty));
        let reader = Box::new(Noticing {
            inner: Patient::new(inner, cancel),
            any: Arc::clone(&any),
        });
        let finish = move || {
            ending.map_or(Ok(()), |ending| ending.finish().map_err(|error| refused(&error)))?;
            if any.load(Ordering::Relaxed) {
                Ok(())
            } else {
                Err(empty(&name))
            }
        };
        Source::Stream {
            path: Path::new("/").join(&self.stdin_filename),
            reader,
            finish: Box::new(finish),
            required: true,
        }
    }
}

/// Remembers whether anything came at all.
struct Noticing<R> {
    inner: R,
    any: Arc<AtomicBool>,
}

impl<R: Read> Read for Noticing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.any.fetch_or(n > 0, Ordering::Relaxed);
        Ok(n)
    }
}

fn refused(error: &crate::exec::Error) -> Error {
    Error::Refused {
        message: format!("{error}; no snapshot is stored"),
        hint: error.hint(),
    }
}

fn empty(name: &str) -> Error {
    Error::Refused {
        message: format!("nothing came from {name}; no snapshot is stored"),
        hint: "Check the command that was to produce the data; `--allow-empty` stores an empty file all the same."
            .to_owned(),
    }
}

/// What a pattern with wildcards stands for. A pattern that matches nothing is an error, as a path that does not exist.
fn expand(pattern: &OsStr) -> Result<Vec<PathBuf>, Misuse> {
    if !wildcards::is_pattern(pattern.as_bytes()) {
        return Ok(vec![PathBuf::from(pattern)]);
    }
    let shown = pattern.to_string_lossy();
    let refuse = |why: &str| {
        let hint = "Check its spelling; `--files-from-verbatim` takes paths without wildcards.";
        Misuse::new(format!("the pattern `{shown}` {why}"), hint)
    };
    let text = pattern.to_str().ok_or_else(|| refuse("is not valid UTF-8"))?;
    let text = wildcards::from_go(text).ok_or_else(|| refuse("is not valid"))?;
    let matches = glob::glob(&text).map_err(|error| refuse("is not valid").because(error))?;
    let paths: Vec<PathBuf> = matches
        .collect::<Result<_, _>>()
        .map_err(|error| refuse("leads to a place that cannot be read").because(error))?;
    if paths.is_empty() {
        Err(refuse("matches nothing"))
    } else {
        Ok(paths)
    }
}

fn separated(content: &[u8], separator: u8) -> impl Iterator<Item = PathBuf> {
    let names = content
        .split(move |byte| *byte == separator)
        .filter(|name| !name.is_empty());
    names.map(|name| PathBuf::from(OsStr::from_bytes(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_find_files_or_fail() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a.txt", "b.txt", "c.log"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let pattern = directory.path().join("*.txt");
        assert_eq!(expand(pattern.as_os_str()).unwrap().len(), 2);
        assert!(expand(directory.path().join("*.pdf").as_os_str()).is_err());
        let file = directory.path().join("*");
        std::fs::write(&file, "").unwrap();
        let escaped = format!(r"{}/\*", directory.path().display());
        assert_eq!(expand(OsStr::new(&escaped)).unwrap(), [file]);
        assert_eq!(expand(OsStr::new("/not/there")).unwrap(), [PathBuf::from("/not/there")]);
    }

    #[test]
    fn raw_names_may_hold_anything_but_nul() {
        let names: Vec<_> = separated(b"/a\nb\0/c\0", 0).collect();
        assert_eq!(names, [PathBuf::from("/a\nb"), PathBuf::from("/c")]);
    }
}
