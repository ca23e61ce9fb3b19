//! Answers that come in pages.

use super::json::pointed;
use super::steps::ExportStep;
use crate::source::api::{Answer, Api, LARGEST_ANSWER, Url};
use repository::Error;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;

/// What one answer holds.
pub type Items = Vec<Box<RawValue>>;

/// The answers to a request, page by page.
pub struct Pages {
    api: Api,
    step: ExportStep,
    next: Next,
    /// Names of pages, and content of numbered ones: none may come twice.
    seen: HashSet<[u8; 32]>,
}

enum Next {
    /// The answer to the request as it is.
    First,
    /// By its name.
    Named(String),
    /// By its number.
    Numbered(u64),
    Nothing,
}

/// The number of the first page, where none is configured.
const FIRST_NUMBER: u64 = 1;

impl Pages {
    /// The answers to the request of this step. Nothing is asked yet.
    pub fn new(api: &Api, step: &ExportStep) -> Self {
        let paging = step.paging.as_ref();
        let is_numbered = paging.is_some_and(|paging| paging.parameter.is_some() && paging.next.is_none());
        let first = paging.and_then(|paging| paging.first);
        Self {
            api: api.clone(),
            step: step.clone(),
            next: match (is_numbered, first) {
                (true, Some(first)) => Next::Numbered(first),
                _ => Next::First,
            },
            seen: HashSet::new(),
        }
    }

    /// The items of the next page; nothing after the last one.
    ///
    /// # Errors
    /// Those of the request; and when pages repeat, or an answer has not the configured shape.
    pub fn next(&mut self) -> anyhow::Result<Option<Items>> {
        let answer = match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Nothing => return Ok(None),
            Next::First => self.ask(None)?,
            Next::Named(name) => self.ask(Some(&name))?,
            Next::Numbered(number) => return self.numbered(number),
        };
        let items = self.items(&answer)?;
        let Some(paging) = self.step.paging.clone() else {
            return Ok(Some(items));
        };
        match (&paging.next, &paging.parameter) {
            (Some(pointer), Some(parameter)) => {
                if let Some(name) = self.name_of_next(&answer, pointer, parameter)? {
                    self.never_twice(name.as_bytes(), "names a page that came before as the next one")?;
                    self.next = Next::Named(name);
                }
                Ok(Some(items))
            }
            // What comes without a number has to be the first page, or one before it would be lost.
            (None, Some(_)) => {
                let first = self.numbered(FIRST_NUMBER)?;
                if !items.is_empty() && first.as_deref().map(digest) != Some(digest(&items)) {
                    return Err(self.wrong(
                        &format!("page {FIRST_NUMBER} is not the first page"),
                        "Set `first` in `paging` to the number of the first page, such as 0.",
                    ));
                }
                Ok(first)
            }
            _ => Ok(Some(items)),
        }
    }

    fn numbered(&mut self, number: u64) -> anyhow::Result<Option<Items>> {
        let answer = self.ask(Some(&number.to_string()))?;
        let items = self.items(&answer)?;
        if items.is_empty() {
            return Ok(None);
        }
        self.never_twice(&digest(&items), "answers the same page again and again")?;
        self.next = Next::Numbered(number + 1);
        Ok(Some(items))
    }

    fn never_twice(&mut self, page: &[u8], why: &str) -> anyhow::Result<()> {
        if self.seen.insert(Sha256::digest(page).into()) {
            return Ok(());
        }
        Err(self.wrong(
            why,
            "Check `paging`: `parameter` has to be one that the application knows.",
        ))
    }

    fn ask(&self, page: Option<&str>) -> anyhow::Result<Box<RawValue>> {
        let mut url = self.api.at(&self.step.path)?;
        let parameter = self.step.paging.as_ref().and_then(|paging| paging.parameter.as_ref());
        if let (Some(page), Some(parameter)) = (page, parameter) {
            set_parameter(&mut url, parameter, page);
        }
        let answer: Answer = self.api.send(self.step.method.clone(), &url, None)?;
        Ok(answer.json(LARGEST_ANSWER)?)
    }

    /// The elements of the array that is configured, or that the answer is; anything else is an item by itself, if there are no pages.
    fn items(&self, answer: &RawValue) -> anyhow::Result<Items> {
        let pointer = self.step.paging.as_ref().and_then(|paging| paging.items.as_deref());
        let there = pointed(answer, pointer.unwrap_or_default());
        let is_array = there.is_some_and(|there| there.get().starts_with('['));
        match there {
            Some(there) if is_array => Ok(serde_json::from_str(there.get())?),
            Some(there) if self.step.paging.is_none() => Ok(vec![there.to_owned()]),
            _ => {
                let place = pointer.map_or_else(String::new, |pointer| format!(" at `{pointer}`"));
                let hint = "Say with `items` in `paging` where the answer has its items, such as `/data`.";
                Err(self.wrong(&format!("the answer has no list{place}"), hint))
            }
        }
    }

    /// What the answer names as the next page: a value for the parameter, or an address that has it.
    fn name_of_next(&self, answer: &RawValue, pointer: &str, parameter: &str) -> anyhow::Result<Option<String>> {
        let Some(found) = pointed(answer, pointer) else {
            return Ok(None);
        };
        let name = match serde_json::from_str(found.get())? {
            serde_json::Value::Null | serde_json::Value::Bool(false) => return Ok(None),
            serde_json::Value::String(text) if text.is_empty() => return Ok(None),
            serde_json::Value::String(text) => text,
            serde_json::Value::Number(number) => number.to_string(),
            _ => return Err(self.wrong(&format!("what stands at `{pointer}` names no page"), "Check `next`.")),
        };
        let is_address = name.starts_with('/') || name.starts_with("https://") || name.starts_with("http://");
        if !is_address {
            return Ok(Some(name));
        }
        let url = self.api.at("/")?.join(&name)?;
        let value = url.query_pairs().find(|(key, _)| key == parameter);
        match value {
            Some((_, value)) => Ok(Some(value.into_owned())),
            None => Err(self.wrong(
                &format!("the next page's address has no `{parameter}`"),
                "Check `parameter`.",
            )),
        }
    }

    fn wrong(&self, why: &str, hint: &str) -> anyhow::Error {
        let message = format!("`{}`: {why}", self.step.request());
        let hint = hint.to_owned();
        Error::Refused { message, hint }.into()
    }
}

fn digest(items: &[Box<RawValue>]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for item in items {
        hasher.update(item.get());
        hasher.update(b"\0");
    }
    hasher.finalize().into()
}

fn set_parameter(url: &mut Url, name: &str, value: &str) {
    let others: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(key, _)| key != name)
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    url.query_pairs_mut()
        .clear()
        .extend_pairs(others)
        .append_pair(name, value);
}
