//! What can be protected: one file or directory per kind of source, with three verbs each: capture, restore, prove.

pub mod api;
mod command;
pub mod databases;
mod files;
mod grafana;
mod hashed;
mod http;
mod mongodb;
mod mysql;
mod n8n;
mod own_server;
mod patient;
mod piece;
mod postgres;
mod probe;
pub mod program;
mod proof;
mod redis;
mod restore;
mod room;
mod sqlite;
mod stored;
mod workplace;

pub use command::CommandSource;
pub use files::FilesSource;
pub use grafana::GrafanaSource;
pub use hashed::Hashed;
pub use http::HttpSource;
pub use mongodb::MongodbSource;
pub use mysql::{Dialect, MysqlSource};
pub use n8n::N8nSource;
pub use own_server::OwnServer;
pub use patient::Patient;
pub use piece::{Item, Piece, Stream};
pub use postgres::PostgresSource;
pub use probe::{Found, Probe};
pub use proof::{Check, Proof, Verdict};
pub use redis::RedisSource;
pub use restore::{Plan, PutBack, Restored};
pub use room::Room;
pub use sqlite::{InFiles, SqliteSource};
pub use stored::{Entry, Stored};
pub use workplace::Workplace;

use crate::config::Misuse;
use crate::config::model::{self, SourceKind};
use crate::config::secret::SecretReader;
use crate::engine::manifest::Part;
use repository::{Cancel, Monitor};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where files of this host stand in a snapshot.
pub const FILES: &str = "/files";

/// Something that is protected.
///
/// The contract, which is tested for every kind: `capture` begins nothing before it is read, and what it reads is all there was, or an
/// error. `restore` only plans; the plan changes nothing before it is executed, and refuses to replace what is there unless it was told
/// to. `prove` works in a scratch directory and touches nothing else; what it did not look at it does not call proven.
pub trait Source: std::fmt::Debug + Sync {
    /// The kind, as the configuration names it.
    fn kind(&self) -> &'static str;

    /// What it is, for people.
    fn name(&self) -> String;

    /// Where everything of it stands in a snapshot.
    fn roots(&self) -> Vec<PathBuf>;

    /// What goes into a snapshot, in the order in which it has to be restored. Nothing is begun before it is read.
    ///
    /// # Errors
    /// When a secret cannot be read, or what is protected cannot be reached. The second is an error of this source alone.
    fn capture(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Vec<Piece>>;

    /// Which files belong to it.
    fn scope(&self) -> Scope {
        Scope::default()
    }

    /// What is there, how large, of which version, and what stands in the way of capturing it. Nothing is changed.
    ///
    /// # Errors
    /// When it cannot be reached.
    fn probe(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Probe>;

    /// Plan to put a part back where it came from.
    ///
    /// # Errors
    /// What stands in the way.
    fn restore<'a>(
        &'a self,
        stored: &'a Stored<'a>,
        options: &'a PutBack,
        surroundings: &'a Surroundings<'a>,
    ) -> anyhow::Result<Plan<'a>>;

    /// Restore a part into `scratch`, an empty directory, and test it there.
    ///
    /// # Errors
    /// When it cannot be tested. A test that it fails is part of the proof.
    fn prove(&self, stored: &Stored<'_>, scratch: &Path, surroundings: &Surroundings<'_>) -> anyhow::Result<Proof>;

    /// Whether a part of a snapshot is of this source.
    fn holds(&self, part: &Part) -> bool {
        part.kind == self.kind() && self.roots().iter().any(|root| part.path.starts_with(root))
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
    pub secrets: &'a (dyn SecretReader + Sync),
    /// Ends waiting.
    pub cancel: &'a Cancel,
    /// Told of everything.
    pub monitor: &'a dyn Monitor,
}

/// A source of a job.
#[derive(Debug)]
pub struct Protected {
    /// What is protected.
    pub source: Box<dyn Source>,
    /// Whether the run fails without it.
    pub required: bool,
}

/// Where a path of this host stands in a snapshot.
pub fn logical(path: &Path) -> PathBuf {
    PathBuf::from(FILES).join(path.strip_prefix("/").unwrap_or(path))
}

/// The sources of a job.
///
/// # Errors
/// If this version cannot capture one of them, or they do not fit together.
pub fn of(job: &model::Job) -> Result<Vec<Protected>, Misuse> {
    let open = |configured: &model::Source| {
        Ok(Protected {
            source: open(configured)?,
            required: configured.required,
        })
    };
    job.sources.iter().map(open).collect()
}

/// A source as it is configured.
///
/// # Errors
/// If this version cannot capture it.
pub fn open(source: &model::Source) -> Result<Box<dyn Source>, Misuse> {
    source.check_executable()?;
    Ok(match &source.kind {
        SourceKind::Files(files) => Box::new(FilesSource::new(files.clone())),
        SourceKind::Command(command) => Box::new(CommandSource::new(command.clone())),
        SourceKind::Mongodb(mongodb) => Box::new(MongodbSource::new(mongodb.clone())),
        SourceKind::Redis(redis) => Box::new(RedisSource::new(redis.clone())),
        SourceKind::Sqlite(sqlite) => Box::new(SqliteSource::new(sqlite.clone())),
        SourceKind::Mysql(database) => Box::new(MysqlSource::new(Dialect::Mysql, database.clone())),
        SourceKind::Mariadb(database) => Box::new(MysqlSource::new(Dialect::Mariadb, database.clone())),
        SourceKind::Postgres(postgres) => Box::new(PostgresSource::new(postgres.clone())),
        SourceKind::Grafana(grafana) => Box::new(GrafanaSource::new(grafana.clone())),
        SourceKind::N8n(n8n) => Box::new(N8nSource::new(n8n.clone())),
        SourceKind::Http(http) => Box::new(HttpSource::new(http.clone())?),
        other => {
            let message = format!("sources of kind `{}` cannot be captured", other.name());
            return Err(Misuse::new(message, "Take the source out."));
        }
    })
}
