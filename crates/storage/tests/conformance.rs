//! The contract of a store, run against every backend, bare and inside its wrappers.
//!
//! | tests | what they show |
//! |---|---|
//! | `memory_*`, `local_*`, `heavy_*_store*`, `heavy_sftp_*`, `heavy_rclone_*` | the contract holds |
//! | `heavy_s3_with_*` | retries hide faults of the network from the contract |

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use storage::{LocalStore, MemoryStore, Options, RcloneOptions, Store, open, wrap};
use testkit::asyncssh_server::{AsyncsshServer, Settings};
use testkit::conformance::{Replaces, check_store, check_store_that};
use testkit::moto::{Moto, Rules};
use testkit::rclone_server::RcloneServer;
use testkit::restic_names::ResticNames;
use testkit::s3_server::{HttpCall, HttpFault, S3Server};
use testkit::ssh_server::SshServer;

/// Options that use every wrapper, with limits that do not slow the test down.
fn all_wrappers() -> Options {
    Options {
        connections: NonZeroUsize::new(4),
        upload_bytes_per_second: NonZeroU64::new(1 << 40),
        download_bytes_per_second: NonZeroU64::new(1 << 40),
        ..Options::default()
    }
}

#[test]
fn memory_store() {
    check_store(|| Arc::new(MemoryStore::new()));
}

#[test]
fn memory_store_in_wrappers() {
    check_store(|| wrap(Arc::new(MemoryStore::new()), &all_wrappers()));
}

/// Runs the contract in fresh directories; `make` builds the store in one.
fn check_in_directories(make: impl Fn(&Path) -> Arc<dyn Store>) {
    let directory = tempfile::tempdir().unwrap();
    let number = AtomicUsize::new(0);
    check_store(|| {
        make(
            &directory
                .path()
                .join(format!("stores/{}", number.fetch_add(1, Ordering::SeqCst))),
        )
    });
}

#[test]
fn local_store() {
    check_in_directories(|root| Arc::new(LocalStore::new(root)));
}

#[test]
fn local_store_in_wrappers() {
    check_in_directories(|root| open(&root.to_str().unwrap().parse().unwrap(), &all_wrappers()).unwrap());
}

/// Runs the contract against `server`, each part of it under a prefix of its own.
fn check_server(server: &S3Server, options: &Options) {
    let number = AtomicUsize::new(0);
    check_store(|| {
        let prefix = format!("some/prefix-{}", number.fetch_add(1, Ordering::SeqCst));
        open(&server.location(&prefix), options).unwrap()
    });
}

#[test]
fn heavy_s3_store() {
    let server = S3Server::start();
    check_server(&server, &server.options());
    assert_eq!(server.unfinished_uploads(), 0);
}

/// The contract at a server that has nothing but the protocol: no rename that replaces, and no `fsync`.
#[test]
fn heavy_sftp_without_extensions_store() {
    let server = AsyncsshServer::start(Settings {
        extensions: false,
        password: false,
        dialogue: false,
    });
    let number = AtomicUsize::new(0);
    check_store_that(Replaces::InTwoSteps, || {
        let path = format!("some/folder-{}", number.fetch_add(1, Ordering::SeqCst));
        open(&server.location(&path), &server.options()).unwrap()
    });
}

/// The contract in a bucket that keeps each version for a time.
#[test]
fn heavy_s3_with_object_lock_store() {
    let server = Moto::with_bucket("locked", Rules::Locked(30));
    let number = AtomicUsize::new(0);
    check_store(|| {
        let prefix = format!("some/prefix-{}", number.fetch_add(1, Ordering::SeqCst));
        open(&server.location("locked", &prefix), &server.options()).unwrap()
    });
}

/// Runs the contract at `server`, each part of it in a folder of its own.
fn check_rclone(server: &RcloneServer, replaces: Replaces, wrap: impl Fn(Arc<dyn Store>) -> Arc<dyn Store>) {
    let mut options = server.options();
    options.http.ca_file = server.certificate().map(|certificate| {
        let path = server.files().with_file_name("ca.pem");
        std::fs::write(&path, certificate).unwrap();
        path
    });
    let number = AtomicUsize::new(0);
    check_store_that(replaces, || {
        let path = format!("some/folder-{}", number.fetch_add(1, Ordering::SeqCst));
        wrap(open(&server.location(&path), &options).unwrap())
    });
}

#[test]
fn heavy_webdav_store() {
    check_rclone(&RcloneServer::webdav(), Replaces::Visibly, |store| store);
}

#[test]
fn heavy_webdav_store_over_tls() {
    check_rclone(&RcloneServer::webdav_tls(), Replaces::Visibly, |store| store);
}

#[test]
fn heavy_rest_store() {
    check_rclone(&RcloneServer::rest_in_memory(), Replaces::Atomically, ResticNames::wrap);
}

/// Runs the contract against a server with `faults`, with quick retries; returns how many there were.
fn retries_with(faults: impl Fn(&HttpCall) -> HttpFault + Send + Sync + 'static) -> usize {
    let server = S3Server::start_with(faults);
    let retries = Arc::new(AtomicUsize::new(0));
    let counter = retries.clone();
    let mut options = server.options();
    options.retry.tries = 20;
    options.sleep = Some(Arc::new(|_| ()));
    options.on_retry = Some(Arc::new(move |_, _, _| {
        counter.fetch_add(1, Ordering::SeqCst);
    }));
    check_server(&server, &options);
    retries.load(Ordering::SeqCst)
}

#[test]
fn heavy_s3_with_internal_errors_and_slow_down() {
    let retries = retries_with(|call| match call.number % 14 {
        0 => HttpFault::Status(500),
        7 => HttpFault::Status(503),
        _ => HttpFault::None,
    });
    assert!(retries > 300, "only {retries} retries");
}

#[test]
fn heavy_s3_with_broken_connections() {
    let retries = retries_with(|call| {
        if call.number.is_multiple_of(11) {
            HttpFault::Reset
        } else {
            HttpFault::None
        }
    });
    assert!(retries > 100, "only {retries} retries");
}

#[test]
fn heavy_s3_with_lost_and_slow_answers() {
    let retries = retries_with(|call| match call.number % 20 {
        0 => HttpFault::LoseAnswer,
        10 => HttpFault::Slow(Duration::from_millis(5)),
        _ => HttpFault::None,
    });
    assert!(retries > 100, "only {retries} retries");
}

#[test]
fn heavy_sftp_store() {
    let server = SshServer::start();
    check_in_directories(|root| open(&server.location(root), &server.options()).unwrap());
}

#[test]
fn heavy_sftp_store_in_wrappers() {
    let server = SshServer::start();
    let options = Options {
        sftp: server.options().sftp,
        ..all_wrappers()
    };
    check_in_directories(|root| open(&server.location(root), &options).unwrap());
}

/// Runs the contract on a remote of rclone; one rclone for each part of it.
fn check_remote(replaces: Replaces, remote: &str, options: &Options) {
    let number = AtomicUsize::new(0);
    check_store_that(replaces, || {
        let address = format!("rclone:{remote}/store-{}", number.fetch_add(1, Ordering::SeqCst));
        open(&address.parse().unwrap(), options).unwrap()
    });
}

#[test]
fn heavy_rclone_store_on_a_disk() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(
        path("conf"),
        format!("[nas]\ntype = alias\nremote = {}\n", path("disk")),
    )
    .unwrap();
    let options = Options {
        rclone: RcloneOptions {
            arguments: vec![format!("--config={}", path("conf"))],
            ..RcloneOptions::default()
        },
        ..Options::default()
    };
    check_remote(Replaces::InTwoSteps, "nas:backups", &options);
}

#[test]
fn heavy_rclone_store_of_objects_in_wrappers() {
    let options = Options {
        rclone: RcloneOptions {
            arguments: vec!["--config=/dev/null".to_owned()],
            ..RcloneOptions::default()
        },
        ..all_wrappers()
    };
    check_remote(Replaces::Atomically, ":memory:bucket", &options);
}
