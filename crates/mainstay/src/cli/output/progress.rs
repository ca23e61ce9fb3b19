//! Progress: a bar on a terminal, a line every ten seconds elsewhere, JSON lines for programs, or nothing.

use super::text::{bytes, count, duration};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use repository::{Counters, Event, Monitor};
use serde_json::json;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressMode {
    /// Problems.
    Quiet,
    /// Problems, as JSON.
    QuietJson,
    /// Problems and notes.
    Notes,
    /// A bar, several times per second.
    Bar,
    /// A line every ten seconds.
    Lines,
    /// A status message per second.
    Json,
}

impl ProgressMode {
    fn interval(self) -> Option<Duration> {
        match self {
            Self::Quiet | Self::QuietJson | Self::Notes => None,
            Self::Bar => Some(Duration::from_millis(200)),
            Self::Lines => Some(Duration::from_secs(10)),
            Self::Json => Some(Duration::from_secs(1)),
        }
    }

    fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::QuietJson)
    }
}

/// A monitor that shows what it is told. Finishing or dropping it removes the bar.
pub struct Progress {
    shared: Arc<Shared>,
    ticker: Option<(Sender<()>, JoinHandle<()>)>,
    verbose: u8,
    totals: bool,
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Progress({:?})", self.shared.mode)
    }
}

struct Shared {
    mode: ProgressMode,
    counters: Counters,
    started: Instant,
    phase: Mutex<Phase>,
    bar: ProgressBar,
}

/// Where a line can be written without being drawn over; standard error, if nothing is shown.
#[derive(Clone, Default)]
pub struct Line(Weak<Shared>);

impl Line {
    /// Write it.
    pub fn write(&self, text: impl Display) {
        match self.0.upgrade() {
            Some(shared) => shared.bar.suspend(|| complain(text)),
            None => complain(text),
        }
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Line")
    }
}

/// The step under way, and what had been done when it began.
#[derive(Clone, Default)]
struct Phase {
    title: String,
    since: Duration,
    bytes_before: u64,
    files_before: u64,
}

impl Progress {
    /// Begin to show.
    pub fn start(mode: ProgressMode, verbose: u8) -> Self {
        let target = if mode == ProgressMode::Bar {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(1000), target);
        if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
            bar.set_style(style);
        }
        let shared = Arc::new(Shared {
            mode,
            counters: Counters::default(),
            started: Instant::now(),
            phase: Mutex::default(),
            bar,
        });
        let ticker = mode.interval().map(|interval| tick(Arc::clone(&shared), interval));
        Self {
            shared,
            ticker,
            verbose,
            totals: mode.interval().is_some(),
        }
    }

    /// The same, without asking anybody to count ahead.
    #[must_use]
    pub fn without_totals(mut self) -> Self {
        self.totals = false;
        self
    }

    /// Stop showing, before a result is printed.
    pub fn finish(&mut self) {
        if let Some((stop, ticker)) = self.ticker.take() {
            drop(stop);
            // It only draws; if it panicked there is nothing to clean up.
            let _: Option<()> = ticker.join().ok();
        }
        self.shared.bar.finish_and_clear();
    }

    /// Where lines of others can be written.
    pub fn line(&self) -> Line {
        Line(Arc::downgrade(&self.shared))
    }

    /// How long it took so far.
    pub fn elapsed(&self) -> Duration {
        self.shared.started.elapsed()
    }

    /// Problems so far.
    pub fn problems(&self) -> u64 {
        Counters::get(&self.shared.counters.problems)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

fn tick(shared: Arc<Shared>, interval: Duration) -> (Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = mpsc::channel();
    let ticking = move || {
        while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
            shared.show();
        }
    };
    (stop, std::thread::spawn(ticking))
}

impl Monitor for Progress {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Phase(title) => self.shared.begin(title),
            Event::Problem { subject, message } => self.shared.problem(subject, message),
            Event::Note(text) => self.shared.note(text),
            // Of little interest where nearly everything is.
            Event::Entry { what: "unchanged", .. } if self.verbose < 2 => {}
            Event::Entry { path, what, size } if self.shared.mode.is_json() => {
                let item = path.to_string_lossy();
                print(json!({"message_type": "verbose_status", "action": what, "item": item, "data_size": size}));
            }
            Event::Entry { path, what, size } => {
                self.shared
                    .bar
                    .suspend(|| print(format_args!("{what:<9}  {}  ({})", path.display(), bytes(size))));
            }
            _ => {}
        }
    }

    fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    fn wants_entries(&self) -> bool {
        self.verbose > 0
    }

    fn wants_totals(&self) -> bool {
        self.totals
    }
}

impl Shared {
    fn begin(&self, title: &str) {
        let [bytes_before, files_before] = [&self.counters.bytes, &self.counters.files].map(Counters::get);
        let phase = Phase {
            title: title.to_owned(),
            since: self.started.elapsed(),
            bytes_before,
            files_before,
        };
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    fn problem(&self, subject: &str, message: &str) {
        if self.mode.is_json() {
            let during = self.phase().title;
            let error = json!({"message": message});
            complain(json!({"message_type": "error", "error": error, "during": during, "item": subject}));
        } else {
            self.bar
                .suspend(|| complain(format_args!("warning: `{subject}`: {message}")));
        }
    }

    fn note(&self, text: &str) {
        match self.mode {
            ProgressMode::Quiet | ProgressMode::QuietJson => {}
            ProgressMode::Json => complain(json!({"message_type": "note", "message": text})),
            _ => self.bar.suspend(|| complain(text)),
        }
    }

    fn phase(&self) -> Phase {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn show(&self) {
        let now = Moment::of(&self.counters, &self.phase(), self.started.elapsed());
        match self.mode {
            ProgressMode::Bar => self.bar.set_message(now.line(true)),
            ProgressMode::Lines => complain(now.line(false)),
            ProgressMode::Json => print(now.json()),
            ProgressMode::Quiet | ProgressMode::QuietJson | ProgressMode::Notes => {}
        }
    }
}

/// All numbers at one moment.
struct Moment {
    title: String,
    elapsed: Duration,
    files: u64,
    bytes: u64,
    total_files: u64,
    total_bytes: u64,
    problems: u64,
    bytes_per_second: f64,
    /// Between 0 and 1, if it is known what there is to do.
    done: Option<f64>,
    left: Option<Duration>,
}

impl Moment {
    fn of(counters: &Counters, phase: &Phase, elapsed: Duration) -> Self {
        let [files, bytes, total_files, total_bytes, problems] = [
            &counters.files,
            &counters.bytes,
            &counters.total_files,
            &counters.total_bytes,
            &counters.problems,
        ]
        .map(Counters::get);
        let in_phase = (elapsed.saturating_sub(phase.since)).as_secs_f64();
        let share = |done: u64, total: u64| (total > 0).then(|| (done as f64 / total as f64).min(1.0));
        let counting = counters.counting.load(Ordering::Relaxed);
        let [total_files, total_bytes] = [total_files, total_bytes].map(|total| if counting { 0 } else { total });
        let done = share(bytes, total_bytes).or_else(|| share(files, total_files));
        let before = share(phase.bytes_before, total_bytes).or_else(|| share(phase.files_before, total_files));
        let speed = (done.unwrap_or(0.0) - before.unwrap_or(0.0)) / in_phase;
        let left = done.filter(|_| speed > 0.0).map(|done| (1.0 - done) / speed);
        Self {
            title: phase.title.clone(),
            elapsed,
            files,
            bytes,
            total_files,
            total_bytes,
            problems,
            bytes_per_second: bytes.saturating_sub(phase.bytes_before) as f64 / in_phase.max(0.001),
            done,
            left: left.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        }
    }

    /// `[0:42] storing files  37 %  1.2 GiB of 3.2 GiB  120.0 MiB/s  0:17 left  812 files  2 problems`
    fn line(&self, with_bar: bool) -> String {
        let mut parts = vec![
            format!("[{}] {}", duration(self.elapsed), self.title)
                .trim_end()
                .to_owned(),
        ];
        if let Some(done) = self.done {
            let bar = if with_bar {
                format!("{} ", bar(done))
            } else {
                String::new()
            };
            parts.push(format!("{bar}{:.0} %", (done * 100.0).floor()));
        }
        if self.total_bytes > 0 {
            parts.push(format!("{} of {}", bytes(self.bytes), bytes(self.total_bytes)));
        } else if self.bytes > 0 {
            parts.push(bytes(self.bytes));
        }
        if self.bytes > 0 {
            parts.push(format!("{}/s", bytes(self.bytes_per_second as u64)));
        }
        parts.extend(self.left.map(|left| format!("{} left", duration(left))));
        if self.files > 0 {
            parts.push(count(self.files, "file"));
        }
        if self.problems > 0 {
            parts.push(count(self.problems, "problem"));
        }
        parts.join("  ")
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "message_type": "status",
            "phase": self.title,
            "seconds_elapsed": self.elapsed.as_secs(),
            "seconds_remaining": self.left.map(|left| left.as_secs()),
            "percent_done": self.done,
            "total_files": self.total_files,
            "files_done": self.files,
            "total_bytes": self.total_bytes,
            "bytes_done": self.bytes,
            "error_count": self.problems,
        })
    }
}

/// Ten characters: the numbers behind it have to fit on a line of 80.
fn bar(done: f64) -> String {
    let full = (done * 10.0) as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(10_usize.saturating_sub(full)))
}

/// Progress that nobody can see any more is no reason to stop the work.
fn print(text: impl Display) {
    let _: Option<()> = writeln!(io::stdout(), "{text}").ok();
}

fn complain(text: impl Display) {
    let _: Option<()> = writeln!(io::stderr(), "{text}").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment() -> Moment {
        let counters = Counters::default();
        for (counter, n) in [
            (&counters.bytes, 1 << 30),
            (&counters.total_bytes, 4 << 30),
            (&counters.files, 7),
        ] {
            Counters::add(counter, n);
        }
        let phase = Phase {
            title: "storing".to_owned(),
            since: Duration::from_secs(2),
            ..Phase::default()
        };
        Moment::of(&counters, &phase, Duration::from_secs(12))
    }

    #[test]
    fn a_line_says_how_far_and_how_long() {
        assert_eq!(
            moment().line(false),
            "[0:12] storing  25 %  1.0 GiB of 4.0 GiB  102.4 MiB/s  0:30 left  7 files"
        );
    }

    #[test]
    fn json_has_restic_s_names() {
        let json = moment().json();
        assert_eq!(json["percent_done"], 0.25);
        assert_eq!(json["seconds_remaining"], 30);
        assert_eq!(json["bytes_done"], 1 << 30);
    }

    #[test]
    fn what_is_still_being_counted_is_no_total() {
        let counters = Counters::default();
        Counters::add(&counters.bytes, 1 << 20);
        Counters::add(&counters.total_bytes, 2 << 20);
        counters.counting.store(true, Ordering::Relaxed);
        let moment = Moment::of(&counters, &Phase::default(), Duration::from_secs(1));
        assert_eq!(moment.line(true), "[0:01]  1.0 MiB  1.0 MiB/s");
    }

    #[test]
    fn nothing_is_guessed_when_nothing_is_known() {
        let moment = Moment::of(&Counters::default(), &Phase::default(), Duration::from_secs(1));
        assert_eq!(moment.line(true), "[0:01]");
        assert!(moment.json()["percent_done"].is_null());
    }
}
