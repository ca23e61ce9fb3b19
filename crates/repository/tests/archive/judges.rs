//! On every backend: other programs fetch what was stored there, open it, and find what was put in.
//!
//! rclone fetches from whatever it reaches by itself. What stands behind a mock, it cannot reach; from there the bytes are taken as they are.

use crate::support::*;
use repository::archive::{AgeRecipients, Compression, Encryption, GzipLevel, Passphrase, WriteOptions};
use repository::restic::backup::{self, BackupOptions};
use repository::restic::config::ChunkerKind;
use repository::restic::repository::{OpenOptions, Repository};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use storage::{Location, Options, Store, open};
use testkit::dropbox_mock::DropboxMock;
use testkit::emulators::{Azurite, GcsEmulator};
use testkit::http_mock::{MockAnswer, serve};
use testkit::rclone_server::{PASSWORD, RcloneServer, USER};
use testkit::s3_server::{ACCESS_KEY, BUCKET, S3Server, SECRET_KEY};
use testkit::ssh_server::{SshServer, whoami};
use testkit::tree::TreeSpec;

/// Store a repository and archives below `place`, have `fetch` bring everything that is there into `fetched`, and let the others judge.
fn judged(
    bench: &Bench,
    options: &Options,
    place: impl Fn(&str) -> Location,
    fetch: impl FnOnce(&Bench, &[Arc<dyn Store>; 2]),
) {
    let tree = TreeSpec {
        files: 30,
        max_bytes: 200_000,
        ..TreeSpec::default()
    };
    tree.build(&bench.path("source")).unwrap();
    let stores = ["repository", "archives"].map(|name| open(&place(name), options).unwrap());
    let opening = OpenOptions::default();
    let repository = Repository::init(Arc::clone(&stores[0]), b"x", ChunkerKind::FastCdc, &opening).unwrap();
    let sources = vec![backup::Source::Below {
        root: "/files".into(),
        path: bench.path("source"),
    }];
    backup::run(
        &repository,
        sources,
        &BackupOptions::default(),
        &bench.cancel,
        &bench.monitor,
    )
    .unwrap();
    bench.shell("age-keygen -o key 2> /dev/null; mkdir -m 700 gnupg");
    let recipient = bench.shell("grep -o 'age1.*' key");
    let age = Encryption::AgeRecipients(AgeRecipients::parse([recipient.as_str()]).unwrap());
    let sealed = WriteOptions {
        // Where an object may have any size, too, it is cut.
        part_size: Some(1 << 20),
        ..WriteOptions::new(age)
    };
    let openpgp = WriteOptions {
        compression: Compression::Gzip(GzipLevel::default()),
        ..WriteOptions::new(Encryption::OpenPgpPassphrase(Passphrase::new("correct horse").unwrap()))
    };
    bench.archive_to(&*stores[1], "a.tar.zst.age", &sealed).unwrap();
    bench.archive_to(&*stores[1], "b.tar.gz.gpg", &openpgp).unwrap();
    bench.assert_no_problems();
    fs::create_dir(bench.path("fetched")).unwrap();
    fetch(bench, &stores);
    bench.shell("RESTIC_PASSWORD=x restic -q --no-cache -r fetched/repository check --read-data");
    bench.shell("RESTIC_PASSWORD=x restic -q --no-cache -r fetched/repository restore latest --target restic");
    bench.assert_same(&format!("restic/files{}", bench.path("source").display()));
    bench.assert_unpacks("cat fetched/archives/a.tar.zst.age.????? | age -d -i key | zstd -dc");
    let gpg = "gpg --homedir gnupg --batch --quiet --no-permission-warning --pinentry-mode loopback --passphrase 'correct horse'";
    // Stores that take each object in one request got it in parts.
    let parts = "cat $(find fetched/archives -regex '.*gpg\\(\\.[0-9]+\\)?' | sort)";
    bench.assert_unpacks(&format!("{parts} | {gpg} --decrypt | gzip -dc"));
    bench.shell("gpgconf --homedir gnupg --kill all");
}

/// `rclone copy` of a remote that is configured so, or an address of rclone.
fn rclone(remote: String, path: String) -> impl FnOnce(&Bench, &[Arc<dyn Store>; 2]) {
    move |bench, _| {
        fs::write(bench.path("rclone.conf"), format!("[remote]\n{remote}\n")).unwrap();
        // rclone stumbles over a bundle of certificates that is meant for others.
        bench.shell(&format!(
            "env -u AWS_CA_BUNDLE rclone --config rclone.conf copy 'remote:{path}' fetched"
        ));
    }
}

/// The bytes as the store has them.
fn as_they_are(bench: &Bench, stores: &[Arc<dyn Store>; 2]) {
    for (store, name) in stores.iter().zip(["repository", "archives"]) {
        for object in store.list("").unwrap() {
            let path = bench.path("fetched").join(name).join(object.name.as_str());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, store.read(&object.name).unwrap()).unwrap();
        }
    }
}

#[test]
fn heavy_a_directory_is_read_by_others() {
    let bench = Bench::new();
    let place = |name: &str| Location::Local(bench.path("stored").join(name));
    let remote = rclone(
        "type = alias\nremote = /".to_owned(),
        bench.path("stored").display().to_string(),
    );
    judged(&bench, &Options::default(), place, remote);
}

#[test]
fn heavy_s3_is_read_by_others() {
    let (bench, server) = (Bench::new(), S3Server::start());
    // rclone asks first whether a folder is an object, and this server stumbles over that; so the bucket as a whole.
    let remote = rclone(s3_remote(&server), BUCKET.to_owned());
    judged(&bench, &server.options(), |name| server.location(name), remote);
}

fn s3_remote(server: &S3Server) -> String {
    let endpoint = server.endpoint();
    format!(
        "type = s3\nprovider = Other\nendpoint = {endpoint}\naccess_key_id = {ACCESS_KEY}\nsecret_access_key = {SECRET_KEY}"
    )
}

#[test]
fn heavy_sftp_is_read_by_others() {
    let (bench, server) = (Bench::new(), SshServer::start());
    let file = |name: &str| server.file(name).display().to_string();
    let remote = format!(
        "type = sftp\nhost = 127.0.0.1\nport = {}\nuser = {}\nkey_file = {}\nknown_hosts_file = {}",
        server.address().port(),
        whoami(),
        file("user"),
        file("known_hosts"),
    );
    let stored: PathBuf = server.file("home/some");
    let place = |name: &str| server.location(&stored.join(name));
    judged(
        &bench,
        &server.options(),
        place,
        rclone(remote, stored.display().to_string()),
    );
}

#[test]
fn heavy_webdav_is_read_by_others() {
    let (bench, server) = (Bench::new(), RcloneServer::webdav());
    let hidden = bench.shell(&format!("rclone obscure '{PASSWORD}'"));
    let remote = format!(
        "type = webdav\nvendor = other\nurl = http://{}\nuser = {USER}\npass = {hidden}",
        server.address()
    );
    let place = |name: &str| server.location(&format!("some/{name}"));
    judged(&bench, &server.options(), place, rclone(remote, "some".to_owned()));
}

#[test]
fn heavy_azure_is_read_by_others() {
    let (bench, server) = (Bench::new(), Azurite::start());
    // rclone knows emulators by such an address only.
    let token = server.options_signed("rl", "2099-01-01T00:00:00Z").azblob.sas_token;
    let token = token.as_ref().map_or("", |token| token.reveal());
    let remote = format!(
        "type = azureblob\nsas_url = {}/mainstay-test?{token}",
        server.endpoint()
    );
    let place = |name: &str| server.location(&format!("some/{name}"));
    judged(
        &bench,
        &server.options(),
        place,
        rclone(remote, "mainstay-test/some".to_owned()),
    );
}

#[test]
fn heavy_google_is_read_by_others() {
    let (bench, server) = (Bench::new(), GcsEmulator::start());
    let endpoint = server.options().gcs.endpoint.unwrap_or_default();
    let remote = format!("type = google cloud storage\nanonymous = true\nendpoint = {endpoint}/storage/v1/");
    let place = |name: &str| server.location(&format!("some/{name}"));
    judged(
        &bench,
        &server.options(),
        place,
        rclone(remote, "mainstay-test/some".to_owned()),
    );
}

/// Backblaze's authorization is a mock; what stands behind it, rclone reads.
#[test]
fn heavy_backblaze_is_read_by_others() {
    let (bench, server) = (Bench::new(), S3Server::start());
    let account = serde_json::json!({"s3ApiUrl": server.endpoint()}).to_string();
    let mut options = Options::default();
    options.b2.endpoint = Some(serve(move |_| Some(MockAnswer::json(200, account.as_str()))));
    options.b2.key_id = Some(ACCESS_KEY.to_owned());
    options.b2.key = Some(SECRET_KEY.into());
    let place = |name: &str| format!("b2://{BUCKET}/{name}").parse().unwrap();
    let remote = s3_remote(&server);
    judged(&bench, &options, place, rclone(remote, BUCKET.to_owned()));
}

#[test]
fn heavy_dropbox_is_read_by_others() {
    let (bench, server) = (Bench::new(), DropboxMock::start());
    let place = |name: &str| format!("dropbox:some/{name}").parse().unwrap();
    judged(&bench, &server.options(), place, as_they_are);
}

#[test]
fn heavy_a_remote_of_rclone_is_read_by_others() {
    let bench = Bench::new();
    let remote = format!("type = alias\nremote = {}", bench.path("stored").display());
    fs::write(bench.path("rclone.conf"), format!("[remote]\n{remote}\n")).unwrap();
    let mut options = Options::default();
    options.rclone.arguments = vec!["--config".into(), bench.path("rclone.conf").display().to_string()];
    let place = |name: &str| format!("rclone:remote:some/{name}").parse().unwrap();
    judged(&bench, &options, place, rclone(remote.clone(), "some".to_owned()));
}
