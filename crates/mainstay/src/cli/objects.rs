//! Objects of a repository by the beginning of their id.

use crate::config::Misuse;
use repository::restic::object::ObjectKind;
use repository::restic::repository::Repository;
use repository::{Error, Id, Result};

/// The one object of a kind whose id begins with `prefix`.
pub fn find_object(repository: &Repository, kind: ObjectKind, prefix: &str) -> anyhow::Result<Id> {
    if let Ok(id) = prefix.parse() {
        return existing(repository, kind, id);
    }
    let ids = repository.list(kind)?.into_iter().map(|(id, _)| id);
    Ok(only_one(kind.name(), prefix, ids)??)
}

fn existing(repository: &Repository, kind: ObjectKind, id: Id) -> anyhow::Result<Id> {
    match repository.store().stat(&kind.object_name(&id)) {
        Err(error) if error.kind == storage::ErrorKind::NotFound => Err(Error::NotFound {
            what: kind.name(),
            name: id.to_string(),
        }
        .into()),
        Err(error) => Err(Error::from(error).into()),
        Ok(_) => Ok(id),
    }
}

/// The one of `ids` that begins with `prefix`.
pub fn only_one(what: &'static str, prefix: &str, ids: impl Iterator<Item = Id>) -> Result<Result<Id>, Misuse> {
    if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let hint = "An id consists of the digits 0 to 9 and a to f; its beginning is enough.";
        return Err(Misuse::new(format!("`{prefix}` is no id of a {what}"), hint));
    }
    let prefix_lower = prefix.to_ascii_lowercase();
    let mut matching: Vec<Id> = ids.filter(|id| id.to_hex().starts_with(&prefix_lower)).collect();
    matching.sort_unstable();
    matching.dedup();
    Ok(match matching[..] {
        [id] => Ok(id),
        [] => Err(Error::NotFound {
            what,
            name: prefix.to_owned(),
        }),
        _ => Err(Error::Refused {
            message: format!(
                "`{prefix}` is the beginning of {} ids of {what} objects",
                matching.len()
            ),
            hint: "Give more digits of the id.".to_owned(),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_single_match_is_taken() {
        let ids = [Id([0x11; 32]), Id([0x12; 32])];
        let find = |prefix| only_one("key", prefix, ids.into_iter());
        assert_eq!(find("12").unwrap().unwrap(), ids[1]);
        assert!(matches!(find("1").unwrap(), Err(Error::Refused { .. })));
        assert!(matches!(find("2").unwrap(), Err(Error::NotFound { .. })));
        assert!(find("").is_err() && find("xyz").is_err());
    }
}
