//! What is true of S3 only: kinds of failures, limits of time, uploads in parts, and the number of requests.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use storage::{ErrorKind, Location, Options, S3Location, Store, open};
use testkit::conformance::pattern;
use testkit::s3_server::{ACCESS_KEY, HttpCall, HttpFault, S3Server, SECRET_KEY};

const MIB: usize = 1024 * 1024;

/// The options of the server, with one try for each call.
fn one_try(server: &S3Server) -> Options {
    let mut options = server.options();
    options.retry.tries = 1;
    options
}

fn store(server: &S3Server) -> Arc<dyn Store> {
    open(&server.location("prefix"), &one_try(server)).unwrap()
}

/// Kinds of the failures of each kind of call.
fn failures(store: &dyn Store) -> Vec<ErrorKind> {
    let write = |content: Bytes| store.write("object", content).unwrap_err().kind;
    vec![
        store.list("").unwrap_err().kind,
        store.stat("object").unwrap_err().kind,
        store.read("object").unwrap_err().kind,
        store.read_range("object", 0..1).unwrap_err().kind,
        store.delete("object").unwrap_err().kind,
        write(Bytes::from_static(b"x")),
        write(Bytes::from(vec![0; 17 * MIB])),
    ]
}

#[test]
fn a_wrong_key_is_a_refusal() {
    let server = S3Server::start();
    let mut options = one_try(&server);
    options.s3.secret_key = Some("wrong".into());
    let store = open(&server.location(""), &options).unwrap();
    assert!(
        failures(&*store)
            .iter()
            .all(|kind| *kind == ErrorKind::PermissionDenied),
        "{:?}",
        failures(&*store)
    );
}

#[test]
fn a_reader_without_keys_is_refused() {
    let server = S3Server::start();
    let mut options = one_try(&server);
    (options.s3.access_key, options.s3.secret_key) = (None, None);
    options.s3.anonymous = true;
    let store = open(&server.location(""), &options).unwrap();
    assert!(
        failures(&*store)
            .iter()
            .all(|kind| *kind == ErrorKind::PermissionDenied),
        "{:?}",
        failures(&*store)
    );
    assert!(server.calls().iter().all(|call| call.header("authorization").is_none()));
}

#[test]
fn a_missing_bucket_is_not_found() {
    let server = S3Server::start();
    let location = Location::S3(S3Location {
        endpoint: Some(server.endpoint()),
        bucket: "no-such-bucket".into(),
        prefix: String::new(),
        credentials: Some((ACCESS_KEY.into(), SECRET_KEY.into())),
    });
    let store = open(&location, &Options::default()).unwrap();
    for kind in [
        store.list("").unwrap_err().kind,
        store.read("a").unwrap_err().kind,
        store.stat("a").unwrap_err().kind,
    ] {
        assert_eq!(kind, ErrorKind::NotFound);
    }
}

#[test]
fn answers_are_sorted_by_what_to_do() {
    for (status, expected) in [
        (403, ErrorKind::PermissionDenied),
        (400, ErrorKind::Other),
        (429, ErrorKind::Unavailable),
        (500, ErrorKind::Unavailable),
        (502, ErrorKind::Unavailable),
        (503, ErrorKind::Unavailable),
        (507, ErrorKind::Full),
    ] {
        let server = S3Server::start_with(move |_| HttpFault::Status(status));
        let failures = failures(&*store(&server));
        assert!(failures.iter().all(|kind| *kind == expected), "{status}: {failures:?}");
    }
    let server = S3Server::start_with(|_| HttpFault::Reset);
    let failures = failures(&*store(&server));
    assert!(
        failures.iter().all(|kind| *kind == ErrorKind::Unavailable),
        "{failures:?}"
    );
}

/// A store at `address`, whose requests may take 200 ms.
fn hasty(address: std::net::SocketAddr) -> Arc<dyn Store> {
    let location = format!("s3:http://k:s@{address}/bucket").parse().unwrap();
    let mut options = Options::default();
    options.retry.tries = 1;
    options.http.timeout = Duration::from_millis(200);
    options.http.slowest_bytes_per_second = 100 * MIB as u64;
    open(&location, &options).unwrap()
}

#[test]
fn a_store_that_never_answers_times_out() {
    // The system accepts connections for us; nobody reads from them.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let begin = Instant::now();
    let failures = failures(&*hasty(listener.local_addr().unwrap()));
    assert!(failures.iter().all(|kind| *kind == ErrorKind::TimedOut), "{failures:?}");
    assert!(
        begin.elapsed() < Duration::from_secs(8),
        "it took {:?}",
        begin.elapsed()
    );
}

#[test]
fn a_store_that_stops_in_the_middle_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        assert!(socket.read(&mut request).unwrap() > 0);
        socket
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nthe beginning")
            .unwrap();
        // Held open until the client gives up.
        while socket.read(&mut request).is_ok_and(|read| read > 0) {}
    });
    assert_eq!(hasty(address).read("object").unwrap_err().kind, ErrorKind::TimedOut);
    server.join().unwrap();
}

#[test]
fn a_store_that_is_off_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let failures = failures(&*hasty(address));
    assert!(
        failures.iter().all(|kind| *kind == ErrorKind::Unavailable),
        "{failures:?}"
    );
}

#[test]
fn giving_up_ends_the_retries() {
    let server = S3Server::start_with(|_| HttpFault::Status(503));
    let cancel = Arc::new(AtomicBool::new(false));
    let flag = cancel.clone();
    let options = Options {
        cancel: vec![cancel],
        on_retry: Some(Arc::new(move |_, _, _| flag.store(true, Ordering::SeqCst))),
        ..server.options()
    };
    let store = open(&server.location(""), &options).unwrap();
    assert_eq!(store.read("object").unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(server.calls().len(), 1);
}

#[test]
fn each_call_is_one_request() {
    let server = S3Server::start();
    let store = store(&server);
    let methods = |call: &dyn Fn(&dyn Store)| {
        let before = server.calls().len();
        call(&*store);
        server.calls()[before..]
            .iter()
            .map(|call| call.method.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        methods(&|store| store.write("a", pattern(16 * MIB, 1)).unwrap()),
        ["PUT"]
    );
    assert_eq!(
        methods(&|store| assert_eq!(store.stat("a").unwrap(), 16 * MIB as u64)),
        ["HEAD"]
    );
    assert_eq!(
        methods(&|store| assert_eq!(store.read("a").unwrap().len(), 16 * MIB)),
        ["GET"]
    );
    assert_eq!(
        methods(&|store| assert_eq!(store.read_range("a", 5..9).unwrap().len(), 4)),
        ["GET"]
    );
    assert_eq!(methods(&|store| assert_eq!(store.list("").unwrap().len(), 1)), ["GET"]);
    assert_eq!(methods(&|store| store.delete("a").unwrap()), ["DELETE"]);
    let small = |store: &dyn Store| {
        let mut writer = store.writer("small").unwrap();
        writer.write(Bytes::from_static(b"x")).unwrap();
        writer.finish().unwrap();
    };
    assert_eq!(methods(&small), ["PUT"]);
}

#[test]
fn prefixes_are_worlds_of_their_own() {
    let server = S3Server::start();
    let open = |prefix: &str| open(&server.location(prefix), &server.options()).unwrap();
    open("a/b").write("data/x", Bytes::from_static(b"1")).unwrap();
    open("a/bb").write("data/x", Bytes::from_static(b"2")).unwrap();
    assert_eq!(open("a/b").read("data/x").unwrap(), "1");
    assert_eq!(open("a/b").list("").unwrap().len(), 1);
    assert_eq!(open("").read("a/bb/data/x").unwrap(), "2");
    assert_eq!(open("").list("a").unwrap().len(), 2);
}

#[test]
fn foreign_objects_are_not_listed() {
    let server = S3Server::start();
    let store = store(&server);
    store.write("config", Bytes::new()).unwrap();
    std::fs::write(server.bucket_directory().join("prefix/a name with spaces"), "x").unwrap();
    let names: Vec<_> = store.list("").unwrap().into_iter().map(|object| object.name).collect();
    assert_eq!(names, ["config"]);
}

#[test]
fn uploads_carry_checksums_and_storage_class() {
    let server = S3Server::start();
    let mut options = one_try(&server);
    let sent = |options: &Options| {
        let before = server.calls().len();
        open(&server.location(""), options)
            .unwrap()
            .write("a", Bytes::from_static(b"123456789"))
            .unwrap();
        server.calls()[before].clone()
    };
    // The check value of CRC-32C, E3069283, in base 64.
    assert_eq!(sent(&options).header("x-amz-checksum-crc32c"), Some("4waSgw=="));
    options.s3.checksums = false;
    options.s3.storage_class = Some("STANDARD".into());
    let call = sent(&options);
    assert_eq!(call.header("x-amz-checksum-crc32c"), None);
    assert_eq!(call.header("x-amz-storage-class"), Some("STANDARD"));
}

/// Whether `call` sends a part of an upload.
fn is_part(call: &HttpCall, number: usize) -> bool {
    call.method == "PUT" && call.target.contains(&format!("partNumber={number}&"))
}

fn stream(store: &dyn Store, content: &Bytes) -> storage::Result<u64> {
    let mut writer = store.writer("streamed")?;
    for start in (0..content.len()).step_by(MIB) {
        writer.write(content.slice(start..content.len().min(start + MIB)))?;
    }
    writer.finish()
}

/// Fails the first `times` requests that `applies` to.
fn first(
    times: usize,
    applies: impl Fn(&HttpCall) -> bool + Send + Sync + 'static,
    fault: HttpFault,
) -> impl Fn(&HttpCall) -> HttpFault + Send + Sync + 'static {
    let left = AtomicUsize::new(times);
    let take = move || {
        left.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok()
    };
    move |call| {
        if applies(call) && take() {
            fault
        } else {
            HttpFault::None
        }
    }
}

/// Streams 70 MiB in parts of 16 MiB to a server with `faults`, and expects it whole.
fn stream_with(faults: impl Fn(&HttpCall) -> HttpFault + Send + Sync + 'static) -> (S3Server, usize) {
    let server = S3Server::start_with(faults);
    let retries = Arc::new(AtomicUsize::new(0));
    let counter = retries.clone();
    let mut options = server.options();
    options.sleep = Some(Arc::new(|_| ()));
    options.on_retry = Some(Arc::new(move |_, _, _| {
        counter.fetch_add(1, Ordering::SeqCst);
    }));
    let store = open(&server.location(""), &options).unwrap();
    let content = pattern(70 * MIB, 7);
    assert_eq!(stream(&*store, &content).unwrap(), 70 * MIB as u64);
    assert!(store.read("streamed").unwrap() == content, "it came back changed");
    assert_eq!(server.unfinished_uploads(), 0);
    (server, retries.load(Ordering::SeqCst))
}

#[test]
fn heavy_a_stream_is_sent_in_equal_parts() {
    let (server, retries) = stream_with(|_| HttpFault::None);
    let calls = server.calls();
    let sizes: Vec<_> = (1..=5)
        .map(|number| {
            calls
                .iter()
                .find(|call| is_part(call, number))
                .unwrap()
                .header("content-length")
                .unwrap()
                .to_owned()
        })
        .collect();
    let whole = (16 * MIB).to_string();
    assert_eq!(sizes, [&*whole, &*whole, &*whole, &*whole, &*(6 * MIB).to_string()]);
    assert_eq!(retries, 0);
}

#[test]
fn heavy_a_part_that_fails_is_sent_again() {
    for number in [1, 3, 4, 5] {
        let (server, retries) = stream_with(first(2, move |call| is_part(call, number), HttpFault::Status(503)));
        assert_eq!(retries, 2, "part {number}");
        assert_eq!(
            server.calls().iter().filter(|call| is_part(call, number)).count(),
            3,
            "part {number}"
        );
    }
}

#[test]
fn heavy_the_answer_to_the_last_request_may_be_lost() {
    let completes = |call: &HttpCall| call.method == "POST" && call.target.contains("uploadId=");
    let (_, retries) = stream_with(first(1, completes, HttpFault::LoseAnswer));
    assert_eq!(retries, 1);
}

#[test]
fn heavy_a_stream_that_fails_is_removed() {
    for status in [403, 503] {
        let server = S3Server::start_with(move |call| {
            if is_part(call, 3) {
                HttpFault::Status(status)
            } else {
                HttpFault::None
            }
        });
        let store = store(&server);
        stream(&*store, &pattern(100 * MIB, 8)).unwrap_err();
        assert_eq!(server.unfinished_uploads(), 0);
        assert!(store.list("").unwrap().is_empty());
        store.write("large", pattern(60 * MIB, 8)).unwrap_err();
        assert_eq!(server.unfinished_uploads(), 0);
        assert!(store.list("").unwrap().is_empty());
    }
}
