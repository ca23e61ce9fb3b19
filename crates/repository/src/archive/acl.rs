//! POSIX access lists as text: tar takes them in this form only.

/// Attributes that hold an access list, and the keys of PAX headers for its text.
const KEYS: [(&str, &str); 2] = [
    ("system.posix_acl_access", "SCHILY.acl.access"),
    ("system.posix_acl_default", "SCHILY.acl.default"),
];

/// The version of the binary form that Linux stores.
const VERSION: u32 = 2;

/// The key and the text of an attribute that is an access list; none if it is another attribute, or not understood.
pub fn record(name: &str, value: &[u8]) -> Option<(&'static str, String)> {
    let (_, key) = KEYS.iter().find(|(attribute, _)| *attribute == name)?;
    Some((key, text(value)?))
}

/// The long text form of POSIX.1e, one entry to a line. Owners are numbers: the archive may be unpacked on another host.
fn text(value: &[u8]) -> Option<String> {
    let (version, entries) = value.split_first_chunk::<4>()?;
    let (entries, rest) = entries.as_chunks::<8>();
    if u32::from_le_bytes(*version) != VERSION || !rest.is_empty() {
        return None;
    }
    entries.iter().map(entry).collect()
}

fn entry(&[tag, tag_high, permissions, _, a, b, c, d]: &[u8; 8]) -> Option<String> {
    let id = u32::from_le_bytes([a, b, c, d]);
    let whose = match u16::from_le_bytes([tag, tag_high]) {
        0x01 => "user:".to_owned(),
        0x02 => format!("user:{id}"),
        0x04 => "group:".to_owned(),
        0x08 => format!("group:{id}"),
        0x10 => "mask:".to_owned(),
        0x20 => "other:".to_owned(),
        _ => return None,
    };
    let letter = |bit: u8, letter| if permissions & bit == 0 { '-' } else { letter };
    Some(format!(
        "{whose}:{}{}{}\n",
        letter(4, 'r'),
        letter(2, 'w'),
        letter(1, 'x')
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut value = 2_u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in entries {
            value.extend([tag.to_le_bytes(), permissions.to_le_bytes()].concat());
            value.extend(id.to_le_bytes());
        }
        value
    }

    #[test]
    fn entries_are_lines() {
        let none = u32::MAX;
        let value = list(&[
            (1, 7, none),
            (2, 4, 1000),
            (4, 5, none),
            (8, 6, 50),
            (16, 7, none),
            (32, 0, none),
        ]);
        let expected = "user::rwx\nuser:1000:r--\ngroup::r-x\ngroup:50:rw-\nmask::rwx\nother::---\n";
        let found = record("system.posix_acl_access", &value);
        assert_eq!(found, Some(("SCHILY.acl.access", expected.to_owned())));
    }

    #[test]
    fn what_is_not_understood_has_no_text() {
        assert_eq!(record("user.x", &list(&[])), None);
        for value in [
            &b""[..],
            b"\x02\0\0",
            b"\x03\0\0\0",
            b"\x02\0\0\0\x01",
            &list(&[(3, 7, 0)]),
        ] {
            assert_eq!(record("system.posix_acl_default", value), None, "{value:?}");
        }
    }
}
