//! Which entries are taken and which are left out: patterns as in restic, regular expressions, markers, sizes.
//!
//! Source of the patterns' meaning: "Excluding files" in restic's manual, and its tests of `internal/filter`.

mod builder;
mod glob;
mod marker;
mod pattern;

#[cfg(test)]
mod restic_test;

pub use builder::FilterBuilder;
pub use marker::Marker;

use pattern::{Components, PatternList};
use regex::bytes::RegexSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt as _};
use std::path::Path;

/// Says of every path whether it is taken. The default takes everything.
///
/// A pattern is one or more names joined by `/`: `*` stands for any characters of a name, `?` for one, `[a-z]` for one of these,
/// `[^a-z]` for one not of these, `\` takes the meaning from what follows, and `**` stands for any number of names. A pattern that
/// begins with `/` matches from the root, any other one anywhere. What is below a match matches too. In a list, `!` before a
/// pattern takes back what the ones before it matched; the last one that matches decides.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    excludes: Rules,
    includes: Rules,
    markers: Vec<Marker>,
    max_size: Option<u64>,
}

/// One list of each kind; they work independently of each other.
#[derive(Clone, Debug, Default)]
struct Rules {
    exact: PatternList,
    any_case: PatternList,
    expressions: RegexSet,
}

impl Filter {
    /// Begin to describe a filter.
    pub fn builder() -> FilterBuilder {
        FilterBuilder::default()
    }

    /// Whether it takes everything.
    pub fn is_empty(&self) -> bool {
        self.excludes.is_empty() && self.includes.is_empty() && self.markers.is_empty() && self.max_size.is_none()
    }

    /// Whether this entry is left out, and everything below it. The directories above it were asked for before.
    ///
    /// Patterns make no difference between directories and files, in restic as here.
    pub fn excludes(&self, path: &Path, _is_dir: bool) -> bool {
        !self.excludes.is_empty() && self.excludes.matches(path)
    }

    /// Whether a backup leaves this entry out: it is excluded, or neither it nor, if it is a directory, anything below it can be included.
    pub fn leaves_out(&self, path: &Path, is_dir: bool) -> bool {
        self.excludes(path, is_dir) || !(self.includes(path) || (is_dir && self.may_include_below(path)))
    }

    /// Whether a file (or anything but a directory) of `size` bytes is too large.
    pub fn excludes_size(&self, size: u64) -> bool {
        self.max_size.is_some_and(|max| size > max)
    }

    /// Whether this entry is one of those asked for, or below one; true for everything if nothing was asked for.
    pub fn includes(&self, path: &Path) -> bool {
        self.includes.is_empty() || self.includes.matches_with_ancestors(path)
    }

    /// Whether something below this directory may be included.
    pub fn may_include_below(&self, directory: &Path) -> bool {
        self.includes.is_empty() || self.includes.may_match_below(directory)
    }

    /// What is restored of an entry, or removed; the directories above it were asked for before.
    pub(crate) fn choose(&self, path: &Path, is_dir: bool) -> Choice {
        if self.excludes(path, is_dir) {
            return Choice {
                itself: false,
                inside: false,
            };
        }
        let itself = self.includes(path);
        Choice {
            itself,
            inside: itself || self.may_include_below(path),
        }
    }

    /// What is left of the directory `dir` with these `names`: everything, or only the marker that says that the rest is to be left out.
    pub fn unmarked(&self, dir: impl AsFd, mut names: Vec<OsString>) -> Vec<OsString> {
        // A marker that cannot be read excludes nothing: rather too much than too little.
        if let Ok(Some(marker)) = self.marker_in(dir, &names) {
            names.retain(|name| name == marker);
        }
        names
    }

    /// The marker because of which the content of a directory is left out.
    fn marker_in(&self, dir: impl AsFd, names: &[OsString]) -> std::io::Result<Option<&OsStr>> {
        for marker in &self.markers {
            if marker.marks(&dir, names)? {
                return Ok(Some(marker.name()));
            }
        }
        Ok(None)
    }

    /// What marks directories whose content is left out.
    pub fn markers(&self) -> &[Marker] {
        &self.markers
    }
}

/// What is chosen of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The entry itself. A directory that is not chosen is made if anything in it is.
    pub itself: bool,
    /// For directories: there may be something to restore in it.
    pub inside: bool,
}

/// A pattern that matches exactly this path.
pub fn literal_pattern(path: &Path) -> OsString {
    let mut pattern = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\') {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
    OsString::from_vec(pattern)
}

impl Rules {
    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.any_case.is_empty() && self.expressions.is_empty()
    }

    fn matches(&self, path: &Path) -> bool {
        let bytes = path.as_os_str().as_bytes();
        self.exact.matches(&Components::new(bytes))
            || (!self.any_case.is_empty() && self.any_case.matches(&Components::new(&pattern::lower(bytes))))
            || (!self.expressions.is_empty() && self.expressions.is_match(bytes))
    }

    /// Patterns reach below what they match by themselves, expressions do not.
    fn matches_with_ancestors(&self, path: &Path) -> bool {
        let expression = |path: &Path| self.expressions.is_match(path.as_os_str().as_bytes());
        self.matches(path) || (!self.expressions.is_empty() && path.ancestors().any(expression))
    }

    fn may_match_below(&self, path: &Path) -> bool {
        let bytes = path.as_os_str().as_bytes();
        !self.expressions.is_empty()
            || self.exact.may_match_below(&Components::new(bytes))
            || (!self.any_case.is_empty() && self.any_case.may_match_below(&Components::new(&pattern::lower(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_given_takes_everything() {
        let filter = Filter::default();
        assert!(filter.is_empty() && Filter::builder().exclude("").build().unwrap().is_empty());
        assert!(!filter.excludes(Path::new("/a"), true) && !filter.excludes_size(u64::MAX));
        assert!(filter.includes(Path::new("/a")) && filter.may_include_below(Path::new("/")));
    }

    #[test]
    fn kinds_work_independently() {
        let filter = Filter::builder()
            .exclude("*.log")
            .exclude_any_case("!Keep.LOG")
            .exclude_any_case("TMP*");
        let filter = filter
            .exclude_expression(r"/cache/.*\d$")
            .exclude_larger_than(10)
            .build()
            .unwrap();
        for (path, excluded) in [
            ("/a/x.log", true),
            ("/a/keep.log", true),
            ("/a/x.LOG", false),
            ("/a/tmpfile", true),
            ("/a/TmpFile/below", true),
            ("/a/cache/b/7", true),
            ("/a/cache/b/x", false),
        ] {
            assert_eq!(filter.excludes(Path::new(path), false), excluded, "{path}");
        }
        assert!(filter.excludes_size(11) && !filter.excludes_size(10));
    }

    #[test]
    fn includes_lead_down_to_what_was_asked_for() {
        let filter = Filter::builder()
            .include("/a/b*/c")
            .include_any_case("/X/**/y")
            .build()
            .unwrap();
        for (path, included, below) in [
            ("/", false, true),
            ("/a", false, true),
            ("/b", false, false),
            ("/a/bc", false, true),
            ("/a/c", false, false),
            ("/a/bc/c", true, true),
            ("/a/bc/c/d/e", true, true),
            ("/a/bc/d", false, false),
            ("/x", false, true),
            ("/x/anything/else", false, true),
            ("/x/anything/Y", true, true),
            ("/x/y", true, true),
        ] {
            let path = Path::new(path);
            assert_eq!(
                (filter.includes(path), filter.may_include_below(path)),
                (included, below),
                "{path:?}"
            );
        }
        let anywhere = Filter::builder().include("*.txt").include("!/private").build().unwrap();
        assert!(anywhere.includes(Path::new("/x/y.txt")) && anywhere.may_include_below(Path::new("/x")));
        assert!(!anywhere.includes(Path::new("/private/y.txt")) && !anywhere.may_include_below(Path::new("/private")));
    }

    #[test]
    fn expressions_include_what_is_below() {
        let filter = Filter::builder().include_expression("^/data/[0-9]+$").build().unwrap();
        assert!(filter.includes(Path::new("/data/12")) && filter.includes(Path::new("/data/12/x/y")));
        assert!(!filter.includes(Path::new("/data")) && filter.may_include_below(Path::new("/data")));
    }

    #[test]
    fn refusals_name_the_pattern() {
        for (builder, named) in [
            (Filter::builder().exclude("ok").exclude("a/[b"), "`a/[b`"),
            (Filter::builder().exclude_any_case("x\\"), "`x\\`"),
            (Filter::builder().include("[]a]"), "`[]a]`"),
            (Filter::builder().include_expression("a("), "a("),
            (Filter::builder().exclude_if_present(":x"), "`:x`"),
        ] {
            let error = builder.build().unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn a_literal_matches_only_its_path() {
        let filter = Filter::builder()
            .exclude(literal_pattern(Path::new("/a[1]*")))
            .build()
            .unwrap();
        assert!(filter.excludes(Path::new("/a[1]*"), true));
        assert!(!filter.excludes(Path::new("/a1x"), true));
    }
}
