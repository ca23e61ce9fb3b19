//! Sources: what is protected.

use super::application::{self, Docker, Grafana, HetznerServer, Http, N8n};
use super::database::{self, Database, Mongodb, Postgres, Redis};
use super::fields::{Fields, path};
use super::job::built;
use crate::config::Misuse;
use crate::config::problem::Problems;
use crate::config::secret::SecretSource;
use crate::config::tree::{Node, Origin};
use repository::FilterBuilder;
use std::path::{Path, PathBuf};

/// One source of a job.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it is written.
    pub origin: Origin,
    /// The run fails without it.
    pub required: bool,
    /// What it is.
    pub kind: SourceKind,
}

/// What a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// Files and directories.
    Files(Files),
    /// What a program prints.
    Command(Command),
    /// A Docker volume.
    Volume(Volume),
    /// A Compose project, or everything of a Docker engine.
    Docker(Docker),
    /// A SQLite database.
    Sqlite(Sqlite),
    /// A PostgreSQL server.
    Postgres(Postgres),
    /// A MySQL server.
    Mysql(Database),
    /// A MariaDB server.
    Mariadb(Database),
    /// A Redis or Valkey server.
    Redis(Redis),
    /// A MongoDB server.
    Mongodb(Mongodb),
    /// n8n.
    N8n(N8n),
    /// Grafana.
    Grafana(Grafana),
    /// A server at Hetzner Cloud.
    HetznerServer(HetznerServer),
    /// Anything with an API.
    Http(Http),
}

/// Files and directories of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Absolute; at least one.
    pub paths: Vec<PathBuf>,
    /// Only what matches one of these, if there are any.
    pub include: Vec<String>,
    /// What is left out, besides what the job leaves out.
    pub exclude: Vec<String>,
    /// Stay in the file systems of the paths.
    pub one_file_system: bool,
}

/// A program whose output is stored as one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments; at least one.
    pub run: Vec<String>,
    /// The program that reads what the other printed, to put it back; may be empty.
    pub restore: Vec<String>,
    /// Name of the file in the snapshot.
    pub name: String,
    /// Variables for it.
    pub environment: Vec<(String, SetTo)>,
    /// Directory to run it in.
    pub directory: Option<PathBuf>,
}

/// A value that may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetTo {
    /// It is not.
    Text(String),
    /// It is.
    Secret(SecretSource),
}

/// A Docker volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Only what matches one of these, if there are any.
    pub include: Vec<String>,
    /// What is left out, besides what the job leaves out.
    pub exclude: Vec<String>,
}

/// A SQLite database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sqlite {
    /// Absolute, or relative to the volume.
    pub path: PathBuf,
    /// The volume that it lies in.
    pub volume: Option<String>,
    /// Name in paths of the snapshot.
    pub name: Option<String>,
}

impl SourceKind {
    /// As the file names it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Files(_) => "files",
            Self::Command(_) => "command",
            Self::Volume(_) => "volume",
            Self::Docker(_) => "docker",
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
            Self::Mysql(_) => "mysql",
            Self::Mariadb(_) => "mariadb",
            Self::Redis(_) => "redis",
            Self::Mongodb(_) => "mongodb",
            Self::N8n(_) => "n8n",
            Self::Grafana(_) => "grafana",
            Self::HetznerServer(_) => "hetzner_server",
            Self::Http(_) => "http",
        }
    }
}

impl Source {
    /// That this version can back it up.
    ///
    /// # Errors
    /// [`Misuse`] that says which kinds it can, if not.
    pub fn check_executable(&self) -> Result<(), Misuse> {
        match &self.kind {
            SourceKind::Files(_)
            | SourceKind::Command(_)
            | SourceKind::Grafana(_)
            | SourceKind::Http(_)
            | SourceKind::N8n(_)
            | SourceKind::Mysql(_)
            | SourceKind::Mariadb(_)
            | SourceKind::Mongodb(_)
            | SourceKind::Postgres(_)
            | SourceKind::Redis(_)
            | SourceKind::Sqlite(_) => Ok(()),
            other => {
                let place = self.origin.place().unwrap_or_default();
                let message = format!(
                    "{place}: this version cannot back up sources of kind `{}`",
                    other.name()
                );
                let hint = "Use a dump with `command`, or take the source out.";
                Err(Misuse::new(message, hint))
            }
        }
    }
}

/// Read one item of `sources`.
pub fn source(node: &Node, problems: &mut Problems) -> Option<Source> {
    let entry = node.entries().first()?;
    let fields = Fields::new(&entry.value);
    let kind = match entry.key.as_str() {
        "files" => files(fields, problems).map(SourceKind::Files),
        "command" => command(fields).map(SourceKind::Command),
        "volume" => volume(fields, problems).map(SourceKind::Volume),
        "docker" => Some(SourceKind::Docker(application::docker(fields))),
        "sqlite" => sqlite(fields).map(SourceKind::Sqlite),
        "postgres" => database::postgres(fields, problems).map(SourceKind::Postgres),
        "mysql" => database::mysql(fields, "mysql", problems).map(SourceKind::Mysql),
        "mariadb" => database::mysql(fields, "mariadb", problems).map(SourceKind::Mariadb),
        "redis" => database::redis(fields, problems).map(SourceKind::Redis),
        "mongodb" => database::mongodb(fields, problems).map(SourceKind::Mongodb),
        "n8n" => application::n8n(fields).map(SourceKind::N8n),
        "grafana" => application::grafana(fields, problems).map(SourceKind::Grafana),
        "hetzner_server" => application::hetzner_server(fields).map(SourceKind::HetznerServer),
        "http" => application::http(fields).map(SourceKind::Http),
        _ => None,
    };
    Some(Source {
        origin: node.origin.clone(),
        required: fields.flag("required").unwrap_or_default(),
        kind: kind?,
    })
}

fn files(fields: Fields<'_>, problems: &mut Problems) -> Option<Files> {
    no_path_twice(fields.items("paths"), problems);
    check_both(fields, problems);
    let paths: Vec<PathBuf> = fields.items("paths").iter().filter_map(path).collect();
    (!paths.is_empty()).then(|| Files {
        paths,
        include: fields.texts("include"),
        exclude: fields.texts("exclude"),
        one_file_system: fields.flag("one_file_system").unwrap_or_default(),
    })
}

fn no_path_twice(items: &[Node], problems: &mut Problems) {
    super::fields::no_item_twice(items, "path", problems);
}

fn command(fields: Fields<'_>) -> Option<Command> {
    let run = fields.texts("run");
    let program = Path::new(run.first()?).file_name()?.to_string_lossy().into_owned();
    Some(Command {
        run,
        restore: fields.texts("restore"),
        name: fields.text("name").unwrap_or(program),
        environment: set_to(fields, "environment"),
        directory: fields.path("directory"),
    })
}

/// Names with values of which some may be secret.
pub(super) fn set_to(fields: Fields<'_>, key: &str) -> Vec<(String, SetTo)> {
    let entries = fields.get(key).map(Node::entries).unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| Some((entry.key.clone(), maybe_secret(&entry.value)?)))
        .collect()
}

/// A value that may be secret.
pub(super) fn maybe_secret(node: &Node) -> Option<SetTo> {
    match node.text() {
        Some(text) => Some(SetTo::Text(text.to_owned())),
        None => SecretSource::from_node(node).map(SetTo::Secret),
    }
}

fn volume(fields: Fields<'_>, problems: &mut Problems) -> Option<Volume> {
    check_both(fields, problems);
    Some(Volume {
        name: fields.text("name")?,
        include: fields.texts("include"),
        exclude: fields.texts("exclude"),
    })
}

fn sqlite(fields: Fields<'_>) -> Option<Sqlite> {
    let volume = fields.text("volume");
    let path = match volume {
        Some(_) => PathBuf::from(fields.text("path")?),
        None => fields.path("path")?,
    };
    Some(Sqlite {
        path,
        volume,
        name: fields.text("name"),
    })
}

fn check_both(fields: Fields<'_>, problems: &mut Problems) {
    check_patterns(fields, "include", FilterBuilder::include, problems);
    check_patterns(fields, "exclude", FilterBuilder::exclude, problems);
}

/// Report every pattern of a list that makes no sense.
pub(super) fn check_patterns(
    fields: Fields<'_>,
    key: &str,
    add: fn(FilterBuilder, String) -> FilterBuilder,
    problems: &mut Problems,
) {
    for node in fields.items(key) {
        let Some(text) = node.text().filter(|text| !text.is_empty()) else {
            continue;
        };
        if let Err(error) = built(add, text) {
            let hint = error
                .hint()
                .unwrap_or_else(|| "See `mainstay backup --help`.".to_owned());
            // The parser of regular expressions draws arrows below them.
            let why = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            problems.add(&node.origin, format!("`{key}` has `{text}`: {why}"), hint);
        }
    }
}
