//! Limits on the bytes per second that are sent and received.

use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::clock::Pause;
use crate::{Inspect, ObjectInfo, ObjectWriter, Options, Result, Store};

/// Spreads transfers over time so that on average no more than the given bytes per second pass.
///
/// Counted are the contents of objects, over all threads. One object passes at the speed of the line; the calls after
/// it wait until its bytes are paid for.
pub(crate) struct BandwidthLimit {
    inner: Arc<dyn Store>,
    upload: Arc<Meter>,
    download: Arc<Meter>,
}

impl BandwidthLimit {
    /// `inner` itself when there is no limit.
    pub(crate) fn wrap(inner: Arc<dyn Store>, options: &Options) -> Arc<dyn Store> {
        let (up, down) = (options.upload_bytes_per_second, options.download_bytes_per_second);
        if up.is_none() && down.is_none() {
            return inner;
        }
        let meter = |rate| Arc::new(Meter::new(rate, Pause::new(options)));
        Arc::new(Self {
            inner,
            upload: meter(up),
            download: meter(down),
        })
    }
}

impl std::fmt::Debug for BandwidthLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rates = (self.upload.bytes_per_second, self.download.bytes_per_second);
        f.debug_struct("BandwidthLimit")
            .field("inner", &self.inner)
            .field("up_down", &rates)
            .finish()
    }
}

/// One direction. A bucket that may go into debt: whoever comes next waits until the debt is paid.
struct Meter {
    bytes_per_second: Option<NonZeroU64>,
    paid_at: Mutex<Option<Instant>>,
    pause: Pause,
}

impl Meter {
    fn new(bytes_per_second: Option<NonZeroU64>, pause: Pause) -> Self {
        Self {
            bytes_per_second,
            paid_at: Mutex::new(None),
            pause,
        }
    }

    /// Wait until everything before is paid for, and charge `bytes` to whoever comes after.
    fn pass(&self, bytes: usize) {
        let Some(rate) = self.bytes_per_second else { return };
        let price = Duration::from_secs_f64(bytes as f64 / rate.get() as f64);
        self.pause.wait(self.charge(price));
    }

    /// Stand in line: the wait until our turn.
    fn charge(&self, price: Duration) -> Duration {
        let now = Instant::now();
        let mut paid_at = self.paid_at.lock();
        let turn = paid_at.map_or(now, |paid_at| paid_at.max(now));
        *paid_at = turn.checked_add(price);
        turn - now
    }
}

impl Store for BandwidthLimit {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        self.inner.list(prefix)
    }

    fn stat(&self, name: &str) -> Result<u64> {
        self.inner.stat(name)
    }

    fn read(&self, name: &str) -> Result<Bytes> {
        let content = self.inner.read(name)?;
        self.download.pass(content.len());
        Ok(content)
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let content = self.inner.read_range(name, range)?;
        self.download.pass(content.len());
        Ok(content)
    }

    fn write(&self, name: &str, content: Bytes) -> Result<()> {
        self.upload.pass(content.len());
        self.inner.write(name, content)
    }

    fn write_pieces(&self, name: &str, pieces: &[Bytes]) -> Result<()> {
        self.upload.pass(pieces.iter().map(Bytes::len).sum());
        self.inner.write_pieces(name, pieces)
    }

    fn gathers(&self) -> bool {
        self.inner.gathers()
    }

    fn writer(&self, name: &str) -> Result<Box<dyn ObjectWriter>> {
        Ok(Box::new(MeteredWriter {
            inner: self.inner.writer(name)?,
            upload: self.upload.clone(),
        }))
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.inner.delete(name)
    }

    fn concurrency(&self) -> usize {
        self.inner.concurrency()
    }

    fn max_stream_bytes(&self) -> Option<u64> {
        self.inner.max_stream_bytes()
    }

    fn set_link(&self, name: &str, target: &str) -> Result<bool> {
        self.inner.set_link(name, target)
    }

    fn link_target(&self, name: &str) -> Result<Option<String>> {
        self.inner.link_target(name)
    }

    fn inspect(&self) -> Option<&dyn Inspect> {
        self.inner.inspect()
    }
}

struct MeteredWriter {
    inner: Box<dyn ObjectWriter>,
    upload: Arc<Meter>,
}

impl ObjectWriter for MeteredWriter {
    fn write(&mut self, content: Bytes) -> Result<()> {
        self.upload.pass(content.len());
        self.inner.write(content)
    }

    fn finish(self: Box<Self>) -> Result<u64> {
        self.inner.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;

    const MIB: u64 = 1024 * 1024;

    /// A store in memory with both limits at 1 MiB/s, and the sum of the waits.
    fn limited() -> (Arc<dyn Store>, Arc<Mutex<Duration>>) {
        let waited = Arc::new(Mutex::new(Duration::ZERO));
        let sum = waited.clone();
        let options = Options {
            upload_bytes_per_second: NonZeroU64::new(MIB),
            download_bytes_per_second: NonZeroU64::new(MIB),
            sleep: Some(Arc::new(move |wait| *sum.lock() += wait)),
            ..Options::default()
        };
        (BandwidthLimit::wrap(Arc::new(MemoryStore::new()), &options), waited)
    }

    /// The waits of three calls of 16 MiB each at 1 MiB/s, none of which really waits, so that the second sees a debt
    /// of 16 s and the third one of 32 s.
    fn assert_waited_for_three(waited: Duration) {
        assert!(
            waited > Duration::from_secs(47) && waited <= Duration::from_secs(48),
            "{waited:?}"
        );
    }

    #[test]
    fn uploads_pay_for_what_went_before() {
        let (store, waited) = limited();
        let content = Bytes::from(vec![0; 16 * MIB as usize]);
        for name in ["a", "b"] {
            store.write(name, content.clone()).unwrap();
        }
        let mut writer = store.writer("c").unwrap();
        writer.write(content).unwrap();
        writer.finish().unwrap();
        assert_waited_for_three(*waited.lock());
    }

    #[test]
    fn downloads_have_their_own_limit() {
        let (store, waited) = limited();
        store.write("a", Bytes::from(vec![0; 16 * MIB as usize])).unwrap();
        store.read("a").unwrap();
        store.read("a").unwrap();
        store.read_range("a", 0..16 * MIB).unwrap();
        assert_waited_for_three(*waited.lock());
    }
}
