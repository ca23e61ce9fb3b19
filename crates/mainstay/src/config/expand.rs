//! `$NAME` and `${NAME}` in text, as Go's `os.Expand` replaces them, which restic uses for files of patterns.

use super::env::Environment;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// `text` with variables replaced. One that is not set is replaced by nothing, `$$` by `$`; a `$` before anything else stays.
pub fn expand(text: &[u8], environment: &Environment) -> OsString {
    let mut expanded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&byte| byte == b'$') {
        expanded.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let (name, length) = name_in(rest);
        match name {
            Some(name) => expanded.extend(value(name, environment)),
            // `${` without an end, or without a name, is dropped.
            None if length > 0 => {}
            None => expanded.push(b'$'),
        }
        rest = &rest[length..];
    }
    expanded.extend_from_slice(rest);
    OsString::from_vec(expanded)
}

fn value(name: &[u8], environment: &Environment) -> Vec<u8> {
    if name == b"$" {
        return b"$".to_vec();
    }
    let name = std::ffi::OsStr::from_bytes(name);
    environment.named(name).map(OsString::into_vec).unwrap_or_default()
}

/// The name that stands at the beginning of `text`, behind a `$`, and how long it is there.
fn name_in(text: &[u8]) -> (Option<&[u8]>, usize) {
    match text {
        [b'{', special, b'}', ..] if is_special(*special) => (Some(&text[1..2]), 3),
        [b'{', braced @ ..] => match braced.iter().position(|&byte| byte == b'}') {
            None => (None, 1),
            Some(0) => (None, 2),
            Some(end) => (Some(&braced[..end]), end + 2),
        },
        [special, ..] if is_special(*special) => (Some(&text[..1]), 1),
        _ => {
            let is_name = |byte: &u8| *byte == b'_' || byte.is_ascii_alphanumeric();
            let length = text.iter().take_while(|byte| is_name(byte)).count();
            ((length > 0).then(|| &text[..length]), length)
        }
    }
}

/// One of the names of a shell that consist of one sign.
fn is_special(byte: u8) -> bool {
    matches!(byte, b'*' | b'#' | b'$' | b'@' | b'!' | b'?' | b'-' | b'0'..=b'9')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the rules of Go's `os.Expand`, and `$$` as restic adds it.
    #[test]
    fn variables_are_replaced_as_by_go() {
        let environment = Environment::default().with("HOME", "/h").with("A_1", "one");
        for (text, expected) in [
            ("$HOME/.cache", "/h/.cache"),
            ("${HOME}x $A_1. ${A_1}", "/hx one. one"),
            ("a$UNSET/b${UNSET}c", "a/bc"),
            ("$$HOME ${$}x", "$HOME $x"),
            ("50$ $/ $", "50$ $/ $"),
            ("${} ${HOME", " HOME"),
            ("$1x$*y$$", "xy$"),
            ("*.log", "*.log"),
        ] {
            assert_eq!(expand(text.as_bytes(), &environment), expected, "{text}");
        }
    }
}
