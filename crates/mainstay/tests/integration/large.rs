//! Values as large as dump programs can take: a gibibyte of text in one field.

use crate::contract::configuration;
use crate::jobs::Jobs;
use std::fs;
use std::time::Duration;
use testkit::mariadb_server::MariadbServer;
use testkit::postgres_server::PostgresServer;

/// More memory than this is not used, whatever is in a database.
const MOST_MIB: u64 = 300;

/// How large the value is, MiB: `usual`, unless the environment asks for more.
#[expect(
    clippy::disallowed_methods,
    reason = "the variable is of the tests, not of the program"
)]
fn mebibytes(usual: u64) -> u64 {
    let wanted = std::env::var("MAINSTAY_TEST_VALUE_MIB");
    wanted.map_or(usual, |text| text.parse().expect("MAINSTAY_TEST_VALUE_MIB is a number"))
}

/// Run it to its end, which has to be a good one; its peak of memory, without that of the programs that it starts.
fn peak_mib(jobs: &Jobs, arguments: &[&str]) -> u64 {
    let mut child = jobs.start(arguments);
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or_default() >> 10);
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{arguments:?}: {peak} MiB");
    assert!(peak > 0 && peak < MOST_MIB, "{arguments:?}: {peak} MiB");
    peak
}

fn assert_comes_back(source: &str, part: &str, table: &str, state: &dyn Fn(&str) -> String) {
    let jobs = Jobs::new(&configuration(source).replace("to: [main, archives]", "to: [main]"));
    let before = state("app");
    peak_mib(&jobs, &["run", "--init"]);
    let restore = |part: &str, more: &[&str]| {
        let restore = ["-r", "main", "restore", "latest", "--part", part, "--yes"];
        peak_mib(&jobs, &[&restore[..], more].concat());
    };
    restore(part, &["--as", "copy"]);
    assert_eq!(state("copy"), before);
    restore(&format!("{part}/{table}"), &["--overwrite"]);
    assert_eq!(state("app"), before);
}

#[test]
fn heavy_values_of_postgres_may_be_as_large_as_pg_dump_can_take() {
    let mib = mebibytes(64);
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE app");
    // A dump has bytes as digits: two of them, or a character of text, for each byte of a row.
    let text = format!("substr(string_agg(md5(n::text), ''), 1, {mib} * 1048576)");
    let sql = format!(
        "CREATE TABLE large (id int PRIMARY KEY, text text, bytes bytea); \
         ALTER TABLE large ALTER text SET STORAGE EXTERNAL, ALTER bytes SET STORAGE EXTERNAL; \
         INSERT INTO large SELECT 1, {text} FROM generate_series(1, {mib} * 32768) n; \
         INSERT INTO large SELECT 2, NULL, decode(left(text, length(text) / 1048576 * 1048576 - 2097152), 'hex') FROM large WHERE id = 1; \
         INSERT INTO large VALUES (3, 'small', 'small')"
    );
    server.sql("app", &sql);
    let state = |database: &str| {
        server.sql(
            database,
            "SELECT id, length(text), md5(text), length(bytes), md5(bytes) FROM large ORDER BY id",
        )
    };
    let (socket, port) = (server.socket().display(), server.port());
    let source = |more: &str| {
        format!(
            "      - postgres: {{host: {socket}, port: {port}, user: postgres, name: main, databases: [app]{more}}}"
        )
    };
    // From a gibibyte on, only plain SQL stays one file.
    let (format, part) = if mib < 512 {
        ("", "/postgres/main/app.dump")
    } else {
        (", format: plain", "/postgres/main/app.sql")
    };
    assert_comes_back(&source(format), part, "public.large", &state);
    server.sql("postgres", "DROP DATABASE copy");
    assert_comes_back(&source(", parallel: 2"), "/postgres/main/app", "public.large", &state);
}

#[test]
fn heavy_values_of_mariadb_may_be_as_large_as_its_packets() {
    // The server takes no packet of more than 1 GiB, and bytes are digits in a dump.
    let mib = mebibytes(64).min(480);
    let server = MariadbServer::start_with(&["--max-allowed-packet=1G", "--innodb-log-file-size=512M"]);
    server.sql("CREATE DATABASE app; CREATE TABLE app.large (id INT PRIMARY KEY, bytes LONGBLOB)");
    server.sql(&format!(
        "INSERT INTO app.large VALUES (1, REPEAT(UNHEX('00ff27225c0a1a4d'), {mib} * 131072)), (2, 'small')"
    ));
    let state = |database: &str| {
        server.sql(&format!(
            "SELECT id, LENGTH(bytes), MD5(bytes) FROM {database}.large ORDER BY id"
        ))
    };
    let source = format!(
        "      - mariadb: {{host: {}, name: main, user: root, databases: [app]}}",
        server.socket().display()
    );
    assert_comes_back(&source, "/mysql/main/app.sql", "large", &state);
}
