//! `cargo xtask COMMAND`: everything that a developer or CI runs, one file per command.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program talks to a developer's terminal"
)]

mod bench;
mod ci;
mod deny;
mod docs;
mod fuzz;
mod lint;
mod newer;
mod parallel;
mod setup;
mod sh;
mod test;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// What a command returns: for the summary of `ci`, what it did not do although its name says so (or nothing).
type Done = anyhow::Result<Option<String>>;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Everything that a developer or CI runs",
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run lint, deny, test, docs and a short fuzz, and print a summary
    Ci,
    /// Install what the tests need, build, run all tests and the documentation's examples
    Test(test::Args),
    /// Check formatting, clippy, the API documentation, words that do not belong here, links between documents
    Lint,
    /// Check licences, banned and duplicate crates, sources and known vulnerabilities of the dependencies
    Deny,
    /// Run each fuzz target for a short time
    Fuzz(fuzz::Args),
    /// Compare with other programs, or count instructions of the hot paths
    Bench(bench::Args),
    /// Run the commands of README.md and docs/guide
    Docs(docs::Args),
    /// Install the programs that the tests need
    Setup,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Ci => ci::run(),
        Command::Test(args) => test::run(&args),
        Command::Lint => lint::run(),
        Command::Deny => deny::run(),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Docs(args) => docs::run(&args),
        Command::Setup => setup::run(),
    };
    match result {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(note)) => {
            eprintln!("note: {note}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
