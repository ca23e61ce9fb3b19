//! What a store in a remote of rclone needs to know beside its address.

use std::ffi::OsString;
use std::path::PathBuf;

/// Options of rclone's stores.
#[derive(Clone, Debug)]
pub struct RcloneOptions {
    /// The program: a name that is searched for, or a path.
    pub program: PathBuf,
    /// More of rclone's own options, such as `--config=FILE` or `--tpslimit=10`.
    pub arguments: Vec<String>,
    /// Variables that it does not get: the secrets of this program. Others it needs, for the password of its configuration.
    pub hidden_variables: Vec<OsString>,
}

impl Default for RcloneOptions {
    fn default() -> Self {
        Self {
            program: "rclone".into(),
            arguments: Vec::new(),
            hidden_variables: Vec::new(),
        }
    }
}
