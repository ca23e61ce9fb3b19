//! Key files: the master key, sealed with a key derived from a password.

use super::crypto::Key;
use crate::{Error, Id, Result, clock};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Cost of deriving a key from a password with scrypt.
///
/// 16 MiB of memory, six passes: more than the five that OWASP's list asks for with as much memory, and it runs beside a database on a small
/// server. As much work as three passes of 32 MiB, and done sooner by two cores. restic measures instead and ends between half and twice of
/// this.
#[cfg(not(all(feature = "cheap-keys", debug_assertions)))]
const SCRYPT: (u8, u32, u32) = (14, 8, 6);
/// Tests open thousands of repositories, and spent most of their time here.
#[cfg(all(feature = "cheap-keys", debug_assertions))]
const SCRYPT: (u8, u32, u32) = (10, 8, 3);

#[cfg(not(debug_assertions))]
const _: () = assert!(
    SCRYPT.0 >= 14 && (SCRYPT.2 as u64) << SCRYPT.0 >= 3 << 15,
    "a release makes keys that are hard to guess"
);

/// Passes that are made side by side. Each takes its own memory.
const PASSES_AT_ONCE: u64 = 2;

/// A key file is refused when opening it would take more memory than this, in bytes: 128 r (2 N + p). restic stays below 64 MiB;
/// anybody who can write to the store can put a key file there, and every command tries it.
const MAX_SCRYPT_MEMORY: u64 = 1 << 30;
/// The same for the time it takes: blocks of 128 bytes that are mixed, N r p, some twenty seconds.
const MAX_SCRYPT_WORK: u64 = 1 << 26;

/// One key file, as it is stored: JSON that is not encrypted itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyFile {
    /// When it was made, RFC 3339.
    pub created: String,
    /// By whom.
    #[serde(default)]
    pub username: String,
    /// On which host.
    #[serde(default)]
    pub hostname: String,
    kdf: String,
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
    #[serde(with = "super::base64_bytes")]
    salt: Vec<u8>,
    #[serde(with = "super::base64_bytes")]
    data: Vec<u8>,
}

impl KeyFile {
    /// Wrap `master` for `password`.
    pub fn create(master: &Key, password: &[u8], username: &str, hostname: &str) -> Result<Self> {
        let (log_n, r, p) = SCRYPT;
        let salt: [u8; 64] = rand::random();
        let mut file = Self {
            created: clock::now().to_string(),
            username: username.to_owned(),
            hostname: hostname.to_owned(),
            kdf: "scrypt".to_owned(),
            n: 1 << log_n,
            r,
            p,
            salt: salt.to_vec(),
            data: Vec::new(),
        };
        file.data = file.derive(password)?.seal(&Zeroizing::new(master.to_json()));
        Ok(file)
    }

    /// The master key, or `None` if `password` is not this key's.
    pub fn open(&self, password: &[u8]) -> Result<Option<Key>> {
        let Ok(json) = self.derive(password)?.open(&self.data) else {
            return Ok(None);
        };
        let json = Zeroizing::new(json);
        Ok(Some(
            Key::from_json(&json).ok_or_else(|| self.unusable("it holds no master key"))?,
        ))
    }

    /// Complain unless it could be opened if somebody knew the password.
    pub fn check(&self) -> Result<()> {
        self.params().map(drop)
    }

    fn derive(&self, password: &[u8]) -> Result<Key> {
        let params = self.params()?;
        let mut derived = Zeroizing::new([0; 64]);
        let mut derive = || scrypt::scrypt(password, &self.salt, &params, &mut *derived);
        // Threads of its own, that end with it: others would stay, and there would be one for each core.
        let done = match rayon::ThreadPoolBuilder::new()
            .num_threads(PASSES_AT_ONCE as usize)
            .build()
        {
            Ok(threads) => threads.install(derive),
            Err(_) => derive(),
        };
        done.map_err(|_| self.out_of_bounds())?;
        Ok(Key::from_bytes(&derived))
    }

    fn params(&self) -> Result<scrypt::Params> {
        if self.kdf != "scrypt" {
            return Err(self.unusable(&format!("its key derivation `{}` is not known", self.kdf)));
        }
        let (r, p) = (u64::from(self.r), u64::from(self.p));
        let at_once = self.n.saturating_mul(p.min(PASSES_AT_ONCE));
        let memory = at_once.saturating_add(p).saturating_mul(128).saturating_mul(r);
        let work = self.n.saturating_mul(r).saturating_mul(p);
        if !self.n.is_power_of_two() || self.n < 2 || memory > MAX_SCRYPT_MEMORY || work > MAX_SCRYPT_WORK {
            return Err(self.out_of_bounds());
        }
        scrypt::Params::new(self.n.trailing_zeros() as u8, self.r, self.p).map_err(|_| self.out_of_bounds())
    }

    fn out_of_bounds(&self) -> Error {
        self.unusable("its scrypt parameters are out of bounds")
    }

    fn unusable(&self, reason: &str) -> Error {
        Error::Damaged {
            object: "key",
            name: format!("of {}@{}", self.username, self.hostname),
            reason: reason.to_owned(),
        }
    }

    /// Parse a stored key file.
    pub fn parse(id: &Id, stored: &[u8]) -> Result<Self> {
        serde_json::from_slice(stored).map_err(|error| Error::damaged("key", id, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_opens_it() {
        let master = Key::random();
        let file = KeyFile::create(&master, b"secret", "me", "here").unwrap();
        let stored = serde_json::to_vec(&file).unwrap();
        let file = KeyFile::parse(&Id::hash(&stored), &stored).unwrap();
        assert!(file.open(b"other").unwrap().is_none());
        let opened = file.open(b"secret").unwrap().unwrap();
        assert_eq!(opened.open(&master.seal(b"x")).unwrap(), b"x");
    }

    #[test]
    fn refuses_absurd_costs() {
        let mut file = KeyFile::create(&Key::random(), b"secret", "me", "here").unwrap();
        // The last three: little memory for N, but much for p; as much as a 32-bit product of r and p hides; cheap, but for hours.
        for (n, r, p) in [
            (0, 8, 1),
            (1, 8, 1),
            (3, 8, 1),
            (1 << 40, 8, 1),
            (2, 1 << 20, 63),
            (2, 1 << 22, 1 << 10),
            (1 << 20, 8, 64),
        ] {
            (file.n, file.r, file.p) = (n, r, p);
            assert!(
                matches!(file.open(b"secret"), Err(Error::Damaged { .. })),
                "{n} {r} {p}"
            );
        }
    }
}
