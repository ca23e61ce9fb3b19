//! What an error says, and what to do about it.

use crate::config::Misuse;
use crate::source::api;
use crate::{docker, exec};
use anyhow::Error;
use std::io;

/// The error and its causes in one line; a cause that only repeats what stands there already is left out.
pub fn chain(error: &Error) -> String {
    causes(error.as_ref())
}

/// The same of an error that is not ours to own.
pub fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .fold(String::new(), |text, cause| {
            if text.is_empty() {
                cause
            } else if text.ends_with(&cause) {
                text
            } else {
                format!("{text}: {cause}")
            }
        })
}

/// The next action: that of the outermost cause that knows one.
pub fn hint(error: &Error) -> Option<String> {
    error.chain().find_map(|cause| {
        let of_repository = cause
            .downcast_ref::<repository::Error>()
            .and_then(repository::Error::hint);
        let of_misuse = || Some(cause.downcast_ref::<Misuse>()?.hint.clone());
        of_repository
            .or_else(of_misuse)
            .or_else(|| Some(cause.downcast_ref::<exec::Error>()?.hint()))
            .or_else(|| Some(cause.downcast_ref::<docker::Error>()?.hint()))
            .or_else(|| Some(cause.downcast_ref::<api::Error>()?.hint()))
            .or_else(|| output_hint(cause.downcast_ref::<io::Error>()?))
    })
}

/// Errors of the system that nobody has named a file for are those of standard output.
fn output_hint(error: &io::Error) -> Option<String> {
    let text = match error.kind() {
        io::ErrorKind::StorageFull => "Free space where standard output is written to, or write it to another place.",
        _ => "Check the place that standard output is written to.",
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_store_repeats_is_said_once() {
        let refused = || io::Error::other("refused");
        let error = storage::Error::new(storage::ErrorKind::Unavailable, "read", "config", "sftp:x")
            .because(Misuse::new("cannot connect: refused", "").because(refused()));
        let text = causes(&error);
        assert_eq!(text.matches("refused").count(), 1, "{text}");
    }

    #[test]
    fn the_chain_says_everything_once() {
        let inner = io::Error::other("disk on fire");
        let error = Error::from(Misuse::new("disk on fire", "Run.").because(inner)).context("cannot write");
        assert_eq!(chain(&error), "cannot write: disk on fire");
        assert_eq!(hint(&error).as_deref(), Some("Run."));
    }
}
