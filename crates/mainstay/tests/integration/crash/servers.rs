//! Servers of each kind, and programs that die while they are captured or put back.

use super::databases::{Scene, Server, Victim};
use crate::jobs::Jobs;
use std::fs;
use std::path::PathBuf;
use testkit::mariadb_server::{Flavour, MariadbServer};
use testkit::postgres_server::PostgresServer;
use testkit::redis_server::RedisServer;

impl Server for PostgresServer {
    const IS_REPLACED_AT_ONCE: bool = true;

    fn die(&mut self) {
        self.stop();
    }

    fn resume(&mut self) {
        Self::resume(self);
    }

    fn state(&self, name: Option<&str>) -> String {
        let database = name.unwrap_or("app");
        let there = format!("SELECT count(*) FROM pg_database WHERE datname = '{database}'");
        if self.sql("postgres", &there) == "0" {
            return String::new();
        }
        let tables = ["large", "small"].map(|table| {
            self.sql(
                database,
                &format!("SELECT count(*), md5(string_agg(md5(t::text), '' ORDER BY n)) FROM {table} t"),
            )
        });
        let indexes = "SELECT string_agg(indexdef, ';' ORDER BY indexdef) FROM pg_indexes WHERE schemaname = 'public'";
        format!("{tables:?} {}", self.sql(database, indexes))
    }

    fn change(&self) {
        self.sql(
            "app",
            "DELETE FROM large WHERE n % 2 = 0; CREATE INDEX IF NOT EXISTS other ON small (text)",
        );
    }
}

const POSTGRES: &str = "
CREATE TABLE large AS SELECT n, repeat(md5(n::text), 10) AS text FROM generate_series(1, 100000) n;
CREATE TABLE small AS SELECT n, md5(n::text) AS text FROM generate_series(1, 1000) n;
ALTER TABLE large ADD PRIMARY KEY (n);
CREATE INDEX large_text ON large (md5(text));
";

/// `server` with a database `app`.
pub fn with_app(server: PostgresServer) -> PostgresServer {
    server.sql("postgres", "CREATE DATABASE app");
    server.sql("app", POSTGRES);
    server
}

/// What captures the database `app` of `server`.
pub fn source_of(server: &PostgresServer, options: &str) -> String {
    let (socket, port) = (server.socket().display(), server.port());
    format!("      - postgres: {{host: {socket}, port: {port}, user: postgres, name: main, databases: [app]{options}}}")
}

fn assert_postgres(options: &str, part: &'static str) {
    let server = with_app(PostgresServer::start());
    let source = source_of(&server, options);
    let mut scene = Scene::new(server, &source, part);
    scene.assert_captures();
    scene.assert_restores();
}

#[test]
fn heavy_postgres_survives_whoever_dies() {
    assert_postgres("", "/postgres/main/app.dump");
}

#[test]
fn heavy_postgres_with_a_file_for_each_table_survives_whoever_dies() {
    assert_postgres(", parallel: 2", "/postgres/main/app");
}

impl Server for MariadbServer {
    fn die(&mut self) {
        self.stop();
    }

    fn resume(&mut self) {
        Self::resume(self);
    }

    fn state(&self, name: Option<&str>) -> String {
        let database = name.unwrap_or("app");
        let there =
            format!("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{database}' ORDER BY 1");
        let there = self.sql(&there);
        if there != "large\nsmall\n" {
            return there;
        }
        let sum = |table: &str| {
            self.sql(&format!(
                "SELECT COUNT(*), SUM(CRC32(CONCAT(n, text))) FROM {database}.{table}"
            ))
        };
        let indexes = format!(
            "SELECT INDEX_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = '{database}' ORDER BY 1"
        );
        ["large", "small"].map(sum).concat() + &self.sql(&indexes)
    }

    fn change(&self) {
        self.sql("DELETE FROM app.large WHERE n % 2 = 0; CREATE INDEX other ON app.small (n)");
    }

    fn is_marked(&self) -> bool {
        self.sql("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'app' AND TABLE_NAME = 'mainstay_restore_incomplete'")
            == "1\n"
    }
}

pub const MARIADB: &str = "
CREATE DATABASE app; USE app;
CREATE TABLE large (n INT PRIMARY KEY, text TEXT) SELECT seq AS n, REPEAT(MD5(seq), 10) AS text FROM seq_1_to_100000;
CREATE TABLE small (n INT PRIMARY KEY, text TEXT) SELECT seq AS n, MD5(seq) AS text FROM seq_1_to_1000;
";

/// The same for MySQL, which has no engine for sequences of numbers.
pub const MYSQL: &str = "
CREATE DATABASE app; USE app;
SET cte_max_recursion_depth = 100000;
CREATE TABLE large (n INT PRIMARY KEY, text TEXT)
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100000) SELECT n, REPEAT(SHA2(n, 0), 5) AS text FROM numbers;
CREATE TABLE small (n INT PRIMARY KEY, text TEXT) SELECT n, HEX(n) AS text FROM large WHERE n <= 1000;
";

/// Jobs with the programs of MySQL.
pub fn with_mysql() -> Jobs {
    let mut jobs = Jobs::new("");
    jobs.programs = Some(Flavour::Mysql.programs());
    jobs
}

/// What captures `app` of a MySQL on this host.
pub fn mysql_source_of(server: &MariadbServer) -> String {
    let socket = server.socket();
    let socket = socket.display();
    format!("      - mysql: {{host: {socket}, name: main, user: root, databases: [app]}}")
}

#[test]
fn heavy_mysql_survives_whoever_dies() {
    let server = MariadbServer::start_flavour(Flavour::Mysql, &["--innodb-flush-log-at-trx-commit=2"]);
    server.sql(MYSQL);
    let source = mysql_source_of(&server);
    let mut scene = Scene::with(server, with_mysql(), &source, "/mysql/main/app.sql");
    scene.assert_captures();
    scene.assert_restores();
}

#[test]
fn heavy_mariadb_survives_whoever_dies() {
    // What was committed survives.
    let server = MariadbServer::start_with(&["--innodb-flush-log-at-trx-commit=2"]);
    server.sql(MARIADB);
    let socket = server.socket();
    let source = format!(
        "      - mariadb: {{host: {}, name: main, user: root, databases: [app]}}",
        socket.display()
    );
    let mut scene = Scene::new(server, &source, "/mysql/main/app.sql");
    scene.assert_captures();
    scene.assert_restores();
}

impl Server for RedisServer {
    const COPY: Option<&str> = None;

    fn die(&mut self) {
        self.stop();
    }

    fn resume(&mut self) {
        Self::resume(self);
    }

    fn state(&self, _: Option<&str>) -> String {
        self.ask("DEBUG DIGEST")
    }

    fn change(&self) {
        self.ask("FLUSHALL");
        self.ask("SET key changed");
    }

    fn is_marked(&self) -> bool {
        self.ask("EXISTS mainstay_restore_incomplete") == "1"
    }
}

#[test]
fn heavy_redis_survives_whoever_dies() {
    // What it answered survives.
    let server = RedisServer::start_with(&["--appendonly", "yes", "--enable-debug-command", "yes"]);
    let fill = "for i = 1, 50000 do redis.call('SET', 'key:' .. i, string.rep(i, 20)) end";
    server.ask_words(&["EVAL", fill, "0"]);
    let source = format!(
        "      - redis: {{host: 127.0.0.1, port: {}, password: {{file: redis-password}}, name: main}}",
        server.port()
    );
    let jobs = Jobs::new("");
    fs::write(jobs.scene.path("redis-password"), "hush\n").unwrap();
    let mut scene = Scene::with(server, jobs, &source, "/redis/main");
    scene.assert_captures();
    scene.assert_restores();
}

/// A file that nobody serves.
struct SqliteFile(PathBuf);

impl Server for SqliteFile {
    const VICTIMS: &[Victim] = &[Victim::Ourselves];
    const COPY: Option<&str> = Some("copy.sqlite");
    const IS_REPLACED_AT_ONCE: bool = true;

    fn die(&mut self) {}

    fn resume(&mut self) {}

    fn state(&self, name: Option<&str>) -> String {
        let path = name.map_or_else(|| self.0.clone(), |name| self.0.with_file_name(name));
        let connection = rusqlite::Connection::open(path).unwrap();
        let ask = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
        let content = "SELECT count(*) || ' ' || sum(n) || ' ' || sum(length(text)) || max(text) FROM large";
        ask(content) + &ask("PRAGMA integrity_check")
    }

    fn change(&self) {
        let connection = rusqlite::Connection::open(&self.0).unwrap();
        connection.execute_batch("DELETE FROM large WHERE n % 2 = 0").unwrap();
    }
}

fn assert_sqlite(journal: &str) {
    let jobs = Jobs::new("");
    let path = jobs.scene.path("app.sqlite");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "journal_mode", journal).unwrap();
    let numbers = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 200000)";
    connection
        .execute_batch(&format!(
            "CREATE TABLE large AS {numbers} SELECT n, hex(randomblob(100)) AS text FROM numbers; CREATE INDEX texts ON large (text)"
        ))
        .unwrap();
    drop(connection);
    let source = "      - sqlite: {path: ./app.sqlite, name: app}";
    let mut scene = Scene::with(SqliteFile(path), jobs, source, "/sqlite/app.db");
    scene.assert_captures();
    scene.assert_restores();
}

#[test]
fn heavy_sqlite_with_a_log_survives_whoever_dies() {
    assert_sqlite("wal");
}

#[test]
fn heavy_sqlite_with_a_journal_survives_whoever_dies() {
    assert_sqlite("delete");
}
