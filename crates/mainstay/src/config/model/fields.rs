//! Reading values out of a tree that was checked: what is not there, or is wrong, is not there.

use crate::config::keys::{Kind, one_of};
use crate::config::problem::Problems;
use crate::config::secret::SecretSource;
use crate::config::tree::{Content, Entry, Node};
use std::path::PathBuf;
use std::str::FromStr;

/// The values of a map.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    /// The map.
    pub node: &'a Node,
}

impl<'a> Fields<'a> {
    pub fn new(node: &'a Node) -> Self {
        Self { node }
    }

    pub fn get(&self, key: &str) -> Option<&'a Node> {
        self.node.get(key)
    }

    pub fn table(&self, key: &str) -> Option<Self> {
        self.get(key).map(Self::new)
    }

    pub fn items(&self, key: &str) -> &'a [Node] {
        self.get(key).map(Node::items).unwrap_or_default()
    }

    pub fn text(&self, key: &str) -> Option<String> {
        self.get(key)?.text().map(str::to_owned)
    }

    pub fn texts(&self, key: &str) -> Vec<String> {
        self.items(key)
            .iter()
            .filter_map(|node| node.text().map(str::to_owned))
            .collect()
    }

    pub fn path(&self, key: &str) -> Option<PathBuf> {
        path(self.get(key)?)
    }

    pub fn flag(&self, key: &str) -> Option<bool> {
        self.parsed(key)
    }

    pub fn parsed<T: FromStr>(&self, key: &str) -> Option<T> {
        self.get(key)?.text()?.parse().ok()
    }

    pub fn with<T, E>(&self, key: &str, parse: impl Fn(&str) -> Result<T, E>) -> Option<T> {
        parse(self.get(key)?.text()?).ok()
    }

    pub fn secret(&self, key: &str) -> Option<SecretSource> {
        SecretSource::from_node(self.get(key)?)
    }

    /// Names with texts.
    pub fn pairs(&self, key: &str) -> Vec<(String, String)> {
        let entries = self.get(key).map(Node::entries).unwrap_or_default();
        entries
            .iter()
            .filter_map(|entry| Some((entry.key.clone(), entry.value.text()?.to_owned())))
            .collect()
    }
}

pub fn path(node: &Node) -> Option<PathBuf> {
    node.text().map(|text| node.origin.resolve(text))
}

/// Report that of several keys not exactly one is there.
pub fn exactly_one(fields: Fields<'_>, keys: &[&str], of: &str, problems: &mut Problems) {
    let given: Vec<&Entry> = fields
        .node
        .entries()
        .iter()
        .filter(|entry| keys.contains(&entry.key.as_str()))
        .collect();
    match given.as_slice() {
        [] => problems.add(
            &fields.node.origin,
            format!("{of} has neither {}", neither(keys)),
            format!("Add {}.", one_of(keys)),
        ),
        [_] => {}
        [first, second, ..] => {
            let message = format!("{of} has both `{}` and `{}`", first.key, second.key);
            problems.add(&second.origin, message, "Keep one of them.");
        }
    }
}

fn neither(keys: &[&str]) -> String {
    keys.iter()
        .map(|key| format!("`{key}`"))
        .collect::<Vec<_>>()
        .join(" nor ")
}

/// Report a name that is none: names become parts of paths and tags.
pub fn check_name(entry: &Entry, problems: &mut Problems) {
    if !Kind::Name.accepts(&entry.key) {
        let message = format!("`{}` is no name", entry.key);
        problems.add(&entry.origin, message, format!("Use {}.", Kind::Name.expected()));
    }
}

/// Report items of a list that say the same as one before them.
pub fn no_item_twice(items: &[Node], what: &str, problems: &mut Problems) {
    for (at, item) in items.iter().enumerate() {
        if let Some(first) = items[..at].iter().find(|before| before.says_the_same(item)) {
            let text = match &item.content {
                Content::Scalar { text, .. } => format!("`{text}`"),
                Content::List(_) | Content::Map(_) => format!("this {what}"),
            };
            let message = format!("{text} is given twice, here and at {}", first.origin);
            problems.add(&item.origin, message, "Keep one of them.");
        }
    }
}
