//! SQLite databases: captured while they are in use, proven, put back.

use crate::contract::{Subject, configuration};
use crate::jobs::{Jobs, rounds};
use crate::scene::Ended;
use rusqlite::Connection;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const EVERYTHING: &str = "
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, photo BLOB, weight REAL, note);
INSERT INTO people VALUES (1, 'Zoë ''quoted'' 🔒', x'00ff10', 1.5, NULL), (2, '', zeroblob(100000), -0.0, 7);
CREATE TABLE \"order\"\"s\" (id INTEGER PRIMARY KEY, person REFERENCES people(id));
INSERT INTO \"order\"\"s\" VALUES (1, 1), (2, 2);
CREATE TABLE plain (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID;
INSERT INTO plain VALUES ('x', 1), ('x', 2);
CREATE INDEX by_name ON people(name);
CREATE VIEW names AS SELECT name FROM people;
CREATE TRIGGER grow AFTER INSERT ON people BEGIN UPDATE plain SET b = b + 10; END;
CREATE VIRTUAL TABLE texts USING fts5(body);
INSERT INTO texts VALUES ('to be found'), ('or not');
CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1);
INSERT INTO boxes VALUES (1, 0, 10);
PRAGMA user_version = 42;
";

/// All of the newest restore point.
fn restore(jobs: &Jobs, repository: &str, target: &Path) -> Ended {
    let target = target.to_str().unwrap();
    jobs.run(&["-r", repository, "restore", "latest", "--target", target])
}

/// Everything that `.dump` would show, and what full text search finds.
fn state(path: &Path) -> String {
    let Ok(connection) = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY) else {
        return "cannot be opened".to_owned();
    };
    let all = |sql: &str| -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare(sql)?;
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let values: rusqlite::Result<Vec<String>> = (0..columns)
                .map(|at| Ok(format!("{:?}", row.get::<_, rusqlite::types::Value>(at)?)))
                .collect();
            Ok(values?.join("|"))
        })?;
        rows.collect()
    };
    let queries = [
        "SELECT type, name, sql FROM sqlite_schema ORDER BY 1, 2",
        "SELECT * FROM people",
        "SELECT * FROM \"order\"\"s\"",
        "SELECT * FROM plain",
        "SELECT * FROM texts WHERE texts MATCH 'found'",
        "SELECT * FROM boxes WHERE x1 > 5",
        "PRAGMA user_version",
    ];
    let found: rusqlite::Result<Vec<Vec<String>>> = queries.iter().map(|sql| all(sql)).collect();
    found.map_or_else(|error| error.to_string(), |found| format!("{found:?}"))
}

fn assert_contract(journal: &str) {
    let jobs = Jobs::new(&configuration("      - sqlite: {path: ./app.sqlite, name: app}"));
    let path = jobs.scene.path("app.sqlite");
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "journal_mode", journal).unwrap();
    connection.execute_batch(EVERYTHING).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let beside = jobs.scene.path("beside.sqlite");
    Subject {
        jobs: &jobs,
        repositories: &["main", "archives"],
        part: "/sqlite/app.db",
        rename: None,
        refuses: true,
        state: &|name| state(name.map_or(&path, Path::new)),
        damage: &|| {
            connection
                .execute_batch("PRAGMA foreign_keys = off; DELETE FROM people; PRAGMA user_version = 1")
                .unwrap();
        },
    }
    .assert_holds();
    // The connection that was open all the time sees what was restored, and goes on.
    let people: i64 = connection
        .query_row("SELECT count(*) FROM people", [], |row| row.get(0))
        .unwrap();
    assert_eq!(people, 2);
    connection
        .execute_batch("INSERT INTO people(name) VALUES ('new')")
        .unwrap();
    let restored = jobs.run(&[
        "-r",
        "main",
        "restore",
        "latest",
        "--part",
        "/sqlite/app.db",
        "--yes",
        "--as",
        beside.to_str().unwrap(),
    ]);
    assert_eq!(restored.code, 0, "{restored}");
    assert_eq!(fs::metadata(&beside).unwrap().mode() & 0o7777, 0o640);
    assert!(state(&beside).contains("Zoë") && state(&beside).contains("to be found"));
    let listed = jobs.restic("main", &["ls", "latest", "/sqlite"]);
    assert!(!listed.contains("-wal") && !listed.contains("-shm"), "{listed}");
}

#[test]
fn a_database_with_a_write_ahead_log_keeps_the_contract() {
    assert_contract("wal");
}

#[test]
fn a_database_with_a_rollback_journal_keeps_the_contract() {
    assert_contract("delete");
}

/// Ends the writer also when an assertion fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Moves money while it is captured, again and again; every copy has to hold all of it.
fn assert_consistent_under_load(journal: &str) {
    let jobs = Jobs::new(&configuration("      - sqlite: {path: ./bank.db}"));
    let path = jobs.scene.path("bank.db");
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "journal_mode", journal).unwrap();
    connection.pragma_update(None, "synchronous", "off").unwrap();
    connection
        .execute_batch(
            "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER, filler BLOB);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
             INSERT INTO accounts SELECT i, 100, randomblob(400) FROM n;",
        )
        .unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn({
            let stop = &stop;
            move || {
                let (mut slowest, mut moved) = (Duration::ZERO, 0);
                let mut generator = fastrand::Rng::with_seed(7);
                connection.busy_timeout(Duration::from_secs(60)).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    let (from, to) = (generator.u32(1..=20_000), generator.u32(1..=20_000));
                    let begin = Instant::now();
                    connection
                        .execute_batch(&format!(
                            "BEGIN IMMEDIATE; UPDATE accounts SET balance = balance - 1 WHERE id = {from};
                         UPDATE accounts SET balance = balance + 1, filler = randomblob(400) WHERE id = {to}; COMMIT"
                        ))
                        .unwrap();
                    slowest = slowest.max(begin.elapsed());
                    moved += 1;
                    std::thread::sleep(Duration::from_micros(200));
                }
                (slowest, moved)
            }
        });
        let stopped = StopOnDrop(&stop);
        for round in 0..rounds(4) {
            let (code, report) = jobs.report(&["run", "--init"]);
            assert_eq!(code, 0, "{report}");
            let rows = &report["parts"][0]["facts"]["rows"]["accounts"];
            assert_eq!(rows, &Value::from(20_000), "{report}");
            let drill = jobs.run(&["-r", "main", "drill", "latest"]);
            assert!(drill.code == 0 && drill.stdout.contains("20000 rows"), "{drill}");
            let copy = jobs.scene.path(&format!("copy-{round}.db"));
            let part = ["--part", "/sqlite/bank.db", "--yes", "--as", copy.to_str().unwrap()];
            let restored = jobs.run(&[&["-r", "archives", "restore", "latest"][..], &part].concat());
            assert_eq!(restored.code, 0, "{restored}");
            let sum: i64 = Connection::open(&copy)
                .unwrap()
                .query_row("SELECT sum(balance) FROM accounts", [], |row| row.get(0))
                .unwrap();
            assert_eq!(sum, 2_000_000);
        }
        drop(stopped);
        let (slowest, moved) = writer.join().unwrap();
        println!("{journal}: {moved} transactions, the slowest took {slowest:?}");
        assert!(moved > 100);
    });
}

#[test]
fn copies_are_consistent_while_an_application_writes_to_its_log() {
    assert_consistent_under_load("wal");
}

#[test]
fn copies_are_consistent_while_an_application_writes_with_a_journal() {
    assert_consistent_under_load("delete");
}

#[test]
fn what_is_no_database_or_damaged_is_named_and_nothing_that_looks_good_is_stored() {
    let jobs = Jobs::new(&configuration(
        "      - files: ./data\n      - sqlite: {path: ./app.db}",
    ));
    let path = jobs.scene.path("app.db");
    let problem = |expected: &str| {
        let (code, report) = jobs.report(&["run", "--init"]);
        let problem = report["parts"][1]["problem"].as_str().unwrap_or_default();
        assert!(code == 3 && problem.contains(expected), "{expected}: {report}");
        let listed = jobs.restic("main", &["ls", "latest"]);
        assert!(!listed.lines().any(|line| line == "/sqlite/app.db"), "{listed}");
    };
    problem("No such file");
    fs::write(&path, "").unwrap();
    problem("is no SQLite database");
    fs::remove_file(&path).unwrap();
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(EVERYTHING).unwrap();
    // Held by somebody who does not let go would take half a minute: a damaged one shows the same way at once.
    drop(connection);
    let mut bytes = fs::read(&path).unwrap();
    let length = bytes.len();
    bytes[4096..length.min(12_288)].fill(0x55);
    fs::write(&path, &bytes).unwrap();
    problem("is damaged");
}

/// A database among files, with a log that holds what was written last, and beside it what only looks like one.
#[test]
fn a_database_among_files_is_captured_whole_without_its_log() {
    let jobs = Jobs::new(&configuration("      - files: ./data"));
    let data = jobs.scene.path("data");
    let path = data.join("app.db");
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "journal_mode", "wal").unwrap();
    connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    connection.execute_batch(EVERYTHING).unwrap();
    connection
        .query_row("PRAGMA wal_checkpoint(truncate)", [], |_| Ok(()))
        .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
    fs::write(data.join("notes"), [7; 1024]).unwrap();
    fs::write(data.join("notes-wal"), "no log of a database").unwrap();
    let before = state(&path);
    for (round, name) in ["first", "second", "third"].into_iter().enumerate() {
        // The file itself does not change: only its log does.
        let length = fs::metadata(&path).unwrap().len();
        connection.execute("INSERT INTO plain VALUES (?1, 0)", [name]).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), length);
        let (code, report) = jobs.report(&["run", "--init"]);
        assert_eq!(code, 0, "{report}");
        for repository in ["main", "archives"] {
            let target = jobs.scene.path(&format!("{repository}-{round}"));
            let restored = restore(&jobs, repository, &target);
            assert_eq!(restored.code, 0, "{restored}");
            let below = target.join("files").join(data.strip_prefix("/").unwrap());
            let names: Vec<_> = fs::read_dir(&below)
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            assert_eq!(names.len(), 5, "{names:?}");
            let copy = below.join("app.db");
            assert_eq!(state(&copy), state(&path));
            let mode = fs::metadata(&copy).unwrap().mode() & 0o7777;
            assert_eq!(mode, 0o604);
            let is_whole: String = Connection::open(&copy)
                .unwrap()
                .query_row("PRAGMA integrity_check", [], |row| row.get(0))
                .unwrap();
            assert_eq!(is_whole, "ok");
            let drill = jobs.run(&["-r", repository, "drill", "latest"]);
            assert_eq!(drill.code, 0, "{drill}");
        }
        assert_ne!(state(&path), before);
    }
    // Nothing changed: it is looked at all the same, and nothing is new.
    let (_, report) = jobs.report(&["run"]);
    assert!(
        report["destinations"][0]["stored"]["added_bytes"].as_u64().unwrap() < 4096,
        "{report}"
    );
    // Put back in place: the log of what is there now would be taken for that of what is restored.
    let captured = state(&path);
    connection
        .execute_batch("PRAGMA foreign_keys = off; DELETE FROM people; DELETE FROM plain")
        .unwrap();
    // As an application that was killed leaves it.
    let left = ["app.db", "app.db-wal"].map(|name| (data.join(name), fs::read(data.join(name)).unwrap()));
    drop(connection);
    left.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    let part = format!("/files{}", data.display());
    let restore = ["-r", "main", "restore", "latest", "--part", &part, "--overwrite"];
    let planned = jobs.run(&[&restore[..], &["--dry-run"]].concat());
    assert!(
        planned
            .stdout
            .contains("app.db-wal`, the log of a database that is replaced"),
        "{planned}"
    );
    assert!(!planned.stdout.contains("notes-wal"), "{planned}");
    let restored = jobs.run(&[&restore[..], &["--yes"]].concat());
    assert_eq!(restored.code, 0, "{restored}");
    assert!(!data.join("app.db-wal").exists() && data.join("notes-wal").exists());
    assert_eq!(state(&path), captured);
}

#[test]
fn a_damaged_database_among_files_is_stored_as_it_is_and_reported() {
    let jobs = Jobs::new(&configuration("      - files: ./data"));
    let path = jobs.scene.path("data/app.db");
    Connection::open(&path).unwrap().execute_batch(EVERYTHING).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096..12_288].fill(0x55);
    fs::write(&path, &bytes).unwrap();
    // Whoever repairs it needs all of it.
    fs::write(path.with_file_name("app.db-wal"), "its log").unwrap();
    let (code, report) = jobs.report(&["run", "--init"]);
    assert_eq!((code, &report["outcome"]), (3, &Value::from("incomplete")), "{report}");
    for repository in ["main", "archives"] {
        let dumped = jobs.scene.path("dumped");
        let target = dumped.join(repository);
        restore(&jobs, repository, &target);
        let copy = target.join("files").join(path.strip_prefix("/").unwrap());
        assert!(fs::read(&copy).unwrap() == bytes, "{repository}");
        let log = fs::read(copy.with_file_name("app.db-wal")).unwrap();
        assert_eq!(log, b"its log", "{repository}");
    }
}

/// As an application leaves it that is killed when part of a transaction is in the file already.
#[test]
fn a_database_that_was_left_in_a_transaction_is_captured_as_of_before() {
    let jobs = Jobs::new(&configuration(
        "      - files: ./data\n      - sqlite: {path: ./data/app.db}",
    ));
    let original = jobs.scene.path("original.db");
    let application = Connection::open(&original).unwrap();
    application
        .execute_batch(
            "PRAGMA cache_size = 5; CREATE TABLE accounts (balance, note);
             WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
             INSERT INTO accounts SELECT i, hex(randomblob(500)) FROM n;",
        )
        .unwrap();
    let before = fs::read(&original).unwrap();
    application
        .execute_batch("BEGIN; UPDATE accounts SET balance = -1, note = hex(randomblob(500));")
        .unwrap();
    let path = jobs.scene.path("data/app.db");
    for ending in ["", "-journal"] {
        let from = format!("{}{ending}", original.display());
        fs::copy(from, format!("{}{ending}", path.display())).unwrap();
    }
    drop(application);
    let left = fs::read(&path).unwrap();
    assert!(left != before, "part of the transaction is in the file");
    let (code, report) = jobs.report(&["run", "--init"]);
    assert_eq!(code, 0, "{report}");
    assert!(fs::read(&path).unwrap() == left, "the original is the application's");
    for repository in ["main", "archives"] {
        let target = jobs.scene.path(&format!("{repository}-restored"));
        let restored = restore(&jobs, repository, &target);
        assert_eq!(restored.code, 0, "{restored}");
        let among_files = target.join("files").join(path.strip_prefix("/").unwrap());
        for copy in [among_files, target.join("sqlite/app.db")] {
            let connection = Connection::open(&copy).unwrap();
            let wrong: i64 = connection
                .query_row("SELECT count(*) FROM accounts WHERE balance < 0", [], |row| row.get(0))
                .unwrap();
            assert_eq!(wrong, 0, "{}", copy.display());
        }
    }
}
