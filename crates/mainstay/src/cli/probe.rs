//! `mainstay probe`.

use super::Context;
use super::output::bytes;
use super::run::JobArgs;
use crate::engine::report::Failure;
use crate::exit::Exit;
use crate::source::{self, Probe, Protected, Surroundings};
use serde::Serialize;
use serde_json::json;
use std::fmt::Write as _;

const EXAMPLES: &str = "Examples:
  mainstay probe               (the only job that is configured)
  mainstay probe databases
  mainstay probe --all --json

Nothing is captured or changed. The exit code is 1 if a source cannot be reached or something is missing that it takes to
capture it.";

/// Options of `probe`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    jobs: JobArgs,
}

/// What was found of one source.
#[derive(Debug, Serialize)]
struct Probed {
    job: String,
    kind: &'static str,
    name: String,
    #[serde(flatten)]
    probe: Option<Probe>,
    error: Option<Failure>,
}

/// Look at sources.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let config = &context.configuration()?.config;
    let mut progress = context.progress();
    let surroundings = Surroundings {
        secrets: context.environment(),
        cancel: context.cancel(),
        monitor: &progress,
    };
    let mut all = Vec::new();
    for job in args.jobs.choose(config)? {
        for Protected { source, .. } in source::of(job)? {
            context.cancel().check()?;
            let (probe, error) = match source.probe(&surroundings) {
                Ok(probe) => (Some(probe), None),
                Err(error) => (None, Some(Failure::from(error))),
            };
            all.push(Probed {
                job: job.name.clone(),
                kind: source.kind(),
                name: source.name(),
                probe,
                error,
            });
        }
    }
    progress.finish();
    let ok = all
        .iter()
        .all(|one| one.probe.as_ref().is_some_and(|probe| probe.missing.is_empty()));
    let value = json!({"message_type": "probe", "ok": ok, "sources": all});
    let text: Vec<String> = all.iter().map(to_text).collect();
    context.output().done(&value, text.join("\n"))?;
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

fn to_text(one: &Probed) -> String {
    let mut text = format!("{}: {} {}", one.job, one.kind, one.name);
    let mut line = |title: &str, content: &str| {
        let _ = write!(text, "\n  {title:<8} {content}");
    };
    if let Some(probe) = &one.probe {
        for found in &probe.found {
            let size = found
                .bytes
                .map_or_else(String::new, |size| format!(", {}", bytes(size)));
            line("found", &format!("{}{size}", found.name));
        }
        for (program, version) in &probe.versions {
            line("version", &format!("{program} {version}"));
        }
        for note in &probe.notes {
            line("note", note);
        }
        for missing in &probe.missing {
            line("MISSING", missing);
        }
    }
    if let Some(error) = &one.error {
        line("ERROR", &error.message);
        if let Some(hint) = &error.hint {
            line("hint", hint);
        }
    }
    text
}
