//! What can be protected: one file per kind of source.

mod command;
mod files;
mod patient;

pub use command::CommandSource;
pub use files::FilesSource;
pub use patient::Patient;

use crate::config::Misuse;
use crate::config::model::{self, SourceKind};
use crate::config::secret::SecretReader;
use crate::engine::manifest::{Facts, Grade};
use repository::Cancel;
use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;

/// Where files of this host stand in a snapshot.
pub const FILES: &str = "/files";

/// Something that is protected.
pub trait Source: std::fmt::Debug {
    /// The kind, as the configuration names it.
    fn kind(&self) -> &'static str;

    /// What it is, for people.
    fn name(&self) -> String;

    /// How consistent what is captured is.
    fn grade(&self) -> Option<Grade>;

    /// Whether the run fails without it.
    fn is_required(&self) -> bool;

    /// What goes into a snapshot. Nothing is begun before it is read.
    ///
    /// # Errors
    /// When a secret that is needed cannot be read.
    fn capture(&self, surroundings: &Surroundings<'_>) -> Result<Vec<Item>, Misuse>;

    /// Which files belong to it.
    fn scope(&self) -> Scope {
        Scope::default()
    }
}

/// Which files belong to a source, as patterns.
#[derive(Debug, Default)]
pub struct Scope {
    /// Left out.
    pub exclude: Vec<OsString>,
    /// If there are any, everything else is left out.
    pub include: Vec<OsString>,
    /// Its paths on this host: everything that it can hold lies there.
    pub paths: Vec<PathBuf>,
    /// Stay in the file systems of its paths; nothing if it has none.
    pub one_file_system: Option<bool>,
}

/// What a source works with.
pub struct Surroundings<'a> {
    /// Fetches secrets.
    pub secrets: &'a dyn SecretReader,
    /// Ends waiting.
    pub cancel: &'a Cancel,
}

/// One thing that goes into a snapshot.
pub enum Item {
    /// A file or directory of this host with everything below, below [`FILES`].
    Path(PathBuf),
    /// Bytes that become one file.
    Stream(Stream),
}

/// Bytes that become one file.
pub struct Stream {
    /// Where it stands in the snapshot.
    pub path: PathBuf,
    /// The bytes; whatever makes them is started by the first call.
    pub reader: Box<dyn Read + Send>,
    /// Called after the last byte: whether they were all there were, and what is known of them.
    pub finish: Box<dyn FnOnce() -> repository::Result<Facts> + Send>,
}

impl Item {
    /// Where it stands in the snapshot.
    pub fn logical_path(&self) -> PathBuf {
        match self {
            Self::Path(path) => logical(path),
            Self::Stream(stream) => stream.path.clone(),
        }
    }
}

/// Where a path of this host stands in a snapshot.
pub fn logical(path: &std::path::Path) -> PathBuf {
    PathBuf::from(FILES).join(path.strip_prefix("/").unwrap_or(path))
}

/// The sources of a job.
///
/// # Errors
/// If this version cannot capture one of them, or they do not fit together.
pub fn of(job: &model::Job) -> Result<Vec<Box<dyn Source>>, Misuse> {
    let open = |source: &model::Source| -> Result<Box<dyn Source>, Misuse> {
        source.check_executable()?;
        Ok(match &source.kind {
            SourceKind::Files(files) => Box::new(FilesSource::new(files.clone(), source.required)),
            SourceKind::Command(command) => Box::new(CommandSource::new(command.clone(), source.required)),
            other => {
                let message = format!("sources of kind `{}` cannot be captured", other.name());
                return Err(Misuse::new(message, "Take the source out."));
            }
        })
    };
    job.sources.iter().map(open).collect()
}
