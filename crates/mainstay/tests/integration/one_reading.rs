//! A job with a repository on this host and archives reads its sources once: the archives are made of the snapshot.

use crate::jobs::Jobs;
use crate::peer::{assert_same, scratch};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use testkit::s3_server::{ACCESS_KEY, BUCKET, S3Server, SECRET_KEY};

/// Long enough to be cut into members.
const DUMP_BYTES: usize = (40 << 20) + 1;

/// A job for `to`; its program notes each time that it is run, and what it prints is different each time.
fn job(repositories: &str, to: &str) -> String {
    format!(
        "
repositories:
  plain: {{url: ./plain, format: archive, name: '{{job}}-%H%M%S%f.tar', compression: none, encryption: none}}
  zipped: {{url: ./zipped, format: archive, name: '{{job}}-%H%M%S%f.tar.gz', compression: {{gzip: 1}}, encryption: none}}
{repositories}
jobs:
  data:
    sources:
      - command:
          run: [sh, -c, 'echo run >> ran; date +%N; head -c {DUMP_BYTES} /dev/zero']
          name: dump.sql
      - files: ./data
    to: [{to}]
"
    )
}

const NEAR: &str = "  near: {url: ./near, password: {file: password}}";

fn times_run(jobs: &Jobs) -> usize {
    fs::read_to_string(jobs.scene.path("ran")).unwrap().lines().count()
}

/// Unpack the newest archive of a place with tar.
#[expect(clippy::disallowed_methods, reason = "tar is the oracle")]
fn unpacked(jobs: &Jobs, report: &Value, number: usize, place: &str) -> tempfile::TempDir {
    let name = report["destinations"][number]["stored"]["id"].as_str().unwrap();
    let (file, target) = (jobs.scene.path(place).join(name), scratch());
    let tar = std::process::Command::new("tar")
        .arg("-xf")
        .arg(file)
        .arg("-C")
        .arg(target.path())
        .status();
    assert!(tar.unwrap().success());
    let parts = "test ! -e command/dump.sql.part000001 || cat command/dump.sql.part* > command/dump.sql";
    let joined = std::process::Command::new("sh")
        .args(["-c", parts])
        .current_dir(target.path())
        .status();
    assert!(joined.unwrap().success());
    target
}

fn below(target: &Path, path: &Path) -> PathBuf {
    target.join("files").join(path.strip_prefix("/").unwrap())
}

#[test]
fn a_program_is_run_once_for_a_repository_and_archives() {
    let jobs = Jobs::new(&job(NEAR, "plain, zipped, near"));
    for round in 1..3 {
        let (code, report) = jobs.report(&["run", "--init"]);
        assert_eq!((code, &report["outcome"]), (0, &"done".into()), "{report}");
        assert_eq!(times_run(&jobs), round);
        let dump = jobs.restic("near", &["dump", "latest", "/command/dump.sql"]);
        let manifest = jobs.restic("near", &["dump", "latest", "/mainstay.json"]);
        for (number, place) in ["plain", "zipped"].into_iter().enumerate() {
            let target = unpacked(&jobs, &report, number, place);
            assert!(
                fs::read_to_string(target.path().join("command/dump.sql")).unwrap() == dump,
                "{place}"
            );
            assert_eq!(
                fs::read_to_string(target.path().join("mainstay.json")).unwrap(),
                manifest
            );
            assert_same(
                &jobs.scene.path("data"),
                &below(target.path(), &jobs.scene.path("data")),
            );
        }
        let parts: Value = serde_json::from_str(&jobs.scene.hidden(&manifest)).unwrap();
        assert_eq!(parts["parts"], report["parts"]);
        fs::write(jobs.scene.path("data/a.txt"), "changed").unwrap();
    }
}

#[test]
fn archives_are_in_the_order_of_the_sources() {
    let jobs = Jobs::new(&job(NEAR, "plain, near"));
    let (_, near) = jobs.report(&["run", "--init"]);
    jobs.configure(&job(NEAR, "plain"));
    let (_, alone) = jobs.report(&["run"]);
    let listed = |report: &Value| {
        let name = report["destinations"][0]["stored"]["id"].as_str().unwrap();
        names(&jobs.scene.path("plain").join(name))
    };
    assert_eq!(listed(&near), listed(&alone));
    assert!(
        listed(&near).ends_with("/data/sub/b.log\nmainstay.json\n"),
        "{}",
        listed(&near)
    );
    assert!(listed(&near).starts_with("command/dump.sql.part000001\ncommand/dump.sql.part000002\nfiles/"));
}

#[expect(clippy::disallowed_methods, reason = "tar is the oracle")]
fn names(archive: &Path) -> String {
    let output = std::process::Command::new("tar")
        .arg("-tf")
        .arg(archive)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn sources_are_read_again_where_no_repository_is_near() {
    let server = S3Server::start();
    let far = format!(
        "  far: {{url: 's3:{}/{BUCKET}/far', password: {{file: password}}}}",
        server.endpoint()
    );
    let jobs = Jobs::new(&job(&far, "plain, far"));
    let mut command = jobs.command(&["run", "--init"]);
    command
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    let ended = jobs.scene.ended(&mut command);
    assert_eq!((ended.code, times_run(&jobs)), (0, 2), "{ended}");
}

#[test]
fn a_near_repository_that_is_not_there_costs_its_own_snapshot_only() {
    let jobs = Jobs::new(&job(NEAR, "plain, near"));
    fs::create_dir(jobs.scene.path("plain")).unwrap();
    let (code, report) = jobs.report(&["run"]);
    assert_eq!(
        (code, &report["outcome"], times_run(&jobs)),
        (3, &"degraded".into(), 1),
        "{report}"
    );
    let target = unpacked(&jobs, &report, 0, "plain");
    assert_same(
        &jobs.scene.path("data"),
        &below(target.path(), &jobs.scene.path("data")),
    );
}

/// What did not change is not read by a backup, so nobody has noticed before.
#[test]
fn a_near_repository_that_is_damaged_is_named_and_costs_no_archive() {
    let two = "  near: {url: ./near, password: {file: password}}\n  other: {url: ./other, password: {file: password}}";
    for (repositories, to, times) in [(NEAR, "plain, near", 2), (two, "plain, near, other", 1)] {
        let jobs = Jobs::new(&job(repositories, to).replace(&DUMP_BYTES.to_string(), "5"));
        fs::write(jobs.scene.path("data/old"), testkit::tree::content(1, 3 << 20)).unwrap();
        assert_eq!(jobs.report(&["run", "--init"]).0, 0);
        damage_largest_pack(&jobs.scene.path("near/data"));
        fs::remove_file(jobs.scene.path("ran")).unwrap();
        let (code, report) = jobs.report(&["run"]);
        assert_eq!(
            (code, &report["outcome"], times_run(&jobs)),
            (3, &"degraded".into(), times),
            "{report}"
        );
        let error = report["destinations"][1]["error"]["message"].as_str().unwrap();
        assert!(error.contains("cannot be read") && error.contains("damaged"), "{error}");
        assert!(report["destinations"][0]["error"].is_null(), "{report}");
        let target = unpacked(&jobs, &report, 0, "plain");
        assert_same(
            &jobs.scene.path("data"),
            &below(target.path(), &jobs.scene.path("data")),
        );
    }
}

fn damage_largest_pack(directory: &Path) {
    let mut files = Vec::new();
    for folder in fs::read_dir(directory).unwrap() {
        files.extend(
            fs::read_dir(folder.unwrap().path())
                .unwrap()
                .map(|file| file.unwrap().path()),
        );
    }
    let largest = files
        .into_iter()
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    let mut bytes = fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(&largest).unwrap();
    fs::write(&largest, bytes).unwrap();
}

#[test]
fn problems_of_the_snapshot_are_those_of_the_archive() {
    let failing = job(NEAR, "plain, near").replace("date +%N; head", "exit 7; head");
    let jobs = Jobs::new(&failing);
    let (code, report) = jobs.report(&["run", "--init"]);
    assert_eq!(
        (code, &report["problems"], times_run(&jobs)),
        (3, &1.into(), 1),
        "{report}"
    );
    let name = report["destinations"][0]["stored"]["id"].as_str().unwrap();
    let path = jobs.scene.path("plain").join(format!("{name}.manifest.json"));
    let beside: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(beside["counts"]["problems"], 1, "{beside}");
    let target = unpacked(&jobs, &report, 0, "plain");
    let within = fs::read_to_string(target.path().join("mainstay.json")).unwrap();
    let within: Value = serde_json::from_str(&jobs.scene.hidden(&within)).unwrap();
    assert_eq!((&within["problems"], &within["parts"]), (&1.into(), &report["parts"]));
    assert!(within["parts"][0]["problem"].is_string() && !target.path().join("command/dump.sql").exists());
}
