//! The tables as a JSON Schema, for editors.

use super::{Choice, Key, ROOT, SECRET, Shape, Table, Variant};
use crate::config::tree;
use serde_json::{Map, Value, json};

/// JSON Schema (draft 2020-12) of the configuration file.
pub fn schema() -> Value {
    let mut root = table(&ROOT);
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("Mainstay");
    root["description"] = json!("Configuration of Mainstay: repositories, jobs, notifications.");
    root["$defs"] = json!({"secret": choice(&SECRET)});
    root
}

fn secret() -> Value {
    json!({"$ref": "#/$defs/secret"})
}

fn shape(shape: &Shape) -> Value {
    match shape {
        Shape::One(kind) => kind.schema(),
        Shape::List(item) => list(item),
        Shape::OneOrMore(item) => json!({"anyOf": [self::shape(item), list(item)]}),
        Shape::Map(value) => json!({"type": "object", "additionalProperties": self::shape(value)}),
        Shape::Keys(keys) => table(keys),
        Shape::Short(keys, key) => {
            let short = keys.key(key).map_or(json!(false), |key| self::shape(&key.shape));
            json!({"anyOf": [short, table(keys)]})
        }
        Shape::OneOf(of) => choice(of),
        Shape::Either(kind, other) => json!({"anyOf": [kind.schema(), self::shape(other)]}),
        Shape::Secret => secret(),
        Shape::MaybeSecret(kind) => json!({"anyOf": [kind.schema(), secret()]}),
    }
}

fn list(item: &Shape) -> Value {
    json!({"type": "array", "items": shape(item), "minItems": 1})
}

fn property(key: &Key) -> Value {
    let mut value = shape(&key.shape);
    value["description"] = json!(key.purpose);
    if let Some(default) = key.default.and_then(tree::default) {
        value["default"] = tree::show::json(&default);
    }
    value
}

fn properties<'a>(keys: impl Iterator<Item = &'a Key>) -> Value {
    Value::Object(
        keys.map(|key| (key.name.to_owned(), property(key)))
            .collect::<Map<_, _>>(),
    )
}

fn table(table: &Table) -> Value {
    let required: Vec<&str> = table
        .keys
        .iter()
        .filter(|key| key.required)
        .map(|key| key.name)
        .collect();
    json!({
        "type": "object",
        "properties": properties(table.keys.iter()),
        "required": required,
        "additionalProperties": false,
    })
}

fn choice(choice: &Choice) -> Value {
    json!({"oneOf": choice.variants.iter().map(variant).collect::<Vec<_>>()})
}

fn variant(variant: &Variant) -> Value {
    json!({
        "type": "object",
        "properties": properties(std::iter::once(&variant.key).chain(variant.beside)),
        "required": [variant.key.name],
        "additionalProperties": false,
    })
}
