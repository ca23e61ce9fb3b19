//! Names of databases, schemas and tables: in SQL, in connection strings, and as names of files.

use serde::{Deserialize, Serialize};
use std::fmt;

/// As an identifier in SQL.
pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// As a text in SQL, whatever the server takes a backslash for.
pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// As a file's name: what a file's name cannot hold, and what would be taken for something else, stands there as `%` and two digits.
/// `also` are characters that must not stand in it either.
pub fn escape(name: &str, also: &[char]) -> String {
    let is_plain = |c: char| !(c == '/' || c == '%' || c.is_control() || also.contains(&c));
    let mut escaped = String::new();
    for c in name.chars() {
        if is_plain(c) {
            escaped.push(c);
        } else {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                escaped.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    match escaped.as_str() {
        "." | ".." => escaped.replace('.', "%2E"),
        _ => escaped,
    }
}

/// What [`escape`] was given; nothing if it cannot have made this.
pub fn unescape(name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

/// A table, or another relation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableName {
    /// The schema that it is in.
    pub schema: String,
    /// Its own name.
    pub name: String,
}

impl TableName {
    /// Of its two names.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            schema: schema.into(),
            name: name.into(),
        }
    }

    /// Of what [`Display`](fmt::Display) made of it.
    pub fn parse(shown: &str) -> Option<Self> {
        let (schema, rest) = first_name(shown)?;
        let (name, rest) = first_name(rest.strip_prefix('.')?)?;
        rest.is_empty().then_some(Self { schema, name })
    }

    /// As SQL names it.
    pub fn sql(&self) -> String {
        format!("{}.{}", ident(&self.schema), ident(&self.name))
    }

    /// As it is named in paths: reversible, since a point stands between both names only.
    pub fn in_path(&self) -> String {
        format!("{}.{}", escape(&self.schema, &['.']), escape(&self.name, &['.']))
    }
}

/// For people, and for the manifest: only what has to be quoted is.
impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", quoted_if_needed(&self.schema), quoted_if_needed(&self.name))
    }
}

/// The name that an SQL text begins with, and what follows it.
pub fn first_name(sql: &str) -> Option<(String, &str)> {
    let Some(mut rest) = sql.strip_prefix('"') else {
        let end = sql.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'));
        let (name, rest) = sql.split_at(end.unwrap_or(sql.len()));
        return (!name.is_empty()).then(|| (name.to_owned(), rest));
    };
    let mut name = String::new();
    loop {
        let (before, after) = rest.split_once('"')?;
        name.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, after)),
        }
    }
}

fn quoted_if_needed(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.chars().all(is_plain) && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty() {
        name.to_owned()
    } else {
        ident(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_becomes_a_file_name_and_back() {
        for name in ["app", "a/b", "..", ".", "100%", "new\nline", "🐘 \"x\"", "a.b", "%2E"] {
            let escaped = escape(name, &['.']);
            assert!(
                !escaped.contains(['/', '\n', '.']) && !escaped.is_empty(),
                "{name:?}: {escaped}"
            );
            assert_eq!(unescape(&escaped).as_deref(), Some(name));
        }
        assert_eq!(escape("..", &[]), "%2E%2E");
        assert_eq!(unescape("%zz"), None);
        assert_eq!(unescape("%2"), None);
    }

    #[test]
    fn names_are_quoted_where_sql_needs_it() {
        assert_eq!(TableName::new("public", "users_2").to_string(), "public.users_2");
        assert_eq!(TableName::new("Public", "a\"b").to_string(), "\"Public\".\"a\"\"b\"");
        for (schema, name) in [("public", "users"), ("a.b", "c\"d"), ("🐘", "new\nline"), ("Ä", "x.\"")] {
            let table = TableName::new(schema, name);
            assert_eq!(TableName::parse(&table.to_string()), Some(table));
        }
        assert_eq!(TableName::parse("public"), None);
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\b"), "E'a\\\\b'");
    }
}
