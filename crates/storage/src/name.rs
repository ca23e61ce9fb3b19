//! Which names an object may have.

use crate::{Error, ErrorKind, Result};

/// What stands between the final name and the random part of a temporary one. The tilde is not allowed in names of
/// objects, so that no object can be mistaken for a temporary file, or be hidden as one.
pub(crate) const TEMPORARY: &str = ".tmp~";

/// Refuse what is not a valid object name, before anything is touched.
pub(crate) fn check_name(operation: &'static str, name: &str, location: &str) -> Result<()> {
    if is_valid(name) {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::InvalidName, operation, name, location))
    }
}

/// Like [`check_name`], but for a listing, whose prefix may be empty.
pub(crate) fn check_prefix(prefix: &str, location: &str) -> Result<()> {
    if prefix.is_empty() {
        Ok(())
    } else {
        check_name("list", prefix, location)
    }
}

/// Whether `name` is relative, slash-separated and made of harmless parts only.
pub(crate) fn is_valid(name: &str) -> bool {
    name.split('/').all(is_valid_part)
}

/// Whether `part` can stand between two slashes of a name.
pub(crate) fn is_valid_part(part: &str) -> bool {
    !matches!(part, "" | "." | "..")
        && part
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// Whether `name` lies under `prefix`, counted in whole parts.
pub(crate) fn is_under(name: &str, prefix: &str) -> bool {
    prefix.is_empty() || name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_repositories_are_valid() {
        for name in ["config", "data/3f/3f9a", "a-b_c.d", "..a", "a..b/...", "-"] {
            assert!(is_valid(name), "{name}");
        }
    }

    #[test]
    fn names_that_could_leave_the_store_are_not() {
        for name in [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a b", "a\\b", "ä", "a\0", "a\n", "a~b", "a+b",
        ] {
            assert!(!is_valid(name), "{name:?}");
        }
    }

    #[test]
    fn a_prefix_names_whole_parts() {
        assert!(is_under("data/3f", "data"));
        assert!(!is_under("data", "data"));
        assert!(is_under("data", ""));
        assert!(!is_under("database/3f", "data"));
        assert!(!is_under("dat", "data"));
    }
}
