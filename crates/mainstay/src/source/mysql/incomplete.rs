//! The mark of a database that is half restored: a table. It is made before anything else is changed, and dropped when all is right.
//! Whoever is killed in between leaves a database that says so itself, to people, to the next capture and to the next restore.

use super::answers::literal;
use super::connected::Connected;
use super::rewrite::quoted;
use crate::explain;
use repository::{Error, Result};
use std::collections::BTreeMap;

/// The name of the table.
pub const MARK: &str = "mainstay_restore_incomplete";

/// Begins the comment of the mark of a database that only a rehearsal was made in.
const REHEARSAL: &str = "rehearsal: ";

/// What the mark of a database says.
///
/// It is the comment of the table. Its rows are what was granted on single routines: that goes with them, and has to be granted again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark(String);

impl Mark {
    /// Of a database, or of one table in it.
    pub fn of(table: Option<&str>) -> Self {
        let what = table.map_or_else(String::new, |table| format!(" of the table {}", quoted(table)));
        Self(format!(
            "half restored: a restore{what} by Mainstay has not ended, repeat it with --overwrite"
        ))
    }

    /// Of a database that nobody needs.
    pub fn of_rehearsal() -> Self {
        Self(format!(
            "{REHEARSAL}a restore by Mainstay that has not ended made this database, drop it if none is under way"
        ))
    }

    /// The mark of a database, if it has one.
    ///
    /// # Errors
    /// What is wrong with the connection.
    pub fn read(server: &Connected, database: &str) -> Result<Option<Self>> {
        Ok(Self::all(server)?.remove(database))
    }

    /// The marks of all databases.
    ///
    /// # Errors
    /// What is wrong with the connection.
    pub fn all(server: &Connected) -> Result<BTreeMap<String, Self>> {
        let name = literal(MARK);
        let sql =
            format!("SELECT TABLE_SCHEMA, TABLE_COMMENT FROM information_schema.TABLES WHERE TABLE_NAME = {name}");
        let rows = server.query(&sql)?.into_iter();
        let marks = rows.filter_map(|row| <[String; 2]>::try_from(row).ok());
        Ok(marks.map(|[database, text]| (database, Self(text))).collect())
    }

    /// Whether the database is what is left of a rehearsal.
    pub fn is_of_rehearsal(&self) -> bool {
        self.0.starts_with(REHEARSAL)
    }

    /// Why a database is not captured.
    pub fn refusal(&self, database: &str) -> Error {
        Error::Refused {
            message: format!("the database `{database}` is {}", self.0),
            hint: format!("Drop the table `{MARK}` only if the database is as it should be."),
        }
    }

    /// The statements that set it, in the place of another one.
    pub fn set(&self, database: &str) -> String {
        let (table, text) = (in_database(database), self.0.replace('\\', "\\\\").replace('\'', "''"));
        format!(
            "SET sql_mode = ''; CREATE TABLE IF NOT EXISTS {table} (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, \
             user TEXT, host TEXT, kind TEXT, routine TEXT, rights TEXT) CHARACTER SET utf8mb4 COMMENT '{text}'; \
             ALTER TABLE {table} COMMENT '{text}'"
        )
    }
}

/// The statement that takes a mark away.
pub fn unset(database: &str) -> String {
    format!("DROP TABLE IF EXISTS {}", in_database(database))
}

/// Remember beside the mark what is granted on single routines.
///
/// # Errors
/// If it cannot be seen.
pub fn keep_grants(server: &Connected, database: &str) -> Result<()> {
    let (table, name) = (in_database(database), literal(database));
    let sql = format!(
        "INSERT INTO {table} (user, host, kind, routine, rights) SELECT User, Host, Routine_type, Routine_name, Proc_priv \
         FROM mysql.procs_priv WHERE Db = {name}"
    );
    server.query(&sql).map(drop)
}

/// Grant again what was remembered, on routines that are there. What could not be granted, as messages.
///
/// # Errors
/// What is wrong with the connection.
pub fn grant_again(server: &Connected, database: &str) -> Result<Vec<String>> {
    let (table, name) = (in_database(database), literal(database));
    let sql = format!(
        "SELECT DISTINCT m.user, m.host, m.kind, m.routine, m.rights FROM {table} m JOIN information_schema.ROUTINES r \
         ON r.ROUTINE_SCHEMA = {name} AND r.ROUTINE_TYPE = m.kind AND r.ROUTINE_NAME = m.routine"
    );
    let mut problems = Vec::new();
    for row in server.query(&sql)? {
        let [user, host, kind, routine, rights] = <[String; 5]>::try_from(row).unwrap_or_default();
        let routine = format!("{}.{}", quoted(database), quoted(&routine));
        let grant = grant(&rights, &format!("{kind} {routine}"), &account(&user, &host));
        if let Err(error) = server.query(&grant) {
            problems.push(format!("`{grant}`: {}", explain::chain(&error.into())));
        }
    }
    Ok(problems)
}

fn in_database(database: &str) -> String {
    format!("{}.{}", quoted(database), quoted(MARK))
}

/// Roles of MariaDB have no host.
fn account(user: &str, host: &str) -> String {
    if host.is_empty() {
        quoted(user)
    } else {
        format!("{}@{}", quoted(user), quoted(host))
    }
}

/// Of rights as the server lists them: `Execute,Grant`.
fn grant(rights: &str, what: &str, account: &str) -> String {
    let (options, rights): (Vec<&str>, Vec<&str>) = rights.split(',').partition(|right| *right == "Grant");
    let rights = match rights.join(", ") {
        none if none.is_empty() => "USAGE".to_owned(),
        rights => rights,
    };
    let option = if options.is_empty() { "" } else { " WITH GRANT OPTION" };
    format!("GRANT {rights} ON {what} TO {account}{option}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_on_routines_become_statements() {
        let granted = |rights: &str| grant(rights, "PROCEDURE `a`.`p`", &account("u", "%"));
        assert_eq!(
            granted("Execute,Alter Routine"),
            "GRANT Execute, Alter Routine ON PROCEDURE `a`.`p` TO `u`@`%`"
        );
        assert_eq!(
            granted("Grant"),
            "GRANT USAGE ON PROCEDURE `a`.`p` TO `u`@`%` WITH GRANT OPTION"
        );
        assert_eq!(account("boss", ""), "`boss`");
    }
}
