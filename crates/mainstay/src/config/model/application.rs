//! Applications that are asked through an API.

use super::fields::{Fields, exactly_one};
use super::source::{SetTo, set_to};
use crate::config::problem::Problems;
use crate::config::secret::SecretSource;
use std::path::PathBuf;

/// What is taken of a Docker engine; without any choice, everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Docker {
    /// Compose projects.
    pub projects: Vec<String>,
    /// Containers whose volumes are taken.
    pub containers: Vec<String>,
    /// Volumes.
    pub volumes: Vec<String>,
}

/// n8n.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct N8n {
    /// Its address.
    pub url: String,
    /// Key of its API.
    pub api_key: SecretSource,
    /// Key that opens its stored credentials.
    pub encryption_key: Option<SecretSource>,
    /// Container to take that key from.
    pub container: Option<String>,
    /// Certificates to trust.
    pub ca_file: Option<PathBuf>,
    /// Name in paths of the snapshot.
    pub name: Option<String>,
}

/// Grafana.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grafana {
    /// Its address.
    pub url: String,
    /// Token of a service account; else a user logs in.
    pub token: Option<SecretSource>,
    /// Who logs in.
    pub user: Option<String>,
    /// With this.
    pub password: Option<SecretSource>,
    /// Certificates to trust.
    pub ca_file: Option<PathBuf>,
    /// Name in paths of the snapshot.
    pub name: Option<String>,
}

/// A server at Hetzner Cloud, whose snapshots stay there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HetznerServer {
    /// Its name.
    pub name: String,
    /// Token of the API.
    pub token: SecretSource,
}

/// Anything with an API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Name in paths of the snapshot.
    pub name: String,
    /// What the paths of requests are appended to.
    pub url: String,
    /// Headers of every request.
    pub headers: Vec<(String, SetTo)>,
    /// Requests whose answers are stored.
    pub export: Vec<Export>,
    /// Requests that put it back.
    pub import: Vec<Import>,
    /// Certificates to trust.
    pub ca_file: Option<PathBuf>,
}

/// A step of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Method and path.
    pub request: String,
    /// Name of the file, with fields of the answer in braces.
    pub store: String,
    /// How further pages are asked for.
    pub paging: Option<Paging>,
}

/// How further pages are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paging {
    /// Parameter that names the page; without it, there is one.
    pub parameter: Option<String>,
    /// Number of the first page, where pages are numbered.
    pub first: Option<u64>,
    /// Where the answer names the next page.
    pub next: Option<String>,
    /// Where the answer has its items.
    pub items: Option<String>,
}

/// A step of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Method and path.
    pub request: String,
    /// Pattern of the stored files that are sent.
    pub files: String,
    /// What is there already is no error.
    pub ignore_existing: bool,
}

/// Read `docker`.
pub fn docker(fields: Fields<'_>) -> Docker {
    Docker {
        projects: fields.texts("project"),
        containers: fields.texts("containers"),
        volumes: fields.texts("volumes"),
    }
}

/// Read `n8n`.
pub fn n8n(fields: Fields<'_>) -> Option<N8n> {
    Some(N8n {
        url: fields.text("url")?,
        api_key: fields.secret("api_key")?,
        encryption_key: fields.secret("encryption_key"),
        container: fields.text("container"),
        ca_file: fields.path("ca_file"),
        name: fields.text("name"),
    })
}

/// Read `grafana`.
pub fn grafana(fields: Fields<'_>, problems: &mut Problems) -> Option<Grafana> {
    exactly_one(fields, &["token", "user"], "`grafana`", problems);
    Some(Grafana {
        url: fields.text("url")?,
        token: fields.secret("token"),
        user: fields.text("user"),
        password: fields.secret("password"),
        ca_file: fields.path("ca_file"),
        name: fields.text("name"),
    })
}

/// Read `hetzner_server`.
pub fn hetzner_server(fields: Fields<'_>) -> Option<HetznerServer> {
    Some(HetznerServer {
        name: fields.text("name")?,
        token: fields.secret("token")?,
    })
}

/// Read `http`.
pub fn http(fields: Fields<'_>) -> Option<Http> {
    let steps = |key: &str| fields.items(key).iter().map(Fields::new);
    Some(Http {
        name: fields.text("name")?,
        url: fields.text("url")?,
        headers: set_to(fields, "headers"),
        export: steps("export").map(export).collect::<Option<_>>()?,
        import: steps("import").map(import).collect::<Option<_>>()?,
        ca_file: fields.path("ca_file"),
    })
}

fn export(fields: Fields<'_>) -> Option<Export> {
    let paging = fields.table("paging").map(|paging| Paging {
        parameter: paging.text("parameter"),
        first: paging.parsed("first"),
        next: paging.text("next"),
        items: paging.text("items"),
    });
    Some(Export {
        request: fields.text("request")?,
        store: fields.text("store")?,
        paging,
    })
}

fn import(fields: Fields<'_>) -> Option<Import> {
    Some(Import {
        request: fields.text("request")?,
        files: fields.text("files")?,
        ignore_existing: fields.flag("ignore_existing")?,
    })
}
