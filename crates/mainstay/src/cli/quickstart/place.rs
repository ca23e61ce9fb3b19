//! Where `quickstart` keeps its repository and password.

use crate::cli::{Context, holds_repository};
use crate::config::password::Source;
use repository::restic::config::ChunkerKind;
use repository::restic::repository::Repository;
use repository::{Error, Monitor, Result};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use storage::Location;

/// A directory for all of it, which only its owner can read.
#[derive(Clone, Debug)]
pub struct Place {
    /// The directory itself.
    pub directory: PathBuf,
    /// The repository in it.
    pub repository: PathBuf,
    /// The file that holds the password.
    pub password_file: PathBuf,
}

/// Letters and digits without those that look like others. 32 of them are 158 bits.
const ALPHABET: &[u8] = b"abcdefghijkmnopqrstuvwxyz23456789";
const PASSWORD_LENGTH: usize = 32;

impl Place {
    /// Make the directory and a random password, or use those that are there.
    pub fn prepare(directory: &Path) -> Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(Error::local("create", directory))?;
        let directory = directory.canonicalize().map_err(Error::local("open", directory))?;
        let place = Self {
            repository: directory.join("repository"),
            password_file: directory.join("password"),
            directory,
        };
        if !place.password_file.exists() {
            place.refuse_to_replace()?;
            write_password(&place.password_file).map_err(Error::local("create", &place.password_file))?;
        }
        Ok(place)
    }

    /// A new password does not open a repository that is there already.
    fn refuse_to_replace(&self) -> Result<()> {
        if !self.repository.join("config").exists() {
            return Ok(());
        }
        Err(Error::Refused {
            message: format!(
                "there is a repository in `{}`, but its password file is gone",
                self.repository.display()
            ),
            hint: format!(
                "Put the password back into `{}`, or set `MAINSTAY_STATE_DIR` to another directory.",
                self.password_file.display()
            ),
        })
    }

    /// Open the repository, which is made if there is none.
    pub fn open(&self, context: &Context, monitor: &dyn Monitor) -> anyhow::Result<Repository> {
        let location = Location::Local(self.repository.clone());
        let (store, options) = (context.store(&location)?, context.open_options(&location)?);
        let password = Source::File(self.password_file.clone()).read(context.environment())?;
        if holds_repository(&*store)? {
            return Ok(Repository::open(store, password.bytes(), &options)?);
        }
        monitor.phase("creating the repository");
        Ok(Repository::init(
            store,
            password.bytes(),
            ChunkerKind::FastCdc,
            &options,
        )?)
    }

    /// Whether the directory lies in `source`.
    pub fn is_below(&self, source: &Path) -> bool {
        self.directory.starts_with(source)
    }

    /// What the repository takes, bytes; 0 if it cannot be found out.
    pub fn stored_bytes(&self) -> u64 {
        let mut total = 0;
        let mut directories = vec![self.repository.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                match entry.metadata() {
                    Ok(metadata) if metadata.is_dir() => directories.push(entry.path()),
                    Ok(metadata) => total += metadata.len(),
                    Err(_) => {}
                }
            }
        }
        total
    }
}

/// Whole or not at all: a half-written password would lock its user out.
fn write_password(path: &Path) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(&random_password())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    fs::File::open(path.parent().unwrap_or(path))?.sync_all()
}

/// From the system's random numbers, each letter as likely as any other.
fn random_password() -> Vec<u8> {
    let limit = u8::MAX - u8::MAX % ALPHABET.len() as u8;
    let bytes = std::iter::repeat_with(rand::random::<u8>).filter(|byte| *byte < limit);
    bytes
        .map(|byte| ALPHABET[usize::from(byte) % ALPHABET.len()])
        .take(PASSWORD_LENGTH)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_second_run_finds_the_same_password() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("a/b");
        let place = Place::prepare(&directory).unwrap();
        let password = fs::read(&place.password_file).unwrap();
        assert_eq!(password.len(), PASSWORD_LENGTH + 1);
        assert_eq!(
            fs::metadata(&place.password_file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            fs::metadata(&place.directory).unwrap().permissions().mode() & 0o777,
            0o700
        );
        assert_eq!(
            fs::read(Place::prepare(&directory).unwrap().password_file).unwrap(),
            password
        );
    }

    #[test]
    fn a_lost_password_is_not_replaced() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("repository")).unwrap();
        fs::write(root.path().join("repository/config"), "x").unwrap();
        assert!(matches!(Place::prepare(root.path()), Err(Error::Refused { .. })));
    }
}
