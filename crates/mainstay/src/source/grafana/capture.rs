//! What is captured: a list of everything first, then object by object.

use super::GrafanaSource;
use super::kinds::{Kind, file_name};
use super::list::{Listed, get};
use super::stored::{INDEX, Index};
use crate::engine::manifest::{Facts, Grade};
use crate::explain;
use crate::source::api::{Api, Why};
use crate::source::{Found, Item, Piece, Probe, Stream, Surroundings};
use parking_lot::Mutex;
use repository::Error;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What Grafana shows of a secret.
const REDACTED: &str = "[REDACTED]";

/// What the manifest calls secrets that are not captured.
pub const SECRETS: &str = "secrets_left_out";

impl GrafanaSource {
    /// All of it.
    pub(super) fn piece(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Piece> {
        let api = self.api(surroundings)?;
        let mut facts = Facts::default();
        facts.versions.insert("grafana".to_owned(), version(&api)?);
        let (mut items, mut index, mut secrets) = (Vec::new(), Index::default(), Vec::new());
        for kind in Kind::ALL {
            let Some(listed) = kind.list(&api)? else {
                let note = format!("{}: this Grafana has no {}", self.config.url, kind.name());
                surroundings.monitor.note(&note);
                continue;
            };
            facts.rows.insert(kind.directory().to_owned(), listed.len() as u64);
            for object in &listed {
                secrets.extend(object.json.as_ref().and_then(|json| secret_of(kind, json)));
            }
            index.add(kind, listed.iter().map(|object| object.key.as_str()));
            items.extend(self.items(&api, kind, listed)?);
        }
        if !secrets.is_empty() {
            let note = "the API does not show secrets: they have to be entered again after a restore, for";
            surroundings.monitor.note(&format!("{note} {}", secrets.join(", ")));
            facts.more.insert(SECRETS.to_owned(), secrets.into());
        }
        items.push(Item::Stream(Stream::of(self.root().join(INDEX), index.to_json())));
        Ok(Piece {
            path: self.root(),
            name: self.config.name.clone().unwrap_or_else(|| self.config.url.clone()),
            // Requests come one after the other, and people go on working.
            grade: Some(Grade::Live),
            items,
            facts: Arc::new(Mutex::new(facts)),
        })
    }

    fn items(&self, api: &Api, kind: Kind, listed: Vec<Listed>) -> anyhow::Result<Vec<Item>> {
        let directory = self.root().join(kind.directory());
        let mut names = BTreeSet::new();
        let item = |Listed { key, json }: Listed| {
            let path = directory.join(file_name(&key));
            if !names.insert(path.clone()) {
                return Err(Error::Refused {
                    message: format!("two {} have the name `{key}`", kind.name()),
                    hint: "Rename one of them.".to_owned(),
                }
                .into());
            }
            Ok(Item::Stream(match json {
                Some(json) => Stream::of(path, pretty(&json)),
                None => dashboard(api, &key, path),
            }))
        };
        listed.into_iter().map(item).collect()
    }

    /// What is there.
    pub(super) fn look(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Probe> {
        let api = self.api(surroundings)?;
        let mut probe = Probe::default();
        probe.versions.insert("grafana".to_owned(), version(&api)?);
        for kind in Kind::ALL {
            match kind.list(&api) {
                Ok(Some(listed)) => probe.found.push(Found {
                    name: format!("{}: {}", kind.name(), listed.len()),
                    bytes: None,
                }),
                Ok(None) => probe.notes.push(format!("there are no {}", kind.name())),
                Err(error) if is_forbidden(&error) => probe.missing.push(explain::chain(&error)),
                Err(error) => return Err(error),
            }
        }
        Ok(probe)
    }
}

/// Nobody has to log in for this.
fn version(api: &Api) -> anyhow::Result<String> {
    let health = get(api, "/api/health")?;
    Ok(health["version"].as_str().unwrap_or("unknown").to_owned())
}

fn is_forbidden(error: &anyhow::Error) -> bool {
    let why = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<crate::source::api::Error>());
    matches!(why.map(|error| &error.why), Some(Why::Forbidden(_)))
}

/// An object that has secrets, for people.
fn secret_of(kind: Kind, json: &Value) -> Option<String> {
    let name = json["name"].as_str().unwrap_or_default();
    match kind {
        Kind::DataSources => {
            let fields = json["secureJsonFields"]
                .as_object()
                .filter(|fields| !fields.is_empty())?;
            let fields: Vec<&str> = fields.keys().map(String::as_str).collect();
            Some(format!("the data source `{name}` ({})", fields.join(", ")))
        }
        Kind::ContactPoints => {
            let is_secret = |(_, value): &(&String, &Value)| value.as_str() == Some(REDACTED);
            let fields: Vec<&str> = json["settings"]
                .as_object()?
                .iter()
                .filter(is_secret)
                .map(|(field, _)| field.as_str())
                .collect();
            (!fields.is_empty()).then(|| format!("the contact point `{name}` ({})", fields.join(", ")))
        }
        Kind::Folders
        | Kind::LibraryPanels
        | Kind::Dashboards
        | Kind::Users
        | Kind::Teams
        | Kind::Templates
        | Kind::MuteTimings
        | Kind::RuleGroups
        | Kind::Policies => None,
    }
}

/// The bytes of a file.
pub fn pretty(json: &Value) -> Vec<u8> {
    // A value always serializes.
    let mut bytes = serde_json::to_vec_pretty(json).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Dashboards are fetched one by one when they are read: all of them may be more than fits into memory.
fn dashboard(api: &Api, uid: &str, path: PathBuf) -> Stream {
    let reader = Dashboard {
        api: api.clone(),
        uid: uid.to_owned(),
        bytes: None,
    };
    Stream {
        path,
        reader: Box::new(reader),
        finish: Box::new(|| Ok(())),
    }
}

struct Dashboard {
    api: Api,
    uid: String,
    bytes: Option<Cursor<Vec<u8>>>,
}

impl Dashboard {
    fn fetch(&self) -> anyhow::Result<Vec<u8>> {
        let url = self.api.below("/api/dashboards/uid", &self.uid)?;
        let json: Value = self.api.get_json(&url).map_err(Error::from)?;
        if Kind::Dashboards.key(&json).as_deref() != Some(&self.uid) {
            return Err(Error::Refused {
                message: format!("Grafana answers something else for the dashboard `{}`", self.uid),
                hint: "Run the job again.".to_owned(),
            }
            .into());
        }
        Ok(pretty(&json))
    }
}

impl Read for Dashboard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_none() {
            let fetched = self.fetch().map_err(|error| match error.downcast::<Error>() {
                Ok(error) => io::Error::other(error),
                Err(error) => io::Error::other(error),
            })?;
            self.bytes = Some(Cursor::new(fetched));
        }
        match &mut self.bytes {
            Some(bytes) => bytes.read(buffer),
            None => Ok(0),
        }
    }
}

/// Where an object stands below the part.
pub fn place(kind: Kind, key: &str) -> PathBuf {
    Path::new(kind.directory()).join(file_name(key))
}
