//! Files and directories of this host.

use super::{
    Found, Item, Piece, Plan, Probe, Proof, PutBack, Restored, Scope, Source, Stored, Surroundings, logical, sqlite,
};
use crate::config::Misuse;
use crate::config::model::Files;
use crate::engine::manifest::Grade;
use repository::restic::restore::RestoreOptions;
use repository::{Error, literal_pattern};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files and directories.
#[derive(Debug)]
pub struct FilesSource {
    files: Files,
}

impl FilesSource {
    /// The kind, as the configuration names it.
    pub const KIND: &'static str = "files";

    /// As it is configured.
    pub fn new(files: Files) -> Self {
        Self { files }
    }
}

impl Source for FilesSource {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

    fn name(&self) -> String {
        let paths: Vec<_> = self.files.paths.iter().map(|path| path.display().to_string()).collect();
        paths.join(", ")
    }

    fn roots(&self) -> Vec<PathBuf> {
        self.files.paths.iter().map(|path| logical(path)).collect()
    }

    fn capture(&self, _: &Surroundings<'_>) -> anyhow::Result<Vec<Piece>> {
        let piece = |path: &PathBuf| Piece {
            path: logical(path),
            name: path.display().to_string(),
            grade: Some(Grade::Live),
            items: vec![Item::Path(path.clone())],
            facts: Arc::default(),
        };
        Ok(self.files.paths.iter().map(piece).collect())
    }

    fn probe(&self, _: &Surroundings<'_>) -> anyhow::Result<Probe> {
        let mut probe = Probe::default();
        for path in &self.files.paths {
            match fs::symlink_metadata(path) {
                Ok(there) => probe.found.push(Found {
                    name: path.display().to_string(),
                    bytes: there.is_file().then_some(there.len()),
                }),
                Err(error) => probe
                    .missing
                    .push(format!("`{}` cannot be read: {error}", path.display())),
            }
        }
        Ok(probe)
    }

    fn restore<'a>(
        &'a self,
        stored: &'a Stored<'a>,
        options: &'a PutBack,
        _: &'a Surroundings<'a>,
    ) -> anyhow::Result<Plan<'a>> {
        let from = match &options.only {
            Some(only) => stored.part.path.join(only),
            None => stored.part.path.clone(),
        };
        let target = match &options.rename {
            Some(directory) => std::path::absolute(directory)?,
            None => Path::new("/").join(from.strip_prefix(super::FILES).unwrap_or(&from)),
        };
        let is_directory = stored.is_directory(&from)?;
        let is_there = if is_directory {
            has_entries(&target)
        } else {
            fs::symlink_metadata(&target).is_ok()
        };
        if is_there && !options.overwrite {
            let message = format!("`{}` exists, and nothing was changed", target.display());
            let hint = "Restore beside it with `--as DIRECTORY`, or replace what is there with `--overwrite`.";
            return Err(Misuse::new(message, hint).into());
        }
        let mut steps = vec![format!("restore {} to `{}`", from.display(), target.display())];
        let mut stale = Vec::new();
        if is_there {
            steps.push("replace files that differ; what the snapshot does not have stays".to_owned());
            for log in sqlite::logs(&target)? {
                let in_snapshot = from.join(log.strip_prefix(&target).unwrap_or(&log));
                if !stored.has(&in_snapshot)? {
                    steps.push(format!(
                        "remove `{}`, the log of a database that is replaced",
                        log.display()
                    ));
                    stale.push(log);
                }
            }
        }
        let execute = move || {
            // Before, so that at no time the log of one database stands beside another.
            for log in stale {
                fs::remove_file(&log).map_err(Error::local("remove", &log))?;
            }
            let restore = RestoreOptions {
                protect: options.protect.clone(),
                ..RestoreOptions::new(&target)
            };
            let report = stored.restore_files(&from, &target, restore)?;
            Ok(Restored {
                entries: report.files + report.others,
                bytes: report.bytes,
                problems: report.problems,
            })
        };
        Ok(Plan {
            steps,
            execute: Box::new(execute),
        })
    }

    /// Every file is read again after it was restored; what it has to be is known to the repository.
    fn prove(&self, stored: &Stored<'_>, scratch: &Path, _: &Surroundings<'_>) -> anyhow::Result<Proof> {
        let part = stored.part;
        let target = match part.path.file_name() {
            Some(name) => scratch.join(name),
            None => scratch.to_owned(),
        };
        let options = RestoreOptions {
            verify: true,
            ..RestoreOptions::new(&target)
        };
        let report = stored.restore_files(&part.path, &target, options)?;
        let mut proof = Proof::default();
        let (entries, bytes) = (report.files + report.others, report.bytes + report.identical_bytes);
        proof.compare_left("entries", part.entries, entries, stored.is_purged());
        proof.compare_left("bytes", part.bytes, bytes, stored.is_purged());
        proof.compare("entries that are not as they were", 0, report.problems);
        proof.counts.push((report.files + report.others, "file".to_owned()));
        Ok(proof)
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

/// Whether something is in the way of a directory: what cannot be looked at counts as something.
fn has_entries(target: &Path) -> bool {
    match fs::read_dir(target) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
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
        let scope = FilesSource::new(files).scope();
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
