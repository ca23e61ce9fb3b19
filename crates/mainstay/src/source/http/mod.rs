//! Anything with an API: what the configured requests answer, stored, and sent back by others.

mod capture;
mod import;
pub mod json;
mod names;
mod pages;
mod steps;
mod template;

use super::api::{Api, Options};
use super::{Found, Piece, Plan, Probe, Proof, PutBack, Source, Stored, Surroundings, Verdict};
use crate::config::Misuse;
use crate::config::model::{Http, SetTo};
use crate::config::secret::{Secret, SecretReader};
use crate::engine::manifest::{Facts, Grade};
use json::JsonCheck;
use pages::Pages;
use parking_lot::Mutex;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use steps::{ExportStep, ImportStep};
use zeroize::Zeroizing;

/// Where applications stand in a snapshot.
const ROOT: &str = "/apps/http";

/// An application with an API.
#[derive(Debug)]
pub struct HttpSource {
    http: Http,
    exports: Vec<ExportStep>,
    imports: Vec<ImportStep>,
}

impl HttpSource {
    /// As it is configured.
    ///
    /// # Errors
    /// [`Misuse`] if a step makes no sense.
    pub fn new(http: Http) -> Result<Self, Misuse> {
        Ok(Self {
            exports: steps::exports(&http)?,
            imports: steps::imports(&http)?,
            http,
        })
    }

    fn root(&self) -> PathBuf {
        Path::new(ROOT).join(&self.http.name)
    }

    fn api(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Api> {
        let value = |(name, value): &(String, SetTo)| Ok((name.clone(), secret(value, surroundings.secrets)?));
        let options = Options {
            headers: self.http.headers.iter().map(value).collect::<Result<_, Misuse>>()?,
            ca_file: self.http.ca_file.clone(),
            ..Options::new(&self.http.url)
        };
        Api::new(&options, surroundings.cancel)
    }
}

/// What is no secret in the configuration may be one all the same.
fn secret(value: &SetTo, secrets: &dyn SecretReader) -> Result<Secret, Misuse> {
    match value {
        SetTo::Text(text) => Ok(Secret::new(Zeroizing::new(text.clone().into_bytes()))),
        SetTo::Secret(secret) => secret.read(secrets),
    }
}

impl Source for HttpSource {
    fn kind(&self) -> &'static str {
        "http"
    }

    fn name(&self) -> String {
        self.http.name.clone()
    }

    fn roots(&self) -> Vec<PathBuf> {
        vec![self.root()]
    }

    fn capture(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Vec<Piece>> {
        let (api, facts) = (self.api(surroundings)?, Arc::new(Mutex::new(Facts::default())));
        Ok(vec![Piece {
            path: self.root(),
            name: self.name(),
            // Requests come one after the other, and the application goes on.
            grade: Some(Grade::Live),
            items: capture::items(&api, &self.exports, &self.root(), &facts)?,
            facts,
        }])
    }

    fn probe(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Probe> {
        let api = self.api(surroundings)?;
        let mut probe = Probe::default();
        for step in &self.exports {
            let request = step.request();
            if !step.is_json() {
                match api.send(step.method.clone(), &api.at(&step.path)?, None) {
                    Ok(_) => probe.found.push(found(request)),
                    Err(error) => probe.missing.push(error.to_string()),
                }
                continue;
            }
            match Pages::new(&api, step).next() {
                Ok(items) => {
                    let count = items.map_or(0, |items| items.len());
                    let page = if step.paging.is_some() {
                        " on the first page"
                    } else {
                        ""
                    };
                    probe.found.push(found(format!("{request}: {count}{page}")));
                }
                Err(error) => probe.missing.push(crate::explain::chain(&error)),
            }
        }
        if self.imports.is_empty() {
            probe
                .notes
                .push("without `import`, a restore only writes files".to_owned());
        }
        Ok(probe)
    }

    fn restore<'a>(
        &'a self,
        stored: &'a Stored<'a>,
        options: &'a PutBack,
        surroundings: &'a Surroundings<'a>,
    ) -> anyhow::Result<Plan<'a>> {
        options.check_no_rename("application", "what an API answered has no other name")?;
        let sendings = import::plan(&self.imports, stored, options.only.as_deref())?;
        let api = self.api(surroundings)?;
        let there = import::there(&api, &self.exports)?;
        let replaces = sendings.iter().any(|sending| sending.step.replaces());
        if let (Some(there), true, false) = (&there, replaces, options.overwrite) {
            let message = format!(
                "the application at `{}` holds data already: {there}; nothing was changed",
                api.address()
            );
            let hint = "Send all the same with `--overwrite`, which leaves to the application what happens to it.";
            return Err(Misuse::new(message, hint).into());
        }
        let step = |sending: &import::Sending<'_>| {
            let (count, request) = (sending.files.len(), &sending.step.request);
            let skips = if sending.step.ignore_existing {
                "; what is there already stays where the application says so"
            } else {
                ""
            };
            format!("send {count} files with `{request}` to `{}`{skips}", api.address())
        };
        Ok(Plan {
            steps: sendings.iter().map(step).collect(),
            execute: Box::new(move || import::send(&api, &sendings, stored, surroundings.monitor)),
        })
    }

    /// Everything is read back, and has to be what it was: whole JSON, of as many items.
    fn prove(&self, stored: &Stored<'_>, _: &Path, surroundings: &Surroundings<'_>) -> anyhow::Result<Proof> {
        let (part, mut proof) = (stored.part, Proof::default());
        let files = import::files(stored, &part.path)?;
        let expected = part.facts.more.get(capture::FILES).and_then(serde_json::Value::as_u64);
        proof.compare("files", expected.unwrap_or(part.entries), files.len() as u64);
        proof.compare("bytes", part.bytes, files.iter().map(|(_, size)| size).sum());
        let (mut damaged, mut items) = (None, 0);
        for (path, _) in &files {
            surroundings.cancel.check()?;
            let name = path.strip_prefix(&part.path).unwrap_or(path).to_string_lossy();
            let counted = part.facts.rows.get(&*name);
            if counted.is_none() && !steps::is_json(&name) {
                stored.copy(path, &mut std::io::sink())?;
                continue;
            }
            let mut check = JsonCheck::new();
            stored.copy(path, &mut check)?;
            check.flush()?;
            match (check.finish(), counted) {
                (Ok(found), Some(expected)) => {
                    proof.compare(format!("items of {name}"), *expected, found);
                    items += found;
                }
                (Ok(_), None) => items += 1,
                (Err(why), _) => damaged = Some(format!("{name} is no JSON: {why}")),
            }
        }
        let verdict = damaged.map_or(Verdict::Passed, |message| Verdict::Failed { message });
        proof.add("every file can be read", verdict);
        proof.counts.push((items, "item".to_owned()));
        Ok(proof)
    }
}

fn found(name: String) -> Found {
    Found { name, bytes: None }
}
