//! The repositories that a job stores to.

use super::Host;
use super::archives::ArchivePlace;
use crate::config::model::{self, Format, Job};
use anyhow::anyhow;
use repository::restic::config::ChunkerKind;
use repository::restic::packer::{DEFAULT_PACK_SIZE, PackOptions};
use repository::restic::repository::{OpenOptions, Repository};
use repository::{Cancel, Error};
use std::path::PathBuf;
use std::sync::Arc;
use storage::Location;

/// A repository that a job stores to.
pub struct Destination<'a> {
    /// As it is configured.
    pub config: &'a model::Repository,
    /// Ends the waits of its store.
    pub give_up: Cancel,
    /// What it is, or why it cannot be used.
    pub opened: anyhow::Result<Opened<'a>>,
}

/// A repository that can be used.
pub enum Opened<'a> {
    /// In restic's format.
    Restic(Box<Repository>, PackOptions),
    /// One file per run.
    Archive(ArchivePlace<'a>),
}

/// Open all that `job` stores to, side by side: one that does not answer keeps the others waiting for no longer than its own patience.
pub fn open_all<'a>(host: &Host<'a>, job: &Job, init: bool) -> Vec<Destination<'a>> {
    let configured = job.to.iter().filter_map(|name| host.config.repository(name));
    let is_one_of_several = job.to.len() > 1;
    std::thread::scope(|scope| {
        let opening: Vec<_> = configured
            .map(|config| {
                let give_up = Cancel::default();
                let flag = give_up.clone();
                let flag = is_one_of_several.then_some(flag);
                let thread = scope.spawn(move || open(host, config, flag.as_ref(), init));
                (config, give_up, thread)
            })
            .collect();
        let opened = opening.into_iter().map(|(config, give_up, thread)| Destination {
            config,
            give_up,
            opened: thread
                .join()
                .unwrap_or_else(|_| Err(anyhow!("opening it failed unexpectedly"))),
        });
        opened.collect()
    })
}

/// Open one again that dropped out, with a store that waits as long as it takes.
pub fn reopen<'a>(host: &Host<'a>, destination: &mut Destination<'a>) {
    destination.opened = open(host, destination.config, None, false);
}

fn open<'a>(
    host: &Host<'a>,
    config: &'a model::Repository,
    give_up: Option<&Cancel>,
    init: bool,
) -> anyhow::Result<Opened<'a>> {
    let store = (host.stores)(config, give_up)?;
    match &config.format {
        Format::Archive(format) => Ok(Opened::Archive(ArchivePlace::new(store, format, host.secrets)?)),
        Format::Restic {
            password,
            compression,
            pack_size_bytes,
        } => {
            let password = password.read_password(host.secrets)?;
            let options = OpenOptions {
                cache: host.cache.clone(),
                remote: config.place.location().is_remote(),
                key_hint: None,
            };
            let packs = PackOptions {
                pack_size: pack_size_bytes.unwrap_or(DEFAULT_PACK_SIZE),
                compression: *compression,
            };
            let repository = match Repository::open(Arc::clone(&store), password.bytes(), &options) {
                Err(Error::NoRepository { .. }) if init => {
                    host.monitor.note(&format!(
                        "creating the repository `{}` in {}",
                        config.name,
                        store.location()
                    ));
                    Repository::init(store, password.bytes(), ChunkerKind::FastCdc, &options)
                }
                other => other,
            };
            Ok(Opened::Restic(Box::new(repository?), packs))
        }
    }
}

impl Destination<'_> {
    /// Where it is.
    pub fn location(&self) -> String {
        match &self.opened {
            Ok(Opened::Restic(repository, _)) => repository.store().location(),
            Ok(Opened::Archive(place)) => place.store().location(),
            Err(_) => self.config.place.to_string(),
        }
    }

    /// Its directory, if it is one.
    pub fn directory(&self) -> Option<PathBuf> {
        match self.config.place.location() {
            Location::Local(path) => Some(path.clone()),
            _ => None,
        }
    }

    /// The repository, if it is one of restic's format that can be used.
    pub fn restic(&self) -> Option<(&Repository, &PackOptions)> {
        match &self.opened {
            Ok(Opened::Restic(repository, packs)) => Some((repository, packs)),
            _ => None,
        }
    }

    /// The place for archives, if it is one that can be used.
    pub fn archive(&self) -> Option<&ArchivePlace<'_>> {
        match &self.opened {
            Ok(Opened::Archive(place)) => Some(place),
            _ => None,
        }
    }
}
