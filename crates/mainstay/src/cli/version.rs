//! `mainstay version`.

use super::Context;
use crate::exit::Exit;
use serde_json::json;
use std::env::consts::{ARCH, OS};

/// Options of `version`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mainstay version\n  mainstay version --json")]
pub struct Args {}

/// Print the version.
pub fn run(Args {}: Args, context: &Context) -> anyhow::Result<Exit> {
    let version = env!("CARGO_PKG_VERSION");
    let output = context.output();
    if output.is_json() {
        output.json(&json!({"message_type": "version", "version": version, "os": OS, "arch": ARCH}))?;
    } else {
        output.line(format_args!("mainstay {version} for {OS}/{ARCH}"))?;
    }
    Ok(Exit::Done)
}
