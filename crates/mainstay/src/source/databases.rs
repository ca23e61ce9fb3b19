//! Which databases of a server are meant, and how their names stand in paths.

use super::{Item, Piece, Stream};
use crate::config::Misuse;
use glob::Pattern;
use repository::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

/// Which databases are meant.
#[derive(Debug)]
pub struct Chosen {
    /// Those that are there, in their order.
    pub names: Vec<String>,
    /// What is named and not there.
    pub missing: Vec<Missing>,
}

/// A name or pattern that fits no database. One that is gone must not look like one that is empty, and keeps none of the others from being
/// captured: it becomes a part with a problem.
#[derive(Debug)]
pub struct Missing {
    /// As it is configured.
    pub name: String,
    seen: String,
}

impl Missing {
    /// What is wrong.
    pub fn error(&self) -> Error {
        Error::Refused {
            message: format!(
                "there is no database `{}`; those that can be seen are: {}",
                self.name, self.seen
            ),
            hint: "Check `databases`, and which of them the user may see.".to_owned(),
        }
    }

    /// The part that says so, at the `path` at which the database would stand. `name` is what it is called for people.
    pub fn piece(&self, name: String, path: PathBuf) -> Piece {
        Piece {
            name,
            grade: None,
            items: vec![Item::Stream(Stream::failing(path.clone(), self.error()))],
            path,
            facts: Arc::default(),
        }
    }
}

/// Those of `all` that one of `wanted` names (all, if it is empty) and none of `left_out`. Names may have wildcards.
///
/// # Errors
/// [`Misuse`] if a pattern makes no sense.
pub fn choose(all: &[String], wanted: &[String], left_out: &[String]) -> Result<Chosen, Misuse> {
    let (wanted, left_out) = (patterns(wanted)?, patterns(left_out)?);
    let seen = || {
        if all.is_empty() {
            "none".to_owned()
        } else {
            all.join(", ")
        }
    };
    let fits_none = |pattern: &&Pattern| !all.iter().any(|name| pattern.matches(name));
    let missing = wanted.iter().filter(fits_none).map(|pattern| Missing {
        name: pattern.to_string(),
        seen: seen(),
    });
    let is_chosen = |name: &&String| {
        (wanted.is_empty() || wanted.iter().any(|pattern| pattern.matches(name)))
            && !left_out.iter().any(|pattern| pattern.matches(name))
    };
    Ok(Chosen {
        names: all.iter().filter(is_chosen).cloned().collect(),
        missing: missing.collect(),
    })
}

/// A name as one component of a path.
pub fn in_path(name: &str) -> String {
    let mut text = String::new();
    for character in name.chars() {
        if matches!(character, '/' | '%') || character.is_control() {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                // Writing to a text does not fail.
                let _: Option<()> = write!(text, "%{byte:02X}").ok();
            }
        } else {
            text.push(character);
        }
    }
    text
}

fn patterns(texts: &[String]) -> Result<Vec<Pattern>, Misuse> {
    let parse = |text: &String| {
        Pattern::new(text).map_err(|error| {
            let hint = "`*`, `?` and `[…]` are wildcards; write `[*]` for a star.";
            Misuse::new(format!("`{text}` is no pattern for databases"), hint).because(error)
        })
    };
    texts.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_chosen_by_name_and_pattern_and_a_missing_one_is_an_error() {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let all = texts(&["app", "app_test", "shop"]);
        let chosen = |wanted: &[&str], left_out: &[&str]| choose(&all, &texts(wanted), &texts(left_out)).unwrap();
        assert_eq!(chosen(&[], &[]).names, all);
        assert_eq!(chosen(&["app*"], &["*_test"]).names, ["app"]);
        assert_eq!(chosen(&["shop", "app"], &[]).names, ["app", "shop"]);
        let chosen = chosen(&["ap", "shop", "x*"], &[]);
        let missing: Vec<&str> = chosen.missing.iter().map(|missing| missing.name.as_str()).collect();
        assert_eq!((chosen.names, missing), (texts(&["shop"]), vec!["ap", "x*"]));
        let message = chosen.missing[0].error().to_string();
        assert!(
            message.contains("`ap`") && message.contains("app, app_test, shop"),
            "{message}"
        );
        assert!(choose(&all, &texts(&["[a"]), &[]).is_err());
    }
}
