//! Compares a request with a case.

use cso_facts::api::{Service, ShapeId, ShapeKind};
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
        Some(body) => {
            let has_map = case.operation.input.is_some_and(|shape| reaches_map(case.service, shape, &mut Vec::new()));
            check_body(case.body["bodyMediaType"].as_str().unwrap_or_default(), &request.body, body, has_map)
        }
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
    check_query(case, request)?;
    same("host", &resolved, case.body["resolvedHost"].as_str().unwrap_or(host))
}

/// The pairs that must be in the query, all of them, and those that must not. A key without a value is one without `=`.
fn check_query(case: &Case<'_>, request: &WireRequest) -> Result<(), String> {
    let query = request.uri.split_once('?').map_or("", |(_, query)| query);
    let mut ours: Vec<_> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    let names = |list: &str| case.body[list].as_array().into_iter().flatten().filter_map(Value::as_str);
    let is_named = |name: &str| ours.iter().any(|pair| pair.split('=').next() == Some(name));
    if let Some(surplus) = names("forbidQueryParams").find(|name| is_named(name)) {
        return Err(format!("query: {surplus} is surplus in {query}"));
    }
    if let Some(missing) = names("requireQueryParams").find(|name| !is_named(name)) {
        return Err(format!("query: {missing} is missing in {query}"));
    }
    if case.body["queryParams"].is_null() {
        return Ok(());
    }
    let mut theirs: Vec<_> = names("queryParams").collect();
    ours.sort_unstable();
    theirs.sort_unstable();
    if ours == theirs { Ok(()) } else { Err(format!("query: {ours:?}, not {theirs:?}")) }
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

fn check_body(media_type: &str, ours: &[u8], theirs: &str, has_map: bool) -> Result<(), String> {
    let ours = std::str::from_utf8(ours).map_err(|error| error.to_string())?;
    let (same, shown) = match media_type {
        "application/json" if !theirs.is_empty() => {
            let read = |text: &str| serde_json::from_str::<Value>(text).map(|value| even(&value)).ok();
            (read(ours).is_some() && read(ours) == read(theirs), theirs)
        }
        "application/x-www-form-urlencoded" => (pairs(ours) == pairs(theirs), theirs),
        "application/xml" if !theirs.is_empty() => {
            (tree(ours, false) == tree(theirs, false) || has_map && tree(ours, true) == tree(theirs, true), theirs)
        }
        _ => (ours == theirs, theirs),
    };
    if same { Ok(()) } else { Err(format!("body: {ours} not {shown}")) }
}

/// Whether a map is somewhere below a shape. Its entries come in any order.
fn reaches_map(service: &Service, id: ShapeId, seen: &mut Vec<ShapeId>) -> bool {
    if seen.contains(&id) {
        return false;
    }
    seen.push(id);
    match &service.shape(id).kind {
        ShapeKind::Map { .. } => true,
        ShapeKind::List { member, .. } => reaches_map(service, member.shape, seen),
        ShapeKind::Structure { members, .. } => members.iter().any(|member| reaches_map(service, member.shape, seen)),
        _ => false,
    }
}

/// An XML document as names with namespaces, attributes and texts; without the white space between elements. Members of
/// a structure come in any order, items of a list in theirs.
fn tree(xml: &str, in_any_order: bool) -> Option<String> {
    let document = roxmltree::Document::parse(xml).ok()?;
    Some(element(document.root_element(), in_any_order))
}

fn element(node: roxmltree::Node<'_, '_>, in_any_order: bool) -> String {
    let mut namespaces: Vec<_> = node.namespaces().map(|it| format!("{:?}={}", it.name(), it.uri())).collect();
    let mut attributes: Vec<_> =
        node.attributes().map(|it| format!("{:?}:{}={:?}", it.namespace(), it.name(), it.value())).collect();
    namespaces.sort();
    attributes.sort();
    let elements = node.children().filter(roxmltree::Node::is_element);
    let mut children: Vec<_> = elements.map(|child| (child.tag_name().name(), element(child, in_any_order))).collect();
    if in_any_order {
        children.sort();
    } else {
        children.sort_by_key(|(name, _)| *name);
    }
    let text = if children.is_empty() { node.text().unwrap_or_default() } else { "" };
    format!("<{:?} {namespaces:?} {attributes:?} {text:?} {children:?}>", node.tag_name())
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
