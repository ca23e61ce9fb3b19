//! The commands that get everything back, as a shell takes them.

use super::keys;
use super::page::Block;
use crate::config::model::{Format, Place, Repository};
use repository::archive::{Manifest, Part};
use repository::retention::GroupKey;
use std::fmt::Write as _;
use std::path::Path;
use storage::{Addressing, Location, S3Location};

/// Its address as people read it.
pub fn shown_address(repository: &Repository) -> String {
    match &repository.place {
        Place(Location::Local(path)) => absolute(path),
        Place(location) => location.to_string(),
    }
}

/// The page may be read in any directory.
fn absolute(path: &Path) -> String {
    let absolute = path.canonicalize().or_else(|_| std::path::absolute(path));
    absolute.unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// Both ways. `groups` are what there are snapshots of, `archives` the newest of each job.
pub fn blocks(repository: &Repository, groups: &[GroupKey], archives: &[Manifest]) -> Vec<Block> {
    let with_mainstay = match &repository.format {
        Format::Restic { .. } => restic_by_mainstay(repository, groups),
        Format::Archive(_) => archives_by_mainstay(repository, archives),
    };
    let mut blocks = vec![
        Block::Heading(3, "With Mainstay".to_owned()),
        Block::Commands(with_mainstay),
        Block::Heading(3, "With standard tools only".to_owned()),
    ];
    match &repository.format {
        Format::Restic { .. } => {
            blocks.push(Block::Text("With restic, from version 0.14 on:".to_owned()));
            blocks.push(Block::Commands(by_restic(repository, groups)));
        }
        Format::Archive(_) if archives.is_empty() => {
            let text = "No archive was there when this page was written. Each is a file: decrypt it with `age` or `gpg`, decompress \
                        it with `zstd` or `gzip`, and unpack it with `tar`.";
            blocks.push(Block::Text(text.to_owned()));
        }
        Format::Archive(_) => {
            let text =
                "These were the newest archives when this page was written; newer ones are read in the same way.";
            blocks.push(Block::Text(text.to_owned()));
            if needs_fetching(repository) {
                let text = "First fetch the files with `rclone copy` or another program for this kind of store into this directory.";
                blocks.push(Block::Text(text.to_owned()));
            }
            blocks.push(Block::Commands(by_standard_tools(repository, archives)));
        }
    }
    blocks
}

fn variables(repository: &Repository) -> String {
    keys::variables_file(repository).map_or_else(String::new, |file| format!(". ./{file}\n"))
}

/// A word for a shell.
fn quoted(text: &str) -> String {
    shlex::try_quote(text).map_or_else(|_| String::new(), std::borrow::Cow::into_owned)
}

/// Options that the store needs, as `mainstay` takes them.
fn options(repository: &Repository) -> String {
    let s3 = &repository.options.s3;
    let mut given: Vec<(&str, String)> = Vec::new();
    let texts = [
        ("s3.endpoint", &s3.endpoint),
        ("s3.region", &s3.region),
        ("s3.profile", &s3.profile),
    ];
    given.extend(texts.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))));
    if let Some(file) = &repository.options.http.ca_file {
        given.push(("ca-file", absolute(file)));
    }
    match s3.addressing {
        Addressing::Path => given.push(("s3.path-style", "true".to_owned())),
        Addressing::Virtual => given.push(("s3.path-style", "false".to_owned())),
        Addressing::Auto => {}
    }
    let option = |(key, value): &(&str, String)| format!(" -o {}", quoted(&format!("{key}={value}")));
    given.iter().map(option).collect()
}

fn restic_by_mainstay(repository: &Repository, groups: &[GroupKey]) -> String {
    let call = format!(
        "mainstay -r {} --password-file {}.password{}",
        quoted(&shown_address(repository)),
        repository.name,
        options(repository)
    );
    restores(&call, "", repository, groups)
}

fn by_restic(repository: &Repository, groups: &[GroupKey]) -> String {
    let address = match &repository.place {
        Place(Location::S3(s3)) => restic_address(s3, repository),
        _ => shown_address(repository),
    };
    let s3 = &repository.options.s3;
    let mut options = String::new();
    if let Some(region) = &s3.region {
        let _ = write!(options, " -o {}", quoted(&format!("s3.region={region}")));
    }
    if s3.addressing == Addressing::Path {
        options.push_str(" -o s3.bucket-lookup=path");
    }
    let call = format!(
        "restic -r {} --password-file {}.password{options}",
        quoted(&address),
        repository.name
    );
    restores(&call, "-by-restic", repository, groups)
}

/// The newest snapshot of each host and list of paths, each host in a directory of its own; both programs know these options.
fn restores(call: &str, way: &str, repository: &Repository, groups: &[GroupKey]) -> String {
    let name = &repository.name;
    let mut lines = format!("{}{call} snapshots\n", variables(repository));
    if groups.is_empty() {
        let _ = writeln!(lines, "{call} restore latest --target restored-{name}{way}");
    }
    for group in groups {
        let host = group.host.as_deref().unwrap_or_default();
        let target = quoted(&format!("restored-{name}-{host}{way}"));
        let _ = write!(lines, "{call} restore latest --host {}", quoted(host));
        for path in group.paths.iter().flatten() {
            let _ = write!(lines, " --path {}", quoted(path));
        }
        let _ = writeln!(lines, " --target {target}");
    }
    lines
}

/// restic has no address without an endpoint.
fn restic_address(s3: &S3Location, repository: &Repository) -> String {
    let endpoint = s3.endpoint.as_deref().or(repository.options.s3.endpoint.as_deref());
    let prefix = if s3.prefix.is_empty() {
        String::new()
    } else {
        format!("/{}", s3.prefix)
    };
    format!(
        "s3:{}/{}{prefix}",
        endpoint.unwrap_or("https://s3.amazonaws.com"),
        s3.bucket
    )
}

/// Where an archive is restored to.
fn target(repository: &Repository, manifest: &Manifest, way: &str) -> String {
    quoted(&format!("restored-{}-{}{way}", repository.name, manifest.job))
}

fn archives_by_mainstay(repository: &Repository, archives: &[Manifest]) -> String {
    let mut call = format!(
        "mainstay -r {}",
        quoted(&format!("archive:{}", shown_address(repository)))
    );
    if let Some(file) = keys::password_file(repository) {
        let _ = write!(call, " --password-file {file}");
    }
    if keys::takes_identity(repository) {
        let _ = write!(call, " --identity {}", keys::identity_file(repository));
    }
    call.push_str(&options(repository));
    let mut lines = format!("{}{call} snapshots\n", variables(repository));
    for manifest in archives {
        let (name, target) = (quoted(&manifest.name), target(repository, manifest, ""));
        let _ = writeln!(lines, "{call} restore {name} --target {target}");
    }
    lines
}

fn needs_fetching(repository: &Repository) -> bool {
    !matches!(&repository.place, Place(Location::Local(_) | Location::S3(_)))
}

fn by_standard_tools(repository: &Repository, archives: &[Manifest]) -> String {
    let mut lines = variables(repository);
    for manifest in archives {
        let target = target(repository, manifest, "-by-tar");
        let mut steps = vec![fetched(repository, &manifest.parts)];
        match manifest.encryption.method.as_str() {
            "age" => steps.push(format!("age --decrypt --identity {}", keys::identity_file(repository))),
            "age-passphrase" => steps.push("age --decrypt".to_owned()),
            "openpgp" => {
                let _ = writeln!(lines, "gpg --import {}", keys::identity_file(repository));
                steps.push("gpg --decrypt".to_owned());
            }
            "openpgp-passphrase" => steps.push(format!(
                "gpg --batch --pinentry-mode loopback --passphrase-file {}.password --decrypt",
                repository.name
            )),
            _ => {}
        }
        match manifest.compression.method.as_str() {
            "zstd" => steps.push("zstd -d".to_owned()),
            "gzip" => steps.push("gzip -d".to_owned()),
            _ => {}
        }
        steps.push(format!("tar -x -p --xattrs --xattrs-include='*' -C {target}"));
        let _ = writeln!(lines, "mkdir -p {target}\n{}", steps.join(" | "));
    }
    lines
}

/// What prints the bytes of an archive.
fn fetched(repository: &Repository, parts: &[Part]) -> String {
    let joined = |words: Vec<String>| words.join(" ");
    match &repository.place {
        Place(Location::Local(path)) => {
            let directory = absolute(path);
            let files = parts.iter().map(|part| quoted(&format!("{directory}/{}", part.name)));
            format!("cat {}", joined(files.collect()))
        }
        Place(Location::S3(s3)) => {
            let endpoint = s3.endpoint.as_ref().or(repository.options.s3.endpoint.as_ref());
            let endpoint = endpoint.map_or_else(String::new, |url| format!(" --endpoint-url {}", quoted(url)));
            let prefix = if s3.prefix.is_empty() {
                String::new()
            } else {
                format!("{}/", s3.prefix)
            };
            let one = |part: &Part| {
                let object = quoted(&format!("s3://{}/{prefix}{}", s3.bucket, part.name));
                format!("aws{endpoint} s3 cp {object} -")
            };
            match parts {
                [part] => one(part),
                several => format!("({})", several.iter().map(one).collect::<Vec<_>>().join("; ")),
            }
        }
        _ => {
            let file = |part: &Part| quoted(part.name.rsplit('/').next().unwrap_or(&part.name));
            format!("cat {}", joined(parts.iter().map(file).collect()))
        }
    }
}
