//! What was restored beside what was captured.

use super::catalog::Catalog;
use super::properties::Properties;
use crate::source::{Proof, Verdict};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// So many differences are named.
const NAMED: usize = 5;

/// Rows of every table. Of a dump that the user made partial, tables may lack or be empty.
pub fn rows(expected: &BTreeMap<String, u64>, found: &BTreeMap<String, u64>, is_partial: bool, proof: &mut Proof) {
    let differs = |table: &&String| match (expected.get(*table), found.get(*table)) {
        (Some(_), None | Some(0)) if is_partial => false,
        (expected, found) => expected != found,
    };
    let mut tables: Vec<&String> = expected.keys().chain(found.keys()).collect();
    tables.sort();
    tables.dedup();
    let count = |rows: Option<&u64>| rows.map_or_else(|| "no table".to_owned(), |rows| format!("{rows} rows"));
    let differences: Vec<String> = tables
        .into_iter()
        .filter(differs)
        .map(|table| {
            format!(
                "{table}: expected {}, found {}",
                count(expected.get(table)),
                count(found.get(table))
            )
        })
        .collect();
    add("rows", &differences, proof);
}

/// Sequences, extensions, definitions, and nothing invalid.
pub fn catalogs(expected: &Catalog, found: &Catalog, is_partial: bool, proof: &mut Proof) {
    // A sequence goes on while the dump is written: it may be ahead of the moment, and never behind it.
    let is_behind = |(name, last): &(&String, &Option<i64>)| match found.sequences.get(*name) {
        None => !is_partial,
        Some(found) => found < *last,
    };
    let sequences = expected.sequences.iter().filter(is_behind);
    let sequences: Vec<String> = sequences
        .map(|(name, last)| format!("{name}: expected {last:?}"))
        .collect();
    add("sequences", &sequences, proof);
    let names = |catalog: &Catalog| catalog.extensions.keys().cloned().collect::<Vec<_>>().join(", ");
    proof.compare("extensions", names(expected), names(found));
    let versions = differences(&expected.extensions, &found.extensions);
    if !versions.is_empty() {
        let reason = format!("this host has other versions: {}", versions.join(", "));
        proof.add("versions of extensions", Verdict::Skipped { reason });
    }
    if is_partial {
        let reason = "`arguments` may leave something out".to_owned();
        proof.add("definitions", Verdict::Skipped { reason });
    } else {
        add("definitions", &differences(&expected.schema, &found.schema), proof);
    }
    let new = found.not_valid.iter().filter(|name| !expected.not_valid.contains(name));
    let invalid: Vec<String> = new.chain(&found.invalid_indexes).cloned().collect();
    add("constraints and indexes that are not valid", &invalid, proof);
}

/// Encoding, settings, rights.
pub fn properties(expected: &Properties, found: &Properties, with_privileges: bool, proof: &mut Proof) {
    proof.compare("encoding", &expected.encoding, &found.encoding);
    proof.compare("owner", &expected.owner, &found.owner);
    compare("settings", &expected.settings, &found.settings, proof);
    if with_privileges {
        compare("rights", &expected.privileges, &found.privileges, proof);
    }
}

fn compare<T: PartialEq + Debug>(what: &str, expected: &T, found: &T, proof: &mut Proof) {
    let different = (expected != found).then(|| format!("expected {expected:?}, found {found:?}"));
    add(what, different.as_slice(), proof);
}

fn differences(expected: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> Vec<String> {
    let mut names: Vec<&String> = expected.keys().chain(found.keys()).collect();
    names.sort();
    names.dedup();
    names.retain(|name| expected.get(*name) != found.get(*name));
    let shown = |value: Option<&String>| value.map_or("none", String::as_str).to_owned();
    names
        .into_iter()
        .map(|name| {
            format!(
                "{name}: expected {}, found {}",
                shown(expected.get(name)),
                shown(found.get(name))
            )
        })
        .collect()
}

/// Passed, if there is nothing that differs.
fn add(what: &str, differences: &[String], proof: &mut Proof) {
    let verdict = if differences.is_empty() {
        Verdict::Passed
    } else {
        let mut message = differences.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
        if differences.len() > NAMED {
            message.push_str(&format!("; and {} more", differences.len() - NAMED));
        }
        Verdict::Failed { message }
    };
    proof.add(what, verdict);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
        pairs.iter().map(|(name, rows)| ((*name).to_owned(), *rows)).collect()
    }

    #[test]
    fn a_table_that_differs_is_named() {
        let check = |found: &[(&str, u64)], is_partial: bool| {
            let mut proof = Proof::default();
            rows(&map(&[("a", 1), ("b", 2)]), &map(found), is_partial, &mut proof);
            proof.checks.remove(0).verdict
        };
        assert_eq!(check(&[("a", 1), ("b", 2)], false), Verdict::Passed);
        let Verdict::Failed { message } = check(&[("a", 1)], false) else {
            panic!("a table is missing");
        };
        assert_eq!(message, "b: expected 2 rows, found no table");
        assert_eq!(check(&[("a", 1)], true), Verdict::Passed);
        assert!(matches!(check(&[("a", 1), ("b", 1)], true), Verdict::Failed { .. }));
        assert!(matches!(
            check(&[("a", 1), ("b", 2), ("c", 0)], false),
            Verdict::Failed { .. }
        ));
    }

    #[test]
    fn a_sequence_may_be_ahead_and_not_behind() {
        let catalog = |last: Option<i64>| Catalog {
            sequences: BTreeMap::from([("s".to_owned(), last)]),
            ..Catalog::default()
        };
        let check = |expected, found| {
            let mut proof = Proof::default();
            catalogs(&catalog(expected), &catalog(found), false, &mut proof);
            proof.checks.remove(0).verdict
        };
        assert_eq!(check(Some(3), Some(4)), Verdict::Passed);
        assert_eq!(check(None, None), Verdict::Passed);
        assert!(matches!(check(Some(3), Some(2)), Verdict::Failed { .. }));
        assert!(matches!(check(Some(3), None), Verdict::Failed { .. }));
    }
}
