//! Shared test helpers: a store's contract, fault injection, recording, test servers.

pub mod certificates;
pub mod conformance;
pub mod cut_proxy;
pub mod docker;
pub mod dropbox_mock;
pub mod emulators;
pub mod faults;
pub mod grafana_mock;
pub mod hook;
pub mod http_mock;
pub mod mariadb_server;
pub mod mongodb_stand_in;
pub mod n8n_server;
pub mod object_lock;
pub mod postgres_server;
pub mod proxy;
pub mod rclone_server;
pub mod recording;
pub mod redis_server;
pub mod restic_names;
pub mod s3_server;
pub mod scale;
pub mod server_process;
pub mod ssh_server;
pub mod tree;
