//! What was probably meant.

use crate::config::keys::one_of;

/// The known word that is closest to `word`, if any is close.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase().replace('-', "_");
    let distance = |known: &str| strsim::damerau_levenshtein(&word, &known.to_lowercase().replace('-', "_"));
    let closest = known
        .iter()
        .map(|known| (distance(known), *known))
        .min_by_key(|(distance, _)| *distance);
    // A third of the letters wrong is a slip; more is another word.
    closest
        .filter(|(distance, known)| *distance <= (known.len() / 3).max(1))
        .map(|(_, known)| known)
}

/// A sentence that names it, or else everything that is known.
pub fn hint(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(known) => format!("Did you mean `{known}`?"),
        None if known.is_empty() => "Remove it.".to_owned(),
        None => format!("Known here: {}.", one_of(known)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["password", "region", "to"];
        assert_eq!(nearest("pasword", &known), Some("password"));
        assert_eq!(nearest("Regoin", &known), Some("region"));
        assert_eq!(nearest("ot", &known), Some("to"));
        assert_eq!(nearest("encryption", &known), None);
        assert_eq!(hint("zone", &known), "Known here: `password`, `region` or `to`.");
    }
}
