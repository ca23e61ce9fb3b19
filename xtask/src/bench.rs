//! Two kinds of measurement: against other programs on the same machine, and instruction counts, which do not depend on
//! what else the machine does.

use crate::sh::{Sh, root, target_dir};
use crate::{Done, setup};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(clap::Subcommand)]
enum Kind {
    /// Time the release build beside restic, borg and (if found) rustic; needs about 8 GiB of disk
    Peers {
        /// For bench/peers.py, for example `-- --only tree --rounds 1`
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Time the release build beside the dump programs of databases; needs about 25 GiB of disk, five for each of `--gib`
    Databases {
        /// For bench/databases.py, for example `-- --only mariadb --gib 1`
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Time archives of the release build beside `tar` with `zstd`, `age` and `pigz`; needs about four times `--mib` of disk
    Archives {
        /// For bench/archives.py, for example `-- --only zstd --mib 256 --rounds 1`
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Count the instructions of the hot paths under callgrind
    Instructions {
        /// Workloads to count; all when none is named
        names: Vec<String>,
    },
}

pub fn run(args: &Args) -> Done {
    match &args.kind {
        Kind::Peers { args } => {
            setup::for_peers()?;
            side_by_side("bench/peers.py", args)?;
        }
        Kind::Databases { args } => {
            setup::for_databases()?;
            side_by_side("bench/databases.py", args)?;
        }
        Kind::Archives { args } => {
            setup::for_archives()?;
            side_by_side("bench/archives.py", args)?;
        }
        Kind::Instructions { names } => instructions(names)?,
    }
    Ok(None)
}

fn side_by_side(script: &str, args: &[String]) -> Result<()> {
    Sh::cargo()
        .args(["build", "--release", "--package", "mainstay"])
        .run()?;
    let binary = target_dir()?.join("release/mainstay");
    Sh::new("python3").arg(script).arg(binary).args(args).run()
}

fn instructions(names: &[String]) -> Result<()> {
    ensure!(
        root().join("crates/repository/examples/hotpaths.rs").is_file(),
        "there is no crates/repository/examples/hotpaths.rs\nhint: it holds the workloads that are counted"
    );
    setup::for_instructions()?;
    Sh::cargo()
        .args(["build", "--release", "--package", "repository", "--example", "hotpaths"])
        .run()?;
    let target = target_dir()?;
    let example = target.join("release/examples/hotpaths");
    let out_dir = target.join("callgrind");
    std::fs::create_dir_all(&out_dir)?;
    let names = if names.is_empty() {
        listed(&example)?
    } else {
        names.to_vec()
    };
    println!("{:20} {:>18}", "workload", "instructions");
    for name in names {
        let (count, _) = callgrind(&example, &name, &out_dir)?;
        println!("{name:20} {:>18}", grouped(count));
    }
    println!(
        "Profiles are in {}; read one with `callgrind_annotate`.",
        out_dir.display()
    );
    println!("Callgrind hides SHA and AVX-512 instructions from programs: hashing counts the path without them.");
    Ok(())
}

fn listed(example: &Path) -> Result<Vec<String>> {
    let names = Sh::new(example).arg("--list").stdout()?;
    Ok(names.split_whitespace().map(str::to_owned).collect())
}

/// Runs one workload; returns how many instructions it took, and the profile that callgrind wrote.
fn callgrind(example: &Path, name: &str, out_dir: &Path) -> Result<(u64, PathBuf)> {
    let profile = out_dir.join(format!("{name}.out"));
    let output = Sh::new("valgrind")
        .args([
            "--tool=callgrind",
            &format!("--callgrind-out-file={}", profile.display()),
        ])
        .arg(example)
        .arg(name)
        .output()?;
    let count = collected(&String::from_utf8_lossy(&output.stderr))
        .with_context(|| format!("find the instruction count in callgrind's output for `{name}`"))?;
    Ok((count, profile))
}

/// Finds the count in callgrind's closing lines, such as `==123== Collected : 456`.
fn collected(stderr: &str) -> Option<u64> {
    let (_, count) = stderr.lines().rev().find_map(|line| line.split_once("Collected : "))?;
    count.split_whitespace().next()?.parse().ok()
}

/// Writes a number in groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|group| str::from_utf8(group).ok())
        .collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_is_read_from_callgrinds_closing_lines() {
        let stderr =
            "==7== Callgrind, a call-graph generator\n==7== Events    : Ir\n==7== Collected : 183292\n==7== \n";
        assert_eq!(collected(stderr), Some(183_292));
        assert_eq!(collected("valgrind: failed to start"), None);
    }

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1_234_567), "1 234 567");
    }
}
