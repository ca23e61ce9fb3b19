//! YAML into a tree, within a budget.
//!
//! The parser reports events; the tree is built here, because every problem is to be found, not the first, and because an alias
//! must not make a small file large.

use super::{Content, Entry, Node, Origin};
use crate::config::problem::Problems;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Values in one file, those that aliases repeat included. The largest configuration seen has a few hundred.
const MOST_NODES: usize = 50_000;

/// Lists and maps within each other. The configuration needs eight.
const MOST_LEVELS: usize = 32;

/// Read a file's text. What is wrong goes to `problems`. An empty text is nothing, and so is one whose end cannot be found because
/// the YAML is broken: what would be said about the rest of it would be guesses.
pub fn parse(file: &Arc<Path>, text: &str, problems: &mut Problems) -> Option<Node> {
    let mut builder = Builder::new(file, problems);
    for event in Parser::new_from_str(text) {
        let taken = match event {
            Ok((event, span)) => builder.take(event, span.start),
            Err(error) => builder.syntax(&error),
        };
        taken?;
    }
    builder.root
}

/// Something that is not complete yet.
struct Open {
    node: Node,
    anchor: usize,
    /// The name that waits for its value.
    key: Option<(String, Origin)>,
}

struct Builder<'a> {
    file: &'a Arc<Path>,
    problems: &'a mut Problems,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    documents: usize,
    root: Option<Node>,
}

impl<'a> Builder<'a> {
    fn new(file: &'a Arc<Path>, problems: &'a mut Problems) -> Self {
        Self {
            file,
            problems,
            open: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            documents: 0,
            root: None,
        }
    }

    fn origin(&self, at: Marker) -> Origin {
        Origin::File {
            file: Arc::clone(self.file),
            line: at.line(),
            column: at.col() + 1,
        }
    }

    /// Stop here: what follows makes no sense.
    fn stop(&mut self, at: Marker, message: impl Into<String>, hint: &str) -> Option<()> {
        self.problems.add(&self.origin(at), message, hint);
        None
    }

    fn syntax(&mut self, error: &ScanError) -> Option<()> {
        let message = format!("this is not valid YAML: {}", error.info());
        let hint = "Check the indentation and the quotes here and in the line above; a value with `: ` or ` #` in it, \
                    or that begins with one of `*&!|>%@[{`, needs quotes.";
        self.stop(*error.marker(), message, hint)
    }

    fn take(&mut self, event: Event<'_>, at: Marker) -> Option<()> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Some(()),
            Event::DocumentStart(_) => self.document(at),
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), at);
                let plain = style == ScalarStyle::Plain;
                let content = Content::Scalar {
                    text: text.into_owned(),
                    plain,
                };
                self.begin(content, anchor, at)?;
                self.end()
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), at);
                self.begin(Content::List(Vec::new()), anchor, at)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), at);
                self.begin(Content::Map(Vec::new()), anchor, at)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
        }
    }

    fn document(&mut self, at: Marker) -> Option<()> {
        self.documents += 1;
        if self.documents == 1 {
            return Some(());
        }
        self.stop(
            at,
            "a second document begins here",
            "Put it into a file of its own in `conf.d`, or remove the `---`.",
        )
    }

    fn refuse_tag(&mut self, tagged: bool, at: Marker) {
        if tagged {
            self.problems.add(
                &self.origin(at),
                "tags such as `!!str` mean nothing here",
                "Remove the tag.",
            );
        }
    }

    fn alias(&mut self, anchor: usize, at: Marker) -> Option<()> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return self.stop(
                at,
                "this alias is inside of what it stands for",
                "Write the value itself.",
            );
        };
        let (nodes, levels) = weigh(&node);
        self.nodes += nodes;
        self.within_budget(levels, at)?;
        self.attach(node)
    }

    fn within_budget(&mut self, levels: usize, at: Marker) -> Option<()> {
        if self.nodes > MOST_NODES {
            return self.stop(
                at,
                format!("there are more than {MOST_NODES} values in this file"),
                "Use fewer aliases.",
            );
        }
        if self.open.len() + levels > MOST_LEVELS {
            let message = format!("there are more than {MOST_LEVELS} levels of lists and maps");
            return self.stop(at, message, "Check the brackets and the indentation.");
        }
        Some(())
    }

    fn begin(&mut self, content: Content, anchor: usize, at: Marker) -> Option<()> {
        self.nodes += 1;
        self.within_budget(1, at)?;
        let origin = self.origin(at);
        self.open.push(Open {
            node: Node { content, origin },
            anchor,
            key: None,
        });
        Some(())
    }

    fn end(&mut self) -> Option<()> {
        let Open { node, anchor, .. } = self.open.pop()?;
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.attach(node)
    }

    /// Put a complete value to where it belongs.
    fn attach(&mut self, node: Node) -> Option<()> {
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Some(());
        };
        match (&mut parent.node.content, parent.key.take()) {
            (Content::List(items), _) => items.push(node),
            (Content::Map(entries), Some((key, origin))) => match entries.iter().find(|entry| entry.key == key) {
                None => entries.push(Entry {
                    key,
                    origin,
                    value: node,
                }),
                Some(first) => {
                    let message = format!("`{key}` is written twice, here and at {}", first.origin);
                    self.problems.add(&origin, message, "Keep one of them.");
                }
            },
            (Content::Map(_), None) => match node.content {
                Content::Scalar { text, .. } => parent.key = Some((text, node.origin)),
                Content::List(_) | Content::Map(_) => {
                    let message = "a list or a map cannot be a name";
                    let hint = "Write a plain word before the colon; a value with `{` or `[` needs quotes.";
                    self.problems.add(&node.origin, message, hint);
                    parent.key = Some((String::new(), node.origin));
                }
            },
            (Content::Scalar { .. }, _) => {}
        }
        Some(())
    }
}

/// Number of values in a tree, and of levels.
fn weigh(node: &Node) -> (usize, usize) {
    let children: Vec<&Node> = match &node.content {
        Content::Scalar { .. } => Vec::new(),
        Content::List(items) => items.iter().collect(),
        Content::Map(entries) => entries.iter().map(|entry| &entry.value).collect(),
    };
    children
        .into_iter()
        .map(weigh)
        .fold((1, 1), |(nodes, levels), (n, l)| (nodes + n, levels.max(l + 1)))
}

#[cfg(test)]
mod tests {
    use super::super::show;
    use super::*;

    fn read(text: &str) -> (Option<Node>, String) {
        let mut problems = Problems::default();
        let node = parse(&Path::new("f.yaml").into(), text, &mut problems);
        (node, problems.to_string())
    }

    #[test]
    fn values_know_where_they_stand() {
        let (node, problems) = read("a: 1\nb:\n  - x: &x [é, \"2\"]\n  - *x\n");
        let node = node.unwrap();
        assert_eq!(problems, "");
        assert_eq!(node.get("b").unwrap().items()[0].origin.place().unwrap(), "f.yaml:3:5");
        let aliased = &node.get("b").unwrap().items()[1];
        assert_eq!(aliased.items()[1].origin.place().unwrap(), "f.yaml:3:15");
        assert_eq!(
            show::json(&node).to_string(),
            r#"{"a":1,"b":[{"x":["é","2"]},["é","2"]]}"#
        );
    }

    #[test]
    fn what_is_no_yaml_or_too_much_is_refused() {
        for (text, problem) in [
            ("a: [1", "f.yaml:2:1: this is not valid YAML"),
            ("a: 1\n b: 2\n", "f.yaml:2:3: this is not valid YAML"),
            (
                "a: 1\nb: 2\na: 3\n",
                "f.yaml:3:1: `a` is written twice, here and at f.yaml:1",
            ),
            ("a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document begins here"),
            ("a: !!str 1\n", "f.yaml:1:4: tags such as `!!str` mean nothing here"),
            ("[a]: 1\n", "f.yaml:1:1: a list or a map cannot be a name"),
            ("a: &a [*a]\n", "f.yaml:1:8: this alias is inside of what it stands for"),
            (
                &format!("{}{}", "[".repeat(40), "]".repeat(40)),
                "levels of lists and maps",
            ),
        ] {
            let (_, problems) = read(text);
            assert!(problems.contains(problem), "{text}: {problems}");
            assert_eq!(problems.lines().count(), 1, "{problems}");
        }
    }

    #[test]
    fn aliases_of_aliases_do_not_make_a_small_file_large() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = format!("*a{}, ", level - 1).repeat(10);
            text.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        let (node, problems) = read(&text);
        assert!(
            node.is_none() && problems.contains("more than 50000 values"),
            "{problems}"
        );
    }

    #[test]
    fn nothing_is_nothing() {
        assert!(read("").0.is_none() && read("# only a comment\n").0.is_none_or(|node| node.is_null()));
    }
}
