//! Buckets that keep what is deleted as old versions, and for a time, at a server that knows both.

use crate::bucket::Bucket;
use crate::peer::*;
use serde_json::Value;
use std::fs;
use testkit::moto::{KEY, Moto, Rules};

const BUCKET: &str = "backups";

fn with_rules(rules: Rules) -> Bucket<Moto> {
    let server = Moto::with_bucket(BUCKET, rules);
    let url = format!("{}/{BUCKET}", server.endpoint());
    let bucket = Bucket::new(server, url, [KEY, KEY]);
    fs::write(bucket.scene.path("source/stays"), "the same").unwrap();
    bucket
}

/// How many objects below `folder` were deleted, and stay as old versions.
fn hidden(server: &Moto, folder: &str) -> usize {
    let prefix = format!("prefix/{folder}/");
    let kept = server.versions(BUCKET).into_iter();
    kept.filter(|version| version.is_marker && version.key.starts_with(&prefix))
        .count()
}

#[test]
fn heavy_a_locked_bucket_is_used_as_any_other() {
    let bucket = with_rules(Rules::Locked(30));
    let text = bucket.on_ok(&["doctor"]);
    for expected in ["30 days, COMPLIANCE", "free nothing by themselves", "only hidden"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let bucket = bucket.filled(3);
    let text = bucket.on_ok(&["forget", "--keep-last", "1", "--prune", "--max-unused", "0"]);
    assert!(
        text.contains("2 removed") && !text.contains("cannot be deleted"),
        "{text}"
    );
    assert!(bucket.on_ok(&["snapshots"]).contains("1 snapshot"));
    bucket.on_ok(&["check", "--read-data"]);
    bucket.on_ok(&["restore", "latest", "--target", "restored"]);
    let source = bucket.scene.path("source");
    assert_same(&source, &below(&bucket.scene.path("restored"), &source));
    // Whoever deletes everything hides it: without the delete markers it is there again, as the guide says.
    assert!(hidden(&bucket.server, "snapshots") == 2 && hidden(&bucket.server, "data") > 0);
    bucket.server.remove_markers(BUCKET);
    assert!(bucket.on_ok(&["snapshots"]).contains("3 snapshots"));
    bucket.on_ok(&["check", "--read-data"]);
}

#[test]
fn heavy_archives_in_a_locked_bucket_expire() {
    let bucket = with_rules(Rules::Locked(30));
    let config = format!(
        "host: h\nrepositories:\n  files: {{url: '{}', format: archive, encryption: none, name: '{{job}}-%H%M%S%f.tar.zst'}}\n\
         jobs:\n  nightly: {{to: [files], sources: [files: [source]], keep: {{last: 1}}}}\n",
        bucket.address()
    );
    fs::write(bucket.scene.path("mainstay.yaml"), config).unwrap();
    for n in 0..2 {
        fs::write(bucket.scene.path("source/a"), format!("content {n}")).unwrap();
        bucket.ok(&["run"]);
    }
    assert!(bucket.ok(&["-r", "files", "snapshots"]).contains("1 archive"));
    bucket.ok(&["-r", "files", "check", "--read-data"]);
    let purged = bucket.run(&["-r", "files", "purge", "--path", "stays", "--yes"]);
    assert!(
        purged.code == 3 && purged.stdout.contains("NOT DONE: the bucket keeps"),
        "{purged}"
    );
    bucket.ok(&["-r", "files", "check", "--read-data"]);
}

/// Once, a purge said that nothing was left while everything could be brought back.
#[test]
fn heavy_a_purge_says_that_old_versions_stay() {
    for (rules, keeps) in [(Rules::Versions, true), (Rules::None, false)] {
        let bucket = with_rules(rules).filled(3);
        let purged = bucket.on(&["purge", "--path", "a", "--yes", "--json"]);
        let told: Value = serde_json::from_str(purged.stdout.lines().last().unwrap()).unwrap();
        assert_eq!(told["keeps_versions"], keeps, "{purged}");
        assert_eq!(
            (purged.code, &told["proven"]),
            if keeps {
                (3, &Value::Bool(false))
            } else {
                (0, &Value::Bool(true))
            }
        );
        assert!(!bucket.on_ok(&["find", "a"]).contains("source/a"));
        if keeps {
            fs::write(bucket.scene.path("source/b"), "b").unwrap();
            bucket.on_ok(&["backup", "source"]);
            let text = bucket.on(&["purge", "--path", "b", "--yes"]).stdout;
            assert!(text.contains("NOT DONE: the bucket keeps what was deleted"), "{text}");
        }
    }
}
