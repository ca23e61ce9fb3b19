//! Notifications: who is told what, and how.

use super::fields::{Fields, no_item_twice};
use super::source::{SetTo, maybe_secret, set_to};
use crate::config::problem::Problems;
use crate::config::secret::SecretSource;
use crate::config::tree::{Node, Origin};

/// Somebody who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notifier {
    /// Where it is written.
    pub origin: Origin,
    /// How.
    pub way: Way,
    /// Of what.
    pub on: Vec<Event>,
}

/// What can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A run failed.
    Failure,
    /// The first success after a failure.
    Recovered,
    /// A run was done but incomplete.
    Warning,
    /// A run was done.
    Success,
    /// What happened in a while, in one message.
    Digest,
    /// A run begins.
    Start,
}

/// How somebody is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// A mail.
    Email {
        /// Who gets it.
        to: Vec<String>,
        /// The sender; without it, the user name.
        from: Option<String>,
        /// The server's host.
        host: String,
        /// The server's port.
        port: u16,
        /// Who logs in.
        username: Option<String>,
        /// With this.
        password: Option<SecretSource>,
        /// How the connection is protected.
        tls: MailTls,
    },
    /// A message to a Discord channel.
    Discord {
        /// Its webhook.
        webhook: SecretSource,
    },
    /// A message to a Slack channel.
    Slack {
        /// Its webhook.
        webhook: SecretSource,
    },
    /// A message by a Telegram bot.
    Telegram {
        /// The bot's token.
        token: SecretSource,
        /// Id of the chat.
        chat: String,
    },
    /// A message to an ntfy topic.
    Ntfy {
        /// The server.
        url: String,
        /// The topic, which may be secret.
        topic: SetTo,
        /// Access token.
        token: Option<SecretSource>,
    },
    /// A message to a Gotify server.
    Gotify {
        /// The server.
        url: String,
        /// The application's token.
        token: SecretSource,
    },
    /// The report as JSON.
    Webhook {
        /// Where to.
        url: SetTo,
        /// Headers of the request.
        headers: Vec<(String, SetTo)>,
    },
    /// An issue in a GitHub repository.
    GithubIssue {
        /// Owner and name.
        repository: String,
        /// Access token.
        token: SecretSource,
    },
    /// A ping to healthchecks.io or a server like it.
    Healthchecks {
        /// What is called.
        url: SetTo,
    },
    /// A push to Uptime Kuma.
    UptimeKuma {
        /// What is called.
        url: SetTo,
    },
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// Encrypted after a plain beginning.
    StartTls,
    /// Encrypted from the beginning.
    Tls,
    /// Not at all.
    None,
}

/// Read one item of `notify`.
pub fn notifier(node: &Node, problems: &mut Problems) -> Option<Notifier> {
    let entry = node.entries().iter().find(|entry| entry.key != "on")?;
    let fields = Fields::new(&entry.value);
    let on = node.get("on").map(Node::items).unwrap_or_default();
    no_item_twice(on, "event", problems);
    Some(Notifier {
        origin: node.origin.clone(),
        way: way(&entry.key, fields, problems)?,
        on: on.iter().map(event).collect::<Option<_>>()?,
    })
}

fn way(kind: &str, fields: Fields<'_>, problems: &mut Problems) -> Option<Way> {
    let url = || fields.text("url");
    let token = || fields.secret("token");
    Some(match kind {
        "email" => return email(fields, problems),
        "discord" => Way::Discord {
            webhook: fields.secret("webhook")?,
        },
        "slack" => Way::Slack {
            webhook: fields.secret("webhook")?,
        },
        "telegram" => Way::Telegram {
            token: token()?,
            chat: fields.text("chat")?,
        },
        "ntfy" => Way::Ntfy {
            url: url()?,
            topic: maybe_secret(fields.get("topic")?)?,
            token: token(),
        },
        "gotify" => Way::Gotify {
            url: url()?,
            token: token()?,
        },
        "webhook" => Way::Webhook {
            url: maybe_secret(fields.get("url")?)?,
            headers: set_to(fields, "headers"),
        },
        "github_issue" => Way::GithubIssue {
            repository: repository(fields, problems)?,
            token: token()?,
        },
        "healthchecks" => Way::Healthchecks {
            url: maybe_secret(fields.get("url")?)?,
        },
        "uptime_kuma" => Way::UptimeKuma {
            url: maybe_secret(fields.get("url")?)?,
        },
        _ => return None,
    })
}

fn email(fields: Fields<'_>, problems: &mut Problems) -> Option<Way> {
    for node in fields.items("to").iter().chain(fields.get("from")) {
        if node.text().is_some_and(|text| !text.contains('@')) {
            let message = format!("`{}` is no mail address", node.text().unwrap_or_default());
            problems.add(&node.origin, message, "Write it like this: `admin@example.org`.");
        }
    }
    let smtp = fields.get("smtp")?;
    let server = smtp
        .text()?
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let server = server.filter(|(host, port)| !host.is_empty() && *port > 0);
    if server.is_none() {
        let message = format!("`smtp` is `{}`, which has no port", smtp.text()?);
        problems.add(
            &smtp.origin,
            message,
            "Write host and port like this: `smtp.example.org:587`.",
        );
    }
    let (host, port) = server?;
    let tls = match fields.text("tls")?.as_str() {
        "starttls" => MailTls::StartTls,
        "tls" => MailTls::Tls,
        "none" => MailTls::None,
        _ => return None,
    };
    Some(Way::Email {
        to: fields.texts("to"),
        from: fields.text("from"),
        host: host.to_owned(),
        port,
        username: fields.text("username"),
        password: fields.secret("password"),
        tls,
    })
}

fn repository(fields: Fields<'_>, problems: &mut Problems) -> Option<String> {
    let node = fields.get("repository")?;
    let text = node.text()?;
    let parts: Vec<&str> = text.split('/').collect();
    if parts.len() != 2 || parts.iter().any(|part| part.is_empty()) {
        let message = format!("`repository` is `{text}`, which is not owner and name");
        problems.add(&node.origin, message, "Write it like this: `example/servers`.");
    }
    Some(text.to_owned())
}

fn event(node: &Node) -> Option<Event> {
    Some(match node.text()? {
        "failure" => Event::Failure,
        "recovered" => Event::Recovered,
        "warning" => Event::Warning,
        "success" => Event::Success,
        "digest" => Event::Digest,
        "start" => Event::Start,
        _ => return None,
    })
}
