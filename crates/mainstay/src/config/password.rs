//! Passwords: where they come from. Never from an argument, never into a message.

use super::Misuse;
use super::env::{Environment, Variable};
use super::secret::{Secret, SecretSource, without_newline};
use crate::exec;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// How a password can be given by options.
#[derive(Clone, Debug, Default)]
pub struct PasswordOptions {
    /// A file that holds it.
    pub file: Option<PathBuf>,
    /// A command that prints it.
    pub command: Option<String>,
}

impl PasswordOptions {
    /// Whether they say where it is.
    pub fn is_given(&self) -> bool {
        self.file.is_some() || self.command.is_some()
    }
}

/// Names for messages, and the variables that replace the options.
#[derive(Clone, Copy, Debug)]
pub struct PasswordNames {
    /// What the password is for: `the repository`.
    pub subject: &'static str,
    /// The option that names a file.
    pub file_option: &'static str,
    /// The option that names a command.
    pub command_option: &'static str,
    /// The password itself.
    pub variable: Variable,
    /// Replaces the file.
    pub file_variable: Variable,
    /// Replaces the command.
    pub command_variable: Variable,
}

/// Where a password comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The whole content of a file, without white space around it.
    File(PathBuf),
    /// What a command prints, without white space around it.
    Command(String),
    /// A variable, as it is.
    Variable(Variable),
    /// Where the configuration says.
    Configured(SecretSource),
    /// The user is asked for the password of this.
    Terminal(&'static str),
}

impl Source {
    /// The one place that was named. Two are refused: it would not be clear which one counts. An option replaces the variable of
    /// the same meaning.
    pub fn choose(options: PasswordOptions, names: PasswordNames, environment: &Environment) -> Result<Self, Misuse> {
        let file = options.file.map(|file| (names.file_option, file));
        let file = file.or_else(|| Some((names.file_variable.name, environment.path(names.file_variable)?)));
        let command = options.command.map(|command| (names.command_option, command));
        let command = match command {
            None => environment
                .text(names.command_variable)?
                .map(|command| (names.command_variable.name, command)),
            given => given,
        };
        let variable = environment
            .raw(names.variable)
            .map(|_| (names.variable.name, names.variable));
        let sources = [
            file.map(|(name, file)| (name, Self::File(file))),
            command.map(|(name, command)| (name, Self::Command(command))),
            variable.map(|(name, variable)| (name, Self::Variable(variable))),
        ];
        let mut given = sources.into_iter().flatten();
        match (given.next(), given.next()) {
            (None, _) => Ok(Self::Terminal(names.subject)),
            (Some((_, source)), None) => Ok(source),
            (Some((first, _)), Some((second, _))) => Err(Misuse::new(
                format!(
                    "the password of {} is given twice, by `{first}` and `{second}`",
                    names.subject
                ),
                "Give it in one way only.",
            )),
        }
    }

    /// Fetch the password of a repository in restic's format.
    pub fn read(&self, environment: &Environment) -> anyhow::Result<Secret> {
        match self {
            Self::Configured(source) => Ok(source.read_password(environment)?),
            _ => self.fetch(environment, trimmed),
        }
    }

    /// Fetch a passphrase, of which white space is a part, but for one end of a line.
    pub fn read_passphrase(&self, environment: &Environment) -> anyhow::Result<Secret> {
        match self {
            Self::Configured(source) => Ok(source.read(environment)?),
            _ => self.fetch(environment, |bytes| without_newline(&bytes)),
        }
    }

    fn fetch(
        &self,
        environment: &Environment,
        trim: impl Fn(Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>>,
    ) -> anyhow::Result<Secret> {
        let bytes = match self {
            Self::File(file) => trim(read_file(file)?),
            Self::Command(command) => trim(Zeroizing::new(exec::output(command)?)),
            Self::Variable(variable) => Zeroizing::new(environment.raw(*variable).unwrap_or_default().into_vec()),
            Self::Configured(source) => return Ok(source.read(environment)?),
            Self::Terminal(subject) => ask(&format!("password of {subject}: "))?,
        };
        self.refuse_empty(bytes)
    }

    /// Fetch a password for something new: a user who types it does so twice.
    pub fn read_new(&self, environment: &Environment) -> anyhow::Result<Secret> {
        let Self::Terminal(subject) = self else {
            return self.read(environment);
        };
        let first = ask(&format!("new password of {subject}: "))?;
        let second = ask("the same again: ")?;
        if first != second {
            let hint = "Type the same password twice.";
            return Err(Misuse::new("the two passwords are not the same", hint).into());
        }
        self.refuse_empty(first)
    }

    fn refuse_empty(&self, bytes: Zeroizing<Vec<u8>>) -> anyhow::Result<Secret> {
        if bytes.is_empty() {
            let hint = "An empty password protects nothing: choose another one.";
            return Err(Misuse::new(format!("{} is empty", self.describe()), hint).into());
        }
        Ok(Secret::new(bytes))
    }

    fn describe(&self) -> String {
        match self {
            Self::File(file) => format!("the password file `{}`", file.display()),
            Self::Command(command) => format!("the output of the password command `{command}`"),
            Self::Variable(variable) => format!("the password in `{}`", variable.name),
            Self::Configured(source) => source.to_string(),
            Self::Terminal(_) => "the password".to_owned(),
        }
    }
}

fn read_file(file: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let unreadable = |error| {
        let message = format!("cannot read the password file `{}`", file.display());
        Misuse::new(message, "Check the file's path and permissions.").because(error)
    };
    Ok(Zeroizing::new(fs::read(file).map_err(unreadable)?))
}

/// Without a byte order mark and the white space around, as restic reads it: so that one file serves both programs.
pub(super) fn trimmed(bytes: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let text = std::str::from_utf8(bytes).map_or(bytes.trim_ascii(), |text| text.trim().as_bytes());
    Zeroizing::new(text.to_vec())
}

fn ask(prompt: &str) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let no_terminal = |error| {
        let hint = "Set `MAINSTAY_PASSWORD_FILE` or `MAINSTAY_PASSWORD`, or use `--password-file`.";
        Misuse::new("no password is given, and there is no terminal to ask for it", hint).because(error)
    };
    Ok(Zeroizing::new(
        rpassword::prompt_password(prompt).map_err(no_terminal)?.into_bytes(),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::env;
    use super::*;
    use std::io::Write as _;

    const NAMES: PasswordNames = PasswordNames {
        subject: "the repository",
        file_option: "--password-file",
        command_option: "--password-command",
        variable: env::PASSWORD,
        file_variable: env::PASSWORD_FILE,
        command_variable: env::PASSWORD_COMMAND,
    };

    fn file_with(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn read(content: &[u8]) -> anyhow::Result<Vec<u8>> {
        let file = file_with(content);
        Ok(Source::File(file.path().into())
            .read(&Environment::default())?
            .bytes()
            .to_vec())
    }

    #[test]
    fn white_space_around_is_no_part_of_it() {
        assert_eq!(read(b"\xef\xbb\xbf secret word\r\n\n").unwrap(), b"secret word");
        assert_eq!(read(b"\xff\xfe\n").unwrap(), b"\xff\xfe");
    }

    #[test]
    fn empty_and_missing_are_errors() {
        assert!(read(b"\n").unwrap_err().to_string().contains("is empty"));
        let empty = Environment::of([(env::PASSWORD, "")]);
        let source = Source::choose(PasswordOptions::default(), NAMES, &empty).unwrap();
        assert!(
            source
                .read(&empty)
                .unwrap_err()
                .to_string()
                .contains("MAINSTAY_PASSWORD")
        );
        let missing = Source::File("/does/not/exist".into())
            .read(&Environment::default())
            .unwrap_err();
        assert_eq!(crate::exit::of(&missing), crate::exit::Exit::Usage);
    }

    #[test]
    fn two_sources_are_refused_and_an_option_replaces_its_variable() {
        let both = Environment::of([(env::PASSWORD, "a"), (env::PASSWORD_FILE, "b")]);
        let error = Source::choose(PasswordOptions::default(), NAMES, &both).unwrap_err();
        assert!(
            error
                .message
                .contains("`MAINSTAY_PASSWORD_FILE` and `MAINSTAY_PASSWORD`")
        );
        let options = PasswordOptions {
            file: Some("/mine".into()),
            command: None,
        };
        let one = Environment::of([(env::PASSWORD_FILE, "b")]);
        assert_eq!(
            Source::choose(options, NAMES, &one).unwrap(),
            Source::File("/mine".into())
        );
    }

    #[test]
    fn a_command_s_output_is_the_password() {
        let source = Source::Command("printf '%s\\n' 'two words'".to_owned());
        assert_eq!(source.read(&Environment::default()).unwrap().bytes(), b"two words");
        assert!(
            Source::Command("false".to_owned())
                .read(&Environment::default())
                .is_err()
        );
    }
}
