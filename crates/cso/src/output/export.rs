//! What field exports have filled, for people and for programs. The value of a Secret is shown only when it is asked for, and
//! then as Kubernetes writes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cso_core::export::TargetKind;
use cso_engine::exports::{Entry, ExportedObject};
use serde_json::{Map, Value, json};

use super::{STRONG, count, styled, table};

/// What stands in the place of a value.
const REDACTED: &str = "(redacted)";

/// One line an object.
pub(crate) fn table(objects: &[ExportedObject]) -> String {
    let row = |object: &ExportedObject| {
        let key = &object.key;
        let names: Vec<&str> = object.data.keys().map(String::as_str).collect();
        vec![key.namespace.clone(), format!("v1/{}/{}", key.kind, key.name), names.join(", ")]
    };
    table::table(&["NAMESPACE", "NAME", "KEYS"], &objects.iter().map(row).collect::<Vec<_>>())
}

/// The object as `kubectl get -o yaml` would show it.
pub(crate) fn object(object: &ExportedObject, show_secrets: bool) -> Value {
    let value = |entry: &Entry| match (object.kind, show_secrets) {
        (TargetKind::ConfigMap, _) => entry.value.clone(),
        (TargetKind::Secret, true) => STANDARD.encode(&entry.value),
        (TargetKind::Secret, false) => REDACTED.to_owned(),
    };
    let data: Map<String, Value> =
        object.data.iter().map(|(name, entry)| (name.clone(), Value::String(value(entry)))).collect();
    let mut shown = json!({
        "apiVersion": "v1",
        "kind": object.kind.name(),
        "metadata": {"name": object.key.name, "namespace": object.key.namespace},
        "data": data,
    });
    if object.kind == TargetKind::Secret {
        shown["type"] = "Opaque".into();
    }
    shown
}

/// Everything about one object.
pub(crate) fn description(object: &ExportedObject) -> String {
    let row = |(name, entry): (&String, &Entry)| {
        let value = match object.kind {
            TargetKind::ConfigMap => entry.value.clone(),
            TargetKind::Secret => format!("{REDACTED}, {}", count(entry.value.len(), "byte")),
        };
        vec![name.clone(), value, entry.from.to_string()]
    };
    let rows: Vec<Vec<String>> = object.data.iter().map(row).collect();
    format!("{}\n{}", styled(STRONG, &object.key), table::table(&["KEY", "VALUE", "EXPORTED BY"], &rows))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cso_core::ObjectKey;

    use super::*;

    fn exported(kind: TargetKind) -> ExportedObject {
        let entry = Entry { from: ObjectKey::new("g", "FieldExport", "shop", "url"), value: "hunter2".to_owned() };
        let key = ObjectKey::new("", kind.name(), "shop", "app");
        ExportedObject { key, kind, data: BTreeMap::from([("url".to_owned(), entry)]) }
    }

    #[test]
    fn a_secret_is_shown_only_on_demand_and_never_to_people() {
        let secret = exported(TargetKind::Secret);
        for shown in [table(std::slice::from_ref(&secret)), description(&secret), object(&secret, false).to_string()] {
            assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVyMg"), "{shown}");
        }
        assert_eq!(object(&secret, true)["data"]["url"], "aHVudGVyMg==");
        assert_eq!(object(&exported(TargetKind::ConfigMap), false)["data"]["url"], "hunter2");
    }
}
