//! A server of our own, for as long as a drill lasts: empty, on a socket, without a network.

use super::address::Address;
use super::server::{RESTORE, SHELL, Server, is_older};
use crate::exec;
use crate::source::OwnServer;
use repository::{Cancel, Error};
use rustix::process::Signal;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// The program.
const MONGOD: &str = "mongod";
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

/// Start a server below `directory` that knows what one of this version wrote.
///
/// # Errors
/// When it does not start. A reason if there is no program for it, or an old one.
pub fn start(directory: &Path, version: &str, cancel: &Cancel) -> anyhow::Result<Result<Scratch, String>> {
    let socket = directory.join(SOCKET);
    let server = Server::in_scratch(Address::of_socket(&socket));
    for program in [MONGOD, RESTORE, SHELL] {
        let found = server.version_of(program);
        match found {
            Err(_) => {
                return Ok(Err(format!(
                    "there is no `{program}` on this host (packages `mongodb-org-server`, `mongodb-database-tools` and \
                     `mongodb-mongosh` of MongoDB's own repository)"
                )));
            }
            Ok(found) if program == MONGOD && is_older(&found, version) => {
                return Ok(Err(format!(
                    "`{MONGOD}` of this host is {found}, older than the server, {version}"
                )));
            }
            Ok(_) => {}
        }
    }
    let data = directory.join("data");
    fs::create_dir(&data)?;
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
        server,
        _process: OwnServer::start(&words, exec::Surroundings::default(), Signal::KILL)?,
    };
    scratch.server.wait(PATIENCE, cancel).map_err(|error| Error::Refused {
        message: format!("the scratch server does not start: {error}"),
        hint: "Check that there is space (--scratch), and that `mongod` runs on this host.".to_owned(),
    })?;
    Ok(Ok(scratch))
}
