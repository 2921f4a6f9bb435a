//! Six settings of a bucket that no emulator has: what was put is what is read, as when the recordings were made.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::rest;
use crate::stand_in::Refusal;

/// What was put: by bucket, setting and identifier.
pub(super) type Kept = BTreeMap<(String, &'static str, String), Value>;

/// A setting: its name in recordings, and of its operations, its configuration, and a bucket's own value.
struct Setting {
    name: &'static str,
    operations: &'static str,
    payload: &'static str,
    /// Nothing where a bucket has any number of them.
    own: Option<(&'static str, &'static str)>,
}

const fn listed(name: &'static str, operations: &'static str, payload: &'static str) -> Setting {
    Setting { name, operations, payload, own: None }
}

const SETTINGS: [Setting; 6] = [
    listed("analytics", "BucketAnalyticsConfiguration", "AnalyticsConfiguration"),
    listed("intelligent-tiering", "BucketIntelligentTieringConfiguration", "IntelligentTieringConfiguration"),
    listed("inventory", "BucketInventoryConfiguration", "InventoryConfiguration"),
    listed("metrics", "BucketMetricsConfiguration", "MetricsConfiguration"),
    Setting { name: "abac", operations: "BucketAbac", payload: "AbacStatus", own: Some(("Status", "Disabled")) },
    Setting {
        name: "requestPayment",
        operations: "BucketRequestPayment",
        payload: "RequestPaymentConfiguration",
        own: Some(("Payer", "BucketOwner")),
    },
];

/// The answer to a call, if it is about one of the settings.
pub(super) fn answer(kept: &mut Kept, operation: &str, input: &Value) -> Option<Result<Value, Refusal>> {
    let text = |member: &str| input[member].as_str().unwrap_or_default().to_owned();
    let bucket = text("Bucket");
    if operation == "DeleteBucket" {
        kept.retain(|(of, ..), _| *of != bucket);
        return None;
    }
    let setting = SETTINGS.iter().find(|setting| {
        let verb = operation.split_once("Bucket").map_or("", |(verb, _)| verb);
        operation
            .strip_prefix(verb)
            .is_some_and(|rest| rest.trim_end_matches('s') == setting.operations.trim_end_matches('s'))
    })?;
    let key = (bucket.clone(), setting.name, text("Id"));
    Some(match (operation.split_once("Bucket").map(|(verb, _)| verb), setting.own) {
        (Some("Put"), _) => {
            kept.insert(key, input[setting.payload].clone());
            Ok(json!({}))
        }
        (Some("Delete"), _) => match kept.remove(&key) {
            Some(_) => Ok(json!({})),
            None => Err(MISSING),
        },
        (Some("List"), _) => {
            let all: Vec<&Value> = of(kept, &bucket, setting.name).map(|(_, value)| value).collect();
            Ok(json!({format!("{}List", setting.payload): all}))
        }
        (_, Some((member, usual))) => {
            let value = kept.get(&key).cloned().unwrap_or_else(|| json!({member: usual}));
            Ok(if setting.name == "abac" { json!({setting.payload: value}) } else { value })
        }
        _ => kept.get(&key).map(|value| json!({setting.payload: value})).ok_or(MISSING),
    })
}

/// What a bucket has of the settings, in the form of the recordings.
pub(super) fn state(kept: &Kept, bucket: &str) -> Map<String, Value> {
    let mut state = Map::new();
    for setting in &SETTINGS {
        let values: Map<String, Value> = of(kept, bucket, setting.name)
            .map(|(id, value)| (if id.is_empty() { "value" } else { id }.to_owned(), value.clone()))
            .collect();
        if !values.is_empty() {
            state.insert(setting.name.to_owned(), Value::Object(values));
        }
    }
    state
}

/// A recorded state with these settings in the names of the model: they were recorded as XML.
pub(super) fn modelled(cloud: &Value) -> Value {
    let mut cloud = cloud.clone();
    for setting in &SETTINGS {
        let values = cloud.get_mut(setting.name).and_then(Value::as_object_mut);
        for (_, value) in values.into_iter().flatten() {
            *value = rest::structure("s3", setting.payload, value);
        }
    }
    cloud
}

fn of<'a>(kept: &'a Kept, bucket: &'a str, name: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    kept.iter()
        .filter(move |((of, what, _), _)| of == bucket && *what == name)
        .map(|((.., id), value)| (id.as_str(), value))
}

const MISSING: Refusal = ("NoSuchConfiguration", "there is no such configuration");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_read_until_it_is_removed() {
        let mut kept = Kept::new();
        let mut ask = |operation: &str, input: Value| answer(&mut kept, operation, &input).and_then(Result::ok);
        let one = json!({"Bucket": "b", "Id": "a", "MetricsConfiguration": {"Id": "a"}});
        ask("PutBucketMetricsConfiguration", one.clone());
        let listed = json!({"MetricsConfigurationList": [{"Id": "a"}]});
        assert_eq!(ask("ListBucketMetricsConfigurations", json!({"Bucket": "b"})), Some(listed));
        assert_eq!(ask("GetBucketAbac", json!({"Bucket": "b"})), Some(json!({"AbacStatus": {"Status": "Disabled"}})));
        assert_eq!(ask("GetBucketRequestPayment", json!({"Bucket": "b"})), Some(json!({"Payer": "BucketOwner"})));
        assert_eq!(ask("DeleteBucketMetricsConfiguration", one), Some(json!({})));
        assert_eq!(ask("GetBucketPolicy", json!({"Bucket": "b"})), None);
        assert!(kept.is_empty());
    }
}
