//! Redis servers: captured as a replica would, proven in scratch, put back key by key.

use crate::contract::{Subject, configuration};
use crate::jobs::Jobs;
use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};
use testkit::redis_server::{RedisServer, valkey_programs};

/// A source that reaches a server, and its password.
fn jobs_of(server: &RedisServer) -> Jobs {
    let jobs = Jobs::new(&configuration(&format!(
        "      - redis: {{host: 127.0.0.1, port: {}, password: {{file: redis-password}}, name: cache}}",
        server.port()
    )));
    fs::write(jobs.scene.path("redis-password"), "hush\n").unwrap();
    jobs
}

fn fill(server: &RedisServer) {
    for command in [
        "SET text hello",
        "SETRANGE binary 3 \u{1f512}",
        "RPUSH list a b c",
        "SADD set x y",
        "ZADD sorted 1 one 2.5 two",
        "HSET hash field value",
        "XADD stream 1-1 sensor 7",
        "PFADD unique a b c d",
        "SET expiring soon EX 100000",
        "EVAL for\u{a0}i=1,2000\u{a0}do\u{a0}redis.call('set','n'..i,i)\u{a0}end 0",
    ] {
        let words: Vec<String> = command.split(' ').map(|word| word.replace('\u{a0}', " ")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert!(!server.ask_words(&words).starts_with("ERR"), "{command}");
    }
    server.ask_words(&["-n", "3", "SET", "elsewhere", "in another database"]);
    server.ask("ACL SETUSER reader on >secret ~text +get");
}

/// Everything but how long what expires has left.
fn state(server: &RedisServer) -> String {
    let commands = [
        "GET text",
        "GET binary",
        "LRANGE list 0 -1",
        "SORT set ALPHA",
        "ZRANGE sorted 0 -1 WITHSCORES",
        "HGETALL hash",
        "XRANGE stream - +",
        "PFCOUNT unique",
        "GET expiring",
        "DBSIZE",
        "GET n1999",
        "-n 3 GET elsewhere",
        "ACL GETUSER reader",
    ];
    let answers: Vec<String> = commands.iter().map(|command| server.ask(command)).collect();
    let expires = server.ask("TTL expiring").parse::<i64>().unwrap_or_default() > 1000;
    // A user that is made anew has this flag, which changes nothing that it may do.
    format!("{answers:?} {expires}").replace("\\nsanitize-payload", "")
}

#[test]
fn a_redis_server_keeps_the_contract() {
    let server = RedisServer::start();
    fill(&server);
    let mut jobs = jobs_of(&server);
    Subject {
        jobs: &jobs,
        repositories: &["main", "archives"],
        part: "/redis/cache",
        rename: None,
        refuses: true,
        state: &|_| state(&server),
        damage: &|| {
            server.ask("FLUSHALL");
            server.ask("SET text damaged");
            server.ask("ACL DELUSER reader");
        },
    }
    .assert_holds();
    let (_, probe) = jobs.report(&["probe"]);
    let source = &probe["sources"][0];
    assert!(
        source["found"][0]["name"] == "db0, 2009 keys" && source["versions"]["redis"].is_string(),
        "{probe}"
    );
    // A file for a server that is stopped.
    let file = jobs.scene.path("dump.rdb");
    let written = jobs.run(&[
        "-r",
        "main",
        "restore",
        "latest",
        "--part",
        "/redis/cache",
        "--as",
        file.to_str().unwrap(),
        "--yes",
    ]);
    assert_eq!(written.code, 0, "{written}");
    assert!(fs::read(&file).unwrap().starts_with(b"REDIS"));
    let listed = jobs.restic("main", &["ls", "latest"]);
    assert!(
        listed.contains("/redis/cache/dump.rdb") && listed.contains("/redis/cache/users.acl"),
        "{listed}"
    );
    // The password is nowhere.
    let manifest = jobs.restic("main", &["dump", "latest", "/mainstay.json"]);
    assert!(!manifest.contains("hush"), "{manifest}");
    // Where only the client is installed, nothing is changed, and another way is named.
    let clients = jobs.scene.path("clients");
    fs::create_dir(&clients).unwrap();
    std::os::unix::fs::symlink("/usr/bin/redis-cli", clients.join("redis-cli")).unwrap();
    jobs.programs = Some(clients);
    jobs.no_others = true;
    let before = state(&server);
    let restore = ["-r", "main", "restore", "latest", "--yes", "--overwrite", "--part"];
    let refused = jobs.run(&[&restore[..], &["/redis/cache"]].concat());
    assert!(
        refused.code == 2
            && refused.stderr.contains("can be started here, and nothing was changed")
            && refused.stderr.contains("`--as FILE`"),
        "{refused}"
    );
    assert_eq!(state(&server), before);
}

/// Its own programs and no others: the client has another name, and a drill starts its server.
#[test]
fn a_valkey_server_keeps_the_contract() {
    let server = RedisServer::start_valkey();
    fill(&server);
    let mut jobs = jobs_of(&server);
    jobs.programs = Some(valkey_programs());
    jobs.no_others = true;
    Subject {
        jobs: &jobs,
        repositories: &["main"],
        part: "/redis/cache",
        rename: None,
        refuses: true,
        state: &|_| state(&server),
        damage: &|| drop(server.ask("FLUSHALL")),
    }
    .assert_holds();
    let (_, probe) = jobs.report(&["probe"]);
    assert!(probe["sources"][0]["versions"]["valkey"].is_string(), "{probe}");
    // What its replication cannot carry to a replica that does not say how new it is, is no part.
    server.ask_words(&["HSET", "fields", "name", "value"]);
    assert_eq!(
        server.ask_words(&["HEXPIRE", "fields", "1000", "FIELDS", "1", "name"]),
        "1"
    );
    let (code, report) = jobs.report(&["run"]);
    assert!(code == 3 && report["parts"][0]["problem"].is_string(), "{report}");
    let drill = jobs.run(&["-r", "main", "drill", "latest"]);
    assert!(drill.code != 0 && !drill.stdout.contains("RESTORE OK"), "{drill}");
}

#[test]
fn a_redis_server_that_cannot_be_used_is_a_problem_of_its_part_alone() {
    let server = RedisServer::start();
    fill(&server);
    let jobs = jobs_of(&server);
    let problem = |expected: &str| {
        let (code, report) = jobs.report(&["run", "--init"]);
        let problem = report["parts"][1]["problem"].as_str().unwrap_or_default();
        assert!(code == 3 && problem.contains(expected), "{expected}: {report}");
        assert!(!report.to_string().contains("hush"), "{report}");
    };
    let with = |options: &str| {
        configuration(&format!(
            "      - files: ./data\n      - redis: {{host: 127.0.0.1, name: cache, {options}}}"
        ))
    };
    fs::write(jobs.scene.path("wrong"), "wrong").unwrap();
    jobs.configure(&with(&format!("port: {}, password: {{file: wrong}}", server.port())));
    problem("NOAUTH");
    jobs.configure(&with(&format!("port: {}", server.port())));
    problem("NOAUTH");
    jobs.configure(&with("port: 1, password: {file: redis-password}"));
    problem("Could not connect");
    // One that has lost everything.
    server.ask("FLUSHALL");
    let reached = format!("port: {}, password: {{file: redis-password}}", server.port());
    jobs.configure(&with(&reached));
    problem("holds no keys");
    jobs.configure(&with(&format!("{reached}, allow_empty: true")));
    let (code, report) = jobs.report(&["run"]);
    assert_eq!((code, &report["outcome"]), (0, &Value::from("done")), "{report}");
    fill(&server);
    // One that dies while it sends.
    jobs.configure(&with(&format!(
        "port: {}, password: {{file: redis-password}}, required: true",
        server.port()
    )));
    let (code, report) = jobs.report(&["run"]);
    assert_eq!((code, &report["outcome"]), (0, &Value::from("done")), "{report}");
    drop(server);
    let (code, report) = jobs.report(&["run"]);
    assert_eq!((code, &report["outcome"]), (1, &Value::from("failed")), "{report}");
}

/// The client runs where the server does: in its container, which nothing else can reach.
#[test]
fn a_redis_server_in_a_container_is_captured_and_put_back_there() {
    let engine = testkit::docker::DockerEngine::start();
    engine.run(
        "cache",
        "redis:7",
        &[],
        &["redis-server", "--save", "", "--requirepass", "hush"],
    );
    let inside = |words: &[&str]| {
        let output = engine.docker(&[&["exec", "--env", "REDISCLI_AUTH=hush", "cache", "redis-cli"], words].concat());
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let begin = Instant::now();
    while inside(&["set", "key", "value \u{1f512}"]) != "OK" {
        assert!(begin.elapsed() < Duration::from_secs(30), "redis-server did not start");
    }
    let jobs = Jobs::new(&configuration(
        "      - redis: {container: cache, password: {file: redis-password}}",
    ));
    fs::write(jobs.scene.path("redis-password"), "hush\n").unwrap();
    let run = |words: &[&str]| {
        jobs.scene
            .ended(jobs.command(words).env("DOCKER_HOST", engine.address()))
    };
    let captured = run(&["run", "--init"]);
    assert_eq!(captured.code, 0, "{captured}");
    inside(&["flushall"]);
    let restored = run(&["-r", "main", "restore", "latest", "--part", "/redis/cache", "--yes"]);
    assert_eq!(restored.code, 0, "{restored}");
    assert_eq!(inside(&["--raw", "get", "key"]), "value \u{1f512}");
    let unknown = configuration("      - redis: {container: cash, password: {file: redis-password}}");
    jobs.configure(&unknown);
    let missing = run(&["probe"]);
    assert!(
        missing.code == 1
            && missing.stdout.contains("there is no container `cash`")
            && missing.stdout.contains("cache"),
        "{missing}"
    );
}
