//! What a store says of itself beside its objects.

use std::time::SystemTime;

use bytes::Bytes;

use crate::Result;

/// What a store can be asked about itself. Nothing here is needed to store and to read objects: it explains what happens to them.
///
/// `None` means that the question makes no sense for this kind of store. An error means that the answer is not known, because the
/// store does not implement the question or the credentials may not ask it, and never that something is wrong. Only
/// [`create`](Inspect::create) changes anything; [`try_deletion`](Inspect::try_deletion) does for a moment.
pub trait Inspect: Send + Sync {
    /// How many seconds the store's clock was ahead of this host's when it last answered; negative when it was behind. `None` also
    /// when no answer has named the time yet.
    fn clock_ahead_seconds(&self) -> Option<i64> {
        None
    }

    /// Store an object only if there is none of this name; the answer says whether it was stored. It is sent once: after a
    /// lost answer a second try would find its own object.
    ///
    /// # Errors
    /// When the store knows no such condition, or any reason for which [`Store::write`](crate::Store::write) fails.
    fn create(&self, _name: &str, _content: Bytes) -> Option<Result<bool>> {
        None
    }

    /// Whether what is deleted or replaced stays as an old version.
    ///
    /// # Errors
    /// When the store does not say.
    fn versioning(&self) -> Option<Result<Versioning>> {
        None
    }

    /// Whether new objects are protected from deletion for a time.
    ///
    /// # Errors
    /// When the store does not say.
    fn object_lock(&self) -> Option<Result<ObjectLock>> {
        None
    }

    /// Whether objects may be deleted, tried with the name of one that is not there. In a bucket with versions even that leaves a delete
    /// marker, which is removed again; where the credentials may not do that it stays, a name without content.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`](crate::ErrorKind::PermissionDenied) where they may not, or when the store does not say.
    fn try_deletion(&self, _name: &str) -> Option<Result<()>> {
        None
    }

    /// What keeps the object `name` from being deleted now, if anything.
    ///
    /// # Errors
    /// When the store does not say, or there is no such object.
    fn held(&self, _name: &str) -> Option<Result<Option<Hold>>> {
        None
    }
}

/// Whether a bucket keeps old versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versioning {
    /// It never did.
    Off,
    /// It does.
    On,
    /// It did, and those that it has stay.
    Suspended,
}

/// What a bucket does to new objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectLock {
    /// Nothing: it has no object lock.
    Off,
    /// Nothing, unless the writer asks for it.
    OnRequest,
    /// It protects each of them.
    Default {
        /// Who can lift the protection: `COMPLIANCE` nobody, `GOVERNANCE` who has the right to.
        mode: String,
        /// For how long, in the unit that the bucket is set to, such as `30 days`.
        time: String,
    },
}

/// Why an object cannot be deleted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It is kept until then.
    Until(SystemTime),
    /// Until somebody lifts the hold.
    UntilLifted,
}
