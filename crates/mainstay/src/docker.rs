//! Programs in containers, over the API of Docker or Podman.
//!
//! The API can start a program, but neither end it nor signal it. So a shell, which the images of databases have, says the number of its
//! process first and becomes the program then; a second program can end it by that number.

mod scratch;

pub use scratch::{Image, ScratchContainer};

use crate::exec::{Child, Input, Running, Surroundings};
use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions};
use futures_util::StreamExt as _;
use std::ffi::{OsStr, OsString};
use std::io::{self, PipeReader, PipeWriter, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitStatus;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// Says the number of its process, and becomes the program.
const SHELL: [&str; 4] = ["sh", "-c", "echo $$ >&2; exec \"$@\"", "sh"];
const BUFFER_BYTES: usize = 256 << 10;
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the engine may take to notice that a program has ended after its output has.
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a container cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine does not answer.
    #[error("cannot reach the Docker engine")]
    Unreachable(#[source] bollard::errors::Error),
    /// There is no such container.
    #[error("there is no container `{name}`")]
    NotFound {
        /// As it was named.
        name: String,
        /// Those that run.
        running: Vec<String>,
    },
    /// There is no such volume.
    #[error("there is no volume `{0}`")]
    NoVolume(String),
    /// It does not run.
    #[error("the container `{0}` is not running")]
    NotRunning(String),
    /// The engine does not have this image.
    #[error("the image `{0}` is not there")]
    NoImage(String),
    /// A container of ours is not there any more.
    #[error("the container of the drill has ended under it")]
    Ended,
    /// A container of ours is still there.
    #[error("the container `{0}` of the drill could not be removed")]
    Left(String),
    /// The engine refuses something.
    #[error("the Docker engine failed to {operation}")]
    Api {
        /// What was asked for.
        operation: &'static str,
        /// Its answer.
        #[source]
        source: bollard::errors::Error,
    },
}

impl Error {
    /// What to do next, as a sentence.
    pub fn hint(&self) -> String {
        match self {
            Self::Unreachable(_) => {
                "Check that it runs, and that this user may use its socket (`/var/run/docker.sock`, or \
                                     `DOCKER_HOST`); in a container, mount the socket."
                    .to_owned()
            }
            Self::NotFound { running, .. } if running.is_empty() => "No container is running.".to_owned(),
            Self::NotFound { running, .. } => format!("Those that run are: {}.", running.join(", ")),
            Self::NoVolume(_) => "`docker volume ls` shows those that there are.".to_owned(),
            Self::NotRunning(name) => format!("Start it with `docker start {name}`."),
            Self::NoImage(name) => {
                format!("Fetch it with `docker pull {name}`, or name another one with `drill_image`.")
            }
            Self::Ended => "Look whether the host ran out of memory or space, or somebody removed it.".to_owned(),
            Self::Left(name) => format!("Remove it with `docker rm --force --volumes {name}`."),
            Self::Api { .. } => "Look at the engine's log.".to_owned(),
        }
    }
}

/// A container in which programs are started.
#[derive(Clone, Debug)]
pub struct Container {
    engine: Engine,
    id: String,
    /// Its name.
    pub name: String,
    /// The image that it was made of.
    pub image: String,
}

#[derive(Clone)]
struct Engine {
    docker: Docker,
    runtime: Arc<Runtime>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    fn connect(address: Option<&str>) -> Result<Self, Error> {
        let unusable = |source: io::Error| Error::Unreachable(source.into());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(unusable)?;
        let docker = runtime.block_on(async {
            let docker = match address {
                Some(address) => Docker::connect_with_host(address)?,
                None => Docker::connect_with_defaults()?,
            };
            docker.negotiate_version().await
        });
        Ok(Self {
            docker: docker.map_err(Error::Unreachable)?,
            runtime: Arc::new(runtime),
        })
    }

    async fn not_found(&self, name: &str) -> Error {
        Error::NotFound {
            name: name.to_owned(),
            running: self.running().await,
        }
    }

    async fn running(&self) -> Vec<String> {
        let listed = self.docker.list_containers(None::<ListContainersOptions>).await;
        let names = listed
            .into_iter()
            .flatten()
            .filter_map(|container| container.names?.pop());
        names.map(|name| name.trim_start_matches('/').to_owned()).collect()
    }
}

impl Container {
    /// The running container of this name or id, of the engine at this address, such as `unix:///run/docker.sock`; without one, of
    /// that which `DOCKER_HOST` names, or of this host's.
    ///
    /// # Errors
    /// If the engine cannot be reached, or the container is not there or does not run.
    pub fn find(address: Option<&str>, name: &str) -> Result<Self, Error> {
        let engine = Engine::connect(address)?;
        let inspected = engine.runtime.block_on(async {
            match engine
                .docker
                .inspect_container(name, None::<InspectContainerOptions>)
                .await
            {
                Ok(inspected) => Ok(inspected),
                Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => {
                    Err(engine.not_found(name).await)
                }
                Err(source) => Err(Error::Api {
                    operation: "describe a container",
                    source,
                }),
            }
        })?;
        if inspected.state.and_then(|state| state.running) != Some(true) {
            return Err(Error::NotRunning(name.to_owned()));
        }
        Ok(Self {
            engine,
            id: inspected.id.unwrap_or_else(|| name.to_owned()),
            name: name.to_owned(),
            image: inspected.config.and_then(|config| config.image).unwrap_or_default(),
        })
    }

    /// Start a program in the container. Variables are added to the container's own.
    ///
    /// # Errors
    /// If the engine refuses, or a word or variable is no text.
    pub fn start(&self, words: &[OsString], surroundings: &Surroundings) -> io::Result<Running> {
        let program = words.first().map(text).transpose()?.unwrap_or_default();
        let (read_stdin, stdin) = match surroundings.input {
            Input::Nothing => (None, None),
            Input::Piped | Input::Given(_) => {
                let (reader, writer) = pipe()?;
                (Some(reader), Some(writer))
            }
        };
        let ((stdout, write_stdout), (stderr, write_stderr)) = (pipe()?, pipe()?);
        let options = options(words, surroundings)?;
        let runtime = &self.engine.runtime;
        let exec = runtime.block_on(async {
            let docker = &self.engine.docker;
            let created = docker.create_exec(&self.id, options).await.map_err(io::Error::other)?;
            let start = StartExecOptions {
                output_capacity: Some(BUFFER_BYTES),
                ..StartExecOptions::default()
            };
            let started = docker
                .start_exec(&created.id, Some(start))
                .await
                .map_err(io::Error::other)?;
            let StartExecResults::Attached { output, input } = started else {
                return Err(io::Error::other("the engine did not connect its output"));
            };
            let stdin = read_stdin.map(async_reader).transpose()?;
            let (stdout, stderr) = (async_writer(write_stdout)?, async_writer(write_stderr)?);
            let pid: Arc<OnceLock<u32>> = Arc::default();
            let forwarder = Forwarder {
                stdout,
                stderr,
                first_line: Some(Vec::new()),
                pid: Arc::clone(&pid),
            };
            if let Some(stdin) = stdin {
                tokio::spawn(feed(stdin, input));
            }
            Ok(Exec {
                container: self.clone(),
                id: created.id,
                pid,
                forwarding: Some(tokio::spawn(forwarder.forward(output))),
                ended: None,
            })
        })?;
        Running::new(program, Box::new(exec), stdin, stdout, stderr).give(&surroundings.input)
    }
}

/// The directory of a volume on this host.
///
/// # Errors
/// If the engine cannot be reached, or has no such volume.
pub fn volume_directory(address: Option<&str>, name: &str) -> Result<PathBuf, Error> {
    let engine = Engine::connect(address)?;
    let inspected = engine.runtime.block_on(engine.docker.inspect_volume(name));
    match inspected {
        Ok(volume) => Ok(volume.mountpoint.into()),
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => {
            Err(Error::NoVolume(name.to_owned()))
        }
        Err(source) => Err(Error::Api {
            operation: "describe a volume",
            source,
        }),
    }
}

fn options(words: &[OsString], surroundings: &Surroundings) -> io::Result<CreateExecOptions<String>> {
    let mut command: Vec<String> = SHELL.map(str::to_owned).to_vec();
    for word in words {
        command.push(text(word)?);
    }
    let variable = |(name, value): &(OsString, OsString)| Ok(format!("{}={}", text(name)?, text(value)?));
    Ok(CreateExecOptions {
        attach_stdin: Some(surroundings.input != Input::Nothing),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        user: surroundings.user.map(|user| format!("{}:{}", user.id, user.group)),
        env: Some(surroundings.variables.iter().map(variable).collect::<io::Result<_>>()?),
        cmd: Some(command),
        working_dir: surroundings
            .directory
            .as_ref()
            .map(|path| text(path.as_os_str()))
            .transpose()?,
        ..CreateExecOptions::default()
    })
}

/// The values may be secret: they are not in the error.
fn text(word: impl AsRef<OsStr>) -> io::Result<String> {
    let not_text = || io::Error::new(io::ErrorKind::InvalidInput, "an argument or variable is not UTF-8");
    word.as_ref().to_str().map(str::to_owned).ok_or_else(not_text)
}

fn async_reader(pipe: PipeReader) -> io::Result<Receiver> {
    Receiver::from_owned_fd(OwnedFd::from(pipe))
}

fn async_writer(pipe: PipeWriter) -> io::Result<Sender> {
    Sender::from_owned_fd(OwnedFd::from(pipe))
}

/// Hand on what a program reads. If it stops reading, its exit code says why.
async fn feed(mut stdin: Receiver, mut input: Pin<Box<dyn AsyncWrite + Send>>) {
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(read @ 1..) = stdin.read(&mut buffer).await {
        if input.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
    let _: Option<()> = input.shutdown().await.ok();
}

/// Hands on what a program writes.
struct Forwarder {
    stdout: Sender,
    stderr: Sender,
    /// What came of the first line of standard error, which is not the program's.
    first_line: Option<Vec<u8>>,
    pid: Arc<OnceLock<u32>>,
}

type ExecOutput = Pin<Box<dyn futures_util::Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;

impl Forwarder {
    /// Until the program ends, or nobody reads what it writes any more; the answer is whether it was the first. The number of its process
    /// is known by then: it may come after the first output, and without it a program cannot be ended.
    async fn forward(mut self, mut output: ExecOutput) -> io::Result<bool> {
        let mut is_read = true;
        while let Some(frame) = output.next().await {
            match frame.map_err(io::Error::other)? {
                LogOutput::StdOut { message } => {
                    is_read = is_read && self.stdout.write_all(&message).await.is_ok();
                }
                LogOutput::StdErr { message } => {
                    let rest = self.after_first_line(&message);
                    let _: Option<()> = self.stderr.write_all(&rest).await.ok();
                }
                // What cannot be told apart is a frame that was cut off.
                LogOutput::Console { .. } | LogOutput::StdIn { .. } => {
                    return Err(io::Error::other("the connection to the Docker engine broke"));
                }
            }
            if !is_read && self.first_line.is_none() {
                return Ok(false);
            }
        }
        Ok(is_read)
    }

    fn after_first_line(&mut self, message: &[u8]) -> Vec<u8> {
        let Some(mut line) = self.first_line.take() else {
            return message.to_vec();
        };
        line.extend_from_slice(message);
        let Some(end) = line.iter().position(|byte| *byte == b'\n') else {
            self.first_line = Some(line);
            return Vec::new();
        };
        match str::from_utf8(&line[..end])
            .ok()
            .and_then(|number| number.trim().parse().ok())
        {
            Some(pid) => {
                // Set once, here.
                let _: Option<()> = self.pid.set(pid).ok();
                line.split_off(end + 1)
            }
            // Not from our shell: there is none.
            None => line,
        }
    }
}

/// A program in a container.
#[derive(Debug)]
struct Exec {
    container: Container,
    id: String,
    pid: Arc<OnceLock<u32>>,
    forwarding: Option<JoinHandle<io::Result<bool>>>,
    ended: Option<ExitStatus>,
}

impl Child for Exec {
    fn wait(&mut self) -> io::Result<ExitStatus> {
        if let Some(ended) = self.ended {
            return Ok(ended);
        }
        let engine = self.container.engine.clone();
        if let Some(forwarding) = self.forwarding.take() {
            let was_read = engine.runtime.block_on(forwarding).map_err(io::Error::other)??;
            if !was_read {
                // It would wait for ever to get rid of what it has to say.
                self.kill();
            }
        }
        let end = async { tokio::time::timeout(END_TIMEOUT, end_of(&engine.docker, &self.id)).await };
        let ended = engine.runtime.block_on(end)??;
        self.ended = Some(ended);
        Ok(ended)
    }

    fn kill(&mut self) {
        if self.ended.is_some() {
            return;
        }
        let engine = &self.container.engine;
        if let Some(forwarding) = self.forwarding.take() {
            // The number of its process may be on its way.
            let known = async {
                while self.pid.get().is_none() && !forwarding.is_finished() {
                    tokio::time::sleep(PAUSE).await;
                }
            };
            let _ = engine
                .runtime
                .block_on(async { tokio::time::timeout(KILL_TIMEOUT, known).await });
            forwarding.abort();
        }
        let Some(pid) = self.pid.get() else { return };
        let killing = async {
            let options = CreateExecOptions {
                cmd: Some(["kill", "-KILL", &pid.to_string()].map(str::to_owned).to_vec()),
                ..CreateExecOptions::default()
            };
            let created = engine.docker.create_exec(&self.container.id, options).await?;
            let start = StartExecOptions {
                detach: true,
                ..StartExecOptions::default()
            };
            engine.docker.start_exec(&created.id, Some(start)).await
        };
        // What cannot be killed ends when it writes to its closed output.
        let _ = engine
            .runtime
            .block_on(async { tokio::time::timeout(KILL_TIMEOUT, killing).await });
    }
}

async fn end_of(docker: &Docker, id: &str) -> io::Result<ExitStatus> {
    loop {
        let inspected = docker.inspect_exec(id).await.map_err(io::Error::other)?;
        if let (Some(false), Some(code)) = (inspected.running, inspected.exit_code) {
            let code = i32::try_from(code).unwrap_or(255);
            return Ok(ExitStatus::from_raw((code & 0xff) << 8));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
