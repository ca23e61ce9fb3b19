//! What `backup` says at the end.

use crate::cli::Context;
use crate::cli::output::{bytes, count, duration};
use repository::restic::backup::Report;
use serde_json::{Value, json};
use std::time::Duration;

/// Print a report.
pub fn print(report: &Report, dry_run: bool, elapsed: Duration, context: &Context) -> anyhow::Result<()> {
    let output = context.output();
    if output.is_json() {
        return Ok(output.json(&to_json(report, dry_run, elapsed))?);
    }
    output.info(to_text(report, dry_run, elapsed))?;
    Ok(())
}

fn to_json(report: &Report, dry_run: bool, elapsed: Duration) -> Value {
    let mut value = json!(report.summary);
    value["message_type"] = json!("summary");
    value["total_duration"] = json!(elapsed.as_secs_f64());
    value["error_count"] = json!(report.totals.problems);
    value["vanished"] = json!(report.totals.vanished);
    value["changed_while_read"] = json!(report.totals.changed_while_read);
    if let Some((id, _)) = &report.snapshot {
        value["snapshot_id"] = json!(id);
    }
    if dry_run {
        value["dry_run"] = json!(true);
    }
    value
}

fn to_text(report: &Report, dry_run: bool, elapsed: Duration) -> String {
    let summary = &report.summary;
    let mut lines = vec![
        format!(
            "files      {} new, {} changed, {} unchanged",
            summary.files_new, summary.files_changed, summary.files_unmodified
        ),
        format!(
            "processed  {}, {} in {}",
            count(summary.total_files_processed, "file"),
            bytes(summary.total_bytes_processed),
            duration(elapsed)
        ),
        format!(
            "added      {}, stored in {}",
            bytes(summary.data_added),
            bytes(summary.data_added_packed)
        ),
    ];
    for (n, what) in [
        (report.totals.vanished, "vanished before it was read"),
        (report.totals.changed_while_read, "changed while it was read"),
    ] {
        if n > 0 {
            lines.push(format!("note       {} {what}", count(n, "entry")));
        }
    }
    lines.push(match &report.snapshot {
        None if dry_run => "nothing is stored: this was a dry run".to_owned(),
        None => "no snapshot is stored: nothing has changed".to_owned(),
        Some((id, _)) if report.totals.problems > 0 => {
            format!(
                "snapshot {} stored, INCOMPLETE: {} could not be read",
                id.short(),
                count(report.totals.problems, "entry")
            )
        }
        Some((id, _)) => format!("snapshot {} stored", id.short()),
    });
    lines.join("\n")
}
