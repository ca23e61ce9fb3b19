//! A database that is filled under a name of its own, and gets its place when it is whole.

use super::dumped::Dumped;
use super::incomplete::{self, Mark};
use super::names::{ident, literal};
use super::server::Server;
use crate::clock;
use repository::{Error, Result};
use std::time::{Duration, Instant};

/// Longest name that the server takes, bytes.
const LONGEST_NAME: usize = 63;
/// How long connections that were ended may take to be gone.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// Make the database `target` with the properties of `dumped` and what `fill` does to the database that it is told. One that is there is
/// replaced at the very end.
///
/// # Errors
/// The server's, and those of `fill`; what was there before is there still, and the message says where.
pub fn make(
    server: &Server,
    dumped: &Dumped<'_>,
    target: &str,
    replaces: bool,
    fill: impl FnOnce(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let server = &beside(server, target);
    let fresh = other_name(target, "new");
    let owner = dumped.with_owner.then_some(dumped.properties.owner.as_str());
    server.execute(
        &server.maintenance,
        &dumped.properties.create(&fresh, owner, server.major()),
    )?;
    let filled = Mark::Fresh.set(server, &fresh).map_err(anyhow::Error::from);
    let filled = filled.and_then(|()| fill(&fresh)).and_then(|()| {
        incomplete::unset(server, &fresh)?;
        let statements = dumped.properties.apply(&fresh, dumped.with_privileges);
        Ok(server.execute(&server.maintenance, &statements.join("\n"))?)
    });
    let placed = filled.and_then(|()| {
        if replaces {
            Ok(Some(swap(server, target, &fresh)?))
        } else {
            rename(server, &fresh, target)?;
            Ok(None)
        }
    });
    let old = placed.map_err(|error: anyhow::Error| {
        let left = match drop_database(server, &fresh) {
            Ok(()) => String::new(),
            Err(_) => format!(", the database `{fresh}` is left over"),
        };
        let state = if replaces { "is as it was" } else { "was not made" };
        error.context(format!("the restore failed, and `{target}` {state}{left}"))
    })?;
    // The new one is in place: what goes wrong from here on costs space only.
    let dropped = old.map_or(Ok(()), |old| {
        drop_database(server, &old).map_err(|error| Error::Refused {
            message: format!("`{target}` is restored, but what was there before cannot be dropped: {error}"),
            hint: format!("Drop the database `{old}` yourself."),
        })
    });
    Ok(dropped?)
}

/// Have a database with the properties of `dumped` beside `target` for as long as `work` takes.
///
/// # Errors
/// The server's, and those of `work`; if the database is left over, the message says so.
pub fn meanwhile<T>(
    server: &Server,
    dumped: &Dumped<'_>,
    target: &str,
    work: impl FnOnce(&str) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let fresh = other_name(target, "new");
    let owner = dumped.with_owner.then_some(dumped.properties.owner.as_str());
    let create = dumped.properties.create(&fresh, owner, server.major());
    server.execute(&server.maintenance, &create)?;
    let marked = Mark::Fresh.set(server, &fresh).map_err(anyhow::Error::from);
    let done = marked.and_then(|()| work(&fresh));
    let dropped = drop_database(server, &fresh);
    let left = || format!("the database `{fresh}` is left over");
    match dropped {
        Ok(()) => done,
        Err(error) => done
            .and(Err(error.into()))
            .map_err(|error: anyhow::Error| error.context(left())),
    }
}

/// The same server, without a connection to the database that is to be replaced.
fn beside(server: &Server, target: &str) -> Server {
    let mut beside = server.clone();
    if beside.maintenance == target {
        beside.maintenance = "template1".to_owned();
    }
    beside
}

/// Put `fresh` into the place of `target`, in one transaction: whoever is killed meanwhile leaves one or the other. The name of what was
/// there.
fn swap(server: &Server, target: &str, fresh: &str) -> Result<String> {
    let old = other_name(target, "old");
    let sql = format!(
        "BEGIN;\n{}\n{}\nCOMMIT;",
        renaming(target, &old),
        renaming(fresh, target)
    );
    let begin = Instant::now();
    loop {
        match without_connections(server, target, || server.execute(&server.maintenance, &sql)) {
            Err(error) if is_in_use(&error) && begin.elapsed() < PATIENCE => server.cancel.check()?,
            swapped => return swapped.map(|()| old),
        }
    }
}

/// End all connections to `database`, again and again while something is done. It takes a lock that lets nobody in, and waits some seconds
/// for those who are.
fn without_connections(server: &Server, database: &str, work: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    std::thread::scope(|scope| {
        let working = scope.spawn(work);
        let mut ended = Ok(());
        while !working.is_finished() {
            ended = end_connections(server, database);
            std::thread::sleep(PAUSE);
        }
        let done = working
            .join()
            .map_err(|_| Error::Verification("a thread panicked".to_owned()))?;
        // Who must not end connections gets to hear why they are still there.
        if done.is_err() { ended.and(done) } else { done }
    })
}

fn end_connections(server: &Server, database: &str) -> Result<()> {
    let sql = format!(
        "SELECT to_json(pg_catalog.pg_terminate_backend(pid)) FROM pg_catalog.pg_stat_activity WHERE datname = {};",
        literal(database)
    );
    server.execute(&server.maintenance, &sql)
}

fn rename(server: &Server, from: &str, to: &str) -> Result<()> {
    patiently(server, &renaming(from, to))
}

fn renaming(from: &str, to: &str) -> String {
    format!("ALTER DATABASE {} RENAME TO {};", ident(from), ident(to))
}

fn drop_database(server: &Server, name: &str) -> Result<()> {
    patiently(server, &format!("DROP DATABASE {};", ident(name)))
}

/// A connection that was ended takes a moment to be gone.
fn patiently(server: &Server, sql: &str) -> Result<()> {
    let begin = Instant::now();
    loop {
        match server.execute(&server.maintenance, sql) {
            Err(error) if is_in_use(&error) && begin.elapsed() < PATIENCE => {
                server.cancel.check()?;
                std::thread::sleep(PAUSE);
            }
            done => return done,
        }
    }
}

fn is_in_use(error: &Error) -> bool {
    error.to_string().contains("being accessed by other users")
}

/// A name that nobody has, by which the database can still be recognised.
fn other_name(target: &str, what: &str) -> String {
    let end = format!("_{what}_{}", clock::now().as_millisecond());
    let room = LONGEST_NAME - end.len();
    let cut = (0..=room.min(target.len()))
        .rev()
        .find(|at| target.is_char_boundary(*at));
    format!("{}{end}", &target[..cut.unwrap_or_default()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_names_are_short_enough() {
        for target in ["app", &"x".repeat(63), &"🐘".repeat(15)] {
            let name = other_name(target, "new");
            assert!(name.len() <= LONGEST_NAME && name.contains("_new_"), "{name}");
        }
    }
}
