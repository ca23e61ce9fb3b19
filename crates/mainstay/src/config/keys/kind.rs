//! Kinds of single values.

use crate::config::units;
use repository::retention::{Count, Duration as Span};
use serde_json::{Value, json};

/// What a single value is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any text that is not empty.
    Text,
    /// A name: letters, digits, `.`, `_`, `-`.
    Name,
    /// A path; a relative one starts at the directory of the file that it stands in.
    Path,
    /// The same of a file that has to be readable.
    ReadableFile,
    /// Where a repository is: a path or an address.
    Address,
    /// An address of the web.
    Url,
    /// `true` or `false`.
    Flag,
    /// A number between these, both included.
    Number(u64, u64),
    /// How many snapshots: a number or `unlimited`.
    Count,
    /// Hours, days, months and years back: `1y6m`.
    Span,
    /// Bytes with a unit: `2G`.
    Size,
    /// Bytes per second with a unit: `10M`.
    Rate,
    /// A cron expression of five fields, or `@daily` and the like.
    Cron,
    /// A name of the time zone database.
    TimeZone,
    /// One of these words.
    Word(&'static [&'static str]),
}

impl Kind {
    /// What has to stand there, for messages.
    pub fn expected(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Name => "a name of letters, digits, `.`, `_` and `-`".to_owned(),
            Self::Path | Self::ReadableFile => "a path".to_owned(),
            Self::Address => "a path or the address of a store".to_owned(),
            Self::Url => "an address that begins with `https://` or `http://`".to_owned(),
            Self::Flag => "`true` or `false`".to_owned(),
            Self::Number(from, to) => format!("a number from {from} to {to}"),
            Self::Count => "a number of snapshots, or `unlimited`".to_owned(),
            Self::Span => "a time such as `36h`, `14d` or `1y6m`".to_owned(),
            Self::Size => "a size such as `500M` or `2G`".to_owned(),
            Self::Rate => "a rate such as `500K` or `10M` (per second)".to_owned(),
            Self::Cron => "a schedule such as `0 2 * * *` or `@daily`".to_owned(),
            Self::TimeZone => "a time zone such as `Europe/Berlin` or `UTC`".to_owned(),
            Self::Word(words) => one_of(words),
        }
    }

    /// Whether `text` can stand there.
    pub fn accepts(self, text: &str) -> bool {
        match self {
            Self::Text => true,
            Self::Name => is_name(text),
            Self::Path | Self::ReadableFile | Self::Address => true,
            Self::Url => ["https://", "http://"].iter().any(|scheme| {
                text.strip_prefix(scheme)
                    .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
            }),
            Self::Flag => matches!(text, "true" | "false"),
            Self::Number(from, to) => is_digits(text) && text.parse().is_ok_and(|n: u64| (from..=to).contains(&n)),
            Self::Count => text.parse::<Count>().is_ok(),
            Self::Span => text.parse::<Span>().is_ok_and(|span| !span.is_zero()),
            Self::Size => units::size(text).is_ok(),
            Self::Rate => units::rate(text).is_ok(),
            Self::Cron => crate::config::model::Schedule::parse(text).is_ok(),
            Self::TimeZone => jiff::tz::TimeZone::get(text).is_ok(),
            Self::Word(words) => words.contains(&text),
        }
    }

    /// Whether what stands there may be shown in a message.
    pub fn is_path(self) -> bool {
        matches!(self, Self::Path | Self::ReadableFile | Self::Address)
    }

    /// As JSON Schema says it. Numbers without quotes are taken as text: so YAML means it.
    pub fn schema(self) -> Value {
        match self {
            Self::Flag => json!({"type": "boolean"}),
            Self::Number(from, to) => json!({"type": "integer", "minimum": from, "maximum": to}),
            Self::Word(words) => json!({"enum": words}),
            Self::Count => json!({"anyOf": [{"type": "integer", "minimum": 0}, {"enum": ["unlimited"]}]}),
            Self::Name => json!({"type": ["string", "number"], "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$"}),
            Self::Url => json!({"type": "string", "pattern": "^https?://[^/]"}),
            Self::Span => json!({"type": "string", "pattern": "^([0-9]+[ymdh])+$"}),
            Self::Text | Self::Size | Self::Rate => json!({"type": ["string", "number"], "minLength": 1}),
            Self::Path | Self::ReadableFile | Self::Address | Self::Cron | Self::TimeZone => {
                json!({"type": "string", "minLength": 1})
            }
        }
    }
}

/// ``one of `a`, `b` and `c` ``
pub fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// Names become parts of paths, tags and file names: nothing that a shell, a store or a path takes for something else.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(plain) && text.len() <= 100
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
