//! Filling a new database with everything that was in a stored one, by several processes where the dump allows it.

use super::dumped::Dumped;
use super::script::{self, Mode};
use super::server::Server;
use super::statements::statements;
use super::tables::{AFTER, BEFORE, OTHERS};
use anyhow::Result;
use parking_lot::Mutex;
use repository::Error;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// Small files share a process up to so many bytes.
const BATCH_BYTES: u64 = 32 << 20;
/// So many batches of indexes for each process: enough to share the work, without a process for each of thousands.
const BATCHES_EACH: usize = 16;

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
    let mut batches = vec![file(OTHERS)];
    batches.extend(batched(files));
    at_once(dumped.processes, batches, |batch, stop| {
        run(&|out| dumped.copy(batch, &mut Stoppable { out, stop }))
    })?;
    let mut after = Vec::new();
    dumped.copy(&file(AFTER), &mut after)?;
    let (indexes, rest) = match std::str::from_utf8(&after) {
        Ok(sql) => apart(sql),
        // In an encoding whose quotes cannot be told from parts of characters.
        Err(_) => return run(&|out| write_all(out, &after)),
    };
    let each = indexes.len().div_ceil(dumped.processes * BATCHES_EACH).max(1);
    let batches = indexes.chunks(each).map(|batch| batch.join("\n")).collect();
    at_once(dumped.processes, batches, |sql, _| {
        run(&|out| write_all(out, sql.as_bytes()))
    })?;
    run(&|out| write_all(out, rest.as_bytes()))
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

/// What makes indexes, each statement with the settings before it, and everything else in its order. Indexes need nothing but tables with
/// rows, so that their order does not matter; they come first, because foreign keys and others need them.
fn apart(sql: &str) -> (Vec<String>, String) {
    let (mut indexes, mut rest) = (Vec::new(), String::new());
    let mut settings: Vec<String> = Vec::new();
    for statement in statements(sql) {
        if makes_index(&statement) {
            indexes.push(settings.join("\n") + "\n" + &statement);
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

fn makes_index(statement: &str) -> bool {
    if let Some((_, constraint)) = statement.split_once("\n    ADD CONSTRAINT ") {
        let kinds = [
            " PRIMARY KEY (",
            " UNIQUE (",
            " UNIQUE NULLS NOT DISTINCT (",
            " EXCLUDE USING ",
        ];
        let is_key = kinds.iter().any(|kind| constraint.contains(kind)) && !constraint.contains(" FOREIGN KEY ");
        return statement.starts_with("ALTER TABLE ONLY ") && is_key;
    }
    statement.starts_with("CREATE INDEX ") || statement.starts_with("CREATE UNIQUE INDEX ")
}

/// What a statement sets, for those after it.
fn setting(statement: &str) -> Option<&str> {
    let is_setting = statement.starts_with("SET ") || statement.starts_with("SELECT pg_catalog.set_config(");
    statement.split(['=', ',']).next().filter(|_| is_setting)
}

/// Do all jobs by so many threads, in their order, up to the first error.
fn at_once<J: Sync + Send>(
    threads: usize,
    jobs: Vec<J>,
    work: impl Fn(&J, &AtomicBool) -> Result<()> + Sync,
) -> Result<()> {
    let (stop, failed) = (AtomicBool::new(false), Mutex::new(None));
    let threads = threads.min(jobs.len());
    let queue = Mutex::new(VecDeque::from(jobs));
    let next = || queue.lock().pop_front().filter(|_| !stop.load(Ordering::Relaxed));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(job) = next() {
                    if let Err(error) = work(&job, &stop) {
                        failed.lock().get_or_insert(error);
                        stop.store(true, Ordering::Relaxed);
                    }
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
                   SET default_tablespace = fast;\n\nCREATE INDEX \"i;1\" ON public.t USING btree (a);\n\
                   SET default_tablespace = '';\n\
                   ALTER TABLE ONLY public.t\n    ADD CONSTRAINT p PRIMARY KEY (id);\n\
                   ALTER TABLE ONLY public.t\n    ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES public.u(\" UNIQUE (\");\n\
                   CREATE RULE r AS ON INSERT TO public.t DO ALSO ( SELECT 1;\n SELECT ';'; );\n\
                   COMMENT ON INDEX public.i IS 'CREATE INDEX x;';\n\\unrestrict x\n";
        let (indexes, rest) = apart(sql);
        let path = "SELECT pg_catalog.set_config('search_path', '', false);";
        assert_eq!(
            indexes,
            [
                format!(
                    "SET a = 1;\n{path}\nSET default_tablespace = fast;\nCREATE INDEX \"i;1\" ON public.t USING btree (a);"
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
            if *job == 2 { Err(anyhow::anyhow!("two")) } else { Ok(()) }
        });
        assert_eq!(
            (result.unwrap_err().to_string(), done.into_inner()),
            ("two".to_owned(), vec![1, 2])
        );
        assert!(at_once(4, Vec::<u8>::new(), |_, _| Ok(())).is_ok());
    }
}
