//! `mainstay config init`.

use crate::cli::Context;
use crate::config::Misuse;
use crate::config::model::Schedule;
use crate::exit::Exit;
use crate::interrupt::EndAtOnce;
use inquire::validator::Validation;
use inquire::{InquireError, Text};
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "Examples:
  mainstay config init
  mainstay config init /etc/mainstay/mainstay.yaml
  mainstay config init --defaults

The file is readable by you alone, and holds no secret, only where the password is. One that exists is never replaced.";

const TEMPLATE: &str = include_str!("template.yaml");

/// Options of `config init`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where to write it
    #[arg(value_name = "FILE", default_value = "mainstay.yaml")]
    file: PathBuf,
    /// Ask nothing, as without a terminal
    #[arg(long)]
    defaults: bool,
}

/// What is asked.
struct Answers {
    sources: Vec<String>,
    url: String,
    password_file: String,
    schedule: String,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            sources: vec!["/etc".to_owned(), "/home".to_owned()],
            url: "/srv/backup/mainstay".to_owned(),
            password_file: "./password".to_owned(),
            schedule: "0 2 * * *".to_owned(),
        }
    }
}

/// Write a commented file.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    refuse_existing(&args.file)?;
    let ask = !args.defaults && io::stdin().is_terminal() && io::stderr().is_terminal();
    let answers = if ask { questions(context)? } else { Answers::default() };
    write_new(&args.file, &filled(&answers))?;
    let file = args.file.display();
    let text = format!(
        "wrote `{file}`\n\
         Next: look through it, put a password into the file that it names (and keep a copy of the password in another \
         place), and run `mainstay --config {file} config check`."
    );
    context
        .output()
        .done(&json!({"message_type": "config_written", "file": args.file}), text)?;
    Ok(Exit::Done)
}

fn refuse_existing(file: &Path) -> Result<(), Misuse> {
    if file.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(exists(file))
}

fn exists(file: &Path) -> Misuse {
    let hint = "Edit it, or write to another file: `mainstay config init FILE`.";
    Misuse::new(format!("`{}` exists already", file.display()), hint)
}

fn questions(context: &Context) -> anyhow::Result<Answers> {
    let _end_at_once = EndAtOnce::on(context.cancel())?;
    let defaults = Answers::default();
    let paths = defaults.sources.join(" ");
    let sources = Text::new("What is backed up? Paths, separated by spaces:")
        .with_default(&paths)
        .with_validator(|text: &str| {
            Ok(valid(
                words(text).is_some(),
                "Name at least one path; close every quote.",
            ))
        });
    let url = Text::new("Where to? A directory, or s3://BUCKET/PREFIX:").with_default(&defaults.url);
    let password = Text::new("Which file holds the password of the repository?").with_default(&defaults.password_file);
    let schedule = Text::new("When? Minute, hour, day, month, weekday; or @daily:")
        .with_default(&defaults.schedule)
        .with_validator(|text: &str| {
            Ok(valid(
                Schedule::parse(text).is_ok(),
                "Write for example `0 2 * * *` or `@daily`.",
            ))
        });
    Ok(Answers {
        sources: words(&answer(sources)?).unwrap_or(defaults.sources),
        url: answer(url)?,
        password_file: answer(password)?,
        schedule: answer(schedule)?,
    })
}

fn words(text: &str) -> Option<Vec<String>> {
    shlex::split(text).filter(|words| !words.is_empty())
}

fn valid(is_valid: bool, message: &str) -> Validation {
    if is_valid {
        Validation::Valid
    } else {
        Validation::Invalid(message.into())
    }
}

fn answer(question: Text<'_, '_>) -> anyhow::Result<String> {
    match question.prompt() {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(InquireError::OperationCanceled | InquireError::OperationInterrupted) => {
            Err(repository::Error::Interrupted.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// The template with the answers in it. Text in JSON's quotes is YAML's, too, whatever is in it.
fn filled(answers: &Answers) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let sources: Vec<String> = answers.sources.iter().map(|path| quoted(path)).collect();
    let values = [
        ("SOURCES", sources.join("\n      - files: ")),
        ("PASSWORD_FILE", quoted(&answers.password_file)),
        ("SCHEDULE", quoted(&answers.schedule)),
        ("URL", quoted(&answers.url)),
    ];
    // From left to right, so that nothing in an answer is taken for a place to fill in.
    let mut text = String::new();
    let mut rest = TEMPLATE;
    let next = |rest: &str| {
        values
            .iter()
            .filter_map(|value| Some((rest.find(value.0)?, value)))
            .min_by_key(|found| found.0)
    };
    while let Some((at, (place, value))) = next(rest) {
        text.push_str(&rest[..at]);
        text.push_str(value);
        rest = &rest[at + place.len()..];
    }
    text + rest
}

/// Written whole or not at all, for the owner alone, and never over a file that appeared meanwhile.
fn write_new(file: &Path, text: &str) -> Result<(), Misuse> {
    let failed = |error: io::Error| {
        let hint = "Check that its directory exists and can be written to.";
        Misuse::new(format!("cannot write `{}`", file.display()), hint).because(error)
    };
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let mut new = match opened {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists(file)),
        opened => opened.map_err(failed)?,
    };
    new.write_all(text.as_bytes())
        .and_then(|()| new.sync_all())
        .map_err(|error| {
            // What was begun is of no use, and would be in the way.
            let _: Option<()> = fs::remove_file(file).ok();
            failed(error)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::{Surroundings, from_texts};
    use crate::config::model::SourceKind;

    fn configured(answers: &Answers) -> crate::config::file::Loaded {
        let surroundings = Surroundings {
            host: "host".to_owned(),
            timezone: None,
        };
        from_texts(
            &[("/etc/mainstay/mainstay.yaml".into(), filled(answers))],
            &surroundings,
        )
        .finish()
        .unwrap()
    }

    #[test]
    fn the_template_is_a_valid_configuration() {
        let loaded = configured(&Answers::default());
        assert_eq!(loaded.config.jobs[0].sources.len(), 2);
        assert_eq!(loaded.config.repositories[0].place.to_string(), "/srv/backup/mainstay");
    }

    #[test]
    fn answers_stay_what_they_are_whatever_is_in_them() {
        let loaded = configured(&Answers {
            sources: words("/srv/data '/srv/it: \"odd\" # URL {x}'").unwrap(),
            url: "s3://bucket/a b".to_owned(),
            password_file: "/root/pass: word".to_owned(),
            schedule: "@daily".to_owned(),
        });
        let paths: Vec<String> = loaded.config.jobs[0]
            .sources
            .iter()
            .map(|source| match &source.kind {
                SourceKind::Files(files) => files.paths[0].display().to_string(),
                other => other.name().to_owned(),
            })
            .collect();
        assert_eq!(paths, ["/srv/data", "/srv/it: \"odd\" # URL {x}"]);
        assert_eq!(loaded.config.jobs[0].schedule.as_ref().unwrap().to_string(), "@daily");
    }

    #[test]
    fn what_is_commented_out_is_valid_when_it_is_not() {
        let text = filled(&Answers::default());
        let uncommented = |line: &str| match line.strip_prefix('#') {
            // Comments that are text have a space behind the sign, or stand behind a value.
            Some(rest) if !rest.starts_with(' ') || rest.starts_with("  ") => rest.to_owned(),
            _ => line.to_owned(),
        };
        let active: Vec<String> = text.lines().skip(4).map(uncommented).collect();
        let active = active.join("\n");
        assert!(active.contains("\nnotify:"));
        let surroundings = Surroundings {
            host: "host".to_owned(),
            timezone: None,
        };
        from_texts(&[("/etc/mainstay/mainstay.yaml".into(), active)], &surroundings)
            .finish()
            .unwrap();
    }
}
