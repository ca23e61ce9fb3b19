//! What is on a server, asked before anything is copied.

use super::server::Server;
use repository::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Users and roles are here, and what else concerns the whole server.
pub const ADMIN: &str = "admin";

/// What the server keeps for itself.
const OWN: [&str; 2] = ["config", "local"];

/// How many collections are named in one question: it is a variable of the shell.
const AT_ONCE: usize = 200;

const SURVEY: &str = "const hello = admin.runCommand({hello: 1}); const build = admin.runCommand({buildInfo: 1}); \
    const status = admin.runCommand({connectionStatus: 1, showPrivileges: true}); \
    const listed = admin.runCommand({listDatabases: 1}); \
    answer = {version: build.version, set: hello.setName || null, is_sharded: hello.msg === 'isdbgrid', \
    users: status.authInfo.authenticatedUsers.length, privileges: status.authInfo.authenticatedUserPrivileges || [], \
    databases: listed.databases.map((one) => ({name: one.name, bytes: Number(one.sizeOnDisk)}))};";

const COLLECTIONS: &str = "const one = admin.getSiblingDB(asked.database); answer = []; \
    for (const info of one.getCollectionInfos()) { answer.push({name: info.name, kind: info.type || 'collection'}); }";

const COUNT: &str = "const one = admin.getSiblingDB(asked.database); answer = {}; \
    for (const name of asked.collections) { answer[name] = Number(one.getCollection(name).countDocuments({})); }";

const DROP: &str = "const one = admin.getSiblingDB(asked.database); answer = true; \
    for (const name of asked.collections) { one.getCollection(name).drop(); }";

/// What is on a server.
#[derive(Debug, Deserialize)]
pub struct Surveyed {
    /// Version of the server.
    pub version: String,
    /// Name of its replica set, if it is in one.
    pub set: Option<String>,
    /// It is the router of a sharded cluster.
    pub is_sharded: bool,
    /// As how many users we are logged in; none if nobody has to.
    users: u64,
    privileges: Vec<Privilege>,
    databases: Vec<Database>,
}

/// A database.
#[derive(Clone, Debug, Deserialize)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// How large it is, bytes.
    pub bytes: u64,
}

#[derive(Debug, Deserialize)]
struct Privilege {
    resource: Resource,
    actions: Vec<String>,
}

/// What a privilege is for. An empty name stands for all.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Resource {
    db: Option<String>,
    collection: Option<String>,
    #[serde(rename = "anyResource")]
    any: bool,
}

/// A collection, view or time series.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Collection {
    /// Its name.
    pub name: String,
    /// Which of these it is.
    pub kind: String,
}

impl Surveyed {
    /// Of a server that answers.
    ///
    /// # Errors
    /// What the server or the shell says.
    pub fn of(server: &Server) -> Result<Self> {
        understood(server.ask(SURVEY, &Value::Null)?)
    }

    /// Databases that are no part of the server itself, without `admin`.
    pub fn databases(&self) -> impl Iterator<Item = &Database> {
        let is_own = |name: &str| name == ADMIN || OWN.contains(&name);
        self.databases.iter().filter(move |database| !is_own(&database.name))
    }

    /// How large a database is, bytes.
    pub fn bytes_of(&self, name: &str) -> Option<u64> {
        let found = self.databases.iter().find(|database| database.name == name);
        found.map(|database| database.bytes)
    }

    /// What it takes to copy a database, and is not allowed.
    pub fn missing_for(&self, database: &str) -> Vec<String> {
        if database == ADMIN {
            let lacks = |collection: &&str| !self.may("find", ADMIN, collection);
            let missing = ["system.users", "system.roles"].into_iter().filter(lacks);
            return missing
                .map(|collection| format!("`find` on `admin.{collection}`"))
                .collect();
        }
        let lacks = |action: &&str| !self.may(action, database, "");
        let missing = ["find", "listCollections", "listIndexes"].into_iter().filter(lacks);
        missing.map(|action| format!("`{action}` on `{database}`")).collect()
    }

    /// The same for the log of a replica set.
    pub fn missing_for_oplog(&self) -> Vec<String> {
        if self.may("find", "local", "oplog.rs") {
            return Vec::new();
        }
        vec!["`find` on `local.oplog.rs`".to_owned()]
    }

    fn may(&self, action: &str, database: &str, collection: &str) -> bool {
        let is_for = |wanted: &str, of: &Option<String>| of.as_ref().is_some_and(|of| of.is_empty() || of == wanted);
        // A right on all collections does not reach those of the system.
        let is_system = collection.starts_with("system.");
        let reaches = |resource: &Resource| {
            let names_it = resource.collection.as_deref() == Some(collection);
            resource.any
                || is_for(database, &resource.db)
                    && (names_it || !is_system && is_for(collection, &resource.collection))
        };
        let allows = |privilege: &Privilege| {
            reaches(&privilege.resource) && privilege.actions.iter().any(|one| one == action || one == "anyAction")
        };
        self.users == 0 || self.privileges.iter().any(allows)
    }
}

/// What is in a database. One that does not exist holds nothing.
///
/// # Errors
/// What the server or the shell says.
pub fn collections(server: &Server, database: &str) -> Result<Vec<Collection>> {
    let all: Vec<Collection> = understood(server.ask(COLLECTIONS, &json!({"database": database}))?)?;
    Ok(all.into_iter().filter(|one| !one.name.starts_with("system.")).collect())
}

/// How many documents collections have.
///
/// # Errors
/// What the server or the shell says.
pub fn count(server: &Server, database: &str, names: &[&str]) -> Result<BTreeMap<String, u64>> {
    let mut counts = BTreeMap::new();
    for some in names.chunks(AT_ONCE) {
        let asked = json!({"database": database, "collections": some});
        let counted: BTreeMap<String, u64> = understood(server.ask(COUNT, &asked)?)?;
        counts.extend(counted);
    }
    Ok(counts)
}

/// Remove collections.
///
/// # Errors
/// What the server or the shell says.
pub fn drop_collections(server: &Server, database: &str, names: &[&str]) -> Result<()> {
    for some in names.chunks(AT_ONCE) {
        server.ask(DROP, &json!({"database": database, "collections": some}))?;
    }
    Ok(())
}

/// The first collections whose documents are not as many as they should be, as a phrase.
pub fn difference(expected: &BTreeMap<String, u64>, found: &BTreeMap<String, u64>) -> Option<String> {
    let wrong = expected.iter().filter(|(name, count)| found.get(*name) != Some(count));
    let text = |(name, count): (&String, &u64)| match found.get(name) {
        Some(found) => format!("`{name}` has {found} documents instead of {count}"),
        None => format!("`{name}` is missing"),
    };
    let unexpected = found.keys().filter(|name| !expected.contains_key(*name));
    let texts: Vec<String> = wrong
        .map(text)
        .chain(unexpected.map(|name| format!("`{name}` is new")))
        .collect();
    match texts.len() {
        0 => None,
        1..=3 => Some(texts.join(", ")),
        all => Some(format!("{}, and {} more", texts[..3].join(", "), all - 3)),
    }
}

fn understood<T: serde::de::DeserializeOwned>(answer: Value) -> Result<T> {
    serde_json::from_value(answer).map_err(|error| Error::Refused {
        message: format!("the server's answer cannot be understood: {error}"),
        hint: "The server may be of a version that is not known.".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surveyed(users: u64, privileges: Value) -> Surveyed {
        let told = json!({"version": "7.0.5", "set": null, "is_sharded": false, "users": users, "privileges": privileges,
            "databases": [{"name": "admin", "bytes": 1}, {"name": "app", "bytes": 2}, {"name": "local", "bytes": 3}]});
        serde_json::from_value(told).unwrap()
    }

    #[test]
    fn missing_rights_are_named() {
        let all = |surveyed: &Surveyed| {
            let of = |database: &str| surveyed.missing_for(database).len();
            (of("app"), of("admin"), surveyed.missing_for_oplog().len())
        };
        assert_eq!(all(&surveyed(0, json!([]))), (0, 0, 0), "nobody has to log in");
        assert_eq!(all(&surveyed(1, json!([]))), (3, 2, 1));
        let any = json!([{"resource": {"anyResource": true}, "actions": ["anyAction"]}]);
        assert_eq!(all(&surveyed(1, any)), (0, 0, 0));
        let read = ["find", "listCollections", "listIndexes"];
        let of_one = json!([{"resource": {"db": "app", "collection": ""}, "actions": read}]);
        assert_eq!(all(&surveyed(1, of_one)), (0, 2, 1));
        let backup = json!([{"resource": {"db": "", "collection": ""}, "actions": read},
            {"resource": {"cluster": true}, "actions": ["listDatabases"]},
            {"resource": {"db": "admin", "collection": "system.users"}, "actions": ["find"]}]);
        assert_eq!(
            surveyed(1, backup).missing_for("admin"),
            ["`find` on `admin.system.roles`"]
        );
        let names: Vec<String> = surveyed(0, json!([])).databases().map(|one| one.name.clone()).collect();
        assert_eq!(names, ["app"]);
    }
}
