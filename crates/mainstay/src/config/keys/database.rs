//! Databases: each is reached in its container or over the network.

use super::source::{name, required};
use super::{FLAG, Key, Kind, READABLE, Shape, TEXT, TEXTS, Table};

const fn container() -> Key {
    Key::new("container", "Container that the server runs in.", TEXT)
}

const fn host() -> Key {
    Key::new("host", "Host of the server, if it is reached over the network.", TEXT)
}

const fn port() -> Key {
    Key::new("port", "Port of the server.", Shape::One(Kind::Number(1, 65_535)))
}

const fn user() -> Key {
    Key::new("user", "User to log in as.", TEXT)
}

const fn password() -> Key {
    Key::new("password", "Password of that user.", Shape::Secret)
}

const fn tls() -> Key {
    Key::new(
        "tls",
        "How the connection is protected, in the words of libpq.",
        Shape::One(Kind::Word(&[
            "disable",
            "prefer",
            "require",
            "verify-ca",
            "verify-full",
        ])),
    )
    .or("prefer")
}

const fn ca_file() -> Key {
    Key::new("ca_file", "File with certificates (PEM) to trust.", READABLE)
}

const fn drill_image() -> Key {
    Key::new(
        "drill_image",
        "Image of a server that drills restore into, in a container of its own.",
        TEXT,
    )
}

const fn databases() -> Key {
    Key::new("databases", "Databases, by name or pattern; without it, all.", TEXTS)
}

const fn exclude_databases() -> Key {
    Key::new(
        "exclude_databases",
        "Databases to leave out, by name or pattern.",
        TEXTS,
    )
}

const fn allow_empty() -> Key {
    Key::new("allow_empty", "No database at all is no error.", FLAG).or("false")
}

const fn arguments() -> Key {
    Key::new(
        "arguments",
        "More arguments for the dump program, as they are.",
        Shape::List(&TEXT),
    )
}

const fn assertions() -> Key {
    Key::new("assert", "Queries that have to be true in a restored copy.", TEXTS)
}

const fn encrypted() -> Key {
    Key::new("tls", "Whether the connection is encrypted.", FLAG).or("false")
}

/// PostgreSQL.
pub static POSTGRES: Table = Table {
    of: "`postgres`",
    keys: &[
        container(),
        host(),
        port().or("5432"),
        user(),
        password(),
        tls(),
        ca_file(),
        databases(),
        exclude_databases(),
        Key::new(
            "format",
            "Dumps for pg_restore, or plain SQL for psql.",
            Shape::One(Kind::Word(&["custom", "plain"])),
        )
        .or("custom"),
        Key::new(
            "options",
            "Options of pg_dump.",
            Shape::List(&Shape::One(Kind::Word(&[
                "clean",
                "if-exists",
                "no-owner",
                "no-privileges",
            ]))),
        ),
        Key::new("globals", "Roles and tablespaces as well.", FLAG).or("true"),
        Key::new(
            "parallel",
            "Dump processes for a large database.",
            Shape::One(Kind::Number(1, 64)),
        ),
        Key::new(
            "silence_seconds",
            "A network that gives no sign of life for so long counts as broken.",
            Shape::One(Kind::Number(2, 86_400)),
        )
        .or("120"),
        assertions(),
        arguments(),
        allow_empty(),
        drill_image(),
        name(),
        required(),
    ],
};

/// MySQL and MariaDB.
pub static MYSQL: Table = Table {
    of: "`mysql` and `mariadb`",
    keys: &[
        container(),
        host(),
        port().or("3306"),
        user(),
        password(),
        tls(),
        ca_file(),
        databases(),
        exclude_databases(),
        assertions(),
        arguments(),
        allow_empty(),
        drill_image(),
        name(),
        required(),
    ],
};

/// Redis and Valkey.
pub static REDIS: Table = Table {
    of: "`redis`",
    keys: &[
        container(),
        host(),
        port().or("6379"),
        user(),
        password(),
        encrypted(),
        ca_file(),
        Key::new("allow_empty", "No key at all is no error.", FLAG).or("false"),
        drill_image(),
        name(),
        required(),
    ],
};

/// MongoDB.
pub static MONGODB: Table = Table {
    of: "`mongodb`",
    keys: &[
        container(),
        host(),
        port().or("27017"),
        user(),
        password(),
        Key::new("auth_database", "Database that the user is created in.", TEXT).or("admin"),
        encrypted(),
        ca_file(),
        databases(),
        Key::new("oplog", "One point in time for all databases of a replica set.", FLAG).or("false"),
        arguments(),
        allow_empty(),
        drill_image(),
        name(),
        required(),
    ],
};
