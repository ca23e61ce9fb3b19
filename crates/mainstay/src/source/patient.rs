//! Reading from whoever takes their time.

use repository::{Cancel, Error};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::Duration;

/// Whoever gathers waits a moment if no more bytes than this are there: to be woken for every line that a program writes costs both
/// more than the reading does.
const LITTLE_BYTES: u64 = 64 << 10;
const MOMENT: Duration = Duration::from_micros(500);

/// Reads, but does not wait longer than until the user asks to stop.
#[derive(Debug)]
pub struct Patient<R> {
    inner: R,
    cancel: Cancel,
    gathers: bool,
}

impl<R: Read + AsFd> Patient<R> {
    /// Read from `inner` until `cancel`.
    pub fn new(inner: R, cancel: Cancel) -> Self {
        Self {
            inner,
            cancel,
            gathers: false,
        }
    }

    /// Read what a program prints that nobody waits for: in larger pieces.
    pub fn gathering(inner: R, cancel: Cancel) -> Self {
        Self {
            gathers: true,
            ..Self::new(inner, cancel)
        }
    }

    fn waits_for_more(&self, events: PollFlags) -> bool {
        let has_little = || rustix::io::ioctl_fionread(&self.inner).is_ok_and(|there| there < LITTLE_BYTES);
        self.gathers && !events.contains(PollFlags::HUP) && has_little()
    }
}

impl<R: Read + AsFd> Read for Patient<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = Timespec {
            tv_sec: 0,
            tv_nsec: 200_000_000,
        };
        loop {
            if self.cancel.is_cancelled() {
                // Not of the kind `Interrupted`, which readers take for a reason to try again.
                return Err(io::Error::other(Error::Interrupted));
            }
            let mut polled = [PollFd::new(&self.inner, PollFlags::IN)];
            match poll(&mut polled, Some(&limit)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => {
                    if self.waits_for_more(polled[0].revents()) {
                        std::thread::sleep(MOMENT);
                    }
                    return self.inner.read(buffer);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_input_ends_when_the_user_asks() {
        let (reader, _writer) = io::pipe().unwrap();
        let cancel = Cancel::default();
        let mut patient = Patient::new(reader, cancel.clone());
        let asker = std::thread::spawn(move || cancel.cancel());
        assert!(patient.read(&mut [0; 8]).is_err());
        asker.join().unwrap();
    }
}
