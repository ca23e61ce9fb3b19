//! Compared with restic.

use super::*;
use crate::Recorder;
use crate::restic::restore::fixture::*;

fn all(fixture: &Fixture, query: &Query) -> Vec<String> {
    let (repository, index) = fixture.open();
    let snapshots: Vec<_> = repository
        .snapshots()
        .unwrap()
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let mut found = Vec::new();
    let mut each = |one: &Match<'_>| {
        found.push(one.path.display().to_string());
        Ok(())
    };
    find(
        &repository,
        &index,
        &snapshots,
        query,
        &mut each,
        &Cancel::default(),
        &Recorder::default(),
    )
    .unwrap();
    found
}

fn entries(pattern: &str) -> Query {
    Query::Entries {
        filter: Filter::builder().include(pattern).build().unwrap(),
        oldest: None,
        newest: None,
    }
}

fn with_restic(fixture: &Fixture, pattern: &str) -> Vec<String> {
    let output = String::from_utf8_lossy(&fixture.restic(&["find", pattern])).into_owned();
    let mut found: Vec<String> = output
        .lines()
        .filter(|line| line.starts_with('/'))
        .map(str::to_owned)
        .collect();
    found.sort();
    found
}

#[test]
fn names_are_found_as_with_restic() {
    let fixture = Fixture::new();
    fill(&fixture.source());
    fixture.backup();
    for pattern in ["file", "er", "*link*", "/source/deep/*", "sparse", "nothing"] {
        let mut found = all(&fixture, &entries(pattern));
        found.sort();
        assert_eq!(found, with_restic(&fixture, pattern), "{pattern}");
    }
    let Query::Entries { filter, .. } = entries("file") else {
        panic!()
    };
    let recent = Query::Entries {
        filter,
        oldest: Some("2999-01-01T00:00:00Z".parse().unwrap()),
        newest: None,
    };
    assert_eq!(all(&fixture, &recent), [""; 0]);
}

#[test]
fn objects_are_found_in_every_snapshot() {
    let fixture = Fixture::new();
    fill(&fixture.source());
    fixture.backup();
    std::fs::write(fixture.source().join("another"), "y").unwrap();
    fixture.backup();
    let blob = Id::hash(b"content").to_hex();
    let found = all(&fixture, &Query::Blobs(vec![blob[..20].to_owned()]));
    assert_eq!(found, ["/source/deep/er/still/file", "/source/hard link"].repeat(2));
    let (repository, index) = fixture.open();
    let tree = fixture
        .select(&repository, "latest:source/deep")
        .tree(&repository, &index)
        .unwrap();
    assert_eq!(
        all(&fixture, &Query::Trees(vec![tree.to_hex()])),
        ["/source/deep"].repeat(2)
    );
    let root = fixture.select(&repository, "latest").snapshot.tree;
    assert_eq!(all(&fixture, &Query::Trees(vec![root.to_hex()])), ["/"]);
    let pack = index.find(BlobKind::Data, &Id::hash(b"y")).unwrap().pack;
    assert!(all(&fixture, &Query::Packs(vec![pack.to_hex()])).contains(&"/source/another".to_owned()));
}
