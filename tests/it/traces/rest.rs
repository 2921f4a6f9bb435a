//! Calls of the REST protocols as they were recorded: path, query, headers and an XML body, in the members of the model.

use std::sync::Arc;

use cso_facts::Catalog;
use cso_facts::api::{Location, Member, Service, ShapeId, ShapeKind};
use serde_json::{Map, Value, json};

/// The input of a recorded call by member names; `None` if the call is not of a REST protocol.
pub(super) fn input(call: &Value) -> Option<Value> {
    let path = call.get("path")?.as_str()?;
    let api = service(call["service"].as_str()?)?;
    let operation = api.operation(call["operation"].as_str()?)?;
    let shape = api.shape(operation.input?);
    let payload = match &shape.kind {
        ShapeKind::Structure { payload, .. } => payload.as_deref(),
        _ => None,
    };
    let mut input = Map::new();
    for member in shape.members() {
        let wire = member.wire_name.as_deref().unwrap_or(&member.name);
        let value = match member.location {
            Location::Uri => path.split('/').nth(1).map(Value::from),
            Location::Query => call["query"].get(wire).cloned(),
            Location::Header => call["headers"].get(wire.to_ascii_lowercase()).cloned(),
            Location::Body if payload == Some(member.name.as_str()) => body(&call["body"], &api, member),
            _ => None,
        };
        input.extend(value.map(|value| (member.name.clone(), value)));
    }
    Some(Value::Object(input))
}

/// A structure that was read from XML without a model, with the members of the model.
pub(super) fn structure(service_name: &str, shape: &str, xml: &Value) -> Value {
    let Some(api) = service(service_name) else { return xml.clone() };
    let found = api.shapes.iter().position(|known| known.name == shape).and_then(|at| u32::try_from(at).ok());
    found.map_or_else(|| xml.clone(), |at| modelled(xml, &api, ShapeId(at)))
}

/// An operation's parameters, some of which were recorded as texts, in the types of the model.
pub(super) fn typed(service_name: &str, operation: &str, params: &Value) -> Value {
    let shape = |api: &Service| api.operation(operation)?.input;
    let known = service(service_name).and_then(|api| shape(&api).map(|shape| (api, shape)));
    known.map_or_else(|| params.clone(), |(api, shape)| in_types(params, &api, shape))
}

fn in_types(value: &Value, api: &Service, shape: ShapeId) -> Value {
    let parsed = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| value.clone());
    match (&api.shape(shape).kind, value) {
        (
            ShapeKind::Boolean | ShapeKind::Integer | ShapeKind::Long | ShapeKind::Float | ShapeKind::Double,
            Value::String(text),
        ) => parsed(text),
        (ShapeKind::Structure { members, .. }, Value::Object(given)) => {
            let member = |name: &String| members.iter().find(|member| member.name == *name);
            let typed = |(name, value): (&String, &Value)| {
                let value = member(name).map_or_else(|| value.clone(), |member| in_types(value, api, member.shape));
                (name.clone(), value)
            };
            given.iter().map(typed).collect()
        }
        (ShapeKind::List { member, .. }, Value::Array(items)) => {
            items.iter().map(|item| in_types(item, api, member.shape)).collect()
        }
        (ShapeKind::Map { value: member, .. }, Value::Object(given)) => {
            given.iter().map(|(name, value)| (name.clone(), in_types(value, api, member.shape))).collect()
        }
        _ => value.clone(),
    }
}

/// An operation's output as XML.
pub(super) fn output(service_name: &str, operation: &str, output: &Value) -> String {
    let shape = |api: &Service| api.operation(operation)?.output;
    let known = service(service_name).and_then(|api| shape(&api).map(|shape| (api, shape)));
    let Some((api, shape)) = known else { return String::new() };
    match &api.shape(shape).kind {
        ShapeKind::Structure { members, payload: Some(payload), .. } => {
            let member = members.iter().find(|member| member.name == *payload);
            member.map_or_else(String::new, |member| element(payload, &output[payload], &api, member.shape))
        }
        _ => element(operation, output, &api, shape),
    }
}

fn element(name: &str, value: &Value, api: &Service, shape: ShapeId) -> String {
    let inner = match (&api.shape(shape).kind, value) {
        (ShapeKind::Structure { members, .. }, Value::Object(given)) => {
            let member = |member: &Member| {
                let value = given.get(&member.name)?;
                let name = member.wire_name.as_deref().unwrap_or(&member.name);
                Some(match (&api.shape(member.shape).kind, value) {
                    (ShapeKind::List { member: item, flattened }, Value::Array(items))
                        if *flattened || member.flattened =>
                    {
                        items.iter().map(|one| element(name, one, api, item.shape)).collect()
                    }
                    _ => element(name, value, api, member.shape),
                })
            };
            members.iter().filter_map(member).collect()
        }
        (ShapeKind::List { member, .. }, Value::Array(items)) => {
            let name = member.wire_name.as_deref().unwrap_or("member");
            items.iter().map(|one| element(name, one, api, member.shape)).collect()
        }
        (_, Value::String(text)) => text.replace('&', "&amp;").replace('<', "&lt;"),
        (_, other) => other.to_string(),
    };
    format!("<{name}>{inner}</{name}>")
}

fn service(name: &str) -> Option<Arc<Service>> {
    Catalog::builtin().service(name).ok()
}

/// The body below its root element; a text is itself.
fn body(body: &Value, api: &Service, member: &Member) -> Option<Value> {
    match body {
        Value::Null => None,
        Value::Object(root) => root.values().next().map(|inner| modelled(inner, api, member.shape)),
        other => Some(other.clone()),
    }
}

fn modelled(value: &Value, api: &Service, shape: ShapeId) -> Value {
    match (&api.shape(shape).kind, value) {
        (ShapeKind::Structure { members, .. }, Value::Object(given)) => {
            let member = |member: &Member| {
                let value = given.get(member.wire_name.as_deref().unwrap_or(&member.name))?;
                let flattened =
                    member.flattened || matches!(api.shape(member.shape).kind, ShapeKind::List { flattened: true, .. });
                Some((
                    member.name.clone(),
                    if flattened { list(value, api, member.shape) } else { modelled(value, api, member.shape) },
                ))
            };
            Value::Object(members.iter().filter_map(member).collect())
        }
        // An element without anything in it.
        (ShapeKind::Structure { .. }, _) => json!({}),
        (ShapeKind::List { .. }, Value::Object(wrapper)) => {
            wrapper.values().next().map_or_else(|| json!([]), |items| list(items, api, shape))
        }
        (ShapeKind::List { .. }, Value::Null | Value::String(_)) => json!([]),
        _ => value.clone(),
    }
}

/// One or many elements as a list.
fn list(value: &Value, api: &Service, shape: ShapeId) -> Value {
    let ShapeKind::List { member, .. } = &api.shape(shape).kind else { return value.clone() };
    match value {
        Value::Array(items) => items.iter().map(|item| modelled(item, api, member.shape)).collect(),
        one => json!([modelled(one, api, member.shape)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xml_gets_the_names_of_the_model() {
        let call = json!({
            "service": "s3", "operation": "PutBucketIntelligentTieringConfiguration", "path": "/b",
            "query": {"id": "t", "intelligent-tiering": ""},
            "body": {"IntelligentTieringConfiguration": {"Id": "t", "Status": "Enabled",
                "Tiering": {"AccessTier": "ARCHIVE_ACCESS", "Days": "90"}}},
        });
        let expected = json!({
            "Bucket": "b", "Id": "t",
            "IntelligentTieringConfiguration": {"Id": "t", "Status": "Enabled",
                "Tierings": [{"AccessTier": "ARCHIVE_ACCESS", "Days": "90"}]},
        });
        assert_eq!(input(&call), Some(expected));
        let wrapped = json!({"OptionalFields": {"Field": "Size"}});
        assert_eq!(structure("s3", "InventoryConfiguration", &wrapped), json!({"OptionalFields": ["Size"]}));
        assert_eq!(input(&json!({"service": "sqs", "operation": "CreateQueue", "params": {}})), None);
    }

    #[test]
    fn an_output_is_written_in_the_names_of_the_wire() {
        let tiers = json!([{"AccessTier": "ARCHIVE_ACCESS", "Days": 90}]);
        let one = json!({"Id": "t", "Status": "Enabled", "Tierings": tiers});
        let text = "<IntelligentTieringConfiguration><Id>t</Id><Status>Enabled</Status><Tiering><Days>90</Days>\
                    <AccessTier>ARCHIVE_ACCESS</AccessTier></Tiering></IntelligentTieringConfiguration>";
        let (get, all) = ("GetBucketIntelligentTieringConfiguration", "ListBucketIntelligentTieringConfigurations");
        assert_eq!(output("s3", get, &json!({"IntelligentTieringConfiguration": one})), text);
        let listed = output("s3", all, &json!({"IntelligentTieringConfigurationList": [one]}));
        assert_eq!(listed, format!("<{all}>{text}</{all}>"));
    }

    #[test]
    fn what_was_recorded_as_a_text_gets_the_type_of_the_model() {
        let recorded = json!({"Bucket": "1", "PublicAccessBlockConfiguration": {"BlockPublicAcls": "false"}});
        let expected = json!({"Bucket": "1", "PublicAccessBlockConfiguration": {"BlockPublicAcls": false}});
        assert_eq!(typed("s3", "PutPublicAccessBlock", &recorded), expected);
    }
}
