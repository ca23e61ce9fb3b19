//! What was written, as a tree in which every value knows where it comes from.

mod yaml;

pub mod show;

pub use yaml::parse;

use super::problem::Problems;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A variable of the environment.
    Variable(&'static str),
    /// A file.
    File {
        /// Its path, as it was found.
        file: Arc<Path>,
        /// From 1 on.
        line: usize,
        /// In characters, from 1 on.
        column: usize,
    },
}

impl Origin {
    /// `mainstay.yaml:12:5`, or the name of the variable.
    pub fn place(&self) -> Option<String> {
        match self {
            Self::Default => None,
            Self::Variable(name) => Some((*name).to_owned()),
            Self::File { column, .. } => Some(format!("{self}:{column}")),
        }
    }

    /// What relative paths start from, if not from the working directory: the directory of the file.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::File { file, .. } => file.parent().filter(|parent| !parent.as_os_str().is_empty()),
            Self::Default | Self::Variable(_) => None,
        }
    }

    /// The file; the name of the variable if there is none.
    pub fn file(&self) -> &Path {
        match self {
            Self::File { file, .. } => file,
            Self::Variable(name) => Path::new(name),
            Self::Default => Path::new(""),
        }
    }

    /// A path that is written here.
    pub fn resolve(&self, path: &str) -> PathBuf {
        let path = self
            .directory()
            .map_or_else(|| PathBuf::from(path), |directory| directory.join(path));
        // It fails only where there is no working directory; the path is then as good as it gets.
        let absolute = std::path::absolute(&path).unwrap_or(path);
        absolute.components().filter(|part| part.as_os_str() != ".").collect()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Variable(name) => f.write_str(name),
            Self::File { file, line, .. } => write!(f, "{}:{line}", file.display()),
        }
    }
}

/// A value.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub content: Content,
    /// Where it comes from.
    pub origin: Origin,
}

/// What a value is.
#[derive(Clone, Debug)]
pub enum Content {
    /// Text, a number, true, false or nothing; which one, whoever reads it decides.
    Scalar {
        /// As it was written, without quotes.
        text: String,
        /// Whether it stood there without quotes.
        plain: bool,
    },
    /// Values in order.
    List(Vec<Node>),
    /// Values with names.
    Map(Vec<Entry>),
}

/// A value with its name.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name.
    pub key: String,
    /// Where the name stands.
    pub origin: Origin,
    /// The value.
    pub value: Node,
}

impl Node {
    /// Text.
    pub fn scalar(text: impl Into<String>, origin: &Origin) -> Self {
        let content = Content::Scalar {
            text: text.into(),
            plain: false,
        };
        Self::new(content, origin)
    }

    /// A number, as it would be written without quotes; text if it is none.
    pub fn number(text: &str, origin: &Origin) -> Self {
        let content = Content::Scalar {
            text: text.to_owned(),
            plain: text.parse::<u64>().is_ok(),
        };
        Self::new(content, origin)
    }

    /// A list.
    pub fn list(items: Vec<Self>, origin: &Origin) -> Self {
        Self::new(Content::List(items), origin)
    }

    /// A map; each name stands where its value stands.
    pub fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Self)>, origin: &Origin) -> Self {
        let entries = entries.into_iter().map(|(key, value)| Entry::new(key, value));
        Self::new(Content::Map(entries.collect()), origin)
    }

    fn new(content: Content, origin: &Origin) -> Self {
        let origin = origin.clone();
        Self { content, origin }
    }

    /// The entries of a map; none for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Map(entries) => entries,
            Content::List(_) | Content::Scalar { .. } => &[],
        }
    }

    /// The items of a list; none for anything else.
    pub fn items(&self) -> &[Self] {
        match &self.content {
            Content::List(items) => items,
            Content::Map(_) | Content::Scalar { .. } => &[],
        }
    }

    /// The value of that name in a map.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries()
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value)
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } => Some(text),
            Content::Map(_) | Content::List(_) => None,
        }
    }

    /// Whether nothing stands there: `key:`, `key: ~` or `key: null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// Whether both say the same, wherever they stand.
    pub fn says_the_same(&self, other: &Self) -> bool {
        match (&self.content, &other.content) {
            (Content::Scalar { text: a, .. }, Content::Scalar { text: b, .. }) => a == b,
            (Content::List(a), Content::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.says_the_same(b))
            }
            (Content::Map(a), Content::Map(b)) => {
                let same = |entry: &Entry| {
                    other
                        .get(&entry.key)
                        .is_some_and(|value| value.says_the_same(&entry.value))
                };
                a.len() == b.len() && a.iter().all(same)
            }
            _ => false,
        }
    }
}

/// What holds by default, from YAML that stands in the program.
pub fn default(yaml: &str) -> Option<Node> {
    fn forget(node: &mut Node) {
        node.origin = Origin::Default;
        match &mut node.content {
            Content::Scalar { .. } => {}
            Content::List(items) => items.iter_mut().for_each(forget),
            Content::Map(entries) => entries.iter_mut().for_each(|entry| forget(&mut entry.value)),
        }
    }
    let mut node = parse(&Path::new("default").into(), yaml, &mut Problems::default())?;
    forget(&mut node);
    Some(node)
}

impl Entry {
    /// A name that stands where its value stands.
    pub fn new(key: &str, value: Node) -> Self {
        Self {
            key: key.to_owned(),
            origin: value.origin.clone(),
            value,
        }
    }
}
