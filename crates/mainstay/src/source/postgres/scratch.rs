//! A server for a proof: on this host, in a directory that is thrown away, reached through a socket that nobody else can open.

use super::clients::Clients;
use super::server::{Access, Server};
use crate::config::model::Tls;
use crate::exec;
use crate::source::program::Programs;
use anyhow::Context as _;
use repository::{Cancel, Error};
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

/// The path of a socket must not be longer, with its name.
const LONGEST_SOCKET_DIRECTORY: usize = 85;

/// A server that lives as long as this.
#[derive(Debug)]
pub struct Scratch {
    /// How it is reached.
    pub server: Server,
    place: Place,
    /// Where its socket is, if the scratch directory has too long a path for one.
    _sockets: Option<tempfile::TempDir>,
}

/// Where the server's files are, and whose.
#[derive(Debug)]
struct Place {
    clients: Clients,
    directory: PathBuf,
    user: Option<User>,
}

/// Whom the server runs as, if we are root: it refuses to run as root.
#[derive(Clone, Debug)]
struct User {
    name: String,
    id: u32,
    group: u32,
}

/// The programs of a server that are installed here, the newest.
pub fn programs() -> Option<Clients> {
    let all = Clients::all(&Programs::Host).ok()?;
    let starts = |clients: &Clients| {
        let words = [clients.program("initdb"), "--version".into()];
        exec::output_of(&words).is_ok()
    };
    all.into_iter().find(starts)
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
            _ => Some(tempfile::Builder::new().prefix("mainstay-").tempdir_in("/tmp")?),
        };
        let at = sockets.as_ref().map_or(directory, tempfile::TempDir::path);
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
        place.start()?;
        let access = Access {
            host: at.display().to_string(),
            port: 5432,
            user: Some(first_role.to_owned()),
            password: None,
            tls: Tls::Disable,
            ca_file: None,
        };
        // From here on, dropping it stops the server.
        let server = Server::connect(&Programs::Host, access, &[], cancel).inspect_err(|_| place.stop())?;
        Ok(Self {
            server,
            place,
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
             max_wal_senders = 0\nmax_wal_size = '4GB'\nlogging_collector = off\n"
        );
        let path = self.data().join("postgresql.conf");
        let opened = fs::OpenOptions::new().append(true).open(&path);
        opened
            .and_then(|mut file| file.write_all(settings.as_bytes()))
            .map_err(Error::local("write", &path))?;
        Ok(())
    }

    fn start(&self) -> anyhow::Result<()> {
        let log = self.directory.join("log");
        let log_option = format!("--log={}", log.display());
        let started = self.run("pg_ctl", &["start", "--silent", "--wait", "--timeout=120", &log_option]);
        started.with_context(|| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            format!(
                "a server for the proof does not start: {}",
                said.lines().next_back().unwrap_or_default()
            )
        })
    }

    fn stop(&self) {
        // It is thrown away, and so is its directory; one that has ended already is as good as stopped.
        let _: Option<()> = self
            .run("pg_ctl", &["stop", "--silent", "--wait", "--mode=immediate"])
            .ok();
    }

    fn run(&self, program: &str, options: &[&str]) -> anyhow::Result<()> {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(user) = &self.user {
            let (user, group) = (format!("--reuid={}", user.name), format!("--regid={}", user.group));
            words.extend(["setpriv", &user, &group, "--clear-groups"].map(OsString::from));
        }
        words.push(self.clients.program(program));
        words.extend(["-D".into(), self.data().into()]);
        words.extend(options.iter().map(OsString::from));
        let surroundings = exec::Surroundings {
            variables: vec![("LC_ALL".into(), "C".into())],
            directory: Some(self.directory.clone()),
            ..exec::Surroundings::default()
        };
        Programs::Host.output(&words, &surroundings)?;
        Ok(())
    }
}

/// Nobody, unless we are root: then the user of PostgreSQL, or one without rights.
fn user() -> anyhow::Result<Option<User>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let number = |option: &str, name: &str| -> anyhow::Result<u32> {
        let printed = exec::output_of(&["id".into(), option.into(), name.into()])?;
        Ok(String::from_utf8_lossy(&printed).trim().parse()?)
    };
    let of = |name: &str| {
        Ok(User {
            name: name.to_owned(),
            id: number("-u", name)?,
            group: number("-g", name)?,
        })
    };
    of("postgres").or_else(|_: anyhow::Error| of("nobody")).map(Some)
}
