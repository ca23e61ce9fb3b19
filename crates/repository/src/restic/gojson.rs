//! JSON and string quoting exactly as Go's standard library writes them.
//!
//! Trees are named by the hash of their text, so a tree that Mainstay and restic both write has to be the same to the byte.
//! Sources: the packages `encoding/json` (with HTML escaping, its default) and `strconv` of Go 1.22.

use std::borrow::Cow;
use unicode_general_category::{GeneralCategory, get_general_category};

/// Append `text` as a JSON string.
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    push_escaped(out, text);
    out.push(b'"');
}

/// Append bytes as a JSON string; each byte that is not part of UTF-8 text is written as the replacement character's escape.
pub fn push_lossy_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        push_escaped(out, chunk.valid());
        chunk.invalid().iter().for_each(|_| out.extend_from_slice(b"\\ufffd"));
    }
    out.push(b'"');
}

fn push_escaped(out: &mut Vec<u8>, text: &str) {
    let mut plain_from = 0;
    for (at, c) in text.char_indices() {
        let escaped: Cow<'static, str> = match c {
            '"' => "\\\"".into(),
            '\\' => "\\\\".into(),
            '\n' => "\\n".into(),
            '\r' => "\\r".into(),
            '\t' => "\\t".into(),
            '\u{8}' => "\\b".into(),
            '\u{c}' => "\\f".into(),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => format!("\\u{:04x}", u32::from(c)).into(),
            c if u32::from(c) < 0x20 => format!("\\u{:04x}", u32::from(c)).into(),
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[plain_from..at]);
        out.extend_from_slice(escaped.as_bytes());
        plain_from = at + c.len_utf8();
    }
    out.extend_from_slice(&text.as_bytes()[plain_from..]);
}

/// What Go's `strconv.Quote` puts between the quotes: how restic stores names of any bytes as text.
pub fn quote(name: &[u8]) -> Cow<'_, str> {
    let plain = |c: &u8| matches!(c, b' '..=b'~') && *c != b'"' && *c != b'\\';
    if name.iter().all(plain)
        && let Ok(text) = std::str::from_utf8(name)
    {
        return text.into();
    }
    let mut out = String::with_capacity(name.len() + 8);
    for chunk in name.utf8_chunks() {
        chunk.valid().chars().for_each(|c| quote_char(c, &mut out));
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out.into()
}

fn quote_char(c: char, out: &mut String) {
    match c {
        '"' | '\\' => out.extend(['\\', c]),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        c if is_printable(c) => out.push(c),
        c if u32::from(c) < 0x20 || c == '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
        c if u32::from(c) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
    }
}

/// Go's `strconv.IsPrint`: letters, marks, numbers, punctuation, symbols and the ASCII space.
fn is_printable(c: char) -> bool {
    use GeneralCategory as C;
    c == ' '
        || c.is_ascii_graphic()
        || !matches!(
            get_general_category(c),
            C::Control
                | C::Format
                | C::Surrogate
                | C::PrivateUse
                | C::Unassigned
                | C::LineSeparator
                | C::ParagraphSeparator
                | C::SpaceSeparator
        )
}

/// The bytes that `quoted` stands for; `None` if it is not what `strconv.Quote` writes.
pub fn unquote(quoted: &str) -> Option<Cow<'_, [u8]>> {
    if !quoted.contains('\\') {
        return (!quoted.contains(['"', '\n'])).then_some(quoted.as_bytes().into());
    }
    let mut out = Vec::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => unescape(&mut chars, &mut out)?,
            '"' | '\n' => return None,
            c => push_char(&mut out, c),
        }
    }
    Some(out.into())
}

fn unescape(chars: &mut std::str::Chars<'_>, out: &mut Vec<u8>) -> Option<()> {
    match chars.next()? {
        'a' => out.push(7),
        'b' => out.push(8),
        'f' => out.push(12),
        'n' => out.push(b'\n'),
        'r' => out.push(b'\r'),
        't' => out.push(b'\t'),
        'v' => out.push(11),
        '\\' => out.push(b'\\'),
        '"' => out.push(b'"'),
        'x' => out.push(number(chars, 2, 16)?.try_into().ok()?),
        'u' => push_char(out, char::from_u32(number(chars, 4, 16)?)?),
        'U' => push_char(out, char::from_u32(number(chars, 8, 16)?)?),
        first @ '0'..='7' => {
            let rest = number(chars, 2, 8)?;
            out.push((first.to_digit(8)? * 64 + rest).try_into().ok()?);
        }
        _ => return None,
    }
    Some(())
}

fn number(chars: &mut std::str::Chars<'_>, digits: usize, radix: u32) -> Option<u32> {
    (0..digits).try_fold(0_u32, |all, _| Some(all * radix + chars.next()?.to_digit(radix)?))
}

fn push_char(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Expectations printed by a Go program.
    #[test]
    fn quotes_like_go() {
        for (name, quoted) in [
            (&b"plain"[..], "plain"),
            (b"a\"b\\c", r#"a\"b\\c"#),
            (b"tab\tnl\nbell\x07del\x7f", r"tab\tnl\nbell\adel\x7f"),
            (b"\xff\xfe", r"\xff\xfe"),
            ("grüße €".as_bytes(), "grüße €"),
            ("\u{a0}\u{ad}\u{200b}\u{feff}".as_bytes(), r"\u00a0\u00ad\u200b\ufeff"),
            ("\u{1f600}".as_bytes(), "\u{1f600}"),
            ("\u{e0001}".as_bytes(), r"\U000e0001"),
        ] {
            assert_eq!(quote(name), quoted);
            assert_eq!(unquote(quoted).unwrap(), name);
        }
    }

    #[test]
    fn escapes_json_like_go() {
        let mut out = Vec::new();
        push_string(&mut out, "<a&b>\"\\\u{1}\u{2028}é");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#""\u003ca\u0026b\u003e\"\\\u0001\u2028é""#
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_like_go() {
        let mut out = Vec::new();
        push_lossy_string(&mut out, b"a\xe2\x82\xff<\xef\xbf\xbd");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\"a\\ufffd\\ufffd\\ufffd\\u003c\u{fffd}\""
        );
    }

    #[test]
    fn refuses_what_go_does_not_write() {
        for text in ["\"", "\\", "\\x1", "\\q", "\\u12", "\\ud800", "\\777", "a\nb"] {
            assert!(unquote(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(name: Vec<u8>) {
            let quoted = quote(&name);
            let unquoted = unquote(&quoted);
            prop_assert_eq!(unquoted.as_deref(), Some(name.as_slice()));
        }

        #[test]
        fn json_strings_come_back(text: String) {
            let mut out = Vec::new();
            push_string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
