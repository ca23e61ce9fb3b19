//! A server for a proof: on this host, in a directory that is thrown away, reached through a socket that nobody else can open.

use super::clients::Clients;
use super::server::{Access, Server};
use crate::config::model::Tls;
use crate::exec::{self, User};
use crate::source::program::Programs;
use crate::source::{OwnServer, Workplace};
use anyhow::Context as _;
use repository::{Cancel, Error};
use rustix::process::Signal;
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The path of a socket must not be longer, with its name.
const LONGEST_SOCKET_DIRECTORY: usize = 85;
/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(50);
/// Which line of `postmaster.pid` says whether it is ready, counted from 0.
const STATUS_LINE: usize = 7;

/// A server that lives as long as this.
#[derive(Debug)]
pub struct Scratch {
    /// How it is reached.
    pub server: Server,
    place: Place,
    /// Held, because it ends with this.
    _process: OwnServer,
    /// Where its socket is, if the scratch directory has too long a path for one.
    _sockets: Option<Workplace>,
}

/// Where the server's files are, and whose.
#[derive(Debug)]
struct Place {
    clients: Clients,
    directory: PathBuf,
    /// Whom it runs as, if we are root: it refuses to be that.
    user: Option<User>,
}

/// The programs of servers that are installed here, the newest first.
pub fn programs() -> Vec<Clients> {
    let starts = |clients: &Clients| {
        let words = [clients.program("initdb"), "--version".into()];
        exec::output_of(&words).is_ok()
    };
    let mut all = Clients::all(&Programs::Host).unwrap_or_default();
    all.retain(starts);
    all
}

impl Scratch {
    /// Make a server in `directory`, which is empty and ours, and start it. `first_role` is its superuser.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(clients: Clients, directory: &Path, first_role: &str, cancel: &Cancel) -> anyhow::Result<Self> {
        let user = user()?;
        let sockets = match directory.as_os_str().len() {
            0..=LONGEST_SOCKET_DIRECTORY => None,
            _ => Some(Workplace::new(Path::new("/tmp"), "socket")?),
        };
        let at = sockets.as_ref().map_or(directory, Workplace::path);
        for owned in [directory, at] {
            if let Some(user) = &user {
                chown(owned, Some(user.id), Some(user.group)).map_err(Error::local("change the owner of", owned))?;
            }
        }
        let place = Place {
            clients,
            directory: directory.to_owned(),
            user,
        };
        place.init(first_role)?;
        place.configure(at)?;
        let process = place.start(cancel)?;
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
        let server = Server::connect(&Programs::Host, access, &[], cancel).inspect_err(|_| place.stop())?;
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
        let directory = self.place.directory.join(name);
        fs::create_dir(&directory).map_err(Error::local("create", &directory))?;
        if let Some(user) = &self.place.user {
            chown(&directory, Some(user.id), Some(user.group))
                .map_err(Error::local("change the owner of", &directory))?;
        }
        Ok(directory)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.place.stop();
    }
}

impl Place {
    fn data(&self) -> PathBuf {
        self.directory.join("server")
    }

    fn init(&self, first_role: &str) -> anyhow::Result<()> {
        let role = format!("--username={first_role}");
        let options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", &role];
        self.run("initdb", &options)
            .with_context(|| format!("cannot make a server in `{}`", self.directory.display()))
    }

    /// What is thrown away does not have to survive a crash.
    fn configure(&self, sockets: &Path) -> anyhow::Result<()> {
        let quoted = sockets.display().to_string().replace('\'', "''");
        let settings = format!(
            "listen_addresses = ''\nunix_socket_directories = '\"{quoted}\"'\nport = 5432\nfsync = off\n\
             full_page_writes = off\nsynchronous_commit = off\nautovacuum = off\nwal_level = minimal\n\
             max_wal_senders = 0\nmax_wal_size = '4GB'\nlogging_collector = off\nlog_min_messages = fatal\n"
        );
        let path = self.data().join("postgresql.conf");
        let opened = fs::OpenOptions::new().append(true).open(&path);
        opened
            .and_then(|mut file| file.write_all(settings.as_bytes()))
            .map_err(Error::local("write", &path))?;
        Ok(())
    }

    /// It is not `pg_ctl` that starts it, so that it is a child of ours and ends with us: at once, with its own children.
    fn start(&self, cancel: &Cancel) -> anyhow::Result<OwnServer> {
        let failed = "a server for the proof does not start";
        let words = [self.clients.program("postgres"), "-D".into(), self.data().into()];
        let process = OwnServer::start(&words, self.surroundings(), Signal::QUIT).context(failed)?;
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
        let written = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        written
            .lines()
            .nth(STATUS_LINE)
            .is_some_and(|status| status.trim() == "ready")
    }

    fn stop(&self) {
        // It is thrown away, and so is its directory; one that has ended already is as good as stopped.
        let _: Option<()> = self
            .run("pg_ctl", &["stop", "--silent", "--wait", "--mode=immediate"])
            .ok();
    }

    fn run(&self, program: &str, options: &[&str]) -> anyhow::Result<()> {
        let mut words = vec![self.clients.program(program), "-D".into(), self.data().into()];
        words.extend(options.iter().map(OsString::from));
        Programs::Host.output(&words, &self.surroundings())?;
        Ok(())
    }

    fn surroundings(&self) -> exec::Surroundings {
        exec::Surroundings {
            variables: vec![("LC_ALL".into(), "C".into())],
            directory: Some(self.directory.clone()),
            user: self.user,
            ..exec::Surroundings::default()
        }
    }
}

/// Nobody, unless we are root: then the user of PostgreSQL, or one without rights.
fn user() -> anyhow::Result<Option<User>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let found = User::find(&["postgres", "nobody"]);
    found
        .map(Some)
        .context("there is no user `postgres` or `nobody` that a server for the proof could run as")
}
