//! A tree as YAML with the origin of each value, and as JSON.

use super::{Content, Node, Origin};
use serde_json::{Map, Number, Value};
use std::fmt::Write as _;

/// Where the comments begin, unless a line is longer.
const COLUMN: usize = 48;

/// As YAML; behind each value stands where it comes from.
pub fn yaml(node: &Node) -> String {
    let mut text = String::new();
    block(node, 0, &mut text);
    text
}

fn block(node: &Node, depth: usize, text: &mut String) {
    match &node.content {
        Content::Scalar { .. } => line(text, depth, &inline(node), &node.origin),
        Content::List(items) => items.iter().for_each(|item| in_list(item, depth, text)),
        Content::Map(entries) => {
            for entry in entries {
                let key = quoted(&entry.key);
                if is_inline(&entry.value) {
                    line(
                        text,
                        depth,
                        &format!("{key}: {}", inline(&entry.value)),
                        &entry.value.origin,
                    );
                } else {
                    line(text, depth, &format!("{key}:"), &entry.origin);
                    block(&entry.value, depth + 1, text);
                }
            }
        }
    }
}

fn in_list(item: &Node, depth: usize, text: &mut String) {
    if is_inline(item) {
        return line(text, depth, &format!("- {}", inline(item)), &item.origin);
    }
    // The block is written one level deeper; its first line gets the dash.
    let start = text.len();
    block(item, depth + 1, text);
    let dash = start + depth * 2;
    text.replace_range(dash..=dash, "-");
}

fn line(text: &mut String, depth: usize, content: &str, origin: &Origin) {
    let content = format!("{:indent$}{content}", "", indent = depth * 2);
    let _ = writeln!(text, "{content:COLUMN$}  # {origin}");
}

/// What fits on its key's line: single values, lists of them from one place, and what names a secret.
fn is_inline(node: &Node) -> bool {
    let single = |node: &Node| matches!(node.content, Content::Scalar { .. });
    match &node.content {
        Content::Scalar { .. } => true,
        Content::List(items) => items.iter().all(single),
        Content::Map(entries) => entries.len() <= 1 && entries.iter().all(|entry| is_inline(&entry.value)),
    }
}

fn inline(node: &Node) -> String {
    match &node.content {
        Content::Scalar { text, plain: true } if !text.is_empty() => text.clone(),
        Content::Scalar { text, .. } => quoted(text),
        Content::List(items) => format!("[{}]", items.iter().map(in_flow).collect::<Vec<_>>().join(", ")),
        Content::Map(entries) => {
            let pairs = entries
                .iter()
                .map(|entry| format!("{}: {}", quoted(&entry.key), in_flow(&entry.value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Inside of brackets more characters mean something.
fn in_flow(node: &Node) -> String {
    match &node.content {
        Content::Scalar { text, plain: true } if text.contains([',', '[', ']', '{', '}']) => {
            Value::from(text.as_str()).to_string()
        }
        _ => inline(node),
    }
}

/// A text as YAML takes it for the same text. JSON's quotes are YAML's as well.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-' | '@' | '*' | '+');
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '/' | '.'));
    let means_else = matches!(text, "true" | "false" | "null") || text.starts_with("---");
    if starts && !means_else && text.chars().all(plain) && number(text).is_none() {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

/// As JSON; values without quotes are numbers, booleans or null if they look like it.
pub fn json(node: &Node) -> Value {
    match &node.content {
        Content::Scalar { text, plain: true } => match text.as_str() {
            "" | "~" | "null" => Value::Null,
            "true" => true.into(),
            "false" => false.into(),
            text => number(text).map_or_else(|| text.into(), Value::Number),
        },
        Content::Scalar { text, .. } => text.as_str().into(),
        Content::List(items) => items.iter().map(json).collect(),
        Content::Map(entries) => {
            let pairs = entries.iter().map(|entry| (entry.key.clone(), json(&entry.value)));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
    }
}

fn number(text: &str) -> Option<Number> {
    let begins = text.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit());
    let whole = text.parse::<i64>().ok().map(Number::from);
    let fraction = || text.parse::<f64>().ok().and_then(Number::from_f64);
    whole.or_else(fraction).filter(|_| begins)
}

/// Where each single value comes from, by its path in the JSON: `jobs.nightly.keep.daily`.
pub fn origins(node: &Node) -> Value {
    fn collect(node: &Node, path: &str, found: &mut Map<String, Value>) {
        let below = |name: &str| {
            if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            }
        };
        match &node.content {
            Content::Scalar { .. } => {
                found.insert(path.to_owned(), node.origin.to_string().into());
            }
            Content::List(items) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(at, item)| collect(item, &below(&at.to_string()), found));
            }
            Content::Map(entries) => entries
                .iter()
                .for_each(|entry| collect(&entry.value, &below(&entry.key), found)),
        }
    }
    let mut found = Map::new();
    collect(node, "", &mut found);
    Value::Object(found)
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use crate::config::problem::Problems;
    use std::path::Path;

    fn read(text: &str) -> Node {
        let mut problems = Problems::default();
        let node = parse(&Path::new("f").into(), text, &mut problems).unwrap();
        assert!(problems.is_empty(), "{problems}");
        node
    }

    #[test]
    fn what_is_shown_means_the_same() {
        let node = read(
            "a: 5\nb: \"5\"\nc: [x, 'y, z', a b]\nd:\n  - e: {env: X}\n    on: [failure]\n  - f: &m\n      k: v\n      \"odd: key\": '# no comment'\n\
             g: *m\nh: '~'\ni: 'true'\nj: \"two\\nlines\"\nk: {}\nl: - 1\nm: 'é'\nn: ''\no: 0 2 * * *\np: [[a, [b]], {q: [c, {d: e}]}]\n"
                .replace("l: - 1", "l: -1")
                .as_str(),
        );
        let shown = yaml(&node);
        let again = read(&shown);
        assert!(node.says_the_same(&again), "{shown}");
        assert_eq!(json(&node), json(&again), "{shown}");
    }

    #[test]
    fn every_line_says_where_it_comes_from() {
        let shown = yaml(&read("a:\n  b: 1\n  c:\n    - d: x\n      e: [1, 2]\n"));
        let shown: Vec<String> = shown
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            shown,
            ["a: # f:1", "b: 1 # f:2", "c: # f:3", "- d: x # f:4", "e: [1, 2] # f:5"]
        );
        let origins = origins(&read("a:\n  b: [x,\n      y]\n"));
        assert_eq!(origins, serde_json::json!({"a.b.0": "f:2", "a.b.1": "f:3"}));
    }
}
