//! Shared test helpers: a store's contract, fault injection, recording, test servers.

pub mod conformance;
pub mod faults;
pub mod hook;
pub mod proxy;
pub mod recording;
pub mod s3_server;
pub mod scale;
pub mod ssh_server;
pub mod tree;
