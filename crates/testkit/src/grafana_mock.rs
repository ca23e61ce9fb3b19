//! What Grafana answers, as far as its objects are read and written: the shapes are those of its documentation
//! (<https://grafana.com/docs/grafana/latest/developers/http_api/>), not of a real one.

use crate::http_mock::{MockAnswer, MockRequest, serve};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;

/// A token that may do everything but create users.
pub const TOKEN: &str = "glsa_admin";
/// One of a viewer.
pub const VIEWER: &str = "glsa_viewer";
/// The password of `admin`.
pub const PASSWORD: &str = "hush";
/// `admin` with the password, as it is sent.
const BASIC: &str = "Basic YWRtaW46aHVzaA==";

/// How many objects a page has, whatever is asked for: few, so that there are several.
const PAGE: usize = 2;

/// A Grafana in memory. It lasts as long as the process.
pub struct GrafanaMock {
    /// Its address.
    pub url: String,
    state: Arc<Mutex<State>>,
}

/// What it holds.
struct State {
    /// Lists by name.
    objects: Value,
    next: u64,
    /// A path that answers with a status.
    broken: Option<(String, u16)>,
    /// All requests that change something.
    changes: Vec<String>,
}

/// An answer: a status and JSON.
type Answer = (u16, Value);

impl GrafanaMock {
    /// Start it as it is after its installation.
    pub fn start() -> Self {
        let state = State {
            objects: json!({
                "folders": [], "datasources": [], "library": [], "dashboards": [], "teams": [], "templates": [],
                "mute-timings": [], "rules": [], "intervals": {},
                "users": [{"userId": 1, "login": "admin", "email": "admin@localhost", "name": "", "role": "Admin"}],
                "contact-points": [{"uid": "", "name": "grafana-default-email", "type": "email",
                    "settings": {"addresses": "<example@email.com>"}, "disableResolveMessage": false}],
                "policies": {"receiver": "grafana-default-email", "group_by": ["grafana_folder", "alertname"]},
            }),
            next: 100,
            broken: None,
            changes: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let served = Arc::clone(&state);
        let url = serve(move |request| {
            let (status, body) = served.lock().answer(request);
            Some(MockAnswer::json(status, body.to_string()))
        });
        Self { url, state }
    }

    /// Everything that it holds.
    pub fn objects(&self) -> Value {
        self.state.lock().objects.clone()
    }

    /// Change it behind the API.
    pub fn change(&self, change: impl FnOnce(&mut Value)) {
        change(&mut self.state.lock().objects);
    }

    /// Have requests for a path end with a status from now on; none with an empty path.
    pub fn fail(&self, path: &str, status: u16) {
        self.state.lock().broken = (!path.is_empty()).then(|| (path.to_owned(), status));
    }

    /// Methods and paths of all requests that changed something.
    pub fn changes(&self) -> Vec<String> {
        self.state.lock().changes.clone()
    }
}

impl State {
    fn answer(&mut self, request: &MockRequest) -> Answer {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let names: Vec<String> = path.trim_matches('/').split('/').skip(1).map(decoded).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        if let Some((broken, status)) = &self.broken
            && path.contains(broken.as_str())
        {
            return (*status, json!({"message": "it is broken"}));
        }
        if names == ["health"] {
            return (200, json!({"commit": "0", "database": "ok", "version": "11.2.0"}));
        }
        let who = request.header("authorization").unwrap_or_default();
        let (is_admin, is_user) = (who == format!("Bearer {TOKEN}") || who == BASIC, who == BASIC);
        if !is_admin && who != format!("Bearer {VIEWER}") {
            return (401, json!({"message": "Invalid username or password"}));
        }
        let is_public = matches!(names[0], "folders" | "dashboards" | "search" | "library-elements");
        if !is_admin && (!is_public || request.method != "GET") || names[0] == "admin" && !is_user {
            return (
                403,
                json!({"message": "You'll need additional permissions to perform this action."}),
            );
        }
        if request.method != "GET" {
            self.changes.push(format!("{} {path}", request.method));
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        match (names[0], &names[1..]) {
            ("folders", rest) => self.folders(&request.method, rest, query, &body),
            ("datasources", rest) => self.data_sources(&request.method, rest, &body),
            ("library-elements", rest) => self.library(&request.method, rest, query, &body),
            ("search", []) => self.search(query),
            ("dashboards", ["uid", uid]) => self.dashboard(uid),
            ("dashboards", ["db"]) => self.put_dashboard(&body),
            ("org", []) => (200, json!({"id": 1, "name": "Main Org."})),
            ("org", ["users", rest @ ..]) => self.users(rest, &body),
            ("admin", ["users"]) => self.new_user(&body),
            ("teams", rest) => self.teams(&request.method, rest, query, &body),
            ("v1", ["provisioning", rest @ ..]) => self.provisioning(&request.method, rest, &body),
            _ => not_found(),
        }
    }

    fn list(&mut self, name: &str) -> &mut Vec<Value> {
        self.objects[name].as_array_mut().expect("a list")
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn find(&mut self, list: &str, field: &str, key: &str) -> Option<&mut Value> {
        self.list(list).iter_mut().find(|one| one[field] == key)
    }

    fn folders(&mut self, method: &str, names: &[&str], query: &str, body: &Value) -> Answer {
        match (method, names) {
            ("GET", []) => {
                let parent = parameter(query, "parentUid").unwrap_or_default();
                let is_in = |folder: &&Value| folder["parentUid"].as_str().unwrap_or_default() == parent;
                let found: Vec<Value> = self.list("folders").iter().filter(is_in).cloned().collect();
                (200, page(&found, query).into())
            }
            ("POST", []) => {
                let parent = body["parentUid"].as_str().unwrap_or_default().to_owned();
                if !parent.is_empty() && self.find("folders", "uid", &parent).is_none() {
                    return (400, json!({"message": "parent folder not found"}));
                }
                if self
                    .find("folders", "uid", body["uid"].as_str().unwrap_or_default())
                    .is_some()
                {
                    return (409, json!({"message": "folder exists"}));
                }
                let mut folder = body.clone();
                folder["id"] = self.number().into();
                self.list("folders").push(folder.clone());
                (200, folder)
            }
            ("POST", [uid, "move"]) => {
                let Some(folder) = self.find("folders", "uid", uid) else {
                    return not_found();
                };
                folder["parentUid"] = body["parentUid"].clone();
                (200, folder.clone())
            }
            (method, [uid]) => {
                let Some(folder) = self.find("folders", "uid", uid) else {
                    return not_found();
                };
                if method == "PUT" {
                    folder["title"] = body["title"].clone();
                }
                (200, folder.clone())
            }
            _ => not_found(),
        }
    }

    fn data_sources(&mut self, method: &str, names: &[&str], body: &Value) -> Answer {
        // Secrets are taken and never given.
        let mut shown = body.clone();
        if let Some(fields) = shown.as_object_mut() {
            let secrets = fields.remove("secureJsonData").unwrap_or_default();
            let keys = secrets
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, _)| (key.clone(), Value::Bool(true)));
            let keys: serde_json::Map<String, Value> = keys.collect();
            fields.insert("secureJsonFields".to_owned(), keys.into());
        }
        match (method, names) {
            ("GET", []) => (200, self.list("datasources").clone().into()),
            ("POST", []) => {
                shown["id"] = self.number().into();
                shown["version"] = 1.into();
                self.list("datasources").push(shown.clone());
                (200, json!({"datasource": shown, "message": "Datasource added"}))
            }
            (method, ["uid", uid]) => {
                let Some(source) = self.find("datasources", "uid", uid) else {
                    return not_found();
                };
                if method == "PUT" {
                    shown["id"] = source["id"].clone();
                    shown["secureJsonFields"] = source["secureJsonFields"].clone();
                    shown["version"] = 2.into();
                    *source = shown;
                }
                (200, source.clone())
            }
            _ => not_found(),
        }
    }

    fn library(&mut self, method: &str, names: &[&str], query: &str, body: &Value) -> Answer {
        let mut made = body.clone();
        if let Some(fields) = made.as_object_mut() {
            let folder = fields.remove("folderUid").unwrap_or_default();
            fields.insert("meta".to_owned(), json!({"folderUid": folder}));
        }
        match (method, names) {
            ("GET", []) => {
                let all = self.list("library").clone();
                let elements = page(&all, query);
                (200, json!({"result": {"totalCount": all.len(), "elements": elements}}))
            }
            ("POST", []) => {
                made["id"] = self.number().into();
                made["version"] = 1.into();
                self.list("library").push(made.clone());
                (200, json!({"result": made}))
            }
            (method, [uid]) => {
                let Some(panel) = self.find("library", "uid", uid) else {
                    return not_found();
                };
                if method == "PATCH" {
                    if body["version"] != panel["version"] {
                        return (
                            412,
                            json!({"message": "the library element has been changed by someone else"}),
                        );
                    }
                    made["id"] = panel["id"].clone();
                    made["version"] = (panel["version"].as_u64().unwrap_or_default() + 1).into();
                    *panel = made;
                }
                (200, json!({"result": panel}))
            }
            _ => not_found(),
        }
    }

    fn search(&mut self, query: &str) -> Answer {
        let found = self.list("dashboards").iter().map(|one| {
            let (dashboard, folder) = (&one["dashboard"], &one["meta"]["folderUid"]);
            json!({"uid": dashboard["uid"], "title": dashboard["title"], "type": "dash-db", "folderUid": folder})
        });
        let found: Vec<Value> = found.collect();
        (200, page(&found, query).into())
    }

    fn dashboard(&mut self, uid: &str) -> Answer {
        let found = self
            .list("dashboards")
            .iter()
            .find(|one| one["dashboard"]["uid"] == uid);
        found.map_or_else(not_found, |one| (200, one.clone()))
    }

    fn put_dashboard(&mut self, body: &Value) -> Answer {
        let folder = body["folderUid"].as_str().unwrap_or_default().to_owned();
        if !folder.is_empty() && self.find("folders", "uid", &folder).is_none() {
            return (400, json!({"message": "folder not found"}));
        }
        let mut dashboard = body["dashboard"].clone();
        let at = self
            .list("dashboards")
            .iter()
            .position(|one| one["dashboard"]["uid"] == dashboard["uid"]);
        if at.is_some() && body["overwrite"] != true {
            return (
                412,
                json!({"message": "A dashboard with the same uid already exists", "status": "name-exists"}),
            );
        }
        dashboard["id"] = self.number().into();
        dashboard["version"] = 1.into();
        let one = json!({"dashboard": dashboard, "meta": {"folderUid": folder}});
        match at {
            Some(at) => self.list("dashboards")[at] = one,
            None => self.list("dashboards").push(one),
        }
        (200, json!({"status": "success"}))
    }

    fn users(&mut self, names: &[&str], body: &Value) -> Answer {
        match names {
            [] => (200, self.list("users").clone().into()),
            [number] => {
                let found = self
                    .list("users")
                    .iter_mut()
                    .find(|user| user["userId"].as_u64() == number.parse().ok());
                let Some(user) = found else {
                    return not_found();
                };
                user["role"] = body["role"].clone();
                (200, json!({"message": "Organization user updated"}))
            }
            _ => not_found(),
        }
    }

    fn new_user(&mut self, body: &Value) -> Answer {
        if body["password"].as_str().is_none_or(|password| password.len() < 20) {
            return (400, json!({"message": "password is too short"}));
        }
        let number = self.number();
        let user = json!({"userId": number, "login": body["login"], "email": body["email"], "name": body["name"],
            "role": "Viewer"});
        self.list("users").push(user);
        (200, json!({"id": number, "message": "User created"}))
    }

    fn teams(&mut self, method: &str, names: &[&str], query: &str, body: &Value) -> Answer {
        let users = self.list("users").clone();
        let team = |state: &mut Self, number: &str| {
            let at = state
                .list("teams")
                .iter()
                .position(|team| team["id"].as_u64() == number.parse().ok());
            at.expect("a team")
        };
        match (method, names) {
            ("GET", ["search"]) => {
                let mut teams = self.list("teams").clone();
                for team in &mut teams {
                    team.as_object_mut().expect("a team").remove("members");
                }
                (200, json!({"totalCount": teams.len(), "teams": page(&teams, query)}))
            }
            ("POST", []) => {
                let number = self.number();
                let made = json!({"id": number, "name": body["name"], "email": body["email"], "members": []});
                self.list("teams").push(made);
                (200, json!({"message": "Team created", "teamId": number}))
            }
            ("PUT", [number]) => {
                let at = team(self, number);
                self.list("teams")[at]["email"] = body["email"].clone();
                (200, json!({"message": "Team updated"}))
            }
            ("GET", [number, "members"]) => {
                let at = team(self, number);
                let members = self.list("teams")[at]["members"].clone();
                let is_member = |user: &&Value| members.as_array().is_some_and(|all| all.contains(&user["userId"]));
                (200, users.iter().filter(is_member).cloned().collect())
            }
            ("POST", [number, "members"]) => {
                let at = team(self, number);
                let members = self.list("teams")[at]["members"].as_array_mut().expect("a list");
                members.push(body["userId"].clone());
                (200, json!({"message": "Member added to Team"}))
            }
            _ => not_found(),
        }
    }

    fn provisioning(&mut self, method: &str, names: &[&str], body: &Value) -> Answer {
        match (method, names) {
            ("GET", ["policies"]) => (200, self.objects["policies"].clone()),
            ("PUT", ["policies"]) => {
                let receiver = body["receiver"].as_str().unwrap_or_default().to_owned();
                if self.find("contact-points", "name", &receiver).is_none() {
                    return (400, json!({"message": format!("receiver {receiver} does not exist")}));
                }
                self.objects["policies"] = body.clone();
                (202, json!({"message": "policies updated"}))
            }
            ("GET", ["alert-rules"]) => (200, self.list("rules").clone().into()),
            (method, ["alert-rules", rest @ ..]) => self.rules(method, rest, body),
            (method, ["folder", folder, "rule-groups", group]) => self.rule_group(method, folder, group, body),
            ("GET", [list]) => (200, self.list(list).clone().into()),
            ("POST", [list]) => {
                self.list(list).push(body.clone());
                (202, body.clone())
            }
            ("PUT", [list, name]) => {
                let field = if *list == "contact-points" { "uid" } else { "name" };
                match self.find(list, field, name) {
                    Some(found) => *found = body.clone(),
                    None if *list == "templates" => self.list(list).push(body.clone()),
                    None => return not_found(),
                }
                (202, body.clone())
            }
            _ => not_found(),
        }
    }

    fn rules(&mut self, method: &str, names: &[&str], body: &Value) -> Answer {
        if method != "GET" {
            let folder = body["folderUID"].as_str().unwrap_or_default().to_owned();
            if self.find("folders", "uid", &folder).is_none() {
                return (400, json!({"message": "folder does not exist"}));
            }
        }
        if method == "POST" {
            let mut rule = body.clone();
            rule["id"] = self.number().into();
            self.list("rules").push(rule.clone());
            return (201, rule);
        }
        let [uid] = names else {
            return not_found();
        };
        let Some(rule) = self.find("rules", "uid", uid) else {
            return not_found();
        };
        if method == "PUT" {
            let number = rule["id"].clone();
            *rule = body.clone();
            rule["id"] = number;
        }
        (200, rule.clone())
    }

    fn rule_group(&mut self, method: &str, folder: &str, group: &str, body: &Value) -> Answer {
        let name = format!("{folder}/{group}");
        if method == "PUT" {
            self.objects["intervals"][&name] = body["interval"].clone();
            return (200, body.clone());
        }
        let is_in = |rule: &&Value| rule["folderUID"] == folder && rule["ruleGroup"] == group;
        let rules: Vec<Value> = self.list("rules").iter().filter(is_in).cloned().collect();
        if rules.is_empty() {
            return not_found();
        }
        let interval = self.objects["intervals"][&name].clone();
        (
            200,
            json!({"title": group, "folderUid": folder, "interval": interval, "rules": rules}),
        )
    }
}

fn not_found() -> Answer {
    (404, json!({"message": "Not found"}))
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| decoded(value))
}

/// Some of a list, by the number in the query.
fn page(all: &[Value], query: &str) -> Vec<Value> {
    let number: usize = parameter(query, "page").and_then(|text| text.parse().ok()).unwrap_or(1);
    all.iter().skip((number - 1) * PAGE).take(PAGE).cloned().collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let digits = more.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &more[2..];
            }
            _ => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
