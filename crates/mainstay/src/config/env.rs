//! The only place of this crate that reads the environment, and the list of everything that it reads there.

use super::Misuse;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::PathBuf;

/// A variable of the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it is for, as help shows it.
    pub purpose: &'static str,
}

macro_rules! variables {
    ($($id:ident = $name:literal: $purpose:literal;)*) => {
        $(#[doc = $purpose] pub const $id: Variable = Variable { name: $name, purpose: $purpose };)*
        /// Every variable that is read.
        pub const ALL: &[Variable] = &[$($id),*];
    };
}

variables! {
    CONFIG = "MAINSTAY_CONFIG": "configuration file (--config)";
    REPOSITORY = "MAINSTAY_REPOSITORY": "name or address of the repository (--repo)";
    REPOSITORY_FILE = "MAINSTAY_REPOSITORY_FILE": "file that holds the address (--repository-file)";
    PASSWORD = "MAINSTAY_PASSWORD": "password of the repository";
    PASSWORD_FILE = "MAINSTAY_PASSWORD_FILE": "file that holds the password (--password-file)";
    PASSWORD_COMMAND = "MAINSTAY_PASSWORD_COMMAND": "command that prints the password (--password-command)";
    IDENTITY_FILE = "MAINSTAY_IDENTITY_FILE": "private key that opens archives (--identity)";
    IDENTITY_PASSWORD = "MAINSTAY_IDENTITY_PASSWORD": "passphrase of that key";
    IDENTITY_PASSWORD_FILE = "MAINSTAY_IDENTITY_PASSWORD_FILE": "file that holds that passphrase (--identity-password-file)";
    IDENTITY_PASSWORD_COMMAND = "MAINSTAY_IDENTITY_PASSWORD_COMMAND": "command that prints it (--identity-password-command)";
    KEY_HINT = "MAINSTAY_KEY_HINT": "id of the key to try first (--key-hint)";
    SOURCES = "MAINSTAY_SOURCES": "without a file: paths of the job `default`, separated by colons";
    SCHEDULE = "MAINSTAY_SCHEDULE": "without a file: when that job runs, such as `0 2 * * *`";
    TIMEZONE = "MAINSTAY_TIMEZONE": "without a file: time zone of the schedule, such as `Europe/Berlin`";
    KEEP = "MAINSTAY_KEEP": "without a file: what is kept, such as `daily=7,weekly=4`";
    EXCLUDE = "MAINSTAY_EXCLUDE": "without a file: patterns to leave out, separated by colons";
    HOST = "MAINSTAY_HOST": "without a file: name of this host in snapshots";
    FROM_REPOSITORY = "MAINSTAY_FROM_REPOSITORY": "name or address of the repository to copy from (--from-repo)";
    FROM_PASSWORD = "MAINSTAY_FROM_PASSWORD": "password of the repository to copy from";
    FROM_PASSWORD_FILE = "MAINSTAY_FROM_PASSWORD_FILE": "file that holds that password (--from-password-file)";
    FROM_PASSWORD_COMMAND = "MAINSTAY_FROM_PASSWORD_COMMAND": "command that prints that password (--from-password-command)";
    COMPLETE = "MAINSTAY_COMPLETE": "set by the scripts of `completions --names`, to the name of the shell";
    CACHE_DIR = "MAINSTAY_CACHE_DIR": "directory of the cache (--cache-dir)";
    STATE_DIR = "MAINSTAY_STATE_DIR": "directory of what `quickstart` makes";
    AWS_ACCESS_KEY_ID = "AWS_ACCESS_KEY_ID": "S3 access key";
    AWS_SECRET_ACCESS_KEY = "AWS_SECRET_ACCESS_KEY": "S3 secret key";
    AWS_SESSION_TOKEN = "AWS_SESSION_TOKEN": "session token of temporary S3 keys";
    AWS_REGION = "AWS_REGION": "S3 region (-o s3.region)";
    AWS_DEFAULT_REGION = "AWS_DEFAULT_REGION": "S3 region, if AWS_REGION is not set";
    AWS_PROFILE = "AWS_PROFILE": "profile in ~/.aws to take the S3 keys from";
    AWS_ENDPOINT_URL = "AWS_ENDPOINT_URL": "S3 endpoint for `s3://bucket` (-o s3.endpoint)";
    SFTP_PASSWORD = "MAINSTAY_SFTP_PASSWORD": "password of the user at the SFTP server";
    SFTP_KEY_PASSPHRASE = "MAINSTAY_SFTP_KEY_PASSPHRASE": "passphrase of the SSH key (-o sftp.key-file)";
    SSH_AUTH_SOCK = "SSH_AUTH_SOCK": "socket of the SSH agent";
    USER = "USER": "user at the SFTP server, if nothing else says";
    WEBDAV_USERNAME = "WEBDAV_USERNAME": "user at a WebDAV server";
    WEBDAV_PASSWORD = "WEBDAV_PASSWORD": "password of that user";
    RESTIC_REST_USERNAME = "RESTIC_REST_USERNAME": "user at a REST server";
    RESTIC_REST_PASSWORD = "RESTIC_REST_PASSWORD": "password of that user";
    AZURE_ACCOUNT_NAME = "AZURE_ACCOUNT_NAME": "name of the Azure account";
    AZURE_ACCOUNT_KEY = "AZURE_ACCOUNT_KEY": "key of the Azure account";
    AZURE_ACCOUNT_SAS = "AZURE_ACCOUNT_SAS": "shared access signature for Azure, instead of the key";
    GOOGLE_APPLICATION_CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS": "file with the key of a Google service account";
    B2_ACCOUNT_ID = "B2_ACCOUNT_ID": "id of a Backblaze application key";
    B2_ACCOUNT_KEY = "B2_ACCOUNT_KEY": "the Backblaze application key";
    DROPBOX_TOKEN = "DROPBOX_TOKEN": "access token for Dropbox, which lasts for hours";
    DROPBOX_REFRESH_TOKEN = "DROPBOX_REFRESH_TOKEN": "refresh token for Dropbox, instead of the access token";
    DROPBOX_APP_KEY = "DROPBOX_APP_KEY": "key of the app that the refresh token was given to";
    DROPBOX_APP_SECRET = "DROPBOX_APP_SECRET": "secret of that app";
    NO_COLOR = "NO_COLOR": "no colours in tables and progress";
    HOME = "HOME": "where ~/.cache, ~/.local/share and ~/.ssh are";
    XDG_CACHE_HOME = "XDG_CACHE_HOME": "parent of the cache's directory, instead of ~/.cache";
    CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY": "where systemd puts the credentials of the unit";
    XDG_DATA_HOME = "XDG_DATA_HOME": "parent of the state's directory, instead of ~/.local/share";
}

/// What every variable that holds one of our secrets begins with; child processes do not get these.
pub const OWN_PREFIX: &str = "MAINSTAY_";

/// The variables as they were when the program started. All of them: a configuration may name any as the place of a secret.
#[derive(Clone, Default)]
pub struct Environment(HashMap<OsString, OsString>);

impl std::fmt::Debug for Environment {
    /// Names only: values may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Environment {
    /// This process's.
    pub fn current() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// One made for a test.
    pub fn of<const N: usize>(values: [(Variable, &str); N]) -> Self {
        Self(
            values
                .into_iter()
                .map(|(variable, value)| (variable.name.into(), value.into()))
                .collect(),
        )
    }

    /// The same with another variable, for a test.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// A variable's value, even if it is empty.
    pub fn raw(&self, variable: Variable) -> Option<OsString> {
        self.named(variable.name)
    }

    /// The value of a variable that the user's configuration names.
    pub fn named(&self, name: impl AsRef<OsStr>) -> Option<OsString> {
        self.0.get(name.as_ref()).cloned()
    }

    /// A variable that is set and not empty.
    pub fn path(&self, variable: Variable) -> Option<PathBuf> {
        self.raw(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// A variable that is set and not empty, as text.
    pub fn text(&self, variable: Variable) -> Result<Option<String>, Misuse> {
        let refuse = |_| {
            Misuse::new(
                format!("`{}` is not valid UTF-8", variable.name),
                "Set it to plain text.",
            )
        };
        self.raw(variable)
            .filter(|value| !value.is_empty())
            .map(OsString::into_string)
            .transpose()
            .map_err(refuse)
    }
}

/// The names of those of our variables that are set now, known or not.
pub fn own_names() -> Vec<OsString> {
    let ours = |name: &OsString| name.to_string_lossy().starts_with(OWN_PREFIX);
    std::env::vars_os().map(|(name, _)| name).filter(ours).collect()
}

/// The list as help shows it.
pub fn help() -> String {
    let width = ALL.iter().map(|variable| variable.name.len()).max().unwrap_or_default();
    ALL.iter().fold(
        "Environment variables (an option goes before its variable; a password may be given in one way only):\n"
            .to_owned(),
        |mut text, variable| {
            let _ = writeln!(text, "  {:width$}  {}", variable.name, variable.purpose);
            text
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_is_as_good_as_unset_but_for_secrets() {
        let environment = Environment::of([(REPOSITORY, ""), (PASSWORD, "")]);
        assert_eq!(environment.text(REPOSITORY).unwrap(), None);
        assert_eq!(environment.raw(PASSWORD), Some(OsString::new()));
    }

    #[test]
    fn no_value_is_shown() {
        assert_eq!(
            format!("{:?}", Environment::of([(PASSWORD, "hush")])),
            r#"{"MAINSTAY_PASSWORD"}"#
        );
    }

    #[test]
    fn help_names_every_variable() {
        assert!(ALL.iter().all(|variable| help().contains(variable.name)));
    }
}
