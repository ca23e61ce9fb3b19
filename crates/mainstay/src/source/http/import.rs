//! Files that are sent back to the application.

use super::pages::Pages;
use super::steps::{ExportStep, ImportStep, is_json};
use super::template;
use crate::config::Misuse;
use crate::source::api::{Api, LARGEST_ANSWER, Why};
use crate::source::{Entry, Restored, Stored};
use anyhow::Context as _;
use repository::restic::node::NodeKind;
use repository::{Error, Monitor};
use serde_json::value::RawValue;
use std::path::{Path, PathBuf};

/// What one step sends.
pub struct Sending<'a> {
    /// How.
    pub step: &'a ImportStep,
    /// Files of the part, and their sizes.
    pub files: Vec<(PathBuf, u64)>,
}

/// What every step sends, in their order.
///
/// # Errors
/// [`Misuse`] if nothing would be sent, or a file is too large.
pub fn plan<'a>(steps: &'a [ImportStep], stored: &Stored<'_>, only: Option<&Path>) -> anyhow::Result<Vec<Sending<'a>>> {
    let root = &stored.part.path;
    let from = only.map_or_else(|| root.clone(), |only| root.join(only));
    let files = files(stored, &from)?;
    let options = glob::MatchOptions {
        require_literal_separator: true,
        ..glob::MatchOptions::new()
    };
    let matches = |step: &ImportStep, path: &Path| {
        let name = path.strip_prefix(root).unwrap_or(path);
        step.files.matches_path_with(name, options)
    };
    let of_step = |step: &'a ImportStep| Sending {
        step,
        files: files.iter().filter(|(path, _)| matches(step, path)).cloned().collect(),
    };
    let sendings: Vec<Sending<'_>> = steps.iter().map(of_step).filter(|one| !one.files.is_empty()).collect();
    if sendings.is_empty() {
        let message = format!("no step of `import` sends a file of `{}`", from.display());
        let hint = "Add steps to `import` of the source, or write the files with `restore --target DIR`.";
        return Err(Misuse::new(message, hint).into());
    }
    let mut sent = sendings.iter().flat_map(|sending| &sending.files);
    if let Some((path, _)) = sent.find(|(_, size)| *size > LARGEST_ANSWER) {
        let message = format!("`{}` is too large for one request", path.display());
        let hint = "Write it to a file with `mainstay dump`, and send it with the application's own means.";
        return Err(Misuse::new(message, hint).into());
    }
    Ok(sendings)
}

/// The files of a part at and below `from`, and their sizes.
pub fn files(stored: &Stored<'_>, from: &Path) -> repository::Result<Vec<(PathBuf, u64)>> {
    let is_file = |entry: &Entry| entry.node.kind == NodeKind::File;
    let entries = stored.entries(from)?.into_iter().filter(is_file);
    Ok(entries.map(|entry| (entry.path, entry.node.size)).collect())
}

/// What the application holds already, as far as the first pages of an export show: for people, or nothing.
pub fn there(api: &Api, steps: &[ExportStep]) -> anyhow::Result<Option<String>> {
    for step in steps.iter().filter(|step| step.is_json()) {
        let items = Pages::new(api, step).next()?.unwrap_or_default();
        if let Some(more) = items.len().checked_sub(1) {
            let all = if more == 0 {
                "something".to_owned()
            } else {
                format!("{} items", more + 1)
            };
            return Ok(Some(format!("`{}` answers {all}", step.request())));
        }
    }
    Ok(None)
}

/// Send everything, in order, and stop at the first error.
pub fn send(
    api: &Api,
    sendings: &[Sending<'_>],
    stored: &Stored<'_>,
    monitor: &dyn Monitor,
) -> anyhow::Result<Restored> {
    let mut restored = Restored::default();
    let all: usize = sendings.iter().map(|sending| sending.files.len()).sum();
    for sending in sendings {
        let mut skipped = 0;
        for (path, _) in &sending.files {
            let half = || {
                format!(
                    "{} of {all} files were sent; the application is half restored",
                    restored.entries
                )
            };
            let mut content = Vec::new();
            stored.copy(path, &mut content).with_context(half)?;
            let was_there = send_one(api, sending.step, path, &content).with_context(half)?;
            skipped += u64::from(was_there);
            restored.entries += 1;
            restored.bytes += content.len() as u64;
        }
        if skipped > 0 {
            monitor.note(&format!(
                "`{}`: {skipped} were there already, and stay",
                sending.step.request
            ));
        }
    }
    Ok(restored)
}

/// Send a file; whether it was there already.
fn send_one(api: &Api, step: &ImportStep, path: &Path, content: &[u8]) -> anyhow::Result<bool> {
    let shown = path.display();
    let wrong = |why: String| Error::Refused {
        message: format!("`{shown}` cannot be sent: {why}"),
        hint: "Look at the file with `mainstay dump`, and at the step of `import`.".to_owned(),
    };
    let json: Option<&RawValue> = if is_json(&shown.to_string()) || step.path.has_fields() {
        Some(serde_json::from_slice(content).map_err(|error| wrong(error.to_string()))?)
    } else {
        None
    };
    let nothing = RawValue::NULL;
    let address = step
        .path
        .fill(json.unwrap_or(nothing), template::in_address)
        .map_err(wrong)?;
    match api.send(step.method.clone(), &api.at(&address)?, Some(content.to_vec())) {
        Ok(answer) => {
            answer.bytes(LARGEST_ANSWER)?;
            Ok(false)
        }
        // 412 is what Grafana and others answer to what is there in another version.
        Err(error) if step.ignore_existing && matches!(error.why, Why::Status { status: 409 | 412, .. }) => Ok(true),
        Err(error) => Err(anyhow::Error::from(error).context(format!("`{shown}` was not taken"))),
    }
}
