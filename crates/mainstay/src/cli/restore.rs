//! `mainstay restore`.

use super::opened::{Opened, refuse};
use super::output::{bytes, count, duration};
use super::patterns::{self, ExcludeArgs, add_all, read_patterns};
use super::restore_part::PartArgs;
use super::selection::FilterArgs;
use super::suggested::suggest;
use super::{Context, location_path, output, restore_part};
use crate::config::Misuse;
use crate::exit::Exit;
use output::Progress;
use repository::restic::restore::{Overwrite, RestoreOptions, RestoreReport};
use repository::{Filter, FilterBuilder};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "Examples:
  mainstay restore latest --target /srv/restored
  mainstay restore latest:/home/ann --target /home/ann --include '*.odt' --overwrite never
  mainstay restore 3f9a12cd --target / --include /etc/nginx --dry-run -v
  mainstay restore latest --job web --part /files/srv/web --as /srv/web-before
  mainstay restore latest --job web --part /files/srv/web --overwrite

With --part, a part of what a job captured is put back through its source, where it came from or beside it: the plan is
shown and confirmed first, and what exists is replaced only with --overwrite.
A damaged blob costs the files that use it: they are listed, all others are restored, and the exit code is 3.";

/// Options of `restore`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Id of a snapshot or name of an archive, or its beginning, or `latest`; `:DIRECTORY` behind it restores what is in that directory
    snapshot: String,
    /// Directory to restore to
    #[arg(short, long, value_name = "DIR", required_unless_present = "part")]
    target: Option<PathBuf>,
    #[command(flatten)]
    part: PartArgs,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    exclude: ExcludeArgs,
    /// Restore only what matches this pattern; may be repeated
    #[arg(short, long, value_name = "PATTERN")]
    include: Vec<OsString>,
    /// The same whether letters are capital or small
    #[arg(long, value_name = "PATTERN")]
    iinclude: Vec<OsString>,
    /// File with patterns of what to restore, one per line
    #[arg(long, value_name = "FILE")]
    include_file: Vec<PathBuf>,
    /// The same whether letters are capital or small
    #[arg(long, value_name = "FILE")]
    iinclude_file: Vec<PathBuf>,
    /// Restore only paths in which this regular expression is found, and what is below them
    #[arg(long, value_name = "REGEX")]
    include_regex: Vec<String>,
    /// Remove what is in the restored directories but not in the snapshot
    #[arg(long)]
    delete: bool,
    /// Files that exist: always (what differs is written), if-changed (size or time), if-newer, never; with --part, replace what exists
    #[arg(long, value_name = "WHEN", num_args = 0..=1, default_missing_value = "always")]
    #[arg(value_parser = suggest::<Overwrite>(&["always", "if-changed", "if-newer", "never"]))]
    overwrite: Option<Overwrite>,
    /// Read all that was written once more, and compare
    #[arg(long)]
    verify: bool,
    /// Write zeros instead of leaving holes in files
    #[arg(long, conflicts_with = "sparse")]
    no_sparse: bool,
    /// Leave holes in files where there are zeros; this is the default
    #[arg(long)]
    sparse: bool,
    /// Change nothing, only show what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// Restore a snapshot, or part of it, into a directory.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    if let Some(part) = &args.part.part {
        let wanted = restore_part::Wanted {
            snapshot: &args.snapshot,
            filter: &args.filter,
            part,
            rename: args.part.rename.as_deref(),
            overwrite: args.overwrite.is_some_and(|when| when != Overwrite::Never),
            dry_run: args.dry_run,
            yes: args.part.yes,
        };
        return restore_part::run(&wanted, context);
    }
    let target = args.target.clone().unwrap_or_default();
    let options = options(&args, &target, context)?;
    let mut progress = context.progress();
    let mut opened = context.open_any(&progress)?;
    if matches!(opened, Opened::Archives(_)) {
        refuse(&[("--sparse", args.sparse), ("--no-sparse", args.no_sparse)])?;
    }
    let selected = opened.select(&args.snapshot, &args.filter, context, &progress)?;
    let report = opened.points().restore(&selected, &options, &progress)?;
    progress.finish();
    let output = context.output();
    if output.is_json() {
        output.json(&to_json(&report, &args, &target, &progress))?;
    } else {
        output.info(to_text(&report, &args, &target, &progress))?;
    }
    Ok(Exit::from_problems(report.problems))
}

fn options(args: &Args, target: &Path, context: &Context) -> anyhow::Result<RestoreOptions> {
    let own = [location_path(context.chosen()?.location()), context.cache_directory()];
    Ok(RestoreOptions {
        protect: own.into_iter().flatten().collect(),
        filter: filter(args)?,
        delete: args.delete,
        overwrite: args.overwrite.unwrap_or_default(),
        verify: args.verify,
        sparse: !args.no_sparse,
        dry_run: args.dry_run,
        ..RestoreOptions::new(target)
    })
}

fn filter(args: &Args) -> Result<Filter, Misuse> {
    let mut filter = args.exclude.add_to(Filter::builder())?;
    filter = add_all(filter, &args.include, FilterBuilder::include);
    filter = add_all(filter, &args.iinclude, FilterBuilder::include_any_case);
    filter = add_all(filter, &args.include_regex, FilterBuilder::include_expression);
    for file in &args.include_file {
        filter = add_all(filter, &read_patterns(file)?, FilterBuilder::include);
    }
    for file in &args.iinclude_file {
        filter = add_all(filter, &read_patterns(file)?, FilterBuilder::include_any_case);
    }
    patterns::built(filter.build())
}

fn to_json(report: &RestoreReport, args: &Args, target: &Path, progress: &Progress) -> Value {
    json!({
        "message_type": "summary",
        "dry_run": args.dry_run,
        "target": target.to_string_lossy(),
        "seconds_elapsed": progress.elapsed().as_secs_f64(),
        "total_files": report.files,
        "total_dirs": report.dirs,
        "total_others": report.others,
        "files_restored": report.files.saturating_sub(report.identical_files),
        "files_identical": report.identical_files,
        "files_skipped": report.skipped,
        "files_deleted": report.deleted,
        "files_verified": report.verified_files,
        "bytes_restored": report.bytes,
        "bytes_identical": report.identical_bytes,
        "error_count": report.problems,
    })
}

fn to_text(report: &RestoreReport, args: &Args, target: &Path, progress: &Progress) -> String {
    let verb = if args.dry_run { "would restore" } else { "restored" };
    let mut text = format!(
        "{verb} {} and {}, {}, to `{}` in {}",
        count(report.files, "file"),
        count(report.dirs, "directory"),
        bytes(report.bytes),
        target.display(),
        duration(progress.elapsed()),
    );
    let extras = [
        (report.identical_files, "file", "unchanged"),
        (report.skipped, "entry", "skipped"),
        (report.deleted, "entry", "removed"),
        (report.verified_files, "file", "verified"),
        (report.problems, "entry", "NOT RESTORED as it should be"),
    ];
    for (n, what, happened) in extras.into_iter().filter(|(n, ..)| *n > 0) {
        text.push_str(&format!("\n  {} {happened}", count(n, what)));
    }
    text
}
