//! Files and directories of this host.

use super::{Item, Scope, Source, Surroundings};
use crate::config::Misuse;
use crate::config::model::Files;
use crate::engine::manifest::Grade;
use repository::literal_pattern;
use std::ffi::OsString;
use std::path::Path;

/// Files and directories.
#[derive(Debug)]
pub struct FilesSource {
    files: Files,
    required: bool,
}

impl FilesSource {
    /// As it is configured.
    pub fn new(files: Files, required: bool) -> Self {
        Self { files, required }
    }
}

impl Source for FilesSource {
    fn kind(&self) -> &'static str {
        "files"
    }

    fn name(&self) -> String {
        let paths: Vec<_> = self.files.paths.iter().map(|path| path.display().to_string()).collect();
        paths.join(", ")
    }

    fn grade(&self) -> Option<Grade> {
        Some(Grade::Live)
    }

    fn is_required(&self) -> bool {
        self.required
    }

    fn capture(&self, _: &Surroundings<'_>) -> Result<Vec<Item>, Misuse> {
        Ok(self.files.paths.iter().cloned().map(Item::Path).collect())
    }

    /// Patterns of a source count below its paths only.
    fn scope(&self) -> Scope {
        let anchored = |patterns: &[String]| {
            let pairs = self
                .files
                .paths
                .iter()
                .flat_map(|path| patterns.iter().map(move |pattern| (path, pattern)));
            pairs.map(|(path, pattern)| below(path, pattern)).collect()
        };
        Scope {
            exclude: anchored(&self.files.exclude),
            include: anchored(&self.files.include),
            paths: self.files.paths.clone(),
            one_file_system: Some(self.files.one_file_system),
        }
    }
}

/// A pattern that matches the same, but only below `path`. One that begins with a slash names the place itself.
fn below(path: &Path, pattern: &str) -> OsString {
    let (negation, name) = match pattern.strip_prefix('!') {
        Some(name) => ("!", name),
        None => ("", pattern),
    };
    if name.starts_with('/') {
        return pattern.into();
    }
    let mut anchored = OsString::from(negation);
    anchored.push(literal_pattern(path));
    anchored.push("/**/");
    anchored.push(name);
    anchored
}

#[cfg(test)]
mod tests {
    use super::*;
    use repository::Filter;

    #[test]
    fn patterns_count_below_the_paths_of_their_source() {
        let files = Files {
            paths: vec!["/srv/a[1]".into(), "/etc".into()],
            include: vec!["*.conf".to_owned(), "keys/*".to_owned()],
            exclude: vec!["old".to_owned(), "/etc/x.conf".to_owned()],
            one_file_system: false,
        };
        let scope = FilesSource::new(files, false).scope();
        let filter = scope
            .include
            .into_iter()
            .fold(Filter::builder(), repository::FilterBuilder::include);
        let filter = scope
            .exclude
            .into_iter()
            .fold(filter, repository::FilterBuilder::exclude)
            .build()
            .unwrap();
        let taken = |path: &str, is_dir| !filter.leaves_out(Path::new(path), is_dir);
        for path in [
            "/etc/a.conf",
            "/etc/sub/b.conf",
            "/srv/a[1]/c.conf",
            "/srv/a[1]/deep/keys/k",
        ] {
            assert!(taken(path, false), "{path}");
        }
        for path in [
            "/etc/a.txt",
            "/etc/old/b.conf",
            "/etc/x.conf",
            "/home/a.conf",
            "/srv/a1/c.conf",
        ] {
            assert!(!taken(path, false), "{path}");
        }
        assert!(taken("/etc", true) && taken("/etc/sub", true) && !taken("/etc/old", true));
    }
}
