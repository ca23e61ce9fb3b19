//! Who we are at a server that speaks HTTP: WebDAV, and restic's REST protocol.

use crate::Secret;
#[cfg(feature = "s3")]
use crate::WebLocation;

/// Options of WebDAV stores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebdavOptions {
    /// User and password, together.
    pub login: Login,
    /// A token that is sent instead of user and password (`Authorization: Bearer`).
    pub token: Option<Secret>,
}

/// Options of stores behind a server for restic's REST protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestOptions {
    /// User and password, together.
    pub login: Login,
}

/// A user and a password (`Authorization: Basic`). Without both, those in the address, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// Name of the user.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
}

#[cfg(feature = "s3")]
impl Login {
    /// What to log in with at `location`; the error is the reason why this cannot work.
    pub(crate) fn at(&self, location: &WebLocation) -> Result<Option<(String, Secret)>, String> {
        match (&self.user, &self.password) {
            (Some(user), Some(_)) if user.contains(':') => Err("a user name cannot contain a colon".to_owned()),
            (Some(user), Some(password)) => Ok(Some((user.clone(), password.clone()))),
            (None, None) => Ok(location
                .credentials
                .clone()
                .map(|(user, password)| (user, password.into()))),
            _ => Err("a user and a password are needed together".to_owned()),
        }
    }
}

#[cfg(feature = "s3")]
impl WebdavOptions {
    /// Refuse what cannot work; the answer is the reason.
    pub(crate) fn check(&self) -> Result<(), String> {
        match &self.token {
            Some(_) if self.login != Login::default() => {
                Err("a token is given as well as a user or a password; one way to log in is enough".to_owned())
            }
            Some(token) if !is_header(token.reveal()) => Err("the token has characters that cannot be sent".to_owned()),
            _ => Ok(()),
        }
    }
}

/// Whether `text` can stand in a header.
#[cfg(feature = "s3")]
pub(crate) fn is_header(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location() -> WebLocation {
        WebLocation {
            endpoint: "https://host".to_owned(),
            path: String::new(),
            credentials: Some(("in".to_owned(), "address".to_owned())),
        }
    }

    #[test]
    fn a_login_is_whole() {
        let login = |user: Option<&str>, password: Option<&str>| Login {
            user: user.map(str::to_owned),
            password: password.map(Secret::from),
        };
        let given = login(Some("a"), Some("b")).at(&location()).unwrap().unwrap();
        assert_eq!((given.0.as_str(), given.1.reveal()), ("a", "b"));
        let found = login(None, None).at(&location()).unwrap().unwrap();
        assert_eq!((found.0.as_str(), found.1.reveal()), ("in", "address"));
        for half in [
            login(Some("a"), None),
            login(None, Some("b")),
            login(Some("a:c"), Some("b")),
        ] {
            assert!(half.at(&location()).is_err(), "{half:?}");
        }
    }

    #[test]
    fn there_is_one_way_to_log_in() {
        let mut options = WebdavOptions {
            token: Some("abc".into()),
            ..WebdavOptions::default()
        };
        assert_eq!(options.check(), Ok(()));
        options.login.user = Some("me".to_owned());
        assert!(options.check().unwrap_err().contains("one way"));
        options = WebdavOptions {
            token: Some("a\nb".into()),
            ..WebdavOptions::default()
        };
        assert!(options.check().is_err());
    }
}
