//! Runs programs from the top of the checkout, and prints each command line before and its duration after.
#![allow(
    clippy::disallowed_methods,
    reason = "running programs is what xtask is for; exec.rs belongs to the product"
)]

use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

/// The top of the checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies below the top of the checkout")
}

/// Cargo's target directory, wherever it was moved to: this program was built into `debug/` of it.
pub fn target_dir() -> Result<PathBuf> {
    let this = std::env::current_exe().context("find where xtask was built")?;
    let target = this
        .ancestors()
        .nth(2)
        .context("find the target directory above xtask")?;
    Ok(target.to_path_buf())
}

/// One variable of the environment that xtask itself runs in.
pub fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Whether a program of this name is in the `PATH`.
pub fn has(program: &str) -> bool {
    let path = env("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// One command line, built up and then run.
pub struct Sh {
    command: Command,
    line: String,
}

impl Sh {
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program.as_ref());
        command.current_dir(root()).stdin(Stdio::null());
        Self {
            command,
            line: program.as_ref().to_string_lossy().into_owned(),
        }
    }

    pub fn cargo() -> Self {
        Self::new("cargo")
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.line.push(' ');
        self.line.push_str(&arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    pub fn args(self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.line
            .insert_str(0, &format!("{name}={} ", value.as_ref().to_string_lossy()));
        self.command.env(name, value);
        self
    }

    /// Sets variables that need not be seen in the printed command line, and no others.
    pub fn only_envs<'a>(mut self, variables: impl IntoIterator<Item = (&'a str, &'a OsStr)>) -> Self {
        self.command.env_clear().envs(variables);
        self
    }

    pub fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// What it prints goes into this new file.
    pub fn output_to(mut self, file: &Path) -> Result<Self> {
        let output = std::fs::File::create(file).with_context(|| format!("create `{}`", file.display()))?;
        self.command.stdout(output.try_clone()?).stderr(output);
        Ok(self)
    }

    /// Runs with this terminal's output; any exit code but 0 is an error.
    pub fn run(self) -> Result<()> {
        let line = self.line.clone();
        let code = self.exit_code()?;
        ensure!(code == 0, "`{line}` failed with exit code {code}");
        Ok(())
    }

    /// Runs with this terminal's output and returns the exit code.
    pub fn exit_code(mut self) -> Result<i32> {
        eprintln!("\n$ {}", self.line);
        let start = Instant::now();
        let status = self
            .command
            .status()
            .with_context(|| format!("start `{}`", self.line))?;
        eprintln!("  [{:.1} s]", start.elapsed().as_secs_f64());
        match status.code() {
            Some(code) => Ok(code),
            None => bail!("`{}` was ended by a signal: {status}", self.line),
        }
    }

    /// Runs silently and returns what came out; any exit code but 0 is an error that shows standard error.
    pub fn output(mut self) -> Result<Output> {
        let output = self
            .command
            .output()
            .with_context(|| format!("start `{}`", self.line))?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "`{}` failed with {}:\n{}",
            self.line,
            output.status,
            stderr.trim_end()
        );
        Ok(output)
    }

    /// Runs silently and returns standard output as text.
    pub fn stdout(self) -> Result<String> {
        let line = self.line.clone();
        String::from_utf8(self.output()?.stdout).with_context(|| format!("read what `{line}` printed"))
    }
}
