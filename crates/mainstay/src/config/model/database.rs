//! Databases.

use super::fields::{Fields, exactly_one};
use crate::config::problem::Problems;
use crate::config::secret::SecretSource;
use std::path::PathBuf;

/// How a server is reached, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// In this container; else over the network.
    pub container: Option<String>,
    /// At this host; else in the container.
    pub host: Option<String>,
    /// Its port.
    pub port: u16,
    /// Who logs in.
    pub user: Option<String>,
    /// With this.
    pub password: Option<SecretSource>,
    /// How the connection is protected.
    pub tls: Tls,
    /// Certificates to trust.
    pub ca_file: Option<PathBuf>,
    /// The image that drills restore into; else that of the container, if it is needed.
    pub drill_image: Option<String>,
    /// Name in paths of the snapshot: as given, else the container's, else the host's.
    pub name: String,
}

/// How a connection is protected, in the words of libpq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Not at all.
    Disable,
    /// If the server can.
    Prefer,
    /// Encrypted, to whomever.
    Require,
    /// The certificate is checked.
    VerifyCa,
    /// The certificate and the name in it are checked.
    VerifyFull,
}

/// A PostgreSQL server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postgres {
    /// How to get there.
    pub server: Reached,
    /// Names or patterns; empty means all.
    pub databases: Vec<String>,
    /// Names or patterns to leave out.
    pub exclude_databases: Vec<String>,
    /// Form of the dump.
    pub format: DumpFormat,
    /// Options of pg_dump without their dashes.
    pub options: Vec<String>,
    /// Roles and tablespaces as well.
    pub globals: bool,
    /// Dump processes for a large database.
    pub parallel: Option<u32>,
    /// A network that gives no sign of life for so long counts as broken, seconds.
    pub silence_seconds: u32,
    /// Queries that have to be true in a restored copy.
    pub assert: Vec<String>,
    /// More arguments for the dump program.
    pub arguments: Vec<String>,
    /// No database is no error.
    pub allow_empty: bool,
}

/// Form of a PostgreSQL dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpFormat {
    /// For pg_restore.
    Custom,
    /// SQL for psql.
    Plain,
}

/// A MySQL or MariaDB server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// How to get there.
    pub server: Reached,
    /// Names or patterns; empty means all.
    pub databases: Vec<String>,
    /// Names or patterns to leave out.
    pub exclude_databases: Vec<String>,
    /// Queries that have to be true in a restored copy.
    pub assert: Vec<String>,
    /// More arguments for the dump program.
    pub arguments: Vec<String>,
    /// No database is no error.
    pub allow_empty: bool,
}

/// A Redis or Valkey server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// How to get there.
    pub server: Reached,
    /// No key is no error.
    pub allow_empty: bool,
}

/// A MongoDB server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mongodb {
    /// How to get there.
    pub server: Reached,
    /// The database that the user is created in.
    pub auth_database: String,
    /// Names or patterns; empty means all.
    pub databases: Vec<String>,
    /// One point in time for all of them.
    pub oplog: bool,
    /// More arguments for the dump program.
    pub arguments: Vec<String>,
    /// No database is no error.
    pub allow_empty: bool,
}

fn server(fields: Fields<'_>, kind: &str, problems: &mut Problems) -> Option<Reached> {
    exactly_one(fields, &["container", "host"], &format!("`{kind}`"), problems);
    let [container, host] = ["container", "host"].map(|key| fields.text(key));
    let tls = match fields.text("tls").as_deref() {
        Some("disable" | "false") => Tls::Disable,
        Some("require") => Tls::Require,
        Some("verify-ca") => Tls::VerifyCa,
        Some("verify-full" | "true") => Tls::VerifyFull,
        _ => Tls::Prefer,
    };
    Some(Reached {
        name: fields
            .text("name")
            .or_else(|| container.clone())
            .or_else(|| host.clone())?,
        container,
        host,
        port: fields.parsed("port")?,
        user: fields.text("user"),
        password: fields.secret("password"),
        tls,
        ca_file: fields.path("ca_file"),
        drill_image: fields.text("drill_image"),
    })
}

/// Read `postgres`.
pub fn postgres(fields: Fields<'_>, problems: &mut Problems) -> Option<Postgres> {
    let format = match fields.text("format")?.as_str() {
        "custom" => DumpFormat::Custom,
        "plain" => DumpFormat::Plain,
        _ => return None,
    };
    Some(Postgres {
        server: server(fields, "postgres", problems)?,
        databases: fields.texts("databases"),
        exclude_databases: fields.texts("exclude_databases"),
        format,
        options: fields.texts("options"),
        globals: fields.flag("globals")?,
        parallel: fields.parsed("parallel"),
        silence_seconds: fields.parsed("silence_seconds")?,
        assert: fields.texts("assert"),
        arguments: fields.texts("arguments"),
        allow_empty: fields.flag("allow_empty")?,
    })
}

/// Read `mysql` or `mariadb`.
pub fn mysql(fields: Fields<'_>, kind: &str, problems: &mut Problems) -> Option<Database> {
    Some(Database {
        server: server(fields, kind, problems)?,
        databases: fields.texts("databases"),
        exclude_databases: fields.texts("exclude_databases"),
        assert: fields.texts("assert"),
        arguments: fields.texts("arguments"),
        allow_empty: fields.flag("allow_empty")?,
    })
}

/// Read `redis`.
pub fn redis(fields: Fields<'_>, problems: &mut Problems) -> Option<Redis> {
    Some(Redis {
        server: server(fields, "redis", problems)?,
        allow_empty: fields.flag("allow_empty")?,
    })
}

/// Read `mongodb`.
pub fn mongodb(fields: Fields<'_>, problems: &mut Problems) -> Option<Mongodb> {
    Some(Mongodb {
        server: server(fields, "mongodb", problems)?,
        auth_database: fields.text("auth_database")?,
        databases: fields.texts("databases"),
        oplog: fields.flag("oplog")?,
        arguments: fields.texts("arguments"),
        allow_empty: fields.flag("allow_empty")?,
    })
}
