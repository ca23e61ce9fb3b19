//! A server of our own, for as long as a drill lasts: empty, on a socket, without a network.

use super::connected::Connected;
use super::dialect::Dialect;
use super::server::Server;
use super::version::{Version, is_mariadb};
use crate::exec;
use crate::source::OwnServer;
use crate::source::program::Programs;
use crate::source::room::{Fit, Room};
use repository::{Cancel, Error};
use rustix::process::Signal;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whom it runs as, if we are root.
pub const USERS: [&str; 2] = ["mysql", "nobody"];
const DATA: &str = "data";
/// In the directory of its data, where both sides run: the path of a socket must not be long.
const SOCKET: &str = "drill.sock";
const LOG: &str = "drill.log";

/// Makes the directory that MariaDB's server begins with.
const INSTALLER: &str = "mariadb-install-db";

/// A running server. It ends when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    /// Where it is asked.
    pub server: Connected,
    /// Held, because it ends with this.
    _process: OwnServer,
}

/// Whether there are programs for a server that can load what a server of version `was` held.
///
/// # Errors
/// A reason if there are none.
pub fn fit(dialect: Dialect, programs: &Programs, was: Option<Version>) -> Result<Fit, String> {
    let place = programs.place();
    let Some((_, version)) = find(dialect, programs) else {
        return Err(format!(
            "there is no server program of {} {place} (package `{}`)",
            dialect.name(),
            dialect.server_package()
        ));
    };
    let server = Server::in_scratch(dialect, programs.clone(), PathBuf::new(), SOCKET);
    if let Err(error) = server.find_programs() {
        return Err(format!("{error} (package `{}`)", dialect.client_package()));
    }
    if dialect == Dialect::Mariadb && is_missing(programs, INSTALLER) {
        return Err(format!(
            "there is no `{INSTALLER}` {place} (package `{}`)",
            dialect.server_package()
        ));
    }
    Ok(if was == version { Fit::Exactly } else { Fit::Nearly })
}

/// Start a server in a room. `names` is what the server that the dump is from makes of upper and lower case. A reason if there is no program
/// for it.
///
/// # Errors
/// When it does not start.
pub fn start(dialect: Dialect, room: &Room, names: &str, cancel: &Cancel) -> anyhow::Result<Result<Scratch, String>> {
    if let Err(reason) = fit(dialect, room.programs(), None) {
        return Ok(Err(reason));
    }
    let Some((program, _)) = find(dialect, room.programs()) else {
        return Ok(Err("the server program is gone".to_owned()));
    };
    let (data, temporary) = (room.directory(DATA)?, room.directory("tmp")?);
    let server = Server::in_scratch(dialect, room.programs().clone(), data.clone(), SOCKET);
    let mut common = vec![
        OsString::from("--no-defaults"),
        with("--datadir=", &data),
        with("--tmpdir=", &temporary),
    ];
    if matches!(names, "0" | "1") {
        common.push(format!("--lower-case-table-names={names}").into());
    }
    let initialized = room.output(&initialize(dialect, program, &common));
    initialized.map_err(|error| not_started(error.last_line()))?;
    let mut words = vec![OsString::from(program)];
    words.extend(common);
    words.extend(options(dialect, &data));
    let process = room.start(&words, Signal::KILL)?;
    wait(room, cancel)?;
    Ok(Ok(Scratch {
        server: server.connect(cancel)?,
        _process: process,
    }))
}

/// The program of a server, and its version.
fn find(dialect: Dialect, programs: &Programs) -> Option<(&'static str, Option<Version>)> {
    dialect.servers().iter().find_map(|program| {
        let words = [program, "--no-defaults", "--version"].map(OsString::from);
        let printed = programs.output(&words, &exec::Surroundings::default()).ok()?;
        let text = String::from_utf8_lossy(&printed);
        let is_right = is_mariadb(&text) == (dialect == Dialect::Mariadb);
        is_right.then(|| (*program, Version::of_program(&text)))
    })
}

fn is_missing(programs: &Programs, program: &str) -> bool {
    let words = [program, "--help"].map(OsString::from);
    let ended = programs.output(&words, &exec::Surroundings::default());
    ended.is_err_and(|error| error.is_missing())
}

/// The command that makes the server's directory.
fn initialize(dialect: Dialect, program: &str, common: &[OsString]) -> Vec<OsString> {
    let (program, options): (&str, &[&str]) = match dialect {
        Dialect::Mysql => (program, &["--initialize-insecure"]),
        Dialect::Mariadb => (
            INSTALLER,
            &[
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
            ],
        ),
    };
    let mut words = vec![OsString::from(program)];
    words.extend_from_slice(common);
    words.extend(options.iter().map(OsString::from));
    words
}

/// It lives for minutes and nobody misses it: nothing is written more than once, and no event runs.
fn options(dialect: Dialect, data: &Path) -> Vec<OsString> {
    let mut options: Vec<OsString> = [
        "--skip-networking",
        "--skip-log-bin",
        "--event-scheduler=OFF",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-doublewrite=0",
        "--performance-schema=OFF",
        "--max-allowed-packet=1G",
        "--max-connections=20",
        "--table-open-cache=400",
    ]
    .map(OsString::from)
    .to_vec();
    if dialect == Dialect::Mysql {
        // Its usual directory for files of statements may be missing here, and nobody needs one.
        options.extend(["--mysqlx=OFF", "--secure-file-priv=NULL"].map(OsString::from));
    }
    options.push(format!("--socket={SOCKET}").into());
    options.push(with("--pid-file=", &data.join("drill.pid")));
    options.push(with("--log-error=", &data.join(LOG)));
    options
}

fn with(option: &str, path: &Path) -> OsString {
    let mut word = OsString::from(option);
    word.push(path);
    word
}

fn wait(room: &Room, cancel: &Cancel) -> anyhow::Result<()> {
    let begin = Instant::now();
    while !room.has(&format!("{DATA}/{SOCKET}")) {
        cancel.check()?;
        let log = room.read(&format!("{DATA}/{LOG}"));
        // MySQL says between the two where it comes from.
        let (aborting, mut errors): (Vec<_>, Vec<_>) = log
            .lines()
            .filter(|line| line.contains("[ERROR]"))
            .partition(|line| line.ends_with("Aborting"));
        if !aborting.is_empty() || begin.elapsed() > PATIENCE {
            return Err(not_started(errors.pop().unwrap_or("it does not say why")).into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn not_started(reason: &str) -> Error {
    Error::Refused {
        message: format!("the scratch server does not start: {reason}"),
        hint: "Check that there is space, and that another user than root can get to the directory (--scratch)."
            .to_owned(),
    }
}
