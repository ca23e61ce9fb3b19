//! `mainstay dump`.

use super::Context;
use super::selection::FilterArgs;
use crate::config::Misuse;
use crate::exit::Exit;
use repository::Error;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

const EXAMPLES: &str = "Examples:
  mainstay dump latest /etc/hosts
  mainstay dump latest /shop.sql | psql shop
  mainstay dump latest:/home /ann > ann.tar
  mainstay dump latest /srv --target srv.tar
  mainstay dump 3f9a12cd / | tar --list";

/// Options of `dump`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Id of a snapshot or name of an archive, or its beginning, or `latest`; `:DIRECTORY` behind it makes that the root
    snapshot: String,
    /// A file, or a directory, which becomes a tar archive
    path: PathBuf,
    /// Write to this file instead of standard output; it appears when it is complete
    #[arg(short, long, value_name = "FILE")]
    target: Option<PathBuf>,
    #[command(flatten)]
    filter: FilterArgs,
}

/// Write a file or directory of a snapshot to standard output or to a file.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let monitor = context.monitor();
    let mut opened = context.open_any(&monitor)?;
    let selected = opened.select(&args.snapshot, &args.filter, context, &monitor)?;
    let mut file = args.target.as_deref().map(new_file).transpose()?;
    let out: Box<dyn Write + '_> = match &mut file {
        Some((file, _)) => Box::new(BufWriter::new(file)),
        None => Box::new(context.output().writer()),
    };
    let mut out = Watched { out, closed: false };
    let may_be_directory = || match args.target {
        Some(_) => Ok(()),
        None => refuse_terminal(),
    };
    let dumped = opened
        .points()
        .dump(&selected, &args.path, &mut out, &may_be_directory, &monitor);
    let flushed = out.flush();
    if out.closed {
        return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
    }
    dumped?;
    flushed?;
    drop(out);
    if let Some((file, path)) = file {
        file.as_file()
            .sync_all()
            .and_then(|()| Ok(file.persist(&path)?))
            .map_err(|error| cannot_write(&path, error))?;
    }
    Ok(Exit::from_problems(monitor.problems()))
}

/// A file that only its owner may read, beside the place where it will be.
fn new_file(path: &Path) -> Result<(NamedTempFile, PathBuf), Misuse> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    NamedTempFile::new_in(parent.unwrap_or(Path::new(".")))
        .map(|file| (file, path.to_owned()))
        .map_err(|error| cannot_write(path, error))
}

fn cannot_write(path: &Path, error: io::Error) -> Misuse {
    let message = format!("cannot write `{}`", path.display());
    Misuse::new(message, "Check the directory's path, permissions and free space.").because(error)
}

fn refuse_terminal() -> Result<(), Error> {
    if !io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Error::Refused {
        message: "a directory becomes a tar archive, which a terminal cannot show".to_owned(),
        hint: "Write it to a file with `> FILE.tar`, or list it with `| tar --list`.".to_owned(),
    })
}

/// Remembers that the reader went away, which the engine cannot tell from a disk that fails.
struct Watched<W> {
    out: W,
    closed: bool,
}

impl<W> Watched<W> {
    fn watch<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        self.closed |= matches!(&result, Err(error) if error.kind() == io::ErrorKind::BrokenPipe);
        result
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        let result = self.out.write(content);
        self.watch(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.out.flush();
        self.watch(result)
    }
}
