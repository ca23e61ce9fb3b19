//! Users, roles and what they may do, as statements.

use super::connected::Connected;
use super::dialect::Dialect;
use super::errors::{self, Class};
use super::rewrite::quoted;
use super::survey::first_column;
use super::version::Version;
use crate::engine::manifest::Facts;
use crate::exec;
use crate::source::Stream;
use parking_lot::Mutex;
use repository::Result;
use std::io::{self, Cursor, Read};
use std::path::PathBuf;
use std::sync::Arc;

/// Accounts that every server has, and makes by itself.
const OF_THE_SERVER: [&str; 4] = ["mariadb.sys", "mysql.sys", "mysql.session", "mysql.infoschema"];

/// What a block of statements does.
const MAKES: &str = "-- account ";
const GRANTS: &str = "-- grants ";
const END: &str = "-- Dump completed\n";

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// As statements name it: `` `app`@`%` ``.
    pub name: String,
    /// MariaDB's roles are no users.
    pub is_role: bool,
}

/// Statements about one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Which.
    pub name: String,
    /// It makes the account; else it says what the account may do.
    pub makes: bool,
    /// With semicolons.
    pub statements: String,
}

/// All accounts but those of the server itself.
///
/// # Errors
/// What is wrong with the connection, or with the rights.
pub fn list(server: &Connected) -> Result<Vec<Account>> {
    let sql = match server.dialect() {
        Dialect::Mariadb => "SELECT User, Host, is_role FROM mysql.user ORDER BY is_role DESC, 1, 2",
        Dialect::Mysql => "SELECT User, Host, 'N' FROM mysql.user ORDER BY 1, 2",
    };
    let account = |row: Vec<String>| {
        let [user, host, is_role] = row.try_into().ok()?;
        let is_role = is_role == "Y";
        let name = match (is_role, user.as_str()) {
            // A word of its own: what everybody may do.
            (true, "PUBLIC") => user,
            (true, _) => quoted(&user),
            (false, name) if OF_THE_SERVER.contains(&name) => return None,
            (false, _) => format!("{}@{}", quoted(&user), quoted(&host)),
        };
        Some(Account { name, is_role })
    };
    Ok(server.query(sql)?.into_iter().filter_map(account).collect())
}

/// As a file of the snapshot. Nothing is asked before it is read.
pub fn stream(server: Connected, path: PathBuf, facts: Arc<Mutex<Facts>>) -> Stream {
    Stream {
        path,
        reader: Box::new(Reader {
            server,
            facts,
            text: None,
        }),
        finish: Box::new(|| Ok(())),
    }
}

struct Reader {
    server: Connected,
    facts: Arc<Mutex<Facts>>,
    text: Option<Cursor<Vec<u8>>>,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let text = match &mut self.text {
            Some(text) => text,
            None => {
                let written = written(&self.server).map_err(io::Error::other)?;
                let mut facts = self.facts.lock();
                facts.bytes = Some(written.text.len() as u64);
                facts.more.insert("accounts".to_owned(), written.accounts.into());
                if !written.ignored.is_empty() {
                    facts.more.insert("ignored_accounts".to_owned(), written.ignored.into());
                }
                self.text.insert(Cursor::new(written.text.into_bytes()))
            }
        };
        text.read(buffer)
    }
}

/// What is written.
#[derive(Default)]
struct Written {
    text: String,
    accounts: u64,
    /// Accounts that the server does not use: with `skip_name_resolve`, those of hosts with names.
    ignored: Vec<String>,
}

fn written(server: &Connected) -> Result<Written> {
    let mut written = Written::default();
    let (mut makes, mut grants) = (Vec::new(), Vec::new());
    for account in list(server)? {
        match statements(server, &account) {
            Ok((make, granted)) => {
                makes.extend(make.map(|make| block(MAKES, &account.name, &[make])));
                grants.push(block(GRANTS, &account.name, &granted));
                written.accounts += 1;
            }
            Err(error) if Class::of(errors::last_words(&error)) == Class::NoAccount => {
                written.ignored.push(account.name);
            }
            Err(error) => return Err(errors::explained(&error, server.dialect())),
        }
    }
    // MySQL's users name the roles that they begin with, which have to be there first.
    makes.sort_by_key(|statement| statement.contains(" DEFAULT ROLE "));
    let head = format!("-- Accounts of {} {}\n", server.dialect().name(), server.version_text);
    written.text = [head, makes.concat(), grants.concat(), END.to_owned()].concat();
    Ok(written)
}

/// What makes an account, and what it may do. Everybody is there without being made.
fn statements(server: &Connected, account: &Account) -> Result<(Option<String>, Vec<String>), exec::Error> {
    let ask = |sql: &str| server.ask(sql, None).map(first_column);
    let make = match (account.is_role, account.name.as_str()) {
        (true, "PUBLIC") => None,
        (true, name) => Some(format!("CREATE ROLE {name}")),
        (false, name) => Some(ask(&show_create(server, name))?.concat()),
    };
    let granted = ask(&format!("SHOW GRANTS FOR {}", account.name))?;
    Ok((make.map(|statement| only_if_missing(&statement)), granted))
}

fn show_create(server: &Connected, name: &str) -> String {
    // Hashes of MySQL 8 are bytes that are no text.
    let shows_hex = server.dialect() == Dialect::Mysql && server.version >= Version { major: 8, minor: 0 };
    let set = if shows_hex {
        "SET SESSION print_identified_with_as_hex = 1; "
    } else {
        ""
    };
    format!("{set}SHOW CREATE USER {name}")
}

fn only_if_missing(statement: &str) -> String {
    let (what, rest) = match statement.strip_prefix("CREATE ROLE ") {
        Some(rest) => ("ROLE", rest),
        None => ("USER", statement.strip_prefix("CREATE USER ").unwrap_or(statement)),
    };
    format!("CREATE {what} IF NOT EXISTS {rest}")
}

fn block(mark: &str, name: &str, statements: &[String]) -> String {
    let statements: String = statements.iter().map(|statement| format!("{statement};\n")).collect();
    format!("{mark}{}\n{statements}", in_line(name))
}

/// A name may have line ends.
pub fn in_line(name: &str) -> String {
    name.replace('\n', "\\n").replace('\r', "\\r")
}

/// What a file consists of.
///
/// # Errors
/// What is wrong with it, as a phrase.
pub fn parse(text: &str) -> Result<Vec<Block>, String> {
    let Some(text) = text.strip_suffix(END) else {
        return Err(format!("the line `{}` is missing at its end", END.trim_end()));
    };
    let mut blocks: Vec<Block> = Vec::new();
    for line in text.split_inclusive('\n') {
        let begins = |mark: &str| {
            line.strip_prefix(mark)
                .map(|name| name.trim_end_matches('\n').to_owned())
        };
        let name = begins(MAKES)
            .map(|name| (name, true))
            .or_else(|| Some((begins(GRANTS)?, false)));
        match (name, blocks.last_mut()) {
            (Some((name, makes)), _) => blocks.push(Block {
                name,
                makes,
                statements: String::new(),
            }),
            (None, Some(block)) => block.statements.push_str(line),
            (None, None) => {}
        }
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_understood() {
        let text = [
            "-- Accounts of MariaDB 10.11\n".to_owned(),
            block(MAKES, "`boss`", &[only_if_missing("CREATE ROLE `boss`")]),
            block(
                MAKES,
                "`a\nb`@`%`",
                &[only_if_missing("CREATE USER `a\nb`@`%` IDENTIFIED BY PASSWORD '*1'")],
            ),
            block(
                GRANTS,
                "`boss`",
                &[
                    "GRANT USAGE ON *.* TO `boss`".to_owned(),
                    "GRANT SELECT ON *.* TO `boss`".to_owned(),
                ],
            ),
            END.to_owned(),
        ];
        let blocks = parse(&text.concat()).unwrap();
        let names: Vec<_> = blocks.iter().map(|block| (block.name.as_str(), block.makes)).collect();
        assert_eq!(names, [("`boss`", true), ("`a\\nb`@`%`", true), ("`boss`", false)]);
        assert_eq!(
            blocks[1].statements,
            "CREATE USER IF NOT EXISTS `a\nb`@`%` IDENTIFIED BY PASSWORD '*1';\n"
        );
        assert_eq!(blocks[2].statements.lines().count(), 2);
        assert!(parse(&text[..4].concat()).is_err());
    }
}
