//! The little of BSON that an archive's own documents need: fields of a document, by name.

/// A value that an archive's own documents have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A text.
    Text(&'a str),
    /// A flag.
    Flag(bool),
    /// A number of 64 bits.
    Number(i64),
    /// Anything else.
    Other,
}

/// The fields of a document, in their order. Nothing if it is none.
pub fn fields(document: &[u8]) -> Option<Vec<(&str, Value<'_>)>> {
    let (length, rest) = document.split_first_chunk::<4>()?;
    if usize::try_from(i32::from_le_bytes(*length)).ok()? != document.len() {
        return None;
    }
    let (last, mut rest) = rest.split_last()?;
    if *last != 0 {
        return None;
    }
    let mut fields = Vec::new();
    while let Some((kind, after)) = rest.split_first() {
        let (name, after) = cstring(after)?;
        let (value, after) = value(*kind, after)?;
        fields.push((std::str::from_utf8(name).ok()?, value));
        rest = after;
    }
    Some(fields)
}

/// A field that is a text.
pub fn text<'a>(fields: &[(&str, Value<'a>)], name: &str) -> Option<&'a str> {
    fields.iter().find_map(|(key, value)| match value {
        Value::Text(text) if *key == name => Some(*text),
        Value::Text(_) | Value::Flag(_) | Value::Number(_) | Value::Other => None,
    })
}

fn cstring(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// A length of 32 bits, and what follows it.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(i32::from_le_bytes(*length)).ok()?, rest))
}

/// A value of a kind, and what follows it.
fn value(kind: u8, bytes: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let skip = |count: usize| Some((Value::Other, bytes.get(count..)?));
    match kind {
        0x02 => {
            let (length, rest) = length(bytes)?;
            let (text, rest) = rest.split_at_checked(length)?;
            let (end, text) = text.split_last()?;
            (*end == 0).then_some((Value::Text(std::str::from_utf8(text).ok()?), rest))
        }
        0x08 => {
            let (flag, rest) = bytes.split_first()?;
            Some((Value::Flag(*flag != 0), rest))
        }
        0x12 => {
            let (number, rest) = bytes.split_first_chunk::<8>()?;
            Some((Value::Number(i64::from_le_bytes(*number)), rest))
        }
        // No content: undefined, null, the least and the greatest key.
        0x06 | 0x0a | 0x7f | 0xff => skip(0),
        // Numbers of 32, 64 and 128 bits, times, an object's id.
        0x10 => skip(4),
        0x01 | 0x09 | 0x11 => skip(8),
        0x07 => skip(12),
        0x13 => skip(16),
        // Documents and arrays say their length with its own four bytes.
        0x03 | 0x04 | 0x0f => {
            let (length, _) = length(bytes)?;
            (length >= 5).then_some(())?;
            skip(length)
        }
        // Code and symbols are texts, binary has one byte more, a pointer an id behind it.
        0x0d | 0x0e => skip(length(bytes)?.0.checked_add(4)?),
        0x05 => skip(length(bytes)?.0.checked_add(5)?),
        0x0c => skip(length(bytes)?.0.checked_add(16)?),
        0x0b => {
            let (_, rest) = cstring(bytes)?;
            let (_, rest) = cstring(rest)?;
            Some((Value::Other, rest))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_are_found_among_values_of_every_kind() {
        let mut body = Vec::new();
        let mut add = |kind: u8, name: &str, value: &[u8]| {
            body.push(kind);
            body.extend(name.as_bytes());
            body.push(0);
            body.extend(value);
        };
        for (kind, length) in [(0x01, 8), (0x09, 8), (0x11, 8), (0x07, 12), (0x13, 16), (0x10, 4)] {
            add(kind, "x", &vec![7; length]);
        }
        for kind in [0x06, 0x0a, 0x7f, 0xff] {
            add(kind, "nothing", b"");
        }
        add(0x03, "document", &[5, 0, 0, 0, 0]);
        add(0x04, "array", &[5, 0, 0, 0, 0]);
        add(0x0f, "code with scope", &[5, 0, 0, 0, 0]);
        add(0x05, "binary", &[2, 0, 0, 0, 0, 9, 9]);
        add(0x0b, "expression", b"a.*\0i\0");
        add(0x0d, "code", &[2, 0, 0, 0, b'a', 0]);
        add(0x0c, "pointer", &[[2, 0, 0, 0, b'a', 0].as_slice(), &[1; 12]].concat());
        add(0x02, "db", &[4, 0, 0, 0, b'a', b'p', b'p', 0]);
        add(0x08, "EOF", &[1]);
        add(0x12, "CRC", &(-2_i64).to_le_bytes());
        let length = i32::try_from(body.len() + 5).unwrap();
        let document = [&length.to_le_bytes(), body.as_slice(), &[0]].concat();
        let found = fields(&document).unwrap();
        assert_eq!(text(&found, "db"), Some("app"));
        assert_eq!(text(&found, "EOF"), None);
        assert_eq!(
            found[found.len() - 2..],
            [("EOF", Value::Flag(true)), ("CRC", Value::Number(-2))]
        );
        assert_eq!(fields(&document[..document.len() - 1]), None);
    }

    proptest! {
        #[test]
        fn whatever_is_no_document_is_refused_and_nothing_worse(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut document = i32::try_from(bytes.len() + 5).unwrap().to_le_bytes().to_vec();
            document.extend(&bytes);
            document.push(0);
            let _: Option<_> = fields(&document);
            let _: Option<_> = fields(&bytes);
        }
    }
}
