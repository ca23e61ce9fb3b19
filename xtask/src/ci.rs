//! All checks, each to its end, so that one run shows everything that is wrong.

use crate::{Done, deny, docs, fuzz, lint, test};
use anyhow::ensure;
use std::time::{Duration, Instant};

type Step = fn() -> Done;

/// Lint comes before test, and uses the same profile: what it compiles for the build's own use is not compiled again. Test comes
/// last, so that the names of failed tests stand at the end of the log.
const STEPS: &[(&str, Step)] = &[
    ("lint", lint::run),
    ("deny", deny::run),
    ("docs", || docs::run(&docs::Args::all())),
    ("fuzz", || {
        fuzz::run(&fuzz::Args {
            seconds: 10,
            targets: Vec::new(),
        })
    }),
    ("test", || test::run(&test::Args::all())),
];

pub fn run() -> Done {
    let start = Instant::now();
    let results: Vec<(&str, Duration, Done)> = STEPS.iter().map(|(name, step)| timed(name, *step)).collect();
    eprintln!(
        "\nSummary of `cargo xtask ci` after {:.0} s",
        start.elapsed().as_secs_f64()
    );
    for (name, took, result) in &results {
        eprintln!("  {name:6} {:6.0} s  {}", took.as_secs_f64(), verdict(result));
    }
    let failed: Vec<&str> = results
        .iter()
        .filter(|(_, _, result)| result.is_err())
        .map(|(name, _, _)| *name)
        .collect();
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(None)
}

fn timed(name: &str, step: Step) -> (&str, Duration, Done) {
    eprintln!("\n=== {name} ===");
    let start = Instant::now();
    let result = step();
    if let Err(error) = &result {
        eprintln!("error: {error:#}");
    }
    (name, start.elapsed(), result)
}

fn verdict(result: &Done) -> String {
    match result {
        Ok(None) => "passed".to_owned(),
        Ok(Some(note)) => format!("passed, but {note}"),
        Err(error) => format!("FAILED: {}", error.to_string().lines().next().unwrap_or_default()),
    }
}
