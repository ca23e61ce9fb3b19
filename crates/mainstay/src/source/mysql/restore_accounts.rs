//! Accounts, back on their server.

use super::MysqlSource;
use super::accounts::{self, Account, Block, in_line};
use super::connected::Connected;
use super::rewrite::quoted;

use crate::config::Misuse;
use crate::explain;
use crate::source::{Plan, PutBack, Restored, Stored, Surroundings};
use repository::{Error, Event, Result};

/// More text than this no accounts have.
const LARGEST_BYTES: u64 = 256 << 20;

impl MysqlSource {
    /// Plan to make the accounts that are missing, and with `--overwrite` also those that are there.
    pub(super) fn plan_accounts<'a>(
        &'a self,
        stored: &'a Stored<'a>,
        options: &'a PutBack,
        surroundings: &'a Surroundings<'a>,
    ) -> anyhow::Result<Plan<'a>> {
        if options.rename.is_some() || options.only.is_some() {
            let message = "accounts are put back as a whole, under their own names";
            return Err(Misuse::new(message, "Leave out `--as`, and what follows `users.sql`.").into());
        }
        let blocks = read(stored)?;
        let server = self.connect(surroundings)?;
        let there = accounts::list(&server)?;
        let own = own_name(&server.account);
        let is_there = |name: &String| there.iter().any(|account| in_line(&account.name) == *name);
        let made = || blocks.iter().filter(|block| block.makes).map(|block| &block.name);
        let (replaced, kept): (Vec<_>, Vec<_>) = made()
            .filter(|name| is_there(name))
            .cloned()
            .partition(|name| options.overwrite && *name != own);
        let missing: Vec<String> = made().filter(|name| !is_there(name)).cloned().collect();
        if missing.is_empty() && replaced.is_empty() {
            let message = "all these accounts exist, and nothing was changed".to_owned();
            return Err(Misuse::new(message, "Replace them with `--overwrite`.").into());
        }
        let mut steps = Vec::new();
        for (what, names) in [
            ("create these accounts", &missing),
            ("remove and create these accounts", &replaced),
            ("leave these accounts as they are", &kept),
        ] {
            if !names.is_empty() {
                steps.push(format!("{what}: {}", names.join(", ")));
            }
        }
        steps.push("grant the accounts that were created what they had".to_owned());
        let execute = move || {
            let removed: Vec<&Account> = there
                .iter()
                .filter(|account| replaced.contains(&in_line(&account.name)))
                .collect();
            put_back(&server, &removed, blocks, &kept, surroundings)
        };
        Ok(Plan {
            steps,
            execute: Box::new(execute),
        })
    }
}

/// The account that we use is never replaced: the rest could not be done without it.
fn own_name(account: &str) -> String {
    let (user, host) = account.rsplit_once('@').unwrap_or((account, ""));
    in_line(&format!("{}@{}", quoted(user), quoted(host)))
}

/// What is stored.
///
/// # Errors
/// Those of the repository, and when it is not whole.
pub fn read(stored: &Stored<'_>) -> Result<Vec<Block>> {
    let refused = |reason: String| Error::Refused {
        message: format!("`{}` cannot be understood: {reason}", stored.part.path.display()),
        hint: "Choose another restore point.".to_owned(),
    };
    if stored.part.bytes > LARGEST_BYTES {
        return Err(refused("it is absurdly large".to_owned()));
    }
    let mut bytes = Vec::new();
    stored.copy(&stored.part.path, &mut bytes)?;
    let text = String::from_utf8(bytes).map_err(|error| refused(error.to_string()))?;
    accounts::parse(&text).map_err(refused)
}

fn put_back(
    server: &Connected,
    removed: &[&Account],
    blocks: Vec<Block>,
    kept: &[String],
    surroundings: &Surroundings<'_>,
) -> anyhow::Result<Restored> {
    for account in removed {
        let kind = if account.is_role { "ROLE" } else { "USER" };
        server.query(&format!("DROP {kind} IF EXISTS {}", account.name))?;
    }
    let mut restored = Restored::default();
    let (makes, grants): (Vec<Block>, Vec<Block>) = blocks
        .into_iter()
        .filter(|block| !kept.contains(&block.name))
        .partition(|block| block.makes);
    for block in &makes {
        run(server, &block.statements).map_err(|error| {
            let refused = Error::Refused {
                message: format!("the account {} cannot be created: {}", block.name, explain::chain(&error)),
                hint: "Accounts before it are there now, those behind it and all grants are not: remove the cause, and repeat it."
                    .to_owned(),
            };
            anyhow::Error::from(refused)
        })?;
        restored.entries += 1;
        restored.bytes += block.statements.len() as u64;
    }
    for block in &grants {
        // What is granted on may not be there: one table is no reason to leave out the others.
        for statement in block.statements.split_inclusive(";\n") {
            if let Err(error) = run(server, statement) {
                let message = explain::chain(&error);
                surroundings.monitor.event(Event::Problem {
                    subject: &block.name,
                    message: &message,
                });
                restored.problems += 1;
            }
        }
    }
    Ok(restored)
}

/// Passwords are in there: it does not become an argument.
pub fn run(server: &Connected, statements: &str) -> anyhow::Result<()> {
    server.execute(None, |out| {
        let written = out.write_all(statements.as_bytes());
        written.map_err(Error::local("write to", "the client program"))
    })
}
