//! Compares a request with a case.

use cso_smithy::protocol::{WireRequest, encode, fill_tokens};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::ast::{Case, even, to_value};

pub(super) fn check(case: &Case<'_>) -> Result<(), String> {
    let params = case.body.get("params").cloned().unwrap_or_else(|| json!({}));
    let mut input = match case.operation.input {
        Some(shape) => to_value(case.service, shape, &params),
        None => params,
    };
    fill_tokens(case.service, case.operation, &mut input, || "00000000-0000-4000-8000-000000000000".into());
    let request = encode(case.service, case.operation, &input).map_err(|error| error.to_string())?;
    same("method", &request.method, case.body["method"].as_str().unwrap())?;
    check_place(case, &request)?;
    check_headers(case, &request)?;
    match case.body["body"].as_str() {
        Some(body) => check_body(case.body["bodyMediaType"].as_str().unwrap_or_default(), &request.body, body),
        None => Ok(()),
    }
}

fn same(what: &str, ours: &str, theirs: &str) -> Result<(), String> {
    if ours == theirs { Ok(()) } else { Err(format!("{what}: {ours:?}, not {theirs:?}")) }
}

/// Host and path. The case's endpoint may have a path of its own.
fn check_place(case: &Case<'_>, request: &WireRequest) -> Result<(), String> {
    let endpoint = case.body["host"].as_str().unwrap_or("example.com");
    let (host, base) =
        endpoint.split_once('/').map_or((endpoint, String::new()), |(host, path)| (host, format!("/{path}")));
    let path = request.uri.split('?').next().unwrap_or_default();
    same("uri", &format!("{base}{path}"), case.body["uri"].as_str().unwrap())?;
    let resolved = format!("{}{host}", request.host_prefix.as_deref().unwrap_or_default());
    same("host", &resolved, case.body["resolvedHost"].as_str().unwrap_or(host))
}

fn check_headers(case: &Case<'_>, request: &WireRequest) -> Result<(), String> {
    let find = |name: &str| {
        let found =
            request.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
        // The transport states the length of every body.
        found.or_else(|| (name.eq_ignore_ascii_case("content-length") && !request.body.is_empty()).then_some("?"))
    };
    for (name, value) in case.body["headers"].as_object().into_iter().flatten() {
        same(name, find(name).unwrap_or("(none)"), value.as_str().unwrap())?;
    }
    let names = |list: &str| case.body[list].as_array().into_iter().flatten().filter_map(Value::as_str);
    match (
        names("requireHeaders").find(|name| find(name).is_none()),
        names("forbidHeaders").find(|name| find(name).is_some()),
    ) {
        (None, None) => Ok(()),
        (missing, surplus) => Err(format!("headers: {missing:?} is missing, {surplus:?} is surplus")),
    }
}

fn check_body(media_type: &str, ours: &[u8], theirs: &str) -> Result<(), String> {
    let ours = std::str::from_utf8(ours).map_err(|error| error.to_string())?;
    let (same, shown) = match media_type {
        "application/json" if !theirs.is_empty() => {
            let read = |text: &str| serde_json::from_str::<Value>(text).map(|value| even(&value)).ok();
            (read(ours).is_some() && read(ours) == read(theirs), theirs)
        }
        "application/x-www-form-urlencoded" => (pairs(ours) == pairs(theirs), theirs),
        _ => (ours == theirs, theirs),
    };
    if same { Ok(()) } else { Err(format!("body: {ours} not {shown}")) }
}

/// A form's pairs, in no order.
fn pairs(form: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(text.trim()).decode_utf8_lossy().into_owned();
    let mut pairs: Vec<_> = form
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect();
    pairs.sort();
    pairs
}
