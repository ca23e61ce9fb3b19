//! The keys that the page may hold: small files that its commands use.

use crate::cli::Context;
use crate::config::Misuse;
use crate::config::model::{Encryption, Format, Repository};
use crate::config::secret::{Secret, SecretSource};
use std::fmt::Write as _;
use std::fs;
use zeroize::Zeroizing;

/// A file that holds a key.
pub struct KeyFile {
    /// Its name in the directory in which the commands of the page are run.
    pub name: String,
    /// What is in it.
    pub content: Zeroizing<Vec<u8>>,
}

/// The file with the password or passphrase of a repository, if it has one.
pub fn password_file(repository: &Repository) -> Option<String> {
    password(repository).map(|_| format!("{}.password", repository.name))
}

/// The file with the private key of archives, which this host need not have.
pub fn identity_file(repository: &Repository) -> String {
    format!("{}.key", repository.name)
}

/// The file with variables for the store, if the configuration has keys for it.
pub fn variables_file(repository: &Repository) -> Option<String> {
    repository.secrets.access_key.as_ref()?;
    Some(format!("{}.env", repository.name))
}

fn password(repository: &Repository) -> Option<&SecretSource> {
    match &repository.format {
        Format::Restic { password, .. } => Some(password),
        Format::Archive(format) => match &format.encryption {
            Encryption::AgePassphrase(secret) | Encryption::GpgPassphrase(secret) => Some(secret),
            Encryption::None | Encryption::Age(_) | Encryption::GpgKeys(_) => None,
        },
    }
}

/// Everything that is secret about a repository, and known here.
pub fn fetch(repository: &Repository, context: &Context) -> anyhow::Result<Vec<KeyFile>> {
    let environment = context.environment();
    let mut files = Vec::new();
    if let (Some(name), Some(secret)) = (password_file(repository), password(repository)) {
        let secret = match &repository.format {
            Format::Restic { .. } => secret.read_password(environment)?,
            Format::Archive(_) => secret.read(environment)?,
        };
        files.push(KeyFile {
            name,
            content: line_of(secret.bytes()),
        });
    }
    if let Some(name) = variables_file(repository) {
        let secrets = &repository.secrets;
        let mut lines = Zeroizing::new(String::new());
        for (variable, source) in [
            ("AWS_ACCESS_KEY_ID", &secrets.access_key),
            ("AWS_SECRET_ACCESS_KEY", &secrets.secret_key),
            ("AWS_SESSION_TOKEN", &secrets.session_token),
        ] {
            if let Some(source) = source {
                let value = text_of(source, &source.read(environment)?)?;
                let _ = writeln!(lines, "export {variable}={}", word(source, &value)?);
            }
        }
        files.push(KeyFile {
            name,
            content: Zeroizing::new(lines.as_bytes().to_vec()),
        });
    }
    if takes_identity(repository) && !context.globals().identity.is_empty() {
        let mut content = Zeroizing::new(Vec::new());
        for file in &context.globals().identity {
            let unreadable = |error| {
                let message = format!("cannot read the identity `{}`", file.display());
                Misuse::new(message, "Check the file's path and permissions.").because(error)
            };
            content.extend_from_slice(&Zeroizing::new(fs::read(file).map_err(unreadable)?));
        }
        files.push(KeyFile {
            name: identity_file(repository),
            content,
        });
    }
    Ok(files)
}

/// Whether private keys open its archives.
pub fn takes_identity(repository: &Repository) -> bool {
    match &repository.format {
        Format::Restic { .. } => false,
        Format::Archive(format) => matches!(format.encryption, Encryption::Age(_) | Encryption::GpgKeys(_)),
    }
}

fn word(source: &SecretSource, value: &str) -> Result<String, Misuse> {
    let unusable = |_| Misuse::new(format!("{source} has a zero in it"), "Check that it holds the key.");
    Ok(shlex::try_quote(value).map_err(unusable)?.into_owned())
}

fn line_of(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([bytes, b"\n"].concat())
}

fn text_of(source: &SecretSource, secret: &Secret) -> Result<Zeroizing<String>, Misuse> {
    let not_text = || Misuse::new(format!("{source} is no text"), "Check that it holds the key.");
    Ok(Zeroizing::new(secret.text().ok_or_else(not_text)?.to_owned()))
}

/// Commands that make the files, for one's own eyes only.
pub fn script(files: &[KeyFile]) -> Zeroizing<String> {
    let mut script = Zeroizing::new("umask 077\n".to_owned());
    for KeyFile { name, content } in files {
        script.push_str(&command(name, content));
    }
    script
}

/// A command that writes a file; it may be indented, as a document in the shell's own form may not.
pub fn command(name: &str, content: &[u8]) -> Zeroizing<String> {
    let words: Option<Vec<_>> = std::str::from_utf8(content)
        .ok()
        .and_then(|text| text.strip_suffix('\n'))
        .and_then(|text| text.split('\n').map(|line| shlex::try_quote(line).ok()).collect());
    let mut command = Zeroizing::new(String::new());
    match words {
        Some(words) => {
            command.push_str("printf '%s\\n'");
            words.iter().for_each(|word| {
                command.push_str(" \\\n  ");
                command.push_str(word);
            });
        }
        // Bytes that are no text, by their numbers.
        None => {
            command.push_str("printf '%b' '");
            content.iter().for_each(|byte| {
                let _ = write!(command, "\\0{byte:03o}");
            });
            command.push('\'');
        }
    }
    let _ = writeln!(command, " > {name}");
    command
}
