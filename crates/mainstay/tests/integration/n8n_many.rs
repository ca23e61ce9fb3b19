//! An n8n with much in it: several pages of workflows, variables, and executions that nobody needs.

use crate::contract::configuration;
use crate::jobs::Jobs;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::fs;
use std::sync::Arc;
use std::time::Instant;
use testkit::http_mock::{MockAnswer, MockRequest, serve};
use testkit::n8n_server::N8nServer;

/// More than fit into one page, whatever its length.
const MANY: usize = 257;

fn jobs(url: &str, key: &str) -> Jobs {
    let jobs = Jobs::new(&configuration(&format!(
        "      - n8n: {{url: \"{url}\", api_key: {{file: key}}, name: flows, encryption_key: {{file: password}}}}"
    )));
    fs::write(jobs.scene.path("key"), key).unwrap();
    jobs
}

fn names(server: &N8nServer) -> Vec<String> {
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page: Value =
            serde_json::from_str(&server.api("GET", &format!("workflows?limit=100{cursor}"), "")).unwrap();
        let workflows = page["data"].as_array().unwrap();
        names.extend(workflows.iter().map(|one| one["name"].as_str().unwrap().to_owned()));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    names.sort();
    names
}

#[test]
fn heavy_n8n_with_several_pages_of_workflows_comes_back_whole() {
    let server = N8nServer::start();
    for number in 0..MANY {
        let body = json!({"name": format!("flow {number}"), "nodes": [], "connections": {}, "settings": {}});
        server.api("POST", "workflows", &body.to_string());
    }
    let before = names(&server);
    assert_eq!(before.len(), MANY);
    let jobs = jobs(&server.url(), server.key());
    let captured = jobs.run(&["run", "--init"]);
    assert!(
        captured.code == 0 && !captured.stderr.contains("executions"),
        "{captured}"
    );
    let manifest = jobs.restic("main", &["dump", "latest", "/mainstay.json"]);
    assert!(manifest.contains(&format!("\"workflows\": {MANY}")), "{manifest}");
    // All but one go, and come back under new ids.
    let database = rusqlite::Connection::open(server.data().join(".n8n/database.sqlite")).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
    database
        .execute_batch("PRAGMA foreign_keys = on; DELETE FROM workflow_entity WHERE name <> 'flow 9'")
        .unwrap();
    assert_eq!(names(&server), ["flow 9"]);
    let part = ["-r", "main", "restore", "latest", "--part", "/apps/n8n/flows", "--yes"];
    let restored = jobs.run(&[&part[..], &["--overwrite"]].concat());
    assert_eq!(restored.code, 0, "{restored}");
    assert_eq!(names(&server), before);
    // What was executed is no part of it, and told of when it is much.
    let executions = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 300) \
        INSERT INTO execution_entity (workflowId, finished, mode, status, startedAt, stoppedAt, createdAt) \
        SELECT (SELECT min(id) FROM workflow_entity), 1, 'manual', 'success', '2026-01-01 00:00:00', '2026-01-01 00:00:01', \
        '2026-01-01 00:00:00' FROM numbers";
    database.execute_batch(executions).unwrap();
    for command in ["run", "probe"] {
        let told = jobs.run(&[command]);
        let advice = "n8n keeps 250 or more executions";
        let text = told.to_string();
        assert!(
            told.code == 0 && text.contains(advice) && text.contains("EXECUTIONS_DATA_MAX_AGE"),
            "{told}"
        );
    }
}

/// What an n8n with a license for variables answers, as its documentation and its source have it.
#[derive(Default)]
struct Licensed {
    variables: Vec<Value>,
    is_licensed: bool,
}

impl Licensed {
    fn answer(&mut self, request: &MockRequest) -> MockAnswer {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let workflow =
            json!({"id": "abc", "name": "flow", "active": false, "nodes": [], "connections": {}, "settings": {}});
        let page = |data: Value| MockAnswer::json(200, json!({"data": data, "nextCursor": null}).to_string());
        match (request.method.as_str(), path) {
            ("GET", "/api/v1/workflows") => page(json!([workflow])),
            ("GET", "/api/v1/workflows/abc") | ("PUT", _) => MockAnswer::json(200, workflow.to_string()),
            ("GET", "/api/v1/tags" | "/api/v1/executions") => page(json!([])),
            (_, "/api/v1/variables") if !self.is_licensed => {
                let said = "Your license does not allow for feat:variables. To enable feat:variables, please upgrade.";
                MockAnswer::json(403, json!({"message": said}).to_string())
            }
            ("GET", "/api/v1/variables") => MockAnswer::json(200, self.page(query).to_string()),
            ("POST", "/api/v1/variables") => {
                self.variables.push(serde_json::from_slice(&request.body).unwrap());
                MockAnswer::json(201, "")
            }
            _ => MockAnswer::json(404, r#"{"message": "not found"}"#),
        }
    }

    /// The cursor is where the next one begins.
    fn page(&self, query: &str) -> Value {
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name)?.1.parse::<usize>().ok()
        };
        let (begin, limit) = (value("cursor").unwrap_or_default(), value("limit").unwrap());
        let end = self.variables.len().min(begin + limit);
        let next = (end < self.variables.len()).then(|| end.to_string());
        json!({"data": self.variables[begin..end], "nextCursor": next})
    }
}

#[test]
fn variables_of_n8n_come_back_where_the_license_has_them() {
    let variable = |number: usize| json!({"id": format!("v{number}"), "key": format!("KEY_{number}"), "value": format!("value {number} 🔒")});
    let state = Arc::new(Mutex::new(Licensed {
        variables: (0..MANY).map(variable).collect(),
        is_licensed: true,
    }));
    let answering = Arc::clone(&state);
    let url = serve(move |request| Some(answering.lock().answer(request)));
    let jobs = jobs(&url, "key");
    let begin = Instant::now();
    let captured = jobs.run(&["run", "--init"]);
    assert_eq!(captured.code, 0, "{captured}");
    let manifest = jobs.restic("main", &["dump", "latest", "/mainstay.json"]);
    assert!(manifest.contains(&format!("\"variables\": {MANY}")), "{manifest}");
    let stored: Value =
        serde_json::from_str(&jobs.restic("main", &["dump", "latest", "/apps/n8n/flows/variables.json"])).unwrap();
    assert_eq!(stored, Value::from(state.lock().variables.clone()));
    // Those that are there stay, with the values that they have.
    let kept = json!({"id": "v7", "key": "KEY_7", "value": "kept"});
    state.lock().variables = vec![kept.clone()];
    let restore = [
        "-r",
        "main",
        "restore",
        "latest",
        "--part",
        "/apps/n8n/flows",
        "--overwrite",
        "--yes",
    ];
    let restored = jobs.run(&restore);
    assert_eq!(restored.code, 0, "{restored}");
    let there = state.lock().variables.clone();
    assert!(there.len() == MANY && there[0] == kept, "{there:?}");
    let pair = |one: &Value| (one["key"].clone(), one["value"].clone());
    let expected = (0..MANY)
        .filter(|number| *number != 7)
        .map(|number| pair(&variable(number)));
    assert_eq!(
        there[1..].iter().map(pair).collect::<Vec<_>>(),
        expected.collect::<Vec<_>>()
    );
    // Where the license has none, they are missing, and that is said.
    state.lock().is_licensed = false;
    let without = jobs.run(&restore);
    assert!(
        without.code == 3 && without.stderr.contains("this n8n has no license for variables"),
        "{without}"
    );
    let captured = jobs.run(&["run"]);
    assert_eq!(captured.code, 0, "{captured}");
    let listed = jobs.restic("main", &["ls", "latest"]);
    assert!(!listed.contains("variables.json"), "{listed}");
    assert!(begin.elapsed().as_secs() < 60, "nothing was waited for");
}
