//! The common case without a file: one job, one repository, all from variables.

use crate::config::Misuse;
use crate::config::env::{self, Environment, Variable};
use crate::config::tree::{Node, Origin};

/// Name of the job and of its repository.
const NAME: &str = "default";

/// The variables that only this reads; beside a file they would be ignored, which nobody wants.
pub const ONLY_HERE: [Variable; 6] = [
    env::SOURCES,
    env::SCHEDULE,
    env::TIMEZONE,
    env::KEEP,
    env::EXCLUDE,
    env::HOST,
];

/// What the variables say, as if it stood in a file; nothing if `MAINSTAY_SOURCES` is not set.
///
/// # Errors
/// [`Misuse`] if a variable cannot be read as what it is for.
pub fn tree(environment: &Environment) -> Result<Option<Node>, Misuse> {
    let Some(sources) = environment.text(env::SOURCES)? else {
        return Ok(None);
    };
    let origin = Origin::Variable(env::SOURCES.name);
    let files = Node::map([("files", list(&sources, ':', &origin))], &origin);
    let mut job = vec![("sources", Node::list(vec![files], &origin))];
    for (key, variable) in [("schedule", env::SCHEDULE), ("timezone", env::TIMEZONE)] {
        job.extend(scalar(environment, variable)?.map(|value| (key, value)));
    }
    if let Some(patterns) = environment.text(env::EXCLUDE)? {
        job.push(("exclude", list(&patterns, ':', &Origin::Variable(env::EXCLUDE.name))));
    }
    if let Some(rules) = environment.text(env::KEEP)? {
        job.push(("keep", keep(&rules)?));
    }
    let jobs = Node::map([(NAME, Node::map(job, &origin))], &origin);
    let mut root = vec![("repositories", repositories(environment)?), ("jobs", jobs)];
    root.extend(scalar(environment, env::HOST)?.map(|host| ("host", host)));
    Ok(Some(Node::map(root, &origin)))
}

fn scalar(environment: &Environment, variable: Variable) -> Result<Option<Node>, Misuse> {
    let origin = Origin::Variable(variable.name);
    Ok(environment.text(variable)?.map(|text| Node::scalar(text, &origin)))
}

fn list(text: &str, separator: char, origin: &Origin) -> Node {
    let items = text.split(separator).map(str::trim).filter(|item| !item.is_empty());
    Node::list(items.map(|item| Node::scalar(item, origin)).collect(), origin)
}

fn repositories(environment: &Environment) -> Result<Node, Misuse> {
    let origin = Origin::Variable(env::REPOSITORY.name);
    let file = environment.path(env::REPOSITORY_FILE).is_some();
    let url = match scalar(environment, env::REPOSITORY)? {
        Some(url) => url,
        None if file => {
            let message = format!(
                "`{}` is not used together with `{}`",
                env::REPOSITORY_FILE.name,
                env::SOURCES.name
            );
            return Err(Misuse::new(message, format!("Set `{}` instead.", env::REPOSITORY.name)));
        }
        None => {
            let message = format!("`{}` is set, but not where to store it", env::SOURCES.name);
            return Err(Misuse::new(message, format!("Set `{}` as well.", env::REPOSITORY.name)));
        }
    };
    let password = password(environment)?;
    let repository = [Some(("url", url)), password.map(|password| ("password", password))];
    Ok(Node::map(
        [(NAME, Node::map(repository.into_iter().flatten(), &origin))],
        &origin,
    ))
}

/// Where the password is; given twice, both ways are there, which the check refuses.
fn password(environment: &Environment) -> Result<Option<Node>, Misuse> {
    let mut ways = Vec::new();
    if environment.raw(env::PASSWORD).is_some() {
        let origin = Origin::Variable(env::PASSWORD.name);
        ways.push(("env", Node::scalar(env::PASSWORD.name, &origin)));
    }
    ways.extend(scalar(environment, env::PASSWORD_FILE)?.map(|file| ("file", file)));
    if let Some(command) = environment.text(env::PASSWORD_COMMAND)? {
        ways.push(("command", words(&command)?));
    }
    let Some((_, first)) = ways.first() else {
        return Ok(None);
    };
    let origin = first.origin.clone();
    Ok(Some(Node::map(ways, &origin)))
}

fn words(command: &str) -> Result<Node, Misuse> {
    let name = env::PASSWORD_COMMAND.name;
    let origin = Origin::Variable(name);
    let words = shlex::split(command).filter(|words| !words.is_empty()).ok_or_else(|| {
        Misuse::new(
            format!("`{name}` is no command line"),
            "Check the quotes, or put the command into a script.",
        )
    })?;
    Ok(Node::list(
        words.into_iter().map(|word| Node::scalar(word, &origin)).collect(),
        &origin,
    ))
}

/// `daily=7,weekly=4`
fn keep(rules: &str) -> Result<Node, Misuse> {
    let origin = Origin::Variable(env::KEEP.name);
    let mut pairs: Vec<(&str, Node)> = Vec::new();
    for rule in rules.split(',').map(str::trim).filter(|rule| !rule.is_empty()) {
        let (name, value) = rule.split_once('=').ok_or_else(|| {
            let message = format!("`{rule}` in `{}` is no rule", env::KEEP.name);
            Misuse::new(message, "Write rules like this: `daily=7,weekly=4`.")
        })?;
        if pairs.iter().any(|(known, _)| *known == name) {
            let message = format!("`{name}` is given twice in `{}`", env::KEEP.name);
            return Err(Misuse::new(message, "Keep one of them."));
        }
        pairs.push((name.trim(), Node::number(value.trim(), &origin)));
    }
    Ok(Node::map(pairs, &origin))
}
