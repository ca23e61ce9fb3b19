//! `mainstay key`.

use super::objects::find_object;
use super::output::{table, trimmed};
use super::{Context, key_generate};
use crate::clock;
use crate::config::password::Source;
use crate::config::secret::Secret;
use crate::exit::Exit;
use crate::explain::chain;
use anyhow::Context as _;
use jiff::Timestamp;
use repository::local::users::{Identity, identity};
use repository::restic::lock::LockKind;
use repository::restic::object::ObjectKind;
use repository::restic::repository::Repository;
use repository::{Id, Monitor as _};
use serde_json::json;
use std::path::PathBuf;

/// Options of `key`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the passwords that open the repository
    #[command(after_help = "Examples:\n  mainstay key list\n  mainstay key list --json")]
    List,
    /// Add another password
    #[command(
        after_help = "Examples:\n  mainstay key add\n  mainstay key add --new-password-file second.key --user ann"
    )]
    Add {
        #[command(flatten)]
        password: NewPassword,
        /// Name of the user in the key, instead of the one who runs this
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Name of the host in the key, instead of this one
        #[arg(long, value_name = "NAME")]
        host: Option<String>,
    },
    /// Remove a password; not the one in use
    #[command(after_help = "Examples:\n  mainstay key remove 3f9a12cd")]
    Remove {
        /// Id of the key, or its beginning
        id: String,
    },
    /// Replace the password in use by another one
    #[command(after_help = "Examples:\n  mainstay key passwd\n  mainstay key passwd --new-password-file next.key")]
    Passwd(NewPassword),
    /// Make a key for archives: age's private key into a file, its public key to standard output
    #[command(after_help = key_generate::EXAMPLES)]
    Generate(key_generate::Args),
}

#[derive(Debug, clap::Args)]
struct NewPassword {
    /// File that holds the new password; without it you are asked
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
}

/// Look after the passwords of a repository, and make keys for archives.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    match args.command {
        Command::List => list(context),
        Command::Add { password, user, host } => add(&password, &owner(user, host), context),
        Command::Remove { id } => remove(&id, context),
        Command::Passwd(password) => change(&password, context),
        Command::Generate(args) => key_generate::run(&args, context),
    }
}

fn list(context: &Context) -> anyhow::Result<Exit> {
    let repository = context.open()?;
    let monitor = context.monitor();
    let _lock = context.lock_for_reading(&repository, &monitor)?;
    let keys = repository.keys()?;
    let output = context.output();
    let mut table = table(&["ID", "User", "Host", "Created", ""]);
    let mut values = Vec::new();
    let mut damaged = None;
    for key in keys {
        match key {
            Ok((id, key)) => {
                let in_use = id == repository.key_id();
                let mark = if in_use { "in use" } else { "" };
                table.add_row([&id.short(), &key.username, &key.hostname, &local(&key.created), mark]);
                values.push(json!({
                    "id": id, "current": in_use, "userName": key.username, "hostName": key.hostname, "created": key.created,
                }));
            }
            Err(error) => damaged = Some(error),
        }
    }
    if output.is_json() {
        output.json(&values)?;
    } else {
        output.line(trimmed(&table))?;
    }
    damaged.map_or(Ok(Exit::Done), |error| Err(error.into()))
}

/// The time in this host's zone; if it is no time, as it stands there.
fn local(created: &str) -> String {
    created
        .parse::<Timestamp>()
        .map_or_else(|_| created.to_owned(), clock::local)
}

fn owner(user: Option<String>, host: Option<String>) -> Identity {
    let this = identity();
    Identity {
        username: user.unwrap_or(this.username),
        hostname: host.unwrap_or(this.hostname),
        ..this
    }
}

fn add(new: &NewPassword, owner: &Identity, context: &Context) -> anyhow::Result<Exit> {
    let repository = context.open()?;
    let password = new.read(context)?;
    let monitor = context.monitor();
    let _lock = context.lock(&repository, LockKind::Shared, &monitor)?;
    let id = repository.add_key(password.bytes(), owner)?;
    context.output().done(
        &json!({"message_type": "key_added", "id": id}),
        format!("added key {}", id.short()),
    )?;
    Ok(Exit::Done)
}

fn remove(id: &str, context: &Context) -> anyhow::Result<Exit> {
    let repository = context.open()?;
    let monitor = context.monitor();
    let _lock = context.lock_to_replace(&repository, &monitor)?;
    let id = find_object(&repository, ObjectKind::Key, id)?;
    let opens = || format!("the password of key {} opens the repository still", id.short());
    repository.remove_key(&id).with_context(opens)?;
    context.output().done(
        &json!({"message_type": "key_removed", "id": id}),
        format!("removed key {}", id.short()),
    )?;
    Ok(Exit::Done)
}

/// The new key is added and tried before the old one is removed: at every moment one of them opens the repository.
fn change(new: &NewPassword, context: &Context) -> anyhow::Result<Exit> {
    let repository = context.open()?;
    let password = new.read(context)?;
    let monitor = context.monitor();
    let _lock = context.lock_to_replace(&repository, &monitor)?;
    repository.demand_deletion(&[ObjectKind::Key])?;
    let id = repository.add_key(password.bytes(), &identity())?;
    if let Err(error) = remove_old(&repository, id, &password, context) {
        let old = repository.key_id();
        let subject = format!("key {}", old.short());
        let message = format!("it opens the repository still, beside the new one: {}", chain(&error));
        monitor.problem(&subject, &message);
        let text = format!(
            "added key {}; remove {} with `mainstay key remove`",
            id.short(),
            old.short()
        );
        let value = json!({"message_type": "key_changed", "id": id, "removed": null});
        context.output().done(&value, text)?;
        return Ok(Exit::Incomplete);
    }
    let text = format!(
        "changed the password: key {} replaces {}",
        id.short(),
        repository.key_id().short()
    );
    let value = json!({"message_type": "key_changed", "id": id, "removed": repository.key_id()});
    context.output().done(&value, text)?;
    Ok(Exit::Done)
}

fn remove_old(repository: &Repository, new: Id, password: &Secret, context: &Context) -> anyhow::Result<()> {
    let mut options = context.open_options(context.chosen()?.location())?;
    options.key_hint = Some(new.to_string());
    let reopened = Repository::open(repository.store().clone(), password.bytes(), &options)?;
    Ok(reopened.remove_key(&repository.key_id())?)
}

impl NewPassword {
    fn read(&self, context: &Context) -> anyhow::Result<Secret> {
        let source = match &self.new_password_file {
            Some(file) => Source::File(file.clone()),
            None => Source::Terminal("the new key"),
        };
        source.read_new(context.environment())
    }
}
