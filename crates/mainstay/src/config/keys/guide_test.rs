//! The tables of the guide are these tables.

use super::{Key, Kind, ROOT, SECRET, Shape, Table, Variant};
use std::fmt::Write as _;

const GUIDE: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/guide/configuration.md"
));
const BEGIN: &str = "<!-- begin of keys -->\n";
const END: &str = "<!-- end of keys -->";

#[test]
fn the_guide_lists_every_key_with_its_default() {
    let guide = GUIDE
        .split_once(BEGIN)
        .and_then(|(_, rest)| rest.split_once(END))
        .unwrap()
        .0;
    let expected = section();
    assert!(
        guide == expected,
        "between the marks in docs/guide/configuration.md has to stand:\n{expected}"
    );
}

fn section() -> String {
    let mut text = String::new();
    heading(&mut text, "The whole file", ROOT.keys.iter());
    for key in ROOT.keys {
        below(&mut text, key.name, &key.shape);
    }
    text.push_str("### A secret\n\n");
    variants(&mut text, SECRET.variants);
    text
}

/// What stands below a key, if it has keys of its own.
fn below(text: &mut String, name: &str, shape: &Shape) {
    match shape {
        Shape::Keys(table) if name == "defaults" => {
            let keys: Vec<String> = table.keys.iter().map(|key| format!("`{}`", key.name)).collect();
            let _ = write!(
                text,
                "### `defaults`\n\nThe keys of a job that are the same for all: {}.\n\n",
                keys.join(", ")
            );
        }
        Shape::Keys(table) => keys_of(text, name, table),
        Shape::Short(table, short) => {
            keys_of(text, name, table);
            let _ = write!(text, "Short: only the value of `{short}`.\n\n");
        }
        Shape::Map(inner) | Shape::List(inner) | Shape::OneOrMore(inner) | Shape::Either(_, inner) => {
            below(text, name, inner);
        }
        Shape::OneOf(choice) => {
            let _ = write!(text, "### `{name}`\n\nOne of these:\n\n");
            variants(text, choice.variants);
            for variant in choice.variants {
                below(text, variant.key.name, &variant.key.shape);
            }
        }
        Shape::One(_) | Shape::Secret | Shape::MaybeSecret(_) => {}
    }
}

fn keys_of(text: &mut String, name: &str, table: &Table) {
    heading(text, &format!("`{name}`"), table.keys.iter());
    for key in table.keys {
        below(text, key.name, &key.shape);
    }
}

fn heading<'a>(text: &mut String, heading: &str, keys: impl Iterator<Item = &'a Key>) {
    let _ = write!(
        text,
        "### {heading}\n\n| key | value | default | meaning |\n|---|---|---|---|\n"
    );
    for key in keys {
        let default = match (key.required, key.default) {
            (true, _) => "needed".to_owned(),
            (false, Some(default)) => format!("`{default}`"),
            (false, None) => String::new(),
        };
        let _ = writeln!(
            text,
            "| `{}` | {} | {default} | {} |",
            key.name,
            value(&key.shape),
            key.purpose
        );
    }
    text.push('\n');
}

fn variants(text: &mut String, variants: &[Variant]) {
    text.push_str("| key | value | beside it | meaning |\n|---|---|---|---|\n");
    for Variant { key, beside } in variants {
        let beside: Vec<String> = beside
            .iter()
            .map(|key| format!("`{}`, without it `{}`", key.name, key.default.unwrap_or_default()))
            .collect();
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            key.name,
            value(&key.shape),
            beside.join(", "),
            key.purpose
        );
    }
    text.push('\n');
}

fn value(shape: &Shape) -> String {
    match shape {
        Shape::One(kind) => single(*kind),
        Shape::List(item) => format!("list of: {}", value(item)),
        Shape::OneOrMore(item) => format!("{}, or a list", value(item)),
        Shape::Map(inner) => format!("names with: {}", value(inner)),
        Shape::Keys(_) => "keys".to_owned(),
        Shape::Short(_, short) => format!("{short}, or keys"),
        Shape::OneOf(_) => "see below".to_owned(),
        Shape::Either(kind, other) => format!("{}, or {}", single(*kind), value(other)),
        Shape::Secret => "secret".to_owned(),
        Shape::MaybeSecret(kind) => format!("{} or secret", single(*kind)),
    }
}

fn single(kind: Kind) -> String {
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Name => "name".to_owned(),
        Kind::Path | Kind::ReadableFile => "path".to_owned(),
        Kind::Address => "path or address".to_owned(),
        Kind::Url => "address".to_owned(),
        Kind::Number(from, to) => format!("{from} to {to}"),
        Kind::Count => "number or `unlimited`".to_owned(),
        Kind::Cron => "cron".to_owned(),
        Kind::TimeZone => "time zone".to_owned(),
        Kind::Span => "time such as `36h`, `1y6m`".to_owned(),
        Kind::Size => "size such as `2G`".to_owned(),
        Kind::Rate => "rate such as `10M`".to_owned(),
        Kind::Flag | Kind::Word(_) => kind.expected(),
    }
}
