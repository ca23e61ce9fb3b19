//! Files with private keys, in all forms that users have them in.

use super::Passphrase;
use super::age_method::passphrase_identity;
use super::keys::Keys;
use crate::archive::failure::refused;
use crate::{Error, Result, clock};
use age::armor::ArmoredReader;
use age::secrecy::ExposeSecret as _;
use age::{Decryptor, ssh};
use pgp::composed::{Deserializable as _, SignedSecretKey};
use pgp::types::Password;
use std::io::Read as _;
use zeroize::Zeroizing;

/// A file with a private key: age's identities (`age-keygen`), the same encrypted with a passphrase (`age -p`), an SSH private key, or
/// OpenPGP secret keys, armored or binary.
pub struct Identity(Kind);

enum Kind {
    Age(Vec<Box<dyn age::Identity + Send + Sync>>),
    EncryptedAge(Vec<u8>),
    Ssh(Box<ssh::Identity>),
    EncryptedSsh(ssh::EncryptedKey),
    OpenPgp(Vec<SignedSecretKey>),
}

impl std::fmt::Debug for Identity {
    /// Nothing of the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.0 {
            Kind::Age(_) | Kind::EncryptedAge(_) => "Identity(age)",
            Kind::Ssh(_) | Kind::EncryptedSsh(_) => "Identity(SSH)",
            Kind::OpenPgp(_) => "Identity(OpenPGP)",
        })
    }
}

const ENCRYPTED: [&[u8]; 2] = [b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----"];

impl Identity {
    /// What a file holds.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is none of these, or a key that archives cannot be encrypted for.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let bytes = bytes.trim_ascii_start();
        let is_text = bytes.is_ascii();
        let kind = if ENCRYPTED.iter().any(|begin| bytes.starts_with(begin)) {
            Kind::EncryptedAge(bytes.to_vec())
        } else if !is_text || bytes.starts_with(b"-----BEGIN PGP") {
            Kind::OpenPgp(openpgp(bytes)?)
        } else if bytes.starts_with(b"-----BEGIN") {
            ssh(bytes)?
        } else {
            Kind::Age(age_identities(bytes)?)
        };
        Ok(Self(kind))
    }

    /// A new one of age: the file as `age-keygen` writes it, and the public key that archives are encrypted for.
    pub fn generate() -> (Zeroizing<String>, String) {
        let identity = age::x25519::Identity::generate();
        let recipient = identity.to_public().to_string();
        let secret = identity.to_string();
        let text = format!(
            "# created: {}\n# public key: {recipient}\n{}\n",
            clock::now(),
            secret.expose_secret()
        );
        (Zeroizing::new(text), recipient)
    }

    /// Whether it takes a passphrase to use it.
    pub fn is_protected(&self) -> bool {
        match &self.0 {
            Kind::EncryptedAge(_) | Kind::EncryptedSsh(_) => true,
            Kind::Age(_) | Kind::Ssh(_) => false,
            Kind::OpenPgp(keys) => keys.iter().any(is_locked),
        }
    }
}

impl Keys {
    /// Add a private key, and what protects it.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is protected and the passphrase is missing or does not fit.
    pub fn with_identity(mut self, identity: Identity, protection: Option<&Passphrase>) -> Result<Self> {
        let needed = || protection.ok_or_else(missing);
        match identity.0 {
            Kind::Age(identities) => self.age.extend(identities),
            Kind::EncryptedAge(sealed) => self.age.extend(age_identities(&opened(&sealed, needed()?)?)?),
            Kind::Ssh(key) => self.age.push(key),
            Kind::EncryptedSsh(key) => {
                let key = key.decrypt(needed()?.secret().clone()).map_err(|_| wrong())?;
                self.age.push(Box::new(ssh::Identity::from(key)));
            }
            Kind::OpenPgp(keys) => {
                for key in keys {
                    let password = if is_locked(&key) {
                        let password: Password = needed()?.expose().into();
                        if !opens(&key, &password) {
                            return Err(wrong());
                        }
                        password
                    } else {
                        Password::empty()
                    };
                    self.openpgp.push((key, password));
                }
            }
        }
        Ok(self)
    }
}

fn missing() -> Error {
    refused(
        "the identity is protected by a passphrase, which is not given",
        "Give it with `--identity-password-file FILE`, or run the command on a terminal.",
    )
}

fn wrong() -> Error {
    refused(
        "the passphrase does not open the identity",
        "Check the passphrase, and that the file is the one that it belongs to.",
    )
}

fn no_identity() -> Error {
    refused(
        "this is no private key that archives can be opened with",
        "Give a file of age identities (`AGE-SECRET-KEY-…`), an SSH private key, or what `gpg --export-secret-keys` prints.",
    )
}

fn age_identities(text: &[u8]) -> Result<Vec<Box<dyn age::Identity + Send + Sync>>> {
    let text = std::str::from_utf8(text).map_err(|_| no_identity())?;
    let lines = text.lines().map(str::trim);
    // Line by line, because what the library makes of a whole file cannot be sent to another thread.
    let identities = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let identity: age::x25519::Identity = line.parse().map_err(|_| no_identity())?;
            Ok(Box::new(identity) as Box<dyn age::Identity + Send + Sync>)
        })
        .collect::<Result<Vec<_>>>()?;
    if identities.is_empty() {
        return Err(no_identity());
    }
    Ok(identities)
}

/// The identities in a file that `age -p` encrypted.
fn opened(sealed: &[u8], passphrase: &Passphrase) -> Result<Vec<u8>> {
    let decryptor = Decryptor::new(ArmoredReader::new(sealed)).map_err(|_| no_identity())?;
    if !decryptor.is_scrypt() {
        return Err(refused(
            "the identity is encrypted for another identity, not with a passphrase",
            "Decrypt it with `age --decrypt` first.",
        ));
    }
    let identity = passphrase_identity(passphrase);
    let mut stream = decryptor
        .decrypt(std::iter::once(&identity as &dyn age::Identity))
        .map_err(|_| wrong())?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text).map_err(|_| wrong())?;
    Ok(text)
}

fn ssh(text: &[u8]) -> Result<Kind> {
    match ssh::Identity::from_buffer(text, None).map_err(|_| no_identity())? {
        key @ ssh::Identity::Unencrypted(_) => Ok(Kind::Ssh(Box::new(key))),
        ssh::Identity::Encrypted(key) => Ok(Kind::EncryptedSsh(key)),
        ssh::Identity::Unsupported(_) => Err(refused(
            "SSH keys of this type cannot decrypt archives",
            "Give an `ssh-ed25519` or `ssh-rsa` private key; `ssh-keygen -p -o -f COPY` brings an old PEM file into the present form.",
        )),
    }
}

fn openpgp(ring: &[u8]) -> Result<Vec<SignedSecretKey>> {
    let (keys, _) = SignedSecretKey::from_reader_many_buf(ring).map_err(|_| no_identity())?;
    let keys = keys.collect::<Result<Vec<_>, _>>().map_err(|_| no_identity())?;
    if keys.is_empty() {
        return Err(no_identity());
    }
    Ok(keys)
}

fn is_locked(key: &SignedSecretKey) -> bool {
    let subkeys = key.secret_subkeys.iter().map(|subkey| subkey.key.secret_params());
    subkeys
        .chain([key.primary_key.secret_params()])
        .any(pgp::types::SecretParams::is_encrypted)
}

/// Whether the passphrase opens a part of it: that for encryption may stand alone.
fn opens(key: &SignedSecretKey, password: &Password) -> bool {
    let is_open = |unlocked: pgp::errors::Result<pgp::errors::Result<()>>| matches!(unlocked, Ok(Ok(())));
    is_open(key.primary_key.unlock(password, |_, _| Ok(())))
        || key
            .secret_subkeys
            .iter()
            .any(|subkey| is_open(subkey.key.unlock(password, |_, _| Ok(()))))
}
