//! Encryption with age. Source: <https://c2sp.org/age>.

use super::{Passphrase, pump, unusable};
use crate::Result;
use crate::archive::failure::{carried, refused};
use age::armor::{ArmoredWriter, Format};
use age::{Encryptor, scrypt};
use std::io::{Read, Write};

/// How often a passphrase is hashed, as a power of two: as often as the program `age` does. Left to the library, it is measured, so that a
/// busy moment makes archives that are quickly guessed, and a busy host does not open what a quiet one has made.
const WORK_FACTOR: u8 = 18;
/// The most that is accepted, as by the program `age`: it takes 4 GiB.
const MAX_WORK_FACTOR: u8 = 22;

/// Public keys, at least one: X25519 (`age1…`) and SSH (`ssh-ed25519 …`, `ssh-rsa …`).
pub struct AgeRecipients(Vec<(Box<dyn age::Recipient + Send + Sync>, String)>);

impl AgeRecipients {
    /// One recipient per text, in which there may be several lines, as in a recipients file: empty lines and those that begin with `#`
    /// mean nothing.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused) that names the line that is no recipient, or if there is none at all.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let lines = texts.into_iter().flat_map(str::lines).map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let recipients = lines.map(parse).collect::<Result<Vec<_>>>()?;
        if recipients.is_empty() {
            return Err(refused(
                "there is no recipient to encrypt for",
                "Name at least one recipient (`age1…`, or a line of an SSH public key).",
            ));
        }
        Ok(Self(recipients))
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().map(|(_, name)| name.clone()).collect()
    }

    pub(super) fn seal(&self, plain: &mut impl Read, out: &mut impl Write) -> Result<()> {
        let recipients = self.0.iter().map(|(recipient, _)| &**recipient as &dyn age::Recipient);
        seal(Encryptor::with_recipients(recipients).map_err(unusable)?, plain, out)
    }
}

fn parse(line: &str) -> Result<(Box<dyn age::Recipient + Send + Sync>, String)> {
    if let Ok(recipient) = line.parse::<age::x25519::Recipient>() {
        return Ok((Box::new(recipient), line.to_owned()));
    }
    if let Ok(recipient) = line.parse::<age::ssh::Recipient>() {
        return Ok((Box::new(recipient), line.to_owned()));
    }
    // Somebody may have given the secret key: it must not be shown.
    let shown = if line.starts_with("AGE-SECRET-KEY-") || line.contains("PRIVATE KEY") {
        "AGE-SECRET-KEY-…"
    } else {
        line
    };
    Err(refused(
        &format!("`{shown}` is not a recipient of age"),
        "Write the public key: `age1…`, `ssh-ed25519 …` or `ssh-rsa …`.",
    ))
}

impl std::fmt::Debug for AgeRecipients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AgeRecipients").field(&self.names()).finish()
    }
}

pub(super) fn seal_with_passphrase(passphrase: &Passphrase, plain: &mut impl Read, out: &mut impl Write) -> Result<()> {
    let mut recipient = scrypt::Recipient::new(passphrase.secret().clone());
    recipient.set_work_factor(WORK_FACTOR);
    let recipients = std::iter::once(&recipient as &dyn age::Recipient);
    seal(Encryptor::with_recipients(recipients).map_err(unusable)?, plain, out)
}

/// What opens it, on a busy or slow host, too.
pub(super) fn passphrase_identity(passphrase: &Passphrase) -> scrypt::Identity {
    let mut identity = scrypt::Identity::new(passphrase.secret().clone());
    identity.set_max_work_factor(MAX_WORK_FACTOR);
    identity
}

impl Passphrase {
    /// Encrypt something short into text that `age --decrypt` reads.
    ///
    /// # Errors
    /// [`Error::Verification`](crate::Error::Verification) if it cannot be encrypted.
    pub fn seal_as_text(&self, plain: &[u8]) -> Result<String> {
        let mut armored = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor).map_err(unusable)?;
        seal_with_passphrase(self, &mut &*plain, &mut armored)?;
        let text = armored.finish().map_err(unusable)?;
        String::from_utf8(text).map_err(unusable)
    }
}

fn seal(encryptor: Encryptor, plain: &mut impl Read, out: &mut impl Write) -> Result<()> {
    let mut sealed = encryptor.wrap_output(out).map_err(carried)?;
    pump(plain, &mut sealed).map_err(carried)?;
    sealed.finish().map(drop).map_err(carried)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

    #[test]
    fn nobody_to_encrypt_for_is_an_error() {
        for texts in [&[][..], &[""], &["# only a comment\n\n"]] {
            let error = AgeRecipients::parse(texts.iter().copied()).unwrap_err();
            assert!(error.to_string().contains("no recipient"), "{error}");
        }
    }

    /// Once it was measured: a busy host could not open what it had made when it was quiet, and called it damaged.
    #[test]
    fn passphrases_are_hashed_as_often_as_age_does() {
        let (passphrase, mut sealed) = (Passphrase::new("correct horse").unwrap(), Vec::new());
        seal_with_passphrase(&passphrase, &mut &b"secret"[..], &mut sealed).unwrap();
        let line = sealed.split(|byte| *byte == b'\n').nth(1).unwrap();
        assert!(line.starts_with(b"-> scrypt ") && line.ends_with(b" 18"));
        let decryptor = age::Decryptor::new(sealed.as_slice()).unwrap();
        let identity = passphrase_identity(&passphrase);
        let mut plain = Vec::new();
        let opened = decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity));
        opened.unwrap().read_to_end(&mut plain).unwrap();
        assert_eq!(plain, b"secret");
    }

    #[test]
    fn recipients_files_and_secrets_in_the_wrong_place() {
        let file = format!("# alice\n{RECIPIENT}\n\n");
        assert_eq!(AgeRecipients::parse([file.as_str()]).unwrap().names(), [RECIPIENT]);
        let error = AgeRecipients::parse([RECIPIENT, "age1nonsense"]).unwrap_err();
        assert!(error.to_string().contains("`age1nonsense`"));
        let error = AgeRecipients::parse(["AGE-SECRET-KEY-1QQQQ"]).unwrap_err();
        assert!(!error.to_string().contains("QQQQ"), "{error}");
    }
}
