//! An SSH server that is not OpenSSH, which `cargo xtask setup` installs below Cargo's target directory: written in Python, with its own
//! cryptography, its own SFTP, and logins by password that need no account on this host.

use std::fs;
use std::path::PathBuf;

use storage::{Location, Options, SftpOptions};

use crate::emulators::directory;
use crate::server_process::ServerProcess;

/// A running server. What it stores is in its directory, and goes away with it.
pub struct AsyncsshServer {
    process: ServerProcess,
}

/// What it lets in and what it can.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The extensions of OpenSSH, such as a rename that replaces, and `fsync`.
    pub extensions: bool,
    /// Logins with [`PASSWORD`].
    pub password: bool,
    /// The same, as the answer to a question.
    pub dialogue: bool,
}

/// The user that it knows.
pub const USER: &str = "tester";
/// The user's password.
pub const PASSWORD: &str = "correct horse";

const SERVER: &str = r#"
import asyncio, os, sys
packages, data, port, extensions, password, dialogue = sys.argv[1:]
sys.path.insert(0, packages)
import asyncssh
from asyncssh.sftp import SFTPServerHandler

if extensions == "false":
    SFTPServerHandler._extensions = []

def handle_as_text(self):
    # The library behind our client reads handles as text; those of this server are bytes.
    self._handle_count = getattr(self, "_handle_count", 0) + 1
    return b"%d" % self._handle_count

SFTPServerHandler._get_next_handle = handle_as_text

class Server(asyncssh.SSHServer):
    def begin_auth(self, user):
        return True

    def password_auth_supported(self):
        return True

    def validate_password(self, user, given):
        with open(data + "/passwords", "a") as file:
            file.write("x")
        return (user, given) == ("tester", "correct horse")

def sftp(channel):
    return asyncssh.SFTPServer(channel, chroot=data + "/home")

async def main():
    os.mkdir(data + "/home")
    host, user = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    user.write_private_key(data + "/user")
    os.chmod(data + "/user", 0o600)
    with open(data + "/fingerprint", "w") as file:
        file.write(host.get_fingerprint())
    keys = asyncssh.import_authorized_keys(user.export_public_key().decode())
    await asyncssh.listen(
        "127.0.0.1", int(port), server_host_keys=[host], server_factory=Server, sftp_factory=sftp,
        authorized_client_keys=keys, password_auth=password == "true", kbdint_auth=dialogue == "true")
    await asyncio.Event().wait()

asyncio.run(main())
"#;

impl AsyncsshServer {
    /// Start it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(settings: Settings) -> Self {
        let packages = directory().join("asyncssh-2.24.1").display().to_string();
        let process = ServerProcess::start("python3", |data, address| {
            let (data, port) = (data.display().to_string(), address.port().to_string());
            let flags = [settings.extensions, settings.password, settings.dialogue].map(|flag| flag.to_string());
            let arguments = ["-c", SERVER, &packages, &data, &port].map(str::to_owned);
            arguments.into_iter().chain(flags).map(Into::into).collect()
        });
        Self { process }
    }

    /// The address of `path` below what it serves.
    ///
    /// # Panics
    /// When `path` makes no sense.
    pub fn location(&self, path: &str) -> Location {
        format!("sftp://{USER}@{}/{path}", self.process.address())
            .parse()
            .expect("this is an address")
    }

    /// Options with which it lets us in by key, and by which it is known.
    ///
    /// # Panics
    /// When it has written no fingerprint.
    pub fn options(&self) -> Options {
        let fingerprint = fs::read_to_string(self.file("fingerprint")).expect("it writes one before it listens");
        Options {
            sftp: SftpOptions {
                key_file: Some(self.file("user")),
                host_key: Some(fingerprint),
                ..SftpOptions::default()
            },
            ..Options::default()
        }
    }

    /// The same with a password instead of the key.
    pub fn options_with(&self, password: &str) -> Options {
        let mut options = self.options();
        options.sftp.key_file = None;
        options.sftp.password = Some(password.into());
        options
    }

    /// How many passwords it was given.
    pub fn passwords(&self) -> usize {
        fs::read(self.file("passwords")).map_or(0, |written| written.len())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.process.directory().join(name)
    }
}
