//! `mainstay config show`.

use crate::cli::Context;
use crate::config::tree::show;
use crate::exit::Exit;
use serde_json::json;

pub const EXAMPLES: &str = "Examples:
  mainstay config show
  mainstay --config /etc/mainstay/mainstay.yaml config show --json

Secrets are never read: what is shown is where they are.";

/// Show what holds, with the origin of each value.
pub fn run(context: &Context) -> anyhow::Result<Exit> {
    let loaded = context.configuration()?;
    let output = context.output();
    if output.is_json() {
        output.json(&json!({
            "files": loaded.files,
            "config": show::json(&loaded.tree),
            "origins": show::origins(&loaded.tree),
        }))?;
    } else {
        output.line(show::yaml(&loaded.tree).trim_end())?;
    }
    Ok(Exit::Done)
}
