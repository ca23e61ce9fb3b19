//! `mainstay backup`.

mod result;
mod sources;
mod wildcards;

use super::patterns::{self, ExcludeArgs, add_all};
use super::selection::tag_list;
use super::{Context, location_path, time};
use crate::config::units;
use crate::engine::met_below;
use crate::exit::Exit;
use jiff::Timestamp;
use repository::restic::backup::{self, BackupOptions, Parent};
use repository::{Filter, FilterBuilder, Monitor as _, literal_pattern};
use sources::SourceArgs;
use std::ffi::OsString;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  mainstay backup /home /etc --exclude-caches --exclude '*.tmp'
  pg_dump shop | mainstay backup --stdin --stdin-filename shop.sql
  mainstay backup --stdin-from-command --stdin-filename shop.sql -- pg_dump shop

A backup whose command fails stores no snapshot. Files that cannot be read are listed, the snapshot is marked as
incomplete, and the exit code is 3.";

/// Options of `backup`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    sources: SourceArgs,
    #[command(flatten)]
    exclude: ExcludeArgs,
    /// Leave out the content of directories that are marked as caches by a CACHEDIR.TAG
    #[arg(long)]
    exclude_caches: bool,
    /// Leave out the content of directories that contain this file, whose content begins with HEADER
    #[arg(long, value_name = "NAME[:HEADER]")]
    exclude_if_present: Vec<OsString>,
    /// Leave out files that are larger
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    exclude_larger_than: Option<u64>,
    /// Stay in the file systems of the paths given
    #[arg(short = 'x', long)]
    one_file_system: bool,
    /// Name of the host in the snapshot
    #[arg(short = 'H', long)]
    host: Option<String>,
    /// Tags of the snapshot, separated by commas; may be repeated
    #[arg(long = "tag", value_name = "TAG[,TAG…]")]
    tags: Vec<String>,
    /// Time of the snapshot: `2026-03-01 02:00:00`, or with an offset, `2026-03-01T02:00:00+01:00`
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    time: Option<Timestamp>,
    /// Snapshot to take unchanged files over from; without it, the newest of this host and these paths
    #[arg(long, value_name = "SNAPSHOT", conflicts_with = "force")]
    parent: Option<String>,
    /// Read every file, whether it seems to be changed or not
    #[arg(short, long)]
    force: bool,
    /// Do not take a new inode number for a change
    #[arg(long)]
    ignore_inode: bool,
    /// Do not take a new ctime for a change
    #[arg(long)]
    ignore_ctime: bool,
    /// Store when files were last read
    #[arg(long)]
    with_atime: bool,
    /// Store nothing, only show what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Files that are read at the same time
    #[arg(long, value_name = "N")]
    read_concurrency: Option<usize>,
    /// Do not count ahead what there is to do; progress then knows no end on the first run
    #[arg(long)]
    no_scan: bool,
    /// Store no snapshot if nothing has changed
    #[arg(long)]
    skip_if_unchanged: bool,
    /// Store a snapshot even if there is nothing in it
    #[arg(long)]
    allow_empty: bool,
}

/// Back up paths or a stream.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    context.refuse_no_lock()?;
    let paths = args.sources.paths()?;
    let repository = context.open()?;
    let mut progress = context.progress();
    if args.no_scan {
        progress = progress.without_totals();
    }
    let own = own_directories(&paths, context)?;
    for path in &own {
        progress.note(&format!(
            "leaving out `{}`, which is the repository or the cache itself",
            path.display()
        ));
    }
    let options = options(&args, &own, context)?;
    let sources = args.sources.open(paths, args.allow_empty, context.cancel())?;
    let report = backup::run(&repository, sources, &options, context.cancel(), &progress)?;
    progress.finish();
    result::print(&report, args.dry_run, progress.elapsed(), context)?;
    Ok(Exit::from_problems(report.totals.problems))
}

fn options(args: &Args, own: &[PathBuf], context: &Context) -> anyhow::Result<BackupOptions> {
    let mut filter = args.exclude.add_to(Filter::builder())?;
    filter = add_all(filter, &args.exclude_if_present, FilterBuilder::exclude_if_present);
    filter = own
        .iter()
        .fold(filter, |filter, path| filter.exclude(literal_pattern(path)));
    if args.exclude_caches {
        filter = filter.exclude_caches();
    }
    if let Some(size) = args.exclude_larger_than {
        filter = filter.exclude_larger_than(size);
    }
    let (exact, any_case) = args.exclude.patterns()?;
    let excludes = exact
        .iter()
        .chain(&any_case)
        .map(|pattern| pattern.to_string_lossy().into_owned())
        .collect();
    Ok(BackupOptions {
        host: args.host.clone(),
        tags: args
            .tags
            .iter()
            .flat_map(|list| tag_list(list))
            .filter(|tag| !tag.is_empty())
            .collect(),
        time: args.time,
        original: None,
        parent: match (&args.parent, args.force) {
            (_, true) => Parent::None,
            (Some(parent), false) => Parent::Id(parent.clone()),
            (None, false) => Parent::Newest,
        },
        filter: patterns::built(filter.build())?,
        substitute: None,
        excludes,
        ignore_inode: args.ignore_inode,
        ignore_ctime: args.ignore_ctime,
        with_atime: args.with_atime,
        one_file_system: args.one_file_system,
        read_concurrency: args.read_concurrency.unwrap_or_default(),
        pack: context.pack_options(),
        lock: context.lock_options(),
        dry_run: args.dry_run,
        skip_if_unchanged: args.skip_if_unchanged,
        allow_empty: args.allow_empty,
    })
}

/// The repository and the cache where they lie in what is backed up: a repository that stores itself doubles with every run.
fn own_directories(sources: &[PathBuf], context: &Context) -> anyhow::Result<Vec<PathBuf>> {
    let repository = location_path(context.chosen()?.location());
    let own = [repository, context.cache_directory()];
    Ok(own.iter().flatten().flat_map(|own| met_below(sources, own)).collect())
}
