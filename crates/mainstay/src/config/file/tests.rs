//! Bad configurations with everything that is said about them, and good ones with what they mean.

use super::*;
use crate::config::model::{SourceKind, Stop};
use crate::config::problem::Problem;
use repository::retention::Count;
use std::fmt::Write as _;

fn surroundings() -> Surroundings {
    Surroundings {
        host: "web1".to_owned(),
        timezone: Some("UTC".to_owned()),
    }
}

fn read(text: &str) -> Result<Loaded, Problems> {
    from_texts(&[("/c/m.yaml".into(), text.to_owned())], &surroundings()).finish()
}

fn good(text: &str) -> Loaded {
    read(text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The problems of a text, one on a line with its hint.
pub fn problems(text: &str) -> String {
    let line = |text: String,
                Problem {
                    origin, message, hint, ..
                }: &Problem| {
        let place = origin.place().unwrap_or_default();
        let mut text = text;
        let _ = writeln!(text, "{}: {message} | {hint}", place.trim_start_matches("/c/m.yaml:"));
        text
    };
    match read(text) {
        Ok(_) => String::new(),
        Err(problems) => problems.iter().fold(String::new(), line),
    }
}

pub const REPOSITORY: &str = "repositories:\n  r: {url: /r, password: {env: P}}\n";
pub const JOB: &str = "jobs:\n  j:\n    sources: [files: /x]\n";

/// The problems of one repository beside a good job; its keys begin in line 5, column 5.
pub fn of_repository(keys: &str) -> String {
    problems(&format!("{JOB}repositories:\n  r:\n{keys}"))
}

/// The problems of one job beside a good repository; its keys begin in line 5, column 5.
pub fn of_job(keys: &str) -> String {
    problems(&format!("{REPOSITORY}jobs:\n  j:\n{keys}"))
}

#[test]
fn everything_wrong_is_found_at_once_in_order_and_once() {
    let text = "jobs:\n  a: &a {sources: [files: ''], keep: {daly: 1}}\n  b: *a\nrepositories:\n  r: {url: /r}\nx: 1\n";
    let found = problems(text);
    let places: Vec<&str> = found.lines().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(places, ["2:27", "2:39", "5:6", "6:1"], "{found}");
}

#[test]
fn defaults_hold_for_jobs_that_do_not_say_otherwise() {
    let loaded = good(
        "repositories:\n  a: {url: /a, password: {env: P}}\n  b: {url: ./b, password: {env: P}}\n\
         defaults: {to: a, keep: {daily: 7}, stop: auto, exclude: '*.tmp', timezone: Europe/Berlin}\n\
         jobs:\n  x: {sources: [files: ./x]}\n  y: {sources: [files: /y], to: [b, a], keep: {weekly: 2}, stop: [c]}\n",
    );
    let [x, y] = ["x", "y"].map(|name| loaded.config.job(name).unwrap());
    assert_eq!(
        (x.to.as_slice(), y.to.as_slice()),
        (&["a".to_owned()][..], &["b".to_owned(), "a".to_owned()][..])
    );
    assert_eq!(x.keep.as_ref().unwrap().policy.daily, Count::UpTo(7));
    assert_eq!(y.keep.as_ref().unwrap().policy.daily, Count::None);
    assert_eq!((&x.stop, &y.stop), (&Stop::Auto, &Stop::These(vec!["c".to_owned()])));
    assert_eq!(x.timezone.iana_name(), Some("Europe/Berlin"));
    assert_eq!(x.exclude.patterns, ["*.tmp"]);
    assert_eq!(loaded.config.repository("b").unwrap().place.to_string(), "/c/b");
    assert!(matches!(&x.sources[0].kind, SourceKind::Files(files) if files.paths == [PathBuf::from("/c/x")]));
    assert_eq!(loaded.config.host, "web1");
}

#[test]
fn the_only_repository_needs_no_name_and_several_do() {
    assert_eq!(good(&format!("{REPOSITORY}{JOB}")).config.jobs[0].to, ["r"]);
    let several = problems(&format!("{REPOSITORY}  s: {{url: /s, password: {{env: P}}}}\n{JOB}"));
    assert!(
        several.starts_with("6:5: `j` does not say where to store | Add `to: [r, s]`"),
        "{several}"
    );
    let elsewhere = "jobs:\n  j: {sources: [hetzner_server: {name: s, token: {env: T}}]}\n";
    assert!(good(&format!("{REPOSITORY}{elsewhere}")).config.jobs[0].to.is_empty());
}

#[test]
fn every_value_says_where_it_comes_from() {
    let loaded = good(&format!("{REPOSITORY}defaults: {{keep: {{last: 3}}}}\n{JOB}"));
    let origins = tree::show::origins(&loaded.tree);
    for (path, origin) in [
        ("host", "default"),
        ("repositories.r.url", "/c/m.yaml:2"),
        ("repositories.r.format", "default"),
        ("jobs.j.keep.last", "/c/m.yaml:3"),
        ("jobs.j.sources.0.files.paths.0", "/c/m.yaml:6"),
        ("jobs.j.to.0", "default"),
        ("jobs.j.timezone", "default"),
    ] {
        assert_eq!(origins[path], origin, "{path}");
    }
}

#[test]
fn what_is_shown_is_a_configuration_that_means_the_same() {
    let loaded = good(&format!(
        "{REPOSITORY}{JOB}notify:\n  - ntfy: {{topic: t}}\n    on: failure\n"
    ));
    let again = good(&tree::show::yaml(&loaded.tree));
    assert!(loaded.tree.says_the_same(&again.tree));
}

#[test]
fn files_are_merged_and_names_given_twice_are_refused() {
    let merged = |part: &str| {
        let texts = [
            ("/c/m.yaml", format!("{REPOSITORY}{JOB}")),
            ("/c/conf.d/p.yaml", part.to_owned()),
        ];
        from_texts(&texts.map(|(file, text)| (file.into(), text)), &surroundings()).finish()
    };
    let loaded = merged("host: h\njobs:\n  k: {sources: [files: ./k]}\nnotify: [ntfy: t]\n");
    let problem = loaded.unwrap_err();
    assert_eq!(problem.to_string(), "/c/conf.d/p.yaml:4:16: `ntfy` is a single value");
    let loaded = merged("host: h\njobs:\n  k: {sources: [files: ./k]}\n").unwrap();
    assert_eq!(loaded.config.jobs.len(), 2);
    let SourceKind::Files(files) = &loaded.config.job("k").unwrap().sources[0].kind else {
        panic!()
    };
    assert_eq!(files.paths, [PathBuf::from("/c/conf.d/k")]);
    let twice =
        merged("jobs:\n  j: {sources: [files: /k]}\nrepositories:\n  r: {url: /q, password: {env: P}}\n").unwrap_err();
    assert_eq!(
        twice.to_string(),
        "/c/conf.d/p.yaml:2:3: `j` is given twice, here and at /c/m.yaml:4\n\
         /c/conf.d/p.yaml:4:3: `r` is given twice, here and at /c/m.yaml:2"
    );
}

#[test]
fn variables_make_a_job_without_a_file() {
    let environment = Environment::of([
        (env::SOURCES, "/etc:/home"),
        (env::REPOSITORY, "s3://bucket/x"),
        (env::PASSWORD_FILE, "/p"),
        (env::SCHEDULE, "@daily"),
        (env::KEEP, "daily=7, weekly=4"),
    ]);
    let tree = variables::tree(&environment).unwrap().unwrap();
    let loaded = resolve(tree, Problems::default(), Vec::new(), &surroundings())
        .finish()
        .unwrap();
    let job = loaded.config.job("default").unwrap();
    assert!(matches!(&job.sources[0].kind, SourceKind::Files(files) if files.paths.len() == 2));
    assert_eq!(job.keep.as_ref().unwrap().policy.weekly, Count::UpTo(4));
    assert_eq!(job.to, ["default"]);
    let origins = tree::show::origins(&loaded.tree);
    assert_eq!(origins["jobs.default.keep.daily"], "MAINSTAY_KEEP");
    assert_eq!(origins["repositories.default.password.file"], "MAINSTAY_PASSWORD_FILE");
}

#[test]
fn variables_that_make_no_sense_are_named() {
    let said = |more: &[(env::Variable, &str)]| {
        let mut environment = Environment::of([(env::SOURCES, "/etc"), (env::REPOSITORY, "/r"), (env::PASSWORD, "x")]);
        for (variable, value) in more {
            environment = environment.with(variable.name, value);
        }
        match variables::tree(&environment) {
            Err(misuse) => misuse.message,
            Ok(tree) => resolve(tree.unwrap(), Problems::default(), Vec::new(), &surroundings())
                .finish()
                .map_or_else(|problems| problems.to_string(), |_| String::new()),
        }
    };
    assert_eq!(said(&[]), "");
    assert_eq!(
        said(&[(env::PASSWORD_FILE, "/p")]),
        "MAINSTAY_PASSWORD_FILE: `env` and `file` are given for one `password`"
    );
    assert_eq!(
        said(&[(env::KEEP, "daly=7"), (env::SCHEDULE, "never")]),
        "MAINSTAY_KEEP: `daly` is no key of `keep`\n\
         MAINSTAY_SCHEDULE: `schedule` is `never`, which is not a schedule such as `0 2 * * *` or `@daily`"
    );
    assert_eq!(said(&[(env::KEEP, "daily")]), "`daily` in `MAINSTAY_KEEP` is no rule");
    assert!(said(&[(env::REPOSITORY, "")]).contains("not where to store it"));
}
