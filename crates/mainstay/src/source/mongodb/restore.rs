//! A database, a collection of it, or all databases back on their server.

use super::MongodbSource;
use super::census::Census;
use super::server::{RESTORE, Server};
use super::survey::{self, ADMIN, Surveyed};
use super::what::{BUCKETS, What, comparable, database_of};
use crate::config::Misuse;
use crate::explain;
use crate::source::{Plan, PutBack, Restored, Stored, Surroundings};
use repository::{Error, Result};

/// A restore that was decided on.
struct Restore<'a> {
    server: Server,
    stored: &'a Stored<'a>,
    surroundings: &'a Surroundings<'a>,
    what: What,
    /// Something is there that is replaced.
    is_occupied: bool,
}

impl MongodbSource {
    /// Plan to put a part back.
    pub(super) fn plan<'a>(
        &'a self,
        stored: &'a Stored<'a>,
        options: &'a PutBack,
        surroundings: &'a Surroundings<'a>,
    ) -> anyhow::Result<Plan<'a>> {
        let what = What::of(stored, options)?;
        let server = self.server(surroundings)?;
        let surveyed = Surveyed::of(&server)?;
        server.fitting(RESTORE, &surveyed.version)?;
        let is_occupied = is_occupied(&server, &surveyed, &what)?;
        if is_occupied && !options.overwrite {
            let message = format!("{} exists, and nothing was changed", what.text());
            let hint = match &what {
                What::Database { to, .. } if to != ADMIN => {
                    "Restore beside it with `--as DATABASE`, or replace it with `--overwrite`."
                }
                What::Database { .. } | What::All => "Replace it with `--overwrite`.",
            };
            return Err(Misuse::new(message, hint).into());
        }
        let restore = Restore {
            server,
            stored,
            surroundings,
            what,
            is_occupied,
        };
        Ok(Plan {
            steps: restore.steps(&surveyed),
            execute: Box::new(move || restore.execute()),
        })
    }
}

/// Whether there is something that would be replaced.
fn is_occupied(server: &Server, surveyed: &Surveyed, what: &What) -> Result<bool> {
    match what {
        What::All => Ok(surveyed.databases().next().is_some()),
        What::Database { to, .. } if to == ADMIN => {
            let users = "system.users";
            Ok(survey::count(server, ADMIN, &[users])?.get(users) != Some(&0))
        }
        What::Database { to, only, .. } => {
            let there = survey::collections(server, to)?;
            Ok(there
                .iter()
                .any(|one| only.as_ref().is_none_or(|only| one.name == *only)))
        }
    }
}

impl Restore<'_> {
    fn steps(&self, surveyed: &Surveyed) -> Vec<String> {
        let path = self.stored.part.path.display();
        let mut steps = Vec::new();
        if self.is_occupied {
            steps.push(format!(
                "read {path} to its end and compare it with what was captured; a failure changes nothing"
            ));
        }
        match (&self.what, self.is_occupied) {
            (What::All, false) => steps.push(format!("restore all databases from {path}, with users and roles")),
            (What::All, true) => steps.push(format!(
                "remove each collection that is in {path}, users and roles included, and restore it; other databases stay"
            )),
            (What::Database { to, .. }, is_occupied) if to == ADMIN => steps.push(if is_occupied {
                format!(
                    "replace users and roles by those in {path}: others are removed, also the one that is used for this, if it is not \
                     among them"
                )
            } else {
                format!("restore users and roles from {path}")
            }),
            (what, false) => {
                steps.push(format!("restore {} from {path}", what.text()));
                steps.push("if that fails, remove what was restored: then everything is as before".to_owned());
            }
            (what @ What::Database { only, .. }, true) => {
                steps.push(format!("remove {} and restore it, collection by collection", what.text()));
                if only.is_none() {
                    steps.push(format!("remove collections of it that are not in {path}"));
                }
            }
        }
        if self.is_occupied {
            steps.push("if that fails in between, it is half restored, and the archive is still whole".to_owned());
        }
        if let Some(was) = self.stored.part.facts.versions.get("server")
            && *was != surveyed.version
        {
            let now = &surveyed.version;
            steps.push(format!(
                "note: the archive is from a server of version {was}, this one is {now}"
            ));
        }
        steps
    }

    fn execute(self) -> anyhow::Result<Restored> {
        if self.is_occupied {
            self.read_through()?;
        }
        let mut arguments = self.what.arguments();
        if self.is_occupied {
            arguments.push("--drop".into());
        }
        let words = self.server.tool(RESTORE, &arguments);
        let path = &self.stored.part.path;
        let loaded = self.server.feed(&words, |input| self.stored.copy(path, input));
        let finished = loaded.and_then(|()| self.remove_others());
        if let Err(error) = finished {
            return Err(self.failed(error));
        }
        let problems = self.compare()?;
        let rows = &self.stored.part.facts.rows;
        Ok(Restored {
            entries: match &self.what {
                What::Database { only: Some(_), .. } => 1,
                What::Database { only: None, .. } | What::All => rows.len() as u64,
            },
            bytes: self.stored.part.facts.bytes.unwrap_or_default(),
            problems,
        })
    }

    /// What is there goes only after the archive was read to its end.
    fn read_through(&self) -> anyhow::Result<()> {
        let mut census = Census::default();
        self.stored.copy(&self.stored.part.path, &mut census)?;
        let expected = &self.stored.part.facts.rows;
        let problem = match census.finish() {
            Err(reason) => Some(reason),
            Ok((found, _)) => survey::difference(expected, &found.rows(database_of(self.stored))),
        };
        match problem {
            None => Ok(()),
            Some(reason) => Err(Error::Refused {
                message: format!("the archive is damaged, and nothing was changed: {reason}"),
                hint: "Choose another restore point.".to_owned(),
            }
            .into()),
        }
    }

    /// What was there and is not in the archive. It is the last to go.
    fn remove_others(&self) -> anyhow::Result<()> {
        let What::Database { to, only: None, .. } = &self.what else {
            return Ok(());
        };
        if !self.is_occupied || to == ADMIN {
            return Ok(());
        }
        let rows = &self.stored.part.facts.rows;
        let is_captured = |name: &str| rows.contains_key(name) || rows.contains_key(&format!("{BUCKETS}{name}"));
        let there = survey::collections(&self.server, to)?;
        let is_other = |one: &&survey::Collection| one.kind != "view" && !is_captured(&one.name);
        let others: Vec<&str> = there.iter().filter(is_other).map(|one| one.name.as_str()).collect();
        Ok(survey::drop_collections(&self.server, to, &others)?)
    }

    /// After a failure, which is what the user has to hear of.
    fn failed(&self, error: anyhow::Error) -> anyhow::Error {
        if self.clean().is_ok_and(|is_clean| is_clean) {
            return error;
        }
        let refused = Error::Refused {
            message: format!("{} is half restored: {}", self.what.text(), explain::chain(&error)),
            hint: "The archive is still whole: remove the cause, and repeat the restore with `--overwrite`.".to_owned(),
        };
        refused.into()
    }

    /// Remove what was restored, if nothing was there before; whether it is gone.
    fn clean(&self) -> Result<bool> {
        let (to, only) = match &self.what {
            What::Database { to, only, .. } if !self.is_occupied && to != ADMIN => (to, only),
            What::Database { .. } | What::All => return Ok(false),
        };
        let there = survey::collections(&self.server, to)?;
        let is_ours = |one: &&survey::Collection| only.as_ref().is_none_or(|only| one.name == *only);
        let ours: Vec<&str> = there.iter().filter(is_ours).map(|one| one.name.as_str()).collect();
        survey::drop_collections(&self.server, to, &ours)?;
        Ok(true)
    }

    /// How many documents there are now. Whoever writes meanwhile makes it more or less: a difference is told, not undone.
    fn compare(&self) -> Result<u64> {
        let What::Database { to, only, .. } = &self.what else {
            return Ok(0);
        };
        let mut expected = comparable(&self.stored.part.facts.rows);
        if let Some(only) = only {
            expected.retain(|name, _| name == only);
        }
        let names: Vec<&str> = expected.keys().map(String::as_str).collect();
        match survey::difference(&expected, &survey::count(&self.server, to, &names)?) {
            None => Ok(0),
            Some(difference) => {
                self.surroundings.monitor.problem(to, &difference);
                Ok(1)
            }
        }
    }
}
