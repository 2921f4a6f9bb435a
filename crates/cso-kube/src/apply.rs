//! What an object would be if a manifest were applied to it, as `kubectl apply` and `GitOps` tools do it. Pure.
//!
//! What the manifest says is laid over what is there. What an earlier manifest said and this one does not is taken away;
//! what others have put there, such as values that the provider chose, stays.

use std::collections::BTreeMap;

use cso_core::Object;
use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

/// Where `kubectl apply` keeps what it applied last.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The object once a manifest is applied to it.
pub fn applied(raw: &DynamicObject, manifest: &Object) -> DynamicObject {
    let before = declared(raw);
    let mut after = raw.clone();
    let none = json!({});
    let spec = raw.data.get("spec").unwrap_or(&none);
    let wanted = laid_over(Some(spec), before.get("spec"), &manifest.spec);
    if wanted != *spec {
        after.metadata.generation = after.metadata.generation.map(|count| count.saturating_add(1));
    }
    after.data["spec"] = wanted;
    let texts = |there: &Option<BTreeMap<String, String>>, which: &str, wanted: &BTreeMap<String, String>| {
        let before = before.get("metadata").and_then(|metadata| metadata.get(which));
        let laid = laid_over(Some(&json!(there.clone().unwrap_or_default())), before, &json!(wanted));
        serde_json::from_value(laid).ok()
    };
    after.metadata.annotations = texts(&raw.metadata.annotations, "annotations", &manifest.annotations);
    after.metadata.labels = texts(&raw.metadata.labels, "labels", &manifest.labels);
    after
}

/// A value laid over another, of which `before` says what was declared.
fn laid_over(there: Option<&Value>, before: Option<&Value>, wanted: &Value) -> Value {
    let (Some(Value::Object(there)), Value::Object(wanted)) = (there, wanted) else { return wanted.clone() };
    let before = before.and_then(Value::as_object);
    let declared = |name: &str| before.and_then(|before| before.get(name));
    let kept = there.iter().filter(|(name, _)| declared(name).is_none());
    let mut after: Map<String, Value> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    for (name, value) in wanted {
        after.insert(name.clone(), laid_over(there.get(name), declared(name), value));
    }
    Value::Object(after)
}

/// What manifests have said so far, in the form of a manifest; values do not count.
fn declared(raw: &DynamicObject) -> Value {
    let last = raw.metadata.annotations.as_ref().and_then(|annotations| annotations.get(LAST_APPLIED));
    if let Some(last) = last.and_then(|text| serde_json::from_str::<Value>(text).ok()).filter(Value::is_object) {
        return last;
    }
    let managers = raw.metadata.managed_fields.iter().flatten();
    let applied = managers.filter(|entry| entry.operation.as_deref() == Some("Apply") && entry.subresource.is_none());
    let shapes = applied.filter_map(|entry| entry.fields_v1.as_ref()).map(|fields| shape(&fields.0));
    shapes.fold(json!({}), |all, one| laid_over(Some(&all), None, &one))
}

/// A set of owned fields, `{"f:spec": {"f:name": {}}}`, in the form of what owns them.
fn shape(fields: &Value) -> Value {
    let members = fields.as_object().into_iter().flatten();
    members.filter_map(|(name, below)| Some((name.strip_prefix("f:")?.to_owned(), shape(below)))).collect()
}

#[cfg(test)]
mod tests {
    use cso_core::ObjectKey;

    use super::*;

    fn there(metadata: Value) -> DynamicObject {
        let mut object = json!({
            "apiVersion": "sqs.services.k8s.aws/v1alpha1", "kind": "Queue",
            "spec": {"queueName": "orders", "delaySeconds": "5", "kmsMasterKeyID": "alias/k", "tags": {"a": "1", "b": "2"}},
        });
        object["metadata"] = metadata;
        serde_json::from_value(object).expect("an object")
    }

    fn manifest(spec: Value) -> Object {
        Object {
            key: ObjectKey::new("sqs.services.k8s.aws", "Queue", "default", "orders"),
            labels: BTreeMap::new(),
            annotations: BTreeMap::from([("services.k8s.aws/read-only".to_owned(), "true".to_owned())]),
            inherited: None,
            spec: spec.into(),
            deleting: false,
            life: None,
        }
    }

    /// The value that somebody else put there stays; what the manifest no longer says goes.
    #[test]
    fn a_manifest_is_laid_over_what_is_there() {
        let said = json!({"spec": {"queueName": "orders", "delaySeconds": "5", "tags": {"a": "1"}}});
        let owned = json!({"f:spec": {"f:queueName": {}, "f:delaySeconds": {}, "f:tags": {".": {}, "f:a": {}}}});
        let apply = json!([{"manager": "flux", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": owned}]);
        let last = json!({LAST_APPLIED: said.to_string()});
        for metadata in [
            json!({"name": "orders", "generation": 3, "annotations": last}),
            json!({"name": "orders", "generation": 3, "managedFields": apply}),
        ] {
            let after = applied(&there(metadata), &manifest(json!({"queueName": "orders", "tags": {"c": "3"}})));
            let expected = json!({"queueName": "orders", "kmsMasterKeyID": "alias/k", "tags": {"b": "2", "c": "3"}});
            assert_eq!(after.data["spec"], expected);
            assert_eq!(after.metadata.generation, Some(4));
            let annotations = after.metadata.annotations.unwrap_or_default();
            assert_eq!(annotations.get("services.k8s.aws/read-only").map(String::as_str), Some("true"));
        }
    }

    #[test]
    fn the_same_manifest_changes_nothing() {
        let before = there(json!({"name": "orders", "generation": 3}));
        let after = applied(&before, &manifest(before.data["spec"].clone()));
        assert_eq!((after.data, after.metadata.generation), (before.data, Some(3)));
    }
}
