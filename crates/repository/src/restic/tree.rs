//! Trees: directories as JSON, named by the hash of their text.

use super::node::{Node, name_order};
use crate::{Error, Id, Result};
use serde::Deserialize;

/// A directory's entries, sorted by name, no name twice.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Tree {
    /// The entries.
    #[serde(deserialize_with = "nodes_or_null")]
    pub nodes: Vec<Node>,
}

/// Old versions of restic wrote `null` for an empty directory.
fn nodes_or_null<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Node>, D::Error> {
    Ok(Option::<Vec<Node>>::deserialize(deserializer)?.unwrap_or_default())
}

impl Tree {
    /// Parse a tree blob.
    pub fn parse(id: &Id, json: &[u8]) -> Result<Self> {
        let tree: Self = serde_json::from_slice(json).map_err(|error| Error::damaged("tree", id, error))?;
        let sorted = tree
            .nodes
            .windows(2)
            .all(|pair| name_order(&pair[0].name, &pair[1].name).is_lt());
        if sorted {
            Ok(tree)
        } else {
            Err(Error::damaged("tree", id, "its entries are not in order"))
        }
    }

    /// The blob's text.
    pub fn to_json(&self) -> Vec<u8> {
        let mut builder = TreeBuilder::default();
        self.nodes.iter().for_each(|node| builder.push(node));
        builder.finish()
    }

    /// The entry of this name.
    pub fn find(&self, name: &std::ffi::OsStr) -> Option<&Node> {
        let at = self.nodes.binary_search_by(|node| name_order(&node.name, name)).ok()?;
        Some(&self.nodes[at])
    }
}

/// Builds a tree's text from entries in order, without holding the entries.
#[derive(Debug, Default)]
pub struct TreeBuilder {
    json: Vec<u8>,
}

impl TreeBuilder {
    /// Append an entry; names have to come in order.
    pub fn push(&mut self, node: &Node) {
        self.separate();
        node.push_json(&mut self.json);
    }

    /// Append an entry that is JSON already.
    pub fn push_raw(&mut self, node: &[u8]) {
        self.separate();
        self.json.extend_from_slice(node);
    }

    fn separate(&mut self) {
        self.json
            .extend_from_slice(if self.json.is_empty() { b"{\"nodes\":[" } else { b"," });
    }

    /// The tree blob's text.
    pub fn finish(mut self) -> Vec<u8> {
        if self.json.is_empty() {
            self.json.extend_from_slice(b"{\"nodes\":[");
        }
        self.json.extend_from_slice(b"]}\n");
        self.json
    }
}

#[cfg(test)]
mod tests {
    use super::super::node::NodeKind;
    use super::*;

    /// Written by restic 0.14 for a directory with these entries.
    const WRITTEN_BY_RESTIC: &str = concat!(
        r#"{"nodes":[{"name":"a\\xff \u003c","type":"file","mode":420,"mtime":"2020-01-02T03:04:05.0607Z","#,
        r#""atime":"2020-01-02T03:04:05.0607Z","ctime":"2026-11-21T01:33:10.417263982Z","uid":0,"gid":0,"user":"root","group":"root","#,
        r#""inode":131,"device_id":65024,"size":3,"links":1,"content":["2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"]},"#,
        r#"{"name":"link","type":"symlink","mode":134218239,"mtime":"2026-11-21T01:33:10Z","atime":"2026-11-21T01:33:10Z","#,
        r#""ctime":"2026-11-21T01:33:10Z","uid":0,"gid":0,"user":"root","group":"root","inode":133,"device_id":65024,"links":1,"#,
        r#""linktarget":"a","content":null}]}"#,
        "\n"
    );

    #[test]
    fn text_survives_to_the_byte() {
        let tree = Tree::parse(&Id::default(), WRITTEN_BY_RESTIC.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(tree.to_json()).unwrap(), WRITTEN_BY_RESTIC);
    }

    #[test]
    fn empty_trees() {
        assert_eq!(Tree::default().to_json(), b"{\"nodes\":[]}\n");
        assert!(
            Tree::parse(&Id::default(), b"{\"nodes\":null}\n")
                .unwrap()
                .nodes
                .is_empty()
        );
    }

    #[test]
    fn refuses_disorder_and_escapes() {
        let json = |names: &[&str]| {
            let nodes = names.iter().map(|name| Node::new(name, NodeKind::Fifo, 0)).collect();
            Tree { nodes }.to_json()
        };
        assert!(Tree::parse(&Id::default(), &json(&["a", "b"])).is_ok());
        for names in [
            &["b", "a"][..],
            &["a", "a"],
            &["../a"],
            &[".."],
            &["."],
            &[""],
            &["a\0"],
        ] {
            assert!(
                matches!(Tree::parse(&Id::default(), &json(names)), Err(Error::Damaged { .. })),
                "{names:?}"
            );
        }
    }
}
