//! Tables that are gone from a database: they are made again as they were, with their indexes and constraints.
//!
//! Which statements of a dump belong to a table is for `pg_dump` to say: all definitions go into a database beside the other one, without
//! rows, and what it dumps of the tables there is executed where they are gone.

use super::catalog::parsed;
use super::dumped::Dumped;
use super::errors::explained;
use super::fill::table_of;
use super::fresh;
use super::names::{TableName, ident, literal};
use super::script::{self, Mode};
use super::server::Server;
use super::session::Session;
use super::settings::Settings;
use super::statements::statements;
use repository::{Error, Result};
use std::ffi::OsString;
use std::io::Write as _;

/// What makes the tables again.
pub struct Gone {
    /// Before rows are there.
    pub before: String,
    /// When rows are there: values of sequences, indexes, constraints, triggers, and keys by which other tables refer to them.
    pub after: String,
}

impl Gone {
    /// Of `tables`, which are gone from the database `target`.
    ///
    /// # Errors
    /// The server's. Nothing is changed in `target`.
    pub fn of(server: &Server, dumped: &Dumped<'_>, target: &str, tables: &[TableName]) -> anyhow::Result<Self> {
        fresh::meanwhile(server, dumped, target, |fresh| {
            script::run(server, fresh, Mode::StepByStep, |out| {
                dumped.write_definitions(&server.clients, out)?;
                dumped.write_constraints(&server.clients, out)
            })?;
            let mut session = Session::open(server, fresh)?;
            let list = regclasses(tables);
            let parents = parents(&mut session, &list)?;
            let sequences = sequences(&mut session, &list)?;
            let keys = keys_of_others(&mut session, &list)?;
            session.close()?;
            let mut session = Session::open(server, target)?;
            let mut wanted = tables.to_vec();
            for parent in parents {
                if !has(&mut session, &parent)? {
                    wanted.push(parent);
                }
            }
            let mut last = values(dumped, &sequences);
            last.push_str(&missing(&mut session, keys)?);
            session.close()?;
            let before = dump(server, dumped, fresh, &wanted, "pre-data")?;
            let after = dump(server, dumped, fresh, &wanted, "post-data")?;
            let (before, mut after) = attached_late(before, after, &wanted);
            after.push_str(&last);
            Ok(Self { before, after })
        })
    }
}

/// Whether there is something of the name.
///
/// # Errors
/// Those of the session.
pub fn has(session: &mut Session, table: &TableName) -> Result<bool> {
    let sql = format!(
        "SELECT to_json(pg_catalog.to_regclass({}) IS NOT NULL);",
        literal(&table.sql())
    );
    Ok(parsed::<bool>(session, &sql)?.first() == Some(&true))
}

/// As a list in SQL.
pub fn regclasses(tables: &[TableName]) -> String {
    let all: Vec<String> = tables
        .iter()
        .map(|table| format!("{}::regclass", literal(&table.sql())))
        .collect();
    all.join(", ")
}

/// Those that the tables are partitions of.
fn parents(session: &mut Session, list: &str) -> Result<Vec<TableName>> {
    let sql = format!(
        "SELECT DISTINCT pg_catalog.json_build_array(n.nspname, c.relname)::text::jsonb \
         FROM pg_catalog.unnest(ARRAY[{list}]) AS t(oid), pg_catalog.pg_partition_ancestors(t.oid) AS p(oid) \
         JOIN pg_catalog.pg_class c ON c.oid = p.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind = 'p';"
    );
    named(session, &sql)
}

/// Those that went with the tables.
fn sequences(session: &mut Session, list: &str) -> Result<Vec<TableName>> {
    let sql = format!(
        "SELECT pg_catalog.json_build_array(n.nspname, c.relname) FROM pg_catalog.pg_depend d \
         JOIN pg_catalog.pg_class c ON c.oid = d.objid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = d.classid AND d.deptype IN ('a', 'i') \
         AND c.relkind = 'S' AND d.refobjid IN ({list});"
    );
    named(session, &sql)
}

fn named(session: &mut Session, sql: &str) -> Result<Vec<TableName>> {
    let rows = parsed::<(String, String)>(session, sql)?;
    Ok(rows
        .into_iter()
        .map(|(schema, name)| TableName { schema, name })
        .collect())
}

/// The statements that give sequences the values that they had.
fn values(dumped: &Dumped<'_>, sequences: &[TableName]) -> String {
    let last = |sequence: &TableName| {
        let value = dumped.catalog.sequences.get(&sequence.to_string()).copied().flatten()?;
        let name = literal(&sequence.sql());
        Some(format!("SELECT pg_catalog.setval({name}, {value});\n"))
    };
    sequences.iter().filter_map(last).collect()
}

/// A foreign key of another table: the table, its name, its definition, a comment.
type Key = (String, String, String, Option<String>);

/// They went with what they refer to.
fn keys_of_others(session: &mut Session, list: &str) -> Result<Vec<Key>> {
    let sql = format!(
        "SELECT pg_catalog.json_build_array(conrelid::regclass::text, conname, pg_catalog.pg_get_constraintdef(oid), \
         pg_catalog.obj_description(oid, 'pg_constraint')) FROM pg_catalog.pg_constraint \
         WHERE contype = 'f' AND conparentid = 0 AND confrelid IN ({list}) AND conrelid NOT IN ({list}) ORDER BY oid;"
    );
    parsed(session, &sql)
}

/// The statements for keys that tables which are there do not have.
fn missing(session: &mut Session, keys: Vec<Key>) -> Result<String> {
    let mut statements = String::new();
    for (table, key, definition, comment) in keys {
        let of = format!("pg_catalog.to_regclass({})", literal(&table));
        let sql = format!(
            "SELECT to_json({of} IS NOT NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint \
             WHERE conrelid = {of} AND conname = {}));",
            literal(&key)
        );
        if parsed::<bool>(session, &sql)?.first() != Some(&true) {
            continue;
        }
        let key = ident(&key);
        statements += &format!("ALTER TABLE {table} ADD CONSTRAINT {key} {definition};\n");
        if let Some(comment) = comment {
            statements += &format!("COMMENT ON CONSTRAINT {key} ON {table} IS {};\n", literal(&comment));
        }
    }
    Ok(statements)
}

/// A table that becomes a partition gets the indexes of the other ones at once, unless it has them: so it has to have its own before, if what
/// it is a partition of is not among the tables that are made.
fn attached_late(before: String, after: String, made: &[TableName]) -> (String, String) {
    let is_late = |statement: &String| {
        let parent = statement.strip_prefix("ALTER TABLE ONLY ").and_then(table_of);
        statement.contains(" ATTACH PARTITION ") && parent.is_some_and(|parent| !made.contains(&parent))
    };
    let (tables, rest): (Vec<String>, Vec<String>) = statements(&before).into_iter().partition(is_late);
    if tables.is_empty() {
        return (before, after);
    }
    let is_of_index =
        |statement: &String| statement.starts_with("ALTER INDEX ") && statement.contains(" ATTACH PARTITION ");
    let (indexes, others): (Vec<String>, Vec<String>) = statements(&after).into_iter().partition(is_of_index);
    let after = [others, tables, indexes].concat();
    (rest.join("\n") + "\n", after.join("\n") + "\n")
}

/// Definitions of tables, as `pg_dump` has them of a database.
fn dump(
    server: &Server,
    dumped: &Dumped<'_>,
    database: &str,
    tables: &[TableName],
    section: &str,
) -> anyhow::Result<String> {
    let mut words = vec![server.clients.program("pg_dump"), server.patience()];
    words.extend(["-w", "-Fp", "--encoding=UTF8"].map(OsString::from));
    words.push(format!("--section={section}").into());
    if !dumped.with_owner {
        words.push("--no-owner".into());
    }
    if !dumped.with_privileges {
        words.push("--no-privileges".into());
    }
    words.extend(tables.iter().map(|table| format!("--table={}", table.sql()).into()));
    let output = server
        .clients
        .programs
        .output(&words, &server.surroundings(database))
        .map_err(|error| explained(error, &server.name()))?;
    let mut known = Vec::new();
    let mut settings = Settings::new(&mut known, server.major());
    settings
        .write_all(&output)
        .map_err(Error::local("pass on", "what `pg_dump` prints"))?;
    settings.finish()?;
    Ok(String::from_utf8(known)?)
}
