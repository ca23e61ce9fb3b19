//! Which repository is meant.

use super::Misuse;
use super::env::{Environment, Variable};
use std::fs;
use std::path::PathBuf;
use storage::Location;

/// How an address can be given, by options and variables.
#[derive(Clone, Debug, Default)]
pub struct AddressOptions {
    /// The address itself.
    pub address: Option<String>,
    /// A file that holds it.
    pub file: Option<PathBuf>,
}

/// Names for messages, and variables that replace the options.
#[derive(Clone, Copy, Debug)]
pub struct AddressNames {
    /// Such as `--repo`.
    pub option: &'static str,
    /// Replaces the address.
    pub variable: Variable,
    /// Replaces the file, if there is such a variable.
    pub file_variable: Option<Variable>,
}

/// What is given, from the options if they say it, else from the variables: an address, or the name of a repository.
pub fn given(
    options: AddressOptions,
    names: AddressNames,
    environment: &Environment,
) -> Result<Option<String>, Misuse> {
    match (options.address, options.file) {
        (Some(_), Some(_)) => Err(twice(names, "options")),
        (Some(address), None) => Ok(Some(address)),
        (None, Some(file)) => read(file).map(Some),
        (None, None) => from_variables(names, environment),
    }
}

/// The location that an address stands for.
pub fn location(address: &str) -> Result<Location, Misuse> {
    let hint = "Write a directory, or an address such as `s3:https://HOST/BUCKET/PREFIX`, `sftp://USER@HOST/PATH` or `rclone:REMOTE:PATH`; \
                the guide lists all kinds.";
    address
        .parse()
        .map_err(|error: storage::Error| Misuse::new("cannot use the repository's address", hint).because(error))
}

fn from_variables(names: AddressNames, environment: &Environment) -> Result<Option<String>, Misuse> {
    let file = names.file_variable.and_then(|variable| environment.path(variable));
    match (environment.text(names.variable)?, file) {
        (Some(_), Some(_)) => Err(twice(names, "variables")),
        (Some(address), None) => Ok(Some(address)),
        (None, Some(file)) => read(file).map(Some),
        (None, None) => Ok(None),
    }
}

fn twice(names: AddressNames, how: &str) -> Misuse {
    let message = format!("the repository is named twice, by two {how}");
    Misuse::new(
        message,
        format!("Use either `{}` or the file that holds the address.", names.option),
    )
}

fn read(file: PathBuf) -> Result<String, Misuse> {
    let unreadable = |error| {
        let message = format!("cannot read the repository's address from `{}`", file.display());
        Misuse::new(message, "Check the file's path and permissions.").because(error)
    };
    let text = fs::read_to_string(&file).map_err(unreadable)?;
    match text.trim() {
        "" => Err(Misuse::new(
            format!("the file `{}` holds no address", file.display()),
            "Write the repository's address into it, on one line.",
        )),
        address => Ok(address.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::env;
    use super::*;

    const NAMES: AddressNames = AddressNames {
        option: "--repo",
        variable: env::REPOSITORY,
        file_variable: Some(env::REPOSITORY_FILE),
    };

    fn option(address: &str) -> AddressOptions {
        AddressOptions {
            address: Some(address.to_owned()),
            file: None,
        }
    }

    #[test]
    fn an_option_goes_before_its_variable() {
        let environment = Environment::of([(env::REPOSITORY, "/variable")]);
        assert_eq!(
            given(option("/option"), NAMES, &environment).unwrap().as_deref(),
            Some("/option")
        );
        let none = AddressOptions::default();
        assert_eq!(given(none, NAMES, &environment).unwrap().as_deref(), Some("/variable"));
    }

    #[test]
    fn two_and_empty_are_refused() {
        let none = AddressOptions::default();
        assert_eq!(given(none.clone(), NAMES, &Environment::default()).unwrap(), None);
        let both = Environment::of([(env::REPOSITORY, "/a"), (env::REPOSITORY_FILE, "/b")]);
        assert!(given(none, NAMES, &both).unwrap_err().message.contains("twice"));
        let empty = tempfile::NamedTempFile::new().unwrap();
        let options = AddressOptions {
            address: None,
            file: Some(empty.path().into()),
        };
        assert!(
            given(options, NAMES, &Environment::default())
                .unwrap_err()
                .message
                .contains("no address")
        );
    }
}
