//! What goes into a snapshot.

use super::container::Container;
use super::server::{Server, Summary, Tag, is_unlicensed};
use super::{CREDENTIALS, INDEX, KEY, TAGS, VARIABLES, WORKFLOWS};
use crate::engine::manifest::Facts;
use crate::source::{Item, Stream, api};
use parking_lot::Mutex;
use repository::{Error, Monitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// What there was, in one file.
#[derive(Debug, Deserialize, Serialize)]
pub struct Index {
    /// All workflows.
    pub workflows: BTreeSet<Summary>,
    /// How many tags.
    pub tags: usize,
    /// How many variables, if the license has any.
    pub variables: Option<usize>,
    /// How many credentials, if they are here.
    pub credentials: Option<usize>,
}

/// Everything below `root`. What is listed is asked for here, workflows when they are read.
pub fn items(
    server: &Arc<Server>,
    container: Option<&Container>,
    key: &Zeroizing<String>,
    root: &Path,
    facts: &Arc<Mutex<Facts>>,
    monitor: &dyn Monitor,
) -> anyhow::Result<Vec<Item>> {
    let workflows = server.workflows()?;
    if workflows.is_empty() {
        let message = format!("n8n at `{}` shows no workflows", server.address());
        let hint = "Check that the key belongs to the owner or an admin: others see only what is theirs.".to_owned();
        return Err(Error::Refused { message, hint }.into());
    }
    let tags = server.all("tags")?;
    let variables = match server.all("variables") {
        Ok(variables) => Some(variables),
        Err(error) if is_unlicensed(&error) => None,
        Err(error) => return Err(error),
    };
    let credentials = container.map(|container| credentials(container, key)).transpose()?;
    if credentials.is_none() {
        monitor.note(&format!("{}: {WITHOUT_CREDENTIALS}", root.display()));
    }
    let index = Index {
        tags: tags.len(),
        variables: variables.as_ref().map(Vec::len),
        credentials: credentials.as_ref().map(|(_, count)| *count),
        workflows,
    };
    {
        let mut facts = facts.lock();
        let counts = [
            ("workflows", Some(index.workflows.len())),
            ("tags", Some(index.tags)),
            ("variables", index.variables),
            ("credentials", index.credentials),
        ];
        let counted = counts
            .into_iter()
            .filter_map(|(what, count)| Some((what.to_owned(), count? as u64)));
        facts.rows.extend(counted);
    }
    let file = |name: &str, content: Vec<u8>| Item::Stream(Stream::of(root.join(name), content));
    let key = serde_json::json!({"encryptionKey": key.as_str()});
    let mut items = vec![
        file(INDEX, serde_json::to_vec_pretty(&index)?),
        file(KEY, serde_json::to_vec_pretty(&key)?),
        file(TAGS, array(&tags)),
    ];
    items.extend(variables.map(|variables| file(VARIABLES, array(&variables))));
    items.extend(credentials.map(|(content, _)| file(CREDENTIALS, content)));
    for workflow in &index.workflows {
        let path = root.join(file_of(&workflow.id)?);
        items.push(Item::Stream(stream(server, &workflow.id, path)));
    }
    Ok(items)
}

/// Why there may be no credentials.
pub const WITHOUT_CREDENTIALS: &str = "credentials are not captured: n8n's API does not give them. Name `container`, or capture its \
                                       database as a source of its own.";

fn credentials(container: &Container, key: &str) -> anyhow::Result<(Vec<u8>, usize)> {
    let (content, credentials) = container.export()?;
    match credentials.iter().find(|credential| !credential.opens_with(key)) {
        None => Ok((content, credentials.len())),
        Some(credential) => {
            let message = format!("the encryption key does not open the credential `{}`", credential.name);
            let hint =
                "Give the key that n8n runs with, or make the credential anew if it was stored with an older key.";
            let hint = hint.to_owned();
            Err(Error::Refused { message, hint }.into())
        }
    }
}

/// Where a workflow stands, relative to the part.
pub fn file_of(id: &str) -> anyhow::Result<PathBuf> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if id.is_empty() || id.len() > 100 || !id.chars().all(plain) {
        let message = format!("n8n names a workflow `{}`, which is no id", id.escape_debug());
        let hint = "Look at what its API answers.".to_owned();
        return Err(Error::Refused { message, hint }.into());
    }
    Ok(Path::new(WORKFLOWS).join(format!("{id}.json")))
}

/// Tags that a part holds.
pub fn tags(json: &[u8]) -> serde_json::Result<Vec<Tag>> {
    serde_json::from_slice(json)
}

fn array(items: &[Box<RawValue>]) -> Vec<u8> {
    let items: Vec<&str> = items.iter().map(|item| item.get()).collect();
    format!("[{}]\n", items.join(",\n")).into_bytes()
}

fn stream(server: &Arc<Server>, id: &str, path: PathBuf) -> Stream {
    Stream {
        path,
        reader: Box::new(Workflow {
            server: Arc::clone(server),
            id: id.to_owned(),
            content: None,
        }),
        finish: Box::new(|| Ok(())),
    }
}

/// A workflow that is asked for when it is read.
struct Workflow {
    server: Arc<Server>,
    id: String,
    content: Option<Cursor<Vec<u8>>>,
}

impl Workflow {
    fn ask(&self) -> anyhow::Result<Vec<u8>> {
        let workflow: Value = self.server.workflow(&self.id)?;
        if workflow["id"] != self.id.as_str() || !workflow["nodes"].is_array() {
            let message = format!("what n8n answers for the workflow `{}` is none", self.id);
            let hint = "Run it again; if it happens again, look at n8n's log.".to_owned();
            return Err(Error::Refused { message, hint }.into());
        }
        Ok(serde_json::to_vec_pretty(&workflow)?)
    }
}

impl Read for Workflow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let content = match &mut self.content {
            Some(content) => content,
            None => {
                let content = self.ask().map_err(api::as_io)?;
                self.content.insert(Cursor::new(content))
            }
        };
        content.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_no_way_to_another_file() {
        assert_eq!(
            file_of("3WyQ0HdaYfBOzzdt").unwrap(),
            Path::new("workflows/3WyQ0HdaYfBOzzdt.json")
        );
        for id in ["", "..", "a/b", "a.json", "a\0"] {
            assert!(file_of(id).is_err(), "{id}");
        }
    }
}
