//! The page as text and as HTML.

use std::fmt::Write as _;

/// A part of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// A title, by its level from 1 on.
    Heading(usize, String),
    /// Sentences.
    Text(String),
    /// Names and what they stand for.
    Facts(Vec<(String, String)>),
    /// Lines for a shell, to be typed or copied as they are.
    Commands(String),
}

/// What stands before each line of commands in the text.
pub const INDENT: &str = "    ";

/// For people who read it in a terminal or an editor.
pub fn text(blocks: &[Block]) -> String {
    let mut out = String::new();
    for block in blocks {
        match block {
            Block::Heading(level, title) => {
                let line = if *level == 1 { "=" } else { "-" };
                let _ = write!(out, "{title}\n{}\n\n", line.repeat(title.chars().count()));
            }
            Block::Text(text) => {
                let _ = write!(out, "{text}\n\n");
            }
            Block::Facts(facts) => {
                let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
                for (name, value) in facts {
                    let _ = writeln!(out, "{name:width$}  {value}");
                }
                out.push('\n');
            }
            Block::Commands(lines) => {
                for line in lines.lines() {
                    let _ = writeln!(out, "{INDENT}{line}");
                }
                out.push('\n');
            }
        }
    }
    out
}

const STYLE: &str = "body{font:11pt/1.4 serif;max-width:48em;margin:2em auto;padding:0 1em;color:#000;background:#fff}\
pre{font:9.5pt/1.35 monospace;white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid #888;padding:.6em}\
th{text-align:left;padding-right:1em;vertical-align:top}td{font-family:monospace;overflow-wrap:anywhere}\
h2{break-before:page}h2:first-of-type{break-before:auto}pre,table{break-inside:avoid}";

/// For printing.
pub fn html(title: &str, blocks: &[Block]) -> String {
    let title = escaped(title);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
    );
    for block in blocks {
        let _ = match block {
            Block::Heading(level, title) => writeln!(out, "<h{level}>{}</h{level}>", escaped(title)),
            Block::Text(text) => writeln!(out, "<p>{}</p>", escaped(text)),
            Block::Facts(facts) => {
                let rows = facts
                    .iter()
                    .map(|(name, value)| format!("<tr><th>{}</th><td>{}</td></tr>", escaped(name), escaped(value)));
                writeln!(out, "<table>{}</table>", rows.collect::<String>())
            }
            Block::Commands(lines) => writeln!(out, "<pre>{}</pre>", escaped(lines)),
        };
    }
    out.push_str("</body>\n</html>\n");
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let blocks = [
            Block::Heading(1, "A & B".to_owned()),
            Block::Facts(vec![("id".to_owned(), "<1>".to_owned())]),
            Block::Commands("echo \"1\"\necho 2\n".to_owned()),
        ];
        assert_eq!(
            text(&blocks),
            "A & B\n=====\n\nid  <1>\n\n    echo \"1\"\n    echo 2\n\n"
        );
        let html = html("A & B", &blocks);
        assert!(
            html.contains("<h1>A &amp; B</h1>") && html.contains("<td>&lt;1&gt;</td>"),
            "{html}"
        );
        assert!(html.contains("<pre>echo &quot;1&quot;\necho 2\n</pre>"), "{html}");
    }
}
