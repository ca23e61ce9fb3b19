//! Servers that this system's release does not have, from a newer one: their packages and all that these need, unpacked into a directory.
//! Nothing is installed, and nothing of the system is upgraded.

use crate::setup;
use crate::sh::{Sh, has};
use anyhow::{Context as _, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Programs that fit into one directory.
struct Bundle {
    /// The directory, with the version that the tests were written for.
    directory: &'static str,
    /// What Debian calls the packages.
    packages: &'static [&'static str],
    /// Which of their programs are called.
    programs: &'static [&'static str],
    /// Where they are called. PostgreSQL's find each other, and what they need, by where they are.
    place: &'static str,
}

/// Debian's next release has no fixed versions: the newest is taken, which may be later than the one in the name.
const BUNDLES: [Bundle; 3] = [
    Bundle {
        directory: "mysql-9.7",
        packages: &["mysql-server-core", "mysql-client-core", "valkey-server"],
        programs: &[
            "usr/sbin/mysqld",
            "usr/bin/mysql",
            "usr/bin/mysqldump",
            "usr/bin/valkey-server",
            "usr/bin/valkey-cli",
        ],
        place: "bin",
    },
    Bundle {
        directory: "mariadb-11.8",
        packages: &["mariadb-server-core", "mariadb-client"],
        programs: &["usr/sbin/mariadbd", "usr/bin/mariadb", "usr/bin/mariadb-dump"],
        place: "bin",
    },
    Bundle {
        directory: "postgresql-18",
        packages: &["postgresql-18"],
        programs: &[
            "usr/lib/postgresql/18/bin/initdb",
            "usr/lib/postgresql/18/bin/pg_ctl",
            "usr/lib/postgresql/18/bin/postgres",
            "usr/lib/postgresql/18/bin/psql",
            "usr/lib/postgresql/18/bin/pg_dump",
            "usr/lib/postgresql/18/bin/pg_dumpall",
            "usr/lib/postgresql/18/bin/pg_isready",
            "usr/lib/postgresql/18/bin/pg_restore",
        ],
        place: "usr/lib/postgresql/18/bin",
    },
];

/// Debian's next release.
const RELEASE: &str = "sid";

/// The programs bring their own loader and libraries, which are newer than the system's. They are called with their own path in their first
/// word, by which servers find what belongs to them.
const CALLED: &str = r#"#!/bin/sh
root=$(cd "${0%/*}/UP" && pwd)
libraries=$(echo "$root"/usr/lib/*-linux-gnu)
exec "$libraries"/ld-linux-*.so.* --library-path "$libraries" --argv0 "$root/PROGRAM" "$root/REAL" "$@"
"#;

/// Unpack what is missing below `dir`.
pub fn unpack(dir: &Path) -> Result<()> {
    let missing = BUNDLES.iter().filter(|bundle| !bundle.is_there(dir));
    let missing: Vec<&Bundle> = missing.collect();
    if missing.is_empty() {
        return Ok(());
    }
    let Some(mirror) = mirror()? else {
        eprintln!(
            "MySQL, Valkey and a newer MariaDB are unpacked from Debian's packages, which this system does not have: \
             their tests will fail"
        );
        return Ok(());
    };
    let apt = Apt::new(dir.join("apt"), &mirror)?;
    apt.run(&["update", "--quiet"])?;
    for bundle in missing {
        bundle.unpack(dir, &apt)?;
    }
    fs::remove_dir_all(apt.0)?;
    Ok(())
}

impl Bundle {
    /// Written last, so that what was interrupted is begun again.
    fn marker(&self, dir: &Path) -> PathBuf {
        dir.join(self.directory).join("unpacked")
    }

    fn is_there(&self, dir: &Path) -> bool {
        self.marker(dir).exists()
    }

    fn unpack(&self, dir: &Path, apt: &Apt) -> Result<()> {
        let target = dir.join(self.directory);
        if target.exists() {
            fs::remove_dir_all(&target)?;
        }
        fs::create_dir_all(target.join(self.place))?;
        let mut names = String::new();
        for package in apt.download(self.packages)? {
            let name = package.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // Scripts and services are not called.
            if ["perl", "libperl", "systemd"]
                .iter()
                .any(|other| name.starts_with(other))
            {
                continue;
            }
            Sh::new("dpkg-deb")
                .arg("--extract")
                .arg(&package)
                .arg(&target)
                .output()?;
            names.push_str(&name);
            names.push('\n');
        }
        for program in self.programs {
            self.call(&target, program)?;
        }
        fs::write(self.marker(dir), names)?;
        Ok(())
    }

    /// A program as a file that any other program can start.
    fn call(&self, target: &Path, program: &str) -> Result<()> {
        let name = Path::new(program).file_name().context("a program has a name")?;
        let file = target.join(self.place).join(name);
        let mut real = program.to_owned();
        if file.exists() {
            real.push_str(".real");
            fs::rename(&file, target.join(&real))?;
        }
        let up = vec![".."; Path::new(self.place).components().count()].join("/");
        let script = CALLED
            .replace("PROGRAM", program)
            .replace("REAL", &real)
            .replace("UP", &up);
        fs::write(&file, script)?;
        fs::set_permissions(file, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }
}

/// `apt-get` that knows one release, and nothing of what is installed here: so it names everything that is needed, down to the C library.
struct Apt(PathBuf);

impl Apt {
    fn new(root: PathBuf, mirror: &str) -> Result<Self> {
        for directory in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(root.join(directory))?;
        }
        fs::write(root.join("status"), "")?;
        let source = format!("deb [signed-by={KEYRING}] {mirror} {RELEASE} main\n");
        fs::write(root.join("sources.list"), source)?;
        Ok(Self(root))
    }

    fn run(&self, words: &[&str]) -> Result<()> {
        let at = |option: &str, name: &str| format!("{option}={}", self.0.join(name).display());
        let options = [
            at("Dir::Etc::sourcelist", "sources.list"),
            "Dir::Etc::sourceparts=-".to_owned(),
            at("Dir::State", ""),
            at("Dir::State::lists", "lists"),
            at("Dir::State::status", "status"),
            at("Dir::Cache", "cache"),
            "APT::Install-Recommends=false".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            "APT::Keep-Downloaded-Packages=true".to_owned(),
        ];
        let options = options.iter().flat_map(|option| ["-o", option.as_str()]);
        Sh::new("apt-get").args(options).args(words).run()
    }

    /// Packages and all that they need, as files.
    fn download(&self, packages: &[&str]) -> Result<Vec<PathBuf>> {
        let archives = self.0.join("cache/archives");
        // What was fetched for others may not fit beside these.
        fs::remove_dir_all(&archives)?;
        fs::create_dir_all(archives.join("partial"))?;
        self.run(&[&["install", "--yes", "--quiet", "--download-only"], packages].concat())?;
        let files = fs::read_dir(archives)?.filter_map(|entry| Some(entry.ok()?.path()));
        Ok(files
            .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .collect())
    }
}

/// Debian's keys (package `debian-archive-keyring`).
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Where this system gets Debian's packages. Nothing on other systems.
fn mirror() -> Result<Option<String>> {
    if !has("apt-get") {
        return Ok(None);
    }
    if let Some(mirror) = known_mirror()? {
        return Ok(Some(mirror));
    }
    // What apt says of places is in what it fetched from them.
    setup::apt().args(["update", "--quiet"]).run()?;
    known_mirror()
}

fn known_mirror() -> Result<Option<String>> {
    let format = "$(ORIGIN) $(CODENAME) $(REPO_URI)";
    let targets = Sh::new("apt-get")
        .args(["indextargets", "--format", format, "Created-By: Packages"])
        .stdout()?;
    let mut words = targets.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    // The updates for security have a place of their own, with nothing else in it.
    Ok(words.find_map(|words| match words[..] {
        ["Debian", codename, uri] if !codename.ends_with("-security") => Some(uri.to_owned()),
        _ => None,
    }))
}
