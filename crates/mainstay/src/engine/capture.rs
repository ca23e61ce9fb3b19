//! From the sources of a job to what the two formats of repositories take.

use super::Naming;
use super::manifest::{self, Facts, Grade, Manifest};
use crate::config::Misuse;
use crate::config::model;
use crate::source::{self, FILES, Item, Piece, Protected, Source, Stream, Surroundings};
use crate::{clock, explain};
use parking_lot::Mutex;
use repository::archive::StoredItem;
use repository::restic::backup::{self, MakeLast, PartTotals, Totals};
use repository::{Filter, FilterBuilder, archive};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A part as the manifest describes it.
#[derive(Clone, Debug)]
pub struct PartInfo {
    /// The kind of source.
    pub kind: &'static str,
    /// What it is, for people.
    pub name: String,
    /// How consistent it is, if that is known.
    pub grade: Option<Grade>,
    /// Where it stands in the snapshot.
    pub path: PathBuf,
    /// Where that is counted: paths of this host; of streams, those in the snapshot.
    pub places: Vec<PathBuf>,
    /// What is known when it is captured.
    pub facts: Arc<Mutex<Facts>>,
    /// Why it is not whole.
    pub problem: Problem,
}

/// Why a part is not whole, if it is not.
type Problem = Arc<Mutex<Option<String>>>;

/// Everything that is to be captured.
pub struct Capture {
    /// What it is.
    pub infos: Vec<PartInfo>,
    items: Vec<ToCapture>,
}

struct ToCapture {
    item: Item,
    required: bool,
    problem: Problem,
}

impl Capture {
    /// Open the sources; secrets are read here, and nothing is begun. A source that cannot be reached becomes a part with a problem.
    ///
    /// # Errors
    /// If a secret cannot be read, or a source that is required cannot be reached.
    pub fn new(sources: &[Protected], surroundings: &Surroundings<'_>) -> anyhow::Result<Self> {
        let (mut infos, mut items) = (Vec::new(), Vec::new());
        for Protected { source, required } in sources {
            let required = *required;
            let pieces = match source.capture(surroundings) {
                Ok(pieces) => pieces,
                Err(error) if required || error.is::<Misuse>() => return Err(error),
                Err(error) => vec![unreachable(&**source, &error)],
            };
            for piece in pieces {
                let problem = Problem::default();
                infos.push(PartInfo {
                    kind: source.kind(),
                    name: piece.name,
                    grade: piece.grade,
                    path: piece.path,
                    places: piece.items.iter().map(place).collect(),
                    facts: piece.facts,
                    problem: Arc::clone(&problem),
                });
                let wanted = piece.items.into_iter().map(|item| ToCapture {
                    item,
                    required,
                    problem: Arc::clone(&problem),
                });
                items.extend(wanted);
            }
        }
        Ok(Self { infos, items })
    }

    /// Only what can be looked at without starting anything.
    pub fn only_paths(&mut self) {
        self.items.retain(|wanted| matches!(wanted.item, Item::Path(_)));
    }

    /// Whether there is anything.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Where everything stands in a snapshot, in the order in which an archive holds it.
    pub fn stored_items(&self) -> Vec<StoredItem> {
        let stored = |wanted: &ToCapture| match &wanted.item {
            Item::Path(path) => StoredItem::Path(source::logical(&backup::clean_path(path))),
            Item::Stream(stream) => StoredItem::Stream(backup::clean_path(&stream.path)),
        };
        let last = StoredItem::Stream(manifest::PATH.into());
        self.items.iter().map(stored).chain([last]).collect()
    }

    /// For a repository of restic's format.
    pub fn into_restic(self, naming: &Naming, written: &Written) -> Vec<backup::Source> {
        let (infos, naming, written) = (self.infos, naming.clone(), Arc::clone(written));
        let content: MakeLast = Box::new(move |totals| write_manifest(&naming, &infos, totals, &written));
        let last = backup::Source::Last {
            path: manifest::PATH.into(),
            content,
        };
        let source = |ToCapture {
                          item,
                          required,
                          problem,
                      }| match item {
            Item::Path(path) => backup::Source::Below {
                root: FILES.into(),
                path,
            },
            Item::Stream(stream) => {
                let Stream { path, reader, finish } = watched(stream, problem);
                backup::Source::Stream {
                    path,
                    reader,
                    finish,
                    required,
                }
            }
        };
        self.items.into_iter().map(source).chain([last]).collect()
    }

    /// For an archive.
    pub fn into_archive(self, naming: &Naming, written: &Written) -> Vec<archive::Source> {
        let (infos, naming, written) = (self.infos, naming.clone(), Arc::clone(written));
        let places: Vec<PathBuf> = self.items.iter().map(|wanted| place(&wanted.item)).collect();
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
        let source = |ToCapture {
                          item,
                          required,
                          problem,
                      }: ToCapture| {
            let path = item.logical_path();
            match item {
                Item::Path(host) => archive::Source::path_as(host, &path),
                Item::Stream(stream) => {
                    let Stream { reader, finish, .. } = watched(stream, problem);
                    archive::Source::stream(&path, reader, finish).required(required)
                }
            }
        };
        self.items.into_iter().map(source).chain([last]).collect()
    }
}

/// A part that fails with the reason why a source cannot be reached.
fn unreachable(source: &dyn Source, error: &anyhow::Error) -> Piece {
    let path = source.roots().into_iter().next().unwrap_or_else(|| PathBuf::from("/"));
    let refused = repository::Error::Refused {
        message: explain::chain(error),
        hint: explain::hint(error).unwrap_or_default(),
    };
    Piece {
        path: path.clone(),
        name: source.name(),
        grade: None,
        items: vec![Item::Stream(Stream::failing(path, refused))],
        facts: Arc::default(),
    }
}

/// The same stream; what goes wrong with it is remembered for the manifest.
fn watched(stream: Stream, problem: Problem) -> Stream {
    let Stream { path, reader, finish } = stream;
    let reader = Box::new(Watched {
        reader,
        problem: Arc::clone(&problem),
    });
    let finish = Box::new(move || finish().inspect_err(|error| *problem.lock() = Some(error.to_string())));
    Stream { path, reader, finish }
}

struct Watched {
    reader: Box<dyn Read + Send>,
    problem: Problem,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let failed = |error: &io::Error| *self.problem.lock() = Some(error.to_string());
        self.reader.read(buffer).inspect_err(failed)
    }
}

/// The manifest that a run is described by, as soon as one is written: the first, unless a later one has more problems.
pub type Written = Arc<Mutex<Option<Manifest>>>;

fn write_manifest(naming: &Naming, infos: &[PartInfo], totals: &Totals, written: &Written) -> Vec<u8> {
    let manifest = Manifest::new(naming, infos, totals, clock::now());
    let json = manifest.to_json();
    let has_more_problems = |first: &Manifest| manifest.problems > first.problems;
    let mut written = written.lock();
    if written.as_ref().is_none_or(has_more_problems) {
        *written = Some(manifest);
    }
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
pub fn filter(job: &model::Job, sources: &[Protected], own: &[PathBuf]) -> anyhow::Result<(Filter, bool)> {
    let scopes: Vec<source::Scope> = sources.iter().map(|protected| protected.source.scope()).collect();
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
