//! What a source would capture, found out without capturing it.

use serde::Serialize;
use std::collections::BTreeMap;

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// Versions of the server and of the programs that would be used.
    pub versions: BTreeMap<String, String>,
    /// Databases, or whatever it consists of.
    pub found: Vec<Found>,
    /// What stands in the way: rights, programs. Empty means that it can be captured.
    pub missing: Vec<String>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// One thing that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// What it is called.
    pub name: String,
    /// How large it is, bytes, if that is known.
    pub bytes: Option<u64>,
}
