//! Archives as `mongodump` writes them, whole and damaged.

use super::census::{Census, Found};
use super::crc::Crc64;
use proptest::prelude::*;
use std::io::Write as _;

fn document(fields: &[(u8, &str, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, name, value) in fields {
        body.push(*kind);
        body.extend(name.as_bytes());
        body.push(0);
        body.extend(value);
    }
    let length = i32::try_from(body.len() + 5).unwrap();
    [&length.to_le_bytes(), body.as_slice(), &[0]].concat()
}

fn text(value: &str) -> Vec<u8> {
    let length = i32::try_from(value.len() + 1).unwrap();
    [&length.to_le_bytes(), value.as_bytes(), &[0]].concat()
}

/// An archive in the making.
struct Archive {
    bytes: Vec<u8>,
}

impl Archive {
    fn begin(version: &str, announced: &[(&str, &str, &str)]) -> Self {
        let mut bytes = vec![0x6d, 0xe2, 0x99, 0x81];
        bytes.extend(document(&[
            (0x10, "concurrent_collections", vec![4, 0, 0, 0]),
            (0x02, "version", text(version)),
            (0x02, "server_version", text("7.0.5")),
            (0x02, "tool_version", text("100.9.4")),
        ]));
        for (database, collection, metadata) in announced {
            bytes.extend(document(&[
                (0x02, "db", text(database)),
                (0x02, "collection", text(collection)),
                (0x02, "metadata", text(metadata)),
                (0x10, "size", vec![0; 4]),
                (0x02, "type", text("")),
            ]));
        }
        bytes.extend([0xff; 4]);
        Self { bytes }
    }

    fn header(&mut self, database: &str, collection: &str, eof: bool, crc: u64) {
        self.bytes.extend(document(&[
            (0x02, "db", text(database)),
            (0x02, "collection", text(collection)),
            (0x08, "EOF", vec![u8::from(eof)]),
            (0x12, "CRC", crc.to_le_bytes().to_vec()),
        ]));
    }

    fn block(&mut self, database: &str, collection: &str, documents: &[Vec<u8>]) {
        self.header(database, collection, false, 0);
        self.bytes.extend(documents.concat());
        self.bytes.extend([0xff; 4]);
    }

    fn end(&mut self, database: &str, collection: &str, documents: &[Vec<u8>]) {
        let mut crc = Crc64::default();
        crc.add(&documents.concat());
        self.header(database, collection, true, crc.value());
        self.bytes.extend([0xff; 4]);
    }
}

const INDEXES: &str =
    r#"{"options":{},"indexes":[{"v":2,"key":{"_id":1},"name":"_id_"}],"uuid":"00","type":"collection"}"#;
const VIEW: &str = r#"{"options":{"viewOn":"people","pipeline":[]},"indexes":[]}"#;
const TIMESERIES: &str = r#"{"options":{"timeseries":{"timeField":"t"}},"indexes":[],"type":"timeseries"}"#;

fn people(count: u8) -> Vec<Vec<u8>> {
    let person = |number: u8| {
        document(&[
            (0x10, "_id", vec![number, 0, 0, 0]),
            (0x02, "name", text(&"x".repeat(usize::from(number)))),
        ])
    };
    (0..count).map(person).collect()
}

/// Two collections that alternate, one that is empty, a view, a time series, and the oplog.
fn whole() -> Vec<u8> {
    let announced = [
        ("app", "people", INDEXES),
        ("app", "empty", INDEXES),
        ("app", "adults", VIEW),
        ("app", "weather", TIMESERIES),
        ("other", "things", INDEXES),
        ("", "oplog", ""),
    ];
    let mut archive = Archive::begin("0.1", &announced);
    let people = people(9);
    archive.block("app", "people", &people[..2]);
    archive.block("other", "things", &people[..1]);
    archive.block("app", "people", &people[2..]);
    archive.block("app", "adults", &[]);
    archive.end("app", "adults", &[]);
    archive.end("app", "people", &people);
    archive.block("app", "system.buckets.weather", &people[..3]);
    archive.end("app", "system.buckets.weather", &people[..3]);
    archive.end("app", "empty", &[]);
    archive.end("other", "things", &people[..1]);
    archive.block("", "oplog", &people[..4]);
    archive.end("", "oplog", &people[..4]);
    archive.bytes
}

fn census(bytes: &[u8], step: usize) -> Result<(Found, u64), String> {
    let mut census = Census::default();
    for part in bytes.chunks(step) {
        census.write_all(part).unwrap();
    }
    census.finish()
}

#[test]
fn documents_are_counted_however_the_archive_arrives() {
    let archive = whole();
    for step in [1, 3, 7, 1 << 20] {
        let (found, bytes) = census(&archive, step).unwrap();
        assert_eq!(bytes, archive.len() as u64);
        let rows = found.rows(Some("app"));
        let expected = [("empty", 0), ("people", 9), ("system.buckets.weather", 3)];
        assert_eq!(rows, expected.map(|(name, rows)| (name.to_owned(), rows)).into());
        assert_eq!(found.rows(None)["other.things"], 1);
        assert_eq!(found.rows(None).len(), 4);
        assert_eq!((found.server.as_str(), found.tool.as_str()), ("7.0.5", "100.9.4"));
        let mut facts = crate::engine::manifest::Facts::default();
        found.record(Some("app"), &mut facts);
        assert_eq!(
            serde_json::to_value(&facts.more).unwrap(),
            serde_json::json!({"indexes": 3, "timeseries": 1, "views": 1})
        );
    }
}

#[test]
fn an_archive_that_is_cut_anywhere_is_not_whole() {
    let archive = whole();
    for end in 0..archive.len() {
        assert!(census(&archive[..end], 1 << 20).is_err(), "cut at {end}");
    }
}

#[test]
fn a_byte_of_a_document_that_changed_is_noticed() {
    let archive = whole();
    let name = b"xxxxxxxx\0";
    let at = archive.windows(name.len()).position(|window| window == name).unwrap();
    let mut damaged = archive;
    damaged[at] ^= 1;
    let reason = census(&damaged, 100).unwrap_err();
    assert_eq!(reason, "the checksum of `app.people` is wrong");
}

#[test]
fn what_is_wrong_with_an_archive_is_said() {
    let reason = |bytes: &[u8]| census(bytes, 5).unwrap_err();
    assert_eq!(reason(b"error: no server"), "it is no archive of mongodump");
    assert_eq!(
        reason(&Archive::begin("0.2", &[]).bytes),
        "its format is of version `0.2`, which is not known"
    );
    let mut missing = Archive::begin("0.1", &[("app", "people", INDEXES), ("app", "lost", INDEXES)]);
    missing.end("app", "people", &[]);
    assert_eq!(reason(&missing.bytes), "it ends before `app.lost` does");
    let mut open = Archive::begin("0.1", &[]);
    open.block("app", "people", &people(2));
    assert_eq!(reason(&open.bytes), "it ends before `app.people` does");
    open.end("app", "people", &people(2));
    open.block("app", "people", &people(1));
    assert_eq!(reason(&open.bytes), "`app.people` goes on after its end");
    let mut short = Archive::begin("0.1", &[]);
    short.header("app", "people", false, 0);
    short.bytes.extend([4, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(reason(&short.bytes), "a length in it cannot be that of a document");
    let mut behind = Archive::begin("0.1", &[]);
    behind.header("app", "people", true, 0);
    behind.bytes.extend(people(1).concat());
    assert_eq!(
        reason(&behind.bytes),
        "there is something behind the end of a collection"
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(at in 0..usize::MAX, bits in 1..=255_u8, noise in proptest::collection::vec(any::<u8>(), 0..100)) {
        let mut archive = whole();
        let at = at % archive.len();
        archive[at] ^= bits;
        let _: Option<_> = census(&archive, 64).ok();
        let _: Option<_> = census(&noise, 7).ok();
        archive.splice(at.., noise);
        let _: Option<_> = census(&archive, 7).ok();
    }
}
