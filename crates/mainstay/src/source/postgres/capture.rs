//! What of a server goes into a snapshot.

use super::catalog::{has_user_objects, parsed, tables};
use super::dump::{self, Form};
use super::names::escape;
use super::server::Server;
use super::session::Session;
use super::{globals, incomplete, tables as together};
use crate::config::model::{DumpFormat, Postgres};
use crate::engine::manifest::Grade;
use crate::source::databases::{Missing, choose};
use crate::source::{Found, Item, Piece};
use repository::{Error, Monitor};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// From this size on, a database becomes a directory.
const LARGE_BYTES: u64 = 1 << 30;
/// Of a database with more tables, a process for each of them would take longer than one for all.
const MANY_TABLES: usize = 2000;
/// Processes for a large database, if nothing else is said.
const PROCESSES: usize = 4;

/// Databases that somebody can work with, and how large they are, if that can be seen.
const DATABASES: &str = "\
SELECT pg_catalog.json_build_array(datname,
    CASE WHEN pg_catalog.has_database_privilege(oid, 'CONNECT') THEN pg_catalog.pg_database_size(oid) END)
FROM pg_catalog.pg_database WHERE NOT datistemplate AND datallowconn AND datconnlimit <> -2 ORDER BY datname COLLATE \"C\";";

/// The databases of a server that are meant, and what is named and not there. `postgres` is, unless it is named or has something in it,
/// not.
///
/// # Errors
/// If there are none and that is not allowed.
pub fn chosen(server: &Server, postgres: &Postgres) -> anyhow::Result<(Vec<Found>, Vec<Missing>)> {
    let mut session = Session::open(server, &server.maintenance)?;
    let mut all: Vec<Found> = parsed::<(String, Option<u64>)>(&mut session, DATABASES)?
        .into_iter()
        .map(|(name, bytes)| Found { name, bytes })
        .collect();
    session.close()?;
    if postgres.databases.is_empty() && all.iter().any(|found| found.name == "postgres") {
        let mut session = Session::open(server, "postgres")?;
        if !has_user_objects(&mut session)? {
            all.retain(|found| found.name != "postgres");
        }
        session.close()?;
    }
    let names: Vec<String> = all.iter().map(|found| found.name.clone()).collect();
    let chosen = choose(&names, &postgres.databases, &postgres.exclude_databases)?;
    if chosen.names.is_empty() && chosen.missing.is_empty() && !postgres.allow_empty {
        return Err(Error::Refused {
            message: format!("there is no database to back up on PostgreSQL at `{}`", server.name()),
            hint: "Check `databases` and `exclude_databases`; if that is as it should be, set `allow_empty: true`."
                .to_owned(),
        }
        .into());
    }
    all.retain(|found| chosen.names.contains(&found.name));
    Ok((all, chosen.missing))
}

/// What goes into a snapshot: roles first, since databases need them.
///
/// # Errors
/// As [`chosen`].
pub fn pieces(
    server: &Arc<Server>,
    postgres: &Postgres,
    root: &Path,
    monitor: &dyn Monitor,
) -> anyhow::Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let (mut chosen, missing) = chosen(server, postgres)?;
    let fresh = incomplete::fresh(server, chosen.iter().map(|found| found.name.as_str()));
    chosen.retain(|found| !fresh.contains(&found.name));
    if let Some(note) = incomplete::note(&fresh) {
        monitor.note(&note);
    }
    if postgres.globals {
        pieces.push(globals::piece(server, root, &postgres.server.name)?);
    }
    for database in chosen {
        pieces.push(piece(server, postgres, &database, root)?);
    }
    pieces.extend(missing.iter().map(|missing| {
        let name = &missing.name;
        let path = root.join(file_of(name, postgres.format));
        missing.piece(format!("{}/{name}", postgres.server.name), path)
    }));
    Ok(pieces)
}

fn piece(server: &Arc<Server>, postgres: &Postgres, database: &Found, root: &Path) -> repository::Result<Piece> {
    let (form, facts, name) = (Form::new(postgres), Arc::default(), &database.name);
    let (path, items) = match in_parallel(server, postgres, database)? {
        Some((processes, tables)) => {
            let path = root.join(directory_of(name));
            let items = together::items(server, name, &form, processes, tables, &facts, &path);
            (path, items)
        }
        None => {
            let path = root.join(file_of(name, postgres.format));
            let stream = dump::stream(server, name, &form, &facts, path.clone());
            (path, vec![Item::Stream(stream)])
        }
    };
    Ok(Piece {
        path,
        name: format!("{}/{name}", postgres.server.name),
        grade: Some(Grade::Transactional),
        items,
        facts,
    })
}

/// Whether a database becomes a directory: by how many processes, with which tables.
fn in_parallel(
    server: &Server,
    postgres: &Postgres,
    database: &Found,
) -> repository::Result<Option<(usize, Vec<super::names::TableName>)>> {
    let is_large = postgres.format == DumpFormat::Custom && database.bytes.is_some_and(|bytes| bytes >= LARGE_BYTES);
    if postgres.parallel.is_none() && !is_large {
        return Ok(None);
    }
    let mut session = Session::open(server, &database.name)?;
    let tables = tables(&mut session)?;
    session.close()?;
    if postgres.parallel.is_none() && tables.len() > MANY_TABLES {
        return Ok(None);
    }
    Ok(Some((processes(postgres), tables)))
}

/// So many processes capture or restore a large database.
pub fn processes(postgres: &Postgres) -> usize {
    postgres.parallel.map_or(PROCESSES, |processes| processes as usize)
}

/// The file of a database. The name of the file with roles is taken.
fn file_of(name: &str, format: DumpFormat) -> PathBuf {
    let escaped = match escape(name, &[]) {
        taken if taken == "globals" => "%67lobals".to_owned(),
        escaped => escaped,
    };
    match format {
        DumpFormat::Custom => format!("{escaped}.dump").into(),
        DumpFormat::Plain => format!("{escaped}.sql").into(),
    }
}

/// The directory of a database, which must not look like the file of another one.
fn directory_of(name: &str) -> PathBuf {
    let looks_like_file = [".dump", ".sql"].iter().any(|end| name.ends_with(end));
    escape(name, if looks_like_file { &['.'] } else { &[] }).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_databases_have_the_same_place() {
        let names = [
            "app",
            "app.dump",
            "app.sql",
            "globals",
            "globals.sql",
            "a/b",
            "..",
            "%67lobals",
        ];
        let mut places: Vec<PathBuf> = vec![globals::FILE.into()];
        for name in names {
            places.push(file_of(name, DumpFormat::Custom));
            places.push(file_of(name, DumpFormat::Plain));
            places.push(directory_of(name));
        }
        let all = places.len();
        places.sort();
        places.dedup();
        assert_eq!(places.len(), all, "{places:?}");
        assert!(places.iter().all(|place| place.components().count() == 1), "{places:?}");
    }
}
