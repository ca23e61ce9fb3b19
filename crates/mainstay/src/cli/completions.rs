//! `mainstay completions`.

use super::Context;
use crate::exit::Exit;
use clap_complete::Shell;
use std::io::Write as _;

const EXAMPLES: &str = "Examples:
  mainstay completions bash > /etc/bash_completion.d/mainstay
  mainstay completions zsh > \"${fpath[1]}/_mainstay\"
  mainstay completions fish > ~/.config/fish/completions/mainstay.fish";

/// Options of `completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Print a script that completes commands and options.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "mainstay", &mut script);
    let mut out = context.output().writer();
    out.write_all(&script)?;
    out.flush()?;
    Ok(Exit::Done)
}
