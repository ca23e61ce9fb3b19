//! `mainstay find`.

use super::opened::refuse;
use super::selection::{FilterArgs, snapshots};
use super::{Context, archives, entry, patterns, time};
use crate::config::Misuse;
use crate::exit::Exit;
use jiff::Timestamp;
use repository::restic::find::{Match, Query, find};
use repository::restic::index::Index;
use repository::{Error, Filter, Id};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::{self, Write};

const EXAMPLES: &str = "Examples:
  mainstay find '*.odt'
  mainstay find -i readme --oldest 2026-01-01 --host web1
  mainstay find --blob 0c5f33 7a11de --json";

/// Options of `find`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Patterns of names or paths; with --blob, --tree or --pack, ids or their beginnings
    #[arg(required = true, value_name = "PATTERN")]
    patterns: Vec<OsString>,
    /// The same whether letters are capital or small
    #[arg(short, long)]
    ignore_case: bool,
    /// Show mode, owner, size and time
    #[arg(short, long)]
    long: bool,
    /// Only in this snapshot; may be repeated
    #[arg(short, long = "snapshot", value_name = "SNAPSHOT")]
    snapshots: Vec<String>,
    /// Only what was changed at this time or later
    #[arg(short = 'O', long, value_name = "TIME", value_parser = time::parse)]
    oldest: Option<Timestamp>,
    /// Only what was changed at this time or earlier
    #[arg(short = 'N', long, value_name = "TIME", value_parser = time::parse)]
    newest: Option<Timestamp>,
    /// Look for files with these blobs
    #[arg(long, group = "object")]
    blob: bool,
    /// Look for directories with these ids
    #[arg(long, group = "object")]
    tree: bool,
    /// Look for what lies in these packs
    #[arg(long, group = "object")]
    pack: bool,
    /// Show the pack that what was found lies in; with --blob, --tree or --pack
    #[arg(long, requires = "object")]
    show_pack_id: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

/// Find entries in snapshots.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    if context.chosen()?.holds_archives() {
        return in_archives(&args, context);
    }
    let query = query(&args)?;
    let repository = context.open()?;
    let monitor = context.monitor();
    let _lock = context.lock_for_reading(&repository, &monitor)?;
    let chosen = snapshots(&repository, &args.snapshots, &args.filter.filter(), &monitor)?;
    let index = repository.load_index()?;
    let output = context.output();
    let mut printer = Printer {
        out: output.writer(),
        json: output.is_json(),
        long: args.long,
        index: args.show_pack_id.then_some(&index),
        last: None,
    };
    let mut printed: io::Result<()> = Ok(());
    let mut each = |found: &Match<'_>| {
        printed = printer.print(found);
        // Nobody reads on: end the search; what went wrong is told below.
        if printed.is_err() {
            Err(Error::Interrupted)
        } else {
            Ok(())
        }
    };
    let searched = find(
        &repository,
        &index,
        &chosen,
        &query,
        &mut each,
        context.cancel(),
        &monitor,
    );
    printed?;
    searched?;
    printer.out.flush()?;
    Ok(Exit::from_problems(monitor.problems()))
}

fn in_archives(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let given = [
        ("--blob", args.blob),
        ("--tree", args.tree),
        ("--pack", args.pack),
        ("--show-pack-id", args.show_pack_id),
    ];
    refuse(&given)?;
    let wanted = archives::find::Wanted {
        filter: filter(args)?,
        oldest: args.oldest,
        newest: args.newest,
        long: args.long,
        archives: &args.snapshots,
        chosen_by: &args.filter,
    };
    archives::find::run(&wanted, context)
}

fn filter(args: &Args) -> Result<Filter, Misuse> {
    let filter = args.patterns.iter().fold(Filter::builder(), |filter, pattern| {
        if args.ignore_case {
            filter.include_any_case(pattern)
        } else {
            filter.include(pattern)
        }
    });
    patterns::built(filter.build())
}

fn query(args: &Args) -> anyhow::Result<Query> {
    if args.blob {
        return Ok(Query::Blobs(ids(args)?));
    }
    if args.tree {
        return Ok(Query::Trees(ids(args)?));
    }
    if args.pack {
        return Ok(Query::Packs(ids(args)?));
    }
    Ok(Query::Entries {
        filter: filter(args)?,
        oldest: args.oldest,
        newest: args.newest,
    })
}

fn ids(args: &Args) -> Result<Vec<String>, Misuse> {
    let id = |text: &OsString| {
        let text = text.to_string_lossy().to_ascii_lowercase();
        let is_id = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let hint = "An id consists of the digits 0 to 9 and a to f; its beginning is enough.";
        if is_id {
            Ok(text)
        } else {
            Err(Misuse::new(format!("`{text}` is no id"), hint))
        }
    };
    args.patterns.iter().map(id).collect()
}

struct Printer<'i, W> {
    out: W,
    json: bool,
    long: bool,
    /// To show packs by.
    index: Option<&'i Index>,
    last: Option<Id>,
}

impl<W: Write> Printer<'_, W> {
    fn print(&mut self, found: &Match<'_>) -> io::Result<()> {
        let pack = self.pack(found);
        if self.json {
            return writeln!(self.out, "{}", to_json(found, pack));
        }
        if self.last != Some(*found.snapshot) {
            let gap = if self.last.is_some() { "\n" } else { "" };
            writeln!(self.out, "{gap}in snapshot {}:", found.snapshot.short())?;
            self.last = Some(*found.snapshot);
        }
        if let Some((kind, id)) = &found.object {
            write!(self.out, "{} {id}  ", kind.name())?;
        }
        if let Some(pack) = pack {
            write!(self.out, "in pack {pack}  ")?;
        }
        match found.node {
            Some(node) if self.long => entry::write_long(&mut self.out, found.path, node),
            _ => entry::write_path(&mut self.out, found.path),
        }
    }

    fn pack(&self, found: &Match<'_>) -> Option<Id> {
        let (kind, id) = found.object.as_ref()?;
        Some(self.index?.find(*kind, id)?.pack)
    }
}

fn to_json(found: &Match<'_>, pack: Option<Id>) -> Value {
    let path = || json!({"path": found.path.to_string_lossy()});
    let mut value = found.node.map_or_else(path, |node| entry::to_json(found.path, node));
    value["message_type"] = json!("match");
    value["snapshot"] = json!(found.snapshot);
    if let Some((kind, id)) = &found.object {
        value["object_type"] = json!(kind.name());
        value["object_id"] = json!(id);
    }
    if let Some(pack) = pack {
        value["pack"] = json!(pack);
    }
    value
}
