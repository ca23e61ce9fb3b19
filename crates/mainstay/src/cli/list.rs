//! `mainstay list`.

use super::Context;
use crate::exit::Exit;
use repository::restic::object::ObjectKind;
use serde_json::{Value, json};
use std::fmt::Display;
use std::io::{self, Write};

const EXAMPLES: &str = "Examples:
  mainstay list snapshots
  mainstay list packs --json";

/// Options of `list`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Kind of objects
    #[arg(value_enum)]
    kind: Kind,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    Blobs,
    Packs,
    Index,
    Snapshots,
    Keys,
    Locks,
}

/// Print the id of every object of a kind.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let repository = context.open()?;
    let monitor = context.monitor();
    // A lock would be in its own list.
    let wants_lock = !matches!(args.kind, Kind::Locks);
    let _lock = if wants_lock {
        context.lock_for_reading(&repository, &monitor)?
    } else {
        None
    };
    let mut lister = Lister {
        out: context.output().writer(),
        json: context.output().is_json(),
    };
    match args.kind.object() {
        None => {
            for location in repository.load_index()?.iter() {
                let (kind, id) = (location.blob.kind.name(), location.blob.id);
                lister.print(&json!({"type": kind, "id": id}), format_args!("{kind} {id}"))?;
            }
        }
        Some(kind) => {
            for (id, size) in repository.list(kind)? {
                lister.print(&json!({"id": id, "size": size}), id)?;
            }
        }
    }
    lister.out.flush()?;
    Ok(Exit::Done)
}

impl Kind {
    /// What is stored as an object of its own; blobs lie in packs.
    fn object(self) -> Option<ObjectKind> {
        match self {
            Self::Blobs => None,
            Self::Packs => Some(ObjectKind::Pack),
            Self::Index => Some(ObjectKind::Index),
            Self::Snapshots => Some(ObjectKind::Snapshot),
            Self::Keys => Some(ObjectKind::Key),
            Self::Locks => Some(ObjectKind::Lock),
        }
    }
}

struct Lister<W> {
    out: W,
    json: bool,
}

impl<W: Write> Lister<W> {
    fn print(&mut self, value: &Value, text: impl Display) -> io::Result<()> {
        if self.json {
            writeln!(self.out, "{value}")
        } else {
            writeln!(self.out, "{text}")
        }
    }
}
