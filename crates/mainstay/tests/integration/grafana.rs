//! Grafana, for which a server stands in that answers as its documentation says.

use crate::contract::{Subject, configuration};
use crate::jobs::Jobs;
use serde_json::{Value, json};
use std::fs;
use testkit::grafana_mock::{GrafanaMock, PASSWORD, TOKEN, VIEWER};

/// Some of everything, with what refers to each other.
fn fill(grafana: &GrafanaMock) {
    grafana.change(|all| {
        all["folders"] = json!([{"id": 1, "uid": "top", "title": "Top"}, {"id": 2, "uid": "ops", "title": "Ops", "parentUid": "top"},
            {"id": 3, "uid": "deep", "title": "Deep", "parentUid": "ops"}, {"id": 4, "uid": "b", "title": "B"}, {"id": 5, "uid": "c", "title": "C"}]);
        all["datasources"] = json!([{"id": 6, "uid": "prom", "name": "Prometheus", "type": "prometheus", "url": "http://prom",
            "secureJsonFields": {"basicAuthPassword": true}, "version": 3},
            {"id": 7, "uid": "loki", "name": "Loki", "type": "loki", "url": "http://loki", "secureJsonFields": {}, "version": 1}]);
        all["library"] = json!([{"id": 8, "uid": "lib", "name": "Shared", "kind": 1, "model": {"type": "text"}, "version": 4,
            "meta": {"folderUid": "ops"}}]);
        all["dashboards"] = json!((0..5).map(|number| json!({"dashboard": {"id": 10 + number, "uid": format!("dash{number}"),
            "title": format!("Dashboard {number} ü"), "version": 7, "panels": [{"panels": [{"libraryPanel": {"uid": "lib"}}]}]},
            "meta": {"folderUid": if number == 0 { "" } else { "deep" }}})).collect::<Vec<_>>());
        all["users"].as_array_mut().unwrap().extend([
            json!({"userId": 20, "login": "ann", "email": "ann@x", "name": "Ann", "role": "Editor"}),
            json!({"userId": 21, "login": "ben", "email": "ben@x", "name": "Ben", "role": "Viewer"}),
        ]);
        all["teams"] = json!([{"id": 30, "name": "On call / EU", "email": "oncall@x", "members": [20, 21]}]);
        all["templates"] = json!([{"name": "mail body", "template": "{{ define \"x\" }}{{ end }}"}]);
        all["mute-timings"] = json!([{"name": "nights", "time_intervals": [{"times": [{"start_time": "22:00", "end_time": "06:00"}]}]}]);
        all["contact-points"].as_array_mut().unwrap().push(json!({"uid": "hook", "name": "hook", "type": "webhook",
            "settings": {"url": "https://x", "password": "[REDACTED]"}, "disableResolveMessage": false}));
        let rule = |uid: &str, group: &str| json!({"id": 40, "orgID": 1, "uid": uid, "folderUID": "ops", "ruleGroup": group,
            "title": uid, "condition": "A", "data": [], "for": "5m"});
        all["rules"] = json!([rule("r1", "fast"), rule("r2", "fast"), rule("r3", "slow / all")]);
        all["intervals"] = json!({"ops/fast": 60, "ops/slow / all": 3600});
        all["policies"] = json!({"receiver": "hook", "routes": [{"receiver": "hook", "mute_time_intervals": ["nights"]}]});
    });
}

/// All that there is, without what every Grafana counts for itself.
fn state(grafana: &GrafanaMock) -> Value {
    let mut all = grafana.objects();
    let logins: Vec<(Value, Value)> = all["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| (user["userId"].clone(), user["login"].clone()))
        .collect();
    for team in all["teams"].as_array_mut().unwrap() {
        let members = team["members"].as_array_mut().unwrap();
        for member in members.iter_mut() {
            *member = logins.iter().find(|(number, _)| number == member).unwrap().1.clone();
        }
        members.sort_by_key(ToString::to_string);
    }
    for dashboard in all["dashboards"].as_array_mut().unwrap() {
        strip(&mut dashboard["dashboard"]);
    }
    for (_, list) in all.as_object_mut().unwrap() {
        for one in list.as_array_mut().into_iter().flatten() {
            strip(one);
        }
        if let Some(list) = list.as_array_mut() {
            list.sort_by_key(ToString::to_string);
        }
    }
    all
}

fn strip(one: &mut Value) {
    if let Some(fields) = one.as_object_mut() {
        fields.retain(|name, _| !["id", "userId", "orgID", "version"].contains(&name.as_str()));
    }
}

const TOKEN_KEYS: &str = "token: {file: token}, name: main";
const USER_KEYS: &str = "user: admin, password: {file: gpassword}, name: main";

fn jobs(grafana: &GrafanaMock, keys: &str, more: &str) -> Jobs {
    let jobs = Jobs::new(&configuration(&format!(
        "      - grafana: {{url: \"{}\", {keys}}}{more}",
        grafana.url
    )));
    fs::write(jobs.scene.path("token"), TOKEN).unwrap();
    fs::write(jobs.scene.path("viewer"), VIEWER).unwrap();
    fs::write(jobs.scene.path("gpassword"), PASSWORD).unwrap();
    jobs
}

/// Let the same job reach another Grafana.
fn point_to(jobs: &Jobs, grafana: &GrafanaMock, keys: &str) {
    jobs.configure(&configuration(&format!(
        "      - grafana: {{url: \"{}\", {keys}}}",
        grafana.url
    )));
}

fn restore(jobs: &Jobs, more: &[&str]) -> crate::scene::Ended {
    let restore = ["-r", "main", "restore", "latest", "--yes"];
    jobs.run(&[&restore[..], more].concat())
}

#[test]
fn grafana_keeps_the_contract() {
    let grafana = GrafanaMock::start();
    fill(&grafana);
    let jobs = jobs(&grafana, TOKEN_KEYS, "");
    let subject = Subject {
        jobs: &jobs,
        repositories: &["main", "archives"],
        part: "/apps/grafana/main",
        rename: None,
        refuses: true,
        state: &|_| state(&grafana).to_string(),
        damage: &|| {
            grafana.change(|all| {
                all["folders"][1]["title"] = json!("damaged");
                all["folders"][1]["parentUid"] = json!("b");
                all["datasources"][1]["url"] = json!("damaged");
                all["library"][0]["model"] = json!({});
                all["dashboards"].as_array_mut().unwrap().truncate(2);
                all["dashboards"][0]["dashboard"]["title"] = json!("damaged");
                all["users"][1]["role"] = json!("Admin");
                all["teams"][0]["members"] = json!([21]);
                all["templates"][0]["template"] = json!("damaged");
                all["mute-timings"] = json!([]);
                all["contact-points"][1]["settings"]["url"] = json!("damaged");
                all["rules"][0]["for"] = json!("9m");
                all["rules"].as_array_mut().unwrap().pop();
                all["intervals"]["ops/fast"] = json!(1);
                all["policies"] = json!({"receiver": "hook", "routes": [{"receiver": "hook"}]});
            });
        },
    };
    subject.assert_holds();
}

#[test]
fn a_grafana_comes_back_in_a_fresh_one() {
    let grafana = GrafanaMock::start();
    fill(&grafana);
    let jobs = jobs(&grafana, TOKEN_KEYS, "");
    let (code, report) = jobs.report(&["run", "--init"]);
    assert_eq!(code, 0, "{report}");
    let facts = &report["parts"][0]["facts"];
    assert_eq!(
        facts["rows"],
        json!({"folders": 5, "datasources": 2, "library-panels": 1, "dashboards": 5, "users": 3, "teams": 1, "templates": 1,
            "mute-timings": 1, "contact-points": 2, "rule-groups": 2, "policies": 1})
    );
    assert_eq!(facts["versions"]["grafana"], "11.2.0");
    let secrets = json!([
        "the data source `Prometheus` (basicAuthPassword)",
        "the contact point `hook` (password)"
    ]);
    assert_eq!(facts["more"]["secrets_left_out"], secrets);
    let stored = jobs.restic("main", &["dump", "latest", "/apps/grafana/main/dashboards/dash3.json"]);
    assert!(stored.contains("Dashboard 3 ü"), "{stored}");
    let drill = jobs.run(&["-r", "main", "drill", "latest"]);
    assert!(
        drill
            .stdout
            .contains("RESTORE OK — 5 dashboards, 2 data sources, 5 folders"),
        "{drill}"
    );

    let fresh = GrafanaMock::start();
    point_to(&jobs, &fresh, USER_KEYS);
    let planned = restore(&jobs, &["--part", "/apps/grafana/main", "--dry-run"]);
    for step in [
        "folders: create 5, replace 0, leave 0 as they are",
        "users: create 2, replace 0, leave 1 as they are",
        "contact points: create 1, replace 0, leave 1 as they are",
        "secrets have to be entered again for the data source `Prometheus` (basicAuthPassword)",
        "new users get passwords that nobody knows",
    ] {
        assert!(planned.code == 0 && planned.stdout.contains(step), "{step}: {planned}");
    }
    assert_eq!(fresh.changes(), Vec::<String>::new());
    let restored = restore(&jobs, &["--part", "/apps/grafana/main"]);
    // New users have no passwords that anybody knows.
    assert!(
        restored.code == 3 && restored.stderr.contains("nobody knows"),
        "{restored}"
    );
    let mut expected = state(&grafana);
    // A secret stays a secret.
    for source in expected["datasources"].as_array_mut().unwrap() {
        source["secureJsonFields"] = json!({});
    }
    assert_eq!(state(&fresh), expected);
    assert!(!restored.to_string().contains(PASSWORD), "{restored}");

    let other = GrafanaMock::start();
    point_to(&jobs, &other, TOKEN_KEYS);
    let with_token = restore(&jobs, &["--part", "/apps/grafana/main"]);
    let problems = [
        "only a user who is a server administrator can create users",
        "these members are no users: ann, ben",
    ];
    for problem in problems {
        assert!(
            with_token.code == 3 && with_token.stderr.contains(problem),
            "{with_token}"
        );
    }
    assert!(!with_token.to_string().contains(TOKEN), "{with_token}");
}

#[test]
fn single_objects_of_a_grafana_come_back() {
    let grafana = GrafanaMock::start();
    fill(&grafana);
    let jobs = jobs(&grafana, TOKEN_KEYS, "");
    assert_eq!(jobs.run(&["run", "--init"]).code, 0);
    let before = state(&grafana);
    grafana.change(|all| all["dashboards"][2]["dashboard"]["title"] = json!("damaged"));
    let part = "/apps/grafana/main/dashboards/dash2.json";
    let refused = restore(&jobs, &["--part", part]);
    let message = "this Grafana has 1 dashboards already, and nothing was changed";
    assert!(refused.code == 2 && refused.stderr.contains(message), "{refused}");
    let replaced = restore(&jobs, &["--part", part, "--overwrite"]);
    assert_eq!(replaced.code, 0, "{replaced}");
    assert_eq!(state(&grafana), before);
    assert_eq!(grafana.changes(), ["POST /api/dashboards/db"]);
    grafana.change(|all| all["rules"] = json!([]));
    let rules = restore(&jobs, &["--part", "/apps/grafana/main/rule-groups"]);
    assert_eq!(rules.code, 0, "{rules}");
    assert_eq!(state(&grafana), before);
    let unknown = restore(&jobs, &["--part", "/apps/grafana/main/dashboards/nope.json"]);
    assert!(
        unknown.code == 2 && unknown.stderr.contains("there is no `dashboards/nope.json`"),
        "{unknown}"
    );
}

#[test]
fn what_is_wrong_with_a_grafana_is_said() {
    let grafana = GrafanaMock::start();
    fill(&grafana);
    let files = "\n      - files: ./data";
    let jobs = jobs(&grafana, TOKEN_KEYS, files);
    let configure = |keys: &str| {
        let source = format!("      - grafana: {{url: \"{}\", {keys}}}{files}", grafana.url);
        jobs.configure(&configuration(&source));
    };
    let assert_run = |code: i32, message: &str| {
        let ran = jobs.run(&["run", "--init"]);
        assert!(
            ran.code == code && ran.to_string().contains(message),
            "{message}: {ran}"
        );
        assert!(
            ![TOKEN, VIEWER, PASSWORD]
                .iter()
                .any(|secret| ran.to_string().contains(secret)),
            "{ran}"
        );
    };
    configure("token: {file: viewer}");
    assert_run(3, "the data sources cannot be read");
    let probed = jobs.run(&["probe"]);
    for missing in [
        "the data sources cannot be read",
        "the users cannot be read",
        "the alert rules cannot be read",
    ] {
        assert!(probed.to_string().contains(missing), "{missing}: {probed}");
    }
    configure("user: admin, password: {file: token}");
    assert_run(3, "does not accept the key or password (401)");
    configure("token: {file: token}, required: true");
    grafana.fail("/api/dashboards/uid/dash3", 500);
    assert_run(1, "the server answers 500: it is broken");
    configure("token: {file: token}");
    assert_run(3, "NOT WHOLE");
    // A rule group that is gone when it is asked for is no reason to leave out all of them.
    grafana.fail("/rule-groups/fast", 404);
    assert_run(3, "the alert rules cannot be read");
    grafana.fail("/api/v1/provisioning", 404);
    assert_run(0, "this Grafana has no alert rules");
    grafana.fail("", 0);
    configure("token: {file: token}, name: main");
    assert_run(0, "captured  grafana main");
    grafana.fail("/api/teams", 500);
    let halfway = restore(&jobs, &["--part", "/apps/grafana/main", "--overwrite"]);
    assert!(
        halfway.code == 1 && halfway.stderr.contains("the teams cannot be read"),
        "{halfway}"
    );
    let whole = state(&grafana);
    grafana.change(|all| {
        all["dashboards"] = json!([]);
        all["folders"].as_array_mut().unwrap().pop();
    });
    grafana.fail("/api/dashboards/db", 500);
    let halfway = restore(&jobs, &["--part", "/apps/grafana/main", "--overwrite"]);
    let message = "8 of 24 objects are restored; Grafana is half restored";
    assert!(halfway.code == 1 && halfway.stderr.contains(message), "{halfway}");
    // Whoever repeats it gets everything, and nothing twice.
    grafana.fail("", 0);
    let repeated = restore(&jobs, &["--part", "/apps/grafana/main", "--overwrite"]);
    assert_eq!(repeated.code, 0, "{repeated}");
    assert_eq!(state(&grafana), whole);
}
