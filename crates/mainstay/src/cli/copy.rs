//! `mainstay copy`.

use super::Context;
use super::from::FromArgs;
use super::output::{bytes, count};
use super::selection::{FilterArgs, snapshots};
use crate::exit::Exit;
use repository::restic::copy::{self, CopyOptions};
use repository::restic::lock::LockKind;
use serde_json::json;

const EXAMPLES: &str = "Examples:
  mainstay copy --from-repo /srv/backup --repo s3:https://s3.example.org/bucket
  mainstay copy --from-repo /srv/backup --from-password-file first.key --repo /mnt/usb latest

What is in the destination already is not copied again. With --no-lock, the source is not locked.";

/// Options of `copy`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Ids, or their beginnings, or `latest`; all snapshots if none is given
    snapshots: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    from: FromArgs,
}

/// Copy snapshots from another repository.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let source = args.from.open(context)?;
    let destination = context.open()?;
    let mut progress = context.progress();
    let _source_lock = context.lock_for_reading(&source, &progress)?;
    let lock = context.lock_always(&destination, LockKind::Shared, &progress)?;
    let chosen = snapshots(&source, &args.snapshots, &args.filter.filter()?, &progress)?;
    let options = CopyOptions {
        packs: context.pack_options(),
    };
    let report = copy::copy(
        &source,
        &destination,
        &chosen,
        &options,
        &lock,
        context.cancel(),
        &progress,
    )?;
    progress.finish();
    let mut text = format!(
        "copied {} with {} new, {}; {} there already",
        count(report.copied.len() as u64, "snapshot"),
        count(report.blobs, "blob"),
        bytes(report.stored_bytes),
        report.skipped.len(),
    );
    for (old, new) in &report.copied {
        text.push_str(&format!("\n  {} is {} here", old.short(), new.short()));
    }
    let mut value = json!(report);
    value["message_type"] = json!("summary");
    context.output().done(&value, text)?;
    Ok(Exit::from_problems(progress.problems()))
}
