//! Options that name a second repository, to take something over from.

use super::{Context, chosen, names};
use crate::config::address::{AddressNames, AddressOptions};
use crate::config::env;
use crate::config::password::{PasswordNames, PasswordOptions};
use repository::restic::repository::Repository;
use std::path::PathBuf;

const ADDRESS: AddressNames = AddressNames {
    option: "--from-repo",
    variable: env::FROM_REPOSITORY,
    file_variable: None,
};

const PASSWORD: PasswordNames = PasswordNames {
    subject: "the repository to copy from",
    file_option: "--from-password-file",
    command_option: "--from-password-command",
    variable: env::FROM_PASSWORD,
    file_variable: env::FROM_PASSWORD_FILE,
    command_variable: env::FROM_PASSWORD_COMMAND,
};

/// Options that name another repository.
#[derive(Debug, clap::Args)]
pub struct FromArgs {
    /// Repository to copy from: an address, or the name of one that is configured
    #[arg(long, value_name = "ADDRESS", add = names::repositories_and_paths())]
    from_repo: Option<String>,
    /// File to read that address from
    #[arg(long, value_name = "FILE")]
    from_repository_file: Option<PathBuf>,
    /// File to read the password of that repository from
    #[arg(long, value_name = "FILE")]
    from_password_file: Option<PathBuf>,
    /// Command that prints that password
    #[arg(long, value_name = "COMMAND")]
    from_password_command: Option<String>,
    /// Id of the key of that repository to try first
    #[arg(long, value_name = "ID")]
    from_key_hint: Option<String>,
}

impl FromArgs {
    /// Open that repository.
    pub fn open(self, context: &Context) -> anyhow::Result<Repository> {
        let options = AddressOptions {
            address: self.from_repo,
            file: self.from_repository_file,
        };
        let chosen = chosen::choose(options, ADDRESS, context)?;
        chosen.demand_restic()?;
        let options = PasswordOptions {
            file: self.from_password_file,
            command: self.from_password_command,
        };
        let password = context.password_of(&chosen, options, PASSWORD)?;
        let mut options = context.open_options(chosen.location())?;
        options.key_hint = self.from_key_hint;
        context.open_at(&chosen, &password, &options)
    }
}
