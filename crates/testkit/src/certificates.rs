//! Certificates of authorities of our own, as files for servers of tests.

use crate::ssh_server::open_to_all;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// A certificate for `localhost`, its authority, and another authority.
pub struct Certificates {
    directory: TempDir,
}

impl Certificates {
    /// Make them.
    ///
    /// # Panics
    /// When that cannot be done.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        open_to_all(directory.path());
        let made = Self { directory };
        let issuer = made.authority("ca.pem");
        made.authority("other.pem");
        let key = KeyPair::generate().expect("a key can be made");
        let params = params("localhost", vec!["localhost".to_owned()]);
        let certificate = params.signed_by(&key, &issuer).expect("it can be signed");
        made.write("server.pem", &certificate.pem());
        made.write("server.key", &key.serialize_pem());
        made
    }

    /// One of `ca.pem`, `other.pem`, `server.pem` and `server.key`, which everybody may read.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn authority(&self, name: &str) -> Issuer<'static, KeyPair> {
        let mut params = params(name, Vec::new());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.self_signed(&key).expect("it can be signed");
        self.write(name, &certificate.pem());
        Issuer::new(params, key)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).expect("a file can be written");
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}

fn params(name: &str, hosts: Vec<String>) -> CertificateParams {
    let mut params = CertificateParams::new(hosts).expect("the names are valid");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
