//! PostgreSQL of other versions than the system's: the nearest client programs are used, and what is too new for them is refused.

use crate::contract::configuration;
use crate::jobs::Jobs;
use crate::scene::Ended;
use testkit::postgres_server::{PostgresServer, newer_clients, newest_clients};

/// What came with different versions, and what is dumped in different ways.
const CONTENT: &str = "
CREATE ROLE clerk LOGIN PASSWORD 'secret of the clerk';
CREATE EXTENSION hstore;
CREATE TABLE numbered (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int CHECK (n > 0), twice int GENERATED ALWAYS AS (n * 2) STORED, h hstore
);
INSERT INTO numbered (n, h) SELECT n, 'a=>1' FROM generate_series(1, 700) n;
CREATE TABLE parted (at date NOT NULL, n int REFERENCES numbered (id)) PARTITION BY RANGE (at);
CREATE TABLE parted_2023 PARTITION OF parted FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE parted_rest PARTITION OF parted DEFAULT;
CREATE INDEX ON parted (n);
INSERT INTO parted SELECT '2023-06-01'::date + n, n FROM generate_series(1, 500) n;
CREATE VIEW sums AS SELECT at, sum(p.n) FROM parted p JOIN numbered ON id = p.n GROUP BY at;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.n := NEW.n + 1; RETURN NEW; END$$;
CREATE TRIGGER touched AFTER UPDATE ON parted FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE numbered OWNER TO clerk;
ALTER DATABASE app SET work_mem TO '5MB';
SELECT lo_from_bytea(4711, '\\x00010203');
";

const ROWS: &str =
    "SELECT (SELECT count(*) FROM numbered), (SELECT sum(twice) FROM numbered), (SELECT count(*) FROM parted),
    (SELECT count(*) FROM parted_2023), (SELECT count(*) FROM sums), nextval('numbered_id_seq'), lo_get(4711)";
const EXPECTED: &str = "700|490700|500|213|500|701|\\x00010203";

/// A server with everything in its database `app`.
fn filled(version: u32) -> PostgresServer {
    let server = PostgresServer::start_version(version);
    server.sql("postgres", "CREATE DATABASE app");
    server.sql("app", CONTENT);
    server
}

/// Two sources that are this server: as archives of `pg_dump`, and as another form.
fn sources(server: &PostgresServer, other: &str) -> String {
    let at = format!(
        "host: {}, port: {}, user: postgres",
        server.socket().display(),
        server.port()
    );
    configuration(&format!(
        "      - postgres: {{{at}, name: main, databases: [app]}}\n      - postgres: {{{at}, name: other, databases: [app], \
         globals: false, {other}}}"
    ))
}

fn jobs(server: &PostgresServer, other: &str) -> Jobs {
    let mut jobs = Jobs::new(&sources(server, other));
    jobs.programs = Some(newer_clients());
    jobs
}

fn restore(jobs: &Jobs, part: &str, name: &str) -> Ended {
    jobs.run(&["-r", "main", "restore", "latest", "--yes", "--part", part, "--as", name])
}

fn assert_kept(version: u32, clients: &str) {
    let server = filled(version);
    let mut jobs = jobs(&server, "parallel: 2");
    if version == 18 {
        jobs.programs = Some(newest_clients());
    }
    let (code, report) = jobs.report(&["run", "--init"]);
    assert_eq!(code, 0, "{report}");
    for part in report["parts"].as_array().unwrap() {
        let facts = &part["facts"];
        let of = |program: &str| facts["versions"][program].as_str().unwrap_or_default().to_owned();
        let program = of("pg_dump") + &of("pg_dumpall");
        assert!(
            program.starts_with(clients) && of("server").starts_with(&version.to_string()),
            "{part}"
        );
        assert!(
            facts["rows"].is_null() || facts["rows"]["public.parted_2023"] == 213,
            "{part}"
        );
    }
    for (part, name) in [
        ("/postgres/main/app.dump", "beside"),
        ("/postgres/other/app", "parallel"),
    ] {
        let restored = restore(&jobs, part, name);
        assert_eq!(restored.code, 0, "{version}: {restored}");
        assert_eq!(server.sql(name, ROWS), EXPECTED);
    }
    // Over itself, after something was lost.
    server.sql("app", "DROP VIEW sums; DELETE FROM parted WHERE n > 7");
    let restored = jobs.run(&[
        "-r",
        "main",
        "restore",
        "latest",
        "--yes",
        "--part",
        "/postgres/main/app.dump",
        "--overwrite",
    ]);
    assert_eq!(restored.code, 0, "{version}: {restored}");
    assert_eq!(server.sql("app", ROWS), EXPECTED);
    let roles = jobs.run(&[
        "-r",
        "main",
        "restore",
        "latest",
        "--yes",
        "--part",
        "/postgres/main/globals.sql",
        "--overwrite",
    ]);
    assert_eq!(roles.code, 0, "{version}: {roles}");
    let drill = jobs.run(&["-r", "main", "drill", "latest"]);
    assert!(
        drill.code == 0 && drill.stdout.contains("2 roles, 6 tables, 2400 rows"),
        "{version}: {drill}"
    );
}

#[test]
fn heavy_postgres_12_is_captured_by_the_nearest_programs() {
    assert_kept(12, "15.");
}

#[test]
fn heavy_postgres_13_is_captured_by_the_nearest_programs() {
    assert_kept(13, "15.");
}

#[test]
fn heavy_postgres_14_is_captured_by_the_nearest_programs() {
    assert_kept(14, "15.");
}

#[test]
fn heavy_postgres_16_is_captured_by_programs_on_the_search_path() {
    assert_kept(16, "17.");
}

#[test]
fn heavy_postgres_17_is_captured_by_programs_on_the_search_path() {
    assert_kept(17, "17.");
}

#[test]
fn heavy_postgres_18_is_captured_by_its_own_programs() {
    assert_kept(18, "18.");
}

#[test]
fn heavy_postgres_moves_to_other_versions() {
    let (old, new) = (filled(12), filled(17));
    let jobs = jobs(&old, "format: plain");
    assert_eq!(jobs.run(&["run", "--init"]).code, 0);
    // What an older server held goes into a newer one.
    new.sql("postgres", "DROP DATABASE app");
    jobs.configure(&sources(&new, "format: plain"));
    let restored = jobs.run(&[
        "-r",
        "main",
        "restore",
        "latest",
        "--yes",
        "--part",
        "/postgres/main/app.dump",
    ]);
    assert_eq!(restored.code, 0, "{restored}");
    assert_eq!(new.sql("app", ROWS), EXPECTED);
    // Back into the older one: as SQL, as far as it does not hold what that does not know.
    new.sql("app", "SELECT setval('numbered_id_seq', 700)");
    assert_eq!(jobs.run(&["run"]).code, 0);
    jobs.configure(&sources(&old, "format: plain"));
    let restored = restore(&jobs, "/postgres/other/app.sql", "beside");
    assert_eq!(restored.code, 0, "{restored}");
    assert_eq!(old.sql("beside", ROWS), EXPECTED);
    let refused = restore(&jobs, "/postgres/main/app.dump", "again");
    assert!(
        refused.code == 1 && refused.stderr.contains("`pg_dump` 17") && refused.stderr.contains("version 17 or newer"),
        "{refused}"
    );
    // An extension that the older one does not have is named before anything is done.
    new.sql("app", "CREATE EXTENSION pg_walinspect");
    jobs.configure(&sources(&new, "format: plain"));
    assert_eq!(jobs.run(&["run"]).code, 0);
    jobs.configure(&sources(&old, "format: plain"));
    let part = ["--part", "/postgres/other/app.sql", "--overwrite"];
    let refused = jobs.run(&[&["-r", "main", "restore", "latest", "--yes"], &part[..]].concat());
    assert!(
        refused.code == 1
            && refused
                .stderr
                .contains("the extensions pg_walinspect; nothing was changed"),
        "{refused}"
    );
    let databases = "SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database WHERE NOT datistemplate";
    assert_eq!(old.sql("postgres", databases), "app,beside,postgres");
}

#[test]
fn heavy_postgres_18_is_refused_by_older_programs() {
    let server = filled(18);
    let source = format!(
        "      - postgres: {{host: {}, port: {}, user: postgres, name: main}}",
        server.socket().display(),
        server.port()
    );
    let mut jobs = Jobs::new(&configuration(&format!("      - files: ./data\n{source}")));
    jobs.programs = Some(newer_clients());
    let (code, report) = jobs.report(&["run", "--init"]);
    assert_eq!(code, 3, "{report}");
    let parts = report["parts"].as_array().unwrap();
    let part = parts.iter().find(|part| part["path"] == "/postgres/main").unwrap();
    let problem = part["problem"].as_str().unwrap();
    assert!(
        problem.contains("PostgreSQL 18.") && problem.contains("are 17."),
        "{problem}"
    );
    let restored = jobs.run(&["-r", "main", "restore", "latest", "--yes", "--part", "/postgres/main"]);
    assert!(
        restored.code == 2 && restored.stderr.contains("is not whole"),
        "{restored}"
    );
    jobs.configure(&configuration(
        &source.replace("name: main", "name: main, required: true"),
    ));
    let ended = jobs.run(&["run"]);
    assert!(
        ended.code != 0
            && ended.to_string().contains("`postgresql-client-18`")
            && ended.stdout.contains(": nothing new\n"),
        "{ended}"
    );
}
