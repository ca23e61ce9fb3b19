//! What can go wrong with a repository, and what to do about it.

use crate::Id;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Result of a repository operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation. [`Error::hint`] names the next action.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store failed.
    #[error("the repository's store failed")]
    Storage(#[from] storage::Error),
    /// There is no repository at this address.
    #[error("there is no repository in `{location}`")]
    NoRepository {
        /// Where it was looked for.
        location: String,
    },
    /// There is a repository already.
    #[error("there is a repository in `{location}` already")]
    AlreadyExists {
        /// Where.
        location: String,
    },
    /// No key of the repository opens with this password.
    #[error("no key of the repository opens with this password ({keys} tried)")]
    WrongPassword {
        /// Keys that were tried.
        keys: usize,
    },
    /// No identity or passphrase that was given opens an archive.
    #[error("nothing that was given opens the archive `{name}`")]
    WrongIdentity {
        /// The archive.
        name: String,
        /// How it is encrypted, as its manifest says.
        method: String,
        /// For whom, as its manifest says; nobody in particular for a passphrase.
        recipients: Vec<String>,
    },
    /// Another process holds a lock.
    #[error("the repository is locked {holder}")]
    Locked {
        /// Who holds it since when, as a phrase: `exclusively by PID 12 on host since …`.
        holder: String,
    },
    /// The lock that this process held is gone.
    #[error("the lock on the repository was removed while it was in use")]
    LockLost,
    /// One of several repositories is so slow that it was left out of a run.
    #[error("`{location}` kept the others waiting for more than {} s", limit.as_secs())]
    TooSlow {
        /// Which.
        location: String,
        /// How long it may.
        limit: Duration,
    },
    /// A store said that it stored something, and does not have it.
    #[error("`{location}` said that it stored the {object} `{name}`, and does not have it as it was")]
    NotStored {
        /// Which store.
        location: String,
        /// What it is: `pack`, `index`, `snapshot`.
        object: &'static str,
        /// Its id.
        name: String,
    },
    /// Something stored is not what was written.
    #[error("{object} `{name}` is damaged: {reason}")]
    Damaged {
        /// What it is: `pack`, `index`, `snapshot`, `blob`, …
        object: &'static str,
        /// Its id or file name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The repository was made by a version of the format that is not understood.
    #[error("repository version {version} is not supported")]
    UnsupportedVersion {
        /// As its config says.
        version: u32,
    },
    /// A local file or directory.
    #[error("cannot {operation} `{path}`")]
    Local {
        /// A verb: `read`, `create`.
        operation: &'static str,
        /// Which.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The thing asked for is not in the repository.
    #[error("{what} `{name}` was not found")]
    NotFound {
        /// `snapshot`, `path`, `blob`, …
        what: &'static str,
        /// As it was asked for.
        name: String,
    },
    /// Several things match a shortened name.
    #[error("`{prefix}` is the beginning of {count} snapshots' ids")]
    Ambiguous {
        /// As it was asked for.
        prefix: String,
        /// How many match.
        count: usize,
    },
    /// Several archives match a shortened name.
    #[error("`{prefix}` is the beginning of {count} archives' names")]
    AmbiguousArchive {
        /// As it was asked for.
        prefix: String,
        /// How many match.
        count: usize,
    },
    /// What was asked for makes no sense or would do harm.
    #[error("{message}")]
    Refused {
        /// What and why.
        message: String,
        /// The next action.
        hint: String,
    },
    /// A store lets these credentials add, and not delete.
    #[error("nothing was changed, since `{location}` does not let these credentials delete any {object}")]
    AppendOnly {
        /// Which store.
        location: String,
        /// What it is: `pack`, `index`, `snapshot`, `lock`, `key`.
        object: &'static str,
        /// What it said.
        #[source]
        source: Box<storage::Error>,
    },
    /// An archive was to be made of a snapshot that cannot be read.
    #[error("the snapshot in `{location}` cannot be read")]
    UnreadableSnapshot {
        /// Where it is.
        location: String,
        /// Why.
        #[source]
        source: Box<Self>,
    },
    /// The system gives no memory for a pack.
    #[error("there is not enough memory")]
    Memory(#[source] io::Error),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// A promise that the code makes to itself does not hold, for example a blob that reads back differently than it was
    /// written before it was stored.
    #[error("verification failed: {0}")]
    Verification(String),
}

impl Error {
    /// A damaged object named by its id.
    pub fn damaged(object: &'static str, id: &Id, reason: impl ToString) -> Self {
        Self::Damaged {
            object,
            name: id.to_string(),
            reason: reason.to_string(),
        }
    }

    /// A local file that cannot be worked with; for `map_err`.
    pub fn local(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Local {
            operation,
            path,
            source,
        }
    }

    /// Whether this says that an object is not what was written (and not that it cannot be reached now).
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Storage(error) => matches!(error.kind, storage::ErrorKind::NotFound | storage::ErrorKind::Truncated),
            _ => false,
        }
    }

    /// What to do next, as a sentence.
    pub fn hint(&self) -> Option<String> {
        use storage::ErrorKind as Kind;
        let text = match self {
            Self::Storage(storage::Error { hint: Some(hint), .. }) => return Some(hint.clone()),
            Self::Storage(error) => match error.kind {
                Kind::NotFound if error.operation == "write" => {
                    "Check the address: the bucket, container or directory has to be there already."
                }
                Kind::NotFound => "The object is missing; run `mainstay check` to see what is affected.",
                Kind::PermissionDenied => refusal_hint(&error.location),
                Kind::Held => {
                    "Try again when that time is over: the store protects the object by its own rules (object lock, retention), from everybody."
                }
                Kind::Full => "Free space in the store; what was stored completely so far is used by the next run.",
                Kind::TimedOut | Kind::Unavailable => {
                    "Check the network and the store, then run the command again: it goes on where it stopped."
                }
                Kind::Misconfigured => {
                    "Check the repository's address and its options; a certificate of your own is named by `-o ca-file=FILE` (`ca_file` in the configuration)."
                }
                Kind::Truncated => "The object is damaged: run `mainstay check --read-data` to see the extent of it.",
                Kind::InvalidName if error.location.starts_with("rest:") => {
                    "A REST server takes repositories of format `restic` only; store archives elsewhere."
                }
                _ => return None,
            },
            Self::NoRepository { .. } => "Check the address, or create a repository there with `mainstay init`.",
            Self::AlreadyExists { .. } => "Use it as it is, or choose another address.",
            Self::WrongPassword { .. } => "Check the password, and that this is the repository that it belongs to.",
            Self::WrongIdentity { method, recipients, .. } => return Some(identity_hint(method, recipients)),
            Self::Locked { .. } => {
                "Wait for the other process (`--retry-lock 10m`), or remove locks of dead processes with `mainstay unlock`."
            }
            Self::LockLost => {
                "Run the command again; `mainstay unlock --remove-all` is only for when nobody is at work."
            }
            Self::NotStored { .. } => {
                "The store loses what it is given: look at its health, its free space, and whether something else deletes there."
            }
            Self::TooSlow { .. } => "`mainstay sync` completes it from another repository.",
            Self::Damaged { object: "key", .. } => {
                "It opens nothing: open the repository with another password and remove it with `mainstay key remove ID`."
            }
            Self::Damaged {
                object: "archive" | "manifest",
                ..
            } => {
                "Run `mainstay check --read-data` to see the extent of the damage; other archives do not depend on this one."
            }
            Self::Damaged { .. } => {
                "Run `mainstay check --read-data` to see the extent of the damage; `mainstay repair` says how to go on."
            }
            Self::UnsupportedVersion { .. } => "Use a newer version of Mainstay or restic.",
            Self::Local { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => "Check the path's spelling, and that everything is mounted.",
                io::ErrorKind::PermissionDenied => "Run as a user with access, such as root.",
                io::ErrorKind::StorageFull => "Free space on the disk.",
                _ => return None,
            },
            Self::NotFound { what: "snapshot", .. } => "List the snapshots with `mainstay snapshots`.",
            Self::NotFound { what: "archive", .. } => {
                "List the archives with `mainstay snapshots`; one without a manifest is not there."
            }
            Self::NotFound { what: "path", .. } => "List what the snapshot holds with `mainstay ls SNAPSHOT`.",
            Self::NotFound { what: "key", .. } => "List the keys with `mainstay key list`.",
            Self::NotFound { what: "lock", .. } => "List the locks with `mainstay list locks`.",
            Self::NotFound { what: "index", .. } => "List the index files with `mainstay list index`.",
            Self::NotFound { what: "pack", .. } => "List the packs with `mainstay list packs`.",
            Self::NotFound { what: "blob", .. } => "List the blobs with `mainstay list blobs`.",
            Self::NotFound { .. } => "Run `mainstay check` to see whether the repository is complete.",
            Self::Ambiguous { .. } => "Give more digits of the id.",
            Self::AmbiguousArchive { .. } => "Give more of the name; `mainstay snapshots` lists them.",
            Self::Refused { hint, .. } => return Some(hint.clone()),
            Self::AppendOnly { .. } => {
                "Run it with credentials that may delete, or where the store is not served as append-only. Jobs do not try with `append_only: true`."
            }
            Self::UnreadableSnapshot { source, .. } => return source.hint(),
            Self::Verification(_) => {
                "Nothing wrong was stored. This points at faulty memory or at a defect: test the memory, then report it."
            }
            Self::Memory(_) => "Give the program more memory, or make packs smaller with `--pack-size`.",
            Self::Interrupted => return None,
        };
        Some(text.to_owned())
    }
}

/// Which key opens an archive, and how it is given.
fn identity_hint(method: &str, recipients: &[String]) -> String {
    let all = |kind: &str| {
        let names: Vec<String> = recipients.iter().map(|name| format!("`{}`", shortened(name))).collect();
        format!("It was encrypted {kind} {}", names.join(", "))
    };
    match method {
        "age-passphrase" | "openpgp-passphrase" => {
            "It was encrypted with a passphrase: give the right one with `--password-file FILE`.".to_owned()
        }
        "openpgp" => format!(
            "{}: give what `gpg --export-secret-keys` prints for one of them with `--identity FILE`.",
            all("with OpenPGP for the keys")
        ),
        _ => format!(
            "{}: give the private key of one of them with `--identity FILE`.",
            all("with age for")
        ),
    }
}

/// An SSH key without most of its digits: kind and comment tell people which it is.
fn shortened(recipient: &str) -> String {
    let words: Vec<&str> = recipient.split_whitespace().collect();
    match words[..] {
        [kind, key, ..] if key.len() > 24 => {
            let comment = words[2..].iter().map(|word| format!(" {word}")).collect::<String>();
            format!("{kind} {}…{comment}", key.get(..20).unwrap_or(key))
        }
        _ => recipient.to_owned(),
    }
}

/// What to do when the store at `location` refuses.
fn refusal_hint(location: &str) -> &'static str {
    const HINTS: [(&str, &str); 7] = [
        (
            "s3:",
            "Check the credentials (`access_key` and `secret_key` in the configuration; `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or `AWS_PROFILE`) and what the bucket allows them.",
        ),
        (
            "webdav+",
            "Check user and password (`user` and `login_password` in the configuration; `WEBDAV_USERNAME` and `WEBDAV_PASSWORD`), and what the server allows them.",
        ),
        (
            "rest:",
            "Check user and password (`user` and `login_password` in the configuration; `RESTIC_REST_USERNAME` and `RESTIC_REST_PASSWORD`); an append-only server refuses to delete.",
        ),
        (
            "azblob:",
            "Check `account` with `account_key` or `sas_token` in the configuration (`AZURE_ACCOUNT_NAME` with `AZURE_ACCOUNT_KEY` or `AZURE_ACCOUNT_SAS`), and what they allow in the container.",
        ),
        (
            "gcs:",
            "Check `credentials` in the configuration (`GOOGLE_APPLICATION_CREDENTIALS`), and that the service account may administer the bucket's objects.",
        ),
        (
            "b2:",
            "Check the application key (`access_key` and `secret_key` in the configuration; `B2_ACCOUNT_ID` and `B2_ACCOUNT_KEY`) and what it may do; the account's master key does not work.",
        ),
        (
            "dropbox:",
            "Check the token (`token` in the configuration, `DROPBOX_TOKEN`): an access token lasts for hours, a refresh token (`refresh_token`, `DROPBOX_REFRESH_TOKEN`) for good.",
        ),
    ];
    HINTS.iter().find(|(scheme, _)| location.starts_with(scheme)).map_or(
        "Check the permissions of the directory, or run as a user with access.",
        |(_, hint)| hint,
    )
}
