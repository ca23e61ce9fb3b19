//! Which workflow of a server a stored one takes the place of.

use super::server::Summary;
use std::collections::BTreeSet;

/// Each of `wanted` with the workflow that it replaces: that of its id, else one of its name.
///
/// n8n gives new ids, and a name may stand for several workflows. Where not more of them are there than are stored, they are those that a
/// restore has made which was interrupted, and are replaced one by one; if there are more, nobody knows which are meant, and all stay. The
/// same holds if only some are `wanted` of those that are `stored`.
pub fn replaced(
    wanted: Vec<Summary>,
    stored: &BTreeSet<Summary>,
    there: &BTreeSet<Summary>,
) -> Vec<(Summary, Option<Summary>)> {
    let has = |all: &BTreeSet<Summary>, id: &str| all.iter().any(|one| one.id == id);
    let left: Vec<&Summary> = stored.iter().filter(|one| !has(there, &one.id)).collect();
    let mut free: Vec<&Summary> = there.iter().filter(|one| !has(stored, &one.id)).collect();
    let named = |all: &[&Summary], name: &str| all.iter().filter(|one| one.name == name).count();
    let is_clear = |name: &str, free: &[&Summary]| {
        let (left, free) = (named(&left, name), named(free, name));
        free <= left && (left == 1 || wanted.len() == stored.len())
    };
    let names: BTreeSet<String> = wanted.iter().map(|one| one.name.clone()).collect();
    let clear: BTreeSet<String> = names.into_iter().filter(|name| is_clear(name, &free)).collect();
    let mut take = |one: &Summary| {
        if let Some(same) = there.iter().find(|other| other.id == one.id) {
            return Some(same.clone());
        }
        let is_free = |other: &&Summary| other.name == one.name && clear.contains(&one.name);
        let at = free.iter().position(is_free)?;
        Some(free.remove(at).clone())
    };
    let taken: Vec<Option<Summary>> = wanted.iter().map(&mut take).collect();
    wanted.into_iter().zip(taken).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(texts: &[&str]) -> BTreeSet<Summary> {
        let summary = |text: &&str| {
            let (id, name) = text.split_once(' ').unwrap();
            Summary {
                id: id.to_owned(),
                name: name.to_owned(),
                active: false,
                tags: Vec::new(),
            }
        };
        texts.iter().map(summary).collect()
    }

    fn ids(wanted: &[&str], stored: &[&str], there: &[&str]) -> Vec<Option<String>> {
        let pairs = replaced(all(wanted).into_iter().collect(), &all(stored), &all(there));
        pairs
            .into_iter()
            .map(|(_, there)| there.map(|there| there.id))
            .collect()
    }

    fn some(id: &str) -> Option<String> {
        Some(id.to_owned())
    }

    #[test]
    fn what_an_interrupted_restore_made_is_replaced_and_nothing_is_doubled() {
        let stored = ["1 same", "2 same", "3 other"];
        assert_eq!(ids(&stored, &stored, &[]), [None, None, None]);
        assert_eq!(ids(&stored, &stored, &["8 same"]), [some("8"), None, None]);
        let whole = ["7 other", "8 same", "9 same"];
        assert_eq!(ids(&stored, &stored, &whole), [some("8"), some("9"), some("7")]);
        // The server that it came from.
        assert_eq!(ids(&stored, &stored, &stored), [some("1"), some("2"), some("3")]);
        assert_eq!(
            ids(&stored, &stored, &["2 renamed", "9 same"]),
            [some("9"), some("2"), None]
        );
    }

    #[test]
    fn where_nobody_knows_which_is_meant_all_stay() {
        let stored = ["1 same", "2 same", "3 other"];
        let there = ["7 other", "8 same", "9 same"];
        assert_eq!(ids(&["1 same"], &stored, &there), [None]);
        assert_eq!(ids(&["3 other"], &stored, &there), [some("7")]);
        assert_eq!(ids(&stored, &stored, &["6 other", "7 other"]), [None, None, None]);
    }
}
