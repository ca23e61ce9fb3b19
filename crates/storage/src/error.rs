//! What can go wrong in a store, sorted by what a caller does about it.

use std::fmt;
use std::time::SystemTime;

use crate::Hold;

/// Result of a storage call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed storage call: what was tried on which object where, and why it failed.
#[derive(Debug, thiserror::Error)]
#[error("{operation} `{object}` in `{location}`: {kind}")]
pub struct Error {
    /// What the caller can do about it.
    pub kind: ErrorKind,
    /// The call, as a verb: `read`, `write`, `list`.
    pub operation: &'static str,
    /// The object's name, or the prefix of a listing.
    pub object: String,
    /// The store's [`location`](crate::Store::location).
    pub location: String,
    /// The next action as a sentence, where the backend knows better than what follows from `kind`.
    pub hint: Option<String>,
    /// Of [`ErrorKind::Held`]: until when the store keeps the object, if it says. Boxed, because errors are returned everywhere and this
    /// is rare.
    pub held_until: Option<Box<SystemTime>>,
    /// The backend's own error.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A failure without a cause below it.
    pub fn new(
        kind: ErrorKind,
        operation: &'static str,
        object: impl Into<String>,
        location: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            operation,
            object: object.into(),
            location: location.into(),
            hint: None,
            held_until: None,
            source: None,
        }
    }

    /// The same failure with the way out of it, if there is one.
    #[must_use]
    pub fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// The same failure, which is the doing of `hold` and not of whoever called.
    #[must_use]
    pub fn held(mut self, hold: Hold) -> Self {
        self.kind = ErrorKind::Held;
        self.held_until = match hold {
            Hold::Until(time) => Some(Box::new(time)),
            Hold::UntilLifted => None,
        };
        self
    }

    /// The same failure with the error that caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such object (or, for a whole store, no such bucket or directory).
    NotFound,
    /// The store answered and refuses: credentials are wrong, or lack a permission.
    PermissionDenied,
    /// The store protects the object from deletion and change for a time, and would refuse anybody.
    Held,
    /// The object is shorter than the range asked for.
    Truncated,
    /// The name is not one that a store takes.
    InvalidName,
    /// The store has no space left, or a quota is used up.
    Full,
    /// No answer in time.
    TimedOut,
    /// The connection failed, or the store reported a fault of its own: worth another try.
    Unavailable,
    /// The store's address or options make no sense.
    Misconfigured,
    /// Anything else that the backend reported.
    Other,
}

impl ErrorKind {
    /// Whether the same call may succeed if it is repeated a little later.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::TimedOut | Self::Unavailable)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "not found",
            Self::PermissionDenied => "permission denied",
            Self::Held => "protected by the store for a time",
            Self::Truncated => "shorter than expected",
            Self::InvalidName => "not a valid object name",
            Self::Full => "no space left",
            Self::TimedOut => "no answer in time",
            Self::Unavailable => "store is not available",
            Self::Misconfigured => "wrong address or options",
            Self::Other => "failed",
        })
    }
}
