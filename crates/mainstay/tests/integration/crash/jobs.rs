//! The real program runs a job with several destinations, and is killed at its requests to their server.

use crate::engine::*;
use crate::peer::*;
use crate::scene::Scene;
use parking_lot::Mutex;
use repository::archive::{self, Archive, CheckOptions, Content, Keys, Latest};
use repository::{Cancel, Recorder};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use storage::{LocalStore, Store as _};
use testkit::s3_server::{ACCESS_KEY, BUCKET, HttpFault, S3Server, SECRET_KEY};
use testkit::tree::content;

/// In restic's format.
const REPOSITORIES: [&str; 2] = ["one", "two"];
/// Of archives.
const PLACES: [&str; 2] = ["first", "copy"];
/// Objects of somebody else in each of them, some of which look as if they were ours.
const FOREIGN: [&str; 4] = [
    "photo.jpg",
    "data/notes.txt",
    "data-1.tar.zst",
    "data-1.tar.zst.started",
];
/// Two within one second have different names.
const ARCHIVES: &str = "format: archive, name: '{job}-%Y%m%d%H%M%S%f', encryption: none";
/// What is run.
const RUN: [&str; 3] = ["--config", "mainstay.yaml", "run"];
/// What each keeps.
const KEPT: usize = 2;
/// Scenes in which the program is killed side by side: most of the time it waits for its locks to settle.
const SCENES: usize = 3;
/// In each scene it is killed so many times, at requests spread over all that a run makes.
const KILLS: usize = 7;

/// Kills the program at one of its requests.
#[derive(Default)]
struct Trap {
    at: Option<usize>,
    requests: usize,
    victim: Option<Pid>,
}

impl Trap {
    fn meet(&mut self) -> HttpFault {
        self.requests += 1;
        match self.victim {
            Some(victim) if self.at.is_some_and(|at| self.requests >= at) => {
                // It may be dead already: this request was on its way.
                let _: Option<()> = kill_process(victim, Signal::KILL).ok();
                HttpFault::Reset
            }
            _ => HttpFault::None,
        }
    }
}

/// A job, and the server that all of its destinations are on.
struct Job {
    /// Repositories in restic's format that are directories of this host: archives are made of their snapshots.
    near: &'static [&'static str],
    scene: Scene,
    server: S3Server,
    trap: Arc<Mutex<Trap>>,
}

impl Job {
    /// With as many restore points as are kept, so that the next run removes one.
    fn new(near: &'static [&'static str]) -> Self {
        let trap = Arc::<Mutex<Trap>>::default();
        let meets = Arc::clone(&trap);
        let job = Self {
            near,
            scene: Scene::empty_in(scratch()),
            server: S3Server::start_with(move |_| meets.lock().meet()),
            trap,
        };
        fs::write(job.scene.path("mainstay.yaml"), job.configuration()).unwrap();
        for repository in REPOSITORIES {
            job.ok(&["-r", &job.address(repository), "--password-file", "password", "init"]);
            make_key_cheap(&job.directory(repository));
        }
        job.write_foreign();
        for version in 1..=KEPT {
            job.change(version);
            job.run();
        }
        job.change(KEPT + 1);
        copy_tree(&job.root(), &job.scene.path("before"));
        job
    }

    fn address(&self, destination: &str) -> String {
        if self.near.contains(&destination) {
            return self.directory(destination).display().to_string();
        }
        format!("s3:{}/{BUCKET}/{destination}", self.server.endpoint())
    }

    fn configuration(&self) -> String {
        let restic = REPOSITORIES
            .map(|name| {
                format!(
                    "  {name}: {{url: '{}', password: {{file: password}}}}\n",
                    self.address(name)
                )
            })
            .concat();
        let archives = PLACES
            .map(|name| format!("  {name}: {{url: '{}', {ARCHIVES}}}\n", self.address(name)))
            .concat();
        format!(
            "host: h\nrepositories:\n{restic}{archives}jobs:\n  data:\n    sources: [files: ./data]\n    \
             to: [{}, {}]\n    keep: {{last: {KEPT}}}\n",
            REPOSITORIES.join(", "),
            PLACES.join(", ")
        )
    }

    fn root(&self) -> PathBuf {
        self.server.bucket_directory().parent().unwrap().to_owned()
    }

    fn directory(&self, destination: &str) -> PathBuf {
        self.server.bucket_directory().join(destination)
    }

    fn data(&self) -> PathBuf {
        self.scene.path("data")
    }

    /// Some files differ from version to version, of which a plain copy is kept.
    fn change(&self, version: usize) {
        fs::create_dir_all(self.data().join("sub")).unwrap();
        fs::write(self.data().join("version"), version.to_string()).unwrap();
        for n in 0..4 {
            let seed = if n == 0 { 0 } else { n + 100 * version };
            fs::write(self.data().join(format!("sub/{n}")), content(seed as u64, 30_000)).unwrap();
        }
        copy_tree(&self.data(), &self.scene.path(&format!("v{version}")));
    }

    /// As it was before the run that is killed.
    fn reset(&self) {
        for entry in fs::read_dir(self.root()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        }
        copy_tree(&self.scene.path("before"), &self.root());
    }

    fn write_foreign(&self) {
        for destination in REPOSITORIES.iter().chain(&PLACES) {
            for name in FOREIGN {
                let path = self.directory(destination).join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "precious").unwrap();
            }
        }
    }

    fn assert_foreign_untouched(&self) {
        for destination in REPOSITORIES.iter().chain(&PLACES) {
            for name in FOREIGN {
                let found = fs::read(self.directory(destination).join(name));
                assert_eq!(found.unwrap(), b"precious", "{destination}: {name}");
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a program that is killed while it runs")]
    fn command(&self) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("mainstay"));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.scene.path("home"))
            .env("MAINSTAY_STATE_DIR", self.scene.path("state"))
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .current_dir(self.scene.path(""));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    fn ok(&self, arguments: &[&str]) {
        let ended = ended(&self.command().args(arguments).output().unwrap());
        assert_eq!(ended.code, 0, "{arguments:?}: {ended}");
    }

    /// Run the job to its end; the number of its requests.
    fn run(&self) -> usize {
        *self.trap.lock() = Trap::default();
        self.ok(&RUN);
        self.trap.lock().requests
    }

    /// Run the job and kill it at the request with this number; whether it came so far.
    fn run_until(&self, request: usize) -> bool {
        // Its first request waits until it is known whom to kill.
        let mut trap = self.trap.lock();
        let mut child = self.command().args(RUN).stderr(Stdio::null()).spawn().unwrap();
        *trap = Trap {
            at: Some(request),
            requests: 0,
            victim: Some(Pid::from_child(&child)),
        };
        drop(trap);
        let ended = child.wait().unwrap();
        *self.trap.lock() = Trap::default();
        !ended.success()
    }

    /// Every listed restore point is what was there when it was made; how many each destination has.
    fn assert_whole(&self) -> Vec<usize> {
        self.assert_foreign_untouched();
        let snapshots = REPOSITORIES.map(|name| self.whole_snapshots(name));
        let archives = PLACES.map(|name| self.whole_archives(name));
        [snapshots, archives].concat()
    }

    fn whole_snapshots(&self, name: &str) -> usize {
        let repository = open(Arc::new(LocalStore::new(self.directory(name))), None);
        assert_healthy(&repository);
        let source = Path::new("/files").join(self.data().strip_prefix("/").unwrap());
        let listed = snapshots(&repository);
        for one in &listed {
            let target = scratch();
            restore_to(&repository, one, &source, target.path()).unwrap();
            self.assert_some_version(target.path());
        }
        listed.len()
    }

    fn whole_archives(&self, name: &str) -> usize {
        let (cancel, monitor, keys) = (Cancel::default(), Recorder::default(), Keys::none());
        let store = LocalStore::new(self.directory(name));
        let listed = archive::list(&store, "", &cancel, &monitor).unwrap();
        for manifest in &listed {
            let read_data = CheckOptions { read_data: true };
            let report = archive::check(&store, &manifest.name, &keys, read_data, &cancel, &monitor).unwrap();
            assert_eq!((report.damage, report.content), (vec![], Content::Proven));
            let target = scratch();
            let options = archive::RestoreOptions {
                root: Path::new("files").join(self.data().strip_prefix("/").unwrap()),
                ..archive::RestoreOptions::new(target.path())
            };
            let archive = Archive::open(&store, &manifest.name, &keys, &cancel).unwrap();
            assert_eq!(archive.restore(&options, &monitor).unwrap().problems, 0);
            self.assert_some_version(target.path());
        }
        listed.len()
    }

    fn assert_some_version(&self, restored: &Path) {
        let version = fs::read_to_string(restored.join("version")).unwrap();
        assert_same(&self.scene.path(&format!("v{version}")), restored);
    }

    /// Nothing but what is foreign, and what belongs to listed restore points.
    fn assert_no_leftovers(&self) {
        for name in REPOSITORIES {
            let locks = LocalStore::new(self.directory(name)).list("locks").unwrap_or_default();
            assert_eq!(locks, [], "{name}");
        }
        for name in PLACES {
            let store = LocalStore::new(self.directory(name));
            let listed = archive::list(&store, "", &Cancel::default(), &Recorder::default()).unwrap();
            let parts = listed.iter().flat_map(|manifest| &manifest.parts);
            let expected: HashSet<String> = parts
                .map(|part| part.name.clone())
                .chain(listed.iter().map(|manifest| format!("{}.manifest.json", manifest.name)))
                .chain(FOREIGN.map(str::to_owned))
                .chain(["latest-h-data.json".to_owned()])
                .collect();
            let found = store.list("").unwrap().into_iter().map(|object| object.name);
            assert_eq!(found.collect::<HashSet<_>>(), expected, "{name}");
            let latest: Latest = serde_json::from_slice(&store.read("latest-h-data.json").unwrap()).unwrap();
            assert_eq!(latest.name, listed.last().unwrap().name, "{name}");
        }
        assert_eq!(self.server.unfinished_uploads(), 0);
    }
}

#[test]
fn heavy_a_run_with_several_destinations_survives_kill_9_at_any_request() {
    let one = Job::new(&[]);
    let requests = one.run();
    assert!(requests > 50, "{requests}");
    one.assert_no_leftovers();
    let killed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for (number, job) in std::iter::once(one)
            .chain((1..SCENES).map(|_| Job::new(&["one"])))
            .enumerate()
        {
            let killed = &killed;
            scope.spawn(move || {
                // Fewer, where a repository is near.
                let requests = if number == 0 { requests } else { job.run() };
                for kill in 0..KILLS {
                    let at = 1 + (kill * SCENES + number) * requests / (KILLS * SCENES);
                    job.reset();
                    let was_killed = job.run_until(at);
                    killed.fetch_add(usize::from(was_killed), Ordering::Relaxed);
                    println!("killed at request {at} of {requests}: {was_killed}");
                    let left = job.assert_whole();
                    assert!(left.iter().all(|count| *count >= KEPT), "{left:?}");
                    job.run();
                    assert_eq!(job.assert_whole(), [KEPT; 4]);
                    job.assert_no_leftovers();
                }
            });
        }
    });
    let killed = killed.into_inner();
    assert!(killed > KILLS * SCENES / 2, "{killed}");
}
