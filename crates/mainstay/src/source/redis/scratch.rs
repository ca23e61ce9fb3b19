//! A server of our own on what was stored: it reads the file, nobody else reaches it.

use crate::config::Misuse;
use crate::exec::Surroundings;
use crate::source::{OwnServer, Stored};
use redis::{Client, Connection, Value};
use repository::{Cancel, Error, Result};
use rustix::process::Signal;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(50);
/// Programs that read the file, the first one that is installed.
const SERVERS: [&str; 2] = ["valkey-server", "redis-server"];

/// A server on a file. Dropped, it ends.
pub struct Scratch {
    connection: Connection,
    /// Held, because it ends with this.
    _server: OwnServer,
}

/// A key as the server stores it.
pub struct Dumped {
    /// Its name.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// How long it has left, milliseconds; 0 stands for ever.
    pub left_ms: u64,
}

impl Scratch {
    /// Start one in an empty directory on the file that stands at `path` of what is stored.
    ///
    /// # Errors
    /// If no server is installed here, or it refuses the file: then it is damaged, or of a newer version.
    pub fn start(stored: &Stored<'_>, path: &Path, directory: &Path, cancel: &Cancel) -> anyhow::Result<Self> {
        let file = directory.join("dump.rdb");
        let mut opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file)
            .map_err(Error::local("create", &file))?;
        stored.copy(path, &mut opened)?;
        drop(opened);
        let socket = directory.join("socket");
        let server = start(directory, &socket)?;
        let client = Client::open(format!("unix://{}", socket.display())).map_err(unusable)?;
        loop {
            cancel.check()?;
            let ready = client.get_connection().and_then(|mut connection| {
                // While it loads, it answers with an error.
                redis::cmd("DBSIZE").query::<u64>(&mut connection)?;
                Ok(connection)
            });
            if let Ok(connection) = ready {
                return Ok(Self {
                    connection,
                    _server: server,
                });
            }
            if server.has_ended() {
                server.finish()?;
                return Err(unusable("it ended before it answered").into());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Call `each` for every key of a database.
    ///
    /// # Errors
    /// Those of the server and of `each`.
    pub fn each_key(&mut self, database: &str, each: &mut dyn FnMut(Dumped) -> Result<()>) -> Result<u64> {
        let number = database.trim_start_matches("db");
        redis::cmd("SELECT")
            .arg(number)
            .query::<Value>(&mut self.connection)
            .map_err(unusable)?;
        let (mut cursor, mut count) = (0_u64, 0);
        loop {
            let (next, keys): (u64, Vec<Vec<u8>>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("COUNT")
                .arg(500)
                .query(&mut self.connection)
                .map_err(unusable)?;
            for key in keys {
                let value: Option<Vec<u8>> = redis::cmd("DUMP")
                    .arg(&key)
                    .query(&mut self.connection)
                    .map_err(unusable)?;
                let left: i64 = redis::cmd("PTTL")
                    .arg(&key)
                    .query(&mut self.connection)
                    .map_err(unusable)?;
                // What expired meanwhile is gone.
                if let Some(value) = value {
                    count += 1;
                    let left_ms = u64::try_from(left).unwrap_or_default();
                    each(Dumped { key, value, left_ms })?;
                }
            }
            if next == 0 {
                return Ok(count);
            }
            cursor = next;
        }
    }

    /// Whether the first database has a key.
    ///
    /// # Errors
    /// Those of the server.
    pub fn has(&mut self, key: &str) -> Result<bool> {
        redis::cmd("EXISTS")
            .arg(key)
            .query(&mut self.connection)
            .map_err(unusable)
    }

    /// The answer to `INFO keyspace`.
    ///
    /// # Errors
    /// Those of the server.
    pub fn keyspace(&mut self) -> Result<String> {
        redis::cmd("INFO")
            .arg("keyspace")
            .query(&mut self.connection)
            .map_err(unusable)
    }
}

fn start(directory: &Path, socket: &Path) -> anyhow::Result<OwnServer> {
    let arguments = [
        "--port",
        "0",
        "--save",
        "",
        "--appendonly",
        "no",
        "--dbfilename",
        "dump.rdb",
        "--databases",
        "10000",
        "--unixsocketperm",
        "700",
    ];
    let place = [("--dir", directory), ("--unixsocket", socket)];
    let mut failed = None;
    for program in SERVERS {
        let mut words = vec![OsString::from(program)];
        words.extend(arguments.map(OsString::from));
        words.extend(
            place
                .iter()
                .flat_map(|(name, path)| [OsString::from(name), path.as_os_str().to_owned()]),
        );
        match OwnServer::start(&words, Surroundings::default(), Signal::KILL) {
            Ok(server) => return Ok(server),
            Err(error) => failed = Some(error),
        }
    }
    let hint = "Install it on this host (Debian calls the package `redis-server`): what is stored is tested and taken apart with it.";
    let misuse = Misuse::new("no Redis server can be started here", hint);
    Err(match failed {
        Some(error) => misuse.because(error).into(),
        None => misuse.into(),
    })
}

fn unusable(reason: impl std::fmt::Display) -> Error {
    Error::Refused {
        message: format!("the Redis server in scratch cannot be used: {reason}"),
        hint: "It may be older than the one that was captured; install a newer one.".to_owned(),
    }
}
