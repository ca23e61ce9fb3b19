//! `mainstay ls`.

use super::selection::FilterArgs;
use super::snapshots;
use super::{Context, entry};
use crate::exit::Exit;
use repository::restic::index::Index;
use repository::restic::ls::{self, Descend};
use repository::restic::repository::Repository;
use repository::restic::select::{find_path, select, towards};
use repository::{Id, Monitor as _};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "Examples:
  mainstay ls latest
  mainstay ls -l latest /etc
  mainstay ls --json latest:/home/ann";

/// Options of `ls`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Id of a snapshot, or its beginning, or `latest`; `:DIRECTORY` behind it makes that the root
    snapshot: String,
    /// Directories to list; without one, everything is listed
    directories: Vec<PathBuf>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Show mode, owner, size and time
    #[arg(short, long)]
    long: bool,
    /// Show everything below the directories given
    #[arg(long)]
    recursive: bool,
}

/// List what a snapshot holds.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let repository = context.open()?;
    let monitor = context.monitor();
    let _lock = context.lock_for_reading(&repository, &monitor)?;
    let selected = select(&repository, &args.snapshot, &args.filter.filter(), &monitor)?;
    let index = repository.load_index()?;
    let root = selected.tree(&repository, &index)?;
    let directories = existing(&args.directories, &root, &repository, &index)?;
    let output = context.output();
    let mut out = output.writer();
    if output.is_json() {
        let mut value = snapshots::to_json(&selected.id, &selected.snapshot);
        value["message_type"] = "snapshot".into();
        value["struct_type"] = "snapshot".into();
        writeln!(out, "{value}")?;
    }
    let mut failed: io::Result<()> = Ok(());
    let mut each = |path: &std::path::Path, node: &repository::restic::node::Node| {
        let wanted = directories
            .iter()
            .map(|directory| towards(path, directory, args.recursive));
        let (shown, descend) = wanted.fold(
            (directories.is_empty(), directories.is_empty()),
            |all, (shown, descend)| (all.0 || shown, all.1 || descend == Descend::Yes),
        );
        if shown {
            failed = match (output.is_json(), args.long) {
                (true, _) => writeln!(out, "{}", entry::to_json(path, node)),
                (false, true) => entry::write_long(&mut out, path, node),
                (false, false) => entry::write_path(&mut out, path),
            };
        }
        // Nobody reads on: end the walk; what went wrong is told below.
        if failed.is_err() {
            Err(repository::Error::Interrupted)
        } else {
            Ok(if descend { Descend::Yes } else { Descend::No })
        }
    };
    let walked = ls::list(&repository, &index, &root, &mut each, context.cancel(), &monitor);
    failed?;
    walked?;
    out.flush()?;
    Ok(Exit::from_problems(
        monitor.counters().problems.load(std::sync::atomic::Ordering::Relaxed),
    ))
}

/// The paths from the root on, each of which has to be there. Damage on the way is reported by the walk.
fn existing(
    directories: &[PathBuf],
    root: &Id,
    repository: &Repository,
    index: &Index,
) -> repository::Result<Vec<PathBuf>> {
    let found = |directory: &PathBuf| {
        let path = Path::new("/").join(directory);
        match find_path(repository, index, root, &path) {
            Err(error) if error.is_damage() => Ok(path),
            other => other.map(|_| path),
        }
    };
    directories.iter().map(found).collect()
}
