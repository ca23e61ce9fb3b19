//! Which files the configuration is in.

use crate::config::Misuse;
use crate::config::env::{self, Environment};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Where it is looked for, in this order, if none is named.
pub const PLACES: [&str; 2] = ["mainstay.yaml", "/etc/mainstay/mainstay.yaml"];

/// Files that are larger are something else.
const MOST_BYTES: u64 = 1 << 20;

/// The file: `--config`, `MAINSTAY_CONFIG`, or the first of `places` that is there.
///
/// # Errors
/// [`Misuse`] if one is named that is not there.
pub fn find(given: Option<&Path>, environment: &Environment, places: &[&Path]) -> Result<Option<PathBuf>, Misuse> {
    let named = given.map(|path| ("--config", path.to_path_buf()));
    let named = named.or_else(|| Some((env::CONFIG.name, environment.path(env::CONFIG)?)));
    match named {
        Some((_, path)) if path.is_file() => Ok(Some(path)),
        Some((how, path)) => {
            let message = format!("`{how}` names `{}`, which is no file that can be read", path.display());
            Err(Misuse::new(
                message,
                "Check the path, or make a file with `mainstay config init FILE`.",
            ))
        }
        // One that is there but cannot be read is an error later, and not a reason to take another.
        None => Ok(places
            .iter()
            .find(|place| place.symlink_metadata().is_ok())
            .map(|place| place.to_path_buf())),
    }
}

/// The file and those of `conf.d` beside it, in the order of their names.
///
/// # Errors
/// [`Misuse`] if the directory is there but cannot be read.
pub fn with_parts(file: &Path) -> Result<Vec<PathBuf>, Misuse> {
    let directory = file.with_file_name("conf.d");
    let unreadable = |error| {
        let message = format!("cannot read the directory `{}`", directory.display());
        Misuse::new(message, "Check its permissions.").because(error)
    };
    let mut parts = Vec::new();
    match fs::read_dir(&directory) {
        Ok(entries) => {
            for entry in entries {
                parts.push(entry.map_err(unreadable)?.path());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unreadable(error)),
    }
    let is_yaml = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml")
    };
    let is_hidden = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'))
    };
    parts.retain(|path| is_yaml(path) && !is_hidden(path));
    parts.sort();
    parts.insert(0, file.to_path_buf());
    Ok(parts)
}

/// A file's text.
///
/// # Errors
/// [`Misuse`] if it cannot be read, is too large, or is no text.
pub fn read(file: &Path) -> Result<String, Misuse> {
    let unreadable = |error: io::Error| {
        let message = format!("cannot read the configuration file `{}`", file.display());
        Misuse::new(
            message,
            "Check the file's path and permissions; it has to be UTF-8 text.",
        )
        .because(error)
    };
    let mut text = String::new();
    let opened = fs::File::open(file).map_err(unreadable)?;
    opened
        .take(MOST_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > MOST_BYTES {
        let message = format!("the configuration file `{}` is larger than 1 MiB", file.display());
        return Err(Misuse::new(message, "Check that this is the right file."));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_goes_before_the_variable_and_that_before_the_places() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| dir.path().join(name));
        [&a, &b, &c].iter().for_each(|path| fs::write(path, "").unwrap());
        let missing = dir.path().join("missing");
        let environment = Environment::of([(env::CONFIG, b.to_str().unwrap())]);
        let places = [missing.as_path(), &c];
        assert_eq!(find(Some(&a), &environment, &places).unwrap(), Some(a));
        assert_eq!(find(None, &environment, &places).unwrap(), Some(b));
        assert_eq!(find(None, &Environment::default(), &places).unwrap(), Some(c.clone()));
        assert_eq!(find(None, &Environment::default(), &places[..1]).unwrap(), None);
        let error = find(Some(&missing), &environment, &places).unwrap_err();
        assert!(error.message.contains("`--config` names"), "{}", error.message);
    }

    #[test]
    fn parts_are_taken_in_the_order_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mainstay.yaml");
        assert_eq!(with_parts(&file).unwrap(), std::slice::from_ref(&file));
        fs::create_dir(dir.path().join("conf.d")).unwrap();
        for name in ["20.yaml", "10.yml", "old.yaml.bak", ".swap.yaml"] {
            fs::write(dir.path().join("conf.d").join(name), "").unwrap();
        }
        let names: Vec<_> = with_parts(&file)
            .unwrap()
            .iter()
            .map(|path| path.file_name().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["mainstay.yaml", "10.yml", "20.yaml"]);
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        fs::write(&file, b"a: \xff").unwrap();
        assert!(read(&file).is_err());
        fs::write(&file, vec![b'#'; (1 << 20) + 1]).unwrap();
        assert!(read(&file).unwrap_err().message.contains("larger than 1 MiB"));
        assert!(read(dir.path()).is_err());
    }
}
