//! `mainstay cat`.

use super::Context;
use super::objects::{find_object, only_one};
use crate::config::Misuse;
use crate::exit::Exit;
use repository::Monitor;
use repository::restic::object::{self, ObjectKind};
use repository::restic::pack::BlobKind;
use repository::restic::repository::Repository;
use repository::restic::select::{SnapshotFilter, select};
use std::io::Write as _;

const EXAMPLES: &str = "Examples:
  mainstay cat config
  mainstay cat snapshot 3f9a12cd
  mainstay cat tree latest:/etc
  mainstay cat blob 0c5f…  > content";

/// Options of `cat`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Kind of object
    #[arg(value_enum)]
    kind: Kind,
    /// Its id, or the beginning of it; not for config and masterkey. For tree: a snapshot, with :DIRECTORY behind it
    id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Config,
    Masterkey,
    Key,
    Lock,
    Snapshot,
    Index,
    Pack,
    Tree,
    Blob,
}

/// Print an object: decrypted, but for packs, which are printed as they are stored.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let id = match (args.kind, args.id) {
        (Kind::Config | Kind::Masterkey, None) => String::new(),
        (Kind::Masterkey, Some(_)) => {
            return Err(Misuse::new("a master key has no id", "Write `mainstay cat masterkey`.").into());
        }
        (Kind::Config, Some(_)) => return Err(Misuse::new("a config has no id", "Write `mainstay cat config`.").into()),
        (_, Some(id)) => id,
        (_, None) => {
            return Err(Misuse::new(
                "no id is given",
                "Write the id behind the kind; `mainstay list` shows ids.",
            )
            .into());
        }
    };
    let repository = context.open()?;
    let monitor = context.monitor();
    let _lock = context.lock_for_reading(&repository, &monitor)?;
    let content = content(args.kind, &id, &repository, &monitor)?;
    let mut out = context.output().writer();
    out.write_all(&content)?;
    if !matches!(args.kind, Kind::Pack | Kind::Blob) {
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn content(kind: Kind, id: &str, repository: &Repository, monitor: &dyn Monitor) -> anyhow::Result<Vec<u8>> {
    let unpacked = |kind| {
        let id = find_object(repository, kind, id)?;
        pretty(&repository.read_unpacked(kind, &id)?)
    };
    match kind {
        Kind::Config => Ok(serde_json::to_vec_pretty(repository.config())?),
        // Whoever has it needs no password any more; asked for by this name, it is meant.
        Kind::Masterkey => pretty(&repository.key().to_json()),
        Kind::Key => pretty(&stored(ObjectKind::Key, id, repository)?),
        Kind::Lock => unpacked(ObjectKind::Lock),
        Kind::Snapshot => unpacked(ObjectKind::Snapshot),
        Kind::Index => unpacked(ObjectKind::Index),
        Kind::Pack => stored(ObjectKind::Pack, id, repository),
        Kind::Tree => tree(id, repository, monitor),
        Kind::Blob => blob(id, repository),
    }
}

/// With lines and indents, and with its fields in the order in which they are stored.
fn pretty(json: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut pretty = Vec::new();
    let mut serializer = serde_json::Serializer::pretty(&mut pretty);
    serde_transcode::transcode(&mut serde_json::Deserializer::from_slice(json), &mut serializer)?;
    Ok(pretty)
}

fn stored(kind: ObjectKind, id: &str, repository: &Repository) -> anyhow::Result<Vec<u8>> {
    let id = find_object(repository, kind, id)?;
    let stored = repository
        .store()
        .read(&kind.object_name(&id))
        .map_err(repository::Error::from)?;
    object::verify_name(kind, &id, &stored)?;
    Ok(stored.into())
}

fn tree(name: &str, repository: &Repository, monitor: &dyn Monitor) -> anyhow::Result<Vec<u8>> {
    let selected = select(repository, name, &SnapshotFilter::default(), monitor)?;
    let index = repository.load_index()?;
    let id = selected.tree(repository, &index)?;
    pretty(&repository.read_blob(&index, BlobKind::Tree, &id)?)
}

fn blob(id: &str, repository: &Repository) -> anyhow::Result<Vec<u8>> {
    let index = repository.load_index()?;
    let id = match id.parse() {
        Ok(id) => id,
        Err(_) => only_one("blob", id, index.iter().map(|location| location.blob.id))??,
    };
    let found = index.iter().find(|location| location.blob.id == id);
    let kind = found
        .ok_or_else(|| repository::Error::NotFound {
            what: "blob",
            name: id.to_string(),
        })?
        .blob
        .kind;
    Ok(repository.read_blob(&index, kind, &id)?)
}
