//! `mainstay purge` in archives.

use crate::cli::chosen::Chosen;
use crate::cli::output::{bytes, count};
use crate::cli::purge::{Args, KEPT_VERSIONS, confirm, report_head};
use crate::cli::{Context, identity, opened};
use crate::clock;
use crate::config::model::Format;
use crate::engine::encryption;
use crate::exit::Exit;
use repository::Error;
use repository::archive::{
    Encryption, Fate, Keys, Manifest, PurgeOptions, PurgePlan, PurgeReport, UntouchedArchive, plan_purge, purge,
};
use repository::points::{Archives, PointFilter};
use repository::restic::select::SnapshotFilter;
use serde_json::json;
use std::fmt::Write as _;

/// Write every archive again that holds what is to go, without it.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    opened::refuse(&[("--tag", !args.tags.is_empty())])?;
    let content = args.content()?;
    let mut archives = context.open_archives()?;
    let mut progress = context.progress();
    let manifests = archives.manifests(&filter(args), &progress)?;
    let unlisted = progress.problems();
    archives.unlock(identity::keys_at_hand(context)?);
    let sealing = |manifest: &Manifest| sealing(manifest, archives.keys(), context);
    let options = PurgeOptions {
        store: archives.store(),
        keys: archives.keys(),
        sealing: &sealing,
        content: &content,
    };
    let plan = plan_purge(&options, manifests, context.cancel(), &progress)?;
    check_found(&plan, unlisted, args)?;
    if args.dry_run {
        progress.finish();
        let mut value = json!(plan);
        value["message_type"] = json!("purge_plan");
        context.output().done(&value, plan_text(&plan))?;
        return Ok(Exit::from_problems(unlisted + plan.untouched.len() as u64));
    }
    if !args.yes && !plan.archives.is_empty() {
        progress.finish();
        confirm(&plan_text(&plan), "archives", plan.archives.len(), context)?;
        progress = context.progress();
    }
    let file = args.report_file()?;
    let report = purge(&options, &plan, context.cancel(), &progress)?;
    progress.finish();
    let text = report_text(args, &archives, &plan, &report, unlisted);
    args.write_report(file, &text)?;
    let is_proven = report.is_proven() && unlisted == 0;
    let mut value = json!(report);
    value["message_type"] = json!("summary");
    value["plan"] = json!(plan);
    value["proven"] = json!(is_proven);
    context.output().done(&value, text)?;
    Ok(if is_proven { Exit::Done } else { Exit::Incomplete })
}

fn filter(args: &Args) -> PointFilter {
    let snapshots = SnapshotFilter {
        hosts: args.hosts.clone(),
        ..SnapshotFilter::default()
    };
    PointFilter {
        snapshots,
        jobs: args.jobs.clone(),
    }
}

/// How an archive is sealed again: as it was. For whom, is believed to the configuration alone: whoever can write into the store could have
/// put another key into the manifest.
fn sealing(manifest: &Manifest, keys: &Keys, context: &Context) -> Result<Encryption, String> {
    let method = manifest.encryption.method.as_str();
    let passphrase = || {
        let missing = || "its passphrase is not given".to_owned();
        keys.passphrase().cloned().ok_or_else(missing)
    };
    match method {
        "none" => return Ok(Encryption::None),
        "age-passphrase" => return Ok(Encryption::AgePassphrase(passphrase()?)),
        "openpgp-passphrase" => return Ok(Encryption::OpenPgpPassphrase(passphrase()?)),
        _ => {}
    }
    match configured(context).map_err(|error| format!("the keys of the configuration cannot be used: {error:#}"))? {
        Some(encryption) if encryption.method() == method => Ok(encryption),
        _ => Err("the configuration does not say for whom it is to be encrypted".to_owned()),
    }
}

fn configured(context: &Context) -> anyhow::Result<Option<Encryption>> {
    let Chosen::Configured(repository) = context.chosen()? else {
        return Ok(None);
    };
    match &repository.format {
        Format::Archive(format) => encryption(&format.encryption, context.environment()).map(Some),
        Format::Restic { .. } => Ok(None),
    }
}

fn check_found(plan: &PurgePlan, unlisted: u64, args: &Args) -> repository::Result<()> {
    if plan.archives.is_empty() && plan.untouched.is_empty() && unlisted == 0 {
        return Err(Error::NotFound {
            what: "path",
            name: args.patterns.join("`, `"),
        });
    }
    Ok(())
}

fn plan_text(plan: &PurgePlan) -> String {
    let mut text = String::new();
    for path in &plan.paths {
        let _ = writeln!(text, "{:>12}  {}", bytes(path.bytes), path.path);
    }
    for archive in &plan.archives {
        let fate = match archive.fate {
            Fate::Rewritten => "is replaced",
            Fate::Removed => "goes as a whole",
            Fate::Superseded => "goes: another one has taken its place",
        };
        let time = clock::local(archive.time);
        let _ = writeln!(
            text,
            "archive {} of {time} on {} {fate}",
            archive.name, archive.hostname
        );
    }
    for UntouchedArchive {
        name, matches, reason, ..
    } in &plan.untouched
    {
        let what = if *matches {
            "matches, and stays"
        } else {
            "cannot be searched"
        };
        let _ = writeln!(text, "archive {name} {what}: {reason}");
    }
    let matching = plan.archives.len() + plan.untouched.iter().filter(|archive| archive.matches).count();
    let _ = write!(
        text,
        "{} in {matching} of {} match",
        count(plan.paths.len() as u64, "path"),
        count(plan.looked_at as u64, "archive"),
    );
    text
}

fn report_text(args: &Args, archives: &Archives, plan: &PurgePlan, report: &PurgeReport, unlisted: u64) -> String {
    let mut text = report_head(&args.patterns, &archives.store().location(), &plan_text(plan));
    for (old, new) in &report.replaced {
        let new = new
            .as_ref()
            .map_or("removed".to_owned(), |new| format!("replaced by {new}"));
        let _ = writeln!(text, "archive {old} was {new}");
    }
    let _ = writeln!(text, "\n{} given back.", bytes(report.freed_bytes));
    let shared: usize = plan.archives.iter().map(|archive| archive.shared_files).sum();
    if shared > 0 {
        let _ = writeln!(
            text,
            "{} also have names that do not match, and stay under these.",
            count(shared as u64, "file"),
        );
    }
    if report.unopened > 0 {
        let _ = writeln!(
            text,
            "{} cannot be opened with the keys at hand: entries were counted, and what is stored is what was written.",
            count(report.unopened as u64, "new archive"),
        );
    }
    if report.keeps_versions.is_none() {
        text.push_str("The store does not say whether it keeps as old versions what is deleted.\n");
    }
    let untouched = report.untouched as u64 + unlisted;
    if !report.held.is_empty() {
        let _ = write!(
            text,
            "NOT DONE: {}, and whoever can open them can still read it. Purge again when that time is over.",
            report.held
        );
    } else if untouched > 0 {
        let _ = write!(
            text,
            "NOT DONE: {} could not be searched or written again, and may still hold it. Repeat the command with the key (`--identity \
             FILE`) and the name that the configuration gives the repository, or remove them with `mainstay forget NAME`.",
            count(untouched, "archive"),
        );
    } else if report.keeps_versions == Some(true) {
        text.push_str(KEPT_VERSIONS);
    } else {
        text.push_str(
            "Every archive that took the place of another was read to its end and holds everything else. The old ones are not in the store any \
             more.",
        );
    }
    text
}
