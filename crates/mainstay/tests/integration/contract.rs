//! What every kind of source promises, see `mainstay::source::Source`.

use crate::jobs::Jobs;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A source under test.
pub struct Subject<'a> {
    pub jobs: &'a Jobs,
    /// Under which repositories; each holds the part.
    pub repositories: &'a [&'a str],
    /// Its path in a restore point.
    pub part: &'a str,
    /// A name to restore it under, if it can be.
    pub rename: Option<&'a str>,
    /// Whether something that is there already is refused: everything but programs that are fed.
    pub refuses: bool,
    /// What it holds under that name, or under its own.
    pub state: &'a dyn Fn(Option<&str>) -> String,
    /// Damages or removes what it holds.
    pub damage: &'a dyn Fn(),
}

impl Subject<'_> {
    /// Run the job once, then everything that the contract says, for each repository.
    pub fn assert_holds(&self) {
        let before = (self.state)(None);
        let (code, report) = self.jobs.report(&["run", "--init"]);
        assert_eq!((code, &report["outcome"]), (0, &Value::from("done")), "{report}");
        for repository in self.repositories {
            self.assert_proven(repository);
            self.assert_restores(repository, &before);
        }
    }

    fn assert_proven(&self, repository: &str) {
        let before = (self.state)(None);
        let (code, drill) = self
            .jobs
            .report(&["-r", repository, "drill", "latest", "--part", self.part]);
        assert_eq!((code, &drill["ok"]), (0, &Value::from(true)), "{repository}: {drill}");
        assert!(
            drill["verdict"].as_str().unwrap().starts_with("RESTORE OK — "),
            "{drill}"
        );
        let checks = drill["parts"][0]["checks"].as_array().unwrap();
        assert!(checks.iter().any(|check| check["verdict"] == "passed"), "{drill}");
        assert_eq!((self.state)(None), before, "a drill touches nothing");
    }

    fn assert_restores(&self, repository: &str, before: &str) {
        let restore = ["-r", repository, "restore", "latest", "--part", self.part];
        let with = |more: &[&str]| self.jobs.run(&[&restore[..], more].concat());
        if self.refuses {
            let refused = with(&["--yes"]);
            assert!(refused.code != 0 && refused.stderr.contains("hint: "), "{refused}");
            assert_eq!((self.state)(None), before, "nothing is replaced unasked");
        }
        if let Some(name) = self.rename {
            let beside = with(&["--yes", "--as", name]);
            assert_eq!(beside.code, 0, "{beside}");
            assert_eq!((self.state)(Some(name)), before);
            let again = with(&["--yes", "--as", name]);
            assert_ne!(again.code, 0, "what is there is not replaced: {again}");
            let again = with(&["--yes", "--as", name, "--overwrite"]);
            assert_eq!(again.code, 0, "{again}");
        }
        (self.damage)();
        let damaged = (self.state)(None);
        assert_ne!(damaged, before);
        let planned = with(&["--overwrite", "--dry-run"]);
        assert!(
            planned.code == 0 && planned.stdout.contains("would do this:"),
            "{planned}"
        );
        let unconfirmed = with(&["--overwrite"]);
        assert!(
            unconfirmed.code == 2 && unconfirmed.stderr.contains("nobody is there to confirm"),
            "{unconfirmed}"
        );
        assert_eq!((self.state)(None), damaged, "a plan changes nothing");
        let restored = with(&["--overwrite", "--yes"]);
        assert_eq!(restored.code, 0, "{restored}");
        assert_eq!((self.state)(None), before, "{repository}");
    }
}

/// Repositories of both formats, and a job of these sources that stores to both.
pub fn configuration(sources: &str) -> String {
    format!(
        "
repositories:
  main: {{url: ./main, password: {{file: password}}}}
  archives: {{url: ./archives, format: archive, name: \"{{job}}-%Y%m%d%H%M%S%3f.tar.zst\", encryption: none}}
jobs:
  data:
    sources:
{sources}
    to: [main, archives]
"
    )
}

/// Names and contents below a directory.
fn contents(directory: &Path) -> String {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let entry = entry.unwrap();
        let content = match entry.file_type().unwrap().is_dir() {
            true => contents(&entry.path()),
            false => fs::read_to_string(entry.path()).unwrap(),
        };
        found.push(format!("{:?}: {content}", entry.file_name()));
    }
    found.sort();
    found.join("\n")
}

#[test]
fn files_keep_the_contract() {
    let jobs = Jobs::new(&configuration("      - files: [./data, ./single.txt]"));
    fs::write(jobs.scene.path("single.txt"), "alone").unwrap();
    let data = jobs.scene.path("data");
    let beside = jobs.scene.path("beside");
    let subject = Subject {
        jobs: &jobs,
        repositories: &["main", "archives"],
        part: &format!("/files{}", data.display()),
        rename: None,
        refuses: true,
        state: &|name| contents(name.map_or(data.as_path(), Path::new)),
        damage: &|| fs::write(data.join("a.txt"), "damaged").unwrap(),
    };
    subject.assert_holds();
    let renamed = Subject {
        repositories: &["main"],
        rename: Some(beside.to_str().unwrap()),
        ..subject
    };
    renamed.assert_holds();
    let single = jobs.scene.path("single.txt");
    Subject {
        part: &format!("/files{}", single.display()),
        rename: None,
        state: &|_| fs::read_to_string(&single).unwrap_or_default(),
        damage: &|| fs::write(&single, "damaged").unwrap(),
        ..renamed
    }
    .assert_holds();
    // Only a directory of the part.
    fs::remove_dir_all(data.join("sub")).unwrap();
    let part = format!("/files{}/sub", data.display());
    let restored = jobs.run(&["-r", "main", "restore", "latest", "--part", &part, "--yes"]);
    assert_eq!(restored.code, 0, "{restored}");
    assert_eq!(fs::read_to_string(data.join("sub/b.log")).unwrap(), "two and more");
}

#[test]
fn commands_keep_the_contract() {
    let source =
        "      - command: {run: [cat, state.txt], name: state, restore: [sh, -c, 'cat > state.txt'], directory: .}";
    let jobs = Jobs::new(&configuration(source));
    let state = jobs.scene.path("state.txt");
    fs::write(&state, "precious").unwrap();
    let subject = Subject {
        jobs: &jobs,
        repositories: &["main", "archives"],
        part: "/command/state",
        rename: None,
        refuses: false,
        state: &|_| fs::read_to_string(&state).unwrap(),
        damage: &|| fs::write(&state, "damaged").unwrap(),
    };
    subject.assert_holds();
    let wrong = jobs.run(&["-r", "main", "restore", "latest", "--part", "/command/other", "--yes"]);
    assert!(
        wrong.code == 2 && wrong.stderr.contains("hint: The parts are /command/state."),
        "{wrong}"
    );
    let renamed = jobs.run(&[
        "-r",
        "main",
        "restore",
        "latest",
        "--part",
        "/command/state",
        "--as",
        "x",
        "--yes",
    ]);
    assert!(
        renamed.code == 2 && renamed.stderr.contains("cannot be put back"),
        "{renamed}"
    );
    // A program that fails, of a source that is not required: the archive goes on without it, too.
    let whole = ["main", "archives"].map(|repository| newest(&jobs, repository));
    jobs.configure(&configuration(
        "      - files: ./data\n      - command: {run: ['false'], name: state}",
    ));
    let (code, report) = jobs.report(&["run"]);
    assert_eq!(code, 3, "{report}");
    let stored: Vec<_> = report["destinations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["error"])
        .collect();
    assert_eq!(stored, [&Value::Null, &Value::Null], "{report}");
    for (repository, whole) in ["main", "archives"].into_iter().zip(whole) {
        assert_ne!(newest(&jobs, repository), whole);
        let broken = jobs.run(&[
            "-r",
            repository,
            "restore",
            "latest",
            "--part",
            "/command/state",
            "--yes",
        ]);
        let hint = format!("hint: The newest restore point that holds it whole is `{whole}`.\n");
        assert!(
            broken.code == 2 && broken.stderr.contains("is not whole") && broken.stderr.contains(&hint),
            "{broken}"
        );
        let drill = jobs.run(&["-r", repository, "drill", "latest", "--part", "/files"]);
        assert_eq!(drill.code, 0, "{drill}");
    }
}

/// What people call the newest restore point.
fn newest(jobs: &Jobs, repository: &str) -> String {
    let listed = jobs.run(&["-r", repository, "snapshots", "--json"]);
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    let newest = listed.as_array().unwrap().last().unwrap();
    let name = newest.get("short_id").or(newest.get("name")).unwrap();
    name.as_str().unwrap().to_owned()
}

#[test]
fn a_drill_of_damaged_content_fails() {
    let jobs = Jobs::new(&configuration("      - files: ./data"));
    assert_eq!(jobs.run(&["run", "--init"]).code, 0);
    jobs.damage_packs("main");
    let drill = jobs.run(&["-r", "main", "--no-cache", "drill", "latest"]);
    assert!(drill.code != 0 && !drill.stdout.contains("RESTORE OK"), "{drill}");
}
