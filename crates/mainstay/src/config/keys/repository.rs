//! `repositories`.

use super::{Choice, FLAG, Key, Kind, NAME, READABLE, Shape, TEXT, Table, URL, Variant};

/// Where snapshots live.
pub static REPOSITORY: Table = Table {
    of: "a repository",
    keys: &[
        Key::new(
            "url",
            "A path, or `s3://`, `sftp://`, `webdav+https://`, `azblob://`, `gcs://`, `b2://`, `dropbox:`, `rest:`, `rclone:`.",
            Shape::One(Kind::Address),
        )
        .required(),
        Key::new(
            "format",
            "`restic` deduplicates and encrypts; `archive` writes one tar file per run.",
            Shape::One(Kind::Word(&["restic", "archive"])),
        )
        .or("restic"),
        Key::new("password", "Password of a repository of format `restic`.", Shape::Secret),
        Key::new("append_only", "The credentials can only add: nothing is expired from here.", FLAG).or("false"),
        Key::new("endpoint", "Address of the store, where it is not Amazon's, Microsoft's or Google's.", URL),
        Key::new("region", "Region that S3 requests are signed for.", TEXT),
        Key::new("access_key", "Access key (S3), or id of the key (B2).", Shape::Secret),
        Key::new("secret_key", "The secret that belongs to it.", Shape::Secret),
        Key::new("session_token", "Session token of temporary S3 keys.", Shape::Secret),
        Key::new("profile", "Profile in ~/.aws to take the S3 keys from.", TEXT),
        Key::new("anonymous", "Do not sign requests (S3, Google).", FLAG),
        Key::new("path_style", "Bucket in the path (`true`) or in the host name (`false`).", FLAG),
        Key::new("storage_class", "Class of new S3 objects, such as `STANDARD_IA`.", TEXT),
        Key::new("checksums", "`false` for S3 stores that refuse CRC-32C checksums.", FLAG),
        Key::new("ca_file", "File with certificates (PEM) to trust.", READABLE),
        Key::new("user", "User at the server (SFTP, WebDAV, REST).", TEXT),
        Key::new("login_password", "Password of that user at the server.", Shape::Secret),
        Key::new("key_file", "Private SSH key to log in with.", READABLE),
        Key::new("key_passphrase", "Passphrase of that key.", Shape::Secret),
        Key::new("host_key", "Fingerprint of the SSH server's key, `SHA256:…`; without it, known_hosts counts.", TEXT),
        Key::new("account", "Name of the Azure account.", TEXT),
        Key::new("account_key", "Key of the Azure account.", Shape::Secret),
        Key::new("sas_token", "Shared access signature for Azure.", Shape::Secret),
        Key::new("credentials", "Service account of Google Cloud, as JSON.", Shape::Secret),
        Key::new("token", "Access token (Dropbox, WebDAV).", Shape::Secret),
        Key::new("refresh_token", "Refresh token of Dropbox, which lasts.", Shape::Secret),
        Key::new("app_key", "Key of the app that the refresh token was given to.", TEXT),
        Key::new("app_secret", "Secret of that app.", Shape::Secret),
        Key::new("connections", "Requests at the same time.", Shape::One(Kind::Number(1, 256))),
        Key::new("limit_upload", "Most that is uploaded per second.", Shape::One(Kind::Rate)),
        Key::new("limit_download", "Most that is downloaded per second.", Shape::One(Kind::Rate)),
        Key::new("pack_size", "Size of packs in MiB (format `restic`).", Shape::One(Kind::Number(4, 128))),
        Key::new(
            "name",
            "Name of an archive, with strftime fields and `{host}` and `{job}`.",
            TEXT,
        ),
        Key::new(
            "layout",
            "Archives in one folder, or in `daily` and `weekly` ones.",
            Shape::One(Kind::Word(&["flat", "daily-weekly"])),
        ),
        Key::new(
            "compression",
            "How much effort goes into compression, or a method with its level.",
            Shape::Either(
                Kind::Word(&["none", "off", "fast", "auto", "max"]),
                &Shape::OneOf(&LEVELS),
            ),
        )
        .or("auto"),
        Key::new(
            "encryption",
            "How an archive is encrypted; an archive has to say it.",
            Shape::Either(Kind::Word(&["none"]), &Shape::OneOf(&ENCRYPTION)),
        ),
    ],
};

/// Methods of compression.
static LEVELS: Choice = Choice {
    of: "`compression`",
    variants: &[
        Variant::new("zstd", "Zstandard with a level.", Shape::One(Kind::Number(1, 19))),
        Variant::new(
            "gzip",
            "gzip with a level; for archives.",
            Shape::One(Kind::Number(1, 9)),
        ),
    ],
};

/// Methods of encryption.
static ENCRYPTION: Choice = Choice {
    of: "`encryption`",
    variants: &[
        Variant::new(
            "age",
            "To age recipients: keys as text, or files with keys.",
            Shape::List(&Shape::Either(Kind::Text, &Shape::Keys(&KEY_FILE))),
        ),
        Variant::new("age_passphrase", "With a passphrase, by age.", Shape::Secret),
        Variant::new("gpg_passphrase", "With a passphrase, as OpenPGP.", Shape::Secret),
        Variant::new(
            "gpg_keys",
            "To OpenPGP public keys: armored text, or files with keys.",
            Shape::List(&Shape::Either(Kind::Text, &Shape::Keys(&KEY_FILE))),
        ),
    ],
};

static KEY_FILE: Table = Table {
    of: "a recipient",
    keys: &[Key::new("file", "File with public keys.", READABLE).required()],
};

/// Keys that only stores of some kinds understand, with the schemes of those.
pub const ONLY_FOR: &[(&[&str], &[&str])] = &[
    (
        &[
            "region",
            "session_token",
            "profile",
            "path_style",
            "storage_class",
            "checksums",
        ],
        &["s3"],
    ),
    (&["endpoint"], &["s3", "azblob", "gcs"]),
    (&["anonymous"], &["s3", "gcs"]),
    (&["access_key", "secret_key"], &["s3", "b2"]),
    (
        &["ca_file"],
        &["s3", "webdav", "rest", "azblob", "gcs", "b2", "dropbox"],
    ),
    (&["user", "login_password"], &["sftp", "webdav", "rest"]),
    (&["key_file", "key_passphrase", "host_key"], &["sftp"]),
    (&["account", "account_key", "sas_token"], &["azblob"]),
    (&["credentials"], &["gcs"]),
    (&["token"], &["dropbox", "webdav"]),
    (&["refresh_token", "app_key", "app_secret"], &["dropbox"]),
];

/// Names of repositories and jobs.
pub const REFERENCE: Shape = NAME;
