//! `mainstay snapshots`.

use super::opened::refuse;
use super::output::{bytes, count, table, trimmed};
use super::selection::{FilterArgs, GROUPINGS, snapshots};
use super::suggested::suggest;
use super::{Context, archives};
use crate::clock;
use crate::exit::Exit;
use repository::Id;
use repository::points::RestorePoint;
use repository::restic::snapshot::Snapshot;
use repository::retention::{GroupBy, GroupKey, group};
use serde_json::{Value, json};

const EXAMPLES: &str = "Examples:
  mainstay snapshots
  mainstay snapshots --latest 1 --host web1
  mainstay snapshots --path /etc --json";

/// Options of `snapshots`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Ids, or their beginnings, or `latest`; all snapshots if none is given
    snapshots: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Only the last N of each host and list of paths; of archives, of each host and job
    #[arg(long, value_name = "N")]
    latest: Option<usize>,
    /// Group by host, paths, tags, separated by commas
    #[arg(short, long, value_name = "KEYS", hide_possible_values = true)]
    #[arg(value_parser = suggest::<GroupBy>(&GROUPINGS))]
    group_by: Option<GroupBy>,
    /// Leave out the paths
    #[arg(short, long)]
    compact: bool,
}

/// List snapshots, oldest first.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    if context.chosen()?.holds_archives() {
        return list_archives(&args, context);
    }
    let repository = context.open()?;
    let mut monitor = context.monitor();
    let lock = context.lock_for_reading(&repository, &monitor)?;
    let mut chosen = snapshots(&repository, &args.snapshots, &args.filter.filter(), &monitor)?;
    drop(lock);
    if let Some(n) = args.latest {
        chosen = latest(chosen, n);
    }
    monitor.finish();
    let output = context.output();
    match (args.group_by, output.is_json()) {
        (None, true) => output.json(&list_json(&chosen))?,
        (None, false) => output.line(to_text(&chosen, args.compact))?,
        (Some(by), true) => output.json(&group(chosen, by).iter().map(group_json).collect::<Vec<_>>())?,
        (Some(by), false) => {
            for (key, snapshots) in group(chosen, by) {
                output.line(format_args!("{key}:\n{}\n", to_text(&snapshots, args.compact)))?;
            }
        }
    }
    Ok(Exit::from_problems(monitor.problems()))
}

/// The same of archives.
fn list_archives(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let by = args.group_by.is_some();
    refuse(&[("--group-by", by), ("--compact", args.compact)])?;
    let archives = context.open_archives()?;
    let mut monitor = context.monitor();
    let chosen = archives::chosen(&archives, &args.snapshots, &args.filter, args.latest, &monitor)?;
    monitor.finish();
    let output = context.output();
    if output.is_json() {
        output.json(&chosen.iter().map(archives::to_json).collect::<Vec<_>>())?;
    } else {
        output.line(archives::to_text(&chosen))?;
    }
    Ok(Exit::from_problems(monitor.problems()))
}

/// The newest `n` of each host and list of paths, still oldest first.
fn latest(snapshots: Vec<(Id, Snapshot)>, n: usize) -> Vec<(Id, Snapshot)> {
    let newest = |(_, mut group): (GroupKey, Vec<(Id, Snapshot)>)| group.split_off(group.len().saturating_sub(n));
    let mut chosen: Vec<_> = group(snapshots, GroupBy::default())
        .into_iter()
        .flat_map(newest)
        .collect();
    chosen.sort_by_key(|(id, snapshot)| (snapshot.time.timestamp(), *id));
    chosen
}

/// What is stored of a restore point, with its id.
pub fn to_json(point: &RestorePoint) -> Value {
    match point {
        RestorePoint::Snapshot(id, snapshot) => snapshot_json(id, snapshot),
        RestorePoint::Archive(manifest) => archives::to_json(manifest),
    }
}

fn snapshot_json(id: &Id, snapshot: &Snapshot) -> Value {
    let mut value = json!(snapshot);
    value["id"] = json!(id);
    value["short_id"] = json!(id.short());
    value
}

fn list_json(snapshots: &[(Id, Snapshot)]) -> Vec<Value> {
    snapshots
        .iter()
        .map(|(id, snapshot)| snapshot_json(id, snapshot))
        .collect()
}

fn group_json((key, snapshots): &(GroupKey, Vec<(Id, Snapshot)>)) -> Value {
    let key = json!({"hostname": key.host, "paths": key.paths, "tags": key.tags});
    json!({"group_key": key, "snapshots": list_json(snapshots)})
}

/// A table of snapshots and how many they are.
fn to_text(snapshots: &[(Id, Snapshot)], compact: bool) -> String {
    let number = count(snapshots.len() as u64, "snapshot");
    if snapshots.is_empty() {
        number
    } else {
        format!("{}\n{number}", list(snapshots, compact))
    }
}

fn list(snapshots: &[(Id, Snapshot)], compact: bool) -> String {
    let headings = ["ID", "Time", "Host", "Tags", ">Size", "Paths"];
    let mut table = table(if compact { &headings[..5] } else { &headings });
    for (id, snapshot) in snapshots {
        let mut tags = snapshot.tags().join(",");
        if snapshot.is_incomplete() {
            tags = format!("{tags} (incomplete)").trim_start().to_owned();
        }
        let size = snapshot
            .summary
            .as_ref()
            .map(|summary| bytes(summary.total_bytes_processed))
            .unwrap_or_default();
        let time = clock::local(snapshot.time.timestamp());
        let mut row = vec![id.short(), time, snapshot.hostname.clone(), tags, size];
        if !compact {
            row.push(snapshot.paths.join("\n"));
        }
        table.add_row(row);
    }
    trimmed(&table)
}
