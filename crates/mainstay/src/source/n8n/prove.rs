//! Whether a part can be restored, as far as that can be told without an n8n.

use super::capture::{Index, file_of};
use super::credentials::{Credential, KeyFile};
use super::{CREDENTIALS, INDEX, KEY, TAGS, VARIABLES};
use crate::source::{Proof, Stored, Verdict};
use repository::{Cancel, Error};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;

/// Read everything back: what the index names is there, whole, and the key opens the credentials.
pub fn prove(stored: &Stored<'_>, cancel: &Cancel) -> anyhow::Result<Proof> {
    let mut proof = Proof::default();
    let index: Index = read(stored, Path::new(INDEX))?;
    let rows = &stored.part.facts.rows;
    let expected = |what: &str| rows.get(what).copied().unwrap_or_default();
    proof.compare(
        "workflows in the index",
        expected("workflows"),
        index.workflows.len() as u64,
    );
    let mut damaged = Vec::new();
    for workflow in &index.workflows {
        cancel.check()?;
        let read = read::<Value>(stored, &file_of(&workflow.id)?);
        let is_whole = read.is_ok_and(|json| json["id"] == workflow.id.as_str() && json["nodes"].is_array());
        if !is_whole {
            damaged.push(workflow.name.clone());
        }
    }
    let all_whole = if damaged.is_empty() {
        Verdict::Passed
    } else {
        let message = format!("not whole: {}", damaged.join(", "));
        Verdict::Failed { message }
    };
    proof.add("every workflow of the index", all_whole);
    let tags: Vec<Value> = read(stored, Path::new(TAGS))?;
    proof.compare("tags", index.tags, tags.len());
    if let Some(count) = index.variables {
        let variables: Vec<Value> = read(stored, Path::new(VARIABLES))?;
        proof.compare("variables", count, variables.len());
    }
    let key: KeyFile = read(stored, Path::new(KEY))?;
    let has_key = !key.encryption_key.is_empty();
    proof.compare("encryption keys", 1, u8::from(has_key));
    match index.credentials {
        Some(count) => {
            let credentials: Vec<Credential> = read(stored, Path::new(CREDENTIALS))?;
            let opened = credentials
                .iter()
                .filter(|one| one.opens_with(&key.encryption_key))
                .count();
            proof.compare("credentials that the key opens", count, opened);
            proof.counts.push((opened as u64, "credential".to_owned()));
        }
        None => {
            let reason = "they are not in this part: n8n's API does not give them".to_owned();
            proof.add("credentials that the key opens", Verdict::Skipped { reason });
        }
    }
    proof.counts.insert(
        0,
        ((index.workflows.len() - damaged.len()) as u64, "workflow".to_owned()),
    );
    Ok(proof)
}

/// A file of the part, which is JSON.
pub fn read<T: DeserializeOwned>(stored: &Stored<'_>, name: &Path) -> anyhow::Result<T> {
    let path = stored.part.path.join(name);
    let mut content = Vec::new();
    stored.copy(&path, &mut content)?;
    let damaged = |error: serde_json::Error| Error::Refused {
        message: format!("`{}` is damaged: {error}", path.display()),
        hint: "Choose another restore point.".to_owned(),
    };
    Ok(serde_json::from_slice(&content).map_err(damaged)?)
}
