//! The keys that `known_hosts` has for a server.
//!
//! The lines are read by the `ssh-key` library; which of them speak of a server is decided here, as sshd(8) says it:
//! patterns with `*`, `?` and `!`, hashed names, and ports that are not 22 as `[host]:port`.

use std::io;
use std::path::PathBuf;

use hmac::{Hmac, KeyInit, Mac};
use russh::keys::PublicKey;
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, Marker};
use sha1::Sha1;

/// What the files say of one server.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Keys that it may have.
    pub(super) keys: Vec<PublicKey>,
    /// Keys that nobody may have any more.
    pub(super) revoked: Vec<PublicKey>,
}

impl Known {
    /// Read what `files` say of `server`: its name, or `[name]:port`. A file that is not there says nothing.
    pub(super) fn read(files: &[PathBuf], server: &str) -> Result<Self, (PathBuf, io::Error)> {
        let mut known = Self::default();
        for file in files {
            match std::fs::read(file) {
                Ok(text) => known.add(&String::from_utf8_lossy(&text), server),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err((file.clone(), error)),
            }
        }
        Ok(known)
    }

    fn add(&mut self, text: &str, server: &str) {
        for line in text.lines().map(str::trim_start).filter(|line| !line.starts_with('#')) {
            // The library wants single spaces. A line that it cannot read names a key that we could not use.
            let fields: Vec<&str> = line.split_whitespace().collect();
            let Ok(entry) = fields.join(" ").parse::<Entry>() else {
                continue;
            };
            if !names(entry.host_patterns(), server) {
                continue;
            }
            match entry.marker() {
                None => self.keys.push(entry.public_key().clone()),
                Some(Marker::Revoked) => self.revoked.push(entry.public_key().clone()),
                // Certificates of servers are not asked for.
                Some(Marker::CertAuthority) => {}
            }
        }
    }
}

fn names(patterns: &HostPatterns, server: &str) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => {
            Hmac::<Sha1>::new_from_slice(salt).is_ok_and(|hmac| hmac.chain_update(server).verify_slice(hash).is_ok())
        }
        HostPatterns::Patterns(patterns) => {
            let fits = |pattern: &str| matches(pattern.to_ascii_lowercase().as_bytes(), server.as_bytes());
            let denied = patterns
                .iter()
                .filter_map(|pattern| pattern.strip_prefix('!'))
                .any(fits);
            !denied && patterns.iter().any(|pattern| fits(pattern))
        }
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for anything and `?` for one byte.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|skipped| matches(rest, &text[skipped..])),
        ([b'?', pattern @ ..], [_, text @ ..]) => matches(pattern, text),
        ([wanted, pattern @ ..], [found, text @ ..]) if wanted == found => matches(pattern, text),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";

    /// How many keys and revoked keys `text` has for `server`.
    fn found(text: &str, server: &str) -> (usize, usize) {
        let mut known = Known::default();
        known.add(text, server);
        (known.keys.len(), known.revoked.len())
    }

    #[test]
    fn names_ports_and_patterns() {
        for (line, server, expected) in [
            ("host", "host", true),
            ("host", "host2", false),
            ("other,host", "host", true),
            ("HOST", "host", true),
            ("[host]:2222", "[host]:2222", true),
            ("[host]:2222", "host", false),
            ("host", "[host]:2222", false),
            ("*.example.org", "a.example.org", true),
            ("*.example.org", "example.org", false),
            ("*.example.org,!bad.example.org", "bad.example.org", false),
            ("10.0.0.?", "10.0.0.7", true),
            ("10.0.0.?", "10.0.0.77", false),
            ("[*]:23", "[box]:23", true),
        ] {
            let text = format!("# {server} {ONE}\n\n  {line} \t {ONE} a comment\n");
            assert_eq!(found(&text, server), (usize::from(expected), 0), "{line} {server}");
        }
    }

    /// Lines that `ssh-keygen -H` made of `example.com` and `[127.0.0.1]:2222`.
    #[test]
    fn hashed_names() {
        let text = format!("|1|O33ESRMWPVkMYIwJ1Uw+n877jTo=|nuuC5vEqXlEZ/8BXQR7m619W6Ak= {TWO}\n");
        assert_eq!(found(&text, "example.com"), (1, 0));
        assert_eq!(found(&text, "example.org"), (0, 0));
    }

    #[test]
    fn markers() {
        let text = format!("host {ONE}\n@revoked * {TWO}\n@cert-authority *.org {ONE}\n");
        assert_eq!(found(&text, "host"), (1, 1));
        assert_eq!(found(&text, "a.org"), (0, 1));
    }

    #[test]
    fn lines_that_make_no_sense_are_left_out() {
        let text = format!("host\nhost ssh-ed25519\nhost ssh-ed25519 !!!\n@unknown host {ONE}\nhost {ONE}\n");
        assert_eq!(found(&text, "host"), (1, 0));
    }
}
