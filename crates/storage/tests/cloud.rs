//! Stores of Microsoft, Google, Backblaze and Dropbox: the contract, and what is true of one of them only.
//!
//! | store | tested against |
//! |---|---|
//! | Azure | Microsoft's emulator, with its key and with signatures made of it |
//! | Google | an emulator, to which the tests add uploads in parts |
//! | Backblaze | an S3 server, behind a mock of Backblaze's authorization |
//! | Dropbox | a mock |

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use storage::{ErrorKind, Location, Options, Store, open};
use testkit::conformance::{check_store, pattern};
use testkit::dropbox_mock::{DropboxMock, REFRESH_TOKEN};
use testkit::emulators::{Azurite, GcsEmulator};
use testkit::http_mock::{MockAnswer, serve};
use testkit::s3_server::{ACCESS_KEY, BUCKET, S3Server, SECRET_KEY};

const MIB: usize = 1024 * 1024;

/// Runs the contract, each part of it under a prefix of its own.
fn check(options: &Options, location: impl Fn(&str) -> Location) {
    let number = AtomicUsize::new(0);
    check_store(|| {
        let prefix = format!("some/prefix-{}", number.fetch_add(1, Ordering::SeqCst));
        open(&location(&prefix), options).unwrap()
    });
}

fn one_try(mut options: Options) -> Options {
    options.retry.tries = 1;
    options
}

fn kinds(store: &dyn Store) -> Vec<ErrorKind> {
    vec![
        store.list("").unwrap_err().kind,
        store.stat("object").unwrap_err().kind,
        store.read("object").unwrap_err().kind,
        store.write("object", Bytes::from_static(b"x")).unwrap_err().kind,
        store.delete("object").unwrap_err().kind,
    ]
}

fn expect_all(store: &dyn Store, kind: ErrorKind) {
    let kinds = kinds(store);
    assert!(kinds.iter().all(|found| *found == kind), "{kinds:?}");
}

#[test]
fn heavy_azure_store() {
    let server = Azurite::start();
    check(&server.options(), |prefix| server.location(prefix));
}

#[test]
fn heavy_azure_says_what_is_wrong() {
    let server = Azurite::start();
    let mut options = one_try(server.options());
    options.azblob.account_key = Some("d3Jvbmc=".into());
    expect_all(
        &*open(&server.location("a"), &options).unwrap(),
        ErrorKind::PermissionDenied,
    );
    let elsewhere = "azure:no-such-container:/".parse().unwrap();
    let store = open(&elsewhere, &one_try(server.options())).unwrap();
    for error in [
        store.list("").unwrap_err(),
        store.write("object", Bytes::from_static(b"x")).unwrap_err(),
    ] {
        assert_eq!(error.kind, ErrorKind::NotFound);
        let why = error.source.unwrap().to_string();
        assert!(why.contains("ContainerNotFound"), "{why}");
    }
}

const LATER: &str = "2099-01-01T00:00:00Z";

#[test]
fn heavy_azure_with_a_shared_access_signature() {
    let server = Azurite::start();
    let mut options = one_try(server.options_signed("rwdlac", LATER));
    // As Microsoft's page shows it.
    let token = options.azblob.sas_token.as_ref().unwrap().reveal().to_owned();
    options.azblob.sas_token = Some(format!("?{token}").into());
    let store = open(&server.location("some/prefix"), &options).unwrap();
    let large = pattern(40 * MIB, 1);
    store.write("data/large", large.clone()).unwrap();
    assert!(store.read("data/large").unwrap() == large, "it came back changed");
    assert_eq!(store.read_range("data/large", 5..10).unwrap(), large.slice(5..10));
    let mut writer = store.writer("data/streamed").unwrap();
    for part in 0..40 {
        writer.write(large.slice(part * MIB..(part + 1) * MIB)).unwrap();
    }
    assert_eq!(writer.finish().unwrap(), 40 * MIB as u64);
    store.write("config", Bytes::new()).unwrap();
    assert_eq!(store.list("").unwrap().len(), 3);
    for name in ["data/large", "data/large", "data/missing"] {
        store.delete(name).unwrap();
    }
    assert_eq!(store.list("data").unwrap().len(), 1);
    assert_eq!(store.stat("data/large").unwrap_err().kind, ErrorKind::NotFound);
}

#[test]
fn heavy_azure_signatures_that_are_not_enough() {
    let server = Azurite::start();
    let store = |options: Options| open(&server.location("a"), &one_try(options)).unwrap();
    store(server.options())
        .write("object", Bytes::from_static(b"x"))
        .unwrap();
    let expired = server.options_signed("rwdlac", "2020-01-01T00:00:00Z");
    let mut forged = server.options_signed("rwdlac", LATER);
    let token = forged
        .azblob
        .sas_token
        .as_ref()
        .unwrap()
        .reveal()
        .replace("sp=rwdlac", "sp=rwdlacx");
    forged.azblob.sas_token = Some(token.into());
    for options in [expired, forged] {
        let signature = options
            .azblob
            .sas_token
            .as_ref()
            .unwrap()
            .reveal()
            .split("sig=")
            .nth(1)
            .unwrap()
            .to_owned();
        let store = store(options);
        expect_all(&*store, ErrorKind::PermissionDenied);
        let error = format!("{:?}", store.list("").unwrap_err());
        assert!(!error.contains("sig=") && !error.contains(&signature), "{error}");
    }
    // For a host that only reads, and one that only adds.
    let reader = store(server.options_signed("rl", LATER));
    assert_eq!(reader.read("object").unwrap(), "x");
    assert_eq!(reader.list("").unwrap().len(), 1);
    assert_eq!(
        reader.write("b", Bytes::new()).unwrap_err().kind,
        ErrorKind::PermissionDenied
    );
    let adder = store(server.options_signed("rlcw", LATER));
    adder.write("b", Bytes::from_static(b"y")).unwrap();
    assert_eq!(adder.delete("b").unwrap_err().kind, ErrorKind::PermissionDenied);
}

#[test]
fn heavy_azure_parts_of_a_broken_stream_are_no_object() {
    let server = Azurite::start();
    let store = open(&server.location("a"), &server.options()).unwrap();
    let mut writer = store.writer("object").unwrap();
    for number in 0..5 {
        writer.write(pattern(10 * MIB, number)).unwrap();
    }
    drop(writer);
    assert!(store.list("").unwrap().is_empty());
    assert_eq!(store.stat("object").unwrap_err().kind, ErrorKind::NotFound);
}

/// The emulator gets slower with each object, so that the contract, which makes thousands, would take minutes.
#[test]
fn heavy_google_store() {
    let server = GcsEmulator::start();
    let store = open(&server.location("some/prefix"), &one_try(server.options())).unwrap();
    assert!(store.list("").unwrap().is_empty());
    for (name, size) in [("config", 3), ("data/3f/x", 100_000), ("data/40/y", 0)] {
        store.write(name, pattern(size, 1)).unwrap();
        assert_eq!(store.read(name).unwrap(), pattern(size, 1));
        assert_eq!(store.stat(name).unwrap(), size as u64);
    }
    let mut names: Vec<_> = store
        .list("data")
        .unwrap()
        .into_iter()
        .map(|object| object.name)
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["data/3f/x", "data/40/y"]);
    assert_eq!(store.list("").unwrap().len(), 3);
    assert!(store.list("dat").unwrap().is_empty());
    let content = pattern(100_000, 1);
    assert_eq!(store.read_range("data/3f/x", 50..70).unwrap(), content.slice(50..70));
    for range in [99_999..100_001, 100_001..100_002] {
        let error = store.read_range("data/3f/x", range).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Truncated, "{error:?}");
    }
    for name in ["config", "config", "missing"] {
        store.delete(name).unwrap();
        assert_eq!(store.read(name).unwrap_err().kind, ErrorKind::NotFound);
    }
}

#[test]
fn heavy_google_uploads_in_parts() {
    let server = GcsEmulator::start();
    let store = open(&server.location("some/prefix"), &one_try(server.options())).unwrap();
    let content = pattern(40 * MIB + 5, 4);
    let stream = |bytes: &Bytes| {
        let mut writer = store.writer("streamed").unwrap();
        for start in (0..bytes.len()).step_by(MIB) {
            writer.write(bytes.slice(start..bytes.len().min(start + MIB))).unwrap();
        }
        writer
    };
    store.write("large", content.clone()).unwrap();
    assert_eq!(stream(&content).finish().unwrap(), content.len() as u64);
    for name in ["large", "streamed"] {
        assert_eq!(store.stat(name).unwrap(), content.len() as u64, "{name}");
        assert!(store.read(name).unwrap() == content, "{name} came back changed");
    }
    // Exactly two parts, in place of what was there; and one that fits into a single request.
    for size in [32 * MIB, MIB] {
        assert_eq!(stream(&content.slice(..size)).finish().unwrap(), size as u64);
        assert!(
            store.read("streamed").unwrap() == content.slice(..size),
            "it came back changed"
        );
    }
    store.delete("streamed").unwrap();
    drop(stream(&content));
    assert_eq!(store.stat("streamed").unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(store.list("").unwrap().len(), 1);
    assert_eq!(server.unfinished_uploads(), 0);
}

/// An S3 server, and the address of what leads Backblaze's customers there.
fn backblaze() -> (S3Server, Options) {
    let server = S3Server::start();
    let s3 = server.endpoint();
    let mut options = Options::default();
    options.b2.endpoint = Some(serve(move |request| {
        assert_eq!(request.target, "/b2api/v2/b2_authorize_account");
        // `TESTKITACCESSKEY:testkit-secret-key` in base 64.
        let known = "Basic VEVTVEtJVEFDQ0VTU0tFWTp0ZXN0a2l0LXNlY3JldC1rZXk=";
        Some(if request.header("authorization") == Some(known) {
            let answer = format!(
                r#"{{"accountId": "4c2b957661da", "apiUrl": "https://api004.backblazeb2.com", "authorizationToken": "4_0042b",
                "downloadUrl": "https://f004.backblazeb2.com", "recommendedPartSize": 100000000, "s3ApiUrl": "{s3}"}}"#
            );
            MockAnswer::json(200, answer)
        } else {
            MockAnswer::json(401, r#"{"code": "unauthorized", "message": "invalid", "status": 401}"#)
        })
    }));
    options.b2.key_id = Some(ACCESS_KEY.to_owned());
    options.b2.key = Some(SECRET_KEY.into());
    (server, options)
}

#[test]
fn heavy_backblaze_store() {
    let (server, options) = backblaze();
    check(&options, |prefix| format!("b2:{BUCKET}:{prefix}").parse().unwrap());
    assert_eq!(server.unfinished_uploads(), 0);
}

#[test]
fn backblaze_says_what_is_wrong() {
    let (_server, mut options) = backblaze();
    let location: Location = format!("b2://{BUCKET}/prefix").parse().unwrap();
    let store = open(&location, &options).unwrap();
    assert_eq!(store.location(), location.to_string());
    options.b2.key = Some("hush".into());
    let refused = open(&location, &options).map(drop).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::PermissionDenied);
    assert!(!format!("{refused:?}").contains("hush"));
    options.b2.key = None;
    let missing = open(&location, &options).map(drop).unwrap_err();
    assert_eq!(missing.kind, ErrorKind::Misconfigured);
}

#[test]
fn heavy_dropbox_store() {
    let server = DropboxMock::start();
    check(&server.options(), |prefix| {
        format!("dropbox:/{prefix}").parse().unwrap()
    });
}

#[test]
fn dropbox_gets_access_tokens_with_a_refresh_token() {
    let server = DropboxMock::start();
    let mut options = one_try(server.options());
    let open_with = |options: &Options| open(&"dropbox:a b".parse().unwrap(), options).unwrap();
    options.dropbox.token = Some("expired".into());
    expect_all(&*open_with(&options), ErrorKind::PermissionDenied);
    options.dropbox.token = None;
    options.dropbox.refresh_token = Some(REFRESH_TOKEN.into());
    options.dropbox.app_key = Some("key".to_owned());
    options.dropbox.app_secret = Some("secret".into());
    open_with(&options).write("object", Bytes::from_static(b"x")).unwrap();
    assert_eq!(server.paths(), ["/a b/object"]);
}

#[test]
fn dropbox_takes_no_more_than_it_can() {
    let server = DropboxMock::start();
    let store = open(&"dropbox:".parse().unwrap(), &one_try(server.options())).unwrap();
    let error = store.write("object", vec![0; 150_000_001].into()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured);
    assert_eq!(store.max_stream_bytes(), Some(64 * MIB as u64));
    assert!(server.paths().is_empty());
    // A folder is no object, and deleting it would take everything in it.
    store.write("data/x", Bytes::from_static(b"x")).unwrap();
    store.delete("data").unwrap();
    assert_eq!(server.paths(), ["/data/x"]);
}

#[test]
fn dropbox_connections_that_break_are_tried_again() {
    let requests = Arc::new(AtomicUsize::new(0));
    let server = DropboxMock::start_with({
        let requests = Arc::clone(&requests);
        move |_| !requests.fetch_add(1, Ordering::SeqCst).is_multiple_of(3)
    });
    let mut options = server.options();
    options.sleep = Some(Arc::new(|_| ()));
    let store = open(&"dropbox:x".parse().unwrap(), &options).unwrap();
    for number in 0..10 {
        let name = format!("data/{number}");
        store.write(&name, Bytes::from(name.clone())).unwrap();
        assert_eq!(store.read(&name).unwrap(), name);
    }
    assert_eq!(store.list("").unwrap().len(), 10);
    assert!(requests.load(Ordering::SeqCst) > 21);
}
