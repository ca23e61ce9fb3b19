//! Where a server of our own works for a drill: on this host, or in a new container of the image that the database runs in.

use super::program::{self, Programs};
use super::{OwnServer, Proof, Surroundings};
use crate::config::model::Reached;
use crate::docker::{self, Image, ScratchContainer};
use crate::engine::manifest::Part;
use crate::exec::{self, User};
use crate::explain;
use anyhow::Context as _;
use repository::{Error, Result};
use rustix::process::Signal;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

/// The fact that names the image of the container that a part was captured in.
pub const IMAGE: &str = "image";
/// Where servers work in a container.
const IN_CONTAINER: &str = "/tmp/mainstay-drill";

/// A directory, and the programs beside it.
#[derive(Debug)]
pub struct Room {
    programs: Programs,
    directory: PathBuf,
    /// Whom servers run as, if we are root there: they refuse to be that.
    user: Option<User>,
    container: Option<ScratchContainer>,
}

/// How well the programs of this host fit what is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// They are of the same version.
    Exactly,
    /// They will do, but those of the image are better.
    Nearly,
}

/// The image that a part can be tested in: the configured one, else that of the container, else that which it was captured in. None if
/// nobody knows one.
fn image(reached: &Reached, part: &Part) -> Option<std::result::Result<Image, docker::Error>> {
    let recorded = part.facts.more.get(IMAGE).and_then(serde_json::Value::as_str);
    match (&reached.drill_image, &reached.container, recorded) {
        (Some(name), ..) => Some(Image::named(None, name)),
        (None, Some(container), _) => Some(Image::of_container(None, container, recorded)),
        (None, None, Some(name)) => Some(Image::named(None, name)),
        (None, None, None) => None,
    }
}

/// Why nothing can be tested in an image, and what to do about it.
fn reason(error: docker::Error) -> String {
    let hint = error.hint();
    format!("{} ({})", explain::chain(&error.into()), hint.trim_end_matches('.'))
}

impl Room {
    /// Where a part can be tested best: in a container of its image, or by the programs of this host in `directory`, which is empty and ours,
    /// if they fit, or else the reason why they do not. If we are root, servers run as the first of `users` that
    /// there is; if none is named, as we do. A reason if it can be tested nowhere.
    ///
    /// # Errors
    /// If there is none of these users here; those of the file system.
    pub fn choose(
        reached: &Reached,
        part: &Part,
        here: std::result::Result<Fit, String>,
        directory: &Path,
        users: &[&str],
    ) -> anyhow::Result<std::result::Result<Self, String>> {
        let is_wanted = reached.drill_image.is_some();
        let image = match here {
            Ok(Fit::Exactly) if !is_wanted => None,
            Ok(_) | Err(_) => image(reached, part),
        };
        let of_image = image.map(|image| Self::of_image(&image.map_err(reason)?, users));
        match (of_image, here) {
            (Some(Ok(room)), _) => Ok(Ok(room)),
            (Some(Err(reason)), _) if is_wanted => Ok(Err(reason)),
            (_, Ok(_)) => Self::here(directory, users).map(Ok),
            (Some(Err(image)), Err(reason)) => Ok(Err(format!("{reason}; {image}"))),
            (None, Err(reason)) => Ok(Err(format!("{reason}, and no image is known (`drill_image`)"))),
        }
    }

    fn here(directory: &Path, users: &[&str]) -> anyhow::Result<Self> {
        let room = Self::new(Programs::Host, directory.to_owned(), users, None)?;
        room.own(directory)?;
        Ok(room)
    }

    /// In a new container. It has nothing of the one that is in use but the image.
    fn of_image(image: &Image, users: &[&str]) -> std::result::Result<Self, String> {
        let container = image.start().map_err(reason)?;
        let failed = |error| {
            format!(
                "no server can be tested in the image `{}`: {}",
                image.name,
                explain::chain(&error)
            )
        };
        Self::in_container(container, users).map_err(failed)
    }

    fn in_container(container: ScratchContainer, users: &[&str]) -> anyhow::Result<Self> {
        let programs = Programs::Container(Box::new(container.container().clone()));
        let mut room = Self::new(programs, "/".into(), users, Some(container))?;
        let (directory, user) = (Path::new(IN_CONTAINER), room.user);
        room.output_as(None, &["mkdir".into(), "-m".into(), "700".into(), directory.into()])?;
        if let Some(User { id, group }) = user {
            let owner = format!("{id}:{group}");
            room.output_as(None, &["chown".into(), owner.into(), directory.into()])?;
        }
        room.directory = directory.to_owned();
        Ok(room)
    }

    fn new(
        programs: Programs,
        directory: PathBuf,
        users: &[&str],
        container: Option<ScratchContainer>,
    ) -> anyhow::Result<Self> {
        let user = match number(&programs, &["-u"]) {
            Some(0) if !users.is_empty() => {
                Some(users.iter().find_map(|name| user(&programs, name)).with_context(|| {
                    format!("there is no user `{}` that a server could run as", users.join("` or `"))
                })?)
            }
            _ => None,
        };
        Ok(Self {
            programs,
            directory,
            user,
            container,
        })
    }

    /// Where programs run.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Where servers work.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// The container is thrown away with all that is in it.
    pub fn is_container(&self) -> bool {
        self.container.is_some()
    }

    /// What a server finds, and whatever prepares its place.
    pub fn surroundings(&self) -> exec::Surroundings {
        exec::Surroundings {
            variables: vec![("LC_ALL".into(), "C".into())],
            directory: Some(self.directory.clone()),
            user: self.user,
            ..exec::Surroundings::default()
        }
    }

    /// What a program prints that runs as the server does.
    ///
    /// # Errors
    /// If it cannot be started or fails.
    pub fn output(&self, words: &[OsString]) -> std::result::Result<Vec<u8>, exec::Error> {
        self.output_as(self.user, words)
    }

    fn output_as(&self, user: Option<User>, words: &[OsString]) -> std::result::Result<Vec<u8>, exec::Error> {
        let surroundings = exec::Surroundings {
            user,
            ..self.surroundings()
        };
        self.programs.output(words, &surroundings)
    }

    /// Start a server that ends with us. `at_our_end` is what it gets when we are gone.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, words: &[OsString], at_our_end: Signal) -> std::result::Result<OwnServer, exec::Error> {
        OwnServer::start(&self.programs, words, self.surroundings(), at_our_end)
    }

    /// A new directory of the server's.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn directory(&self, name: &str) -> std::result::Result<PathBuf, exec::Error> {
        let directory = self.directory.join(name);
        self.output(&["mkdir".into(), "-m".into(), "700".into(), directory.clone().into()])?;
        Ok(directory)
    }

    /// What stands in a file of the server's; nothing if there is none.
    pub fn read(&self, name: &str) -> String {
        let printed = self.output(&["cat".into(), self.directory.join(name).into()]);
        String::from_utf8_lossy(&printed.unwrap_or_default()).into_owned()
    }

    /// Whether there is such a file.
    pub fn has(&self, name: &str) -> bool {
        self.output(&["test".into(), "-e".into(), self.directory.join(name).into()])
            .is_ok()
    }

    /// Write a new file.
    ///
    /// # Errors
    /// That of `write`; those of the file system.
    pub fn write(
        &self,
        name: &str,
        write: impl FnOnce(&mut (dyn Write + Send)) -> Result<()>,
    ) -> anyhow::Result<PathBuf> {
        let file = self.directory.join(name);
        let script = ["sh", "-c", "umask 077 && cat >\"$1\"", "sh"].map(OsString::from);
        let words: Vec<OsString> = script.into_iter().chain([file.clone().into()]).collect();
        program::feed(&self.programs, &words, self.surroundings(), write)?;
        Ok(file)
    }

    /// Give a directory of this host to the server.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn own(&self, directory: &Path) -> Result<()> {
        match (&self.user, &self.container) {
            (Some(User { id, group }), None) => {
                chown(directory, Some(*id), Some(*group)).map_err(Error::local("change the owner of", directory))
            }
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// Test something in it, and throw it away. `version` of the server that was tested becomes part of the proof. If the container or the
    /// engine is gone at the end, whatever was found says nothing: then `step` is not proven.
    ///
    /// # Errors
    /// When it cannot be tested.
    pub fn prove(
        self,
        step: &str,
        surroundings: &Surroundings<'_>,
        test: impl FnOnce(&Self) -> anyhow::Result<Proof>,
    ) -> anyhow::Result<Proof> {
        let Some(container) = &self.container else {
            return test(&self);
        };
        let tested = container.until(surroundings.cancel, || test(&self));
        let Some(container) = self.container else {
            return tested;
        };
        let (image, lost) = (container.container().image.clone(), container.check().err());
        if let Err(error) = container.remove() {
            surroundings.monitor.note(&reason(error));
        }
        let mut proof = match lost {
            Some(lost) => {
                let mut proof = Proof::default();
                proof.lack(step, reason(lost));
                proof
            }
            None => tested?,
        };
        proof.image = Some(image);
        Ok(proof)
    }
}

fn user(programs: &Programs, name: &str) -> Option<User> {
    Some(User {
        id: number(programs, &["-u", name])?,
        group: number(programs, &["-g", name])?,
    })
}

fn number(programs: &Programs, arguments: &[&str]) -> Option<u32> {
    let words: Vec<OsString> = ["id"].iter().chain(arguments).map(OsString::from).collect();
    let printed = programs.output(&words, &exec::Surroundings::default()).ok()?;
    String::from_utf8_lossy(&printed).trim().parse().ok()
}
