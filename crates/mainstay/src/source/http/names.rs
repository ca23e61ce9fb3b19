//! Names of files that come from outside.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

const LONGEST: usize = 255;

/// Names of files, of which none is there twice, and none is another's directory.
#[derive(Default)]
pub struct Names {
    files: HashSet<PathBuf>,
    directories: HashSet<PathBuf>,
}

impl Names {
    /// Add a path; the error says why it cannot be.
    pub fn add(&mut self, path: &str) -> Result<PathBuf, String> {
        for name in path.split('/') {
            if matches!(name, "" | "." | "..") || name.contains('\0') || name.len() > LONGEST {
                return Err(format!("`{path}` cannot be a file's name"));
            }
        }
        let path = PathBuf::from(path);
        let above: Vec<&Path> = path
            .ancestors()
            .skip(1)
            .filter(|above| *above != Path::new(""))
            .collect();
        let is_taken = above.iter().any(|above| self.files.contains(*above)) || self.directories.contains(&path);
        if is_taken || self.files.contains(&path) {
            return Err(format!("`{}` is the name of two things", path.display()));
        }
        self.directories.extend(above.into_iter().map(Path::to_owned));
        self.files.insert(path.clone());
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_there_once_and_leads_nowhere_else() {
        let mut names = Names::default();
        assert!(names.add("a/b.json").is_ok() && names.add("a/c.json").is_ok());
        for path in [
            "a/b.json",
            "a",
            "a/b.json/c",
            "",
            "/x",
            "x/",
            "x//y",
            "..",
            "x/../y",
            "x\0",
            &"x".repeat(256),
        ] {
            assert!(names.add(path).is_err(), "{path}");
        }
    }
}
