//! `jobs` and `defaults`.

use super::repository::REFERENCE;
use super::{FLAG, Key, Kind, SOURCE, Shape, TEXT, TEXTS, Table};

const SOURCES: Shape = Shape::List(&Shape::OneOf(&SOURCE));

const fn sources() -> Key {
    Key::new("sources", "What is protected.", SOURCES).required()
}

const fn skip() -> Key {
    Key::new(
        "skip",
        "Volumes that are left out on purpose, each with the reason; every report shows them.",
        Shape::Map(&TEXT),
    )
}

const fn to() -> Key {
    Key::new(
        "to",
        "Repositories to store in; may be left out when there is only one.",
        Shape::OneOrMore(&REFERENCE),
    )
}

const fn schedule() -> Key {
    Key::new(
        "schedule",
        "When: cron (minute hour day month weekday) or `@daily`; without it, by hand.",
        Shape::One(Kind::Cron),
    )
}

const fn timezone() -> Key {
    Key::new(
        "timezone",
        "Time zone of the schedule and of `keep`; without it, the host's.",
        Shape::One(Kind::TimeZone),
    )
}

const fn run_at_start() -> Key {
    Key::new("run_at_start", "Run once when the daemon starts, too.", FLAG)
}

const fn keep() -> Key {
    Key::new("keep", "What is kept; without it, everything is.", Shape::Keys(&KEEP))
}

const fn exclude() -> Key {
    Key::new("exclude", "Patterns of files to leave out.", TEXTS)
}

const fn exclude_any_case() -> Key {
    Key::new(
        "exclude_any_case",
        "The same whether letters are capital or small.",
        TEXTS,
    )
}

const fn exclude_regex() -> Key {
    Key::new(
        "exclude_regex",
        "Regular expressions found in paths to leave out.",
        TEXTS,
    )
}

const fn exclude_if_present() -> Key {
    Key::new(
        "exclude_if_present",
        "Leave out directories that contain such a file (`NAME` or `NAME:HEADER`).",
        TEXTS,
    )
}

const fn exclude_caches() -> Key {
    Key::new(
        "exclude_caches",
        "Leave out directories marked by a CACHEDIR.TAG.",
        FLAG,
    )
}

const fn exclude_larger_than() -> Key {
    Key::new("exclude_larger_than", "Leave out larger files.", Shape::One(Kind::Size))
}

const fn stop() -> Key {
    Key::new(
        "stop",
        "Containers to stop while their volumes are read; `auto` finds them.",
        Shape::Either(Kind::Word(&["auto", "never"]), &Shape::List(&TEXT)),
    )
}

const fn tags() -> Key {
    Key::new("tags", "Tags of the snapshots.", TEXTS)
}

const fn drill() -> Key {
    Key::new("drill", "How often a restore is tried.", Shape::Keys(&DRILL))
}

/// One job.
pub static JOB: Table = Table {
    of: "a job",
    keys: &[
        sources(),
        to(),
        schedule(),
        timezone(),
        run_at_start().or("false"),
        keep(),
        exclude(),
        exclude_any_case(),
        exclude_regex(),
        exclude_if_present(),
        exclude_caches().or("false"),
        exclude_larger_than(),
        skip(),
        stop().or("never"),
        tags(),
        drill(),
    ],
};

/// What can be said for all jobs.
pub static DEFAULTS: Table = Table {
    of: "`defaults`",
    keys: &[
        to(),
        schedule(),
        timezone(),
        run_at_start(),
        keep(),
        exclude(),
        exclude_any_case(),
        exclude_regex(),
        exclude_if_present(),
        exclude_caches(),
        exclude_larger_than(),
        stop(),
        tags(),
        drill(),
    ],
};

/// Rules of retention; one is enough to keep a snapshot.
pub static KEEP: Table = Table {
    of: "`keep`",
    keys: &[
        Key::new("last", "The newest so many.", Shape::One(Kind::Count)),
        Key::new(
            "hourly",
            "The newest of each of so many hours.",
            Shape::One(Kind::Count),
        ),
        Key::new("daily", "The newest of each of so many days.", Shape::One(Kind::Count)),
        Key::new(
            "weekly",
            "The newest of each of so many weeks.",
            Shape::One(Kind::Count),
        ),
        Key::new(
            "monthly",
            "The newest of each of so many months.",
            Shape::One(Kind::Count),
        ),
        Key::new(
            "yearly",
            "The newest of each of so many years.",
            Shape::One(Kind::Count),
        ),
        Key::new("within", "All since so long before the newest.", Shape::One(Kind::Span)),
        Key::new(
            "within_hourly",
            "The newest of each hour since then.",
            Shape::One(Kind::Span),
        ),
        Key::new(
            "within_daily",
            "The newest of each day since then.",
            Shape::One(Kind::Span),
        ),
        Key::new(
            "within_weekly",
            "The newest of each week since then.",
            Shape::One(Kind::Span),
        ),
        Key::new(
            "within_monthly",
            "The newest of each month since then.",
            Shape::One(Kind::Span),
        ),
        Key::new(
            "within_yearly",
            "The newest of each year since then.",
            Shape::One(Kind::Span),
        ),
        Key::new(
            "days",
            "All that are younger than so many days.",
            Shape::One(Kind::Number(1, 36_500)),
        ),
        Key::new(
            "tags",
            "All with one of these tags; a list in the list means all of them together.",
            Shape::List(&Shape::Either(Kind::Text, &Shape::List(&TEXT))),
        ),
    ],
};

/// Trying a restore.
static DRILL: Table = Table {
    of: "`drill`",
    keys: &[
        Key::new(
            "every",
            "How often.",
            Shape::One(Kind::Word(&["day", "week", "month", "quarter", "year"])),
        )
        .required(),
        Key::new(
            "identity",
            "Key that opens archives which the host cannot read by itself.",
            Shape::Secret,
        ),
        Key::new(
            "nouns",
            "What the files of a source are called in the report.",
            Shape::Map(&TEXT),
        ),
    ],
};
