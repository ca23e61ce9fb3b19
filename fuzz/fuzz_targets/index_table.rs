//! The index's side file on this host: as it lies there, and with a checksum that fits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_fuzz::OBJECT;
use repository::Id;
use repository::restic::index::table::Table;
use repository::restic::pack::BlobKind;
use std::fs::File;
use std::io::Write;

fuzz_target!(|data: &[u8]| {
    let mut content = b"MSINDEX1".to_vec();
    content.extend_from_slice(&OBJECT.0);
    content.extend_from_slice(&expand(data));
    let checksum = blake3::hash(&content);
    content.extend_from_slice(checksum.as_bytes());
    let Some(table) = open(&content) else { return };
    use_all(&table);
});

/// The place where most of a table lies, 65,537 numbers, is made from few bytes: numbers of files, packs and records, then pairs
/// of a bucket and a step, then everything behind.
fn expand(data: &[u8]) -> Vec<u8> {
    let Some((head, rest)) = data.split_first_chunk::<4>() else {
        return data.to_vec();
    };
    let [files, packs, records, steps] = head.map(usize::from);
    let mut out = Vec::new();
    for count in [files, packs, records] {
        // The highest values stand for absurd ones.
        let count = if count > 250 {
            u64::MAX >> (count - 250)
        } else {
            count as u64
        };
        out.extend_from_slice(&count.to_le_bytes());
    }
    out.resize(out.len() + 32 * (files + packs), 5);
    let (steps, records) = rest.split_at(rest.len().min(4 * steps));
    let mut fanout = vec![0_u32; 65_537];
    for step in steps.as_chunks::<4>().0 {
        let bucket = usize::from(u16::from_le_bytes([step[0], step[1]]));
        fanout[bucket + 1] = u32::from(u16::from_le_bytes([step[2], step[3]]));
    }
    if files & 1 == 0 {
        fanout.iter_mut().fold(0_u32, |sum, n| {
            *n = n.wrapping_add(sum);
            *n
        });
    }
    fanout.iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
    out.extend_from_slice(records);
    out
}

fn open(content: &[u8]) -> Option<Table> {
    let path = std::env::temp_dir().join(format!("mainstay-fuzz-table-{}", std::process::id()));
    File::create(&path)
        .and_then(|mut file| file.write_all(content))
        .expect("write a temporary file");
    let table = Table::open(&mut File::open(&path).expect("open a temporary file"), &OBJECT);
    std::fs::remove_file(&path).expect("remove a temporary file");
    table
}

fn use_all(table: &Table) {
    let records: Vec<_> = table.iter().collect();
    assert_eq!(records.len(), table.len());
    assert_eq!(table.packs().count(), table.pack_count());
    for record in records {
        for found in table.find(record.blob.kind, record.blob.id) {
            table.pack(found.pack);
        }
    }
    for first in [0, 1, 127, 128, 255] {
        assert!(table.find(BlobKind::Data, Id([first; 32])).count() <= table.len());
    }
}
