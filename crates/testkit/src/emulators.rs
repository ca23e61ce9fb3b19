//! Emulators of cloud stores, which `cargo xtask setup` installs below Cargo's target directory.

use std::ffi::OsString;
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
}

/// An emulator of Google Cloud Storage, with an empty bucket. It knows no keys, and no uploads in parts.
pub struct GcsEmulator {
    process: ServerProcess,
}

const BUCKET: &str = "mainstay-test";

impl GcsEmulator {
    /// Start it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start() -> Self {
        let code = format!(
            "import sys; sys.path.insert(0, {:?}); from gcp_storage_emulator.__main__ import main; sys.exit(main())",
            directory().join("gcp-storage-emulator-2026.7.19").display().to_string()
        );
        let process = ServerProcess::start("python3", |_, address| {
            let port = address.port().to_string();
            [
                "-c",
                &code,
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

    /// Options to reach it.
    pub fn options(&self) -> Options {
        let mut options = Options::default();
        options.gcs.endpoint = Some(format!("http://{}", self.process.address()));
        options.gcs.anonymous = true;
        options
    }
}

/// Where the emulators are: Cargo's target directory holds `fast/deps/TEST` as well.
pub(crate) fn directory() -> PathBuf {
    let test = std::env::current_exe().expect("a test is a program");
    let target = test.ancestors().nth(3).expect("a test is below the target directory");
    target.join("emulators")
}
