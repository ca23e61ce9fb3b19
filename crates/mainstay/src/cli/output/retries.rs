//! Says what the program waits for while a store does not answer.

use super::progress::{Line, Progress};
use crate::explain;
use serde_json::json;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use storage::OnRetry;

/// Time between two lines: a store that answers every other request fails often.
const INTERVAL: Duration = Duration::from_secs(30);

/// What is told of failures that are tried again. A store is opened before there is any progress to show, so that this is told of the
/// progress later; clones share it.
#[derive(Clone, Debug)]
pub struct Retries {
    json: bool,
    quiet: bool,
    told: Arc<Mutex<Told>>,
}

#[derive(Debug, Default)]
struct Told {
    last: Option<Instant>,
    line: Option<Line>,
}

impl Retries {
    /// In which form; nothing at all with `quiet`.
    pub fn new(json: bool, quiet: bool) -> Self {
        Self {
            json,
            quiet,
            told: Arc::default(),
        }
    }

    /// From now on, lines are written where `progress` is shown.
    pub fn show_beside(&self, progress: &Progress) {
        self.told().line = Some(progress.line());
    }

    /// For the store.
    pub fn on_retry(&self) -> OnRetry {
        let retries = self.clone();
        Arc::new(move |error, _, _| retries.failed(error, Instant::now()))
    }

    fn failed(&self, error: &storage::Error, now: Instant) {
        if self.quiet || !self.is_due(now) {
            return;
        }
        let line = self.told().line.clone().unwrap_or_default();
        let text = format!("{}; trying again", explain::causes(error));
        if self.json {
            line.write(json!({"message_type": "note", "message": text}));
        } else {
            line.write(text);
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        let mut told = self.told();
        let is_due = told.last.is_none_or(|last| now.duration_since(last) >= INTERVAL);
        if is_due {
            told.last = Some(now);
        }
        is_due
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_told_and_then_one_in_thirty_seconds() {
        let retries = Retries::new(false, false);
        let begin = Instant::now();
        let due = [0, 1, 29, 30, 45, 61].map(|seconds| retries.is_due(begin + Duration::from_secs(seconds)));
        assert_eq!(due, [true, false, false, true, false, true]);
    }
}
