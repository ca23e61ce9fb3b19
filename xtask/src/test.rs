//! Builds everything once, optimised, then runs all tests and the examples in the API documentation.

use crate::sh::Sh;
use crate::{Done, setup};
use anyhow::Result;

#[derive(clap::Args)]
pub struct Args {
    /// For nextest: names of tests to run, or its options
    #[arg(last = true)]
    nextest: Vec<String>,
}

impl Args {
    pub fn all() -> Self {
        Self { nextest: Vec::new() }
    }
}

pub fn run(args: &Args) -> Done {
    setup::for_tests()?;
    build()?;
    let tests = Sh::cargo()
        .args(["nextest", "run", "--workspace", "--cargo-profile", "fast"])
        .args(&args.nextest)
        .run();
    // Whoever asks for particular tests does not mean the examples of the documentation.
    if args.nextest.is_empty() {
        let examples = Sh::cargo()
            .args(["test", "--doc", "--workspace", "--profile", "fast"])
            .run();
        tests.and(examples)?;
    } else {
        tests?;
    }
    Ok(None)
}

/// Builds the program and all tests in one go, so that features are resolved once and nothing is compiled twice.
pub fn build() -> Result<()> {
    Sh::cargo()
        .args(["build", "--workspace", "--bins", "--tests", "--profile", "fast"])
        .run()
}
