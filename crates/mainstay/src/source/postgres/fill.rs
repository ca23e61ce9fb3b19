//! Filling a new database with everything that was in a stored one, by several processes where the dump allows it.

use super::dumped::Dumped;
use super::names::{TableName, first_name};
use super::script::{self, Mode};
use super::server::Server;
use super::statements::statements;
use super::tables::{AFTER, BEFORE, OTHERS};
use anyhow::Result;
use parking_lot::{Condvar, Mutex};
use repository::Error;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// Small files share a process up to so many bytes.
const BATCH_BYTES: u64 = 32 << 20;

/// Restore into `database`, which is new and which nobody else uses: what is left of it after an error is to be dropped.
///
/// # Errors
/// The server's, those of the repository, and those of `pg_restore`.
pub fn fill(server: &Server, dumped: &Dumped<'_>, database: &str) -> Result<()> {
    let run = |write: &dyn Fn(&mut (dyn Write + Send)) -> repository::Result<()>| {
        script::run(server, database, Mode::StepByStep, |out| write(out))
    };
    let Some(files) = dumped.data_files()? else {
        return run(&|out| dumped.write_all(&server.clients, out));
    };
    let file = |name: &str| vec![dumped.file(name)];
    run(&|out| dumped.copy(&file(BEFORE), out))?;
    let mut after = Vec::new();
    dumped.copy(&file(AFTER), &mut after)?;
    let (indexes, rest) = match std::str::from_utf8(&after) {
        Ok(sql) => apart(sql),
        // In some encodings quotes cannot be told from parts of characters: then it stays in one piece.
        Err(_) => (Vec::new(), String::new()),
    };
    let after = if indexes.is_empty() { after } else { rest.into_bytes() };
    let indexes = Mutex::new(indexes);
    let mut jobs = vec![Job::Files(file(OTHERS))];
    jobs.extend(batched(files).into_iter().map(Job::Files));
    let work = |job: &Job, stop: &AtomicBool| match job {
        Job::Files(files) => {
            run(&|out| dumped.copy(files, &mut Stoppable { out, stop }))?;
            let is_ready = |index: &mut Index| {
                index
                    .table
                    .as_ref()
                    .is_some_and(|table| files.contains(&dumped.rows_of(table)))
            };
            let ready = indexes.lock().extract_if(.., is_ready).map(|index| index.sql).collect();
            Ok(jobs_of(ready, files.len() > 1))
        }
        Job::Sql(sql) => run(&|out| write_all(out, sql.as_bytes())).map(|()| Vec::new()),
    };
    at_once(dumped.processes, jobs, work)?;
    // Those of tables without a file: partitioned ones, materialized views, and tables that are younger than the list of tables.
    let left = std::mem::take(&mut *indexes.lock()).into_iter().map(|index| index.sql);
    at_once(dumped.processes, jobs_of(left.collect(), false), work)?;
    run(&|out| write_all(out, &after))
}

/// What one process does.
enum Job {
    /// Rows.
    Files(Vec<PathBuf>),
    /// Indexes.
    Sql(String),
}

/// Each statement for itself, or those of small tables by one process.
fn jobs_of(statements: Vec<String>, together: bool) -> Vec<Job> {
    match together && !statements.is_empty() {
        true => vec![Job::Sql(statements.join("\n"))],
        false => statements.into_iter().map(Job::Sql).collect(),
    }
}

/// A statement that makes an index, with the settings before it.
#[derive(Debug, PartialEq, Eq)]
struct Index {
    table: Option<TableName>,
    sql: String,
}

/// Files in the order of their size, largest first, so that none of them is waited for alone at the end.
fn batched(mut files: Vec<(PathBuf, u64)>) -> Vec<Vec<PathBuf>> {
    files.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let (mut batches, mut bytes) = (Vec::<Vec<PathBuf>>::new(), BATCH_BYTES);
    for (file, length) in files {
        match batches.last_mut() {
            Some(batch) if bytes + length <= BATCH_BYTES => batch.push(file),
            _ => {
                bytes = 0;
                batches.push(vec![file]);
            }
        }
        bytes += length;
    }
    batches
}

/// What makes indexes, and everything else in its order. Indexes need nothing but tables with rows; they come first, because foreign keys
/// and others need them.
fn apart(sql: &str) -> (Vec<Index>, String) {
    let (mut indexes, mut rest) = (Vec::new(), String::new());
    let mut settings: Vec<String> = Vec::new();
    for statement in statements(sql) {
        if let Some(on) = index_on(&statement) {
            indexes.push(Index {
                table: table_of(on),
                sql: settings.join("\n") + "\n" + &statement,
            });
            continue;
        }
        if let Some(name) = setting(&statement) {
            settings.retain(|earlier| setting(earlier) != Some(name));
            settings.push(statement.clone());
        }
        rest += &statement;
        rest.push('\n');
    }
    (indexes, rest)
}

/// What follows the words of a statement that makes an index, beginning with the table.
fn index_on(statement: &str) -> Option<&str> {
    if let Some((_, constraint)) = statement.split_once("\n    ADD CONSTRAINT ") {
        let kinds = [
            " PRIMARY KEY (",
            " UNIQUE (",
            " UNIQUE NULLS NOT DISTINCT (",
            " EXCLUDE USING ",
        ];
        let is_key = kinds.iter().any(|kind| constraint.contains(kind)) && !constraint.contains(" FOREIGN KEY ");
        return statement.strip_prefix("ALTER TABLE ONLY ").filter(|_| is_key);
    }
    let named = ["CREATE INDEX ", "CREATE UNIQUE INDEX "]
        .iter()
        .find_map(|words| statement.strip_prefix(words))?;
    let (_, on) = first_name(named)?;
    let on = on.strip_prefix(" ON ")?;
    Some(on.strip_prefix("ONLY ").unwrap_or(on))
}

/// The table that SQL begins with.
pub fn table_of(sql: &str) -> Option<TableName> {
    let (schema, rest) = first_name(sql)?;
    let (name, _) = first_name(rest.strip_prefix('.')?)?;
    Some(TableName::new(schema, name))
}

/// What a statement sets, for those after it.
fn setting(statement: &str) -> Option<&str> {
    let is_setting = statement.starts_with("SET ") || statement.starts_with("SELECT pg_catalog.set_config(");
    statement.split(['=', ',']).next().filter(|_| is_setting)
}

/// Do all jobs by so many threads, and those that follow from them next, up to the first error.
fn at_once<J: Send>(
    threads: usize,
    jobs: Vec<J>,
    work: impl Fn(&J, &AtomicBool) -> Result<Vec<J>> + Sync,
) -> Result<()> {
    let stop = AtomicBool::new(false);
    let (state, changed) = (Mutex::new((VecDeque::from(jobs), 0)), Condvar::new());
    let failed = Mutex::new(None);
    let next = || {
        let mut state = state.lock();
        // Who works may find more to do.
        while state.0.is_empty() && state.1 > 0 {
            changed.wait(&mut state);
        }
        let job = state.0.pop_front().filter(|_| !stop.load(Ordering::Relaxed))?;
        state.1 += 1;
        Some(job)
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(job) = next() {
                    let more = work(&job, &stop).unwrap_or_else(|error| {
                        failed.lock().get_or_insert(error);
                        stop.store(true, Ordering::Relaxed);
                        Vec::new()
                    });
                    let mut state = state.lock();
                    more.into_iter().rev().for_each(|job| state.0.push_front(job));
                    state.1 -= 1;
                    changed.notify_all();
                }
            });
        }
    });
    failed.into_inner().map_or(Ok(()), Err)
}

/// Fails as soon as another thread has failed.
struct Stoppable<'a> {
    out: &'a mut (dyn Write + Send),
    stop: &'a AtomicBool,
}

impl Write for Stoppable<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.out.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn write_all(out: &mut (dyn Write + Send), sql: &[u8]) -> repository::Result<()> {
    out.write_all(sql).map_err(Error::local("write to", "psql"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_taken_out_with_their_settings() {
        let sql = "\\restrict x\nSET a = 1;\nSELECT pg_catalog.set_config('search_path', '', false);\n\
                   SET default_tablespace = fast;\n\nCREATE INDEX \"i;1\" ON ONLY public.\"t x\" USING btree (a);\n\
                   SET default_tablespace = '';\n\
                   ALTER TABLE ONLY public.t\n    ADD CONSTRAINT p PRIMARY KEY (id);\n\
                   ALTER TABLE ONLY public.t\n    ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES public.u(\" UNIQUE (\");\n\
                   CREATE RULE r AS ON INSERT TO public.t DO ALSO ( SELECT 1;\n SELECT ';'; );\n\
                   COMMENT ON INDEX public.i IS 'CREATE INDEX x;';\n\\unrestrict x\n";
        let (indexes, rest) = apart(sql);
        let path = "SELECT pg_catalog.set_config('search_path', '', false);";
        let tables: Vec<_> = indexes.iter().map(|index| index.table.clone().unwrap()).collect();
        assert_eq!(tables, [TableName::new("public", "t x"), TableName::new("public", "t")]);
        let found: Vec<&str> = indexes.iter().map(|index| index.sql.as_str()).collect();
        assert_eq!(
            found,
            [
                format!(
                    "SET a = 1;\n{path}\nSET default_tablespace = fast;\nCREATE INDEX \"i;1\" ON ONLY public.\"t x\" USING btree (a);"
                ),
                format!(
                    "SET a = 1;\n{path}\nSET default_tablespace = '';\nALTER TABLE ONLY public.t\n    ADD CONSTRAINT p PRIMARY KEY (id);"
                ),
            ]
        );
        let expected = format!(
            "\\restrict x\nSET a = 1;\n{path}\nSET default_tablespace = fast;\nSET default_tablespace = '';\n\
             ALTER TABLE ONLY public.t\n    ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES public.u(\" UNIQUE (\");\n\
             CREATE RULE r AS ON INSERT TO public.t DO ALSO ( SELECT 1;\n SELECT ';'; );\n\
             COMMENT ON INDEX public.i IS 'CREATE INDEX x;';\n\\unrestrict x\n"
        );
        assert_eq!(rest, expected);
    }

    #[test]
    fn large_files_come_first_and_small_ones_share() {
        let file = |name: &str, mib: u64| (PathBuf::from(name), mib << 20);
        let batches = batched(vec![
            file("a", 1),
            file("b", 20),
            file("c", 100),
            file("d", 12),
            file("e", 1),
        ]);
        assert_eq!(
            batches,
            [vec!["c"], vec!["b", "d"], vec!["a", "e"]]
                .map(|names| { names.into_iter().map(PathBuf::from).collect::<Vec<_>>() })
        );
    }

    #[test]
    fn the_first_error_ends_everything() {
        let done = Mutex::new(Vec::new());
        let result = at_once(1, vec![1, 2, 3], |job, stop| {
            done.lock().push(*job);
            assert!(!stop.load(Ordering::Relaxed));
            match *job {
                2 => Err(anyhow::anyhow!("two")),
                job => Ok(if job == 1 { vec![4] } else { Vec::new() }),
            }
        });
        assert_eq!(
            (result.unwrap_err().to_string(), done.into_inner()),
            ("two".to_owned(), vec![1, 4, 2])
        );
        assert!(at_once(4, Vec::<u8>::new(), |_, _| Ok(Vec::new())).is_ok());
    }
}
