//! MongoDB, for whose server and programs others stand in: no package of the system and no registry has them.

use crate::contract::{Subject, configuration};
use crate::jobs::Jobs;
use serde_json::{Value, json};
use std::fs;
use testkit::mongodb_stand_in::MongodbStandIn;

/// A server with what a database can hold, and users.
fn everything() -> Value {
    let indexes = json!([{"v": 2, "key": {"_id": 1}, "name": "_id_"}]);
    let collection = |documents: Value| json!({"kind": "collection", "indexes": indexes, "documents": documents});
    json!({
        "version": "7.0.5", "tool": "100.9.4", "set": null,
        "databases": {
            "admin": {
                "system.users": collection(json!([{"_id": "admin.backup", "user": "backup"}, {"_id": "app.ann", "user": "ann"}])),
                "system.roles": collection(json!([])),
                "system.version": collection(json!([{"_id": "authSchema", "currentVersion": 5}])),
            },
            "config": {"settings": collection(json!([]))},
            "local": {"startup_log": collection(json!([]))},
            "app": {
                "people": collection(json!([
                    {"_id": 1, "name": "Anna", "tags": ["a", "b"], "address": {"city": "Zürich"}},
                    {"_id": 2, "name": "Ben"}, {"_id": 3, "name": "Cleo"}, {"_id": 4, "name": "Dan"}, {"_id": 5, "name": "Eve"},
                ])),
                "odd *name.with dots": collection(json!([{"_id": 1, "ok": true}])),
                "empty": collection(json!([])),
                "adults": {"kind": "view", "on": "people"},
            },
            "shop": {"orders": collection(json!([{"_id": 1, "total": 10}]))},
        },
    })
}

/// The same, where users have to log in.
fn locked(privileges: &Value) -> Value {
    let mut server = everything();
    server["users"] = json!({"backup": {"password": "pa:s s/@", "privileges": privileges}});
    server
}

struct Scene {
    server: MongodbStandIn,
    jobs: Jobs,
}

impl Scene {
    fn new(server: &Value, source: &str) -> Self {
        let server = MongodbStandIn::start(&server.to_string());
        let mut jobs = Jobs::new(&configuration(&format!("      - mongodb: {{{source}}}")));
        jobs.programs = Some(server.programs());
        fs::write(jobs.scene.path("dbpassword"), "pa:s s/@\n").unwrap();
        Self { server, jobs }
    }

    fn server(&self) -> Value {
        serde_json::from_str(&self.server.server()).unwrap()
    }

    fn database(&self, name: &str) -> Value {
        self.server()["databases"][name].clone()
    }

    fn change(&self, change: impl FnOnce(&mut Value)) {
        let mut server = self.server();
        change(&mut server);
        self.server.change(&server.to_string());
    }

    fn restore(&self, part: &str, more: &[&str]) -> crate::scene::Ended {
        let restore = ["-r", "main", "restore", "latest", "--part", part, "--yes"];
        self.jobs.run(&[&restore[..], more].concat())
    }

    fn assert_run(&self, code: i32, part: &str) {
        let ran = self.jobs.run(&["run", "--init"]);
        assert!(ran.code == code && ran.to_string().contains(part), "{part}: {ran}");
        assert!(!ran.to_string().contains("pa:s s"), "{ran}");
    }
}

const HOST: &str = "host: db1, name: main";
const LOGIN: &str = "host: db1, name: main, user: backup, password: {file: dbpassword}";

#[test]
fn mongodb_keeps_the_contract() {
    let scene = Scene::new(&everything(), HOST);
    let subject = Subject {
        jobs: &scene.jobs,
        repositories: &["main", "archives"],
        part: "/mongodb/main/app.archive",
        rename: None,
        refuses: true,
        state: &|name| scene.database(name.unwrap_or("app")).to_string(),
        damage: &|| {
            scene.change(|server| {
                let app = &mut server["databases"]["app"];
                app["people"]["documents"] = json!([{"_id": 1, "name": "damaged"}]);
                app["new"] = json!({"kind": "collection", "documents": []});
                app.as_object_mut().unwrap().remove("adults");
            });
        },
    };
    subject.assert_holds();
    let renamed = Subject {
        repositories: &["main"],
        rename: Some("copy"),
        ..subject
    };
    renamed.assert_holds();
    assert!(scene.server.calls().contains("--nsTo=copy.*"));
}

#[test]
fn databases_of_a_mongodb_are_counted_and_come_back_in_part_or_all() {
    let scene = Scene::new(
        &locked(&json!([{"resource": {"anyResource": true}, "actions": ["anyAction"]}])),
        LOGIN,
    );
    let (code, report) = scene.jobs.report(&["run", "--init"]);
    assert_eq!(code, 0, "{report}");
    let parts = report["parts"].as_array().unwrap();
    let paths: Vec<_> = parts.iter().map(|part| part["path"].as_str().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "/mongodb/main/app.archive",
            "/mongodb/main/shop.archive",
            "/mongodb/main/admin.archive"
        ]
    );
    let app = &parts[0];
    assert_eq!((&app["grade"], &app["bytes"]), (&json!("live"), &app["facts"]["bytes"]));
    let facts = json!({"bytes": app["bytes"], "rows": {"people": 5, "odd *name.with dots": 1, "empty": 0},
        "versions": {"server": "7.0.5", "mongodump": "100.9.4", "mongosh": "2.1.1"},
        "more": {"database": "app", "indexes": 3, "views": 1, "timeseries": 0}});
    assert_eq!(app["facts"], facts);
    let (code, drill) = scene.jobs.report(&["-r", "main", "drill", "latest"]);
    assert_eq!(code, 0, "{drill}");
    let verdict = drill["verdict"].as_str().unwrap();
    assert!(verdict.contains("10 documents, 7 collections"), "{verdict}");

    let before = scene.database("app");
    let part = "/mongodb/main/app.archive/people";
    let refused = scene.restore(part, &[]);
    let message = "the collection `people` of `app` exists, and nothing was changed";
    assert!(refused.code == 2 && refused.stderr.contains(message), "{refused}");
    let beside = scene.restore(part, &["--as", "side"]);
    assert_eq!(beside.code, 0, "{beside}");
    assert_eq!(scene.database("side"), json!({"people": before["people"]}));
    let odd = scene.restore("/mongodb/main/app.archive/odd *name.with dots", &["--as", "side"]);
    assert_eq!(odd.code, 0, "{odd}");
    assert_eq!(
        scene.database("side")["odd *name.with dots"],
        before["odd *name.with dots"]
    );
    scene.change(|server| server["databases"]["app"]["people"]["documents"] = json!([]));
    let replaced = scene.restore(part, &["--overwrite"]);
    assert_eq!(replaced.code, 0, "{replaced}");
    assert_eq!(scene.database("app"), before);
    let unknown = scene.restore("/mongodb/main/app.archive/nope", &[]);
    assert!(
        unknown.code == 2 && unknown.stderr.contains("The collections are empty, "),
        "{unknown}"
    );

    let whole = scene.server()["databases"].clone();
    scene.change(|server| {
        let databases = server["databases"].as_object_mut().unwrap();
        databases.retain(|name, _| name != "app" && name != "shop");
        databases["admin"]["system.users"]["documents"] = json!([{"_id": "app.new"}]);
    });
    let refused = scene.restore("/mongodb/main", &[]);
    assert!(
        refused.code == 2 && refused.stderr.contains("a user exists, and nothing was changed"),
        "{refused}"
    );
    let planned = scene.restore("/mongodb/main", &["--overwrite", "--dry-run"]);
    assert!(
        planned.code == 0 && planned.stdout.contains("replace users and roles by those in"),
        "{planned}"
    );
    let restored = scene.restore("/mongodb/main", &["--overwrite"]);
    assert_eq!(restored.code, 0, "{restored}");
    assert_eq!(scene.server()["databases"], whole);
    let renamed = scene.restore("/mongodb/main/admin.archive", &["--as", "x"]);
    assert!(
        renamed.code == 2 && renamed.stderr.contains("can only be restored together"),
        "{renamed}"
    );
    let wrong = scene.restore("/mongodb/main/shop.archive", &["--as", "a.b"]);
    assert!(
        wrong.code == 2 && wrong.stderr.contains("`a.b` belongs to the server, or is no name"),
        "{wrong}"
    );
    assert!(!scene.server.calls().contains("pa:s") && !scene.server.calls().contains("pa%3As"));
}

#[test]
fn a_replica_set_is_captured_as_of_one_moment() {
    let mut server = everything();
    server["set"] = json!("rs0");
    server["log"] = json!([{"op": "i", "ns": "app.people", "o": {"_id": 6, "name": "Fay"}}]);
    let scene = Scene::new(&server, "host: rs0/db1, name: main, oplog: true");
    let (code, report) = scene.jobs.report(&["run", "--init"]);
    assert_eq!(code, 0, "{report}");
    let part = &report["parts"][0];
    assert_eq!(
        (&part["path"], &part["grade"]),
        (&json!("/mongodb/main/all.archive"), &json!("transactional"))
    );
    let facts = &part["facts"];
    assert_eq!(
        (
            &facts["rows"]["app.people"],
            &facts["more"]["oplog"],
            &facts["approximate"]
        ),
        (&json!(5), &json!(true), &json!(true))
    );
    let (code, drill) = scene.jobs.report(&["-r", "main", "drill", "latest"]);
    assert_eq!(code, 0, "{drill}");
    assert!(
        drill
            .to_string()
            .contains("what the log adds and takes away is not counted"),
        "{drill}"
    );
    let one = scene.restore("/mongodb/main/all.archive", &["--as", "copy"]);
    assert!(
        one.code == 2 && one.stderr.contains("can only be restored as a whole"),
        "{one}"
    );
    let refused = scene.restore("/mongodb/main/all.archive", &[]);
    assert!(
        refused.code == 2 && refused.stderr.contains("a database exists"),
        "{refused}"
    );
    let mut expected = scene.server()["databases"].clone();
    let people = expected["app"]["people"]["documents"].as_array_mut().unwrap();
    people.push(json!({"_id": 6, "name": "Fay"}));
    scene.change(|server| server["databases"]["app"]["people"]["documents"] = json!([]));
    let restored = scene.restore("/mongodb/main/all.archive", &["--overwrite"]);
    assert_eq!(restored.code, 0, "{restored}");
    assert_eq!(scene.server()["databases"], expected);
    for (change, message) in [
        (json!({"set": null}), "`oplog` needs a replica set"),
        (json!({"sharded": true}), "does not work through the router"),
    ] {
        scene.change(|server| {
            server
                .as_object_mut()
                .unwrap()
                .extend(change.as_object().unwrap().clone());
        });
        scene.assert_run(2, message);
    }
}

#[test]
fn what_is_wrong_with_a_mongodb_is_said() {
    let read = json!(["find", "listCollections", "listIndexes"]);
    let of_app = json!([{"resource": {"db": "app", "collection": ""}, "actions": read}]);
    let scene = Scene::new(&locked(&of_app), LOGIN);
    let configure = |more: &str| {
        let source = format!("      - files: ./data\n      - mongodb: {{{LOGIN}{more}}}");
        scene.jobs.configure(&configuration(&source));
    };
    configure("");
    scene.assert_run(3, "a right is missing: `backup` lacks `find` on `shop`");
    configure(", databases: [app]");
    scene.assert_run(0, "captured  mongodb main: app");
    configure(", databases: [app, admin]");
    scene.assert_run(3, "`backup` lacks `find` on `admin.system.users`");
    configure(", databases: [app, nope]");
    scene.assert_run(3, "there is no database `nope`");
    configure(", arguments: [--gzip]");
    scene.assert_run(2, "`arguments` has `--gzip`");
    configure(", arguments: [-dshop]");
    scene.assert_run(2, "`arguments` has `-d`");
    fs::write(scene.jobs.scene.path("dbpassword"), "wrong").unwrap();
    configure(", databases: [app]");
    scene.assert_run(3, "the server refuses the login");
    configure(", databases: [app], required: true");
    scene.assert_run(1, "hint: Check `user`, `password` and `auth_database`");
    fs::write(scene.jobs.scene.path("dbpassword"), "pa:s s/@").unwrap();
    configure(", databases: [app], auth_database: app");
    scene.assert_run(3, "the server refuses the login");
    configure(", databases: [app]");
    for (fail, message) in [
        (
            "dump dies",
            "the dump of app failed: the server refuses: error writing data for collection",
        ),
        ("dump is cut", "the dump of app is not whole: it ends "),
        (
            "dump is damaged",
            "the dump of app is not whole: the checksum of `app.people` is wrong",
        ),
    ] {
        scene.change(|server| server["fail"] = json!(fail));
        scene.assert_run(3, message);
        let broken = scene.restore("/mongodb/main/app.archive", &[]);
        assert!(broken.code == 2 && broken.stderr.contains("is not whole"), "{broken}");
    }
    scene.change(|server| {
        server["fail"] = json!(null);
        server["tool"] = json!("r4.2.24");
    });
    scene.assert_run(3, "`mongodump` r4.2.24 is older than the server, 7.0.5");
    scene.change(|server| server["down"] = json!(true));
    scene.assert_run(3, "the server cannot be reached: connect ECONNREFUSED");
    scene.server.remove("mongosh");
    configure(", databases: [app], required: true");
    scene.assert_run(1, "hint: Install the package `mongodb-mongosh`");
}

#[test]
fn an_empty_mongodb_is_an_error_unless_that_is_said() {
    let mut server = everything();
    server["databases"]
        .as_object_mut()
        .unwrap()
        .retain(|name, _| name == "admin");
    let scene = Scene::new(&server, HOST);
    scene.assert_run(1, "the server `main` shows no database to back up");
    let source = format!("      - mongodb: {{{HOST}, allow_empty: true}}");
    scene.jobs.configure(&configuration(&source));
    scene.assert_run(0, "captured  mongodb main: admin");
    scene.server.remove("mongodump");
    let source = format!("      - mongodb: {{{HOST}, allow_empty: true, required: true}}");
    scene.jobs.configure(&configuration(&source));
    scene.assert_run(1, "hint: Install the package `mongodb-database-tools`");
}

#[test]
fn a_restore_of_a_mongodb_that_fails_leaves_what_was_there_or_says_so() {
    let scene = Scene::new(&everything(), HOST);
    scene.assert_run(0, "captured  mongodb main: app");
    scene.change(|server| server["fail"] = json!("restore dies"));
    let beside = scene.restore("/mongodb/main/app.archive", &["--as", "copy"]);
    assert!(
        beside.code == 1 && beside.stderr.contains("connection reset by peer"),
        "{beside}"
    );
    assert!(!beside.stderr.contains("half restored"), "{beside}");
    assert_eq!(scene.database("copy"), Value::Null);
    let replaced = scene.restore("/mongodb/main/app.archive", &["--overwrite"]);
    let message = "the database `app` is half restored: the server refuses: app.empty: error restoring";
    assert!(replaced.code == 1 && replaced.stderr.contains(message), "{replaced}");
    scene.change(|server| server["fail"] = json!(null));
    let again = scene.restore("/mongodb/main/app.archive", &["--overwrite"]);
    assert_eq!(again.code, 0, "{again}");
}

#[test]
fn without_a_server_a_drill_of_a_mongodb_says_what_was_not_looked_at() {
    let scene = Scene::new(&everything(), HOST);
    scene.assert_run(0, "captured  mongodb main: app");
    scene.server.remove("mongod");
    let (code, drill) = scene
        .jobs
        .report(&["-r", "main", "drill", "latest", "--part", "/mongodb/main/app.archive"]);
    assert_eq!(code, 20, "{drill}");
    let checks = drill["parts"][0]["checks"].as_array().unwrap();
    let last = checks.last().unwrap();
    assert_eq!(
        (&last["what"], &last["verdict"], &drill["verdict"]),
        (
            &json!("load into a server"),
            &json!("skipped"),
            &json!("RESTORE NOT PROVEN — /mongodb/main/app.archive")
        )
    );
    let reason = last["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("there is no `mongod` on this host (packages `mongodb-org-server`, "),
        "{reason}"
    );
    let probed = scene.jobs.run(&["probe"]);
    assert!(probed.code == 0 && probed.stdout.contains("app"), "{probed}");
}
