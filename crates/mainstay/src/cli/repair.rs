//! `mainstay repair`.

use super::Context;
use super::objects::find_object;
use super::output::count;
use crate::exit::Exit;
use repository::restic::lock::{Lock, LockKind};
use repository::restic::object::ObjectKind;
use repository::restic::repair::{index, packs, snapshots};
use repository::restic::repository::Repository;
use repository::restic::select;
use repository::{Held, Id};
use serde_json::json;

const ORDER: &str = "After damage, in this order:
  mainstay check --read-data              what is damaged, and what is affected
  mainstay repair index                   the index describes the packs that are there
  mainstay repair packs ID…               what can be read of damaged packs is saved
  mainstay backup …                       what is still on this host is stored again
  mainstay repair snapshots --dry-run     what is lost
  mainstay repair snapshots --forget      snapshots without what is lost; unreadable ones go

Each takes --dry-run, which changes nothing. Copy the repository first if you can.";

/// Options of `repair`.
#[derive(Debug, clap::Args)]
#[command(after_help = ORDER)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make the index describe the packs that are there
    #[command(after_help = "Examples:\n  mainstay repair index --dry-run\n  mainstay repair index --read-all-packs")]
    Index {
        /// Believe no index file: read the headers of all packs
        #[arg(long)]
        read_all_packs: bool,
        /// Change nothing, only show what would be done
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// Save what can be read of damaged packs
    #[command(after_help = "Examples:\n  mainstay repair packs 3f9a12cd --dry-run\n  mainstay repair packs 3f9a12cd")]
    Packs {
        /// Ids of the packs, or their beginnings
        #[arg(required = true)]
        ids: Vec<String>,
        /// Change nothing, only show what would be done
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// Replace damaged snapshots by ones without what is lost
    #[command(after_help = "Examples:\n  mainstay repair snapshots --dry-run\n  mainstay repair snapshots --forget")]
    Snapshots {
        /// Ids of snapshots, or their beginnings; all if none is given
        ids: Vec<String>,
        /// Remove the damaged snapshots once they are replaced, and snapshots that cannot be read at all
        #[arg(long)]
        forget: bool,
        /// Join what is left of files that lack content, instead of leaving them out
        #[arg(long)]
        truncate: bool,
        /// Change nothing, only show what would be done
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
}

/// Make a damaged repository usable again.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let repository = context.open()?;
    let dry_run = match args.command {
        Command::Index { dry_run, .. } | Command::Packs { dry_run, .. } | Command::Snapshots { dry_run, .. } => dry_run,
    };
    let monitor = context.monitor();
    let lock = if dry_run {
        context.lock(&repository, LockKind::Shared, &monitor)?
    } else {
        context.lock_to_replace(&repository, &monitor)?
    };
    match args.command {
        Command::Index { read_all_packs, .. } => repair_index(read_all_packs, dry_run, &repository, &lock, context),
        Command::Packs { ids, .. } => repair_packs(&ids, dry_run, &repository, &lock, context),
        Command::Snapshots {
            ids, forget, truncate, ..
        } => {
            let ids = ids
                .iter()
                .map(|id| select::full_id(&repository, id))
                .collect::<Result<_, _>>()?;
            let damaged_files = if truncate {
                snapshots::DamagedFiles::Truncate
            } else {
                snapshots::DamagedFiles::LeaveOut
            };
            let options = snapshots::Options {
                snapshots: ids,
                damaged_files,
                forget,
                ..snapshots::Options::default()
            };
            repair_snapshots(&options, dry_run, &repository, &lock, context)
        }
    }
}

fn repair_index(
    all: bool,
    dry_run: bool,
    repository: &Repository,
    lock: &Lock,
    context: &Context,
) -> anyhow::Result<Exit> {
    let options = index::Options { read_all_packs: all };
    let mut progress = context.progress();
    let plan = index::plan(repository, options, context.cancel(), &progress)?;
    let mut text = format!(
        "{} cannot be read, {} are wrong; {} are gone or different; {} are read",
        count(plan.damaged_files.len() as u64, "index file"),
        plan.wrong_files.len(),
        count(plan.dropped_packs.len() as u64, "pack"),
        plan.read_packs.len(),
    );
    let mut value = json!({"message_type": "summary", "dry_run": dry_run, "plan": plan});
    let mut unreadable = 0;
    if plan.is_empty() {
        "the index is as it should be".clone_into(&mut text);
    } else if !dry_run {
        let report = index::execute(repository, &plan, options, lock, context.cancel(), &progress)?;
        unreadable = report.unreadable_packs.len() as u64 + report.held.objects;
        text.push_str(&format!(
            "\nthe index describes {} more; {} written, {} deleted",
            count(report.added_packs as u64, "pack"),
            count(report.written_files as u64, "index file"),
            report.deleted_files,
        ));
        for (id, reason) in &report.unreadable_packs {
            text.push_str(&format!("\npack {id} cannot be read: {reason}"));
        }
        text.push_str(&held_text(&report.held));
        value["report"] = json!(report);
    }
    progress.finish();
    context.output().done(&value, text)?;
    Ok(Exit::from_problems(unreadable))
}

fn repair_packs(
    names: &[String],
    dry_run: bool,
    repository: &Repository,
    lock: &Lock,
    context: &Context,
) -> anyhow::Result<Exit> {
    // A whole id may be that of a pack which is gone: the index lists what was in it.
    let find = |name: &String| match name.parse() {
        Ok(id) => Ok(id),
        Err(_) => find_object(repository, ObjectKind::Pack, name),
    };
    let ids = names.iter().map(find).collect::<anyhow::Result<Vec<Id>>>()?;
    let mut progress = context.progress();
    let report = packs::repair(repository, &ids, !dry_run, lock, context.cancel(), &progress)?;
    progress.finish();
    let mut text = format!(
        "{} of {} saved, {} lost",
        count(report.saved_blobs, "blob"),
        count(report.packs.len() as u64, "pack"),
        count(report.lost_blobs.len() as u64, "blob"),
    );
    text.push_str(&held_text(&report.held));
    let value = json!({"message_type": "summary", "dry_run": dry_run, "report": report});
    context.output().done(&value, text)?;
    Ok(Exit::from_problems(
        report.lost_blobs.len() as u64 + report.held.objects,
    ))
}

fn repair_snapshots(
    options: &snapshots::Options,
    dry_run: bool,
    repository: &Repository,
    lock: &Lock,
    context: &Context,
) -> anyhow::Result<Exit> {
    let mut progress = context.progress();
    let plan = snapshots::plan(repository, options, context.cancel(), &progress)?;
    let mut text = plan_text(&plan);
    let mut value = json!({"message_type": "summary", "dry_run": dry_run, "plan": plan});
    let mut left = if plan.forget { 0 } else { plan.unreadable.len() as u64 };
    if !dry_run {
        let report = snapshots::execute(repository, &plan, lock, context.cancel(), &progress)?;
        for (old, new) in &report.replaced {
            text.push_str(&format!("\n{} is replaced by {}", old.short(), new.short()));
        }
        text.push_str(&format!("\n{} removed", count(report.removed.len() as u64, "snapshot")));
        text.push_str(&held_text(&report.held));
        left += report.held.objects;
        value["report"] = json!(report);
    }
    progress.finish();
    context.output().done(&value, text)?;
    Ok(Exit::from_problems(left))
}

/// A line about what stays, if something does.
fn held_text(held: &Held) -> String {
    if held.is_empty() {
        return String::new();
    }
    format!("\n{held}; repair again when that time is over")
}

fn plan_text(plan: &snapshots::Plan) -> String {
    let mut text = format!(
        "{} of {} damaged",
        plan.repairs.len(),
        count(plan.snapshots as u64, "snapshot")
    );
    for repair in &plan.repairs {
        let left = if repair.tree.is_some() {
            ""
        } else {
            ", nothing is left of it"
        };
        text.push_str(&format!(
            "\n{}: {} lost{left}",
            repair.snapshot.short(),
            count(repair.changes.len() as u64, "entry")
        ));
        for change in &repair.changes {
            text.push_str(&format!("\n  {}", change.path));
        }
    }
    let what_next = if plan.forget { "" } else { "; `--forget` removes it" };
    for id in &plan.unreadable {
        text.push_str(&format!("\nsnapshot {id} cannot be read at all{what_next}"));
    }
    text
}
