//! The oracle: restic leaves out what we leave out.

use super::Filter;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Output;

#[expect(clippy::disallowed_methods, reason = "the test compares with another program")]
fn restic(repo: &Path, args: &[&OsStr]) -> Output {
    let mut command = std::process::Command::new("restic");
    command
        .args(["--no-cache", "-r"])
        .arg(repo)
        .args(args)
        .env("RESTIC_PASSWORD", "x");
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("restic cannot be started: {error}"));
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

const FILES: [&str; 24] = [
    "src/main.rs",
    "src/main.c",
    "src/lib/deep/er/main.rs",
    "src/lib/deep/test.go",
    "src/Lib/Readme.MD",
    "src/lib/readme.md",
    "build/out/main.o",
    "build/keep.o",
    "build/KEEP.O",
    "docs/a[b].txt",
    "docs/ab.txt",
    "docs/star*.txt",
    "docs/!bang.txt",
    "docs/ä.txt",
    "docs/Ä.txt",
    "docs/-",
    "docs/]",
    "cache/x/1",
    "cache/x/2",
    "cache/keep/1",
    "x/foo/y/bar/z",
    "x/foo/bar",
    "foo/bar",
    "top",
];

/// Every entry below `dir`, directories included, that the filter takes.
fn walk(dir: &Path, filter: &Filter, found: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let is_dir = entry.file_type().unwrap().is_dir();
        if filter.excludes(&entry.path(), is_dir) {
            continue;
        }
        found.insert(entry.path());
        if is_dir {
            walk(&entry.path(), filter, found);
        }
    }
}

/// What restic says it would store: lines such as `new       /path/file, saved in …`.
fn stored(output: &Output, root: &Path) -> BTreeSet<PathBuf> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let paths = text.lines().filter_map(|line| line.strip_prefix("new ")).map(str::trim);
    let paths = paths.map(|path| path.split(", saved in").next().unwrap().trim_end_matches('/'));
    paths
        .map(PathBuf::from)
        .filter(|path| path.starts_with(root) && path != root)
        .collect()
}

#[test]
fn restic_excludes_the_same() {
    // No name that one of the patterns could match by accident.
    let name = format!("filter-{}", std::process::id());
    let dir = tempfile::Builder::new().prefix(&name).rand_bytes(0).tempdir().unwrap();
    let (root, repo) = (dir.path().join("tree"), dir.path().join("repo"));
    for file in FILES {
        let path = root.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, file).unwrap();
    }
    restic(&repo, &[OsStr::new("init")]);
    let absolute = |pattern: &str| format!("{}{pattern}", root.display());
    let (anchored, anchored_deep) = (absolute("/src/*.rs"), absolute("/**/er"));
    for (exact, any_case) in [
        (&["*.rs", "build", "foo/bar", "top/"][..], &[][..]),
        (&["src/*", "!*.md", "**/out/**", "docs/[^a-z]*"], &[]),
        (
            &["build/*", "!build/keep.o", "cache/**", "!cache/keep", "cache/x/[2-9]"],
            &[],
        ),
        (
            &[
                "foo/**/bar",
                "/src",
                "/tmp/nothing",
                "docs/a\\[b\\].txt",
                "docs/star\\**",
                "\\!bang*",
            ],
            &[],
        ),
        (&[&*anchored, &*anchored_deep, "./docs//../docs/?.txt", "lib/*/*"], &[]),
        (&["!top", "*o*", "!foo", "docs/[\\-]"], &["readme.*"]),
        (&[], &["KEEP.o", "!keep.O", "Ä.TXT", "LIB"]),
        (&["**/**/bar", "docs/]", "*/x/*"], &["[A-B]*.TXT"]),
    ] {
        let mut args: Vec<&OsStr> = ["backup", "--dry-run", "-vv"].map(OsStr::new).to_vec();
        let mut builder = Filter::builder();
        for pattern in exact {
            args.extend([OsStr::new("--exclude"), OsStr::new(pattern)]);
            builder = builder.exclude(pattern);
        }
        for pattern in any_case {
            args.extend([OsStr::new("--iexclude"), OsStr::new(pattern)]);
            builder = builder.exclude_any_case(pattern);
        }
        args.push(root.as_os_str());
        let mut ours = BTreeSet::new();
        walk(&root, &builder.build().unwrap(), &mut ours);
        assert_eq!(ours, stored(&restic(&repo, &args), &root), "{exact:?} {any_case:?}");
        assert!(!ours.is_empty());
    }
}
