//! Workers and the store: who waits for whom, and how long.

use super::parallel::cores;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

/// How long one of several repositories may keep the others waiting.
pub struct Patience {
    pub limit: Duration,
    pub waited: Mutex<Duration>,
    /// Repositories that have not failed, this one included; the last one is always waited for.
    pub alive: Arc<AtomicUsize>,
}

impl Patience {
    pub fn left(&self) -> Duration {
        self.limit.saturating_sub(*self.waited.lock())
    }

    /// Some thread has waited.
    pub fn add(&self, waited: Duration) {
        *self.waited.lock() += waited / cores() as u32;
    }
}

/// How much of their time workers wait for the store.
#[derive(Debug)]
pub struct Pace {
    since: Instant,
    waited: Duration,
    packs: u32,
}

impl Pace {
    /// Packs between two answers: single ones are often handed over at the same moment.
    const PACKS: u32 = 4;

    pub fn from(since: Instant) -> Self {
        Self {
            since,
            waited: Duration::ZERO,
            packs: 0,
        }
    }

    /// A worker came with a pack at `begin` and went at `end`. Sometimes answers with the part of the time, from 0 to 1, that workers have waited.
    pub fn handed_over(&mut self, begin: Instant, end: Instant) -> Option<f64> {
        self.waited += end.saturating_duration_since(begin);
        self.packs += 1;
        if self.packs < Self::PACKS {
            return None;
        }
        let time = end.saturating_duration_since(self.since) * cores() as u32;
        let waiting = self.waited.as_secs_f64() / time.as_secs_f64().max(f64::MIN_POSITIVE);
        *self = Self::from(end);
        Some(waiting.min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_workers_wait_is_a_part_of_their_time() {
        let start = Instant::now();
        let at = |milliseconds: u32| start + Duration::from_millis(10) * milliseconds * cores() as u32;
        let mut pace = Pace::from(start);
        let answers = [(9, 10), (9, 10), (20, 20), (30, 40)].map(|(begin, end)| pace.handed_over(at(begin), at(end)));
        assert!(answers[..3].iter().all(Option::is_none));
        let expected = 12.0 / (40 * cores()) as f64;
        assert!(
            answers[3].is_some_and(|waiting| (waiting - expected).abs() < 1e-9),
            "{answers:?}"
        );
        // What was before does not count any more.
        let answers = [50, 60, 70, 80].map(|moment| pace.handed_over(at(moment), at(moment)));
        assert_eq!(answers[3], Some(0.0));
    }
}
