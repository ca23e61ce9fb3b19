//! What opens archives.

use super::Passphrase;
use super::openpgp::unread;
use crate::archive::failure::{carried, refused};
use crate::{Error, Result};
use age::{DecryptError, Decryptor, Identity};
use pgp::composed::{DecryptionOptions, Deserializable as _, Message, SignedSecretKey, TheRing};
use pgp::types::{Password, Seipdv1ReadMode};
use std::fmt::Debug;
use std::io::{BufRead, Read};

/// The secrets that there are; the manifest says which of them an archive needs.
#[derive(Default)]
pub struct Keys {
    age: Vec<Box<dyn Identity + Send + Sync>>,
    passphrase: Option<Passphrase>,
    openpgp: Vec<(SignedSecretKey, Password)>,
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

    /// Add what stands in a file of age identities (`AGE-SECRET-KEY-…`), or an SSH private key without a passphrase.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is neither.
    pub fn with_age_identities(mut self, text: &str) -> Result<Self> {
        let no_identity = || {
            refused(
                "this is no identity of age, and no SSH key that can be used",
                "Give a file with `AGE-SECRET-KEY-…`, or an `ssh-ed25519` or `ssh-rsa` private key without a passphrase.",
            )
        };
        if text.contains("-----BEGIN") {
            let key = age::ssh::Identity::from_buffer(text.as_bytes(), None).map_err(|_| no_identity())?;
            let age::ssh::Identity::Unencrypted(_) = &key else {
                return Err(no_identity());
            };
            self.age.push(Box::new(key));
            return Ok(self);
        }
        // Line by line, because what the library makes of a whole file cannot be sent to another thread.
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let before = self.age.len();
        for line in lines {
            let identity: age::x25519::Identity = line.parse().map_err(|_| no_identity())?;
            self.age.push(Box::new(identity));
        }
        if self.age.len() == before {
            return Err(no_identity());
        }
        Ok(self)
    }

    /// Add the passphrase.
    pub fn with_passphrase(mut self, passphrase: Passphrase) -> Self {
        self.passphrase = Some(passphrase);
        self
    }

    /// Add OpenPGP secret keys, armored or binary, and what protects them.
    ///
    /// # Errors
    /// [`Error::Refused`] if there is none.
    pub fn with_openpgp_keys(mut self, ring: &[u8], protection: Option<&Passphrase>) -> Result<Self> {
        let none = || {
            refused(
                "this is no OpenPGP secret key",
                "Give what `gpg --export-secret-keys ADDRESS` prints.",
            )
        };
        let (keys, _) = SignedSecretKey::from_reader_many_buf(ring).map_err(|_| none())?;
        let before = self.openpgp.len();
        for key in keys {
            let password = protection.map_or_else(Password::empty, |passphrase| passphrase.expose().into());
            self.openpgp.push((key.map_err(|_| none())?, password));
        }
        if self.openpgp.len() == before {
            Err(none())
        } else {
            Ok(self)
        }
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
    pub(in crate::archive) fn open_age<R: Read>(&self, name: &str, sealed: R) -> Result<age::stream::StreamReader<R>> {
        let decryptor = Decryptor::new(sealed).map_err(|error| unopened(name, error))?;
        let opened = if decryptor.is_scrypt() {
            let passphrase = self.passphrase.as_ref().ok_or_else(|| missing(name))?;
            let identity = age::scrypt::Identity::new(passphrase.secret().clone());
            decryptor.decrypt(std::iter::once(&identity as &dyn Identity))
        } else {
            decryptor.decrypt(self.age.iter().map(|identity| &**identity as &dyn Identity))
        };
        opened.map_err(|error| unopened(name, error))
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
        name: &str,
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
        let (message, _) = Message::from_reader(sealed).map_err(|error| unread(name, error))?;
        if !message.is_encrypted() {
            return Err(Error::Damaged {
                object: "archive",
                name: name.to_owned(),
                reason: "it is not encrypted, although its manifest says so".to_owned(),
            });
        }
        let (message, _) = message
            .decrypt_the_ring(ring, true)
            .map_err(|error| unread(name, error))?;
        Ok(message)
    }
}

/// Nothing that was given fits.
pub(in crate::archive) fn missing(name: &str) -> Error {
    Error::WrongIdentity { name: name.to_owned() }
}

fn unopened(name: &str, error: DecryptError) -> Error {
    match error {
        DecryptError::NoMatchingKeys | DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
            missing(name)
        }
        DecryptError::Io(error) => carried(error),
        error => Error::Damaged {
            object: "archive",
            name: name.to_owned(),
            reason: error.to_string(),
        },
    }
}
