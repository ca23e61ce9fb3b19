//! Databases that are reached over TLS: certificates of the right authority, of a wrong one, and for another name.

use crate::contract::configuration;
use crate::jobs::Jobs;
use std::fs;
use testkit::certificates::Certificates;
use testkit::mariadb_server::{Flavour, MariadbServer};
use testkit::postgres_server::{PASSWORD, PostgresServer};
use testkit::redis_server::{self, RedisServer};
use testkit::ssh_server::free_port;

/// A job with one source, which is the same but for a few options.
struct Scene {
    jobs: Jobs,
    kind: &'static str,
    options: String,
}

impl Scene {
    fn new(kind: &'static str, options: String, password: &str, certificates: &Certificates) -> Self {
        let jobs = Jobs::new("");
        fs::write(jobs.scene.path("server-password"), password).unwrap();
        for name in ["ca.pem", "other.pem"] {
            fs::copy(certificates.file(name), jobs.scene.path(name)).unwrap();
        }
        Self { jobs, kind, options }
    }

    /// Capture with more options: how it ends, and what it says.
    fn assert_run(&self, more: &str, code: i32, words: &[&str]) {
        let Self { kind, options, .. } = self;
        let source = format!(
            "      - {kind}: {{{options}, password: {{file: server-password}}, name: main, required: true, {more}}}"
        );
        self.jobs.configure(&configuration(&source));
        let ended = self.jobs.run(&["run", "--init"]);
        let told = format!("{}{}", ended.stdout, ended.stderr);
        assert!(
            ended.code == code && words.iter().all(|word| told.contains(word)),
            "{more}: {words:?}: {ended}"
        );
    }

    fn assert_restored(&self, part: &str, more: &[&str]) {
        let restore = ["-r", "main", "restore", "latest", "--yes", "--part", part];
        let restored = self.jobs.run(&[&restore[..], more].concat());
        assert_eq!(restored.code, 0, "{restored}");
    }
}

#[test]
fn heavy_postgres_is_reached_over_tls() {
    let certificates = Certificates::new();
    let mut server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE app");
    server.sql("app", "CREATE TABLE notes AS SELECT 1 AS n");
    server.demand_tls(&certificates);
    let options = format!(
        "port: {}, user: postgres, databases: [app], globals: false",
        server.port()
    );
    let scene = Scene::new("postgres", options, PASSWORD, &certificates);
    scene.assert_run("host: localhost, tls: verify-full, ca_file: ca.pem", 0, &[]);
    scene.assert_restored("/postgres/main/app.dump", &["--as", "beside"]);
    assert_eq!(server.sql("beside", "SELECT n FROM notes"), "1");
    let untrusted = ["is not trusted", "hint: Check `tls` and `ca_file`"];
    scene.assert_run("host: localhost, tls: verify-full, ca_file: other.pem", 1, &untrusted);
    scene.assert_run("host: 127.0.0.1, tls: verify-full, ca_file: ca.pem", 1, &untrusted);
    scene.assert_run("host: 127.0.0.1, tls: verify-ca, ca_file: ca.pem", 0, &[]);
    scene.assert_run("host: localhost, tls: verify-ca, ca_file: other.pem", 1, &untrusted);
    scene.assert_run("host: 127.0.0.1, tls: require", 0, &[]);
    scene.assert_run("host: 127.0.0.1", 0, &[]);
    scene.assert_run("host: localhost, tls: verify-full", 1, &untrusted);
    scene.assert_run(
        "host: 127.0.0.1, tls: disable",
        1,
        &["if it wants encryption, use `tls: require`"],
    );
}

#[test]
fn heavy_mariadb_is_reached_over_tls() {
    let certificates = Certificates::new();
    let with = |option: &str, name: &str| format!("--{option}={}", certificates.file(name).display());
    let options = [
        with("ssl-ca", "ca.pem"),
        with("ssl-cert", "server.pem"),
        with("ssl-key", "server.key"),
    ];
    let server = MariadbServer::start_with(&options.each_ref().map(String::as_str));
    server.sql(
        "CREATE DATABASE app; CREATE TABLE app.notes AS SELECT 1 AS n;
         CREATE USER backup@'%' IDENTIFIED BY 'pa ss' REQUIRE SSL; GRANT ALL ON *.* TO backup@'%' WITH GRANT OPTION",
    );
    let options = format!("port: {}, user: backup, databases: [app]", server.port());
    let scene = Scene::new("mariadb", options, "pa ss", &certificates);
    scene.assert_run("host: localhost, tls: verify-full, ca_file: ca.pem", 0, &[]);
    scene.assert_restored("/mysql/main/app.sql", &["--as", "beside"]);
    assert_eq!(server.sql("SELECT n FROM beside.notes"), "1\n");
    let untrusted = ["the connection cannot be encrypted", "hint: Check `tls` and `ca_file`"];
    for tls in ["verify-full", "verify-ca"] {
        scene.assert_run(
            &format!("host: localhost, tls: {tls}, ca_file: other.pem"),
            1,
            &untrusted,
        );
        // MariaDB's programs check the name as well, or nothing.
        scene.assert_run(&format!("host: 127.0.0.1, tls: {tls}, ca_file: ca.pem"), 1, &untrusted);
    }
    scene.assert_run("host: 127.0.0.1, tls: require", 0, &[]);
    scene.assert_run("host: 127.0.0.1", 0, &[]);
    scene.assert_run("host: localhost, tls: verify-full", 1, &untrusted);
    scene.assert_run("host: 127.0.0.1, tls: disable", 1, &["the server refuses the login"]);
}

/// The account's password is checked in the way that MySQL has by itself, which takes an encrypted connection or the server's key.
#[test]
fn heavy_mysql_is_reached_over_tls() {
    let certificates = Certificates::new();
    let with = |option: &str, name: &str| format!("--{option}={}", certificates.file(name).display());
    let options = [
        with("ssl-ca", "ca.pem"),
        with("ssl-cert", "server.pem"),
        with("ssl-key", "server.key"),
    ];
    let server = MariadbServer::start_flavour(Flavour::Mysql, &options.each_ref().map(String::as_str));
    server.sql(
        "CREATE DATABASE app; CREATE TABLE app.notes AS SELECT 1 AS n;
         CREATE USER backup@'%' IDENTIFIED WITH caching_sha2_password BY 'pa ss'; GRANT ALL ON *.* TO backup@'%' WITH GRANT OPTION",
    );
    let options = format!("port: {}, user: backup, databases: [app]", server.port());
    let mut scene = Scene::new("mysql", options, "pa ss", &certificates);
    scene.jobs.programs = Some(Flavour::Mysql.programs());
    // Nobody is remembered by the server yet: the password is sent with its key.
    scene.assert_run("host: 127.0.0.1, tls: disable", 0, &[]);
    server.sql("ALTER USER backup@'%' REQUIRE SSL; FLUSH PRIVILEGES");
    scene.assert_run("host: 127.0.0.1, tls: disable", 1, &["the server refuses the login"]);
    scene.assert_run("host: localhost, tls: verify-full, ca_file: ca.pem", 0, &[]);
    scene.assert_restored("/mysql/main/app.sql", &["--as", "beside"]);
    assert_eq!(server.sql("SELECT n FROM beside.notes"), "1\n");
    let untrusted = ["the connection cannot be encrypted", "hint: Check `tls` and `ca_file`"];
    for tls in ["verify-full", "verify-ca"] {
        scene.assert_run(
            &format!("host: localhost, tls: {tls}, ca_file: other.pem"),
            1,
            &untrusted,
        );
    }
    scene.assert_run("host: 127.0.0.1, tls: verify-full, ca_file: ca.pem", 1, &untrusted);
    scene.assert_run("host: 127.0.0.1, tls: verify-ca, ca_file: ca.pem", 0, &[]);
    scene.assert_run("host: 127.0.0.1, tls: require", 0, &[]);
    scene.assert_run("host: 127.0.0.1", 0, &[]);
}

#[test]
fn heavy_redis_is_reached_over_tls() {
    let certificates = Certificates::new();
    let port = free_port().to_string();
    let path = |name: &str| certificates.file(name).display().to_string();
    let (certificate, key, authority) = (path("server.pem"), path("server.key"), path("ca.pem"));
    let server = RedisServer::start_with(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &authority,
        "--tls-auth-clients",
        "no",
    ]);
    server.ask("SET text hello");
    let scene = Scene::new("redis", format!("port: {port}"), redis_server::PASSWORD, &certificates);
    scene.assert_run("host: localhost, tls: true, ca_file: ca.pem", 0, &[]);
    server.ask("DEL text");
    scene.assert_restored("/redis/main", &[]);
    assert_eq!(server.ask("GET text"), "hello");
    let untrusted = ["certificate verify failed", "hint: Check `ca_file`"];
    scene.assert_run("host: localhost, tls: true, ca_file: other.pem", 1, &untrusted);
    scene.assert_run("host: localhost, tls: true", 1, &untrusted);
    // The name in it is not looked at by the client.
    scene.assert_run("host: 127.0.0.1, tls: true, ca_file: ca.pem", 0, &[]);
    scene.assert_run(
        "host: localhost",
        1,
        &["if the server wants encryption, set `tls: true`"],
    );
}
