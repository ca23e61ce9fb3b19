//! The tools that users have read what we write.

use crate::support::*;
use repository::archive::{
    AgeRecipients, Archive, Compression, Encryption, GzipLevel, OpenPgpKeys, Passphrase, RestoreOptions, WriteOptions,
    ZstdLevel,
};
use storage::{MemoryStore, Store};
use testkit::tree::every_kind;

fn with(compression: Compression) -> WriteOptions {
    WriteOptions { compression, ..plain() }
}

#[test]
fn tar_unpacks_every_kind_of_entry() {
    let bench = Bench::new();
    every_kind(&bench.path("source"), 1).unwrap();
    let long = ZstdLevel::new(19, true).unwrap();
    for (name, compression, read) in [
        ("a.tar", Compression::None, "cat store/a.tar"),
        ("a.tar.zst", Compression::default(), "zstd -dc store/a.tar.zst"),
        ("b.tar.zst", Compression::Zstd(long), "zstd -dc store/b.tar.zst"),
        (
            "a.tar.gz",
            Compression::Gzip(GzipLevel::default()),
            "gzip -dc store/a.tar.gz",
        ),
    ] {
        let manifest = bench.archive(name, &with(compression)).unwrap();
        bench.assert_unpacks(read);
        let stored = bench.shell(&format!(
            "sha256sum < store/{name}; stat -c %s store/{name}; {read} | wc -c"
        ));
        let expected = format!(
            "{}  -\n{}\n{}\n",
            manifest.sha256, manifest.stored_bytes, manifest.tar_bytes
        );
        assert_eq!(stored, expected);
        let found: u64 = bench.shell(&format!("{read} | tar -t | wc -l")).trim().parse().unwrap();
        let counts = manifest.counts;
        // One name in the tree has a line break, which tar shows as `\n`.
        assert_eq!(
            counts.files + counts.directories + counts.hard_links + counts.others,
            found
        );
    }
    bench.assert_no_problems();
    bench.shell("pigz -t store/a.tar.gz; zstd -qt store/a.tar.zst; tar -tf store/a.tar.zst > /dev/null");
}

#[test]
fn age_decrypts_for_each_recipient() {
    let bench = Bench::new();
    every_kind(&bench.path("source"), 2).unwrap();
    bench.shell("age-keygen -o key 2> /dev/null; ssh-keygen -q -t ed25519 -N '' -f ssh; ssh-keygen -q -t rsa -b 2048 -N '' -f rsa");
    let texts = ["grep -o 'age1.*' key", "cat ssh.pub", "cat rsa.pub"].map(|line| bench.shell(line));
    let recipients = AgeRecipients::parse(texts.iter().map(String::as_str)).unwrap();
    let manifest = bench
        .archive(
            "a.tar.zst.age",
            &WriteOptions::new(Encryption::AgeRecipients(recipients)),
        )
        .unwrap();
    assert_eq!(manifest.encryption.recipients, texts.map(|text| text.trim().to_owned()));
    for key in ["key", "ssh", "rsa"] {
        bench.assert_unpacks(&format!("age -d -i {key} store/a.tar.zst.age | zstd -dc"));
    }
}

#[test]
fn gpg_decrypts_with_a_key_and_with_a_passphrase() {
    let bench = Bench::new();
    every_kind(&bench.path("source"), 3).unwrap();
    let home =
        "export GNUPGHOME=$PWD/gnupg; gpg=\"gpg --batch --quiet --no-permission-warning --pinentry-mode loopback\";";
    bench.shell(&format!(
        "mkdir -m 700 gnupg; {home} $gpg --passphrase '' --quick-generate-key a@example.org rsa2048 cert,sign,encr 2y 2> /dev/null; \
         $gpg --passphrase '' --quick-generate-key b@example.org future-default default 2y 2> /dev/null; \
         $gpg --export --armor > public; $gpg --export > binary; $gpg --export-secret-keys > secret"
    ));
    let read = |name: &str| std::fs::read(bench.path(name)).unwrap();
    let keys = OpenPgpKeys::parse([read("public").as_slice()]).unwrap();
    assert_eq!(
        fingerprints(&bench, home),
        OpenPgpKeys::parse([read("binary").as_slice()]).map(names).unwrap()
    );
    let public = WriteOptions::new(Encryption::OpenPgpKeys(keys));
    let manifest = bench.archive("a.tar.zst.gpg", &public).unwrap();
    assert_eq!(manifest.encryption.recipients.len(), 2);
    bench.assert_unpacks(&format!(
        "({home} $gpg --decrypt store/a.tar.zst.gpg 2> /dev/null) | zstd -dc"
    ));
    let passphrase = || Passphrase::new("correct horse").unwrap();
    bench
        .archive(
            "b.tar.zst.gpg",
            &WriteOptions::new(Encryption::OpenPgpPassphrase(passphrase())),
        )
        .unwrap();
    bench.assert_unpacks(&format!(
        "({home} $gpg --passphrase 'correct horse' --decrypt store/b.tar.zst.gpg 2> /dev/null) | zstd -dc"
    ));
    let ours = keys_of(&read("secret")).with_passphrase(passphrase());
    for name in ["a.tar.zst.gpg", "b.tar.zst.gpg"] {
        let store = bench.store();
        let archive = Archive::open(&store, name, &ours, &bench.cancel).unwrap();
        let report = archive
            .restore(&RestoreOptions::new(bench.path("restored")), &bench.monitor)
            .unwrap();
        assert_eq!(report.problems, 0);
        bench.assert_same("restored/source");
        let mut out = Vec::new();
        archive.read_file("source/links/hard".as_ref(), &mut out).unwrap();
        assert_eq!(out, b"linked");
        // Every byte of it is covered by the checksum at the end: nothing that was changed comes out.
        let sealed = store.read(name).unwrap();
        for at in [sealed.len() / 2, sealed.len() - 3] {
            let mut changed = sealed.to_vec();
            changed[at] ^= 1;
            let memory = MemoryStore::new();
            let object = format!("{name}.manifest.json");
            memory.write(&object, store.read(&object).unwrap()).unwrap();
            memory.write(name, changed.into()).unwrap();
            let archive = Archive::open(&memory, name, &ours, &bench.cancel).unwrap();
            archive
                .restore(&RestoreOptions::new(bench.path("empty")), &bench.monitor)
                .unwrap_err();
            assert_eq!(bench.shell("ls -A empty"), "");
            let mut out = Vec::new();
            archive
                .read_file("source/contents/small".as_ref(), &mut out)
                .unwrap_err();
            assert_eq!(out, b"");
            archive
                .entries(&mut |_| panic!("an entry that may be forged"))
                .unwrap_err();
        }
        bench.shell("rm -rf restored");
    }
    bench.assert_no_problems();
}

fn names(keys: OpenPgpKeys) -> Vec<String> {
    Encryption::OpenPgpKeys(keys).recipients()
}

/// The fingerprints of all keys, as gpg has them.
fn fingerprints(bench: &Bench, home: &str) -> Vec<String> {
    let listed = bench.shell(&format!(
        "{home} $gpg --list-keys --with-colons | awk -F: '/^pub/ {{ p=1 }} /^fpr/ && p {{ print $10; p=0 }}'"
    ));
    listed.lines().map(str::to_owned).collect()
}

#[test]
fn keys_that_cannot_be_encrypted_for_are_refused() {
    let bench = Bench::new();
    let home =
        "export GNUPGHOME=$PWD/gnupg; gpg=\"gpg --batch --quiet --no-permission-warning --pinentry-mode loopback\";";
    bench.shell(&format!(
        "mkdir -m 700 gnupg; {home} \
         $gpg --passphrase '' --quick-generate-key sign@example.org ed25519 sign 2y 2> /dev/null; \
         $gpg --passphrase '' --faked-system-time 20200101T000000 --quick-generate-key old@example.org future-default default 1y 2> /dev/null; \
         $gpg --export sign@example.org > sign; $gpg --export old@example.org > old; $gpg --export-secret-keys sign@example.org > secret"
    ));
    for (name, reason) in [
        ("sign", "no part for encryption"),
        ("old", "expired"),
        ("secret", "no OpenPGP"),
    ] {
        let error = OpenPgpKeys::parse([std::fs::read(bench.path(name)).unwrap().as_slice()]).unwrap_err();
        assert!(error.to_string().contains(reason), "{name}: {error}");
    }
    for ring in [&b""[..], b"nonsense"] {
        assert!(OpenPgpKeys::parse([ring]).is_err());
    }
    assert!(OpenPgpKeys::parse([]).is_err());
}
