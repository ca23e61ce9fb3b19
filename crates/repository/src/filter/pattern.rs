//! Patterns for paths, and lists of them.

use super::glob::Glob;
use crate::{Error, Result};

/// A path taken apart.
#[derive(Debug)]
pub(super) struct Components<'a> {
    is_absolute: bool,
    names: Vec<&'a [u8]>,
}

impl<'a> Components<'a> {
    pub fn new(path: &'a [u8]) -> Self {
        let names = path
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
            .collect();
        Self {
            is_absolute: path.starts_with(b"/"),
            names,
        }
    }
}

#[derive(Clone, Debug)]
enum Part {
    Plain(Vec<u8>),
    Glob(Glob),
    /// `**`: any number of names.
    Names,
}

impl Part {
    fn parse(text: &[u8]) -> Option<Self> {
        match text {
            b"**" => Some(Self::Names),
            text if Glob::is_plain(text) => Some(Self::Plain(text.to_vec())),
            text => Glob::parse(text).ok().map(Self::Glob),
        }
    }

    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Plain(text) => text == name,
            Self::Glob(glob) => glob.matches(name),
            Self::Names => true,
        }
    }
}

/// One pattern.
#[derive(Clone, Debug)]
struct Pattern {
    is_negated: bool,
    is_absolute: bool,
    parts: Vec<Part>,
}

impl Pattern {
    fn parse(text: &[u8]) -> Result<Self> {
        let (is_negated, path) = text.strip_prefix(b"!").map_or((false, text), |path| (true, path));
        let mut parts: Vec<Part> = Vec::new();
        for name in clean(path) {
            let part = Part::parse(name).ok_or_else(|| malformed(text))?;
            // Several in a row say no more than one, and cost more.
            if !matches!((parts.last(), &part), (Some(Part::Names), Part::Names)) {
                parts.push(part);
            }
        }
        Ok(Self {
            is_negated,
            is_absolute: path.starts_with(b"/"),
            parts,
        })
    }

    /// Whether it matches the path or a directory above it.
    fn matches(&self, path: &Components<'_>) -> bool {
        if self.is_absolute {
            return path.is_absolute && match_beginning(&self.parts, &path.names);
        }
        (0..path.names.len()).any(|from| match_beginning(&self.parts, &path.names[from..]))
    }

    fn may_match_below(&self, path: &Components<'_>) -> bool {
        if !self.is_absolute {
            return true;
        }
        let free_from = self
            .parts
            .iter()
            .position(|part| matches!(part, Part::Names))
            .unwrap_or(usize::MAX);
        let shared = self.parts.len().min(path.names.len()).min(free_from);
        path.is_absolute && match_beginning(&self.parts[..shared], &path.names)
    }
}

/// Whether `parts` match the first of `names`; what is below a match belongs to it.
fn match_beginning(mut parts: &[Part], mut names: &[&[u8]]) -> bool {
    // On a mismatch, the last `**` takes one name more; earlier ones never have to.
    let mut last_free: Option<(&[Part], &[&[u8]])> = None;
    loop {
        match (parts.split_first(), names.split_first()) {
            (None, _) => return true,
            (Some((Part::Names, rest)), _) => {
                last_free = Some((rest, names));
                parts = rest;
            }
            (Some((part, more_parts)), Some((name, more_names))) if part.matches(name) => {
                (parts, names) = (more_parts, more_names);
            }
            _ => {
                let Some((rest, [_, fewer @ ..])) = last_free else {
                    return false;
                };
                last_free = Some((rest, fewer));
                (parts, names) = (rest, fewer);
            }
        }
    }
}

/// The names of a pattern: without empty ones and `.`, and with `..` resolved, as Go's `filepath.Clean` does it.
fn clean(path: &[u8]) -> Vec<&[u8]> {
    let is_absolute = path.starts_with(b"/");
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." if names.last().is_some_and(|last| *last != b"..") => drop(names.pop()),
            b".." if is_absolute => {}
            name => names.push(name),
        }
    }
    if names.is_empty() && !is_absolute {
        vec![b"."]
    } else {
        names
    }
}

fn malformed(text: &[u8]) -> Error {
    Error::Refused {
        message: format!("`{}` is not a valid pattern", String::from_utf8_lossy(text)),
        hint: "Close every `[` with `]`, and put a `\\` before characters that are meant as they are.".to_owned(),
    }
}

/// Patterns of which the last that matches decides.
#[derive(Clone, Debug, Default)]
pub(super) struct PatternList {
    patterns: Vec<Pattern>,
}

impl PatternList {
    /// Empty patterns are passed over.
    pub fn parse(texts: impl Iterator<Item = Vec<u8>>) -> Result<Self> {
        let texts = texts.filter(|text| !text.is_empty());
        Ok(Self {
            patterns: texts.map(|text| Pattern::parse(&text)).collect::<Result<_>>()?,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    pub fn matches(&self, path: &Components<'_>) -> bool {
        let deciding = self.patterns.iter().rev().find(|pattern| pattern.matches(path));
        deciding.is_some_and(|pattern| !pattern.is_negated)
    }

    pub fn may_match_below(&self, path: &Components<'_>) -> bool {
        let decides = |pattern: &&Pattern| {
            if pattern.is_negated {
                pattern.matches(path)
            } else {
                pattern.may_match_below(path)
            }
        };
        self.patterns
            .iter()
            .rev()
            .find(decides)
            .is_some_and(|pattern| !pattern.is_negated)
    }
}

/// Small letters, for comparing without regard to case. Bytes that are not UTF-8 all become the same character, as in Go.
pub(super) fn lower(text: &[u8]) -> Vec<u8> {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let small = |c: char| c.to_lowercase().next().unwrap_or(c);
    let mut lower = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        lower.extend(chunk.valid().chars().map(small));
        lower.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    lower.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(patterns: &[&str], path: &str) -> bool {
        let list = PatternList::parse(patterns.iter().map(|text| text.as_bytes().to_vec())).unwrap();
        list.matches(&Components::new(path.as_bytes()))
    }

    /// Cases of restic's own test, `internal/filter/filter_test.go`.
    #[test]
    fn matches_like_restic() {
        for (pattern, path, expected) in [
            ("*", "/foo", true),
            ("*.c", "/foo/bar.c", true),
            ("*.c", "/foo/bar.go", false),
            ("fo*", "/bar/foo/test.go", true),
            ("test.*", "foo/test.go", true),
            ("foo/**", "/foo/bar/baz", true),
            ("foo/**/bar", "/foo/x/y/bar/main.go", true),
            ("foo/**/bar", "/foo/bar", true),
            ("/foo/**/bar", "/home/foo/bar", false),
            ("/foo/*/baz", "/foo/bar/baz", true),
            ("foo/*/baz", "/x/foo/bar/baz/test", true),
            ("/foo", "/foo/bar", true),
            ("/foo", "/bar/foo", false),
            ("foo/bar", "/foo/x/bar", false),
            ("**/test.go", "/test.go", true),
            ("/**", "/a/b", true),
            ("**", "/a", true),
            ("/", "/a", true),
            ("/", "a", false),
            ("./foo/", "/x/foo", true),
            ("foo//bar/../baz", "/foo/baz", true),
            ("a/**/**/**/**/b", "/a/1/2/3/4/5/6/7/b", true),
            ("!foo", "/foo", false),
            ("\\!foo", "/!foo", true),
        ] {
            assert_eq!(matches(&[pattern], path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn the_last_one_that_matches_decides() {
        assert!(matches(&["*.txt", "!keep.txt"], "/a.txt"));
        assert!(!matches(&["*.txt", "!keep.txt"], "/keep.txt"));
        assert!(matches(&["*.txt", "!keep.txt", "/x/*"], "/x/keep.txt"));
        assert!(matches(&["!keep.txt", "*.txt"], "/keep.txt"));
    }

    #[test]
    fn many_wildcards_stay_fast() {
        let path = "/a".repeat(100);
        assert!(!matches(&[&format!("{}b", "**/a/".repeat(30))], &path));
    }

    #[test]
    fn small_letters() {
        assert_eq!(lower("ÄB\u{130}".as_bytes()), "äbi".as_bytes());
        assert_eq!(lower(b"A\xff"), "a\u{fffd}".as_bytes());
    }
}
