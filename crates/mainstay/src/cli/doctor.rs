//! `mainstay doctor`.

use super::chosen::Chosen;
use super::output::table;
use super::{Context, location_path, names};
use crate::config::Misuse;
use crate::engine::doctor::{Diagnosis, Finding, Probe, Severity, examine, free_space};
use crate::exit::Exit;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use storage::Store;

const EXAMPLES: &str = "Examples:
  mainstay doctor                 (every repository that is configured)
  mainstay doctor offsite
  mainstay --repo s3:https://s3.example.org/bucket doctor

Two objects of noise are written below `data/`, read and deleted again. Nothing else is touched.";

/// Options of `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Names of repositories in the configuration
    #[arg(value_name = "REPOSITORY", add = names::repositories())]
    names: Vec<String>,
}

/// A store to try out.
struct Patient {
    name: String,
    store: Arc<dyn Store>,
    append_only: bool,
    directory: Option<PathBuf>,
}

/// Try out what repositories are needed for.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let mut exit = Exit::Done;
    for patient in patients(&args, context)? {
        let mut progress = context.monitor();
        let mut diagnosis = examine(&*patient.store, patient.append_only, context.cancel());
        progress.finish();
        context.cancel().check()?;
        diagnosis
            .notes
            .extend(patient.directory.as_deref().and_then(free_space));
        let mut value = json!(diagnosis);
        value["message_type"] = json!("doctor");
        value["name"] = json!(patient.name);
        value["healthy"] = json!(diagnosis.is_healthy());
        context.output().done(&value, text(&patient.name, &diagnosis))?;
        if !diagnosis.is_healthy() {
            exit = Exit::Unhealthy;
        }
    }
    Ok(exit)
}

/// Those that are named, or all that are configured, or the one of `--repo`.
fn patients(args: &Args, context: &Context) -> anyhow::Result<Vec<Patient>> {
    if args.names.is_empty() && context.names_repository() {
        let chosen = context.chosen()?;
        return Ok(vec![Patient {
            name: chosen.shown(),
            store: context.store_at(chosen)?,
            append_only: matches!(chosen, Chosen::Configured(repository) if repository.append_only),
            directory: location_path(chosen.location()),
        }]);
    }
    let config = context.configuration()?.config;
    let find = |name: &String| {
        let known: Vec<&str> = config.repositories.iter().map(|one| one.name.as_str()).collect();
        let hint = format!("The repositories are {}.", known.join(", "));
        config
            .repository(name)
            .ok_or_else(|| Misuse::new(format!("there is no repository `{name}` in the configuration"), hint))
    };
    let chosen = if args.names.is_empty() {
        config.repositories.iter().collect()
    } else {
        args.names.iter().map(find).collect::<Result<Vec<_>, _>>()?
    };
    let open = |repository: &&crate::config::model::Repository| {
        Ok(Patient {
            name: repository.name.clone(),
            store: context.store_of(repository)?,
            append_only: repository.append_only,
            directory: location_path(repository.place.location()),
        })
    };
    chosen.iter().map(open).collect()
}

fn text(name: &str, diagnosis: &Diagnosis) -> String {
    let mut lines = vec![format!("{name} ({})", diagnosis.location)];
    let mut table = table(&["", "", ">"]);
    for probe in &diagnosis.probes {
        let verdict = match (&probe.error, probe.is_optional) {
            (None, _) => "works",
            (Some(_), true) => "fails (not needed: append-only)",
            (Some(_), false) => "FAILS",
        };
        table.add_row(vec![
            format!("  {}", probe.name),
            verdict.to_owned(),
            format!("{:.2} s", probe.seconds),
        ]);
    }
    for finding in &diagnosis.findings {
        table.add_row(vec![
            format!("  {}", finding.name),
            finding.verdict.clone(),
            String::new(),
        ]);
    }
    lines.extend(super::output::trimmed(&table).lines().skip(1).map(str::to_owned));
    let failed = |probe: &&Probe| probe.error.is_some() && !probe.is_optional;
    for probe in diagnosis.probes.iter().filter(failed) {
        let error = probe.error.as_deref().unwrap_or_default();
        lines.push(format!("cannot {}: {error}\n  this costs {}", probe.name, probe.costs));
        lines.extend(probe.hint.iter().map(|hint| format!("  hint: {hint}")));
    }
    lines.extend(diagnosis.findings.iter().flat_map(explained));
    lines.extend(diagnosis.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}

/// What is to be said of a finding beside its verdict.
fn explained(finding: &Finding) -> Vec<String> {
    let Some(text) = &finding.text else {
        return Vec::new();
    };
    let line = match finding.severity {
        Severity::Fine | Severity::Note => format!("note: {text}"),
        Severity::Unknown => format!("note: {} is not known: {text}", finding.name),
        Severity::Warning => format!("warning: {text}"),
        Severity::Error => format!("error: {text}"),
    };
    let hint = finding.hint.as_ref().map(|hint| format!("  hint: {hint}"));
    std::iter::once(line).chain(hint).collect()
}
