//! Programs in containers of a real Docker engine.

use mainstay::docker::{Container, Error};
use mainstay::exec::{Input, Surroundings};
use mainstay::source::program::Programs;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};
use testkit::docker::DockerEngine;

fn words(script: &str) -> Vec<OsString> {
    ["sh", "-c", script].map(OsString::from).to_vec()
}

#[test]
fn programs_run_in_containers_as_on_the_host() {
    let engine = DockerEngine::start();
    engine.run("db_prod", "postgres:15", &[], &["sleep", "infinity"]);
    let address = engine.address();
    let container = Container::find(Some(&address), "db_prod").unwrap();
    assert_eq!(container.image, "postgres:15");
    let programs = Programs::Container(Box::new(container));
    let surroundings = Surroundings {
        variables: vec![("SECRET".into(), "it's \u{1f512}".into())],
        directory: Some("/tmp".into()),
        ..Surroundings::default()
    };
    let output = |script: &str| programs.output(&words(script), &surroundings);
    assert_eq!(
        output("printf %s \"$SECRET\"; pwd").unwrap(),
        "it's \u{1f512}/tmp\n".as_bytes()
    );
    // All of it, byte for byte, and no line of ours.
    let large = output("head -c 30000000 /dev/zero; printf end; echo noise >&2").unwrap();
    assert!(large.len() == 30_000_003 && large.ends_with(b"end"));
    let failed = output("echo half; echo bad news >&2; exit 7").unwrap_err().to_string();
    assert!(failed.contains("exit status: 7: bad news"), "{failed}");
    let missing = programs
        .output(&["no-such-program".into()], &surroundings)
        .unwrap_err()
        .to_string();
    assert!(missing.contains("exit status: 127"), "{missing}");
    // What is fed arrives, and ends.
    let piped = Surroundings {
        input: Input::Piped,
        ..Surroundings::default()
    };
    let mut running = programs.start(&words("tr a-z A-Z; echo over"), &piped).unwrap();
    let mut stdin = running.stdin().unwrap();
    let feeding = std::thread::spawn(move || stdin.write_all(&[b'x'; 1 << 20]).unwrap());
    let mut printed = Vec::new();
    running.read_to_end(&mut printed).unwrap();
    feeding.join().unwrap();
    assert!(printed.len() == (1 << 20) + 5 && printed.starts_with(b"XX") && printed.ends_with(b"over\n"));
    running.finish().unwrap();
    // What is not wanted any more is ended.
    for (script, at_once) in [
        ("exec sleep 4242", false),
        ("exec sleep 4242", true),
        ("while :; do echo much; done; : 4242", false),
        ("while :; do echo much; done; : 4242", true),
    ] {
        let mut running = programs
            .start(&words(&format!("echo on; {script}")), &surroundings)
            .unwrap();
        if !at_once {
            running.read_exact(&mut [0; 2]).unwrap();
        }
        drop(running);
        let begin = Instant::now();
        let is_running =
            || output("cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c '[4]242' || true").unwrap() != b"0\n";
        while is_running() {
            assert!(begin.elapsed() < Duration::from_secs(20), "`{script}` still runs");
        }
    }
    // The engine dies under a program: that is no end of its output.
    let mut running = programs.start(&words("echo on; sleep 600"), &surroundings).unwrap();
    running.read_exact(&mut [0; 2]).unwrap();
    let unknown = Container::find(Some(&address), "db").unwrap_err();
    assert!(unknown.hint().contains("db_prod") && matches!(unknown, Error::NotFound { .. }));
    engine.docker(&["kill", "db_prod"]);
    let mut rest = Vec::new();
    let _: Option<usize> = running.read_to_end(&mut rest).ok();
    assert!(running.finish().is_err());
    assert!(matches!(
        Container::find(Some(&address), "db_prod"),
        Err(Error::NotRunning(_))
    ));
    drop(engine);
    assert!(matches!(
        Container::find(Some(&address), "db_prod"),
        Err(Error::Unreachable(_))
    ));
}
