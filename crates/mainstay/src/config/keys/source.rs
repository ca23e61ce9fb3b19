//! `sources` of a job: one key names the kind.

use super::{
    Choice, DOCKER, FLAG, GRAFANA, HETZNER_SERVER, HTTP, Key, Kind, MONGODB, MYSQL, N8N, NAME, PATH, POSTGRES, REDIS,
    Shape, TEXT, TEXTS, Table, Variant,
};

/// What can be protected.
pub static SOURCE: Choice = Choice {
    of: "a source",
    variants: &[
        Variant::new(
            "files",
            "Files and directories of this host.",
            Shape::Short(&FILES, "paths"),
        ),
        Variant::new(
            "command",
            "What a program prints; its exit code counts.",
            Shape::Short(&COMMAND, "run"),
        ),
        Variant::new("volume", "A Docker volume.", Shape::Short(&VOLUME, "name")),
        Variant::new(
            "docker",
            "Everything of a Compose project, or of the whole engine.",
            Shape::Short(&DOCKER, "project"),
        ),
        Variant::new(
            "sqlite",
            "A SQLite database, while it is in use.",
            Shape::Short(&SQLITE, "path"),
        ),
        Variant::new("postgres", "A PostgreSQL server.", Shape::Short(&POSTGRES, "container")),
        Variant::new("mysql", "A MySQL server.", Shape::Short(&MYSQL, "container")),
        Variant::new("mariadb", "A MariaDB server.", Shape::Short(&MYSQL, "container")),
        Variant::new("redis", "A Redis or Valkey server.", Shape::Short(&REDIS, "container")),
        Variant::new("mongodb", "A MongoDB server.", Shape::Short(&MONGODB, "container")),
        Variant::new(
            "n8n",
            "Workflows and credentials of n8n, through its API.",
            Shape::Keys(&N8N),
        ),
        Variant::new(
            "grafana",
            "Dashboards and settings of Grafana, through its API.",
            Shape::Keys(&GRAFANA),
        ),
        Variant::new(
            "hetzner_server",
            "Snapshots of a server at Hetzner Cloud, kept there.",
            Shape::Keys(&HETZNER_SERVER),
        ),
        Variant::new("http", "Anything else with an API.", Shape::Keys(&HTTP)),
    ],
};

/// Whether a run fails without it.
pub const fn required() -> Key {
    Key::new("required", "Without this source the whole run fails.", FLAG).or("false")
}

/// What a source is called.
pub const fn name() -> Key {
    Key::new(
        "name",
        "Name in paths of the snapshot; without it, that of the container or host.",
        NAME,
    )
}

const fn include() -> Key {
    Key::new("include", "Only what matches these patterns.", TEXTS)
}

const fn exclude() -> Key {
    Key::new("exclude", "Patterns of files to leave out.", TEXTS)
}

static FILES: Table = Table {
    of: "`files`",
    keys: &[
        Key::new("paths", "Files and directories.", Shape::OneOrMore(&PATH)).required(),
        include(),
        exclude(),
        Key::new("one_file_system", "Stay in the file systems of the paths.", FLAG).or("false"),
        required(),
    ],
};

static COMMAND: Table = Table {
    of: "`command`",
    keys: &[
        Key::new(
            "run",
            "Program with its arguments; no shell is involved.",
            Shape::List(&TEXT),
        )
        .required(),
        Key::new(
            "restore",
            "Program with its arguments that reads what the other printed, to put it back.",
            Shape::List(&TEXT),
        ),
        Key::new(
            "name",
            "Name of the file in the snapshot; without it, that of the program.",
            NAME,
        ),
        Key::new(
            "environment",
            "Variables for the program.",
            Shape::Map(&Shape::MaybeSecret(Kind::Text)),
        ),
        Key::new("directory", "Directory to run it in.", PATH),
        required(),
    ],
};

static VOLUME: Table = Table {
    of: "`volume`",
    keys: &[
        Key::new("name", "Name of the volume.", TEXT).required(),
        include(),
        exclude(),
        required(),
    ],
};

static SQLITE: Table = Table {
    of: "`sqlite`",
    keys: &[
        Key::new(
            "path",
            "Path of the database; inside of the volume, if one is named.",
            TEXT,
        )
        .required(),
        Key::new("volume", "Volume that it lies in.", TEXT),
        name(),
        required(),
    ],
};
