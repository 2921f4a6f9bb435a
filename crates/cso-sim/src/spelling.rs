//! The freedoms of a provider's answers: defaults for what nobody set, and other spellings of what somebody did.

use std::collections::BTreeMap;

use cso_core::Tree;
use cso_facts::api::{Service, ShapeId, ShapeKind};
use cso_facts::surface::{Schema, SchemaType};
use cso_schema::compare::Compare;
use cso_schema::kind::{Clear, Context, Field, Source};
use serde_json::Value;

use crate::resource::ACCOUNT;

/// The provider's choice for a field that nobody set.
pub(crate) fn default_of(field: &Field, api: &Service, shape: Option<ShapeId>) -> Tree {
    if let Clear::Value(value) = &field.clear {
        return Tree::from(value.clone());
    }
    match &field.start {
        Some(Source::Const(value)) => return Tree::from(value.clone()),
        Some(Source::Context(Context::Account)) => return Tree::text(ACCOUNT),
        _ => {}
    }
    match field.compare {
        Compare::Json | Compare::Policy => Tree::text(r#"{"Version":"2012-10-17","Statement":[]}"#),
        Compare::Number => Tree::text("7"),
        _ => invented(&field.schema, api, shape),
    }
}

/// Some value of the right type, an enum's first where the API has one.
fn invented(schema: &Schema, api: &Service, shape: Option<ShapeId>) -> Tree {
    let values = schema.values.first().or_else(|| match shape.map(|shape| &api.shape(shape).kind) {
        Some(ShapeKind::String { values }) => values.first(),
        _ => None,
    });
    match schema.schema_type {
        SchemaType::String => Tree::text(values.map_or("provider-default", String::as_str)),
        SchemaType::Boolean => Tree::Bool(false),
        SchemaType::Integer | SchemaType::Number => Tree::Number(1.into()),
        SchemaType::Array => Tree::List(Vec::new()),
        SchemaType::Object => Tree::Object(
            schema
                .properties
                .iter()
                .filter(|(name, _)| !name.ends_with("Ref"))
                .map(|(name, schema)| {
                    let member = shape.and_then(|shape| {
                        let members = api.shape(shape).members();
                        members.iter().find(|member| cso_schema::names::same_name(&member.name, name))
                    });
                    (name.clone(), invented(schema, api, member.map(|member| member.shape)))
                })
                .collect(),
        ),
    }
}

/// Members of `defaults` where `value` has none, at any depth of objects.
pub(crate) fn with_defaults(value: &Tree, defaults: &Tree) -> Tree {
    match (value, defaults) {
        (Tree::Object(set), Tree::Object(open)) => {
            let mut all = open.clone();
            for (name, value) in set {
                let whole = open.get(name).map_or_else(|| value.clone(), |default| with_defaults(value, default));
                all.insert(name.clone(), whole);
            }
            Tree::Object(all)
        }
        _ => value.clone(),
    }
}

/// Another spelling that the comparator calls equal.
pub(crate) fn respelt(value: &Tree, compare: Compare, nested: &BTreeMap<String, Compare>, at: &str) -> Tree {
    match (compare, value) {
        (Compare::Set, Tree::List(elements)) => Tree::List(elements.iter().rev().cloned().collect()),
        (Compare::Json | Compare::Policy, Tree::Text(text)) => relaid(text, compare),
        (Compare::CaseInsensitive, Tree::Text(text)) => Tree::text(text.to_uppercase()),
        (Compare::Number, Tree::Text(text)) if text.parse::<i64>().is_ok() => Tree::text(format!("{text}.0")),
        (Compare::KmsKey, Tree::Text(text)) if !text.is_empty() && !text.starts_with("arn:") => {
            let tail = if text.starts_with("alias/") { text.clone() } else { format!("key/{text}") };
            Tree::text(format!("arn:aws:kms:eu-central-1:111122223333:{tail}"))
        }
        (_, Tree::Object(members)) => Tree::Object(
            members
                .iter()
                .map(|(name, value)| {
                    let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                    let rule = nested.get(&path).copied().unwrap_or_default();
                    (name.clone(), respelt(value, rule, nested, &path))
                })
                .collect(),
        ),
        _ => value.clone(),
    }
}

/// The document in another layout; for policies also with lists of one taken apart and longer ones turned round.
fn relaid(text: &str, compare: Compare) -> Tree {
    let Ok(document) = serde_json::from_str::<Value>(text) else { return Tree::text(text) };
    let document = if compare == Compare::Policy { turned(document) } else { document };
    serde_json::to_string_pretty(&document).map_or_else(|_| Tree::text(text), Tree::text)
}

fn turned(value: Value) -> Value {
    match value {
        Value::Array(mut list) if list.iter().all(Value::is_string) && !list.is_empty() => {
            list.reverse();
            if list.len() == 1 { list.remove(0) } else { Value::Array(list) }
        }
        Value::Array(list) => Value::Array(list.into_iter().map(turned).collect()),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (name, turned(value))).collect())
        }
        other => other,
    }
}
