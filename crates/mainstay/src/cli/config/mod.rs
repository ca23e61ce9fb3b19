//! `mainstay config`.

mod check;
mod init;
mod show;

use super::Context;
use crate::config::keys::schema;
use crate::exit::Exit;
use std::io::Write as _;

const SCHEMA_EXAMPLES: &str = "Examples:
  mainstay config schema > /etc/mainstay/mainstay.schema.json

An editor with a YAML language server uses it when the file begins with
  # yaml-language-server: $schema=mainstay.schema.json";

/// Options of `config`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Write a configuration file; on a terminal, ask what belongs into it
    Init(init::Args),
    /// Look for everything that is wrong with the configuration
    Check(check::Args),
    /// Show what holds, defaults included, and where each value comes from
    #[command(after_help = show::EXAMPLES)]
    Show,
    /// Print a JSON Schema of the file, for editors
    #[command(after_help = SCHEMA_EXAMPLES)]
    Schema,
}

/// Look after the configuration file.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    match args.command {
        Command::Init(args) => init::run(args, context),
        Command::Check(args) => check::run(args, context),
        Command::Show => show::run(context),
        Command::Schema => print_schema(context),
    }
}

fn print_schema(context: &Context) -> anyhow::Result<Exit> {
    let mut out = context.output().writer();
    serde_json::to_writer_pretty(&mut out, &schema::schema())?;
    writeln!(out)?;
    out.flush()?;
    Ok(Exit::Done)
}
