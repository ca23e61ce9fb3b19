//! The oracle: restic keeps what we keep, for the same reasons.

use super::*;
use crate::restic::key::KeyFile;
use std::collections::BTreeMap;
use std::path::Path;

const ZONE: &str = "Europe/Berlin";

#[expect(clippy::disallowed_methods, reason = "the test compares with another program")]
fn restic(repo: &Path, args: &[&str]) -> Vec<u8> {
    let mut command = std::process::Command::new("restic");
    command
        .args(["--no-cache", "-q", "-r"])
        .arg(repo)
        .args(args)
        .env("RESTIC_PASSWORD", "x")
        .env("TZ", ZONE);
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("restic cannot be started: {error}"));
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Moments that are hard to tell apart: midnight, ends of months and years, clocks that change, week 53.
fn times() -> Vec<Timestamp> {
    let mut times: Vec<Timestamp> = (0..45)
        .map(|i| Timestamp::from_second(1_790_000_000 - i * i * 51_907).unwrap())
        .collect();
    // No moment twice: restic sorts equal ones in any order.
    times.extend((1..8).map(|i| Timestamp::from_second(1_790_000_000 - i * 1_900).unwrap()));
    for text in [
        "2025-12-31T22:59:59.999Z",
        "2025-12-31T23:00:00Z",
        "2026-01-01T00:00:00Z",
        "2026-03-29T00:59:00Z",
        "2026-03-29T01:01:00Z",
        "2025-10-26T00:30:00Z",
        "2025-10-26T01:30:00Z",
        "2026-08-31T10:00:00Z",
        "2021-01-03T12:00:00Z",
        "2021-01-04T12:00:00Z",
        "2024-02-29T12:00:00Z",
        "2040-01-01T00:00:00Z",
    ] {
        times.push(text.parse().unwrap());
    }
    times
}

/// A repository of restic's with snapshots of those times; nothing but their descriptions matters here.
fn store_snapshots(repo: &Path) -> Vec<Candidate> {
    restic(repo, &["init"]);
    let key = std::fs::read_dir(repo.join("keys"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let key = KeyFile::parse(&Id::default(), &std::fs::read(key).unwrap())
        .unwrap()
        .open(b"x")
        .unwrap()
        .unwrap();
    let zone = TimeZone::get(ZONE).unwrap();
    let store = |(number, time): (usize, Timestamp)| {
        let tags: &[&str] = [&[][..], &["a"], &["a", "b"], &["c"]][number % 4];
        let local = time.display_with_offset(zone.to_offset(time)).to_string();
        let json =
            serde_json::json!({ "time": local, "tree": Id::default(), "paths": ["/x"], "hostname": "h", "tags": tags });
        let stored = key.seal(json.to_string().as_bytes());
        let id = Id::hash(&stored);
        std::fs::write(repo.join("snapshots").join(id.to_string()), stored).unwrap();
        Candidate {
            id,
            time,
            tags: tags.iter().map(ToString::to_string).collect(),
        }
    };
    times().into_iter().enumerate().map(store).collect()
}

/// Reasons by id; none for those that go.
type Answer = BTreeMap<String, Vec<String>>;

fn restic_s_answer(repo: &Path, args: &[&str]) -> Answer {
    let mut all = vec!["forget", "--dry-run", "--json"];
    all.extend(args);
    let groups: serde_json::Value = serde_json::from_slice(&restic(repo, &all)).unwrap();
    let list = |name: &str| groups[0][name].as_array().cloned().unwrap_or_default();
    let id = |snapshot: &serde_json::Value| snapshot["id"].as_str().unwrap().to_owned();
    let matches = |reason: &serde_json::Value| serde_json::from_value(reason["matches"].clone()).unwrap();
    let mut answer: Answer = list("keep")
        .iter()
        .map(id)
        .zip(list("reasons").iter().map(matches))
        .collect();
    answer.extend(list("remove").iter().map(|snapshot| (id(snapshot), Vec::new())));
    answer
}

fn policy(args: &[&str]) -> Policy {
    let mut policy = Policy::default();
    for pair in args.chunks(2) {
        let (count, duration) = (|| pair[1].parse().unwrap(), || pair[1].parse().unwrap());
        match pair[0] {
            "--keep-last" => policy.last = count(),
            "--keep-hourly" => policy.hourly = count(),
            "--keep-daily" => policy.daily = count(),
            "--keep-weekly" => policy.weekly = count(),
            "--keep-monthly" => policy.monthly = count(),
            "--keep-yearly" => policy.yearly = count(),
            "--keep-within" => policy.within = duration(),
            "--keep-within-hourly" => policy.within_hourly = duration(),
            "--keep-within-daily" => policy.within_daily = duration(),
            "--keep-within-weekly" => policy.within_weekly = duration(),
            "--keep-within-monthly" => policy.within_monthly = duration(),
            "--keep-within-yearly" => policy.within_yearly = duration(),
            "--keep-tag" => policy.tags.push(pair[1].split(',').map(str::to_owned).collect()),
            other => panic!("{other}"),
        }
    }
    policy
}

#[test]
fn restic_decides_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let snapshots = store_snapshots(dir.path());
    let zone = TimeZone::get(ZONE).unwrap();
    for args in [
        &["--keep-last", "3"][..],
        &["--keep-hourly", "20"],
        &[
            "--keep-daily",
            "7",
            "--keep-weekly",
            "5",
            "--keep-monthly",
            "12",
            "--keep-yearly",
            "3",
        ],
        &["--keep-last", "1000", "--keep-yearly", "1000"],
        &["--keep-weekly", "400"],
        &["--keep-within", "1m"],
        &["--keep-within", "1y2m3d4h", "--keep-tag", "a,b"],
        &[
            "--keep-within-hourly",
            "40h",
            "--keep-within-daily",
            "30d",
            "--keep-within-weekly",
            "2m",
        ],
        &[
            "--keep-within-monthly",
            "1y",
            "--keep-within-yearly",
            "75y",
            "--keep-daily",
            "2",
        ],
        &["--keep-tag", "a", "--keep-tag", "b", "--keep-last", "1"],
        &["--keep-tag", "", "--keep-monthly", "2"],
        &["--keep-tag", "nobody has it"],
        &["--keep-within", "7m", "--keep-hourly", "1"],
    ] {
        let ours = apply(&policy(args), &snapshots, &zone, crate::clock::now());
        let ours: Answer = ours
            .into_iter()
            .map(|decision| (decision.id.to_string(), decision.reasons))
            .collect();
        assert_eq!(ours.len(), snapshots.len());
        assert_eq!(ours, restic_s_answer(dir.path(), args), "{args:?}");
    }
}
