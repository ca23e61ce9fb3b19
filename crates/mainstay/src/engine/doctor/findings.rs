//! What a store says of itself, and what that means for backups.

use crate::explain;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use std::time::SystemTime;
use storage::{ErrorKind, Hold, Inspect, ObjectLock, Versioning};

/// One thing that holds of a store.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// What it is about.
    pub name: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What was found, in a few words.
    pub verdict: String,
    /// What it means and what it costs, where it is not as expected.
    pub text: Option<String>,
    /// The next action.
    pub hint: Option<String>,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// As it should be.
    Fine,
    /// The store does not say.
    Unknown,
    /// Worth knowing.
    Note,
    /// Something does not work as one might expect.
    Warning,
    /// Something fails.
    Error,
}

/// From here on a difference of clocks is told, seconds.
const NOTICED: u64 = 60;
/// From here on S3 and Azure refuse requests, seconds.
const REFUSED: u64 = 15 * 60;

impl Finding {
    fn fine(name: &'static str, verdict: impl Into<String>) -> Self {
        Self {
            name,
            severity: Severity::Fine,
            verdict: verdict.into(),
            text: None,
            hint: None,
        }
    }

    fn because(mut self, severity: Severity, text: impl Into<String>) -> Self {
        self.severity = severity;
        self.text = Some(text.into());
        self
    }

    fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Not to know something is no failure.
    fn unknown(name: &'static str, error: storage::Error) -> Self {
        let error = anyhow::Error::from(repository::Error::from(error));
        Self::fine(name, "unknown").because(Severity::Unknown, explain::chain(&error))
    }
}

/// Whether this host and the store agree on the time; nothing where the store does not tell it.
pub(super) fn clock(store: &dyn Inspect) -> Option<Finding> {
    let ahead = store.clock_ahead_seconds()?;
    let seconds = ahead.unsigned_abs();
    if seconds <= NOTICED {
        return Some(Finding::fine("clock", "right"));
    }
    let away = shown(seconds);
    let (direction, of) = if ahead > 0 { ("behind", "") } else { ("ahead", " of") };
    let found = Finding::fine("clock", format!("{away} {direction}"));
    let text = format!(
        "this host's clock is {away} {direction}{of} the store's: times of snapshots, what retention keeps, and the age at which \
         another host takes a lock for abandoned go by it"
    );
    let found = if seconds < REFUSED {
        found.because(Severity::Warning, text)
    } else {
        let refused = "S3 and Azure refuse every request that is signed more than 15 minutes away from their own time";
        found.because(Severity::Error, format!("{text}; {refused}"))
    };
    Some(found.with_hint("Set this host's clock, such as with `timedatectl set-ntp true`."))
}

fn shown(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Whether the store refuses to replace the object `name`, whose content is `content`, if it is asked to.
pub(super) fn conditional_write(store: &dyn Inspect, name: &str, content: &Bytes) -> Option<Finding> {
    let about = "write only if new";
    let costs = "this costs nothing now: Mainstay names objects by their content, and its locks, which are restic's, do not need it";
    Some(match store.create(name, content.clone())? {
        Ok(false) => Finding::fine(about, "works"),
        Ok(true) => Finding::fine(about, "ignored").because(
            Severity::Note,
            format!("the store replaced an object although it was asked not to; {costs}"),
        ),
        Err(error) if error.kind.is_transient() || error.kind == ErrorKind::Held => Finding::unknown(about, error),
        Err(error) => {
            let error = anyhow::Error::from(repository::Error::from(error));
            let text = format!("{}; {costs}", explain::chain(&error));
            Finding::fine(about, "not offered").because(Severity::Note, text)
        }
    })
}

/// What becomes of deleted objects, and when they can be deleted.
pub(super) fn rules(store: &dyn Inspect) -> Vec<Finding> {
    let (versioning, lock) = (store.versioning(), store.object_lock());
    let keeps_versions = matches!(versioning, Some(Ok(Versioning::On)));
    let versions = versioning.map(|found| match found {
        Ok(versioning) => versions(versioning),
        Err(error) => Finding::unknown("old versions", error),
    });
    let lock = lock.map(|found| match found {
        Ok(lock) => object_lock(lock, keeps_versions),
        Err(error) => Finding::unknown("object lock", error),
    });
    versions.into_iter().chain(lock).collect()
}

fn versions(versioning: Versioning) -> Finding {
    let about = "old versions";
    let (verdict, text) = match versioning {
        Versioning::Off => return Finding::fine(about, "not kept"),
        Versioning::On => (
            "kept",
            "the bucket keeps what is deleted or replaced as old versions, which are paid for: `forget` and `prune` free nothing by \
             themselves",
        ),
        Versioning::Suspended => (
            "suspended",
            "the bucket has kept old versions before: those that it has stay and are paid for",
        ),
    };
    let hint = "Give the bucket a lifecycle rule that expires noncurrent versions, after as many days as you want to be able to go back.";
    Finding::fine(about, verdict)
        .because(Severity::Note, text)
        .with_hint(hint)
}

fn object_lock(lock: ObjectLock, keeps_versions: bool) -> Finding {
    match lock {
        ObjectLock::Off => Finding::fine("object lock", "none"),
        ObjectLock::OnRequest => Finding::fine("object lock", "only on request"),
        ObjectLock::Default { mode, time } => {
            let text = if keeps_versions {
                format!(
                    "the bucket protects each object for {time}: what `forget` and `prune` delete is hidden at once, and stays and is \
                     paid for until then"
                )
            } else {
                format!("the bucket protects each object for {time}: `forget` and `prune` cannot delete it before")
            };
            Finding::fine("object lock", format!("{time}, {mode}")).because(Severity::Note, text)
        }
    }
}

/// The objects of the trial could not be deleted, because the store keeps them.
pub(super) fn kept(until: Option<SystemTime>) -> Finding {
    let when = date(until).map_or_else(|| "yet".to_owned(), |date| format!("before {date}"));
    let text = format!(
        "the store keeps objects for a time, and these two, below `data/`, cannot be deleted {when}: a `prune` after that removes them. \
         `forget` and `prune` free space that much later, and the locks of runs stay until they are taken for abandoned, so that \
         other hosts wait up to half an hour"
    );
    Finding::fine("delete", format!("not {when}")).because(Severity::Warning, text)
}

/// The objects of the trial were deleted, and stay as old versions.
pub(super) fn hidden(hold: Hold) -> Finding {
    let until = match hold {
        Hold::Until(time) => date(Some(time)),
        Hold::UntilLifted => None,
    };
    let until = until.map_or_else(|| "somebody lifts their hold".to_owned(), |date| date.to_string());
    let text = format!("the two objects of this trial stay as old versions until {until}");
    Finding::fine("delete", "only hidden").because(Severity::Note, text)
}

fn date(time: Option<SystemTime>) -> Option<String> {
    let time = Timestamp::try_from(time?).ok()?;
    Some(time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::Result;

    /// A store that says what it is told to.
    #[derive(Clone, Default)]
    struct Told {
        ahead: Option<i64>,
        creates: Option<bool>,
        versioning: Option<Versioning>,
        lock: Option<ObjectLock>,
    }

    fn refused<T>() -> Result<T> {
        Err(storage::Error::new(ErrorKind::Other, "ask", "", "s3:x").because("the store answered `NotImplemented`"))
    }

    impl Inspect for Told {
        fn clock_ahead_seconds(&self) -> Option<i64> {
            self.ahead
        }

        fn create(&self, _: &str, _: Bytes) -> Option<Result<bool>> {
            Some(self.creates.map_or_else(refused, Ok))
        }

        fn versioning(&self) -> Option<Result<Versioning>> {
            Some(self.versioning.map_or_else(refused, Ok))
        }

        fn object_lock(&self) -> Option<Result<ObjectLock>> {
            Some(self.lock.clone().map_or_else(refused, Ok))
        }
    }

    /// A kind of store that can be asked nothing.
    struct Mute;

    impl Inspect for Mute {}

    #[test]
    fn clocks_are_compared() {
        let found = |ahead| {
            let told = Told {
                ahead: Some(ahead),
                ..Told::default()
            };
            let finding = clock(&told).unwrap();
            (finding.severity, finding.verdict)
        };
        for (ahead, severity, verdict) in [
            (0, Severity::Fine, "right"),
            (-60, Severity::Fine, "right"),
            (61, Severity::Warning, "61 s behind"),
            (-600, Severity::Warning, "10 min ahead"),
            (900, Severity::Error, "15 min behind"),
            (i64::MIN, Severity::Error, "106751991167300 days ahead"),
        ] {
            assert_eq!(found(ahead), (severity, verdict.to_owned()), "{ahead}");
        }
        let text = |ahead| {
            let told = Told {
                ahead: Some(ahead),
                ..Told::default()
            };
            clock(&told).unwrap().text.unwrap()
        };
        assert!(text(600).contains("is 10 min behind the store's:"), "{}", text(600));
        assert!(text(-600).contains("is 10 min ahead of the store's:"), "{}", text(-600));
        assert!(clock(&Mute).is_none());
    }

    #[test]
    fn a_condition_that_is_ignored_is_noticed() {
        let found = |creates| {
            let told = Told {
                creates,
                ..Told::default()
            };
            let finding = conditional_write(&told, "data/a", &Bytes::new()).unwrap();
            (finding.severity, finding.verdict)
        };
        assert_eq!(found(Some(false)), (Severity::Fine, "works".to_owned()));
        assert_eq!(found(Some(true)), (Severity::Note, "ignored".to_owned()));
        assert_eq!(found(None), (Severity::Note, "not offered".to_owned()));
        assert!(conditional_write(&Mute, "data/a", &Bytes::new()).is_none());
    }

    #[test]
    fn rules_say_what_they_cost_and_silence_is_no_failure() {
        let found = |versioning, lock| {
            let told = Told {
                versioning,
                lock,
                ..Told::default()
            };
            let [versions, lock] = <[Finding; 2]>::try_from(rules(&told)).unwrap();
            (versions, lock)
        };
        let (versions, lock) = found(None, None);
        assert_eq!(
            (versions.severity, lock.severity),
            (Severity::Unknown, Severity::Unknown)
        );
        assert!(versions.text.unwrap().contains("`NotImplemented`"));
        let (versions, lock) = found(Some(Versioning::Off), Some(ObjectLock::Off));
        assert_eq!((versions.severity, lock.severity), (Severity::Fine, Severity::Fine));
        let default = ObjectLock::Default {
            mode: "COMPLIANCE".into(),
            time: "30 days".into(),
        };
        let (versions, lock) = found(Some(Versioning::On), Some(default.clone()));
        assert!(versions.text.unwrap().contains("paid for") && versions.hint.unwrap().contains("lifecycle"));
        assert_eq!(lock.verdict, "30 days, COMPLIANCE");
        assert!(lock.text.unwrap().contains("hidden at once"));
        let (_, lock) = found(Some(Versioning::Off), Some(default));
        assert!(lock.text.unwrap().contains("cannot delete it before"));
        assert!(rules(&Mute).is_empty());
    }
}
