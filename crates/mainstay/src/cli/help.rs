//! What stands below the list of commands and options.

use crate::config::{env, store};
use crate::exit;
use std::fmt::Write as _;

/// For `mainstay --help` and the manual.
pub fn after_long_help() -> String {
    let mut text = "Extended options (-o KEY=VALUE):\n".to_owned();
    for (key, meaning) in store::KEYS {
        let _ = writeln!(text, "  {key:<17}  {meaning}");
    }
    format!("{text}\n{}\n{}", env::help(), exit::help().trim_end())
}
