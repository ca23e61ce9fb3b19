//! A real n8n: captured through its API, proven, put back with other ids; and credentials, which take its container.

use crate::contract::{Subject, configuration};
use crate::jobs::Jobs;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use testkit::docker::DockerEngine;
use testkit::n8n_server::N8nServer;

/// One that is called, one that calls it and is active, and one that is neither.
fn fill(server: &N8nServer) -> BTreeMap<String, String> {
    let tag: Value = post(server, "tags", &json!({"name": "production \u{1f512}"}));
    post(server, "tags", &json!({"name": "unused"}));
    let called = node("Start", "n8n-nodes-base.executeWorkflowTrigger", json!({}));
    let called = workflow("called", &[called], json!({}));
    let called = text(&post(server, "workflows", &called)["id"]);
    let call = json!({"workflowId": {"__rl": true, "value": called, "mode": "list"}});
    let nodes = [
        node("Webhook", "n8n-nodes-base.webhook", json!({"path": "abc"})),
        node("Call", "n8n-nodes-base.executeWorkflow", call),
    ];
    let caller = post(
        server,
        "workflows",
        &workflow("caller", &nodes, json!({"errorWorkflow": called})),
    );
    let caller = text(&caller["id"]);
    server.api(
        "PUT",
        &format!("workflows/{caller}/tags"),
        &json!([{"id": tag["id"]}]).to_string(),
    );
    server.api("POST", &format!("workflows/{caller}/activate"), "{}");
    let idle = post(
        server,
        "workflows",
        &workflow("idle", &[], json!({"timezone": "Europe/Berlin"})),
    );
    [("called", called), ("caller", caller), ("idle", text(&idle["id"]))]
        .map(|(name, id)| (name.to_owned(), id))
        .into()
}

fn post(server: &N8nServer, path: &str, body: &Value) -> Value {
    serde_json::from_str(&server.api("POST", path, &body.to_string())).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn workflow(name: &str, nodes: &[Value], settings: Value) -> Value {
    json!({"name": name, "nodes": nodes, "connections": {}, "settings": settings})
}

fn node(name: &str, kind: &str, parameters: Value) -> Value {
    json!({"id": name, "name": name, "type": kind, "typeVersion": 1, "position": [0, 0], "parameters": parameters})
}

fn listed(server: &N8nServer, kind: &str) -> Vec<Value> {
    let page: Value = serde_json::from_str(&server.api("GET", &format!("{kind}?limit=250"), "")).unwrap();
    page["data"].as_array().unwrap().clone()
}

/// Everything but ids: workflows are called by their names.
fn state(server: &N8nServer) -> String {
    let workflows = listed(server, "workflows");
    let mut all: Vec<String> = workflows
        .iter()
        .map(|one| {
            let tags: Vec<&Value> = one["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
            format!(
                "{} {} {tags:?} {} {}",
                one["name"], one["active"], one["nodes"], one["settings"]
            )
        })
        .collect();
    all.sort();
    let mut tags: Vec<String> = listed(server, "tags")
        .iter()
        .map(|tag| tag["name"].to_string())
        .collect();
    tags.sort();
    let mut all = format!("{all:#?} {tags:?}");
    for one in workflows {
        all = all.replace(&text(&one["id"]), &text(&one["name"]));
    }
    all
}

fn jobs(server: &N8nServer, options: &str) -> Jobs {
    let url = server.url();
    let source = format!("      - n8n: {{url: \"{url}\", api_key: {{file: key}}, name: flows, {options}}}");
    let jobs = Jobs::new(&configuration(&format!("      - files: ./data\n{source}")));
    fs::write(jobs.scene.path("key"), server.key()).unwrap();
    fs::write(jobs.scene.path("encryption-key"), N8nServer::ENCRYPTION_KEY).unwrap();
    jobs
}

#[test]
fn heavy_n8n_keeps_the_contract() {
    let server = N8nServer::start();
    let key = "encryption_key: {file: encryption-key}";
    let jobs = jobs(&server, key);
    let (code, report) = jobs.report(&["run", "--init"]);
    let problem = report["parts"][1]["problem"].as_str().unwrap_or_default();
    assert!(code == 3 && problem.contains("shows no workflows"), "{report}");
    let ids = fill(&server);
    Subject {
        jobs: &jobs,
        repositories: &["main", "archives"],
        part: "/apps/n8n/flows",
        rename: None,
        refuses: true,
        state: &|_| state(&server),
        damage: &|| {
            for one in listed(&server, "workflows") {
                let id = text(&one["id"]);
                match one["name"].as_str() {
                    Some("idle") => {
                        let body = workflow("idle", &[node("x", "n8n-nodes-base.noOp", json!({}))], json!({}));
                        server.api("PUT", &format!("workflows/{id}"), &body.to_string())
                    }
                    // Both get new ids, and one calls the other.
                    _ => server.api("DELETE", &format!("workflows/{id}"), ""),
                };
            }
            for tag in listed(&server, "tags") {
                server.api("DELETE", &format!("tags/{}", text(&tag["id"])), "");
            }
        },
    }
    .assert_holds();
    let files = jobs.restic("main", &["ls", "latest"]);
    for id in ids.values() {
        assert!(
            files.contains(&format!("/apps/n8n/flows/workflows/{id}.json\n")),
            "{files}"
        );
    }
    let manifest = jobs.restic("main", &["dump", "latest", "/mainstay.json"]);
    assert!(
        manifest.contains("\"workflows\": 3") && manifest.contains("\"tags\": 2"),
        "{manifest}"
    );
    assert!(
        !manifest.contains(server.key()) && !manifest.contains(N8nServer::ENCRYPTION_KEY),
        "{manifest}"
    );
    let stored = jobs.restic("main", &["dump", "latest", "/apps/n8n/flows/encryption-key.json"]);
    assert!(stored.contains(N8nServer::ENCRYPTION_KEY));
    let (code, probe) = jobs.report(&["probe"]);
    let source = &probe["sources"][1];
    assert_eq!(
        (code, &source["found"][0]["name"]),
        (0, &json!("3 workflows, 1 of them active")),
        "{probe}"
    );
    assert!(
        source["notes"].to_string().contains("credentials are not captured"),
        "{probe}"
    );
    // One workflow that is gone, while the others stay as they are.
    let idle = listed(&server, "workflows")
        .into_iter()
        .find(|one| one["name"] == "idle")
        .unwrap();
    server.api("DELETE", &format!("workflows/{}", text(&idle["id"])), "");
    let part = format!("/apps/n8n/flows/workflows/{}.json", ids["idle"]);
    let restored = jobs.run(&["-r", "main", "restore", "latest", "--part", &part, "--yes"]);
    assert!(
        restored.code == 0 && listed(&server, "workflows").len() == 3,
        "{restored}"
    );
    // Without a key of its own there is nothing to open credentials with; and with a wrong one of the API, nothing.
    let url = server.url();
    jobs.configure(&configuration(&format!(
        "      - n8n: {{url: \"{url}\", api_key: {{file: key}}}}"
    )));
    let refused = jobs.run(&["run"]);
    assert!(
        refused.code == 2 && refused.stderr.contains("has no encryption key to capture"),
        "{refused}"
    );
    let source = format!("      - files: ./data\n      - n8n: {{url: \"{url}\", api_key: {{file: wrong}}, {key}}}");
    jobs.configure(&configuration(&source));
    fs::write(jobs.scene.path("wrong"), "wrong-secret").unwrap();
    let (code, report) = jobs.report(&["run"]);
    let problem = report["parts"][1]["problem"].as_str().unwrap_or_default();
    assert!(code == 3 && problem.contains("(401): unauthorized"), "{report}");
    assert!(!report.to_string().contains("wrong-secret"), "{report}");
}

/// The server is outside the container, on the same data: the container has no network.
#[test]
fn heavy_n8n_in_a_container_gives_its_key_and_its_credentials() {
    let server = N8nServer::start();
    fill(&server);
    let basic = json!({"name": "basic", "type": "httpBasicAuth", "data": {"user": "u", "password": "p4ss"}});
    let id = text(&post(&server, "credentials", &basic)["id"]);
    let engine = DockerEngine::start();
    let installation = N8nServer::installation();
    let mut variables: Vec<String> = N8nServer::variables(server.data())
        .into_iter()
        .map(|variable| variable.into_string().unwrap())
        .collect();
    let bin = installation.join("node_modules/.bin");
    variables.push(format!("PATH={}:/usr/bin:/bin", bin.display()));
    let shared = [server.data(), &installation];
    engine.run_with("flows", "n8n", &shared, &variables, &["sleep", "infinity"]);
    let jobs = jobs(&server, "container: flows");
    let run = |words: &[&str]| {
        jobs.scene
            .ended(jobs.command(words).env("DOCKER_HOST", engine.address()))
    };
    let captured = run(&["run", "--init"]);
    assert_eq!(captured.code, 0, "{captured}");
    let proven = run(&["-r", "main", "drill", "latest", "--part", "/apps/n8n/flows"]);
    assert!(
        proven.code == 0 && proven.stdout.contains("3 workflows, 1 credential"),
        "{proven}"
    );
    let stored = jobs.restic("main", &["dump", "latest", "/apps/n8n/flows/credentials.json"]);
    assert!(stored.contains(&id) && !stored.contains("p4ss"), "{stored}");
    let database = server.data().join(".n8n/database.sqlite");
    let data_of = |id: &str| {
        let database = rusqlite::Connection::open(&database).unwrap();
        let found = database.query_row("select data from credentials_entity where id = ?", [id], |row| {
            row.get::<_, String>(0)
        });
        found.ok()
    };
    let before = data_of(&id).unwrap();
    server.api("DELETE", &format!("credentials/{id}"), "");
    assert_eq!(data_of(&id), None);
    let restored = run(&[
        "-r",
        "main",
        "restore",
        "latest",
        "--part",
        "/apps/n8n/flows",
        "--overwrite",
        "--yes",
    ]);
    assert_eq!(restored.code, 0, "{restored}");
    assert_eq!(data_of(&id), Some(before));
    // Another key than the container's.
    let url = server.url();
    let source = format!(
        "      - n8n: {{url: \"{url}\", api_key: {{file: key}}, container: flows, encryption_key: {{file: password}}}}"
    );
    jobs.configure(&configuration(&source));
    let refused = run(&["run"]);
    assert!(
        refused.code == 2 && refused.stderr.contains("is not the one that its container has"),
        "{refused}"
    );
}
