//! A job is run, completed or purged once at a time on this host.

use crate::config::model::{Config, Job};
use repository::{Error, Id, Monitor};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// A run that is under way. The kernel forgets it with the process, however that ends.
#[derive(Debug)]
pub struct Running {
    #[expect(dead_code, reason = "held for its lock")]
    file: File,
    token: String,
}

impl Running {
    /// Stays the same from run to run, and only one run at a time has it. So whatever names it was left by a run that is over.
    pub fn token(&self) -> &str {
        &self.token
    }
}

/// Begin a run of `job`, which is one of the configuration in `file`. Where the directory `state` cannot be used, nobody is kept from running: a backup matters more.
///
/// # Errors
/// [`Error::Locked`] if one is under way.
pub fn begin(state: Option<&Path>, file: &Path, job: &str, monitor: &dyn Monitor) -> Result<Option<Running>, Error> {
    let Some(state) = state else { return Ok(None) };
    let directory = state.join("jobs");
    let opened = fs::create_dir_all(&directory).and_then(|()| {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.open(directory.join(lock_name(file, job)))
    });
    let mut file = match opened {
        Ok(file) => file,
        Err(error) => {
            let place = directory.display();
            monitor.note(&format!(
                "nothing keeps two runs of a job apart: `{place}` cannot be used: {error}"
            ));
            return Ok(None);
        }
    };
    let is_running = flock(&file, FlockOperation::NonBlockingLockExclusive).is_err();
    let mut content = String::new();
    // Whose it is, is told if it can be; a token that cannot be read is replaced.
    let _: Option<usize> = file.read_to_string(&mut content).ok();
    let mut words = content.split_whitespace();
    let (process, token) = (words.next().unwrap_or_default(), words.next());
    if is_running {
        return Err(Error::Locked {
            holder: format!("by another run, `sync` or `purge` of the job `{job}`, process {process}"),
        });
    }
    let token = token.map_or_else(|| Id(rand::random()).to_hex(), str::to_owned);
    let process = rustix::process::getpid().as_raw_nonzero();
    let content = format!("{process} {token}\n");
    let written = file
        .rewind()
        .and_then(|()| file.write_all(content.as_bytes()))
        .and_then(|()| file.set_len(content.len() as u64));
    if let Err(error) = written {
        monitor.note(&format!(
            "the lock of the job `{job}` does not name this process: {error}"
        ));
    }
    Ok(Some(Running { file, token }))
}

/// Keep the jobs of `config` that store in `repository` from being run; only those in `names`, if there are any.
///
/// # Errors
/// [`Error::Locked`] if one is under way.
pub fn begin_all(
    state: Option<&Path>,
    config: &Config,
    repository: &str,
    names: &[String],
    monitor: &dyn Monitor,
) -> Result<Vec<Running>, Error> {
    let is_meant =
        |job: &&Job| job.to.iter().any(|name| name == repository) && (names.is_empty() || names.contains(&job.name));
    let jobs = config.jobs.iter().filter(is_meant);
    let begun = jobs.map(|job| begin(state, job.origin.file(), &job.name, monitor).transpose());
    begun.flatten().collect()
}

/// Jobs of different configurations may have the same name.
fn lock_name(file: &Path, job: &str) -> String {
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let id = Id::hash(file.as_os_str().as_bytes());
    format!("{job}-{}.lock", id.short())
}

#[cfg(test)]
mod tests {
    use super::*;
    use repository::Recorder;

    #[test]
    fn the_second_run_is_told_who_the_first_is() {
        let (state, monitor) = (tempfile::tempdir().unwrap(), Recorder::default());
        let (one, other) = (Path::new("/one.yaml"), Path::new("/other.yaml"));
        let begin = |file, job| begin(Some(state.path()), file, job, &monitor);
        let first = begin(one, "a").unwrap();
        let error = begin(one, "a").unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        assert!(begin(one, "b").unwrap().is_some() && begin(other, "a").unwrap().is_some());
        let token = |running: Option<Running>| running.unwrap().token().to_owned();
        let first = token(first);
        assert_eq!(token(begin(one, "a").unwrap()), first);
        assert_ne!(token(begin(one, "b").unwrap()), first);
    }

    #[test]
    fn a_place_that_cannot_be_used_keeps_nobody_from_running() {
        let monitor = Recorder::default();
        let file = tempfile::NamedTempFile::new().unwrap();
        let begun = begin(Some(file.path()), Path::new("/one.yaml"), "a", &monitor);
        assert!(begun.unwrap().is_none());
        assert_eq!(monitor.notes.lock().len(), 1);
    }
}
