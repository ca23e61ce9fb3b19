//! `mainstay tag`.

use super::Context;
use super::output::count;
use super::selection::{FilterArgs, snapshots, tag_list};
use crate::config::Misuse;
use crate::exit::Exit;
use repository::restic::tag::{self, TagChange, TagReport};
use serde_json::json;

const EXAMPLES: &str = "Examples:
  mainstay tag --add keep 3f9a12cd
  mainstay tag --remove old --host web1
  mainstay tag --set monthly,checked latest";

/// Options of `tag`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Ids, or their beginnings, or `latest`; all snapshots if none is given
    snapshots: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Tags instead of those that are there; separated by commas, empty for none
    #[arg(long, value_name = "TAGS", conflicts_with_all = ["add", "remove"])]
    set: Vec<String>,
    /// Tags to add; separated by commas
    #[arg(long, value_name = "TAGS")]
    add: Vec<String>,
    /// Tags to remove; separated by commas
    #[arg(long, value_name = "TAGS")]
    remove: Vec<String>,
}

/// Change the tags of snapshots; each that changes gets a new id.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let change = change(&args)?;
    let repository = context.open()?;
    let monitor = context.monitor();
    let lock = context.lock_to_replace(&repository, &monitor)?;
    let chosen = snapshots(&repository, &args.snapshots, &args.filter.filter(), &monitor)?;
    let TagReport { tagged, held } = tag::tag(&repository, &chosen, &change, &lock, context.cancel())?;
    let mut text = format!("changed {}", count(tagged.len() as u64, "snapshot"));
    for one in &tagged {
        text.push_str(&format!(
            "\n  {} is {} now, with the tags {}",
            one.old.short(),
            one.new.short(),
            one.tags.join(",")
        ));
    }
    if !held.is_empty() {
        text.push_str(&format!("\nthe old ones are still listed beside them: {held}"));
    }
    let value = json!({"message_type": "summary", "changed_snapshots": tagged.len(), "changed": tagged, "held": held});
    context.output().done(&value, text)?;
    Ok(Exit::from_problems(monitor.problems() + held.objects))
}

fn change(args: &Args) -> Result<TagChange, Misuse> {
    let tags = |lists: &[String]| lists.iter().flat_map(|list| tag_list(list)).collect::<Vec<_>>();
    if !args.set.is_empty() {
        return Ok(TagChange::Set(tags(&args.set)));
    }
    if args.add.is_empty() && args.remove.is_empty() {
        return Err(Misuse::new(
            "no change is given",
            "Give tags with `--add`, `--remove` or `--set`.",
        ));
    }
    Ok(TagChange::Edit {
        add: tags(&args.add),
        remove: tags(&args.remove),
    })
}
