//! Compares what is read from an answer with a case.

use cso_smithy::protocol::{Answer, WireResponse, decode};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::ast::{Case, even, to_value};

pub(super) fn check(case: &Case<'_>) -> Result<(), String> {
    let mut headers = HeaderMap::new();
    for (name, value) in case.body["headers"].as_object().into_iter().flatten() {
        let name: HeaderName = name.parse().unwrap();
        headers.insert(name, HeaderValue::from_str(value.as_str().unwrap()).unwrap());
    }
    let status = u16::try_from(case.body["code"].as_u64().unwrap()).unwrap();
    let body = case.body["body"].as_str().unwrap_or_default().as_bytes();
    let answer = decode(case.service, case.operation, WireResponse { status, headers: &headers, body });
    let params = case.body.get("params").cloned().unwrap_or_else(|| json!({}));
    match (answer.map_err(|error| error.to_string())?, case.error) {
        (Answer::Output(output), None) => {
            let mut expected =
                case.operation.output.map_or(params.clone(), |shape| to_value(case.service, shape, &params));
            // Null is another word for absent.
            if let Value::Object(members) = &mut expected {
                members.retain(|_, value| !value.is_null());
            }
            same(&output, &expected)
        }
        (Answer::Error(error), Some(name)) => {
            if error.shape.as_deref() != Some(name) {
                return Err(format!("error {:?}, not {name}", error.shape));
            }
            let code = case.body["vendorParams"]["code"].as_str();
            if code.is_some_and(|code| code != error.code) {
                return Err(format!("code {}, not {code:?}", error.code));
            }
            let shapes = &case.service.shapes;
            let shape = case.operation.errors.iter().find(|id| shapes[id.0 as usize].name == name).unwrap();
            same(&error.fields, &to_value(case.service, *shape, &params))
        }
        (answer, _) => Err(format!("unexpected {answer:?}")),
    }
}

fn same(ours: &Value, theirs: &Value) -> Result<(), String> {
    if even(ours) == even(theirs) { Ok(()) } else { Err(format!("{ours}, not {theirs}")) }
}
