//! The real program is killed at moments chosen at random.

use super::{assert_restores_latest, kill_when, quick_scene, random_bytes, spin};
use crate::peer::*;
use std::fs;
use std::time::{Duration, Instant};
use testkit::tree::{TreeSpec, content};

#[test]
fn heavy_a_backup_survives_kill_9_at_thirty_moments() {
    let scene = quick_scene();
    let spec = TreeSpec {
        files: 800,
        files_per_dir: 40,
        max_bytes: 600_000,
        ..TreeSpec::default()
    };
    spec.build(&scene.path("source")).unwrap();
    let source = scene.path("source").display().to_string();
    let mut random = fastrand::Rng::with_seed(9);
    let mut killed = 0;
    for round in 0..30 {
        // Several packs of something new each time.
        fs::write(scene.path("source/new"), random_bytes(round, 24_000_000)).unwrap();
        let before = scene.objects("data").len();
        let (packs, micros) = (random.usize(0..6), random.u64(0..30_000));
        let mut child = scene.start(&["backup", &source, "--pack-size", "4"]);
        let reached = || match packs {
            0 => !scene.objects("locks").is_empty(),
            packs => scene.objects("data").len() >= before + packs,
        };
        killed += u32::from(kill_when(&mut child, || {
            let now = reached();
            if now {
                spin(Duration::from_micros(micros));
            }
            now
        }));
        if round % 6 == 5 {
            scene.ok(&["backup", &source]);
            assert_restores_latest(&scene, "out");
            scene.ok(&["prune", "--max-unused", "0"]);
        }
    }
    assert!(killed >= 20, "{killed}");
    restic(&scene, &["unlock"]);
    restic(&scene, &["check", "--read-data"]);
    scene.ok(&["backup", &source]);
    assert_restores_latest(&scene, "out");
    assert_eq!(scene.objects("locks").len(), 0);
}

#[test]
fn heavy_a_prune_survives_kill_9_at_thirty_moments() {
    let scene = quick_scene();
    let source = scene.path("source").display().to_string();
    for version in 0..5_u64 {
        for n in (0..120_u64).filter(|n| version == 0 || (n + version) % 4 == 0) {
            fs::create_dir_all(scene.path(&format!("source/d{}", n % 7))).unwrap();
            fs::write(
                scene.path(&format!("source/d{}/f{n}", n % 7)),
                content(n + 1000 * version, 200_000),
            )
            .unwrap();
        }
        scene.ok(&["backup", &source, "--pack-size", "4"]);
    }
    scene.ok(&["forget", "--keep-last", "2"]);
    copy_tree(&scene.path("repository"), &scene.path("before"));
    let prune = ["prune", "--max-unused", "0", "--pack-size", "4"];
    let mut random = fastrand::Rng::with_seed(5);
    let (mut killed, mut longest) = (0, Duration::from_secs(2));
    for round in 0..100 {
        copy_tree(&scene.path("before"), &scene.path("repository"));
        let started = Instant::now();
        let until = started + longest.mul_f64(random.f64());
        let mut child = scene.start(&prune);
        if !kill_when(&mut child, || Instant::now() >= until) {
            longest = started.elapsed();
            continue;
        }
        let check = scene.run(&["check", "--read-data"]);
        assert_eq!(check.code, 0, "round {round}: {check}");
        scene.ok(&prune);
        assert_restores_latest(&scene, "out");
        assert_eq!(scene.objects("locks").len(), 0);
        killed += 1;
        if killed == 30 {
            break;
        }
    }
    assert!(killed >= 20, "{killed}");
    restic(&scene, &["check", "--read-data"]);
}
