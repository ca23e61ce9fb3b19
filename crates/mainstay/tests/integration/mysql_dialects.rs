//! MySQL: what it says and does unlike MariaDB, on a real server with its own programs. A MariaDB of a later series beside it.

use crate::contract::{Subject, configuration};
use crate::jobs::Jobs;
use std::fs;
use testkit::certificates::Certificates;
use testkit::mariadb_server::{Flavour, MariadbServer};

/// What both have is tested with MariaDB; this is what only MySQL has, or has in another way.
const EVERYTHING: &str = r#"
CREATE DATABASE app CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci;
USE app;
SET sql_mode = '';
CREATE TABLE `odd ``name`` ☕` (id INT PRIMARY KEY AUTO_INCREMENT, `a b` BIT(9), bl BLOB, j JSON, d DATE, dt DATETIME(6),
  e ENUM('a','it''s'), s SET('x','y'), g GEOMETRY, p POINT NOT NULL SRID 4326, gen INT AS (dec1*2) STORED, v INT AS (f+1) VIRTUAL,
  t TEXT COMMENT 'multi
line; `x`', bin VARBINARY(20), f DOUBLE, dec1 DECIMAL(20,5), u BINARY(16) DEFAULT (UUID_TO_BIN(UUID())), hidden INT INVISIBLE,
  CONSTRAINT positive CHECK (f > 0), SPATIAL INDEX (p), INDEX functional ((dec1 * 3)), INDEX down (d DESC));
INSERT INTO `odd ``name`` ☕` (`a b`,bl,j,d,dt,e,s,g,p,t,bin,f,dec1,hidden) VALUES
  (b'101',x'00ff27225c0a','{"a":"it''s"}','0000-00-00','2020-02-30','it''s','x,y',ST_GeomFromText('POINT(1 2)'),
   ST_GeomFromText('POINT(1 2)', 4326),'a\'b"c\\d\n),(\r\0\Z😀;\t',x'00',1.5,2.5,7);
CREATE TABLE parent (id INT PRIMARY KEY);
CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent(id));
INSERT INTO parent VALUES (1),(2);
INSERT INTO child VALUES (1,1);
CREATE TABLE log (m TEXT);
CREATE TABLE parted (id INT, at DATE) PARTITION BY RANGE (YEAR(at)) (PARTITION old VALUES LESS THAN (2020), PARTITION new VALUES LESS THAN MAXVALUE);
INSERT INTO parted VALUES (1, '2019-01-01'), (2, '2024-01-01');
CREATE USER ghost@'%' IDENTIFIED BY 'x';
CREATE ROLE boss;
GRANT SELECT, EXECUTE ON *.* TO boss;
GRANT boss TO ghost@'%';
ALTER USER ghost@'%' DEFAULT ROLE boss;
CREATE DEFINER=ghost@'%' VIEW `v w` AS SELECT id, 'it''s `app`.`parent`.`id`' AS x FROM parent;
DELIMITER //
CREATE TRIGGER trg AFTER INSERT ON parent FOR EACH ROW BEGIN INSERT INTO log VALUES (CONCAT('in;', NEW.id)); END//
CREATE DEFINER=ghost@'%' PROCEDURE pr(IN x INT) BEGIN SELECT x, 'it''s;'; END//
CREATE FUNCTION fu() RETURNS INT DETERMINISTIC RETURN 7//
CREATE VIEW vf AS SELECT fu() AS x, p.id FROM parent p JOIN child ON child.p = p.id//
CREATE EVENT ev ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01' DO INSERT INTO log VALUES ('event')//
"#;

fn jobs(server: &MariadbServer, flavour: Flavour, more: &str) -> Jobs {
    let kind = if flavour == Flavour::Mysql { "mysql" } else { "mariadb" };
    let source = format!(
        "      - {kind}: {{host: {}, name: main, user: root{more}}}",
        server.socket().display()
    );
    let mut jobs = Jobs::new(&configuration(&source));
    jobs.programs = Some(flavour.programs());
    jobs
}

/// All that the server's own dump program says of a database, by the name `app`; events of a copy are disabled.
#[expect(clippy::disallowed_methods, reason = "the server's dump program is the judge")]
fn state(server: &MariadbServer, flavour: Flavour, database: &str) -> String {
    let options = [
        "--no-defaults",
        "--user=root",
        "--routines",
        "--events",
        "--hex-blob",
        "--skip-dump-date",
        "--skip-comments",
    ];
    let output = std::process::Command::new(flavour.dumper())
        .args(options)
        .arg(format!("--socket={}", server.socket().display()))
        .arg(database)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let text = text.replace(&format!("`{}`", database.replace('`', "``")), "`app`");
    let text = text.replace("PRESERVE ENABLE DO INSERT", "PRESERVE DISABLE DO INSERT");
    text + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn heavy_mysql_keeps_the_contract() {
    let server = MariadbServer::start_flavour(Flavour::Mysql, &[]);
    server.sql(EVERYTHING);
    let jobs = jobs(
        &server,
        Flavour::Mysql,
        ", assert: ['SELECT COUNT(*) = 2 FROM app.parent']",
    );
    let subject = Subject {
        jobs: &jobs,
        repositories: &["main"],
        part: "/mysql/main/app.sql",
        rename: Some("copy `2`"),
        refuses: true,
        state: &|name| state(&server, Flavour::Mysql, name.unwrap_or("app")),
        damage: &|| {
            server.sql("DELETE FROM app.child; DROP TABLE app.log; DROP EVENT app.ev; CREATE TABLE app.new (id INT)");
        },
    };
    subject.assert_holds();
    assert_one_table_comes_back(&server, &jobs);
    assert_accounts_come_back(&server, &jobs);
    assert_few_rights_are_enough(&server, &jobs);
}

/// Those that the guide names, over the network.
fn assert_few_rights_are_enough(server: &MariadbServer, jobs: &Jobs) {
    server.sql(
        "CREATE USER reader@'%' IDENTIFIED BY 'pa ss'; GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON *.* TO reader@'%'",
    );
    fs::write(jobs.scene.path("dbpassword"), "pa ss").unwrap();
    let reach = format!(
        "host: 127.0.0.1, port: {}, user: reader, password: {{file: dbpassword}}",
        server.port()
    );
    jobs.configure(&configuration(&format!("      - mysql: {{{reach}, name: main}}")));
    let ran = jobs.run(&["run"]);
    assert!(
        ran.code == 0 && !ran.stderr.contains("left out") && !ran.stderr.contains("lacks"),
        "{ran}"
    );
    let (code, report) = jobs.report(&["run"]);
    let facts = &report["parts"][0]["facts"];
    let counts =
        ["tables", "views", "triggers", "routines", "events"].map(|what| facts["more"][what].as_u64().unwrap());
    assert_eq!((code, counts), (0, [5, 2, 1, 2, 1]), "{report}");
    server.sql("REVOKE TRIGGER ON *.* FROM reader@'%'");
    let probe = jobs.run(&["probe"]);
    assert!(
        probe.code == 1 && probe.stdout.contains("lacks TRIGGER on `app`"),
        "{probe}"
    );
    fs::write(jobs.scene.path("dbpassword"), "wro ng").unwrap();
    let refused = jobs.run(&["run"]);
    assert!(
        refused.code == 1 && refused.to_string().contains("the server refuses the login"),
        "{refused}"
    );
}

fn assert_one_table_comes_back(server: &MariadbServer, jobs: &Jobs) {
    let before = state(server, Flavour::Mysql, "app");
    server.sql("UPDATE app.child SET p = 2; DELETE FROM app.parent WHERE id = 1");
    let part = "/mysql/main/app.sql/parent";
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
    assert_eq!(restored.code, 0, "{restored}");
    server.sql("UPDATE app.child SET p = 1");
    assert_eq!(
        state(server, Flavour::Mysql, "app"),
        before,
        "its trigger is there, nothing else changed"
    );
}

fn assert_accounts_come_back(server: &MariadbServer, jobs: &Jobs) {
    let granted = || {
        let show = "SHOW CREATE USER ghost@'%'; SHOW CREATE USER boss; SHOW GRANTS FOR ghost@'%'; SHOW GRANTS FOR boss";
        server.sql(&format!("SET print_identified_with_as_hex = 1; {show}"))
    };
    let before = granted();
    let restore = |more: &[&str]| {
        jobs.run(
            &[
                &[
                    "-r",
                    "main",
                    "restore",
                    "latest",
                    "--part",
                    "/mysql/main/users.sql",
                    "--yes",
                ],
                more,
            ]
            .concat(),
        )
    };
    server.sql("DROP USER ghost@'%'; DROP ROLE boss");
    let restored = restore(&[]);
    assert_eq!(restored.code, 0, "{restored}");
    assert_eq!(granted(), before);
    let refused = restore(&[]);
    assert!(
        refused.code == 2 && refused.stderr.contains("all these accounts exist"),
        "{refused}"
    );
    server.sql(
        "ALTER USER ghost@'%' IDENTIFIED BY 'other'; REVOKE EXECUTE ON *.* FROM boss; GRANT DELETE ON *.* TO boss",
    );
    let replaced = restore(&["--overwrite"]);
    assert_eq!(replaced.code, 0, "{replaced}");
    assert_eq!(granted(), before);
    let (code, drill) = jobs.report(&["-r", "main", "drill", "latest", "--part", "/mysql/main/users.sql"]);
    assert_eq!(code, 0, "{drill}");
}

/// The series after which programs check certificates unless they are told not to.
#[test]
fn heavy_a_newer_mariadb_keeps_the_contract() {
    let server = MariadbServer::start_flavour(Flavour::NewerMariadb, &[]);
    server.sql(
        "CREATE DATABASE app; USE app; CREATE TABLE notes (id UUID DEFAULT UUID() PRIMARY KEY, at INET6, n INT) WITH SYSTEM VERSIONING;
         INSERT INTO notes (at, n) VALUES ('::1', 1); CREATE SEQUENCE sq; CREATE TABLE m (v VECTOR(2) NOT NULL, VECTOR INDEX (v));
         INSERT INTO m VALUES (VEC_FromText('[1,2]')); CREATE USER backup@'%' IDENTIFIED BY 'pa ss'; GRANT ALL ON *.* TO backup@'%'",
    );
    let jobs = jobs(&server, Flavour::NewerMariadb, ", databases: [app]");
    let subject = Subject {
        jobs: &jobs,
        repositories: &["main"],
        part: "/mysql/main/app.sql",
        rename: Some("copy"),
        refuses: true,
        state: &|name| state(&server, Flavour::NewerMariadb, name.unwrap_or("app")),
        damage: &|| drop(server.sql("DELETE FROM app.notes; DROP TABLE app.m")),
    };
    subject.assert_holds();
    // The server made a certificate of its own, which nobody knows; but from 11.4 on, the password proves it.
    fs::write(jobs.scene.path("dbpassword"), "pa ss").unwrap();
    fs::copy(Certificates::new().file("other.pem"), jobs.scene.path("other.pem")).unwrap();
    for (tls, code) in [
        ("prefer", 0),
        ("require", 0),
        ("verify-full", 0),
        ("verify-full, ca_file: other.pem", 1),
        ("disable", 0),
    ] {
        let reach = format!(
            "host: 127.0.0.1, port: {}, user: backup, password: {{file: dbpassword}}",
            server.port()
        );
        let source = format!("      - mariadb: {{{reach}, databases: [app], required: true, tls: {tls}}}");
        jobs.configure(&configuration(&source));
        let ran = jobs.run(&["run", "--init"]);
        assert_eq!(ran.code, code, "{tls}: {ran}");
    }
}
