//! `mainstay check`.

use super::opened::refuse;
use super::output::{bytes, count};
use super::{Context, archives};
use crate::exit::Exit;
use repository::restic::check::{self, CheckOptions, CheckReport, Problem, ReadSubset};
use repository::restic::repository::Repository;
use serde_json::json;
use std::fmt::Write as _;
use tempfile::TempDir;

const EXAMPLES: &str = "Examples:
  mainstay check
  mainstay check --read-data
  mainstay check --read-data-subset 1/7    another seventh each day
  mainstay check --read-data-subset 5%

Exit code 20 means that damage was found; the files and snapshots that it affects are listed.";

/// Options of `check`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Read and verify everything that is stored
    #[arg(long, conflicts_with = "read_data_subset")]
    read_data: bool,
    /// Read and verify a part: N/PARTS, a share such as 5%, or a size such as 10G, chosen at random
    #[arg(long, value_name = "SUBSET")]
    read_data_subset: Option<ReadSubset>,
    /// Believe what is in the cache
    #[arg(long)]
    with_cache: bool,
}

/// Look for damage.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    if context.chosen()?.holds_archives() {
        let given = [
            ("--read-data-subset", args.read_data_subset.is_some()),
            ("--with-cache", args.with_cache),
        ];
        refuse(&given)?;
        return archives::check::run(args.read_data, context);
    }
    let (repository, _cache) = open(&args, context)?;
    let mut progress = context.progress();
    let _lock = context.lock_for_reading(&repository, &progress)?;
    let options = CheckOptions {
        read_data: if args.read_data {
            Some(ReadSubset::All)
        } else {
            args.read_data_subset
        },
    };
    let report = check::check(&repository, &options, context.cancel(), &progress)?;
    progress.finish();
    let output = context.output();
    if output.is_json() {
        let mut value = json!(report);
        value["message_type"] = json!("summary");
        value["num_errors"] = json!(report.problems_total);
        output.json(&value)?;
    } else if report.is_healthy() {
        output.info(format_args!("{}\nno damage was found", checked(&report)))?;
    } else {
        output.line(format_args!("{}\n{}", checked(&report), damage(&report)))?;
    }
    Ok(if report.is_healthy() {
        Exit::Done
    } else {
        Exit::Unhealthy
    })
}

/// What is checked is what the store holds, not what the cache holds. A far store gets a cache that is new and removed at the
/// end, because directories are read from it pack by pack.
fn open(args: &Args, context: &Context) -> anyhow::Result<(Repository, Option<TempDir>)> {
    if args.with_cache {
        return Ok((context.open()?, None));
    }
    let chosen = context.chosen_restic()?;
    let location = chosen.location();
    let mut options = context.open_options(location)?;
    let is_remote = options.remote && options.cache.is_some();
    let unwritable = repository::Error::local("create a temporary directory in", std::env::temp_dir());
    let cache = is_remote.then(tempfile::tempdir).transpose().map_err(unwritable)?;
    options.cache = cache.as_ref().map(|directory| directory.path().to_path_buf());
    Ok((context.open_at(chosen, &context.password_source()?, &options)?, cache))
}

fn checked(report: &CheckReport) -> String {
    let mut text = format!(
        "checked {}, {}, {} with {}",
        count(report.snapshots as u64, "snapshot"),
        count(report.trees, "directory"),
        count(report.packs as u64, "pack"),
        bytes(report.packs_bytes),
    );
    if report.packs_read > 0 {
        let _ = write!(
            text,
            "; read {} with {}",
            count(report.packs_read, "pack"),
            bytes(report.read_bytes)
        );
    }
    if !report.orphan_packs.is_empty() {
        let n = count(report.orphan_packs.len() as u64, "pack");
        let _ = write!(
            text,
            "\n{n} of an interrupted run belong to no snapshot; the next prune removes them"
        );
    }
    text
}

/// The problems themselves were reported when they were found.
fn damage(report: &CheckReport) -> String {
    let mut text = format!("DAMAGE: {}", count(report.problems_total, "problem"));
    if !report.affected.is_empty() {
        text.push_str("\nfiles that cannot be restored completely:");
        for one in &report.affected {
            let _ = write!(text, "\n  {}:{}", one.snapshot.short(), one.path);
        }
    }
    if !report.affected_snapshots.is_empty() {
        let ids: Vec<String> = report.affected_snapshots.iter().map(repository::Id::short).collect();
        let _ = write!(text, "\nsnapshots with such files: {}", ids.join(" "));
    }
    let (keys, others): (Vec<&Problem>, Vec<_>) = report.problems.iter().partition(|problem| problem.object == "key");
    if !others.is_empty() {
        text.push_str("\nhint: All other files can be restored. `mainstay repair --help` says how to go on.");
    }
    for key in keys {
        let id = key.id.short();
        let _ = write!(
            text,
            "\nhint: `mainstay key remove {id}` removes the damaged key; it opens nothing."
        );
    }
    text
}
