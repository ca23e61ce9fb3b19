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

/// The address, from the options if one is given there, else from the variables.
pub fn resolve(options: AddressOptions, names: AddressNames, environment: &Environment) -> Result<Location, Misuse> {
    let text = match (options.address, options.file) {
        (Some(_), Some(_)) => return Err(twice(names, "options")),
        (Some(address), None) => address,
        (None, Some(file)) => read(file)?,
        (None, None) => from_variables(names, environment)?,
    };
    let hint = "Write a directory, `s3:https://HOST/BUCKET/PREFIX`, `s3://BUCKET/PREFIX`, `sftp://USER@HOST/PATH`, or `rclone:REMOTE:PATH`.";
    text.parse()
        .map_err(|error: storage::Error| Misuse::new("cannot use the repository's address", hint).because(error))
}

fn from_variables(names: AddressNames, environment: &Environment) -> Result<String, Misuse> {
    let file = names.file_variable.and_then(|variable| environment.path(variable));
    match (environment.text(names.variable)?, file) {
        (Some(_), Some(_)) => Err(twice(names, "variables")),
        (Some(address), None) => Ok(address),
        (None, Some(file)) => read(file),
        (None, None) => Err(Misuse::new(
            "no repository is named",
            format!(
                "Name one with `{} ADDRESS`, or set `{}`.",
                names.option, names.variable.name
            ),
        )),
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

    fn given(address: &str) -> AddressOptions {
        AddressOptions {
            address: Some(address.to_owned()),
            file: None,
        }
    }

    #[test]
    fn an_option_goes_before_its_variable() {
        let environment = Environment::of([(env::REPOSITORY, "/variable")]);
        assert_eq!(
            resolve(given("/option"), NAMES, &environment).unwrap(),
            Location::Local("/option".into())
        );
        let none = AddressOptions::default();
        assert_eq!(
            resolve(none, NAMES, &environment).unwrap(),
            Location::Local("/variable".into())
        );
    }

    #[test]
    fn none_two_and_empty_are_refused() {
        let none = AddressOptions::default();
        assert!(
            resolve(none.clone(), NAMES, &Environment::default())
                .unwrap_err()
                .hint
                .contains("--repo")
        );
        let both = Environment::of([(env::REPOSITORY, "/a"), (env::REPOSITORY_FILE, "/b")]);
        assert!(resolve(none, NAMES, &both).unwrap_err().message.contains("twice"));
        let empty = tempfile::NamedTempFile::new().unwrap();
        let options = AddressOptions {
            address: None,
            file: Some(empty.path().into()),
        };
        assert!(
            resolve(options, NAMES, &Environment::default())
                .unwrap_err()
                .message
                .contains("no address")
        );
    }
}
