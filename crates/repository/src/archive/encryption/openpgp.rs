//! Encryption with OpenPGP, as GnuPG 2.2 reads it: symmetrically encrypted, integrity protected data, version 1 (RFC 4880, 5.13).
//!
//! Newer versions of that packet are better, but GnuPG does not read them.

use super::{Passphrase, unusable};
use crate::archive::failure::{carried, refused};
use crate::archive::manifest::Manifest;
use crate::{Error, Result, clock};
use pgp::composed::{Deserializable as _, Encryption, MessageBuilder, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::packet::SignatureType;
use pgp::types::{KeyDetails as _, StringToKey};
use rand_for_pgp::rngs::OsRng;
use std::io::{BufWriter, Read, Write};
use std::time::{Duration, SystemTime};

/// Data is cut into pieces of so many bytes; a power of two.
const CHUNK_BYTES: u32 = 1 << 20;
/// How often the passphrase is hashed, as RFC 4880 codes it (3.7.1.3): 65 MB, as much as possible.
const HASH_COUNT: u8 = 255;

/// Public keys, at least one, each with a part that may be encrypted for.
pub struct OpenPgpKeys(Vec<(Recipient, String)>);

/// What a session key is encrypted with.
enum Recipient {
    Primary(Box<SignedPublicKey>),
    Subkey(Box<SignedPublicSubKey>),
}

impl OpenPgpKeys {
    /// Every key in `rings`, which are armored or binary, as `gpg --export` prints them.
    ///
    /// # Errors
    /// [`Error::Refused`] if a ring cannot be read or has no key, or if a key cannot be encrypted for: it has expired, was revoked,
    /// or is for signatures only.
    pub fn parse<'a>(rings: impl IntoIterator<Item = &'a [u8]>) -> Result<Self> {
        let mut keys = Vec::new();
        for ring in rings {
            let unreadable = |error: pgp::errors::Error| {
                refused(
                    &format!("this is no OpenPGP public key: {error}"),
                    "Give what `gpg --export --armor ADDRESS` prints.",
                )
            };
            let (certificates, _) = SignedPublicKey::from_reader_many_buf(ring).map_err(unreadable)?;
            for certificate in certificates {
                keys.push(chosen(&certificate.map_err(unreadable)?)?);
            }
        }
        if keys.is_empty() {
            return Err(refused(
                "there is no OpenPGP key to encrypt for",
                "Give what `gpg --export --armor ADDRESS` prints.",
            ));
        }
        Ok(Self(keys))
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().map(|(_, name)| name.clone()).collect()
    }

    pub(super) fn seal(&self, plain: &mut impl Read, out: &mut impl Write) -> Result<()> {
        let mut builder = MessageBuilder::from_reader("", plain).seipd_v1(OsRng, SymmetricKeyAlgorithm::AES256);
        for (key, _) in &self.0 {
            match key {
                Recipient::Primary(key) => builder.encrypt_to_key(OsRng, &key.primary_key),
                Recipient::Subkey(key) => builder.encrypt_to_key(OsRng, &key.key),
            }
            .map_err(unusable)?;
        }
        write(builder, out)
    }
}

impl std::fmt::Debug for OpenPgpKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OpenPgpKeys").field(&self.names()).finish()
    }
}

pub(super) fn seal_with_passphrase(passphrase: &Passphrase, plain: &mut impl Read, out: &mut impl Write) -> Result<()> {
    let mut builder = MessageBuilder::from_reader("", plain).seipd_v1(OsRng, SymmetricKeyAlgorithm::AES256);
    let hashed = StringToKey::new_iterated(OsRng, HashAlgorithm::Sha256, HASH_COUNT);
    builder
        .encrypt_with_password(hashed, &passphrase.expose().into())
        .map_err(unusable)?;
    write(builder, out)
}

fn write<R: Read, E: Encryption>(mut builder: MessageBuilder<'_, R, E>, out: &mut impl Write) -> Result<()> {
    builder.partial_chunk_size(CHUNK_BYTES).map_err(unusable)?;
    let mut out = BufWriter::with_capacity(CHUNK_BYTES as usize, out);
    builder.to_writer(OsRng, &mut out).map_err(|error| match error {
        pgp::errors::Error::IO { source, .. } => carried(source),
        error => unusable(error),
    })?;
    out.flush().map_err(carried)
}

/// The newest part of a key that may be encrypted for, and the key's fingerprint.
fn chosen(certificate: &SignedPublicKey) -> Result<(Recipient, String)> {
    let fingerprint = certificate.fingerprint().to_string().to_uppercase();
    let unfit = |reason: &str| {
        refused(
            &format!("the OpenPGP key `{fingerprint}` cannot be encrypted for: {reason}"),
            "Export the key again, extend its life, or give another one.",
        )
    };
    if !certificate.details.revocation_signatures.is_empty() {
        return Err(unfit("it was revoked"));
    }
    let users = certificate.details.users.iter().flat_map(|user| &user.signatures);
    let expires = users
        .chain(&certificate.details.direct_signatures)
        .filter_map(|signature| signature.key_expiration_time().map(Duration::from))
        .max();
    if expires.is_some_and(|after| has_expired(certificate.created_at().into(), after)) {
        return Err(unfit("it has expired"));
    }
    let subkeys = certificate
        .public_subkeys
        .iter()
        .filter(|subkey| is_usable(certificate, subkey));
    let newest = subkeys.max_by_key(|subkey| SystemTime::from(subkey.key.created_at()));
    match newest {
        Some(subkey) => Ok((Recipient::Subkey(Box::new(subkey.clone())), fingerprint)),
        None if is_primary_usable(certificate) => Ok((Recipient::Primary(Box::new(certificate.clone())), fingerprint)),
        None => Err(unfit("it has no part for encryption that is valid")),
    }
}

/// Old keys have one part for everything.
fn is_primary_usable(certificate: &SignedPublicKey) -> bool {
    let mut signatures = certificate.details.users.iter().flat_map(|user| &user.signatures);
    let is_for_encryption = signatures.any(|one| one.key_flags().encrypt_comms() || one.key_flags().encrypt_storage());
    is_for_encryption && certificate.algorithm().can_encrypt() && certificate.verify_bindings().is_ok()
}

fn is_usable(certificate: &SignedPublicKey, subkey: &SignedPublicSubKey) -> bool {
    let is_revoked = subkey
        .signatures
        .iter()
        .any(|one| one.typ() == Some(SignatureType::SubkeyRevocation));
    let newest = subkey
        .signatures
        .iter()
        .max_by_key(|one| one.created().map(SystemTime::from));
    let is_for_encryption = newest.is_some_and(|binding| {
        let (flags, expires) = (binding.key_flags(), binding.key_expiration_time());
        let has_expired = expires.is_some_and(|after| has_expired(subkey.key.created_at().into(), after.into()));
        (flags.encrypt_comms() || flags.encrypt_storage()) && !has_expired
    });
    is_for_encryption && !is_revoked && subkey.verify_bindings(&certificate.primary_key).is_ok()
}

/// Nothing to add to the creation stands for no end.
fn has_expired(created: SystemTime, after: Duration) -> bool {
    !after.is_zero() && created + after < SystemTime::from(clock::now())
}

/// An error of the library while a message is read.
pub(super) fn unread(manifest: &Manifest, error: pgp::errors::Error) -> Error {
    match error {
        pgp::errors::Error::IO { source, .. } => carried(source),
        pgp::errors::Error::MissingKey => super::missing(manifest),
        error => Error::Damaged {
            object: "archive",
            name: manifest.name.clone(),
            reason: error.to_string(),
        },
    }
}
