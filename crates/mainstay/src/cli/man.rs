//! `mainstay man`.

use super::Context;
use crate::exit::Exit;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  mainstay man /usr/local/share/man/man1
  mainstay man . && man ./mainstay-backup.1";

/// Options of `man`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Directory to write the pages to; it has to exist
    directory: PathBuf,
}

/// Write a manual page for each command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let unwritable = repository::Error::local("write manual pages to", &args.directory);
    // The built-in `help` command would get a page for every command a second time.
    clap_mangen::generate_to(super::command().disable_help_subcommand(true), &args.directory).map_err(unwritable)?;
    context
        .output()
        .info(format_args!("wrote the manual pages to `{}`", args.directory.display()))?;
    Ok(Exit::Done)
}
