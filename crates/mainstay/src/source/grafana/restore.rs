//! Objects back in a Grafana, in the order in which they refer to each other.

use super::GrafanaSource;
use super::capture::SECRETS;
use super::kinds::Kind;
use super::list::Listed;
use super::put::{Outcome, Target, without};
use super::stored::{Index, Object};
use crate::config::Misuse;
use crate::source::api::Api;
use crate::source::{Plan, PutBack, Restored, Stored, Surroundings};
use anyhow::Context as _;
use serde_json::Value;
use std::collections::BTreeMap;

/// An object that is to be put.
struct Wanted {
    object: Object,
    there: There,
}

/// Whether there is such an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum There {
    /// No.
    No,
    /// Another with the same key.
    Other,
    /// The same, or one that is left as it is: nothing is to be done.
    Same,
}

impl GrafanaSource {
    /// Plan to put a part back, or some of it.
    pub(super) fn plan<'a>(
        &'a self,
        stored: &'a Stored<'a>,
        options: &'a PutBack,
        surroundings: &'a Surroundings<'a>,
    ) -> anyhow::Result<Plan<'a>> {
        options.check_no_rename("Grafana", "what a Grafana holds has no other name")?;
        let objects = chosen(stored, options)?;
        let api = self.api(surroundings)?;
        let wanted = compared(&api, stored, objects, options.overwrite)?;
        let others: Vec<&Object> = wanted
            .iter()
            .filter(|wanted| wanted.there == There::Other)
            .map(|wanted| &wanted.object)
            .collect();
        if !others.is_empty() && !options.overwrite {
            let message = format!("this Grafana has {} already, and nothing was changed", counted(&others));
            let hint = "Replace them with `--overwrite`, or restore single ones: name the part and what follows it, such as \
                        `dashboards/UID.json`.";
            return Err(Misuse::new(message, hint).into());
        }
        Ok(Plan {
            steps: self.steps(stored, &wanted),
            execute: Box::new(move || self.execute(&api, stored, &wanted, surroundings)),
        })
    }

    fn steps(&self, stored: &Stored<'_>, wanted: &[Wanted]) -> Vec<String> {
        let mut steps = Vec::new();
        for kind in Kind::ALL {
            let count = |there: There| {
                let is_meant = |wanted: &&Wanted| wanted.object.kind == kind && wanted.there == there;
                wanted.iter().filter(is_meant).count()
            };
            let (new, other, same) = (count(There::No), count(There::Other), count(There::Same));
            if new + other + same > 0 {
                let name = kind.name();
                steps.push(format!(
                    "{name}: create {new}, replace {other}, leave {same} as they are"
                ));
            }
        }
        steps.push("if that fails in between, Grafana is half restored, and the restore can be repeated".to_owned());
        let of_kind = |kind: Kind, there: There| {
            wanted
                .iter()
                .any(|wanted| wanted.object.kind == kind && wanted.there == there)
        };
        if of_kind(Kind::Users, There::No) {
            steps.push(if self.is_user() {
                "note: new users get passwords that nobody knows; set them, or let people ask for new ones".to_owned()
            } else {
                "note: new users cannot be created with a token; log in with `user` and `password` for that".to_owned()
            });
        }
        let secrets = stored.part.facts.more.get(SECRETS).and_then(Value::as_array);
        let secrets: Vec<&str> = secrets.into_iter().flatten().filter_map(Value::as_str).collect();
        if !secrets.is_empty() {
            steps.push(format!(
                "note: secrets have to be entered again for {}",
                secrets.join(", ")
            ));
        }
        steps
    }

    fn execute(
        &self,
        api: &Api,
        stored: &Stored<'_>,
        wanted: &[Wanted],
        surroundings: &Surroundings<'_>,
    ) -> anyhow::Result<Restored> {
        let mut restored = Restored::default();
        let mut target = Target::new(api, self.is_user());
        let all = wanted.len();
        let half = |done: u64| {
            format!(
                "{done} of {all} objects are restored; Grafana is half restored, so repeat the restore with `--overwrite`"
            )
        };
        for kind in Kind::ALL {
            let of_kind = || wanted.iter().filter(|wanted| wanted.object.kind == kind);
            if of_kind().next().is_some() {
                target.prepare(kind).with_context(|| half(restored.entries))?;
            }
            for Wanted { object, there } in of_kind() {
                surroundings.cancel.check()?;
                let json = object.read(stored)?;
                if *there != There::Same {
                    let place = stored.part.path.join(&object.place);
                    let outcome = target
                        .put(kind, &object.key, &json, *there == There::Other)
                        .with_context(|| format!("`{}` was not taken", place.display()))
                        .with_context(|| half(restored.entries))?;
                    if let Outcome::Problem(problem) = outcome {
                        surroundings.monitor.problem(&place.to_string_lossy(), &problem);
                        restored.problems += 1;
                    }
                }
                restored.entries += 1;
                restored.bytes += serde_json::to_vec(&json).map_or(0, |bytes| bytes.len() as u64);
            }
        }
        Ok(restored)
    }
}

/// The objects that are meant, folders after those that they lie in.
fn chosen(stored: &Stored<'_>, options: &PutBack) -> anyhow::Result<Vec<Object>> {
    let mut objects = Index::read(stored)?;
    if let Some(only) = &options.only {
        objects.retain(|object| object.place.starts_with(only));
        if objects.is_empty() {
            let message = format!("there is no `{}` in `{}`", only.display(), stored.part.path.display());
            let hint =
                "Name a kind such as `dashboards`, or one such as `dashboards/UID.json`; `mainstay ls` shows them.";
            return Err(Misuse::new(message, hint).into());
        }
    }
    Ok(objects)
}

/// Which of the objects are there.
fn compared(api: &Api, stored: &Stored<'_>, objects: Vec<Object>, overwrite: bool) -> anyhow::Result<Vec<Wanted>> {
    let mut there: BTreeMap<Kind, Vec<Listed>> = BTreeMap::new();
    for kind in Kind::ALL {
        if objects.iter().any(|object| object.kind == kind) {
            there.insert(kind, kind.list(api)?.unwrap_or_default());
        }
    }
    let compare = |object: Object| {
        let listed = there.get(&object.kind).map(Vec::as_slice).unwrap_or_default();
        let there = compare(&object, listed, stored, overwrite)?;
        Ok(Wanted { object, there })
    };
    objects.into_iter().map(compare).collect()
}

fn compare(object: &Object, listed: &[Listed], stored: &Stored<'_>, overwrite: bool) -> anyhow::Result<There> {
    let found = listed.iter().find(|one| one.key == object.key);
    let found = match (object.kind, found) {
        // Their list does not say what is in them.
        (Kind::Dashboards, found) => return Ok(if found.is_some() { There::Other } else { There::No }),
        // The one that every Grafana begins with has another key in each.
        (Kind::ContactPoints, None) => {
            let json = object.read(stored)?;
            let is_same = |one: &&Listed| {
                one.json.as_ref().is_some_and(|one| {
                    without(&essence(object.kind, one), &["uid"]) == without(&essence(object.kind, &json), &["uid"])
                })
            };
            return Ok(listed.iter().find(is_same).map_or(There::No, |_| There::Same));
        }
        // Whoever can log in is left alone, unless it is said otherwise.
        (Kind::Users, Some(_)) if !overwrite => return Ok(There::Same),
        (_, found) => found.and_then(|one| one.json.as_ref()),
    };
    let Some(found) = found else {
        return Ok(There::No);
    };
    if object.kind == Kind::Policies && found["routes"].as_array().is_none_or(Vec::is_empty) && !overwrite {
        // Nobody has made anything of the tree that every Grafana begins with.
        return Ok(There::No);
    }
    let json = object.read(stored)?;
    Ok(if essence(object.kind, found) == essence(object.kind, &json) {
        There::Same
    } else {
        There::Other
    })
}

/// An object without what differs from one Grafana to the other.
fn essence(kind: Kind, json: &Value) -> Value {
    match kind {
        Kind::Folders => {
            serde_json::json!({"title": json["title"], "parentUid": json["parentUid"].as_str().unwrap_or_default()})
        }
        Kind::DataSources => without(
            json,
            &[
                "id",
                "orgId",
                "version",
                "typeLogoUrl",
                "typeName",
                "readOnly",
                "accessControl",
            ],
        ),
        Kind::LibraryPanels => serde_json::json!({"name": json["name"], "kind": json["kind"], "model": json["model"],
            "folder": json["meta"]["folderUid"]}),
        Kind::Users => serde_json::json!({"role": json["role"]}),
        Kind::Teams => {
            let members = json["members"].as_array().into_iter().flatten();
            let mut logins: Vec<&str> = members.filter_map(|member| member["login"].as_str()).collect();
            logins.sort_unstable();
            serde_json::json!({"email": json["email"], "members": logins})
        }
        Kind::RuleGroups => {
            let rules = json["rules"].as_array().into_iter().flatten();
            let rules: Vec<Value> = rules
                .map(|rule| without(rule, &["id", "orgID", "provenance", "updated", "version"]))
                .collect();
            serde_json::json!({"interval": json["interval"], "rules": rules})
        }
        Kind::Dashboards | Kind::Templates | Kind::MuteTimings | Kind::ContactPoints | Kind::Policies => {
            without(json, &["provenance", "version"])
        }
    }
}

/// `2 folders, 3 dashboards`.
fn counted(objects: &[&Object]) -> String {
    let count = |kind: Kind| {
        let count = objects.iter().filter(|object| object.kind == kind).count();
        (count > 0).then(|| format!("{count} {}", kind.name()))
    };
    Kind::ALL.into_iter().filter_map(count).collect::<Vec<_>>().join(", ")
}
