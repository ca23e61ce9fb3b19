//! `mainstay unlock`.

use super::Context;
use super::output::count;
use crate::exit::Exit;
use repository::restic::lock;
use serde_json::json;

const EXAMPLES: &str = "Examples:
  mainstay unlock
  mainstay unlock --remove-all";

/// Options of `unlock`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Remove locks of processes that are at work, too: only when you know that there are none
    #[arg(long)]
    remove_all: bool,
}

/// Remove locks whose holders are gone.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    context.refuse_no_lock()?;
    let repository = context.open()?;
    let removed = lock::unlock(&repository, args.remove_all)?;
    let left = lock::list_locks(&repository, None)?.len();
    let mut text = format!("removed {}", count(removed as u64, "lock"));
    if left > 0 {
        text.push_str(&format!("; {} still held", count(left as u64, "lock")));
    }
    context.output().done(
        &json!({"message_type": "unlocked", "removed": removed, "held": left}),
        text,
    )?;
    Ok(Exit::Done)
}
