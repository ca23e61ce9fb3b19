//! Formatting, clippy, the API documentation, and what no tool knows: words that do not belong here, broken links.

use crate::Done;
use crate::sh::{Sh, root};
use anyhow::{Result, ensure};
use std::path::Path;

/// Words that do not belong into a finished source, and why. Matched as whole words.
const FORBIDDEN: &[(&str, &str)] = &[
    (concat!("TO", "DO"), "do it, or describe it in an issue"),
    (concat!("FIX", "ME"), "fix it, or describe it in an issue"),
    (concat!("X", "XX"), "say what is meant"),
    (concat!("HA", "CK"), "say why it has to be so"),
    (concat!("<<<<", "<<<"), "finish the merge"),
    (concat!(">>>>", ">>>"), "finish the merge"),
    (concat!("seam", "less"), "say what it does, not how good it is"),
    (concat!("blaz", "ing"), "say how fast, measured"),
];

pub fn run() -> Done {
    let mut failures = Vec::new();
    for check in [format, clippy, api_documentation, words, links] {
        if let Err(error) = check() {
            failures.push(format!("{error:#}"));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(None)
}

fn format() -> Result<()> {
    Sh::cargo().args(["fmt", "--all", "--check"]).run()
}

/// In the profile of the tests, so that build scripts and macros, C libraries included, are compiled once for both.
fn clippy() -> Result<()> {
    Sh::cargo()
        .args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--profile",
            "fast",
            "--",
            "-D",
            "warnings",
        ])
        .run()
}

fn api_documentation() -> Result<()> {
    Sh::cargo()
        .args([
            "doc",
            "--workspace",
            "--no-deps",
            "--document-private-items",
            "--profile",
            "fast",
        ])
        .env("RUSTDOCFLAGS", "-Dwarnings")
        .run()
}

fn words() -> Result<()> {
    let mut found = Vec::new();
    for (path, text) in sources()? {
        for (index, line) in text.lines().enumerate() {
            let reasons = forbidden(line).map(|(word, reason)| format!("{path}:{}: `{word}`: {reason}", index + 1));
            found.extend(reasons);
        }
    }
    report("words that do not belong here", &found)
}

fn forbidden(line: &str) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    FORBIDDEN.iter().filter(move |(word, _)| {
        line.match_indices(word).any(|(at, _)| {
            let inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            !inside(line[..at].chars().next_back()) && !inside(line[at + word.len()..].chars().next())
        })
    })
}

/// Every link between documents leads to a file that exists.
fn links() -> Result<()> {
    let mut found = Vec::new();
    for (path, text) in sources()?.into_iter().filter(|(path, _)| path.ends_with(".md")) {
        let dir = root().join(&path).parent().unwrap_or(root()).to_path_buf();
        for (line, target) in relative_links(&text) {
            if !dir.join(target).exists() {
                found.push(format!("{path}:{line}: link to `{target}`, which does not exist"));
            }
        }
    }
    report("broken links", &found)
}

/// The targets of `[text](target)` outside code blocks, without anchors and web addresses, each with its line.
fn relative_links(markdown: &str) -> Vec<(usize, &str)> {
    let mut in_code = false;
    let mut links = Vec::new();
    for (index, line) in markdown.lines().enumerate() {
        in_code ^= line.trim_start().starts_with("```");
        if in_code {
            continue;
        }
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        let files = targets.filter_map(|(target, _)| target.split('#').next());
        links.extend(
            files
                .filter(|file| !file.is_empty() && !file.contains(':'))
                .map(|file| (index + 1, file)),
        );
    }
    links
}

/// The checkout's own text files, committed or about to be.
fn sources() -> Result<Vec<(String, String)>> {
    let listed = Sh::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .stdout()?;
    let text = |path: &str| {
        std::fs::read_to_string(root().join(path))
            .ok()
            .map(|text| (path.to_owned(), text))
    };
    Ok(listed
        .lines()
        .filter(|path| is_ours(Path::new(path)))
        .filter_map(text)
        .collect())
}

fn is_ours(path: &Path) -> bool {
    let kinds = [
        "rs", "md", "toml", "yml", "yaml", "sh", "py", "sql", "html", "css", "js", "ts", "svelte", "run",
    ];
    let extension = path.extension().and_then(|extension| extension.to_str());
    path.starts_with(".ci") || extension.is_some_and(|extension| kinds.contains(&extension))
}

fn report(what: &str, found: &[String]) -> Result<()> {
    for line in found {
        eprintln!("{line}");
    }
    ensure!(found.is_empty(), "{} {what}", found.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_words_are_whole_words() {
        let word = FORBIDDEN[2].0;
        assert_eq!(forbidden(&format!("// {word}: later")).count(), 1);
        assert_eq!(forbidden(&format!("mktemp /tmp/a.{word}{word}")).count(), 0);
    }

    #[test]
    fn links_to_files_are_found() {
        let markdown =
            "[a](b.md) and [c](d/e.md#part)\n[web](https://example.org) [here](#part)\n```\n[no](code.md)\n```\n";
        assert_eq!(relative_links(markdown), [(1, "b.md"), (1, "d/e.md")]);
    }
}
