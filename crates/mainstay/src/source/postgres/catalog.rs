//! What is in a database, as its catalog says: tables to dump, and what a restored copy is compared with.

use super::names::TableName;
use super::session::Session;
use repository::{Error, Id, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Tables with rows of their own which the user made; those of extensions are left to the extensions.
const TABLES: &str = "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass \
    AND d.objid = c.oid AND d.deptype = 'e')";

/// Whether anything is there that the user made: an extension or an empty schema is nothing.
const USER_OBJECTS: &str = "\
SELECT pg_catalog.json_build_array(EXISTS (
    SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
) OR EXISTS (
    SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
) OR EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata));";

/// Those of extensions are made anew with the extension, and no dump sets them.
const SEQUENCES: &str = "\
SELECT pg_catalog.json_build_array(schemaname, sequencename, last_value) FROM pg_catalog.pg_sequences \
WHERE schemaname !~ '^pg_' AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.objid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype = 'e' AND n.nspname = schemaname AND c.relname = sequencename);";

const EXTENSIONS: &str = "SELECT pg_catalog.json_build_array(extname, extversion) FROM pg_catalog.pg_extension;";

/// Whoever owns something in the database, or has a right in it.
const ROLES: &str = "\
SELECT to_json(name) FROM (SELECT DISTINCT pg_catalog.pg_get_userbyid(oid)::text FROM (
    SELECT refobjid AS oid FROM pg_catalog.pg_shdepend
    WHERE refclassid = 'pg_catalog.pg_authid'::regclass
    AND dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
    UNION SELECT datdba FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
    UNION SELECT relowner FROM pg_catalog.pg_class WHERE oid >= 16384
    UNION SELECT nspowner FROM pg_catalog.pg_namespace WHERE oid >= 16384
    UNION SELECT setrole FROM pg_catalog.pg_db_role_setting
    WHERE setrole <> 0 AND setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
) AS roles) AS names(name)
WHERE name !~ '^pg_';";

const TABLESPACES: &str = "\
SELECT to_json(spcname::text) FROM pg_catalog.pg_tablespace
WHERE oid IN (SELECT reltablespace FROM pg_catalog.pg_class) AND spcname !~ '^pg_';";

const NOT_VALID: &str = "\
SELECT pg_catalog.json_build_array(n.nspname, c.relname, k.conname) FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT k.convalidated;";

const INVALID_INDEXES: &str = "\
SELECT pg_catalog.json_build_array(n.nspname, c.relname) FROM pg_catalog.pg_index x
JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT x.indisvalid AND c.relkind = 'i';";

/// What is in a database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Catalog {
    /// Tables with rows of their own. Their rows are counted separately.
    #[serde(skip)]
    pub tables: Vec<TableName>,
    /// Last values of sequences, by name; nothing for those that gave none yet.
    pub sequences: BTreeMap<String, Option<i64>>,
    /// Versions of extensions, by name.
    pub extensions: BTreeMap<String, String>,
    /// Who has to be there before it is restored.
    pub roles: Vec<String>,
    /// Tablespaces that tables lie in.
    pub tablespaces: Vec<String>,
    /// Hashes of everything that is defined, by kind.
    pub schema: BTreeMap<String, String>,
    /// Constraints that not all rows are known to keep.
    pub not_valid: Vec<String>,
    /// Indexes that are not used, since building them failed.
    pub invalid_indexes: Vec<String>,
}

impl Catalog {
    /// Read it, as the transaction sees it.
    ///
    /// # Errors
    /// Those of the session.
    pub fn read(session: &mut Session) -> Result<Self> {
        Ok(Self {
            tables: tables(session)?,
            sequences: sequences(session)?,
            extensions: parsed::<(String, String)>(session, EXTENSIONS)?.into_iter().collect(),
            roles: sorted(session, ROLES)?,
            tablespaces: sorted(session, TABLESPACES)?,
            schema: schema(session)?,
            not_valid: joined(session, NOT_VALID)?,
            invalid_indexes: joined(session, INVALID_INDEXES)?,
        })
    }
}

/// Tables with rows of their own, by name.
///
/// # Errors
/// Those of the session.
pub fn tables(session: &mut Session) -> Result<Vec<TableName>> {
    let sql = format!("SELECT pg_catalog.json_build_array(n.nspname, c.relname) FROM {TABLES};");
    let mut tables: Vec<TableName> = parsed::<(String, String)>(session, &sql)?
        .into_iter()
        .map(|(schema, name)| TableName { schema, name })
        .collect();
    tables.sort();
    Ok(tables)
}

/// Tables that the user may not read.
///
/// # Errors
/// Those of the session.
pub fn unreadable_tables(session: &mut Session) -> Result<Vec<TableName>> {
    let sql = format!(
        "SELECT pg_catalog.json_build_array(n.nspname, c.relname) FROM {TABLES} \
         AND NOT pg_catalog.has_table_privilege(c.oid, 'SELECT');"
    );
    let rows = parsed::<(String, String)>(session, &sql)?;
    Ok(rows
        .into_iter()
        .map(|(schema, name)| TableName { schema, name })
        .collect())
}

/// Whether there is anything in a database that a restore would collide with.
///
/// # Errors
/// Those of the session.
pub fn has_user_objects(session: &mut Session) -> Result<bool> {
    Ok(parsed::<(bool,)>(session, USER_OBJECTS)?.first() == Some(&(true,)))
}

/// Keep every table as it is until the transaction ends: nobody drops, empties or rewrites one.
///
/// # Errors
/// If somebody else keeps one for longer than a minute; those of the session.
pub fn lock_tables(session: &mut Session) -> Result<()> {
    let sql = format!(
        "SELECT pg_catalog.format('LOCK TABLE ONLY %I.%I IN ACCESS SHARE MODE', n.nspname, c.relname) FROM {TABLES} \
         AND pg_catalog.has_table_privilege(c.oid, 'SELECT')\n\\gexec"
    );
    session.query(&sql).map(drop)
}

/// Ask for the rows of all tables; [`row_counts`] waits for the answer.
///
/// # Errors
/// Those of the session.
pub fn ask_row_counts(session: &mut Session) -> Result<()> {
    session.ask(&format!(
        "SELECT pg_catalog.format('SELECT pg_catalog.json_build_array(%L, %L, (SELECT pg_catalog.count(*) FROM ONLY %I.%I))', \
         n.nspname, c.relname, n.nspname, c.relname) FROM {TABLES} \
         AND pg_catalog.has_table_privilege(c.oid, 'SELECT')\n\\gexec"
    ))
}

/// The answer: rows by table.
///
/// # Errors
/// Those of the session.
pub fn row_counts(session: &mut Session) -> Result<BTreeMap<String, u64>> {
    let rows = session.rows()?.into_iter().map(from_value::<(String, String, u64)>);
    rows.map(|row| row.map(|(schema, name, rows)| (TableName { schema, name }.to_string(), rows)))
        .collect()
}

fn sequences(session: &mut Session) -> Result<BTreeMap<String, Option<i64>>> {
    let rows = parsed::<(String, String, Option<i64>)>(session, SEQUENCES)?;
    let named = |(schema, name, last)| (TableName { schema, name }.to_string(), last);
    Ok(rows.into_iter().map(named).collect())
}

fn schema(session: &mut Session) -> Result<BTreeMap<String, String>> {
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (kind, line) in parsed::<(String, Value)>(session, include_str!("schema.sql"))? {
        lines.entry(kind).or_default().push(line.to_string());
    }
    let hashed = |(kind, mut lines): (String, Vec<String>)| {
        lines.sort_unstable();
        let digest: [u8; 32] = Sha256::digest(lines.join("\n")).into();
        (kind, Id(digest).to_hex())
    };
    Ok(lines.into_iter().map(hashed).collect())
}

fn sorted(session: &mut Session, sql: &str) -> Result<Vec<String>> {
    let mut names = parsed::<String>(session, sql)?;
    names.sort();
    Ok(names)
}

fn joined(session: &mut Session, sql: &str) -> Result<Vec<String>> {
    let mut names: Vec<String> = parsed::<Vec<String>>(session, sql)?
        .iter()
        .map(|names| names.join("."))
        .collect();
    names.sort();
    Ok(names)
}

/// The rows of an answer as values of a type.
///
/// # Errors
/// Those of the session.
pub fn parsed<T: DeserializeOwned>(session: &mut Session, sql: &str) -> Result<Vec<T>> {
    session.query(sql)?.into_iter().map(from_value).collect()
}

fn from_value<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| Error::Refused {
        message: format!("an answer of the server cannot be understood: {error}"),
        hint: "Look whether the server's version is supported: 12 to 18 are.".to_owned(),
    })
}
