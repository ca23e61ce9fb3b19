//! `run` and `sync`: jobs of a configuration, from the sources to several repositories of both formats.

use crate::peer::{assert_same, scratch};
use crate::scene::{Ended, Scene};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A configuration in the directory of a scene, and sources beside it.
pub struct Jobs {
    pub scene: Scene,
    /// Where programs are looked for first.
    pub programs: Option<PathBuf>,
    /// And nowhere else.
    pub no_others: bool,
}

/// How often something is repeated that may go wrong by chance: `usual`, unless the environment asks for more.
#[expect(
    clippy::disallowed_methods,
    reason = "the variable is of the tests, not of the program"
)]
pub fn rounds(usual: u32) -> u32 {
    let wanted = std::env::var("MAINSTAY_TEST_ROUNDS");
    wanted.map_or(usual, |text| text.parse().expect("MAINSTAY_TEST_ROUNDS is a number"))
}

impl Jobs {
    pub fn new(yaml: &str) -> Self {
        let jobs = Self {
            scene: Scene::empty_in(scratch()),
            programs: None,
            no_others: false,
        };
        fs::create_dir_all(jobs.scene.path("data/sub")).unwrap();
        fs::write(jobs.scene.path("data/a.txt"), "one").unwrap();
        fs::write(jobs.scene.path("data/sub/b.log"), "two and more").unwrap();
        jobs.configure(yaml);
        jobs
    }

    pub fn configure(&self, yaml: &str) {
        fs::write(self.scene.path("mainstay.yaml"), format!("host: h\n{yaml}")).unwrap();
    }

    pub fn command(&self, arguments: &[&str]) -> assert_cmd::Command {
        let mut command = self.scene.command();
        command
            .env_remove("MAINSTAY_REPOSITORY")
            .env_remove("MAINSTAY_PASSWORD_FILE")
            .env("MAINSTAY_STATE_DIR", self.scene.path("state"));
        if let Some(path) = self.search_path() {
            command.env("PATH", path);
        }
        command.args(["--config", "mainstay.yaml"]).args(arguments);
        command
    }

    /// Where programs are looked for, if not where the system has them.
    fn search_path(&self) -> Option<String> {
        let programs = self.programs.as_ref()?;
        let others = if self.no_others { "" } else { ":/usr/bin:/bin" };
        Some(format!("{}{others}", programs.display()))
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.scene.ended(&mut self.command(arguments))
    }

    /// Start it without waiting for its end, with pipes from its outputs.
    #[expect(clippy::disallowed_methods, reason = "a test that kills the running program")]
    pub fn start(&self, arguments: &[&str]) -> std::process::Child {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("mainstay"));
        let path = self.search_path().unwrap_or_else(|| "/usr/bin:/bin".to_owned());
        command
            .env_clear()
            .envs([("PATH", path.into()), ("HOME", self.scene.path("home"))])
            .env("MAINSTAY_STATE_DIR", self.scene.path("state"))
            .current_dir(self.scene.path("."));
        let command = command.args(["--config", "mainstay.yaml"]).args(arguments);
        let piped = std::process::Stdio::piped;
        command.stdin(std::process::Stdio::null());
        command.stdout(piped()).stderr(piped()).spawn().unwrap()
    }

    pub fn report(&self, arguments: &[&str]) -> (i32, Value) {
        let ended = self.run(&[arguments, &["--json", "--quiet"]].concat());
        let last = ended.stdout.lines().last().unwrap_or_default();
        let report = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {ended}"));
        (ended.code, report)
    }

    /// Change a bit at the beginning of every pack of a repository.
    pub fn damage_packs(&self, repository: &str) {
        for directory in fs::read_dir(self.scene.path(repository).join("data")).unwrap() {
            for pack in fs::read_dir(directory.unwrap().path()).unwrap() {
                let pack = pack.unwrap().path();
                let mut bytes = fs::read(&pack).unwrap();
                bytes[20] ^= 1;
                fs::remove_file(&pack).unwrap();
                fs::write(&pack, bytes).unwrap();
            }
        }
    }

    /// `restic` on one of the repositories; its standard output.
    #[expect(clippy::disallowed_methods, reason = "restic is the oracle")]
    pub fn restic(&self, repository: &str, arguments: &[&str]) -> String {
        let mut command = std::process::Command::new("restic");
        command
            .args(["--no-cache", "-r"])
            .arg(self.scene.path(repository))
            .args(arguments);
        let output = command
            .env("RESTIC_PASSWORD_FILE", self.scene.path("password"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn trees(&self, repository: &str) -> Vec<String> {
        let snapshots: Value = serde_json::from_str(&self.restic(repository, &["snapshots", "--json"])).unwrap();
        let snapshots = snapshots.as_array().unwrap().iter();
        snapshots
            .map(|snapshot| snapshot["tree"].as_str().unwrap().to_owned())
            .collect()
    }

    /// What restic restores has to be what is there.
    fn assert_restic_restores(&self, repository: &str) {
        self.restic(repository, &["check", "--read-data"]);
        let target = scratch();
        self.restic(
            repository,
            &["restore", "latest", "--target", target.path().to_str().unwrap()],
        );
        assert_same(&self.scene.path("data"), &self.below_files(target.path()));
    }

    fn below_files(&self, target: &Path) -> std::path::PathBuf {
        target
            .join("files")
            .join(self.scene.path("data").strip_prefix("/").unwrap())
    }
}

const ONE: &str = "
repositories:
  main: {url: ./main, password: {file: password}}
jobs:
  data:
    sources:
      - files: ./data
      - command: {run: [sh, -c, 'echo dumped $WHO'], name: dump.txt, environment: {WHO: me}}
    tags: [mine]
";

#[test]
fn a_job_becomes_a_snapshot_with_a_manifest() {
    let jobs = Jobs::new(ONE);
    let missing = jobs.run(&["run"]);
    assert_eq!(missing.code, 10, "{missing}");
    let (code, report) = jobs.report(&["run", "--init"]);
    assert_eq!((code, &report["outcome"]), (0, &Value::from("done")), "{report}");
    let parts = report["parts"].as_array().unwrap();
    assert_eq!(
        (&parts[0]["entries"], &parts[0]["bytes"], &parts[0]["grade"]),
        (&2.into(), &15.into(), &"live".into())
    );
    assert_eq!(
        (&parts[1]["entries"], &parts[1]["facts"]["bytes"]),
        (&1.into(), &10.into())
    );
    jobs.assert_restic_restores("main");
    assert_eq!(
        jobs.restic("main", &["dump", "latest", "/command/dump.txt"]),
        "dumped me\n"
    );
    let manifest: Value = serde_json::from_str(&jobs.restic("main", &["dump", "latest", "/mainstay.json"])).unwrap();
    assert_eq!(
        (&manifest["job"], &manifest["host"], &manifest["parts"][1]),
        (&"data".into(), &"h".into(), &report["parts"][1])
    );
    let snapshots = jobs.restic("main", &["snapshots", "--tag", "mine,job:data", "--host", "h"]);
    assert!(snapshots.contains("1 snapshots"), "{snapshots}");
    let text = jobs.run(&["run"]);
    assert!(
        text.stdout.contains("job data: done") && text.stdout.contains("captured  files"),
        "{text}"
    );
}

#[test]
fn a_command_that_fails_is_left_out_or_fails_the_job() {
    let jobs = Jobs::new(ONE);
    let failing = |required: &str| ONE.replace("echo dumped $WHO'", &format!("echo half; exit 3'{required}"));
    jobs.configure(&failing("").replace("name: dump.txt,", "name: dump.txt, required: true,"));
    let (code, report) = jobs.report(&["run", "--init"]);
    assert_eq!((code, &report["outcome"]), (1, &"failed".into()), "{report}");
    assert!(
        report["error"]["message"]
            .as_str()
            .unwrap()
            .contains("the command `sh` failed"),
        "{report}"
    );
    assert_eq!(jobs.trees("main").len(), 0);
    jobs.configure(&failing(""));
    let (code, report) = jobs.report(&["run"]);
    assert_eq!(
        (code, &report["outcome"], &report["problems"]),
        (3, &"incomplete".into(), &1.into()),
        "{report}"
    );
    jobs.assert_restic_restores("main");
    let listed = jobs.restic("main", &["ls", "latest"]);
    assert!(!listed.lines().any(|line| line == "/command/dump.txt"), "{listed}");
}

#[test]
fn a_dry_run_changes_nothing_and_runs_nothing() {
    let yaml = ONE
        .replace("echo dumped $WHO", "touch ran")
        .replace("    tags: [mine]", "    keep: {last: 1}");
    let jobs = Jobs::new(&yaml);
    for round in 1..3 {
        // What prints nothing is left out.
        assert_eq!(jobs.run(&["run", "--init"]).code, 3);
        fs::remove_file(jobs.scene.path("ran")).unwrap();
        let trees = jobs.trees("main");
        let (code, report) = jobs.report(&["run", "--dry-run"]);
        assert_eq!((code, &report["dry_run"]), (0, &true.into()), "{report}");
        assert!(!jobs.scene.path("ran").exists());
        assert_eq!(jobs.trees("main"), trees, "{round}");
    }
}

#[test]
fn only_what_the_job_made_expires() {
    let jobs = Jobs::new(&ONE.replace("    tags: [mine]", "    keep: {last: 2}"));
    assert_eq!(jobs.run(&["run", "--init"]).code, 0);
    let foreign = jobs.scene.path("foreign");
    fs::write(&foreign, "x").unwrap();
    for _ in 0..3 {
        jobs.restic(
            "main",
            &["backup", foreign.to_str().unwrap(), "--host", "h", "--tag", "job:other"],
        );
    }
    for round in 0..3 {
        fs::write(jobs.scene.path("data/a.txt"), format!("round {round}")).unwrap();
        let (code, report) = jobs.report(&["run"]);
        assert_eq!(code, 0, "{report}");
        let retention = &report["destinations"][0]["retention"];
        let removed = retention["removed"].as_array().unwrap().len();
        assert_eq!(
            (&retention["kept"], removed),
            (&2.into(), usize::from(round > 0)),
            "{report}"
        );
    }
    assert_eq!(jobs.trees("main").len(), 2 + 3);
    jobs.assert_restic_restores("main");
}

const THREE: &str = "
repositories:
  one: {url: ./one, password: {file: password}}
  two: {url: ./two, password: {file: password2}, compression: max}
  three: {url: ./three, password: {file: password}}
jobs:
  data:
    sources: [files: ./data]
    to: [one, two, three]
    keep: {last: 3}
";

#[test]
fn a_repository_that_cannot_be_reached_is_completed_later() {
    let jobs = Jobs::new(THREE);
    fs::write(jobs.scene.path("password2"), "secret").unwrap();
    assert_eq!(jobs.run(&["run", "--init"]).code, 0);
    fs::rename(jobs.scene.path("two"), jobs.scene.path("away")).unwrap();
    for round in 0..2 {
        fs::write(jobs.scene.path("data/a.txt"), format!("round {round}")).unwrap();
        let (code, report) = jobs.report(&["run"]);
        assert_eq!((code, &report["outcome"]), (3, &"degraded".into()), "{report}");
        let two = &report["destinations"][1];
        assert!(
            two["error"]["message"]
                .as_str()
                .unwrap()
                .contains("there is no repository"),
            "{two}"
        );
        assert!(two["stored"].is_null() && !report["destinations"][2]["stored"].is_null());
        // Those that hold the run do not wait for the one that does not.
        let phases = report["phases"].as_array().unwrap();
        let at = |name: &str| phases.iter().position(|phase| phase["name"] == name);
        assert!(at("retention") < at("copy"), "{report}");
    }
    fs::rename(jobs.scene.path("away"), jobs.scene.path("two")).unwrap();
    let (code, report) = jobs.report(&["sync"]);
    assert_eq!((code, &report["destinations"][1]["copied"]), (0, &2.into()), "{report}");
    let newest = report["destinations"][1]["stored"]["id"].as_str().unwrap();
    let listed = jobs.run(&["-r", "two", "snapshots", "--json"]);
    assert!(listed.stdout.contains(newest), "{report}{listed}");
    let again = jobs.report(&["sync"]).1;
    assert!(
        again["destinations"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["copied"] == 0),
        "{again}"
    );
    let mut trees = jobs.trees("one");
    trees.sort();
    for repository in ["two", "three"] {
        let mut others = jobs.trees(repository);
        others.sort();
        assert_eq!(trees, others, "{repository}");
        jobs.assert_restic_restores(repository);
    }
    // The next run finds everybody in step.
    let (code, report) = jobs.report(&["run"]);
    assert_eq!((code, &report["outcome"]), (0, &"done".into()), "{report}");
    assert!(
        ["one", "two", "three"]
            .iter()
            .all(|repository| jobs.trees(repository).len() == 3)
    );
}

#[test]
fn the_next_run_heals_what_the_last_one_could_not() {
    let jobs = Jobs::new(THREE);
    fs::write(jobs.scene.path("password2"), "wrong").unwrap();
    assert_eq!(jobs.run(&["run", "--init"]).code, 0);
    fs::write(jobs.scene.path("password2"), "another").unwrap();
    assert_eq!(jobs.run(&["run"]).code, 3);
    fs::write(jobs.scene.path("password2"), "wrong").unwrap();
    let (code, report) = jobs.report(&["run"]);
    assert_eq!((code, &report["destinations"][1]["copied"]), (0, &1.into()), "{report}");
}

const ARCHIVES: &str = "
repositories:
  plain: {url: ./plain, format: archive, name: '%Y/{job}-%H%M%S%f.tar.gz', compression: {gzip: 6}, encryption: none}
  copy: {url: ./copy, format: archive, name: '%Y/{job}-%H%M%S%f.tar.gz', compression: {gzip: 6}, encryption: none}
  restic: {url: ./restic, password: {file: password}}
jobs:
  data:
    sources:
      - files: ./data
      - command: {run: [echo, dumped], name: dump.txt}
    exclude: ['*.log']
    keep: {last: 2}
";

#[test]
#[expect(clippy::disallowed_methods, reason = "tar is the oracle")]
fn one_job_fills_archives_and_repositories() {
    let jobs = Jobs::new(&format!("{ARCHIVES}    to: [plain, copy, restic]\n"));
    fs::create_dir_all(jobs.scene.path("plain")).unwrap();
    fs::write(jobs.scene.path("plain/foreign.tar.gz"), "not ours").unwrap();
    for round in 0..3 {
        let (code, report) = jobs.report(&["run", "--init"]);
        assert_eq!(code, 0, "{report}");
        assert_eq!(report["destinations"][1]["copied"], Value::from(1), "{report}");
        let removed = report["destinations"][0]["retention"]["removed"]
            .as_array()
            .unwrap()
            .len();
        assert_eq!(removed, usize::from(round == 2), "{report}");
    }
    let (_, report) = jobs.report(&["run"]);
    for destination in ["plain", "copy"] {
        let name = report["destinations"][0]["stored"]["id"].as_str().unwrap();
        let (file, target) = (jobs.scene.path(destination).join(name), scratch());
        let link = jobs.scene.path(destination).join("latest-h-data.tar.gz");
        assert_eq!(fs::read_link(link).unwrap(), Path::new(name));
        let status = std::process::Command::new("tar")
            .arg("-xzf")
            .arg(&file)
            .arg("-C")
            .arg(target.path())
            .status();
        assert!(status.unwrap().success());
        assert_eq!(fs::read(target.path().join("command/dump.txt")).unwrap(), b"dumped\n");
        let restored = jobs.below_files(target.path());
        assert_eq!(fs::read(restored.join("a.txt")).unwrap(), b"one");
        assert!(!restored.join("sub/b.log").exists() && restored.join("sub").exists());
        let manifest: Value = serde_json::from_slice(&fs::read(target.path().join("mainstay.json")).unwrap()).unwrap();
        assert_eq!(
            (&manifest["parts"][0]["entries"], &manifest["parts"][0]["bytes"]),
            (&1.into(), &3.into())
        );
        assert_eq!(manifest["parts"][1]["facts"]["bytes"], Value::from(7));
    }
    assert_eq!(fs::read(jobs.scene.path("plain/foreign.tar.gz")).unwrap(), b"not ours");
}

#[test]
fn jobs_are_named_or_all() {
    let yaml = format!("{ONE}  other:\n    sources: [files: ./data]\n");
    let jobs = Jobs::new(&yaml);
    for (arguments, part) in [
        (&["run"][..], "which job?"),
        (&["run", "nope"], "there is no job `nope`"),
    ] {
        let ended = jobs.run(arguments);
        assert_eq!(ended.code, 2, "{ended}");
        assert!(ended.stderr.contains(part) && ended.stderr.contains("other"), "{ended}");
    }
    assert_eq!(jobs.run(&["run", "other", "--init"]).code, 0);
    assert_eq!(jobs.run(&["run", "--all"]).code, 0);
    assert_eq!(jobs.trees("main").len(), 3);
}

#[test]
fn sources_have_patterns_of_their_own() {
    let files = "- files: {paths: ./data, include: ['*.log'], exclude: [a.*]}\n      - files: ./other";
    let jobs = Jobs::new(&ONE.replace("- files: ./data", files));
    fs::create_dir(jobs.scene.path("other")).unwrap();
    fs::write(jobs.scene.path("other/a.txt"), "kept").unwrap();
    let (code, report) = jobs.report(&["run", "--init"]);
    assert_eq!(code, 0, "{report}");
    let listed = jobs.restic("main", &["ls", "latest"]);
    assert!(
        listed.contains("/data/sub/b.log") && listed.contains("/other/a.txt"),
        "{listed}"
    );
    assert!(!listed.contains("/data/a.txt"), "{listed}");
}

#[test]
fn sources_of_later_versions_are_refused_before_anything_is_done() {
    let jobs = Jobs::new(&ONE.replace("- files: ./data", "- volume: x"));
    let ended = jobs.run(&["run", "--init"]);
    assert_eq!(ended.code, 2, "{ended}");
    assert!(
        ended.stderr.contains("`volume`") && !jobs.scene.path("main").exists(),
        "{ended}"
    );
}

#[test]
fn a_probe_shows_what_is_there_and_what_is_missing() {
    let jobs = Jobs::new(&ONE.replace("- files: ./data", "- files: [./data, ./gone]"));
    let (code, probe) = jobs.report(&["probe"]);
    let source = &probe["sources"][0];
    assert_eq!(
        (code, &probe["ok"], &source["job"]),
        (1, &false.into(), &"data".into()),
        "{probe}"
    );
    assert!(
        source["found"][0]["name"].as_str().unwrap().ends_with("/data")
            && source["missing"][0].as_str().unwrap().contains("/gone` cannot be read"),
        "{probe}"
    );
    jobs.configure(ONE);
    let text = jobs.run(&["probe"]);
    assert!(
        text.code == 0 && text.stdout.contains("data: command dump.txt"),
        "{text}"
    );
}
