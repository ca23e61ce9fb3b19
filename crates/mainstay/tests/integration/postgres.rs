//! PostgreSQL: a real server, whose databases are captured, proven, put back, and damaged in between.

use crate::contract::{Subject, configuration};
use crate::jobs::{Jobs, rounds};
use crate::peer::scratch;
use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};
use testkit::postgres_server::{PASSWORD, PostgresServer};
use testkit::ssh_server::open_to_all;

/// Everything that PostgreSQL has of its own, in the database `app`.
const EVERYTHING: &str = include_str!("postgres.sql");

/// A server, and a job that captures `app` of it as the instance `main`.
struct Scene {
    server: PostgresServer,
    jobs: Jobs,
}

impl Scene {
    fn new(options: &str) -> Self {
        let server = PostgresServer::start();
        server.sql("postgres", "CREATE DATABASE app");
        let jobs = Jobs::new(&configuration(&source(&server, options)));
        Self { server, jobs }
    }

    fn with_everything(options: &str) -> Self {
        let scene = Self::new(options);
        scene.server.sql("app", EVERYTHING);
        scene
    }

    fn configure(&self, options: &str) {
        self.jobs.configure(&configuration(&source(&self.server, options)));
    }

    fn restore(&self, part: &str, more: &[&str]) -> crate::scene::Ended {
        let restore = ["-r", "main", "restore", "latest", "--yes", "--part", part];
        self.jobs.run(&[&restore[..], more].concat())
    }

    /// Rows, definitions and large objects, as another program dumps them, and the properties of the database itself.
    fn state(&self, database: &str) -> String {
        let server = &self.server;
        let there = server.sql(
            "postgres",
            &format!("SELECT 1 FROM pg_database WHERE datname = '{database}'"),
        );
        if there.is_empty() {
            return String::new();
        }
        let dumped = server
            .client("pg_dump", database)
            .args(["-Fp", "--column-inserts"])
            .output()
            .unwrap();
        assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
        let text = String::from_utf8(dumped.stdout).unwrap();
        let lines = text
            .lines()
            .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"));
        let properties = server.sql(
            database,
            "SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datlocprovider,
                 (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(datacl) a),
                 shobj_description(oid, 'pg_database'),
                 (SELECT string_agg(setrole || ':' || setconfig::text, ';' ORDER BY setrole) FROM pg_db_role_setting
                     WHERE setdatabase = d.oid)
             FROM pg_database d WHERE datname = current_database()",
        );
        // The order of rows is not kept where a dump has several tables at once.
        let mut lines: Vec<&str> = lines.collect();
        lines.sort_unstable();
        format!("{}\n{properties}", lines.join("\n"))
    }

    /// The contract, for repositories of both formats, and in one of them also under another name.
    fn assert_keeps_the_contract(&self, part: &str) {
        let before = self.state("app");
        let subject = Subject {
            jobs: &self.jobs,
            repositories: &["main"],
            part,
            rename: Some("beside"),
            refuses: true,
            state: &|name| self.state(name.unwrap_or("app")),
            damage: &|| {
                self.server.sql(
                    "app",
                    "DELETE FROM parents WHERE id > 20; DROP TABLE types; SELECT lo_unlink(4711)",
                );
            },
        };
        subject.assert_holds();
        Subject {
            repositories: &["archives"],
            rename: None,
            ..subject
        }
        .assert_holds();
        assert_eq!(self.state("app"), before);
        assert_eq!(self.databases(), "app,beside,postgres", "nothing is left over");
    }

    fn databases(&self) -> String {
        let sql = "SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database WHERE NOT datistemplate";
        self.server.sql("postgres", sql)
    }
}

fn source(server: &PostgresServer, options: &str) -> String {
    let socket = server.socket().display();
    let port = server.port();
    format!("      - postgres: {{host: {socket}, port: {port}, user: postgres, name: main, {options}}}")
}

const ASSERT: &str = "assert: [\"SELECT count(*) = 100 FROM parents\", \"SELECT sum(n) = 1275 FROM parted\"]";

#[test]
fn heavy_postgres_keeps_the_contract_with_archives_of_pg_dump() {
    let scene = Scene::with_everything(&format!("databases: [app], {ASSERT}"));
    scene.assert_keeps_the_contract("/postgres/main/app.dump");
}

#[test]
fn heavy_postgres_keeps_the_contract_with_plain_sql() {
    let options = format!("databases: ['a*'], format: plain, options: [clean], {ASSERT}");
    let scene = Scene::with_everything(&options);
    scene.assert_keeps_the_contract("/postgres/main/app.sql");
}

#[test]
fn heavy_postgres_keeps_the_contract_with_a_file_for_each_table() {
    let scene = Scene::with_everything(&format!("databases: [app], parallel: 3, {ASSERT}"));
    scene.assert_keeps_the_contract("/postgres/main/app");
}

#[test]
fn heavy_postgres_roles_come_back() {
    let scene = Scene::with_everything("databases: [app]");
    assert_eq!(scene.jobs.run(&["run", "--init"]).code, 0);
    let drill = scene.jobs.run(&["-r", "main", "drill", "latest"]);
    assert!(drill.code == 0 && drill.stdout.contains("3 roles"), "{drill}");
    let roles = |scene: &Scene| {
        let sql = "SELECT rolname, rolcanlogin, rolpassword, pg_has_role('app owner', oid, 'member') FROM pg_authid
            WHERE rolname !~ '^pg_' ORDER BY 1";
        scene.server.sql("postgres", sql)
    };
    let before = roles(&scene);
    // A whole server is restored into one that has nothing.
    let database = scene.state("app");
    scene.server.sql("postgres", "DROP DATABASE app");
    scene.server.sql("postgres", "DROP ROLE \"app owner\"");
    let without_roles = scene.restore("/postgres/main/app.dump", &[]);
    assert!(
        without_roles.code == 1 && without_roles.stderr.contains("does not have the roles app owner"),
        "{without_roles}"
    );
    let restored = scene.restore("/postgres/main", &[]);
    assert_eq!(restored.code, 0, "{restored}");
    assert_eq!(roles(&scene), before);
    assert_eq!(scene.state("app"), database);
    // A role that exists stays as it is, unless it is to be replaced.
    scene.server.sql("postgres", "ALTER ROLE \"app owner\" NOLOGIN");
    let changed = roles(&scene);
    let kept = scene.restore("/postgres/main/globals.sql", &[]);
    assert_eq!((kept.code, roles(&scene)), (0, changed), "{kept}");
    let replaced = scene.restore("/postgres/main/globals.sql", &["--overwrite"]);
    assert_eq!((replaced.code, roles(&scene)), (0, before), "{replaced}");
}

#[test]
fn heavy_postgres_databases_with_odd_names_are_told_apart() {
    let scene = Scene::new("allow_empty: true");
    let names = ["a/b \"🐘\"", "..", "globals", "x=y host=z", "New\nLine", "100%"];
    for name in names {
        let quoted = name.replace('"', "\"\"");
        scene.server.sql("postgres", &format!("CREATE DATABASE \"{quoted}\""));
        scene
            .server
            .sql(name, "CREATE TABLE who AS SELECT current_database() AS name");
    }
    for format in ["format: plain", "parallel: 2"] {
        scene.configure(format);
        let (code, report) = scene.jobs.report(&["run", "--init"]);
        assert_eq!(code, 0, "{report}");
        let parts = report["parts"].as_array().unwrap();
        assert_eq!(parts.len(), names.len() + 2, "{report}");
        for part in parts.iter().filter(|part| part["path"] != "/postgres/main/globals.sql") {
            let path = part["path"].as_str().unwrap();
            let name = part["facts"]["more"]["database"]["name"].as_str().unwrap();
            if name == "app" {
                continue;
            }
            scene.server.sql(name, "UPDATE who SET name = 'damaged'");
            let restored = scene.restore(path, &["--overwrite"]);
            assert_eq!(restored.code, 0, "{path}: {restored}");
            assert_eq!(scene.server.sql(name, "SELECT name = current_database() FROM who"), "t");
        }
    }
}

#[test]
fn heavy_postgres_what_goes_wrong_is_said() {
    let scene = Scene::new("databases: [app]");
    let socket = scene.server.socket().display().to_string();
    let port = scene.server.port();
    let password = scene.jobs.scene.path("server-password");
    fs::write(&password, PASSWORD).unwrap();
    scene.server.sql("app", "CREATE TABLE private (n int)");
    scene.server.sql("postgres", "CREATE ROLE stranger LOGIN PASSWORD 'x'");
    let tcp = |options: &str| format!("      - postgres: {{host: 127.0.0.1, port: {port}, name: main, {options}}}");
    let expect = |source: &str, code: i32, words: &[&str]| {
        // What can be captured beside it makes a restore point.
        scene
            .jobs
            .configure(&configuration(&format!("      - files: ./data\n{source}")));
        let ended = scene.jobs.run(&["run", "--init"]);
        let told = format!("{}{}", ended.stdout, ended.stderr);
        assert!(
            ended.code == code && words.iter().all(|word| told.contains(word)),
            "{words:?}: {ended}"
        );
        assert!(!told.contains("wrong horse") && !told.contains(PASSWORD), "{ended}");
    };
    // The right password, over the network.
    let good = "user: postgres, password: {file: server-password}, databases: [app], globals: false";
    expect(&tcp(good), 0, &["postgres main/app: 1 entry"]);
    fs::write(&password, "wrong horse").unwrap();
    let whole = ["NOT WHOLE", "does not accept the password"];
    expect(&tcp(good), 3, &whole);
    expect(
        &tcp(&format!("{good}, required: true")),
        1,
        &["does not accept the password", "Check `user` and `password`"],
    );
    expect(&tcp("user: postgres, databases: [app]"), 3, &["wants a password"]);
    expect(
        &tcp("user: nobody, password: {file: server-password}"),
        3,
        &["does not accept the password"],
    );
    let unix = |options: &str| format!("      - postgres: {{host: {socket}, port: {port}, name: main, {options}}}");
    expect(&unix("user: nobody"), 3, &["does not know the user"]);
    expect(
        &unix("user: postgres, databases: [app, shop]"),
        3,
        &[
            "postgres main/app: 1 entry",
            "there is no database `shop`",
            "app, postgres",
        ],
    );
    expect(
        &unix("user: postgres, exclude_databases: [app]"),
        3,
        &["there is no database to back up"],
    );
    expect(
        &unix("user: postgres, exclude_databases: [app], allow_empty: true"),
        0,
        &["main roles"],
    );
    expect(
        &unix("user: stranger, databases: [app]"),
        3,
        &["does not give this user the right", "private"],
    );
    let closed = format!(
        "      - postgres: {{host: 127.0.0.1, port: {}, name: main}}",
        testkit::ssh_server::free_port()
    );
    expect(&closed, 3, &["NOT WHOLE", "refuses connections"]);
    expect(
        "      - postgres: {host: no-such-host.invalid, name: main}",
        3,
        &["is unknown"],
    );
    expect("      - postgres: {host: /nowhere, name: main}", 3, &["is not there"]);
}

/// Wait until a query answers with `t`.
fn wait_for(server: &PostgresServer, sql: &str) {
    let begin = Instant::now();
    while server.sql("postgres", sql) != "t" {
        assert!(begin.elapsed() < Duration::from_secs(30), "{sql}");
    }
}

#[test]
fn heavy_postgres_a_dump_that_dies_is_not_kept() {
    let scene = Scene::new("databases: [app]");
    scene.server.sql(
        "app",
        "CREATE TABLE large AS SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 150000) n; CREATE TABLE later ()",
    );
    let in_copy =
        "SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_progress_copy WHERE bytes_processed > 1000000";
    let holder = "SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity
        WHERE datname = 'app' AND query LIKE '%count(*) FROM ONLY%' AND EXISTS (
            SELECT FROM pg_stat_progress_copy WHERE bytes_processed > 1000000)";
    for (options, part, kill) in [
        ("databases: [app]", "/postgres/main/app.dump", in_copy),
        ("databases: [app], format: plain", "/postgres/main/app.sql", in_copy),
        ("databases: [app], parallel: 2", "/postgres/main/app", in_copy),
        ("databases: [app]", "/postgres/main/app.dump", holder),
        ("databases: [app], parallel: 2", "/postgres/main/app", holder),
        ("databases: [app], required: true", "", in_copy),
    ] {
        scene.configure(options);
        let (code, report) = std::thread::scope(|scope| {
            let run = scope.spawn(|| scene.jobs.report(&["run", "--init"]));
            wait_for(&scene.server, kill);
            run.join().unwrap()
        });
        if part.is_empty() {
            assert_eq!(code, 1, "{report}");
            continue;
        }
        assert_eq!(code, 3, "{options}: {report}");
        let parts = report["parts"].as_array().unwrap();
        let dumped = parts.iter().find(|one| one["path"] == part).unwrap();
        let problem = dumped["problem"].as_str().unwrap_or_default();
        assert!(problem.contains("ended the connection"), "{options}: {problem}");
        let restored = scene.restore(part, &["--as", "x"]);
        assert!(
            restored.code == 2 && restored.stderr.contains("is not whole"),
            "{restored}"
        );
        // The archive is made of what the repository got.
        let restored = [
            "-r", "archives", "restore", "latest", "--yes", "--part", part, "--as", "x",
        ];
        assert_ne!(scene.jobs.run(&restored).code, 0);
    }
}

/// Packets vanish, and nobody is told. A dump that waits is not waited for for ever.
#[test]
fn heavy_postgres_a_network_that_falls_silent_is_noticed() {
    let scene = Scene::new("");
    scene.server.sql(
        "app",
        "CREATE TABLE large AS SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 150000) n",
    );
    let proxy = testkit::proxy::Proxy::start(([127, 0, 0, 1], scene.server.port()).into(), |_| None);
    fs::write(scene.jobs.scene.path("server-password"), PASSWORD).unwrap();
    let source = |more: &str| {
        format!(
            "      - files: ./data\n      - postgres: {{host: 127.0.0.1, port: {}, user: postgres, password: {{file: server-password}}, \
             name: main, databases: [app], globals: false{more}}}",
            proxy.address().port()
        )
    };
    scene.jobs.configure(&configuration(&source("")));
    let whole = scene.jobs.run(&["run", "--init"]);
    assert_eq!(whole.code, 0, "{whole}");
    scene.jobs.configure(&configuration(&source(", silence_seconds: 3")));
    let begin = Instant::now();
    let (code, report) = std::thread::scope(|scope| {
        let run = scope.spawn(|| scene.jobs.report(&["run"]));
        wait_for(
            &scene.server,
            "SELECT count(*) > 0 FROM pg_stat_progress_copy WHERE bytes_processed > 1000000",
        );
        proxy.fall_silent();
        run.join().unwrap()
    });
    assert_eq!(code, 3, "{report}");
    assert!(begin.elapsed() < Duration::from_secs(30), "{report}");
    let parts = report["parts"].as_array().unwrap();
    let dumped = parts
        .iter()
        .find(|part| part["path"] == "/postgres/main/app.dump")
        .unwrap();
    let problem = dumped["problem"].as_str().unwrap_or_default();
    assert!(
        problem.contains("does not answer") || problem.contains("ended the connection"),
        "{problem}"
    );
}

#[test]
fn heavy_postgres_what_is_captured_under_load_is_of_one_moment() {
    let scene = Scene::new("");
    let initialised = scene
        .server
        .client("pgbench", "app")
        .args(["-i", "-q", "-s", "1"])
        .output()
        .unwrap();
    assert!(initialised.status.success());
    // Four sums are the same after every transaction.
    let holds = "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(bbalance) FROM pgbench_branches)
        AND (SELECT sum(bbalance) FROM pgbench_branches) = (SELECT sum(tbalance) FROM pgbench_tellers)
        AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT coalesce(sum(delta), 0) FROM pgbench_history)";
    let mut load = scene.server.client("pgbench", "app");
    let mut load = load.args(["-n", "-c", "4", "-T", "600"]).spawn().unwrap();
    wait_for(
        &scene.server,
        "SELECT xact_commit > 1000 FROM pg_stat_database WHERE datname = 'app'",
    );
    let mut seen = Vec::new();
    for round in 0..rounds(2) {
        for (options, part) in [
            ("databases: [app]", "/postgres/main/app.dump"),
            ("databases: [app], parallel: 3", "/postgres/main/app"),
        ] {
            scene.configure(&format!("{options}, globals: false"));
            let (code, report) = scene.jobs.report(&["run", "--init"]);
            assert_eq!(code, 0, "{report}");
            let restored = scene.restore(part, &["--as", "copy", "--overwrite"]);
            assert_eq!(restored.code, 0, "{restored}");
            assert_eq!(scene.server.sql("copy", holds), "t", "round {round}, {part}");
            let history = scene.server.sql("copy", "SELECT count(*) FROM pgbench_history");
            let rows = &report["parts"][0]["facts"]["rows"]["public.pgbench_history"];
            assert_eq!(rows.to_string(), history, "{report}");
            seen.push(history.parse::<u64>().unwrap());
        }
    }
    let drill = scene.jobs.run(&["-r", "main", "drill", "latest"]);
    assert_eq!(drill.code, 0, "{drill}");
    load.kill().unwrap();
    load.wait().unwrap();
    assert!(
        seen.is_sorted() && seen.first() < seen.last(),
        "it was written to all the time: {seen:?}"
    );
}

#[test]
fn heavy_postgres_one_table_comes_back_alone() {
    let odd = "s p%2Fa%2Ec\"e🐘.t a%2Fb%2Ele\"%0A %25🐘";
    for (options, part, can_be_new) in [
        ("databases: [app]", "/postgres/main/app.dump", true),
        ("databases: [app], format: plain", "/postgres/main/app.sql", false),
        ("databases: [app], parallel: 2", "/postgres/main/app", true),
    ] {
        let scene = Scene::with_everything(options);
        let before = scene.state("app");
        assert_eq!(scene.jobs.run(&["run", "--init"]).code, 0);
        // Others refer to it, and a trigger would change what is written.
        let damage = "SET session_replication_role = replica; DELETE FROM parents WHERE id < 50; UPDATE children SET changed = 9";
        scene.server.sql("app", damage);
        let [parents, children] = ["parents", "children"].map(|table| format!("{part}/public.{table}"));
        let refused = scene.restore(&parents, &[]);
        assert!(refused.code == 2 && refused.stderr.contains("has rows"), "{refused}");
        for table in [&parents, &children] {
            let restored = scene.restore(table, &["--overwrite"]);
            assert_eq!(restored.code, 0, "{restored}");
        }
        assert_eq!(scene.state("app"), before, "{options}");
        scene
            .server
            .sql("app", "DELETE FROM \"s p/a.c\"\"e🐘\".\"t a/b.le\"\"\n %🐘\"");
        let restored = scene.restore(&format!("{part}/{odd}"), &[]);
        assert_eq!(restored.code, 0, "{restored}");
        // All tables of a schema.
        scene.server.sql("app", "TRUNCATE children, parents, parted, hidden");
        let restored = scene.restore(&format!("{part}/public"), &["--overwrite"]);
        assert_eq!(restored.code, 0, "{restored}");
        assert_eq!(scene.state("app"), before, "{options}");
        // What would break a foreign key changes nothing.
        scene.server.sql(
            "app",
            "INSERT INTO parents (id, name) VALUES (999, 'new'); INSERT INTO children (parent) VALUES (999)",
        );
        let with_new = scene.state("app");
        let broken = scene.restore(&parents, &["--overwrite"]);
        assert!(
            broken.code == 1 && broken.stderr.contains("`app` is as it was"),
            "{broken}"
        );
        assert_eq!(scene.state("app"), with_new);
        let beside = scene.restore(&parents, &["--as", "alone"]);
        assert_eq!(beside.code == 0, can_be_new, "{beside}");
        if can_be_new {
            let counts = "SELECT (SELECT count(*) FROM parents), (SELECT count(*) FROM children)";
            assert_eq!(scene.server.sql("alone", counts), "100|0");
        }
        let unknown = scene.restore(&format!("{part}/public.nothing"), &["--overwrite"]);
        assert!(
            unknown.code == 2 && unknown.stderr.contains("public.parents"),
            "{unknown}"
        );
    }
}

const SHOP: &str = "
CREATE ROLE clerk;
CREATE TYPE state AS ENUM ('open', 'paid');
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.total := 0; RETURN NEW; END$$;
CREATE TABLE customers (id int PRIMARY KEY);
CREATE TABLE \"or ders\" (
    id serial PRIMARY KEY, number int GENERATED BY DEFAULT AS IDENTITY UNIQUE, customer int NOT NULL REFERENCES customers,
    state state DEFAULT 'open', total numeric CHECK (total >= 0), twice numeric GENERATED ALWAYS AS (total * 2) STORED
);
CREATE INDEX open_orders ON \"or ders\" (customer) WHERE state = 'open';
COMMENT ON TABLE \"or ders\" IS 'what was; ordered';
COMMENT ON COLUMN \"or ders\".state IS 'since';
CREATE TRIGGER touched BEFORE INSERT ON \"or ders\" FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE \"or ders\" DISABLE TRIGGER touched;
ALTER TABLE \"or ders\" ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON \"or ders\" TO clerk USING (total < 100);
GRANT SELECT, UPDATE (state) ON \"or ders\" TO clerk;
ALTER TABLE \"or ders\" OWNER TO clerk;
CREATE TABLE lines (id int, \"order\" int CONSTRAINT of_order REFERENCES \"or ders\" ON DELETE CASCADE, amount int);
COMMENT ON CONSTRAINT of_order ON lines IS 'why';
CREATE TABLE parted (at date, n int UNIQUE, PRIMARY KEY (n)) PARTITION BY RANGE (n);
CREATE INDEX parted_at ON parted (at);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (10) TO (100);
INSERT INTO customers SELECT generate_series(1, 9);
INSERT INTO \"or ders\" (customer, total) SELECT n % 9 + 1, n FROM generate_series(1, 500) n;
INSERT INTO lines SELECT n, n % 500 + 1, 1 FROM generate_series(1, 700) n;
INSERT INTO parted SELECT '2024-01-01'::date + n, n FROM generate_series(1, 50) n;
";

#[test]
fn heavy_postgres_a_table_that_is_gone_comes_back_as_it_was() {
    for (options, part) in [
        ("databases: [app]", "/postgres/main/app.dump"),
        ("databases: [app], parallel: 2", "/postgres/main/app"),
    ] {
        let scene = Scene::new(options);
        scene.server.sql("app", SHOP);
        let before = scene.state("app");
        assert_eq!(scene.jobs.run(&["run", "--init"]).code, 0);
        let [orders, low, all] = ["public.or ders", "public.parted_low", "public"].map(|name| format!("{part}/{name}"));
        for (damage, restore, words) in [
            ("DROP TABLE \"or ders\" CASCADE", &orders, &[][..]),
            ("DROP TABLE parted_low", &low, &[]),
            ("DROP TABLE \"or ders\", lines, customers, parted", &all, &[]),
            (
                "DROP TABLE \"or ders\" CASCADE; DELETE FROM lines",
                &all,
                &["--overwrite"],
            ),
        ] {
            scene.server.sql("app", damage);
            assert_ne!(scene.state("app"), before);
            let restored = scene.restore(restore, words);
            assert_eq!(restored.code, 0, "{damage}: {restored}");
            similar(&scene.state("app"), &before);
        }
        assert_eq!(scene.server.sql("app", "SELECT nextval('\"or ders_id_seq\"')"), "501");
        scene.server.sql("app", "SELECT setval('\"or ders_id_seq\"', 500)");
        // What is there stays without `--overwrite`, also beside what is gone.
        scene.server.sql("app", "DROP TABLE parted_low");
        let refused = scene.restore(&all, &[]);
        assert!(refused.code == 2 && refused.stderr.contains("has rows"), "{refused}");
        // All or nothing: a type that is gone as well, and rows that refer to what is not there.
        let restored = scene.restore(&low, &[]);
        assert_eq!(restored.code, 0, "{restored}");
        for damage in [
            "DROP TABLE \"or ders\" CASCADE; DROP TYPE state",
            "CREATE TYPE state AS ENUM ('open', 'paid'); INSERT INTO lines VALUES (9999, 9999)",
        ] {
            scene.server.sql("app", damage);
            let damaged = scene.state("app");
            let failed = scene.restore(&orders, &[]);
            assert!(
                failed.code == 1 && failed.stderr.contains("`app` is as it was"),
                "{failed}"
            );
            assert_eq!(scene.state("app"), damaged);
        }
        let databases = "SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database WHERE NOT datistemplate";
        assert_eq!(scene.server.sql("postgres", databases), "app,postgres");
    }
}

/// Line by line, so that it is seen what differs.
fn similar(found: &str, expected: &str) {
    let lines = |text: &str, other: &str| {
        let known: std::collections::HashSet<&str> = other.lines().collect();
        let odd: Vec<&str> = text.lines().filter(|line| !known.contains(line)).collect();
        odd.join("\n")
    };
    assert!(
        found == expected,
        "new:\n{}\nlost:\n{}",
        lines(found, expected),
        lines(expected, found)
    );
}

#[test]
fn heavy_postgres_a_restore_that_fails_leaves_what_is_there() {
    // Without its parents, no child can be restored.
    let scene = Scene::with_everything("databases: [app], arguments: ['--exclude-table-data=parents']");
    assert_eq!(scene.jobs.run(&["run", "--init"]).code, 0);
    scene.server.sql("app", "DROP TABLE types");
    let (before, databases) = (scene.state("app"), scene.databases());
    let restored = scene.restore("/postgres/main/app.dump", &["--overwrite"]);
    assert!(
        restored.code == 1 && restored.stderr.contains("`app` is as it was"),
        "{restored}"
    );
    assert_eq!((scene.state("app"), scene.databases()), (before, databases.clone()));
    let drill = scene
        .jobs
        .run(&["-r", "main", "drill", "latest", "--part", "/postgres/main/app.dump"]);
    assert!(drill.code == 20 && drill.stdout.contains("foreign key"), "{drill}");
    // Into a database that is empty, all or nothing.
    scene.server.sql("postgres", "CREATE DATABASE empty");
    let filled = scene.restore("/postgres/main/app.dump", &["--as", "empty"]);
    assert!(
        filled.code == 1 && filled.stderr.contains("`empty` is empty as it was"),
        "{filled}"
    );
    assert_eq!(
        scene
            .server
            .sql("empty", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"),
        "0"
    );
    // An extension that the server does not have is named first.
    scene.configure("databases: [app]");
    assert_eq!(scene.jobs.run(&["run"]).code, 0);
    let filled = scene.restore("/postgres/main/app.dump", &["--as", "empty"]);
    assert_eq!(filled.code, 0, "{filled}");
    assert_eq!(scene.server.sql("empty", "SELECT count(*) FROM parents"), "100");
}

#[test]
fn heavy_postgres_a_drill_finds_what_is_missing() {
    let scene = Scene::new("databases: [app], assert: [\"SELECT count(*) > 5 FROM few\"]");
    scene
        .server
        .sql("app", "CREATE TABLE few AS SELECT n FROM generate_series(1, 3) n");
    let schema = || {
        let (code, report) = scene.jobs.report(&["run", "--init"]);
        assert_eq!(code, 0, "{report}");
        let parts = report["parts"].as_array().unwrap().iter();
        let part = parts.rev().find(|part| part["path"] == "/postgres/main/app.dump");
        part.unwrap()["facts"]["more"]["catalog"]["schema"].clone()
    };
    let before = schema();
    // What a foreign key does, and the order of an index, are part of what is compared.
    let changes = "ALTER TABLE few ADD PRIMARY KEY (n); CREATE TABLE more (n int, CONSTRAINT of_few FOREIGN KEY (n) REFERENCES few ON DELETE";
    scene
        .server
        .sql("app", &format!("{changes} CASCADE); CREATE INDEX ordered ON more (n)"));
    let made = schema();
    scene.server.sql(
        "app",
        "ALTER TABLE more DROP CONSTRAINT of_few, ADD CONSTRAINT of_few FOREIGN KEY (n) REFERENCES few ON DELETE SET NULL;
         DROP INDEX ordered; CREATE INDEX ordered ON more (n DESC)",
    );
    let changed = schema();
    for kind in ["constraints", "indexes"] {
        assert!(
            before[kind] != made[kind] && made[kind] != changed[kind],
            "{kind}: {changed}"
        );
    }
    let scratch = scratch();
    open_to_all(scratch.path());
    let place = scratch.path().to_str().unwrap();
    let part = ["--part", "/postgres/main/app.dump", "--scratch", place];
    let (code, drill) = scene
        .jobs
        .report(&[&["-r", "main", "drill", "latest"], &part[..]].concat());
    assert_eq!((code, &drill["ok"]), (20, &Value::from(false)), "{drill}");
    let checks = drill["parts"][0]["checks"].as_array().unwrap();
    let failed: Vec<_> = checks.iter().filter(|check| check["verdict"] == "failed").collect();
    assert!(
        failed.len() == 1 && failed[0]["what"] == "SELECT count(*) > 5 FROM few",
        "{drill}"
    );
    // Nothing of the server is left over.
    let mut processes = fs::read_dir("/proc").unwrap().flatten();
    let is_left = processes.any(|entry| {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(place)
    });
    assert!(!is_left);
}

/// The programs are those of the container, and the connection is its socket: nothing else reaches the server.
#[test]
fn heavy_a_server_in_a_container_is_captured_and_put_back_there() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE app");
    server.sql(
        "app",
        "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('one'), ('zwölf')",
    );
    server.stop();
    let engine = testkit::docker::DockerEngine::start();
    let program = testkit::postgres_server::bin().join("postgres");
    let start = format!(
        "mkdir -p /var/run/postgresql && chown postgres /var/run/postgresql && \
         exec setpriv --reuid=postgres --regid=postgres --clear-groups {} -D {} \
         -c port=5432 -c unix_socket_directories=/var/run/postgresql",
        program.display(),
        server.socket().join("data").display()
    );
    engine.run("db_prod", "postgres:15", &[server.socket()], &["sh", "-c", &start]);
    let sql = |database: &str, statement: &str| {
        let client = [
            "exec", "db_prod", "psql", "-U", "postgres", "-Atqc", statement, database,
        ];
        let output = engine.docker(&client);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let begin = Instant::now();
    while sql("app", "SELECT 1") != "1" {
        let log = engine.docker(&["logs", "db_prod"]);
        let log = String::from_utf8_lossy(&log.stderr).into_owned();
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "postgres did not start: {log}"
        );
    }
    let jobs = Jobs::new(&configuration("      - postgres: {container: db_prod, user: postgres}"));
    let run = |words: &[&str]| {
        jobs.scene
            .ended(jobs.command(words).env("DOCKER_HOST", engine.address()))
    };
    let captured = run(&["run", "--init"]);
    assert_eq!(captured.code, 0, "{captured}");
    sql("app", "DROP TABLE notes");
    for repository in ["main", "archives"] {
        let part = "/postgres/db_prod/app.dump";
        let restored = run(&[
            "-r",
            repository,
            "restore",
            "latest",
            "--part",
            part,
            "--overwrite",
            "--yes",
        ]);
        assert_eq!(restored.code, 0, "{restored}");
        assert_eq!(sql("app", "SELECT string_agg(text, ',') FROM notes"), "one,zwölf");
    }
    let drill = run(&["-r", "main", "drill", "latest"]);
    assert_eq!(drill.code, 0, "{drill}");
}
