//! What a repository says about logging in at its store.

use super::place::Scheme;
use super::repository::{Repository, text};
use crate::config::Misuse;
use crate::config::secret::{SecretReader, SecretSource};
use storage::{DropboxOptions, Login, Options, RestOptions, Secret, WebdavOptions};

impl Repository {
    /// Put what the repository says into `options`. Where it names one way to log in, the environment's are not looked at: halves
    /// from here and from there would never fit.
    ///
    /// # Errors
    /// As [`SecretSource::read`].
    pub(super) fn log_in(&self, options: &mut Options, reader: &dyn SecretReader) -> Result<(), Misuse> {
        let (secrets, rest) = (&self.secrets, &self.rest);
        let secret = |source: &Option<SecretSource>| -> Result<Option<Secret>, Misuse> {
            Ok(text(source.as_ref(), reader)?.map(Secret::from))
        };
        let login = || -> Result<Login, Misuse> {
            Ok(Login {
                user: rest.user.clone(),
                password: secret(&secrets.login_password)?,
            })
        };
        let has_login = rest.user.is_some() || secrets.login_password.is_some();
        let endpoint = &self.options.s3.endpoint;
        match self.place.scheme() {
            Scheme::Webdav if has_login || secrets.token.is_some() => {
                options.webdav = WebdavOptions {
                    login: login()?,
                    token: secret(&secrets.token)?,
                };
            }
            Scheme::Rest if has_login => options.rest = RestOptions { login: login()? },
            Scheme::Azblob => {
                let azblob = &mut options.azblob;
                azblob.account = rest.account.clone().or(azblob.account.take());
                azblob.endpoint = endpoint.clone().or(azblob.endpoint.take());
                if secrets.account_key.is_some() || secrets.sas_token.is_some() {
                    azblob.account_key = secret(&secrets.account_key)?;
                    azblob.sas_token = secret(&secrets.sas_token)?;
                }
            }
            Scheme::Gcs => {
                let gcs = &mut options.gcs;
                gcs.endpoint = endpoint.clone().or(gcs.endpoint.take());
                gcs.anonymous |= self.options.s3.anonymous;
                gcs.credentials = secret(&secrets.credentials)?.or(gcs.credentials.take());
            }
            Scheme::B2 if secrets.access_key.is_some() => {
                options.b2.key_id = text(secrets.access_key.as_ref(), reader)?;
                options.b2.key = secret(&secrets.secret_key)?;
            }
            Scheme::Dropbox if secrets.token.is_some() || secrets.refresh_token.is_some() => {
                options.dropbox = DropboxOptions {
                    token: secret(&secrets.token)?,
                    refresh_token: secret(&secrets.refresh_token)?,
                    app_key: rest.app_key.clone(),
                    app_secret: secret(&secrets.app_secret)?,
                    ..DropboxOptions::default()
                };
            }
            Scheme::Webdav | Scheme::Rest | Scheme::B2 | Scheme::Dropbox => {}
            Scheme::Local | Scheme::S3 | Scheme::Sftp | Scheme::Rclone => {}
        }
        Ok(())
    }
}
