//! What opens encrypted archives: private keys, and passphrases.

use super::Context;
use super::chosen::Chosen;
use super::context::PASSWORD;
use crate::config::Misuse;
use crate::config::env;
use crate::config::model::{Encryption, Format};
use crate::config::password::{PasswordNames, PasswordOptions, Source};
use crate::config::secret::Secret;
use anyhow::Context as _;
use repository::archive::{Identity, Keys, Passphrase};
use std::fs;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const IDENTITY_PASSWORD: PasswordNames = PasswordNames {
    subject: "the identity",
    file_option: "--identity-password-file",
    command_option: "--identity-password-command",
    variable: env::IDENTITY_PASSWORD,
    file_variable: env::IDENTITY_PASSWORD_FILE,
    command_variable: env::IDENTITY_PASSWORD_COMMAND,
};

/// The keys for archives that are encrypted by these methods. A passphrase is asked for only if one of them takes one.
pub fn keys(methods: &[&str], context: &Context) -> anyhow::Result<Keys> {
    let keys = identities(context)?;
    if !methods.iter().any(|method| method.ends_with("-passphrase")) {
        return Ok(keys);
    }
    let source = passphrase_source(context)?;
    Ok(keys.with_passphrase(passphrase(&source, context)?))
}

/// The keys that are there without asking anybody.
pub fn keys_at_hand(context: &Context) -> anyhow::Result<Keys> {
    let keys = identities(context)?;
    match passphrase_source(context)? {
        Source::Terminal(_) => Ok(keys),
        source => Ok(keys.with_passphrase(passphrase(&source, context)?)),
    }
}

/// Where the passphrase of archives comes from: from options, the configuration, or variables, whichever says it first.
fn passphrase_source(context: &Context) -> anyhow::Result<Source> {
    let options = context.password_options();
    if let Chosen::Configured(repository) = context.chosen()?
        && !options.is_given()
        && let Format::Archive(format) = &repository.format
        && let Encryption::AgePassphrase(secret) | Encryption::GpgPassphrase(secret) = &format.encryption
    {
        return Ok(Source::Configured(secret.clone()));
    }
    Ok(Source::choose(options, PASSWORD, context.environment())?)
}

fn passphrase(source: &Source, context: &Context) -> anyhow::Result<Passphrase> {
    to_passphrase(&source.read_passphrase(context.environment())?)
}

fn to_passphrase(secret: &Secret) -> anyhow::Result<Passphrase> {
    let not_text = || {
        Misuse::new(
            "the passphrase is no text",
            "Check where it comes from; it has to be UTF-8.",
        )
    };
    Ok(Passphrase::new(secret.text().ok_or_else(not_text)?)?)
}

/// The private keys that are given.
fn identities(context: &Context) -> anyhow::Result<Keys> {
    let globals = context.globals();
    let files: Vec<PathBuf> = match &globals.identity[..] {
        [] => context.environment().path(env::IDENTITY_FILE).into_iter().collect(),
        given => given.to_vec(),
    };
    let options = PasswordOptions {
        file: globals.identity_password_file.clone(),
        command: globals.identity_password_command.clone(),
    };
    if files.is_empty() && options.is_given() {
        let hint = "Name the private key with `--identity FILE`.";
        return Err(Misuse::new("the passphrase of an identity is given, but no identity", hint).into());
    }
    let source = Source::choose(options, IDENTITY_PASSWORD, context.environment())?;
    let mut protection = None;
    let mut keys = Keys::none();
    for file in &files {
        let unusable = || format!("cannot use the identity `{}`", file.display());
        let identity = Identity::parse(&read(file)?).with_context(unusable)?;
        if identity.is_protected() && protection.is_none() {
            protection = Some(passphrase(&source, context)?);
        }
        keys = keys
            .with_identity(identity, protection.as_ref())
            .with_context(unusable)?;
    }
    Ok(keys)
}

fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, Misuse> {
    let unreadable = |error| {
        let message = format!("cannot read the identity `{}`", file.display());
        Misuse::new(message, "Check the file's path and permissions.").because(error)
    };
    Ok(Zeroizing::new(fs::read(file).map_err(unreadable)?))
}
