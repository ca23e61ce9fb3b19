//! The configuration file, through the program: found, checked, shown, written.

use crate::scene::Scene;
use insta::assert_snapshot;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

const GOOD: &str = "host: web1
repositories:
  main:
    url: ./repository
    password: {file: password}
jobs:
  nightly:
    schedule: '@daily'
    timezone: UTC
    sources:
      - files: [./source, /etc/hosts]
      - command: {run: [date], name: now}
    keep: {daily: 7}
";

fn with_file(text: &str) -> Scene {
    let scene = Scene::empty();
    fs::write(scene.path("mainstay.yaml"), text).unwrap();
    scene
}

#[test]
fn a_good_file_is_accepted() {
    let scene = with_file(GOOD);
    assert_snapshot!(scene.run(&["config", "check"]), @r"
    exit 0
    `mainstay.yaml` is valid: 1 repository, 1 job, 1 secret present
    ");
    let checked: Value = serde_json::from_str(&scene.ok(&["config", "check", "--json"])).unwrap();
    assert_eq!(
        (checked["message_type"].as_str(), checked["secrets"].as_u64()),
        (Some("config_checked"), Some(1))
    );
}

#[test]
fn everything_wrong_is_listed_with_its_place_and_the_way_out() {
    let scene = with_file(
        "repositories:
  main:
    url: /srv/backup
    pasword: {file: password}
  offsite:
    url: s3://bucket
    password: hush
    access_key: {env: NOT_THERE}
jobs:
  nightly:
    schedule: 0 25 * * *
    sources: [files: /x]
    to: [main, ofsite]
",
    );
    assert_snapshot!(scene.run(&["config", "check"]), @r"");
    let ended = scene.run(&["config", "check", "--json"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    let error: Value = serde_json::from_str(&ended.stderr).unwrap();
    assert_eq!(error["problems"].as_array().unwrap().len(), 7);
    let first = &error["problems"][1];
    assert_eq!(
        (
            first["file"].as_str(),
            first["line"].as_u64(),
            first["column"].as_u64(),
            first["value"].as_str()
        ),
        (Some("mainstay.yaml"), Some(4), Some(5), Some("pasword"))
    );
    assert!(!ended.to_string().contains("hush"));
}

#[test]
fn a_file_that_is_named_has_to_be_there_and_wins() {
    let scene = with_file("not: good\n");
    fs::create_dir(scene.path("etc")).unwrap();
    fs::write(scene.path("etc/other.yaml"), GOOD).unwrap();
    fs::write(scene.path("etc/password"), "secret").unwrap();
    scene.ok(&["--config", "etc/other.yaml", "config", "check"]);
    let ended = scene.ended(
        scene
            .command()
            .args(["config", "check"])
            .env("MAINSTAY_CONFIG", "etc/other.yaml"),
    );
    assert_eq!(ended.code, 0, "{ended}");
    assert_snapshot!(scene.run(&["config", "check", "--config", "none.yaml"]), @r"");
    let nothing = Scene::empty();
    assert_snapshot!(nothing.run(&["config", "check"]), @r"");
}

#[test]
fn secrets_that_are_missing_empty_or_cannot_be_fetched_are_2() {
    let scene = with_file(
        "repositories:
  a: {url: /a, password: {env: NOT_THERE}}
  b: {url: /b, password: {file: empty}}
  c: {url: /c, password: {file: none}}
  d: {url: /d, password: {credential: none}}
  e: {url: /e, password: {command: ['false']}}
jobs:
  j: {sources: [files: /x], to: a}
",
    );
    fs::write(scene.path("empty"), "\n").unwrap();
    assert_snapshot!(scene.run(&["config", "check"]), @r"");
    let ended = scene.run(&["config", "check", "--run-commands"]);
    assert!(
        ended
            .stderr
            .contains("mainstay.yaml:6:26: cannot get the output of `false`: the command `false` failed"),
        "{ended}"
    );
}

#[test]
fn what_holds_is_shown_with_its_origin_and_without_secrets() {
    let scene = with_file(GOOD);
    fs::create_dir(scene.path("conf.d")).unwrap();
    let part = "jobs:\n  weekly: {sources: [files: /srv], schedule: '@weekly', timezone: UTC}\n";
    fs::write(scene.path("conf.d/weekly.yaml"), part).unwrap();
    fs::write(scene.path("password"), "hush-hush").unwrap();
    let shown = scene.run(&["config", "show"]);
    assert_snapshot!(shown, @r"");
    assert!(!shown.to_string().contains("hush-hush"));
    let shown: Value = serde_json::from_str(&scene.ok(&["config", "show", "--json"])).unwrap();
    assert_eq!(shown["config"]["jobs"]["nightly"]["keep"]["daily"], 7);
    assert_eq!(shown["origins"]["jobs.weekly.schedule"], "conf.d/weekly.yaml:2");
    assert_eq!(shown["origins"]["jobs.weekly.to.0"], "default");
}

#[test]
fn variables_are_enough() {
    let scene = Scene::empty();
    let run = |arguments: &[&str]| {
        let mut command = scene.command();
        command
            .args(arguments)
            .env("MAINSTAY_SOURCES", "/etc:/srv")
            .env("MAINSTAY_KEEP", "daily=7,weekly=4");
        scene.ended(command.env("MAINSTAY_HOST", "web1").env("MAINSTAY_TIMEZONE", "UTC"))
    };
    assert_snapshot!(run(&["config", "show"]), @r"");
    fs::write(scene.path("mainstay.yaml"), GOOD).unwrap();
    assert_snapshot!(run(&["config", "show"]), @r"");
}

#[test]
fn a_new_file_is_valid_private_and_never_replaces_another() {
    let scene = Scene::empty();
    assert_snapshot!(scene.run(&["config", "init"]), @r"");
    let file = scene.path("mainstay.yaml");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    scene.ok(&["config", "check"]);
    fs::write(&file, "mine").unwrap();
    assert_snapshot!(scene.run(&["config", "init"]), @r"");
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    assert_eq!(scene.run(&["config", "init", "no/such/directory.yaml"]).code, 2);
}

#[test]
fn the_schema_is_json_of_the_draft_that_editors_know() {
    let schema: Value = serde_json::from_str(&Scene::empty().ok(&["config", "schema"])).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(schema["properties"]["repositories"]["description"].is_string());
}
