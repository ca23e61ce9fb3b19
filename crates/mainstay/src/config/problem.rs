//! What is wrong with the configuration: everything at once, each with its place and the way out.

use super::tree::Origin;
use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub origin: Origin,
    /// The value as it was written, unless it may be secret.
    pub value: Option<String>,
    /// What, lower case, the value in backquotes.
    pub message: String,
    /// The next action, as a sentence.
    pub hint: String,
}

/// All of it, sorted by file and line, nothing twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// One more.
    pub fn add(&mut self, origin: &Origin, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Problem {
            origin: origin.clone(),
            value: None,
            message: message.into(),
            hint: hint.into(),
        });
    }

    /// One more; the same one again, as an alias leads to it, counts once.
    pub fn push(&mut self, problem: Problem) {
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// `value` if nothing is wrong.
    ///
    /// # Errors
    /// All problems, in order.
    pub fn or<T>(mut self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.is_empty() => Ok(value),
            _ => {
                self.0.sort_by(|a, b| a.origin.cmp(&b.origin));
                Err(self)
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin.place() {
            Some(place) => write!(f, "{place}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
