//! Maintenance of repositories, with restic as the oracle in both directions.
//!
//! - `support`: repositories made by restic, in a directory or in memory
//! - `pruning`: forget and prune leave what is listed; restic agrees
//! - `crashes`: the program dies at every call to the store
//! - `damage`: check finds what is broken, repair mends what can be mended
//! - `held`: the store keeps objects for a time
//! - `others`: copy, tag and stats

mod crashes;
mod damage;
mod held;
mod others;
mod pruning;
mod support;
