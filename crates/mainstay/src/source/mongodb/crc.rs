//! CRC-64 with the polynomial of ECMA-182, reflected, as archives of `mongodump` have it.

/// The polynomial, reflected.
const POLYNOMIAL: u64 = 0xc96c_5795_d787_0f42;

/// What each byte does to the sum, at each of eight places: eight bytes are taken at once.
static TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 {
                (sum >> 1) ^ POLYNOMIAL
            } else {
                sum >> 1
            };
            bit += 1;
        }
        tables[0][byte] = sum;
        byte += 1;
    }
    let mut place = 1;
    while place < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before: u64 = tables[place - 1][byte];
            tables[place][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        place += 1;
    }
    tables
}

/// A sum of what was added so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crc64(u64);

impl Crc64 {
    /// Add what follows.
    pub fn add(&mut self, bytes: &[u8]) {
        let mut sum = !self.0;
        let (eights, rest) = bytes.as_chunks::<8>();
        for eight in eights {
            let mixed = (sum ^ u64::from_le_bytes(*eight)).to_le_bytes();
            sum = mixed
                .iter()
                .zip(TABLES.iter().rev())
                .fold(0, |sum, (byte, table)| sum ^ table[usize::from(*byte)]);
        }
        for byte in rest {
            sum = TABLES[0][usize::from(sum.to_le_bytes()[0] ^ byte)] ^ (sum >> 8);
        }
        self.0 = !sum;
    }

    /// The sum.
    pub fn value(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_that_others_get_however_the_bytes_arrive() {
        let sum = |parts: &[&[u8]]| {
            let mut crc = Crc64::default();
            parts.iter().for_each(|part| crc.add(part));
            crc.value()
        };
        assert_eq!(sum(&[b"123456789"]), 0x995d_c9bb_df19_39fa);
        assert_eq!(sum(&[]), 0);
        let text = b"This is a test of the emergency broadcast system.";
        assert_eq!(sum(&[text]), 0x27db_187f_c15b_bc72);
        for at in 0..text.len() {
            assert_eq!(sum(&[&text[..at], &text[at..]]), 0x27db_187f_c15b_bc72);
        }
    }
}
