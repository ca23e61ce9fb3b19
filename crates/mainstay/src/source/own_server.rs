//! Servers that we start ourselves, for as long as we need them: they end with us, however we end.

use crate::exec::{self, Ending, Surroundings};
use crate::source::program::Programs;
use rustix::process::Signal;
use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A server, here or in a container. Dropped, it is killed.
#[derive(Debug)]
pub struct OwnServer {
    ending: Ending,
    has_ended: Arc<AtomicBool>,
}

impl OwnServer {
    /// Start it. What it prints is left out. `at_our_end` is what it gets when we are gone; in a container,
    /// which ends with us, nothing.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(
        programs: &Programs,
        words: &[OsString],
        surroundings: Surroundings,
        at_our_end: Signal,
    ) -> Result<Self, exec::Error> {
        let surroundings = Surroundings {
            at_our_end: Some(at_our_end),
            ..surroundings
        };
        let (mut stdout, ending) = programs.start(words, &surroundings)?.split();
        let has_ended = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&has_ended);
        std::thread::spawn(move || {
            let _: Option<u64> = io::copy(&mut stdout, &mut io::sink()).ok();
            ended.store(true, Ordering::Release);
        });
        Ok(Self { ending, has_ended })
    }

    /// Whether it has closed its output: has ended, for servers that print to the end. Those with a file for what they say close it early.
    pub fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Wait for its end, and complain unless it says that it succeeded.
    ///
    /// # Errors
    /// How it ended.
    pub fn finish(self) -> Result<(), exec::Error> {
        self.ending.finish()
    }
}
