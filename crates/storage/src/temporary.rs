//! Files that are not objects yet, for stores in which an object is a file that is renamed when it is complete.

use std::time::{Duration, SystemTime};

use crate::clock;

/// What stands between the final name and the random part of a temporary one. The tilde is not allowed in names of
/// objects, so that no object can be mistaken for a temporary file, or be hidden as one.
pub(crate) const MARK: &str = ".tmp~";

/// A temporary file of this age belongs to a program that is gone.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// What makes the name of an object one that nobody else uses for its temporary file.
pub(crate) fn suffix() -> String {
    format!("{MARK}{:016x}", fastrand::u64(..))
}

/// Whether a file called `name` is a temporary one.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.contains(MARK)
}

/// Whether a temporary file that was last written at `modified` can be removed. One from the future stays.
pub(crate) fn is_abandoned(modified: SystemTime) -> bool {
    clock::age(modified).is_some_and(|age| age > ABANDONED)
}
