//! Servers that a drill or a restore starts for itself end with it, also if it is killed, and leave nothing for long.

use crate::contract::configuration;
use crate::jobs::Jobs;
use crate::scene::wait_until;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use testkit::mariadb_server::MariadbServer;
use testkit::postgres_server::PostgresServer;
use testkit::redis_server::{PASSWORD, RedisServer};
use testkit::ssh_server::open_to_all;

/// Programs that run below a directory.
fn at_work_in(directory: &Path) -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let is_there = |process: &PathBuf| {
        let place = fs::read_link(process.join("cwd")).unwrap_or_default();
        place.starts_with(directory)
    };
    processes.filter(is_there).collect()
}

/// A job whose drills last until somebody ends them.
struct Scene {
    jobs: Jobs,
    /// Where others than we come to, too.
    scratch: TempDir,
}

impl Scene {
    fn new(source: &str) -> Self {
        let jobs = Jobs::new(&configuration(source));
        fs::write(jobs.scene.path("server-password"), PASSWORD).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        open_to_all(scratch.path());
        let captured = jobs.run(&["run", "--init"]);
        assert_eq!(captured.code, 0, "{captured}");
        Self { jobs, scratch }
    }

    fn left(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.scratch.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Kill a drill as soon as its server has made `file`: the server ends, too.
    fn assert_ends(&self, file: &str) {
        let scratch = self.scratch.path();
        let words = ["-r", "main", "drill", "latest", "--scratch", scratch.to_str().unwrap()];
        let mut drill = self.jobs.start(&words);
        wait_until("its server", || {
            assert_eq!(drill.try_wait().unwrap(), None, "it has ended by itself");
            self.left().iter().any(|place| place.join("in").join(file).exists())
        });
        assert!(!at_work_in(scratch).is_empty());
        drill.kill().unwrap();
        drill.wait().unwrap();
        wait_until("the end of its server", || at_work_in(scratch).is_empty());
        assert_eq!(self.left().len(), 1, "what it was working with is left over");
    }

    /// What is left over goes with the next one.
    fn assert_next_cleans(&self, part: &str) {
        let scratch = self.scratch.path().to_str().unwrap();
        let words = ["-r", "main", "drill", "latest", "--scratch", scratch, "--part", part];
        let ended = self.jobs.run(&words);
        assert_eq!(ended.code, 0, "{ended}");
        assert!(self.left().is_empty(), "{ended}");
    }
}

#[test]
fn heavy_a_postgres_of_ours_ends_with_us() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE app");
    server.sql("app", "CREATE TABLE notes AS SELECT 1 AS n");
    let (socket, port) = (server.socket().display(), server.port());
    // A question that takes long, in the process that is killed; another one answers at once.
    let source = |seconds: u32| {
        format!(
            "      - postgres: {{host: {socket}, port: {port}, user: postgres, name: main, databases: [app], globals: false, \
             assert: [\"SELECT pg_sleep({seconds}) IS NOT NULL\"]}}"
        )
    };
    let scene = Scene::new(&source(60));
    scene.assert_ends("server/postmaster.pid");
    scene.jobs.configure(&configuration(&source(0)));
    scene.assert_next_cleans("/postgres/main/app.dump");
}

#[test]
fn heavy_a_mariadb_of_ours_ends_with_us() {
    let server = MariadbServer::start();
    server.sql("CREATE DATABASE app; CREATE TABLE app.notes AS SELECT 1 AS n");
    let socket = server.socket();
    let source = |seconds: u32| {
        format!(
            "      - mariadb: {{host: {}, user: root, name: main, databases: [app], assert: [\"SELECT SLEEP({seconds}) = 0\"]}}",
            socket.display()
        )
    };
    let scene = Scene::new(&source(60));
    scene.assert_ends("data/drill.sock");
    scene.jobs.configure(&configuration(&source(0)));
    scene.assert_next_cleans("/mysql/main/app.sql");
}

#[test]
fn heavy_a_redis_of_ours_ends_with_us() {
    let server = RedisServer::start();
    let fill = "for i=1,40000 do redis.call('set','n'..i,i) end";
    server.ask_words(&["EVAL", fill, "0"]);
    let scene = Scene::new(&format!(
        "      - redis: {{host: 127.0.0.1, port: {}, password: {{file: server-password}}, name: cache}}",
        server.port()
    ));
    scene.assert_ends("socket");
    scene.assert_next_cleans("/redis/cache");
}
