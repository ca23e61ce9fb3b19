//! What the program is told: by the environment, by options, and by files that those name.

pub mod address;
pub mod directories;
pub mod env;
pub mod expand;
pub mod file;
pub mod keys;
pub mod model;
pub mod password;
pub mod problem;
pub mod secret;
pub mod store;
pub mod tree;
pub mod units;

#[cfg(test)]
mod examples_test;

use std::error::Error;

/// Something was asked for that makes no sense; exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Misuse {
    /// What, lower case, the value in backquotes.
    pub message: String,
    /// The next action, as a sentence.
    pub hint: String,
    /// What led to it.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl Misuse {
    /// What is wrong, and what to do instead.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
            source: None,
        }
    }

    /// The same with the error that led to it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}
