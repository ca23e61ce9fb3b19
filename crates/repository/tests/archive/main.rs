//! Plain archives, with the tools that users have as the oracles.
//!
//! - `reading`: what was written comes back
//! - `snapshot`: archives made of a snapshot instead of the sources
//! - `support`: a directory with a source and a store
//! - `changes`: files that change while they are read
//! - `crashes`: the store fails, or the program dies, at every call
//! - `judges`: on every backend, other programs fetch and read it
//! - `purge`: what has to go is gone, and nothing else
//! - `oracles`: `tar`, `zstd`, `gzip`, `age` and `gpg` read what we write

mod bounded;
mod changes;
mod crashes;
mod judges;
mod latest;
mod oracles;
mod purge;
mod reading;
mod snapshot;
mod support;
