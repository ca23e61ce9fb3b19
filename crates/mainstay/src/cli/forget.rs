//! `mainstay forget`.

use super::Context;
use super::output::{Progress, count, table, trimmed};
use super::prune::{self, PruneArgs};
use super::selection::{FilterArgs, GROUPINGS, note_if_none_fits, tag_list};
use super::suggested::suggest;
use crate::clock;
use crate::config::Misuse;
use crate::exit::Exit;
use jiff::tz::TimeZone;
use repository::Id;
use repository::restic::forget::{self, ForgetOptions, ForgetPlan, GroupPlan};
use repository::restic::lock::{Lock, LockKind};
use repository::restic::repository::Repository;
use repository::restic::select;
use repository::retention::{Count, Duration, GroupBy, Policy};
use serde_json::json;
use std::fmt::Write as _;

const EXAMPLES: &str = "Examples:
  mainstay forget --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --prune
  mainstay forget --keep-within 30d --host web1 --dry-run
  mainstay forget 3f9a12cd 77aa01bc

Rules work on each group of host and paths by itself (--group-by). A run that would leave a group without any
snapshot is refused.";

/// Options of `forget`.
#[derive(Debug, clap::Args)]
// In restic's forget, -H is --keep-hourly: `-H 24` taken for a host's name would keep and remove nothing.
#[command(after_help = EXAMPLES, mut_arg("hosts", |hosts| hosts.short(None)))]
pub struct Args {
    /// Ids of snapshots to remove, or their beginnings, or `latest`; without rules
    snapshots: Vec<String>,
    #[command(flatten)]
    keep: KeepArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// What the snapshots of a group have in common: host, paths, tags, separated by commas; empty for one group
    #[arg(
        short,
        long,
        value_name = "KEYS",
        default_value = "host,paths",
        hide_possible_values = true
    )]
    #[arg(value_parser = suggest::<GroupBy>(&GROUPINGS))]
    group_by: GroupBy,
    /// Allow that nothing is left of a group
    #[arg(long)]
    allow_empty: bool,
    /// Prune afterwards, if snapshots were removed
    #[arg(long)]
    prune: bool,
    #[command(flatten)]
    pruning: PruneArgs,
    /// Remove nothing, only show what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Leave out the reasons
    #[arg(short, long)]
    compact: bool,
}

/// Rules, with restic's names.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "What is kept")]
struct KeepArgs {
    /// The newest N, or unlimited
    #[arg(short = 'l', long, value_name = "N", allow_hyphen_values = true)]
    keep_last: Option<Count>,
    /// The newest of each of N hours
    #[arg(short = 'H', long, value_name = "N", allow_hyphen_values = true)]
    keep_hourly: Option<Count>,
    /// The newest of each of N days
    #[arg(short = 'd', long, value_name = "N", allow_hyphen_values = true)]
    keep_daily: Option<Count>,
    /// The newest of each of N weeks
    #[arg(short = 'w', long, value_name = "N", allow_hyphen_values = true)]
    keep_weekly: Option<Count>,
    /// The newest of each of N months
    #[arg(short = 'm', long, value_name = "N", allow_hyphen_values = true)]
    keep_monthly: Option<Count>,
    /// The newest of each of N years
    #[arg(short = 'y', long, value_name = "N", allow_hyphen_values = true)]
    keep_yearly: Option<Count>,
    /// All of the time before the newest, such as 1y5m7d2h
    #[arg(long, value_name = "DURATION")]
    keep_within: Option<Duration>,
    /// The newest of each hour of that time
    #[arg(long, value_name = "DURATION")]
    keep_within_hourly: Option<Duration>,
    /// The newest of each day of that time
    #[arg(long, value_name = "DURATION")]
    keep_within_daily: Option<Duration>,
    /// The newest of each week of that time
    #[arg(long, value_name = "DURATION")]
    keep_within_weekly: Option<Duration>,
    /// The newest of each month of that time
    #[arg(long, value_name = "DURATION")]
    keep_within_monthly: Option<Duration>,
    /// The newest of each year of that time
    #[arg(long, value_name = "DURATION")]
    keep_within_yearly: Option<Duration>,
    /// All with these tags, separated by commas; may be repeated
    #[arg(long, value_name = "TAG[,TAG…]")]
    keep_tag: Vec<String>,
}

impl KeepArgs {
    fn policy(&self) -> Policy {
        Policy {
            last: self.keep_last.unwrap_or_default(),
            hourly: self.keep_hourly.unwrap_or_default(),
            daily: self.keep_daily.unwrap_or_default(),
            weekly: self.keep_weekly.unwrap_or_default(),
            monthly: self.keep_monthly.unwrap_or_default(),
            yearly: self.keep_yearly.unwrap_or_default(),
            within: self.keep_within.unwrap_or_default(),
            within_hourly: self.keep_within_hourly.unwrap_or_default(),
            within_daily: self.keep_within_daily.unwrap_or_default(),
            within_weekly: self.keep_within_weekly.unwrap_or_default(),
            within_monthly: self.keep_within_monthly.unwrap_or_default(),
            within_yearly: self.keep_within_yearly.unwrap_or_default(),
            tags: self.keep_tag.iter().map(|list| tag_list(list)).collect(),
        }
    }
}

/// Remove snapshots that no rule keeps, or that are named.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let policy = policy(&args)?;
    let repository = context.open()?;
    let mut progress = context.progress();
    let kind = if args.dry_run {
        LockKind::Shared
    } else {
        LockKind::Exclusive
    };
    let lock = context.lock(&repository, kind, &progress)?;
    let plan = plan(&args, policy, &repository, &progress)?;
    if !args.dry_run {
        forget::execute(&repository, &plan, &lock, context.cancel(), &progress)?;
    }
    print(&plan, &args, context)?;
    if args.prune && !plan.remove.is_empty() {
        prune_after(&args, &plan.remove, &repository, &lock, context, &mut progress)?;
    }
    Ok(Exit::from_problems(plan.unreadable as u64))
}

/// The rules, unless snapshots are named.
fn policy(args: &Args) -> Result<Option<Policy>, Misuse> {
    let policy = args.keep.policy();
    match (policy.is_empty(), args.snapshots.is_empty()) {
        (false, true) => Ok(Some(policy)),
        (true, false) => Ok(None),
        (true, true) => Err(Misuse::new(
            "neither rules nor snapshots are given",
            "Say what to keep, for example `--keep-daily 7 --keep-weekly 5 --keep-monthly 12`.",
        )),
        (false, false) => Err(Misuse::new(
            "both rules and snapshots are given",
            "Leave out the ids, or the `--keep-…` options.",
        )),
    }
}

fn plan(
    args: &Args,
    policy: Option<Policy>,
    repository: &Repository,
    progress: &Progress,
) -> anyhow::Result<ForgetPlan> {
    let Some(policy) = policy else {
        let ids = args
            .snapshots
            .iter()
            .map(|name| id_of(name, args, repository, progress))
            .collect::<Result<Vec<_>, _>>()?;
        return Ok(forget::plan_ids(repository, &ids, args.allow_empty, progress)?);
    };
    let options = ForgetOptions {
        policy,
        group_by: args.group_by,
        filter: args.filter.filter(),
        allow_empty: args.allow_empty,
        timezone: TimeZone::system(),
    };
    let plan = forget::plan(repository, &options, progress)?;
    if plan.groups.is_empty() {
        note_if_none_fits(&options.filter, progress);
    }
    Ok(plan)
}

/// Unlike in other commands, the snapshot need not be readable.
fn id_of(name: &str, args: &Args, repository: &Repository, progress: &Progress) -> repository::Result<Id> {
    if name == "latest" {
        return Ok(select::select(repository, name, &args.filter.filter(), progress)?.id);
    }
    select::full_id(repository, name)
}

fn prune_after(
    args: &Args,
    removed: &[Id],
    repository: &Repository,
    lock: &Lock,
    context: &Context,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let options = args.pruning.options(context);
    if args.dry_run {
        let plan = prune::plan_without(repository, removed, &options, context, progress)?;
        progress.finish();
        prune::print_plan(&plan, context.output())?;
    } else {
        let (plan, report) = prune::execute(repository, lock, &options, context, progress)?;
        progress.finish();
        prune::print_report(&plan, &report, context.output())?;
    }
    Ok(())
}

fn print(plan: &ForgetPlan, args: &Args, context: &Context) -> anyhow::Result<()> {
    let groups = plan.groups.iter().map(|group| group_text(group, args.compact));
    let mut text = groups.collect::<String>();
    let verb = if args.dry_run { "would be removed" } else { "removed" };
    let kept = plan
        .groups
        .iter()
        .flat_map(|group| &group.decisions)
        .filter(|decision| decision.keep)
        .count();
    for id in &plan.remove_unreadable {
        let _ = writeln!(text, "snapshot {id} cannot be read: {verb}");
    }
    let _ = write!(
        text,
        "{} kept, {} {verb}",
        count(kept as u64, "snapshot"),
        plan.remove.len()
    );
    let mut value = json!(plan);
    value["message_type"] = json!("forget");
    value["dry_run"] = json!(args.dry_run);
    Ok(context.output().done(&value, text)?)
}

fn group_text(group: &GroupPlan, compact: bool) -> String {
    let host = group.host.as_ref().map(|host| format!("host {host}"));
    let paths = group.paths.as_ref().map(|paths| format!("paths {}", paths.join(", ")));
    let tags = group.tags.as_ref().map(|tags| format!("tags {}", tags.join(",")));
    let title = [host, paths, tags].into_iter().flatten().collect::<Vec<_>>().join(", ");
    let headings = ["", "ID", "Time", "Tags", "Reason"];
    let columns = if compact { 4 } else { 5 };
    let mut table = table(&headings[..columns]);
    for decision in &group.decisions {
        let what = if decision.keep { "keep" } else { "remove" };
        let (time, tags) = (clock::local(decision.time), decision.tags.join(","));
        let row = [what, &decision.id.short(), &time, &tags, &decision.reasons.join(", ")];
        table.add_row(&row[..columns]);
    }
    format!(
        "{}:\n{}\n\n",
        if title.is_empty() { "all snapshots" } else { &title },
        trimmed(&table)
    )
}
