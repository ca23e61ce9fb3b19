//! How the store is used: `-o` options, limits, and what the environment says about stores.

use super::env::{self, Environment};
use super::{Misuse, units};
use repository::Cancel;
use std::num::{NonZeroU64, NonZeroUsize};
use storage::{Addressing, Options, Secret};

/// What was said on the command line.
#[derive(Clone, Debug, Default)]
pub struct StoreOptions {
    /// `key=value` pairs.
    pub pairs: Vec<String>,
    /// Bytes per second.
    pub limit_upload: Option<NonZeroU64>,
    /// Bytes per second.
    pub limit_download: Option<NonZeroU64>,
}

/// The keys of `-o`, with what they are for, as help shows them.
pub const KEYS: [(&str, &str); 22] = [
    ("s3.endpoint", "URL of the store, for `s3://bucket` addresses"),
    ("s3.region", "region that requests are signed for"),
    (
        "s3.path-style",
        "`true`: bucket in the path; `false`: bucket in the host name",
    ),
    ("s3.storage-class", "class of new objects, such as `STANDARD_IA`"),
    ("s3.ca-file", "file with certificates (PEM) to trust"),
    ("s3.connections", "requests at the same time"),
    ("s3.checksums", "`false` for stores that refuse CRC-32C checksums"),
    ("s3.profile", "profile in ~/.aws to take keys from"),
    ("s3.anonymous", "`true`: do not sign requests"),
    ("sftp.user", "user, where the address does not say"),
    ("sftp.key-file", "private SSH key to log in with"),
    ("sftp.host-key", "fingerprint of the server's key, `SHA256:…`"),
    ("sftp.known-hosts", "file of known hosts, instead of ~/.ssh/known_hosts"),
    ("sftp.connections", "requests at the same time"),
    ("rclone.program", "path of rclone"),
    ("rclone.args", "more options for rclone, such as `--tpslimit 10`"),
    ("rclone.connections", "requests at the same time"),
    (
        "ca-file",
        "file with certificates (PEM) to trust, for all stores over HTTP",
    ),
    ("connections", "requests at the same time, for all stores"),
    (
        "azure.endpoint",
        "URL of the Azure account, where it is not Microsoft's own",
    ),
    ("gcs.endpoint", "URL of Google's store, where it is not Google's own"),
    ("gcs.anonymous", "`true`: do not sign requests"),
];

/// The options of a store, complete.
pub fn resolve(given: &StoreOptions, environment: &Environment, cancel: &Cancel) -> Result<Options, Misuse> {
    let mut options = Options {
        cancel: vec![cancel.flag()],
        ..Options::default()
    };
    from_environment(&mut options, environment)?;
    given.apply(&mut options)?;
    Ok(options)
}

impl StoreOptions {
    /// Let what was said on the command line count instead of what `options` say.
    pub fn apply(&self, options: &mut Options) -> Result<(), Misuse> {
        options.upload_bytes_per_second = self.limit_upload.or(options.upload_bytes_per_second);
        options.download_bytes_per_second = self.limit_download.or(options.download_bytes_per_second);
        for pair in &self.pairs {
            let (key, value) = pair.split_once('=').ok_or_else(|| unknown(pair))?;
            set(options, key.trim(), value.trim())?;
        }
        Ok(())
    }
}

fn from_environment(options: &mut Options, environment: &Environment) -> Result<(), Misuse> {
    let s3 = &mut options.s3;
    s3.endpoint = environment.text(env::AWS_ENDPOINT_URL)?;
    s3.region = environment.text(env::AWS_REGION)?;
    if s3.region.is_none() {
        s3.region = environment.text(env::AWS_DEFAULT_REGION)?;
    }
    s3.access_key = environment.text(env::AWS_ACCESS_KEY_ID)?;
    s3.secret_key = environment.text(env::AWS_SECRET_ACCESS_KEY)?;
    s3.session_token = environment.text(env::AWS_SESSION_TOKEN)?;
    s3.profile = environment.text(env::AWS_PROFILE)?;
    options.rclone.hidden_variables = env::own_names();
    let sftp = &mut options.sftp;
    sftp.password = environment.text(env::SFTP_PASSWORD)?;
    sftp.key_passphrase = environment.text(env::SFTP_KEY_PASSPHRASE)?;
    sftp.agent = environment.path(env::SSH_AUTH_SOCK);
    sftp.home = environment.path(env::HOME);
    sftp.login_name = environment.text(env::USER)?;
    other_stores(options, environment)
}

fn other_stores(options: &mut Options, environment: &Environment) -> Result<(), Misuse> {
    let secret = |variable| -> Result<Option<Secret>, Misuse> { Ok(environment.text(variable)?.map(Secret::from)) };
    options.webdav.login.user = environment.text(env::WEBDAV_USERNAME)?;
    options.webdav.login.password = secret(env::WEBDAV_PASSWORD)?;
    options.rest.login.user = environment.text(env::RESTIC_REST_USERNAME)?;
    options.rest.login.password = secret(env::RESTIC_REST_PASSWORD)?;
    options.azblob.account = environment.text(env::AZURE_ACCOUNT_NAME)?;
    options.azblob.account_key = secret(env::AZURE_ACCOUNT_KEY)?;
    options.azblob.sas_token = secret(env::AZURE_ACCOUNT_SAS)?;
    options.gcs.credentials_file = environment.path(env::GOOGLE_APPLICATION_CREDENTIALS);
    options.b2.key_id = environment.text(env::B2_ACCOUNT_ID)?;
    options.b2.key = secret(env::B2_ACCOUNT_KEY)?;
    options.dropbox.token = secret(env::DROPBOX_TOKEN)?;
    options.dropbox.refresh_token = secret(env::DROPBOX_REFRESH_TOKEN)?;
    options.dropbox.app_key = environment.text(env::DROPBOX_APP_KEY)?;
    options.dropbox.app_secret = secret(env::DROPBOX_APP_SECRET)?;
    Ok(())
}

fn set(options: &mut Options, key: &str, value: &str) -> Result<(), Misuse> {
    let text = || Some(value.to_owned()).filter(|value| !value.is_empty());
    let (s3, sftp) = (&mut options.s3, &mut options.sftp);
    match key {
        "s3.endpoint" => s3.endpoint = text(),
        "s3.region" => s3.region = text(),
        "s3.path-style" => {
            s3.addressing = if flag(key, value)? {
                Addressing::Path
            } else {
                Addressing::Virtual
            }
        }
        "s3.storage-class" => s3.storage_class = text(),
        "s3.ca-file" | "ca-file" => options.http.ca_file = text().map(Into::into),
        "connections" | "s3.connections" | "sftp.connections" | "rclone.connections" => {
            options.connections = Some(connections(key, value)?);
        }
        "s3.checksums" => s3.checksums = flag(key, value)?,
        "s3.profile" => s3.profile = text(),
        "s3.anonymous" => s3.anonymous = flag(key, value)?,
        "sftp.user" => sftp.user = text(),
        "sftp.key-file" => sftp.key_file = text().map(Into::into),
        "sftp.host-key" => sftp.host_key = text(),
        "sftp.known-hosts" => sftp.known_hosts = text().map(Into::into),
        "rclone.program" => options.rclone.program = value.into(),
        "rclone.args" => options.rclone.arguments = arguments(key, value)?,
        "azure.endpoint" => options.azblob.endpoint = text(),
        "gcs.endpoint" => options.gcs.endpoint = text(),
        "gcs.anonymous" => options.gcs.anonymous = flag(key, value)?,
        _ => return Err(unknown(key)),
    }
    Ok(())
}

fn flag(key: &str, value: &str) -> Result<bool, Misuse> {
    let hint = format!("Write `-o {key}=true` or `-o {key}=false`.");
    value
        .parse()
        .map_err(|_| Misuse::new(format!("`{value}` is no value for the option `{key}`"), hint))
}

/// Options of rclone, split as a shell would. Those that restic starts it with mean another way of working, which is not ours.
fn arguments(key: &str, value: &str) -> Result<Vec<String>, Misuse> {
    let wrong = |why: &str| {
        Misuse::new(
            format!("`{value}` is no value for the option `{key}`: {why}"),
            RCLONE_HINT,
        )
    };
    let words = shlex::split(value).ok_or_else(|| wrong("a quote is not closed"))?;
    match words.iter().find(|word| !word.starts_with('-')) {
        Some(word) if words.first() == Some(word) => Err(wrong("an option begins with `-`")),
        _ => Ok(words),
    }
}

const RCLONE_HINT: &str =
    "Write options that all of rclone's commands take, such as `--tpslimit 10`; not `serve restic --stdio`.";

fn connections(key: &str, value: &str) -> Result<NonZeroUsize, Misuse> {
    let hint = format!("Write a number from 1, such as `-o {key}=8`.");
    value
        .parse()
        .map_err(|_| Misuse::new(format!("`{value}` is no number of connections"), hint))
}

fn unknown(key: &str) -> Misuse {
    let known: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
    let hint = format!("Write `-o KEY=VALUE`; the keys are {}.", known.join(", "));
    Misuse::new(format!("there is no extended option `{key}`"), hint)
}

/// A pack size in bytes from one in MiB, as restic's option takes it.
pub fn pack_size(text: &str) -> Result<usize, String> {
    let refuse = || format!("`{text}` is not a pack size from 4 to 128 (MiB)");
    let mib = text
        .parse::<u64>()
        .ok()
        .or_else(|| units::size(text).ok().map(|size| size >> 20));
    match mib {
        Some(mib @ 4..=128) => usize::try_from(mib << 20).map_err(|_| refuse()),
        _ => Err(refuse()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(pairs: &[&str], environment: &Environment) -> Result<Options, Misuse> {
        let given = StoreOptions {
            pairs: pairs.iter().map(ToString::to_string).collect(),
            ..StoreOptions::default()
        };
        resolve(&given, environment, &Cancel::default())
    }

    #[test]
    fn options_go_before_variables() {
        let environment = Environment::of([(env::AWS_DEFAULT_REGION, "old"), (env::AWS_SECRET_ACCESS_KEY, "hush")]);
        let options = resolved(&["s3.connections=8", "s3.path-style=true"], &environment).unwrap();
        assert_eq!(options.s3.region.as_deref(), Some("old"));
        assert_eq!(options.s3.addressing, Addressing::Path);
        assert_eq!(options.connections.map(NonZeroUsize::get), Some(8));
        assert_eq!(
            resolved(&["s3.region=new"], &environment).unwrap().s3.region.as_deref(),
            Some("new")
        );
    }

    #[test]
    fn the_variables_of_restic_are_understood() {
        let environment = Environment::of([
            (env::RESTIC_REST_USERNAME, "me"),
            (env::RESTIC_REST_PASSWORD, "hush"),
            (env::AZURE_ACCOUNT_NAME, "account"),
            (env::AZURE_ACCOUNT_KEY, "hush"),
            (env::GOOGLE_APPLICATION_CREDENTIALS, "/file"),
            (env::B2_ACCOUNT_ID, "id"),
            (env::B2_ACCOUNT_KEY, "hush"),
        ]);
        let options = resolved(&["azure.endpoint=http://localhost"], &environment).unwrap();
        assert_eq!(options.rest.login.user.as_deref(), Some("me"));
        assert_eq!(options.rest.login.password, Some("hush".into()));
        assert_eq!(options.webdav.login.user, None);
        assert_eq!(options.azblob.account.as_deref(), Some("account"));
        assert_eq!(options.azblob.account_key, Some("hush".into()));
        assert_eq!(options.azblob.endpoint.as_deref(), Some("http://localhost"));
        assert_eq!(options.gcs.credentials_file, Some("/file".into()));
        assert_eq!(
            (options.b2.key_id.as_deref(), options.b2.key.clone()),
            (Some("id"), Some("hush".into()))
        );
        assert!(!format!("{options:?}").contains("hush"));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for pair in [
            "s3.regoin=x",
            "s3.region",
            "s3.connections=0",
            "s3.path-style=yes",
            "rclone.args=serve restic",
            "rclone.args='",
        ] {
            assert!(resolved(&[pair], &Environment::default()).is_err(), "{pair}");
        }
    }

    #[test]
    fn every_key_of_the_help_is_taken() {
        for (key, _) in KEYS {
            let value = match key {
                "rclone.args" => "--tpslimit 10",
                key if key.ends_with("connections") => "2",
                _ => "true",
            };
            resolved(&[&format!("{key}={value}")], &Environment::default()).unwrap();
        }
    }

    #[test]
    fn pack_sizes_are_in_mib() {
        assert_eq!(pack_size("16"), Ok(16 << 20));
        assert_eq!(pack_size("64M"), Ok(64 << 20));
        assert!(pack_size("3").is_err() && pack_size("129").is_err() && pack_size("x").is_err());
    }
}
