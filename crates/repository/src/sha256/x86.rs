//! The instructions of x86 for SHA-256, on two contents in turn.

use super::lanes::{Block, State};
use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_loadu_si128, _mm_set_epi32, _mm_set_epi64x,
    _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8,
    _mm_shuffle_epi32,
};

/// FIPS 180-4, 4.2.2.
const K: [u32; 64] = [
    0x428a_2f98,
    0x7137_4491,
    0xb5c0_fbcf,
    0xe9b5_dba5,
    0x3956_c25b,
    0x59f1_11f1,
    0x923f_82a4,
    0xab1c_5ed5,
    0xd807_aa98,
    0x1283_5b01,
    0x2431_85be,
    0x550c_7dc3,
    0x72be_5d74,
    0x80de_b1fe,
    0x9bdc_06a7,
    0xc19b_f174,
    0xe49b_69c1,
    0xefbe_4786,
    0x0fc1_9dc6,
    0x240c_a1cc,
    0x2de9_2c6f,
    0x4a74_84aa,
    0x5cb0_a9dc,
    0x76f9_88da,
    0x983e_5152,
    0xa831_c66d,
    0xb003_27c8,
    0xbf59_7fc7,
    0xc6e0_0bf3,
    0xd5a7_9147,
    0x06ca_6351,
    0x1429_2967,
    0x27b7_0a85,
    0x2e1b_2138,
    0x4d2c_6dfc,
    0x5338_0d13,
    0x650a_7354,
    0x766a_0abb,
    0x81c2_c92e,
    0x9272_2c85,
    0xa2bf_e8a1,
    0xa81a_664b,
    0xc24b_8b70,
    0xc76c_51a3,
    0xd192_e819,
    0xd699_0624,
    0xf40e_3585,
    0x106a_a070,
    0x19a4_c116,
    0x1e37_6c08,
    0x2748_774c,
    0x34b0_bcb5,
    0x391c_0cb3,
    0x4ed8_aa4a,
    0x5b9c_ca4f,
    0x682e_6ff3,
    0x748f_82ee,
    0x78a5_636f,
    0x84c8_7814,
    0x8cc7_0208,
    0x90be_fffa,
    0xa450_6ceb,
    0xbef9_a3f7,
    0xc671_78f2,
];

/// Proof that the processor has the instructions.
pub(super) struct Two(());

impl Two {
    pub(super) fn detect() -> Option<Self> {
        let has_them =
            is_x86_feature_detected!("sha") && is_x86_feature_detected!("ssse3") && is_x86_feature_detected!("sse4.1");
        has_them.then_some(Self(()))
    }

    /// Both need the same number of blocks; what one has more is left alone.
    pub(super) fn compress(&self, states: [&mut State; 2], blocks: [&[Block]; 2]) {
        #[expect(unsafe_code, reason = "instructions that not every processor has")]
        // SAFETY: `self` exists only where the processor has them.
        unsafe {
            compress(states, blocks);
        }
    }
}

/// A state as the instructions want it, and the schedule of a block.
#[derive(Clone, Copy)]
struct Lane {
    abef: __m128i,
    cdgh: __m128i,
    words: [__m128i; 4],
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn rounds<const R: usize>(lane: &mut Lane) {
    if R >= 4 {
        let [first, second, third, fourth] = [0, 1, 2, 3].map(|ahead| lane.words[(R + ahead) % 4]);
        let sum = _mm_add_epi32(_mm_sha256msg1_epu32(first, second), _mm_alignr_epi8(fourth, third, 4));
        lane.words[R % 4] = _mm_sha256msg2_epu32(sum, fourth);
    }
    let [k0, k1, k2, k3] = [0, 1, 2, 3].map(|at| K[4 * R + at].cast_signed());
    let sum = _mm_add_epi32(lane.words[R % 4], _mm_set_epi32(k3, k2, k1, k0));
    lane.cdgh = _mm_sha256rnds2_epu32(lane.cdgh, lane.abef, sum);
    lane.abef = _mm_sha256rnds2_epu32(lane.abef, lane.cdgh, _mm_shuffle_epi32(sum, 0x0e));
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn load(block: &Block) -> [__m128i; 4] {
    let big_endian = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let mut words = [_mm_setzero_si128(); 4];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<16>().0) {
        #[expect(unsafe_code, reason = "there is no safe way to load a vector")]
        // SAFETY: 16 bytes are there, and need not be aligned.
        let loaded = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
        *word = _mm_shuffle_epi8(loaded, big_endian);
    }
    words
}

/// Source of the order of instructions: "Intel SHA Extensions", July 2013.
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn compress(states: [&mut State; 2], [firsts, seconds]: [&[Block]; 2]) {
    let zero = _mm_setzero_si128();
    let mut lanes = [Lane {
        abef: zero,
        cdgh: zero,
        words: [zero; 4],
    }; 2];
    for (lane, state) in lanes.iter_mut().zip(&states) {
        let [a, b, c, d, e, f, g, h] = state.map(u32::cast_signed);
        lane.abef = _mm_set_epi32(a, b, e, f);
        lane.cdgh = _mm_set_epi32(c, d, g, h);
    }
    for (first, second) in firsts.iter().zip(seconds) {
        let before = lanes;
        lanes[0].words = load(first);
        lanes[1].words = load(second);
        macro_rules! all_rounds {
            ($($round:literal)*) => { $(
                rounds::<$round>(&mut lanes[0]);
                rounds::<$round>(&mut lanes[1]);
            )* };
        }
        all_rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        for (lane, before) in lanes.iter_mut().zip(before) {
            lane.abef = _mm_add_epi32(lane.abef, before.abef);
            lane.cdgh = _mm_add_epi32(lane.cdgh, before.cdgh);
        }
    }
    for (lane, state) in lanes.iter().zip(states) {
        let Lane { abef, cdgh, .. } = *lane;
        let [a, b, e, f] = [
            _mm_extract_epi32(abef, 3),
            _mm_extract_epi32(abef, 2),
            _mm_extract_epi32(abef, 1),
            _mm_extract_epi32(abef, 0),
        ];
        let [c, d, g, h] = [
            _mm_extract_epi32(cdgh, 3),
            _mm_extract_epi32(cdgh, 2),
            _mm_extract_epi32(cdgh, 1),
            _mm_extract_epi32(cdgh, 0),
        ];
        *state = [a, b, c, d, e, f, g, h].map(i32::cast_unsigned);
    }
}
