//! How errors are shown: once, as a chain, with the next action below.

use crate::config::problem::{Problem, Problems};
use crate::config::tree::Origin;
use crate::exit;
use crate::explain::{chain, hint};
use anyhow::Error;
use clap::error::{ContextKind, ContextValue};
use exit::Exit;
use serde_json::json;
use std::io::{self, IsTerminal as _, Write as _};

/// Print an error to standard error; nothing if the user stopped us or nobody reads our output any more.
pub fn report(error: &Error, json: bool) {
    let exit = exit::of(error);
    if exit == Exit::OutputClosed {
        return;
    }
    let problems = error.chain().find_map(|cause| cause.downcast_ref::<Problems>());
    let text = match (problems, json) {
        (Some(problems), true) => problems_json(problems, exit),
        (Some(problems), false) => problems.iter().map(problem_text).collect::<Vec<_>>().join("\n"),
        (None, true) => {
            let hint = hint(error);
            json!({"message_type": "exit_error", "code": exit.code(), "message": chain(error), "hint": hint})
                .to_string()
        }
        (None, false) => {
            let hint = hint(error).map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
            format!("error: {}{hint}", chain(error))
        }
    };
    // If standard error is closed, the exit code still tells.
    let _: Option<()> = writeln!(io::stderr(), "{text}").ok();
}

fn problem_text(problem: &Problem) -> String {
    format!("error: {problem}\nhint: {}", problem.hint)
}

fn problems_json(problems: &Problems, exit: Exit) -> String {
    let all: Vec<_> = problems.iter().map(problem_json).collect();
    let message = super::output::count(all.len() as u64, "problem");
    json!({
        "message_type": "exit_error",
        "code": exit.code(),
        "message": format!("the configuration has {message}"),
        "hint": "Correct what `problems` lists.",
        "problems": all,
    })
    .to_string()
}

/// One thing that is wrong with the configuration.
pub fn problem_json(problem: &Problem) -> serde_json::Value {
    let mut value = json!({"message": problem.message, "hint": problem.hint, "value": problem.value});
    match &problem.origin {
        Origin::Default => {}
        Origin::Variable(name) => value["variable"] = json!(name),
        Origin::File { file, line, column } => {
            value["file"] = json!(file.as_ref());
            value["line"] = json!(line);
            value["column"] = json!(column);
        }
    }
    value
}

/// Print what clap has to say: help and version to standard output, wrong usage to standard error, in the form of all errors.
pub fn usage_error(error: &clap::Error, json: bool) -> Exit {
    if !error.use_stderr() {
        let _: Option<()> = error.print().ok();
        return Exit::Done;
    }
    let hint = usage_hint(error);
    let text = if json {
        let message = usage_message(&error.to_string());
        json!({"message_type": "exit_error", "code": Exit::Usage.code(), "message": message, "hint": hint}).to_string()
    } else if io::stderr().is_terminal() {
        with_hint(&error.render().ansi().to_string(), &hint)
    } else {
        with_hint(&error.to_string(), &hint)
    };
    let _: Option<()> = writeln!(io::stderr(), "{text}").ok();
    Exit::Usage
}

/// In place of clap's last line, which says where to find more.
fn with_hint(text: &str, hint: &str) -> String {
    let text = text.trim_end();
    let kept = text
        .rsplit_once("\n\nFor more information")
        .map_or(text, |(kept, _)| kept);
    format!("{kept}\n\nhint: {hint}")
}

/// What is wrong, in one line, without usage and tips.
fn usage_message(text: &str) -> String {
    let first = text.split("\n\n").next().unwrap_or_default();
    let lines: Vec<&str> = first.lines().map(str::trim).collect();
    match lines.join(" ").strip_prefix("error: ") {
        Some(message) => message.to_owned(),
        // Help instead of an error.
        None => "no command is given".to_owned(),
    }
}

fn usage_hint(error: &clap::Error) -> String {
    let suggested = [
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
    ]
    .iter()
    .find_map(|kind| error.get(*kind));
    let suggested = match suggested {
        Some(ContextValue::String(one)) => Some(one),
        Some(ContextValue::Strings(several)) => several.first(),
        _ => None,
    };
    match suggested {
        Some(suggested) => format!("Write `{suggested}` if that is what you mean; `--help` shows what else there is."),
        None => "Add `--help` to the command to see what it takes.".to_owned(),
    }
}
