//! The configuration file, through the program: found, checked, shown, written.

use crate::scene::{Ended, Scene};
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

/// The columns without their width, which depends on the length of the directory's name.
fn narrow(ended: &Ended) -> String {
    let narrow = |line: &str| match line.split_once("  # ") {
        Some((value, origin)) => format!("{}  # {}\n", value.trim_end(), origin.trim_start()),
        None => format!("{line}\n"),
    };
    ended.to_string().lines().map(narrow).collect()
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
fn a_key_that_everybody_can_read_is_warned_of() {
    let n8n = "      - n8n: {url: 'http://127.0.0.1:1', api_key: {file: password}, encryption_key: {file: password}}\n";
    let archives = "  plain: {url: ./plain, format: archive, encryption: none}\n  \
                    closed: {url: ./closed, format: archive, encryption: {age_passphrase: {file: password}}}\n";
    let jobs = format!("jobs:\n  flows:\n    to: [main, plain, closed]\n    sources:\n      - files: ./source\n{n8n}");
    let scene = with_file(
        &GOOD
            .replace("jobs:\n", &format!("{archives}{jobs}"))
            .replace("    keep", "    to: [plain]\n    keep"),
    );
    fs::create_dir(scene.path("source")).unwrap();
    fs::write(scene.path("source/file"), "content").unwrap();
    let checked = scene.run(&["config", "check"]);
    let warning =
        "the encryption key of n8n, which opens all credentials in it, is stored in `plain` with `encryption: none`";
    assert!(
        checked.code == 0 && checked.stdout.contains(&format!("mainstay.yaml:13:9: {warning}")),
        "{checked}"
    );
    assert!(checked.stdout.contains("\nhint: Encrypt `plain`, or "), "{checked}");
    let json: Value = serde_json::from_str(&scene.ok(&["config", "check", "--json"])).unwrap();
    let warnings = json["warnings"].as_array().unwrap();
    assert!(warnings.len() == 1 && warnings[0]["line"] == 13, "{json}");
    let ran = scene.run(&["run", "flows", "--init"]);
    assert!(ran.code == 3 && ran.stderr.contains(warning), "{ran}");
    let other = scene.run(&["run", "nightly", "--init"]);
    assert!(!other.to_string().contains("encryption key"), "{other}");
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
    assert_snapshot!(scene.run(&["config", "check"]), @r"
    exit 2
    error: mainstay.yaml:3:5: `main` has no `password`, which a repository of format `restic` needs
    hint: Add `password: {file: PATH}` or `{env: NAME}`; or write `format: archive` for plain files.
    error: mainstay.yaml:4:5: `pasword` is no key of a repository
    hint: Did you mean `password`?
    error: mainstay.yaml:7:15: `password` holds the secret itself
    hint: Write where it is instead: `{env: NAME}`, `{file: PATH}`, `{command: [PROGRAM, ARGUMENT]}`, `{credential: NAME}` or `{secret: NAME}`.
    error: mainstay.yaml:8:17: `access_key` is given without `secret_key`
    hint: Add `secret_key`.
    error: mainstay.yaml:8:17: the variable `NOT_THERE` is not set
    hint: Set `NOT_THERE` for this program, or read the secret from a file with `{file: PATH}`.
    error: mainstay.yaml:11:15: `schedule` is `0 25 * * *`, which is not a schedule such as `0 2 * * *` or `@daily`
    hint: Component error: Number out of bounds; the fields are minute, hour, day, month and weekday.
    error: mainstay.yaml:13:16: `to` names `ofsite`, which is no repository
    hint: Did you mean `offsite`?
    ");
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
    assert_snapshot!(scene.run(&["config", "check", "--config", "none.yaml"]), @r"
    exit 2
    error: `--config` names `none.yaml`, which is no file that can be read
    hint: Check the path, or make a file with `mainstay config init FILE`.
    ");
    let nothing = Scene::empty();
    assert_snapshot!(nothing.run(&["config", "check"]), @r"
    exit 2
    error: there is no configuration: neither `mainstay.yaml` nor `/etc/mainstay/mainstay.yaml` nor variables
    hint: Run `mainstay config init`, name a file with `--config FILE`, or set `MAINSTAY_SOURCES` and `MAINSTAY_REPOSITORY`.
    ");
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
    assert_snapshot!(scene.run(&["config", "check"]), @r"
    exit 2
    error: mainstay.yaml:2:26: the variable `NOT_THERE` is not set
    hint: Set `NOT_THERE` for this program, or read the secret from a file with `{file: PATH}`.
    error: mainstay.yaml:3:26: the file `[dir]/empty` is empty
    hint: Put the secret there; an empty one protects nothing.
    error: mainstay.yaml:4:26: cannot read the file `[dir]/none`: No such file or directory (os error 2)
    hint: Check the file's path and permissions.
    error: mainstay.yaml:5:26: there is no credential `none`, because systemd gave this process none
    hint: Add `LoadCredential=none:PATH` to the unit, or use `{file: PATH}`.
    ");
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
    assert_snapshot!(narrow(&shown), @r#"
    exit 0
    host: web1  # mainstay.yaml:1
    repositories:  # mainstay.yaml:2
      main:  # mainstay.yaml:3
        url: [dir]/repository  # mainstay.yaml:4
        format: restic  # default
        password: {file: [dir]/password}  # mainstay.yaml:5
        append_only: false  # default
        compression: auto  # default
    jobs:  # mainstay.yaml:6
      nightly:  # mainstay.yaml:7
        sources:  # mainstay.yaml:10
          - files:  # mainstay.yaml:11
              paths: [[dir]/source, /etc/hosts]  # mainstay.yaml:11
              one_file_system: false  # default
              required: false  # default
          - command:  # mainstay.yaml:12
              run: [date]  # mainstay.yaml:12
              name: now  # mainstay.yaml:12
              required: false  # default
        to: [main]  # default
        schedule: "@daily"  # mainstay.yaml:8
        timezone: UTC  # mainstay.yaml:9
        run_at_start: false  # default
        keep: {daily: 7}  # mainstay.yaml:13
        exclude_caches: false  # default
        stop: never  # default
      weekly:  # conf.d/weekly.yaml:2
        sources:  # conf.d/weekly.yaml:2
          - files:  # conf.d/weekly.yaml:2
              paths: [/srv]  # conf.d/weekly.yaml:2
              one_file_system: false  # default
              required: false  # default
        to: [main]  # default
        schedule: "@weekly"  # conf.d/weekly.yaml:2
        timezone: UTC  # conf.d/weekly.yaml:2
        run_at_start: false  # default
        exclude_caches: false  # default
        stop: never  # default
    "#);
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
    assert_snapshot!(narrow(&run(&["config", "show"])), @r"
    exit 0
    host: web1  # MAINSTAY_HOST
    repositories:  # MAINSTAY_REPOSITORY
      default:  # MAINSTAY_REPOSITORY
        url: [dir]/repository  # MAINSTAY_REPOSITORY
        format: restic  # default
        password: {file: [dir]/password}  # MAINSTAY_PASSWORD_FILE
        append_only: false  # default
        compression: auto  # default
    jobs:  # MAINSTAY_SOURCES
      default:  # MAINSTAY_SOURCES
        sources:  # MAINSTAY_SOURCES
          - files:  # MAINSTAY_SOURCES
              paths: [/etc, /srv]  # MAINSTAY_SOURCES
              one_file_system: false  # default
              required: false  # default
        to: [default]  # default
        timezone: UTC  # MAINSTAY_TIMEZONE
        run_at_start: false  # default
        keep:  # MAINSTAY_KEEP
          daily: 7  # MAINSTAY_KEEP
          weekly: 4  # MAINSTAY_KEEP
        exclude_caches: false  # default
        stop: never  # default
    ");
    fs::write(scene.path("mainstay.yaml"), GOOD).unwrap();
    assert_snapshot!(run(&["config", "show"]), @r"
    exit 2
    error: `MAINSTAY_SOURCES` is set, but the configuration file `mainstay.yaml` counts
    hint: Write it into the file and unset the variable, or remove the file.
    ");
}

#[test]
fn a_new_file_is_valid_private_and_never_replaces_another() {
    let scene = Scene::empty();
    assert_snapshot!(scene.run(&["config", "init"]), @r"
    exit 0
    wrote `mainstay.yaml`
    Next: look through it, put a password into the file that it names (and keep a copy of the password in another place), and run `mainstay --config mainstay.yaml config check`.
    ");
    let file = scene.path("mainstay.yaml");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    scene.ok(&["config", "check"]);
    fs::write(&file, "mine").unwrap();
    assert_snapshot!(scene.run(&["config", "init"]), @r"
    exit 2
    error: `mainstay.yaml` exists already
    hint: Edit it, or write to another file: `mainstay config init FILE`.
    ");
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    assert_eq!(scene.run(&["config", "init", "no/such/directory.yaml"]).code, 2);
}

#[test]
fn the_schema_is_json_of_the_draft_that_editors_know() {
    let schema: Value = serde_json::from_str(&Scene::empty().ok(&["config", "schema"])).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(schema["properties"]["repositories"]["description"].is_string());
}
