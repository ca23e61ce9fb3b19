//! `--exclude`, `--include` and their relatives.

use crate::config::Misuse;
use crate::config::env::Environment;
use crate::config::expand::expand;
use repository::{Error, Filter, FilterBuilder};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

/// What is left out, with restic's names.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ExcludeArgs {
    /// Leave out what matches this pattern; may be repeated
    #[arg(short, long, value_name = "PATTERN")]
    pub exclude: Vec<OsString>,
    /// The same whether letters are capital or small
    #[arg(long, value_name = "PATTERN")]
    pub iexclude: Vec<OsString>,
    /// File with patterns to leave out, one per line; `$NAME` stands for a variable, `$$` for `$`
    #[arg(long, value_name = "FILE")]
    pub exclude_file: Vec<std::path::PathBuf>,
    /// The same whether letters are capital or small
    #[arg(long, value_name = "FILE")]
    pub iexclude_file: Vec<std::path::PathBuf>,
    /// Leave out paths in which this regular expression is found
    #[arg(long, value_name = "REGEX")]
    pub exclude_regex: Vec<String>,
}

impl ExcludeArgs {
    /// `filter` with all of this added.
    pub fn add_to(&self, filter: FilterBuilder) -> Result<FilterBuilder, Misuse> {
        let (exact, any_case) = self.patterns()?;
        let filter = add_all(filter, &exact, FilterBuilder::exclude);
        let filter = add_all(filter, &any_case, FilterBuilder::exclude_any_case);
        Ok(add_all(filter, &self.exclude_regex, FilterBuilder::exclude_expression))
    }

    /// Options and files as lists of patterns: as they are, and for any case.
    pub fn patterns(&self) -> Result<(Vec<OsString>, Vec<OsString>), Misuse> {
        let with_files = |patterns: &[OsString], files: &[std::path::PathBuf]| {
            let mut all = patterns.to_vec();
            for file in files {
                all.extend(read_patterns(file)?);
            }
            Ok(all)
        };
        Ok((
            with_files(&self.exclude, &self.exclude_file)?,
            with_files(&self.iexclude, &self.iexclude_file)?,
        ))
    }
}

/// `filter` with patterns of one kind added: `add_all(filter, patterns, FilterBuilder::include)`.
pub fn add_all<T: Clone>(
    filter: FilterBuilder,
    patterns: &[T],
    add: impl Fn(FilterBuilder, T) -> FilterBuilder,
) -> FilterBuilder {
    patterns.iter().cloned().fold(filter, add)
}

/// The patterns in a file: its [lines](read_lines) with variables replaced by their values.
pub fn read_patterns(file: &Path) -> Result<Vec<OsString>, Misuse> {
    let environment = Environment::current();
    let lines = read_lines(file)?;
    Ok(lines
        .iter()
        .map(|line| expand(line.as_bytes(), &environment))
        .filter(|pattern| !pattern.is_empty())
        .collect())
}

/// The lines of a file without comments, empty lines and white space around; `-` is standard input.
pub fn read_lines(file: &Path) -> Result<Vec<OsString>, Misuse> {
    let content = read(file)?;
    let lines = content.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
    Ok(lines.map(|line| OsString::from_vec(line.to_vec())).collect())
}

/// The content of a file with patterns or paths; `-` is standard input.
pub fn read(file: &Path) -> Result<Vec<u8>, Misuse> {
    let mut content = Vec::new();
    let result = if file.as_os_str() == "-" {
        io::stdin().lock().read_to_end(&mut content).map(|_| content)
    } else {
        fs::read(file)
    };
    result.map_err(|error| {
        Misuse::new(
            format!("cannot read `{}`", file.display()),
            "Check the file's path and permissions.",
        )
        .because(error)
    })
}

/// A filter that was described wrongly is wrong usage.
pub fn built(filter: Result<Filter, Error>) -> Result<Filter, Misuse> {
    filter.map_err(|error| {
        let hint = error
            .hint()
            .unwrap_or_else(|| "See `mainstay backup --help`.".to_owned());
        Misuse::new(error.to_string(), hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_empty_lines_are_no_patterns() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "# no\n\n  *.log \r\n/a b\n").unwrap();
        assert_eq!(read_patterns(file.path()).unwrap(), ["*.log", "/a b"]);
        assert!(read_patterns(Path::new("/does/not/exist")).is_err());
    }
}
