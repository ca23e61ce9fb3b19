//! A server of our own on what was stored: it reads the file, nobody else reaches it.

use super::server::Server;
use crate::config::Misuse;
use crate::exec::Surroundings;
use crate::source::program::Programs;
use crate::source::room::{Fit, Room};
use crate::source::{OwnServer, Stored};
use redis::{Client, Connection, Value};
use repository::{Cancel, Error, Result};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(50);
/// Programs that read the file, the first one that is installed.
const SERVERS: [&str; 2] = ["valkey-server", "redis-server"];
const FILE: &str = "dump.rdb";
const SOCKET: &str = "socket";
/// Reads every key of a database; how many there are.
const READ_ALL: &str = "local cursor, count = '0', 0 repeat local found = redis.call('SCAN', cursor, 'COUNT', 500) cursor = found[1] \
                        for _, key in ipairs(found[2]) do redis.call('DUMP', key) count = count + 1 end until cursor == '0' return count";

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
        let file = directory.join(FILE);
        let mut opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file)
            .map_err(Error::local("create", &file))?;
        stored.copy(path, &mut opened)?;
        drop(opened);
        let socket = directory.join(SOCKET);
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

/// A server in a container, which nobody reaches but through the client there.
pub struct Inside {
    /// How it is asked.
    pub server: Server,
    /// Held, because it ends with this.
    _process: OwnServer,
}

impl Inside {
    /// Start one in a room on the file that stands at `path` of what is stored. A reason if the image has no server.
    ///
    /// # Errors
    /// If it refuses the file: then it is damaged, or of a newer version.
    pub fn start(
        stored: &Stored<'_>,
        path: &Path,
        room: &Room,
        cancel: &Cancel,
    ) -> anyhow::Result<std::result::Result<Self, String>> {
        let (program, _) = match find(room.programs()) {
            Ok(found) => found,
            Err(reason) => return Ok(Err(reason)),
        };
        room.write(FILE, |out| stored.copy(path, out))?;
        let socket = room.path().join(SOCKET);
        let process = room.start(&words(program, room.path(), &socket), Signal::KILL)?;
        let server = Server::in_scratch(room.programs().clone(), &socket);
        // While it loads, it answers with an error.
        while server.ask(&["dbsize"]).is_err() {
            cancel.check()?;
            if process.has_ended() {
                process.finish()?;
                return Err(unusable("it ended before it answered").into());
            }
            std::thread::sleep(PAUSE);
        }
        Ok(Ok(Self {
            server,
            _process: process,
        }))
    }

    /// Have it read every key of a database.
    ///
    /// # Errors
    /// What it cannot read.
    pub fn read_all(&self, database: &str) -> anyhow::Result<()> {
        let number = database.trim_start_matches("db");
        self.server.ask(&["-n", number, "eval", READ_ALL, "0"]).map(drop)
    }
}

/// Whether there is a server that reads what another one of these versions wrote.
///
/// # Errors
/// A reason if there is none.
pub fn fit(programs: &Programs, was: &BTreeMap<String, String>) -> std::result::Result<Fit, String> {
    let (program, version) = find(programs)?;
    let product = program.trim_end_matches("-server");
    let release = |version: &str| version.split('.').take(2).map(str::to_owned).collect::<Vec<_>>();
    let is_same = was.get(product).is_some_and(|was| release(was) == release(&version));
    Ok(if is_same { Fit::Exactly } else { Fit::Nearly })
}

/// The first server that is there, and its version.
fn find(programs: &Programs) -> std::result::Result<(&'static str, String), String> {
    let version = |program: &&str| {
        let printed = programs.output(&[program.into(), "--version".into()], &Surroundings::default());
        let text = String::from_utf8_lossy(&printed.ok()?).into_owned();
        Some(text.split_once("v=")?.1.split_whitespace().next()?.to_owned())
    };
    let place = match programs {
        Programs::Host => "here",
        Programs::Container(_) => "in the image",
    };
    SERVERS
        .iter()
        .find_map(|program| Some((*program, version(program)?)))
        .ok_or_else(|| format!("no Redis server can be started {place} (package `redis-server` or `valkey-server`)"))
}

fn words(program: &str, directory: &Path, socket: &Path) -> Vec<OsString> {
    let arguments = [
        "--port",
        "0",
        "--save",
        "",
        "--appendonly",
        "no",
        "--dbfilename",
        FILE,
        "--databases",
        "10000",
        "--unixsocketperm",
        "700",
    ];
    let place = [("--dir", directory), ("--unixsocket", socket)];
    let place = place
        .iter()
        .flat_map(|(name, path)| [OsString::from(name), path.as_os_str().to_owned()]);
    let fixed = [program].into_iter().chain(arguments).map(OsString::from);
    fixed.chain(place).collect()
}

fn start(directory: &Path, socket: &Path) -> anyhow::Result<OwnServer> {
    let mut failed = None;
    for program in SERVERS {
        let words = words(program, directory, socket);
        match OwnServer::start(&Programs::Host, &words, Surroundings::default(), Signal::KILL) {
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
