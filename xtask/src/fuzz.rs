//! Runs each fuzz target briefly: enough to see that it still builds and that no shallow bug came back.
//!
//! Sanitizers and coverage counters are unstable options of the compiler. They are switched on in the pinned toolchain
//! (`RUSTC_BOOTSTRAP`), so that no second toolchain has to be installed, and what is fuzzed is what is shipped.

use crate::sh::{Sh, root};
use crate::{Done, parallel, setup};
use anyhow::{Result, ensure};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// Seconds for each target
    #[arg(long, default_value_t = 20)]
    pub seconds: u64,
    /// Targets to run; all when none is named
    pub targets: Vec<String>,
}

pub fn run(args: &Args) -> Done {
    if !root().join("fuzz/Cargo.toml").is_file() {
        return Ok(Some("nothing fuzzed: there is no fuzz/Cargo.toml".to_owned()));
    }
    setup::for_fuzz()?;
    let targets = chosen(&args.targets)?;
    cargo_fuzz().arg("build").run()?;
    // Each target takes one core. What is told of one that fails is told at once.
    let results = parallel::map(&targets, |target| {
        fuzz(target, args.seconds).inspect_err(|error| eprintln!("{error:#}"))
    });
    let failed = targets.iter().zip(results).filter(|(_, result)| result.is_err());
    let failed: Vec<&str> = failed.map(|(target, _)| target.as_str()).collect();
    ensure!(
        failed.is_empty(),
        "fuzzing found a fault in: {}\nhint: the input is kept in fuzz/artifacts; repeat it with \
         `RUSTC_BOOTSTRAP=1 cargo fuzz run TARGET FILE`",
        failed.join(", ")
    );
    Ok(None)
}

fn cargo_fuzz() -> Sh {
    Sh::cargo().arg("fuzz").env("RUSTC_BOOTSTRAP", "1")
}

fn chosen(wanted: &[String]) -> Result<Vec<String>> {
    let listed = cargo_fuzz().arg("list").stdout()?;
    let all: Vec<String> = listed.lines().map(str::to_owned).collect();
    ensure!(!all.is_empty(), "fuzz/Cargo.toml has no targets");
    for target in wanted {
        ensure!(
            all.contains(target),
            "no fuzz target `{target}`\nhint: the targets are: {}",
            all.join(", ")
        );
    }
    Ok(if wanted.is_empty() { all } else { wanted.to_vec() })
}

/// Fuzzes one target, starting from what earlier runs found and from the inputs that are checked in.
fn fuzz(target: &str, seconds: u64) -> Result<()> {
    let corpus = root().join("fuzz/corpus").join(target);
    std::fs::create_dir_all(&corpus)?;
    let seeds = root().join("fuzz/seeds").join(target);
    let inputs: Vec<PathBuf> = [corpus, seeds].into_iter().filter(|dir| dir.is_dir()).collect();
    eprintln!("fuzzing {target} for {seconds} s");
    // What the fuzzer prints is worth reading only if it found something.
    cargo_fuzz()
        .args(["run", target])
        .args(inputs)
        .args([
            "--",
            &format!("-max_total_time={seconds}"),
            "-timeout=10",
            "-rss_limit_mb=2048",
            "-verbosity=0",
        ])
        .output()?;
    Ok(())
}
