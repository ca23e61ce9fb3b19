//! Names of users and groups.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Who a snapshot is made by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Name of the host.
    pub hostname: String,
    /// Name of the user, empty if unknown.
    pub username: String,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// This process.
pub fn identity() -> Identity {
    let uid = rustix::process::getuid().as_raw();
    Identity {
        hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        username: Users::load().user(uid).to_string(),
        uid,
        gid: rustix::process::getgid().as_raw(),
    }
}

/// Names by number, read once: `/etc/passwd` and `/etc/group`.
///
/// Users of a directory service are not asked for: their names are empty, and a restore goes by number anyway.
#[derive(Debug, Default)]
pub struct Users {
    users: HashMap<u32, Arc<str>>,
    groups: HashMap<u32, Arc<str>>,
    unknown: Arc<str>,
}

impl Users {
    /// Those of this host. A file that cannot be read gives no names.
    pub fn load() -> Self {
        Self::from_files(Path::new("/etc/passwd"), Path::new("/etc/group")).unwrap_or_default()
    }

    /// Those of files in the format of `/etc/passwd` and `/etc/group`; a file that does not exist gives no names.
    pub fn from_files(passwd: &Path, group: &Path) -> io::Result<Self> {
        Ok(Self {
            users: parse(&read(passwd)?),
            groups: parse(&read(group)?),
            unknown: Arc::default(),
        })
    }

    /// Name of a user, empty if unknown.
    pub fn user(&self, uid: u32) -> Arc<str> {
        Arc::clone(self.users.get(&uid).unwrap_or(&self.unknown))
    }

    /// Name of a group, empty if unknown.
    pub fn group(&self, gid: u32) -> Arc<str> {
        Arc::clone(self.groups.get(&gid).unwrap_or(&self.unknown))
    }
}

fn read(path: &Path) -> io::Result<String> {
    match std::fs::read(path) {
        Ok(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

/// `name:password:number:…` per line; the first name of a number counts, as in the system's own look-up.
fn parse(text: &str) -> HashMap<u32, Arc<str>> {
    let mut names = HashMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split(':');
        if let (Some(name), Some(Ok(number))) = (fields.next(), fields.nth(1).map(str::parse)) {
            names.entry(number).or_insert_with(|| name.into());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_name_of_a_number_counts() {
        let dir = tempfile::tempdir().unwrap();
        let passwd = dir.path().join("passwd");
        std::fs::write(
            &passwd,
            "root:x:0:0:root:/root:/bin/sh\n# toor:x:5:5\ntoor:x:0:0::/:\n\nbroken\nn:x:7\n",
        )
        .unwrap();
        let users = Users::from_files(&passwd, &dir.path().join("none")).unwrap();
        assert_eq!(&*users.user(0), "root");
        assert_eq!(&*users.user(7), "n");
        assert_eq!(&*users.user(5), "");
        assert_eq!(&*users.group(0), "");
    }

    #[test]
    fn this_process_has_an_identity() {
        let identity = identity();
        assert!(!identity.hostname.is_empty());
        assert_eq!(identity.uid, rustix::process::getuid().as_raw());
        assert_eq!(&*Users::load().group(0), "root");
    }
}
