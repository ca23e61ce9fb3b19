//! `mainstay purge`.

use super::chosen::Chosen;
use super::output::{bytes, count};
use super::patterns::built;
use super::selection::{FilterArgs, tag_list, with_jobs};
use super::{Context, archives};
use crate::clock;
use crate::config::{Misuse, directories};
use crate::engine::overlap::{self, Running};
use crate::exit::Exit;
use repository::restic::lock::LockKind;
use repository::restic::purge::{self, PurgeOptions, PurgePlan, PurgeReport};
use repository::{Filter, FilterBuilder};
use serde_json::json;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "Examples:
  mainstay purge --path /home/ann --dry-run
  mainstay purge --path /home/ann --path '*/uploads/ann-*' --report ann.txt
  mainstay purge --path '/files/srv/**/private.key' --job web --yes

Without --yes you are asked to type the number of snapshots or archives that change. The report is for the person who asked
for the removal. Other repositories, and copies of this one, are not touched.";

/// What it means that a bucket has versions.
pub(super) const KEPT_VERSIONS: &str = "NOT DONE: the bucket keeps what was deleted as old versions, and whoever may read these and has \
    the password or key can still read it. They go with a lifecycle rule of the bucket that expires noncurrent versions, or with the store's own \
    tools.";

/// Options of `purge`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What goes, with everything below, as a pattern like those of --exclude; may be repeated
    #[arg(long = "path", value_name = "PATTERN", required = true)]
    pub(super) patterns: Vec<String>,
    /// Only from snapshots of this job; may be repeated
    #[arg(long = "job", value_name = "NAME")]
    pub(super) jobs: Vec<String>,
    /// Only from snapshots of this host; may be repeated
    #[arg(short = 'H', long = "host", value_name = "HOST")]
    pub(super) hosts: Vec<String>,
    /// Only from snapshots with all of these tags, separated by commas; may be repeated
    #[arg(long = "tag", value_name = "TAG[,TAG…]")]
    pub(super) tags: Vec<String>,
    /// Only show what would go
    #[arg(short = 'n', long)]
    pub(super) dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub(super) yes: bool,
    /// Write what was done to a new file
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    report: Option<PathBuf>,
}

/// Remove content from every snapshot, or archive.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let _running = if args.dry_run {
        Vec::new()
    } else {
        args.keep_jobs_waiting(context)?
    };
    if context.chosen()?.holds_archives() {
        return archives::purge::run(&args, context);
    }
    let options = args.options()?;
    let repository = context.open()?;
    let mut progress = context.progress();
    let lock = if args.dry_run {
        context.lock(&repository, LockKind::Shared, &progress)?
    } else {
        context.lock_to_replace(&repository, &progress)?
    };
    let plan = purge::plan(&repository, &options, context.cancel(), &progress)?;
    purge::check_found(&plan, &args.patterns)?;
    let output = context.output();
    if args.dry_run {
        progress.finish();
        let mut value = json!(plan);
        value["message_type"] = json!("purge_plan");
        output.done(&value, plan_text(&plan))?;
        return Ok(Exit::Done);
    }
    if !args.yes {
        progress.finish();
        confirm(&plan_text(&plan), "snapshots", plan.snapshots.len(), context)?;
        progress = context.progress();
    }
    let file = args.report_file()?;
    let report = purge::execute(&repository, &options, &plan, &lock, context.cancel(), &progress)?;
    progress.finish();
    let text = report_text(&args.patterns, &repository.store().location(), &plan, &report);
    args.write_report(file, &text)?;
    let mut value = json!(report);
    value["message_type"] = json!("summary");
    value["plan"] = json!(plan);
    value["proven"] = json!(report.is_proven());
    output.done(&value, text)?;
    Ok(if report.is_proven() {
        Exit::Done
    } else {
        Exit::Incomplete
    })
}

impl Args {
    fn options(&self) -> Result<PurgeOptions, Misuse> {
        let mut snapshots = FilterArgs::default().filter();
        snapshots.hosts.clone_from(&self.hosts);
        let lists = self.tags.iter().map(|list| tag_list(list)).collect();
        snapshots.tags = with_jobs(lists, &self.jobs);
        Ok(PurgeOptions {
            snapshots,
            content: self.content()?,
        })
    }

    /// No run or `sync` of a job stores what this is about to remove, while it lasts.
    fn keep_jobs_waiting(&self, context: &Context) -> anyhow::Result<Vec<Running>> {
        let Chosen::Configured(repository) = context.chosen()? else {
            return Ok(Vec::new());
        };
        let config = context.configuration()?.config;
        let (state, progress) = (directories::state(context.environment()), context.progress());
        Ok(overlap::begin_all(
            state.as_deref(),
            &config,
            &repository.name,
            &self.jobs,
            &progress,
        )?)
    }

    /// What goes.
    pub(super) fn content(&self) -> Result<Filter, Misuse> {
        if self
            .patterns
            .iter()
            .any(|pattern| matches!(pattern.trim(), "" | "/" | "*" | "**" | "/*" | "/**"))
        {
            let hint = "Name what is to go; `mainstay forget` removes whole snapshots.";
            return Err(Misuse::new("a pattern that fits everything is no path to purge", hint));
        }
        let content = self.patterns.iter().fold(Filter::builder(), FilterBuilder::include);
        built(content.build())
    }

    /// The report's file, made before anything is removed: a report that cannot be written afterwards is lost.
    pub(super) fn report_file(&self) -> Result<Option<File>, Misuse> {
        self.report.as_deref().map(create).transpose()
    }

    /// Write the report into its file, if there is one.
    pub(super) fn write_report(&self, file: Option<File>, text: &str) -> Result<(), Misuse> {
        let Some(mut file) = file else { return Ok(()) };
        writeln!(file, "{text}")
            .and_then(|()| file.sync_all())
            .map_err(|error| {
                let place = self.report.as_deref().unwrap_or(Path::new("")).display().to_string();
                Misuse::new(format!("cannot write the report to `{place}`"), "It is shown below.").because(error)
            })
    }
}

/// A new file that only its owner reads.
fn create(path: &Path) -> Result<File, Misuse> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    opened.map_err(|error| {
        let message = format!("cannot create the report `{}`", path.display());
        Misuse::new(
            message,
            "Choose a file that does not exist yet, in a directory that can be written to.",
        )
        .because(error)
    })
}

/// The number cannot be typed without having looked.
pub(super) fn confirm(plan: &str, what: &str, number: usize, context: &Context) -> anyhow::Result<()> {
    if !io::stdin().is_terminal() {
        let hint = "Look at `--dry-run` first, then repeat the command with `--yes`.";
        return Err(Misuse::new("nobody is there to confirm the purge", hint).into());
    }
    let number = number.to_string();
    let mut err = io::stderr().lock();
    writeln!(err, "{plan}\nThis cannot be undone. Type {number} to go on:")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    context.cancel().check()?;
    if answer.trim() == number {
        return Ok(());
    }
    Err(repository::Error::Refused {
        message: "nothing was removed: the purge was not confirmed".to_owned(),
        hint: format!("Repeat the command, and type the number of {what} that change."),
    }
    .into())
}

fn plan_text(plan: &PurgePlan) -> String {
    let mut text = String::new();
    for path in &plan.paths {
        let _ = writeln!(text, "{:>12}  {}", bytes(path.bytes), path.path);
    }
    for snapshot in &plan.snapshots {
        let fate = if snapshot.tree.is_some() {
            "is replaced"
        } else {
            "goes as a whole"
        };
        let (id, time) = (snapshot.id.short(), clock::local(snapshot.time));
        let _ = writeln!(text, "snapshot {id} of {time} on {} {fate}", snapshot.hostname);
    }
    let _ = write!(
        text,
        "{} in {} of {} match",
        count(plan.paths.len() as u64, "path"),
        plan.snapshots.len(),
        count(plan.looked_at as u64, "snapshot"),
    );
    text
}

fn report_text(patterns: &[String], location: &str, plan: &PurgePlan, report: &PurgeReport) -> String {
    let mut text = report_head(patterns, location, &plan_text(plan));
    for (old, new) in &report.replaced {
        let fate = if report.held.is_empty() { "removed" } else { "to go" };
        let new = new.map_or(fate.to_owned(), |new| format!("replaced by {}", new.short()));
        let _ = writeln!(text, "snapshot {} was {new}", old.short());
    }
    let _ = write!(
        text,
        "\n{} of content and directories are gone from the repository, {} given back.\n",
        count(report.blobs_gone as u64, "piece"),
        bytes(report.freed_bytes),
    );
    if !report.held.is_empty() {
        let _ = writeln!(
            text,
            "{} are still there: {}. Purge again when that time is over.",
            count(report.blobs_shared as u64, "piece"),
            report.held,
        );
    } else if report.blobs_shared > 0 {
        let _ = writeln!(
            text,
            "{} are also the content of other files, which do not match; they stay as that.",
            count(report.blobs_shared as u64, "piece"),
        );
    }
    if report.keeps_versions.is_none() {
        text.push_str("The store does not say whether it keeps as old versions what is deleted.\n");
    }
    text.push_str(verdict(report));
    text
}

/// How a report begins, whatever the format.
pub(super) fn report_head(patterns: &[String], location: &str, plan: &str) -> String {
    format!(
        "Removal of content from backups\nTime:        {}\nRepository:  {location}\nPatterns:    {}\n\n{plan}\n\n",
        clock::local(clock::now()),
        patterns.join(", "),
    )
}

fn verdict(report: &PurgeReport) -> &'static str {
    if report.is_proven() {
        "Every pack that is left was compared with the index: none holds anything else."
    } else if !report.held.is_empty() {
        "NOT DONE: the store keeps what was to go, and whoever has the password can still read it."
    } else if !report.unexplained_packs.is_empty() {
        "NOT PROVEN: some packs hold something that no index lists; run `mainstay repair index`, then purge again."
    } else {
        KEPT_VERSIONS
    }
}
