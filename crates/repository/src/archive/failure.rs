//! Our errors on their way through code that only knows `io::Error`.

use crate::Error;
use std::io;

/// Our error in a system error's clothes, for [`carried`].
pub fn carry(error: Error) -> io::Error {
    io::Error::other(error)
}

/// What a reader or writer failed with: our own error, if it was one.
pub fn carried(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => damaged(&error),
    }
}

/// A stream that is not what was written.
fn damaged(error: &io::Error) -> Error {
    Error::Damaged {
        object: "archive",
        name: "content".to_owned(),
        reason: error.to_string(),
    }
}

/// A refusal with the next action.
pub fn refused(message: &str, hint: &str) -> Error {
    Error::Refused {
        message: message.to_owned(),
        hint: hint.to_owned(),
    }
}
