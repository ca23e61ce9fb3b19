//! Something to back up, for those who name nothing: one of each kind of entry that a restore has to get right.

use repository::{Error, Result};
use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// Make the sample in `directory` unless it is there, and return its path.
pub fn make(directory: &Path) -> Result<PathBuf> {
    let sample = directory.join("sample");
    if !sample.exists() {
        fill(directory, &sample).map_err(Error::local("create the sample", &sample))?;
    }
    Ok(sample)
}

/// Under another name first: what is named `sample` is complete.
fn fill(directory: &Path, sample: &Path) -> io::Result<()> {
    let new = tempfile::Builder::new().prefix("sample-").tempdir_in(directory)?;
    let root = new.path();
    fs::create_dir_all(root.join("notes/empty folder"))?;
    fs::write(
        root.join("notes/welcome.txt"),
        "This is a sample that `mainstay quickstart` made. It can be deleted.\n",
    )?;
    fs::write(root.join("notes/empty.txt"), "")?;
    fs::write(root.join("notes/ünïcode — 文件.txt"), "names may hold any characters\n")?;
    fs::write(root.join("script.sh"), "#!/bin/sh\necho hello\n")?;
    fs::set_permissions(root.join("script.sh"), fs::Permissions::from_mode(0o750))?;
    symlink("notes/welcome.txt", root.join("link to welcome"))?;
    fs::hard_link(root.join("script.sh"), root.join("same-script.sh"))?;
    fs::write(root.join("noise.bin"), noise(3 << 20))?;
    let mut sparse = File::create(root.join("sparse.img"))?;
    sparse.seek(SeekFrom::Start(8 << 20))?;
    sparse.write_all(b"the end")?;
    fs::rename(new.keep(), sample)
}

/// Bytes that do not compress, always the same.
fn noise(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once() {
        let root = tempfile::tempdir().unwrap();
        let sample = make(root.path()).unwrap();
        let welcome = sample.join("notes/welcome.txt");
        fs::write(&welcome, "mine").unwrap();
        make(root.path()).unwrap();
        assert_eq!(fs::read(welcome).unwrap(), b"mine");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
