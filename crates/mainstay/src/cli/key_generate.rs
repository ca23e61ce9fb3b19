//! `mainstay key generate`.

use super::{Context, private_file};
use crate::config::Misuse;
use crate::exit::Exit;
use repository::Monitor as _;
use repository::archive::Identity;
use serde_json::json;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

/// For `--help`.
pub const EXAMPLES: &str = "Examples:
  mainstay key generate archive.key
  mainstay key generate | age --encrypt --passphrase > archive.key.age

The file is one that age reads. Write the public key into the configuration, `encryption: {age: [age1…]}`, and keep the file
away from the host: without it, archives can be made but not read.";

/// Options of `key generate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File to make; without it, the private key goes to standard output, and the public key stands in its comment
    file: Option<PathBuf>,
}

/// Make a key.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let output = context.output();
    let Some(file) = &args.file else {
        refuse_to_show(output.is_json())?;
        let (identity, _) = Identity::generate();
        io::stdout().lock().write_all(identity.as_bytes())?;
        return Ok(Exit::Done);
    };
    let (identity, recipient) = Identity::generate();
    private_file::create(file, identity.as_bytes())?;
    if output.is_json() {
        output.json(&json!({"message_type": "key_generated", "file": file, "recipient": recipient}))?;
    } else {
        output.line(&recipient)?;
        context.monitor().note(&format!(
            "the private key is in `{}`: without it nothing that is encrypted for it can be read, so keep copies in other places",
            file.display()
        ));
    }
    Ok(Exit::Done)
}

/// A private key is not for a screen, and not for a JSON document that is logged.
fn refuse_to_show(is_json: bool) -> Result<(), Misuse> {
    if !is_json && !io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Misuse::new(
        "the private key would be shown",
        "Name a file to write it into, or send the output to one.",
    ))
}
