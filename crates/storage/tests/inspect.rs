//! What stores say of themselves. The server of the tests knows neither versions nor object lock, so that the answers about these are
//! made up; signatures, conditions and the clock are its own.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use storage::{ErrorKind, Hold, Inspect, ObjectLock, Store, Versioning, open};
use testkit::object_lock::{RETAIN_UNTIL, locked, versioned};
use testkit::s3_server::{HttpCall, HttpFault, S3Server};

fn store(server: &S3Server) -> Arc<dyn Store> {
    let mut options = server.options();
    options.retry.tries = 1;
    open(&server.location("prefix"), &options).unwrap()
}

fn inspect(store: &dyn Store) -> &dyn Inspect {
    store.inspect().expect("a bucket can be asked")
}

fn x() -> Bytes {
    Bytes::from_static(b"x")
}

fn retain_until() -> SystemTime {
    RETAIN_UNTIL.parse::<jiff::Timestamp>().unwrap().into()
}

#[test]
fn directories_have_nothing_to_say() {
    let directory = tempfile::tempdir().unwrap();
    let location = storage::Location::Local(directory.path().to_owned());
    let store = open(&location, &storage::Options::default()).unwrap();
    assert!(store.inspect().is_none());
}

#[test]
fn the_clock_is_read_in_any_answer() {
    let server = S3Server::start();
    let good = store(&server);
    assert_eq!(inspect(&*good).clock_ahead_seconds(), None);
    good.list("").unwrap();
    let ahead = inspect(&*good).clock_ahead_seconds().unwrap();
    assert!(ahead.abs() < 30, "{ahead}");
    let server = S3Server::start_with(|_| HttpFault::Header("date", "Fri, 01 Jan 2049 00:00:00 GMT"));
    let ahead_of_time = store(&server);
    ahead_of_time.stat("missing").unwrap_err();
    assert!(inspect(&*ahead_of_time).clock_ahead_seconds().unwrap() > 365 * 24 * 3600);
}

#[test]
fn an_object_that_exists_is_not_created() {
    let server = S3Server::start();
    let store = store(&server);
    let create = || inspect(&*store).create("data/a", x()).unwrap().unwrap();
    assert!(create());
    assert!(!create());
    assert_eq!(store.read("data/a").unwrap(), x());
    let last = server.calls().into_iter().rfind(|call| call.method == "PUT").unwrap();
    assert_eq!(last.header("if-none-match"), Some("*"));
}

#[test]
fn questions_are_signed_and_refusals_are_no_answer() {
    let server = S3Server::start();
    let asked = store(&server);
    asked.write("data/a b", x()).unwrap_err();
    asked.write("data/a", x()).unwrap();
    // The server compares the signature.
    assert_eq!(inspect(&*asked).held("data/a").unwrap().unwrap(), None);
    let missing = inspect(&*asked).held("data/b").unwrap().unwrap_err();
    assert_eq!(missing.kind, ErrorKind::NotFound);
    let mut options = server.options();
    options.s3.secret_key = Some("wrong".into());
    let stranger = open(&server.location("prefix"), &options).unwrap();
    let refused = inspect(&*stranger).held("data/a").unwrap().unwrap_err();
    assert_eq!(refused.kind, ErrorKind::PermissionDenied);
    inspect(&*asked).versioning().unwrap().unwrap_err();
    inspect(&*asked).object_lock().unwrap().unwrap_err();
}

#[test]
fn rules_of_a_bucket() {
    let server = S3Server::start_with(versioned);
    let with_rules = store(&server);
    with_rules.write("data/a", x()).unwrap();
    let inspect = inspect(&*with_rules);
    assert_eq!(inspect.versioning().unwrap().unwrap(), Versioning::On);
    let lock = ObjectLock::Default {
        mode: "COMPLIANCE".into(),
        time: "30 days".into(),
    };
    assert_eq!(inspect.object_lock().unwrap().unwrap(), lock);
    let hold = inspect.held("data/a").unwrap().unwrap();
    assert_eq!(hold, Some(Hold::Until(retain_until())));
}

#[test]
fn buckets_without_rules() {
    let without = |call: &HttpCall| match call.target.split_once('?') {
        Some((_, "versioning")) => HttpFault::Content(200, "<VersioningConfiguration/>"),
        Some((_, "object-lock")) => HttpFault::Content(
            404,
            "<Error><Code>ObjectLockConfigurationNotFoundError</Code><Message>none</Message></Error>",
        ),
        _ => HttpFault::None,
    };
    let server = S3Server::start_with(without);
    let store = store(&server);
    assert_eq!(inspect(&*store).versioning().unwrap().unwrap(), Versioning::Off);
    assert_eq!(inspect(&*store).object_lock().unwrap().unwrap(), ObjectLock::Off);
}

#[test]
fn an_object_that_is_kept_is_told_from_missing_rights() {
    let server = S3Server::start_with(locked);
    let held = store(&server);
    held.write("data/a", x()).unwrap();
    let error = held.delete("data/a").unwrap_err();
    assert_eq!(
        (error.kind, error.held_until.as_deref().copied()),
        (ErrorKind::Held, Some(retain_until()))
    );
    let server = S3Server::start_with(|call| match call.method.as_str() {
        "DELETE" => HttpFault::Status(403),
        _ => HttpFault::None,
    });
    let denied = store(&server);
    denied.write("data/a", x()).unwrap();
    let error = denied.delete("data/a").unwrap_err();
    assert_eq!((error.kind, error.held_until), (ErrorKind::PermissionDenied, None));
}
