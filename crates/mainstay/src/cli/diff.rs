//! `mainstay diff`.

use super::output::{bytes, count};
use super::selection::FilterArgs;
use super::{Context, archives};
use crate::exit::Exit;
use repository::Error;
use repository::restic::diff::{Change, DiffOptions, DiffReport, SideTotals, diff};
use repository::restic::select::select;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

const EXAMPLES: &str = "Examples:
  mainstay diff 3f9a12cd latest
  mainstay diff --metadata 3f9a12cd:/etc latest:/etc

The sign before a path says what happened to it: + added, - removed, M content changed, T kind changed,
U metadata changed, M? content changed although size and times say that it did not.";

/// Options of `diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Id of a snapshot, or its beginning, or `latest`; `:DIRECTORY` behind it compares that directory
    before: String,
    /// The one to compare it with
    after: String,
    /// Show changes of mode, owner and times, too
    #[arg(long)]
    metadata: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

/// Show what differs between two snapshots.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    if context.chosen()?.holds_archives() {
        return of_archives(&args, context);
    }
    let repository = context.open()?;
    let monitor = context.monitor();
    let _lock = context.lock_for_reading(&repository, &monitor)?;
    let filter = args.filter.filter();
    let before = select(&repository, &args.before, &filter, &monitor)?;
    let after = select(&repository, &args.after, &filter, &monitor)?;
    let index = repository.load_index()?;
    let (old, new) = (before.tree(&repository, &index)?, after.tree(&repository, &index)?);
    let output = context.output();
    let mut out = output.writer();
    let mut printed: io::Result<()> = Ok(());
    let mut each = |path: &Path, change: Change| {
        printed = if output.is_json() {
            print_json(&mut out, path, change)
        } else {
            print(&mut out, path, change)
        };
        // Nobody reads on: end the comparison; what went wrong is told below.
        if printed.is_err() {
            Err(Error::Interrupted)
        } else {
            Ok(())
        }
    };
    let options = DiffOptions {
        metadata: args.metadata,
    };
    let report = diff(
        &repository,
        &index,
        &old,
        &new,
        &options,
        &mut each,
        context.cancel(),
        &monitor,
    );
    printed?;
    let report = report?;
    out.flush()?;
    drop(out);
    if output.is_json() {
        let mut value = to_json(&report);
        value["source_snapshot"] = json!(before.id);
        value["target_snapshot"] = json!(after.id);
        output.json(&value)?;
    } else {
        output.info(to_text(&report))?;
    }
    Ok(Exit::from_problems(monitor.problems()))
}

fn of_archives(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let output = context.output();
    let mut out = output.writer();
    let mut each = |path: &Path, change: Change| {
        if output.is_json() {
            print_json(&mut out, path, change)
        } else {
            print(&mut out, path, change)
        }
    };
    let sides = [args.before.as_str(), args.after.as_str()];
    let (exit, end) = archives::diff::run(sides, &args.filter, args.metadata, context, &mut each)?;
    out.flush()?;
    drop(out);
    end.print(output)?;
    Ok(exit)
}

fn print(out: &mut impl Write, path: &Path, change: Change) -> io::Result<()> {
    write!(out, "{:<4} ", change.sign())?;
    out.write_all(path.as_os_str().as_bytes())?;
    out.write_all(b"\n")
}

fn print_json(out: &mut impl Write, path: &Path, change: Change) -> io::Result<()> {
    let value = json!({"message_type": "change", "path": path.to_string_lossy(), "modifier": change.sign()});
    writeln!(out, "{value}")
}

fn to_json(report: &DiffReport) -> Value {
    let side = |side: &SideTotals| {
        json!({
            "files": side.files,
            "dirs": side.dirs,
            "others": side.others,
            "data_blobs": side.data_blobs,
            "tree_blobs": side.tree_blobs,
            "bytes": side.bytes,
        })
    };
    json!({
        "message_type": "statistics",
        "changed_files": report.changed_files,
        "added": side(&report.added),
        "removed": side(&report.removed),
    })
}

fn to_text(report: &DiffReport) -> String {
    let side = |side: &SideTotals| {
        format!(
            "{}, {}, {} in {} new to it",
            count(side.files, "file"),
            count(side.dirs, "directory"),
            bytes(side.bytes),
            count(side.data_blobs + side.tree_blobs, "blob"),
        )
    };
    format!(
        "\nchanged  {}\nadded    {}\nremoved  {}",
        count(report.changed_files, "file"),
        side(&report.added),
        side(&report.removed),
    )
}
