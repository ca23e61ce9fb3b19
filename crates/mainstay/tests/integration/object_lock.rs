//! Buckets with rules of their own: what they keep for a time is reported, and is no failure. The server of the tests has no such
//! rules; what it says of them is made up in front of it.

use crate::bucket::Bucket;
use serde_json::Value;
use std::fs;
use storage::{LocalStore, Store as _};
use testkit::object_lock::{locked, versioned};
use testkit::s3_server::{ACCESS_KEY, BUCKET, HttpCall, HttpFault, S3Server, SECRET_KEY};

const KEPT: &str = "cannot be deleted yet: the store keeps";
const UNTIL: &str = "until 2099-01-01 00:00 UTC";

fn with_rules(rules: impl Fn(&HttpCall) -> HttpFault + Send + Sync + 'static) -> Bucket<S3Server> {
    let server = S3Server::start_with(rules);
    let url = format!("{}/{BUCKET}", server.endpoint());
    let bucket = Bucket::new(server, url, [ACCESS_KEY, SECRET_KEY]);
    fs::write(bucket.scene.path("source/a"), "a").unwrap();
    bucket
}

/// What stands in the last line; the ones before say how far it is.
fn told(text: &str) -> Value {
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap()
}

fn finding<'v>(diagnosis: &'v Value, name: &str) -> &'v Value {
    let findings = diagnosis["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["name"] == name);
    found.unwrap_or_else(|| panic!("{name}: {diagnosis}"))
}

#[test]
fn doctor_asks_what_a_bucket_can_say() {
    let bucket = with_rules(|_| HttpFault::None);
    let diagnosis = told(&bucket.on_ok(&["doctor", "--json"]));
    let severity = |name| finding(&diagnosis, name)["severity"].as_str().unwrap();
    assert_eq!((severity("clock"), severity("write only if new")), ("fine", "fine"));
    // Not to know is no failure.
    assert_eq!(
        (severity("old versions"), severity("object lock")),
        ("unknown", "unknown")
    );
    assert_eq!(diagnosis["healthy"], true);
}

#[test]
fn doctor_says_what_the_rules_of_a_bucket_cost() {
    let text = with_rules(versioned).on_ok(&["doctor"]);
    for expected in [
        "30 days, COMPLIANCE",
        "free nothing by themselves",
        "only hidden",
        "2099-01-01 00:00 UTC",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let text = with_rules(locked).on_ok(&["doctor"]);
    assert!(
        text.contains("not before 2099-01-01 00:00 UTC") && !text.contains("FAILS"),
        "{text}"
    );
}

#[test]
fn doctor_names_a_wrong_clock() {
    let bucket = with_rules(|_| HttpFault::Header("date", "Fri, 01 Jan 2049 00:00:00 GMT"));
    let ended = bucket.on(&["doctor"]);
    assert_eq!(ended.code, 20, "{ended}");
    assert!(ended.stdout.contains("error: this host's clock is"), "{ended}");
    // Before anything else works, too.
    let refused = with_rules(|_| {
        HttpFault::Content(
            403,
            "<Error><Code>RequestTimeTooSkewed</Code><Message>too large</Message></Error>",
        )
    });
    let ended = refused.on(&["snapshots"]);
    assert!(
        ended.code == 2 && ended.stderr.contains("hint: Set this host's clock"),
        "{ended}"
    );
}

#[test]
fn what_the_bucket_keeps_is_no_failure() {
    let bucket = with_rules(locked).filled(2);
    let text = bucket.on_ok(&["forget", "--keep-last", "1", "--prune"]);
    assert!(
        text.contains("0 removed") && text.contains(KEPT) && text.contains(UNTIL),
        "{text}"
    );
    let said = told(&bucket.on_ok(&["forget", "--keep-last", "1", "--json"]));
    assert_eq!(said["held"]["objects"], 1, "{said}");
    assert!(bucket.on_ok(&["snapshots"]).contains("2 snapshots"));
    bucket.on_ok(&["prune"]);
    bucket.on_ok(&["check", "--read-data"]);
}

#[test]
fn missing_rights_are_still_an_error() {
    let bucket = with_rules(|call| match call.method.as_str() {
        "DELETE" if call.target.contains("/snapshots/") => HttpFault::Status(403),
        _ => HttpFault::None,
    });
    let bucket = bucket.filled(2);
    let ended = bucket.on(&["forget", "--keep-last", "1"]);
    assert!(ended.code == 1 && ended.stderr.contains("hint: "), "{ended}");
    assert!(ended.stderr.contains("permission denied"), "{ended}");
}

/// Once left an exclusive lock that nobody could remove, and more snapshots with each attempt.
#[test]
fn nothing_is_begun_without_the_right_to_delete() {
    let bucket = with_rules(|call| match call.method.as_str() {
        "DELETE" => HttpFault::Status(403),
        _ => HttpFault::None,
    });
    let bucket = bucket.filled(2);
    fs::write(bucket.scene.path("next"), "another").unwrap();
    let objects = || {
        let store = LocalStore::new(bucket.server.bucket_directory());
        let listed = store.list("").unwrap().into_iter().map(|object| object.name);
        listed.collect::<Vec<_>>()
    };
    let before = objects();
    for arguments in [
        &["tag", "--add", "x"][..],
        &["prune", "--max-unused", "0"],
        &["forget", "--keep-last", "1"],
        &["forget", "--keep-last", "1", "--prune"],
        &["purge", "--path", "a", "--yes"],
        &["repair", "index", "--read-all-packs"],
        &["repair", "snapshots", "--forget"],
        &["key", "passwd", "--new-password-file", "next"],
        &["key", "remove", "0"],
    ] {
        let ended = bucket.on(arguments);
        assert!(
            ended.code == 1 && ended.stderr.contains("nothing was changed"),
            "{arguments:?}: {ended}"
        );
        assert!(
            ended.stderr.contains("hint: Run it with credentials"),
            "{arguments:?}: {ended}"
        );
        assert_eq!(objects(), before, "{arguments:?}");
    }
}

/// Once, a run whose credentials can only add left an exclusive lock, and the next one waited for it in vain.
#[test]
fn a_run_that_may_only_add_leaves_no_lock() {
    let bucket = with_rules(|call| match call.method.as_str() {
        "DELETE" => HttpFault::Status(403),
        _ => HttpFault::None,
    });
    for append_only in [false, true] {
        let config = format!(
            "host: h\nrepositories:\n  main: {{url: '{}', password: {{file: password}}, append_only: {append_only}}}\n\
             jobs:\n  nightly: {{to: main, sources: [files: [source]], keep: {{last: 1}}}}\n",
            bucket.address()
        );
        fs::write(bucket.scene.path("mainstay.yaml"), config).unwrap();
        let ended = bucket.run(&["run", "--init"]);
        let text = format!("{ended}");
        assert_eq!(
            text.contains("does not let these credentials delete any lock"),
            !append_only,
            "{text}"
        );
        assert_eq!(text.contains("`append_only: true`"), !append_only, "{text}");
        assert_eq!(ended.code == 0, append_only, "{text}");
    }
}

#[test]
fn what_cannot_be_replaced_yet_is_told() {
    let bucket = with_rules(locked).filled(2);
    let tagged = bucket.on(&["tag", "--add", "x"]);
    assert_eq!(tagged.code, 3, "{tagged}");
    assert!(
        tagged.stdout.contains("still listed") && tagged.stdout.contains(UNTIL),
        "{tagged}"
    );
    assert!(bucket.on_ok(&["snapshots"]).contains("4 snapshots"));
    let purged = bucket.on(&["purge", "--path", "a", "--yes"]);
    assert_eq!(purged.code, 3, "{purged}");
    assert!(
        purged.stdout.contains("NOT DONE") && purged.stdout.contains(UNTIL),
        "{purged}"
    );
    bucket.on_ok(&["check", "--read-data"]);
    fs::write(bucket.scene.path("next"), "another").unwrap();
    let changed = bucket.on(&["key", "passwd", "--new-password-file", "next"]);
    assert_eq!(changed.code, 3, "{changed}");
    assert!(changed.stderr.contains("it opens the repository still"), "{changed}");
    for file in ["password", "next"] {
        bucket.on_ok(&["--password-file", file, "snapshots"]);
    }
    let keys: Value = told(&bucket.on_ok(&["key", "list", "--json"]));
    let other = keys
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["current"] == false)
        .unwrap();
    let removed = bucket.on(&["key", "remove", other["id"].as_str().unwrap()]);
    assert!(
        removed.code == 1 && removed.stderr.contains("opens the repository still"),
        "{removed}"
    );
}

#[test]
fn runs_of_both_formats_expire_what_they_can() {
    let bucket = with_rules(locked);
    let config = format!(
        "host: h\nrepositories:\n  main: {{url: '{0}', password: {{file: password}}}}\n  \
         files: {{url: '{0}-archives', format: archive, encryption: none, name: '{{job}}-%H%M%S%f.tar.zst'}}\n\
         jobs:\n  nightly: {{to: [main, files], sources: [files: [source]], keep: {{last: 1}}}}\n",
        bucket.address()
    );
    fs::write(bucket.scene.path("mainstay.yaml"), config).unwrap();
    bucket.ok(&["run", "--init"]);
    fs::write(bucket.scene.path("source/a"), "changed").unwrap();
    let text = bucket.ok(&["run"]);
    assert_eq!(text.matches(KEPT).count(), 2, "{text}");
    assert!(text.contains(UNTIL), "{text}");
    let report = told(&bucket.ok(&["run", "--json"]));
    assert_eq!(report["outcome"], "done", "{report}");
    for destination in report["destinations"].as_array().unwrap() {
        let retention = &destination["retention"];
        assert_eq!(
            (
                retention["removed"].as_array().unwrap().len(),
                retention["state"].as_str()
            ),
            (0, Some("done"))
        );
        assert!(retention["held"]["objects"].as_u64().unwrap() > 0, "{destination}");
    }
    assert!(bucket.ok(&["-r", "files", "forget", "--keep-last", "1"]).contains(KEPT));
    assert!(bucket.ok(&["-r", "files", "snapshots"]).contains("3 "));
}
