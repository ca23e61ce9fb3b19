//! `mainstay init`.

use super::from::FromArgs;
use super::{Context, holds_repository};
use crate::exit::Exit;
use repository::restic::config::{ChunkerKind, Config};
use repository::restic::repository::Repository;
use serde_json::json;

const EXAMPLES: &str = "Examples:
  mainstay init --repo /srv/backup --password-file ~/.backup-password
  mainstay init --repo s3:https://s3.example.org/bucket/host1
  mainstay init --repo /srv/backup --chunker rabin
  mainstay init --repo /mnt/usb --copy-chunker-params --from-repo /srv/backup";

/// Options of `init`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// How files are cut into blobs. fastcdc is faster; rabin finds what restic stores in the same repository again
    #[arg(long, value_enum, default_value_t = Chunker::Fastcdc)]
    chunker: Chunker,
    /// Cut files as another repository does, so that what is copied from there and what is backed up here is stored once
    #[arg(long, conflicts_with = "chunker")]
    copy_chunker_params: bool,
    /// Version of the repository's format: 2, stable or latest, which are the same
    #[arg(long, value_name = "VERSION", default_value = "2", value_parser = version)]
    repository_version: Version,
    #[command(flatten)]
    from: FromArgs,
}

/// There is only one.
#[derive(Clone, Copy, Debug)]
struct Version;

/// Repositories of version 1 are read and written, but there is no reason to make new ones.
fn version(text: &str) -> Result<Version, &'static str> {
    match text {
        "2" | "stable" | "latest" => Ok(Version),
        "1" => Err("repositories of version 1, without compression, are not made any more: leave the option out"),
        _ => Err("the version is `2`, `stable` or `latest`"),
    }
}

/// As options name it.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Chunker {
    Fastcdc,
    Rabin,
}

/// Create a repository in an empty place.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    context.refuse_no_lock()?;
    let chosen = context.chosen_restic()?;
    let location = chosen.location();
    let store = context.store_at(chosen)?;
    let password = context.password_source()?;
    if holds_repository(&*store)? {
        return Err(repository::Error::AlreadyExists {
            location: store.location(),
        }
        .into());
    }
    let config = match (args.copy_chunker_params, args.chunker) {
        (true, _) => args.from.open(context)?.config().sibling(),
        (false, Chunker::Fastcdc) => Config::create(ChunkerKind::FastCdc),
        (false, Chunker::Rabin) => Config::create(ChunkerKind::Rabin),
    };
    let password = password.read_new(context.environment())?;
    let repository = Repository::create(store, password.bytes(), config, &context.open_options(location)?)?;
    let id = repository.config().id;
    let text = format!(
        "created repository {} in `{location}`\n\
         Without its password nothing in it can be read: keep a copy of the password in another place.",
        id.short(),
    );
    context.output().done(
        &json!({"message_type": "initialized", "id": id, "repository": location.to_string()}),
        text,
    )?;
    Ok(Exit::Done)
}
