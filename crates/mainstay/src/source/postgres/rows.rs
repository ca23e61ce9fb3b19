//! Putting one table, or all tables of a schema, back: their rows, and what is gone as a whole.

use super::catalog::parsed;
use super::dumped::Dumped;
use super::fresh;
use super::gone::{self, Gone};
use super::names::{TableName, ident, literal, unescape};
use super::replace::Target;
use super::restore::check_roles;
use super::script::{self, Mode};
use super::server::Server;
use super::session::Session;
use super::tables::DATA;
use crate::config::Misuse;
use crate::source::{Plan, PutBack, Restored};
use repository::{Error, Result};
use std::io::Write;
use std::path::Path;

/// Settings under which rows mean the same for every server.
const SETTINGS: &str =
    "SET standard_conforming_strings = on;\nSET row_security = off;\nSET check_function_bodies = false;\n";

/// Plan to put rows back: into the tables of a database that has them, or into a new database with all definitions.
///
/// # Errors
/// If nothing of the name is stored; if a table is missing, or has rows that must not be replaced.
pub fn plan<'a>(server: Server, dumped: Dumped<'a>, only: &Path, options: &PutBack) -> anyhow::Result<Plan<'a>> {
    let tables = chosen(&dumped, only)?;
    let name = options.rename.as_deref().unwrap_or(&dumped.properties.name);
    let target = Target::look(&server, name)?;
    if target.there.is_some() {
        return into_existing(server, dumped, tables, target.name, options.overwrite);
    }
    if !dumped.has_sections() {
        let message = format!("there is no database `{name}` that has the table, and nothing was changed");
        return Err(Misuse::new(message, "Restore the whole database: plain SQL cannot be taken apart.").into());
    }
    Ok(into_new(server, dumped, tables, target.name))
}

/// The tables that `public.users`, `data/public.users.sql` or `public` name.
fn chosen(dumped: &Dumped<'_>, only: &Path) -> Result<Vec<TableName>, Misuse> {
    let text = only.to_string_lossy();
    let of_file = text
        .strip_prefix(DATA)
        .and_then(|rest| rest.strip_prefix('/')?.strip_suffix(".sql"));
    let text = of_file.unwrap_or(&text);
    let is_meant = |table: &TableName| match text.split_once('.') {
        Some((schema, name)) => {
            unescape(schema).as_ref() == Some(&table.schema) && unescape(name).as_ref() == Some(&table.name)
        }
        None => unescape(text).as_ref() == Some(&table.schema),
    };
    let mut all = dumped.tables();
    let known: Vec<String> = all.iter().take(10).map(TableName::in_path).collect();
    all.retain(is_meant);
    if all.is_empty() {
        let hint = format!("Tables are named SCHEMA.TABLE; there are {}, …", known.join(", "));
        return Err(Misuse::new(format!("the part has no table or schema `{text}`"), hint));
    }
    Ok(all)
}

fn into_new<'a>(server: Server, dumped: Dumped<'a>, tables: Vec<TableName>, name: String) -> Plan<'a> {
    let steps = vec![
        format!(
            "create the database `{name}` on `{}` with all tables, without indexes and constraints",
            server.name()
        ),
        format!("restore the rows of {}; other tables stay empty", shown(&tables)),
    ];
    let execute = move || {
        check_roles(&server, &dumped)?;
        let fill = |fresh: &str| {
            script::run(&server, fresh, Mode::StepByStep, |out| {
                dumped.write_definitions(&server.clients, out)?;
                dumped.write_rows(&server.clients, &tables, out)
            })
        };
        fresh::make(&server, &dumped, &name, false, fill)?;
        Ok(restored(&tables))
    };
    Plan {
        steps,
        execute: Box::new(execute),
    }
}

fn into_existing<'a>(
    server: Server,
    dumped: Dumped<'a>,
    tables: Vec<TableName>,
    name: String,
    overwrite: bool,
) -> anyhow::Result<Plan<'a>> {
    let mut session = Session::open(&server, &name)?;
    let (mut there, mut gone, mut has_rows) = (Vec::new(), Vec::new(), Vec::new());
    for table in &tables {
        if !gone::has(&mut session, table)? {
            if !dumped.has_sections() {
                let message = format!("the database `{name}` has no table `{table}`, and nothing was changed");
                let hint = "Restore the whole database with `--as NAME`: plain SQL cannot be taken apart.";
                return Err(Misuse::new(message, hint).into());
            }
            gone.push(table.clone());
            continue;
        }
        there.push(table.clone());
        let filled = format!("SELECT EXISTS (SELECT FROM ONLY {});", table.sql());
        if parsed::<bool>(&mut session, &as_json(&filled))?.first() == Some(&true) {
            has_rows.push(table.clone());
        }
    }
    let frame = Frame::of(&mut session, &there)?;
    session.close()?;
    if !has_rows.is_empty() && !overwrite {
        let message = format!("{} of `{name}` has rows, and nothing was changed", shown(&has_rows));
        let hint = "Replace the rows with `--overwrite`, or restore into a new database with `--as NAME`.";
        return Err(Misuse::new(message, hint).into());
    }
    let what = if has_rows.is_empty() { "restore" } else { "replace" };
    let mut steps = Vec::new();
    if !gone.is_empty() {
        steps.extend([
            format!(
                "make a database beside `{name}` on `{}` with all definitions and no rows, and drop it at the end",
                server.name()
            ),
            format!(
                "make {}, which `{name}` does not have, as they were, with indexes, constraints, triggers and rights",
                shown(&gone)
            ),
        ]);
    }
    steps.push(format!(
        "{what} the rows of {} in the database `{name}` on `{}`, all or none; foreign keys are checked again",
        shown(&tables),
        server.name()
    ));
    let execute = move || {
        let made = if gone.is_empty() {
            None
        } else {
            check_roles(&server, &dumped)?;
            let made = Gone::of(&server, &dumped, &name, &gone);
            Some(made.map_err(|error| error.context(format!("the restore failed, and `{name}` is as it was")))?)
        };
        let run = script::run(&server, &name, Mode::AllOrNothing, |out| {
            let made = made.as_ref();
            write_text(out, made.map_or("", |made| &made.before))?;
            write_text(out, SETTINGS)?;
            write_text(out, &frame.before)?;
            dumped.write_rows(&server.clients, &tables, out)?;
            write_text(out, made.map_or("", |made| &made.after))?;
            write_text(out, &frame.after)
        });
        run.map_err(|error| error.context(format!("the restore failed, and `{name}` is as it was")))?;
        Ok(restored(&tables))
    };
    Ok(Plan {
        steps,
        execute: Box::new(execute),
    })
}

/// What is done around writing rows: triggers do not see them, foreign keys do not depend on their order, and checks that did not hold for
/// old rows do not hold them up.
#[derive(Default)]
struct Frame {
    before: String,
    after: String,
}

impl Frame {
    fn of(session: &mut Session, tables: &[TableName]) -> Result<Self> {
        if tables.is_empty() {
            return Ok(Self::default());
        }
        let list = gone::regclasses(tables);
        let names: Vec<String> = tables.iter().map(TableName::sql).collect();
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for (table, key, definition, comment) in constraints(session, &list)? {
            let key = ident(&key);
            before.push(format!("ALTER TABLE {table} DROP CONSTRAINT {key};"));
            after.push(format!("ALTER TABLE {table} ADD CONSTRAINT {key} {definition};"));
            if let Some(comment) = comment {
                after.push(format!(
                    "COMMENT ON CONSTRAINT {key} ON {table} IS {};",
                    literal(&comment)
                ));
            }
        }
        for name in &names {
            before.push(format!("ALTER TABLE ONLY {name} DISABLE TRIGGER USER;"));
        }
        for (table, trigger, enabled) in triggers(session, &list)? {
            let how = match enabled.as_str() {
                "O" => "ENABLE",
                "R" => "ENABLE REPLICA",
                "A" => "ENABLE ALWAYS",
                _ => continue,
            };
            after.push(format!("ALTER TABLE ONLY {table} {how} TRIGGER {};", ident(&trigger)));
        }
        let only: Vec<String> = names.iter().map(|name| format!("ONLY {name}")).collect();
        before.push(format!("TRUNCATE {};", only.join(", ")));
        Ok(Self {
            before: before.join("\n") + "\n",
            after: after.join("\n") + "\n",
        })
    }
}

/// Table, name, definition, comment.
type Constraint = (String, String, String, Option<String>);

/// Constraints that stand in the way of rows: foreign keys from and to tables, and checks that were never made for the rows that were
/// there. Those that come with another one are left to it.
fn constraints(session: &mut Session, list: &str) -> Result<Vec<Constraint>> {
    let sql = format!(
        "SELECT pg_catalog.json_build_array(conrelid::regclass::text, conname, pg_catalog.pg_get_constraintdef(oid), \
         pg_catalog.obj_description(oid, 'pg_constraint')) FROM pg_catalog.pg_constraint \
         WHERE (contype = 'f' AND conparentid = 0 AND (conrelid IN ({list}) OR confrelid IN ({list}))) \
         OR (contype = 'c' AND NOT convalidated AND coninhcount = 0 AND conrelid IN ({list})) ORDER BY oid;"
    );
    parsed(session, &sql)
}

fn triggers(session: &mut Session, list: &str) -> Result<Vec<(String, String, String)>> {
    let sql = format!(
        "SELECT pg_catalog.json_build_array(tgrelid::regclass::text, tgname, tgenabled) FROM pg_catalog.pg_trigger \
         WHERE NOT tgisinternal AND tgrelid IN ({list}) ORDER BY oid;"
    );
    parsed(session, &sql)
}

/// The answer of a query of one value as JSON.
fn as_json(query: &str) -> String {
    format!("SELECT to_json(({}));", query.trim_end_matches(';'))
}

fn write_text(out: &mut (dyn Write + Send), text: &str) -> Result<()> {
    out.write_all(text.as_bytes()).map_err(Error::local("write to", "psql"))
}

fn shown(tables: &[TableName]) -> String {
    let mut names: Vec<String> = tables.iter().take(5).map(|table| format!("`{table}`")).collect();
    if tables.len() > names.len() {
        names.push(format!("{} more", tables.len() - names.len()));
    }
    names.join(", ")
}

fn restored(tables: &[TableName]) -> Restored {
    Restored {
        entries: tables.len() as u64,
        ..Restored::default()
    }
}
