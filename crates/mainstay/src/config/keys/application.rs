//! Applications that are asked through an API.

use super::source::{name, required};
use super::{FLAG, Key, Kind, READABLE, Shape, TEXT, TEXTS, Table, URL};

const fn url() -> Key {
    Key::new("url", "Address of the application.", URL).required()
}

const fn ca_file() -> Key {
    Key::new("ca_file", "File with certificates (PEM) to trust.", READABLE)
}

/// A Docker engine.
pub static DOCKER: Table = Table {
    of: "`docker`",
    keys: &[
        Key::new(
            "project",
            "Compose projects; without any choice, everything is taken.",
            TEXTS,
        ),
        Key::new("containers", "Containers whose volumes are taken.", TEXTS),
        Key::new("volumes", "Volumes that are taken.", TEXTS),
        required(),
    ],
};

/// n8n.
pub static N8N: Table = Table {
    of: "`n8n`",
    keys: &[
        url(),
        Key::new("api_key", "Key of its API.", Shape::Secret).required(),
        Key::new(
            "encryption_key",
            "Key that opens its stored credentials (`N8N_ENCRYPTION_KEY`).",
            Shape::Secret,
        ),
        Key::new(
            "container",
            "Container to take that key and the credentials from.",
            TEXT,
        ),
        ca_file(),
        name(),
        required(),
    ],
};

/// Grafana.
pub static GRAFANA: Table = Table {
    of: "`grafana`",
    keys: &[
        url(),
        Key::new("token", "Token of a service account.", Shape::Secret),
        Key::new("user", "User, where there is no token.", TEXT),
        Key::new("password", "Password of that user.", Shape::Secret),
        ca_file(),
        name(),
        required(),
    ],
};

/// A server at Hetzner Cloud.
pub static HETZNER_SERVER: Table = Table {
    of: "`hetzner_server`",
    keys: &[
        Key::new("name", "Name of the server.", TEXT).required(),
        Key::new("token", "Token of the project's API.", Shape::Secret).required(),
        required(),
    ],
};

/// Steps over HTTP.
pub static HTTP: Table = Table {
    of: "`http`",
    keys: &[
        Key::new("name", "Name in paths of the snapshot.", super::NAME).required(),
        url(),
        Key::new(
            "headers",
            "Headers of every request.",
            Shape::Map(&Shape::MaybeSecret(Kind::Text)),
        ),
        Key::new(
            "export",
            "Requests whose answers are stored, in order.",
            Shape::List(&Shape::Keys(&EXPORT)),
        )
        .required(),
        Key::new(
            "import",
            "Requests that put it back, in order.",
            Shape::List(&Shape::Keys(&IMPORT)),
        ),
        ca_file(),
        required(),
    ],
};

/// One step of an export.
static EXPORT: Table = Table {
    of: "a step of `export`",
    keys: &[
        Key::new("request", "Method and path, such as `GET /api/items`.", TEXT).required(),
        Key::new(
            "store",
            "Name of the file; with fields such as `{id}`, each item becomes a file.",
            TEXT,
        )
        .required(),
        Key::new("paging", "How further pages are asked for.", Shape::Keys(&PAGING)),
    ],
};

static PAGING: Table = Table {
    of: "`paging`",
    keys: &[
        Key::new(
            "parameter",
            "Parameter of the request that names the page; without it, there is one page.",
            TEXT,
        ),
        Key::new(
            "first",
            "Number of the first page; without it, 1, which has to be what comes without a number.",
            Shape::One(Kind::Number(0, 1000)),
        ),
        Key::new(
            "next",
            "Where the answer names the next page, as a JSON pointer; without it, pages are numbered.",
            TEXT,
        ),
        Key::new("items", "Where the answer has its items, as a JSON pointer.", TEXT),
    ],
};

/// One step of an import.
static IMPORT: Table = Table {
    of: "a step of `import`",
    keys: &[
        Key::new(
            "request",
            "Method and path, with fields of the file: `PUT /api/items/{id}`.",
            TEXT,
        )
        .required(),
        Key::new("files", "Which of the stored files are sent, as a pattern.", TEXT).required(),
        Key::new("ignore_existing", "What is there already is no error.", FLAG).or("false"),
    ],
};
