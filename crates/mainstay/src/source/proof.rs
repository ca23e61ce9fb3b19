//! What a restore into scratch showed.

use serde::Serialize;

/// What was found when a part had been restored into scratch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// What was tested.
    pub checks: Vec<Check>,
    /// What is there, counted: `(12, "workflow")`.
    pub counts: Vec<(u64, String)>,
    /// The server that it was tested on, such as `PostgreSQL 15.4`, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The image that the server was started from, unless its programs are on this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Whatever else passed, it was not restored: so nothing is proven.
    #[serde(skip)]
    is_unproven: bool,
}

/// One test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Of what.
    pub what: String,
    /// What it showed.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What a test showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// It is as it should be.
    Passed,
    /// It is not.
    Failed {
        /// How.
        message: String,
    },
    /// It was not tested.
    Skipped {
        /// Why.
        reason: String,
    },
}

impl Proof {
    /// Nothing yet, on this server.
    pub fn on(server: String) -> Self {
        Self {
            server: Some(server),
            ..Self::default()
        }
    }

    /// Add a test that passes if what was found is what was expected.
    pub fn compare<T: PartialEq + std::fmt::Display>(&mut self, what: impl Into<String>, expected: T, found: T) {
        let verdict = if expected == found {
            Verdict::Passed
        } else {
            Verdict::Failed {
                message: format!("expected {expected}, found {found}"),
            }
        };
        self.add(what, verdict);
    }

    /// The same, but where something was removed on purpose since, less is no failure.
    pub fn compare_left(&mut self, what: impl Into<String>, expected: u64, found: u64, is_purged: bool) {
        if !is_purged || found >= expected {
            return self.compare(what, expected, found);
        }
        let reason = format!("{found} of {expected} are left since something was removed on purpose");
        self.add(what, Verdict::Skipped { reason });
    }

    /// Add a test.
    pub fn add(&mut self, what: impl Into<String>, verdict: Verdict) {
        self.checks.push(Check {
            what: what.into(),
            verdict,
        });
    }

    /// Add a test without which nothing is proven, and which cannot be made here.
    pub fn lack(&mut self, what: impl Into<String>, reason: String) {
        self.is_unproven = true;
        self.add(what, Verdict::Skipped { reason });
    }

    /// Whether something was tested that proves it, and nothing failed.
    pub fn is_ok(&self) -> bool {
        let passed = |check: &Check| check.verdict == Verdict::Passed;
        !self.is_unproven && self.checks.iter().any(passed) && !self.has_failed()
    }

    /// Whether a test showed that it is not as it should be.
    pub fn has_failed(&self) -> bool {
        let failed = |check: &Check| matches!(check.verdict, Verdict::Failed { .. });
        self.checks.iter().any(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_tested_is_nothing_proven() {
        let mut proof = Proof::default();
        assert!(!proof.is_ok());
        let reason = "no program for it".to_owned();
        proof.add("tables", Verdict::Skipped { reason });
        assert!(!proof.is_ok());
        proof.compare("rows", 3, 3);
        assert!(proof.is_ok());
        proof.lack("restore", "no server for it".to_owned());
        assert!(!proof.is_ok() && !proof.has_failed());
        proof.compare("rows", 3, 2);
        assert!(!proof.is_ok() && proof.has_failed());
    }
}
