//! Snapshots in restic's format.

use super::refuse_if_incomplete;
use super::{
    EachEntry, ForgetDecision, ForgetGroup, ForgetOptions, ForgetPlan, Forgetting, Forgotten, PointFilter,
    RestorePoint, RestorePoints, Selected, split,
};
use crate::restic::dump::{dump_file, dump_tar};
use crate::restic::lock::Lock;
use crate::restic::node::NodeKind;
use crate::restic::repository::Repository;
use crate::restic::restore::{self, RestoreOptions, RestoreReport};
use crate::restic::select::{self, Found, find_path};
use crate::restic::snapshot::Snapshot;
use crate::restic::{forget, ls};
use crate::{Cancel, Error, Id, Monitor, Result};
use std::io::Write;
use std::path::Path;

/// A repository in restic's format, with the lock that the work needs.
#[derive(Debug)]
pub struct Snapshots {
    repository: Repository,
    lock: Option<Lock>,
    cancel: Cancel,
}

impl Snapshots {
    /// For reading, a shared lock should be held; for forgetting, the exclusive one must.
    pub fn new(repository: Repository, lock: Option<Lock>, cancel: Cancel) -> Self {
        Self {
            repository,
            lock,
            cancel,
        }
    }

    /// The repository itself.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The lock, for what comes after forgetting.
    ///
    /// # Errors
    /// [`Error::Verification`] if none is held.
    pub fn lock(&self) -> Result<&Lock> {
        self.lock
            .as_ref()
            .ok_or_else(|| Error::Verification("the repository is changed without a lock".to_owned()))
    }

    /// Unlike for other work, the snapshot need not be readable.
    fn id_of(&self, name: &str, filter: &PointFilter, monitor: &dyn Monitor) -> Result<Id> {
        if name == "latest" {
            return Ok(select::select(&self.repository, name, &filter.snapshots, monitor)?.id);
        }
        select::full_id(&self.repository, name)
    }
}

/// What the trait's user selected, as this format has it.
fn selected(selected: &Selected) -> Result<select::Selected> {
    match &selected.point {
        RestorePoint::Snapshot(id, snapshot) => Ok(select::Selected {
            id: *id,
            snapshot: (**snapshot).clone(),
            subfolder: selected.subfolder.clone(),
        }),
        RestorePoint::Archive(manifest) => Err(Error::NotFound {
            what: "snapshot",
            name: manifest.name.clone(),
        }),
    }
}

impl RestorePoints for Snapshots {
    fn list(&self, filter: &PointFilter, monitor: &dyn Monitor) -> Result<Vec<RestorePoint>> {
        let chosen = select::matching(&self.repository, &filter.snapshots, monitor)?;
        let point = |(id, snapshot): (Id, Snapshot)| RestorePoint::Snapshot(id, Box::new(snapshot));
        Ok(chosen.into_iter().map(point).collect())
    }

    fn select(&self, text: &str, filter: &PointFilter, monitor: &dyn Monitor) -> Result<Selected> {
        let found = select::select(&self.repository, text, &filter.snapshots, monitor)?;
        Ok(Selected {
            point: RestorePoint::Snapshot(found.id, Box::new(found.snapshot)),
            subfolder: split(text).1,
        })
    }

    fn entries(&self, point: &Selected, each: &mut EachEntry<'_>, monitor: &dyn Monitor) -> Result<()> {
        let index = self.repository.load_index()?;
        let root = selected(point)?.tree(&self.repository, &index)?;
        ls::list(&self.repository, &index, &root, each, &self.cancel, monitor)
    }

    fn dump(
        &self,
        point: &Selected,
        path: &Path,
        out: &mut dyn Write,
        may_be_directory: &dyn Fn() -> Result<()>,
        monitor: &dyn Monitor,
    ) -> Result<()> {
        let (repository, point) = (&self.repository, selected(point)?);
        let index = repository.load_readable_index(monitor)?;
        let root = point.tree(repository, &index)?;
        let below = point.subfolder.as_deref().unwrap_or(Path::new("/"));
        let full = below.join(path.strip_prefix("/").unwrap_or(path));
        let tree = match find_path(repository, &index, &root, path)? {
            Found::Root => root,
            Found::Node(node) => match (node.kind, node.subtree) {
                (NodeKind::File, _) => return dump_file(repository, &index, &node, out, &self.cancel, monitor),
                (NodeKind::Dir, Some(tree)) => tree,
                (kind, _) => {
                    return Err(Error::Refused {
                        message: format!(
                            "`{}` is neither a file nor a directory, but of kind `{}`",
                            full.display(),
                            kind.name()
                        ),
                        hint: "Dump the directory that it is in, or restore it.".to_owned(),
                    });
                }
            },
        };
        may_be_directory()?;
        dump_tar(repository, &index, &tree, &full, out, &self.cancel, monitor)
    }

    fn restore(&self, point: &Selected, options: &RestoreOptions, monitor: &dyn Monitor) -> Result<RestoreReport> {
        let point = selected(point)?;
        if options.delete {
            refuse_if_incomplete("snapshot", point.snapshot.mainstay_problems.unwrap_or_default())?;
        }
        let index = self.repository.load_readable_index(monitor)?;
        let root = point.tree(&self.repository, &index)?;
        restore::restore(&self.repository, &index, &root, options, &self.cancel, monitor)
    }

    fn plan_forget(&self, options: &ForgetOptions, monitor: &dyn Monitor) -> Result<ForgetPlan> {
        let plan = match &options.what {
            Forgetting::Named(names) => {
                let ids: Result<Vec<Id>> = names
                    .iter()
                    .map(|name| self.id_of(name, &options.filter, monitor))
                    .collect();
                forget::plan_ids(&self.repository, &ids?, options.allow_empty, monitor)?
            }
            Forgetting::ByPolicy(policy) => {
                let options = forget::ForgetOptions {
                    policy: policy.clone(),
                    group_by: options.group_by,
                    filter: options.filter.snapshots.clone(),
                    allow_empty: options.allow_empty,
                    timezone: options.timezone.clone(),
                };
                forget::plan(&self.repository, &options, monitor)?
            }
        };
        Ok(plan.into())
    }

    fn forget(&self, plan: &ForgetPlan, monitor: &dyn Monitor) -> Result<Forgotten> {
        let plan = forget::ForgetPlan {
            remove: ids(&plan.remove)?,
            ..forget::ForgetPlan::default()
        };
        let forgotten = forget::execute(&self.repository, &plan, self.lock()?, &self.cancel, monitor)?;
        Ok(Forgotten {
            removed: forgotten.removed.iter().map(Id::to_hex).collect(),
            held: forgotten.held,
        })
    }
}

/// The ids that a plan names.
pub fn ids(texts: &[String]) -> Result<Vec<Id>> {
    let id = |text: &String| {
        text.parse().map_err(|_| Error::NotFound {
            what: "snapshot",
            name: text.clone(),
        })
    };
    texts.iter().map(id).collect()
}

impl From<forget::ForgetPlan> for ForgetPlan {
    fn from(plan: forget::ForgetPlan) -> Self {
        let texts = |ids: &[Id]| ids.iter().map(Id::to_hex).collect();
        Self {
            remove: texts(&plan.remove),
            unreadable: plan.unreadable,
            remove_unreadable: texts(&plan.remove_unreadable),
            groups: plan.groups.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<forget::GroupPlan> for ForgetGroup {
    fn from(group: forget::GroupPlan) -> Self {
        Self {
            host: group.host,
            job: None,
            paths: group.paths,
            tags: group.tags,
            decisions: group.decisions.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<forget::ForgetDecision> for ForgetDecision {
    fn from(decision: forget::ForgetDecision) -> Self {
        Self {
            id: decision.id.to_hex(),
            short_id: decision.id.short(),
            time: decision.time,
            hostname: decision.hostname,
            paths: decision.paths,
            tags: decision.tags,
            incomplete: decision.incomplete,
            keep: decision.keep,
            reasons: decision.reasons,
        }
    }
}
