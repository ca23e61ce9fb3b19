//! An archive of `mongodump`, read as it streams by: how many documents each collection has, and whether all of it is there.
//!
//! The format, as <https://github.com/mongodb/mongo-tools/blob/master/common/archive/spec.md> has it: a magic number; a block with a
//! header and a document about each collection; then blocks of documents of one collection, in any order, each after a header that
//! names the collection. A collection ends with a header that says so and has a CRC-64 of all of its documents. Every block ends with
//! four bytes `ff`. Nothing marks the end of the archive: it is whole if every collection that was announced has ended.

use super::bson::{self, Value};
use super::crc::Crc64;
use super::what::BUCKETS;
use crate::engine::manifest::Facts;
use std::collections::BTreeMap;
use std::io::{self, Write};

const MAGIC: [u8; 4] = 0x8199_e26d_u32.to_le_bytes();
const TERMINATOR: [u8; 4] = [0xff; 4];

/// The only version of the format that there is.
const FORMAT: &str = "0.1";

/// A document of a server has 16 MiB at most, one that a server made 16 KiB more.
const MOST_BYTES: usize = (16 << 20) + (16 << 10);
const FEWEST_BYTES: usize = 5;

/// Counts what is written to it. Writing never fails: what is wrong is told at the end.
#[derive(Debug)]
pub struct Census {
    block: Block,
    /// What came of a length or of a document that is looked into.
    held: Vec<u8>,
    /// How long that is.
    wanted: usize,
    /// How much is to come of a document that is only counted.
    left: usize,
    found: Found,
    bytes: u64,
    problem: Option<String>,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Block {
    Magic,
    ArchiveHeader,
    Announcements,
    /// A header, or the end of the archive.
    Between,
    /// Documents of a collection, which is not among the others meanwhile.
    Documents(Name, Collection),
    /// Nothing more of a block.
    End,
}

/// Names of a database and a collection.
type Name = (String, String);

/// What was found in an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Version of the server, as the archive has it.
    pub server: String,
    /// Version of the program that wrote it.
    pub tool: String,
    /// By names of database and collection.
    pub collections: BTreeMap<Name, Collection>,
}

/// What was found of a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collection {
    /// How many documents.
    pub documents: u64,
    /// `collection`, `view` or `timeseries`, if it was announced.
    pub kind: Option<String>,
    /// How many indexes were announced.
    pub indexes: u64,
    crc: Crc64,
    is_open: bool,
    has_ended: bool,
}

impl Default for Census {
    fn default() -> Self {
        Self {
            block: Block::Magic,
            held: Vec::new(),
            wanted: MAGIC.len(),
            left: 0,
            found: Found::default(),
            bytes: 0,
            problem: None,
        }
    }
}

impl Census {
    /// What was found, and how many bytes it was, when everything has been written.
    ///
    /// # Errors
    /// What is wrong with it, as a phrase.
    pub fn finish(self) -> Result<(Found, u64), String> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        if self.block != Block::Between || !self.held.is_empty() || self.left > 0 {
            return Err("it ends in the middle".to_owned());
        }
        match self.found.unfinished() {
            Some((database, collection)) => Err(format!("it ends before `{database}.{collection}` does")),
            None => Ok((self.found, self.bytes)),
        }
    }

    fn push(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            bytes = if self.left > 0 {
                self.count(bytes)?
            } else {
                self.hold(bytes)?
            };
        }
        Ok(())
    }

    /// Take what belongs to a document that is only counted; the rest comes back.
    fn count<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], String> {
        let (taken, rest) = bytes.split_at(self.left.min(bytes.len()));
        self.left -= taken.len();
        if self.left == 0 && taken.last() != Some(&0) {
            return Err("a document does not end as documents do".to_owned());
        }
        if let Block::Documents(_, collection) = &mut self.block {
            collection.crc.add(taken);
        }
        Ok(rest)
    }

    /// Take what belongs to what is looked into; the rest comes back.
    fn hold<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], String> {
        let missing = self.wanted - self.held.len();
        let (taken, rest) = bytes.split_at(missing.min(bytes.len()));
        self.held.extend_from_slice(taken);
        if self.held.len() == self.wanted {
            let held = std::mem::take(&mut self.held);
            self.wanted = 4;
            match <[u8; 4]>::try_from(held.as_slice()) {
                Ok(four) => self.begin(four)?,
                Err(_) => self.take(&held)?,
            }
        }
        Ok(rest)
    }

    /// Four bytes with which something begins: a length, unless it is the end of a block.
    fn begin(&mut self, four: [u8; 4]) -> Result<(), String> {
        match &mut self.block {
            Block::Magic if four == MAGIC => self.block = Block::ArchiveHeader,
            Block::Magic => return Err("it is no archive of mongodump".to_owned()),
            Block::Announcements | Block::End if four == TERMINATOR => self.block = Block::Between,
            Block::End => return Err("there is something behind the end of a collection".to_owned()),
            Block::ArchiveHeader | Block::Announcements | Block::Between => {
                self.wanted = length(four)?;
                self.held.extend(four);
            }
            Block::Documents(name, collection) if four == TERMINATOR => {
                let (name, collection) = (std::mem::take(name), std::mem::take(collection));
                self.found.collections.insert(name, collection);
                self.block = Block::Between;
            }
            Block::Documents(_, collection) => {
                self.left = length(four)? - four.len();
                collection.documents += 1;
                collection.crc.add(&four);
            }
        }
        Ok(())
    }

    /// A document that is looked into.
    fn take(&mut self, document: &[u8]) -> Result<(), String> {
        let fields = bson::fields(document).ok_or("one of its own documents is damaged")?;
        self.block = match &self.block {
            Block::ArchiveHeader => self.found.begin(&fields)?,
            Block::Announcements => self.found.announce(&fields)?,
            Block::Magic | Block::Between | Block::Documents(..) | Block::End => self.found.header(&fields)?,
        };
        Ok(())
    }
}

/// The length of a document.
fn length(four: [u8; 4]) -> Result<usize, String> {
    usize::try_from(i32::from_le_bytes(four))
        .ok()
        .filter(|length| (FEWEST_BYTES..=MOST_BYTES).contains(length))
        .ok_or_else(|| "a length in it cannot be that of a document".to_owned())
}

type Fields<'a> = [(&'a str, Value<'a>)];

/// Names of the database and the collection that a document is about.
fn name(fields: &Fields<'_>) -> Result<Name, String> {
    match (bson::text(fields, "db"), bson::text(fields, "collection")) {
        (Some(database), Some(collection)) if !collection.is_empty() => {
            Ok((database.to_owned(), collection.to_owned()))
        }
        _ => Err("a document of it does not say which collection it is about".to_owned()),
    }
}

impl Found {
    fn begin(&mut self, fields: &Fields<'_>) -> Result<Block, String> {
        let text = |name| bson::text(fields, name).unwrap_or_default().to_owned();
        let format = text("version");
        if format != FORMAT {
            return Err(format!("its format is of version `{format}`, which is not known"));
        }
        self.server = text("server_version");
        self.tool = text("tool_version");
        Ok(Block::Announcements)
    }

    fn announce(&mut self, fields: &Fields<'_>) -> Result<Block, String> {
        let metadata = bson::text(fields, "metadata").unwrap_or_default();
        let metadata: serde_json::Value = serde_json::from_str(metadata).unwrap_or_default();
        let told = bson::text(fields, "type").filter(|kind| !kind.is_empty());
        let told = told.or_else(|| metadata["type"].as_str());
        let kind = match told.unwrap_or_default() {
            "" if metadata["options"]["viewOn"].is_string() => "view",
            "" => "collection",
            told => told,
        };
        let indexes = metadata["indexes"].as_array().map_or(0, Vec::len);
        let announced = Collection {
            kind: Some(kind.to_owned()),
            indexes: indexes as u64,
            ..Collection::default()
        };
        self.collections.insert(name(fields)?, announced);
        Ok(Block::Announcements)
    }

    /// The header of a block: what the block consists of.
    fn header(&mut self, fields: &Fields<'_>) -> Result<Block, String> {
        let name = name(fields)?;
        let of = |wanted: &str| fields.iter().find(|(key, _)| *key == wanted).map(|(_, value)| *value);
        let mut collection = self.collections.remove(&name).unwrap_or_default();
        if collection.has_ended {
            return Err(format!("`{}.{}` goes on after its end", name.0, name.1));
        }
        collection.is_open = true;
        if of("EOF") != Some(Value::Flag(true)) {
            return Ok(Block::Documents(name, collection));
        }
        if of("CRC") != Some(Value::Number(collection.crc.value().cast_signed())) {
            return Err(format!("the checksum of `{}.{}` is wrong", name.0, name.1));
        }
        collection.has_ended = true;
        self.collections.insert(name, collection);
        Ok(Block::End)
    }

    /// A collection that was announced or begun, and has not ended.
    fn unfinished(&self) -> Option<&Name> {
        let has_ended = |name: &Name| {
            self.collections
                .get(name)
                .is_some_and(|collection| collection.has_ended)
        };
        let is_whole = |(name, collection): &(&Name, &Collection)| {
            collection.has_ended || {
                // Its documents are in another collection, which is not announced.
                let buckets = (name.0.clone(), format!("{BUCKETS}{}", name.1));
                !collection.is_open && collection.kind.as_deref() == Some("timeseries") && has_ended(&buckets)
            }
        };
        self.collections
            .iter()
            .find(|entry| !is_whole(entry))
            .map(|(name, _)| name)
    }

    /// Documents by collection; of all databases if no single one is meant. What holds no documents is left out.
    pub fn rows(&self, database: Option<&str>) -> BTreeMap<String, u64> {
        let row = |((of, name), collection): (&Name, &Collection)| {
            let is_view = collection.kind.as_deref() == Some("view");
            let name = match database {
                Some(database) => (of == database).then(|| name.clone())?,
                None if of.is_empty() => return None,
                None => format!("{of}.{name}"),
            };
            (collection.has_ended && !is_view).then_some((name, collection.documents))
        };
        self.collections.iter().filter_map(row).collect()
    }

    /// Write it down for the manifest.
    pub fn record(&self, database: Option<&str>, facts: &mut Facts) {
        let of_kind = |wanted: &str| {
            let kinds = self
                .collections
                .values()
                .filter_map(|collection| collection.kind.as_deref());
            kinds.filter(|kind| *kind == wanted).count()
        };
        let indexes: u64 = self.collections.values().map(|collection| collection.indexes).sum();
        facts.rows = self.rows(database);
        for (name, count) in [("views", of_kind("view")), ("timeseries", of_kind("timeseries"))] {
            facts.more.insert(name.to_owned(), count.into());
        }
        facts.more.insert("indexes".to_owned(), indexes.into());
        for (name, version) in [("server", &self.server), ("mongodump", &self.tool)] {
            if !version.is_empty() {
                facts.versions.insert(name.to_owned(), version.clone());
            }
        }
    }
}

impl Write for Census {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.problem.is_none() {
            self.problem = self.push(bytes).err();
        }
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
