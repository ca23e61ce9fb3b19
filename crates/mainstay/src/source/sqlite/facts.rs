//! What is known of a database, as of one moment.

use super::server::{Database, failed};
use crate::engine::manifest::Facts;
use repository::Result;
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Hash of everything that was declared.
pub const SCHEMA: &str = "schema_sha256";
/// Rows that refer to others that are not there.
pub const ORPHANS: &str = "foreign_key_violations";
/// Numbers in the header that belong to the application.
pub const APPLICATION: [&str; 2] = ["user_version", "application_id"];

/// Rows by table and more. Tables of extensions are not counted: the extension may not be here.
///
/// # Errors
/// If it cannot be read.
pub fn of(connection: &Connection, database: &Database) -> Result<Facts> {
    let wrong = failed(database, "read");
    let mut statement = connection
        .prepare("SELECT type, name, coalesce(sql, '') FROM sqlite_schema ORDER BY type, name")
        .map_err(&wrong)?;
    let declared = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .and_then(Iterator::collect::<std::result::Result<Vec<(String, String, String)>, _>>)
        .map_err(&wrong)?;
    let mut hasher = Sha256::new();
    let mut rows = BTreeMap::new();
    for (kind, name, sql) in &declared {
        hasher.update(format!("{kind}\0{name}\0{sql}\0"));
        let is_virtual = sql.trim_start().to_ascii_uppercase().starts_with("CREATE VIRTUAL");
        if kind == "table" && !is_virtual {
            let quoted = name.replace('"', "\"\"");
            let count = number(connection, &format!("SELECT count(*) FROM \"{quoted}\""));
            rows.insert(name.clone(), count.map_err(&wrong)?);
        }
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let mut more: BTreeMap<String, Value> = BTreeMap::new();
    more.insert(SCHEMA.to_owned(), json!(repository::Id(digest).to_hex()));
    for name in APPLICATION {
        let value: i64 = connection
            .query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
            .map_err(&wrong)?;
        more.insert(name.to_owned(), json!(value));
    }
    if let Ok(orphans) = orphans(connection) {
        more.insert(ORPHANS.to_owned(), json!(orphans));
    }
    let version = rusqlite::version().to_owned();
    Ok(Facts {
        versions: [("sqlite".to_owned(), version)].into(),
        rows,
        more,
        ..Facts::default()
    })
}

/// That nothing is wrong as far as `pragma` looks.
///
/// # Errors
/// If the database is damaged.
pub fn check(connection: &Connection, database: &Database, pragma: &str) -> Result<()> {
    let wrong = failed(database, "check");
    let mut statement = connection.prepare(&format!("PRAGMA {pragma}(10)")).map_err(&wrong)?;
    let found = statement
        .query_map([], |row| row.get(0))
        .and_then(Iterator::collect::<rusqlite::Result<Vec<String>>>)
        .map_err(&wrong)?
        .join("; ");
    if found == "ok" {
        Ok(())
    } else {
        Err(database.damaged(&found))
    }
}

/// A number that is no less than nothing.
pub fn number(connection: &Connection, sql: &str) -> rusqlite::Result<u64> {
    connection
        .query_row(sql, [], |row| row.get::<_, i64>(0))
        .map(i64::unsigned_abs)
}

/// A schema that does not fit itself, or a table of an extension, makes this fail; that is the application's affair.
fn orphans(connection: &Connection) -> rusqlite::Result<u64> {
    number(connection, "SELECT count(*) FROM pragma_foreign_key_check")
}
