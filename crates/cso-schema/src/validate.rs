//! A value against a published schema, as an API server would check it.

use cso_core::FieldPath;
use cso_facts::surface::{Schema, SchemaType};
use serde_json::{Map, Number, Value};

use crate::names::nearest;

/// Something in a value that its schema forbids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub path: FieldPath,
    /// Never holds the value, except where the schema lists the allowed ones.
    pub message: String,
    /// What to do, if the message does not say it.
    pub help: Option<String>,
}

/// All violations in a value that stands at `at`, from the outside in.
pub fn violations(value: &Value, schema: &Schema, at: &FieldPath) -> Vec<Violation> {
    let mut found = Vec::new();
    check(value, schema, at, &mut found);
    found
}

fn check(value: &Value, schema: &Schema, at: &FieldPath, found: &mut Vec<Violation>) {
    let wrong = match (schema.schema_type, value) {
        (SchemaType::Object, Value::Object(fields)) => return check_object(fields, schema, at, found),
        (SchemaType::Array, Value::Array(items)) => {
            if let Some(schema) = &schema.items {
                for (index, item) in items.iter().enumerate() {
                    check(item, schema, &at.index(index), found);
                }
            }
            None
        }
        (SchemaType::String, Value::String(text)) => check_text(text, schema),
        (SchemaType::Integer, Value::Number(number)) => check_integer(number, schema.format.as_deref()),
        (SchemaType::Number, Value::Number(_)) | (SchemaType::Boolean, Value::Bool(_)) => None,
        _ => Some(wrong_type(value, schema.schema_type)),
    };
    if let Some((message, help)) = wrong {
        found.push(Violation { path: at.clone(), message, help });
    }
}

fn check_object(fields: &Map<String, Value>, schema: &Schema, at: &FieldPath, found: &mut Vec<Violation>) {
    for name in schema.required.iter().filter(|name| !fields.contains_key(*name)) {
        let message = format!("the required field `{name}` is missing");
        found.push(Violation { path: at.clone(), message, help: None });
    }
    for (name, value) in fields {
        match schema.properties.get(name).or(schema.additional.as_deref()) {
            Some(schema) => check(value, schema, &at.child(name), found),
            None if schema.preserve_unknown => {}
            None => {
                let meant = nearest(name, schema.properties.keys().map(String::as_str));
                let help = meant.map(|meant| format!("did you mean `{meant}`?"));
                found.push(Violation { path: at.child(name), message: "unknown field".to_owned(), help });
            }
        }
    }
}

type Wrong = (String, Option<String>);

fn check_text(text: &str, schema: &Schema) -> Option<Wrong> {
    if !schema.values.is_empty() && !schema.values.iter().any(|allowed| allowed == text) {
        let help = match nearest(text, schema.values.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("use one of {}", listed(&schema.values)),
        };
        return Some((format!("`{text}` is not allowed"), Some(help)));
    }
    let (is_valid, expected): (fn(&str) -> bool, _) = match schema.format.as_deref() {
        Some("date-time") => (is_date_time, "a date and time such as `2026-01-31T12:00:00Z`"),
        Some("byte") => (is_base64, "base64"),
        // Formats that an API server does not know are not checked there either.
        _ => return None,
    };
    (!is_valid(text)).then(|| (format!("must be {expected}"), None))
}

/// The first of many values, in code marks.
fn listed(values: &[String]) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<String> = values.iter().take(SHOWN).map(|value| format!("`{value}`")).collect();
    let rest = values.len().saturating_sub(SHOWN);
    if rest == 0 { shown.join(", ") } else { format!("{} and {rest} more", shown.join(", ")) }
}

fn check_integer(number: &Number, format: Option<&str>) -> Option<Wrong> {
    let (low, high) = match format {
        Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    };
    match number.as_i64() {
        Some(integer) if (low..=high).contains(&integer) => None,
        Some(_) => Some((format!("must be from {low} to {high}"), None)),
        None if number.is_u64() => Some((format!("must be from {low} to {high}"), None)),
        None => Some(("must be a whole number, without a point or exponent".to_owned(), None)),
    }
}

fn wrong_type(value: &Value, expected: SchemaType) -> Wrong {
    if value.is_null() {
        return ("has no value".to_owned(), Some("give it one or remove the field".to_owned()));
    }
    let message = format!("must be {}, not {}", named(expected), named_type(value));
    let help = match (expected, value) {
        (SchemaType::String, Value::Number(_) | Value::Bool(_)) => Some("put it in quotes"),
        (SchemaType::Boolean, Value::String(_)) => Some("write `true` or `false`, without quotes"),
        (SchemaType::Integer | SchemaType::Number, Value::String(_)) => Some("write it without quotes"),
        (SchemaType::Array, _) => Some("put `- ` in front of each element"),
        _ => None,
    };
    (message, help.map(str::to_owned))
}

fn named(schema_type: SchemaType) -> &'static str {
    match schema_type {
        SchemaType::Object => "a map",
        SchemaType::Array => "a list",
        SchemaType::String => "a text",
        SchemaType::Integer => "a whole number",
        SchemaType::Number => "a number",
        SchemaType::Boolean => "a boolean",
    }
}

/// What a JSON value is called in messages to people, for example `a list`.
pub const fn named_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// RFC 3339, as an API server takes it: with seconds and a zone.
fn is_date_time(text: &str) -> bool {
    // jiff also takes a space and leaves out seconds; RFC 3339 fixes these places.
    text.as_bytes().get(10) == Some(&b'T')
        && text.as_bytes().get(16) == Some(&b':')
        && text.parse::<jiff::Timestamp>().is_ok()
}

/// Standard alphabet, padded; line breaks do not count.
fn is_base64(text: &str) -> bool {
    let bytes: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
    let padding = bytes.iter().rev().take_while(|byte| **byte == b'=').count();
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    bytes.len().is_multiple_of(4) && padding <= 2 && bytes[..bytes.len() - padding].iter().all(is_digit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(schema_type: SchemaType) -> Schema {
        Schema { schema_type, ..Schema::default() }
    }

    fn object<const N: usize>(properties: [(&str, Schema); N]) -> Schema {
        let properties = properties.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
        Schema { properties, ..Schema::default() }
    }

    /// A schema with one of everything.
    fn schema() -> Schema {
        let text = || of(SchemaType::String);
        let format = |schema_type, format: &str| Schema { format: Some(format.to_owned()), ..of(schema_type) };
        let values = ["PROVISIONED", "PAY_PER_REQUEST"].map(str::to_owned).to_vec();
        let element = object([("key", text()), ("value", text())]);
        Schema {
            required: ["name".to_owned()].into(),
            ..object([
                ("name", text()),
                ("delaySeconds", of(SchemaType::Integer)),
                ("count", format(SchemaType::Integer, "int32")),
                ("ratio", of(SchemaType::Number)),
                ("enabled", of(SchemaType::Boolean)),
                ("since", format(SchemaType::String, "date-time")),
                ("blob", format(SchemaType::String, "byte")),
                ("mode", Schema { values, ..text() }),
                ("tags", Schema { items: Some(Box::new(element)), ..of(SchemaType::Array) }),
                ("labels", Schema { additional: Some(Box::new(text())), ..Schema::default() }),
                ("document", Schema { preserve_unknown: true, ..Schema::default() }),
            ])
        }
    }

    fn told(value: &Value) -> Vec<String> {
        let told = |found: Violation| {
            let help = found.help.map(|help| format!("; {help}")).unwrap_or_default();
            format!("{}: {}{help}", found.path, found.message)
        };
        violations(value, &schema(), &FieldPath::root().child("spec")).into_iter().map(told).collect()
    }

    #[test]
    fn a_value_that_fits_has_no_violations() {
        let value = json!({
            "name": "a", "delaySeconds": -9_007_199_254_740_993_i64, "count": 2_147_483_647, "ratio": 1, "enabled": false,
            "since": "2026-01-31T12:00:00.5+01:00", "blob": "aGk=\n", "mode": "PROVISIONED",
            "tags": [{"key": "a"}, {}], "labels": {"any.name": "b"}, "document": {"x": [1, null]},
        });
        assert_eq!(told(&value), Vec::<String>::new());
    }

    #[test]
    fn each_violation_names_its_field_and_the_remedy() {
        let cases = [
            (json!({"delayseconds": 1}), "spec.delayseconds: unknown field; did you mean `delaySeconds`?"),
            (json!({"zzz": 1}), "spec.zzz: unknown field"),
            (json!({"name": 1}), "spec.name: must be a text, not a number; put it in quotes"),
            (json!({"name": null}), "spec.name: has no value; give it one or remove the field"),
            (json!({"name": {}}), "spec.name: must be a text, not a map"),
            (
                json!({"delaySeconds": "5"}),
                "spec.delaySeconds: must be a whole number, not a text; write it without quotes",
            ),
            (json!({"delaySeconds": 1.5}), "spec.delaySeconds: must be a whole number, without a point or exponent"),
            (json!({"count": 2_147_483_648_u64}), "spec.count: must be from -2147483648 to 2147483647"),
            (
                json!({"delaySeconds": u64::MAX}),
                "spec.delaySeconds: must be from -9223372036854775808 to 9223372036854775807",
            ),
            (json!({"ratio": "x"}), "spec.ratio: must be a number, not a text; write it without quotes"),
            (
                json!({"enabled": "yes"}),
                "spec.enabled: must be a boolean, not a text; write `true` or `false`, without quotes",
            ),
            (json!({"since": "2026-01-31"}), "spec.since: must be a date and time such as `2026-01-31T12:00:00Z`"),
            (
                json!({"since": "2026-01-31 12:00:00Z"}),
                "spec.since: must be a date and time such as `2026-01-31T12:00:00Z`",
            ),
            (json!({"blob": "a"}), "spec.blob: must be base64"),
            (json!({"blob": "a=bc"}), "spec.blob: must be base64"),
            (json!({"mode": "provisioned"}), "spec.mode: `provisioned` is not allowed; did you mean `PROVISIONED`?"),
            (json!({"mode": "x"}), "spec.mode: `x` is not allowed; use one of `PROVISIONED`, `PAY_PER_REQUEST`"),
            (json!({"tags": {"key": "a"}}), "spec.tags: must be a list, not a map; put `- ` in front of each element"),
            (json!({"tags": [{}, {"Key": "a"}]}), "spec.tags[1].Key: unknown field; did you mean `key`?"),
            (json!({"labels": {"a": 1}}), "spec.labels.a: must be a text, not a number; put it in quotes"),
        ];
        for (mut value, expected) in cases {
            if value.get("name").is_none() {
                value["name"] = json!("a");
            }
            assert_eq!(told(&value), [expected]);
        }
        assert_eq!(told(&json!({})), ["spec: the required field `name` is missing"]);
        assert_eq!(told(&json!([])), ["spec: must be a map, not a list"]);
    }
}
