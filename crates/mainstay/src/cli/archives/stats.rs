//! `mainstay stats` of archives: what their manifests say, so nothing is read.

use crate::cli::Context;
use crate::cli::output::bytes;
use crate::cli::selection::FilterArgs;
use crate::exit::Exit;
use serde_json::json;

/// Count what archives hold (`raw` is false), or what they take.
pub fn run(names: &[String], filter: &FilterArgs, raw: bool, context: &Context) -> anyhow::Result<Exit> {
    let archives = context.open_archives()?;
    let mut monitor = context.monitor();
    let chosen = super::chosen(&archives, names, filter, None, &monitor)?;
    monitor.finish();
    let sum = |each: fn(&repository::archive::Manifest) -> u64| chosen.iter().map(each).sum::<u64>();
    let output = context.output();
    let n = chosen.len();
    if raw {
        let (stored, plain) = (sum(|one| one.stored_bytes), sum(|one| one.tar_bytes));
        let mut value = json!({"snapshots_count": n, "total_size": stored, "total_uncompressed_size": plain});
        if stored > 0 {
            value["compression_ratio"] = json!(plain as f64 / stored as f64);
        }
        let text = format!(
            "archives   {n}\nsize       {}, {} before compression",
            bytes(stored),
            bytes(plain)
        );
        print(output, &value, &text)?;
    } else {
        let size = sum(|one| one.counts.content_bytes);
        let files = sum(|one| {
            let counts = &one.counts;
            counts.files + counts.directories + counts.hard_links + counts.others
        });
        let value = json!({"snapshots_count": n, "total_size": size, "total_file_count": files});
        let text = format!("archives   {n}\nsize       {}\nfiles      {files}", bytes(size));
        print(output, &value, &text)?;
    }
    Ok(Exit::from_problems(monitor.problems()))
}

fn print(output: crate::cli::output::Output, value: &serde_json::Value, text: &str) -> std::io::Result<()> {
    if output.is_json() {
        output.json(value)
    } else {
        output.line(text)
    }
}
