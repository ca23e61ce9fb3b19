//! MariaDB: a real server, captured, proven and put back. `mariadb-dump` is the judge of what is on it.

use crate::contract::{Subject, configuration};
use crate::jobs::{Jobs, rounds};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use testkit::mariadb_server::MariadbServer;

/// Every kind of thing that a database can hold, with names and values that are hard to get right.
const EVERYTHING: &str = r#"
CREATE DATABASE app CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
USE app;
SET sql_mode = '';
CREATE TABLE `odd ``name`` ☕` (id INT PRIMARY KEY AUTO_INCREMENT, `a b` BIT(9), bl BLOB, j JSON, d DATE, dt DATETIME(6),
  e ENUM('a','it''s'), s SET('x','y'), g GEOMETRY, p POINT, gen INT AS (dec1*2) STORED, v INT AS (f+1) VIRTUAL,
  t TEXT COMMENT 'multi
line; `x`', bin VARBINARY(20), f DOUBLE, dec1 DECIMAL(20,5));
INSERT INTO `odd ``name`` ☕` (`a b`,bl,j,d,dt,e,s,g,p,t,bin,f,dec1) VALUES
  (b'101',x'00ff27225c0a','{"a":"it''s"}','0000-00-00','2020-02-30','it''s','x,y',ST_GeomFromText('POINT(1 2)'),POINT(1,2),
   'a\'b"c\\d\n),(\r\0\Z😀;\t',x'00',1.5,2.5),
  (NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE parent (id INT PRIMARY KEY);
CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent(id));
INSERT INTO parent VALUES (1),(2);
INSERT INTO child VALUES (1,1);
CREATE TABLE `empty` (id INT);
CREATE TABLE log (m TEXT);
CREATE SEQUENCE sq;
CREATE TABLE numbered (id INT DEFAULT NEXTVAL(sq), x INT);
CREATE USER ghost@'%' IDENTIFIED BY 'x';
GRANT SELECT, EXECUTE ON *.* TO ghost@'%';
CREATE DEFINER=ghost@'%' VIEW `v w` AS SELECT id, 'it''s `app`.`parent`.`id`' AS x FROM parent;
DELIMITER //
CREATE TRIGGER trg AFTER INSERT ON parent FOR EACH ROW BEGIN INSERT INTO log VALUES (CONCAT('in;', NEW.id, "
-- Table structure for table `parent`
")); END//
CREATE DEFINER=ghost@'%' PROCEDURE pr(IN x INT) BEGIN SELECT x, 'it''s;'; END//
CREATE FUNCTION fu() RETURNS INT DETERMINISTIC RETURN 7//
CREATE VIEW vf AS SELECT fu() AS x, p.id FROM parent p JOIN child ON child.p = p.id//
CREATE EVENT ev ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01' DO INSERT INTO log VALUES ('event')//
CREATE EVENT `e``v2` ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01' ON COMPLETION PRESERVE DISABLE COMMENT 'ENABLE'
  DO BEGIN SELECT 'ON COMPLETION NOT PRESERVE ENABLE'; END//
ALTER DATABASE app COLLATE utf8mb4_general_ci//
CREATE PROCEDURE later() SELECT 1//
"#;

/// A job that stores to one repository.
fn in_one(sources: &str) -> String {
    configuration(sources).replace("to: [main, archives]", "to: [main]")
}

/// A source that reaches a server through its socket as root.
fn source(server: &MariadbServer, more: &str) -> String {
    let socket = server.socket();
    format!(
        "      - mariadb: {{host: {}, name: main, user: root{more}}}",
        socket.display()
    )
}

/// One that logs in over the network.
fn over_network(server: &MariadbServer, more: &str) -> String {
    let port = server.port();
    format!(
        "      - mariadb: {{host: 127.0.0.1, port: {port}, user: backup, password: {{file: dbpassword}}, name: main{more}}}"
    )
}

/// All that `mariadb-dump` says of a database, by the name `app`; events of a copy are disabled.
#[expect(clippy::disallowed_methods, reason = "mariadb-dump is the judge")]
fn state(server: &MariadbServer, database: &str) -> String {
    let output = std::process::Command::new("mariadb-dump")
        .args([
            "--no-defaults",
            "--user=root",
            "--routines",
            "--events",
            "--hex-blob",
            "--skip-dump-date",
            "--skip-comments",
        ])
        .arg(format!("--socket={}", server.socket().display()))
        .arg(database)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let text = text.replace(&format!("`{}`", database.replace('`', "``")), "`app`");
    text.replace("PRESERVE ENABLE DO INSERT", "PRESERVE DISABLE DO INSERT") + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn heavy_mariadb_keeps_the_contract() {
    let server = MariadbServer::start();
    server.sql(EVERYTHING);
    let jobs = Jobs::new(&configuration(&source(&server, ", databases: [app]")));
    let subject = Subject {
        jobs: &jobs,
        repositories: &["main", "archives"],
        part: "/mysql/main/app.sql",
        rename: None,
        refuses: true,
        state: &|name| state(&server, name.unwrap_or("app")),
        damage: &|| {
            server.sql("DELETE FROM app.child; DROP TABLE app.log; DROP EVENT app.ev; CREATE TABLE app.new (id INT)");
        },
    };
    subject.assert_holds();
    // The copy must not lean on what it was copied from.
    let renamed = Subject {
        repositories: &["main"],
        rename: Some("copy `2`"),
        ..subject
    };
    renamed.assert_holds();
    server.sql("DROP DATABASE app");
    assert_eq!(server.sql("SELECT id FROM `copy ``2```.`v w` ORDER BY 1"), "1\n2\n");
    assert_eq!(server.sql("SELECT x FROM `copy ``2```.vf"), "7\n");
    server.sql("INSERT INTO `copy ``2```.numbered (x) VALUES (5)");
}

#[test]
fn heavy_one_table_or_all_of_a_mariadb_comes_back() {
    let server = MariadbServer::start();
    server.sql(EVERYTHING);
    server.sql(
        "CREATE DATABASE users; CREATE TABLE users.mi (id INT) ENGINE=MyISAM; INSERT INTO users.mi VALUES (1),(2),(3)",
    );
    server.sql("GRANT EXECUTE ON PROCEDURE app.pr TO ghost@'%'; CREATE ROLE boss; GRANT SELECT ON app.* TO boss; GRANT boss TO ghost@'%'");
    let jobs = Jobs::new(&in_one(&source(
        &server,
        ", assert: ['SELECT COUNT(*) = 2 FROM app.parent']",
    )));
    let ran = jobs.run(&["run", "--init"]);
    assert!(
        ran.code == 0 && ran.stderr.contains("`users` has tables without transactions") && ran.stderr.contains(": mi"),
        "{ran}"
    );
    let (_, report) = jobs.report(&["run"]);
    let parts = report["parts"].as_array().unwrap();
    let told: Vec<_> = parts
        .iter()
        .map(|part| (part["path"].as_str().unwrap(), part["grade"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ("/mysql/main/app.sql", "transactional"),
            ("/mysql/main/%75sers.sql", "live"),
            ("/mysql/main/users.sql", "transactional")
        ]
    );
    let facts = &parts[0]["facts"];
    assert_eq!(
        (
            &facts["rows"]["parent"],
            &facts["rows"]["odd `name` ☕"],
            &facts["rows"]["empty"]
        ),
        (&2.into(), &2.into(), &0.into())
    );
    let counts = ["tables", "views", "sequences", "triggers", "routines", "events"]
        .map(|what| facts["more"][what].as_u64().unwrap());
    assert_eq!(counts, [6, 2, 1, 1, 3, 2], "{facts}");
    assert_eq!(
        (&facts["more"]["definers"], &facts["approximate"]),
        (&serde_json::json!(["ghost@%", "root@localhost"]), &Value::Null)
    );
    let (code, drill) = jobs.report(&["-r", "main", "drill", "latest"]);
    assert_eq!(code, 0, "{drill}");
    let verdict = drill["verdict"].as_str().unwrap();
    assert!(
        verdict.contains("8 rows, 7 tables, ") && verdict.contains("accounts"),
        "{verdict}"
    );
    assert_one_table_comes_back(&server, &jobs);
    assert_all_of_it_comes_back(&server, &jobs);
}

fn assert_one_table_comes_back(server: &MariadbServer, jobs: &Jobs) {
    let before = state(server, "app");
    let restore = |more: &[&str]| {
        let part = "/mysql/main/app.sql/parent";
        jobs.run(&[&["-r", "main", "restore", "latest", "--part", part, "--yes"], more].concat())
    };
    let refused = restore(&[]);
    assert!(
        refused.code == 2 && refused.stderr.contains("the table `parent` of `app` exists"),
        "{refused}"
    );
    let beside = restore(&["--as", "side"]);
    assert_eq!(beside.code, 0, "{beside}");
    assert_eq!(
        server.sql("SHOW TABLES FROM side; SELECT COUNT(*) FROM side.parent"),
        "parent\n2\n"
    );
    server.sql("SET FOREIGN_KEY_CHECKS=0; DROP TABLE app.parent; INSERT INTO app.log VALUES ('later')");
    let missing = restore(&[]);
    assert_eq!(missing.code, 0, "{missing}");
    server.sql("DELETE FROM app.log WHERE m = 'later'");
    assert_eq!(
        state(server, "app"),
        before,
        "its trigger is there, nothing else changed"
    );
    server.sql("UPDATE app.child SET p = 2; DELETE FROM app.parent WHERE id = 1");
    let replaced = restore(&["--overwrite"]);
    assert_eq!(replaced.code, 0, "{replaced}");
    server.sql("UPDATE app.child SET p = 1");
    assert_eq!(state(server, "app"), before);
    let unknown = jobs.run(&[
        "-r",
        "main",
        "restore",
        "latest",
        "--part",
        "/mysql/main/app.sql/nope",
        "--yes",
    ]);
    assert!(
        unknown.code == 2 && unknown.stderr.contains("The tables are child, "),
        "{unknown}"
    );
    assert_eq!(
        server.sql("SHOW DATABASES LIKE 'mainstay%'"),
        "",
        "no rehearsal is left"
    );
}

fn assert_all_of_it_comes_back(server: &MariadbServer, jobs: &Jobs) {
    let databases = ["app", "users"].map(|database| state(server, database));
    let granted = || server.sql("SHOW CREATE USER ghost@'%'; SHOW GRANTS FOR ghost@'%'; SHOW GRANTS FOR boss");
    let before = granted();
    server.sql("DROP DATABASE app; DROP DATABASE users; DROP USER ghost@'%'; DROP ROLE boss");
    let planned = jobs.run(&["-r", "main", "restore", "latest", "--part", "/mysql/main", "--dry-run"]);
    for part in [
        "do not exist, and what runs in their name does not work without them: `ghost`@`%`",
        "leave these accounts",
        "create these accounts: `boss`, `ghost`@`%`",
    ] {
        assert!(planned.code == 0 && planned.stdout.contains(part), "{planned}");
    }
    let restored = jobs.run(&["-r", "main", "restore", "latest", "--part", "/mysql/main", "--yes"]);
    assert_eq!(restored.code, 0, "{restored}");
    assert_eq!(["app", "users"].map(|database| state(server, database)), databases);
    assert_eq!(granted(), before);
    let accounts = [
        "-r",
        "main",
        "restore",
        "latest",
        "--part",
        "/mysql/main/users.sql",
        "--yes",
    ];
    let refused = jobs.run(&accounts);
    assert!(
        refused.code == 2 && refused.stderr.contains("all these accounts exist"),
        "{refused}"
    );
    server.sql("SET PASSWORD FOR ghost@'%' = PASSWORD('other')");
    let replaced = jobs.run(&[&accounts[..], &["--overwrite"]].concat());
    assert_eq!(replaced.code, 0, "{replaced}");
    assert_eq!(granted(), before);
}

#[test]
fn heavy_what_is_wrong_with_a_mariadb_is_said() {
    let mut server = MariadbServer::start();
    server.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT); INSERT INTO app.t VALUES (1); CREATE USER backup@'%' IDENTIFIED BY 'pa ss'; \
                GRANT SELECT, SHOW VIEW, EVENT ON app.* TO backup@'%'");
    let jobs = Jobs::new("");
    let password = |text: &str| fs::write(jobs.scene.path("dbpassword"), text).unwrap();
    let run = |source: &str, code: i32, part: &str| {
        jobs.configure(&in_one(&format!("      - files: ./data\n{source}")));
        let ran = jobs.run(&["run", "--init"]);
        assert!(ran.code == code && ran.to_string().contains(part), "{part}: {ran}");
        assert!(
            !ran.to_string().contains("pa ss") && !ran.to_string().contains("wro ng"),
            "{ran}"
        );
        ran
    };
    password("wro ng");
    run(&over_network(&server, ""), 3, "the server refuses the login");
    run(
        &over_network(&server, ", required: true"),
        1,
        "hint: Check `user` and `password`",
    );
    password("pa ss");
    run(
        &over_network(&server, ""),
        3,
        "a right is missing: `backup@%` lacks TRIGGER on `app`",
    );
    server.sql("GRANT TRIGGER ON app.* TO backup@'%'");
    let ran = run(&over_network(&server, ""), 0, "accounts and grants are left out");
    assert!(ran.stderr.contains("sees no routines that others made"), "{ran}");
    run(
        &over_network(&server, ", databases: [app, nope]"),
        3,
        "there is no database `nope`",
    );
    run(
        &over_network(&server, ", exclude_databases: ['*']"),
        3,
        "can see no database to back up",
    );
    run(
        &over_network(&server, ", exclude_databases: ['*'], allow_empty: true"),
        0,
        "",
    );
    run(
        &over_network(&server, ", tls: verify-full"),
        3,
        "the connection cannot be encrypted",
    );
    run(
        &over_network(&server, ", tls: require"),
        3,
        "the connection is not encrypted",
    );
    run(
        &over_network(&server, ", arguments: [--all-databases]"),
        2,
        "`arguments` has `--all-databases`",
    );
    run(
        &over_network(&server, "").replace("mariadb:", "mysql:"),
        3,
        "there is no `mysql` of MySQL on this host",
    );
    run(
        &over_network(&server, "").replace("host: 127.0.0.1", "host: nowhere.invalid"),
        3,
        "the host is not known",
    );
    server.stop();
    run(&over_network(&server, ""), 3, "the server cannot be reached");
    run(
        &over_network(&server, ", required: true"),
        1,
        "nothing listens on this port",
    );
    server.resume();
}

/// Programs that stand before the real ones on the path, as scripts.
fn with_programs(jobs: &Jobs, scripts: &[(&str, &str)], arguments: &[&str]) -> (i32, String) {
    let directory = jobs.scene.path("programs");
    fs::create_dir_all(&directory).unwrap();
    for (name, script) in scripts {
        let path = directory.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = jobs.command(arguments);
    command.env("PATH", format!("{}:/usr/bin:/bin", directory.display()));
    let ended = jobs.scene.ended(&mut command);
    (ended.code, ended.to_string())
}

#[test]
fn heavy_a_dump_that_dies_makes_no_part() {
    let server = MariadbServer::start();
    server.sql("CREATE DATABASE app; USE app; CREATE TABLE t (id INT); INSERT INTO t SELECT seq FROM seq_1_to_20000");
    let sources = format!("      - files: ./data\n{}", source(&server, ", databases: [app]"));
    let jobs = Jobs::new(&in_one(&sources));
    let version = "[ \"$1\" = --version ] && exec /usr/bin/mariadb-dump --version";
    let killed = format!("{version}\n/usr/bin/mariadb-dump \"$@\" | head -c 50000\nkill -9 $$");
    let cut = format!("{version}\n/usr/bin/mariadb-dump \"$@\" | head -c 50000");
    let endless = format!("{version}\n/usr/bin/mariadb-dump \"$@\" | grep -v 'Dump completed'");
    for (script, reason) in [
        (&killed, "SIGKILL"),
        (&cut, "in the middle of a statement"),
        (&endless, "is missing at its end"),
    ] {
        let (code, text) = with_programs(&jobs, &[("mariadb-dump", script)], &["run", "--init"]);
        assert!(code == 3 && text.contains(reason), "{reason}: {text}");
        let listed = jobs.restic("main", &["ls", "latest"]);
        assert!(
            listed.contains("/a.txt") && !listed.lines().any(|line| line.ends_with("app.sql")),
            "{listed}"
        );
        let restored = jobs.run(&[
            "-r",
            "main",
            "restore",
            "latest",
            "--part",
            "/mysql/main/app.sql",
            "--yes",
        ]);
        assert!(
            restored.code == 2 && restored.stderr.contains("is not whole"),
            "{restored}"
        );
    }
    let before = jobs.restic("main", &["snapshots", "--json"]);
    jobs.configure(&in_one(&source(&server, ", databases: [app], required: true")));
    let (code, text) = with_programs(&jobs, &[("mariadb-dump", &killed)], &["run"]);
    assert_eq!(code, 1, "{text}");
    assert_eq!(jobs.restic("main", &["snapshots", "--json"]), before);
    let old = "echo 'mariadb-dump  Ver 10.19 Distrib 10.6.1-MariaDB, for debian-linux-gnu (x86_64)'";
    let (code, text) = with_programs(&jobs, &[("mariadb-dump", old)], &["run"]);
    assert!(
        code == 1 && text.contains("older than the server") && text.contains("`mariadb-client`"),
        "{text}"
    );
}

#[test]
fn heavy_a_drill_without_a_server_program_says_so() {
    let server = MariadbServer::start();
    server.sql("CREATE DATABASE app; CREATE TABLE app.t (id INT); INSERT INTO app.t VALUES (1),(2)");
    let jobs = Jobs::new(&in_one(&source(
        &server,
        ", assert: ['SELECT COUNT(*) = 3 FROM app.t', 'SELECT 1 FROM other.t']",
    )));
    assert_eq!(jobs.run(&["run", "--init"]).code, 0);
    let drill = jobs.run(&["-r", "main", "drill", "latest", "--part", "/mysql/main/app.sql"]);
    assert!(
        drill.code == 20 && drill.stdout.contains("SELECT COUNT(*) = 3 FROM app.t: it says 0"),
        "{drill}"
    );
    assert!(
        drill
            .stdout
            .contains("SELECT 1 FROM other.t: not tested: it is not about `app`"),
        "{drill}"
    );
    let directory = jobs.scene.path("few");
    fs::create_dir(&directory).unwrap();
    for program in ["mariadb", "mariadb-dump", "id"] {
        symlink(format!("/usr/bin/{program}"), directory.join(program)).unwrap();
    }
    let mut command = jobs.command(&["-r", "main", "drill", "latest"]);
    let drill = jobs.scene.ended(command.env("PATH", directory));
    assert!(
        drill.code == 20
            && drill.stdout.contains("load into a server: not tested: there is no")
            && drill.stdout.contains("(package `mariadb-server`)")
            && drill.stdout.contains("RESTORE NOT PROVEN — /mysql/main/app.sql, "),
        "{drill}"
    );
}

/// Ends writers also when an assertion fails.
struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn heavy_a_mariadb_in_use_is_captured_as_of_one_moment() {
    let server = MariadbServer::start();
    // What lies between the two tables takes the dump longer than a transfer takes.
    server.sql(
        "CREATE DATABASE bank; USE bank; CREATE TABLE a (id INT PRIMARY KEY, balance INT); \
         CREATE TABLE between_them (id INT PRIMARY KEY, pad CHAR(200)); CREATE TABLE z (id INT PRIMARY KEY, balance INT); \
         INSERT INTO a SELECT seq, 100 FROM seq_1_to_100; INSERT INTO z SELECT seq, 100 FROM seq_1_to_100; \
         INSERT INTO between_them SELECT seq, REPEAT('x', 200) FROM seq_1_to_100000",
    );
    let jobs = Jobs::new(&in_one(&source(&server, ", databases: [bank]")));
    let sum = |database: &str| {
        server.sql(&format!(
            "SELECT (SELECT SUM(balance) FROM {database}.a) + (SELECT SUM(balance) FROM {database}.z)"
        ))
    };
    let expected = sum("bank");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                // From one table into the other, and rows that come and go.
                let transfer = "START TRANSACTION; SET @x = FLOOR(1 + RAND() * 100); UPDATE bank.a SET balance = balance - 7 WHERE id = @x; \
                                UPDATE bank.z SET balance = balance + 7 WHERE id = @x; INSERT INTO bank.z SELECT MAX(id) + 1, 0 FROM bank.z; COMMIT;\n";
                while !done.load(Ordering::Relaxed) {
                    // Two of them may be in each other's way.
                    let _ = server.try_sql(&transfer.repeat(20));
                }
            });
        }
        let _stop = SetWhenDropped(&done);
        for round in 0..rounds(3) {
            let (code, report) = jobs.report(&["run", "--init"]);
            assert_eq!(code, 0, "{report}");
            let copy = format!("copy{round}");
            let restored = jobs.run(&[
                "-r",
                "main",
                "restore",
                "latest",
                "--part",
                "/mysql/main/bank.sql",
                "--as",
                &copy,
                "--yes",
            ]);
            assert_eq!(restored.code, 0, "{restored}");
            assert_eq!(sum(&copy), expected, "money was made or lost");
            let rows = &report["parts"][0]["facts"]["rows"]["z"];
            let found = server.sql(&format!("SELECT COUNT(*) FROM {copy}.z; DROP DATABASE {copy}"));
            assert_eq!(rows.to_string(), found.trim(), "{report}");
        }
    });
    assert_ne!(
        server.sql("SELECT SUM(balance) FROM bank.a"),
        "10000\n",
        "somebody wrote"
    );
}

/// The programs are those of the container, in which alone the server can be reached.
#[test]
fn a_server_in_a_container_is_captured_and_put_back_there() {
    let mut server = MariadbServer::start();
    server.sql(
        "CREATE DATABASE app; CREATE TABLE app.notes (text TEXT); INSERT INTO app.notes VALUES ('one'), ('zwölf');
         CREATE USER backup@'127.0.0.1' IDENTIFIED BY 'hush'; GRANT ALL ON *.* TO backup@'127.0.0.1' WITH GRANT OPTION",
    );
    server.stop();
    let engine = testkit::docker::DockerEngine::start();
    let directory = server.file("");
    let data = format!("--datadir={}", server.file("data").display());
    let mut words = vec![
        "/usr/sbin/mariadbd",
        "--no-defaults",
        "--user=mysql",
        &data,
        "--innodb-log-file-size=8M",
    ];
    words.extend([
        "--bind-address=127.0.0.1",
        "--port=3306",
        "--socket=/tmp/socket",
        "--skip-name-resolve",
    ]);
    engine.run("db_prod", "mariadb:10.11", &[&directory], &words);
    let sql = |statement: &str| {
        let client = [
            "exec",
            "--env",
            "MYSQL_PWD=hush",
            "db_prod",
            "mariadb",
            "--protocol=tcp",
            "--host=127.0.0.1",
        ];
        let output = engine.docker(
            &[
                &client[..],
                &[
                    "--user=backup",
                    "--default-character-set=utf8mb4",
                    "-N",
                    "-e",
                    statement,
                ],
            ]
            .concat(),
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let begin = std::time::Instant::now();
    while sql("SELECT 1") != "1" {
        assert!(begin.elapsed().as_secs() < 60, "mariadbd did not start");
    }
    let with = |container: &str| {
        in_one(&format!(
            "      - mariadb: {{container: {container}, user: backup, password: {{file: dbpassword}}}}"
        ))
    };
    let jobs = Jobs::new(&with("db_prod"));
    fs::write(jobs.scene.path("dbpassword"), "hush").unwrap();
    let run = |words: &[&str]| {
        jobs.scene
            .ended(jobs.command(words).env("DOCKER_HOST", engine.address()))
    };
    let captured = run(&["run", "--init"]);
    assert_eq!(captured.code, 0, "{captured}");
    sql("DROP DATABASE app");
    let restored = run(&[
        "restore",
        "-r",
        "main",
        "latest",
        "--part",
        "/mysql/db_prod/app.sql",
        "--yes",
    ]);
    assert_eq!(restored.code, 0, "{restored}");
    assert_eq!(sql("SELECT group_concat(text) FROM app.notes"), "one,zwölf");
    let drill = run(&["drill", "-r", "main", "latest"]);
    assert_eq!(drill.code, 0, "{drill}");
}
