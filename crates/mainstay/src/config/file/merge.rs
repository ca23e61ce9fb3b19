//! Several files as one.

use crate::config::problem::Problems;
use crate::config::tree::{Content, Entry, Node};

/// Maps of names that each file may add to.
const ADDED_TO: [&str; 2] = ["repositories", "jobs"];

/// `into` with everything in it that `part` says. What both say is a problem that names both places; lists of notifications are
/// joined.
pub fn merge(into: &mut Node, part: Node, problems: &mut Problems) {
    let (Content::Map(entries), Content::Map(parts)) = (&mut into.content, part.content) else {
        return;
    };
    for part in parts {
        match entries.iter_mut().find(|entry| entry.key == part.key) {
            None => entries.push(part),
            Some(entry) => join(entry, part, problems),
        }
    }
}

fn join(entry: &mut Entry, part: Entry, problems: &mut Problems) {
    let first = entry.origin.clone();
    match (&mut entry.value.content, part.value.content) {
        (Content::List(items), Content::List(more)) => items.extend(more),
        (Content::Map(names), Content::Map(more)) if ADDED_TO.contains(&part.key.as_str()) => {
            for entry in more {
                match names.iter().find(|name| name.key == entry.key) {
                    None => names.push(entry),
                    Some(name) => twice(&entry, &name.origin.to_string(), problems),
                }
            }
        }
        (_, content) => {
            let value = Node {
                content,
                origin: part.value.origin,
            };
            twice(&Entry { value, ..part }, &first.to_string(), problems);
        }
    }
}

fn twice(entry: &Entry, first: &str, problems: &mut Problems) {
    let message = format!("`{}` is given twice, here and at {first}", entry.key);
    problems.add(&entry.origin, message, "Keep one of them, or rename one.");
}
