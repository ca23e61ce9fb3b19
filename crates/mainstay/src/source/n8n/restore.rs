//! Workflows, tags, variables and credentials are put back into an n8n, which gives workflows new ids.

use super::body::Body;
use super::capture::{Index, file_of, tags};
use super::container::Container;
use super::credentials::{Credential, KeyFile};
use super::prove::read;
use super::replaced::replaced;
use super::server::{Server, Summary, is_unlicensed};
use super::{CREDENTIALS, INDEX, KEY, TAGS, VARIABLES, WORKFLOWS};
use crate::config::Misuse;
use crate::source::{Plan, PutBack, Restored, Stored};
use anyhow::Context as _;
use repository::{Cancel, Monitor};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What is put back, and over what.
struct Restore<'a> {
    stored: &'a Stored<'a>,
    server: Server,
    container: Option<Container>,
    /// Each with the workflow that it replaces.
    workflows: Vec<(Summary, Option<Summary>)>,
    index: Index,
    /// Not only some workflows.
    is_all: bool,
    cancel: &'a Cancel,
    monitor: &'a dyn Monitor,
}

/// Plan it; nothing is changed.
pub fn plan<'a>(
    server: Server,
    container: Option<Container>,
    stored: &'a Stored<'a>,
    options: &PutBack,
    (cancel, monitor): (&'a Cancel, &'a dyn Monitor),
) -> anyhow::Result<Plan<'a>> {
    let index: Index = read(stored, Path::new(INDEX))?;
    let wanted = wanted(&index, options.only.as_deref())?;
    let there = server.workflows()?;
    let workflows = replaced(wanted, &index.workflows, &there);
    let replaced = workflows.iter().filter(|(_, there)| there.is_some()).count();
    let is_all = options.only.is_none();
    let in_the_way = if is_all { there.len() } else { replaced };
    if in_the_way > 0 && !options.overwrite {
        let message = format!(
            "n8n at `{}` has {in_the_way} workflows already, and nothing was changed",
            server.address()
        );
        let hint = "Replace those of the same id or name with `--overwrite`; others stay. To restore beside them, use another n8n.";
        return Err(Misuse::new(message, hint).into());
    }
    let mut steps = Vec::new();
    if is_all && index.credentials.is_some() {
        steps.push(match &container {
            Some(container) => {
                check_credentials(container, stored, options.overwrite)?;
                "import the credentials, with `n8n import:credentials` in the container".to_owned()
            }
            None => format!(
                "leave out the credentials: without `container`, `{CREDENTIALS}` is for `n8n import:credentials`"
            ),
        });
    }
    steps.push(format!(
        "make {} workflows and replace {replaced} at `{}`, with their tags",
        workflows.len() - replaced,
        server.address()
    ));
    let active = workflows.iter().filter(|(one, _)| one.active).count();
    steps.push(format!("activate {active} workflows when everything else is there"));
    let restore = Restore {
        stored,
        server,
        container,
        workflows,
        index,
        is_all,
        cancel,
        monitor,
    };
    Ok(Plan {
        steps,
        execute: Box::new(move || restore.execute()),
    })
}

/// The workflows that are wanted.
fn wanted(index: &Index, only: Option<&Path>) -> anyhow::Result<Vec<Summary>> {
    let Some(only) = only.filter(|only| *only != Path::new(WORKFLOWS)) else {
        return Ok(index.workflows.iter().cloned().collect());
    };
    let is_wanted = |one: &&Summary| file_of(&one.id).is_ok_and(|file| file == only);
    match index.workflows.iter().find(is_wanted) {
        Some(one) => Ok(vec![one.clone()]),
        None => {
            let message = format!("`{}` cannot be put back by itself", only.display());
            let hint = "Name one file of `workflows/`, or write it to a file with `mainstay dump`.";
            Err(Misuse::new(message, hint).into())
        }
    }
}

/// That n8n can open the credentials, and that none is replaced unasked.
fn check_credentials(container: &Container, stored: &Stored<'_>, overwrite: bool) -> anyhow::Result<()> {
    let key: KeyFile = read(stored, Path::new(KEY))?;
    if *container.key()? != *key.encryption_key {
        let message = "n8n runs with another encryption key than the credentials were stored with; nothing was changed";
        let hint = format!(
            "Start it with `N8N_ENCRYPTION_KEY` as in `{}`, or leave `container` out and enter the credentials again.",
            stored.part.path.join(KEY).display()
        );
        return Err(Misuse::new(message, hint).into());
    }
    let stored: Vec<Credential> = read(stored, Path::new(CREDENTIALS))?;
    let (_, there) = container.export()?;
    let same = there
        .iter()
        .filter(|one| stored.iter().any(|other| other.id == one.id))
        .count();
    if same > 0 && !overwrite {
        let message = format!("n8n has {same} of the credentials already, and nothing was changed");
        return Err(Misuse::new(message, "Replace them with `--overwrite`.").into());
    }
    Ok(())
}

impl Restore<'_> {
    fn execute(self) -> anyhow::Result<Restored> {
        let mut restored = Restored::default();
        if self.is_all {
            restored.entries += self.credentials()?;
        }
        let half = || format!("n8n at `{}` is half restored", self.server.address());
        if self.is_all {
            restored.problems += self.variables().with_context(half)?;
        }
        let tags = self.tags().with_context(half)?;
        let mut ids = BTreeMap::new();
        let mut failed = BTreeSet::new();
        for (workflow, there) in &self.workflows {
            self.cancel.check()?;
            match self.store(workflow, there.as_ref()) {
                Ok((id, bytes)) => {
                    ids.insert(workflow.id.clone(), id);
                    restored.entries += 1;
                    restored.bytes += bytes;
                }
                Err(error) => {
                    self.problem(workflow, &error);
                    failed.insert(&workflow.id);
                }
            }
        }
        if ids.is_empty() && !failed.is_empty() {
            return Err(anyhow::anyhow!("n8n took none of the workflows").context(half()));
        }
        // Active ones begin to work at once: everything that they call has to be there before.
        for (workflow, there) in &self.workflows {
            self.cancel.check()?;
            if failed.contains(&workflow.id) {
                continue;
            }
            if let Err(error) = self.complete(workflow, &ids, &tags) {
                self.problem(workflow, &error);
                failed.insert(&workflow.id);
            } else if !workflow.active && there.as_ref().is_some_and(|there| there.active) {
                self.server.set_active(&ids[&workflow.id], false).with_context(half)?;
            }
        }
        for (workflow, _) in self
            .workflows
            .iter()
            .filter(|(one, _)| one.active && !failed.contains(&one.id))
        {
            self.cancel.check()?;
            if let Err(error) = self.server.set_active(&ids[&workflow.id], true) {
                self.problem(workflow, &error.context("it is restored, but not active"));
                restored.problems += 1;
            }
        }
        restored.problems += failed.len() as u64;
        Ok(restored)
    }

    fn problem(&self, workflow: &Summary, error: &anyhow::Error) {
        let subject = format!("workflow `{}`", workflow.name);
        self.monitor.problem(&subject, &crate::explain::chain(error));
    }

    fn credentials(&self) -> anyhow::Result<u64> {
        let (Some(container), Some(count)) = (&self.container, self.index.credentials) else {
            return Ok(0);
        };
        if count > 0 {
            let mut content = Vec::new();
            self.stored
                .copy(&self.stored.part.path.join(CREDENTIALS), &mut content)?;
            container
                .import(&content)
                .context("the credentials were not imported; nothing else was changed")?;
        }
        Ok(count as u64)
    }

    /// Variables that are missing; how many could not be made.
    fn variables(&self) -> anyhow::Result<u64> {
        if self.index.variables.unwrap_or_default() == 0 {
            return Ok(0);
        }
        let stored: Vec<Value> = read(self.stored, Path::new(VARIABLES))?;
        let there = match self.server.all("variables") {
            Ok(there) => there,
            Err(error) if is_unlicensed(&error) => {
                self.monitor
                    .problem("variables", "this n8n has no license for variables");
                return Ok(stored.len() as u64);
            }
            Err(error) => return Err(error),
        };
        let there: Vec<Value> = there
            .iter()
            .map(|one| serde_json::from_str(one.get()))
            .collect::<Result<_, _>>()?;
        let is_there = |variable: &Value| there.iter().any(|other| other["key"] == variable["key"]);
        for variable in stored.iter().filter(|variable| !is_there(variable)) {
            self.server.create_variable(variable)?;
        }
        Ok(0)
    }

    /// The ids of tags by their names; those that are missing are made.
    fn tags(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let mut ids = BTreeMap::new();
        for tag in self.server.all("tags")? {
            ids.extend(
                tags(format!("[{}]", tag.get()).as_bytes())?
                    .into_iter()
                    .map(|tag| (tag.name, tag.id)),
            );
        }
        let mut content = Vec::new();
        self.stored.copy(&self.stored.part.path.join(TAGS), &mut content)?;
        let used = |name: &str| {
            self.workflows
                .iter()
                .any(|(one, _)| one.tags.iter().any(|tag| tag.name == name))
        };
        for tag in tags(&content)? {
            if (self.is_all || used(&tag.name)) && !ids.contains_key(&tag.name) {
                let id = self.server.create_tag(&tag.name)?;
                ids.insert(tag.name, id);
            }
        }
        Ok(ids)
    }

    /// Make or replace a workflow; its id and size.
    fn store(&self, workflow: &Summary, there: Option<&Summary>) -> anyhow::Result<(String, u64)> {
        let body = self.body(workflow)?;
        if !body.left_out.is_empty() {
            let name = &workflow.name;
            self.monitor.note(&format!(
                "workflow `{name}`: the API does not take {}",
                body.left_out.join(", ")
            ));
        }
        let bytes = body.json.to_string().len() as u64;
        match there {
            Some(there) => {
                self.server.replace(&there.id, &body.json)?;
                Ok((there.id.clone(), bytes))
            }
            None => Ok((self.server.create(&body.json)?, bytes)),
        }
    }

    fn body(&self, workflow: &Summary) -> anyhow::Result<Body> {
        let stored: Value = read(self.stored, &file_of(&workflow.id)?)?;
        Ok(Body::of(&stored))
    }

    /// What needs the ids of the others.
    fn complete(
        &self,
        workflow: &Summary,
        ids: &BTreeMap<String, String>,
        tags: &BTreeMap<String, String>,
    ) -> anyhow::Result<()> {
        let id = &ids[&workflow.id];
        let mut body = self.body(workflow)?;
        if body.rename(ids) {
            self.server.replace(id, &body.json)?;
        }
        let tags: Vec<String> = workflow
            .tags
            .iter()
            .filter_map(|tag| tags.get(&tag.name).cloned())
            .collect();
        self.server.set_tags(id, &tags)
    }
}
