//! A record in the shape of a Kubernetes object: what users are shown, and what paths of field exports lead through.

use cso_core::Record;
use jiff::Timestamp;
use serde_json::{Value, json};

/// The object as `kubectl get -o yaml` would show it. Values the provider chose are laid under the spec.
pub fn shown(record: &Record, version: &str) -> Value {
    let key = &record.key;
    let api_version = if version.is_empty() { key.group.clone() } else { format!("{}/{version}", key.group) };
    let mut metadata = json!({
        "name": key.name,
        "namespace": key.namespace,
        "uid": record.uid,
        "generation": record.generation,
    });
    if let Some(created) = record.created {
        metadata["creationTimestamp"] = seconds(created).into();
    }
    if !record.wish.annotations.is_empty() {
        metadata["annotations"] = json!(record.wish.annotations);
    }
    let mut status = record.status.clone();
    if !record.conditions.is_empty() {
        status.insert("conditions".to_owned(), json!(record.conditions));
    }
    json!({
        "apiVersion": api_version,
        "kind": key.kind,
        "metadata": metadata,
        "spec": spec(record),
        "status": status,
    })
}

fn spec(record: &Record) -> Value {
    let mut spec = record.late.clone();
    if let Value::Object(wished) = &*record.wish.spec {
        spec.extend(
            wished.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), value.clone())),
        );
    }
    Value::Object(spec)
}

/// Kubernetes writes times in whole seconds.
fn seconds(time: Timestamp) -> String {
    time.round(jiff::Unit::Second).unwrap_or(time).to_string()
}
