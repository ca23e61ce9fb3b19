//! Credentials as n8n stores them: JSON, encrypted as OpenSSL does with a password.

use aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit as _};
use md5::{Digest as _, Md5};
use serde::Deserialize;
use zeroize::Zeroizing;

/// What stands before the salt.
const MAGIC: &[u8; 8] = b"Salted__";

/// The key of an n8n, as its own file `config` has it.
#[derive(Deserialize)]
pub struct KeyFile {
    /// The key.
    #[serde(rename = "encryptionKey")]
    pub encryption_key: Zeroizing<String>,
}

/// What is looked at of a credential.
#[derive(Deserialize)]
pub struct Credential {
    /// Its name.
    pub id: String,
    /// What users call it.
    #[serde(default)]
    pub name: String,
    /// The secret, encrypted.
    data: String,
}

impl Credential {
    /// Whether `key` opens it.
    pub fn opens_with(&self, key: &str) -> bool {
        let opened = decrypt(&self.data, key);
        opened.is_some_and(|json| serde_json::from_slice::<serde::de::IgnoredAny>(&json).is_ok())
    }
}

/// Key and vector are MD5 of the password and the salt, three times over (`EVP_BytesToKey`).
fn decrypt(data: &str, key: &str) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = STANDARD.decode(data).ok()?;
    let (salt, encrypted) = bytes.strip_prefix(MAGIC)?.split_at_checked(8)?;
    // n8n takes the lower byte of every unit of UTF-16.
    let mut password: Zeroizing<Vec<u8>> = Zeroizing::new(key.encode_utf16().map(|unit| unit as u8).collect());
    password.extend_from_slice(salt);
    let mut derived = Zeroizing::new([0; 48]);
    let mut before: &[u8] = &[];
    for part in derived.chunks_exact_mut(16) {
        part.copy_from_slice(&Md5::new().chain_update(before).chain_update(&*password).finalize());
        before = part;
    }
    let (key, vector) = derived.split_at(32);
    let cipher = cbc::Decryptor::<Aes256>::new_from_slices(key, vector).ok()?;
    cipher.decrypt_padded_vec::<Pkcs7>(encrypted).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As n8n 1.123 printed it.
    const EXPORTED: &str = r#"{"id":"IhWLWoyGH3KfzWo7","name":"my basic","data":"U2FsdGVkX18j4a3LDDpDfF4/6uWiNcPKpRNktcww31SBGkAvt4nxEWMUQSTPudKeonXzD99UYb3JUFfmY4FdOg=="}"#;

    #[test]
    fn only_the_right_key_opens_a_credential() {
        let credential: Credential = serde_json::from_str(EXPORTED).unwrap();
        let opened = decrypt(&credential.data, "test-key-123").unwrap();
        assert_eq!(&*opened, br#"{"user":"u","password":"p4ss-secret"}"#);
        assert!(credential.opens_with("test-key-123") && !credential.opens_with("another"));
        for data in ["", "U2FsdGVkX18=", "????"] {
            assert!(decrypt(data, "test-key-123").is_none(), "{data}");
        }
    }
}
