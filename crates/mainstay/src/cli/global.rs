//! Options that every command takes, before or after its name.

use super::names;
use super::suggested::suggest;
use crate::config::{store, units};
use clap::Args;
use repository::restic::compress::Compression;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

const HEADING: &str = "Global options";

/// As written; [`Context`](super::Context) makes sense of them together with the environment.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = HEADING)]
pub struct GlobalArgs {
    /// Repository: its name in the configuration, or an address: a directory (`./NAME` is one always),
    /// s3:https://HOST/BUCKET/PREFIX, or s3://BUCKET/PREFIX; archive:ADDRESS for archives. May be left out if one is configured
    #[arg(short, long, global = true, value_name = "NAME|ADDRESS", add = names::repositories_and_paths())]
    pub repo: Option<String>,
    /// Configuration file; without it, mainstay.yaml here or in /etc/mainstay
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// File to read the repository's address from
    #[arg(long, global = true, value_name = "FILE")]
    pub repository_file: Option<PathBuf>,
    /// File to read the password from
    #[arg(short, long, global = true, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Command that prints the password
    #[arg(long, global = true, value_name = "COMMAND")]
    pub password_command: Option<String>,
    /// Private key that opens archives: a file of age identities, an SSH key, or OpenPGP secret keys; may be repeated
    #[arg(long, global = true, value_name = "FILE")]
    pub identity: Vec<PathBuf>,
    /// File to read the passphrase of that key from, if it is protected by one
    #[arg(long, global = true, value_name = "FILE")]
    pub identity_password_file: Option<PathBuf>,
    /// Command that prints that passphrase
    #[arg(long, global = true, value_name = "COMMAND")]
    pub identity_password_command: Option<String>,
    /// Id of the key to try first
    #[arg(long, global = true, value_name = "ID")]
    pub key_hint: Option<String>,
    /// Directory of the cache
    #[arg(long, global = true, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// Do not use a cache
    #[arg(long, global = true, conflicts_with = "cache_dir")]
    pub no_cache: bool,
    /// Do not lock the repository; for commands that only read, in places that cannot be written to
    #[arg(long, global = true)]
    pub no_lock: bool,
    /// Go on trying for this long if the repository is locked
    #[arg(long, global = true, value_name = "DURATION", value_parser = units::duration)]
    pub retry_lock: Option<Duration>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Print results, warnings and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print each file that is new, changed or restored; twice for unchanged files as well
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Upload at most this much per second: a number of KiB, or a size such as 2M
    #[arg(long, global = true, value_name = "RATE", value_parser = units::rate)]
    pub limit_upload: Option<NonZeroU64>,
    /// Download at most this much per second: a number of KiB, or a size such as 2M
    #[arg(long, global = true, value_name = "RATE", value_parser = units::rate)]
    pub limit_download: Option<NonZeroU64>,
    /// Extended option; `mainstay --help` lists them
    #[arg(short, long = "option", global = true, value_name = "KEY=VALUE")]
    pub options: Vec<String>,
    /// Size of new packs in MiB, 4 to 128
    #[arg(long, global = true, value_name = "MIB", value_parser = store::pack_size)]
    pub pack_size: Option<usize>,
    /// Compression of new data: off, fast, auto, max, or a zstd level from 1 to 19
    #[arg(long, global = true, value_name = "MODE", hide_possible_values = true)]
    #[arg(value_parser = suggest::<Compression>(&["off", "fast", "auto", "max"]))]
    pub compression: Option<Compression>,
}
