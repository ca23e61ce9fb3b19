//! Ten repositories, of which three fail, hang and lie: the others hold the run, the report names the three, and `sync` completes them.

use crate::engine::{assert_healthy, open, snapshots};
use crate::peer::{make_key_cheap, scratch};
use mainstay::config::env::Environment;
use mainstay::config::file::{self, Loaded};
use mainstay::config::model::Repository;
use mainstay::engine::report::{Outcome, RunReport};
use mainstay::engine::{self as product, Host, RunOptions};
use repository::{Cancel, Recorder};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::{ErrorKind, LocalStore, Store};
use testkit::faults::{Fault, FaultyStore};
use testkit::recording::Operation;

const COUNT: usize = 10;
const FAILS: usize = 3;
const HANGS: usize = 5;
const LIES: usize = 7;

struct Ten {
    directory: tempfile::TempDir,
    loaded: Loaded,
    environment: Environment,
    stores: Vec<FaultyStore>,
}

impl Ten {
    fn new() -> Self {
        let directory = scratch();
        fs::create_dir(directory.path().join("data")).unwrap();
        fs::write(directory.path().join("password"), "secret").unwrap();
        let mut yaml = "host: h\nrepositories:\n".to_owned();
        for n in 0..COUNT {
            yaml += &format!("  r{n}: {{url: ./r{n}, password: {{file: password}}, pack_size: 4}}\n");
        }
        let names: Vec<String> = (0..COUNT).map(|n| format!("r{n}")).collect();
        yaml += &format!(
            "jobs:\n  data:\n    sources: [files: ./data]\n    to: [{}]\n",
            names.join(", ")
        );
        let path = directory.path().join("mainstay.yaml");
        fs::write(&path, yaml).unwrap();
        let environment = Environment::default();
        let loaded = file::draft(Some(&path), &environment).unwrap().finish().unwrap();
        let store = |n| FaultyStore::new(Arc::new(LocalStore::new(directory.path().join(format!("r{n}")))));
        let ten = Self {
            stores: (0..COUNT).map(store).collect(),
            directory,
            loaded,
            environment,
        };
        ten.fill(0);
        ten
    }

    fn path(&self, n: usize) -> PathBuf {
        self.directory.path().join(format!("r{n}"))
    }

    /// Noise, so that there are several packs.
    fn fill(&self, round: u64) {
        for n in 0..6 {
            let mut random = fastrand::Rng::with_seed(n + 10 * round);
            let content: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(3 << 20).collect();
            fs::write(self.directory.path().join(format!("data/{n}")), content).unwrap();
        }
    }

    fn with_host(&self, work: impl Fn(&Host<'_>) -> RunReport) -> RunReport {
        let store = |repository: &Repository, give_up: Option<&Cancel>| {
            let n: usize = repository.name[1..].parse().unwrap();
            // What hangs goes on hanging when it is asked again; a test does not wait for the end of all tries.
            if n == HANGS && give_up.is_none() && self.stores[n].calls() > 0 && self.is_hanging() {
                self.stores[n].always(|_, _| true, Fault::Fail(ErrorKind::TimedOut));
            }
            Ok(Arc::new(self.stores[n].clone()) as Arc<dyn Store>)
        };
        work(&Host {
            config: &self.loaded.config,
            secrets: &self.environment,
            stores: &store,
            cache: None,
            state: None,
            retry_lock: Duration::ZERO,
            cancel: &Cancel::default(),
            monitor: &Recorder::default(),
        })
    }

    fn is_hanging(&self) -> bool {
        self.directory.path().join("hanging").exists()
    }

    fn run(&self, init: bool) -> RunReport {
        let options = RunOptions {
            init,
            patience: Duration::from_millis(300),
            ..RunOptions::default()
        };
        self.with_host(|host| product::run(host, &host.config.jobs[0], options).unwrap())
    }

    fn break_three(&self) {
        let is_pack = |operation: Operation, name: &str| operation == Operation::Write && name.starts_with("data/");
        self.stores[FAILS].always(|_, _| true, Fault::Fail(ErrorKind::PermissionDenied));
        self.stores[HANGS].always(is_pack, Fault::Delay(Duration::from_secs(3)));
        self.stores[LIES].always(is_pack, Fault::Lie);
        fs::write(self.directory.path().join("hanging"), "").unwrap();
    }

    fn heal(&self) {
        self.stores.iter().for_each(FaultyStore::heal);
        fs::remove_file(self.directory.path().join("hanging")).unwrap();
    }

    fn trees(&self, n: usize) -> Vec<String> {
        let repository = open(Arc::new(LocalStore::new(self.path(n))), None);
        assert_healthy(&repository);
        let mut trees: Vec<String> = snapshots(&repository)
            .iter()
            .map(|(_, one)| one.tree.to_string())
            .collect();
        trees.sort();
        trees
    }
}

fn lacking(report: &RunReport) -> Vec<usize> {
    let named = report
        .destinations
        .iter()
        .enumerate()
        .filter(|(_, one)| one.error.is_some());
    named.map(|(n, _)| n).collect()
}

#[test]
fn seven_hold_the_run_and_sync_heals_the_three() {
    let ten = Ten::new();
    assert_eq!(ten.run(true).outcome, Outcome::Done);
    (0..COUNT).for_each(|n| make_key_cheap(&ten.path(n)));
    ten.fill(1);
    ten.break_three();
    let begin = Instant::now();
    let report = ten.run(false);
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    assert_eq!(
        (report.outcome, lacking(&report)),
        (Outcome::Degraded, vec![FAILS, HANGS, LIES]),
        "{report:?}"
    );
    let why = |n: usize| report.destinations[n].error.as_ref().unwrap().message.clone();
    assert!(
        why(HANGS).contains("waiting") && why(LIES).contains("does not have it"),
        "{} {}",
        why(HANGS),
        why(LIES)
    );
    ten.heal();
    for n in 0..COUNT {
        let expected = if [FAILS, HANGS, LIES].contains(&n) { 1 } else { 2 };
        assert_eq!(ten.trees(n).len(), expected, "{n}");
    }
    let report = ten.with_host(|host| product::sync(host, &host.config.jobs[0]).unwrap());
    assert_eq!(report.outcome, Outcome::Done, "{report:?}");
    let expected = ten.trees(0);
    assert_eq!(expected.len(), 2);
    assert!((1..COUNT).all(|n| ten.trees(n) == expected));
}
