//! What is asked to be kept.

use super::calendar::Period;
use super::duration::Duration;
use crate::{Error, Result};
use std::str::FromStr;

/// How many snapshots of one kind are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Count {
    /// None: the rule does not apply.
    #[default]
    None,
    /// At most so many.
    UpTo(u32),
    /// All. Restic has this since version 0.16; 0.14 keeps none.
    Unlimited,
}

impl Count {
    pub(super) fn one_less(self) -> Self {
        match self {
            Self::UpTo(n) => Self::from(n.saturating_sub(1)),
            other => other,
        }
    }
}

impl From<u32> for Count {
    fn from(n: u32) -> Self {
        if n == 0 { Self::None } else { Self::UpTo(n) }
    }
}

impl FromStr for Count {
    type Err = Error;

    /// A number, or `unlimited` or `-1` for all.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "unlimited" | "-1" => Ok(Self::Unlimited),
            text => text.parse::<u32>().map(Self::from).map_err(|_| Error::Refused {
                message: format!("`{text}` is not a number of snapshots"),
                hint: "Write a number from 0 on, or `unlimited`.".to_owned(),
            }),
        }
    }
}

/// The rules by which snapshots are kept; one is enough to keep a snapshot. The default asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The newest.
    pub last: Count,
    /// The newest of each hour that has any.
    pub hourly: Count,
    /// The newest of each day that has any.
    pub daily: Count,
    /// The newest of each week that has any; weeks begin on Monday (ISO 8601).
    pub weekly: Count,
    /// The newest of each month that has any.
    pub monthly: Count,
    /// The newest of each year that has any.
    pub yearly: Count,
    /// All since so long before the newest.
    pub within: Duration,
    /// The newest of each hour since so long before the newest.
    pub within_hourly: Duration,
    /// The newest of each day since so long before the newest.
    pub within_daily: Duration,
    /// The newest of each week since so long before the newest.
    pub within_weekly: Duration,
    /// The newest of each month since so long before the newest.
    pub within_monthly: Duration,
    /// The newest of each year since so long before the newest.
    pub within_yearly: Duration,
    /// All that have every label of one of these lists; `""` stands for having none.
    pub tags: Vec<Vec<String>>,
}

impl Policy {
    /// Whether it asks for nothing to be kept.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// That it asks for something.
    ///
    /// # Errors
    /// [`Error::Refused`] if it does not.
    pub fn check(&self) -> Result<()> {
        if !self.is_empty() {
            return Ok(());
        }
        Err(Error::Refused {
            message: "the policy does not say what to keep".to_owned(),
            hint: "Give a rule, for example `--keep-daily 7 --keep-weekly 5 --keep-monthly 12`.".to_owned(),
        })
    }

    pub(super) fn counts(&self) -> [(Period, Count); 6] {
        [
            (Period::Always, self.last),
            (Period::Hour, self.hourly),
            (Period::Day, self.daily),
            (Period::Week, self.weekly),
            (Period::Month, self.monthly),
            (Period::Year, self.yearly),
        ]
    }

    pub(super) fn periods_within(&self) -> [(Period, &Duration); 5] {
        [
            (Period::Hour, &self.within_hourly),
            (Period::Day, &self.within_daily),
            (Period::Week, &self.within_weekly),
            (Period::Month, &self.within_monthly),
            (Period::Year, &self.within_yearly),
        ]
    }
}
