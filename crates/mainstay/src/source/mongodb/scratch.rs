//! A server of our own, for as long as a drill lasts: empty, on a socket, without a network.

use super::address::Address;
use super::server::{RESTORE, SHELL, Server, is_older};
use crate::source::OwnServer;
use crate::source::program::Programs;
use crate::source::room::{Fit, Room};
use repository::{Cancel, Error};
use rustix::process::Signal;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

/// The program.
pub const MONGOD: &str = "mongod";
const SOCKET: &str = "mongod.sock";
const LOG: &str = "mongod.log";

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server. It ends when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    /// Where it is asked.
    pub server: Server,
    /// Held, because it ends with this.
    _process: OwnServer,
}

/// Whether there are programs for a server that knows what one of this version wrote.
///
/// # Errors
/// A reason if there are none, or an old one.
pub fn fit(programs: &Programs, version: &str) -> Result<Fit, String> {
    let place = programs.place();
    let server = Server::in_scratch(programs.clone(), Address::of_socket(Path::new(SOCKET)));
    let mut fit = Fit::Nearly;
    for program in [MONGOD, RESTORE, SHELL] {
        let found = server.version_of(program);
        match found {
            Err(_) => {
                return Err(format!(
                    "there is no `{program}` {place} (packages `mongodb-org-server`, `mongodb-database-tools` and \
                     `mongodb-mongosh` of MongoDB's own repository)"
                ));
            }
            Ok(found) if program == MONGOD && is_older(&found, version) => {
                return Err(format!(
                    "`{MONGOD}` {place} is {found}, older than the server, {version}"
                ));
            }
            Ok(found) if program == MONGOD && !is_older(version, &found) => fit = Fit::Exactly,
            Ok(_) => {}
        }
    }
    Ok(fit)
}

/// Start a server in a room that knows what one of this version wrote.
///
/// # Errors
/// When it does not start. A reason if there is no program for it, or an old one.
pub fn start(room: &Room, version: &str, cancel: &Cancel) -> anyhow::Result<Result<Scratch, String>> {
    if let Err(reason) = fit(room.programs(), version) {
        return Ok(Err(reason));
    }
    let (directory, socket) = (room.path(), room.path().join(SOCKET));
    let data = room.directory("data")?;
    let with = |option: &str, path: &Path| {
        let mut word = OsString::from(option);
        word.push(path);
        word
    };
    let words = [
        OsString::from(MONGOD),
        with("--dbpath=", &data),
        // A socket and nothing else: nobody has to log in.
        with("--bind_ip=", &socket),
        with("--unixSocketPrefix=", directory),
        with("--logpath=", &directory.join(LOG)),
    ];
    let scratch = Scratch {
        server: Server::in_scratch(room.programs().clone(), Address::of_socket(&socket)),
        _process: room.start(&words, Signal::KILL)?,
    };
    scratch.server.wait(PATIENCE, cancel).map_err(|error| Error::Refused {
        message: format!("the scratch server does not start: {error}"),
        hint: "Check that there is space (--scratch), and that `mongod` runs there.".to_owned(),
    })?;
    Ok(Ok(scratch))
}
