//! What is half restored because the program was killed says so itself, is not captured as if it were whole, and can be made whole.

use super::kill_when;
use crate::contract::configuration;
use crate::jobs::Jobs;
use serde_json::Value;
use std::path::PathBuf;
use testkit::mariadb_server::MariadbServer;
use testkit::postgres_server::PostgresServer;
use testkit::redis_server::RedisServer;

/// Something that is captured by one source.
struct Scene {
    jobs: Jobs,
    /// The restore point that is put back.
    first: String,
}

impl Scene {
    fn new(source: &str) -> Self {
        let source = format!("      - files: ./data\n{source}");
        let jobs = Jobs::new(&configuration(&source).replace("to: [main, archives]", "to: [main]"));
        std::fs::write(jobs.scene.path("redis-password"), "hush\n").unwrap();
        let ran = jobs.run(&["run", "--init"]);
        assert_eq!(ran.code, 0, "{ran}");
        let listed: Value = serde_json::from_str(&jobs.restic("main", &["snapshots", "--json"])).unwrap();
        let first = listed[0]["id"].as_str().unwrap().to_owned();
        Self { jobs, first }
    }

    fn restore<'a>(&'a self, part: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let restore = ["-r", "main", "restore", &self.first, "--part", part, "--yes"];
        [&restore[..], more].concat()
    }

    fn refuses(&self, arguments: &[&str], reason: &str) {
        let refused = self.jobs.run(arguments);
        assert!(
            refused.code == 2 && refused.stderr.contains(reason),
            "{reason}: {refused}"
        );
    }

    fn kill_when(&self, arguments: &[&str], reached: impl FnMut() -> bool) {
        let mut child = self.jobs.start(arguments);
        assert!(kill_when(&mut child, reached), "it was over too soon");
    }

    /// The run and the probe say what is wrong, and how to get out of it.
    fn assert_says_so(&self, part: &str) {
        let (code, report) = self.jobs.report(&["run"]);
        let parts = report["parts"].as_array().unwrap();
        let problem = parts.iter().find(|found| found["path"] == part).unwrap()["problem"].to_string();
        assert!(code == 3 && problem.contains("half restored"), "{report}");
        let ran = self.jobs.run(&["run"]);
        assert!(ran.code == 3 && ran.stderr.contains("--overwrite"), "{ran}");
        let probe = self.jobs.run(&["probe"]);
        assert!(
            probe.code == 1 && probe.stdout.contains("half restored") && probe.stdout.contains("--overwrite"),
            "{probe}"
        );
    }

    fn assert_is_made_whole(&self, restore: &[&str]) {
        let restored = self.jobs.run(restore);
        assert_eq!(restored.code, 0, "{restored}");
        for command in ["run", "probe"] {
            let ran = self.jobs.run(&[command]);
            assert_eq!(ran.code, 0, "{ran}");
        }
    }

    /// What is left of a restore that had not touched anything is told of, and not captured.
    fn assert_leaves_out(&self, left: &str) {
        let (code, report) = self.jobs.report(&["run"]);
        let is_left = |part: &Value| part["path"].as_str().unwrap().contains(left);
        let parts = report["parts"].as_array().unwrap();
        assert!(code == 0 && !parts.iter().any(is_left), "{report}");
        for command in ["run", "probe"] {
            let ran = self.jobs.run(&[command]);
            let text = ran.to_string();
            assert!(
                ran.code == 0 && text.contains("left out") && text.contains(left),
                "{ran}"
            );
        }
    }
}

const MARIADB: &str = "
CREATE DATABASE app CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci; USE app;
CREATE TABLE large (n INT PRIMARY KEY, text TEXT) SELECT seq AS n, REPEAT(MD5(seq), 10) AS text FROM seq_1_to_200000;
CREATE TABLE small (n INT PRIMARY KEY, text TEXT) SELECT seq AS n, MD5(seq) AS text FROM seq_1_to_1000;
CREATE VIEW names AS SELECT text FROM small;
CREATE SEQUENCE numbers;
CREATE PROCEDURE answer() SELECT 42;
CREATE FUNCTION seven() RETURNS INT DETERMINISTIC RETURN 7;
CREATE EVENT daily ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01' DO SELECT 1;
CREATE USER caller@'%'; CREATE ROLE callers;
GRANT EXECUTE ON PROCEDURE app.answer TO caller@'%' WITH GRANT OPTION;
GRANT EXECUTE, ALTER ROUTINE ON FUNCTION app.seven TO callers;
GRANT SELECT ON app.small TO caller@'%';
";

#[test]
fn heavy_a_mariadb_that_is_half_restored_says_so() {
    let server = MariadbServer::start();
    server.sql(MARIADB);
    let marks = |database: &str| {
        let sql = format!(
            "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_NAME = 'mainstay_restore_incomplete' \
             AND TABLE_SCHEMA LIKE '{database}'"
        );
        server.sql(&sql) == "1\n"
    };
    let granted = || server.sql("SHOW GRANTS FOR caller@'%'; SHOW GRANTS FOR callers");
    let before = granted();
    let socket = server.socket();
    let scene = Scene::new(&format!(
        "      - mariadb: {{host: {}, name: main, user: root}}",
        socket.display()
    ));
    let all = scene.restore("/mysql/main/app.sql", &["--overwrite"]);
    // What was rehearsed is not what is there.
    scene.kill_when(&all, || marks("mainstay\\_rehearsal%"));
    assert!(!marks("app"));
    scene.assert_leaves_out("mainstay_rehearsal_");
    // Ourselves die in the middle, as soon as something is gone.
    server.sql("CREATE TABLE app.new (n INT)");
    scene.kill_when(&all, || {
        marks("app") && server.sql("SHOW TABLES FROM app LIKE 'new'").is_empty()
    });
    assert!(marks("app"));
    scene.assert_says_so("/mysql/main/app.sql");
    scene.refuses(&scene.restore("/mysql/main/app.sql", &[]), "exists");
    let small = scene.restore("/mysql/main/app.sql/small", &["--overwrite"]);
    scene.refuses(&small, "is half restored, and nothing was changed");
    scene.assert_is_made_whole(&all);
    assert!(!marks("app"));
    assert_eq!(granted(), before, "also what is granted on single routines");
    assert_eq!(server.sql("SELECT COUNT(*), app.seven() FROM app.large"), "200000\t7\n");
    // One table.
    let large = scene.restore("/mysql/main/app.sql/large", &["--overwrite"]);
    scene.kill_when(&large, || marks("app"));
    scene.assert_says_so("/mysql/main/app.sql");
    scene.refuses(&small, "is half restored, and nothing was changed");
    scene.assert_is_made_whole(&large);
    // A database that was not there before.
    let beside = scene.restore("/mysql/main/app.sql", &["--as", "beside"]);
    scene.kill_when(&beside, || marks("beside"));
    scene.assert_says_so("/mysql/main/beside.sql");
    scene.assert_is_made_whole(&[&beside[..], &["--overwrite"]].concat());
}

const POSTGRES: &str = "
CREATE TABLE large AS SELECT n, repeat(md5(n::text), 10) AS text FROM generate_series(1, 20000) n;
SELECT lo_create(0);
";

/// A row that comes in only while a file does not exist: a restore stands still there for as long as it takes to look at it.
struct Gate(PathBuf);

impl Gate {
    fn sql(&self) -> String {
        let path = self.0.display();
        format!(
            "CREATE FUNCTION passes() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
             WHILE (pg_stat_file('{path}', true)).size IS NOT NULL LOOP PERFORM pg_sleep(0.02); END LOOP; RETURN true; END $$;
             CREATE TABLE gate (n INT CHECK (passes()));
             INSERT INTO gate VALUES (1);"
        )
    }

    fn close(&self) {
        std::fs::write(&self.0, "").unwrap();
    }

    fn open(&self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

#[test]
fn heavy_a_postgres_that_is_half_restored_says_so() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE app");
    server.sql("app", POSTGRES);
    let gate = Gate(server.socket().join("gate"));
    server.sql("app", &gate.sql());
    let source = format!(
        "      - postgres: {{host: {}, port: {}, user: postgres, name: main, format: plain}}",
        server.socket().display(),
        server.port()
    );
    let scene = Scene::new(&source);
    let part = "/postgres/main/app.sql";
    let is_marked = |database: &str| {
        let sql = "SELECT count(*) FROM pg_namespace WHERE nspname = 'mainstay_restore_incomplete'";
        server.sql(database, sql) == "1"
    };
    // Whoever is connected to a database stands in the way of its restore: so this is asked elsewhere.
    let is_at_gate = |database: &str| {
        let sql =
            format!("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname LIKE '{database}'");
        server.sql("postgres", &sql) == "1"
    };
    let fresh = || {
        server.sql(
            "postgres",
            "SELECT datname FROM pg_database WHERE datname LIKE 'app\\_new\\_%'",
        )
    };
    let all = scene.restore(part, &["--overwrite"]);
    gate.close();
    scene.kill_when(&all, || is_at_gate("app\\_new\\_%"));
    let name = fresh();
    assert!(is_marked(&name) && !is_marked("app"));
    scene.assert_leaves_out("app_new_");
    server.sql("postgres", &format!("DROP DATABASE {name} WITH (FORCE)"));
    // Plain SQL with large objects brings its own transactions.
    server.sql("postgres", "CREATE DATABASE copy");
    let copy = scene.restore(part, &["--as", "copy"]);
    scene.kill_when(&copy, || is_at_gate("copy"));
    assert!(is_marked("copy"));
    gate.open();
    scene.assert_says_so("/postgres/main/copy.sql");
    scene.assert_is_made_whole(&[&copy[..], &["--overwrite"]].concat());
    assert!(!is_marked("copy") && !is_marked("app"));
    assert_eq!(server.sql("copy", "SELECT count(*) FROM large"), "20000");
    // Into an empty one, undisturbed.
    server.sql("postgres", "CREATE DATABASE other");
    scene.assert_is_made_whole(&scene.restore(part, &["--as", "other"]));
    assert!(!is_marked("other"));
}

#[test]
fn heavy_a_redis_that_is_half_restored_says_so() {
    let server = RedisServer::start_with(&["--enable-debug-command", "yes"]);
    server.ask("DEBUG POPULATE 200000 key 100");
    let before = server.ask("DEBUG DIGEST");
    let scene = Scene::new(&format!(
        "      - redis: {{host: 127.0.0.1, port: {}, password: {{file: redis-password}}, name: main}}",
        server.port()
    ));
    let restore = scene.restore("/redis/main", &["--overwrite"]);
    scene.kill_when(&restore, || server.ask("EXISTS mainstay_restore_incomplete") == "1");
    scene.assert_says_so("/redis/main");
    scene.refuses(&scene.restore("/redis/main", &[]), "holds");
    scene.assert_is_made_whole(&restore);
    assert_eq!(server.ask("DEBUG DIGEST"), before);
}
