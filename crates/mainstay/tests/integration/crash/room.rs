//! The network breaks, or a disk is full, while a database is captured or put back: at moments chosen at random.

use super::databases::{Scene, Server, Victim};
use super::disks::Disk;
use super::servers::{MARIADB, MYSQL, mysql_source_of, source_of, with_app, with_mysql};
use crate::jobs::{Jobs, rounds};
use std::fs;
use std::path::PathBuf;
use std::process::Output;
use testkit::mariadb_server::{Flavour, MariadbServer};
use testkit::postgres_server::{PASSWORD, PostgresServer};
use testkit::proxy::Proxy;

/// A server that is reached through a network that breaks.
struct Far<S> {
    server: S,
    network: Proxy,
}

impl<S> Far<S> {
    fn new(server: S, port: u16) -> Self {
        let network = Proxy::start(([127, 0, 0, 1], port).into(), |_| None);
        Self { server, network }
    }
}

impl<S: Server> Server for Far<S> {
    // Each of them is the network.
    const VICTIMS: &[Victim] = &[Victim::Server; 3];
    const COPY: Option<&str> = S::COPY;
    const IS_REPLACED_AT_ONCE: bool = S::IS_REPLACED_AT_ONCE;

    fn die(&mut self) {
        self.network.cut();
    }

    fn resume(&mut self) {
        self.network.mend();
    }

    fn state(&self, name: Option<&str>) -> String {
        self.server.state(name)
    }

    fn change(&self) {
        self.server.change();
    }

    fn is_marked(&self) -> bool {
        self.server.is_marked()
    }
}

fn with_password(password: &str) -> Jobs {
    let jobs = Jobs::new("");
    fs::write(jobs.scene.path("dbpassword"), password).unwrap();
    jobs
}

fn assert_far_postgres(options: &str, part: &'static str) {
    let server = with_app(PostgresServer::start());
    let port = server.port();
    let server = Far::new(server, port);
    let source = format!(
        "      - postgres: {{host: 127.0.0.1, port: {}, user: postgres, password: {{file: dbpassword}}, name: main, databases: [app]{options}}}",
        server.network.address().port()
    );
    let mut scene = Scene::with(server, with_password(PASSWORD), &source, part);
    scene.assert_captures();
    scene.assert_restores();
}

#[test]
fn heavy_postgres_survives_a_network_that_breaks() {
    assert_far_postgres("", "/postgres/main/app.dump");
}

#[test]
fn heavy_postgres_with_a_file_for_each_table_survives_a_network_that_breaks() {
    assert_far_postgres(", parallel: 2", "/postgres/main/app");
}

fn assert_far(kind: &str, flavour: Flavour, content: &str) {
    let server = MariadbServer::start_flavour(flavour, &[]);
    server.sql(content);
    server.sql("CREATE USER far@'%' IDENTIFIED BY 'hush'; GRANT ALL PRIVILEGES ON *.* TO far@'%' WITH GRANT OPTION");
    let port = server.port();
    let server = Far::new(server, port);
    let source = format!(
        "      - {kind}: {{host: 127.0.0.1, port: {}, user: far, password: {{file: dbpassword}}, name: main, databases: [app]}}",
        server.network.address().port()
    );
    let mut jobs = with_password("hush");
    jobs.programs = Some(flavour.programs());
    let mut scene = Scene::with(server, jobs, &source, "/mysql/main/app.sql");
    scene.assert_captures();
    scene.assert_restores();
}

#[test]
fn heavy_mariadb_survives_a_network_that_breaks() {
    assert_far("mariadb", Flavour::Mariadb, MARIADB);
}

#[test]
fn heavy_mysql_survives_a_network_that_breaks() {
    assert_far("mysql", Flavour::Mysql, MYSQL);
}

/// A disk on which there is less room for a while.
struct Crowded {
    disk: Disk,
    filler: PathBuf,
    random: fastrand::Rng,
}

impl Crowded {
    fn new(disk: Disk) -> Self {
        let filler = disk.path().join("filler");
        Self {
            disk,
            filler,
            random: fastrand::Rng::with_seed(11),
        }
    }

    /// Leave room for less than so many bytes.
    fn fill(&mut self, most_bytes: u64) {
        let free = rustix::fs::statvfs(self.disk.path()).unwrap();
        let free = free.f_bavail * free.f_frsize;
        let leave = self.random.u64(..most_bytes);
        // Zeros take room on this disk, holes would not.
        let zeros = vec![0; usize::try_from(free.saturating_sub(leave)).unwrap()];
        fs::write(&self.filler, zeros).unwrap();
    }

    fn clear(&self) {
        fs::remove_file(&self.filler).unwrap();
    }
}

/// The repository's disk is full.
fn assert_captures_to_a_full_disk<S: Server>(server: S, source: &str, part: &'static str, renew: impl Fn(&S)) {
    let jobs = Jobs::new("");
    let mut disk = Crowded::new(Disk::mount(jobs.scene.path("main"), "size=100m"));
    let scene = Scene::with(server, jobs, source, part);
    let mut failed = 0;
    for round in 0..rounds(2) * 2 {
        renew(&scene.server);
        let (before, state) = (scene.snapshots(), scene.server.state(None));
        disk.fill(16 << 20);
        let output = scene.jobs.start(&["run"]).wait_with_output().unwrap();
        disk.clear();
        failed += u32::from(!output.status.success());
        scene.assert_captured(before, &output, &state, &format!("round {round}"));
        scene.ok(&["-r", "main", "prune"]);
    }
    assert!(failed > 0, "there was always enough room");
    scene.ok(&["run"]);
    scene.jobs.restic("main", &["check", "--read-data"]);
}

#[test]
fn heavy_postgres_is_captured_or_not_to_a_repository_that_is_full() {
    for (options, part) in [("", "/postgres/main/app.dump"), (", parallel: 2", "/postgres/main/app")] {
        let server = with_app(PostgresServer::start());
        let source = source_of(&server, options);
        let renew = |server: &PostgresServer| {
            server.sql(
                "app",
                "UPDATE large SET text = md5(random()::text) || md5(random()::text) || md5(random()::text)",
            );
        };
        assert_captures_to_a_full_disk(server, &source, part, renew);
    }
}

#[test]
fn heavy_mariadb_is_captured_or_not_to_a_repository_that_is_full() {
    let server = MariadbServer::start();
    server.sql(MARIADB);
    let socket = server.socket();
    let source = format!(
        "      - mariadb: {{host: {}, name: main, user: root, databases: [app]}}",
        socket.display()
    );
    let renew = |server: &MariadbServer| {
        server.sql("UPDATE app.large SET text = CONCAT(MD5(RAND()), MD5(RAND()), MD5(RAND()))");
    };
    assert_captures_to_a_full_disk(server, &source, "/mysql/main/app.sql", renew);
}

/// The disk of the database server is full.
fn assert_restores_to_a_full_disk<S: Server>(scene: &mut Scene<S>, mut disk: Crowded, most_bytes: u64) {
    let latest = scene.latest();
    let restore = scene.restore(&latest, &[]);
    let captured = scene.server.state(None);
    scene.ok(&restore);
    scene.server.change();
    let changed = scene.server.state(None);
    let mut failed = 0;
    for round in 0..rounds(2) * 2 {
        disk.fill(most_bytes);
        let output: Output = scene.jobs.start(&restore).wait_with_output().unwrap();
        disk.clear();
        // It may have stopped because of it.
        scene.server.die();
        scene.server.resume();
        failed += u32::from(!output.status.success());
        scene.assert_restored(&restore, &output, &captured, &changed, &format!("round {round}"));
    }
    assert!(failed > 0, "there was always enough room");
}

fn assert_postgres_on_a_full_disk(options: &str, part: &'static str) {
    let jobs = Jobs::new("");
    let disk = Disk::mount(jobs.scene.path("server"), "size=600m,mode=0777");
    let server = with_app(PostgresServer::start_in(disk.path()));
    let source = source_of(&server, options);
    let mut scene = Scene::with(server, jobs, &source, part);
    assert_restores_to_a_full_disk(&mut scene, Crowded::new(disk), 100 << 20);
}

#[test]
fn heavy_postgres_survives_a_disk_that_is_full() {
    assert_postgres_on_a_full_disk("", "/postgres/main/app.dump");
}

#[test]
fn heavy_postgres_with_a_file_for_each_table_survives_a_disk_that_is_full() {
    assert_postgres_on_a_full_disk(", parallel: 2", "/postgres/main/app");
}

#[test]
fn heavy_mariadb_survives_a_disk_that_is_full() {
    let jobs = Jobs::new("");
    let disk = Disk::mount(jobs.scene.path("server"), "size=500m,mode=0777");
    let server = MariadbServer::start_in(disk.path(), &["--innodb-flush-log-at-trx-commit=2"]);
    server.sql(MARIADB);
    let source = format!(
        "      - mariadb: {{host: {}, name: main, user: root, databases: [app]}}",
        server.socket().display()
    );
    let mut scene = Scene::with(server, jobs, &source, "/mysql/main/app.sql");
    assert_restores_to_a_full_disk(&mut scene, Crowded::new(disk), 120 << 20);
}

#[test]
fn heavy_mysql_survives_a_disk_that_is_full() {
    let jobs = with_mysql();
    let disk = Disk::mount(jobs.scene.path("server"), "size=600m,mode=0777");
    let server = MariadbServer::start_flavour_in(Flavour::Mysql, disk.path(), &["--innodb-flush-log-at-trx-commit=2"]);
    server.sql(MYSQL);
    let source = mysql_source_of(&server);
    let mut scene = Scene::with(server, jobs, &source, "/mysql/main/app.sql");
    assert_restores_to_a_full_disk(&mut scene, Crowded::new(disk), 120 << 20);
}
