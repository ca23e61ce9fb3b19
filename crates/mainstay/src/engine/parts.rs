//! Parts of a restore point: put back through their sources, and proven in scratch.

use super::manifest::{self, Manifest, Part};
use crate::config::Misuse;
use crate::config::model::Config;
use crate::explain;
use crate::source::{self, Proof, PutBack, Restored, Source, Stored, Surroundings, Verdict, Workplace};
use repository::points::{PointFilter, RestorePoint, RestorePoints, Selected};
use repository::{Error, Monitor, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What a run of a job wrote beside the data.
///
/// # Errors
/// [`Error::Refused`] if there is no manifest or a damaged one.
pub fn manifest_of(points: &dyn RestorePoints, selected: &Selected, monitor: &dyn Monitor) -> Result<Manifest> {
    if selected.subfolder.is_some() {
        return Err(Error::Refused {
            message: format!(
                "parts are chosen of a whole restore point, not of `{}:…`",
                selected.point.short_id()
            ),
            hint: "Leave out the colon and what follows it.".to_owned(),
        });
    }
    let mut json = Vec::new();
    let no_manifest = || Error::Refused {
        message: format!("`{}` has no manifest: no job made it", selected.point.short_id()),
        hint: "Restore it into a directory with `restore --target`.".to_owned(),
    };
    match points.dump(
        selected,
        Path::new(manifest::PATH),
        &mut json,
        &|| Err(no_manifest()),
        monitor,
    ) {
        Ok(()) => Manifest::parse(&json),
        Err(Error::NotFound { .. }) => Err(no_manifest()),
        Err(error) => Err(error),
    }
}

/// A part that was chosen, and what of it.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The part.
    pub part: Part,
    /// What of it, if not all.
    pub only: Option<PathBuf>,
}

/// The parts that `path` names: one, something in one, or all that stand below it; in the order in which they have to be restored.
///
/// # Errors
/// [`Misuse`] that says which there are, if it names none; and if one is not whole.
pub fn choose(manifest: &Manifest, path: &Path) -> std::result::Result<Vec<Chosen>, Misuse> {
    let chosen: Vec<Chosen> = manifest.parts.iter().filter_map(|part| chosen(part, path)).collect();
    if chosen.is_empty() {
        let known: Vec<_> = manifest
            .parts
            .iter()
            .map(|part| part.path.display().to_string())
            .collect();
        let hint = format!("The parts are {}.", known.join(", "));
        return Err(Misuse::new(format!("there is no part `{}`", path.display()), hint));
    }
    let broken = chosen
        .iter()
        .find_map(|chosen| Some((chosen, chosen.part.problem.as_ref()?)));
    if let Some((Chosen { part, .. }, problem)) = broken {
        let message = format!("`{}` is not whole: {problem}", part.path.display());
        return Err(Misuse::new(message, "Choose another restore point."));
    }
    Ok(chosen)
}

/// The same of a restore point in a repository: where it does not hold all of that, the hint names the newest one of its job and host that does.
///
/// # Errors
/// As [`choose`].
pub fn choose_of(
    points: &dyn RestorePoints,
    manifest: &Manifest,
    path: &Path,
    monitor: &dyn Monitor,
) -> std::result::Result<Vec<Chosen>, Misuse> {
    choose(manifest, path).map_err(|misuse| match newest_with(points, manifest, path, monitor) {
        Some(point) => {
            let hint = format!(
                "The newest restore point that holds it whole is `{}`.",
                point.short_id()
            );
            Misuse { hint, ..misuse }
        }
        None => misuse,
    })
}

/// So many are looked through for a hint: of a far repository each takes some requests.
const MOST_FOR_HINT: usize = 100;

/// What cannot be read is none: this is for a hint.
fn newest_with(
    points: &dyn RestorePoints,
    manifest: &Manifest,
    path: &Path,
    monitor: &dyn Monitor,
) -> Option<RestorePoint> {
    let all = points.list(&PointFilter::default(), monitor).ok()?;
    let own = all.into_iter().rev().filter(|point| is_of(point, manifest));
    own.take(MOST_FOR_HINT).find(|point| {
        let selected = Selected {
            point: point.clone(),
            subfolder: None,
        };
        manifest_of(points, &selected, monitor).is_ok_and(|other| choose(&other, path).is_ok())
    })
}

/// Whether it is of the same host and job.
fn is_of(point: &RestorePoint, manifest: &Manifest) -> bool {
    match point {
        RestorePoint::Snapshot(_, snapshot) => {
            let label = super::job_tag(&manifest.job);
            snapshot.hostname == manifest.host && snapshot.tags.iter().flatten().any(|tag| *tag == label)
        }
        RestorePoint::Archive(archive) => archive.host == manifest.host && archive.job == manifest.job,
    }
}

fn chosen(part: &Part, path: &Path) -> Option<Chosen> {
    let only = match path.strip_prefix(&part.path) {
        Ok(rest) if rest.as_os_str().is_empty() => None,
        Ok(rest) => Some(rest.to_owned()),
        Err(_) if part.path.starts_with(path) => None,
        Err(_) => return None,
    };
    let part = part.clone();
    Some(Chosen { part, only })
}

/// The source that a part came from.
///
/// # Errors
/// [`Misuse`] if none is configured.
pub fn source_of(config: &Config, manifest: &Manifest, part: &Part) -> std::result::Result<Box<dyn Source>, Misuse> {
    // The same database may be a source of several jobs, with other options.
    let (own, others): (Vec<_>, Vec<_>) = config.jobs.iter().partition(|job| job.name == manifest.job);
    for configured in own.iter().chain(&others).flat_map(|job| &job.sources) {
        if configured.check_executable().is_err() {
            continue;
        }
        let source = source::open(configured)?;
        if source.holds(part) {
            return Ok(source);
        }
    }
    let message = format!("no source is configured that `{}` belongs to", part.path.display());
    let hint = "Add the source to the configuration, or restore its files with `restore --target DIR`.";
    Err(Misuse::new(message, hint))
}

/// What putting parts back comes to.
pub struct PutBackPlan<'a> {
    steps: Vec<String>,
    execute: Vec<Box<dyn FnOnce() -> anyhow::Result<Restored> + 'a>>,
}

impl<'a> PutBackPlan<'a> {
    /// Of all of these, in their order. Nothing is changed.
    ///
    /// # Errors
    /// What stands in the way of one of them.
    pub fn of(
        wanted: &'a [(Box<dyn Source>, Stored<'a>, PutBack)],
        surroundings: &'a Surroundings<'a>,
    ) -> anyhow::Result<Self> {
        let mut all = Self {
            steps: Vec::new(),
            execute: Vec::new(),
        };
        for (source, stored, options) in wanted {
            let plan = source.restore(stored, options, surroundings)?;
            all.steps.extend(plan.steps);
            all.execute.push(plan.execute);
        }
        Ok(all)
    }

    /// Step by step, for people.
    pub fn steps(&self) -> &[String] {
        &self.steps
    }

    /// Do it, and stop at the first error.
    ///
    /// # Errors
    /// Those of the sources.
    pub fn execute(self) -> anyhow::Result<Restored> {
        let mut sum = Restored::default();
        for execute in self.execute {
            let restored = execute()?;
            sum.entries += restored.entries;
            sum.bytes += restored.bytes;
            sum.problems += restored.problems;
        }
        Ok(sum)
    }
}

/// What a drill found of one part.
#[derive(Debug, Serialize)]
pub struct Drilled {
    /// Its path in the snapshot.
    pub part: PathBuf,
    /// The kind of source.
    pub kind: String,
    /// How long restoring and testing took, seconds.
    pub seconds: f64,
    /// Whether it is proven that it can be restored.
    pub ok: bool,
    /// What was tested.
    #[serde(flatten)]
    pub proof: Proof,
    /// Why it could not be tested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Of a part that was removed on purpose: there is nothing to restore.
fn removed(stored: &Stored<'_>) -> Drilled {
    let mut proof = Proof::default();
    let reason = "it was removed on purpose since it was captured".to_owned();
    proof.add("everything", Verdict::Skipped { reason });
    Drilled {
        part: stored.part.path.clone(),
        kind: stored.part.kind.clone(),
        seconds: 0.0,
        ok: true,
        proof,
        error: None,
    }
}

/// Restore a part into scratch below `scratch`, test it, and throw it away.
///
/// # Errors
/// Only that the user asks to stop: what goes wrong is what a drill is for.
pub fn drill(
    source: &dyn Source,
    stored: &Stored<'_>,
    scratch: &Path,
    surroundings: &Surroundings<'_>,
) -> Result<Drilled> {
    let begin = Instant::now();
    if stored.is_purged() && matches!(stored.has(&stored.part.path), Ok(false)) {
        return Ok(removed(stored));
    }
    let proven = Workplace::new(scratch, "drill")
        .map_err(anyhow::Error::from)
        .and_then(|workplace| {
            let proof = source.prove(stored, workplace.path(), surroundings);
            workplace.close()?;
            proof
        });
    surroundings.cancel.check()?;
    let (proof, error) = match proven {
        Ok(proof) => (proof, None),
        Err(error) => (Proof::default(), Some(explain::chain(&error))),
    };
    Ok(Drilled {
        part: stored.part.path.clone(),
        kind: stored.part.kind.clone(),
        seconds: begin.elapsed().as_secs_f64(),
        ok: error.is_none() && proof.is_ok(),
        proof,
        error,
    })
}
