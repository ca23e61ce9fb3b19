//! Runs the commands of the documentation, so that what it shows is what happens.
//!
//! In a block that starts with ```` ```console ````, a line that starts with `$ ` is a command, following lines that
//! start with `> ` continue it, and all others are output, shown for the reader. A command must succeed, unless it ends
//! with a comment such as `# exit 3`. All commands of a file run in one shell, in an empty directory.

use crate::sh::{Sh, root, target_dir};
use crate::{Done, parallel, test};
use anyhow::{Context, Result, bail, ensure};
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Args {
    /// Documents to run; README.md and all of docs/guide when none is named
    files: Vec<PathBuf>,
}

impl Args {
    pub fn all() -> Self {
        Self { files: Vec::new() }
    }
}

/// The shell's last command ends it with this code, so that an `exit` in the document is not taken for the end.
const REACHED_THE_END: i32 = 42;

/// A document whose commands take longer hangs.
const LIMIT: &str = "600";

pub fn run(args: &Args) -> Done {
    let files = if args.files.is_empty() {
        documents()?
    } else {
        args.files.clone()
    };
    let mut sessions = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(root().join(&file)).with_context(|| format!("read `{}`", file.display()))?;
        let commands = commands(&text).with_context(|| format!("in `{}`", file.display()))?;
        if !commands.is_empty() {
            sessions.push((file, commands));
        }
    }
    if sessions.is_empty() {
        return Ok(Some(
            "no commands run: no document has a ```console block yet".to_owned(),
        ));
    }
    test::build()?;
    // Many of their commands wait for servers.
    let results = parallel::map(&sessions, |(file, commands)| session(file, commands));
    let failures: Vec<String> = results
        .into_iter()
        .filter_map(Result::err)
        .map(|error| format!("{error:#}"))
        .collect();
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(None)
}

/// README.md and the pages of the guide, in the order of their names.
fn documents() -> Result<Vec<PathBuf>> {
    let mut guide = Vec::new();
    for entry in std::fs::read_dir(root().join("docs/guide")).context("list docs/guide")? {
        guide.push(Path::new("docs/guide").join(entry?.file_name()));
    }
    guide.retain(|path| path.extension() == Some(OsStr::new("md")));
    guide.sort();
    let readme = PathBuf::from("README.md");
    let readme = root().join(&readme).is_file().then_some(readme);
    Ok(readme.into_iter().chain(guide).collect())
}

/// One command of a document: where it stands, its text, and the exit code that the document promises.
#[derive(Debug, PartialEq)]
struct Command {
    line: usize,
    text: String,
    exit: i32,
}

fn commands(markdown: &str) -> Result<Vec<Command>> {
    let mut commands: Vec<Command> = Vec::new();
    let mut in_block = false;
    let mut in_command = false;
    for (index, line) in markdown.lines().enumerate() {
        let fence = line.trim_start().starts_with("```");
        if fence {
            in_block = !in_block && line.trim() == "```console";
        } else if let Some(text) = line.strip_prefix("$ ").filter(|_| in_block) {
            commands.push(Command {
                line: index + 1,
                text: text.to_owned(),
                exit: promised_exit(text)?,
            });
        } else if let Some(text) = line.strip_prefix("> ").filter(|_| in_block && in_command) {
            let last = commands.last_mut().context("a continuation follows a command")?;
            last.text.push('\n');
            last.text.push_str(text);
        }
        in_command = in_block && !fence && (line.starts_with("$ ") || (in_command && line.starts_with("> ")));
    }
    Ok(commands)
}

/// The code in a trailing `# exit N`, else 0.
fn promised_exit(text: &str) -> Result<i32> {
    match text.rsplit_once("# exit ") {
        Some((_, code)) => code
            .trim()
            .parse()
            .with_context(|| format!("read the exit code in `{text}`")),
        None => Ok(0),
    }
}

fn session(file: &Path, commands: &[Command]) -> Result<()> {
    let scratch = tempfile::tempdir().context("make a scratch directory")?;
    let [home, work, tmp] = ["home", "work", "tmp"].map(|name| scratch.path().join(name));
    for dir in [&home, &work, &tmp] {
        std::fs::create_dir(dir)?;
    }
    let script = scratch.path().join("session.sh");
    std::fs::write(&script, script_of(file, commands))?;
    let path = search_path()?;
    let printed = scratch.path().join("printed");
    let code = Sh::new("timeout")
        .args(["--kill-after=10", LIMIT, "bash"])
        .arg(&script)
        .output_to(&printed)?
        .dir(&work)
        .only_envs([
            ("PATH", path.as_os_str()),
            ("HOME", home.as_os_str()),
            ("TMPDIR", tmp.as_os_str()),
            ("LANG", OsStr::new("C.UTF-8")),
            ("TERM", OsStr::new("dumb")),
        ])
        .exit_code()?;
    // In one piece: other pages are run at the same time.
    let printed = std::fs::read(&printed).context("read what the commands printed")?;
    eprintln!("\n--- {} ---\n{}", file.display(), String::from_utf8_lossy(&printed));
    match code {
        REACHED_THE_END => Ok(()),
        124 | 137 => bail!("the commands of `{}` took longer than {LIMIT} seconds", file.display()),
        _ => bail!("the commands of `{}` do not do what it says", file.display()),
    }
}

/// The built program's directory, then what was in the `PATH` before.
fn search_path() -> Result<OsString> {
    let mut path = target_dir()?.join("fast").into_os_string();
    path.push(":");
    path.push(crate::sh::env("PATH").unwrap_or_default());
    Ok(path)
}

/// A shell script that shows each command, runs it, and stops at the first that does not end as promised.
fn script_of(file: &Path, commands: &[Command]) -> String {
    let mut script = String::from("trap 'kill $(jobs -p) 2>/dev/null' EXIT\n");
    for Command { line, text, exit } in commands {
        let shown = text.replace('\'', r"'\''");
        let wrong = format!("{}:{line}: expected exit code {exit}, got", file.display());
        let _ = write!(
            script,
            "printf '$ %s\\n' '{shown}'\n{text}\n\
             __code=$?; [ $__code -eq {exit} ] || {{ echo \"{wrong} $__code\" >&2; exit 1; }}\n",
        );
    }
    let _ = writeln!(script, "exit {REACHED_THE_END}");
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: usize, text: &str, exit: i32) -> Command {
        Command {
            line,
            text: text.to_owned(),
            exit,
        }
    }

    #[test]
    fn only_commands_of_console_blocks_are_taken() {
        let markdown = "$ not this\n```sh\n$ nor this\n```\n```console\n$ one\noutput\n> a quote\n$ two # exit 3\n```\n$ nor this\n";
        assert_eq!(
            commands(markdown).unwrap(),
            [command(6, "one", 0), command(9, "two # exit 3", 3)]
        );
    }

    #[test]
    fn continuation_lines_belong_to_the_command_before() {
        let markdown = "```console\n$ cat <<END\n> text\n> END\nshown\n```\n";
        assert_eq!(commands(markdown).unwrap(), [command(2, "cat <<END\ntext\nEND", 0)]);
    }

    #[test]
    fn unreadable_exit_code_is_refused() {
        assert!(commands("```console\n$ false # exit one\n```\n").is_err());
    }

    #[test]
    fn session_keeps_its_variables() {
        let ok = [
            command(1, "NAME='a b'", 0),
            command(2, "test \"$NAME\" = 'a b'", 0),
            command(3, "false # exit 1", 1),
        ];
        session(Path::new("page.md"), &ok).unwrap();
    }

    #[test]
    fn session_fails_on_an_unpromised_code_and_on_an_early_end() {
        assert!(session(Path::new("page.md"), &[command(1, "false", 0)]).is_err());
        assert!(session(Path::new("page.md"), &[command(1, "true", 1)]).is_err());
        assert!(session(Path::new("page.md"), &[command(1, "exit 0", 0), command(2, "false", 0)]).is_err());
        assert!(session(Path::new("page.md"), &[command(1, "echo 'open", 0)]).is_err());
    }
}
