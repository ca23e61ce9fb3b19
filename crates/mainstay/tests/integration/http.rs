//! An application with an API that a test makes up: what it answers is stored, and sent back.

use crate::contract::{Subject, configuration};
use crate::jobs::Jobs;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};
use testkit::http_mock::{MockAnswer, MockRequest, serve};

/// Items in pages of two, and settings.
struct Application {
    url: String,
    state: Arc<Mutex<State>>,
}

struct State {
    items: BTreeMap<String, Value>,
    settings: Value,
    /// What is answered instead to a path that begins so.
    instead: Option<(String, Arc<dyn Fn() -> MockAnswer + Send + Sync>)>,
}

impl Application {
    fn start() -> Self {
        let item = |id: &str| (id.to_owned(), json!({"id": id, "name": format!("item {id}")}));
        let state = State {
            items: ["1", "2", "3", "a/b", "../up"].map(item).into(),
            settings: json!({"theme": "dark"}),
            instead: None,
        };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let url = serve(move |request| Some(shared.lock().unwrap().answer(request)));
        Self { url, state }
    }

    fn all(&self) -> String {
        let state = self.state.lock().unwrap();
        format!("{:?} {}", state.items, state.settings)
    }

    fn instead(&self, path: &str, answer: impl Fn() -> MockAnswer + Send + Sync + 'static) {
        self.state.lock().unwrap().instead = Some((path.to_owned(), Arc::new(answer)));
    }

    fn jobs(&self) -> Jobs {
        let jobs = Jobs::new(&configuration(&self.source(EXPORT, IMPORT)));
        fs::write(jobs.scene.path("token"), "Bearer hush\n").unwrap();
        jobs
    }

    fn source(&self, export: &str, import: &str) -> String {
        format!(
            "      - files: ./data
      - http:
          name: shop
          url: {}/base
          headers: {{Authorization: {{file: token}}}}
          export: [{export}]
          import: [{import}]",
            self.url
        )
    }
}

const EXPORT: &str = "
            {request: GET /items, store: 'items/{id}.json', paging: {parameter: page, items: /data}},
            {request: GET /items, store: all.json, paging: {parameter: page, items: /data}},
            {request: GET /settings, store: settings.json},
            {request: GET /logo, store: logo.png}";
const IMPORT: &str = "
            {request: 'PUT /items/{id}', files: 'items/*.json'},
            {request: PUT /settings, files: settings.json}";

impl State {
    fn answer(&mut self, request: &MockRequest) -> MockAnswer {
        if request.header("authorization") != Some("Bearer hush") {
            return MockAnswer::json(401, r#"{"error": "who are you?"}"#);
        }
        let target = request.target.strip_prefix("/base").unwrap();
        if let Some((path, answer)) = &self.instead
            && target.starts_with(path.as_str())
        {
            return answer();
        }
        let body = || serde_json::from_slice::<Value>(&request.body).unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match (request.method.as_str(), path) {
            ("GET", "/items") => self.page(query),
            ("GET", "/settings") => MockAnswer::json(200, self.settings.to_string()),
            ("GET", "/logo") => MockAnswer {
                status: 200,
                headers: Vec::new(),
                body: b"\x89PNG no JSON".to_vec(),
            },
            ("PUT", "/settings") => {
                self.settings = body();
                MockAnswer::json(200, "{}")
            }
            ("PUT" | "POST", _) if path.starts_with("/items") => {
                let item = body();
                let id = item["id"].as_str().unwrap().to_owned();
                if request.method == "POST" && self.items.contains_key(&id) {
                    return MockAnswer::json(409, r#"{"message": "it exists"}"#);
                }
                self.items.insert(id, item);
                MockAnswer::json(201, "")
            }
            _ => MockAnswer::json(404, "{}"),
        }
    }

    fn page(&self, query: &str) -> MockAnswer {
        let number = |name: &str| {
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix(name)?.parse::<usize>().ok())
        };
        // Counted from one; by what comes after; or from zero.
        let from = match (number("page="), number("after="), number("p0=")) {
            (Some(page), ..) => (page - 1) * 2,
            (_, Some(after), _) => after,
            (.., Some(page)) => page * 2,
            _ => 0,
        };
        let items: Vec<&Value> = self.items.values().skip(from).take(2).collect();
        let next = (from + 2 < self.items.len()).then(|| format!("/base/items?after={}", from + 2));
        MockAnswer::json(200, json!({"data": items, "next": next}).to_string())
    }
}

#[test]
fn an_application_with_an_api_keeps_the_contract() {
    let application = Application::start();
    let jobs = application.jobs();
    Subject {
        jobs: &jobs,
        repositories: &["main", "archives"],
        part: "/apps/http/shop",
        rename: None,
        refuses: true,
        state: &|_| application.all(),
        damage: &|| {
            let mut state = application.state.lock().unwrap();
            state.items.remove("a/b");
            state
                .items
                .insert("1".to_owned(), json!({"id": "1", "name": "damaged"}));
            state.settings = json!({});
        },
    }
    .assert_holds();
    let listed = jobs.restic("main", &["ls", "latest"]);
    for name in ["items/..%2Fup.json", "items/a%2Fb.json", "logo.png"] {
        assert!(listed.contains(&format!("/apps/http/shop/{name}\n")), "{listed}");
    }
    let all = jobs.restic("main", &["dump", "latest", "/apps/http/shop/all.json"]);
    let all: Vec<Value> = serde_json::from_str(&all).unwrap();
    assert_eq!(all.len(), 5);
    let manifest = jobs.restic("main", &["dump", "latest", "/mainstay.json"]);
    assert!(
        !manifest.contains("hush") && manifest.contains("\"all.json\": 5"),
        "{manifest}"
    );
    let (_, probe) = jobs.report(&["probe"]);
    let found = &probe["sources"][1]["found"];
    assert_eq!(found[0]["name"], "GET /items: 2 on the first page", "{probe}");
    // One file of it.
    application.state.lock().unwrap().items.clear();
    let part = "/apps/http/shop/items/1.json";
    let restored = jobs.run(&[
        "-r",
        "main",
        "restore",
        "latest",
        "--part",
        part,
        "--overwrite",
        "--yes",
    ]);
    assert!(
        restored.code == 0 && application.state.lock().unwrap().items.len() == 1,
        "{restored}"
    );
}

#[test]
fn pages_are_followed_however_the_application_names_them() {
    let application = Application::start();
    let jobs = application.jobs();
    let stored = |paging: &str| {
        let export = format!("{{request: GET /items, store: all.json, paging: {{items: /data, {paging}}}}}");
        jobs.configure(&configuration(&application.source(&export, "")));
        let (code, report) = jobs.report(&["run", "--init"]);
        let problem = report["parts"][1]["problem"].as_str().unwrap_or_default().to_owned();
        let rows = report["parts"][1]["facts"]["rows"]["all.json"].clone();
        (code, rows, problem)
    };
    // An address of which only the parameter is taken.
    assert_eq!(stored("parameter: after, next: /next"), (0, json!(5), String::new()));
    assert_eq!(stored("parameter: p0, first: 0"), (0, json!(5), String::new()));
    let (code, _, problem) = stored("parameter: p0");
    assert!(
        code == 3 && problem.contains("page 1 is not the first page"),
        "{problem}"
    );
    let (code, _, problem) = stored("parameter: unknown");
    assert!(
        code == 3 && problem.contains("the same page again and again"),
        "{problem}"
    );
    let (code, rows, _) = stored("");
    assert_eq!((code, rows), (3, Value::Null), "a key without a value");
}

#[test]
fn whatever_an_application_answers_wrongly_is_a_problem_of_its_part() {
    let application = Application::start();
    let jobs = application.jobs();
    let problem = |expected: &str| {
        let (code, report) = jobs.report(&["run", "--init"]);
        let problem = report["parts"][1]["problem"].as_str().unwrap_or_default();
        assert!(code == 3 && problem.contains(expected), "{expected}: {report}");
        assert!(!report.to_string().contains("hush"), "{report}");
    };
    let items = |items: Value| MockAnswer::json(200, json!({"data": items}).to_string());
    application.instead("/settings", || MockAnswer::json(200, "{\"theme\": "));
    problem("is not whole JSON");
    application.instead("/settings", || MockAnswer::json(200, "<html>log in</html>"));
    problem("is not whole JSON");
    application.instead("/settings", || {
        let mut answer = MockAnswer::json(200, "{\"theme\"");
        answer.headers.push(("Content-Length".to_owned(), "1000".to_owned()));
        answer
    });
    problem("breaks off");
    application.instead("/items", || MockAnswer::json(403, r#"{"message": "hush hush"}"#));
    problem("may not do that (403): *** ***");
    application.instead("/logo", || MockAnswer::json(404, "{}"));
    problem("no such thing (404)");
    application.instead("/items", move || items(json!([{"id": "x"}, {"id": "x"}])));
    problem("`items/x.json` is the name of two things");
    application.instead("/items", move || items(json!([{"name": "x"}])));
    problem("an item has no `id`");
    application.instead("/items", move || items(json!([{"id": ""}])));
    problem("an item has no `id`");
    application.instead("/items", || MockAnswer::json(200, r#"{"other": []}"#));
    problem("no list at `/data`");
    application.instead("/items", || MockAnswer::json(200, r#"{"data": [1"#));
    problem("not the JSON that was expected");
    // The token is wrong, and the application is not there.
    application.state.lock().unwrap().instead = None;
    fs::write(jobs.scene.path("token"), "Bearer wrong\n").unwrap();
    problem("does not accept the key or password (401): who are you?");
    let elsewhere = Application {
        url: "http://127.0.0.1:1".to_owned(),
        state: Arc::clone(&application.state),
    };
    jobs.configure(&configuration(&elsewhere.source(EXPORT, IMPORT)));
    problem("cannot be reached");
    for (export, expected) in [
        ("{request: items, store: x}", "it is no request"),
        ("{request: DELETE /items, store: x}", "an export reads"),
        ("{request: GET /items, store: ../x}", "`store` is `../x`"),
        ("{request: GET /items, store: '{id'}", "a brace is not closed"),
    ] {
        jobs.configure(&configuration(&application.source(export, "")));
        let refused = jobs.run(&["run"]);
        assert!(
            refused.code == 2 && refused.stderr.contains(expected),
            "{expected}: {refused}"
        );
    }
}

#[test]
fn what_is_there_already_stays_where_an_import_says_so() {
    let application = Application::start();
    let jobs = application.jobs();
    let import = "{request: POST /items, files: 'items/*.json', ignore_existing: true}";
    jobs.configure(&configuration(&application.source(EXPORT, import)));
    assert_eq!(jobs.run(&["run", "--init"]).code, 0);
    {
        let mut state = application.state.lock().unwrap();
        state.items.remove("2");
        state.items.insert("1".to_owned(), json!({"id": "1", "name": "newer"}));
    }
    let restore = ["-r", "main", "restore", "latest", "--part", "/apps/http/shop", "--yes"];
    let restored = jobs.run(&restore);
    assert!(
        restored.code == 0 && restored.stderr.contains("4 were there already"),
        "{restored}"
    );
    let items = application.state.lock().unwrap().items.clone();
    assert!(items["1"]["name"] == "newer" && items.contains_key("2"), "{items:?}");
    // Without it, the first one that is there ends it, and it is said how far it came.
    let import = "{request: POST /items, files: 'items/*.json'}";
    jobs.configure(&configuration(&application.source(EXPORT, import)));
    application.state.lock().unwrap().items.retain(|id, _| id == "2");
    let half = jobs.run(&[&restore[..], &["--overwrite"]].concat());
    assert!(
        half.code == 1
            && half
                .stderr
                .contains("of 5 files were sent; the application is half restored"),
        "{half}"
    );
    assert!(
        half.stderr.contains("items/2.json` was not taken") && half.stderr.contains("it exists"),
        "{half}"
    );
}
