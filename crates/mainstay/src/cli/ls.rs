//! `mainstay ls`.

use super::selection::FilterArgs;
use super::snapshots;
use super::{Context, entry};
use crate::exit::Exit;
use repository::restic::ls::Descend;
use repository::restic::node::Node;
use repository::restic::select::towards;
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
    /// Id of a snapshot or name of an archive, or its beginning, or `latest`; `:DIRECTORY` behind it makes that the root
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
    let monitor = context.monitor();
    let mut opened = context.open_any(&monitor)?;
    let selected = opened.select(&args.snapshot, &args.filter, context, &monitor)?;
    let directories: Vec<PathBuf> = args.directories.iter().map(|path| Path::new("/").join(path)).collect();
    let mut is_met: Vec<bool> = directories.iter().map(|path| path == Path::new("/")).collect();
    let output = context.output();
    let mut out = output.writer();
    if output.is_json() {
        let mut value = snapshots::to_json(&selected.point);
        value["message_type"] = "snapshot".into();
        value["struct_type"] = "snapshot".into();
        writeln!(out, "{value}")?;
    }
    let mut failed: io::Result<()> = Ok(());
    let mut each = |path: &Path, node: &Node| {
        let (mut is_shown, mut descends) = (directories.is_empty(), directories.is_empty());
        for (directory, is_met) in directories.iter().zip(&mut is_met) {
            let (shown, descend) = towards(path, directory, args.recursive);
            *is_met |= path.starts_with(directory);
            is_shown |= shown;
            descends |= descend == Descend::Yes;
        }
        if is_shown {
            failed = match (output.is_json(), args.long) {
                (true, _) => writeln!(out, "{}", entry::of(&selected.point, path, node)),
                (false, true) => entry::write_long(&mut out, path, node),
                (false, false) => entry::write_path(&mut out, path),
            };
        }
        // Nobody reads on: end the walk; what went wrong is told below.
        if failed.is_err() {
            Err(repository::Error::Interrupted)
        } else {
            Ok(if descends { Descend::Yes } else { Descend::No })
        }
    };
    let walked = opened.points().entries(&selected, &mut each, &monitor);
    failed?;
    walked?;
    out.flush()?;
    // What cannot be read on the way is reported, and nothing is known of what is behind it.
    match directories.iter().zip(is_met).find(|(_, is_met)| !is_met) {
        Some((directory, _)) if monitor.problems() == 0 => Err(repository::Error::NotFound {
            what: "path",
            name: directory.display().to_string(),
        }
        .into()),
        _ => Ok(Exit::from_problems(monitor.problems())),
    }
}
