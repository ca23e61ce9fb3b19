//! Who can read an archive: exactly one method, or explicitly nobody is kept out.
//!
//! There is no value of [`Encryption`] that means "encrypt" and has no key: lists of recipients are never empty, passphrases
//! neither, and what cannot be parsed is an error. Nothing falls back to plain text.

mod age_method;
mod identity;
mod keys;
mod openpgp;

pub use age_method::AgeRecipients;
pub use identity::Identity;
pub use keys::Keys;
pub(super) use keys::missing;
pub use openpgp::OpenPgpKeys;

use super::failure::{carried, refused};
use crate::{Error, Result};
use age::secrecy::{ExposeSecret, SecretString};
use std::io::{Read, Write};

/// How an archive is encrypted.
#[derive(Debug)]
pub enum Encryption {
    /// Not at all.
    None,
    /// With age, for the owners of these public keys. This host need not be one of them.
    AgeRecipients(AgeRecipients),
    /// With age and a passphrase.
    AgePassphrase(Passphrase),
    /// With OpenPGP, for the owners of these public keys.
    OpenPgpKeys(OpenPgpKeys),
    /// With OpenPGP and a passphrase.
    OpenPgpPassphrase(Passphrase),
}

/// A secret that a person knows; never empty, never shown.
#[derive(Clone)]
pub struct Passphrase(SecretString);

impl Passphrase {
    /// The secret, without the end of a line behind it.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is empty.
    pub fn new(text: &str) -> Result<Self> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(refused(
                "the passphrase is empty",
                "Give the passphrase, or choose another method.",
            ));
        }
        Ok(Self(text.to_owned().into()))
    }

    pub(super) fn secret(&self) -> &SecretString {
        &self.0
    }

    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

impl Encryption {
    /// As it stands in a manifest.
    pub fn method(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::AgeRecipients(_) => "age",
            Self::AgePassphrase(_) => "age-passphrase",
            Self::OpenPgpKeys(_) => "openpgp",
            Self::OpenPgpPassphrase(_) => "openpgp-passphrase",
        }
    }

    /// How the name of such an archive ends.
    pub fn extension(&self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::AgeRecipients(_) | Self::AgePassphrase(_) => Some("age"),
            Self::OpenPgpKeys(_) | Self::OpenPgpPassphrase(_) => Some("gpg"),
        }
    }

    /// Public identifiers of those who can read it: nothing secret.
    pub fn recipients(&self) -> Vec<String> {
        match self {
            Self::None | Self::AgePassphrase(_) | Self::OpenPgpPassphrase(_) => Vec::new(),
            Self::AgeRecipients(recipients) => recipients.names(),
            Self::OpenPgpKeys(keys) => keys.names(),
        }
    }

    /// Encrypt everything from `plain` to `out`.
    ///
    /// # Errors
    /// Those of `plain` and `out`; [`Error::Verification`] if the key cannot be used.
    pub(super) fn seal(&self, plain: &mut impl Read, out: &mut impl Write) -> Result<()> {
        match self {
            Self::None => pump(plain, out).map_err(carried),
            Self::AgeRecipients(recipients) => recipients.seal(plain, out),
            Self::AgePassphrase(passphrase) => age_method::seal_with_passphrase(passphrase, plain, out),
            Self::OpenPgpKeys(keys) => keys.seal(plain, out),
            Self::OpenPgpPassphrase(passphrase) => openpgp::seal_with_passphrase(passphrase, plain, out),
        }
    }
}

/// Copy everything, in large pieces.
fn pump(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read])?;
    }
}

fn unusable(error: impl std::fmt::Display) -> Error {
    Error::Verification(format!("the archive cannot be encrypted: {error}"))
}
