//! What every command works with: options and environment made sense of.

use super::chosen::{self, Chosen};
use super::global::GlobalArgs;
use super::output::{Output, Progress, ProgressMode, Retries};
use crate::config::address::{AddressNames, AddressOptions};
use crate::config::env::{self, Environment};
use crate::config::file::{self, Draft, Loaded};
use crate::config::model::{self, Format};
use crate::config::password::{PasswordNames, PasswordOptions, Source};
use crate::config::store::{self, StoreOptions};
use crate::config::{Misuse, directories};
use repository::restic::lock::{Lock, LockKind, LockOptions};
use repository::restic::object::ObjectKind;
use repository::restic::packer::{DEFAULT_PACK_SIZE, PackOptions};
use repository::restic::repository::{OpenOptions, Repository};
use repository::{Cancel, Monitor};
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use storage::{Location, Store};

/// Names of the repository that a command works on.
const ADDRESS: AddressNames = AddressNames {
    option: "--repo",
    variable: env::REPOSITORY,
    file_variable: Some(env::REPOSITORY_FILE),
};

/// Names of its password, and of the passphrase of archives.
pub const PASSWORD: PasswordNames = PasswordNames {
    subject: "the repository",
    file_option: "--password-file",
    command_option: "--password-command",
    variable: env::PASSWORD,
    file_variable: env::PASSWORD_FILE,
    command_variable: env::PASSWORD_COMMAND,
};

/// How long one of several stores is tried again.
const SHORT_PATIENCE: Duration = Duration::from_secs(3 * 60);

/// What a command gets beside its own arguments.
#[derive(Debug)]
pub struct Context {
    globals: GlobalArgs,
    environment: Environment,
    cancel: Cancel,
    retries: Retries,
    chosen: OnceLock<Chosen>,
}

impl Context {
    /// Put together what `main` knows.
    pub fn new(globals: GlobalArgs, environment: Environment, cancel: Cancel) -> Self {
        Self {
            retries: Retries::new(globals.json, globals.quiet),
            globals,
            environment,
            cancel,
            chosen: OnceLock::new(),
        }
    }

    /// The options for all commands.
    pub fn globals(&self) -> &GlobalArgs {
        &self.globals
    }

    /// The variables.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Set when the user asks to stop.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// Standard output.
    pub fn output(&self) -> Output {
        Output::new(self.globals.json, self.globals.quiet)
    }

    /// Whatever failed after Ctrl-C failed because of it.
    pub fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        if self.cancel.is_cancelled() {
            repository::Error::Interrupted.into()
        } else {
            error
        }
    }

    /// Shows how long work goes on.
    pub fn progress(&self) -> Progress {
        self.show(self.progress_mode())
    }

    /// Shows problems and notes only, for work that is short or whose result is one JSON document.
    pub fn monitor(&self) -> Progress {
        let mode = if self.globals.quiet || self.globals.json {
            ProgressMode::Quiet
        } else {
            ProgressMode::Notes
        };
        self.show(mode)
    }

    fn show(&self, mode: ProgressMode) -> Progress {
        let progress = Progress::start(mode, self.globals.verbose);
        self.retries.show_beside(&progress);
        progress
    }

    fn progress_mode(&self) -> ProgressMode {
        match (self.globals.quiet, self.globals.json) {
            (true, true) => ProgressMode::QuietJson,
            (true, false) => ProgressMode::Quiet,
            (false, true) => ProgressMode::Json,
            (false, false) if io::stderr().is_terminal() => ProgressMode::Bar,
            (false, false) => ProgressMode::Lines,
        }
    }

    /// The configuration as it was read, problems included.
    pub fn draft(&self) -> Result<Draft, Misuse> {
        file::draft(self.globals.config.as_deref(), &self.environment)
    }

    /// The configuration, checked.
    pub fn configuration(&self) -> anyhow::Result<Loaded> {
        Ok(self.draft()?.finish()?)
    }

    /// Whether an option names a repository.
    pub fn names_repository(&self) -> bool {
        self.globals.repo.is_some() || self.globals.repository_file.is_some()
    }

    /// The repository that the command works on.
    pub fn chosen(&self) -> anyhow::Result<&Chosen> {
        if let Some(chosen) = self.chosen.get() {
            return Ok(chosen);
        }
        let options = AddressOptions {
            address: self.globals.repo.clone(),
            file: self.globals.repository_file.clone(),
        };
        let chosen = chosen::choose(options, ADDRESS, self)?;
        Ok(self.chosen.get_or_init(|| chosen))
    }

    /// The same, if it is one in restic's format.
    pub fn chosen_restic(&self) -> anyhow::Result<&Chosen> {
        let chosen = self.chosen()?;
        chosen.demand_restic()?;
        Ok(chosen)
    }

    /// Where its password comes from: from options, the configuration, or variables, whichever says it first.
    pub fn password_source(&self) -> anyhow::Result<Source> {
        self.password_of(self.chosen()?, self.password_options(), PASSWORD)
    }

    /// The same for another repository.
    pub fn password_of(
        &self,
        chosen: &Chosen,
        options: PasswordOptions,
        names: PasswordNames,
    ) -> anyhow::Result<Source> {
        match chosen {
            Chosen::Configured(repository) if !options.is_given() => match &repository.format {
                Format::Restic { password, .. } => Ok(Source::Configured(password.clone())),
                Format::Archive(_) => Ok(Source::choose(options, names, &self.environment)?),
            },
            _ => Ok(Source::choose(options, names, &self.environment)?),
        }
    }

    /// What the options say about it.
    pub fn password_options(&self) -> PasswordOptions {
        PasswordOptions {
            file: self.globals.password_file.clone(),
            command: self.globals.password_command.clone(),
        }
    }

    /// The store at `location`, with the limits and options given.
    pub fn store(&self, location: &Location) -> anyhow::Result<Arc<dyn Store>> {
        let options = store::resolve(&self.store_options(), &self.environment, &self.cancel)?;
        self.open_store(location, options)
    }

    /// The store of a repository that is configured, with its own options and secrets; what the command line says goes before them.
    pub fn store_of(&self, repository: &model::Repository) -> anyhow::Result<Arc<dyn Store>> {
        self.open_store(repository.place.location(), self.options_of(repository)?)
    }

    /// The same for one of several repositories: its waits end also when `give_up` is raised, and it is not tried for long.
    pub fn store_of_several(
        &self,
        repository: &model::Repository,
        give_up: Option<&Cancel>,
    ) -> anyhow::Result<Arc<dyn Store>> {
        let Some(give_up) = give_up else {
            return self.store_of(repository);
        };
        let mut options = self.options_of(repository)?;
        options.cancel.push(give_up.flag());
        options.retry.total = SHORT_PATIENCE;
        self.open_store(repository.place.location(), options)
    }

    fn options_of(&self, repository: &model::Repository) -> anyhow::Result<storage::Options> {
        let base = store::resolve(&StoreOptions::default(), &self.environment, &self.cancel)?;
        let mut options = repository.store_options(base, &self.environment)?;
        self.store_options().apply(&mut options)?;
        Ok(options)
    }

    /// The store of the repository that was chosen.
    pub fn store_at(&self, chosen: &Chosen) -> anyhow::Result<Arc<dyn Store>> {
        match chosen {
            Chosen::Restic(location) | Chosen::Archives(location) => self.store(location),
            Chosen::Configured(repository) => self.store_of(repository),
        }
    }

    fn store_options(&self) -> StoreOptions {
        StoreOptions {
            pairs: self.globals.options.clone(),
            limit_upload: self.globals.limit_upload,
            limit_download: self.globals.limit_download,
        }
    }

    fn open_store(&self, location: &Location, mut options: storage::Options) -> anyhow::Result<Arc<dyn Store>> {
        options.on_retry = Some(self.retries.on_retry());
        Ok(storage::open(location, &options).map_err(repository::Error::from)?)
    }

    /// How to open a repository at `location`.
    pub fn open_options(&self, location: &Location) -> Result<OpenOptions, Misuse> {
        let key_hint = match &self.globals.key_hint {
            Some(hint) => Some(hint.clone()),
            None => self.environment.text(env::KEY_HINT)?,
        };
        Ok(OpenOptions {
            cache: self.cache_directory(),
            remote: location.is_remote(),
            key_hint,
        })
    }

    /// Where the cache is, if there is one.
    pub fn cache_directory(&self) -> Option<PathBuf> {
        let given = || directories::cache(self.globals.cache_dir.clone(), &self.environment);
        if self.globals.no_cache { None } else { given() }
    }

    /// Open the repository.
    pub fn open(&self) -> anyhow::Result<Repository> {
        let chosen = self.chosen_restic()?;
        if !self.globals.identity.is_empty() {
            let hint = "Leave it out; a repository of format `restic` is opened by its password.";
            return Err(Misuse::new("`--identity` is for archives", hint).into());
        }
        let options = self.open_options(chosen.location())?;
        self.open_at(chosen, &self.password_source()?, &options)
    }

    /// Open the repository that was chosen. Whether there is one is found out before anybody types a password.
    pub fn open_at(&self, chosen: &Chosen, password: &Source, options: &OpenOptions) -> anyhow::Result<Repository> {
        let store = self.store_at(chosen)?;
        if matches!(password, Source::Terminal(_)) && !holds_repository(&*store)? {
            return Err(repository::Error::NoRepository {
                location: store.location(),
            }
            .into());
        }
        Ok(Repository::open(
            store,
            password.read(&self.environment)?.bytes(),
            options,
        )?)
    }

    /// A lock for reading, unless `--no-lock` is given.
    pub fn lock_for_reading(&self, repository: &Repository, monitor: &dyn Monitor) -> anyhow::Result<Option<Lock>> {
        if self.globals.no_lock {
            return Ok(None);
        }
        Ok(Some(Lock::acquire(
            repository,
            LockKind::Shared,
            &self.lock_options(),
            monitor,
        )?))
    }

    /// A lock for changing the repository.
    pub fn lock(&self, repository: &Repository, kind: LockKind, monitor: &dyn Monitor) -> anyhow::Result<Lock> {
        self.refuse_no_lock()?;
        self.lock_always(repository, kind, monitor)
    }

    /// The exclusive lock, for what stores something new and deletes the old. Where nothing can be deleted, the lock could not be removed
    /// either and would keep everybody out, so that nothing is begun.
    pub fn lock_to_replace(&self, repository: &Repository, monitor: &dyn Monitor) -> anyhow::Result<Lock> {
        repository.demand_deletion(&[ObjectKind::Lock])?;
        self.lock(repository, LockKind::Exclusive, monitor)
    }

    /// A lock whatever `--no-lock` says.
    pub fn lock_always(&self, repository: &Repository, kind: LockKind, monitor: &dyn Monitor) -> anyhow::Result<Lock> {
        Ok(Lock::acquire(repository, kind, &self.lock_options(), monitor)?)
    }

    /// `--no-lock` is not for commands that change the repository.
    pub fn refuse_no_lock(&self) -> Result<(), Misuse> {
        if !self.globals.no_lock {
            return Ok(());
        }
        let hint = "Leave `--no-lock` out; `--retry-lock 10m` waits for others to finish.";
        Err(Misuse::new(
            "a command that changes the repository needs its lock",
            hint,
        ))
    }

    /// How locks are taken.
    pub fn lock_options(&self) -> LockOptions {
        LockOptions {
            retry: self.globals.retry_lock.unwrap_or_default(),
            cancel: self.cancel.clone(),
        }
    }

    /// How new packs are made: as the command line says, or else the configuration of the repository that was opened.
    pub fn pack_options(&self) -> PackOptions {
        let configured = match self.chosen.get() {
            Some(Chosen::Configured(repository)) => Some(&repository.format),
            _ => None,
        };
        let (compression, pack_size) = match configured {
            Some(Format::Restic {
                compression,
                pack_size_bytes,
                ..
            }) => (Some(*compression), *pack_size_bytes),
            _ => (None, None),
        };
        PackOptions {
            pack_size: self.globals.pack_size.or(pack_size).unwrap_or(DEFAULT_PACK_SIZE),
            compression: self.globals.compression.or(compression).unwrap_or_default(),
        }
    }
}

/// Whether there is a repository in a store.
pub fn holds_repository(store: &dyn Store) -> repository::Result<bool> {
    match store.stat("config") {
        Ok(_) => Ok(true),
        Err(error) if error.kind == storage::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The directory of a local repository.
pub fn location_path(location: &Location) -> Option<PathBuf> {
    match location {
        Location::Local(path) => Some(path.clone()),
        _ => None,
    }
}
