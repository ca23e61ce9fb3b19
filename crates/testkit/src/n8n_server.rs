//! A real n8n on loopback, with an owner and a key of its API, in a directory that goes away with it.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::emulators::directory;
use crate::server_process::ServerProcess;

/// Where `cargo xtask setup` puts it.
const FOLDER: &str = "n8n-1.123.0";
/// It migrates an empty database through years of versions, one after the other.
const PATIENCE: Duration = Duration::from_secs(180);

/// An n8n that runs.
pub struct N8nServer {
    process: ServerProcess,
    key: String,
}

/// What n8n answered.
struct N8nAnswer {
    status: u16,
    head: String,
    body: String,
}

impl N8nServer {
    /// The key that it encrypts credentials with.
    pub const ENCRYPTION_KEY: &'static str = "the encryption key of a test";

    /// Start one.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start() -> Self {
        let process = ServerProcess::start("env", |data, address| {
            let mut words = Self::variables(data);
            words.push(format!("N8N_PORT={}", address.port()).into());
            words.push("N8N_LISTEN_ADDRESS=127.0.0.1".into());
            words.extend([OsString::from("node"), Self::program().into(), "start".into()]);
            words
        });
        let mut server = Self {
            process,
            key: String::new(),
        };
        server.key = server.make_owner();
        server
    }

    /// Variables that every n8n on these data needs, as `env` takes them.
    pub fn variables(data: &Path) -> Vec<OsString> {
        let mut folder = OsString::from("N8N_USER_FOLDER=");
        folder.push(data);
        let others = [
            "N8N_DIAGNOSTICS_ENABLED=false",
            "N8N_VERSION_NOTIFICATIONS_ENABLED=false",
            "N8N_TEMPLATES_ENABLED=false",
            "N8N_PERSONALIZATION_ENABLED=false",
            "N8N_RUNNERS_ENABLED=false",
            "N8N_SECURE_COOKIE=false",
            "DB_SQLITE_POOL_SIZE=2",
        ];
        let key = format!("N8N_ENCRYPTION_KEY={}", Self::ENCRYPTION_KEY);
        [folder, key.into()]
            .into_iter()
            .chain(others.map(OsString::from))
            .collect()
    }

    /// The directory that holds n8n and everything that it consists of.
    pub fn installation() -> PathBuf {
        directory().join(FOLDER)
    }

    /// The program of n8n, which Node.js runs.
    pub fn program() -> PathBuf {
        Self::installation().join("node_modules/n8n/bin/n8n")
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.process.address())
    }

    /// The key of its API.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The directory that holds its data.
    pub fn data(&self) -> &Path {
        self.process.directory()
    }

    /// What the API answers, as JSON.
    ///
    /// # Panics
    /// When it answers an error.
    pub fn api(&self, method: &str, path: &str, body: &str) -> String {
        let header = format!("X-N8N-API-KEY: {}\r\n", self.key);
        let answer = self.send(method, &format!("/api/v1/{path}"), &header, body);
        assert!(
            answer.status < 300,
            "{method} {path}: {} {}",
            answer.status,
            answer.body
        );
        answer.body
    }

    fn make_owner(&self) -> String {
        let owner = r#"{"email": "a@example.com", "firstName": "A", "lastName": "B", "password": "Passw0rd!x"}"#;
        let begin = Instant::now();
        // It listens, calls itself ready, and answers 200 to everything, before it has all of its paths.
        let made = loop {
            let made = self.send("POST", "/rest/owner/setup", "", owner);
            if made.body.contains("\"email\"") {
                break made;
            }
            assert!(begin.elapsed() < PATIENCE, "n8n did not start: {}", made.body);
            thread::sleep(Duration::from_millis(200));
        };
        let cookie = made.head.lines().find_map(|line| line.strip_prefix("Set-Cookie: "));
        let cookie = cookie.and_then(|cookie| cookie.split(';').next()).unwrap_or_default();
        let header = format!("Cookie: {cookie}\r\n");
        let scopes = self.send("GET", "/rest/api-keys/scopes", &header, "").body;
        let scopes = between(&scopes, "{\"data\":", "}");
        let wanted = format!(r#"{{"label": "test", "expiresAt": null, "scopes": {scopes}}}"#);
        let made = self.send("POST", "/rest/api-keys", &header, &wanted).body;
        let key = between(&made, "\"rawApiKey\":\"", "\"");
        assert!(!key.is_empty(), "n8n made no key: {made}");
        key.to_owned()
    }

    /// One request over one connection; nothing, with status 0, if there is no answer.
    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> N8nAnswer {
        let address = self.process.address();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        let mut answer = Vec::new();
        if let Ok(mut stream) = TcpStream::connect(address) {
            let sent = stream.write_all(request.as_bytes());
            // What is cut off has no end of its head, or is not what is expected.
            let _: Option<_> = sent.and_then(|()| stream.read_to_end(&mut answer)).ok();
        }
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        N8nAnswer {
            status: head
                .split(' ')
                .nth(1)
                .and_then(|status| status.parse().ok())
                .unwrap_or_default(),
            body: body.to_owned(),
            head: head.to_owned(),
        }
    }
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let after = text.split_once(begin).map_or("", |(_, after)| after);
    after.split_once(end).map_or("", |(found, _)| found)
}
