//! Whether the secrets and files that the configuration names are there.

use crate::config::keys::{Kind, ROOT, Shape};
use crate::config::problem::Problems;
use crate::config::secret::{SecretReader, SecretSource};
use crate::config::tree::{Content, Node};

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Present {
    /// Run the programs that print secrets, too.
    pub run_commands: bool,
}

/// How many of each were looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Secrets that are there.
    pub secrets: usize,
    /// Programs that were not run.
    pub commands: usize,
}

/// Look at every secret and every file that has to be readable, in a tree that is complete.
pub fn check(root: &Node, present: Present, reader: &dyn SecretReader, problems: &mut Problems) -> Seen {
    let mut look = Look {
        present,
        reader,
        problems,
        seen: Seen::default(),
    };
    look.keys(root, ROOT.keys.iter().map(|key| (key.name, &key.shape)));
    look.seen
}

struct Look<'a> {
    present: Present,
    reader: &'a dyn SecretReader,
    problems: &'a mut Problems,
    seen: Seen,
}

impl Look<'_> {
    fn keys<'k>(&mut self, node: &Node, shapes: impl Iterator<Item = (&'k str, &'k Shape)>) {
        for (key, shape) in shapes {
            if let Some(value) = node.get(key) {
                self.value(value, shape);
            }
        }
    }

    fn value(&mut self, node: &Node, shape: &Shape) {
        match shape {
            Shape::One(Kind::ReadableFile) => self.file(node),
            Shape::One(_) => {}
            Shape::Secret | Shape::MaybeSecret(_) => self.secret(node),
            Shape::List(item) | Shape::OneOrMore(item) => node.items().iter().for_each(|node| self.value(node, item)),
            Shape::Map(inner) => node.entries().iter().for_each(|entry| self.value(&entry.value, inner)),
            Shape::Keys(table) | Shape::Short(table, _) => {
                self.keys(node, table.keys.iter().map(|key| (key.name, &key.shape)));
            }
            Shape::OneOf(choice) => {
                self.keys(
                    node,
                    choice
                        .variants
                        .iter()
                        .map(|variant| (variant.key.name, &variant.key.shape)),
                );
            }
            Shape::Either(_, other) if !matches!(node.content, Content::Scalar { .. }) => self.value(node, other),
            Shape::Either(..) => {}
        }
    }

    fn file(&mut self, node: &Node) {
        let Some(path) = node.text() else { return };
        let path = node.origin.resolve(path);
        let message = match self.reader.file(&path) {
            Ok(content) if content.is_empty() => format!("the file `{}` is empty", path.display()),
            Ok(_) => return,
            Err(error) => format!("cannot read the file `{}`: {error}", path.display()),
        };
        self.problems
            .add(&node.origin, message, "Check the file's path, content and permissions.");
    }

    fn secret(&mut self, node: &Node) {
        // What is no secret, or is written wrongly, was reported where it was read.
        let Some(source) = SecretSource::from_node(node) else {
            return;
        };
        if source.is_command() && !self.present.run_commands {
            self.seen.commands += 1;
            return;
        }
        match source.read(self.reader) {
            Ok(_) => self.seen.secrets += 1,
            Err(misuse) => {
                let cause = misuse
                    .source
                    .as_ref()
                    .map(|cause| format!(": {cause}"))
                    .unwrap_or_default();
                self.problems
                    .add(&source.origin, format!("{misuse}{cause}"), misuse.hint);
            }
        }
    }
}
