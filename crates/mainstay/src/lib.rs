//! Mainstay, the program: backups for people who run their own servers.
//!
//! [`cli`] is the outermost layer; nothing depends on it. What is below reads no environment (but [`config::env`]), starts no
//! process (but [`exec`]) and reads no clock (but [`clock`]).

pub mod cli;
pub mod clock;
pub mod config;
pub mod docker;
pub mod engine;
pub mod exec;
pub mod exit;
pub mod explain;
pub mod interrupt;
pub mod memory;
pub mod source;
