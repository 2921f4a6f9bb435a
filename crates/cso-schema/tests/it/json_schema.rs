//! The JSON Schema for editors admits what is a descriptor, and refuses what only looks like one.

use cso_facts::Catalog;
use serde_json::{Value, json};

use crate::toy::edited;

/// What is wrong with a value, by the words that the schema is written in; anything else in it is a mistake.
fn wrong(value: &Value, schema: &Value, root: &Value) -> Option<String> {
    let Some(schema) = schema.as_object() else {
        return (schema == &json!(false)).then(|| format!("{value} is not admitted"));
    };
    schema.iter().find_map(|(word, rule)| match word.as_str() {
        "$schema" | "$defs" | "title" | "description" | "default" | "format" | "minimum" => None,
        "$ref" => {
            let path = rule.as_str()?.strip_prefix('#')?;
            wrong(value, root.pointer(path).expect("references lead somewhere"), root)
        }
        "anyOf" => {
            let all: Vec<_> = rule.as_array()?.iter().map(|one| wrong(value, one, root)).collect();
            if all.contains(&None) { None } else { all.into_iter().next_back().flatten() }
        }
        "enum" => (!rule.as_array()?.contains(value)).then(|| format!("{value} is none of {rule}")),
        "type" => {
            let types: Vec<&str> = rule.as_array().map_or_else(
                || rule.as_str().into_iter().collect(),
                |many| many.iter().filter_map(Value::as_str).collect(),
            );
            (!types.contains(&type_of(value))).then(|| format!("{value} is no {rule}"))
        }
        "required" => {
            let missing = rule.as_array()?.iter().filter_map(Value::as_str).find(|name| value.get(name).is_none())?;
            Some(format!("{missing} is missing"))
        }
        "properties" => rule.as_object()?.iter().find_map(|(name, schema)| wrong(value.get(name)?, schema, root)),
        "additionalProperties" => {
            let known = schema.get("properties").and_then(Value::as_object);
            let mut others =
                value.as_object()?.iter().filter(|(name, _)| known.is_none_or(|known| !known.contains_key(*name)));
            others.find_map(|(name, value)| Some(format!("{name}: {}", wrong(value, rule, root)?)))
        }
        "items" => value.as_array()?.iter().find_map(|item| wrong(item, rule, root)),
        other => panic!("the test does not know `{other}`"),
    })
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn checked(text: &str) -> Option<String> {
    let schema = cso_schema::json_schema();
    wrong(&serde_saphyr::from_str(text).unwrap(), &schema, &schema)
}

#[test]
fn every_descriptor_is_admitted() {
    let catalog = Catalog::builtin();
    for service in catalog.descriptors() {
        assert_eq!(checked(catalog.descriptor(service).unwrap()), None, "{service}");
    }
}

#[test]
fn what_the_language_has_not_is_refused() {
    let good = Catalog::builtin().descriptor("sqs").unwrap();
    for (from, to) in [
        ("    fields:\n", "    feelds:\n"),
        ("      create: CreateQueue\n", ""),
        ("fifoQueue: create-only", "fifoQueue: {rule: create-only}"),
        ("fifoQueue: create-only", "fifoQueue: 1"),
        ("      name: spec.queueName", "      name: {field: spec.queueName}"),
    ] {
        assert!(checked(&edited(good, &[(from, to)])).is_some(), "{to}");
    }
}
