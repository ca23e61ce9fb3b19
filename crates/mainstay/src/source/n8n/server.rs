//! The public API of an n8n, as far as it is needed.

use crate::source::api::{self, Api, Method, Url, Why};
use repository::Error;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Workflows may hold megabytes of pinned data each.
const WORKFLOWS_A_PAGE: u32 = 50;
/// As many as there can be.
const OTHERS_A_PAGE: u32 = 250;
/// How often a list that changes is asked for again.
const TRIES: u32 = 5;

/// An n8n.
#[derive(Debug)]
pub struct Server {
    api: Api,
}

/// What a list says of a workflow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Summary {
    /// Its name in the API.
    pub id: String,
    /// What users call it.
    pub name: String,
    /// Whether it runs by itself.
    #[serde(default)]
    pub active: bool,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<Tag>,
}

/// A tag, or another thing with a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Tag {
    /// Its name in the API.
    pub id: String,
    /// What users call it.
    pub name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    data: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

impl Server {
    /// The n8n that this reaches.
    pub fn new(api: Api) -> Self {
        Self { api }
    }

    /// Its address, for people.
    pub fn address(&self) -> &str {
        self.api.address()
    }

    /// All workflows that the key may see. The API pages by position: what is removed meanwhile hides something else, so that a list of
    /// several pages is asked for until it stays the same.
    ///
    /// # Errors
    /// Those of requests; and if it keeps changing.
    pub fn workflows(&self) -> anyhow::Result<BTreeSet<Summary>> {
        let (mut before, mut pages) = self.workflows_once()?;
        for _ in 0..TRIES {
            if pages < 2 {
                return Ok(before);
            }
            let again = self.workflows_once()?;
            let ids = |summaries: &BTreeSet<Summary>| summaries.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
            if ids(&before) == ids(&again.0) {
                return Ok(again.0);
            }
            (before, pages) = again;
        }
        let message = "workflows are made and removed while they are listed".to_owned();
        let hint = "Run it again when nobody works on them.".to_owned();
        Err(Error::Refused { message, hint }.into())
    }

    fn workflows_once(&self) -> anyhow::Result<(BTreeSet<Summary>, u32)> {
        let (mut all, mut pages) = (BTreeSet::new(), 0);
        self.each_page("/api/v1/workflows", WORKFLOWS_A_PAGE, &mut |page| {
            pages += 1;
            for workflow in page {
                all.insert(serde_json::from_str(workflow.get())?);
            }
            Ok(())
        })?;
        Ok((all, pages))
    }

    /// All things of another kind, such as `tags`.
    ///
    /// # Errors
    /// Those of requests.
    pub fn all(&self, kind: &str) -> anyhow::Result<Vec<Box<RawValue>>> {
        let mut all = Vec::new();
        self.each_page(&format!("/api/v1/{kind}"), OTHERS_A_PAGE, &mut |page| {
            all.extend(page);
            Ok(())
        })?;
        Ok(all)
    }

    /// How many executions are kept, up to a page of them, and whether there are more.
    ///
    /// # Errors
    /// Those of the request.
    pub fn executions(&self) -> anyhow::Result<(usize, bool)> {
        let url = self.api.at(&format!("/api/v1/executions?limit={OTHERS_A_PAGE}"))?;
        let page: Page = self.api.get_json(&url)?;
        Ok((page.data.len(), page.next_cursor.is_some()))
    }

    fn each_page(
        &self,
        path: &str,
        limit: u32,
        take: &mut dyn FnMut(Vec<Box<RawValue>>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (mut cursor, mut seen): (Option<String>, BTreeSet<String>) = (None, BTreeSet::new());
        loop {
            let mut url = self.api.at(path)?;
            url.query_pairs_mut().append_pair("limit", &limit.to_string());
            if let Some(cursor) = &cursor {
                url.query_pairs_mut().append_pair("cursor", cursor);
            }
            let page: Page = self.api.get_json(&url)?;
            take(page.data)?;
            match page.next_cursor {
                None => return Ok(()),
                Some(next) if seen.insert(next.clone()) => cursor = Some(next),
                Some(_) => {
                    let message = format!("`GET {path}` names the same page again and again");
                    let hint = "Look at n8n's log, and at what stands between it and this host.".to_owned();
                    return Err(Error::Refused { message, hint }.into());
                }
            }
        }
    }

    /// A workflow as it is. Who shares it is left out: that is data of users, which no import takes.
    ///
    /// # Errors
    /// Those of the request.
    pub fn workflow(&self, id: &str) -> anyhow::Result<Value> {
        let mut workflow: Value = self.api.get_json(&self.api.below("/api/v1/workflows", id)?)?;
        if let Some(fields) = workflow.as_object_mut() {
            fields.remove("shared");
        }
        Ok(workflow)
    }

    /// Make a workflow; its id.
    ///
    /// # Errors
    /// Those of the request.
    pub fn create(&self, body: &Value) -> anyhow::Result<String> {
        let made = self
            .api
            .send_json(Method::POST, &self.api.at("/api/v1/workflows")?, body)?;
        id_of(&made)
    }

    /// Replace a workflow.
    ///
    /// # Errors
    /// Those of the request.
    pub fn replace(&self, id: &str, body: &Value) -> anyhow::Result<()> {
        self.api
            .send_json(Method::PUT, &self.api.below("/api/v1/workflows", id)?, body)?;
        Ok(())
    }

    /// Have a workflow run by itself, or no more.
    ///
    /// # Errors
    /// Those of the request; also what the workflow lacks.
    pub fn set_active(&self, id: &str, active: bool) -> anyhow::Result<()> {
        let url = self.of_workflow(id, if active { "activate" } else { "deactivate" })?;
        self.api.send_json(Method::POST, &url, &json!({}))?;
        Ok(())
    }

    /// Give a workflow these tags and no others.
    ///
    /// # Errors
    /// Those of the request.
    pub fn set_tags(&self, id: &str, tags: &[String]) -> anyhow::Result<()> {
        let tags: Vec<Value> = tags.iter().map(|id| json!({"id": id})).collect();
        self.api
            .send_json(Method::PUT, &self.of_workflow(id, "tags")?, &Value::from(tags))?;
        Ok(())
    }

    /// Make a tag; its id.
    ///
    /// # Errors
    /// Those of the request.
    pub fn create_tag(&self, name: &str) -> anyhow::Result<String> {
        let made = self
            .api
            .send_json(Method::POST, &self.api.at("/api/v1/tags")?, &json!({"name": name}))?;
        id_of(&made)
    }

    /// Make a variable.
    ///
    /// # Errors
    /// Those of the request.
    pub fn create_variable(&self, variable: &Value) -> anyhow::Result<()> {
        let body = json!({"key": variable["key"], "value": variable["value"]});
        self.api
            .send_json(Method::POST, &self.api.at("/api/v1/variables")?, &body)?;
        Ok(())
    }

    fn of_workflow(&self, id: &str, what: &str) -> anyhow::Result<Url> {
        let mut url = self.api.below("/api/v1/workflows", id)?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.push(what);
        }
        Ok(url)
    }
}

fn id_of(made: &Value) -> anyhow::Result<String> {
    let id = made["id"].as_str().map(str::to_owned);
    id.ok_or_else(|| {
        let message = "n8n did not say what it made".to_owned();
        let hint = "Look at n8n's log.".to_owned();
        Error::Refused { message, hint }.into()
    })
}

/// Whether the license, not a right, is what is missing.
pub fn is_unlicensed(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<api::Error>().map(|error| &error.why) {
        Some(Why::Forbidden(said)) => said.contains("license"),
        // Versions before there were any.
        Some(Why::NotFound(_)) => true,
        _ => false,
    }
}
