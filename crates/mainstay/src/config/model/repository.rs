//! A repository: where it is, how to get in, and in which format things are stored there.

use super::archive::{self, ArchiveFormat};
use super::fields::{Fields, check_name};
use super::place::{Place, Scheme};
use crate::config::Misuse;
use crate::config::keys::ONLY_FOR;
use crate::config::problem::Problems;
use crate::config::secret::{SecretReader, SecretSource};
use crate::config::tree::{Entry, Origin};
use crate::config::units;
use repository::restic::compress::Compression;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use storage::{Addressing, Options, SftpOptions};

/// A place to store in.
#[derive(Clone, Debug)]
pub struct Repository {
    /// Its name.
    pub name: String,
    /// Where it is written.
    pub origin: Origin,
    /// Where it is.
    pub place: Place,
    /// What is stored there.
    pub format: Format,
    /// Nothing can be deleted with these credentials.
    pub append_only: bool,
    /// Options of the store without its secrets.
    pub options: Options,
    /// Secrets of the store.
    pub secrets: StoreSecrets,
    /// What is not secret about stores other than directories and S3.
    pub rest: RestOfStore,
}

/// What is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// A repository in restic's format.
    Restic {
        /// Its password.
        password: SecretSource,
        /// Compression of blobs.
        compression: Compression,
        /// Size of packs in bytes; nothing for the usual one.
        pack_size_bytes: Option<usize>,
    },
    /// One file per run.
    Archive(ArchiveFormat),
}

/// Secrets of a store, by what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreSecrets {
    /// Access key of S3, or id of B2's.
    pub access_key: Option<SecretSource>,
    /// What belongs to it.
    pub secret_key: Option<SecretSource>,
    /// Token of temporary keys.
    pub session_token: Option<SecretSource>,
    /// Password at the server.
    pub login_password: Option<SecretSource>,
    /// Passphrase of the SSH key.
    pub key_passphrase: Option<SecretSource>,
    /// Key of the Azure account.
    pub account_key: Option<SecretSource>,
    /// Shared access signature for Azure.
    pub sas_token: Option<SecretSource>,
    /// Service account of Google.
    pub credentials: Option<SecretSource>,
    /// Access token.
    pub token: Option<SecretSource>,
    /// Refresh token of Dropbox.
    pub refresh_token: Option<SecretSource>,
    /// Secret of the app that it was given to.
    pub app_secret: Option<SecretSource>,
}

/// What is not secret about stores other than directories and S3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestOfStore {
    /// User at the server.
    pub user: Option<String>,
    /// Private SSH key.
    pub key_file: Option<PathBuf>,
    /// Fingerprint of the server's key.
    pub host_key: Option<String>,
    /// Name of the Azure account.
    pub account: Option<String>,
    /// Key of an app of Dropbox.
    pub app_key: Option<String>,
}

impl Format {
    /// As the configuration names it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Restic { .. } => "restic",
            Self::Archive(_) => "archive",
        }
    }
}

impl Repository {
    /// The options to open its store with, secrets included. `base` is what holds where the repository says nothing: the environment.
    ///
    /// # Errors
    /// As [`SecretSource::read`].
    pub fn store_options(&self, base: Options, reader: &dyn SecretReader) -> Result<Options, Misuse> {
        let mut options = base;
        let own = &self.options;
        options.upload_bytes_per_second = own.upload_bytes_per_second.or(options.upload_bytes_per_second);
        options.download_bytes_per_second = own.download_bytes_per_second.or(options.download_bytes_per_second);
        options.connections = own.connections.or(options.connections);
        options.http.ca_file = own.http.ca_file.clone().or(options.http.ca_file.take());
        let (s3, own) = (&mut options.s3, &own.s3);
        let take = |place: &mut Option<String>, own: &Option<String>| {
            if own.is_some() {
                place.clone_from(own);
            }
        };
        take(&mut s3.endpoint, &own.endpoint);
        take(&mut s3.region, &own.region);
        take(&mut s3.profile, &own.profile);
        take(&mut s3.storage_class, &own.storage_class);
        s3.anonymous |= own.anonymous;
        s3.addressing = own.addressing;
        s3.checksums &= own.checksums;
        if self.secrets.access_key.is_some() {
            // Keys belong together: one from here and one from elsewhere would never fit.
            s3.access_key = text(self.secrets.access_key.as_ref(), reader)?;
            s3.secret_key = text(self.secrets.secret_key.as_ref(), reader)?;
            s3.session_token = text(self.secrets.session_token.as_ref(), reader)?;
        }
        if self.place.scheme() == Scheme::Sftp {
            self.set_sftp(&mut options.sftp, reader)?;
        }
        self.log_in(&mut options, reader)?;
        Ok(options)
    }

    fn set_sftp(&self, sftp: &mut SftpOptions, reader: &dyn SecretReader) -> Result<(), Misuse> {
        let rest = &self.rest;
        if rest.user.is_some() {
            sftp.user.clone_from(&rest.user);
        }
        if rest.host_key.is_some() {
            sftp.host_key.clone_from(&rest.host_key);
        }
        if rest.key_file.is_some() || self.secrets.login_password.is_some() {
            // What lets us in belongs together, as the keys of S3 do.
            sftp.key_file.clone_from(&rest.key_file);
            sftp.password = text(self.secrets.login_password.as_ref(), reader)?;
        }
        if self.secrets.key_passphrase.is_some() {
            sftp.key_passphrase = text(self.secrets.key_passphrase.as_ref(), reader)?;
        }
        Ok(())
    }
}

pub(super) fn text(source: Option<&SecretSource>, reader: &dyn SecretReader) -> Result<Option<String>, Misuse> {
    let Some(source) = source else { return Ok(None) };
    let secret = source.read(reader)?;
    let not_text = || Misuse::new(format!("{source} is no text"), "Check that it holds the key.");
    Ok(Some(secret.text().ok_or_else(not_text)?.to_owned()))
}

/// The protocol has words for the objects of restic's repositories only.
pub fn no_archives_at_rest() -> Misuse {
    Misuse::new(
        "a REST server keeps no archives",
        "Write `format: restic`, or choose another store, such as WebDAV or SFTP.",
    )
}

/// Read one entry of `repositories`.
pub fn repository(entry: &Entry, problems: &mut Problems) -> Option<Repository> {
    check_name(entry, problems);
    let fields = Fields::new(&entry.value);
    let place = place(fields, problems);
    if let Some(place) = &place {
        check_keys(fields, place.scheme(), problems);
    }
    pair(fields, "access_key", "secret_key", problems);
    if let Some(Scheme::Webdav | Scheme::Rest) = place.as_ref().map(Place::scheme) {
        pair(fields, "user", "login_password", problems);
    }
    let format = match fields.text("format").as_deref() {
        Some("restic") => restic(fields, &entry.key, problems),
        Some("archive") => {
            if let (Some(node), Some(Scheme::Rest)) = (fields.get("format"), place.as_ref().map(Place::scheme)) {
                let Misuse { message, hint, .. } = no_archives_at_rest();
                problems.add(&node.origin, message, hint);
            }
            archive_format(fields, &entry.key, problems)
        }
        _ => None,
    };
    Some(Repository {
        name: entry.key.clone(),
        origin: entry.origin.clone(),
        place: place?,
        format: format?,
        append_only: fields.flag("append_only").unwrap_or_default(),
        options: options(fields),
        secrets: secrets(fields),
        rest: RestOfStore {
            user: fields.text("user"),
            key_file: fields.path("key_file"),
            host_key: fields.text("host_key"),
            account: fields.text("account"),
            app_key: fields.text("app_key"),
        },
    })
}

fn place(fields: Fields<'_>, problems: &mut Problems) -> Option<Place> {
    let node = fields.get("url")?;
    // What is written wrongly in a way that the tables see was reported already.
    let address = node
        .text()
        .filter(|text| !text.is_empty() && !text.starts_with('~') && !text.contains("${"))?;
    Place::parse(address, &node.origin)
        .map_err(|(message, hint)| problems.add(&node.origin, message, hint))
        .ok()
}

/// Keys that mean nothing to stores of this kind are slips: what was wanted does not happen.
fn check_keys(fields: Fields<'_>, scheme: Scheme, problems: &mut Problems) {
    for entry in fields.node.entries() {
        let Some((_, schemes)) = ONLY_FOR.iter().find(|(keys, _)| keys.contains(&entry.key.as_str())) else {
            continue;
        };
        if !schemes.contains(&scheme.name()) {
            let message = format!("`{}` means nothing to a store of kind `{}`", entry.key, scheme.name());
            let hint = format!(
                "Remove it, or check `url`; it is for stores of kind {}.",
                crate::config::keys::one_of(schemes)
            );
            problems.add(&entry.origin, message, hint);
        }
    }
}

fn pair(fields: Fields<'_>, first: &str, second: &str, problems: &mut Problems) {
    for (given, missing) in [(first, second), (second, first)] {
        if let (Some(node), None) = (fields.get(given), fields.get(missing)) {
            problems.add(
                &node.origin,
                format!("`{given}` is given without `{missing}`"),
                format!("Add `{missing}`."),
            );
        }
    }
}

fn restic(fields: Fields<'_>, name: &str, problems: &mut Problems) -> Option<Format> {
    for key in ["encryption", "name", "layout"] {
        if let Some(node) = fields.get(key) {
            let hint =
                "Remove it, or write `format: archive`; a repository of format `restic` is encrypted by `password`.";
            problems.add(&node.origin, format!("`{key}` is for archives"), hint);
        }
    }
    let node = fields.get("compression")?;
    let compression = match node.text() {
        Some("none") => Some(Compression::Off),
        Some(word) => word.parse().ok(),
        None => Fields::new(node).parsed("zstd").map(Compression::Level),
    };
    if let Some(gzip) = node.get("gzip") {
        let hint = "Write `{zstd: LEVEL}`, `off`, `fast`, `auto` or `max`.";
        problems.add(&gzip.origin, "restic's format has no gzip", hint);
    }
    if fields.get("password").is_none() {
        let message = format!("`{name}` has no `password`, which a repository of format `restic` needs");
        let hint = "Add `password: {file: PATH}` or `{env: NAME}`; or write `format: archive` for plain files.";
        problems.add(&fields.node.origin, message, hint);
    }
    Some(Format::Restic {
        password: fields.secret("password")?,
        compression: compression?,
        pack_size_bytes: fields.parsed("pack_size").map(|mib: usize| mib << 20),
    })
}

fn archive_format(fields: Fields<'_>, name: &str, problems: &mut Problems) -> Option<Format> {
    for (key, hint) in [
        (
            "password",
            "Remove it and write `encryption`, such as `{age_passphrase: {file: PATH}}`.",
        ),
        ("pack_size", "Remove it: an archive is one file."),
    ] {
        if let Some(node) = fields.get(key) {
            problems.add(
                &node.origin,
                format!("`{key}` is for repositories of format `restic`"),
                hint,
            );
        }
    }
    archive::archive(fields, name, problems).map(Format::Archive)
}

fn options(fields: Fields<'_>) -> Options {
    let mut options = Options {
        upload_bytes_per_second: fields.with("limit_upload", units::rate) as Option<NonZeroU64>,
        download_bytes_per_second: fields.with("limit_download", units::rate) as Option<NonZeroU64>,
        connections: fields.parsed::<NonZeroUsize>("connections"),
        ..Options::default()
    };
    options.http.ca_file = fields.path("ca_file");
    let s3 = &mut options.s3;
    s3.endpoint = fields.text("endpoint");
    s3.region = fields.text("region");
    s3.profile = fields.text("profile");
    s3.storage_class = fields.text("storage_class");
    s3.anonymous = fields.flag("anonymous").unwrap_or(s3.anonymous);
    s3.checksums = fields.flag("checksums").unwrap_or(s3.checksums);
    if let Some(path_style) = fields.flag("path_style") {
        s3.addressing = if path_style {
            Addressing::Path
        } else {
            Addressing::Virtual
        };
    }
    options
}

fn secrets(fields: Fields<'_>) -> StoreSecrets {
    StoreSecrets {
        access_key: fields.secret("access_key"),
        secret_key: fields.secret("secret_key"),
        session_token: fields.secret("session_token"),
        login_password: fields.secret("login_password"),
        key_passphrase: fields.secret("key_passphrase"),
        account_key: fields.secret("account_key"),
        sas_token: fields.secret("sas_token"),
        credentials: fields.secret("credentials"),
        token: fields.secret("token"),
        refresh_token: fields.secret("refresh_token"),
        app_secret: fields.secret("app_secret"),
    }
}
