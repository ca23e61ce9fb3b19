//! What is stored, read back and compared with its index, and with what it refers to.

use super::kinds::Kind;
use super::stored::{Index, Object};
use crate::explain;
use crate::source::{Proof, Stored, Surroundings, Verdict};
use serde_json::Value;
use std::collections::BTreeSet;

/// Read everything.
pub fn prove(stored: &Stored<'_>, surroundings: &Surroundings<'_>) -> anyhow::Result<Proof> {
    let mut proof = Proof::default();
    let objects = Index::read(stored)?;
    for (directory, expected) in &stored.part.facts.rows {
        let found = objects
            .iter()
            .filter(|object| object.kind.directory() == directory)
            .count() as u64;
        proof.compare(format!("number of {directory}"), *expected, found);
    }
    let (mut damaged, mut lost) = (Vec::new(), Vec::new());
    let mut folders = BTreeSet::from([String::new()]);
    let mut panels = BTreeSet::new();
    for object in &objects {
        surroundings.cancel.check()?;
        match object.read(stored) {
            Ok(json) => {
                lost.extend(lost_of(object, &json, &folders, &panels));
                match object.kind {
                    Kind::Folders => folders.insert(object.key.clone()),
                    Kind::LibraryPanels => panels.insert(object.key.clone()),
                    _ => true,
                };
            }
            Err(error) => damaged.push(explain::chain(&error)),
        }
    }
    proof.add("every object can be read and is what its name says", verdict(&damaged));
    proof.add("folders and library panels that others need are there", verdict(&lost));
    let reason = "no Grafana was started to restore into".to_owned();
    proof.add("restore into a Grafana", Verdict::Skipped { reason });
    for (kind, noun) in [
        (Kind::Dashboards, "dashboard"),
        (Kind::DataSources, "data source"),
        (Kind::Folders, "folder"),
    ] {
        let count = objects.iter().filter(|object| object.kind == kind).count() as u64;
        proof.counts.push((count, noun.to_owned()));
    }
    Ok(proof)
}

/// What an object needs and is not there. Folders come first, and then library panels.
fn lost_of(object: &Object, json: &Value, folders: &BTreeSet<String>, panels: &BTreeSet<String>) -> Vec<String> {
    let folder = match object.kind {
        Kind::Folders => &json["parentUid"],
        Kind::Dashboards => &json["meta"]["folderUid"],
        Kind::LibraryPanels => &json["meta"]["folderUid"],
        Kind::RuleGroups => &json["folderUid"],
        _ => &Value::Null,
    };
    let place = object.place.display();
    let mut lost = Vec::new();
    if let Some(folder) = folder.as_str().filter(|folder| !folders.contains(*folder)) {
        lost.push(format!("{place} lies in the folder `{folder}`"));
    }
    if object.kind == Kind::Dashboards {
        let mut needed = Vec::new();
        panels_of(&json["dashboard"]["panels"], &mut needed);
        let missing = needed.into_iter().filter(|panel| !panels.contains(*panel));
        lost.extend(missing.map(|panel| format!("{place} shows the library panel `{panel}`")));
    }
    lost
}

/// Library panels that are shown, also in rows.
fn panels_of<'a>(panels: &'a Value, found: &mut Vec<&'a str>) {
    for panel in panels.as_array().into_iter().flatten() {
        found.extend(panel["libraryPanel"]["uid"].as_str());
        panels_of(&panel["panels"], found);
    }
}

fn verdict(problems: &[String]) -> Verdict {
    match problems {
        [] => Verdict::Passed,
        [one] => Verdict::Failed { message: one.clone() },
        [one, others @ ..] => Verdict::Failed {
            message: format!("{one}, and {} more", others.len()),
        },
    }
}
