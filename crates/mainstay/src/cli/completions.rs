//! `mainstay completions`.

use super::{Context, names};
use crate::exit::Exit;
use clap_complete::Shell;
use std::io::Write as _;

const EXAMPLES: &str = "Examples:
  mainstay completions bash > /etc/bash_completion.d/mainstay
  mainstay completions bash --names > /etc/bash_completion.d/mainstay
  mainstay completions zsh > \"${fpath[1]}/_mainstay\"
  mainstay completions fish > ~/.config/fish/completions/mainstay.fish";

/// Options of `completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
    /// Complete names of repositories and jobs of the configuration, too: the script asks this program at each key
    #[arg(long)]
    names: bool,
}

/// Print a script that completes commands and options.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    if args.names {
        names::script(args.shell, &mut script)?;
    } else {
        clap_complete::generate(args.shell, &mut super::command(), "mainstay", &mut script);
    }
    let mut out = context.output().writer();
    out.write_all(&script)?;
    out.flush()?;
    Ok(Exit::Done)
}
