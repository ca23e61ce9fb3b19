//! Whether what was written fits the tables: keys are known, values are of their kind, what is needed is there.
//!
//! It reports everything that can be seen without knowing what the values mean together; `model` reports the rest.

use super::nearest;
use crate::config::keys::{Choice, Key, Kind, SECRET, Shape, Table, Variant, one_of};
use crate::config::problem::{Problem, Problems};
use crate::config::tree::{Content, Entry, Node};

/// Check `node`, the value of the key `name`.
pub fn value(node: &Node, shape: &Shape, name: &str, problems: &mut Problems) {
    if node.is_null() {
        let hint = format!("Write {}, or remove `{name}`.", expected(shape));
        problems.add(&node.origin, format!("`{name}` has no value"), hint);
        return;
    }
    match shape {
        Shape::One(kind) => one(node, *kind, name, problems),
        Shape::List(item) => list(node, item, name, problems),
        Shape::OneOrMore(item) if matches!(node.content, Content::List(_)) => list(node, item, name, problems),
        Shape::OneOrMore(item) => value(node, item, name, problems),
        Shape::Map(inner) => map(node, inner, name, problems),
        Shape::Keys(keys) => table(node, keys, name, problems),
        Shape::Short(keys, _) if matches!(node.content, Content::Map(_)) => table(node, keys, name, problems),
        Shape::Short(keys, key) => {
            if let Some(key) = keys.key(key) {
                value(node, &key.shape, name, problems);
            }
        }
        Shape::OneOf(of) => choice(node, of, name, problems),
        Shape::Either(kind, _) if node.text().is_some() => one(node, *kind, name, problems),
        Shape::Either(_, other) => value(node, other, name, problems),
        Shape::Secret => secret(node, name, problems),
        Shape::MaybeSecret(kind) if node.text().is_some() => one(node, *kind, name, problems),
        Shape::MaybeSecret(_) => secret(node, name, problems),
    }
}

/// What may stand there, for hints.
fn expected(shape: &Shape) -> String {
    match shape {
        Shape::One(kind) => kind.expected(),
        Shape::List(_) => "a list, each item on a line that begins with `- `, or `[a, b]`".to_owned(),
        Shape::OneOrMore(item) | Shape::Either(_, item @ Shape::One(_)) => expected(item),
        Shape::Map(_) => "names with values, each on a line `name: value`".to_owned(),
        Shape::Keys(table) => format!("the keys of {}", table.of),
        Shape::Short(table, key) => format!("the {key}, or the keys of {}", table.of),
        Shape::OneOf(choice) => one_of(&choice.names()),
        Shape::Either(kind, other) => format!("{}, or {}", kind.expected(), expected(other)),
        Shape::Secret => WAYS.to_owned(),
        Shape::MaybeSecret(kind) => format!("{}, or where it is: {WAYS}", kind.expected()),
    }
}

const WAYS: &str =
    "`{env: NAME}`, `{file: PATH}`, `{command: [PROGRAM, ARGUMENT]}`, `{credential: NAME}` or `{secret: NAME}`";

fn what(node: &Node) -> &'static str {
    match &node.content {
        Content::Scalar { .. } => "a single value",
        Content::List(_) => "a list",
        Content::Map(_) => "a map",
    }
}

fn wrong_type(node: &Node, shape: &Shape, name: &str, problems: &mut Problems) {
    let message = format!("`{name}` is {}", what(node));
    problems.add(&node.origin, message, format!("Write {}.", expected(shape)));
}

fn one(node: &Node, kind: Kind, name: &str, problems: &mut Problems) {
    let Content::Scalar { text, plain } = &node.content else {
        return wrong_type(node, &Shape::One(kind), name, problems);
    };
    let add = |message: String, hint: String, problems: &mut Problems| {
        problems.push(Problem {
            origin: node.origin.clone(),
            value: Some(text.clone()),
            message,
            hint,
        });
    };
    let written = matches!(kind, Kind::Url | Kind::Address) || kind.is_path();
    if text.is_empty() {
        add(
            format!("`{name}` is empty"),
            format!("Write {}.", expected(&Shape::One(kind))),
            problems,
        );
    } else if written && text.contains("${") {
        let hint = "Write the value itself: only secrets are taken from the environment, as `{env: NAME}`.";
        add(
            format!("`{name}` is `{text}`, in which variables are not replaced"),
            hint.to_owned(),
            problems,
        );
    } else if kind.is_path() && text.starts_with('~') {
        let hint = "Write the whole path: the daemon's home is not yours.".to_owned();
        add(
            format!("`{name}` is `{text}`, in which `~` is not replaced"),
            hint,
            problems,
        );
    } else if *plain && matches!(text.as_str(), "true" | "false") && matches!(kind, Kind::Text | Kind::Name) {
        let hint = format!("Write \"{text}\" in quotes if you mean the word.");
        add(format!("`{name}` is `{text}`, which is no text"), hint, problems);
    } else if !kind.accepts(text) {
        add(
            format!("`{name}` is `{text}`, which is not {}", kind.expected()),
            hint_for(text, kind),
            problems,
        );
    }
}

fn hint_for(text: &str, kind: Kind) -> String {
    match kind {
        Kind::Word(words) => nearest::hint(text, words),
        Kind::Cron => crate::config::model::Schedule::parse(text)
            .err()
            .map_or_else(String::new, |why| {
                format!("{why}; the fields are minute, hour, day, month and weekday.")
            }),
        Kind::Flag if matches!(text, "yes" | "on") => "Write `true`.".to_owned(),
        Kind::Flag if matches!(text, "no" | "off") => "Write `false`.".to_owned(),
        _ => format!("Write {}.", kind.expected()),
    }
}

fn list(node: &Node, item: &'static Shape, name: &str, problems: &mut Problems) {
    let Content::List(items) = &node.content else {
        return wrong_type(node, &Shape::List(item), name, problems);
    };
    if items.is_empty() {
        let hint = format!("Name at least one, or remove `{name}`.");
        problems.add(&node.origin, format!("`{name}` is empty"), hint);
    }
    for node in items {
        value(node, item, name, problems);
    }
}

fn map(node: &Node, inner: &'static Shape, name: &str, problems: &mut Problems) {
    let Content::Map(entries) = &node.content else {
        return wrong_type(node, &Shape::Map(inner), name, problems);
    };
    if entries.is_empty() {
        let hint = format!("Name at least one, or remove `{name}`.");
        problems.add(&node.origin, format!("`{name}` is empty"), hint);
    }
    for entry in entries {
        value(&entry.value, inner, &entry.key, problems);
    }
}

fn table(node: &Node, table: &'static Table, name: &str, problems: &mut Problems) {
    let Content::Map(entries) = &node.content else {
        return wrong_type(node, &Shape::Keys(table), name, problems);
    };
    let known: Vec<&str> = table.keys.iter().map(|key| key.name).collect();
    for entry in entries {
        match table.key(&entry.key) {
            Some(key) => value(&entry.value, &key.shape, key.name, problems),
            None => unknown(entry, table.of, nearest::hint(&entry.key, &known), problems),
        }
    }
    for key in table
        .keys
        .iter()
        .filter(|key| key.required && node.get(key.name).is_none())
    {
        missing(node, key, name, problems);
    }
}

fn missing(node: &Node, key: &Key, name: &str, problems: &mut Problems) {
    let hint = format!("Add `{}`: {}", key.name, lower(key.purpose));
    problems.add(&node.origin, format!("`{name}` has no `{}`", key.name), hint);
}

fn lower(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters
        .next()
        .map(|first| first.to_lowercase().to_string())
        .unwrap_or_default();
    if letters.as_str().starts_with(|next: char| next.is_uppercase()) {
        sentence.to_owned()
    } else {
        format!("{first}{}", letters.as_str())
    }
}

fn unknown(entry: &Entry, of: &str, hint: String, problems: &mut Problems) {
    problems.push(Problem {
        origin: entry.origin.clone(),
        value: Some(entry.key.clone()),
        message: format!("`{}` is no key of {of}", entry.key),
        hint,
    });
}

fn secret(node: &Node, name: &str, problems: &mut Problems) {
    if node.text().is_some() {
        let hint = format!("Write where it is instead: {WAYS}.");
        problems.add(&node.origin, format!("`{name}` holds the secret itself"), hint);
        return;
    }
    choice(node, &SECRET, name, problems);
}

fn choice(node: &Node, choice: &'static Choice, name: &str, problems: &mut Problems) {
    let names = choice.names();
    let Content::Map(entries) = &node.content else {
        return wrong_type(node, &Shape::OneOf(choice), name, problems);
    };
    let chosen: Vec<(&Entry, &Variant)> = entries
        .iter()
        .filter_map(|entry| Some((entry, choice.variant(&entry.key)?)))
        .collect();
    match chosen.as_slice() {
        [] => match entries.first() {
            None => problems.add(
                &node.origin,
                format!("`{name}` is empty"),
                format!("Write {}.", one_of(&names)),
            ),
            Some(entry) => unknown(entry, choice.of, nearest::hint(&entry.key, &names), problems),
        },
        [(entry, variant)] => {
            value(&entry.value, &variant.key.shape, variant.key.name, problems);
            beside(entries, variant, choice, problems);
        }
        [(_, first), (second, _), ..] => {
            let message = format!("`{}` and `{}` are given for one `{name}`", first.key.name, second.key);
            let hint = "Keep one of them; in a list, begin each with `- `.";
            problems.add(&second.origin, message, hint);
        }
    }
}

/// The keys beside that of a variant.
fn beside(entries: &[Entry], variant: &'static Variant, choice: &Choice, problems: &mut Problems) {
    for entry in entries.iter().filter(|entry| entry.key != variant.key.name) {
        if let Some(key) = variant.beside.iter().find(|key| key.name == entry.key) {
            value(&entry.value, &key.shape, key.name, problems);
            continue;
        }
        let belongs = match &variant.key.shape {
            Shape::Keys(table) | Shape::Short(table, _) => table.key(&entry.key).is_some(),
            _ => false,
        };
        let hint = if belongs {
            format!("Indent it further, so that it belongs to `{}`.", variant.key.name)
        } else {
            let known: Vec<&str> = variant.beside.iter().map(|key| key.name).collect();
            nearest::hint(&entry.key, &known)
        };
        unknown(entry, choice.of, hint, problems);
    }
}
