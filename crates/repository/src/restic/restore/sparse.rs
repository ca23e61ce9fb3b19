//! Finding zeros that need not be written.

use std::ops::Range;

/// What is left out is a multiple of this, and aligned to it in the file, bytes.
const PAGE: usize = 4096;

/// The parts of `content` that have to be written into a file of zeros, as ranges of it; `offset` is where it begins in the file.
pub fn data_ranges(content: &[u8], offset: u64) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(end) = page_end(content, offset, at).filter(|end| is_zero_page(&content[at..*end])) {
            at = end;
        }
        let start = at;
        while let Some(end) = page_end(content, offset, at).filter(|end| !is_zero_page(&content[at..*end])) {
            at = end;
        }
        (start < at).then_some(start..at)
    })
}

/// Where the page of the file ends that `at` is in; `None` at the end of the content.
fn page_end(content: &[u8], offset: u64, at: usize) -> Option<usize> {
    let into_page = ((offset + at as u64) % PAGE as u64) as usize;
    (at < content.len()).then(|| (at + PAGE - into_page).min(content.len()))
}

/// Whether these are zeros, and enough of them. Compared as a block: a large file that is mostly holes has millions of such pages.
fn is_zero_page(page: &[u8]) -> bool {
    static ZEROS: [u8; PAGE] = [0; PAGE];
    page == ZEROS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_aligned_pages_are_left_out() {
        let ranges = |content: &[u8], offset| data_ranges(content, offset).collect::<Vec<_>>();
        let mut content = vec![0; 5 * PAGE];
        assert!(ranges(&content, 0).is_empty());
        assert_eq!(ranges(&content, 100), [0..PAGE - 100, 5 * PAGE - 100..5 * PAGE]);
        content[2 * PAGE] = 1;
        content[4 * PAGE] = 1;
        assert_eq!(ranges(&content, 0), [2 * PAGE..3 * PAGE, 4 * PAGE..5 * PAGE]);
        assert!(ranges(b"", 0).is_empty());
        assert_eq!(data_ranges(&[0; 4095], 0).next(), Some(0..4095));
    }
}
