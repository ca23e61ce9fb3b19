//! What concerns every store that is reached over HTTP.

use std::path::PathBuf;
use std::time::Duration;

/// Whom to trust, and how patient to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// A file with certificates (PEM) to trust, beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// The longest time to wait for a connection.
    pub connect_timeout: Duration,
    /// The longest time to wait for the answer to a request, to which the time for its content is added.
    pub timeout: Duration,
    /// The slowest transfer to put up with, in bytes per second: a request of n bytes may last n divided by this longer
    /// than `timeout`.
    pub slowest_bytes_per_second: u64,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            ca_file: None,
            connect_timeout: Duration::from_secs(15),
            timeout: Duration::from_secs(60),
            slowest_bytes_per_second: 16 * 1024,
        }
    }
}

#[cfg(feature = "s3")]
impl HttpOptions {
    /// Refuse what cannot work; the answer is the reason.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.slowest_bytes_per_second == 0 || self.timeout.is_zero() || self.connect_timeout.is_zero() {
            return Err("a timeout or a slowest transfer of zero lets no request pass".to_owned());
        }
        Ok(())
    }

    /// The longest time for a transfer of `bytes`.
    pub(crate) fn patience(&self, bytes: u64) -> Duration {
        self.timeout + Duration::from_secs_f64(bytes as f64 / self.slowest_bytes_per_second as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lets_no_request_pass_is_refused() {
        assert_eq!(HttpOptions::default().check(), Ok(()));
        let hasty = HttpOptions {
            timeout: Duration::ZERO,
            ..HttpOptions::default()
        };
        assert!(hasty.check().is_err());
    }

    #[test]
    fn patience_grows_with_size() {
        let options = HttpOptions {
            timeout: Duration::from_secs(10),
            slowest_bytes_per_second: 1024,
            ..HttpOptions::default()
        };
        assert_eq!(options.patience(0), Duration::from_secs(10));
        assert_eq!(options.patience(1024 * 1024), Duration::from_secs(10 + 1024));
    }
}
