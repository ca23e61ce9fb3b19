//! `mainstay config check`.

use crate::cli::Context;
use crate::cli::failure::problem_json;
use crate::cli::output::count;
use crate::config::file::Loaded;
use crate::config::file::present::{Present, Seen};
use crate::config::model::Config;
use crate::config::problem::Problem;
use crate::exit::Exit;
use serde_json::json;
use std::fmt::Write as _;

const EXAMPLES: &str = "Examples:
  mainstay config check
  mainstay --config ./mainstay.yaml config check --run-commands
  mainstay config check --json

Everything that is wrong is listed with its place, and the exit code is 2; what is allowed but most likely not meant is a
warning. Secrets and the files that are named have
to be there. Nothing is connected to.";

/// Options of `config check`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Run the programs that print secrets as well
    #[arg(long)]
    run_commands: bool,
}

/// Report everything that is wrong, or that nothing is.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let mut draft = context.draft()?;
    let present = Present {
        run_commands: args.run_commands,
    };
    let seen = draft.check_present(present, context.environment());
    let loaded = draft.finish()?;
    let later = later(&loaded.config);
    let warnings = warnings(&loaded.config);
    let output = context.output();
    let value = json!({
        "message_type": "config_checked",
        "files": loaded.files,
        "repositories": loaded.config.repositories.len(),
        "jobs": loaded.config.jobs.len(),
        "secrets": seen.secrets,
        "commands_not_run": seen.commands,
        "not_supported_yet": later,
        "warnings": warnings.iter().map(problem_json).collect::<Vec<_>>(),
    });
    output.done(&value, text(&loaded, seen, &later, &warnings))?;
    Ok(Exit::Done)
}

fn text(loaded: &Loaded, seen: Seen, later: &[String], warnings: &[Problem]) -> String {
    let what = match loaded.files.as_slice() {
        [] => "the environment's configuration".to_owned(),
        [file] => format!("`{}`", file.display()),
        [file, parts @ ..] => format!("`{}` with {}", file.display(), count(parts.len() as u64, "part")),
    };
    let repositories = count(loaded.config.repositories.len() as u64, "repository");
    let jobs = count(loaded.config.jobs.len() as u64, "job");
    let secrets = count(seen.secrets as u64, "secret");
    let mut text = format!("{what} is valid: {repositories}, {jobs}, {secrets} present");
    if seen.commands > 0 {
        let _ = write!(text, "; {} for secrets not run", count(seen.commands as u64, "command"));
    }
    for message in later {
        let _ = write!(text, "\nnot in this version: {message}");
    }
    for warning in warnings {
        let _ = write!(text, "\nwarning: {warning}\nhint: {}", warning.hint);
    }
    text
}

/// What is allowed, and most likely not meant.
fn warnings(config: &Config) -> Vec<Problem> {
    config.jobs.iter().flat_map(|job| config.warnings(job)).collect()
}

/// What is understood but cannot be executed by this version.
fn later(config: &Config) -> Vec<String> {
    let sources = config
        .jobs
        .iter()
        .flat_map(|job| &job.sources)
        .filter_map(|source| source.check_executable().err());
    sources.map(|misuse| misuse.message).collect()
}
