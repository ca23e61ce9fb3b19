//! What opens archives.

use super::Passphrase;
use super::age_method::passphrase_identity;
use super::openpgp::unread;
use crate::archive::failure::{carried, refused};
use crate::archive::manifest::Manifest;
use crate::{Error, Result};
use age::{DecryptError, Decryptor, Identity};
use pgp::composed::{DecryptionOptions, Message, SignedSecretKey, TheRing};
use pgp::types::{Password, Seipdv1ReadMode};
use std::fmt::Debug;
use std::io::{BufRead, Read};

/// The secrets that there are; the manifest says which of them an archive needs.
#[derive(Default)]
pub struct Keys {
    pub(super) age: Vec<Box<dyn Identity + Send + Sync>>,
    passphrase: Option<Passphrase>,
    pub(super) openpgp: Vec<(SignedSecretKey, Password)>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys")
            .field("age", &self.age.len())
            .finish_non_exhaustive()
    }
}

impl Keys {
    /// None, for archives that are not encrypted.
    pub fn none() -> Self {
        Self::default()
    }

    /// Add the passphrase.
    pub fn with_passphrase(mut self, passphrase: Passphrase) -> Self {
        self.passphrase = Some(passphrase);
        self
    }

    /// The passphrase, if there is one.
    pub fn passphrase(&self) -> Option<&Passphrase> {
        self.passphrase.as_ref()
    }

    /// Whether there is anything that could open an archive of this method.
    pub(in crate::archive) fn fit(&self, method: &str) -> bool {
        match method {
            "none" => true,
            "age" => !self.age.is_empty(),
            "age-passphrase" | "openpgp-passphrase" => self.passphrase.is_some(),
            "openpgp" => !self.openpgp.is_empty(),
            _ => false,
        }
    }

    /// Read what was encrypted with age.
    ///
    /// # Errors
    /// [`Error::WrongIdentity`] if it is encrypted for others.
    pub(in crate::archive) fn open_age<R: Read>(
        &self,
        manifest: &Manifest,
        sealed: R,
    ) -> Result<age::stream::StreamReader<R>> {
        let decryptor = Decryptor::new(sealed).map_err(|error| unopened(manifest, error))?;
        let opened = if decryptor.is_scrypt() {
            let passphrase = self.passphrase.as_ref().ok_or_else(|| missing(manifest))?;
            let identity = passphrase_identity(passphrase);
            decryptor.decrypt(std::iter::once(&identity as &dyn Identity))
        } else {
            decryptor.decrypt(self.age.iter().map(|identity| &**identity as &dyn Identity))
        };
        opened.map_err(|error| unopened(manifest, error))
    }
}

impl Keys {
    /// Read what was encrypted with OpenPGP. What comes out may only be trusted once its end was read without an error: the checksum of the
    /// whole stands there.
    ///
    /// # Errors
    /// [`Error::WrongIdentity`] if it is encrypted for others.
    pub(in crate::archive) fn open_openpgp<'a>(
        &self,
        manifest: &Manifest,
        sealed: impl BufRead + Debug + Send + 'a,
    ) -> Result<Message<'a>> {
        let passphrase: Option<Password> = self.passphrase.as_ref().map(|passphrase| passphrase.expose().into());
        let ring = TheRing {
            secret_keys: self.openpgp.iter().map(|(key, _)| key).collect(),
            key_passwords: self.openpgp.iter().map(|(_, password)| password).collect(),
            message_password: passphrase.iter().collect(),
            session_keys: Vec::new(),
            decrypt_options: DecryptionOptions::new().set_seipdv1_read_mode(Seipdv1ReadMode::Streaming),
        };
        let (message, _) = Message::from_reader(sealed).map_err(|error| unread(manifest, error))?;
        if !message.is_encrypted() {
            return Err(Error::Damaged {
                object: "archive",
                name: manifest.name.clone(),
                reason: "it is not encrypted, although its manifest says so".to_owned(),
            });
        }
        let (message, _) = message
            .decrypt_the_ring(ring, true)
            .map_err(|error| unread(manifest, error))?;
        Ok(message)
    }
}

/// Nothing that was given fits.
pub(in crate::archive) fn missing(manifest: &Manifest) -> Error {
    Error::WrongIdentity {
        name: manifest.name.clone(),
        method: manifest.encryption.method.clone(),
        recipients: manifest.encryption.recipients.clone(),
    }
}

fn unopened(manifest: &Manifest, error: DecryptError) -> Error {
    match error {
        DecryptError::NoMatchingKeys | DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
            missing(manifest)
        }
        DecryptError::ExcessiveWork { required, .. } => refused(
            &format!(
                "to open `{}`, its passphrase has to be hashed 2^{required} times, which is not done",
                manifest.name
            ),
            "Whoever made it wanted that; `age --decrypt` may be willing, if there is enough memory.",
        ),
        DecryptError::Io(error) => carried(error),
        error => Error::Damaged {
            object: "archive",
            name: manifest.name.clone(),
            reason: error.to_string(),
        },
    }
}
