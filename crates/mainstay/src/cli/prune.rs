//! `mainstay prune`.

use super::Context;
use super::output::{Output, bytes, count};
use crate::config::units;
use crate::exit::Exit;
use repository::restic::lock::{Lock, LockKind};
use repository::restic::object::ObjectKind;
use repository::restic::prune::{self, Amount, MaxUnused, PruneOptions, PrunePlan, PruneReport};
use repository::restic::repository::Repository;
use repository::{Id, Monitor};
use serde_json::json;
use std::io;

const EXAMPLES: &str = "Examples:
  mainstay prune --dry-run
  mainstay prune
  mainstay prune --max-unused 0";

/// Options of `prune`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    prune: PruneArgs,
    /// Remove nothing, only show what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// How to prune, with restic's names; `forget --prune` takes them, too.
#[derive(Debug, clap::Args)]
pub struct PruneArgs {
    /// Space not in use that may remain: a share such as 5%, a size such as 200M, or unlimited
    #[arg(long, value_name = "LIMIT", default_value = "5%")]
    max_unused: MaxUnused,
    /// Repack at most this much
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    max_repack_size: Option<u64>,
    /// Repack only packs of directories
    #[arg(long)]
    repack_cacheable_only: bool,
    /// Repack packs that are much smaller than --pack-size
    #[arg(long)]
    repack_small: bool,
    /// Repack and compress what is not compressed
    #[arg(long)]
    repack_uncompressed: bool,
}

impl PruneArgs {
    /// As the engine wants it.
    pub fn options(&self, context: &Context) -> PruneOptions {
        PruneOptions {
            max_unused: self.max_unused,
            max_repack_bytes: self.max_repack_size,
            repack_cacheable_only: self.repack_cacheable_only,
            repack_small: self.repack_small,
            repack_uncompressed: self.repack_uncompressed,
            pack_size: context.pack_options().pack_size,
        }
    }
}

/// Give back the space of what no snapshot uses.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let repository = context.open()?;
    let mut progress = context.progress();
    // A dry run disturbs nobody.
    let lock = if args.dry_run {
        context.lock(&repository, LockKind::Shared, &progress)?
    } else {
        context.lock_to_replace(&repository, &progress)?
    };
    let options = args.prune.options(context);
    if args.dry_run {
        let prepared = prune::prepare(&repository, &lock, &options, context.cancel(), &progress)?;
        progress.finish();
        print_plan(&prepared.plan, context.output())?;
    } else {
        let (plan, report) = execute(&repository, &lock, &options, context, &progress)?;
        progress.finish();
        print_report(&plan, &report, context.output())?;
    }
    Ok(Exit::Done)
}

/// Plan and carry out, under an exclusive lock that the caller holds.
pub fn execute(
    repository: &Repository,
    lock: &Lock,
    options: &PruneOptions,
    context: &Context,
    monitor: &dyn Monitor,
) -> anyhow::Result<(PrunePlan, PruneReport)> {
    let prepared = prune::prepare(repository, lock, options, context.cancel(), monitor)?;
    let report = prune::execute(repository, &prepared, options, lock, context.cancel(), monitor)?;
    Ok((prepared.plan, report))
}

/// What a prune would do when the snapshots `without` are gone.
pub fn plan_without(
    repository: &Repository,
    without: &[Id],
    options: &PruneOptions,
    context: &Context,
    monitor: &dyn Monitor,
) -> anyhow::Result<PrunePlan> {
    // Those that go may be such as cannot be read.
    let mut ids: Vec<Id> = repository
        .list(ObjectKind::Snapshot)?
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    ids.retain(|id| !without.contains(id));
    let snapshots = repository
        .read_snapshots(&ids)
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    let index = repository.load_index()?;
    Ok(prune::plan(
        repository,
        &index,
        &snapshots,
        options,
        context.cancel(),
        monitor,
    )?)
}

/// What would be done.
pub fn print_plan(plan: &PrunePlan, output: Output) -> io::Result<()> {
    let mut value = json!(plan);
    value["message_type"] = json!("prune_plan");
    output.done(&value, plan_text(plan))
}

/// What was done.
pub fn print_report(plan: &PrunePlan, report: &PruneReport, output: Output) -> io::Result<()> {
    let text = format!(
        "{}\npruned  {} with {} deleted, {} copied",
        plan_text(plan),
        count(report.deleted_packs, "pack"),
        bytes(report.deleted_bytes),
        count(report.copied_blobs, "blob"),
    );
    let held = match &report.held {
        held if held.is_empty() => String::new(),
        held => format!("\n{held}"),
    };
    let mut value = json!(report);
    value["message_type"] = json!("summary");
    value["plan"] = json!(plan);
    output.done(&value, text + &held)
}

fn plan_text(plan: &PrunePlan) -> String {
    let amount = |amount: Amount, what: &str| format!("{} with {}", count(amount.count, what), bytes(amount.bytes));
    let mut lines = vec![
        format!(
            "in use  {}, by {}",
            amount(plan.used, "blob"),
            count(plan.snapshots as u64, "snapshot")
        ),
        format!("unused  {}", amount(plan.unused, "blob")),
    ];
    let extras = [
        (plan.duplicates, "blob", "double  "),
        (plan.orphans, "pack", "orphans "),
        (plan.remove, "pack", "remove  "),
        (plan.repack, "pack", "repack  "),
    ];
    lines.extend(
        extras
            .iter()
            .filter(|(one, ..)| one.count > 0)
            .map(|(one, what, title)| format!("{title}{}", amount(*one, what))),
    );
    lines.push(format!(
        "frees   {}; {} not in use remain",
        bytes(plan.freed_bytes),
        bytes(plan.unused_after_bytes)
    ));
    lines.join("\n")
}
