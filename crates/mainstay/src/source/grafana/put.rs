//! One object after the other, put into a Grafana.

use super::kinds::Kind;
use super::list::{Listed, encoded, get};
use crate::source::api::{Api, Method, Why};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What is put, and what is there already.
pub struct Target<'a> {
    /// The Grafana.
    pub api: &'a Api,
    /// Users can be created.
    pub creates_users: bool,
    /// Numbers of users by login.
    users: BTreeMap<String, Value>,
    /// Numbers of teams by name.
    teams: BTreeMap<String, Value>,
}

/// What came of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is there.
    Done,
    /// It is not as it should be, and why.
    Problem(String),
}

impl<'a> Target<'a> {
    /// A Grafana.
    pub fn new(api: &'a Api, creates_users: bool) -> Self {
        Self {
            api,
            creates_users,
            users: BTreeMap::new(),
            teams: BTreeMap::new(),
        }
    }

    /// What has to be known before objects of a kind are put.
    ///
    /// # Errors
    /// Those of the requests.
    pub fn prepare(&mut self, kind: Kind) -> anyhow::Result<()> {
        if matches!(kind, Kind::Users | Kind::Teams) {
            self.users = self.numbers(Kind::Users, "userId")?;
        }
        if kind == Kind::Teams {
            self.teams = self.numbers(Kind::Teams, "id")?;
        }
        Ok(())
    }

    fn numbers(&self, kind: Kind, field: &str) -> anyhow::Result<BTreeMap<String, Value>> {
        let listed = kind.list(self.api)?.unwrap_or_default();
        let number = |one: Listed| Some((one.key, one.json?[field].clone()));
        Ok(listed.into_iter().filter_map(number).collect())
    }

    /// Put an object; `is_there` says whether one with its key is there.
    ///
    /// # Errors
    /// Those of the requests.
    pub fn put(&self, kind: Kind, key: &str, object: &Value, is_there: bool) -> anyhow::Result<Outcome> {
        match kind {
            Kind::Folders => self.folder(key, object, is_there),
            Kind::DataSources => self.data_source(key, object, is_there),
            Kind::LibraryPanels => self.library_panel(key, object, is_there),
            Kind::Dashboards => self.dashboard(object, is_there),
            Kind::Users => self.user(key, object),
            Kind::Teams => self.team(key, object),
            Kind::Templates => {
                let body = json!({"name": key, "template": object["template"]});
                self.send(Method::PUT, "/api/v1/provisioning/templates", Some(key), &body)
            }
            Kind::MuteTimings => self.provisioned("mute-timings", key, object, is_there),
            // The one that every Grafana begins with may have none, and cannot be named without it.
            Kind::ContactPoints if is_there && object["uid"].as_str() != Some(key) => Ok(Outcome::Problem(
                "it has no uid and cannot be changed over the API: change it on Grafana's page".to_owned(),
            )),
            Kind::ContactPoints => self.provisioned("contact-points", key, object, is_there),
            Kind::RuleGroups => self.rule_group(object),
            Kind::Policies => {
                let body = without(object, &["provenance"]);
                self.send(Method::PUT, "/api/v1/provisioning/policies", None, &body)
            }
        }
    }

    fn send(&self, method: Method, path: &str, name: Option<&str>, body: &Value) -> anyhow::Result<Outcome> {
        let url = match name {
            Some(name) => self.api.below(path, name)?,
            None => self.api.at(path)?,
        };
        self.api.send_json(method, &url, body)?;
        Ok(Outcome::Done)
    }

    fn folder(&self, uid: &str, folder: &Value, is_there: bool) -> anyhow::Result<Outcome> {
        let (title, parent) = (&folder["title"], folder["parentUid"].as_str().unwrap_or_default());
        if !is_there {
            let mut body = json!({"uid": uid, "title": title});
            if !parent.is_empty() {
                body["parentUid"] = parent.into();
            }
            return self.send(Method::POST, "/api/folders", None, &body);
        }
        let url = self.api.below("/api/folders", uid)?;
        let now: Value = self.api.get_json(&url)?;
        self.api
            .send_json(Method::PUT, &url, &json!({"title": title, "overwrite": true}))?;
        if now["parentUid"].as_str().unwrap_or_default() != parent {
            let path = format!("/api/folders/{}/move", encoded(uid));
            return self.send(Method::POST, &path, None, &json!({"parentUid": parent}));
        }
        Ok(Outcome::Done)
    }

    fn data_source(&self, uid: &str, source: &Value, is_there: bool) -> anyhow::Result<Outcome> {
        let body = without(
            source,
            &[
                "id",
                "orgId",
                "version",
                "readOnly",
                "typeLogoUrl",
                "typeName",
                "secureJsonFields",
                "accessControl",
            ],
        );
        if !is_there {
            return self.send(Method::POST, "/api/datasources", None, &body);
        }
        let url = self.api.below("/api/datasources/uid", uid)?;
        let now: Value = self.api.get_json(&url)?;
        if now["readOnly"] == true {
            let problem = "it comes from a file of Grafana and stays as it is";
            return Ok(Outcome::Problem(problem.to_owned()));
        }
        self.api.send_json(Method::PUT, &url, &body)?;
        Ok(Outcome::Done)
    }

    fn library_panel(&self, uid: &str, panel: &Value, is_there: bool) -> anyhow::Result<Outcome> {
        let folder = panel["folderUid"]
            .as_str()
            .or_else(|| panel["meta"]["folderUid"].as_str());
        let mut body = json!({"uid": uid, "name": panel["name"], "kind": panel["kind"], "model": panel["model"],
            "folderUid": folder.unwrap_or_default()});
        if !is_there {
            return self.send(Method::POST, "/api/library-elements", None, &body);
        }
        let url = self.api.below("/api/library-elements", uid)?;
        let now: Value = self.api.get_json(&url)?;
        body["version"] = now["result"]["version"].clone();
        self.api.send_json(Method::PATCH, &url, &body)?;
        Ok(Outcome::Done)
    }

    fn dashboard(&self, stored: &Value, is_there: bool) -> anyhow::Result<Outcome> {
        let mut dashboard = without(&stored["dashboard"], &["version"]);
        // The number is that of the other Grafana.
        dashboard["id"] = Value::Null;
        let folder = stored["meta"]["folderUid"].as_str().unwrap_or_default();
        let body = json!({"dashboard": dashboard, "folderUid": folder, "overwrite": is_there,
            "message": "restored by Mainstay"});
        self.send(Method::POST, "/api/dashboards/db", None, &body)
    }

    fn user(&self, login: &str, user: &Value) -> anyhow::Result<Outcome> {
        let role = json!({"role": user["role"]});
        let (number, is_new) = match self.users.get(login) {
            Some(number) => (number.clone(), false),
            None if self.creates_users => (self.new_user(login, user)?, true),
            None => {
                let problem = "only a user who is a server administrator can create users, and a token is none";
                return Ok(Outcome::Problem(problem.to_owned()));
            }
        };
        self.send(Method::PATCH, &format!("/api/org/users/{number}"), None, &role)?;
        Ok(if is_new {
            Outcome::Problem("created with a password that nobody knows: set one".to_owned())
        } else {
            Outcome::Done
        })
    }

    fn new_user(&self, login: &str, user: &Value) -> anyhow::Result<Value> {
        let organization = get(self.api, "/api/org")?["id"].clone();
        // Nobody shall know it: the old one is not to be had.
        let password: String = std::iter::repeat_with(|| char::from(rand::random_range(b'!'..=b'~')))
            .take(40)
            .collect();
        let body = json!({"login": login, "email": user["email"], "name": user["name"], "password": password,
            "OrgId": organization});
        let made = self
            .api
            .send_json(Method::POST, &self.api.at("/api/admin/users")?, &body)?;
        Ok(made["id"].clone())
    }

    fn team(&self, name: &str, team: &Value) -> anyhow::Result<Outcome> {
        let body = json!({"name": name, "email": team["email"]});
        let number = match self.teams.get(name) {
            Some(number) => {
                self.send(Method::PUT, &format!("/api/teams/{number}"), None, &body)?;
                number.clone()
            }
            None => {
                let made = self.api.send_json(Method::POST, &self.api.at("/api/teams")?, &body)?;
                made["teamId"].clone()
            }
        };
        let path = format!("/api/teams/{number}/members");
        let logins = |members: &Value| -> Vec<String> {
            let members = members.as_array().into_iter().flatten();
            members
                .filter_map(|member| Some(member["login"].as_str()?.to_owned()))
                .collect()
        };
        let there = logins(&get(self.api, &path)?);
        let mut missing = Vec::new();
        for login in logins(&team["members"]) {
            match self.users.get(&login) {
                Some(_) if there.contains(&login) => {}
                Some(user) => {
                    self.send(Method::POST, &path, None, &json!({"userId": user}))?;
                }
                None => missing.push(login),
            }
        }
        Ok(if missing.is_empty() {
            Outcome::Done
        } else {
            Outcome::Problem(format!("these members are no users: {}", missing.join(", ")))
        })
    }

    fn provisioned(&self, what: &str, key: &str, object: &Value, is_there: bool) -> anyhow::Result<Outcome> {
        let path = format!("/api/v1/provisioning/{what}");
        let body = without(object, &["provenance", "version"]);
        if is_there {
            self.send(Method::PUT, &path, Some(key), &body)
        } else {
            self.send(Method::POST, &path, None, &body)
        }
    }

    /// Each rule first, so that it keeps its name, and then the group, which has the interval and the order.
    fn rule_group(&self, group: &Value) -> anyhow::Result<Outcome> {
        const OWN: [&str; 5] = ["id", "orgID", "provenance", "updated", "version"];
        const RULES: &str = "/api/v1/provisioning/alert-rules";
        let rules: Vec<Value> = group["rules"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|rule| without(rule, &OWN))
            .collect();
        for rule in &rules {
            let uid = rule["uid"].as_str().unwrap_or_default();
            let is_there = match self.api.get(&self.api.below(RULES, uid)?) {
                Ok(_) => true,
                Err(error) if matches!(error.why, Why::NotFound(_)) => false,
                Err(error) => return Err(error.into()),
            };
            if is_there {
                self.send(Method::PUT, RULES, Some(uid), rule)?;
            } else {
                self.send(Method::POST, RULES, None, rule)?;
            }
        }
        let text = |field: &str| group[field].as_str().unwrap_or_default();
        let folder = encoded(text("folderUid"));
        let path = format!("/api/v1/provisioning/folder/{folder}/rule-groups");
        let body = json!({"title": text("title"), "folderUid": text("folderUid"), "interval": group["interval"],
            "rules": rules});
        self.send(Method::PUT, &path, Some(text("title")), &body)
    }
}

/// An object without some of its fields.
pub fn without(object: &Value, fields: &[&str]) -> Value {
    let mut object = object.clone();
    if let Some(all) = object.as_object_mut() {
        all.retain(|name, _| !fields.contains(&name.as_str()));
    }
    object
}
