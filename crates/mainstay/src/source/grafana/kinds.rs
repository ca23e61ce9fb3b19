//! Kinds of objects that a Grafana holds, and what they are called.

use crate::source::databases::in_path;
use repository::Id;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// A kind of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Folders, which may lie in others.
    Folders,
    /// Data sources.
    DataSources,
    /// Panels that dashboards share.
    LibraryPanels,
    /// Dashboards.
    Dashboards,
    /// Users of the organization.
    Users,
    /// Teams with their members.
    Teams,
    /// Templates of notifications.
    Templates,
    /// Mute timings.
    MuteTimings,
    /// Contact points.
    ContactPoints,
    /// Groups of alert rules.
    RuleGroups,
    /// The tree of notification policies.
    Policies,
}

impl Kind {
    /// All, in the order in which they are restored: nothing before what it refers to.
    pub const ALL: [Self; 11] = [
        Self::Folders,
        Self::DataSources,
        Self::LibraryPanels,
        Self::Dashboards,
        Self::Users,
        Self::Teams,
        Self::Templates,
        Self::MuteTimings,
        Self::ContactPoints,
        Self::RuleGroups,
        Self::Policies,
    ];

    /// The directory of its files, which is its name in the manifest.
    pub fn directory(self) -> &'static str {
        match self {
            Self::Folders => "folders",
            Self::DataSources => "datasources",
            Self::LibraryPanels => "library-panels",
            Self::Dashboards => "dashboards",
            Self::Users => "users",
            Self::Teams => "teams",
            Self::Templates => "templates",
            Self::MuteTimings => "mute-timings",
            Self::ContactPoints => "contact-points",
            Self::RuleGroups => "rule-groups",
            Self::Policies => "policies",
        }
    }

    /// The same for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::DataSources => "data sources",
            Self::LibraryPanels => "library panels",
            Self::MuteTimings => "mute timings",
            Self::ContactPoints => "contact points",
            Self::RuleGroups => "alert rules",
            Self::Policies => "notification policies",
            Self::Folders | Self::Dashboards | Self::Users | Self::Teams | Self::Templates => self.directory(),
        }
    }

    /// What tells an object from others of its kind; nothing if it is no such object.
    pub fn key(self, json: &Value) -> Option<String> {
        let text = |pointer: &str| json.pointer(pointer)?.as_str().filter(|text| !text.is_empty());
        let key = match self {
            Self::Folders | Self::DataSources | Self::LibraryPanels => text("/uid")?.to_owned(),
            Self::Dashboards => text("/dashboard/uid")?.to_owned(),
            Self::Users => text("/login")?.to_owned(),
            Self::Teams | Self::Templates | Self::MuteTimings => text("/name")?.to_owned(),
            Self::ContactPoints => text("/uid").or_else(|| text("/name"))?.to_owned(),
            Self::RuleGroups => format!("{}/{}", text("/folderUid")?, text("/title")?),
            Self::Policies => json.is_object().then(|| self.directory().to_owned())?,
        };
        Some(key)
    }
}

/// The name of the file of an object.
pub fn file_name(key: &str) -> String {
    const LONGEST: usize = 200;
    const KEPT: usize = 150;
    let name = in_path(key);
    if name.len() <= LONGEST {
        return format!("{name}.json");
    }
    let kept: String = name
        .chars()
        .scan(0, |length, c| {
            *length += c.len_utf8();
            (*length <= KEPT).then_some(c)
        })
        .collect();
    let hash = Id(Sha256::digest(key).into()).to_hex();
    format!("{kept}~{}.json", &hash[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_a_name_of_a_file() {
        assert_eq!(file_name("f/group"), "f%2Fgroup.json");
        let long = "ü".repeat(190);
        let name = file_name(&long);
        assert!(
            name.len() < 200 && name.ends_with(".json") && name != file_name(&"ü".repeat(191)),
            "{name}"
        );
    }

    #[test]
    fn objects_have_keys_that_mean_the_same_in_another_grafana() {
        let key = |kind: Kind, json: &str| kind.key(&serde_json::from_str(json).unwrap());
        assert_eq!(
            key(Kind::Dashboards, r#"{"dashboard": {"uid": "a", "id": 3}}"#).as_deref(),
            Some("a")
        );
        assert_eq!(
            key(Kind::ContactPoints, r#"{"uid": "", "name": "mail"}"#).as_deref(),
            Some("mail")
        );
        assert_eq!(
            key(Kind::RuleGroups, r#"{"folderUid": "f", "title": "g"}"#).as_deref(),
            Some("f/g")
        );
        assert_eq!(key(Kind::Teams, r#"{"uid": "x"}"#), None);
    }
}
