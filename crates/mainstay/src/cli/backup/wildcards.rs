//! Patterns of `--files-from`, which are those of Go's `filepath.Match`, in the form that our library takes.

/// `*` and `?` do not match `/`, `[^a-z]` is everything else, and `\` takes away the meaning of what follows. Nothing, if the pattern is
/// not well formed.
pub fn from_go(pattern: &str) -> Option<String> {
    let mut translated = String::with_capacity(pattern.len());
    let mut rest = pattern.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '\\' => translated.push_str(&glob::Pattern::escape(&rest.next()?.to_string())),
            // Two of them mean the same as one, but mean whole paths to the library.
            '*' => {
                while rest.next_if_eq(&'*').is_some() {}
                translated.push('*');
            }
            '[' => translated.push_str(&class(&mut rest)?),
            other => translated.push(other),
        }
    }
    Some(translated)
}

/// Whether there is anything in the pattern that is more than a name.
pub fn is_pattern(pattern: &[u8]) -> bool {
    pattern.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
}

/// The rest of a class, behind its `[`. Its signs are put into the order in which none has a meaning of its own to the library.
fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let is_negated = rest.next_if_eq(&'^').is_some();
    let mut parts = Vec::new();
    while parts.is_empty() || rest.next_if_eq(&']').is_none() {
        let first = sign(rest)?;
        let last = if rest.next_if_eq(&'-').is_some() {
            sign(rest)?
        } else {
            first
        };
        parts.push((first, last));
    }
    // `]` first, `!` not first, `-` last.
    parts.sort_by_key(|(first, _)| match first {
        ']' => 0,
        '!' => 2,
        '-' => 3,
        _ => 1,
    });
    if !is_negated && parts.iter().all(|part| *part == ('!', '!')) {
        return Some("!".to_owned());
    }
    let negation = if is_negated { "!" } else { "" };
    let part = |(first, last): (char, char)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    };
    let parts: String = parts.into_iter().map(part).collect();
    Some(format!("[{negation}{parts}]"))
}

/// A sign in a class, with or without `\`.
fn sign(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match rest.next()? {
        '\\' => rest.next(),
        '-' | ']' => None,
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_what_they_match_in_go() {
        for (pattern, matching, other) in [
            (r"\*", "*", "a"),
            (r"a\[1\]", "a[1]", "a1"),
            (r"\\x\?", r"\x?", r"\xy"),
            ("**", "ab", ""),
            ("a**c", "abc", "ab"),
            ("[^a-c]x", "dx", "bx"),
            ("[!a]", "!", "b"),
            ("[!]", "!", "a"),
            (r"[\]x]", "]", "\\"),
            (r"[a\-c]", "-", "b"),
            ("?.txt", "a.txt", ".txt"),
        ] {
            let translated = glob::Pattern::new(&from_go(pattern).unwrap()).unwrap();
            assert!(translated.matches(matching), "{pattern}");
            assert!(other.is_empty() || !translated.matches(other), "{pattern}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for pattern in ["[", "[a", "[]a]", "[-a]", "[a-]", r"a\", r"[\"] {
            assert_eq!(from_go(pattern), None, "{pattern}");
        }
    }
}
