//! Tests of the whole program.
//!
//! * [`cli`]: the command line itself: exit codes, messages, hints, and each command once.
//! * [`config`]: the configuration file: found, checked, shown, written.
//! * [`oracle`]: restic reads, checks, prunes and restores what we write, and we what it writes.
//! * [`crash`]: the program dies, or its store fails, at every call; disks are full; stores lie.
//! * [`damage`]: each kind of object damaged in each way: detected, named, and the rest restored.
//! * [`random`]: random sequences of operations against plain copies of the tree.
//! * [`trees`]: every kind of entry, long names and paths, huge folders and files, what cannot be read.
//! * [`live`]: files that change while they are read.
//! * [`safety`]: what is not to happen: losing a source, the repository, the system, or a snapshot that looks complete.
//! * [`s3`]: the program against an S3 server that fails.
//! * [`engine`]: the engine in the process, on stores that tests control.
//! * [`peer`]: restic, copies of trees, and keys that open quickly.
//! * [`scene`]: a directory with a repository in it, in which tests run the program.

#![expect(clippy::print_stdout, reason = "what a test prints is shown when it fails")]

mod cli;
mod config;
mod crash;
mod damage;
mod engine;
mod live;
mod oracle;
mod peer;
mod random;
mod s3;
mod safety;
mod scene;
mod trees;
