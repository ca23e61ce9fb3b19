//! `mainstay copy`.

use super::Context;
use super::output::{bytes, count};
use super::selection::{FilterArgs, snapshots};
use crate::config::address::{self, AddressNames, AddressOptions};
use crate::config::env;
use crate::config::password::{PasswordNames, PasswordOptions, Source};
use crate::exit::Exit;
use repository::restic::copy::{self, CopyOptions};
use repository::restic::lock::LockKind;
use repository::restic::repository::Repository;
use serde_json::json;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  mainstay copy --from-repo /srv/backup --repo s3:https://s3.example.org/bucket
  mainstay copy --from-repo /srv/backup --from-password-file first.key --repo /mnt/usb latest

What is in the destination already is not copied again. With --no-lock, the source is not locked.";

const ADDRESS: AddressNames = AddressNames {
    option: "--from-repo",
    variable: env::FROM_REPOSITORY,
    file_variable: None,
};

const PASSWORD: PasswordNames = PasswordNames {
    subject: "the repository to copy from",
    file_option: "--from-password-file",
    command_option: "--from-password-command",
    variable: env::FROM_PASSWORD,
    file_variable: env::FROM_PASSWORD_FILE,
    command_variable: env::FROM_PASSWORD_COMMAND,
};

/// Options of `copy`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Ids, or their beginnings, or `latest`; all snapshots if none is given
    snapshots: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Repository to copy from
    #[arg(long, value_name = "ADDRESS")]
    from_repo: Option<String>,
    /// File to read that address from
    #[arg(long, value_name = "FILE")]
    from_repository_file: Option<PathBuf>,
    /// File to read the password of that repository from
    #[arg(long, value_name = "FILE")]
    from_password_file: Option<PathBuf>,
    /// Command that prints that password
    #[arg(long, value_name = "COMMAND")]
    from_password_command: Option<String>,
    /// Id of the key of that repository to try first
    #[arg(long, value_name = "ID")]
    from_key_hint: Option<String>,
}

/// Copy snapshots from another repository.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let source = open_source(&args, context)?;
    let destination = context.open()?;
    let mut progress = context.progress();
    let _source_lock = context.lock_for_reading(&source, &progress)?;
    let _destination_lock = context.lock_always(&destination, LockKind::Shared, &progress)?;
    let chosen = snapshots(&source, &args.snapshots, &args.filter.filter(), &progress)?;
    let options = CopyOptions {
        packs: context.pack_options(),
    };
    let report = copy::copy(&source, &destination, &chosen, &options, context.cancel(), &progress)?;
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

fn open_source(args: &Args, context: &Context) -> anyhow::Result<Repository> {
    let options = AddressOptions {
        address: args.from_repo.clone(),
        file: args.from_repository_file.clone(),
    };
    let location = address::resolve(options, ADDRESS, context.environment())?;
    let options = PasswordOptions {
        file: args.from_password_file.clone(),
        command: args.from_password_command.clone(),
    };
    let password = Source::choose(options, PASSWORD, context.environment())?;
    let mut options = context.open_options(&location)?;
    options.key_hint = args.from_key_hint.clone();
    context.open_at(&location, &password, &options)
}
