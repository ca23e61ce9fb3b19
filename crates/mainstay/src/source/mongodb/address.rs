//! Where a server is: for the tools as options, for the shell as an address.

use crate::config::model::{Reached, Tls};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

/// Where a server is, and as whom it is asked; without the password.
#[derive(Clone, Debug)]
pub struct Address {
    /// `HOST`, `SET/HOST,HOST`, or the path of a socket.
    host: String,
    port: u16,
    user: Option<String>,
    auth_database: String,
    is_encrypted: bool,
    ca_file: Option<OsString>,
}

impl Address {
    /// As it is configured.
    pub fn of(reached: &Reached, auth_database: &str) -> Self {
        Self {
            host: reached.host.clone().unwrap_or_else(|| "127.0.0.1".to_owned()),
            port: reached.port,
            user: reached.user.clone(),
            auth_database: auth_database.to_owned(),
            is_encrypted: !matches!(reached.tls, Tls::Disable | Tls::Prefer),
            ca_file: reached.ca_file.as_ref().map(|path| path.clone().into_os_string()),
        }
    }

    /// A server that nobody has to log in to, on a socket.
    pub fn of_socket(path: &Path) -> Self {
        Self {
            host: path.to_string_lossy().into_owned(),
            port: 0,
            user: None,
            auth_database: "admin".to_owned(),
            is_encrypted: false,
            ca_file: None,
        }
    }

    /// As whom.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Options of `mongodump` and `mongorestore`.
    pub fn options(&self) -> Vec<OsString> {
        let mut options: Vec<OsString> = if self.host.starts_with('/') {
            vec![format!("--uri=mongodb://{}/", encoded(&self.host)).into()]
        } else {
            vec![
                format!("--host={}", self.host).into(),
                format!("--port={}", self.port).into(),
            ]
        };
        if let Some(user) = &self.user {
            options.push(format!("--username={user}").into());
            options.push(format!("--authenticationDatabase={}", self.auth_database).into());
        }
        if self.is_encrypted {
            options.push("--ssl".into());
        }
        if let Some(file) = &self.ca_file {
            let mut option = OsString::from("--sslCAFile=");
            option.push(file);
            options.push(option);
        }
        options
    }

    /// The address for the shell, with the password: it is no argument.
    pub fn uri(&self, password: Option<&str>) -> String {
        let login = match (&self.user, password) {
            (Some(user), Some(password)) => format!("{}:{}@", encoded(user), encoded(password)),
            (Some(user), None) => format!("{}@", encoded(user)),
            (None, _) => String::new(),
        };
        let (set, hosts) = match self.host.split_once('/') {
            Some((set, hosts)) if !set.is_empty() => (Some(set), hosts),
            _ => (None, self.host.as_str()),
        };
        let hosts: Vec<String> = hosts.split(',').map(|host| self.with_port(host)).collect();
        let mut uri = format!(
            "mongodb://{login}{}/admin?serverSelectionTimeoutMS=5000",
            hosts.join(",")
        );
        let mut add = |name: &str, value: &str| {
            // Writing to a text does not fail.
            let _: Option<()> = write!(uri, "&{name}={}", encoded(value)).ok();
        };
        match set {
            Some(set) => add("replicaSet", set),
            None => add("directConnection", "true"),
        }
        if self.user.is_some() {
            add("authSource", &self.auth_database);
        }
        if self.is_encrypted {
            add("tls", "true");
        }
        if let Some(file) = &self.ca_file {
            add("tlsCAFile", &file.to_string_lossy());
        }
        uri
    }

    fn with_port(&self, host: &str) -> String {
        if host.starts_with('/') {
            encoded(host)
        } else if host.matches(':').count() > 1 && !host.starts_with('[') {
            format!("[{host}]:{}", self.port)
        } else if host
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
        {
            host.to_owned()
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

/// A text as a part of an address.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a text does not fail.
            let _: Option<()> = write!(encoded, "%{byte:02X}").ok();
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(host: Option<&str>) -> Reached {
        Reached {
            container: None,
            host: host.map(str::to_owned),
            port: 27017,
            user: None,
            password: None,
            tls: Tls::Disable,
            ca_file: None,
            drill_image: None,
            name: "main".to_owned(),
        }
    }

    #[test]
    fn servers_and_sets_and_sockets_are_addressed() {
        let end = "/admin?serverSelectionTimeoutMS=5000";
        for (host, hosts, more) in [
            (None, "127.0.0.1:27017", "&directConnection=true"),
            (Some("db1"), "db1:27017", "&directConnection=true"),
            (Some("fe80::1"), "[fe80::1]:27017", "&directConnection=true"),
            (Some("rs0/a,b:27018"), "a:27017,b:27018", "&replicaSet=rs0"),
            (
                Some("/run/mongodb.sock"),
                "%2Frun%2Fmongodb.sock",
                "&directConnection=true",
            ),
        ] {
            let address = Address::of(&reached(host), "admin");
            assert_eq!(address.uri(None), format!("mongodb://{hosts}{end}{more}"));
        }
        assert_eq!(
            Address::of_socket(Path::new("/a b")).options(),
            ["--uri=mongodb://%2Fa%20b/"]
        );
    }

    #[test]
    fn the_password_is_in_no_option() {
        let address = Address::of(
            &Reached {
                user: Some("me@x".to_owned()),
                tls: Tls::VerifyFull,
                ca_file: Some("/ca.pem".into()),
                ..reached(Some("db1"))
            },
            "users",
        );
        assert_eq!(
            address.uri(Some("p:/?")),
            "mongodb://me%40x:p%3A%2F%3F@db1:27017/admin?serverSelectionTimeoutMS=5000&directConnection=true\
             &authSource=users&tls=true&tlsCAFile=%2Fca.pem"
        );
        let options = address.options();
        let expected = [
            "--host=db1",
            "--port=27017",
            "--username=me@x",
            "--authenticationDatabase=users",
            "--ssl",
            "--sslCAFile=/ca.pem",
        ];
        assert_eq!(options, expected);
    }
}
