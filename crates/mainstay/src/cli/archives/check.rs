//! `mainstay check` of archives.

use crate::cli::output::{Progress, bytes, count};
use crate::cli::{Context, identity};
use crate::exit::Exit;
use repository::archive::{CheckOptions, CheckReport, Content, Manifest, check};
use repository::points::{Archives, PointFilter};
use serde_json::{Value, json};

/// What was found in all of them.
#[derive(Default)]
struct Found {
    archives: u64,
    read_bytes: u64,
    proven: u64,
    /// Archives whose content takes an identity that is not here.
    unproven: Vec<String>,
    /// Manifests that cannot be read.
    unreadable: u64,
    /// Each with what is wrong with it.
    damage: Vec<(String, String)>,
}

/// Look for damage: that all parts are there with their sizes; with `read_data`, their checksums, and their content as far as there
/// are keys.
pub fn run(read_data: bool, context: &Context) -> anyhow::Result<Exit> {
    let mut archives = context.open_archives()?;
    let mut progress = context.progress();
    let manifests = archives.manifests(&PointFilter::default(), &progress)?;
    let mut found = Found {
        unreadable: progress.problems(),
        ..Found::default()
    };
    if read_data {
        archives.unlock(identity::keys_at_hand(context)?);
    }
    for manifest in &manifests {
        let report = check_one(&archives, manifest, read_data, context, &progress)?;
        found.add(manifest, report);
    }
    progress.finish();
    found.print(context)
}

fn check_one(
    archives: &Archives,
    manifest: &Manifest,
    read_data: bool,
    context: &Context,
    progress: &Progress,
) -> anyhow::Result<CheckReport> {
    let options = CheckOptions { read_data };
    let report = check(
        archives.store(),
        &manifest.name,
        archives.keys(),
        options,
        context.cancel(),
        progress,
    );
    Ok(report?)
}

impl Found {
    fn add(&mut self, manifest: &Manifest, report: CheckReport) {
        self.archives += 1;
        self.read_bytes += report.read_bytes;
        match report.content {
            Content::Proven => self.proven += 1,
            Content::NeedsIdentity => self.unproven.push(manifest.name.clone()),
            Content::NotRead | Content::Damaged => {}
        }
        let name = &manifest.name;
        self.damage
            .extend(report.damage.into_iter().map(|damage| (name.clone(), damage)));
    }

    fn problems(&self) -> u64 {
        self.damage.len() as u64 + self.unreadable
    }

    fn print(&self, context: &Context) -> anyhow::Result<Exit> {
        let output = context.output();
        if output.is_json() {
            output.json(&self.to_json())?;
        } else if self.problems() == 0 {
            output.info(format_args!("{}\nno damage was found", self.checked()))?;
        } else {
            output.line(format_args!("{}\n{}", self.checked(), self.damaged()))?;
        }
        Ok(if self.problems() == 0 {
            Exit::Done
        } else {
            Exit::Unhealthy
        })
    }

    fn to_json(&self) -> Value {
        let problem = |(name, reason): &(String, String)| json!({"object": "archive", "id": name, "reason": reason});
        json!({
            "message_type": "summary",
            "num_errors": self.problems(),
            "archives": self.archives,
            "read_bytes": self.read_bytes,
            "content_proven": self.proven,
            "content_needs_identity": self.unproven,
            "unreadable_manifests": self.unreadable,
            "problems": self.damage.iter().map(problem).collect::<Vec<_>>(),
        })
    }

    fn checked(&self) -> String {
        let mut text = format!("checked {}", count(self.archives, "archive"));
        if self.read_bytes > 0 {
            text.push_str(&format!(
                "; read {}, the content of {}",
                bytes(self.read_bytes),
                self.proven
            ));
        }
        if !self.unproven.is_empty() {
            let n = count(self.unproven.len() as u64, "archive");
            text.push_str(&format!(
                "\n{n} stored as written; what is in them can only be proven with the identity (`--identity FILE`)"
            ));
        }
        text
    }

    /// The problems themselves were reported when they were found.
    fn damaged(&self) -> String {
        format!(
            "DAMAGE: {}\nhint: Archives do not depend on each other: all others can be restored.",
            count(self.problems(), "problem")
        )
    }
}
