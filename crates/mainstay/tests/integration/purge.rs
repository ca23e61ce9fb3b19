//! `purge`: what is asked for is gone from every snapshot and from the store, and nothing else.

use crate::jobs::Jobs;
use crate::scene::Scene;
use serde_json::Value;
use std::fs;

/// Three snapshots of two hosts, with the data of two persons.
fn scene() -> Scene {
    let scene = Scene::empty();
    for person in ["ann", "bob"] {
        fs::create_dir_all(scene.path(&format!("home/{person}/photos"))).unwrap();
        fs::write(
            scene.path(&format!("home/{person}/photos/1.jpg")),
            noise(person.len() as u64 + person.as_bytes()[0] as u64),
        )
        .unwrap();
        fs::write(scene.path(&format!("home/{person}/common")), noise(7)).unwrap();
    }
    scene.ok(&["init"]);
    for host in ["one", "one", "two"] {
        fs::write(scene.path("home/ann/diary"), noise(fastrand::u64(..))).unwrap();
        scene.ok(&["backup", "home", "--host", host]);
    }
    scene
}

fn noise(seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..300_000).map(|_| random.u8(..)).collect()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

fn listed(scene: &Scene) -> String {
    let snapshots: Value = serde_json::from_str(&scene.ok(&["snapshots", "--json"])).unwrap();
    let ids = snapshots
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_str().unwrap().to_owned());
    ids.map(|id| scene.ok(&["ls", &id])).collect()
}

#[test]
fn what_is_purged_is_gone_and_the_rest_is_there() {
    let scene = scene();
    let data = |scene: &Scene| {
        scene
            .objects("data")
            .iter()
            .map(|path| fs::metadata(path).unwrap().len())
            .sum::<u64>()
    };
    let (before, ann) = (data(&scene), scene.path("home/ann").display().to_string());
    let plan = json(&scene.ok(&["purge", "--path", &ann, "--dry-run", "--json"]));
    assert_eq!(plan["snapshots"].as_array().unwrap().len(), 3, "{plan}");
    assert_eq!(data(&scene), before);
    let asked = scene.run(&["purge", "--path", &ann]);
    assert_eq!(asked.code, 2, "{asked}");
    assert!(asked.stderr.contains("nobody is there to confirm"), "{asked}");
    let report = json(&scene.ok(&["purge", "--path", &ann, "--yes", "--json", "--report", "report.txt"]));
    assert_eq!(
        (&report["proven"], &report["blobs_shared"]),
        (&true.into(), &1.into()),
        "{report}"
    );
    let listed = listed(&scene);
    assert!(
        !listed.contains("ann") && listed.matches("bob/photos/1.jpg").count() == 3,
        "{listed}"
    );
    assert!(data(&scene) + 1_200_000 < before, "{before} {}", data(&scene));
    scene.ok(&["check", "--read-data"]);
    let written = fs::read_to_string(scene.path("report.txt")).unwrap();
    assert!(
        written.contains("home/ann") && written.contains("none holds anything else"),
        "{written}"
    );
    let again = scene.run(&["purge", "--path", &ann, "--yes"]);
    assert_eq!(again.code, 1, "{again}");
    // What restic makes of it.
    let restored = scene.path("restored");
    scene.ok(&["restore", "latest", "--target", restored.to_str().unwrap()]);
    assert_eq!(
        fs::read(restored.join(scene.path("home/bob/common").strip_prefix("/").unwrap())).unwrap(),
        noise(7)
    );
}

#[test]
fn only_the_snapshots_that_are_meant_are_changed() {
    let scene = scene();
    let report = json(&scene.ok(&["purge", "--path", "diary", "--host", "two", "--yes", "--json"]));
    assert_eq!(report["replaced"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(listed(&scene).matches("ann/diary").count(), 2);
    scene.ok(&["check", "--read-data"]);
}

#[test]
fn a_snapshot_of_which_nothing_is_left_goes_as_a_whole() {
    let scene = scene();
    scene.ok(&[
        "purge",
        "--path",
        &scene.path("home").display().to_string(),
        "--host",
        "two",
        "--yes",
    ]);
    let snapshots: Value = serde_json::from_str(&scene.ok(&["snapshots", "--json"])).unwrap();
    assert_eq!(snapshots.as_array().unwrap().len(), 2);
    for pattern in ["*", "/", ""] {
        assert_eq!(scene.run(&["purge", "--path", pattern, "--yes"]).code, 2, "{pattern}");
    }
}

/// A drill excuses what was removed on purpose, and nothing that was lost.
#[test]
fn a_drill_knows_what_was_removed_on_purpose() {
    let jobs = Jobs::new(
        "
repositories:
  one: {url: ./one, password: {file: password}}
jobs:
  app: {to: one, sources: [files: {paths: data}, command: {run: [echo, dump], name: dump}]}
",
    );
    assert_eq!(jobs.run(&["run", "--init"]).code, 0);
    let purged = jobs.run(&["purge", "--path", "*.log", "--yes"]);
    assert_eq!(purged.code, 0, "{purged}");
    let drilled = jobs.run(&["drill", "latest"]);
    assert!(
        drilled.code == 0 && drilled.stdout.contains("1 of 2 are left"),
        "{drilled}"
    );
    assert_unseen_is_not_removed(&jobs, &format!("/files{}", jobs.scene.path("data").display()));
    assert_eq!(jobs.run(&["purge", "--path", "/command", "--yes"]).code, 0);
    let drilled = jobs.run(&["drill", "latest", "--part", "/command/dump"]);
    assert!(
        drilled.code == 0 && drilled.stdout.contains("NOTHING TO RESTORE"),
        "{drilled}"
    );
    jobs.damage_packs("one");
    for part in ["/", "/command/dump"] {
        let drilled = jobs.run(&["--no-cache", "drill", "latest", "--part", part]);
        assert!(drilled.code != 0, "{part} {drilled}");
    }
}

/// Wherever a byte is wrong, a part that is there is never called removed.
fn assert_unseen_is_not_removed(jobs: &Jobs, part: &str) {
    for directory in fs::read_dir(jobs.scene.path("one/data")).unwrap() {
        for pack in fs::read_dir(directory.unwrap().path()).unwrap() {
            let pack = pack.unwrap().path();
            let whole = fs::read(&pack).unwrap();
            let replace = |bytes: &[u8]| {
                fs::remove_file(&pack).unwrap();
                fs::write(&pack, bytes).unwrap();
            };
            for place in (0..whole.len()).step_by(50) {
                let mut bytes = whole.clone();
                bytes[place] ^= 1;
                replace(&bytes);
                let drilled = jobs.run(&["--no-cache", "drill", "latest", "--part", part]);
                assert!(!drilled.stdout.contains("NOTHING TO RESTORE"), "{place} {drilled}");
            }
            replace(&whole);
        }
    }
}

const PLACES: &str = "
repositories:
  one: {url: ./one, format: archive, encryption: none, name: 'a-%H%M%S%f'}
  two: {url: ./two, format: archive, encryption: none, name: 'a-%H%M%S%f'}
  sealed: {url: ./sealed, format: archive, encryption: {age: [{file: public}]}, name: 'a-%H%M%S%f'}
jobs:
  app: {to: [one, two, sealed], sources: [files: {paths: data}, command: {run: [echo, dump], name: dump}]}
";

/// Written again, by their names in the configuration; and what is gone does not come back from another place.
#[test]
fn archives_are_written_again_without_it() {
    let jobs = Jobs::new(PLACES);
    let generated = jobs.run(&["key", "generate", "key"]);
    fs::write(jobs.scene.path("public"), &generated.stdout).unwrap();
    for _ in 0..2 {
        assert_eq!(jobs.run(&["run"]).code, 0);
    }
    let on = |place, arguments: &[&str]| jobs.run(&[&["-r", place], arguments].concat());
    let asked = on("one", &["purge", "--path", "*.log"]);
    assert!(
        asked.code == 2 && asked.stderr.contains("nobody is there to confirm"),
        "{asked}"
    );
    let planned = on("one", &["purge", "--path", "*.log", "--dry-run"]);
    assert!(
        planned.code == 0 && planned.stdout.contains("1 path in 2 of 2 archives match"),
        "{planned}"
    );
    let purged = on("one", &["purge", "--path", "*.log", "--yes", "--report", "report"]);
    assert!(
        purged.code == 0 && purged.stdout.contains("holds everything else"),
        "{purged}"
    );
    let report = fs::read_to_string(jobs.scene.path("report")).unwrap();
    assert_eq!(jobs.scene.hidden(&report), purged.stdout);
    let found = |place| {
        on(place, &["find", "b.log", "--identity", "key"])
            .stdout
            .matches("b.log")
            .count()
    };
    assert_eq!((found("one"), found("two"), found("sealed")), (0, 2, 2));
    assert_eq!(on("one", &["dump", "latest", "/command/dump"]).stdout, "dump\n");
    let drilled = on("one", &["drill", "latest"]);
    assert!(
        drilled.code == 0 && drilled.stdout.contains("1 of 2 are left"),
        "{drilled}"
    );
    let synced = jobs.run(&["sync"]);
    assert_eq!((synced.code, found("one"), found("two")), (0, 0, 2), "{synced}");
    assert!(on("two", &["snapshots"]).stdout.contains("2 archives"));
    // What this host cannot read, it cannot search; nothing is touched.
    let unread = on("sealed", &["purge", "--path", "*.log", "--yes", "--json"]);
    let report = json(&unread.stdout);
    assert_eq!((unread.code, &report["untouched"]), (3, &2.into()), "{unread}");
    let unread = on("sealed", &["purge", "--path", "*.log", "--yes"]).stdout;
    assert!(
        unread.contains("cannot be searched") && unread.contains("NOT DONE: 2 archives"),
        "{unread}"
    );
    // For whom it is to be sealed again, only the configuration says.
    let unnamed = jobs.run(&[
        "-r",
        "archive:sealed",
        "--identity",
        "key",
        "purge",
        "--path",
        "*.log",
        "--dry-run",
    ]);
    assert!(
        unnamed.code == 3 && unnamed.stdout.contains("matches, and stays"),
        "{unnamed}"
    );
    let opened = on("sealed", &["--identity", "key", "purge", "--path", "*.log", "--yes"]);
    assert_eq!((opened.code, found("sealed")), (0, 0), "{opened}");
    let refused = on("sealed", &["purge", "--path", "*.log", "--tag", "x"]);
    assert!(refused.code == 2 && refused.stderr.contains("--tag"), "{refused}");
    let again = on("one", &["purge", "--path", "*.log", "--yes"]);
    assert_eq!(again.code, 1, "{again}");
}

/// What a run has read already would be stored behind the back of the purge.
#[test]
fn a_purge_and_a_run_of_the_job_do_not_overlap() {
    let jobs = Jobs::new(
        "
repositories:
  one: {url: ./one, password: {file: password}}
  two: {url: ./two, format: archive, encryption: none, name: 'a-%H%M%S%f'}
jobs:
  app:
    to: [one, two]
    sources:
      - files: {paths: data}
      - command: {run: [sh, -c, 'touch begun; while ! test -e go; do sleep 0.05; done; echo dump'], name: slow}
",
    );
    fs::write(jobs.scene.path("go"), "").unwrap();
    assert_eq!(jobs.run(&["run", "--init"]).code, 0);
    for name in ["go", "begun"] {
        fs::remove_file(jobs.scene.path(name)).unwrap();
    }
    let mut run = jobs.start(&["run"]);
    let begin = std::time::Instant::now();
    while !jobs.scene.path("begun").exists() {
        assert!(begin.elapsed().as_secs() < 60, "the run does not begin");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let purge = |place, more: &[&str]| jobs.run(&[&["-r", place, "purge", "--path", "*.log"], more].concat());
    for place in ["one", "two"] {
        let refused = purge(place, &["--yes"]);
        assert!(
            refused.code == 11 && refused.stderr.contains("of the job `app`"),
            "{place} {refused}"
        );
    }
    assert_eq!(purge("two", &["--dry-run"]).code, 0);
    // Another job stores nothing that this one waits for.
    assert_eq!(purge("two", &["--yes", "--job", "other"]).code, 1);
    fs::write(jobs.scene.path("go"), "").unwrap();
    assert!(run.wait().unwrap().success());
    for place in ["one", "two"] {
        let purged = purge(place, &["--yes"]);
        assert_eq!(purged.code, 0, "{place} {purged}");
    }
}
