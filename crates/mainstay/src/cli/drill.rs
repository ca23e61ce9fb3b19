//! `mainstay drill`.

use super::Context;
use super::output::{count, duration};
use super::parts::Point;
use super::selection::FilterArgs;
use crate::config::Misuse;
use crate::engine::parts::{Drilled, choose, drill, source_of};
use crate::exit::Exit;
use crate::source::{Stored, Surroundings, Verdict};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

const EXAMPLES: &str = "Examples:
  mainstay drill latest --job web
  mainstay drill latest --part /postgres/main/app --scratch /mnt/large

Each part of what a job captured is restored into an empty directory below --scratch, tested there as its source knows how,
and removed again. Databases are restored into a server of their own, by the programs of this host, or else in a container of
their image that is removed again. What is in use is not touched. The exit code is 20 if a part is not proven to be restorable.";

/// Options of `drill`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Id of a snapshot or name of an archive, or its beginning, or `latest`
    #[arg(default_value = "latest")]
    snapshot: String,
    #[command(flatten)]
    filter: FilterArgs,
    /// Only this part: its path in the snapshot, or a directory of several
    #[arg(long, value_name = "PATH")]
    part: Option<PathBuf>,
    /// Directory with enough space for what is restored; without it, that for temporary files
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

/// Prove that a restore point can be restored.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let config = &context.configuration()?.config;
    let mut progress = context.progress();
    let point = Point::open(&args.snapshot, &args.filter, context, &progress)?;
    let scratch = args.scratch.unwrap_or_else(std::env::temp_dir);
    let wanted = args.part.as_deref().unwrap_or(Path::new("/"));
    let surroundings = Surroundings {
        secrets: context.environment(),
        cancel: context.cancel(),
        monitor: &progress,
    };
    let mut drilled = Vec::new();
    for chosen in choose(&point.manifest, wanted)? {
        if let Some(only) = &chosen.only {
            let message = format!("a part is proven as a whole, not only `{}` of it", only.display());
            return Err(Misuse::new(message, format!("Choose `{}`.", chosen.part.path.display())).into());
        }
        let source = source_of(config, &point.manifest, &chosen.part)?;
        let stored = Stored::new(&chosen.part, point.points(), &point.selected, &progress);
        drilled.push(drill(&*source, &stored, &scratch, &surroundings)?);
    }
    progress.finish();
    let ok = drilled.iter().all(|one| one.ok);
    let value = json!({
        "message_type": "drill",
        "snapshot": point.selected.point.id(),
        "ok": ok,
        "verdict": verdict(&drilled),
        "seconds_elapsed": progress.elapsed().as_secs_f64(),
        "parts": drilled,
    });
    context.output().done(&value, to_text(&drilled))?;
    Ok(if ok { Exit::Done } else { Exit::Unhealthy })
}

fn to_text(drilled: &[Drilled]) -> String {
    let mut text = String::new();
    for one in drilled {
        let took = duration(Duration::from_secs_f64(one.seconds));
        let state = match (one.ok, is_unproven(one)) {
            (true, _) => "ok",
            (false, true) => "UNPROVEN",
            (false, false) => "FAILED",
        };
        text.push_str(&format!("{state:<7} {} in {took}{}\n", one.part.display(), place(one)));
        for check in &one.proof.checks {
            match &check.verdict {
                Verdict::Passed => {}
                Verdict::Failed { message } => text.push_str(&format!("        {}: {message}\n", check.what)),
                Verdict::Skipped { reason } => {
                    text.push_str(&format!("        {}: not tested: {reason}\n", check.what));
                }
            }
        }
        if let Some(error) = &one.error {
            text.push_str(&format!("        {error}\n"));
        }
    }
    text.push_str(&verdict(drilled));
    text
}

/// Where it was tested, if that was a server.
fn place(one: &Drilled) -> String {
    let on = one.proof.server.as_ref().map(|server| format!(", on {server}"));
    let image = one.proof.image.as_ref();
    let of = image.map(|image| format!(" in a container of the image `{image}`"));
    [on, of].into_iter().flatten().collect()
}

/// Nothing is wrong with it as far as it was tested, which is not far enough.
fn is_unproven(one: &Drilled) -> bool {
    !one.ok && one.error.is_none() && !one.proof.has_failed()
}

/// `RESTORE OK`, and what was counted: `12 workflows, 8 credentials`; or which parts failed, or could not be restored here.
fn verdict(drilled: &[Drilled]) -> String {
    let failed: Vec<_> = drilled.iter().filter(|one| !one.ok).collect();
    if failed.is_empty() {
        let mut sums: Vec<(u64, &str)> = Vec::new();
        for (found, noun) in drilled.iter().flat_map(|one| &one.proof.counts) {
            match sums.iter_mut().find(|(_, known)| known == noun) {
                Some((sum, _)) => *sum += found,
                None => sums.push((*found, noun)),
            }
        }
        let counted: Vec<String> = sums.iter().map(|(sum, noun)| count(*sum, noun)).collect();
        if drilled.iter().all(|one| !one.proof.is_ok()) {
            return "NOTHING TO RESTORE — all of it was removed on purpose".to_owned();
        }
        return format!("RESTORE OK — {}", counted.join(", "));
    }
    let named = |word: &str, parts: Vec<&&Drilled>| {
        let parts: Vec<_> = parts.iter().map(|one| one.part.display().to_string()).collect();
        format!("{word} — {}", parts.join(", "))
    };
    let (unproven, failed): (Vec<_>, Vec<_>) = failed.iter().partition(|one| is_unproven(one));
    if failed.is_empty() {
        named("RESTORE NOT PROVEN", unproven)
    } else {
        named("RESTORE FAILED", failed)
    }
}
