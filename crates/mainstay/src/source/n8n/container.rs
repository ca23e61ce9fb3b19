//! What only n8n's own program and files know: the key, and the credentials.

use super::credentials::{Credential, KeyFile};
use crate::config::Misuse;
use crate::exec::{self, Surroundings};
use crate::source::program::{self, Programs};
use repository::Error;
use std::ffi::OsString;
use zeroize::Zeroizing;

/// Where the home of the image's user is.
const HOME: &str = "/home/node";
/// What n8n says if there are none.
const NO_CREDENTIALS: &str = "No credentials found";

/// The container of an n8n.
#[derive(Debug)]
pub struct Container {
    programs: Programs,
    name: String,
}

impl Container {
    /// The container of this name, which runs.
    ///
    /// # Errors
    /// If it is not there.
    pub fn find(name: &str) -> anyhow::Result<Self> {
        Ok(Self {
            programs: Programs::of(Some(name))?,
            name: name.to_owned(),
        })
    }

    /// The key that it encrypts with: its variable, or the file that it wrote at its first start.
    ///
    /// # Errors
    /// If neither can be read.
    pub fn key(&self) -> anyhow::Result<Zeroizing<String>> {
        if let Some(key) = self.variable("N8N_ENCRYPTION_KEY")? {
            return Ok(key);
        }
        if let Some(file) = self.variable("N8N_ENCRYPTION_KEY_FILE")? {
            let key = self.output(&["cat", &file])?;
            return Ok(Zeroizing::new(String::from_utf8_lossy(&key).trim().to_owned()));
        }
        let path = self.file("config")?;
        let unreadable = |why: String| {
            let hint = "Give the key with `encryption_key`: without it, nobody can open the stored credentials.";
            Misuse::new(
                format!("the container `{}` does not show its encryption key: {why}", self.name),
                hint,
            )
        };
        let content = self
            .output(&["cat", &path])
            .map_err(|error| unreadable(error.to_string()))?;
        let file: KeyFile =
            serde_json::from_slice(&content).map_err(|_| unreadable(format!("`{path}` is not what n8n writes")))?;
        Ok(file.encryption_key)
    }

    /// The version of n8n.
    ///
    /// # Errors
    /// If n8n cannot be started there.
    pub fn version(&self) -> Result<String, exec::Error> {
        let printed = self.output(&["n8n", "--version"])?;
        Ok(String::from_utf8_lossy(&printed).trim().to_owned())
    }

    /// All credentials, encrypted, as JSON that n8n imports.
    ///
    /// # Errors
    /// If n8n fails, or prints something else.
    pub fn export(&self) -> anyhow::Result<(Vec<u8>, Vec<Credential>)> {
        let printed = match self.output(&["n8n", "export:credentials", "--all"]) {
            Err(exec::Error::Failed { said, .. }) if said.contains(NO_CREDENTIALS) => b"[]".to_vec(),
            printed => printed?,
        };
        // Warnings may stand before it.
        let lines = printed
            .split(|byte| *byte == b'\n')
            .filter(|line| line.starts_with(b"["));
        let mut found = lines.filter_map(|line| Some((line.to_vec(), serde_json::from_slice(line).ok()?)));
        found.next_back().ok_or_else(|| {
            let message = format!("n8n in the container `{}` printed no credentials", self.name);
            let hint = "Run `n8n export:credentials --all` in the container to see what is wrong.".to_owned();
            Error::Refused { message, hint }.into()
        })
    }

    /// Have n8n read credentials, which keep their ids.
    ///
    /// # Errors
    /// If n8n fails.
    pub fn import(&self, credentials: &[u8]) -> anyhow::Result<()> {
        let words = ["n8n", "import:credentials", "--input=/dev/stdin"].map(OsString::from);
        program::feed(&self.programs, &words, Surroundings::default(), |input| {
            input.write_all(credentials).map_err(Error::local("write to", "n8n"))
        })
    }

    /// The size of its SQLite database, bytes; nothing if it has none.
    pub fn database_bytes(&self) -> Option<u64> {
        let path = self.file("database.sqlite").ok()?;
        let printed = self.output(&["stat", "-c", "%s", &path]).ok()?;
        String::from_utf8_lossy(&printed).trim().parse().ok()
    }

    /// Where n8n keeps a file of its own.
    fn file(&self, name: &str) -> Result<String, exec::Error> {
        let folder = match self.variable("N8N_USER_FOLDER")? {
            Some(folder) => Some(folder),
            None => self.variable("HOME")?,
        };
        let folder = folder.as_ref().map_or(HOME, |folder| folder.as_str());
        Ok(format!("{folder}/.n8n/{name}"))
    }

    fn variable(&self, name: &str) -> Result<Option<Zeroizing<String>>, exec::Error> {
        match self.output(&["printenv", name]) {
            Ok(value) => {
                let value = String::from_utf8_lossy(&value).trim_end_matches('\n').to_owned();
                Ok(Some(Zeroizing::new(value)).filter(|value| !value.is_empty()))
            }
            // Not set.
            Err(exec::Error::Failed { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn output(&self, words: &[&str]) -> Result<Vec<u8>, exec::Error> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        self.programs.output(&words, &Surroundings::default())
    }
}
