//! What a database has besides its content: encoding, locale, owner, settings, rights. A dump for another name lacks it.

use super::catalog::parsed;
use super::names::{ident, literal};
use super::session::Session;
use repository::{Error, Result};
use serde::{Deserialize, Serialize};

const QUERY: &str = "\
SELECT pg_catalog.json_build_object(
    'name', d.datname, 'owner', pg_catalog.pg_get_userbyid(d.datdba),
    'encoding', pg_catalog.pg_encoding_to_char(d.encoding), 'collate', d.datcollate, 'ctype', d.datctype,
    'provider', coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'),
    'locale', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'),
    'rules', to_jsonb(d) ->> 'daticurules',
    'connection_limit', d.datconnlimit, 'comment', pg_catalog.shobj_description(d.oid, 'pg_database'),
    'bytes', pg_catalog.pg_database_size(d.oid),
    'settings', coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_array(
        CASE WHEN s.setrole <> 0 THEN pg_catalog.pg_get_userbyid(s.setrole) END, s.setconfig)
        ORDER BY pg_catalog.pg_get_userbyid(s.setrole))
        FROM pg_catalog.pg_db_role_setting s WHERE s.setdatabase = d.oid), '[]'),
    'privileges', (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(
        CASE WHEN a.grantee <> 0 THEN pg_catalog.pg_get_userbyid(a.grantee) END, a.privilege_type, a.is_grantable)
        ORDER BY pg_catalog.pg_get_userbyid(a.grantee), a.privilege_type)
        FROM pg_catalog.aclexplode(d.datacl) a))
FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database();";

/// Settings whose value is a list of names, which the server stores quoted.
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// What a database has besides its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Properties {
    /// Its name.
    pub name: String,
    /// Who owns it.
    pub owner: String,
    /// Of its texts.
    pub encoding: String,
    /// Order of texts.
    pub collate: String,
    /// Classes of characters.
    pub ctype: String,
    /// Who knows about both: `c` the system, `i` ICU, `b` the server.
    pub provider: String,
    /// Locale of ICU or the server.
    pub locale: Option<String>,
    /// More rules for ICU.
    pub rules: Option<String>,
    /// How many connections it takes; -1 is no limit.
    pub connection_limit: i64,
    /// What the user says of it.
    pub comment: Option<String>,
    /// How large it is on the server.
    pub bytes: u64,
    /// Settings, each `NAME=VALUE`, for everybody or for one role.
    pub settings: Vec<(Option<String>, Vec<String>)>,
    /// Rights of everybody or of a role, and whether they may be passed on; nothing if they are as the server sets them.
    pub privileges: Option<Vec<(Option<String>, String, bool)>>,
}

impl Properties {
    /// Those of the database that the session is connected to.
    ///
    /// # Errors
    /// Those of the session.
    pub fn read(session: &mut Session) -> Result<Self> {
        let found = parsed(session, QUERY)?.into_iter().next();
        found.ok_or_else(|| Error::NotFound {
            what: "database",
            name: "of this session".to_owned(),
        })
    }

    /// The statement that makes an empty database of another name like it, on a server of the version `major`.
    pub fn create(&self, name: &str, owner: Option<&str>, major: u32) -> String {
        let mut sql = format!(
            "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}",
            ident(name),
            literal(&self.encoding),
            literal(&self.collate),
            literal(&self.ctype),
        );
        let locale = literal(self.locale.as_deref().unwrap_or_default());
        match self.provider.as_str() {
            "i" => sql.push_str(&format!(" LOCALE_PROVIDER icu ICU_LOCALE {locale}")),
            "b" => sql.push_str(&format!(" LOCALE_PROVIDER builtin BUILTIN_LOCALE {locale}")),
            // The server that gets it may have another provider as its own.
            _ if major >= 15 => sql.push_str(" LOCALE_PROVIDER libc"),
            _ => {}
        }
        if let Some(rules) = &self.rules {
            sql.push_str(&format!(" ICU_RULES {}", literal(rules)));
        }
        if let Some(owner) = owner {
            sql.push_str(&format!(" OWNER {}", ident(owner)));
        }
        sql.push(';');
        sql
    }

    /// The statements that give the database `name` everything else.
    pub fn apply(&self, name: &str, with_privileges: bool) -> Vec<String> {
        let database = ident(name);
        let mut sql = Vec::new();
        if let Some(comment) = &self.comment {
            sql.push(format!("COMMENT ON DATABASE {database} IS {};", literal(comment)));
        }
        if self.connection_limit >= 0 {
            let limit = self.connection_limit;
            sql.push(format!("ALTER DATABASE {database} CONNECTION LIMIT {limit};"));
        }
        for (role, settings) in &self.settings {
            let whose = match role {
                Some(role) => format!("ALTER ROLE {} IN DATABASE {database}", ident(role)),
                None => format!("ALTER DATABASE {database}"),
            };
            let pairs = settings.iter().filter_map(|setting| setting.split_once('='));
            sql.extend(pairs.map(|(name, value)| format!("{whose} SET {} TO {};", ident(name), value_of(name, value))));
        }
        if let Some(privileges) = self.privileges.as_ref().filter(|_| with_privileges) {
            sql.push(format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC;"));
            sql.push(format!(
                "REVOKE ALL ON DATABASE {database} FROM {};",
                ident(&self.owner)
            ));
            for (grantee, privilege, grantable) in privileges {
                let grantee = grantee.as_deref().map_or_else(|| "PUBLIC".to_owned(), ident);
                let option = if *grantable { " WITH GRANT OPTION" } else { "" };
                sql.push(format!(
                    "GRANT {privilege} ON DATABASE {database} TO {grantee}{option};"
                ));
            }
        }
        sql
    }
}

fn value_of(setting: &str, value: &str) -> String {
    if !LISTS.contains(&setting) {
        return literal(value);
    }
    let names: Vec<String> = list(value).iter().map(|name| literal(name)).collect();
    if names.is_empty() {
        literal("")
    } else {
        names.join(", ")
    }
}

/// The names of a list such as `"$user", public`.
fn list(value: &str) -> Vec<String> {
    let (mut names, mut name, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = value.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                name.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(std::mem::take(&mut name)),
            ' ' if !quoted => {}
            c => name.push(c),
        }
    }
    if !value.trim().is_empty() {
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_taken_apart_and_other_values_stay_whole() {
        assert_eq!(value_of("search_path", "\"$user\", public"), "'$user', 'public'");
        assert_eq!(value_of("search_path", "\"a \"\"b\"\",c\", d"), "'a \"b\",c', 'd'");
        assert_eq!(value_of("search_path", ""), "''");
        assert_eq!(value_of("search_path", "\"\""), "''");
        assert_eq!(value_of("app.list", "a, b"), "'a, b'");
    }
}
