//! Reading what was written once more, and comparing it with the archive.

use super::{RestoreOptions, RestoreReport};
use crate::archive::entry::EntryKind;
use crate::archive::failure::carry;
use crate::archive::reader::{Archive, Member, copy_content};
use crate::local::target::TargetDir;
use crate::{Error, Monitor, Result};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

/// The file that is compared, which the pieces of a stream share.
struct Compared {
    place: PathBuf,
    file: BufReader<File>,
    is_same: bool,
}

impl Archive<'_> {
    /// Compare the files that the options choose, but for those that were not restored, with those in the target.
    pub(super) fn verify(
        &self,
        options: &RestoreOptions,
        left_out: &HashSet<PathBuf>,
        report: &mut RestoreReport,
        monitor: &dyn Monitor,
    ) -> Result<()> {
        let root = TargetDir::open(&options.target).map_err(Error::local("open", &options.target))?;
        let mut current: Option<Compared> = None;
        let mut finish = |compared: Option<Compared>| {
            let Some(mut compared) = compared else { return };
            compared.is_same &= matches!(compared.file.read(&mut [0]), Ok(0));
            if compared.is_same {
                report.verified_files += 1;
            } else {
                report.problems += 1;
                let path = Path::new("/").join(&compared.place);
                monitor.problem(&path.display().to_string(), "it is not what was in the archive");
            }
        };
        self.visit(
            &|path, is_dir| options.place(path, is_dir).is_some(),
            &mut |member: Member, content: &mut dyn Read| {
                if member.entry.kind != EntryKind::File {
                    return Ok(());
                }
                let Some(place) = options.place(&member.entry.path, false) else {
                    return Ok(());
                };
                if member.entry.place.part <= 1 {
                    finish(current.take());
                    current = match left_out.contains(place) {
                        true => None,
                        false => open(&root, place)?,
                    };
                }
                if let Some(compared) = current.as_mut().filter(|compared| compared.is_same) {
                    let mut out = Comparing(compared);
                    copy_content(&member, content, &mut out)?;
                }
                Ok(())
            },
        )?;
        finish(current);
        Ok(())
    }
}

/// A file that is not there was reported when it was not restored.
fn open(root: &TargetDir, place: &Path) -> Result<Option<Compared>> {
    let parent = place.parent().unwrap_or(Path::new(""));
    let opened = root
        .open_dir_beneath(parent)
        .and_then(|dir| dir.open_file(place.file_name().unwrap_or_default()));
    match opened {
        Ok((file, _)) => Ok(Some(Compared {
            place: place.to_owned(),
            file: BufReader::new(file),
            is_same: true,
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::local("read", place)(error)),
    }
}

/// Takes the archive's content and reads as much of the file.
struct Comparing<'a>(&'a mut Compared);

impl Write for Comparing<'_> {
    fn write(&mut self, expected: &[u8]) -> io::Result<usize> {
        if self.0.is_same {
            let mut found = vec![0; expected.len()];
            self.0.is_same = match self.0.file.read_exact(&mut found) {
                Ok(()) => found == expected,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
                Err(error) => return Err(carry(Error::local("read", &self.0.place)(error))),
            };
        }
        Ok(expected.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
