//! A database server, a client program, or the program itself dies at a moment chosen at random, while a database is captured or put back.

use super::kill;
use crate::contract::configuration;
use crate::jobs::{Jobs, rounds};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::process::{Child, Output};
use std::time::{Duration, Instant};
use testkit::mariadb_server::MariadbServer;
use testkit::postgres_server::PostgresServer;

/// Who dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Server,
    /// One of the programs that ours has started.
    Client,
    Ourselves,
}

/// A real server with the database `app`.
trait Server {
    fn die(&mut self);
    fn resume(&mut self);
    /// What is in a database; nothing if there is none.
    fn state(&self, database: &str) -> String;
    /// Make `app` something else than what was captured.
    fn change(&self);
    /// Whether a restore leaves what was there or what was captured, whoever dies.
    fn is_replaced_at_once(&self) -> bool;
}

struct Scene<S> {
    server: S,
    jobs: Jobs,
    part: &'static str,
    random: fastrand::Rng,
}

impl<S: Server> Scene<S> {
    fn new(server: S, source: &str, part: &'static str) -> Self {
        let yaml = configuration(source).replace("to: [main, archives]", "to: [main]");
        let scene = Self {
            server,
            jobs: Jobs::new(&yaml),
            part,
            random: fastrand::Rng::with_seed(7),
        };
        scene.ok(&["run", "--init"]);
        scene
    }

    fn ok(&self, arguments: &[&str]) -> Duration {
        let begin = Instant::now();
        let ended = self.jobs.run(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {ended}");
        begin.elapsed()
    }

    fn snapshots(&self) -> usize {
        let listed: Value = serde_json::from_str(&self.jobs.restic("main", &["snapshots", "--json"])).unwrap();
        listed.as_array().unwrap().len()
    }

    /// Run the program until somebody dies, unless it has ended by then.
    fn run_until_dead(&mut self, arguments: &[&str], takes: Duration, victim: Victim) -> (bool, Output) {
        let child = self.jobs.start(arguments);
        std::thread::sleep(takes.mul_f32(self.random.f32()));
        let mut child = child;
        let was_killed = child.try_wait().unwrap().is_none()
            && match victim {
                Victim::Server => {
                    self.server.die();
                    true
                }
                Victim::Client => kill_a_client(&child),
                Victim::Ourselves => {
                    kill(&mut child);
                    true
                }
            };
        let output = child.wait_with_output().unwrap();
        if was_killed && victim == Victim::Server {
            self.server.resume();
        }
        (was_killed, output)
    }

    /// Never a part that looks good and is not.
    fn assert_captures(&mut self) {
        let takes = self.ok(&["run"]);
        let state = self.server.state("app");
        let mut killed = 0;
        for (round, victim) in deaths() {
            let before = self.snapshots();
            let (was_killed, output) = self.run_until_dead(&["run"], takes, victim);
            killed += u32::from(was_killed);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if self.snapshots() == before {
                assert!(!output.status.success(), "{victim:?} in round {round}: {said}");
                continue;
            }
            let manifest = self.jobs.restic("main", &["dump", "latest", "/mainstay.json"]);
            let manifest: Value = serde_json::from_str(&manifest).unwrap();
            let parts = manifest["parts"].as_array().unwrap();
            // A server that is gone has a part that says so.
            let part = parts.iter().find(|part| part["path"] == self.part);
            let is_good = part.is_some_and(|part| part["problem"].is_null());
            assert!(
                is_good || parts.iter().any(|part| !part["problem"].is_null()),
                "{parts:?}"
            );
            let mut restore = vec!["-r", "main", "restore", "latest", "--part", self.part];
            restore.extend(["--as", "copy", "--overwrite", "--yes"]);
            if is_good {
                self.ok(&restore);
                assert_eq!(self.server.state("copy"), state, "{victim:?} in round {round}");
            } else {
                assert_eq!(output.status.code(), Some(3), "{victim:?} in round {round}: {said}");
                assert_ne!(self.jobs.run(&restore).code, 0, "{victim:?} in round {round}");
            }
        }
        assert!(killed > rounds(3), "{killed}");
        self.ok(&["run"]);
    }

    /// What is there is as before, as captured, or said to be half restored.
    fn assert_restores(&mut self) {
        let restore = [
            "-r",
            "main",
            "restore",
            "latest",
            "--part",
            self.part,
            "--overwrite",
            "--yes",
        ];
        let captured = self.server.state("app");
        let takes = self.ok(&restore);
        self.server.change();
        let changed = self.server.state("app");
        assert_ne!(captured, changed);
        let mut killed = 0;
        for (round, victim) in deaths() {
            if victim == Victim::Ourselves && !self.server.is_replaced_at_once() {
                continue;
            }
            let (was_killed, output) = self.run_until_dead(&restore, takes, victim);
            killed += u32::from(was_killed);
            let (said, found) = (String::from_utf8_lossy(&output.stderr), self.server.state("app"));
            let is_whole = found == changed || found == captured;
            assert!(
                is_whole || (said.contains("half restored") && !self.server.is_replaced_at_once()),
                "{victim:?} in round {round}: {said}"
            );
            if output.status.success() {
                assert_eq!(found, captured, "{victim:?} in round {round}");
            }
            self.ok(&restore);
            assert_eq!(self.server.state("app"), captured, "{victim:?} in round {round}");
            self.server.change();
        }
        assert!(killed > rounds(3) / 2, "{killed}");
    }
}

/// Everybody dies some times.
fn deaths() -> impl Iterator<Item = (u32, Victim)> {
    let victims = [Victim::Server, Victim::Client, Victim::Ourselves];
    (0..rounds(3)).flat_map(move |round| victims.map(|victim| (round, victim)))
}

/// Whether there was one to kill.
fn kill_a_client(child: &Child) -> bool {
    let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).into_iter().flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    let clients: Vec<i32> = children
        .flat_map(|children| {
            children
                .split_whitespace()
                .map(|id| id.parse().unwrap())
                .collect::<Vec<_>>()
        })
        .collect();
    let Some(client) = clients.first().and_then(|id| Pid::from_raw(*id)) else {
        return false;
    };
    kill_process(client, Signal::KILL).is_ok()
}

impl Server for PostgresServer {
    fn die(&mut self) {
        self.stop();
    }

    fn resume(&mut self) {
        Self::resume(self);
    }

    fn state(&self, database: &str) -> String {
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

    fn is_replaced_at_once(&self) -> bool {
        true
    }
}

const POSTGRES: &str = "
CREATE TABLE large AS SELECT n, repeat(md5(n::text), 10) AS text FROM generate_series(1, 100000) n;
CREATE TABLE small AS SELECT n, md5(n::text) AS text FROM generate_series(1, 1000) n;
ALTER TABLE large ADD PRIMARY KEY (n);
CREATE INDEX large_text ON large (md5(text));
";

fn assert_postgres(options: &str, part: &'static str) {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE app");
    server.sql("app", POSTGRES);
    let (socket, port) = (server.socket().display(), server.port());
    let source = format!(
        "      - postgres: {{host: {socket}, port: {port}, user: postgres, name: main, databases: [app]{options}}}"
    );
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

    fn state(&self, database: &str) -> String {
        let there = format!("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{database}'");
        if self.sql(&there).trim() != "2" {
            return self.sql(&there);
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
        self.sql("DELETE FROM app.large WHERE n % 2 = 0; CREATE INDEX IF NOT EXISTS other ON app.small (n)");
    }

    fn is_replaced_at_once(&self) -> bool {
        false
    }
}

const MARIADB: &str = "
CREATE DATABASE app; USE app;
CREATE TABLE large (n INT PRIMARY KEY, text TEXT) SELECT seq AS n, REPEAT(MD5(seq), 10) AS text FROM seq_1_to_100000;
CREATE TABLE small (n INT PRIMARY KEY, text TEXT) SELECT seq AS n, MD5(seq) AS text FROM seq_1_to_1000;
";

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
