//! Makes a damaged repository usable again, without the parts that are lost.
//!
//! In this order: [`index`] describes the packs that are there, [`packs`] saves what can be read of damaged packs, [`snapshots`]
//! replaces snapshots by ones that do without what is lost.

pub mod index;
pub mod packs;
pub(super) mod rewrite;
pub mod snapshots;
