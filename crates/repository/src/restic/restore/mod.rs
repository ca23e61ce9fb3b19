//! Restoring a tree into a directory.
//!
//! First a plan (a pure pass over the trees: counts, space, blobs that are missing), then the work. The tree is walked in order and cut
//! into windows of bounded size. Within a window every blob is read once, in the order in which it lies in its pack, by a few threads
//! that decrypt, verify and write at once; then come hard links, and last the metadata of directories that are complete. So memory
//! depends neither on the number of files nor on their size.
//!
//! **What is there already.** A file that exists is compared block by block, and only what differs is written, in place, as restic does:
//! no second copy has to fit on the disk, and blocks that are right are never touched. If it fails half-way, it is reported with
//! that it is partly overwritten. A file with other hard links is replaced instead, since its other names may be outside of the target.

mod blobs;
mod collect;
mod compare;
mod dirs;
mod files;
mod finish;
mod options;
mod plan;
mod prepare;
mod preview;
mod protected;
mod reads;
mod remove;
mod session;
pub(crate) mod sparse;
mod window;

pub use options::{Overwrite, Problem, RestoreOptions, RestoreReport, UnknownOverwrite};
pub use plan::{RestorePlan, plan};
pub(crate) use protected::Protected;
pub(crate) use remove::{Remover, Told, check_system};

use super::index::Index;
use super::ls;
use super::repository::Repository;
use crate::local::target::TargetDir;
use crate::{Cancel, Counters, Error, Id, Monitor, Result};
use collect::Collector;
use session::Session;

/// Restore the directory `root` into `options.target`, which is made if it is missing.
///
/// Problems with single entries are reported to `monitor` and counted; the work goes on.
///
/// # Errors
/// [`Error::Refused`] if it cannot work: no space, no right to write, absurd options. [`Error::Interrupted`]. A store that cannot
/// be reached. Files that are incomplete then are removed unless they were there before.
pub fn restore(
    repository: &Repository,
    index: &Index,
    root: &Id,
    options: &RestoreOptions,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<RestoreReport> {
    monitor.phase("plan");
    let plan = plan(repository, index, root, options, cancel)?;
    plan.check(options)?;
    let counters = monitor.counters();
    Counters::add(&counters.total_files, plan.files);
    Counters::add(&counters.total_bytes, plan.bytes);
    if options.dry_run {
        let preview = preview::preview(repository, index, root, options, cancel, monitor)?;
        return Ok(plan.into_report(preview, monitor));
    }
    monitor.phase("restore");
    let target = TargetDir::create(&options.target).map_err(Error::local("create", &options.target))?;
    let session = Session::new(repository, index, options, cancel, monitor, target)?;
    work(&session, root)?;
    Ok(session.tally.into_report())
}

/// Windows are collected while the one before is worked on.
fn work(session: &Session<'_>, root: &Id) -> Result<()> {
    std::thread::scope(|scope| {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let walker = scope.spawn(move || {
            let mut collector = Collector::new(session, sender);
            let walked = ls::walk(session.repository, session.index, root, &mut collector, session.cancel);
            (walked.and_then(|()| collector.finish()), collector.cut_file())
        });
        let worked = receiver.iter().try_for_each(|window| window::execute(session, window));
        // Ends the walk if it is still under way.
        drop(receiver);
        let (walked, cut) = walker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let done = worked.and(walked);
        if let (Err(_), Some(file)) = (&done, cut) {
            file.abandon(session);
        }
        done
    })
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
