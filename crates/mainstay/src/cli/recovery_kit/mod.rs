//! `mainstay recovery-kit`.

mod commands;
mod keys;
mod page;

use super::output::Progress;
use super::{Context, archives, private_file};
use crate::clock;
use crate::config::Misuse;
use crate::config::model::{Encryption, Format, Recipient, Repository};
use crate::config::password::Source;
use crate::config::secret::SecretSource;
use crate::exit::Exit;
use page::Block;
use repository::Monitor as _;
use repository::archive::{Manifest, Passphrase};
use repository::points::{Archives, PointFilter};
use repository::restic::select::{SnapshotFilter, matching};
use repository::retention::{GroupBy, GroupKey, group};
use serde_json::json;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "Examples:
  mainstay recovery-kit
  mainstay recovery-kit --keys encrypted --output /media/usb/web1
  mainstay recovery-kit --keys plain --identity archive.key

Two pages that say the same are written: NAME.txt, and NAME.html to be printed. Only you can read them. Keys of archives that are
encrypted for a public key are on the page only if they are given with --identity: this host need not have them.";

/// Options of `recovery-kit`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where to write the pages, without `.txt` and `.html`
    #[arg(long, value_name = "NAME", default_value = "mainstay-recovery")]
    output: PathBuf,
    /// Which keys stand on the pages
    #[arg(long, value_enum, default_value_t = WithKeys::None)]
    keys: WithKeys,
    /// File with the passphrase that the keys are encrypted with; without it you are asked
    #[arg(long, value_name = "FILE")]
    keys_password_file: Option<PathBuf>,
}

/// What is done with keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum WithKeys {
    /// They are kept elsewhere
    None,
    /// With a passphrase, by age
    Encrypted,
    /// For everybody who sees the pages
    Plain,
}

/// Write pages with everything that it takes to get everything back.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    if args.keys != WithKeys::Encrypted && args.keys_password_file.is_some() {
        let hint = "Add `--keys encrypted`, or leave it out.";
        return Err(Misuse::new("`--keys-password-file` is for `--keys encrypted`", hint).into());
    }
    let config = context.configuration()?.config;
    let monitor = context.monitor();
    let title = format!("Recovery of {}", config.host);
    let mut blocks = vec![
        Block::Heading(1, title.clone()),
        Block::Text(format!(
            "Written on {} by Mainstay {}. With this page, the keys and a new host, everything that is stored comes back. \
             Keep it where neither the host nor its stores are. Run the commands as root in an empty directory.",
            clock::local(clock::now()),
            env!("CARGO_PKG_VERSION"),
        )),
    ];
    for repository in &config.repositories {
        blocks.extend(chapter(repository, context, &monitor));
    }
    blocks.splice(2..2, key_blocks(&args, &config.repositories, context)?);
    let [text, html] = ["txt", "html"].map(|extension| with_extension(&args.output, extension));
    for file in [&text, &html] {
        refuse_existing(file)?;
    }
    private_file::create(&text, page::text(&blocks).as_bytes())?;
    private_file::create(&html, page::html(&title, &blocks).as_bytes())?;
    let files = [&text, &html].map(|file| file.display().to_string());
    context.output().done(
        &json!({"message_type": "recovery_kit", "files": files, "repositories": config.repositories.len()}),
        format!(
            "wrote `{}` and `{}`\nPrint it, or keep it in another place than the backups.",
            files[0], files[1]
        ),
    )?;
    Ok(Exit::from_problems(monitor.problems()))
}

/// The keys, in the form that was asked for.
fn key_blocks(args: &Args, repositories: &[Repository], context: &Context) -> anyhow::Result<Vec<Block>> {
    let mut blocks = vec![Block::Heading(2, "Keys".to_owned())];
    if args.keys == WithKeys::None {
        blocks.push(Block::Text(
            "There are no keys on this page. Before the commands below, put each into the file that its repository names, in the \
             directory in which the commands are run."
                .to_owned(),
        ));
        return Ok(blocks);
    }
    let mut files = Vec::new();
    for repository in repositories {
        files.extend(keys::fetch(repository, context)?);
    }
    let script = keys::script(&files);
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    if args.keys == WithKeys::Plain {
        blocks.push(Block::Text(
            "WHOEVER SEES THIS PAGE CAN READ THE BACKUPS. These commands write the keys into files:".to_owned(),
        ));
        blocks.push(Block::Commands(script.to_string()));
    } else {
        let source = match &args.keys_password_file {
            Some(file) => Source::File(file.clone()),
            None => Source::Terminal("the recovery kit"),
        };
        let secret = source.read_new(context.environment())?;
        let not_text = || Misuse::new("the passphrase is no text", "Choose one that is UTF-8.");
        let passphrase = Passphrase::new(secret.text().ok_or_else(not_text)?)?;
        let sealed = passphrase.seal_as_text(script.as_bytes())?;
        blocks.push(Block::Text(
            "The keys are encrypted with the passphrase that was chosen for this page. These commands write them into files; \
             `age` asks for the passphrase:"
                .to_owned(),
        ));
        let file = keys::command("keys.age", sealed.as_bytes());
        blocks.push(Block::Commands(format!(
            "{}umask 077\nage --decrypt keys.age > keys.sh\nsh keys.sh\n",
            *file
        )));
    }
    blocks.push(Block::Text(format!("Files: {}.", names.join(", "))));
    Ok(blocks)
}

/// Everything about one repository. What cannot be reached now is a problem, and the page says so.
fn chapter(repository: &Repository, context: &Context, monitor: &Progress) -> Vec<Block> {
    let mut facts = vec![
        ("address".to_owned(), commands::shown_address(repository)),
        ("format".to_owned(), format_name(repository).to_owned()),
    ];
    let unreachable = |error: anyhow::Error| {
        monitor.problem(&repository.name, &format!("it cannot be looked into now: {error:#}"));
        "unknown: it could not be reached when this page was written".to_owned()
    };
    let (mut archives, mut groups) = (Vec::new(), Vec::new());
    match &repository.format {
        Format::Restic { password, .. } => {
            let id = match in_restic(repository, password, context, monitor) {
                Ok((id, found)) => {
                    groups = found;
                    id
                }
                Err(error) => unreachable(error),
            };
            facts.push(("repository id".to_owned(), id));
        }
        Format::Archive(format) => {
            match newest(repository, context, monitor) {
                Ok(manifests) => archives = manifests,
                Err(error) => facts.push(("archives".to_owned(), unreachable(error))),
            }
            facts.push(("encryption".to_owned(), encryption_name(&format.encryption).to_owned()));
            let recipients = recipients(&format.encryption, &archives);
            facts.extend(
                recipients
                    .into_iter()
                    .map(|recipient| ("recipient".to_owned(), recipient)),
            );
        }
    }
    facts.extend(key_facts(repository));
    let mut blocks = vec![
        Block::Heading(2, format!("Repository {}", repository.name)),
        Block::Facts(facts),
    ];
    blocks.extend(commands::blocks(repository, &groups, &archives));
    blocks
}

fn format_name(repository: &Repository) -> &'static str {
    match repository.format {
        Format::Restic { .. } => "restic, version 2",
        Format::Archive(_) => "archives: tar, compressed, encrypted, one per run",
    }
}

fn encryption_name(encryption: &Encryption) -> &'static str {
    match encryption {
        Encryption::None => "none: whoever reaches the archives can read them",
        Encryption::Age(_) => "age, for recipients",
        Encryption::AgePassphrase(_) => "age, with a passphrase",
        Encryption::GpgPassphrase(_) => "OpenPGP, with a passphrase",
        Encryption::GpgKeys(_) => "OpenPGP, for keys",
    }
}

/// Which key goes into which file.
fn key_facts(repository: &Repository) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    if let Some(file) = keys::password_file(repository) {
        facts.push(("password".to_owned(), format!("in the file {file}")));
    }
    if keys::takes_identity(repository) {
        let file = keys::identity_file(repository);
        facts.push((
            "private key".to_owned(),
            format!("of one of the recipients, in the file {file}"),
        ));
    }
    if let Some(file) = keys::variables_file(repository) {
        let text = format!("`export AWS_ACCESS_KEY_ID=…` and `export AWS_SECRET_ACCESS_KEY=…` in the file {file}");
        facts.push(("keys of the store".to_owned(), text));
    }
    facts
}

/// The id of a repository in restic's format, and the hosts and lists of paths that there are snapshots of: one `latest` is not all.
fn in_restic(
    repository: &Repository,
    password: &SecretSource,
    context: &Context,
    monitor: &Progress,
) -> anyhow::Result<(String, Vec<GroupKey>)> {
    let options = context.open_options(repository.place.location())?;
    let chosen = super::chosen::Chosen::Configured(Box::new(repository.clone()));
    let opened = context.open_at(&chosen, &Source::Configured(password.clone()), &options)?;
    let snapshots = matching(&opened, &SnapshotFilter::default(), monitor)?;
    let groups = group(snapshots, GroupBy::default()).into_iter().map(|(key, _)| key);
    Ok((opened.config().id.to_string(), groups.collect()))
}

/// The newest archive of each host and job.
fn newest(repository: &Repository, context: &Context, monitor: &Progress) -> anyhow::Result<Vec<Manifest>> {
    let stored = Archives::new(context.store_of(repository)?, context.cancel().clone());
    let manifests = stored.manifests(&PointFilter::default(), monitor)?;
    Ok(archives::latest_of_each_job(manifests, 1))
}

/// Those of the newest archive; those of the configuration if there is none yet.
fn recipients(encryption: &Encryption, archives: &[Manifest]) -> Vec<String> {
    let (Encryption::Age(configured) | Encryption::GpgKeys(configured)) = encryption else {
        return Vec::new();
    };
    match archives.last() {
        Some(manifest) => manifest.encryption.recipients.clone(),
        None => configured
            .iter()
            .map(|recipient| match recipient {
                Recipient::Key(key) => key.clone(),
                Recipient::File(file) => format!("those in `{}`", file.display()),
            })
            .collect(),
    }
}

fn with_extension(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{extension}"));
    name.into()
}

fn refuse_existing(file: &Path) -> Result<(), Misuse> {
    if file.symlink_metadata().is_err() {
        return Ok(());
    }
    let hint = "Remove it, or choose another name with `--output NAME`.";
    Err(Misuse::new(format!("`{}` exists already", file.display()), hint))
}
