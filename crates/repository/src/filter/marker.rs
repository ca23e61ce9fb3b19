//! Files that say that the content of their directory is not worth keeping.

use crate::local::scan::open_file;
use crate::{Error, Result};
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

/// A name whose presence in a directory, possibly with certain content, leaves everything else there out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    name: OsString,
    header: Vec<u8>,
}

impl Marker {
    /// From `NAME` or `NAME:HEADER`, where the file has to begin with `HEADER`.
    ///
    /// # Errors
    /// [`Error::Refused`] if the name is empty or a path.
    pub fn parse(text: &OsStr) -> Result<Self> {
        let mut parts = text.as_bytes().splitn(2, |byte| *byte == b':');
        let name = parts.next().unwrap_or_default();
        if name.is_empty() || name.contains(&b'/') {
            return Err(Error::Refused {
                message: format!("`{}` does not name a marker file", text.display()),
                hint: "Write the file's name without a directory, if wanted followed by `:` and how it begins."
                    .to_owned(),
            });
        }
        let header = parts.next().unwrap_or_default().to_vec();
        Ok(Self {
            name: OsStr::from_bytes(name).to_owned(),
            header,
        })
    }

    /// Name of the marker.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// Whether the directory `dir` with these `names` has this marker.
    ///
    /// # Errors
    /// Those of opening and reading the file.
    pub fn marks(&self, dir: impl AsFd, names: &[OsString]) -> io::Result<bool> {
        if !names.contains(&self.name) {
            return Ok(false);
        }
        if self.header.is_empty() {
            return Ok(true);
        }
        let (file, _) = open_file(dir, &self.name)?;
        let mut beginning = Vec::with_capacity(self.header.len());
        file.take(self.header.len() as u64).read_to_end(&mut beginning)?;
        Ok(beginning == self.header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Filter;
    use crate::local::scan::{list_dir, open_dir_path};

    #[test]
    fn name_and_beginning_have_to_fit() {
        let root = tempfile::tempdir().unwrap();
        for (marker, content, marks) in [
            ("TAG", None, false),
            ("TAG", Some(""), true),
            ("TAG:begin", Some("beginning"), true),
            ("TAG:begin", Some("begi"), false),
            ("TAG:a:b", Some("a:bc"), true),
            ("TAG:begin", None, false),
        ] {
            let dir = tempfile::tempdir_in(&root).unwrap();
            if let Some(content) = content {
                std::fs::write(dir.path().join("TAG"), content).unwrap();
            }
            let filter = Filter::builder()
                .exclude_if_present("other")
                .exclude_if_present(marker)
                .build()
                .unwrap();
            let open = open_dir_path(dir.path()).unwrap();
            let names = list_dir(open.as_fd()).unwrap();
            assert_eq!(
                filter.marker_in(&open, &names).unwrap().is_some(),
                marks,
                "{marker} {content:?}"
            );
        }
    }

    #[test]
    fn caches_say_what_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let text = "Signature: 8a477f597d28d172789f06886806bc55\n# This is a cache";
        std::fs::write(dir.path().join("CACHEDIR.TAG"), text).unwrap();
        let filter = Filter::builder().exclude_caches().build().unwrap();
        let names = ["CACHEDIR.TAG".into(), "x".into()];
        let found = filter.marker_in(open_dir_path(dir.path()).unwrap(), &names).unwrap();
        assert_eq!(found, Some(OsStr::new("CACHEDIR.TAG")));
        assert_eq!(filter.markers().len(), 1);
    }
}
