//! The names of restic's layout, which are all that the protocol has words for.
//!
//! A pack is `data/3f/3f9a…` here, as in a directory, and `data/3f9a…` in the protocol: how a server arranges packs is its own
//! affair.

use crate::ObjectInfo;

/// The lists that a server has, and `config` beside them.
pub(super) const KINDS: [&str; 5] = ["data", "keys", "locks", "snapshots", "index"];

/// Where the protocol has the object `name`; nothing if it is not one of restic's.
pub(super) fn path(name: &str) -> Option<Vec<&str>> {
    let parts: Vec<_> = name.split('/').collect();
    match parts[..] {
        ["config"] => Some(parts),
        ["data", folder, id] if is_id(id) && id.starts_with(folder) && folder.len() == 2 => Some(vec!["data", id]),
        [kind, id] if kind != "data" && KINDS.contains(&kind) && is_id(id) => Some(parts),
        _ => None,
    }
}

/// The object that a server lists as `file` of `kind`; nothing for what others have put there.
pub(super) fn object(kind: &str, file: &str, size: u64) -> Option<ObjectInfo> {
    let name = match kind {
        "data" => format!("data/{}/{file}", file.get(..2)?),
        _ => format!("{kind}/{file}"),
    };
    is_id(file).then_some(ObjectInfo { name, size })
}

/// The lists in which everything under `prefix` is.
pub(super) fn kinds_under(prefix: &str) -> impl Iterator<Item = &'static str> {
    let first = prefix.split('/').next().unwrap_or_default().to_owned();
    KINDS.into_iter().filter(move |kind| first.is_empty() || *kind == first)
}

/// The SHA-256 of the content, which all names but `config` are.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths() {
        let id = "3f".repeat(32);
        assert_eq!(path("config"), Some(vec!["config"]));
        assert_eq!(path(&format!("data/3f/{id}")), Some(vec!["data", &id]));
        assert_eq!(path(&format!("index/{id}")), Some(vec!["index", &id]));
        for other in [
            format!("data/{id}"),
            format!("data/30/{id}"),
            format!("data/3f3/{id}"),
            format!("keys/{}", &id[1..]),
            format!("keys/{}", id.to_uppercase()),
            format!("other/{id}"),
            "archive.tar".to_owned(),
            id.clone(),
        ] {
            assert_eq!(path(&other), None, "{other}");
        }
        assert_eq!(object("data", &id, 5).unwrap().name, format!("data/3f/{id}"));
        assert_eq!(object("keys", &id, 5).unwrap().name, format!("keys/{id}"));
        assert_eq!(object("data", "x", 5), None);
        assert_eq!(object("keys", "x.tmp", 5), None);
    }

    #[test]
    fn lists_for_a_prefix() {
        assert_eq!(kinds_under("").count(), KINDS.len());
        assert_eq!(kinds_under("data/3f").collect::<Vec<_>>(), ["data"]);
        assert_eq!(kinds_under("config").count(), 0);
        assert_eq!(kinds_under("database").count(), 0);
    }
}
