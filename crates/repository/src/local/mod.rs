//! The local file system: reading entries with all their metadata, and putting them back.
//!
//! Everything works relative to open directories and never follows a symbolic link that it was not told to follow, so that
//! a tree that is changed while it is read or restored cannot lead elsewhere.

pub mod apply;
mod apply_handle;
pub mod holes;
pub mod meta;
pub mod node;
pub mod scan;
pub mod special;
pub mod target;
pub mod users;
pub mod xattr;

#[cfg(test)]
mod restic_test;
#[cfg(test)]
mod round_trip_test;
