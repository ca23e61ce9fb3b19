//! Emulators of cloud stores, which `cargo xtask setup` installs.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use storage::{Location, Options};

use crate::server_process::ServerProcess;

/// Microsoft's emulator of Azure Blob Storage, with an empty container.
pub struct Azurite {
    process: ServerProcess,
}

/// The account that the emulator knows, and its key: published by Microsoft, the same everywhere.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const CONTAINER: &str = "mainstay-test";

/// Makes a container; neither Mainstay nor OpenDAL does that.
const MAKE_CONTAINER: &str = r#"
import base64, email.utils, hashlib, hmac, sys, urllib.request
endpoint, account, key, container = sys.argv[1:]
date, version = email.utils.formatdate(usegmt=True), "2021-08-06"
resource = f"/{account}/{account}/{container}\nrestype:container"
text = "PUT" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:{version}\n" + resource
signature = base64.b64encode(hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()).decode()
headers = {"x-ms-date": date, "x-ms-version": version, "Authorization": f"SharedKey {account}:{signature}"}
url = f"{endpoint}/{container}?restype=container"
urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers))
"#;

impl Azurite {
    /// Start it.
    ///
    /// # Panics
    /// When it cannot be started.
    #[expect(clippy::disallowed_methods, reason = "exec.rs belongs to the product")]
    pub fn start() -> Self {
        let program = directory().join("azurite-3.37.0/node_modules/.bin/azurite-blob");
        let process = ServerProcess::start(program, |data, address| {
            let mut arguments: Vec<OsString> = ["--silent", "--disableTelemetry", "--skipApiVersionCheck"]
                .map(Into::into)
                .into();
            arguments.extend(["--location".into(), data.into()]);
            arguments.extend(["--blobPort".into(), address.port().to_string().into()]);
            arguments
        });
        let server = Self { process };
        let made = Command::new("python3")
            .args(["-c", MAKE_CONTAINER, &server.endpoint(), ACCOUNT, KEY, CONTAINER])
            .status()
            .expect("python3 is installed by `cargo xtask setup`");
        assert!(made.success(), "the container was not made");
        server
    }

    /// Where the account is.
    pub fn endpoint(&self) -> String {
        format!("http://{}/{ACCOUNT}", self.process.address())
    }

    /// The address of `prefix` in the container.
    ///
    /// # Panics
    /// When `prefix` makes no sense.
    pub fn location(&self, prefix: &str) -> Location {
        format!("azblob://{CONTAINER}/{prefix}")
            .parse()
            .expect("the address of a container")
    }

    /// Options with the key that the emulator knows.
    pub fn options(&self) -> Options {
        let mut options = Options::default();
        options.azblob.account = Some(ACCOUNT.to_owned());
        options.azblob.account_key = Some(KEY.into());
        options.azblob.endpoint = Some(self.endpoint());
        options
    }

    /// Options with a shared access signature for `permissions`, such as `rwdlac`, until `expiry`, such as `2099-01-01T00:00:00Z`.
    ///
    /// # Panics
    /// When it cannot be signed.
    #[expect(clippy::disallowed_methods, reason = "exec.rs belongs to the product")]
    pub fn options_signed(&self, permissions: &str, expiry: &str) -> Options {
        let signed = Command::new("python3")
            .args(["-c", SIGN, ACCOUNT, KEY, permissions, expiry])
            .output()
            .expect("python3 is installed by `cargo xtask setup`");
        let token = String::from_utf8(signed.stdout).expect("a token is ASCII");
        assert!(signed.status.success(), "nothing was signed");
        let mut options = self.options();
        options.azblob.account_key = None;
        options.azblob.sas_token = Some(token.trim().into());
        options
    }
}

/// A shared access signature of the account, for everything in its containers.
const SIGN: &str = r#"
import base64, hashlib, hmac, sys, urllib.parse
account, key, permissions, expiry = sys.argv[1:]
version, service, types, protocols = "2021-08-06", "b", "co", "https,http"
text = "\n".join([account, permissions, service, types, "", expiry, "", protocols, version, "", ""])
signature = base64.b64encode(hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()).decode()
print(urllib.parse.urlencode(dict(sv=version, ss=service, srt=types, sp=permissions, se=expiry, spr=protocols, sig=signature)))
"#;

/// An emulator of Google Cloud Storage, with an empty bucket. It knows no keys. Uploads in parts, which it does not know either, are added to it
/// here, as Google describes them (XML API, multipart uploads).
pub struct GcsEmulator {
    process: ServerProcess,
}

const BUCKET: &str = "mainstay-test";

const GOOGLE: &str = r#"
import hashlib, sys, xml.etree.ElementTree as xml
from http import HTTPStatus
sys.path.insert(0, sys.argv.pop(1))
from gcp_storage_emulator import server
from gcp_storage_emulator.__main__ import main
from gcp_storage_emulator.handlers.objects import _checksums, _make_object_resource

uploads, LEAST = {}, 5 << 20

def answer(response, name, **fields):
    text = "".join(f"<{key}>{value}</{key}>" for key, value in fields.items())
    response.write(f"<?xml version='1.0' encoding='UTF-8'?><{name}>{text}</{name}>")

def refuse(response, status, code):
    response.status = status
    answer(response, "Error", Code=code, Message="refused")

def upload_of(request, response):
    upload = uploads.get(request.query.get("uploadId", [""])[0])
    if upload is None or upload["name"] != request.params["name"]:
        return refuse(response, HTTPStatus.NOT_FOUND, "NoSuchUpload")
    return upload

def put(request, response, storage):
    upload, number = upload_of(request, response), int(request.query["partNumber"][0])
    if upload is None:
        return
    if not 1 <= number <= 10000:
        return refuse(response, HTTPStatus.BAD_REQUEST, "InvalidArgument")
    content = request.data or b""
    tag = '"' + hashlib.md5(content).hexdigest() + '"'
    upload["parts"][number] = (tag, content)
    response["ETag"] = tag

def post(request, response, storage):
    bucket, name = request.params["bucket"], request.params["name"]
    if request.full_url.endswith("?uploads"):
        number = f"upload-{len(uploads)}"
        uploads[number] = dict(name=name, parts={}, type=request.get_header("Content-Type"))
        return answer(response, "InitiateMultipartUploadResult", Bucket=bucket, Key=name, UploadId=number)
    upload = upload_of(request, response)
    if upload is None:
        return
    wanted = [(int(part.find("PartNumber").text), part.find("ETag").text) for part in xml.fromstring(request.data).iter("Part")]
    parts = [upload["parts"].get(number, (None, b"")) for number, _ in wanted]
    if wanted != sorted(wanted) or [tag for tag, _ in parts] != [tag for _, tag in wanted]:
        return refuse(response, HTTPStatus.BAD_REQUEST, "InvalidPart")
    if any(len(content) < LEAST for _, content in parts[:-1]):
        return refuse(response, HTTPStatus.BAD_REQUEST, "EntityTooSmall")
    content = b"".join(content for _, content in parts)
    made = _make_object_resource(request.base_url, bucket, name, upload["type"], str(len(content)))
    storage.create_file(bucket, name, content, _checksums(content, made))
    del uploads[request.query["uploadId"][0]]
    answer(response, "CompleteMultipartUploadResult", Bucket=bucket, Key=name, ETag=hashlib.md5(content).hexdigest())

def delete(request, response, storage):
    if upload_of(request, response) is not None:
        del uploads[request.query["uploadId"][0]]
        response.status = HTTPStatus.NO_CONTENT

def count(request, response, storage):
    response.write(str(len(uploads)))

handlers = {"POST": post, "PUT": put, "DELETE": delete}
server.HANDLERS = ((r"^/unfinished$", {"GET": count}), (r"^/(?P<bucket>mainstay-test)/(?P<name>.+)$", handlers), *server.HANDLERS)
sys.exit(main())
"#;

impl GcsEmulator {
    /// Start it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start() -> Self {
        let packages = directory().join("gcp-storage-emulator-2026.7.19").display().to_string();
        let process = ServerProcess::start("python3", |_, address| {
            let port = address.port().to_string();
            [
                "-c",
                GOOGLE,
                &packages,
                "start",
                "--in-memory",
                "--host",
                "127.0.0.1",
                "--port",
                &port,
            ]
            .into_iter()
            .chain(["--default-bucket", BUCKET])
            .map(Into::into)
            .collect()
        });
        Self { process }
    }

    /// The address of `prefix` in the bucket.
    ///
    /// # Panics
    /// When `prefix` makes no sense.
    pub fn location(&self, prefix: &str) -> Location {
        format!("gcs://{BUCKET}/{prefix}")
            .parse()
            .expect("the address of a bucket")
    }

    /// How many uploads in parts were neither completed nor given up.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn unfinished_uploads(&self) -> usize {
        let mut stream = TcpStream::connect(self.process.address()).expect("the server listens");
        stream
            .write_all(b"GET /unfinished HTTP/1.0\r\n\r\n")
            .expect("the server reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the server answers");
        let (_, number) = answer.split_once("\r\n\r\n").expect("an answer of HTTP");
        number.parse().expect("a number")
    }

    /// Options to reach it.
    pub fn options(&self) -> Options {
        let mut options = Options::default();
        options.gcs.endpoint = Some(format!("http://{}", self.process.address()));
        options.gcs.anonymous = true;
        options
    }
}

/// Where the emulators are linked to: Cargo's target directory holds `fast/deps/TEST` as well.
pub(crate) fn directory() -> PathBuf {
    let test = std::env::current_exe().expect("a test is a program");
    let target = test.ancestors().nth(3).expect("a test is below the target directory");
    target.join("emulators")
}
