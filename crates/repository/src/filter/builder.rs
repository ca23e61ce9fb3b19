//! What a filter is made of.

use super::marker::Marker;
use super::pattern::{self, PatternList};
use super::{Filter, Rules};
use crate::{Error, Result};
use regex::bytes::RegexSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Collects what a [`Filter`] is made of.
#[derive(Clone, Debug, Default)]
pub struct FilterBuilder {
    excludes: Texts,
    includes: Texts,
    markers: Vec<OsString>,
    max_size: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Texts {
    exact: Vec<OsString>,
    any_case: Vec<OsString>,
    expressions: Vec<String>,
}

impl FilterBuilder {
    /// Leave out what matches this pattern (`--exclude`).
    pub fn exclude(mut self, pattern: impl Into<OsString>) -> Self {
        self.excludes.exact.push(pattern.into());
        self
    }

    /// The same whether letters are capital or small (`--iexclude`).
    pub fn exclude_any_case(mut self, pattern: impl Into<OsString>) -> Self {
        self.excludes.any_case.push(pattern.into());
        self
    }

    /// Leave out paths in which this regular expression is found (`--exclude-regex`).
    pub fn exclude_expression(mut self, expression: impl Into<String>) -> Self {
        self.excludes.expressions.push(expression.into());
        self
    }

    /// Leave out the content of directories with this marker, `NAME` or `NAME:HEADER` (`--exclude-if-present`).
    pub fn exclude_if_present(mut self, marker: impl Into<OsString>) -> Self {
        self.markers.push(marker.into());
        self
    }

    /// Leave out the content of directories that are marked as caches (`--exclude-caches`).
    ///
    /// Source: the Cache Directory Tagging Standard, <https://bford.info/cachedir/>.
    pub fn exclude_caches(self) -> Self {
        self.exclude_if_present("CACHEDIR.TAG:Signature: 8a477f597d28d172789f06886806bc55")
    }

    /// Leave out files of more bytes than this (`--exclude-larger-than`, see [`parse_size`](crate::parse_size)).
    pub fn exclude_larger_than(mut self, bytes: u64) -> Self {
        self.max_size = Some(bytes);
        self
    }

    /// Take only what matches one of these patterns (`--include`).
    pub fn include(mut self, pattern: impl Into<OsString>) -> Self {
        self.includes.exact.push(pattern.into());
        self
    }

    /// The same whether letters are capital or small (`--iinclude`).
    pub fn include_any_case(mut self, pattern: impl Into<OsString>) -> Self {
        self.includes.any_case.push(pattern.into());
        self
    }

    /// Take only paths in which this regular expression is found, and what is below them (`--include-regex`).
    pub fn include_expression(mut self, expression: impl Into<String>) -> Self {
        self.includes.expressions.push(expression.into());
        self
    }

    /// The filter.
    ///
    /// # Errors
    /// [`Error::Refused`] that names the first pattern, expression or marker that makes no sense.
    pub fn build(self) -> Result<Filter> {
        Ok(Filter {
            excludes: self.excludes.build()?,
            includes: self.includes.build()?,
            markers: self
                .markers
                .iter()
                .map(|text| Marker::parse(text))
                .collect::<Result<_>>()?,
            max_size: self.max_size,
        })
    }
}

impl Texts {
    fn build(&self) -> Result<Rules> {
        let lower = |text: &OsString| pattern::lower(text.as_bytes());
        Ok(Rules {
            exact: PatternList::parse(self.exact.iter().map(|text| text.as_bytes().to_vec()))?,
            any_case: PatternList::parse(self.any_case.iter().map(lower))?,
            expressions: expressions(&self.expressions)?,
        })
    }
}

fn expressions(texts: &[String]) -> Result<RegexSet> {
    RegexSet::new(texts).map_err(|error| Error::Refused {
        message: format!("a regular expression is not valid: {error}"),
        hint: "Write it as the Rust crate `regex` has it, for example `/cache/.*\\.tmp$`.".to_owned(),
    })
}
