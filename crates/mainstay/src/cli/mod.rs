//! The command line: one file per command, all with the same signature, and a table that leads to them.

mod archives;
mod chosen;
mod context;
mod entry;
mod failure;
mod from;
mod global;
mod help;
mod identity;
mod names;
mod objects;
mod opened;
pub mod output;
mod parts;
mod patterns;
mod private_file;
mod probe;
mod selection;
mod suggested;

mod backup;
mod cat;
mod check;
mod completions;
mod config;
mod copy;
mod diff;
mod doctor;
mod drill;
mod dump;
mod find;
mod forget;
mod init;
mod key;
mod key_generate;
mod list;
mod ls;
mod man;
mod prune;
mod purge;
mod quickstart;
mod recovery_kit;
mod repair;
mod restore;
mod restore_part;
mod run;
mod snapshots;
mod stats;
mod tag;
mod time;
mod unlock;
mod version;

pub use context::{Context, holds_repository, location_path};
pub use failure::{report, usage_error};
pub use global::GlobalArgs;
pub use names::answer;

use crate::exit::Exit;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

/// Backups for people who run their own servers: encrypted, deduplicated, restorable without this program.
#[derive(Debug, Parser)]
#[command(name = "mainstay", version, max_term_width = 110, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    globals: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a new repository
    Init(init::Args),
    /// Run jobs of the configuration
    Run(run::Args),
    /// Complete repositories of jobs that missed runs
    Sync(run::SyncArgs),
    /// Back up files, directories or a stream
    Backup(Box<backup::Args>),
    /// List the snapshots
    Snapshots(snapshots::Args),
    /// List what a snapshot holds
    Ls(ls::Args),
    /// Find files in snapshots
    Find(find::Args),
    /// Show what differs between two snapshots
    Diff(diff::Args),
    /// Write a file, or a directory as a tar archive, to standard output
    Dump(dump::Args),
    /// Restore a snapshot, or part of it
    Restore(Box<restore::Args>),
    /// Restore into scratch, test what came back, and throw it away
    Drill(drill::Args),
    /// Look for damage
    Check(check::Args),
    /// Remove snapshots that no rule keeps, or that are named
    Forget(Box<forget::Args>),
    /// Give back the space of what no snapshot uses
    Prune(prune::Args),
    /// Remove a path from all snapshots, for good, with a report
    Purge(purge::Args),
    /// Copy snapshots from another repository
    Copy(copy::Args),
    /// Change the tags of snapshots
    Tag(tag::Args),
    /// Count what snapshots hold, and what they take
    Stats(stats::Args),
    /// Make a damaged repository usable again
    Repair(repair::Args),
    /// Write, check and show the configuration file
    Config(config::Args),
    /// Show what the sources of jobs hold, and what stands in the way of capturing them
    Probe(probe::Args),
    /// Try out what repositories are needed for, and name the permission that is missing
    Doctor(doctor::Args),
    /// Try everything out: make a repository, back up, restore, compare
    Quickstart(quickstart::Args),
    /// List, add, change and remove passwords; make keys for archives
    Key(key::Args),
    /// Write a page with everything that it takes to get everything back
    RecoveryKit(recovery_kit::Args),
    /// Remove locks that nobody holds any more
    Unlock(unlock::Args),
    /// Print an object of the repository as it is, for troubleshooting
    Cat(cat::Args),
    /// List the ids of the objects of a kind
    List(list::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Write the manual pages
    Man(man::Args),
    /// Print the version and what it was built for
    Version(version::Args),
}

/// The whole command line as clap knows it.
pub fn command() -> clap::Command {
    Cli::command().after_long_help(help::after_long_help())
}

/// Parse this process's arguments.
pub fn parse() -> Result<(GlobalArgs, Command), clap::Error> {
    let mut command = command();
    let mut matches = command.try_get_matches_from_mut(std::env::args_os())?;
    let cli = Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))?;
    Ok((cli.globals, cli.command))
}

/// Whether JSON is asked for, in arguments that could not be parsed.
pub fn asks_for_json() -> bool {
    let options = std::env::args_os().take_while(|argument| argument != "--");
    options.into_iter().any(|argument| argument == "--json")
}

/// Do what a command says.
pub fn run(command: Command, context: &Context) -> anyhow::Result<Exit> {
    match command {
        Command::Init(args) => init::run(args, context),
        Command::Run(args) => run::run(args, context),
        Command::Sync(args) => run::sync(args, context),
        Command::Backup(args) => backup::run(*args, context),
        Command::Snapshots(args) => snapshots::run(args, context),
        Command::Ls(args) => ls::run(args, context),
        Command::Find(args) => find::run(args, context),
        Command::Diff(args) => diff::run(args, context),
        Command::Dump(args) => dump::run(args, context),
        Command::Restore(args) => restore::run(*args, context),
        Command::Drill(args) => drill::run(args, context),
        Command::Check(args) => check::run(args, context),
        Command::Forget(args) => forget::run(*args, context),
        Command::Prune(args) => prune::run(args, context),
        Command::Purge(args) => purge::run(args, context),
        Command::Copy(args) => copy::run(args, context),
        Command::Tag(args) => tag::run(args, context),
        Command::Stats(args) => stats::run(args, context),
        Command::Repair(args) => repair::run(args, context),
        Command::Config(args) => config::run(args, context),
        Command::Probe(args) => probe::run(args, context),
        Command::Doctor(args) => doctor::run(args, context),
        Command::Quickstart(args) => quickstart::run(args, context),
        Command::Key(args) => key::run(args, context),
        Command::RecoveryKit(args) => recovery_kit::run(args, context),
        Command::Unlock(args) => unlock::run(args, context),
        Command::Cat(args) => cat::run(args, context),
        Command::List(args) => list::run(args, context),
        Command::Completions(args) => completions::run(args, context),
        Command::Man(args) => man::run(args, context),
        Command::Version(args) => version::run(args, context),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        fn check(command: &clap::Command) {
            if command.has_subcommands() {
                return command
                    .get_subcommands()
                    .filter(|sub| sub.get_name() != "help")
                    .for_each(check);
            }
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(
                after.contains("Examples:\n"),
                "`{}` has no examples",
                command.get_name()
            );
        }
        check(&command());
    }
}
