//! `mainstay quickstart`: the whole job on defaults, without any configuration.

mod compare;
mod place;
mod sample;

use super::Context;
use super::output::{Progress, bytes, count, duration};
use crate::config::Misuse;
use crate::config::directories;
use crate::exit::Exit;
use compare::Comparison;
use place::Place;
use repository::restic::backup::{self, BackupOptions, Report, Source};
use repository::restic::lock::{Lock, LockKind};
use repository::restic::repository::Repository;
use repository::restic::restore::{self, RestoreOptions};
use repository::{Error, Filter, Id, Monitor as _};
use serde_json::json;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "Examples:
  mainstay quickstart
  mainstay quickstart /etc
  MAINSTAY_STATE_DIR=/tmp/trial mainstay quickstart ~/Documents

Makes a local repository with a random password, backs the path up (or a sample that it makes), restores it into a
scratch directory, compares every byte, and says where everything is. A second run uses what is there.";

/// Options of `quickstart`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to back up; a small sample without it
    path: Option<PathBuf>,
}

/// Make a repository, back up, restore, compare, and say what to do next.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let place = Place::prepare(&state_directory(context)?)?;
    let source = source(args.path, &place)?;
    let mut progress = context.progress();
    let repository = place.open(context, &progress)?;
    let (id, report) = back_up(&repository, &source, &place, context, &progress)?;
    let comparison = drill(&repository, &source, &id, &place, context, &progress)?;
    progress.finish();
    print(&place, &source, &id, &report, &comparison, &progress, context)?;
    Ok(if comparison.differences > 0 {
        Exit::Failed
    } else {
        Exit::from_problems(report.totals.problems)
    })
}

fn state_directory(context: &Context) -> Result<PathBuf, Misuse> {
    let hint = "Set `MAINSTAY_STATE_DIR` to a directory that you can write to.";
    directories::state(context.environment()).ok_or_else(|| Misuse::new("there is no place for a repository", hint))
}

/// The path given, absolute, or the sample.
fn source(path: Option<PathBuf>, place: &Place) -> anyhow::Result<PathBuf> {
    let Some(path) = path else {
        return Ok(sample::make(&place.directory)?);
    };
    Ok(path.canonicalize().map_err(Error::local("back up", &path))?)
}

fn back_up(
    repository: &Repository,
    source: &Path,
    place: &Place,
    context: &Context,
    progress: &Progress,
) -> anyhow::Result<(Id, Report)> {
    let filter = match place.is_below(source) {
        true => Filter::builder()
            .exclude(repository::literal_pattern(&place.directory))
            .build()?,
        false => Filter::default(),
    };
    let options = BackupOptions {
        filter,
        pack: context.pack_options(),
        lock: context.lock_options(),
        ..BackupOptions::default()
    };
    let sources = vec![Source::Path(source.to_path_buf())];
    let report = backup::run(repository, sources, &options, context.cancel(), progress)?;
    let missing = || Error::Verification("a backup that succeeded has no snapshot".to_owned());
    let id = report.snapshot.as_ref().map(|(id, _)| *id).ok_or_else(missing)?;
    Ok((id, report))
}

/// Restore into a scratch directory, compare with the source, and remove the scratch directory.
fn drill(
    repository: &Repository,
    source: &Path,
    id: &Id,
    place: &Place,
    context: &Context,
    progress: &Progress,
) -> anyhow::Result<Comparison> {
    let _lock = Lock::acquire(repository, LockKind::Shared, &context.lock_options(), progress)?;
    let scratch = tempfile::Builder::new()
        .prefix("restored-")
        .tempdir_in(&place.directory);
    let scratch = scratch.map_err(Error::local("create a directory in", &place.directory))?;
    let snapshot: repository::restic::snapshot::Snapshot =
        repository.read_json(repository::restic::object::ObjectKind::Snapshot, id)?;
    let index = repository.load_index()?;
    let options = RestoreOptions::new(scratch.path());
    restore::restore(repository, &index, &snapshot.tree, &options, context.cancel(), progress)?;
    progress.phase("comparing");
    let restored = scratch.path().join(source.strip_prefix("/").unwrap_or(source));
    let comparison = compare::compare(
        source,
        &restored,
        &place.directory,
        snapshot.time.timestamp(),
        context.cancel(),
        progress,
    )?;
    let unremovable = Error::local("remove", scratch.path().to_path_buf());
    scratch.close().map_err(unremovable)?;
    Ok(comparison)
}

fn print(
    place: &Place,
    source: &Path,
    id: &Id,
    report: &Report,
    comparison: &Comparison,
    progress: &Progress,
    context: &Context,
) -> anyhow::Result<()> {
    let value = json!({
        "message_type": "summary",
        "restore_ok": comparison.differences == 0,
        "files": comparison.files,
        "bytes": comparison.bytes,
        "differences": comparison.differences,
        "changed_meanwhile": comparison.changed_meanwhile,
        "error_count": report.totals.problems,
        "snapshot_id": id,
        "source": source.to_string_lossy(),
        "repository": place.repository.to_string_lossy(),
        "password_file": place.password_file.to_string_lossy(),
        "seconds_elapsed": progress.elapsed().as_secs_f64(),
    });
    let output = context.output();
    if output.is_json() {
        return Ok(output.json(&value)?);
    }
    output.line(verdict(comparison, report))?;
    output.info(whereabouts(place, source, id, progress))?;
    Ok(())
}

fn verdict(comparison: &Comparison, report: &Report) -> String {
    let mut text = match comparison.differences {
        0 => format!(
            "RESTORE OK — {}, {} bytes",
            count(comparison.files, "file"),
            comparison.bytes
        ),
        n => format!("RESTORE FAILED — {} from the source", count(n, "difference")),
    };
    if comparison.changed_meanwhile > 0 {
        text.push_str(&format!(
            "\n{} changed during the test and were not compared",
            count(comparison.changed_meanwhile, "entry")
        ));
    }
    if report.totals.problems > 0 {
        text.push_str(&format!(
            "\nINCOMPLETE — {} could not be read",
            count(report.totals.problems, "entry")
        ));
    }
    text
}

fn whereabouts(place: &Place, source: &Path, id: &Id, progress: &Progress) -> String {
    let (repository, password) = (place.repository.display(), place.password_file.display());
    format!(
        "
snapshot    {} of `{}`, {}
repository  {repository} ({})
password    {password}
            Without it nothing can be restored: keep a copy in another place.

Next:
  export MAINSTAY_REPOSITORY='{repository}' MAINSTAY_PASSWORD_FILE='{password}'
{}
restic reads the same repository: restic -r '{repository}' -p '{password}' snapshots",
        id.short(),
        source.display(),
        duration(progress.elapsed()),
        bytes(place.stored_bytes()),
        next_commands(source),
    )
}

fn next_commands(source: &Path) -> String {
    let backup = format!("backup '{}'", source.display());
    let commands = [
        (backup.as_str(), "again: only changes are stored"),
        ("snapshots", "what there is"),
        ("restore latest --target /tmp/restored", "get it back"),
        ("check --read-data", "verify what is stored"),
        ("forget --keep-daily 7 --keep-weekly 5 --prune", "remove what is old"),
    ];
    let width = commands
        .iter()
        .map(|(command, _)| command.len())
        .max()
        .unwrap_or_default();
    let program = program();
    commands
        .iter()
        .map(|(command, what)| format!("  {program} {command:width$}  # {what}\n"))
        .collect()
}

/// This program as the user can type it: by name if it was called by its name, else by its path.
fn program() -> String {
    let name = std::env::args_os().next().unwrap_or_else(|| "mainstay".into());
    name.to_string_lossy().into_owned()
}
