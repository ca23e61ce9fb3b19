//! `mainstay restore --part`.

use super::output::{bytes, count, duration};
use super::parts::Point;
use super::selection::FilterArgs;
use super::{Context, location_path};
use crate::config::Misuse;
use crate::engine::parts::{PutBackPlan, choose_of, source_of};
use crate::exit::Exit;
use crate::source::{PutBack, Stored, Surroundings};
use serde_json::json;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

/// Options of `restore` that are for parts.
#[derive(Debug, clap::Args)]
pub struct PartArgs {
    /// Put this part of what a job captured back, through its source: its path in the snapshot, such as /postgres/main/app
    #[arg(long, value_name = "PATH", conflicts_with_all = NOT_FOR_PARTS)]
    pub part: Option<PathBuf>,
    /// Under another name; files go into this directory
    #[arg(long = "as", value_name = "NAME", requires = "part")]
    pub rename: Option<String>,
    /// Do not ask
    #[arg(long, requires = "part")]
    pub yes: bool,
}

const NOT_FOR_PARTS: [&str; 12] = [
    "target",
    "exclude",
    "exclude_file",
    "include",
    "iinclude",
    "include_file",
    "iinclude_file",
    "include_regex",
    "delete",
    "verify",
    "sparse",
    "no_sparse",
];

/// What is asked for.
pub struct Wanted<'a> {
    /// Which restore point.
    pub snapshot: &'a str,
    /// Among which.
    pub filter: &'a FilterArgs,
    /// Which part of it.
    pub part: &'a Path,
    /// Under which name.
    pub rename: Option<&'a str>,
    /// What is there is replaced.
    pub overwrite: bool,
    /// Only show the plan.
    pub dry_run: bool,
    /// Do not ask.
    pub yes: bool,
}

/// Put parts back.
pub fn run(wanted: &Wanted<'_>, context: &Context) -> anyhow::Result<Exit> {
    let config = &context.configuration()?.config;
    let mut progress = context.progress();
    let point = Point::open(wanted.snapshot, wanted.filter, context, &progress)?;
    let chosen = choose_of(point.points(), &point.manifest, wanted.part, &progress)?;
    if chosen.len() > 1 && wanted.rename.is_some() {
        let hint = "Name one part, not several, to put it back under another name.";
        let parts: Vec<_> = chosen
            .iter()
            .map(|chosen| chosen.part.path.display().to_string())
            .collect();
        return Err(Misuse::new(format!("`--as` is for one part, not for {}", parts.join(", ")), hint).into());
    }
    let own = [location_path(context.chosen()?.location()), context.cache_directory()];
    let protect: Vec<PathBuf> = own.into_iter().flatten().collect();
    let mut parts = Vec::new();
    for chosen in &chosen {
        let options = PutBack {
            rename: wanted.rename.map(str::to_owned),
            overwrite: wanted.overwrite,
            only: chosen.only.clone(),
            protect: protect.clone(),
        };
        let source = source_of(config, &point.manifest, &chosen.part)?;
        let stored = Stored::new(&chosen.part, point.points(), &point.selected, &progress);
        parts.push((source, stored, options));
    }
    let surroundings = Surroundings {
        secrets: context.environment(),
        cancel: context.cancel(),
        monitor: &progress,
    };
    let plan = PutBackPlan::of(&parts, &surroundings)?;
    let steps = plan.steps().to_vec();
    let output = context.output();
    if wanted.dry_run {
        let value = json!({"message_type": "restore_plan", "dry_run": true, "steps": steps});
        output.done(&value, format!("would do this:\n  {}", steps.join("\n  ")))?;
        return Ok(Exit::Done);
    }
    if !wanted.yes {
        confirm(&steps, context)?;
    }
    let restored = plan.execute()?;
    drop(parts);
    progress.finish();
    let value = json!({
        "message_type": "summary",
        "dry_run": false,
        "steps": steps,
        "seconds_elapsed": progress.elapsed().as_secs_f64(),
        "entries_restored": restored.entries,
        "bytes_restored": restored.bytes,
        "error_count": restored.problems,
    });
    let mut text = format!(
        "restored `{}`: {}, {} in {}",
        wanted.part.display(),
        count(restored.entries, "entry"),
        bytes(restored.bytes),
        duration(progress.elapsed()),
    );
    if restored.problems > 0 {
        text.push_str(&format!(
            "\n  {} NOT RESTORED as it should be",
            count(restored.problems, "entry")
        ));
    }
    output.done(&value, text)?;
    Ok(Exit::from_problems(restored.problems))
}

fn confirm(steps: &[String], context: &Context) -> anyhow::Result<()> {
    if !io::stdin().is_terminal() {
        let hint = "Look at `--dry-run` first, then repeat the command with `--yes`.";
        return Err(Misuse::new("nobody is there to confirm the restore", hint).into());
    }
    context
        .output()
        .info(format!("This will be done:\n  {}", steps.join("\n  ")))?;
    let confirmed = inquire::Confirm::new("Go on?").with_default(false).prompt();
    context.cancel().check()?;
    if matches!(confirmed, Ok(true)) {
        return Ok(());
    }
    Err(repository::Error::Refused {
        message: "nothing was restored: it was not confirmed".to_owned(),
        hint: "Repeat the command, and answer yes.".to_owned(),
    }
    .into())
}
