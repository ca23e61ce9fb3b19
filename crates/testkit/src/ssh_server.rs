//! A real SSH server on loopback, with keys, a configuration and a log of its own, in a directory that goes away with it.

#![expect(clippy::disallowed_methods, reason = "servers of tests are started here")]

use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use storage::{Location, Options, SftpOptions};
use tempfile::TempDir;

/// Where Debian puts it: outside the search path of ordinary users.
const SSHD: &str = "/usr/sbin/sshd";

/// Longer than this no start and no stop lasts.
const PATIENCE: Duration = Duration::from_secs(20);

/// Kinds of host keys that it has.
pub const HOST_KEYS: [&str; 3] = ["ed25519", "ecdsa", "rsa"];

/// A running sshd.
pub struct SshServer {
    directory: TempDir,
    port: u16,
    sshd: Option<Child>,
}

impl SshServer {
    /// Start a server that lets the user of this process in with a key.
    ///
    /// # Panics
    /// When sshd cannot be started.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with more lines in its configuration.
    ///
    /// # Panics
    /// When sshd cannot be started.
    pub fn start_with(lines: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        // Other users than this one look into it when they log in.
        open_to_all(directory.path());
        let mut server = Self {
            directory,
            port: free_port(),
            sshd: None,
        };
        fs::create_dir(server.file("home")).expect("a directory can be made");
        for kind in HOST_KEYS {
            server.make_key(&format!("host_{kind}"), kind, "");
        }
        server.make_key("user", "ed25519", "");
        server.authorize("user");
        server.write_configuration(lines);
        server.write_known_hosts(&HOST_KEYS);
        server.resume();
        server
    }

    /// A file of the server.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Make a key pair with `ssh-keygen`; `passphrase` may be empty.
    ///
    /// # Panics
    /// When that fails.
    pub fn make_key(&self, name: &str, kind: &str, passphrase: &str) -> PathBuf {
        let file = self.file(name);
        for old in [file.clone(), file.with_extension("pub")] {
            let _ = fs::remove_file(old);
        }
        run(Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", passphrase, "-C", name, "-f"])
            .arg(&file));
        file
    }

    /// Let whoever has the key `name` in.
    ///
    /// # Panics
    /// When there is no such key.
    pub fn authorize(&self, name: &str) {
        let list = self.file("authorized_keys");
        let before = fs::read_to_string(&list).unwrap_or_default();
        let key = fs::read_to_string(self.file(name).with_extension("pub")).expect("the key was made");
        fs::write(&list, before + &key).expect("the list can be written");
    }

    /// The fingerprint of one of its keys, as `ssh-keygen` shows it.
    ///
    /// # Panics
    /// When there is no such key.
    pub fn fingerprint(&self, kind: &str) -> String {
        let shown = run(Command::new("ssh-keygen")
            .arg("-lf")
            .arg(self.file(&format!("host_{kind}.pub"))));
        shown.split(' ').nth(1).expect("it shows a fingerprint").to_owned()
    }

    /// Write `known_hosts` with its keys of these kinds.
    ///
    /// # Panics
    /// When that fails.
    pub fn write_known_hosts(&self, kinds: &[&str]) {
        let lines = kinds
            .iter()
            .map(|kind| format!("[127.0.0.1]:{} {}", self.port, self.host_key(kind)));
        fs::write(self.file("known_hosts"), lines.collect::<String>()).expect("the file can be written");
    }

    /// A public key of it, with a line's end.
    ///
    /// # Panics
    /// When there is no such key.
    pub fn host_key(&self, kind: &str) -> String {
        fs::read_to_string(self.file(&format!("host_{kind}.pub"))).expect("the key was made")
    }

    fn write_configuration(&self, lines: &[&str]) {
        let file = |name: &str| self.file(name).display().to_string();
        let mut text = format!(
            "ListenAddress 127.0.0.1\nPort {}\nPidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nAuthorizedKeysFile {}\nSubsystem sftp internal-sftp -d {}\nMaxStartups 100\n",
            self.port,
            file("authorized_keys"),
            file("home"),
        );
        for kind in HOST_KEYS {
            text += &format!("HostKey {}\n", file(&format!("host_{kind}")));
        }
        // The first value of a setting counts.
        fs::write(self.file("sshd_config"), lines.join("\n") + "\n" + &text).expect("the file can be written");
    }

    /// Start it again after [`stop`](Self::stop), with the keys that it has now.
    ///
    /// # Panics
    /// When it does not start.
    pub fn resume(&mut self) {
        // A server of root wants this directory for processes without rights.
        let _ = fs::create_dir_all("/run/sshd");
        let mut sshd = Command::new(SSHD)
            .arg("-D")
            .arg("-f")
            .arg(self.file("sshd_config"))
            .arg("-E")
            .arg(self.file("log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sshd is installed (package openssh-server)");
        let begin = Instant::now();
        while TcpStream::connect(self.address()).is_err() {
            let ended = sshd.try_wait().expect("the process can be asked");
            assert!(
                ended.is_none() && begin.elapsed() < PATIENCE,
                "sshd did not start: {}",
                self.log()
            );
            thread::sleep(Duration::from_millis(10));
        }
        self.sshd = Some(sshd);
    }

    /// End it. Connections that are open go on, as with every sshd.
    ///
    /// # Panics
    /// When it cannot be ended.
    pub fn stop(&mut self) {
        if let Some(mut sshd) = self.sshd.take() {
            sshd.kill().expect("our own process can be ended");
            sshd.wait().expect("our own process can be waited for");
        }
    }

    /// What it says.
    pub fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// An absolute `path` on it, for the user of this process.
    ///
    /// # Panics
    /// When the path has characters that an address cannot hold.
    pub fn location(&self, path: &Path) -> Location {
        self.location_of(&whoami(), path)
    }

    /// The same for another user.
    ///
    /// # Panics
    /// As [`location`](Self::location).
    pub fn location_of(&self, user: &str, path: &Path) -> Location {
        format!("sftp://{user}@{}/{}", self.address(), path.display())
            .parse()
            .expect("this is an address")
    }

    /// Options with which it lets us in.
    pub fn options(&self) -> Options {
        Options {
            sftp: SftpOptions {
                key_file: Some(self.file("user")),
                known_hosts: Some(self.file("known_hosts")),
                ..SftpOptions::default()
            },
            ..Options::default()
        }
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The name of the user of this process.
///
/// # Panics
/// When the user has none.
pub fn whoami() -> String {
    run(Command::new("id").arg("-un")).trim().to_owned()
}

/// Let everybody look into a directory.
///
/// # Panics
/// When it is not ours.
pub fn open_to_all(directory: &Path) {
    fs::set_permissions(directory, Permissions::from_mode(0o755)).expect("the directory is ours");
}

/// A port that nobody listens on now.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("a listener has an address").port()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
