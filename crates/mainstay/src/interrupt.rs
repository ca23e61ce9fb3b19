//! Ctrl-C and requests to end.

use crate::exit::Exit;
use repository::Cancel;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level;
use signal_hook::low_level::siginfo::{Cause, Origin};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::{Duration, Instant};

/// Signals that follow each other more quickly are one request: `timeout` sends two, to the process and to its group.
const SAME_REQUEST: Duration = Duration::from_millis(500);

/// A flag that is set by the first Ctrl-C (or SIGTERM, SIGHUP): work under way then stops within seconds and cleans up. A
/// second one ends the program at once.
///
/// A SIGHUP that another process sends is no such request: `restic unlock` finds out with it whether the holder of a lock is alive. The
/// kernel sends one when a terminal is closed.
pub fn cancel_on_signals() -> io::Result<Cancel> {
    let cancel = Cancel::default();
    let mut signals = SignalsInfo::<WithOrigin>::new([SIGINT, SIGTERM, SIGHUP])?;
    let flag = cancel.clone();
    let wait = move || {
        let mut first: Option<Instant> = None;
        for _ in signals.forever().filter(is_request) {
            flag.cancel();
            fence(Ordering::SeqCst);
            let is_second = first.get_or_insert_with(Instant::now).elapsed() > SAME_REQUEST;
            if is_second || ASKING.load(Ordering::SeqCst) {
                low_level::exit(Exit::Interrupted.code().into());
            }
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(cancel)
}

fn is_request(origin: &Origin) -> bool {
    origin.signal != SIGHUP || !matches!(origin.cause, Cause::Sent(_))
}

/// Somebody is being asked something on the terminal.
static ASKING: AtomicBool = AtomicBool::new(false);

/// While this lives, the first request ends the program.
///
/// For questions on the terminal: nothing is under way that would have to be cleaned up, and a terminal that was closed would be
/// read from for ever.
#[derive(Debug)]
pub struct EndAtOnce(());

impl EndAtOnce {
    /// From now on, unless there was a request already.
    pub fn on(cancel: &Cancel) -> repository::Result<Self> {
        ASKING.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let asking = Self(());
        // A request either comes before this look, or finds that somebody is being asked.
        cancel.check().map(|()| asking)
    }
}

impl Drop for EndAtOnce {
    fn drop(&mut self) {
        ASKING.store(false, Ordering::SeqCst);
    }
}
