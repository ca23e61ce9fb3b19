//! From what the user named to one tree of directories.

use super::options::{MakeLast, Source};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

/// A directory of the snapshot that is named by the sources, not found by scanning.
#[derive(Default)]
pub struct Named {
    /// Entries by name, in the order of trees.
    pub children: BTreeMap<OsString, Child>,
    /// Where its children are on this host, if not where they are in the snapshot.
    pub host: Option<PathBuf>,
}

/// What stands under a name.
pub enum Child {
    /// A directory on the way to something that is backed up.
    Directory(Named),
    /// A path of this host, with everything below.
    Path,
    /// The content of one file.
    Stream(Stream),
    /// A file that is made when everything else has been captured.
    Last(MakeLast),
}

/// The content of one file, from elsewhere than the file system.
pub struct Stream {
    /// The bytes.
    pub reader: Box<dyn Read + Send>,
    /// Whether the bytes were all there were.
    pub finish: Box<dyn FnOnce() -> Result<()> + Send>,
    /// Whether a failure makes the whole backup fail.
    pub required: bool,
}

/// What the user named, made sense of.
pub struct Sources {
    /// What is backed up.
    pub what: What,
    /// Paths that were named although they lie in another that was. They are met on the way; in another file system they count all the same.
    pub nested: Vec<PathBuf>,
}

/// Everything that is backed up.
pub enum What {
    /// The root directory of this host.
    WholeHost,
    /// Paths and streams.
    Named(Named, Vec<String>),
}

impl Sources {
    /// The paths, as the snapshot lists them.
    pub fn paths(&self) -> Vec<String> {
        match &self.what {
            What::WholeHost => vec!["/".to_owned()],
            What::Named(_, paths) => paths.clone(),
        }
    }

    /// Where in the file system they lie.
    pub fn places(&self) -> Vec<PathBuf> {
        match &self.what {
            What::WholeHost => vec![PathBuf::from("/")],
            What::Named(named, _) => named.places(Path::new("/")),
        }
    }
}

impl Named {
    fn places(&self, path: &Path) -> Vec<PathBuf> {
        let path = self.host.as_deref().unwrap_or(path);
        let of_child = |(name, child): (&OsString, &Child)| match child {
            Child::Directory(named) => named.places(&path.join(name)),
            Child::Path => vec![path.join(name)],
            Child::Stream(_) | Child::Last(_) => Vec::new(),
        };
        self.children.iter().flat_map(of_child).collect()
    }
}

/// Make paths absolute and merge them. A path that does not exist is an error: a source that is gone must not look like one that
/// is empty.
pub fn resolve(sources: Vec<Source>) -> Result<Sources> {
    let mut root = Named::default();
    let (mut paths, mut on_host, mut streams) = (Vec::new(), Vec::new(), 0);
    if sources.is_empty() {
        return Err(Error::Refused {
            message: "nothing to back up was named".to_owned(),
            hint: "Name at least one path.".to_owned(),
        });
    }
    for source in sources {
        let is_last = matches!(source, Source::Last { .. });
        let (path, child) = match source {
            Source::Path(path) => {
                let path = existing(&path)?;
                on_host.push(path.clone());
                (path, Child::Path)
            }
            Source::Below { root: above, path } => {
                let path = existing(&path)?;
                on_host.push(path.clone());
                (place_below(&mut root, &absolute(&above)?, &path)?, Child::Path)
            }
            Source::Stream {
                path,
                reader,
                finish,
                required,
            } => {
                streams += 1;
                let stream = Stream {
                    reader,
                    finish,
                    required,
                };
                (absolute(&path)?, Child::Stream(stream))
            }
            Source::Last { path, content } => {
                streams += 1;
                (absolute(&path)?, Child::Last(content))
            }
        };
        let names: Vec<OsString> = path.iter().skip(1).map(OsString::from).collect();
        match (names.split_last(), child) {
            (None, Child::Path) => continue,
            (None, _) => return Err(refused(format!("`{}` cannot be a file's name", path.display()))),
            (Some((last, parents)), child) => insert(&mut root, parents, last, child, &path)?,
        }
        if !is_last {
            paths.push(path.to_string_lossy().into_owned());
        }
    }
    paths.sort_unstable();
    paths.dedup();
    let is_whole = on_host.iter().any(|path| path.parent().is_none());
    if is_whole && streams > 0 {
        return Err(refused("a stream cannot be backed up together with `/`".to_owned()));
    }
    let nested = nested(&on_host);
    let what = if is_whole {
        What::WholeHost
    } else {
        What::Named(root, paths)
    };
    Ok(Sources { what, nested })
}

/// Where `path` stands in the snapshot, below `above`, which is the root of the host there.
fn place_below(root: &mut Named, above: &Path, path: &Path) -> Result<PathBuf> {
    let relative = path.strip_prefix("/").unwrap_or(path);
    if relative.as_os_str().is_empty() {
        return Err(Error::Refused {
            message: "`/` as a whole cannot be captured by a job".to_owned(),
            hint: "Name the directories in it that hold data, such as `/home`, `/etc` and `/srv`.".to_owned(),
        });
    }
    let mut directory = root;
    for name in above.iter().skip(1) {
        let child = directory.children.entry(name.to_owned());
        match child.or_insert_with(|| Child::Directory(Named::default())) {
            Child::Directory(next) => directory = next,
            _ => return Err(conflict(above)),
        }
    }
    directory.host = Some("/".into());
    Ok(above.join(relative))
}

/// Those that lie in another.
fn nested(paths: &[PathBuf]) -> Vec<PathBuf> {
    let lies_in = |path: &PathBuf, other: &PathBuf| path != other && path.starts_with(other);
    let is_nested = |path: &&PathBuf| paths.iter().any(|other| lies_in(path, other));
    paths.iter().filter(is_nested).cloned().collect()
}

fn existing(path: &Path) -> Result<PathBuf> {
    let path = absolute(path)?;
    std::fs::symlink_metadata(&path).map_err(Error::local("back up", &path))?;
    Ok(path)
}

/// As a path is counted in [`PartTotals`](super::PartTotals): absolute, without `.` and `..`.
pub fn clean_path(path: &Path) -> PathBuf {
    absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Absolute, without `.` and `..`. Symbolic links on the way stay: the snapshot holds the path as it was named.
fn absolute(path: &Path) -> Result<PathBuf> {
    let path = std::path::absolute(path).map_err(Error::local("resolve", path))?;
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::ParentDir => {
                clean.pop();
            }
            Component::Normal(name) => clean.push(name),
            _ => {}
        }
    }
    if clean.as_os_str().as_bytes().contains(&0) {
        return Err(refused(format!("`{}` cannot be a path", clean.display())));
    }
    Ok(clean)
}

fn insert(root: &mut Named, parents: &[OsString], last: &OsString, child: Child, path: &Path) -> Result<()> {
    let mut directory = root;
    for name in parents {
        match directory
            .children
            .entry(name.clone())
            .or_insert_with(|| Child::Directory(Named::default()))
        {
            Child::Directory(next) => directory = next,
            // Everything below is backed up already.
            Child::Path if matches!(child, Child::Path) => return Ok(()),
            _ => return Err(conflict(path)),
        }
    }
    match (directory.children.get(last), &child) {
        (Some(Child::Stream(_) | Child::Last(_)), _) | (Some(_), Child::Stream(_) | Child::Last(_)) => {
            Err(conflict(path))
        }
        // A path takes the place of what was named below it.
        _ => {
            directory.children.insert(last.clone(), child);
            Ok(())
        }
    }
}

fn conflict(path: &Path) -> Error {
    refused(format!("`{}` is named twice, as different things", path.display()))
}

fn refused(message: String) -> Error {
    Error::Refused {
        message,
        hint: "Choose another path or another `--stdin-filename`.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Source {
        Source::Path(text.into())
    }

    fn stream(text: &str) -> Source {
        Source::Stream {
            path: text.into(),
            reader: Box::new(std::io::empty()),
            finish: Box::new(|| Ok(())),
            required: true,
        }
    }

    fn paths(sources: Vec<Source>) -> Vec<String> {
        resolve(sources).unwrap().paths()
    }

    #[test]
    fn paths_become_absolute_and_clean() {
        assert_eq!(paths(vec![path("/usr/../etc/."), path("/etc")]), ["/etc"]);
        assert_eq!(paths(vec![path("/")]), ["/"]);
        assert_eq!(paths(vec![path("/etc"), path("/")]), ["/"]);
        assert!(paths(vec![path(".")])[0].starts_with('/'));
    }

    #[test]
    fn a_path_includes_what_is_below() {
        for order in [
            vec![path("/usr"), path("/usr/bin")],
            vec![path("/usr/bin"), path("/usr")],
        ] {
            let sources = resolve(order).unwrap();
            assert_eq!(sources.nested, [PathBuf::from("/usr/bin")]);
            let What::Named(root, _) = sources.what else { panic!() };
            assert!(matches!(root.children[&OsString::from("usr")], Child::Path));
        }
    }

    #[test]
    fn refuses_what_is_not_there_or_named_twice() {
        assert!(matches!(
            resolve(vec![path("/does/not/exist")]),
            Err(Error::Local { .. })
        ));
        for sources in [
            vec![],
            vec![stream("/a"), stream("/a/b")],
            vec![path("/etc"), stream("/etc/x")],
            vec![stream("/")],
            vec![path("/"), stream("/x")],
        ] {
            assert!(matches!(resolve(sources), Err(Error::Refused { .. })));
        }
    }
}
