//! Names of the configuration, completed in a shell while they are typed.
//!
//! A script that `completions --names` prints asks this program at each key what could come next. Nothing is printed but that, whatever
//! is wrong: a configuration that cannot be read has no names.

use super::command;
use crate::config::env::{self, Environment};
use crate::config::file::{self, Draft};
use clap_complete::engine::{
    ArgValueCandidates, ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter,
};
use clap_complete::env::Shells;
use clap_complete::{CompleteEnv, Shell};
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::PathBuf;

/// Answer the question of such a script; false if this process was started for something else.
///
/// # Errors
/// When the script is of a shell that is not known, or the answer cannot be written.
pub fn answer() -> clap::error::Result<bool> {
    let directory = std::env::current_dir().ok();
    CompleteEnv::with_factory(command)
        .var(env::COMPLETE.name)
        .try_complete(std::env::args_os(), directory.as_deref())
}

/// Write the script of a shell that asks.
///
/// # Errors
/// When there is none for it, or it cannot be written.
pub fn script(shell: Shell, out: &mut dyn Write) -> io::Result<()> {
    let (shells, name, variable) = (Shells::builtins(), "mainstay", env::COMPLETE.name);
    let completer = shells.completer(&shell.to_string()).ok_or(io::ErrorKind::Unsupported)?;
    completer.write_registration(variable, name, name, name, out)
}

/// Names of repositories, and paths, because an option takes both.
pub fn repositories_and_paths() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let is_begun = |name: &CompletionCandidate| begins_with(name.get_value(), typed);
        let names = repository_names().into_iter().filter(is_begun);
        names.chain(PathCompleter::any().complete(typed)).collect()
    })
}

/// Names of repositories.
pub fn repositories() -> ArgValueCandidates {
    ArgValueCandidates::new(repository_names)
}

/// Names of jobs.
pub fn jobs() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(Draft::job_names))
}

fn repository_names() -> Vec<CompletionCandidate> {
    candidates(Draft::repository_names)
}

fn candidates(names: impl Fn(&Draft) -> Option<Vec<&str>>) -> Vec<CompletionCandidate> {
    let given = config_in(std::env::args_os());
    let Ok(draft) = file::draft(given.as_deref(), &Environment::current()) else {
        return Vec::new();
    };
    let names = names(&draft).unwrap_or_default();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// The configuration that the command line names so far.
fn config_in(mut arguments: impl Iterator<Item = OsString>) -> Option<PathBuf> {
    while let Some(argument) = arguments.next() {
        if argument == "--config" {
            return arguments.next().map(PathBuf::from);
        }
        if let Some(file) = argument
            .to_str()
            .and_then(|argument| argument.strip_prefix("--config="))
        {
            return Some(PathBuf::from(file));
        }
    }
    None
}

fn begins_with(name: &OsStr, typed: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(typed.as_encoded_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_that_is_named_counts() {
        let config = |words: &str| config_in(words.split(' ').map(OsString::from));
        assert_eq!(config("mainstay -- mainstay --config a.yaml -r"), Some("a.yaml".into()));
        assert_eq!(config("mainstay -- mainstay --config=a.yaml -r"), Some("a.yaml".into()));
        assert_eq!(config("mainstay -- mainstay -r"), None);
    }
}
