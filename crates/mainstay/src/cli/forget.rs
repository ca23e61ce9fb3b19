//! `mainstay forget`.

use super::Context;
use super::opened::{Opened, refuse};
use super::output::{Progress, count, table, trimmed};
use super::prune::{self, PruneArgs};
use super::selection::{FilterArgs, GROUPINGS, note_if_none_fits, tag_list};
use super::suggested::suggest;
use crate::clock;
use crate::config::Misuse;
use crate::exit::Exit;
use jiff::tz::TimeZone;
use repository::points::{ForgetGroup, ForgetOptions, ForgetPlan, Forgetting, Forgotten, Snapshots, ids};
use repository::restic::lock::LockKind;
use repository::restic::object::ObjectKind;
use repository::retention::{Count, Duration, GroupBy, Policy};
use repository::{Held, Id};
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
    /// Ids of snapshots to remove (names of archives), or their beginnings, or `latest`; without rules
    snapshots: Vec<String>,
    #[command(flatten)]
    keep: KeepArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// What the snapshots of a group have in common: host, paths, tags, separated by commas; empty for one group;
    /// host,paths if it is not given
    #[arg(short, long, value_name = "KEYS", hide_possible_values = true)]
    #[arg(value_parser = suggest::<GroupBy>(&GROUPINGS))]
    group_by: Option<GroupBy>,
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
    let what = what(&args)?;
    let mut progress = context.progress();
    let opened = open(&args, context, &progress)?;
    let options = ForgetOptions {
        what,
        filter: opened.filter(&args.filter)?,
        group_by: args.group_by.unwrap_or_default(),
        allow_empty: args.allow_empty,
        timezone: TimeZone::system(),
    };
    let plan = opened.points().plan_forget(&options, &progress)?;
    if plan.groups.is_empty() && matches!(options.what, Forgetting::ByPolicy(_)) {
        note_if_none_fits(&options.filter, &progress);
    }
    let forgotten = if args.dry_run {
        Forgotten {
            removed: plan.remove.clone(),
            held: Held::default(),
        }
    } else {
        opened.points().forget(&plan, &progress)?
    };
    print(&plan, &forgotten, &args, &opened, context)?;
    match &opened {
        Opened::Snapshots(snapshots) if args.prune && !forgotten.removed.is_empty() => {
            prune_after(&args, &ids(&forgotten.removed)?, snapshots, context, &mut progress)?;
        }
        _ => {}
    }
    Ok(Exit::from_problems(plan.unreadable as u64))
}

/// With the lock that a repository in restic's format needs.
fn open(args: &Args, context: &Context, progress: &Progress) -> anyhow::Result<Opened> {
    if context.chosen()?.holds_archives() {
        let given = [
            ("--group-by", args.group_by.is_some()),
            ("--allow-empty", args.allow_empty),
            ("--prune", args.prune),
            ("--keep-tag", !args.keep.keep_tag.is_empty()),
        ];
        refuse(&given)?;
        return Ok(Opened::Archives(context.open_archives()?));
    }
    let repository = context.open()?;
    let lock = if args.dry_run {
        context.lock(&repository, LockKind::Shared, progress)?
    } else {
        context.lock_to_replace(&repository, progress)?
    };
    if args.prune && !args.dry_run {
        repository.demand_deletion(&[ObjectKind::Snapshot, ObjectKind::Index, ObjectKind::Pack])?;
    }
    let snapshots = Snapshots::new(repository, Some(lock), context.cancel().clone());
    Ok(Opened::Snapshots(Box::new(snapshots)))
}

/// The rules, unless snapshots are named.
fn what(args: &Args) -> Result<Forgetting, Misuse> {
    let policy = args.keep.policy();
    match (policy.is_empty(), args.snapshots.is_empty()) {
        (false, true) => Ok(Forgetting::ByPolicy(policy)),
        (true, false) => Ok(Forgetting::Named(args.snapshots.clone())),
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

fn prune_after(
    args: &Args,
    removed: &[Id],
    snapshots: &Snapshots,
    context: &Context,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let options = args.pruning.options(context);
    let repository = snapshots.repository();
    if args.dry_run {
        let plan = prune::plan_without(repository, removed, &options, context, progress)?;
        progress.finish();
        prune::print_plan(&plan, context.output())?;
    } else {
        let (plan, report) = prune::execute(repository, snapshots.lock()?, &options, context, progress)?;
        progress.finish();
        prune::print_report(&plan, &report, context.output())?;
    }
    Ok(())
}

fn print(
    plan: &ForgetPlan,
    forgotten: &Forgotten,
    args: &Args,
    opened: &Opened,
    context: &Context,
) -> anyhow::Result<()> {
    let groups = plan.groups.iter().map(|group| group_text(group, args.compact));
    let mut text = groups.collect::<String>();
    let noun = match opened {
        Opened::Snapshots(_) => "snapshot",
        Opened::Archives(_) => "archive",
    };
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
    let removed = forgotten.removed.len();
    let _ = write!(text, "{} kept, {removed} {verb}", count(kept as u64, noun));
    if !forgotten.held.is_empty() {
        let _ = write!(text, "\n{}", forgotten.held);
    }
    let mut value = json!(plan);
    value["message_type"] = json!("forget");
    value["dry_run"] = json!(args.dry_run);
    value["held"] = json!(forgotten.held);
    Ok(context.output().done(&value, text)?)
}

fn group_text(group: &ForgetGroup, compact: bool) -> String {
    let host = group.host.as_ref().map(|host| format!("host {host}"));
    let job = group.job.as_ref().map(|job| format!("job {job}"));
    let paths = group.paths.as_ref().map(|paths| format!("paths {}", paths.join(", ")));
    let tags = group.tags.as_ref().map(|tags| format!("tags {}", tags.join(",")));
    let title = [host, job, paths, tags]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ");
    let headings = ["", "ID", "Time", "Tags", "Reason"];
    let columns = if compact { 4 } else { 5 };
    let mut table = table(&headings[..columns]);
    for decision in &group.decisions {
        let what = if decision.keep { "keep" } else { "remove" };
        let (time, tags) = (clock::local(decision.time), decision.tags.join(","));
        let row = [what, &decision.short_id, &time, &tags, &decision.reasons.join(", ")];
        table.add_row(&row[..columns]);
    }
    format!(
        "{}:\n{}\n\n",
        if title.is_empty() { "all snapshots" } else { &title },
        trimmed(&table)
    )
}
