//! What is kept.

use super::fields::Fields;
use crate::config::problem::Problems;
use crate::config::tree::{Content, Node};
use repository::retention::Policy;

/// Rules of retention; one is enough to keep a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Counts, times and tags.
    pub policy: Policy,
    /// All that are younger than so many days, counted from now.
    pub days: Option<u32>,
}

/// Read `keep`. Rules that keep nothing would delete everything, and are refused.
pub fn keep(node: &Node, problems: &mut Problems) -> Option<Keep> {
    let fields = Fields::new(node);
    let policy = Policy {
        last: fields.parsed("last").unwrap_or_default(),
        hourly: fields.parsed("hourly").unwrap_or_default(),
        daily: fields.parsed("daily").unwrap_or_default(),
        weekly: fields.parsed("weekly").unwrap_or_default(),
        monthly: fields.parsed("monthly").unwrap_or_default(),
        yearly: fields.parsed("yearly").unwrap_or_default(),
        within: fields.parsed("within").unwrap_or_default(),
        within_hourly: fields.parsed("within_hourly").unwrap_or_default(),
        within_daily: fields.parsed("within_daily").unwrap_or_default(),
        within_weekly: fields.parsed("within_weekly").unwrap_or_default(),
        within_monthly: fields.parsed("within_monthly").unwrap_or_default(),
        within_yearly: fields.parsed("within_yearly").unwrap_or_default(),
        tags: fields.items("tags").iter().map(tags).collect(),
    };
    let days = fields.parsed("days");
    if let (Some(node), false) = (fields.get("days"), policy.within.is_zero()) {
        let hint = "Keep one of them; `days` is `within` with days only.";
        problems.add(&node.origin, "`days` and `within` say the same", hint);
        return None;
    }
    let zeros = fields
        .node
        .entries()
        .iter()
        .all(|entry| entry.value.text() == Some("0"));
    let is_map = matches!(node.content, Content::Map(_));
    if is_map && policy.is_empty() && days.is_none() && zeros {
        let hint = "Write for example `{daily: 7, weekly: 4, monthly: 12}`; without `keep`, everything is kept.";
        problems.add(&node.origin, "`keep` keeps nothing", hint);
        return None;
    }
    Some(Keep { policy, days })
}

fn tags(node: &Node) -> Vec<String> {
    match node.text() {
        Some(tag) => vec![tag.to_owned()],
        None => node
            .items()
            .iter()
            .filter_map(|tag| tag.text().map(str::to_owned))
            .collect(),
    }
}
