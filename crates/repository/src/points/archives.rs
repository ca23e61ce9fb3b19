//! Archives.

use super::{
    EachEntry, ForgetDecision, ForgetGroup, ForgetOptions, ForgetPlan, Forgetting, Forgotten, PointFilter,
    RestorePoint, RestorePoints, Selected, split,
};
use crate::archive::{self, Archive, Keys, Manifest, full_name, list, plan_forget, plan_forget_named};
use crate::restic::restore::{RestoreOptions, RestoreReport};
use crate::{Cancel, Counters, Error, Monitor, Result, clock};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::Store;

/// A store with archives, and what opens them.
#[derive(Debug)]
pub struct Archives {
    store: Arc<dyn Store>,
    keys: Keys,
    cancel: Cancel,
}

impl Archives {
    /// Those in `store`; encrypted ones can be listed and forgotten, but not read, before [`Archives::unlock`].
    pub fn new(store: Arc<dyn Store>, cancel: Cancel) -> Self {
        Self {
            store,
            keys: Keys::none(),
            cancel,
        }
    }

    /// Use these keys from now on.
    pub fn unlock(&mut self, keys: Keys) {
        self.keys = keys;
    }

    /// Where they are.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// What opens them.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The manifests that the filter lets through, oldest first.
    pub fn manifests(&self, filter: &PointFilter, monitor: &dyn Monitor) -> Result<Vec<Manifest>> {
        let mut manifests = list(&*self.store, "", &self.cancel, monitor)?;
        manifests.retain(|manifest| matches(filter, manifest));
        Ok(manifests)
    }

    fn with<T>(&self, selected: &Selected, work: impl FnOnce(&Archive<'_>, &Path) -> Result<T>) -> Result<T> {
        let RestorePoint::Archive(manifest) = &selected.point else {
            return Err(not_found(&selected.point.id()));
        };
        let archive = Archive::of((**manifest).clone(), &*self.store, &self.keys, &self.cancel);
        let root = selected.subfolder.as_deref().unwrap_or(Path::new(""));
        work(&archive, root.strip_prefix("/").unwrap_or(root))
    }
}

fn matches(filter: &PointFilter, manifest: &Manifest) -> bool {
    let hosts = &filter.snapshots.hosts;
    (hosts.is_empty() || hosts.contains(&manifest.host))
        && (filter.jobs.is_empty() || filter.jobs.contains(&manifest.job))
}

fn not_found(name: &str) -> Error {
    Error::NotFound {
        what: "archive",
        name: name.to_owned(),
    }
}

impl RestorePoints for Archives {
    fn list(&self, filter: &PointFilter, monitor: &dyn Monitor) -> Result<Vec<RestorePoint>> {
        let manifests = self.manifests(filter, monitor)?;
        let point = |manifest| RestorePoint::Archive(Box::new(manifest));
        Ok(manifests.into_iter().map(point).collect())
    }

    fn select(&self, text: &str, filter: &PointFilter, monitor: &dyn Monitor) -> Result<Selected> {
        let (name, subfolder) = split(text);
        let manifest = if name == "latest" {
            self.manifests(filter, monitor)?.pop().ok_or_else(|| not_found(text))?
        } else {
            Manifest::read(&*self.store, &full_name(&*self.store, name)?)?
        };
        Ok(Selected {
            point: RestorePoint::Archive(Box::new(manifest)),
            subfolder,
        })
    }

    fn entries(&self, selected: &Selected, each: &mut EachEntry<'_>, _: &dyn Monitor) -> Result<()> {
        self.with(selected, |archive, root| {
            let mut is_there = root.as_os_str().is_empty();
            archive.entries(&mut |entry| {
                let Ok(below) = entry.path.strip_prefix(root) else {
                    return Ok(());
                };
                is_there = true;
                if below.as_os_str().is_empty() {
                    return Ok(());
                }
                each(&Path::new("/").join(below), &entry.node()).map(drop)
            })?;
            if is_there { Ok(()) } else { Err(no_path(root)) }
        })
    }

    fn dump(
        &self,
        selected: &Selected,
        path: &Path,
        out: &mut dyn Write,
        may_be_directory: &dyn Fn() -> Result<()>,
        _: &dyn Monitor,
    ) -> Result<()> {
        let path = path.strip_prefix("/").unwrap_or(path);
        self.with(selected, |archive, root| {
            let full: PathBuf = root.join(path).components().collect();
            archive.dump(&full, out, may_be_directory)
        })
    }

    fn restore(&self, selected: &Selected, options: &RestoreOptions, monitor: &dyn Monitor) -> Result<RestoreReport> {
        self.with(selected, |archive, root| {
            let own = archive::RestoreOptions {
                root: root.to_owned(),
                filter: options.filter.clone(),
                overwrite: options.overwrite,
                metadata: options.metadata,
                dry_run: options.dry_run,
                verify: options.verify,
                delete: options.delete,
                protect: options.protect.clone(),
                ..archive::RestoreOptions::new(&options.target)
            };
            let report = archive.restore(&own, monitor)?;
            Ok(RestoreReport {
                files: report.files,
                dirs: report.directories,
                others: report.others,
                bytes: report.bytes,
                identical_files: report.identical_files,
                identical_bytes: report.identical_bytes,
                skipped: report.skipped,
                deleted: report.deleted,
                verified_files: report.verified_files,
                problems: report.problems,
                ..RestoreReport::default()
            })
        })
    }

    /// Archives of one host and job are decided about together. The newest, and the newest without problems, always stay.
    fn plan_forget(&self, options: &ForgetOptions, monitor: &dyn Monitor) -> Result<ForgetPlan> {
        let problems = || Counters::get(&monitor.counters().problems);
        let before = problems();
        let names = match &options.what {
            Forgetting::ByPolicy(policy) => policy.check().map(|()| Vec::new())?,
            Forgetting::Named(names) => names
                .iter()
                .map(|name| Ok(self.select(name, &options.filter, monitor)?.point.id()))
                .collect::<Result<_>>()?,
        };
        let filter = match &options.what {
            Forgetting::ByPolicy(_) => options.filter.clone(),
            // Whatever the filter says, the newest of a job is the newest of all.
            Forgetting::Named(_) => PointFilter::default(),
        };
        let mut jobs: BTreeMap<(String, String), Vec<Manifest>> = BTreeMap::new();
        for manifest in self.manifests(&filter, monitor)? {
            let job = (manifest.host.clone(), manifest.job.clone());
            jobs.entry(job).or_default().push(manifest);
        }
        let mut plan = ForgetPlan {
            unreadable: usize::try_from(problems() - before).unwrap_or(usize::MAX),
            ..ForgetPlan::default()
        };
        for ((host, job), manifests) in jobs {
            let decided = match &options.what {
                Forgetting::ByPolicy(policy) => plan_forget(manifests, policy, &options.timezone, clock::now())?,
                Forgetting::Named(_) if !manifests.iter().any(|manifest| names.contains(&manifest.name)) => continue,
                Forgetting::Named(_) => plan_forget_named(manifests, &names)?,
            };
            plan.remove
                .extend(decided.remove.iter().map(|manifest| manifest.name.clone()));
            plan.groups.push(group(host, job, decided, &options.what));
        }
        Ok(plan)
    }

    fn forget(&self, plan: &ForgetPlan, monitor: &dyn Monitor) -> Result<Forgotten> {
        monitor.phase("removing archives");
        let remove: Result<Vec<Manifest>> = plan
            .remove
            .iter()
            .map(|name| Manifest::read(&*self.store, name))
            .collect();
        let plan = archive::ForgetPlan {
            keep: Vec::new(),
            remove: remove?,
        };
        let forgotten = archive::forget(&*self.store, &plan, clock::now(), &self.cancel, monitor)?;
        Ok(Forgotten {
            removed: forgotten.removed,
            held: forgotten.held,
        })
    }
}

fn no_path(path: &Path) -> Error {
    Error::NotFound {
        what: "path",
        name: format!("/{}", path.display()),
    }
}

fn group(host: String, job: String, decided: archive::ForgetPlan, what: &Forgetting) -> ForgetGroup {
    let gone = match what {
        Forgetting::ByPolicy(_) => "no rule keeps it",
        Forgetting::Named(_) => "named",
    };
    let kept = decided
        .keep
        .iter()
        .map(|(manifest, reasons)| decision(manifest, true, reasons.clone()));
    let removed = decided
        .remove
        .iter()
        .map(|manifest| decision(manifest, false, vec![gone.to_owned()]));
    let mut decisions: Vec<ForgetDecision> = kept.chain(removed).collect();
    decisions.sort_by(|a, b| (b.time, &b.id).cmp(&(a.time, &a.id)));
    ForgetGroup {
        host: Some(host),
        job: Some(job),
        paths: None,
        tags: None,
        decisions,
    }
}

fn decision(manifest: &Manifest, keep: bool, reasons: Vec<String>) -> ForgetDecision {
    ForgetDecision {
        id: manifest.name.clone(),
        short_id: manifest.name.clone(),
        time: manifest.start,
        hostname: manifest.host.clone(),
        paths: Vec::new(),
        tags: Vec::new(),
        incomplete: manifest.counts.problems > 0,
        keep,
        reasons,
    }
}
