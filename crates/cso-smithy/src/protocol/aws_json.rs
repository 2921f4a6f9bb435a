//! `awsJson1_0` and `awsJson1_1`: one URL, the operation in a header, JSON in the body.

use cso_facts::api::{Operation, Service};
use serde_json::{Map, Value};

use super::{InputError, Unreadable, WireRequest, WireResponse, host_prefix, json};

pub(super) fn encode(
    service: &Service,
    operation: &Operation,
    input: &Value,
    version: &str,
) -> Result<WireRequest, InputError> {
    let body = match operation.input {
        Some(shape) => json::to_wire(service, shape, None, input)?,
        None => Value::Object(Map::new()),
    };
    let prefix = service.target_prefix.as_deref().unwrap_or_default();
    let mut headers = vec![
        ("content-type".into(), format!("application/x-amz-json-{version}")),
        ("x-amz-target".into(), format!("{prefix}.{}", operation.name)),
    ];
    if service.query_compatible {
        // Asks for the error codes that the service had in its query days: the ones people know.
        headers.push(("x-amzn-query-mode".into(), "true".to_owned()));
    }
    Ok(WireRequest {
        method: "POST".to_owned(),
        uri: "/".to_owned(),
        host_prefix: host_prefix(service, operation, input)?,
        headers,
        body: body.to_string().into_bytes(),
    })
}

pub(super) fn decode(
    service: &Service,
    operation: &Operation,
    response: WireResponse<'_>,
) -> Result<Value, Unreadable> {
    let Some(shape) = operation.output else { return Ok(Value::Object(Map::new())) };
    json::from_wire(service, shape, &json::object(response.body)?)
}
