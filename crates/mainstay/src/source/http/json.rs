//! JSON that is looked at while it streams by, and parts of JSON as they were written.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// What stands at a JSON pointer (RFC 6901).
pub fn pointed<'a>(json: &'a RawValue, pointer: &str) -> Option<&'a RawValue> {
    let mut here = json;
    for name in pointer.split('/').skip(1) {
        let name = name.replace("~1", "/").replace("~0", "~");
        here = match here.get().as_bytes().first()? {
            b'{' => {
                let fields: HashMap<std::borrow::Cow<'a, str>, &'a RawValue> = serde_json::from_str(here.get()).ok()?;
                *fields.get(name.as_str())?
            }
            b'[' => {
                let items: Vec<&'a RawValue> = serde_json::from_str(here.get()).ok()?;
                *items.get(name.parse::<usize>().ok()?)?
            }
            _ => return None,
        };
    }
    Some(here)
}

/// Whether what is written to it is one JSON value, and how many elements it has.
///
/// A thread reads what is written, so that nothing is held but what is on its way.
pub struct JsonCheck {
    sender: Option<SyncSender<Vec<u8>>>,
    thread: JoinHandle<serde_json::Result<u64>>,
}

impl JsonCheck {
    /// Begin.
    pub fn new() -> Self {
        let (sender, receiver) = sync_channel(4);
        let reader = Chunks {
            receiver,
            chunk: io::Cursor::default(),
        };
        let thread = std::thread::spawn(move || {
            let mut json = serde_json::Deserializer::from_reader(io::BufReader::new(reader));
            let count = Count.deserialize(&mut json)?;
            json.end()?;
            Ok(count)
        });
        Self {
            sender: Some(sender),
            thread,
        }
    }

    /// How many elements there are, if it is an array; else one. The error says why it is no JSON.
    pub fn finish(mut self) -> Result<u64, String> {
        self.sender = None;
        match self.thread.join() {
            Ok(checked) => checked.map_err(|error| error.to_string()),
            Err(_) => Err("it could not be read".to_owned()),
        }
    }
}

impl Write for JsonCheck {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        // If nobody reads any more, it was no JSON: that is said at the end.
        if let Some(sender) = &self.sender
            && sender.send(buffer.to_vec()).is_err()
        {
            self.sender = None;
        }
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Chunks {
    receiver: Receiver<Vec<u8>>,
    chunk: io::Cursor<Vec<u8>>,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.chunk.read(buffer)? {
                0 => match self.receiver.recv() {
                    Ok(chunk) => self.chunk = io::Cursor::new(chunk),
                    Err(_) => return Ok(0),
                },
                read => return Ok(read),
            }
        }
    }
}

/// Counts the elements of an array; anything else is one.
struct Count;

impl<'de> DeserializeSeed<'de> for Count {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Count {
    type Value = u64;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<u64, A::Error> {
        let mut count = 0;
        while items.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<u64, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(1)
    }

    fn visit_bool<E>(self, _: bool) -> Result<u64, E> {
        Ok(1)
    }

    fn visit_i64<E>(self, _: i64) -> Result<u64, E> {
        Ok(1)
    }

    fn visit_u64<E>(self, _: u64) -> Result<u64, E> {
        Ok(1)
    }

    fn visit_f64<E>(self, _: f64) -> Result<u64, E> {
        Ok(1)
    }

    fn visit_str<E>(self, _: &str) -> Result<u64, E> {
        Ok(1)
    }

    fn visit_unit<E>(self) -> Result<u64, E> {
        Ok(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(text: &str) -> Result<u64, String> {
        let mut check = JsonCheck::new();
        for part in text.as_bytes().chunks(3) {
            check.write_all(part).unwrap();
        }
        check.finish()
    }

    #[test]
    fn elements_are_counted_and_what_is_no_json_is_found() {
        assert_eq!(counted(r#"[1, {"a": [2, 3]}, "x"]"#), Ok(3));
        assert_eq!(counted(r#"{"a": [1, 2]}"#), Ok(1));
        assert_eq!(counted("null\n"), Ok(1));
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(counted(&deep), Ok(1));
        for text in ["", "[1, 2", "[1] 2", "<html>", "{\"a\" 1}"] {
            assert!(counted(text).is_err(), "{text}");
        }
        let much = format!("<{}", "x".repeat(1 << 20));
        assert!(counted(&much).is_err());
    }

    #[test]
    fn parts_are_found_as_they_were_written() {
        let json = RawValue::from_string(r#"{"a": {"b/c": [1.50, {"x":  true}]}}"#.to_owned()).unwrap();
        let found = |pointer| pointed(&json, pointer).map(RawValue::get);
        assert_eq!(found("/a/b~1c/0"), Some("1.50"));
        assert_eq!(found("/a/b~1c/1"), Some(r#"{"x":  true}"#));
        assert_eq!(found("/a/c"), None);
        assert_eq!(found("").map(str::len), Some(json.get().len()));
    }
}
