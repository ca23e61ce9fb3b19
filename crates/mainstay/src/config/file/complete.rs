//! From what was written to what holds: short forms written out, defaults filled in, each with its origin.

use super::Surroundings;
use crate::config::keys::{Choice, DEFAULTS, Key, Kind, ROOT, SECRET, Shape, Table};
use crate::config::model::Place;
use crate::config::tree::{self, Content, Entry, Node, Origin};
use storage::Location;

/// The whole configuration with everything in it that holds.
pub fn complete(mut root: Node, surroundings: &Surroundings) -> Node {
    let host = Node::scalar(&surroundings.host, &Origin::Default);
    add_missing(&mut root, "host", Some(host));
    inherit(&mut root, surroundings);
    table(root, &ROOT)
}

/// What `defaults` says holds for each job that does not say otherwise; and what can only be meant, is meant.
fn inherit(root: &mut Node, surroundings: &Surroundings) {
    let defaults = root.get("defaults").cloned();
    let repositories = root.get("repositories").map(Node::entries).unwrap_or_default();
    let only = match repositories {
        [only] => Some(Node::list(
            vec![Node::scalar(&only.key, &Origin::Default)],
            &Origin::Default,
        )),
        _ => None,
    };
    let zone = surroundings
        .timezone
        .as_deref()
        .map(|zone| Node::scalar(zone, &Origin::Default));
    let Content::Map(entries) = &mut root.content else {
        return;
    };
    let Some(jobs) = entries.iter_mut().find(|entry| entry.key == "jobs") else {
        return;
    };
    let Content::Map(jobs) = &mut jobs.value.content else {
        return;
    };
    for job in jobs {
        for key in DEFAULTS.keys {
            let value = defaults.as_ref().and_then(|defaults| defaults.get(key.name));
            add_missing(&mut job.value, key.name, value.cloned());
        }
        add_missing(&mut job.value, "timezone", zone.clone());
        if job.value.get("sources").is_some_and(super::stores_something) {
            add_missing(&mut job.value, "to", only.clone());
        }
    }
}

fn add_missing(node: &mut Node, key: &str, value: Option<Node>) {
    if let (Content::Map(entries), Some(value)) = (&mut node.content, value)
        && !entries.iter().any(|entry| entry.key == key)
    {
        entries.push(Entry::new(key, value));
    }
}

fn shaped(mut node: Node, shape: &Shape) -> Node {
    if node.is_null() {
        return node;
    }
    match shape {
        Shape::One(kind) => absolute(&mut node, *kind),
        Shape::Secret => return choice(node, &SECRET),
        Shape::MaybeSecret(_) if node.text().is_none() => return choice(node, &SECRET),
        Shape::MaybeSecret(_) => {}
        Shape::List(item) => each(&mut node, item),
        Shape::OneOrMore(item) => {
            node = in_list(node);
            each(&mut node, item);
        }
        Shape::Map(value) => {
            if let Content::Map(entries) = &mut node.content {
                entries
                    .iter_mut()
                    .for_each(|entry| replace(&mut entry.value, |node| shaped(node, value)));
            }
        }
        Shape::Keys(keys) => return table(node, keys),
        Shape::Short(keys, key) => return table(written_out(node, key), keys),
        Shape::OneOf(of) => return choice(node, of),
        Shape::Either(_, other) if node.text().is_none() => return shaped(node, other),
        Shape::Either(..) => {}
    }
    node
}

/// Paths as they are from everywhere, so that what is shown means the same elsewhere.
fn absolute(node: &mut Node, kind: Kind) {
    let Content::Scalar { text, plain } = &mut node.content else {
        return;
    };
    let path = match kind {
        Kind::Path | Kind::ReadableFile => Some(node.origin.resolve(text)),
        Kind::Address => match Place::parse(text, &node.origin) {
            Ok(Place(Location::Local(path))) => Some(path),
            Ok(_) | Err(_) => None,
        },
        _ => None,
    };
    if let Some(path) = path.filter(|path| path.as_os_str() != text.as_str()) {
        *text = path.display().to_string();
        *plain = false;
    }
}

fn each(node: &mut Node, item: &Shape) {
    if let Content::List(items) = &mut node.content {
        items
            .iter_mut()
            .for_each(|node| replace(node, |node| shaped(node, item)));
    }
}

fn replace(place: &mut Node, change: impl FnOnce(Node) -> Node) {
    let node = std::mem::replace(place, Node::scalar("", &Origin::Default));
    *place = change(node);
}

fn in_list(node: Node) -> Node {
    match node.content {
        Content::List(_) => node,
        Content::Map(_) | Content::Scalar { .. } => {
            let origin = node.origin.clone();
            Node::list(vec![node], &origin)
        }
    }
}

fn written_out(node: Node, key: &str) -> Node {
    match node.content {
        Content::Map(_) => node,
        Content::List(_) | Content::Scalar { .. } => {
            let origin = node.origin.clone();
            Node::map([(key, node)], &origin)
        }
    }
}

/// The keys in the order of the table, which is that of their importance.
fn table(node: Node, table: &Table) -> Node {
    keys(node, table.keys.iter())
}

fn choice(node: Node, choice: &'static Choice) -> Node {
    let chosen = node.entries().iter().find_map(|entry| choice.variant(&entry.key));
    match chosen {
        Some(variant) => keys(node, std::iter::once(&variant.key).chain(variant.beside)),
        None => node,
    }
}

fn keys<'a>(mut node: Node, keys: impl Iterator<Item = &'a Key>) -> Node {
    let Content::Map(written) = &mut node.content else {
        return node;
    };
    let mut written = std::mem::take(written);
    let mut complete = Vec::new();
    for key in keys {
        if let Some(at) = written.iter().position(|entry| entry.key == key.name) {
            let Entry {
                key: name,
                origin,
                value,
            } = written.swap_remove(at);
            let value = shaped(value, &key.shape);
            complete.push(Entry {
                key: name,
                origin,
                value,
            });
        } else if let Some(value) = key.default.and_then(tree::default) {
            complete.push(Entry::new(key.name, shaped(value, &key.shape)));
        }
    }
    // What is unknown was reported, and is not to look as if nothing had been written.
    complete.append(&mut written);
    node.content = Content::Map(complete);
    node
}
