//! Archives of a job: written, copied between places, expired.

use super::Naming;
use super::report::{Expired, Removed};
use crate::clock;
use crate::config::Misuse;
use crate::config::model::{self, ArchiveCompression, ArchiveFormat, Layout, Recipient};
use crate::config::secret::{Secret, SecretReader, SecretSource};
use jiff::tz::TimeZone;
use repository::archive::{
    self, AgeRecipients, CaptureOptions, CleanOptions, Compression, Contents, Encryption, Forgotten, GzipLevel,
    Manifest, NameTemplate, NewArchive, OpenPgpKeys, Passphrase, WriteOptions, ZstdLevel,
};
use repository::retention::Policy;
use repository::{Cancel, Held, Monitor};
use std::path::Path;
use std::sync::Arc;
use storage::Store;

/// Folders of the layout that has several.
const DAILY: &str = "daily";
const WEEKLY: &str = "weekly";

/// A repository of archives.
pub struct ArchivePlace<'a> {
    store: Arc<dyn Store>,
    format: &'a ArchiveFormat,
    template: NameTemplate,
    compression: Compression,
    secrets: &'a (dyn SecretReader + Sync),
}

impl<'a> ArchivePlace<'a> {
    /// Everything but the keys is made sense of; they are checked by making an encryption of them.
    ///
    /// # Errors
    /// If a name makes no sense, or a key cannot be used.
    pub fn new(
        store: Arc<dyn Store>,
        format: &'a ArchiveFormat,
        secrets: &'a (dyn SecretReader + Sync),
    ) -> anyhow::Result<Self> {
        let place = Self {
            store,
            format,
            template: NameTemplate::parse(&format.name)?,
            compression: compression(format.compression)?,
            secrets,
        };
        place.encryption()?;
        Ok(place)
    }

    /// Where it is.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    fn encryption(&self) -> anyhow::Result<Encryption> {
        encryption(&self.format.encryption, self.secrets)
    }

    /// In which folder new archives go first.
    fn folder(&self) -> &'static str {
        match self.format.layout {
            Layout::Flat => "",
            Layout::DailyWeekly => DAILY,
        }
    }

    /// Write an archive.
    ///
    /// # Errors
    /// Those of the sources, or [`Error::UnreadableSnapshot`](repository::Error::UnreadableSnapshot), and of the store; the archive is
    /// not listed then.
    pub fn write(
        &self,
        naming: &Naming,
        timezone: &TimeZone,
        contents: Contents<'_>,
        options: CaptureOptions,
        cancel: &Cancel,
        monitor: &dyn Monitor,
    ) -> anyhow::Result<Manifest> {
        let encryption = self.encryption()?;
        let start = naming.start.to_zoned(timezone.clone());
        let name = self
            .template
            .render(&start, &naming.host, &naming.job, self.compression, &encryption)?;
        self.clean(naming, cancel, monitor)?;
        let new = NewArchive {
            name: in_folder(self.folder(), &name),
            host: naming.host.clone(),
            job: naming.job.clone(),
            start: naming.start,
            original: None,
        };
        let options = WriteOptions {
            compression: self.compression,
            latest: Some(archive::latest_name(&naming.host, &naming.job)),
            writer: naming.writer.clone(),
            capture: options,
            ..WriteOptions::new(encryption)
        };
        let manifest = archive::write(&*self.store, &new, contents, &options, cancel, monitor)?;
        if self.format.layout == Layout::DailyWeekly {
            self.keep_weekly(&manifest, naming, timezone, cancel, monitor)?;
        }
        Ok(manifest)
    }

    /// Remove what interrupted runs of the job left.
    ///
    /// # Errors
    /// Those of the store.
    pub fn clean(&self, naming: &Naming, cancel: &Cancel, monitor: &dyn Monitor) -> repository::Result<()> {
        let options = CleanOptions {
            writer: naming.writer.clone(),
            ..CleanOptions::new(&naming.host, &naming.job)
        };
        archive::clean(&*self.store, &options, clock::now(), cancel, monitor).map(drop)
    }

    /// The first archive of a week has a copy among the weekly ones.
    fn keep_weekly(
        &self,
        daily: &Manifest,
        naming: &Naming,
        timezone: &TimeZone,
        cancel: &Cancel,
        monitor: &dyn Monitor,
    ) -> anyhow::Result<()> {
        let week = |manifest: &Manifest| {
            let date = manifest.start.to_zoned(timezone.clone()).date().iso_week_date();
            (date.year(), date.week())
        };
        let weekly = archive::list(&*self.store, WEEKLY, cancel, monitor)?;
        if weekly
            .iter()
            .any(|there| is_of(there, &daily.host, &daily.job) && week(there) == week(daily))
        {
            return Ok(());
        }
        let name = daily
            .name
            .strip_prefix(DAILY)
            .unwrap_or(&daily.name)
            .trim_start_matches('/');
        let options = archive::CopyOptions {
            writer: naming.writer.clone(),
            ..archive::CopyOptions::default()
        };
        archive::copy(
            &*self.store,
            daily,
            &*self.store,
            &in_folder(WEEKLY, name),
            &options,
            cancel,
            monitor,
        )?;
        Ok(())
    }

    /// The archives of a job, oldest first.
    ///
    /// # Errors
    /// Those of the store.
    pub fn list(
        &self,
        host: &str,
        job: &str,
        cancel: &Cancel,
        monitor: &dyn Monitor,
    ) -> repository::Result<Vec<Manifest>> {
        let mut all = archive::list(&*self.store, "", cancel, monitor)?;
        all.retain(|manifest| is_of(manifest, host, job));
        Ok(all)
    }

    /// Whether archives of `other` are what would be written here.
    pub fn is_like(&self, other: &Self) -> bool {
        self.format == other.format
    }

    /// Store an archive of another place here, under the same name.
    ///
    /// # Errors
    /// Those of the stores, and damage of the archive.
    pub fn copy_from(
        &self,
        other: &Self,
        manifest: &Manifest,
        naming: &Naming,
        is_newest: bool,
        cancel: &Cancel,
        monitor: &dyn Monitor,
    ) -> repository::Result<()> {
        let options = archive::CopyOptions {
            part_size: None,
            latest: is_newest.then(|| archive::latest_name(&naming.host, &naming.job)),
            writer: naming.writer.clone(),
        };
        archive::copy(
            &*other.store,
            manifest,
            &*self.store,
            &manifest.name,
            &options,
            cancel,
            monitor,
        )
        .map(drop)
    }

    /// Remove archives of a job that no rule keeps; with `dry_run`, only say which.
    ///
    /// # Errors
    /// Those of the store.
    pub fn expire(
        &self,
        naming: &Naming,
        policy: &Policy,
        timezone: &TimeZone,
        dry_run: bool,
        cancel: &Cancel,
        monitor: &dyn Monitor,
    ) -> repository::Result<Expired> {
        let all = self.list(&naming.host, &naming.job, cancel, monitor)?;
        let mut expired = Expired::default();
        for (folder, policy) in self.policies(policy) {
            let here = all
                .iter()
                .filter(|manifest| is_in(folder, &manifest.name))
                .cloned()
                .collect();
            let plan = archive::plan_forget(here, &policy, timezone, clock::now())?;
            expired.kept += plan.keep.len();
            let planned = || plan.remove.iter().map(|manifest| manifest.name.clone()).collect();
            let forgotten = if dry_run {
                Forgotten {
                    removed: planned(),
                    held: Held::default(),
                }
            } else {
                archive::forget(&*self.store, &plan, clock::now(), cancel, monitor)?
            };
            let gone = plan
                .remove
                .iter()
                .filter(|manifest| forgotten.removed.contains(&manifest.name));
            expired.removed.extend(gone.map(|manifest| Removed {
                name: manifest.name.clone(),
                time: manifest.start,
            }));
            expired.held.add(forgotten.held);
        }
        Ok(expired)
    }

    /// The rules of each folder.
    fn policies(&self, policy: &Policy) -> Vec<(&'static str, Policy)> {
        if self.format.layout == Layout::Flat {
            return vec![("", policy.clone())];
        }
        let daily = Policy {
            weekly: Default::default(),
            ..policy.clone()
        };
        let weekly = Policy {
            weekly: policy.weekly,
            ..Policy::default()
        };
        // Rules that say nothing about a folder keep all of it.
        let both = [(DAILY, daily), (WEEKLY, weekly)].into_iter();
        both.filter(|(_, policy)| !policy.is_empty()).collect()
    }
}

fn in_folder(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

fn is_in(folder: &str, name: &str) -> bool {
    folder.is_empty() || Path::new(name).starts_with(folder)
}

fn is_of(manifest: &Manifest, host: &str, job: &str) -> bool {
    manifest.host == host && manifest.job == job
}

fn compression(configured: ArchiveCompression) -> repository::Result<Compression> {
    Ok(match configured {
        ArchiveCompression::None => Compression::None,
        ArchiveCompression::Gzip(level) => Compression::Gzip(GzipLevel::new(level)?),
        ArchiveCompression::Zstd(level) => Compression::Zstd(ZstdLevel::new(level.unsigned_abs(), false)?),
    })
}

/// What the configuration says, with the keys that it names.
///
/// # Errors
/// If a key cannot be read, or not be used.
pub fn encryption(configured: &model::Encryption, secrets: &dyn SecretReader) -> anyhow::Result<Encryption> {
    Ok(match configured {
        model::Encryption::None => Encryption::None,
        model::Encryption::Age(recipients) => {
            let texts = recipients.iter().map(text_of).collect::<Result<Vec<_>, _>>()?;
            Encryption::AgeRecipients(AgeRecipients::parse(texts.iter().map(String::as_str))?)
        }
        model::Encryption::GpgKeys(recipients) => {
            let rings = recipients.iter().map(bytes_of).collect::<Result<Vec<_>, _>>()?;
            Encryption::OpenPgpKeys(OpenPgpKeys::parse(rings.iter().map(Vec::as_slice))?)
        }
        model::Encryption::AgePassphrase(secret) => Encryption::AgePassphrase(passphrase(secret, secrets)?),
        model::Encryption::GpgPassphrase(secret) => Encryption::OpenPgpPassphrase(passphrase(secret, secrets)?),
    })
}

fn passphrase(source: &SecretSource, secrets: &dyn SecretReader) -> anyhow::Result<Passphrase> {
    let secret: Secret = source.read(secrets)?;
    let not_text = || Misuse::new(format!("{source} is no text"), "Check that it holds the passphrase.");
    Ok(Passphrase::new(secret.text().ok_or_else(not_text)?)?)
}

fn text_of(recipient: &Recipient) -> Result<String, Misuse> {
    match recipient {
        Recipient::Key(key) => Ok(key.clone()),
        Recipient::File(path) => std::fs::read_to_string(path).map_err(|error| unreadable(path, error)),
    }
}

fn bytes_of(recipient: &Recipient) -> Result<Vec<u8>, Misuse> {
    match recipient {
        Recipient::Key(key) => Ok(key.clone().into_bytes()),
        Recipient::File(path) => std::fs::read(path).map_err(|error| unreadable(path, error)),
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> Misuse {
    let message = format!("cannot read the public keys in `{}`", path.display());
    Misuse::new(message, "Check the file's path and permissions.").because(error)
}
