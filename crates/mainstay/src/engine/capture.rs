//! From the sources of a job to what the two formats of repositories take.

use super::Naming;
use super::manifest::{self, Facts, Grade, Manifest};
use crate::clock;
use crate::config::Misuse;
use crate::config::model;
use crate::source::{self, FILES, Item, Source, Surroundings};
use parking_lot::Mutex;
use repository::restic::backup::{self, MakeLast, PartTotals, Totals};
use repository::{Filter, FilterBuilder, archive};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A source as the manifest describes it.
#[derive(Clone, Debug)]
pub struct SourceInfo {
    /// The kind of source.
    pub kind: &'static str,
    /// What it is, for people.
    pub name: String,
    /// How consistent it is, if that is known.
    pub grade: Option<Grade>,
    /// Where it stands in the snapshot.
    pub paths: Vec<PathBuf>,
    /// Where that is counted: paths of this host; of streams, those in the snapshot.
    pub places: Vec<PathBuf>,
    /// What is known when it is captured.
    pub facts: Arc<Mutex<Facts>>,
}

/// Everything that is to be captured.
pub struct Capture {
    /// What it is.
    pub infos: Vec<SourceInfo>,
    items: Vec<(Item, bool, Arc<Mutex<Facts>>)>,
}

impl Capture {
    /// Open the sources; secrets are read here, and nothing is begun.
    ///
    /// # Errors
    /// If a secret cannot be read.
    pub fn new(sources: &[Box<dyn Source>], surroundings: &Surroundings<'_>) -> Result<Self, Misuse> {
        let (mut infos, mut all) = (Vec::new(), Vec::new());
        for source in sources {
            let items = source.capture(surroundings)?;
            let facts: Arc<Mutex<Facts>> = Arc::default();
            infos.push(SourceInfo {
                kind: source.kind(),
                name: source.name(),
                grade: source.grade(),
                paths: items.iter().map(Item::logical_path).collect(),
                places: items.iter().map(place).collect(),
                facts: Arc::clone(&facts),
            });
            let required = source.is_required();
            all.extend(items.into_iter().map(|item| (item, required, Arc::clone(&facts))));
        }
        Ok(Self { infos, items: all })
    }

    /// Only what can be looked at without starting anything.
    pub fn only_paths(&mut self) {
        self.items.retain(|(item, ..)| matches!(item, Item::Path(_)));
    }

    /// Whether there is anything.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// For a repository of restic's format.
    pub fn into_restic(self, naming: &Naming, written: &Written) -> Vec<backup::Source> {
        let (infos, naming, written) = (self.infos, naming.clone(), Arc::clone(written));
        let content: MakeLast = Box::new(move |totals| write_manifest(&naming, &infos, totals, &written));
        let last = backup::Source::Last {
            path: manifest::PATH.into(),
            content,
        };
        let source = |(item, required, facts): (Item, bool, Arc<Mutex<Facts>>)| match item {
            Item::Path(path) => backup::Source::Below {
                root: FILES.into(),
                path,
            },
            Item::Stream(stream) => backup::Source::Stream {
                path: stream.path,
                reader: stream.reader,
                finish: Box::new(move || {
                    *facts.lock() = (stream.finish)()?;
                    Ok(())
                }),
                required,
            },
        };
        self.items.into_iter().map(source).chain([last]).collect()
    }

    /// For an archive.
    pub fn into_archive(self, naming: &Naming, written: &Written) -> Vec<archive::Source> {
        let (infos, naming, written) = (self.infos, naming.clone(), Arc::clone(written));
        let places: Vec<PathBuf> = self.items.iter().map(|(item, ..)| place(item)).collect();
        let content: archive::MakeLast = Box::new(move |found| {
            let part = |(path, (entries, bytes)): (&PathBuf, &(u64, u64))| PartTotals {
                path: path.clone(),
                entries: *entries,
                bytes: *bytes,
            };
            let totals = Totals {
                parts: places.iter().zip(found).map(part).collect(),
                ..Totals::default()
            };
            write_manifest(&naming, &infos, &totals, &written)
        });
        let last = archive::Source::last(Path::new(manifest::PATH), content);
        let source = |(item, _, facts): (Item, bool, Arc<Mutex<Facts>>)| {
            let path = item.logical_path();
            match item {
                Item::Path(host) => archive::Source::path_as(host, &path),
                Item::Stream(stream) => archive::Source::stream(&path, stream.reader, move || {
                    *facts.lock() = (stream.finish)()?;
                    Ok(())
                }),
            }
        };
        self.items.into_iter().map(source).chain([last]).collect()
    }
}

/// The manifest of a run, as soon as one is written.
pub type Written = Arc<Mutex<Option<Manifest>>>;

fn write_manifest(naming: &Naming, infos: &[SourceInfo], totals: &Totals, written: &Written) -> Vec<u8> {
    let manifest = Manifest::new(naming, infos, totals, clock::now());
    let json = manifest.to_json();
    *written.lock() = Some(manifest);
    json
}

/// Where an item is counted.
fn place(item: &Item) -> PathBuf {
    match item {
        Item::Path(path) => backup::clean_path(path),
        Item::Stream(stream) => stream.path.clone(),
    }
}

/// What is left out: by the job, by each source, and what is ours (repositories and the cache).
///
/// # Errors
/// If a pattern makes no sense, or sources differ in what there can only be one of.
pub fn filter(job: &model::Job, sources: &[Box<dyn Source>], own: &[PathBuf]) -> anyhow::Result<(Filter, bool)> {
    let scopes: Vec<source::Scope> = sources.iter().map(|source| source.scope()).collect();
    let mut filter = job.exclude.add_to(Filter::builder());
    let has_includes = scopes.iter().any(|scope| !scope.include.is_empty());
    let mut one_file_system = None;
    for scope in scopes {
        if let Some(wanted) = scope.one_file_system
            && *one_file_system.get_or_insert(wanted) != wanted
        {
            let hint = "Give all of them the same value, or put them into jobs of their own.";
            let message = format!("the `files` of job `{}` differ in `one_file_system`", job.name);
            return Err(Misuse::new(message, hint).into());
        }
        filter = scope.exclude.into_iter().fold(filter, FilterBuilder::exclude);
        if has_includes {
            let include = if scope.include.is_empty() {
                scope
                    .paths
                    .iter()
                    .map(|path| repository::literal_pattern(path))
                    .collect()
            } else {
                scope.include
            };
            filter = include.into_iter().fold(filter, FilterBuilder::include);
        }
    }
    let own = own.iter().map(|path: &PathBuf| repository::literal_pattern(path));
    let filter = own.fold(filter, FilterBuilder::exclude).build()?;
    Ok((filter, one_file_system.unwrap_or_default()))
}

/// Where a directory of ours is met when one of `sources` is walked through.
pub fn met_below(sources: &[PathBuf], own: &Path) -> Vec<PathBuf> {
    sources.iter().filter_map(|source| below(source, own)).collect()
}

/// The path of `own` as it is met when `source` is walked through.
fn below(source: &Path, own: &Path) -> Option<PathBuf> {
    let own = own.canonicalize().ok()?;
    let rest = own.strip_prefix(source.canonicalize().ok()?).ok()?.to_path_buf();
    let source = std::path::absolute(source).ok()?;
    // A source that is the repository itself was meant.
    (!rest.as_os_str().is_empty()).then(|| source.join(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_found_in_what_is_backed_up() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let own = root.join("a/repo");
        std::fs::create_dir_all(&own).unwrap();
        assert_eq!(below(&root, &own), Some(own.clone()));
        assert_eq!(below(&own, &own), None);
        assert_eq!(below(&own, &root), None);
        std::os::unix::fs::symlink(&root, root.join("link")).unwrap();
        assert_eq!(below(&root.join("link/a"), &own), Some(root.join("link/a/repo")));
    }
}
