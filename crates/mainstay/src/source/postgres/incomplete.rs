//! The mark of a database that is half restored: a schema. Whoever is killed during a restore leaves a database that says so itself, to
//! people, to the next capture and to the next restore.
//!
//! What is restored in one transaction needs none.

use super::catalog::parsed;
use super::names::literal;
use super::server::Server;
use super::session::Session;
use repository::{Error, Result};

/// The name of the schema.
const MARK: &str = "mainstay_restore_incomplete";

const HALF: &str = "half restored: a restore by Mainstay has not ended, repeat it with --overwrite";
const FRESH: &str =
    "half restored: a restore by Mainstay that has not ended made this database, drop it if none is under way";

/// What the mark of a database says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The database is half restored.
    Half,
    /// The database is on its way to the place of another one.
    Fresh,
}

impl Mark {
    /// That of the database that the session is connected to, if it has one.
    ///
    /// # Errors
    /// Those of the session.
    pub fn read(session: &mut Session) -> Result<Option<Self>> {
        let sql = format!(
            "SELECT to_json(coalesce(pg_catalog.obj_description(oid, 'pg_namespace'), '')) \
             FROM pg_catalog.pg_namespace WHERE nspname = {};",
            literal(MARK)
        );
        let of = |text: &String| if text == FRESH { Self::Fresh } else { Self::Half };
        Ok(parsed::<String>(session, &sql)?.first().map(of))
    }

    /// Set it in a database.
    ///
    /// # Errors
    /// The server's.
    pub fn set(self, server: &Server, database: &str) -> Result<()> {
        let text = literal(self.text());
        let sql = format!("BEGIN; CREATE SCHEMA IF NOT EXISTS {MARK}; COMMENT ON SCHEMA {MARK} IS {text}; COMMIT;");
        server.execute(database, &sql)
    }

    /// Why a database is not captured.
    pub fn refusal(self, database: &str) -> Error {
        Error::Refused {
            message: format!("the database `{database}` is {}", self.text()),
            hint: format!("Drop the schema `{MARK}` only if the database is as it should be."),
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Half => HALF,
            Self::Fresh => FRESH,
        }
    }
}

/// Take the mark of a database away.
///
/// # Errors
/// The server's.
pub fn unset(server: &Server, database: &str) -> Result<()> {
    server.execute(database, &format!("DROP SCHEMA IF EXISTS {MARK};"))
}

/// Of these databases, those on their way to the place of another one. Those that cannot be looked at are none.
pub fn fresh<'a>(server: &Server, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let is_fresh = |name: &&str| {
        let mark = Session::open(server, name).and_then(|mut session| Mark::read(&mut session));
        matches!(mark, Ok(Some(Mark::Fresh)))
    };
    names.filter(is_fresh).map(str::to_owned).collect()
}

/// What the user should know of them.
pub fn note(fresh: &[String]) -> Option<String> {
    (!fresh.is_empty()).then(|| {
        let names = fresh.join(", ");
        format!("left out, because restores that have not ended made them; drop them if none is under way: {names}")
    })
}
