//! Tests of the whole program.
//!
//! * [`archives`]: archives behind the commands; keys, passphrases, what is refused.
//! * [`archive_targets`]: archives restored over what is there, and `--delete`.
//! * [`cli`]: the command line itself: exit codes, messages, hints, and each command once.
//! * [`config`]: the configuration file: found, checked, shown, written.
//! * [`docker`]: programs in containers of a real Docker engine.
//! * [`drill_container`]: drills in containers of the images of databases, where the host has no server programs.
//! * [`grafana`]: Grafana, for which a server stands in: all of it into a fresh one, single objects, what goes wrong.
//! * [`http`]: an application with an API that a test makes up: pages, names, imports, and every way to answer wrongly.
//! * [`jobs`]: `run` and `sync`: jobs of a configuration, into repositories of both formats.
//! * [`contract`]: what every kind of source promises: captured, proven in scratch, put back, nothing replaced unasked.
//! * [`mongodb`]: MongoDB servers, for which programs stand in: databases, users, replica sets, what goes wrong.
//! * [`mysql`]: a MariaDB server: every type, one table, accounts, what goes wrong, and writers meanwhile.
//! * [`mysql_dialects`]: MySQL, and a MariaDB of a later series.
//! * [`n8n`], [`n8n_many`]: a real n8n: workflows that call each other, credentials and their key; pages, variables, executions.
//! * [`large`]: values as large as dump programs can take, in bounded memory.
//! * [`postgres`]: PostgreSQL servers: everything that they can hold, odd names, what goes wrong, and writers at work.
//! * [`postgres_versions`]: PostgreSQL 12, 14, 17 and 18: the client programs that fit, and from one version to another.
//! * [`one_reading`]: archives that are made of the snapshot of the same run.
//! * [`oracle`]: restic reads, checks, prunes and restores what we write, and we what it writes.
//! * [`crash`]: the program dies, or its store fails, at every call; disks are full; stores lie.
//! * [`damage`]: each kind of object damaged in each way: detected, named, and the rest restored.
//! * [`purge`]: content that has to go is gone, and nothing else.
//! * [`random`]: random sequences of operations against plain copies of the tree.
//! * [`trees`]: every kind of entry, long names and paths, huge folders and files, what cannot be read.
//! * [`live`]: files that change while they are read.
//! * [`named`]: repositories by the names that the configuration gives them.
//! * [`redis`]: Redis servers: captured, proven, put back key by key.
//! * [`recovery`]: `key generate`, and the recovery kit, whose commands are followed to the letter.
//! * [`safety`]: what is not to happen: losing a source, the repository, the system, or a snapshot that looks complete.
//! * [`several`]: one reading for several repositories, of which some fail; requests to stop.
//! * [`sqlite`]: SQLite databases: captured while they are in use, proven, put back.
//! * [`tls`]: PostgreSQL, MariaDB, MySQL and Redis over TLS: authorities, names, and what is refused.
//! * [`ten`]: ten repositories, of which three fail, hang and lie.
//! * [`s3`]: the program against an S3 server that fails.
//! * [`object_lock`]: buckets that refuse to delete, for a time or for ever; `doctor` on them.
//! * [`versions`]: buckets with versions and object lock at a server that knows both.
//! * [`rclone`]: the program on a remote of rclone.
//! * [`sftp`]: the program against an SSH server.
//! * [`engine`]: the engine in the process, on stores that tests control.
//! * [`peer`]: restic, copies of trees, and keys that open quickly.
//! * [`scene`]: a directory with a repository in it, in which tests run the program.

#![expect(clippy::print_stdout, reason = "what a test prints is shown when it fails")]

mod archive_targets;
mod archives;
mod bucket;
mod cli;
mod config;
mod contract;
mod crash;
mod damage;
mod docker;
mod drill_container;
mod engine;
mod grafana;
mod http;
mod jobs;
mod large;
mod live;
mod mongodb;
mod mysql;
mod mysql_dialects;
mod n8n;
mod n8n_many;
mod named;
mod object_lock;
mod one_reading;
mod oracle;
mod peer;
mod postgis;
mod postgres;
mod postgres_versions;
mod purge;
mod random;
mod rclone;
mod recovery;
mod redis;
mod remote;
mod s3;
mod safety;
mod scene;
mod several;
mod sftp;
mod sqlite;
mod ten;
mod tls;
mod trees;
mod versions;
