//! `mainstay find` in archives.

use crate::cli::{Context, entry, opened};
use crate::exit::Exit;
use jiff::Timestamp;
use repository::points::{RestorePoint, RestorePoints as _, Selected};
use repository::restic::ls::Descend;
use repository::{Error, Filter, Monitor as _};
use serde_json::json;
use std::io::{self, Write as _};

/// What is looked for, and how it is shown.
pub struct Wanted<'a> {
    /// Includes are what is looked for.
    pub filter: Filter,
    /// Changed at this moment or later.
    pub oldest: Option<Timestamp>,
    /// Changed at this moment or earlier.
    pub newest: Option<Timestamp>,
    /// Show mode, owner, size and time.
    pub long: bool,
    /// Where: names of archives; all that the options choose if there is none.
    pub archives: &'a [String],
    /// Those options.
    pub chosen_by: &'a crate::cli::selection::FilterArgs,
}

/// Find entries in archives. One that cannot be read is a problem, and the search goes on.
pub fn run(wanted: &Wanted<'_>, context: &Context) -> anyhow::Result<Exit> {
    let mut archives = context.open_archives()?;
    let monitor = context.monitor();
    let chosen = super::chosen(&archives, wanted.archives, wanted.chosen_by, None, &monitor)?;
    opened::unlock(&mut archives, &chosen, context)?;
    let output = context.output();
    let mut out = output.writer();
    let mut is_first = true;
    for manifest in chosen {
        let name = manifest.name.clone();
        let selected = Selected {
            point: RestorePoint::Archive(Box::new(manifest)),
            subfolder: None,
        };
        let mut printed: io::Result<()> = Ok(());
        let mut is_named = false;
        let mut each = |path: &std::path::Path, node: &repository::restic::node::Node| {
            let is_found = wanted.oldest.is_none_or(|oldest| node.mtime >= oldest)
                && wanted.newest.is_none_or(|newest| node.mtime <= newest)
                && wanted.filter.includes(path);
            if !is_found {
                return Ok(Descend::Yes);
            }
            printed = if output.is_json() {
                let mut value = entry::of(&selected.point, path, node);
                value["message_type"] = json!("match");
                value["snapshot"] = json!(name);
                writeln!(out, "{value}")
            } else {
                let heading = match is_named {
                    true => Ok(()),
                    false => writeln!(out, "{}in archive {name}:", if is_first { "" } else { "\n" }),
                };
                (is_named, is_first) = (true, false);
                heading.and_then(|()| match wanted.long {
                    true => entry::write_long(&mut out, path, node),
                    false => entry::write_path(&mut out, path),
                })
            };
            // Nobody reads on: end the search; what went wrong is told below.
            if printed.is_err() {
                Err(Error::Interrupted)
            } else {
                Ok(Descend::Yes)
            }
        };
        let searched = archives.entries(&selected, &mut each, &monitor);
        printed?;
        match searched {
            Err(error) if error.is_damage() => monitor.problem(&name, &error.to_string()),
            other => other?,
        }
    }
    out.flush()?;
    Ok(Exit::from_problems(monitor.problems()))
}
