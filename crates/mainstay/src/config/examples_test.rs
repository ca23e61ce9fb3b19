//! The files in `examples/` are accepted, mean what they say, and fit the schema.

use super::file::present::Present;
use super::file::{Draft, Loaded, Surroundings, from_texts};
use super::keys::schema;
use super::model::{ArchiveCompression, Encryption, Event, Every, Format, Layout, Recipient, SourceKind, Stop, Way};
use super::problem::Problems;
use super::secret::SecretReader;
use super::tree;
use repository::retention::Count;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");

/// Has every variable and every file.
struct Everything;

impl SecretReader for Everything {
    fn variable(&self, _name: &str) -> Option<OsString> {
        Some("secret".into())
    }

    fn file(&self, _path: &Path) -> io::Result<Vec<u8>> {
        Ok(b"secret\n".to_vec())
    }

    fn output(&self, _words: &[OsString]) -> Result<Vec<u8>, crate::exec::Error> {
        Ok(b"secret\n".to_vec())
    }
}

/// Has nothing.
struct Nothing;

impl SecretReader for Nothing {
    fn variable(&self, _name: &str) -> Option<OsString> {
        None
    }

    fn file(&self, _path: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn output(&self, _words: &[OsString]) -> Result<Vec<u8>, crate::exec::Error> {
        Ok(Vec::new())
    }
}

fn text(name: &str) -> String {
    std::fs::read_to_string(Path::new(EXAMPLES).join(name)).unwrap()
}

fn draft(name: &str) -> Draft {
    let surroundings = Surroundings {
        host: "host".to_owned(),
        timezone: Some("UTC".to_owned()),
    };
    from_texts(&[(Path::new("/etc/mainstay").join(name), text(name))], &surroundings)
}

fn example(name: &str) -> Loaded {
    let mut draft = draft(name);
    let seen = draft.check_present(Present { run_commands: true }, &Everything);
    assert!(seen.secrets > 0);
    draft.finish().unwrap_or_else(|problems| panic!("{name}: {problems}"))
}

fn all() -> Vec<String> {
    let names = std::fs::read_dir(EXAMPLES)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".yaml")).collect();
    names.sort();
    assert_eq!(names.len(), 6);
    names
}

#[test]
fn every_example_is_accepted_and_shown_again() {
    for name in all() {
        let loaded = example(&name);
        let shown = tree::show::yaml(&loaded.tree);
        let surroundings = Surroundings {
            host: "another".to_owned(),
            timezone: None,
        };
        let again = from_texts(&[(Path::new("/etc/mainstay").join(&name), shown)], &surroundings)
            .finish()
            .unwrap();
        assert!(loaded.tree.says_the_same(&again.tree), "{name}");
    }
}

#[test]
fn secrets_that_are_not_there_are_named_each_with_its_line() {
    let mut draft = draft("coolify.yaml");
    draft.check_present(Present { run_commands: false }, &Nothing);
    let problems = draft.finish().unwrap_err();
    assert_eq!(problems.iter().count(), 6, "{problems}");
    assert!(
        problems
            .to_string()
            .contains("the variable `DISCORD_WEBHOOK` is not set")
    );
    assert!(
        problems
            .iter()
            .all(|problem| problem.origin.place().is_some() && !problem.hint.is_empty())
    );
}

#[test]
fn every_example_fits_the_schema_and_mistakes_do_not() {
    let validator = jsonschema::draft202012::new(&schema::schema()).unwrap();
    for name in all() {
        let node = tree::parse(&Path::new("f").into(), &text(&name), &mut Problems::default()).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&tree::show::json(&node))
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
    for mistake in [
        "jobs: {j: {sources: [files: /x]}}",
        "repositories: {r: {url: /r, pasword: {env: X}}}\njobs: {j: {sources: [files: /x]}}",
        "repositories: {r: {url: /r, password: hush}}\njobs: {j: {sources: [files: /x]}}",
        "repositories: {r: {url: /r, password: {env: X, file: y}}}\njobs: {j: {sources: [files: /x]}}",
        "repositories: {r: {url: /r}}\njobs: {j: {sources: []}}",
        "repositories: {r: {url: /r}}\njobs: {j: {sources: [{files: /x, volume: y}]}}",
        "repositories: {r: {url: /r}}\njobs: {j: {sources: [files: /x], keep: {daily: many}}}",
    ] {
        let node = tree::parse(&Path::new("f").into(), mistake, &mut Problems::default()).unwrap();
        assert!(!validator.is_valid(&tree::show::json(&node)), "{mistake}");
    }
}

#[test]
fn coolify_means_what_it_says() {
    let config = example("coolify.yaml").config;
    let [databases, volumes, server] = config.jobs.as_slice() else {
        panic!()
    };
    assert_eq!(databases.to, ["local", "hetzner"]);
    assert_eq!(databases.schedule.as_ref().unwrap().to_string(), "0 2 * * *");
    let keep = &databases.keep.as_ref().unwrap().policy;
    assert_eq!(
        (keep.daily, keep.monthly, keep.weekly),
        (Count::UpTo(30), Count::UpTo(12), Count::None)
    );
    assert_eq!(databases.drill.as_ref().unwrap().every, Every::Month);
    let SourceKind::Postgres(postgres) = &databases.sources[1].kind else {
        panic!()
    };
    assert_eq!(postgres.server.container.as_deref(), Some("windmill-db-prod"));
    let SourceKind::Docker(docker) = &volumes.sources[0].kind else {
        panic!()
    };
    assert_eq!(docker.projects, ["agent-os"]);
    assert_eq!(
        volumes.skip[1],
        ("windmill_lsp_cache".to_owned(), "regenerated".to_owned())
    );
    assert_eq!(
        volumes.stop,
        Stop::These(vec!["storage_prod".to_owned(), "n8n".to_owned()])
    );
    assert!(server.to.is_empty() && server.sources[0].check_executable().is_err());
    assert_eq!(config.notify[0].on, [Event::Failure, Event::Recovered]);
    let hetzner = config.repository("hetzner").unwrap();
    let options = hetzner.store_options(storage::Options::default(), &Everything).unwrap();
    assert_eq!(
        options.s3.endpoint.as_deref(),
        Some("https://fsn1.your-objectstorage.com")
    );
    assert_eq!(options.s3.access_key.as_deref(), Some("secret"));
}

#[test]
fn remote_runner_means_what_it_says() {
    let config = example("remote-runner.yaml").config;
    let Format::Archive(archive) = &config.repositories[0].format else {
        panic!()
    };
    assert_eq!(archive.name, "runner-%Y%m%d-%H%M%S.tar.gz");
    assert_eq!(archive.compression, ArchiveCompression::Gzip(6));
    assert!(matches!(archive.encryption, Encryption::GpgPassphrase(_)));
    let job = &config.jobs[0];
    assert_eq!(job.keep.as_ref().unwrap().days, Some(7));
    let SourceKind::Files(files) = &job.sources[2].kind else {
        panic!()
    };
    assert_eq!(files.paths, [PathBuf::from("/etc/mainstay/sessions")]);
    assert!(job.sources[2].check_executable().is_ok());
    assert!(matches!(&config.notify[0].way, Way::Email { host, port: 587, .. } if host == "smtp.example.org"));
    assert!(config.notify[1].on.contains(&Event::Start));
}

#[test]
fn agentpod_means_what_it_says() {
    let config = example("agentpod.yaml").config;
    let Format::Archive(archive) = &config.repository("dumps").unwrap().format else {
        panic!()
    };
    assert_eq!(
        (archive.layout, &archive.encryption),
        (Layout::DailyWeekly, &Encryption::None)
    );
    let offsite = config.repository("offsite").unwrap();
    assert!(matches!(offsite.place.location(), storage::Location::Sftp(_)));
    assert_eq!(offsite.rest.host_key.as_deref(), Some("SHA256:example"));
    assert!(config.jobs[0].run_at_start);
    let SourceKind::Postgres(postgres) = &config.jobs[0].sources[0].kind else {
        panic!()
    };
    assert_eq!(
        (postgres.server.host.as_deref(), postgres.server.port),
        (Some("postgres"), 5432)
    );
    assert_eq!(postgres.format, super::model::DumpFormat::Plain);
}

#[test]
fn the_servers_mean_what_they_say() {
    let config = example("vps-exports.yaml").config;
    assert_eq!(config.host, "vps-h1");
    assert!(config.repositories[0].append_only);
    let Format::Archive(archive) = &config.repositories[0].format else {
        panic!()
    };
    assert_eq!(archive.compression, ArchiveCompression::Zstd(19));
    let Encryption::Age(recipients) = &archive.encryption else {
        panic!()
    };
    assert_eq!(
        recipients[1],
        Recipient::File("/etc/mainstay/age-recipients.txt".into())
    );
    assert_eq!(config.jobs[0].drill.as_ref().unwrap().nouns.len(), 1);
    assert_eq!(
        config.metrics.textfile.as_deref(),
        Some(Path::new("/var/lib/node_exporter/mainstay.prom"))
    );
    let SourceKind::Sqlite(sqlite) = &config.jobs[0].sources[0].kind else {
        panic!()
    };
    assert_eq!(
        (sqlite.path.to_str(), sqlite.volume.as_deref()),
        (Some("database.sqlite"), Some("n8n_data"))
    );
    let config = example("vps-monitoring.yaml").config;
    assert_eq!(config.jobs[1].keep.as_ref().unwrap().policy.weekly, Count::UpTo(52));
    let config = example("homelab.yaml").config;
    assert_eq!(config.jobs[0].timezone.iana_name(), Some("Europe/Berlin"));
    assert_eq!(
        (
            &config.jobs[0].stop,
            config.jobs[0].schedule.as_ref().unwrap().to_string().as_str()
        ),
        (&Stop::Auto, "@daily")
    );
    assert_eq!(
        config.repository("nas").unwrap().place.to_string(),
        "rclone:truenas:backups/supabase"
    );
}

/// Whatever is done to a file, reading it ends, and ends either with a configuration or with problems that have places.
#[test]
fn damaged_examples_are_read_or_refused() {
    let surroundings = Surroundings {
        host: "host".to_owned(),
        timezone: None,
    };
    let alphabet: Vec<char> = "\n\n  ::--[]{}&*!|>'\"#,%@`~\\0a\t\u{feff}é\0".chars().collect();
    for name in all() {
        let original: Vec<char> = text(&name).chars().collect();
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut damaged = original.clone();
            for _ in 0..random.usize(1..6) {
                let at = random.usize(..damaged.len());
                match random.u8(..4) {
                    0 => drop(damaged.drain(at..(at + random.usize(..20)).min(damaged.len()))),
                    1 => damaged.insert(at, alphabet[random.usize(..alphabet.len())]),
                    2 => damaged[at] = alphabet[random.usize(..alphabet.len())],
                    _ => {
                        let from = random.usize(..damaged.len());
                        let piece: Vec<char> = damaged[from..(from + 15).min(damaged.len())].to_vec();
                        damaged.splice(at..at, piece);
                    }
                }
            }
            let damaged: String = damaged.into_iter().collect();
            let mut draft = from_texts(&[("/m.yaml".into(), damaged.clone())], &surroundings);
            draft.check_present(Present { run_commands: true }, &Everything);
            if let Err(problems) = draft.finish() {
                assert!(!problems.to_string().contains("is not understood"), "{damaged}");
                assert!(
                    problems.iter().all(|problem| problem.origin.place().is_some()),
                    "{problems}"
                );
            }
        }
    }
}
