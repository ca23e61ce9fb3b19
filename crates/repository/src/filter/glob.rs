//! Patterns for one name, with the meaning of Go's `filepath.Match`.

/// What one name has to look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob {
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// These bytes.
    Text(Vec<u8>),
    /// One character.
    One,
    /// Any characters, also none.
    Any,
    /// One character of these ranges, both ends included, or not of them.
    Class {
        is_negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// The pattern is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Glob {
    /// Whether a name without any of these stands for itself.
    pub fn is_plain(text: &[u8]) -> bool {
        !text.iter().any(|byte| b"\\[]*?".contains(byte))
    }

    pub fn parse(mut text: &[u8]) -> Result<Self, Malformed> {
        let mut tokens = Vec::new();
        while let Some((first, rest)) = text.split_first() {
            text = rest;
            match first {
                b'*' => tokens.push(Token::Any),
                b'?' => tokens.push(Token::One),
                b'[' => tokens.push(parse_class(&mut text)?),
                b'\\' => {
                    let (escaped, rest) = text.split_first().ok_or(Malformed)?;
                    push_text(&mut tokens, *escaped);
                    text = rest;
                }
                byte => push_text(&mut tokens, *byte),
            }
        }
        Ok(Self { tokens })
    }

    pub fn matches(&self, name: &[u8]) -> bool {
        // On a mismatch, the last `*` takes one byte more; earlier ones never have to.
        let (mut tokens, mut name) = (self.tokens.as_slice(), name);
        let mut last_star: Option<(&[Token], &[u8])> = None;
        loop {
            match tokens.split_first() {
                Some((Token::Any, rest)) => {
                    last_star = Some((rest, name));
                    tokens = rest;
                    continue;
                }
                Some((token, rest)) => {
                    if let Some(after) = token.strip(name) {
                        (tokens, name) = (rest, after);
                        continue;
                    }
                }
                None if name.is_empty() => return true,
                None => {}
            }
            match last_star {
                Some((rest, [_, shorter @ ..])) => {
                    last_star = Some((rest, shorter));
                    (tokens, name) = (rest, shorter);
                }
                _ => return false,
            }
        }
    }
}

impl Token {
    /// What is left of `name` after this token.
    fn strip<'a>(&self, name: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Self::Text(text) => name.strip_prefix(text.as_slice()),
            Self::Any => Some(name),
            Self::One => Some(first_char(name)?.1),
            Self::Class { is_negated, ranges } => {
                let (c, rest) = first_char(name)?;
                let is_in = ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
                (is_in != *is_negated).then_some(rest)
            }
        }
    }
}

fn push_text(tokens: &mut Vec<Token>, byte: u8) {
    match tokens.last_mut() {
        Some(Token::Text(text)) => text.push(byte),
        _ => tokens.push(Token::Text(vec![byte])),
    }
}

/// What follows `[` up to and with `]`.
fn parse_class(text: &mut &[u8]) -> Result<Token, Malformed> {
    let is_negated = text.first() == Some(&b'^');
    if is_negated {
        *text = &text[1..];
    }
    let mut ranges = Vec::new();
    loop {
        if text.first() == Some(&b']') && !ranges.is_empty() {
            *text = &text[1..];
            return Ok(Token::Class { is_negated, ranges });
        }
        let low = class_char(text)?;
        let mut high = low;
        if text.first() == Some(&b'-') {
            *text = &text[1..];
            high = class_char(text)?;
        }
        ranges.push((low, high));
    }
}

/// One character within `[]`: `-` and `]` stand for themselves after `\` only.
fn class_char(text: &mut &[u8]) -> Result<char, Malformed> {
    match text.first() {
        None | Some(b'-' | b']') => return Err(Malformed),
        Some(b'\\') => *text = &text[1..],
        Some(_) => {}
    }
    let chunk = text.utf8_chunks().next().ok_or(Malformed)?;
    let c = chunk.valid().chars().next().ok_or(Malformed)?;
    *text = &text[c.len_utf8()..];
    // The class has to be closed.
    if text.is_empty() { Err(Malformed) } else { Ok(c) }
}

/// The first character and the rest; a byte that is not UTF-8 is a character by itself, as in Go.
fn first_char(name: &[u8]) -> Option<(char, &[u8])> {
    let first = *name.first()?;
    if first.is_ascii() {
        return Some((char::from(first), &name[1..]));
    }
    let head = &name[..name.len().min(4)];
    let c = head.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
    let length = c.map_or(1, char::len_utf8);
    Some((c.unwrap_or(char::REPLACEMENT_CHARACTER), &name[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of Go's own test, `path/filepath/match_test.go`, as far as names without `/` go, with more about bytes.
    #[test]
    fn matches_like_go() {
        for (pattern, name, matches) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*", "", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("a*b*c*d*e*", "axbxcxdxe", true),
            ("a*b*c*d*e*", "axbxcxdxexxx", true),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^b-d]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("a[^a][^a][^a]b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("[\\]a]", "]", true),
            ("[\\-]", "-", true),
            ("[x\\-]", "x", true),
            ("[x\\-]", "z", false),
            ("[\\-x]", "-", true),
            ("[!a]", "!", true),
            ("[z-a]", "b", false),
            ("[*]", "*", true),
            ("a]", "a]", true),
            ("*x", "xxx", true),
            ("{a,b}", "a", false),
        ] {
            assert_eq!(
                Glob::parse(pattern.as_bytes()).unwrap().matches(name.as_bytes()),
                matches,
                "{pattern} {name}"
            );
        }
        assert!(Glob::parse(b"a?b\xff").unwrap().matches(b"a\xfeb\xff"));
        assert!(!Glob::parse(b"?").unwrap().matches(b"\xfe\xff"));
        assert!(Glob::parse(b"[\xef\xbf\xbd]").unwrap().matches(b"\xff"));
    }

    #[test]
    fn refuses_what_go_refuses() {
        for pattern in [
            "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[", "[^", "[^bc", "a[", "\\", "[\\", "[a", "[a-",
        ] {
            assert_eq!(Glob::parse(pattern.as_bytes()), Err(Malformed), "{pattern}");
        }
        assert_eq!(Glob::parse(b"[\xff]"), Err(Malformed));
    }
}
