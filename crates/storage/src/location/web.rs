//! Addresses that are a URL: `https://host/path`.

use std::fmt::{self, Write as _};

use super::{authority_of, decode, prefix, refuse};
use crate::Error;

/// A place at a server that speaks HTTP.
#[derive(Clone, PartialEq, Eq)]
pub struct WebLocation {
    /// Scheme, host and port, without a slash at the end.
    pub endpoint: String,
    /// The path at the server, not encoded; without slashes at either end, may be empty.
    pub path: String,
    /// User and password, where the address was written as `https://USER:PASSWORD@host/…`.
    pub credentials: Option<(String, String)>,
}

/// `url` is `text` without what stands before `http`.
pub(super) fn parse(text: &str, url: &str) -> Result<WebLocation, Error> {
    let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
    if !matches!(scheme, "http" | "https") {
        return Err(refuse(
            text,
            "after the colon an address with `http://` or `https://` is needed".to_owned(),
        ));
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (credentials, host) = authority_of(text, authority, "a user and a password")?;
    if path.contains(['?', '#']) {
        return Err(refuse(text, "a path in a store has no `?` and no `#`".to_owned()));
    }
    Ok(WebLocation {
        endpoint: format!("{scheme}://{host}"),
        path: prefix(text, &decode(path))?,
        credentials,
    })
}

impl fmt::Display for WebLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.endpoint)?;
        // Only what would mean something else.
        self.path.chars().try_for_each(|c| match c {
            '%' => f.write_str("%25"),
            '?' => f.write_str("%3F"),
            '#' => f.write_str("%23"),
            c => f.write_char(c),
        })
    }
}

impl fmt::Debug for WebLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Location;

    fn web(text: &str) -> WebLocation {
        match text.parse() {
            Ok(Location::Webdav(web) | Location::Rest(web)) => web,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn urls() {
        for (text, endpoint, path, shown) in [
            (
                "webdav+https://host/a/b/",
                "https://host",
                "a/b",
                "webdav+https://host/a/b",
            ),
            (
                "webdav+http://[::1]:8080/a%20b",
                "http://[::1]:8080",
                "a b",
                "webdav+http://[::1]:8080/a b",
            ),
            (
                "rest:https://host:8000/",
                "https://host:8000",
                "",
                "rest:https://host:8000/",
            ),
            ("rest:http://host", "http://host", "", "rest:http://host/"),
            (
                "rest:http://host/50%25%3F%23%+1",
                "http://host",
                "50%?#%+1",
                "rest:http://host/50%25%3F%23%25+1",
            ),
            (
                "webdav+http://host/%2541",
                "http://host",
                "%41",
                "webdav+http://host/%2541",
            ),
        ] {
            let location = web(text);
            assert_eq!((location.endpoint.as_str(), location.path.as_str()), (endpoint, path));
            assert_eq!(text.parse::<Location>().unwrap().to_string(), shown);
            assert_eq!(web(shown), location, "{shown}");
        }
    }

    #[test]
    fn passwords_in_addresses_are_used_and_hidden() {
        let location = web("rest:https://me:hu%2Fsh@host/path");
        assert_eq!(location.credentials, Some(("me".into(), "hu/sh".into())));
        for shown in [location.to_string(), format!("{location:?}")] {
            assert!(!shown.contains("hu"), "{shown}");
        }
    }
}
