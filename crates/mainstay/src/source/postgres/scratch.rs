//! A server for a proof: in a place that is thrown away, reached through a socket that nobody else can open.

use super::clients::Clients;
use super::server::{Access, Server};
use crate::config::model::Tls;
use crate::exec;
use crate::source::program::Programs;
use crate::source::{OwnServer, Room, Workplace};
use anyhow::Context as _;
use repository::Cancel;
use rustix::process::Signal;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Whom it runs as, if we are root.
pub const USERS: [&str; 2] = ["postgres", "nobody"];
/// The path of a socket must not be longer, with its name.
const LONGEST_SOCKET_DIRECTORY: usize = 85;
/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(50);
/// Where its files are.
const DATA: &str = "server";
/// Which line of `postmaster.pid` says whether it is ready, counted from 0.
const STATUS_LINE: usize = 7;
/// What is thrown away does not have to survive a crash.
const SETTINGS: [&str; 14] = [
    "listen_addresses=",
    "port=5432",
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "autovacuum=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=4GB",
    "logging_collector=off",
    "log_min_messages=fatal",
    "log_destination=stderr",
    "ssl=off",
    "unix_socket_permissions=0700",
];

/// A server that lives as long as this.
#[derive(Debug)]
pub struct Scratch<'a> {
    /// How it is reached.
    pub server: Server,
    place: Place<'a>,
    /// Held, because it ends with this.
    _process: OwnServer,
    /// Where its socket is, if the scratch directory has too long a path for one.
    _sockets: Option<Workplace>,
}

/// Where the server's files are, and its programs.
#[derive(Debug)]
struct Place<'a> {
    clients: Clients,
    room: &'a Room,
}

/// The programs of servers that are installed in a place, the newest first.
pub fn programs(programs: &Programs) -> Vec<Clients> {
    let starts = |clients: &Clients| {
        let words = [clients.program("initdb"), "--version".into()];
        programs.output(&words, &exec::Surroundings::default()).is_ok()
    };
    let mut all = Clients::all(programs).unwrap_or_default();
    all.retain(starts);
    all
}

impl<'a> Scratch<'a> {
    /// Make a server with these programs, which are those of the room, and start it. `first_role` is its superuser.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(clients: Clients, room: &'a Room, first_role: &str, cancel: &Cancel) -> anyhow::Result<Self> {
        let sockets = match room.path().as_os_str().len() {
            0..=LONGEST_SOCKET_DIRECTORY => None,
            _ => Some(Workplace::new(Path::new("/tmp"), "socket")?),
        };
        let at = sockets.as_ref().map_or(room.path(), Workplace::path);
        room.own(at)?;
        let place = Place { clients, room };
        place.init(first_role)?;
        let process = place.start(at, cancel)?;
        let access = Access {
            host: at.display().to_string(),
            port: 5432,
            user: Some(first_role.to_owned()),
            password: None,
            tls: Tls::Disable,
            ca_file: None,
            silence_seconds: 120,
        };
        // From here on, dropping it stops the server.
        let server = Server::connect(room.programs(), access, &[], cancel).inspect_err(|_| place.stop())?;
        Ok(Self {
            server,
            place,
            _process: process,
            _sockets: sockets,
        })
    }

    /// A new directory that the server may write to.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn directory(&self, name: &str) -> anyhow::Result<PathBuf> {
        Ok(self.place.room.directory(name)?)
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        self.place.stop();
    }
}

impl Place<'_> {
    fn init(&self, first_role: &str) -> anyhow::Result<()> {
        let role = format!("--username={first_role}");
        let options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", &role];
        self.run("initdb", &options)
            .with_context(|| format!("cannot make a server in `{}`", self.room.path().display()))
    }

    /// It is not `pg_ctl` that starts it, so that it is a child of ours and ends with us: at once, with its own children.
    fn start(&self, sockets: &Path, cancel: &Cancel) -> anyhow::Result<OwnServer> {
        let failed = "a server for the proof does not start";
        let mut words = vec![self.clients.program("postgres"), "-D".into(), self.data().into()];
        let place = format!("unix_socket_directories=\"{}\"", sockets.display());
        for setting in SETTINGS.into_iter().chain([place.as_str()]) {
            words.extend(["-c".into(), setting.into()]);
        }
        let process = self.room.start(&words, Signal::QUIT).context(failed)?;
        let begin = Instant::now();
        while !self.is_ready() {
            cancel.check()?;
            if process.has_ended() {
                process.finish().context(failed)?;
                anyhow::bail!("{failed}: it ended");
            }
            if begin.elapsed() > PATIENCE {
                self.stop();
                anyhow::bail!("{failed}: it takes too long");
            }
            std::thread::sleep(PAUSE);
        }
        Ok(process)
    }

    /// What it writes about itself, for `pg_ctl` to see.
    fn is_ready(&self) -> bool {
        let written = self.room.read(&format!("{DATA}/postmaster.pid"));
        written
            .lines()
            .nth(STATUS_LINE)
            .is_some_and(|status| status.trim() == "ready")
    }

    fn stop(&self) {
        if self.room.is_container() {
            return;
        }
        // It is thrown away, and so is its directory; one that has ended already is as good as stopped.
        let _: Option<()> = self
            .run("pg_ctl", &["stop", "--silent", "--wait", "--mode=immediate"])
            .ok();
    }

    fn run(&self, program: &str, options: &[&str]) -> anyhow::Result<()> {
        let mut words = vec![self.clients.program(program), "-D".into(), self.data().into()];
        words.extend(options.iter().map(OsString::from));
        self.room.output(&words)?;
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.room.path().join(DATA)
    }
}
