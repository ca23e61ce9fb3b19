//! What MySQL and MariaDB call differently.

use super::version::Version;
use crate::config::model::{Reached, Tls};
use std::ffi::OsString;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// MySQL, and what calls itself that.
    Mysql,
    /// MariaDB.
    Mariadb,
}

/// Schemas that belong to the server itself.
pub const SYSTEM_SCHEMAS: [&str; 4] = ["information_schema", "performance_schema", "mysql", "sys"];

impl Dialect {
    /// The kind, as the configuration names it.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Mysql => "mysql",
            Self::Mariadb => "mariadb",
        }
    }

    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mysql => "MySQL",
            Self::Mariadb => "MariaDB",
        }
    }

    /// Names of the client program, the best first.
    pub fn clients(self) -> &'static [&'static str] {
        match self {
            Self::Mysql => &["mysql"],
            Self::Mariadb => &["mariadb", "mysql"],
        }
    }

    /// Names of the dump program, the best first.
    pub fn dumpers(self) -> &'static [&'static str] {
        match self {
            Self::Mysql => &["mysqldump"],
            Self::Mariadb => &["mariadb-dump", "mysqldump"],
        }
    }

    /// Names of the server program. Not everybody searches where it lies.
    pub fn servers(self) -> &'static [&'static str] {
        match self {
            Self::Mysql => &["mysqld", "/usr/sbin/mysqld"],
            Self::Mariadb => &["mariadbd", "/usr/sbin/mariadbd"],
        }
    }

    /// The package that brings the server program.
    pub fn server_package(self) -> &'static str {
        match self {
            Self::Mysql => "mysql-server",
            Self::Mariadb => "mariadb-server",
        }
    }

    /// The package that brings the client programs.
    pub fn client_package(self) -> &'static str {
        match self {
            Self::Mysql => "mysql-client",
            Self::Mariadb => "mariadb-client",
        }
    }

    /// What to install to get the client programs.
    pub fn package_hint(self) -> &'static str {
        match self {
            Self::Mysql => {
                "Install MySQL's client programs (package `mysql-client`, from MySQL's own repository on Debian), as new as the server."
            }
            Self::Mariadb => {
                "Install MariaDB's client programs (package `mariadb-client`), as new as the server; newer ones are at mariadb.org."
            }
        }
    }

    /// Options for a protected connection to a host.
    pub fn tls(self, server: &Reached, client: Version) -> Vec<OsString> {
        let mut options: Vec<OsString> = match self {
            Self::Mysql => mysql_tls(server.tls),
            Self::Mariadb => mariadb_tls(server.tls, client),
        };
        if let (Some(file), false) = (&server.ca_file, server.tls == Tls::Disable) {
            let mut option = OsString::from("--ssl-ca=");
            option.push(file);
            options.push(option);
        }
        options
    }

    /// Options of the dump program that only one of the two knows.
    pub fn dump_options(self, dumper: Version) -> &'static [&'static str] {
        match self {
            // Statistics of columns are asked for in a way that servers before 8 do not understand; they are not content.
            Self::Mysql if dumper.major >= 8 => &["--set-gtid-purged=OFF", "--column-statistics=0"],
            Self::Mysql => &["--set-gtid-purged=OFF"],
            Self::Mariadb => &[],
        }
    }
}

fn mysql_tls(tls: Tls) -> Vec<OsString> {
    let words: &[&str] = match tls {
        // Without encryption, the password is only sent with a key that the server hands out.
        Tls::Disable => &["--ssl-mode=DISABLED", "--get-server-public-key"],
        Tls::Prefer => &["--ssl-mode=PREFERRED", "--get-server-public-key"],
        Tls::Require => &["--ssl-mode=REQUIRED"],
        Tls::VerifyCa => &["--ssl-mode=VERIFY_CA"],
        Tls::VerifyFull => &["--ssl-mode=VERIFY_IDENTITY"],
    };
    words.iter().map(OsString::from).collect()
}

/// MariaDB's programs check the certificate with the name in it, or neither.
fn mariadb_tls(tls: Tls, client: Version) -> Vec<OsString> {
    // From then on, they check unless they are told not to.
    let checks_by_itself = client >= Version { major: 11, minor: 4 };
    let words: &[&str] = match tls {
        Tls::Disable => &["--skip-ssl"],
        Tls::Prefer | Tls::Require if checks_by_itself => &["--ssl", "--skip-ssl-verify-server-cert"],
        Tls::Prefer | Tls::Require => &["--ssl"],
        Tls::VerifyCa | Tls::VerifyFull => &["--ssl", "--ssl-verify-server-cert"],
    };
    words.iter().map(OsString::from).collect()
}
