//! `notify`: one key names the way.

use super::{Choice, Key, Kind, Shape, TEXT, TEXTS, Table, URL, Variant};

/// What can happen.
pub const EVENTS: &[&str] = &["failure", "recovered", "warning", "success", "digest", "start"];

const EVENT: Shape = Shape::One(Kind::Word(EVENTS));

/// What people want to hear of.
static TO_PEOPLE: [Key; 1] = [Key::new("on", "What is told.", Shape::OneOrMore(&EVENT)).or("[failure, recovered]")];

/// A switch has to hear of every run.
static TO_SWITCHES: [Key; 1] =
    [Key::new("on", "What is told.", Shape::OneOrMore(&EVENT)).or("[start, success, warning, failure]")];

/// Ways to tell somebody.
pub static NOTIFIER: Choice = Choice {
    of: "a notification",
    variants: &[
        Variant::new("email", "A mail.", Shape::Keys(&EMAIL)).beside(&TO_PEOPLE),
        Variant::new("discord", "A message to a Discord channel.", Shape::Keys(&WEBHOOK_ONLY)).beside(&TO_PEOPLE),
        Variant::new("slack", "A message to a Slack channel.", Shape::Keys(&WEBHOOK_ONLY)).beside(&TO_PEOPLE),
        Variant::new("telegram", "A message by a Telegram bot.", Shape::Keys(&TELEGRAM)).beside(&TO_PEOPLE),
        Variant::new("ntfy", "A message to an ntfy topic.", Shape::Keys(&NTFY)).beside(&TO_PEOPLE),
        Variant::new("gotify", "A message to a Gotify server.", Shape::Keys(&GOTIFY)).beside(&TO_PEOPLE),
        Variant::new("webhook", "The report as JSON.", Shape::Keys(&WEBHOOK)).beside(&TO_PEOPLE),
        Variant::new(
            "github_issue",
            "An issue in a GitHub repository.",
            Shape::Keys(&GITHUB_ISSUE),
        )
        .beside(&TO_PEOPLE),
        Variant::new(
            "healthchecks",
            "A ping to healthchecks.io or a server like it.",
            Shape::Short(&PING, "url"),
        )
        .beside(&TO_SWITCHES),
        Variant::new("uptime_kuma", "A push to Uptime Kuma.", Shape::Short(&PING, "url")).beside(&TO_SWITCHES),
    ],
};

const fn token() -> Key {
    Key::new("token", "Access token.", Shape::Secret)
}

static EMAIL: Table = Table {
    of: "`email`",
    keys: &[
        Key::new("to", "Who gets it.", TEXTS).required(),
        Key::new("from", "Sender; without it, the user name.", TEXT),
        Key::new("smtp", "Server and port.", TEXT).required(),
        Key::new("username", "User at the server.", TEXT),
        Key::new("password", "Password of that user.", Shape::Secret),
        Key::new(
            "tls",
            "How the connection is protected.",
            Shape::One(Kind::Word(&["starttls", "tls", "none"])),
        )
        .or("starttls"),
    ],
};

static WEBHOOK_ONLY: Table = Table {
    of: "a message to a channel",
    keys: &[Key::new(
        "webhook",
        "Address of the webhook; whoever knows it can write.",
        Shape::Secret,
    )
    .required()],
};

static TELEGRAM: Table = Table {
    of: "`telegram`",
    keys: &[token().required(), Key::new("chat", "Id of the chat.", TEXT).required()],
};

static NTFY: Table = Table {
    of: "`ntfy`",
    keys: &[
        Key::new("url", "Address of the server.", URL).or("https://ntfy.sh"),
        Key::new("topic", "Topic.", Shape::MaybeSecret(Kind::Text)).required(),
        token(),
    ],
};

static GOTIFY: Table = Table {
    of: "`gotify`",
    keys: &[
        Key::new("url", "Address of the server.", URL).required(),
        token().required(),
    ],
};

static WEBHOOK: Table = Table {
    of: "`webhook`",
    keys: &[
        Key::new("url", "Address.", Shape::MaybeSecret(Kind::Url)).required(),
        Key::new(
            "headers",
            "Headers of the request.",
            Shape::Map(&Shape::MaybeSecret(Kind::Text)),
        ),
    ],
};

static GITHUB_ISSUE: Table = Table {
    of: "`github_issue`",
    keys: &[
        Key::new("repository", "Owner and name, such as `example/servers`.", TEXT).required(),
        token().required(),
    ],
};

static PING: Table = Table {
    of: "a ping",
    keys: &[Key::new("url", "Address that is called.", Shape::MaybeSecret(Kind::Url)).required()],
};
