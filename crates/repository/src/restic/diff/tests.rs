//! Compared with restic.

use super::*;
use crate::Recorder;
use crate::restic::restore::fixture::*;
use crate::restic::select::latest;

/// Numbers behind a word in restic's output.
fn number(output: &str, line_start: &str, at: usize) -> u64 {
    let line = output
        .lines()
        .find(|line| line.trim_start().starts_with(line_start))
        .unwrap();
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    numbers[at]
}

#[test]
fn differences_are_those_that_restic_finds() {
    let fixture = Fixture::new();
    fill(&fixture.source());
    std::fs::create_dir_all(fixture.source().join("same/inner")).unwrap();
    std::fs::write(fixture.source().join("same/inner/original"), "copied").unwrap();
    fixture.backup();
    let (repository, index) = fixture.open();
    let (first, before) = latest(&repository, &Default::default(), &Recorder::default())
        .unwrap()
        .unwrap();
    drop((repository, index));
    let at = |name: &str| fixture.source().join(name);
    std::fs::write(at("copy"), "copied").unwrap();
    std::fs::write(at("sparse"), noise(600_000, 9)).unwrap();
    std::fs::remove_file(at("hard link")).unwrap();
    std::fs::remove_file(at("link")).unwrap();
    std::fs::write(at("link"), "a file now").unwrap();
    std::fs::create_dir_all(at("new/dir")).unwrap();
    std::fs::remove_dir_all(at("locked")).unwrap();
    set_mtime(&at("deep/er/still/file"), 77);
    fixture.backup();
    let (repository, index) = fixture.open();
    let (second, after) = latest(&repository, &Default::default(), &Recorder::default())
        .unwrap()
        .unwrap();
    for metadata in [false, true] {
        let mut ours = Vec::new();
        let mut each = |path: &Path, change: Change| {
            ours.push(format!("{:<4} {}", change.sign(), path.display()));
            Ok(())
        };
        let options = DiffOptions { metadata };
        let report = diff(
            &repository,
            &index,
            &before.tree,
            &after.tree,
            &options,
            &mut each,
            &Cancel::default(),
            &Recorder::default(),
        )
        .unwrap();
        let (first, second) = (first.to_hex(), second.to_hex());
        let arguments = if metadata {
            vec!["diff", "--metadata", &first, &second]
        } else {
            vec!["diff", &first, &second]
        };
        let output = String::from_utf8(fixture.restic(&arguments)).unwrap();
        let is_entry = |line: &&str| line.contains(" /");
        let theirs: Vec<String> = output
            .lines()
            .filter(is_entry)
            .map(|line| line.trim_end_matches('/').replace("TU ", "T  "))
            .collect();
        let mut ours_sorted = ours.clone();
        let mut theirs_sorted = theirs.clone();
        ours_sorted.sort();
        theirs_sorted.sort();
        assert_eq!(ours_sorted, theirs_sorted, "{output}");
        let check = |line, added: u64, removed: u64| {
            assert_eq!(
                (added, removed),
                (number(&output, line, 0), number(&output, line, 1)),
                "{line} {output}"
            );
        };
        check("Files:", report.added.files, report.removed.files);
        check("Dirs:", report.added.dirs, report.removed.dirs);
        check("Others:", report.added.others, report.removed.others);
        check("Data Blobs:", report.added.data_blobs, report.removed.data_blobs);
        check("Tree Blobs:", report.added.tree_blobs, report.removed.tree_blobs);
    }
}

#[test]
fn what_is_in_a_directory_that_was_a_file_is_added() {
    let fixture = Fixture::new();
    std::fs::write(fixture.source().join("one"), "1").unwrap();
    fixture.backup();
    let (repository, _) = fixture.open();
    let before = fixture.select(&repository, "latest").snapshot.tree;
    std::fs::remove_file(fixture.source().join("one")).unwrap();
    std::fs::create_dir(fixture.source().join("one")).unwrap();
    std::fs::write(fixture.source().join("one/inside"), "2").unwrap();
    fixture.backup();
    let (repository, index) = fixture.open();
    let after = fixture.select(&repository, "latest").snapshot.tree;
    let (mut found, monitor) = (Vec::new(), Recorder::default());
    let mut each = |path: &Path, change| {
        found.push((path.to_owned(), change));
        Ok(())
    };
    let report = diff(
        &repository,
        &index,
        &before,
        &after,
        &DiffOptions::default(),
        &mut each,
        &Cancel::default(),
        &monitor,
    )
    .unwrap();
    assert_eq!(
        found,
        [
            (PathBuf::from("/source/one"), Change::Kind),
            (PathBuf::from("/source/one/inside"), Change::Added)
        ]
    );
    assert_eq!((report.added.files, report.removed.bytes > 0), (1, true));
}
