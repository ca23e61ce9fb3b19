//! A restore that was decided on, step by step.

use super::answers::literal;
use super::connected::Connected;
use super::incomplete::{self, MARK, Mark};
use super::load::load;
use super::restore::{Restore, Target, alter, create, what};
use super::rewrite::{Rewrite, quoted};
use super::survey::{self, Database};
use crate::explain;
use crate::source::Restored;
use repository::{Error, Event, Result};
use std::io;

impl Restore<'_> {
    /// Do it. What is there goes only after the dump has shown that it can be loaded. Tables could be moved from there, but triggers,
    /// views, routines and events cannot, so that it is loaded a second time.
    pub(super) fn execute(self) -> anyhow::Result<Restored> {
        if matches!(self.target, Target::Occupied(_)) {
            self.rehearse()?;
        }
        self.begin()?;
        self.fill().map_err(|error| match self.undo() {
            Ok(true) => error,
            Ok(false) | Err(_) => Error::Refused {
                message: format!("{} is half restored: {}", what(&self.rewrite), explain::chain(&error)),
                hint: "The dump is still whole: remove the cause, and repeat the restore with `--overwrite`."
                    .to_owned(),
            }
            .into(),
        })
    }

    fn rehearse(&self) -> anyhow::Result<()> {
        let name = format!("mainstay_rehearsal_{:08x}", fastrand::u32(..));
        let rewrite = Rewrite {
            to: name.clone(),
            ..self.rewrite.clone()
        };
        let database = Database {
            name: name.clone(),
            ..self.database.clone()
        };
        let make = format!("{}; {}", create(&database), Mark::of_rehearsal().set(&name));
        let rehearsed = self.server.query(&make).map_err(anyhow::Error::from);
        let rehearsed = rehearsed
            .and_then(|_| self.load(&rewrite))
            .and_then(|_| self.check_rows(&name));
        // After a failure, that is what the user has to hear of.
        let _: Option<()> = self.remove(&name).ok();
        rehearsed.map_err(|error| error.context("the dump cannot be loaded, and nothing was changed"))
    }

    fn check_rows(&self, database: &str) -> anyhow::Result<()> {
        let mut expected = self.stored.part.facts.rows.clone();
        if let Some(only) = &self.rewrite.only {
            expected.retain(|table, _| table == only);
        }
        let found = survey::rows(&self.server, database, &expected.keys().collect::<Vec<_>>())?;
        match survey::difference(&expected, &found) {
            None => Ok(()),
            Some(difference) => Err(Error::Refused {
                message: format!("what was loaded is not what was captured: {difference}"),
                hint: "Choose another restore point.".to_owned(),
            }
            .into()),
        }
    }

    /// From here on the database says that it is half restored.
    fn begin(&self) -> Result<()> {
        let (name, only) = (&self.rewrite.to, self.rewrite.only.as_deref());
        let mark = Mark::of(only).set(name);
        if self.target != Target::Missing {
            self.server.query(&mark)?;
            if only.is_none() {
                // Who cannot see what is granted was told so by the plan.
                let _: Option<()> = incomplete::keep_grants(&self.server, name).ok();
            }
            return Ok(());
        }
        let made = self.server.query(&format!("{}; {mark}", create(&self.database)));
        made.map(drop).inspect_err(|_| {
            // Somebody else may have made it meanwhile.
            if is_empty(&self.server, name) {
                let _: Option<()> = self.remove(name).ok();
            }
        })
    }

    fn fill(&self) -> anyhow::Result<Restored> {
        let name = &self.rewrite.to;
        if self.rewrite.only.is_none() && self.target != Target::Missing {
            empty(&self.server, name)?;
            self.server.query(&alter(&self.database))?;
        }
        let mut restored = self.load(&self.rewrite)?;
        self.set_as_before()?;
        for message in incomplete::grant_again(&self.server, name)? {
            let subject = &self.stored.part.path.display().to_string();
            let message = &message;
            self.surroundings.monitor.event(Event::Problem { subject, message });
            restored.problems += 1;
        }
        self.server.query(&incomplete::unset(name))?;
        Ok(restored)
    }

    fn load(&self, rewrite: &Rewrite) -> anyhow::Result<Restored> {
        let bytes = load(&self.server, self.stored, rewrite, &mut io::sink())?;
        let tables = if rewrite.only.is_some() {
            1
        } else {
            self.stored.part.facts.rows.len() as u64
        };
        Ok(Restored {
            entries: tables,
            bytes,
            problems: 0,
        })
    }

    /// Around the triggers of a table, the dump sets what the database had then.
    fn set_as_before(&self) -> Result<()> {
        match (&self.target, &self.rewrite.only) {
            (Target::Free(before) | Target::Occupied(before), Some(_)) => self.server.query(&alter(before)).map(drop),
            (Target::Missing, _) | (_, None) => Ok(()),
        }
    }

    /// After a failure: whether everything is as before.
    fn undo(&self) -> Result<bool> {
        let name = &self.rewrite.to;
        match (&self.target, &self.rewrite.only) {
            (Target::Missing, _) => self.remove(name)?,
            (Target::Free(before), None) => {
                empty(&self.server, name)?;
                let end = format!("{}; {}", alter(before), incomplete::unset(name));
                self.server.query(&end)?;
            }
            (Target::Free(before), Some(table)) => {
                let drop = format!("DROP TABLE IF EXISTS {}.{}", quoted(name), quoted(table));
                let end = format!("{drop}; {}; {}", alter(before), incomplete::unset(name));
                self.server.query(&end)?;
            }
            (Target::Occupied(_), _) => return Ok(false),
        }
        Ok(true)
    }

    /// A database of ours. It is emptied first: servers that are killed while they drop one may drop its mark first.
    fn remove(&self, name: &str) -> Result<()> {
        empty(&self.server, name)?;
        self.server
            .query(&format!("DROP DATABASE IF EXISTS {}", quoted(name)))
            .map(drop)
    }
}

/// Whether there is nothing in a database, not even a mark.
fn is_empty(server: &Connected, name: &str) -> bool {
    survey::counts(server, name).is_ok_and(|counts| counts.iter().all(|(_, count)| *count == 0))
}

/// Drop everything in a database but its mark. The database itself stays: what may be done in it is granted by its name, and without it
/// the mark would have no place.
fn empty(server: &Connected, database: &str) -> Result<()> {
    let name = literal(database);
    let mark = literal(MARK);
    let sql = format!(
        "SELECT 'EVENT', EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {name}; \
         SELECT REPLACE(REPLACE(TABLE_TYPE, 'BASE TABLE', 'TABLE'), 'SYSTEM VERSIONED', 'TABLE'), TABLE_NAME \
         FROM information_schema.TABLES WHERE TABLE_SCHEMA = {name} AND TABLE_NAME <> {mark} ORDER BY TABLE_TYPE = 'SEQUENCE'; \
         SELECT ROUTINE_TYPE, ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = {name}"
    );
    let things = server.query(&sql)?;
    server
        .execute(None, |out| {
            let mut script = "SET FOREIGN_KEY_CHECKS = 0;\n".to_owned();
            for [kind, thing] in things.into_iter().filter_map(|row| <[String; 2]>::try_from(row).ok()) {
                script += &format!("DROP {kind} IF EXISTS {}.{};\n", quoted(database), quoted(&thing));
            }
            let written = out.write_all(script.as_bytes());
            written.map_err(Error::local("write to", "the client program"))
        })
        .map_err(|error| Error::Refused {
            message: format!("`{database}` cannot be emptied: {}", explain::chain(&error)),
            hint: explain::hint(&error).unwrap_or_default(),
        })
}
