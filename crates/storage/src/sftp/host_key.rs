//! Whether the server is the one that is meant.
//!
//! A key is never accepted because it is the first one seen: a backup goes to a server that somebody vouched for.

use std::path::PathBuf;
use std::sync::Arc;

use russh::client::Handler;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKey, PublicKeyOrCertificate};

use super::errors::Failure;
use super::known_hosts::Known;
use crate::{SftpLocation, SftpOptions};

/// Where system-wide known hosts are.
const SYSTEM: &str = "/etc/ssh/ssh_known_hosts";

/// What is known of a server's key.
#[derive(Debug)]
pub(super) struct Policy {
    /// As `known_hosts` names it.
    server: String,
    port: u16,
    host: String,
    trusted: Trusted,
}

#[derive(Debug)]
enum Trusted {
    /// The key has this fingerprint.
    Fingerprint(String),
    /// The key is one of these files'.
    Files(Vec<PathBuf>, Known),
}

impl Policy {
    /// Read what there is to know, once for each connection: users correct the files while we wait for a server.
    pub(super) fn read(location: &SftpLocation, options: &SftpOptions) -> Result<Self, Failure> {
        let trusted = match &options.host_key {
            Some(fingerprint) => Trusted::Fingerprint(checked(fingerprint)?),
            None => {
                let files = files(options);
                let known =
                    Known::read(&files, &location.server()).map_err(|(file, error)| Failure::Misconfigured {
                        message: format!("cannot read `{}`: {error}", file.display()),
                        hint: "Make the file of known hosts readable, or give the key's fingerprint as `host_key`."
                            .to_owned(),
                    })?;
                Trusted::Files(files, known)
            }
        };
        Ok(Self {
            server: location.server(),
            port: location.port,
            host: location.host.clone(),
            trusted,
        })
    }

    /// The kinds of keys to ask for, in turns. Servers have keys of several kinds and show the one that is asked for
    /// first, so only such are asked for that we know. Of a fingerprint nobody knows what kind of key it is of.
    pub(super) fn turns(&self) -> Vec<Vec<Algorithm>> {
        match &self.trusted {
            Trusted::Fingerprint(_) => vec![vec![Algorithm::Ed25519], ecdsa(), rsa()],
            Trusted::Files(_, known) => {
                let all = [vec![Algorithm::Ed25519], ecdsa(), rsa()].concat();
                let is_known =
                    |algorithm: &Algorithm| known.keys.iter().any(|key| same_kind(&key.algorithm(), algorithm));
                let some: Vec<_> = all.iter().filter(|algorithm| is_known(algorithm)).cloned().collect();
                // With none, any will do to tell the user what the server shows.
                vec![if some.is_empty() { all } else { some }]
            }
        }
    }

    /// Whether the server may have this key.
    fn judge(&self, key: &PublicKey) -> Result<(), Failure> {
        match &self.trusted {
            Trusted::Fingerprint(pinned) if fingerprint(key) == *pinned => Ok(()),
            Trusted::Fingerprint(pinned) => Err(self.problem(
                key,
                &format!("which is not `{pinned}`"),
                "Somebody may be between you and the server. If its key was changed on purpose, give the new fingerprint as `host_key`.".to_owned(),
            )),
            Trusted::Files(_, known) if holds(&known.revoked, key) => Err(self.problem(
                key,
                "which is marked as revoked",
                "Do not use this server before its administrator has given it another key.".to_owned(),
            )),
            Trusted::Files(_, known) if holds(&known.keys, key) => Ok(()),
            Trusted::Files(files, known) if known.keys.is_empty() => Err(self.problem(
                key,
                &format!("which is not in {}", list(files)),
                format!(
                    "Compare the fingerprint with the one that the server's administrator tells you; then give it as `host_key` \
                     (`-o sftp.host-key={}`), or add the key with `ssh-keyscan -p {} {} >> ~/.ssh/known_hosts`.",
                    fingerprint(key),
                    self.port,
                    self.host,
                ),
            )),
            Trusted::Files(files, _) => Err(self.problem(
                key,
                &format!("but {} has another", list(files)),
                format!(
                    "Somebody may be between you and the server. If its key was changed on purpose, remove the old one with \
                     `ssh-keygen -R '{}'` and add the new one.",
                    self.server,
                ),
            )),
        }
    }

    fn problem(&self, key: &PublicKey, what: &str, hint: String) -> Failure {
        let (kind, fingerprint) = (key.algorithm(), fingerprint(key));
        let message = format!(
            "the server `{}` shows the {kind} key `{fingerprint}`, {what}",
            self.server
        );
        Failure::HostKey { message, hint }
    }
}

/// Whether `keys` holds this key, whatever comments stand beside it.
fn holds(keys: &[PublicKey], key: &PublicKey) -> bool {
    keys.iter().any(|known| known.key_data() == key.key_data())
}

fn list(files: &[PathBuf]) -> String {
    let names: Vec<_> = files.iter().map(|file| format!("`{}`", file.display())).collect();
    names.join(" or ")
}

fn files(options: &SftpOptions) -> Vec<PathBuf> {
    if let Some(file) = &options.known_hosts {
        return vec![file.clone()];
    }
    let own = options.home.as_ref().map(|home| home.join(".ssh/known_hosts"));
    own.into_iter().chain([PathBuf::from(SYSTEM)]).collect()
}

/// A SHA-256 is 43 letters of base64 without its padding.
fn checked(fingerprint: &str) -> Result<String, Failure> {
    let fingerprint = fingerprint.trim().trim_end_matches('=');
    let is_base64 = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '/');
    match fingerprint.strip_prefix("SHA256:") {
        Some(hash) if hash.len() == 43 && hash.chars().all(is_base64) => Ok(fingerprint.to_owned()),
        _ => Err(Failure::Misconfigured {
            message: format!("`{fingerprint}` is no fingerprint of a host key"),
            hint: "Write it as `ssh-keygen -l -E sha256` shows it: `SHA256:` and 43 letters.".to_owned(),
        }),
    }
}

fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

fn ecdsa() -> Vec<Algorithm> {
    [EcdsaCurve::NistP256, EcdsaCurve::NistP384, EcdsaCurve::NistP521]
        .map(|curve| Algorithm::Ecdsa { curve })
        .to_vec()
}

/// RSA keys with today's signatures; those with SHA-1 can be forged.
fn rsa() -> Vec<Algorithm> {
    [HashAlg::Sha512, HashAlg::Sha256]
        .map(|hash| Algorithm::Rsa { hash: Some(hash) })
        .to_vec()
}

/// A key says `ssh-rsa` whichever signatures it is used for.
fn same_kind(key: &Algorithm, asked: &Algorithm) -> bool {
    key == asked || matches!((key, asked), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }))
}

/// Looks at the server's key while a connection is made.
#[derive(Debug)]
pub(super) struct HostKeyCheck(pub(super) Arc<Policy>);

impl Handler for HostKeyCheck {
    type Error = Failure;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Failure> {
        // A certificate was not asked for. Its key would have to be known like any other.
        self.0.judge(&key.public_key()).map(|()| true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(options: &SftpOptions) -> Result<Policy, Failure> {
        let crate::Location::Sftp(location) = "sftp://u@host:23/x".parse().unwrap() else {
            panic!("no SFTP address")
        };
        Policy::read(&location, options)
    }

    fn pinned(fingerprint: &str) -> Result<Policy, Failure> {
        policy(&SftpOptions {
            host_key: Some(fingerprint.to_owned()),
            ..SftpOptions::default()
        })
    }

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    #[test]
    fn only_a_whole_fingerprint_is_taken() {
        let right = fingerprint(&ED25519.parse().unwrap());
        for text in [right.clone(), format!(" {right}="), right.replace('+', "/")] {
            assert!(pinned(&text).is_ok(), "{text}");
        }
        for text in ["", "SHA256:", "MD5:aa:bb", &right[..49], "SHA256:*", &right[7..]] {
            assert!(matches!(pinned(text), Err(Failure::Misconfigured { .. })), "{text}");
        }
    }

    #[test]
    fn a_fingerprint_is_enough_and_the_only_thing_that_counts() {
        let key: PublicKey = ED25519.parse().unwrap();
        pinned(&fingerprint(&key)).unwrap().judge(&key).unwrap();
        let other = pinned(&format!("SHA256:{}", "A".repeat(43))).unwrap();
        let failure = other.judge(&key).unwrap_err();
        assert!(failure.to_string().contains(&fingerprint(&key)), "{failure}");
    }

    #[test]
    fn only_kinds_of_keys_that_are_known_are_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("known");
        let options = SftpOptions {
            known_hosts: Some(file.clone()),
            ..SftpOptions::default()
        };
        assert_eq!(
            policy(&options).unwrap().turns()[0].len(),
            6,
            "nothing is known: all are asked for"
        );
        std::fs::write(&file, format!("[host]:23 {ED25519}\n")).unwrap();
        assert_eq!(policy(&options).unwrap().turns(), [vec![Algorithm::Ed25519]]);
    }
}
