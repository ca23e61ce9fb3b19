//! Snapshots in, snapshots out.
//!
//! [`points`] is what both formats have in common.
//! [`archive`] writes and reads plain archives that standard tools open, one object per run.
//! [`restic`] is the engine for repositories in restic's format, version 2 (and reading version 1): it stays interchangeable with
//! stock restic in both directions, locks included. [`local`] reads and writes the local file system.

pub mod archive;
pub mod clock;
mod error;
mod filter;
mod held;
mod id;
pub mod local;
mod monitor;
pub mod points;
pub mod restic;
pub mod retention;
mod sha256;
mod size;
mod substitute;

pub use error::{Error, Result};
pub use filter::{Filter, FilterBuilder, Marker, literal_pattern};
pub use held::Held;
pub use id::{Id, InvalidId};
pub use monitor::{Cancel, Counters, Event, Monitor, Recorder};
pub use size::{UnknownSize, parse_size, parse_size_in};
pub use substitute::Substitute;
