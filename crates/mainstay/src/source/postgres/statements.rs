//! SQL of a dump, statement by statement: of roles, and of what comes after rows.

use super::names::ident;
use std::collections::BTreeSet;

/// The statements of a script, each with its semicolon, without comments between them. Lines for `psql` itself are statements as well.
pub fn statements(sql: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = sql;
    while let Some(start) = rest.find(|c: char| !c.is_whitespace()) {
        rest = &rest[start..];
        let length = if rest.starts_with("--") || rest.starts_with('\\') {
            rest.find('\n').unwrap_or(rest.len())
        } else {
            length_of(rest)
        };
        if !rest.starts_with("--") {
            found.push(rest[..length].to_owned());
        }
        rest = &rest[length..];
    }
    found
}

/// Up to the semicolon that is in no quotes and no brackets.
fn length_of(sql: &str) -> usize {
    let bytes = sql.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while at < bytes.len() {
        match bytes[at] {
            b';' if depth == 0 => return at + 1,
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at = match bytes[at] {
            b'"' => after_quoted(bytes, at, b'"', false),
            b'\'' => after_quoted(bytes, at, b'\'', at > 0 && matches!(bytes[at - 1], b'E' | b'e')),
            _ => at + 1,
        };
    }
    bytes.len()
}

/// Behind what is quoted from `at` on. A quote that is doubled ends one text and begins the next.
fn after_quoted(bytes: &[u8], at: usize, quote: u8, backslashes: bool) -> usize {
    let mut at = at + 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if backslashes && bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// Whether a statement makes or changes one of these roles or tablespaces.
pub fn concerns(statement: &str, roles: &BTreeSet<String>, tablespaces: &BTreeSet<String>) -> bool {
    let begins = |words: &[&str], names: &BTreeSet<String>| {
        let rest = words.iter().find_map(|words| statement.strip_prefix(words));
        rest.is_some_and(|rest| names.iter().any(|name| begins_with_name(rest, name)))
    };
    begins(&["CREATE ROLE ", "ALTER ROLE ", "COMMENT ON ROLE "], roles)
        || begins(
            &["CREATE TABLESPACE ", "ALTER TABLESPACE ", "COMMENT ON TABLESPACE "],
            tablespaces,
        )
}

fn begins_with_name(sql: &str, name: &str) -> bool {
    let is_name = |written: &str| {
        let rest = sql.strip_prefix(written);
        rest.is_some_and(|rest| rest.starts_with([' ', ';', '\n']))
    };
    is_name(name) || is_name(&ident(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_statements_together() {
        let sql = "-- a; comment\nCREATE ROLE \"a;\"\"b\";\n\\connect x\nCOMMENT ON ROLE x IS 'it''s;\n-- no comment';\n\
                   ALTER ROLE x SET y TO E'a\\';';\n\nCREATE RULE r AS DO (SELECT ')';\nSELECT 1;);\nSET z = 1";
        let expected = [
            "CREATE ROLE \"a;\"\"b\";",
            "\\connect x",
            "COMMENT ON ROLE x IS 'it''s;\n-- no comment';",
            "ALTER ROLE x SET y TO E'a\\';';",
            "CREATE RULE r AS DO (SELECT ')';\nSELECT 1;);",
            "SET z = 1",
        ];
        assert_eq!(statements(sql), expected);
    }

    #[test]
    fn a_role_is_recognised_by_its_whole_name() {
        let names = |name: &str| BTreeSet::from([name.to_owned()]);
        let concerns = |statement: &str, role: &str| super::concerns(statement, &names(role), &BTreeSet::new());
        assert!(concerns("CREATE ROLE app;", "app"));
        assert!(concerns("ALTER ROLE app WITH LOGIN;", "app"));
        assert!(concerns("ALTER ROLE \"App x\" SET a TO 'b';", "App x"));
        assert!(!concerns("CREATE ROLE app2;", "app") && !concerns("GRANT app TO other;", "app"));
    }
}
