//! A Redis or Valkey server: its data as one file, taken as a replica takes it, and its users.

mod end;
mod incomplete;
mod scratch;
mod server;

use super::program::{self, Output, Programs};
use super::{
    Found, Item, Piece, Plan, Probe, Proof, PutBack, Restored, Room, Source, Stored, Stream, Surroundings, Verdict,
    Workplace,
};
use crate::config::Misuse;
use crate::config::model::Redis;
use crate::engine::manifest::{Facts, Grade};
use crate::exec::Input;
use end::WithoutMark;
use parking_lot::Mutex;
use repository::Error;
use scratch::{Dumped, Inside, Scratch};
use server::Server;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where servers stand in a snapshot.
const REDIS: &str = "/redis";
const DATA: &str = "dump.rdb";
const USERS: &str = "users.acl";
/// The step without which nothing is proven.
const LOAD: &str = "load";

/// A server.
#[derive(Debug)]
pub struct RedisSource {
    redis: Redis,
}

impl RedisSource {
    /// As it is configured.
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn root(&self) -> PathBuf {
        Path::new(REDIS).join(&self.redis.server.name)
    }

    fn server(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Server> {
        let server = Server::new(&self.redis.server, surroundings.secrets)?;
        server.wait()?;
        Ok(server)
    }
}

impl Source for RedisSource {
    fn kind(&self) -> &'static str {
        "redis"
    }

    fn name(&self) -> String {
        self.redis.server.name.clone()
    }

    fn roots(&self) -> Vec<PathBuf> {
        vec![self.root()]
    }

    fn capture(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Vec<Piece>> {
        let server = self.server(surroundings)?;
        match incomplete::is_marked(&server) {
            Ok(true) => return Err(incomplete::refusal(&self.name()).into()),
            Ok(false) => {}
            Err(error) => surroundings.monitor.note(&unseen(&error)),
        }
        let (product, version) = server.version()?;
        let keys = server.keys()?;
        if keys.is_empty() && !self.redis.allow_empty {
            return Err(Error::Refused {
                message: format!("the server `{}` holds no keys", self.name()),
                hint: "It may have lost them when it was started again; if none is right, write `allow_empty: true`."
                    .to_owned(),
            }
            .into());
        }
        let facts = Arc::new(Mutex::new(Facts {
            versions: [(product.to_owned(), version)].into(),
            rows: keys,
            // Keys come and go between counting and copying.
            approximate: true,
            ..Facts::default()
        }));
        let output = Output {
            programs: server.programs.clone(),
            words: server.words(&["--rdb", "-"]),
            surroundings: server.surroundings(Input::Nothing),
            cancel: surroundings.cancel.clone(),
            facts: None,
            check_end: Some(end::check),
        };
        let mut stream = output.into_stream(self.root().join(DATA));
        stream.reader = Box::new(WithoutMark::new(stream.reader));
        // Servers before 6 have none, and some hosted ones do not show them.
        let users = match server.ask(&["acl", "list"]) {
            Ok(users) => Some(Item::Stream(Stream::of(self.root().join(USERS), users.into_bytes()))),
            Err(error) => {
                surroundings
                    .monitor
                    .note(&format!("the users of {} are not captured: {error}", self.name()));
                None
            }
        };
        let (name, finish, programs) = (self.name(), stream.finish, server.programs.clone());
        stream.finish = Box::new(move || {
            finish()?;
            // A restore that began meanwhile.
            match incomplete::is_marked(&server) {
                Ok(true) => Err(incomplete::refusal(&name)),
                Ok(false) | Err(_) => Ok(()),
            }
        });
        let items = std::iter::once(Item::Stream(stream)).chain(users).collect();
        let piece = Piece {
            path: self.root(),
            name: self.name(),
            grade: Some(Grade::Transactional),
            items,
            facts,
        };
        Ok(Piece::all_of_image(vec![piece], &programs))
    }

    fn probe(&self, surroundings: &Surroundings<'_>) -> anyhow::Result<Probe> {
        let server = self.server(surroundings)?;
        let (product, version) = server.version()?;
        let found = server.keys()?.into_iter().map(|(database, keys)| Found {
            name: format!("{database}, {keys} keys"),
            bytes: None,
        });
        let mut probe = Probe {
            found: found.collect(),
            versions: [(product.to_owned(), version)].into(),
            ..Probe::default()
        };
        match incomplete::is_marked(&server) {
            Ok(true) => probe.missing.push(incomplete::refusal(&self.name()).to_string()),
            Ok(false) => {}
            Err(error) => probe.notes.push(unseen(&error)),
        }
        if let Err(error) = server.ask(&["acl", "list"]) {
            probe.notes.push(format!("its users are not captured: {error}"));
        }
        Ok(probe)
    }

    fn restore<'a>(
        &'a self,
        stored: &'a Stored<'a>,
        options: &'a PutBack,
        surroundings: &'a Surroundings<'a>,
    ) -> anyhow::Result<Plan<'a>> {
        let data = stored.part.path.join(DATA);
        if options.only.is_some() {
            let hint = "Restore all of it, into another server if need be.";
            return Err(Misuse::new("single keys of a Redis server cannot be restored", hint).into());
        }
        if let Some(name) = &options.rename {
            return to_file(stored, data, std::path::absolute(name)?, options.overwrite);
        }
        let server = self.server(surroundings)?;
        let there: u64 = server.keys()?.values().sum();
        if there > 0 && !options.overwrite {
            let message = format!(
                "the server `{}` holds {there} keys, and nothing was changed",
                self.name()
            );
            let hint =
                "Replace them with `--overwrite`, or write a file for a server that is stopped with `--as FILE`.";
            return Err(Misuse::new(message, hint).into());
        }
        let mut steps = vec![format!(
            "load {} into a server in scratch, which takes it apart",
            data.display()
        )];
        if there > 0 {
            steps.push(format!("remove the {there} keys of the server `{}`", self.name()));
        }
        steps.push(format!("write key by key to the server `{}`", self.name()));
        let mark = incomplete::MARK;
        steps.push(format!("until all is right, the key `{mark}` says that it is not"));
        let users = stored.has(&stored.part.path.join(USERS))?;
        if users {
            steps.push("set its users, but `default`, as they were".to_owned());
        }
        let execute = move || {
            let workplace = Workplace::new(&tempfile::env::temp_dir(), "restore")?;
            let scratch = Scratch::start(stored, &data, workplace.path(), surroundings.cancel);
            let mut scratch = scratch.map_err(or_by_file)?;
            if scratch.has(incomplete::MARK)? {
                return Err(incomplete::captured().into());
            }
            let databases = server::parse_keyspace(&scratch.keyspace()?);
            incomplete::begin(&server)?;
            let mut restored = Restored::default();
            let written = program::feed(
                &server.programs,
                &server.words(&["--pipe"]),
                server.surroundings(Input::Piped),
                |input| {
                    for database in databases.keys() {
                        write_command(input, &[b"SELECT", database.trim_start_matches("db").as_bytes()])?;
                        restored.entries += scratch.each_key(database, &mut |dumped| {
                            surroundings.cancel.check()?;
                            restored.bytes += dumped.value.len() as u64;
                            write_key(input, &dumped)
                        })?;
                    }
                    Ok(())
                },
            );
            let name = self.name();
            written.map_err(|error| error.context(half(&name)))?;
            // One of them is the mark.
            let now = server.keys()?.values().sum::<u64>().saturating_sub(1);
            if now < restored.entries {
                let lost = restored.entries - now;
                surroundings
                    .monitor
                    .problem(&name, &format!("{lost} keys are missing, or expired meanwhile"));
            }
            if users {
                set_users(stored, &server).map_err(|error| error.context(half(&name)))?;
            }
            incomplete::end(&server).map_err(|error| error.context(half(&name)))?;
            Ok(restored)
        };
        Ok(Plan {
            steps,
            execute: Box::new(execute),
        })
    }

    fn prove(&self, stored: &Stored<'_>, scratch: &Path, surroundings: &Surroundings<'_>) -> anyhow::Result<Proof> {
        let mut proof = Proof::default();
        let here = scratch::fit(&Programs::Host, &stored.part.facts.versions);
        let room = match Room::choose(&self.redis.server, stored.part, here, scratch, &[])? {
            Ok(room) => room,
            Err(reason) => {
                proof.lack(LOAD, reason);
                return Ok(proof);
            }
        };
        let data = stored.part.path.join(DATA);
        room.prove(LOAD, surroundings, |room| {
            if room.is_container() {
                prove_inside(&mut proof, stored, &data, room, surroundings)?;
            } else {
                prove_here(&mut proof, stored, &data, room, surroundings)?;
            }
            Ok(proof)
        })
    }
}

/// Without a server program on this host, there is another way.
fn or_by_file(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Misuse>() {
        Ok(misuse) => {
            let hint = format!(
                "{} Or write a file with `--as FILE`, and start the stopped server from it.",
                misuse.hint
            );
            let message = format!("{}, and nothing was changed", misuse.message);
            Misuse {
                message,
                hint,
                ..misuse
            }
            .into()
        }
        Err(error) => error,
    }
}

fn prove_here(
    proof: &mut Proof,
    stored: &Stored<'_>,
    data: &Path,
    room: &Room,
    surroundings: &Surroundings<'_>,
) -> anyhow::Result<()> {
    let mut server = Scratch::start(stored, data, room.path(), surroundings.cancel)?;
    let found = server::parse_keyspace(&server.keyspace()?);
    compare(proof, stored, &found, server.has(incomplete::MARK)?);
    for database in found.keys() {
        server.each_key(database, &mut |_| Ok(()))?;
    }
    proof.add("every key can be read", Verdict::Passed);
    Ok(())
}

/// The same through the client in a container.
fn prove_inside(
    proof: &mut Proof,
    stored: &Stored<'_>,
    data: &Path,
    room: &Room,
    surroundings: &Surroundings<'_>,
) -> anyhow::Result<()> {
    let inside = match Inside::start(stored, data, room, surroundings.cancel)? {
        Ok(inside) => inside,
        Err(reason) => {
            proof.lack(LOAD, reason);
            return Ok(());
        }
    };
    let (product, version) = inside.server.version()?;
    proof.server = Some(format!("{product} {version}"));
    let found = inside.server.keys()?;
    compare(proof, stored, &found, incomplete::is_marked(&inside.server)?);
    for database in found.keys() {
        inside.read_all(database)?;
    }
    proof.add("every key can be read", Verdict::Passed);
    Ok(())
}

fn compare(proof: &mut Proof, stored: &Stored<'_>, found: &BTreeMap<String, u64>, is_marked: bool) {
    proof.add(LOAD, Verdict::Passed);
    if is_marked {
        let message = incomplete::captured().to_string();
        proof.add("restored as a whole", Verdict::Failed { message });
    }
    let sum = |keys: &BTreeMap<String, u64>| keys.values().sum::<u64>();
    let (expected, there) = (sum(&stored.part.facts.rows), sum(found));
    if expected > 0 && there == 0 {
        let message = format!("expected about {expected}, found none");
        proof.add("keys", Verdict::Failed { message });
    } else {
        proof.add("keys", Verdict::Passed);
    }
    proof.counts.push((there, "key".to_owned()));
}

fn half(name: &str) -> String {
    format!("the server `{name}` is half restored; the snapshot is whole, so repeat the restore with `--overwrite`")
}

fn unseen(error: &anyhow::Error) -> String {
    format!("whether a restore has ended cannot be seen: {error}")
}

/// A file to start a server from.
fn to_file<'a>(stored: &'a Stored<'a>, data: PathBuf, target: PathBuf, overwrite: bool) -> anyhow::Result<Plan<'a>> {
    let shown = target.display().to_string();
    if fs::symlink_metadata(&target).is_ok() && !overwrite {
        let message = format!("`{shown}` exists, and nothing was changed");
        return Err(Misuse::new(message, "Choose another name, or replace it with `--overwrite`.").into());
    }
    let step = format!(
        "write {} to `{shown}`; stop the server, put it in place, and start it again",
        data.display()
    );
    let execute = move || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&target)?;
        stored.copy(&data, &mut file)?;
        file.sync_all()?;
        Ok(Restored {
            entries: 1,
            bytes: file.metadata()?.len(),
            problems: 0,
        })
    };
    Ok(Plan {
        steps: vec![step],
        execute: Box::new(execute),
    })
}

fn write_key(out: &mut dyn Write, dumped: &Dumped) -> repository::Result<()> {
    let left = dumped.left_ms.to_string();
    write_command(
        out,
        &[b"RESTORE", &dumped.key, left.as_bytes(), &dumped.value, b"REPLACE"],
    )
}

/// As the protocol has it.
fn write_command(out: &mut dyn Write, words: &[&[u8]]) -> repository::Result<()> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).into_bytes());
        bytes.extend_from_slice(word);
        bytes.extend(b"\r\n");
    }
    out.write_all(&bytes).map_err(Error::local("write to", "redis-cli"))
}

/// `user NAME RULES…` as `ACL LIST` prints it. The user `default` is the one that we may be.
fn set_users(stored: &Stored<'_>, server: &Server) -> anyhow::Result<()> {
    let mut list = Vec::new();
    stored.copy(&stored.part.path.join(USERS), &mut list)?;
    let list = String::from_utf8_lossy(&list);
    for line in list.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["user", name, rules @ ..] = words.as_slice()
            && *name != "default"
        {
            server.ask(&[&["acl", "setuser", name, "reset"], rules].concat())?;
        }
    }
    Ok(())
}
