//! `mainstay stats`.

use super::opened::refuse;
use super::output::bytes;
use super::selection::{FilterArgs, snapshots};
use super::{Context, archives};
use crate::exit::Exit;
use repository::restic::stats::{self, Stats};
use serde_json::json;

const EXAMPLES: &str = "Examples:
  mainstay stats
  mainstay stats --mode raw-data
  mainstay stats latest --mode files-by-contents --json";

/// Options of `stats`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Ids, or their beginnings, or `latest`; all snapshots if none is given
    snapshots: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
    /// What is counted
    #[arg(long, value_enum, default_value_t = Mode::RestoreSize)]
    mode: Mode,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Mode {
    /// What a restore of each snapshot writes
    RestoreSize,
    /// Every file content once
    FilesByContents,
    /// What the blobs take in the repository
    RawData,
    /// The blobs of every file, by path and content
    BlobsPerFile,
}

impl Mode {
    fn engine(self) -> stats::Mode {
        match self {
            Self::RestoreSize => stats::Mode::RestoreSize,
            Self::FilesByContents => stats::Mode::FilesByContents,
            Self::RawData => stats::Mode::RawData,
            Self::BlobsPerFile => stats::Mode::BlobsPerFile,
        }
    }
}

/// Count what snapshots hold.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    if context.chosen()?.holds_archives() {
        let counts_blobs = matches!(args.mode, Mode::FilesByContents | Mode::BlobsPerFile);
        refuse(&[("--mode files-by-contents` or `blobs-per-file", counts_blobs)])?;
        return archives::stats::run(
            &args.snapshots,
            &args.filter,
            matches!(args.mode, Mode::RawData),
            context,
        );
    }
    let repository = context.open()?;
    let mut monitor = context.monitor();
    let _lock = context.lock_for_reading(&repository, &monitor)?;
    let chosen = snapshots(&repository, &args.snapshots, &args.filter.filter(), &monitor)?;
    let index = repository.load_index()?;
    let stats = stats::stats(
        &repository,
        &index,
        &chosen,
        args.mode.engine(),
        context.cancel(),
        &monitor,
    )?;
    monitor.finish();
    let output = context.output();
    if output.is_json() {
        let mut value = json!(stats);
        if let Some(plain) = stats.total_uncompressed_size.filter(|_| stats.total_size > 0) {
            value["compression_ratio"] = json!(plain as f64 / stats.total_size as f64);
        }
        output.json(&value)?;
    } else {
        output.line(to_text(&stats))?;
    }
    Ok(Exit::from_problems(monitor.problems()))
}

fn to_text(stats: &Stats) -> String {
    let mut text = format!(
        "snapshots  {}\nsize       {}",
        stats.snapshots_count,
        bytes(stats.total_size)
    );
    if let Some(plain) = stats.total_uncompressed_size {
        text.push_str(&format!(", {} before compression", bytes(plain)));
    }
    let counts = [
        (stats.total_file_count, "files      "),
        (stats.total_blob_count, "blobs      "),
    ];
    for (n, title) in counts {
        if let Some(n) = n {
            text.push_str(&format!("\n{title}{n}"));
        }
    }
    text
}
