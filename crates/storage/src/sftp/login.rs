//! Logging in at the server.
//!
//! What was given is the only thing that is tried: a key, a password, or both. Only if nothing was given, the agent and the
//! usual key files are asked, as `ssh` does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse as Answer};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Error as KeyError, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey, load_secret_key};
use russh::{MethodKind, MethodSet};

use super::errors::Failure;
use super::host_key::HostKeyCheck;
use crate::SftpOptions;

/// Keys that are tried when none was named, in `.ssh` in the home directory.
const USUAL_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// Servers hang up after six attempts.
const MOST_AGENT_KEYS: usize = 4;

type Ssh = Handle<HostKeyCheck>;

/// Log `user` in.
pub(super) async fn login(ssh: &mut Ssh, user: &str, options: &SftpOptions) -> Result<(), Failure> {
    let mut login = Login {
        ssh,
        user,
        tried: Vec::new(),
        accepted: MethodSet::empty(),
    };
    let is_in = match (&options.key_file, &options.password) {
        (None, None) => login.with_usual(options).await?,
        (key, password) => login.with_given(key.as_deref(), password.as_deref(), options).await?,
    };
    if is_in { Ok(()) } else { Err(login.refused()) }
}

struct Login<'a> {
    ssh: &'a mut Ssh,
    user: &'a str,
    /// What was tried, for the message.
    tried: Vec<String>,
    /// Methods with which the server would go on.
    accepted: MethodSet,
}

impl Login<'_> {
    async fn with_given(
        &mut self,
        key: Option<&Path>,
        password: Option<&str>,
        options: &SftpOptions,
    ) -> Result<bool, Failure> {
        if let Some(file) = key {
            let key =
                load_secret_key(file, options.key_passphrase.as_deref()).map_err(|error| unusable(file, &error))?;
            if self.with_key(file, key).await? {
                return Ok(true);
            }
        }
        match password {
            Some(password) => self.with_password(password).await,
            None => Ok(false),
        }
    }

    async fn with_usual(&mut self, options: &SftpOptions) -> Result<bool, Failure> {
        if let Some(socket) = &options.agent
            && self.with_agent(socket).await?
        {
            return Ok(true);
        }
        let directory = options.home.as_ref().map(|home| home.join(".ssh"));
        let files = directory.iter().flat_map(|ssh| USUAL_KEYS.map(|name| ssh.join(name)));
        for file in files.filter(|file| file.exists()) {
            match load_secret_key(&file, options.key_passphrase.as_deref()) {
                Ok(key) => {
                    if self.with_key(&file, key).await? {
                        return Ok(true);
                    }
                }
                // Another may do.
                Err(error) => self.tried.push(format!("not the key `{}` ({error})", file.display())),
            }
        }
        Ok(false)
    }

    async fn with_key(&mut self, file: &Path, key: PrivateKey) -> Result<bool, Failure> {
        let hash = self.hash_for(key.public_key()).await?;
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
        let answer = self.ssh.authenticate_publickey(self.user, key).await?;
        Ok(self.is_in(answer, format!("the key `{}`", file.display())))
    }

    /// RSA keys sign with what the server takes; of one that does not say, with what all of this decade take.
    async fn hash_for(&self, key: &PublicKey) -> Result<Option<HashAlg>, Failure> {
        if !key.algorithm().is_rsa() {
            return Ok(None);
        }
        let supported = self.ssh.best_supported_rsa_hash().await?;
        Ok(supported.unwrap_or(Some(HashAlg::Sha256)))
    }

    /// An agent that does not answer is no obstacle: there may be key files.
    async fn with_agent(&mut self, socket: &Path) -> Result<bool, Failure> {
        let Ok(mut agent) = AgentClient::connect_uds(socket).await else {
            self.tried.push("not the agent (it does not answer)".to_owned());
            return Ok(false);
        };
        let identities = agent.request_identities().await.unwrap_or_default();
        for identity in identities.into_iter().take(MOST_AGENT_KEYS) {
            let AgentIdentity::PublicKey { key, comment } = identity else {
                continue;
            };
            let hash = self.hash_for(&key).await?;
            // An error is one of the agent: it has no longer the key, or its user said no.
            let answer = self
                .ssh
                .authenticate_publickey_with(self.user, key, hash, &mut agent)
                .await;
            if let Ok(answer) = answer
                && self.is_in(answer, format!("the agent's key `{comment}`"))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn with_password(&mut self, password: &str) -> Result<bool, Failure> {
        let answer = self.ssh.authenticate_password(self.user, password).await?;
        if self.is_in(answer, "the password".to_owned()) {
            return Ok(true);
        }
        if self.accepted.contains(&MethodKind::KeyboardInteractive) {
            return self.with_dialogue(password).await;
        }
        Ok(false)
    }

    /// Servers with PAM often take a password only as the answer to their question.
    async fn with_dialogue(&mut self, password: &str) -> Result<bool, Failure> {
        let mut answer = self
            .ssh
            .authenticate_keyboard_interactive_start(self.user, None)
            .await?;
        // One for the password, others for what is only said. Whoever asks more wants something that we do not have.
        for _ in 0..4 {
            let Answer::InfoRequest { prompts, .. } = answer else {
                break;
            };
            if prompts.len() > 1 || prompts.iter().any(|prompt| prompt.echo) {
                return Ok(false);
            }
            let answers = prompts.iter().map(|_| password.to_owned()).collect();
            answer = self.ssh.authenticate_keyboard_interactive_respond(answers).await?;
        }
        Ok(matches!(answer, Answer::Success))
    }

    fn is_in(&mut self, answer: AuthResult, with: String) -> bool {
        match answer {
            AuthResult::Success => true,
            AuthResult::Failure { remaining_methods, .. } => {
                self.tried.push(with);
                self.accepted = remaining_methods;
                false
            }
        }
    }

    fn refused(&self) -> Failure {
        let tried = match self.tried.as_slice() {
            [] => "there is no key and no password to try".to_owned(),
            tried => format!("tried: {}", tried.join(", ")),
        };
        let accepted: Vec<&str> = self.accepted.iter().map(Into::into).collect();
        let accepted = match accepted.as_slice() {
            [] => String::new(),
            accepted => format!("; it takes {}", accepted.join(", ")),
        };
        Failure::Refused {
            message: format!("the server does not let `{}` in ({tried}{accepted})", self.user),
            hint: "Check the user, and that the key is in the user's `authorized_keys` on the server; name the key with `key_file` \
                   (`-o sftp.key-file=FILE`), or give the password as `login_password` (`MAINSTAY_SFTP_PASSWORD`)."
                .to_owned(),
        }
    }
}

/// A key that was named and cannot be used.
fn unusable(file: &Path, error: &KeyError) -> Failure {
    let file: PathBuf = file.to_owned();
    let hint = match error {
        KeyError::KeyIsEncrypted => "Give its passphrase as `key_passphrase` (`MAINSTAY_SFTP_KEY_PASSPHRASE`).",
        KeyError::IO(_) => "Check the key's path and permissions.",
        _ => "Check that it is a private key in OpenSSH's or PEM format, and that the passphrase is right.",
    };
    Failure::Misconfigured {
        message: format!("the key `{}` cannot be used: {error}", file.display()),
        hint: hint.to_owned(),
    }
}
