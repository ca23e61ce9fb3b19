//! Containers in which something is tested and thrown away: made of an image that is there, without a network, gone when we are.

use super::{Container, Engine, Error, KILL_TIMEOUT};
use bollard::container::AttachContainerResults;
use bollard::errors::Error as ApiError;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerState, HealthConfig, HostConfig, HostConfigLogConfig,
    RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    AttachContainerOptions, CreateContainerOptions, InspectContainerOptions, ListContainersOptions,
    RemoveContainerOptions, StartContainerOptions,
};
use repository::Cancel;
use std::collections::HashMap;
use std::future::Future;
use std::sync::mpsc;
use std::time::Duration;
use std::{fs, io};

/// Says that a container is one of ours, and which process made it.
const LABEL: &str = "mainstay.drill";
/// What the container runs: it ends when nobody holds its input any more. The programs in it are started beside that, so no script of the
/// image makes anything, publishes anything, or takes its first start for the real one.
const COMMAND: [&str; 3] = ["sh", "-c", "cat >/dev/null"];
/// The most that programs in it may share: by itself it is 64 MiB, with which PostgreSQL cannot make large indexes. None of it is taken before.
const SHARED_BYTES: i64 = 1 << 30;
/// If the host runs out of memory, this goes first, before whatever is in use.
const FIRST_TO_GO: i64 = 1000;
/// How long the engine may take to make, start or remove a container.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How often it is looked whether the user asks to stop.
const ASKED: Duration = Duration::from_millis(200);

/// An image that the engine has.
#[derive(Clone, Debug)]
pub struct Image {
    engine: Engine,
    id: String,
    /// Its name, for people.
    pub name: String,
}

impl Image {
    /// The image of this name or id, of the engine that [`Container::find`] asks. Nothing is fetched.
    ///
    /// # Errors
    /// If the engine cannot be reached or does not have it.
    pub fn named(address: Option<&str>, name: &str) -> Result<Self, Error> {
        let engine = Engine::connect(address)?;
        match engine.runtime.block_on(engine.docker.inspect_image(name)) {
            Ok(found) => Ok(Self {
                engine,
                id: found.id.unwrap_or_else(|| name.to_owned()),
                name: name.to_owned(),
            }),
            Err(ApiError::DockerResponseServerError { status_code: 404, .. }) => Err(Error::NoImage(name.to_owned())),
            Err(source) => Err(failed("describe an image")(source)),
        }
    }

    /// The very image that a container was made of, whether it runs or not. If there is no such container any more, the image that is
    /// called `otherwise`.
    ///
    /// # Errors
    /// If the engine cannot be reached, or has neither.
    pub fn of_container(address: Option<&str>, container: &str, otherwise: Option<&str>) -> Result<Self, Error> {
        let engine = Engine::connect(address)?;
        let inspecting = engine
            .docker
            .inspect_container(container, None::<InspectContainerOptions>);
        let found = match engine.runtime.block_on(inspecting) {
            Ok(found) => found,
            Err(ApiError::DockerResponseServerError { status_code: 404, .. }) => {
                return match otherwise {
                    Some(name) => Self::named(address, name),
                    None => Err(engine.runtime.block_on(engine.not_found(container))),
                };
            }
            Err(source) => return Err(failed("describe a container")(source)),
        };
        let name = found.config.and_then(|config| config.image).unwrap_or_default();
        Ok(Self {
            engine,
            id: found.image.unwrap_or_else(|| name.clone()),
            name,
        })
    }

    /// Start a container of it. Those that are left over from processes that are gone are removed.
    ///
    /// # Errors
    /// If the engine refuses, or the image has no shell.
    pub fn start(&self) -> Result<ScratchContainer, Error> {
        let engine = &self.engine;
        engine.in_time(remove_left_over(engine))?;
        let created = engine.in_time(async {
            let created = engine
                .docker
                .create_container(None::<CreateContainerOptions>, self.container());
            created.await.map_err(|error| match error {
                ApiError::DockerResponseServerError { status_code: 404, .. } => Error::NoImage(self.name.clone()),
                error => failed("create a container")(error),
            })
        })?;
        // From here on, dropping it removes it.
        let mut container = ScratchContainer {
            container: Container {
                engine: engine.clone(),
                id: created.id.clone(),
                name: created.id.chars().take(12).collect(),
                image: self.name.clone(),
            },
            input: None,
            is_removed: false,
        };
        container.input = Some(engine.in_time(async {
            let options = AttachContainerOptions {
                stream: true,
                stdin: true,
                ..AttachContainerOptions::default()
            };
            // Before it starts: otherwise it would have an input that nobody ever closes if we were killed in between.
            let attached = engine.docker.attach_container(&created.id, Some(options)).await;
            let attached = attached.map_err(failed("connect with a container"))?;
            let started = engine
                .docker
                .start_container(&created.id, None::<StartContainerOptions>)
                .await;
            started.map_err(failed("start a container")).map(|()| attached)
        })?);
        Ok(container)
    }

    fn container(&self) -> ContainerCreateBody {
        ContainerCreateBody {
            image: Some(self.id.clone()),
            entrypoint: Some(COMMAND.map(str::to_owned).to_vec()),
            open_stdin: Some(true),
            stdin_once: Some(true),
            attach_stdin: Some(true),
            labels: Some(HashMap::from([(LABEL.to_owned(), Process::ours().to_string())])),
            healthcheck: Some(HealthConfig {
                test: Some(vec!["NONE".to_owned()]),
                ..HealthConfig::default()
            }),
            host_config: Some(HostConfig {
                network_mode: Some("none".to_owned()),
                auto_remove: Some(true),
                restart_policy: Some(RestartPolicy {
                    name: Some(RestartPolicyNameEnum::NO),
                    ..RestartPolicy::default()
                }),
                log_config: Some(HostConfigLogConfig {
                    typ: Some("none".to_owned()),
                    ..HostConfigLogConfig::default()
                }),
                shm_size: Some(SHARED_BYTES),
                oom_score_adj: Some(FIRST_TO_GO),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        }
    }
}

/// A container of ours. It ends and is removed with everything in it when this is dropped, and also if we are killed.
pub struct ScratchContainer {
    container: Container,
    /// Held, because the container ends with it.
    input: Option<AttachContainerResults>,
    is_removed: bool,
}

impl std::fmt::Debug for ScratchContainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.container.fmt(f)
    }
}

impl ScratchContainer {
    /// Where programs are started.
    pub fn container(&self) -> &Container {
        &self.container
    }

    /// Why nothing that was tried in it counts: it has ended under us, or the engine does not answer any more.
    ///
    /// # Errors
    /// That reason.
    pub fn check(&self) -> Result<(), Error> {
        let Container { engine, id, .. } = &self.container;
        engine.in_time(async {
            let inspecting = engine.docker.inspect_container(id, None::<InspectContainerOptions>);
            match inspecting.await {
                Ok(ContainerInspectResponse {
                    state: Some(ContainerState {
                        running: Some(true), ..
                    }),
                    ..
                }) => Ok(()),
                Ok(_) | Err(ApiError::DockerResponseServerError { status_code: 404, .. }) => Err(Error::Ended),
                Err(source) => Err(Error::Unreachable(source)),
            }
        })
    }

    /// Do some work in it. If the user asks to stop, the container ends, and with it whatever the work waits for.
    pub fn until<T>(&self, cancel: &Cancel, work: impl FnOnce() -> T) -> T {
        let (ended, end) = mpsc::channel::<()>();
        let Container { engine, id, .. } = self.container.clone();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                while end.recv_timeout(ASKED) == Err(mpsc::RecvTimeoutError::Timeout) {
                    if cancel.is_cancelled() {
                        // It is removed again at the end, which tells what went wrong.
                        let _: Option<()> = engine.in_time(remove(&engine, &id)).ok();
                        return;
                    }
                }
            });
            let done = work();
            drop(ended);
            done
        })
    }

    /// End it and remove it with everything in it.
    ///
    /// # Errors
    /// If the engine does not do it.
    pub fn remove(mut self) -> Result<(), Error> {
        self.try_remove()
    }

    fn try_remove(&mut self) -> Result<(), Error> {
        self.is_removed = true;
        self.input = None;
        let Container { engine, id, .. } = &self.container;
        engine.in_time(remove(engine, id))
    }
}

impl Drop for ScratchContainer {
    fn drop(&mut self) {
        if !self.is_removed {
            // What cannot be removed now ends because its input does, and the next one looks for it.
            let _: Option<()> = self.try_remove().ok();
        }
    }
}

impl Engine {
    /// Do it, but do not wait for ever for an engine that hangs.
    fn in_time<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let timed = async { tokio::time::timeout(TIMEOUT, work).await };
        let late = |_| Err(Error::Unreachable(io::Error::from(io::ErrorKind::TimedOut).into()));
        self.runtime.block_on(timed).unwrap_or_else(late)
    }
}

fn failed(operation: &'static str) -> impl Fn(ApiError) -> Error {
    move |source| match source {
        source @ ApiError::DockerResponseServerError { .. } => Error::Api { operation, source },
        source => Error::Unreachable(source),
    }
}

/// Remove a container of ours, and the volumes that only it has.
async fn remove(engine: &Engine, id: &str) -> Result<(), Error> {
    let options = RemoveContainerOptions {
        force: true,
        v: true,
        link: false,
    };
    match engine.docker.remove_container(id, Some(options)).await {
        // It is gone, or on its way, because its input has ended.
        Ok(())
        | Err(ApiError::DockerResponseServerError {
            status_code: 404 | 409, ..
        }) => {}
        Err(source) => return Err(failed("remove a container")(source)),
    }
    gone(engine, id).await
}

/// Wait until it is not there any more.
async fn gone(engine: &Engine, id: &str) -> Result<(), Error> {
    let looking = async {
        while engine
            .docker
            .inspect_container(id, None::<InspectContainerOptions>)
            .await
            .is_ok()
        {
            tokio::time::sleep(super::PAUSE).await;
        }
    };
    let late = |_| Error::Left(id.chars().take(12).collect());
    tokio::time::timeout(KILL_TIMEOUT, looking).await.map_err(late)
}

/// Only those with our label whose process is known to be gone.
async fn remove_left_over(engine: &Engine) -> Result<(), Error> {
    let options = ListContainersOptions {
        all: true,
        filters: Some(HashMap::from([("label".to_owned(), vec![LABEL.to_owned()])])),
        ..ListContainersOptions::default()
    };
    let listed = engine.docker.list_containers(Some(options)).await;
    for container in listed.map_err(failed("list containers"))? {
        let label = container.labels.as_ref().and_then(|labels| labels.get(LABEL));
        let is_left_over = label
            .and_then(|label| Process::parse(label))
            .is_some_and(|process| process.is_gone());
        if let (Some(id), true) = (container.id, is_left_over) {
            // What cannot be removed costs space only.
            let _: Option<()> = remove(engine, &id).await.ok();
        }
    }
    Ok(())
}

/// A process, told apart from every other one: also from those of other systems that use the same engine, and of other containers.
#[derive(Debug, PartialEq, Eq)]
struct Process {
    /// The run of the system, and its view of processes.
    system: String,
    pid: u32,
    /// When it was started, which tells it from a later one of the same number.
    start: String,
}

impl Process {
    fn ours() -> Self {
        Self::of(std::process::id())
    }

    fn of(pid: u32) -> Self {
        // Without these, no process is ever known to be gone.
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let view = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        Self {
            system: format!("{}-{}", boot.trim(), digits(&view.to_string_lossy())),
            pid,
            start: start(pid),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.splitn(3, '/');
        Some(Self {
            system: fields.next()?.to_owned(),
            pid: fields.next()?.parse().ok()?,
            start: fields.next()?.to_owned(),
        })
    }

    /// Whether it was of this system and is not there any more.
    fn is_gone(&self) -> bool {
        let there = Self::of(self.pid);
        there.system == self.system && there != *self
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.system, self.pid, self.start)
    }
}

/// When a process was started, in ticks; nothing if there is none.
fn start(pid: u32) -> String {
    let written = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Its name stands in parentheses before, and may hold anything.
    let after = written.rsplit_once(')').map_or("", |(_, after)| after);
    after.split_whitespace().nth(19).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_that_was_here_is_known_to_be_gone() {
        let ours = Process::ours();
        assert!(!ours.start.is_empty() && !ours.is_gone());
        assert_eq!(Process::parse(&ours.to_string()), Some(Process::ours()));
        let earlier = Process {
            start: "1".to_owned(),
            ..Process::ours()
        };
        assert!(earlier.is_gone(), "its number was given to another one");
        let other = Process {
            system: "another".to_owned(),
            ..earlier
        };
        assert!(!other.is_gone(), "nobody knows");
        assert_eq!(Process::parse("by hand"), None);
    }
}
