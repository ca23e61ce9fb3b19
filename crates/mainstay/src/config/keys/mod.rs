//! Every key of the configuration file: its name, what it is for, what may stand there, and what holds without it.
//!
//! These tables are the one source of truth: the check of what was written, the defaults, the JSON schema for editors and
//! the tables of the guide all come from them.

mod application;
mod database;
#[cfg(test)]
mod guide_test;
mod job;
mod kind;
mod notify;
mod repository;
pub mod schema;
mod source;

pub use job::{DEFAULTS, JOB, KEEP};
pub use kind::{Kind, one_of};
pub use notify::NOTIFIER;
pub use repository::{ONLY_FOR, REPOSITORY};
pub use source::SOURCE;

use application::{DOCKER, GRAFANA, HETZNER_SERVER, HTTP, N8N};
use database::{MONGODB, MYSQL, POSTGRES, REDIS};

/// What may stand at a place.
#[derive(Debug)]
pub enum Shape {
    /// One value.
    One(Kind),
    /// A list that is not empty.
    List(&'static Shape),
    /// The same; a single item needs no brackets.
    OneOrMore(&'static Shape),
    /// Names of the user's choice with values.
    Map(&'static Shape),
    /// These keys.
    Keys(&'static Table),
    /// These keys, or only the value of the one named.
    Short(&'static Table, &'static str),
    /// Exactly one of these, with the keys that belong beside it.
    OneOf(&'static Choice),
    /// A word or another single value, or else a list or a map.
    Either(Kind, &'static Shape),
    /// Where a secret is.
    Secret,
    /// Where a secret is, or the value itself where it need not be one.
    MaybeSecret(Kind),
}

/// Keys that belong together.
#[derive(Debug)]
pub struct Table {
    /// Of what, for messages: `a repository`.
    pub of: &'static str,
    /// The keys.
    pub keys: &'static [Key],
}

/// A key.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it is for, in one sentence.
    pub purpose: &'static str,
    /// What may stand there.
    pub shape: Shape,
    /// What holds without it, in YAML.
    pub default: Option<&'static str>,
    /// Whether it has to be there.
    pub required: bool,
}

/// Keys of which exactly one is there.
#[derive(Debug)]
pub struct Choice {
    /// Of what, for messages: `a source`.
    pub of: &'static str,
    /// What is to choose from.
    pub variants: &'static [Variant],
}

/// One key of a [`Choice`].
#[derive(Debug)]
pub struct Variant {
    /// The key and what stands there.
    pub key: Key,
    /// Keys that may stand beside it.
    pub beside: &'static [Key],
}

impl Key {
    /// One that may be left out.
    pub const fn new(name: &'static str, purpose: &'static str, shape: Shape) -> Self {
        Self {
            name,
            purpose,
            shape,
            default: None,
            required: false,
        }
    }

    /// One that may not.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// One for which this holds where it is left out.
    #[must_use]
    pub const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }
}

impl Variant {
    /// One that stands alone.
    pub const fn new(name: &'static str, purpose: &'static str, shape: Shape) -> Self {
        Self {
            key: Key::new(name, purpose, shape),
            beside: &[],
        }
    }

    /// The same with keys beside it.
    #[must_use]
    pub const fn beside(mut self, keys: &'static [Key]) -> Self {
        self.beside = keys;
        self
    }
}

impl Table {
    /// The key of that name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl Choice {
    /// The variant of that name.
    pub fn variant(&self, name: &str) -> Option<&'static Variant> {
        self.variants.iter().find(|variant| variant.key.name == name)
    }

    /// The names to choose from.
    pub fn names(&self) -> Vec<&'static str> {
        self.variants.iter().map(|variant| variant.key.name).collect()
    }
}

/// Ways to say where a secret is.
pub static SECRET: Choice = Choice {
    of: "a secret",
    variants: &[
        Variant::new("env", "Variable of the environment that holds it.", TEXT),
        Variant::new(
            "file",
            "File that holds it; a newline at its end is no part of it.",
            PATH,
        ),
        Variant::new(
            "command",
            "Program that prints it, with its arguments; no shell is involved.",
            Shape::List(&TEXT),
        ),
        Variant::new("credential", "Name of a systemd credential (`LoadCredential=`).", NAME),
        Variant::new("secret", "Name of a Docker secret (`/run/secrets/NAME`).", NAME),
    ],
};

/// The whole file.
pub static ROOT: Table = Table {
    of: "the configuration",
    keys: &[
        Key::new("host", "Name of this host in snapshots and archives.", NAME),
        Key::new(
            "repositories",
            "Places to store in, by name.",
            Shape::Map(&Shape::Keys(&REPOSITORY)),
        )
        .required(),
        Key::new("jobs", "What is backed up, by name.", Shape::Map(&Shape::Keys(&JOB))).required(),
        Key::new(
            "defaults",
            "What holds for every job that does not say otherwise.",
            Shape::Keys(&DEFAULTS),
        ),
        Key::new(
            "notify",
            "Who is told what happened.",
            Shape::List(&Shape::OneOf(&NOTIFIER)),
        ),
        Key::new("metrics", "Where numbers for Prometheus go.", Shape::Keys(&METRICS)),
    ],
};

/// Where numbers go.
pub static METRICS: Table = Table {
    of: "`metrics`",
    keys: &[
        Key::new(
            "textfile",
            "File for the textfile collector of the node exporter.",
            PATH,
        ),
        Key::new("pushgateway", "Address of a Prometheus push gateway.", URL),
    ],
};

const TEXT: Shape = Shape::One(Kind::Text);
const NAME: Shape = Shape::One(Kind::Name);
const PATH: Shape = Shape::One(Kind::Path);
const READABLE: Shape = Shape::One(Kind::ReadableFile);
const URL: Shape = Shape::One(Kind::Url);
const FLAG: Shape = Shape::One(Kind::Flag);
const TEXTS: Shape = Shape::OneOrMore(&TEXT);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::check;
    use crate::config::problem::Problems;
    use crate::config::tree;
    use std::path::Path;

    fn keys_of(shape: &'static Shape, found: &mut Vec<&'static Key>) {
        match shape {
            Shape::List(inner) | Shape::OneOrMore(inner) | Shape::Map(inner) | Shape::Either(_, inner) => {
                keys_of(inner, found);
            }
            Shape::Keys(table) | Shape::Short(table, _) => table.keys.iter().for_each(|key| {
                found.push(key);
                keys_of(&key.shape, found);
            }),
            Shape::OneOf(choice) => choice.variants.iter().for_each(|variant| {
                for key in std::iter::once(&variant.key).chain(variant.beside) {
                    found.push(key);
                    keys_of(&key.shape, found);
                }
            }),
            Shape::One(_) | Shape::Secret | Shape::MaybeSecret(_) => {}
        }
    }

    #[test]
    fn every_default_fits_where_it_stands() {
        static ROOT_SHAPE: Shape = Shape::Keys(&ROOT);
        let mut keys = Vec::new();
        keys_of(&ROOT_SHAPE, &mut keys);
        assert!(keys.len() > 100, "{}", keys.len());
        for key in keys {
            assert!(key.purpose.ends_with('.'), "{}", key.name);
            let Some(default) = key.default else { continue };
            let mut problems = Problems::default();
            let node = tree::parse(&Path::new("default").into(), default, &mut problems).unwrap();
            check::value(&node, &key.shape, key.name, &mut problems);
            assert_eq!(problems.to_string(), "", "{}", key.name);
        }
    }
}
