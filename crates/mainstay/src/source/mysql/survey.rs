//! What is on a server, asked before anything is dumped.

use super::answers::{Rows, literal};
use super::connected::Connected;
use super::dialect::SYSTEM_SCHEMAS;
use super::rewrite::quoted;
use super::rights::Rights;
use repository::{Id, Result};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// A database, as the server describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// Its default character set.
    pub character_set: String,
    /// Its default collation.
    pub collation: String,
}

/// What a database consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// How large its tables and indexes are, bytes, as the server estimates.
    pub bytes: u64,
    /// Tables by engine.
    pub engines: BTreeMap<String, u64>,
    /// Tables that may change while they are dumped: their engines know no transactions.
    pub without_transactions: Vec<String>,
    /// Tables of which only the present rows are dumped.
    pub versioned: Vec<String>,
    /// In whose name views, triggers, routines and events run: `user@host`.
    pub definers: Vec<String>,
}

/// The databases of users.
///
/// # Errors
/// What is wrong with the connection.
pub fn databases(server: &Connected) -> Result<Vec<Database>> {
    let sql = "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA ORDER BY 1";
    let database = |row: Vec<String>| {
        let [name, character_set, collation] = row.try_into().ok()?;
        Some(Database {
            name,
            character_set,
            collation,
        })
    };
    // Directories that no server made look like databases with a mark before their names.
    let is_of_users = |database: &Database| {
        !SYSTEM_SCHEMAS.contains(&database.name.as_str()) && !database.name.starts_with("#mysql50#")
    };
    Ok(server
        .query(sql)?
        .into_iter()
        .filter_map(database)
        .filter(is_of_users)
        .collect())
}

/// What a database consists of.
///
/// # Errors
/// What is wrong with the connection.
pub fn inside(server: &Connected, database: &str) -> Result<Inside> {
    let name = literal(database);
    let sql = format!(
        "SELECT t.TABLE_NAME, t.TABLE_TYPE, COALESCE(t.ENGINE, ''), COALESCE(e.TRANSACTIONS, ''), \
         COALESCE(t.DATA_LENGTH, 0) + COALESCE(t.INDEX_LENGTH, 0) FROM information_schema.TABLES t \
         LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE WHERE t.TABLE_SCHEMA = {name} ORDER BY 1"
    );
    let mut inside = Inside::default();
    for row in server.query(&sql)? {
        let [table, kind, engine, transactions, bytes] = <[String; 5]>::try_from(row).unwrap_or_default();
        if !matches!(kind.as_str(), "BASE TABLE" | "SYSTEM VERSIONED") {
            continue;
        }
        inside.bytes += bytes.parse::<u64>().unwrap_or_default();
        if transactions != "YES" {
            inside.without_transactions.push(table.clone());
        }
        if kind == "SYSTEM VERSIONED" {
            inside.versioned.push(table);
        }
        *inside.engines.entry(engine).or_default() += 1;
    }
    inside.definers = definers(server, &name)?;
    Ok(inside)
}

fn definers(server: &Connected, name: &str) -> Result<Vec<String>> {
    let of =
        |table: &str, column: &str| format!("SELECT DEFINER FROM information_schema.{table} WHERE {column} = {name}");
    let all = [
        of("VIEWS", "TABLE_SCHEMA"),
        of("ROUTINES", "ROUTINE_SCHEMA"),
        of("TRIGGERS", "TRIGGER_SCHEMA"),
        of("EVENTS", "EVENT_SCHEMA"),
    ];
    let mut definers = first_column(server.query(&all.join(" UNION "))?);
    definers.sort();
    Ok(definers)
}

/// A hash of the columns and indexes of all tables. It is the same on servers of the same version only: they describe types differently.
///
/// # Errors
/// What is wrong with the connection.
pub fn schema_hash(server: &Connected, database: &str) -> Result<Id> {
    let name = literal(database);
    let sql = format!(
        "SELECT c.TABLE_NAME, c.COLUMN_NAME, c.ORDINAL_POSITION, c.COLUMN_TYPE, c.IS_NULLABLE, c.COLUMN_DEFAULT, c.EXTRA, \
         c.COLLATION_NAME, c.GENERATION_EXPRESSION FROM information_schema.COLUMNS c JOIN information_schema.TABLES t \
         ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME \
         WHERE c.TABLE_SCHEMA = {name} AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY 1, 3; \
         SELECT TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME, NON_UNIQUE, SUB_PART FROM information_schema.STATISTICS \
         WHERE TABLE_SCHEMA = {name} ORDER BY 1, 2, 3"
    );
    let mut hasher = Sha256::new();
    for field in server.query(&sql)?.iter().flatten() {
        hasher.update((field.len() as u64).to_le_bytes());
        hasher.update(field);
    }
    Ok(Id(hasher.finalize().into()))
}

/// What is in a database, in the words of the manifest: what a dump of it is compared with.
///
/// # Errors
/// What is wrong with the connection.
pub fn counts(server: &Connected, database: &str) -> Result<[(&'static str, u64); 6]> {
    let name = literal(database);
    let tables = |kinds: &str| {
        format!(
            "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = {name} AND TABLE_TYPE IN ({kinds})"
        )
    };
    let of =
        |table: &str, column: &str| format!("SELECT COUNT(*) FROM information_schema.{table} WHERE {column} = {name}");
    let asked = [
        ("tables", tables("'BASE TABLE', 'SYSTEM VERSIONED'")),
        ("views", tables("'VIEW'")),
        ("sequences", tables("'SEQUENCE'")),
        ("triggers", of("TRIGGERS", "TRIGGER_SCHEMA")),
        ("routines", of("ROUTINES", "ROUTINE_SCHEMA")),
        ("events", of("EVENTS", "EVENT_SCHEMA")),
    ];
    let sql: Vec<&str> = asked.iter().map(|(_, sql)| sql.as_str()).collect();
    let answers = first_column(server.query(&sql.join("; "))?);
    let mut counts = asked.each_ref().map(|(name, _)| (*name, 0));
    for ((_, count), answer) in counts.iter_mut().zip(answers) {
        *count = answer.parse().unwrap_or_default();
    }
    Ok(counts)
}

/// What the user may do.
///
/// # Errors
/// What is wrong with the connection.
pub fn rights(server: &Connected) -> Result<Rights> {
    Ok(Rights::of(&first_column(server.query("SHOW GRANTS")?)))
}

/// All that the first column says.
pub fn first_column(rows: Rows) -> Vec<String> {
    rows.into_iter().filter_map(|row| row.into_iter().next()).collect()
}

/// How many tables are counted with one query: it is an argument of the client.
const TABLES_AT_ONCE: usize = 200;

/// Rows of tables, counted one by one.
///
/// # Errors
/// What is wrong with the connection, or with a table.
pub fn rows(server: &Connected, database: &str, tables: &[&String]) -> Result<BTreeMap<String, u64>> {
    let mut rows = BTreeMap::new();
    for tables in tables.chunks(TABLES_AT_ONCE) {
        let count = |table: &&String| format!("SELECT COUNT(*) FROM {}.{}", quoted(database), quoted(table));
        let sql: Vec<String> = tables.iter().map(count).collect();
        let counts = first_column(server.query(&sql.join("; "))?);
        let pairs = tables.iter().zip(counts);
        rows.extend(pairs.filter_map(|(table, count)| Some(((*table).clone(), count.parse().ok()?))));
    }
    Ok(rows)
}

/// The first tables whose rows are not as many as they should be, as a phrase.
pub fn difference(expected: &BTreeMap<String, u64>, found: &BTreeMap<String, u64>) -> Option<String> {
    let wrong = expected.iter().filter(|(table, rows)| found.get(*table) != Some(rows));
    let text = |(table, rows): (&String, &u64)| match found.get(table) {
        Some(found) => format!("`{table}` has {found} rows instead of {rows}"),
        None => format!("`{table}` is missing"),
    };
    let unexpected = found.keys().filter(|table| !expected.contains_key(*table));
    let texts: Vec<String> = wrong
        .map(text)
        .chain(unexpected.map(|table| format!("`{table}` is new")))
        .collect();
    let more = texts.len().saturating_sub(3);
    match (texts.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(texts.join(", ")),
        (false, more) => Some(format!("{}, and {more} more", texts[..3].join(", "))),
    }
}
