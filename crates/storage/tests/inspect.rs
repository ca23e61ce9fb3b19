//! What stores say of themselves.
//!
//! The server in the process knows neither versions nor object lock, so that its answers about these are made up; signatures, conditions
//! and the clock are its own. `moto`, which knows both, compares no signatures; what a bucket with rules does is tested there.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use storage::{ErrorKind, Hold, Inspect, ObjectLock, Store, Versioning, open};
use testkit::moto::{Moto, Rules};
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

/// The same at a server that knows versions and object lock.
fn store_at(server: &Moto, bucket: &str) -> Arc<dyn Store> {
    let mut options = server.options();
    options.retry.tries = 1;
    open(&server.location(bucket, "prefix"), &options).unwrap()
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

#[test]
fn heavy_buckets_with_every_rule() {
    let server = Moto::start();
    let asked = |rules, name: &str| {
        server.make_bucket(name, rules);
        let store = store_at(&server, name);
        store.write("data/a", x()).unwrap();
        let inspect = inspect(&*store);
        assert!(!inspect.create("data/a", x()).unwrap().unwrap(), "{name}");
        assert!(inspect.clock_ahead_seconds().unwrap().abs() < 30);
        let (versioning, lock) = (inspect.versioning().unwrap(), inspect.object_lock().unwrap());
        (
            versioning.unwrap(),
            lock.unwrap(),
            inspect.held("data/a").unwrap().unwrap(),
        )
    };
    assert_eq!(asked(Rules::None, "plain"), (Versioning::Off, ObjectLock::Off, None));
    assert_eq!(
        asked(Rules::Versions, "versioned"),
        (Versioning::On, ObjectLock::Off, None)
    );
    let default = ObjectLock::Default {
        mode: "COMPLIANCE".into(),
        time: "30 days".into(),
    };
    let (versioning, lock, hold) = asked(Rules::Locked(30), "locked");
    assert_eq!((versioning, lock), (Versioning::On, default));
    let Some(Hold::Until(until)) = hold else {
        panic!("{hold:?}")
    };
    #[expect(clippy::disallowed_methods, reason = "the server goes by this clock")]
    let now = SystemTime::now();
    let days = until.duration_since(now).unwrap().as_secs_f64() / 86_400.0;
    assert!((29.9..=30.0).contains(&days), "{days}");
    let store = store_at(&server, "locked");
    server.hold("locked", "prefix/data/a");
    assert_eq!(
        inspect(&*store).held("data/a").unwrap().unwrap(),
        Some(Hold::UntilLifted)
    );
}

/// Object lock keeps versions: deleting and replacing hide them, and are refused nowhere.
#[test]
fn heavy_a_locked_bucket_hides_what_is_deleted() {
    let server = Moto::with_bucket("locked", Rules::Locked(30));
    let store = store_at(&server, "locked");
    for content in ["1", "2"] {
        store.write("data/a", content.into()).unwrap();
    }
    store.delete("data/a").unwrap();
    assert_eq!(store.read("data/a").unwrap_err().kind, ErrorKind::NotFound);
    assert!(store.list("").unwrap().is_empty());
    let kept = server.versions("locked");
    assert_eq!(kept.iter().filter(|version| version.is_marker).count(), 1, "{kept:?}");
    assert_eq!(kept.len(), 3, "{kept:?}");
}

/// Once, each question left a delete marker.
#[test]
fn heavy_asking_whether_objects_may_be_deleted_leaves_nothing() {
    let server = Moto::with_bucket("versioned", Rules::Versions);
    let store = store_at(&server, "versioned");
    // This server makes a marker only of what was there before.
    store.write("data/a", x()).unwrap();
    store.delete("data/a").unwrap();
    let before = server.versions("versioned");
    assert_eq!(before.len(), 2);
    inspect(&*store).try_deletion("data/a").unwrap().unwrap();
    assert_eq!(server.versions("versioned"), before);
    let server = S3Server::start_with(|call| match call.method.as_str() {
        "DELETE" => HttpFault::Status(403),
        _ => HttpFault::None,
    });
    let denied = self::store(&server);
    let error = inspect(&*denied).try_deletion("data/a").unwrap().unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied);
}
