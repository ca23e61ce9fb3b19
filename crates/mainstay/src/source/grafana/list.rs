//! Which objects are there.

use super::kinds::Kind;
use crate::source::api::{Api, Why};
use anyhow::Context as _;
use repository::Error;
use serde_json::Value;
use std::collections::BTreeSet;

/// How many objects are asked for at once.
const PAGE: usize = 1000;
/// Of library panels, which are as large as they are.
const LARGE_PAGE: usize = 100;

/// A folder that only the search knows: what others share with the user.
const SHARED: &str = "sharedwithme";

/// An object that is there.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What tells it from others of its kind, also in another Grafana.
    pub key: String,
    /// What it is, if the list says that.
    pub json: Option<Value>,
}

impl Kind {
    /// All objects of this kind; nothing if this Grafana has no such kind.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub fn list(self, api: &Api) -> anyhow::Result<Option<Vec<Listed>>> {
        let listed = match self {
            Self::Folders => folders(api).map(Some),
            Self::Dashboards => dashboards(api).map(Some),
            Self::DataSources => data_sources(api).map(Some),
            Self::LibraryPanels => library_panels(api).map(Some),
            Self::Users => get(api, "/api/org/users").and_then(|users| self.listed(array(users)).map(Some)),
            Self::Teams => teams(api).map(Some),
            Self::RuleGroups => provisioned(api, "alert-rules", |rules| rule_groups(api, &array(rules))),
            Self::Policies => provisioned(api, self.directory(), |tree| self.listed(vec![tree])),
            Self::Templates | Self::MuteTimings | Self::ContactPoints => {
                provisioned(api, self.directory(), |all| self.listed(array(all)))
            }
        };
        listed.with_context(|| format!("the {} cannot be read", self.name()))
    }

    fn listed(self, all: Vec<Value>) -> anyhow::Result<Vec<Listed>> {
        let listed = |json: Value| match self.key(&json) {
            Some(key) => Ok(Listed { key, json: Some(json) }),
            None => Err(unexpected("one of them has no name")),
        };
        all.into_iter().map(listed).collect()
    }
}

/// The JSON at a path.
pub fn get(api: &Api, path: &str) -> anyhow::Result<Value> {
    Ok(api.get_json(&api.at(path)?)?)
}

/// What alerting holds; nothing if it is switched off.
fn provisioned(
    api: &Api,
    what: &str,
    understand: impl FnOnce(Value) -> anyhow::Result<Vec<Listed>>,
) -> anyhow::Result<Option<Vec<Listed>>> {
    match api.get_json(&api.at(&format!("/api/v1/provisioning/{what}"))?) {
        Ok(json) => understand(json).map(Some),
        Err(error) if matches!(error.why, Why::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn unexpected(what: &str) -> anyhow::Error {
    let refused = Error::Refused {
        message: format!("Grafana does not answer as expected: {what}"),
        hint: "Run it again; its version may not be known.".to_owned(),
    };
    refused.into()
}

fn array(json: Value) -> Vec<Value> {
    match json {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        other => vec![other],
    }
}

/// The items of all pages, up to an empty one: a server may give less at a time than it is asked for.
fn pages(
    api: &Api,
    path: &str,
    pointer: &str,
    size: usize,
    key: impl Fn(&Value) -> Option<String>,
) -> anyhow::Result<Vec<Value>> {
    let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
    for page in 1.. {
        let mut answer = get(api, &format!("{path}&page={page}"))?;
        let items = answer.pointer_mut(pointer).map(Value::take).unwrap_or_default();
        let items = array(items);
        let count = items.len();
        let new: Vec<Value> = items
            .into_iter()
            .filter(|item| key(item).is_none_or(|key| seen.insert(key)))
            .collect();
        if new.is_empty() {
            // Some lists have no pages, and are whole if they are shorter than what was asked for.
            if count == 0 || page == 2 && count < size {
                return Ok(all);
            }
            return Err(unexpected("the same objects come again on every page"));
        }
        all.extend(new);
    }
    Ok(all)
}

/// Folders, each before those in it.
fn folders(api: &Api) -> anyhow::Result<Vec<Listed>> {
    let mut listed: Vec<Listed> = Vec::new();
    let mut seen = BTreeSet::from([SHARED.to_owned()]);
    let mut parents: Vec<Option<String>> = vec![None];
    while let Some(parent) = parents.pop() {
        let of = parent
            .as_ref()
            .map(|uid| format!("&parentUid={}", encoded(uid)))
            .unwrap_or_default();
        let path = format!("/api/folders?limit={PAGE}{of}");
        for mut folder in pages(api, &path, "", PAGE, |folder| Kind::Folders.key(folder))? {
            let key = Kind::Folders.key(&folder).unwrap_or_default();
            // Without folders in folders, the answer is always the same.
            if !seen.insert(key.clone()) {
                continue;
            }
            if let (Some(parent), Some(fields)) = (&parent, folder.as_object_mut()) {
                fields.insert("parentUid".to_owned(), Value::from(parent.clone()));
            }
            parents.push(Some(key.clone()));
            listed.push(Listed {
                key,
                json: Some(folder),
            });
        }
    }
    Ok(listed)
}

fn library_panels(api: &Api) -> anyhow::Result<Vec<Listed>> {
    let path = format!("/api/library-elements?perPage={LARGE_PAGE}");
    let key = |panel: &Value| Kind::LibraryPanels.key(panel);
    Kind::LibraryPanels.listed(pages(api, &path, "/result/elements", LARGE_PAGE, key)?)
}

fn dashboards(api: &Api) -> anyhow::Result<Vec<Listed>> {
    let key = |found: &Value| Some(found["uid"].as_str()?.to_owned());
    let found = pages(api, &format!("/api/search?type=dash-db&limit={PAGE}"), "", PAGE, key)?;
    let listed = |found: &Value| Listed {
        key: key(found).unwrap_or_default(),
        json: None,
    };
    Ok(found.iter().map(listed).collect())
}

/// The list does not say which secrets there are.
fn data_sources(api: &Api) -> anyhow::Result<Vec<Listed>> {
    let each = |one: Listed| {
        let url = api.below("/api/datasources/uid", &one.key)?;
        Ok(Listed {
            json: Some(api.get_json(&url)?),
            ..one
        })
    };
    let all = Kind::DataSources.listed(array(get(api, "/api/datasources")?))?;
    all.into_iter().map(each).collect()
}

fn teams(api: &Api) -> anyhow::Result<Vec<Listed>> {
    let path = format!("/api/teams/search?perpage={PAGE}");
    let mut teams = pages(api, &path, "/teams", PAGE, |team| Kind::Teams.key(team))?;
    for team in &mut teams {
        let members = get(api, &format!("/api/teams/{}/members", team["id"]))?;
        team["members"] = members;
    }
    Kind::Teams.listed(teams)
}

/// Rules in their groups, which have the interval.
fn rule_groups(api: &Api, rules: &[Value]) -> anyhow::Result<Vec<Listed>> {
    let name = |rule: &Value| {
        let text = |field: &str| rule[field].as_str().map(str::to_owned);
        Some((text("folderUID")?, text("ruleGroup")?))
    };
    let names: BTreeSet<_> = rules.iter().filter_map(name).collect();
    let group = |(folder, group): (String, String)| {
        let folder = format!("/api/v1/provisioning/folder/{}/rule-groups", encoded(&folder));
        let json: Value = api.get_json(&api.below(&folder, &group)?)?;
        Ok(json)
    };
    let groups = names.into_iter().map(group).collect::<anyhow::Result<Vec<_>>>()?;
    let grouped: usize = groups
        .iter()
        .filter_map(|group| group["rules"].as_array())
        .map(Vec::len)
        .sum();
    if grouped != rules.len() {
        return Err(unexpected("its groups have not all of its alert rules"));
    }
    Kind::RuleGroups.listed(groups)
}

/// A text as a part of an address.
pub fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}
