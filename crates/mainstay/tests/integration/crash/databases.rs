//! A database server, a client program, or the program itself dies at a moment chosen at random, while a database is captured or put back.

use super::kill;
use crate::contract::configuration;
use crate::jobs::{Jobs, rounds};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::process::{Child, Output};
use std::time::{Duration, Instant};

/// Who dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// The database server.
    Server,
    /// One of the programs that ours has started.
    Client,
    /// Mainstay.
    Ourselves,
}

/// A real server with something that is captured and put back.
pub trait Server {
    /// Who may die.
    const VICTIMS: &[Victim] = &[Victim::Server, Victim::Client, Victim::Ourselves];
    /// Under this name it can be restored beside itself.
    const COPY: Option<&str> = Some("copy");
    /// Whether a restore leaves what was there or what was captured, whoever dies.
    const IS_REPLACED_AT_ONCE: bool = false;

    fn die(&mut self);
    fn resume(&mut self);
    /// What is there under a name, or under its own; nothing if there is nothing.
    fn state(&self, name: Option<&str>) -> String;
    /// Make it something else than what was captured.
    fn change(&self);
    /// Whether it says of itself that it is half restored.
    fn is_marked(&self) -> bool {
        false
    }
}

/// A server and a job that captures it.
pub struct Scene<S> {
    pub server: S,
    pub jobs: Jobs,
    pub part: &'static str,
    random: fastrand::Rng,
}

impl<S: Server> Scene<S> {
    /// With a first restore point.
    pub fn new(server: S, source: &str, part: &'static str) -> Self {
        Self::with(server, Jobs::new(""), source, part)
    }

    /// The same in a place that is there already.
    pub fn with(server: S, jobs: Jobs, source: &str, part: &'static str) -> Self {
        let yaml = configuration(source).replace("to: [main, archives]", "to: [main]");
        let scene = Self {
            server,
            jobs,
            part,
            random: fastrand::Rng::with_seed(7),
        };
        scene.jobs.configure(&yaml);
        scene.ok(&["run", "--init"]);
        scene
    }

    /// It has to succeed; how long it took.
    pub fn ok(&self, arguments: &[&str]) -> Duration {
        let begin = Instant::now();
        let ended = self.jobs.run(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {ended}");
        begin.elapsed()
    }

    /// How many there are.
    pub fn snapshots(&self) -> usize {
        self.listed().len()
    }

    /// The one that was made last.
    pub fn latest(&self) -> String {
        let listed = self.listed();
        let latest = listed.iter().max_by_key(|snapshot| snapshot["time"].as_str());
        latest.unwrap()["id"].as_str().unwrap().to_owned()
    }

    fn listed(&self) -> Vec<Value> {
        serde_json::from_str(&self.jobs.restic("main", &["snapshots", "--json"])).unwrap()
    }

    /// Run the program until somebody dies, unless it has ended by then.
    fn run_until_dead(&mut self, arguments: &[&str], takes: Duration, victim: Victim) -> (bool, Output) {
        let child = self.jobs.start(arguments);
        std::thread::sleep(takes.mul_f32(self.random.f32()));
        let mut child = child;
        let was_killed = child.try_wait().unwrap().is_none()
            && match victim {
                Victim::Server => {
                    self.server.die();
                    true
                }
                Victim::Client => kill_a_client(&child),
                Victim::Ourselves => {
                    kill(&mut child);
                    true
                }
            };
        let output = child.wait_with_output().unwrap();
        if was_killed && victim == Victim::Server {
            self.server.resume();
        }
        (was_killed, output)
    }

    /// The arguments that put it back over what is there.
    pub fn restore<'a>(&self, snapshot: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let restore = [
            "-r",
            "main",
            "restore",
            snapshot,
            "--part",
            self.part,
            "--overwrite",
            "--yes",
        ];
        [&restore, more].concat()
    }

    /// Never a part that looks good and is not.
    pub fn assert_captures(&mut self) {
        let takes = self.ok(&["run"]);
        let state = self.server.state(None);
        let mut killed = 0;
        for (round, victim) in deaths(S::VICTIMS) {
            let before = self.snapshots();
            let (was_killed, output) = self.run_until_dead(&["run"], takes, victim);
            killed += u32::from(was_killed);
            let who = format!("{victim:?} in round {round}");
            self.assert_captured(before, &output, &state, &who);
        }
        assert!(killed >= rounds(2) * S::VICTIMS.len() as u32 / 3, "{killed}");
        self.ok(&["run"]);
    }

    /// After a run that something happened to: it stored what can be restored, or says what it did not.
    pub fn assert_captured(&self, before: usize, output: &Output, state: &str, who: &str) {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if self.snapshots() == before {
            assert!(!output.status.success(), "{who}: {said}");
            return;
        }
        let manifest = self.jobs.restic("main", &["dump", "latest", "/mainstay.json"]);
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        let parts = manifest["parts"].as_array().unwrap();
        // A server that is gone has a part that says so.
        let part = parts.iter().find(|part| part["path"] == self.part);
        let is_good = part.is_some_and(|part| part["problem"].is_null());
        assert!(
            is_good || parts.iter().any(|part| !part["problem"].is_null()),
            "{who}: {parts:?}"
        );
        let name: Vec<&str> = S::COPY.iter().flat_map(|name| ["--as", *name]).collect();
        let restore = self.restore("latest", &name);
        if is_good {
            self.ok(&restore);
            assert_eq!(self.server.state(S::COPY), state, "{who}");
        } else {
            assert_eq!(output.status.code(), Some(3), "{who}: {said}");
            assert_ne!(self.jobs.run(&restore).code, 0, "{who}");
        }
    }

    /// What is there is as before, as captured, or says itself that it is half restored.
    pub fn assert_restores(&mut self) {
        let latest = self.latest();
        let restore = self.restore(&latest, &[]);
        let captured = self.server.state(None);
        let takes = self.ok(&restore);
        self.server.change();
        let changed = self.server.state(None);
        assert_ne!(captured, changed);
        let mut killed = 0;
        for (round, victim) in deaths(S::VICTIMS) {
            let (was_killed, output) = self.run_until_dead(&restore, takes, victim);
            killed += u32::from(was_killed);
            let who = format!("{victim:?} in round {round}");
            self.assert_restored(&restore, &output, &captured, &changed, &who);
        }
        assert!(killed >= rounds(2) * S::VICTIMS.len() as u32 / 6, "{killed}");
    }

    /// After a restore that something happened to. In the end it is changed again.
    pub fn assert_restored(&self, restore: &[&str], output: &Output, captured: &str, changed: &str, who: &str) {
        let said = String::from_utf8_lossy(&output.stderr);
        let found = self.server.state(None);
        let is_marked = self.server.is_marked();
        let is_whole = found == changed || found == captured;
        assert!(
            is_whole || (is_marked && !S::IS_REPLACED_AT_ONCE),
            "{who}: {found} {said}"
        );
        if output.status.success() {
            assert!(found == captured && !is_marked, "{who}: {found} {said}");
        }
        if is_marked {
            let before = self.snapshots();
            let (code, report) = self.jobs.report(&["run"]);
            let problem = report["parts"][0]["problem"].to_string();
            assert!(code != 0 && problem.contains("half restored"), "{who}: {report}");
            // Of nothing else there is no restore point.
            let was_stored = self.snapshots() > before;
            assert_eq!(code, if was_stored { 3 } else { 1 }, "{who}: {report}");
            if was_stored {
                let refused = self.jobs.run(&self.restore("latest", &[]));
                assert!(
                    refused.code == 2 && refused.stderr.contains("is not whole"),
                    "{who}: {refused}"
                );
            }
        }
        self.ok(restore);
        assert_eq!(self.server.state(None), captured, "{who}");
        assert!(!self.server.is_marked(), "{who}");
        self.server.change();
    }
}

/// Everybody dies some times.
fn deaths(victims: &'static [Victim]) -> impl Iterator<Item = (u32, Victim)> {
    (0..rounds(2)).flat_map(move |round| victims.iter().map(move |victim| (round, *victim)))
}

/// Whether there was one to kill.
fn kill_a_client(child: &Child) -> bool {
    let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).into_iter().flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    let clients: Vec<i32> = children
        .flat_map(|children| {
            children
                .split_whitespace()
                .map(|id| id.parse().unwrap())
                .collect::<Vec<_>>()
        })
        .collect();
    let Some(client) = clients.first().and_then(|id| Pid::from_raw(*id)) else {
        return false;
    };
    kill_process(client, Signal::KILL).is_ok()
}
