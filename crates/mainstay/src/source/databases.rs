//! Which databases of a server are meant, and how their names stand in paths.

use crate::config::Misuse;
use glob::Pattern;
use std::fmt::Write as _;

/// Those of `all` that one of `wanted` names (all, if it is empty) and none of `left_out`, in their order. Names may have wildcards.
///
/// # Errors
/// [`Misuse`] if a pattern makes no sense, or if one of `wanted` names nothing: a database that is gone must not look like one that is
/// empty.
pub fn choose(all: &[String], wanted: &[String], left_out: &[String]) -> Result<Vec<String>, Misuse> {
    let (wanted, left_out) = (patterns(wanted)?, patterns(left_out)?);
    let known = || {
        if all.is_empty() {
            "none".to_owned()
        } else {
            all.join(", ")
        }
    };
    for pattern in &wanted {
        if !all.iter().any(|name| pattern.matches(name)) {
            let message = format!("there is no database `{pattern}`");
            return Err(Misuse::new(
                message,
                format!("Those that can be seen are: {}.", known()),
            ));
        }
    }
    let is_chosen = |name: &&String| {
        (wanted.is_empty() || wanted.iter().any(|pattern| pattern.matches(name)))
            && !left_out.iter().any(|pattern| pattern.matches(name))
    };
    Ok(all.iter().filter(is_chosen).cloned().collect())
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
        assert_eq!(chosen(&[], &[]), all);
        assert_eq!(chosen(&["app*"], &["*_test"]), ["app"]);
        assert_eq!(chosen(&["shop", "app"], &[]), ["app", "shop"]);
        let error = choose(&all, &texts(&["ap"]), &[]).unwrap_err();
        assert!(error.hint.contains("app, app_test, shop"), "{}", error.hint);
        assert!(choose(&all, &texts(&["[a"]), &[]).is_err());
    }
}
