//! `mainstay run` and `mainstay sync`.

mod text;

use super::{Context, names};
use crate::config::model::{Config, Job};
use crate::config::units;
use crate::config::{Misuse, directories};
use crate::engine::report::{Outcome, RunReport};
use crate::engine::{self, Host, RunOptions};
use crate::exit::Exit;
use repository::Cancel;
use serde_json::json;
use std::time::Duration;

const EXAMPLES: &str = "Examples:
  mainstay run                 (the only job that is configured)
  mainstay run databases --init
  mainstay run --all
  mainstay run --all --dry-run

A run captures the sources of a job once, stores them in all of its repositories, completes repositories that missed
earlier runs, and removes what `keep` does not keep. If some repositories cannot be reached, the others get everything;
the exit code is 3 then, and the next run or `mainstay sync` completes the rest.";

const SYNC_EXAMPLES: &str = "Examples:
  mainstay sync --all
  mainstay sync databases

Nothing is captured and nothing is removed: what a repository of a job lacks is copied from another one that has it.";

/// Options of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    jobs: JobArgs,
    /// Store and remove nothing, only show what would be done; commands are not run
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Create repositories that do not exist
    #[arg(long, conflicts_with = "dry_run")]
    init: bool,
    /// How long one repository may keep the others waiting; it is completed afterwards
    #[arg(long, value_name = "DURATION", value_parser = units::duration, default_value = "5m")]
    patience: Duration,
}

/// Options of `sync`.
#[derive(Debug, clap::Args)]
#[command(after_help = SYNC_EXAMPLES)]
pub struct SyncArgs {
    #[command(flatten)]
    jobs: JobArgs,
}

/// Which jobs.
#[derive(Debug, clap::Args)]
pub struct JobArgs {
    /// Names of jobs
    #[arg(value_name = "JOB", conflicts_with = "all", add = names::jobs())]
    names: Vec<String>,
    /// All jobs
    #[arg(long)]
    all: bool,
}

impl JobArgs {
    /// The jobs that are meant.
    pub fn choose<'c>(&self, config: &'c Config) -> Result<Vec<&'c Job>, Misuse> {
        let known = || config.jobs.iter().map(|job| job.name.as_str()).collect::<Vec<_>>();
        if self.all || (self.names.is_empty() && config.jobs.len() == 1) {
            return Ok(config.jobs.iter().collect());
        }
        if self.names.is_empty() {
            let message = match config.jobs.len() {
                0 => "no job is configured".to_owned(),
                _ => format!("which job? There are {}", known().join(", ")),
            };
            let hint = "Name one or several, or use `--all`; `mainstay config init` writes a configuration.";
            return Err(Misuse::new(message, hint));
        }
        let find = |name: &String| {
            let hint = format!("The jobs are {}.", known().join(", "));
            config
                .job(name)
                .ok_or_else(|| Misuse::new(format!("there is no job `{name}`"), hint))
        };
        self.names.iter().map(find).collect()
    }
}

/// Run jobs.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let options = RunOptions {
        dry_run: args.dry_run,
        init: args.init,
        patience: args.patience,
    };
    each(&args.jobs, context, "run", |host, job| engine::run(host, job, options))
}

/// Complete repositories.
pub fn sync(args: SyncArgs, context: &Context) -> anyhow::Result<Exit> {
    each(&args.jobs, context, "sync", |host, job| Ok(engine::sync(host, job)?))
}

/// One job after the other; the worst outcome is that of all.
fn each(
    args: &JobArgs,
    context: &Context,
    what: &str,
    work: impl Fn(&Host<'_>, &Job) -> anyhow::Result<RunReport>,
) -> anyhow::Result<Exit> {
    context.refuse_no_lock()?;
    let loaded = context.configuration()?;
    let jobs = args.choose(&loaded.config)?;
    let mut exit = Exit::Done;
    for job in jobs {
        context.cancel().check()?;
        let mut progress = context.progress();
        let stores = |repository: &_, give_up: Option<&Cancel>| context.store_of_several(repository, give_up);
        let host = Host {
            config: &loaded.config,
            secrets: context.environment(),
            stores: &stores,
            cache: context.cache_directory(),
            state: directories::state(context.environment()),
            retry_lock: context.globals().retry_lock.unwrap_or_default(),
            cancel: context.cancel(),
            monitor: &progress,
        };
        let report = work(&host, job)?;
        progress.finish();
        if report.outcome == Outcome::Failed {
            context.cancel().check()?;
        }
        let mut value = json!(report);
        value["message_type"] = json!(what);
        context.output().done(&value, text::to_text(&report))?;
        exit = worse(exit, report.exit());
    }
    Ok(exit)
}

/// A failure counts more than something that is missing.
fn worse(one: Exit, other: Exit) -> Exit {
    match (one, other) {
        (Exit::Done, other) => other,
        (Exit::Incomplete, other) if other != Exit::Done => other,
        (one, _) => one,
    }
}
