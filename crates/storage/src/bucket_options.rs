//! What the stores of Microsoft, Google, Backblaze and Dropbox need to know beside their addresses.

use std::path::PathBuf;

use crate::Secret;

/// Options of Azure Blob Storage. Without a key and a token: the machine's own identity, as Microsoft's programs find it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AzblobOptions {
    /// Name of the storage account.
    pub account: Option<String>,
    /// Key of the account.
    pub account_key: Option<Secret>,
    /// Shared access signature, the part of such a URL behind the `?`.
    pub sas_token: Option<Secret>,
    /// Scheme, host and path before the container; without it, Microsoft's host of the account.
    pub endpoint: Option<String>,
}

/// Options of Google Cloud Storage. Without credentials: the machine's own, as Google's programs find them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcsOptions {
    /// Key of a service account, as the JSON that Google hands out.
    pub credentials: Option<Secret>,
    /// A file that holds them, where they are not given themselves.
    pub credentials_file: Option<PathBuf>,
    /// Scheme and host, where it is not Google's.
    pub endpoint: Option<String>,
    /// Do not sign requests, for buckets that everybody may read and for emulators.
    pub anonymous: bool,
}

/// Options of Backblaze B2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct B2Options {
    /// Id of an application key; together with `key`.
    pub key_id: Option<String>,
    /// The application key; together with `key_id`.
    pub key: Option<Secret>,
    /// Scheme and host that keys are authorized at, where it is not Backblaze's.
    pub endpoint: Option<String>,
}

/// Options of Dropbox. An access token lasts for hours; a refresh token lasts, and gets new ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DropboxOptions {
    /// An access token.
    pub token: Option<Secret>,
    /// A refresh token, with the key and secret of the app that it was given to.
    pub refresh_token: Option<Secret>,
    /// The app's key.
    pub app_key: Option<String>,
    /// The app's secret.
    pub app_secret: Option<Secret>,
    /// Scheme and host that all requests go to instead of Dropbox's, for tests.
    pub endpoint: Option<String>,
}

#[cfg(feature = "s3")]
impl AzblobOptions {
    /// Refuse what cannot work; the answer is the reason.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.account_key.is_some() && self.sas_token.is_some() {
            return Err(
                "an account key is given as well as a shared access signature; one of them is enough".to_owned(),
            );
        }
        if self.account.is_none() && (self.endpoint.is_none() || self.account_key.is_some()) {
            return Err("the name of the Azure account is missing".to_owned());
        }
        Ok(())
    }

    /// Where the account is.
    pub(crate) fn endpoint(&self) -> String {
        match (&self.endpoint, &self.account) {
            (Some(endpoint), _) => endpoint.clone(),
            (None, account) => format!(
                "https://{}.blob.core.windows.net",
                account.as_deref().unwrap_or_default()
            ),
        }
    }
}

#[cfg(feature = "s3")]
impl GcsOptions {
    /// The key of the service account, if there is one; the error is the reason why it cannot be used.
    pub(crate) fn key(&self) -> Result<Option<Secret>, String> {
        let key = match (&self.credentials, &self.credentials_file) {
            _ if self.anonymous => return Ok(None),
            (Some(key), _) => key.clone(),
            (None, Some(path)) => std::fs::read_to_string(path)
                .map_err(|error| format!("credentials cannot be read from `{}`: {error}", path.display()))?
                .into(),
            (None, None) => return Ok(None),
        };
        // What the library does not understand, it passes over in silence.
        let json: serde_json::Value =
            serde_json::from_str(key.reveal()).map_err(|_| "the credentials are no JSON".to_owned())?;
        match json.get("type") {
            Some(serde_json::Value::String(_)) => Ok(Some(key)),
            _ => Err("the credentials are no key of a Google service account: they have no `type`".to_owned()),
        }
    }
}

#[cfg(feature = "s3")]
impl B2Options {
    /// The id and the key; the error is the reason why there are none.
    pub(crate) fn keys(&self) -> Result<(&str, &Secret), String> {
        let keys = self.key_id.as_deref().zip(self.key.as_ref());
        keys.ok_or_else(|| "the id of an application key and the key are needed".to_owned())
    }
}

#[cfg(feature = "s3")]
impl DropboxOptions {
    /// Refuse what cannot work; the answer is the reason.
    pub(crate) fn check(&self) -> Result<(), String> {
        match (&self.token, &self.refresh_token) {
            (None, None) => Err("a token for Dropbox is needed".to_owned()),
            (Some(_), Some(_)) => {
                Err("an access token and a refresh token are given; one of them is enough".to_owned())
            }
            (Some(token), None) if !crate::web_options::is_header(token.reveal()) => {
                Err("the token has characters that cannot be sent".to_owned())
            }
            (None, Some(_)) if self.app_key.is_none() || self.app_secret.is_none() => {
                Err("a refresh token needs the key and the secret of its app".to_owned())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn azure() {
        let mut options = AzblobOptions::default();
        assert!(options.check().unwrap_err().contains("account"));
        options.account = Some("me".into());
        assert_eq!(options.check(), Ok(()));
        assert_eq!(options.endpoint(), "https://me.blob.core.windows.net");
        options.account_key = Some("a".into());
        options.sas_token = Some("b".into());
        assert!(options.check().unwrap_err().contains("one of them"));
    }

    #[test]
    fn google() {
        let given = |text: &str| GcsOptions {
            credentials: Some(text.into()),
            ..GcsOptions::default()
        };
        let key = r#"{"type": "service_account"}"#;
        assert_eq!(GcsOptions::default().key(), Ok(None));
        assert_eq!(given(key).key(), Ok(Some(key.into())));
        for wrong in ["", "/path/to/file", "{}", r#"{"type": 1}"#] {
            assert!(given(wrong).key().is_err(), "{wrong}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), key).unwrap();
        let mut options = GcsOptions {
            credentials_file: Some(file.path().into()),
            ..GcsOptions::default()
        };
        assert_eq!(options.key(), Ok(Some(key.into())));
        options.credentials_file = Some("/nowhere".into());
        assert!(options.key().unwrap_err().contains("/nowhere"));
        options.anonymous = true;
        assert_eq!(options.key(), Ok(None));
    }

    #[test]
    fn dropbox() {
        let access = DropboxOptions {
            token: Some("abc".into()),
            ..DropboxOptions::default()
        };
        assert_eq!(access.check(), Ok(()));
        let refresh = DropboxOptions {
            refresh_token: Some("abc".into()),
            app_key: Some("key".into()),
            app_secret: Some("secret".into()),
            ..DropboxOptions::default()
        };
        assert_eq!(refresh.check(), Ok(()));
        for wrong in [
            DropboxOptions::default(),
            DropboxOptions {
                token: Some("line\nbreak".into()),
                ..DropboxOptions::default()
            },
            DropboxOptions {
                app_secret: None,
                ..refresh.clone()
            },
            DropboxOptions {
                token: Some("abc".into()),
                ..refresh
            },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }
}
