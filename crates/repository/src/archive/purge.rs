//! Removes content from archives, for good: each that holds some of it is written again without it.
//!
//! First a plan, which shows what matches and where, and which archives cannot be searched because there is no key for them; then, archive
//! by archive, the new one is stored and proven, and only then the old one goes. So a crash leaves every archive that is listed complete; at
//! worst an archive is there twice, which the next purge ends.

use super::capture::{Contents, Rewritten, goes};
use super::compression::Compression;
use super::encryption::{Encryption, Keys};
use super::entry::{Entry, EntryKind};
use super::forget::{ForgetPlan, forget};
use super::latest::{self, latest_name};
use super::manifest::{Counts, Manifest};
use super::reader::{Archive, CheckOptions, Content, check};
use super::writer::{NewArchive, WriteOptions, in_the_way, write};
use crate::held::{demand_deletion, keeps_versions};
use crate::restic::purge::PurgedPath;
use crate::{Cancel, Error, Filter, Held, Id, Monitor, Result, clock};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use storage::Store;

/// What is told of the encryption of an archive that is written again: how, or why not.
pub type Sealing<'s> = dyn Fn(&Manifest) -> std::result::Result<Encryption, String> + 's;

/// Where archives are, and what opens and seals them.
pub struct PurgeOptions<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// What opens them.
    pub keys: &'a Keys,
    /// How they are sealed again.
    pub sealing: &'a Sealing<'a>,
    /// What it includes goes, with everything below.
    pub content: &'a Filter,
}

/// What would go.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PurgePlan {
    /// Archives that were looked at, those that cannot be read included.
    pub looked_at: usize,
    /// Those that hold something of it.
    pub archives: Vec<PurgedArchive>,
    /// Those that could not be searched, or cannot be written again. They stay as they are.
    pub untouched: Vec<UntouchedArchive>,
    /// Every path that goes, once.
    pub paths: Vec<PurgedPath>,
}

/// An archive that holds something that is to go.
#[derive(Clone, Debug, Serialize)]
pub struct PurgedArchive {
    /// Its name.
    pub name: String,
    /// When it was begun.
    pub time: Timestamp,
    /// Where.
    pub hostname: String,
    /// The job.
    pub job: String,
    /// What becomes of it.
    pub fate: Fate,
    /// Files that go under one name and stay under another.
    pub shared_files: usize,
    #[serde(skip)]
    manifest: Manifest,
    /// The one that has taken its place already.
    #[serde(skip)]
    successor: Option<Manifest>,
    #[serde(skip)]
    gone: Counts,
    #[serde(skip)]
    heirs: HashMap<PathBuf, PathBuf>,
}

/// What becomes of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is written again without what goes.
    Rewritten,
    /// Nothing but directories would be left of it.
    Removed,
    /// A purge that was interrupted has written it again already.
    Superseded,
}

/// An archive that stays as it is.
#[derive(Clone, Debug, Serialize)]
pub struct UntouchedArchive {
    /// Its name.
    pub name: String,
    /// When it was begun.
    pub time: Timestamp,
    /// Where.
    pub hostname: String,
    /// Whether it is known to hold something that should go.
    pub matches: bool,
    /// Why.
    pub reason: String,
}

/// What was done.
#[derive(Clone, Debug, Serialize)]
pub struct PurgeReport {
    /// Archives, and what they were replaced by.
    pub replaced: Vec<(String, Option<String>)>,
    /// What was to go, and stays because the store keeps it for a time.
    pub held: Held,
    /// Space that was given back, bytes.
    pub freed_bytes: u64,
    /// Archives that could not be searched, or not be written again.
    pub untouched: usize,
    /// New archives that the keys at hand do not open, because they are sealed for others than the old ones were: what was stored is what was
    /// written, and its entries were counted.
    pub unopened: usize,
    /// Whether the store keeps as old versions what is deleted; none if it does not say.
    pub keeps_versions: Option<bool>,
}

impl PurgeReport {
    /// Whether nothing of it is left.
    pub fn is_proven(&self) -> bool {
        self.held.is_empty() && self.untouched == 0 && self.keeps_versions != Some(true)
    }
}

/// Find what matches in `manifests`. Nothing is changed. Archives that cannot be read are in the plan, with the reason.
///
/// # Errors
/// Those of the store.
pub fn plan(
    options: &PurgeOptions<'_>,
    manifests: Vec<Manifest>,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<PurgePlan> {
    monitor.phase("searching");
    let mut plan = PurgePlan {
        looked_at: manifests.len(),
        ..PurgePlan::default()
    };
    let mut paths = BTreeMap::new();
    let mut clean = HashMap::new();
    for manifest in manifests {
        cancel.check()?;
        let found = match search(options, &manifest, cancel) {
            Ok(found) => found,
            Err(error) if error.is_damage() || matches!(error, Error::WrongIdentity { .. }) => {
                plan.untouched.push(untouched(manifest, false, error.to_string()));
                continue;
            }
            Err(error) => return Err(error),
        };
        if found.entries.is_empty() {
            if let Some(original) = manifest.original.clone() {
                clean.insert(original, manifest);
            }
            continue;
        }
        for (path, (_, bytes)) in &found.entries {
            let most: &mut u64 = paths.entry(format!("/{}", path.display())).or_default();
            *most = *bytes.max(most);
        }
        match (options.sealing)(&manifest) {
            Ok(_) => plan.archives.push(found.archive(manifest)),
            Err(reason) => plan.untouched.push(untouched(manifest, true, reason)),
        }
    }
    for archive in &mut plan.archives {
        archive.successor = clean.remove(archive.manifest.origin());
        if archive.successor.is_some() {
            archive.fate = Fate::Superseded;
        }
    }
    let path = |(path, bytes)| PurgedPath { path, bytes };
    plan.paths = paths.into_iter().map(path).collect();
    Ok(plan)
}

fn untouched(manifest: Manifest, matches: bool, reason: String) -> UntouchedArchive {
    UntouchedArchive {
        name: manifest.name,
        time: manifest.start,
        hostname: manifest.host,
        matches,
        reason,
    }
}

/// What goes of one archive.
#[derive(Default)]
struct Found {
    entries: BTreeMap<PathBuf, (EntryKind, u64)>,
    gone: Counts,
    heirs: HashMap<PathBuf, PathBuf>,
    /// Something but directories stays.
    holds_something: bool,
}

fn search(options: &PurgeOptions<'_>, manifest: &Manifest, cancel: &Cancel) -> Result<Found> {
    let archive = Archive::of(manifest.clone(), options.store, options.keys, cancel);
    let mut found = Found::default();
    archive.raw_entries(&mut |entry| {
        found.add(entry, options.content);
        Ok(())
    })?;
    // Heirs are no further names any more, but the files themselves.
    for first in found.heirs.keys() {
        if let Some((kind, bytes)) = found.entries.get(first) {
            found.gone.remove(*kind, *bytes);
            found.gone.add(EntryKind::HardLink, 0);
        }
    }
    Ok(found)
}

impl Found {
    fn add(&mut self, entry: &Entry, content: &Filter) {
        if goes(content, &entry.path) {
            let (_, bytes) = self.entries.entry(entry.path.clone()).or_insert((entry.kind, 0));
            *bytes += entry.size;
            self.gone.add(entry.kind, entry.size);
            return;
        }
        self.holds_something |= entry.kind != EntryKind::Dir;
        let is_heir = entry.kind == EntryKind::HardLink && goes(content, &entry.target);
        if is_heir && !self.heirs.contains_key(&entry.target) {
            self.heirs.insert(entry.target.clone(), entry.path.clone());
        }
    }

    fn archive(self, manifest: Manifest) -> PurgedArchive {
        let fate = if self.holds_something {
            Fate::Rewritten
        } else {
            Fate::Removed
        };
        PurgedArchive {
            name: manifest.name.clone(),
            time: manifest.start,
            hostname: manifest.host.clone(),
            job: manifest.job.clone(),
            fate,
            shared_files: self.heirs.len(),
            manifest,
            successor: None,
            gone: self.gone,
            heirs: self.heirs,
        }
    }
}

/// Remove what the plan says, and look whether it is gone.
///
/// # Errors
/// [`Error::AppendOnly`] before anything is changed; those of the store, and damage of an archive: it stays then, and so do those that
/// come after it.
pub fn execute(
    options: &PurgeOptions<'_>,
    plan: &PurgePlan,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<PurgeReport> {
    let mut report = PurgeReport {
        replaced: Vec::new(),
        held: Held::default(),
        freed_bytes: 0,
        untouched: plan.untouched.len(),
        unopened: 0,
        keeps_versions: keeps_versions(options.store),
    };
    if let Some(first) = plan.archives.first() {
        // The name of nothing, in the folder that matters.
        let nothing = format!("{}-{}", first.name, Id(rand::random()).to_hex());
        demand_deletion(options.store, &nothing, "archive")?;
    }
    for old in &plan.archives {
        cancel.check()?;
        let new = match old.fate {
            Fate::Rewritten => {
                let (new, is_opened) = rewrite(options, old, cancel, monitor)?;
                report.unopened += usize::from(!is_opened);
                Some(new)
            }
            Fate::Removed => None,
            Fate::Superseded => {
                // The purge that wrote it may have been interrupted before it looked at it.
                if let Some(successor) = &old.successor {
                    is_opened_whole(options, &successor.name, cancel, monitor)?;
                }
                old.successor.clone()
            }
        };
        if let Some(new) = &new {
            point_to(options.store, &old.manifest, new, monitor)?;
        }
        let going = ForgetPlan {
            keep: Vec::new(),
            remove: vec![old.manifest.clone()],
        };
        let forgotten = forget(options.store, &going, clock::now(), cancel, monitor)?;
        if forgotten.held.is_empty() {
            let new_bytes = new.as_ref().map_or(0, |new| new.stored_bytes);
            report.freed_bytes += old.manifest.stored_bytes.saturating_sub(new_bytes);
            demand_gone(options.store, &old.manifest)?;
        }
        report.held.add(forgotten.held);
        report.replaced.push((old.name.clone(), new.map(|new| new.name)));
    }
    Ok(report)
}

/// Store the archive without what goes, and prove it before it takes the place of the old one. Says whether the keys opened it for that.
fn rewrite(
    options: &PurgeOptions<'_>,
    old: &PurgedArchive,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<(Manifest, bool)> {
    let manifest = &old.manifest;
    let unsealed = |reason| Error::Refused {
        message: format!("`{}` cannot be written again: {reason}", old.name),
        hint: "Name the repository as the configuration does.".to_owned(),
    };
    let write_options = WriteOptions {
        compression: Compression::stored(manifest)?,
        part_size: (manifest.parts.len() > 1).then(|| manifest.parts[0].size),
        ..WriteOptions::new((options.sealing)(manifest).map_err(unsealed)?)
    };
    let new = NewArchive {
        name: free_name(options.store, manifest)?,
        host: manifest.host.clone(),
        job: manifest.job.clone(),
        start: manifest.start,
        original: Some(manifest.origin().to_owned()),
    };
    let archive = Archive::of(manifest.clone(), options.store, options.keys, cancel);
    let rewritten = Contents::Rewritten(Rewritten {
        archive: &archive,
        content: options.content,
        heirs: &old.heirs,
    });
    let new = write(options.store, &new, rewritten, &write_options, cancel, monitor)?;
    let is_opened = match prove(options, old, &new, cancel, monitor) {
        Ok(is_opened) => is_opened,
        Err(error) => {
            let (keep, remove) = (Vec::new(), vec![new]);
            forget(
                options.store,
                &ForgetPlan { keep, remove },
                clock::now(),
                cancel,
                monitor,
            )?;
            return Err(error);
        }
    };
    Ok((new, is_opened))
}

/// If the pointer to the latest archive of the job names `old`, let it name `new`.
fn point_to(store: &dyn Store, old: &Manifest, new: &Manifest, monitor: &dyn Monitor) -> Result<()> {
    let pointer = latest_name(&old.host, &old.job);
    if latest::read(store, &pointer)?.is_some_and(|latest| latest.name == old.name) {
        // Where a store keeps it for a time, it names the old one, which is kept as well.
        Held::default().count(latest::write(store, &pointer, new))?;
        latest::link(store, &pointer, new, monitor);
    }
    Ok(())
}

/// That the new archive holds everything of the old one but what goes, as far as there are keys for it, and nothing of that.
fn prove(
    options: &PurgeOptions<'_>,
    old: &PurgedArchive,
    new: &Manifest,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<bool> {
    let unproven = |what: &str| {
        let message = format!("the archive that was to take the place of `{}` {what}", old.name);
        Err(Error::Verification(message))
    };
    if Some(new.counts) != old.manifest.counts.without(&old.gone) {
        return unproven("holds other entries than it should");
    }
    if !is_opened_whole(options, &new.name, cancel, monitor)? {
        return Ok(false);
    }
    if !search(options, new, cancel)?.entries.is_empty() {
        return unproven("still holds what was to go");
    }
    Ok(true)
}

/// Whether the keys open the archive, of which everything that can be read has to be what was stored.
fn is_opened_whole(options: &PurgeOptions<'_>, name: &str, cancel: &Cancel, monitor: &dyn Monitor) -> Result<bool> {
    let read_data = CheckOptions { read_data: true };
    let checked = check(options.store, name, options.keys, read_data, cancel, monitor)?;
    match checked.content {
        Content::Proven => Ok(true),
        Content::NeedsIdentity if checked.damage.is_empty() => Ok(false),
        _ => Err(Error::Verification(format!(
            "`{name}`, which was to take the place of another archive, is not what was stored: {}",
            checked.damage.join("; ")
        ))),
    }
}

/// The archive's name with something in it that says why it is another one.
fn free_name(store: &dyn Store, manifest: &Manifest) -> Result<String> {
    let extension = manifest.extension().map(|extension| format!(".{extension}"));
    let extension = extension
        .filter(|extension| manifest.origin().ends_with(extension))
        .unwrap_or_default();
    let stem = manifest.origin().strip_suffix(&extension).unwrap_or(manifest.origin());
    let mut name = format!("{stem}-purged{extension}");
    let mut number = 1;
    while in_the_way(store, &name)?.is_some() {
        number += 1;
        name = format!("{stem}-purged-{number}{extension}");
    }
    Ok(name)
}

/// That the store does not list it any more.
fn demand_gone(store: &dyn Store, manifest: &Manifest) -> Result<()> {
    match in_the_way(store, &manifest.name)? {
        None => Ok(()),
        Some(object) => Err(Error::Verification(format!(
            "the store still lists `{}`, although it was deleted",
            object.name
        ))),
    }
}
