//! Go's `os.FileMode` bits, which trees hold, and the system's `st_mode` bits.

use super::node::NodeKind;

const DIR: u32 = 1 << 31;
const SYMLINK: u32 = 1 << 27;
const DEVICE: u32 = 1 << 26;
const NAMED_PIPE: u32 = 1 << 25;
const SOCKET: u32 = 1 << 24;
const SET_UID: u32 = 1 << 23;
const SET_GID: u32 = 1 << 22;
const CHAR_DEVICE: u32 = 1 << 21;
const STICKY: u32 = 1 << 20;
const IRREGULAR: u32 = 1 << 19;

/// From `st_mode`: what the entry is, and its mode as Go has it.
pub fn from_system(st_mode: u32) -> (NodeKind, u32) {
    let (kind, kind_bits) = match st_mode & 0o170_000 {
        0o040_000 => (NodeKind::Dir, DIR),
        0o120_000 => (NodeKind::Symlink, SYMLINK),
        0o060_000 => (NodeKind::Device, DEVICE),
        0o020_000 => (NodeKind::CharDev, DEVICE | CHAR_DEVICE),
        0o010_000 => (NodeKind::Fifo, NAMED_PIPE),
        0o140_000 => (NodeKind::Socket, SOCKET),
        0o100_000 => (NodeKind::File, 0),
        _ => (NodeKind::Irregular, IRREGULAR),
    };
    let special = [(0o4000, SET_UID), (0o2000, SET_GID), (0o1000, STICKY)];
    let special = special
        .iter()
        .filter(|(system, _)| st_mode & system != 0)
        .fold(0, |all, (_, go)| all | go);
    (kind, kind_bits | special | (st_mode & 0o777))
}

/// The permission bits of `st_mode`, set-uid, set-gid and sticky included.
pub fn permissions(mode: u32) -> u32 {
    let special = [(0o4000, SET_UID), (0o2000, SET_GID), (0o1000, STICKY)];
    let special = special
        .iter()
        .filter(|(_, go)| mode & go != 0)
        .fold(0, |all, (system, _)| all | system);
    special | (mode & 0o777)
}

/// As `ls -l` shows it, for example `drwxr-xr-x`.
pub fn to_text(mode: u32) -> String {
    let kind = match mode {
        m if m & DIR != 0 => 'd',
        m if m & SYMLINK != 0 => 'l',
        m if m & CHAR_DEVICE != 0 => 'c',
        m if m & DEVICE != 0 => 'b',
        m if m & NAMED_PIPE != 0 => 'p',
        m if m & SOCKET != 0 => 's',
        _ => '-',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, SET_UID, 's'), (3, SET_GID, 's'), (0, STICKY, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// As Go writes it, and restic in JSON, for example `dtrwxrwxrwx`. Source: `io/fs.FileMode.String`.
pub fn to_go_text(mode: u32) -> String {
    let is_set = |bit: u32| mode & (1 << bit) != 0;
    let mut text: String = "dalTLDpSugct?"
        .chars()
        .zip((0..32).rev())
        .filter(|(_, bit)| is_set(*bit))
        .map(|(letter, _)| letter)
        .collect();
    if text.is_empty() {
        text.push('-');
    }
    text.extend(
        "rwxrwxrwx"
            .chars()
            .zip((0..9).rev())
            .map(|(letter, bit)| if is_set(bit) { letter } else { '-' }),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_both_ways() {
        for (system, kind, go, text) in [
            (0o100_644, NodeKind::File, 0o644, "-rw-r--r--"),
            (0o040_755, NodeKind::Dir, 0x8000_01ed, "drwxr-xr-x"),
            (0o041_777, NodeKind::Dir, 0x8010_01ff, "drwxrwxrwt"),
            (0o104_755, NodeKind::File, 0x0080_01ed, "-rwsr-xr-x"),
            (0o102_745, NodeKind::File, 0x0040_01e5, "-rwxr-Sr-x"),
            (0o120_777, NodeKind::Symlink, 0x0800_01ff, "lrwxrwxrwx"),
            (0o060_660, NodeKind::Device, 0x0400_01b0, "brw-rw----"),
            (0o020_620, NodeKind::CharDev, 0x0420_0190, "crw--w----"),
            (0o010_600, NodeKind::Fifo, 0x0200_0180, "prw-------"),
        ] {
            assert_eq!(from_system(system), (kind, go), "{system:o}");
            assert_eq!(permissions(go), system & 0o7777);
            assert_eq!(to_text(go), text);
        }
    }

    #[test]
    fn go_has_a_letter_for_each_bit() {
        let texts = [0o644, 0x8010_01ff, 0x0080_01ed, 0x0800_01ff, 0x0420_0190].map(to_go_text);
        assert_eq!(
            texts,
            ["-rw-r--r--", "dtrwxrwxrwx", "urwxr-xr-x", "Lrwxrwxrwx", "Dcrw--w----"]
        );
    }
}
