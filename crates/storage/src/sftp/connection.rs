//! A connection to an SFTP server, logged in and ready.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use russh::client::{self, Config, Handle};
use russh::keys::Algorithm;
use russh::{ChannelMsg, Error as SshError, Preferred, cipher};
use russh_sftp::client::{Config as SftpConfig, RawSftpSession};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::errors::Failure;
use super::host_key::{HostKeyCheck, Policy};
use super::login::login;
use crate::{SftpLocation, SftpOptions};

/// Bytes that one transfer may have under way. With it, 40 ms to the server and back leave 100 MB/s.
pub(super) const WINDOW: usize = 4 << 20;

/// Bytes of a request at a server that does not say how much it takes: what all have to take.
const USUAL_REQUEST: u64 = 32 * 1024;

/// No request is larger: 255 KiB are what OpenSSH takes, and packets that our library reads end at 256.
const LARGEST_REQUEST: u64 = 255 * 1024;

/// Directories that are read at the same time over one connection. OpenSSH numbers what is open, and our library reads these
/// numbers as text, which goes well up to 127.
const DIRECTORIES: usize = 32;

/// The slowest transfer to put up with, bytes per second: so much longer may an answer take when windows of data are before it.
const SLOWEST: u64 = 16 * 1024;

/// Transfers that share a connection, as a rule.
const TRANSFERS: u64 = 2;

/// After this time without a sign of the server it is asked for one, and given up when this was in vain four times.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVES: usize = 4;

/// Bytes that a server may send us before we have taken them. As much as a window of reads.
const CHANNEL_WINDOW: u32 = 2 * WINDOW as u32;

/// Extensions of the protocol that OpenSSH made up.
const POSIX_RENAME: &str = "posix-rename@openssh.com";
const FSYNC: &str = "fsync@openssh.com";
const STATVFS: &str = "statvfs@openssh.com";
const LIMITS: &str = "limits@openssh.com";

/// Makes connections.
#[derive(Debug)]
pub(super) struct Connector {
    location: SftpLocation,
    user: String,
    options: SftpOptions,
}

/// What the server can do beyond the protocol's third version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extensions {
    /// Make a file's content durable.
    pub(super) fsync: bool,
    /// Rename over what is there, atomically.
    pub(super) posix_rename: bool,
    /// Tell the free space.
    pub(super) statvfs: bool,
}

/// A connection, which many calls share.
pub(super) struct Connection {
    pub(super) sftp: RawSftpSession,
    pub(super) extensions: Extensions,
    /// Bytes of one request to read.
    pub(super) read_size: u32,
    /// Bytes of one request to write.
    pub(super) write_size: usize,
    /// One for each directory that may be read now.
    pub(super) directories: Semaphore,
    ssh: Handle<HostKeyCheck>,
    is_bad: AtomicBool,
}

impl Connector {
    pub(super) fn new(location: &SftpLocation, options: &SftpOptions) -> Result<Self, Failure> {
        let misconfigured = |message: String, hint: &str| Failure::Misconfigured {
            message,
            hint: hint.to_owned(),
        };
        let user = match (&location.user, &options.user) {
            (Some(named), Some(other)) if named != other => {
                let message = format!("the address names the user `{named}`, and the options name `{other}`");
                return Err(misconfigured(message, "Name the user in one place only."));
            }
            (Some(user), _) | (None, Some(user)) => user.clone(),
            (None, None) => options.login_name.clone().ok_or_else(|| {
                let message = "nothing says who logs in at the server".to_owned();
                misconfigured(message, "Write the address as `sftp://USER@HOST/PATH`.")
            })?,
        };
        if options.timeout.is_zero() || options.connect_timeout.is_zero() {
            let message = "a timeout of zero lets no request pass".to_owned();
            return Err(misconfigured(message, "Leave it out."));
        }
        // What is wrong with the fingerprint is said before anything is done.
        Policy::read(location, options)?;
        Ok(Self {
            location: location.clone(),
            user,
            options: options.clone(),
        })
    }

    /// Connect, look at the server's key, log in, start SFTP.
    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        let limit = self.options.timeout;
        let mut ssh = self.handshake().await?;
        timeout(limit, login(&mut ssh, &self.user, &self.options))
            .await
            .map_err(|_| Failure::TooSlow(limit))??;
        timeout(limit, self.start(ssh))
            .await
            .map_err(|_| Failure::TooSlow(limit))?
    }

    async fn handshake(&self) -> Result<Handle<HostKeyCheck>, Failure> {
        let policy = Arc::new(Policy::read(&self.location, &self.options)?);
        let mut first = None;
        for algorithms in policy.turns() {
            match self.handshake_with(algorithms, &policy).await {
                // It may have a key of another kind, which is the right one.
                Err(failure @ (Failure::HostKey { .. } | Failure::Ssh(SshError::NoCommonAlgo { .. }))) => {
                    first = match first {
                        Some(seen @ Failure::HostKey { .. }) => Some(seen),
                        _ => Some(failure),
                    };
                }
                other => return other,
            }
        }
        Err(first.unwrap_or(Failure::Ssh(SshError::UnknownKey)))
    }

    async fn handshake_with(
        &self,
        algorithms: Vec<Algorithm>,
        policy: &Arc<Policy>,
    ) -> Result<Handle<HostKeyCheck>, Failure> {
        let stream = self.stream().await.map_err(|source| Failure::Unreachable {
            server: self.location.server(),
            source,
        })?;
        let limit = self.options.timeout;
        let handler = HostKeyCheck(Arc::clone(policy));
        timeout(
            limit,
            client::connect_stream(Arc::new(config(algorithms)), stream, handler),
        )
        .await
        .map_err(|_| Failure::TooSlow(limit))?
    }

    /// Each address of the host has its own time: one that is not reached over IPv6 may be over IPv4.
    async fn stream(&self) -> io::Result<TcpStream> {
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in lookup_host((self.location.host.as_str(), self.location.port)).await? {
            match timeout(self.options.connect_timeout, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return stream.set_nodelay(true).map(|()| stream),
                Ok(Err(error)) => failed = error,
                Err(elapsed) => failed = elapsed.into(),
            }
        }
        Err(failed)
    }

    async fn start(&self, ssh: Handle<HostKeyCheck>) -> Result<Connection, Failure> {
        let mut channel = ssh.channel_open_session().await?;
        channel.request_subsystem(true, "sftp").await?;
        loop {
            match channel.wait().await {
                Some(ChannelMsg::Success) => break,
                Some(ChannelMsg::Failure) => {
                    return Err(Failure::Misconfigured {
                        message: "the server has SSH, but no SFTP for this user".to_owned(),
                        hint: "Switch the subsystem `sftp` on in the server's sshd_config, or in its settings."
                            .to_owned(),
                    });
                }
                Some(_) => {}
                None => return Err(Failure::Ssh(SshError::Disconnect)),
            }
        }
        let longest = self.options.timeout + Duration::from_secs(TRANSFERS * WINDOW as u64 / SLOWEST);
        let config = SftpConfig {
            request_timeout_secs: longest.as_secs(),
            ..SftpConfig::default()
        };
        let sftp = RawSftpSession::new_with_config(channel.into_stream(), config);
        let offered = sftp.init().await?.extensions;
        let (read, write) = match offered.contains_key(LIMITS) {
            true => sftp
                .limits()
                .await
                .map(|limits| (limits.max_read_len, limits.max_write_len))?,
            false => (0, 0),
        };
        Ok(Connection {
            sftp,
            extensions: Extensions {
                fsync: offered.contains_key(FSYNC),
                posix_rename: offered.contains_key(POSIX_RENAME),
                statvfs: offered.contains_key(STATVFS),
            },
            read_size: request_size(read) as u32,
            write_size: request_size(write) as usize,
            directories: Semaphore::new(DIRECTORIES),
            ssh,
            is_bad: AtomicBool::new(false),
        })
    }
}

/// Bytes of a request at a server that takes `most`, or does not say (0).
fn request_size(most: u64) -> u64 {
    match most {
        0 => USUAL_REQUEST,
        most => most.min(LARGEST_REQUEST),
    }
}

fn config(algorithms: Vec<Algorithm>) -> Config {
    let mut preferred = Preferred {
        key: algorithms.into(),
        ..Preferred::DEFAULT
    };
    if has_fast_aes() {
        preferred.cipher = [&[cipher::AES_256_GCM], preferred.cipher.as_ref()].concat().into();
    }
    Config {
        preferred,
        window_size: CHANNEL_WINDOW,
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVES,
        nodelay: true,
        ..Config::default()
    }
}

/// Whether this processor has instructions for AES, which is then much faster than ChaCha20.
fn has_fast_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

impl Connection {
    /// Whether another call can use it.
    pub(super) fn is_usable(&self) -> bool {
        !self.ssh.is_closed() && !self.is_bad.load(Ordering::Relaxed)
    }

    /// Let nobody else use it.
    pub(super) fn retire(&self) {
        self.is_bad.store(true, Ordering::Relaxed);
    }
}
