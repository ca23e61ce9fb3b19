//! Texts with fields of JSON in braces: `items/{id}.json`.

use super::json::pointed;
use serde_json::value::RawValue;

/// A text with fields of JSON in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// As a JSON pointer.
    Field(String),
}

impl Template {
    /// Take a text apart; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (field, after) = after.split_once('}').ok_or("a brace is not closed")?;
            if field.is_empty() || field.contains('{') {
                return Err("braces hold the name of a field, such as `{id}`".to_owned());
            }
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Field(format!("/{}", field.trim_start_matches('/'))));
            rest = after;
        }
        if rest.contains('}') {
            return Err("a brace is closed that was not opened".to_owned());
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self { pieces })
    }

    /// Whether it has fields.
    pub fn has_fields(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Field(_)))
    }

    /// The text with the fields of `json`, each of them `written`; the error says which one it lacks.
    pub fn fill(&self, json: &RawValue, written: fn(&str) -> String) -> Result<String, String> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Field(pointer) => {
                    let value = pointed(json, pointer).and_then(plain);
                    let value = value.ok_or_else(|| {
                        let field = pointer.trim_start_matches('/');
                        format!("an item has no `{field}`, or one that is no text or number")
                    })?;
                    text.push_str(&written(&value));
                }
            }
        }
        Ok(text)
    }
}

/// A value that can be part of a name. An empty one names nothing.
fn plain(json: &RawValue) -> Option<String> {
    let text = match serde_json::from_str(json.get()).ok()? {
        serde_json::Value::String(text) => text,
        serde_json::Value::Number(_) | serde_json::Value::Bool(_) => json.get().to_owned(),
        serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

/// A value as a part of a file's name: one that leads nowhere else, and another one for every other value.
pub fn in_name(value: &str) -> String {
    let dots = value.chars().all(|c| c == '.');
    value.chars().fold(String::new(), |name, c| match c {
        '/' | '%' | '\\' | '\0'..='\x1f' | '\x7f' => format!("{name}%{:02X}", u32::from(c)),
        '.' if dots => name + "%2E",
        _ => name + c.encode_utf8(&mut [0; 4]),
    })
}

/// A value as a part of an address. One that leads up is refused where the address is made ([`Api::at`](crate::source::api::Api::at)).
pub fn in_address(value: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    value.bytes().fold(String::new(), |text, byte| match byte {
        _ if plain(&byte) => text + char::from(byte).encode_utf8(&mut [0; 4]),
        _ => format!("{text}%{byte:02X}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, json: &str) -> Result<String, String> {
        let json = RawValue::from_string(json.to_owned()).unwrap();
        Template::parse(template)?.fill(&json, in_name)
    }

    #[test]
    fn fields_of_an_item_become_its_name() {
        assert_eq!(filled("a/{id}.json", r#"{"id": 7}"#).unwrap(), "a/7.json");
        assert_eq!(
            filled("{meta/uid}-{n}", r#"{"n": "x", "meta": {"uid": "u"}}"#).unwrap(),
            "u-x"
        );
        for (template, json) in [
            ("{id}", "{}"),
            ("{id}", r#"{"id": ""}"#),
            ("{id}", r#"{"id": [1]}"#),
            ("{id", "{}"),
            ("}", "{}"),
            ("{}", "{}"),
        ] {
            assert!(filled(template, json).is_err(), "{template} {json}");
        }
        assert!(!Template::parse("all.json").unwrap().has_fields());
    }

    #[test]
    fn no_value_leads_out_of_its_directory_and_no_two_become_one() {
        for (value, name) in [
            ("../../etc/passwd", "..%2F..%2Fetc%2Fpasswd"),
            ("..", "%2E%2E"),
            (".", "%2E"),
            ("a\0b", "a%00b"),
            ("a%2Fb", "a%252Fb"),
            ("ü.b", "ü.b"),
        ] {
            assert_eq!(in_name(value), name);
        }
        for (value, name) in [("a/b?c", "a%2Fb%3Fc"), ("v1.2", "v1.2"), ("ü", "%C3%BC")] {
            assert_eq!(in_address(value), name);
        }
    }
}
