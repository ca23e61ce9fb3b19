//! The program dies, or its store fails, at every call; then at moments chosen at random; and disks are full.

mod calls;
mod databases;
mod disks;
mod half;
mod history;
mod jobs;
mod lies;
mod moments;
mod own_servers;
mod room;
mod servers;

use crate::peer::*;
use crate::scene::Scene;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

fn kill(child: &mut Child) {
    // It may have ended by itself a moment ago.
    let _: Option<()> = kill_process(Pid::from_child(child), Signal::KILL).ok();
    child.wait().unwrap();
}

/// Kill when `reached` says so, unless the program has ended by then; whether it was killed.
fn kill_when(child: &mut Child, mut reached: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    // Without pauses: the moment may be short.
    while !reached() {
        assert!(Instant::now() < deadline, "the moment to kill did not come");
        if child.try_wait().unwrap().is_some() {
            return false;
        }
    }
    kill(child);
    true
}

/// Until a moment that differs from run to run.
fn spin(time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

/// A scene in memory whose repository opens quickly.
fn quick_scene() -> Scene {
    let scene = Scene::empty_in(scratch());
    scene.ok(&["init"]);
    make_key_cheap(&scene.path("repository"));
    scene
}

fn assert_restores_latest(scene: &Scene, name: &str) {
    let (source, out) = (scene.path("source"), scene.path(name));
    scene.ok(&["restore", &format!("latest:{}", source.display()), "--target", name]);
    assert_same(&source, &out);
    fs::remove_dir_all(out).unwrap();
}

fn random_bytes(seed: u64, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    fastrand::Rng::with_seed(seed).fill(&mut out);
    out
}
