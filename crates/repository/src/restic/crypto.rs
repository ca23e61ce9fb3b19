//! Encryption of everything stored: AES-256 in counter mode, then Poly1305-AES over the cipher text.
//!
//! Layout of a sealed message: 16 bytes initialisation vector, cipher text, 16 bytes authentication code: 32 bytes longer than the
//! plain text. Source: "Keys, Encryption and MAC" in restic's design document.

use aes::cipher::{Block, BlockCipherEncrypt, InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use aes::{Aes128, Aes256};
use ctr::{CtrCore, flavors::Ctr128BE};
use poly1305::Poly1305;
use poly1305::universal_hash::UniversalHash;
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes that sealing adds to a message.
pub const OVERHEAD: usize = 32;

/// Messages are worked on in pieces that stay in the processor's first cache, bytes; whole blocks.
const PIECE: usize = 16 << 10;

/// The three secrets of a repository, or of a password.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
struct Secrets {
    encrypt: [u8; 32],
    mac_k: [u8; 16],
    mac_r: [u8; 16],
}

/// A key that seals and opens messages. Its key schedules are computed once.
#[derive(Clone)]
pub struct Key {
    secrets: Secrets,
    encrypt: Aes256,
    mac: Aes128,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// The message was not sealed with this key, or was changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the authentication code does not fit: it was changed, or sealed with another key")]
pub struct Forged;

impl Key {
    /// A new random key.
    pub fn random() -> Self {
        Self::from_bytes(&rand::random())
    }

    /// From the 64 bytes that restic's key derivation yields: encryption key, MAC key `k`, MAC key `r`.
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        let mut secrets = Secrets {
            encrypt: [0; 32],
            mac_k: [0; 16],
            mac_r: [0; 16],
        };
        secrets.encrypt.copy_from_slice(&bytes[..32]);
        secrets.mac_k.copy_from_slice(&bytes[32..48]);
        secrets.mac_r.copy_from_slice(&bytes[48..]);
        Self::new(secrets)
    }

    fn new(secrets: Secrets) -> Self {
        Self {
            encrypt: Aes256::new(&secrets.encrypt.into()),
            mac: Aes128::new(&secrets.mac_k.into()),
            secrets,
        }
    }

    /// Append the sealed form of `plain` to `out`.
    pub fn seal_into(&self, plain: &[u8], out: &mut Vec<u8>) {
        let iv: [u8; 16] = rand::random();
        out.reserve(plain.len() + OVERHEAD);
        out.extend_from_slice(&iv);
        let (mut keystream, mut authenticator) = (self.keystream(&iv), self.authenticator(&iv));
        for piece in plain.chunks(PIECE) {
            let start = out.len();
            out.extend_from_slice(piece);
            keystream.apply_keystream(&mut out[start..]);
            authenticator.update(&out[start..]);
        }
        out.extend_from_slice(&authenticator.finish());
    }

    /// The sealed form of `plain`.
    pub fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(plain.len() + OVERHEAD);
        self.seal_into(plain, &mut out);
        out
    }

    /// The plain text of `sealed`.
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, Forged> {
        let mut plain = Vec::new();
        self.open_into(sealed, &mut plain)?;
        Ok(plain)
    }

    /// Replace what `plain` holds by the plain text of `sealed`.
    pub fn open_into(&self, sealed: &[u8], plain: &mut Vec<u8>) -> Result<(), Forged> {
        let (iv, text) = self.authentic(sealed)?;
        plain.clear();
        plain.extend_from_slice(text);
        self.apply_keystream(iv, plain);
        Ok(())
    }

    /// Whether `sealed` opens, and to `plain`.
    pub fn opens_to(&self, sealed: &[u8], plain: &[u8]) -> bool {
        let Ok((iv, text)) = self.authentic(sealed) else {
            return false;
        };
        let (mut keystream, mut room) = (self.keystream(iv), [0; PIECE]);
        text.len() == plain.len()
            && text.chunks(PIECE).zip(plain.chunks(PIECE)).all(|(text, plain)| {
                let opened = &mut room[..text.len()];
                opened.copy_from_slice(text);
                keystream.apply_keystream(opened);
                opened == plain
            })
    }

    /// The vector and the cipher text of a message that is as it was sealed.
    fn authentic<'a>(&self, sealed: &'a [u8]) -> Result<(&'a [u8; 16], &'a [u8]), Forged> {
        let (iv, rest) = sealed.split_first_chunk::<16>().ok_or(Forged)?;
        let (text, code) = rest.split_last_chunk::<16>().ok_or(Forged)?;
        if constant_time_eq(&self.authenticate(iv, text), code) {
            Ok((iv, text))
        } else {
            Err(Forged)
        }
    }

    fn apply_keystream(&self, iv: &[u8; 16], text: &mut [u8]) {
        self.keystream(iv).apply_keystream(text);
    }

    fn keystream(&self, iv: &[u8; 16]) -> impl StreamCipher + '_ {
        type Core<'a> = CtrCore<&'a Aes256, Ctr128BE>;
        StreamCipherCoreWrapper::from_core(Core::inner_iv_init(&self.encrypt, iv.into()))
    }

    fn authenticate(&self, iv: &[u8; 16], text: &[u8]) -> [u8; 16] {
        let mut authenticator = self.authenticator(iv);
        authenticator.update(text);
        authenticator.finish()
    }

    /// Poly1305 keyed for one message: `r`, and the AES of the vector as nonce.
    fn authenticator(&self, iv: &[u8; 16]) -> Authenticator {
        let mut nonce: Block<Aes128> = (*iv).into();
        self.mac.encrypt_block(&mut nonce);
        let mut one_time = [0; 32];
        one_time[..16].copy_from_slice(&self.secrets.mac_r);
        one_time[16..].copy_from_slice(&nonce);
        let poly = Poly1305::new(&one_time.into());
        one_time.zeroize();
        Authenticator { poly, rest: Vec::new() }
    }
}

/// The authentication code of a message that comes in pieces.
struct Authenticator {
    poly: Poly1305,
    /// The last piece behind its last whole block.
    rest: Vec<u8>,
}

impl Authenticator {
    /// The next piece; all but the last one are whole blocks.
    fn update(&mut self, piece: &[u8]) {
        debug_assert!(self.rest.is_empty(), "only the last piece may end within a block");
        let (blocks, rest) = Block::<Aes128>::slice_as_chunks(piece);
        self.poly.update(blocks);
        self.rest.extend_from_slice(rest);
    }

    fn finish(self) -> [u8; 16] {
        // Not padded as other messages are: only this takes an end within a block.
        self.poly.compute_unpadded(&self.rest).into()
    }
}

fn constant_time_eq(a: &[u8; 16], b: &[u8; 16]) -> bool {
    let difference = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(difference) == 0
}

/// How the master key stands in a key file, sealed with the password's key.
#[derive(Serialize, Deserialize)]
struct StoredKey {
    mac: StoredMac,
    #[serde(with = "super::base64_bytes")]
    encrypt: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct StoredMac {
    #[serde(with = "super::base64_bytes")]
    k: Vec<u8>,
    #[serde(with = "super::base64_bytes")]
    r: Vec<u8>,
}

impl Key {
    /// As JSON, the way restic stores a master key (before sealing): the secrets in the clear.
    pub fn to_json(&self) -> Vec<u8> {
        let Secrets { encrypt, mac_k, mac_r } = &self.secrets;
        let stored = StoredKey {
            mac: StoredMac {
                k: mac_k.to_vec(),
                r: mac_r.to_vec(),
            },
            encrypt: encrypt.to_vec(),
        };
        serde_json::to_vec(&stored).unwrap_or_default()
    }

    /// From JSON; `None` if it is not a key.
    pub(crate) fn from_json(json: &[u8]) -> Option<Self> {
        let mut stored: StoredKey = serde_json::from_slice(json).ok()?;
        let secrets = Secrets {
            encrypt: stored.encrypt.as_slice().try_into().ok()?,
            mac_k: stored.mac.k.as_slice().try_into().ok()?,
            mac_r: stored.mac.r.as_slice().try_into().ok()?,
        };
        stored.encrypt.zeroize();
        stored.mac.k.zeroize();
        stored.mac.r.zeroize();
        Some(Self::new(secrets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seals_and_opens() {
        let key = Key::random();
        for length in [0, 1, 15, 16, 17, 1000, PIECE - 1, PIECE, PIECE + 1, 100_000] {
            let plain: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let sealed = key.seal(&plain);
            assert_eq!(sealed.len(), plain.len() + OVERHEAD);
            assert_eq!(key.open(&sealed).unwrap(), plain);
            assert!(key.opens_to(&sealed, &plain));
            let mut appended = b"before".to_vec();
            key.seal_into(&plain, &mut appended);
            assert_eq!(&appended[..6], b"before");
            assert_eq!(key.open(&appended[6..]).unwrap(), plain);
            let longer = [&plain[..], b"+"].concat();
            assert!(!key.opens_to(&sealed, &longer));
            if let Some((last, shorter)) = plain.split_last() {
                assert!(!key.opens_to(&sealed, shorter));
                assert!(!key.opens_to(&sealed, &[shorter, &[last ^ 1]].concat()));
            }
        }
    }

    #[test]
    fn notices_every_change() {
        let key = Key::random();
        let sealed = key.seal(b"some text of a few blocks, to be sure");
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert_eq!(key.open(&changed), Err(Forged));
            assert!(!key.opens_to(&changed, b"some text of a few blocks, to be sure"));
        }
        for length in 0..sealed.len() {
            assert_eq!(key.open(&sealed[..length]), Err(Forged));
        }
        assert_eq!(Key::random().open(&sealed), Err(Forged));
    }

    #[test]
    fn json_and_back() {
        let key = Key::random();
        let copy = Key::from_json(&key.to_json()).unwrap();
        assert_eq!(copy.open(&key.seal(b"text")).unwrap(), b"text");
    }
}
