//! What an SFTP store needs to know beside its address.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Options of SFTP stores.
#[derive(Clone)]
pub struct SftpOptions {
    /// Who logs in, where the address does not say.
    pub user: Option<String>,
    /// The name of the local user, who logs in if nothing else says who.
    pub login_name: Option<String>,
    /// The user's password. With it, no key is tried that is not named here.
    pub password: Option<String>,
    /// The private key to log in with. Without it, and without a password: the keys of the agent, then the usual
    /// files in `home`.
    pub key_file: Option<PathBuf>,
    /// Opens the private key, if it is encrypted.
    pub key_passphrase: Option<String>,
    /// Fingerprint of the server's key, `SHA256:…`, as `ssh-keygen -l` shows it. Without it, `known_hosts` counts.
    pub host_key: Option<String>,
    /// A file of known hosts to believe, instead of `.ssh/known_hosts` in `home` and `/etc/ssh/ssh_known_hosts`.
    pub known_hosts: Option<PathBuf>,
    /// The home directory, in which `.ssh` is.
    pub home: Option<PathBuf>,
    /// The socket of the SSH agent.
    pub agent: Option<PathBuf>,
    /// The longest time to wait for a connection.
    pub connect_timeout: Duration,
    /// The longest time to wait for an answer while little is under way. A server whose connection is dead is noticed
    /// after a minute.
    pub timeout: Duration,
}

impl Default for SftpOptions {
    fn default() -> Self {
        Self {
            user: None,
            login_name: None,
            password: None,
            key_file: None,
            key_passphrase: None,
            host_key: None,
            known_hosts: None,
            home: None,
            agent: None,
            connect_timeout: Duration::from_secs(15),
            timeout: Duration::from_secs(60),
        }
    }
}

impl fmt::Debug for SftpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SftpOptions")
            .field("user", &self.user)
            .field("has_password", &self.password.is_some())
            .field("key_file", &self.key_file)
            .field("host_key", &self.host_key)
            .field("known_hosts", &self.known_hosts)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let options = SftpOptions {
            password: Some("hush".into()),
            key_passphrase: Some("hush".into()),
            ..SftpOptions::default()
        };
        assert!(!format!("{options:?}").contains("hush"));
    }
}
