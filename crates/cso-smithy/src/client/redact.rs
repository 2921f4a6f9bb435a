//! Keeps what we sent in confidence out of what we say went wrong.

use cso_core::CallError;
use cso_facts::api::{Operation, Service, ShapeId, ShapeKind};
use serde_json::Value;

use base64::Engine as _;

/// The error without any value of a sensitive member of the input.
pub(super) fn conceal(mut error: CallError, service: &Service, operation: &Operation, input: &Value) -> CallError {
    let mut secrets = Vec::new();
    if let Some(shape) = operation.input {
        collect(service, shape, input, false, &mut secrets);
    }
    error.conceal(secrets);
    error
}

/// Every text below a sensitive shape, keys of maps excepted.
fn collect(service: &Service, id: ShapeId, value: &Value, inherited: bool, found: &mut Vec<String>) {
    let shape = service.shape(id);
    let sensitive = inherited || shape.sensitive;
    match (&shape.kind, value) {
        (ShapeKind::Structure { members, .. }, Value::Object(given)) => {
            for member in members {
                if let Some(value) = given.get(&member.name) {
                    collect(service, member.shape, value, sensitive, found);
                }
            }
        }
        (ShapeKind::List { member, .. }, Value::Array(items)) => {
            for item in items {
                collect(service, member.shape, item, sensitive, found);
            }
        }
        (ShapeKind::Map { value: member, .. }, Value::Object(entries)) => {
            for entry in entries.values() {
                collect(service, member.shape, entry, sensitive, found);
            }
        }
        (kind, Value::String(text)) if sensitive => {
            if matches!(kind, ShapeKind::Blob { .. }) {
                let plain = base64::engine::general_purpose::STANDARD.decode(text).ok();
                found.extend(plain.and_then(|bytes| String::from_utf8(bytes).ok()));
            }
            found.push(text.clone());
        }
        _ => {}
    }
}
