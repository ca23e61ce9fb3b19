//! A server of our own, for as long as a drill lasts: empty, on a socket, without a network.

use super::connected::Connected;
use super::dialect::Dialect;
use super::server::Server;
use super::version::is_mariadb;
use crate::exec::{self, User};
use crate::source::OwnServer;
use crate::source::program::Programs;
use repository::{Cancel, Error};
use rustix::process::Signal;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(120);

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

/// Start a server below `directory`. `names` is what the server that the dump is from makes of upper and lower case.
///
/// # Errors
/// When it does not start. A reason if there is no program for it.
pub fn start(
    dialect: Dialect,
    directory: &Path,
    names: &str,
    cancel: &Cancel,
) -> anyhow::Result<Result<Scratch, String>> {
    let data = directory.join("data");
    let server = Server::in_scratch(dialect, data.clone(), SOCKET);
    let Some(program) = dialect.servers().iter().find(|program| is_server(program, dialect)) else {
        return Ok(Err(format!(
            "there is no server program of {} on this host (package `{}`)",
            dialect.name(),
            dialect.server_package()
        )));
    };
    if let Err(error) = server.find_programs() {
        return Ok(Err(format!("{error} (package `{}`)", dialect.client_package())));
    }
    if dialect == Dialect::Mariadb && is_missing(INSTALLER) {
        return Ok(Err(format!(
            "there is no `{INSTALLER}` on this host (package `{}`)",
            dialect.server_package()
        )));
    }
    let temporary = directory.join("tmp");
    let owner = owner()?;
    for own in [&data, &temporary] {
        fs::create_dir(own)?;
        if let Some(owner) = &owner {
            chown(own, Some(owner.id), Some(owner.group))?;
        }
    }
    if owner.is_some() {
        fs::set_permissions(directory, Permissions::from_mode(0o711))?;
    }
    let mut common = vec![
        OsString::from("--no-defaults"),
        with("--datadir=", &data),
        with("--tmpdir=", &temporary),
    ];
    if matches!(names, "0" | "1") {
        common.push(format!("--lower-case-table-names={names}").into());
    }
    let surroundings = || exec::Surroundings {
        user: owner,
        directory: Some(data.clone()),
        ..exec::Surroundings::default()
    };
    initialize(dialect, program, &common, &surroundings()).map_err(|error| not_started(error.last_line()))?;
    let mut words = vec![OsString::from(program)];
    words.extend(common);
    words.extend(options(dialect, &data));
    let process = OwnServer::start(&words, surroundings(), Signal::KILL)?;
    wait(&data, cancel)?;
    Ok(Ok(Scratch {
        server: server.connect(cancel)?,
        _process: process,
    }))
}

fn is_server(program: &str, dialect: Dialect) -> bool {
    let words = [program, "--no-defaults", "--version"].map(OsString::from);
    let printed = Programs::Host.output(&words, &exec::Surroundings::default());
    printed.is_ok_and(|printed| is_mariadb(&String::from_utf8_lossy(&printed)) == (dialect == Dialect::Mariadb))
}

fn is_missing(program: &str) -> bool {
    let words = [program, "--help"].map(OsString::from);
    Programs::Host
        .start(&words, &exec::Surroundings::default())
        .is_err_and(|error| error.is_missing())
}

fn initialize(
    dialect: Dialect,
    program: &str,
    common: &[OsString],
    surroundings: &exec::Surroundings,
) -> Result<(), exec::Error> {
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
    Programs::Host.output(&words, surroundings).map(|_| ())
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

/// Somebody else, if we are root: the server refuses to be that.
fn owner() -> anyhow::Result<Option<User>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    User::find(&["mysql", "nobody"]).map(Some).ok_or_else(|| {
        let refused = Error::Refused {
            message: "there is no user `mysql` or `nobody` that a scratch server could run as".to_owned(),
            hint: "Create the user `mysql`, or run the drill as another user than root.".to_owned(),
        };
        refused.into()
    })
}

fn wait(data: &Path, cancel: &Cancel) -> anyhow::Result<()> {
    let begin = Instant::now();
    while !data.join(SOCKET).exists() {
        cancel.check()?;
        let log = fs::read_to_string(data.join(LOG)).unwrap_or_default();
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
