//! `mainstay dump`.

use super::Context;
use super::selection::FilterArgs;
use crate::config::Misuse;
use crate::exit::Exit;
use repository::Id;
use repository::restic::dump::{dump_file, dump_tar};
use repository::restic::index::Index;
use repository::restic::node::NodeKind;
use repository::restic::repository::Repository;
use repository::restic::select::{Found, Selected, find_path, select};
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
    /// Id of a snapshot, or its beginning, or `latest`; `:DIRECTORY` behind it makes that the root
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
    let repository = context.open()?;
    let monitor = context.monitor();
    let _lock = context.lock_for_reading(&repository, &monitor)?;
    let selected = select(&repository, &args.snapshot, &args.filter.filter(), &monitor)?;
    let index = repository.load_readable_index(&monitor)?;
    let mut file = args.target.as_deref().map(new_file).transpose()?;
    let out: Box<dyn Write + '_> = match &mut file {
        Some((file, _)) => Box::new(BufWriter::new(file)),
        None => Box::new(context.output().writer()),
    };
    let mut out = Watched { out, closed: false };
    let dumped = match target(&repository, &index, &selected, &args.path)? {
        Target::File(node) => dump_file(&repository, &index, &node, &mut out, context.cancel(), &monitor),
        Target::Directory(tree, path) => {
            if args.target.is_none() {
                refuse_terminal()?;
            }
            dump_tar(&repository, &index, &tree, &path, &mut out, context.cancel(), &monitor)
        }
    };
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

/// What is dumped.
enum Target {
    File(Box<repository::restic::node::Node>),
    Directory(Id, PathBuf),
}

fn target(repository: &Repository, index: &Index, selected: &Selected, path: &Path) -> anyhow::Result<Target> {
    let root = selected.tree(repository, index)?;
    let below = selected.subfolder.as_deref().unwrap_or(Path::new("/"));
    let full = below.join(path.strip_prefix("/").unwrap_or(path));
    match find_path(repository, index, &root, path)? {
        Found::Root => Ok(Target::Directory(root, full)),
        Found::Node(node) => match (node.kind, node.subtree) {
            (NodeKind::File, _) => Ok(Target::File(node)),
            (NodeKind::Dir, Some(tree)) => Ok(Target::Directory(tree, full)),
            (kind, _) => {
                let message = format!(
                    "`{}` is neither a file nor a directory, but of kind `{}`",
                    full.display(),
                    kind.name()
                );
                Err(Misuse::new(message, "Dump the directory that it is in, or restore it.").into())
            }
        },
    }
}

fn refuse_terminal() -> Result<(), Misuse> {
    if !io::stdout().is_terminal() {
        return Ok(());
    }
    let hint = "Write it to a file with `> FILE.tar`, or list it with `| tar --list`.";
    Err(Misuse::new(
        "a directory becomes a tar archive, which a terminal cannot show",
        hint,
    ))
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
