//! A stored database as SQL, whatever the form of its dump.

use super::capture::processes;
use super::catalog::Catalog;
use super::clients::Clients;
use super::copy_filter::CopyFilter;
use super::moment::{CATALOG, DATABASE};
use super::names::TableName;
use super::properties::Properties;
use super::script::{self, Mode};
use super::settings::Settings;
use super::tables::{AFTER, BEFORE, DATA, OTHERS, file_of};
use crate::config::model::Postgres;
use crate::source::Stored;
use anyhow::Context as _;
use repository::restic::node::NodeKind;
use repository::{Error, Result};
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A database that is stored.
pub struct Dumped<'a> {
    stored: &'a Stored<'a>,
    layout: Layout,
    /// What it has besides its content.
    pub properties: Properties,
    /// What was in it.
    pub catalog: Catalog,
    /// Whether objects get their owners.
    pub with_owner: bool,
    /// Whether objects get their rights.
    pub with_privileges: bool,
    /// So many processes restore it, if it can be taken apart.
    pub processes: usize,
    /// The version of `pg_dump` whose archive it is, which older programs cannot read; none if it is SQL.
    pub archive_of: Option<String>,
    /// The version of the server that executes it, without what follows the first point.
    major: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Custom,
    Plain,
    Directory,
}

impl<'a> Dumped<'a> {
    /// As the manifest describes it, to be restored as the source is configured into a server of version `major`.
    ///
    /// # Errors
    /// If the manifest says too little.
    pub fn of(stored: &'a Stored<'a>, postgres: &Postgres, major: u32) -> anyhow::Result<Self> {
        let layout = match stored.part.path.extension().and_then(|extension| extension.to_str()) {
            Some("dump") => Layout::Custom,
            Some("sql") => Layout::Plain,
            _ => Layout::Directory,
        };
        let fact = |name: &str| {
            let value = stored.part.facts.more.get(name).cloned();
            value.with_context(|| format!("the manifest does not say what `{}` was", stored.part.path.display()))
        };
        let has = |name: &str| postgres.options.iter().any(|option| option == name);
        Ok(Self {
            stored,
            layout,
            properties: serde_json::from_value(fact(DATABASE)?)?,
            catalog: serde_json::from_value(fact(CATALOG)?)?,
            with_owner: !has("no-owner"),
            with_privileges: !has("no-privileges"),
            processes: processes(postgres),
            archive_of: match layout {
                Layout::Custom => stored.part.facts.versions.get("pg_dump").cloned(),
                Layout::Plain | Layout::Directory => None,
            },
            major,
        })
    }

    /// Tables that have rows of their own.
    pub fn tables(&self) -> Vec<TableName> {
        let shown = self.stored.part.facts.rows.keys();
        shown.filter_map(|shown| TableName::parse(shown)).collect()
    }

    /// Whether definitions can be had without rows.
    pub fn has_sections(&self) -> bool {
        self.layout != Layout::Plain
    }

    /// Write everything as SQL.
    ///
    /// # Errors
    /// Damage, those of `out`, and those of `pg_restore`.
    pub fn write_all(&self, clients: &Clients, out: &mut (dyn Write + Send)) -> Result<()> {
        match self.layout {
            Layout::Custom => self.through_pg_restore(clients, &[], out),
            Layout::Plain => self.copy_file(&self.stored.part.path, out),
            Layout::Directory => {
                let mut files = vec![self.file(BEFORE)];
                files.extend(self.data_files()?.into_iter().flatten().map(|(file, _)| file));
                files.extend([OTHERS, AFTER].map(|name| self.file(name)));
                self.copy(&files, out)
            }
        }
    }

    /// Write everything as SQL for a database that has to stay as it is if a statement fails. [`mode`](Self::mode) belongs to it.
    ///
    /// # Errors
    /// As [`write_all`](Self::write_all).
    pub fn write_at_once(&self, clients: &Clients, out: &mut (dyn Write + Send)) -> Result<()> {
        match self.layout {
            Layout::Custom => self.through_pg_restore(clients, &["--single-transaction"], out),
            Layout::Plain | Layout::Directory => self.write_all(clients, out),
        }
    }

    /// Whether what [`write_at_once`](Self::write_at_once) writes is one transaction, whatever is in it.
    pub fn brings_transaction(&self) -> bool {
        self.layout == Layout::Custom
    }

    /// How `psql` executes what [`write_at_once`](Self::write_at_once) writes. `pg_restore` brings its own transaction; SQL that is
    /// stored brings transactions for large objects, which end that of `psql`.
    pub fn mode(&self) -> Mode {
        match self.layout {
            Layout::Custom => Mode::StepByStep,
            Layout::Plain | Layout::Directory => Mode::AllOrNothing,
        }
    }

    /// Write what has to be there before rows are.
    ///
    /// # Errors
    /// As [`write_all`](Self::write_all).
    pub fn write_definitions(&self, clients: &Clients, out: &mut (dyn Write + Send)) -> Result<()> {
        match self.layout {
            Layout::Custom => self.through_pg_restore(clients, &["--section=pre-data"], out),
            Layout::Directory => self.copy(&[self.file(BEFORE)], out),
            Layout::Plain => Err(Error::Verification("plain SQL has no sections".to_owned())),
        }
    }

    /// Write what comes when rows are there.
    ///
    /// # Errors
    /// As [`write_all`](Self::write_all).
    pub fn write_constraints(&self, clients: &Clients, out: &mut (dyn Write + Send)) -> Result<()> {
        match self.layout {
            Layout::Custom => self.through_pg_restore(clients, &["--section=post-data"], out),
            Layout::Directory => self.copy(&[self.file(AFTER)], out),
            Layout::Plain => Err(Error::Verification("plain SQL has no sections".to_owned())),
        }
    }

    /// Write the rows of some tables, and nothing else.
    ///
    /// # Errors
    /// If rows of one of them are missing; as [`write_all`](Self::write_all).
    pub fn write_rows(&self, clients: &Clients, tables: &[TableName], out: &mut (dyn Write + Send)) -> Result<()> {
        let mut filter = CopyFilter::new(out, tables);
        match self.layout {
            Layout::Custom => {
                let mut options = vec!["--section=data".to_owned()];
                if let [table] = tables {
                    options.extend([format!("--schema={}", table.schema), format!("--table={}", table.name)]);
                }
                let options: Vec<&str> = options.iter().map(String::as_str).collect();
                self.through_pg_restore(clients, &options, &mut filter)?;
            }
            Layout::Plain => self.copy_file(&self.stored.part.path, &mut filter)?,
            Layout::Directory => {
                for table in tables {
                    self.copy_file(&self.rows_of(table), &mut filter)?;
                }
            }
        }
        if filter.tables == tables.len() as u64 {
            return Ok(());
        }
        Err(Error::Refused {
            message: format!("`{}` has no rows of some of these tables", self.stored.part.path.display()),
            hint: "A dump with `--inserts` or without some tables can only be restored as a whole, with `--as` beside the \
                   other one."
                .to_owned(),
        })
    }

    /// Where one of the files of a database stands that is a directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.stored.part.path.join(name)
    }

    /// Where the rows of a table stand, if the database is a directory.
    pub fn rows_of(&self, table: &TableName) -> PathBuf {
        self.file(DATA).join(file_of(table))
    }

    /// Write the content of files, one after the other.
    ///
    /// # Errors
    /// Damage, those of the store, and those of `out`.
    pub fn copy(&self, files: &[PathBuf], out: &mut (dyn Write + Send)) -> Result<()> {
        files.iter().try_for_each(|file| self.copy_file(file, out))
    }

    /// Write the content of a file that holds SQL.
    fn copy_file(&self, file: &Path, out: &mut (dyn Write + Send)) -> Result<()> {
        let mut out = Settings::new(out, self.major);
        self.stored.copy(file, &mut out)?;
        out.finish()
    }

    /// The files with rows and their lengths, if the database is a directory.
    ///
    /// # Errors
    /// Those of the repository.
    pub fn data_files(&self) -> Result<Option<Vec<(PathBuf, u64)>>> {
        if self.layout != Layout::Directory {
            return Ok(None);
        }
        let entries = match self.stored.entries(&self.file(DATA)) {
            // Not one table.
            Err(Error::NotFound { .. }) => Vec::new(),
            entries => entries?,
        };
        let files = entries.into_iter().filter(|entry| entry.node.kind == NodeKind::File);
        Ok(Some(files.map(|entry| (entry.path, entry.node.size)).collect()))
    }

    /// Have `pg_restore` make SQL of the archive; it needs no server for that.
    fn through_pg_restore(&self, clients: &Clients, more: &[&str], out: &mut (dyn Write + Send)) -> Result<()> {
        let words = self.pg_restore(clients.program("pg_restore"), more);
        let path = &self.stored.part.path;
        let mut out = Settings::new(out, self.major);
        script::through(clients, &words, |input| self.stored.copy(path, input), &mut out)?;
        out.finish()
    }

    fn pg_restore(&self, program: OsString, more: &[&str]) -> Vec<OsString> {
        let mut words = vec![program, "--file=-".into()];
        if !self.with_owner {
            words.push("--no-owner".into());
        }
        if !self.with_privileges {
            words.push("--no-privileges".into());
        }
        words.extend(more.iter().map(OsString::from));
        words
    }
}
