//! Forms that have a shorter one which means the same.

use serde_json::{Map, Value};

use crate::compile::{Document, Violation};
use crate::names::same_name;

/// What of a file could be shorter. The file is one that compiles.
pub(super) fn of(document: &Document) -> Vec<Violation> {
    let Ok(Value::Object(file)) = serde_saphyr::from_str(&document.text) else { return Vec::new() };
    let service = file.get("service").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut found = Vec::new();
    default(&mut found, &[], &file, "scope", "region");
    default(&mut found, &[], &file, "consistency", "10s");
    let mut all: Vec<Violation> = told(found, document, &[], "");
    for (name, kind) in object(file.get("kinds")) {
        let found = of_kind(object(Some(kind)));
        all.extend(told(found, document, &["kinds", name], &format!("{service}/{name}")));
    }
    all
}

/// Keys that lead to a form, and what is to be said of it.
type Found = Vec<(Vec<String>, String)>;

fn told(found: Found, document: &Document, above: &[&str], kind: &str) -> Vec<Violation> {
    let violation = |(path, message): (Vec<String>, String)| {
        let path: Vec<&str> = above.iter().copied().chain(path.iter().map(String::as_str)).collect();
        document.violation(&path, kind, message)
    };
    found.into_iter().map(violation).collect()
}

fn of_kind(kind: &Map<String, Value>) -> Found {
    let mut found = Found::new();
    let api = object(kind.get("api"));
    for (name, call) in api {
        alone(&mut found, &["api", name], call, "op");
    }
    default(&mut found, &["api", "update"], object(api.get("update")), "send", "changed");
    let identity = object(kind.get("identity"));
    if let Some(lookup) = identity.get("lookup") {
        alone(&mut found, &["identity", "lookup"], lookup, "op");
    }
    for name in ["name", "within"] {
        one(&mut found, &["identity", name], identity.get(name));
    }
    for (member, sources) in object(identity.get("handle")) {
        one(&mut found, &["identity", "handle", member], Some(sources));
    }
    for (field, member) in object(kind.get("names")) {
        if member.as_str().is_some_and(|member| same_name(field, member)) {
            let message = format!("`{field}` finds its member without `names`: leave it out");
            found.push((path(&["names", field]), message));
        }
    }
    for (field, rule) in object(kind.get("fields")) {
        alone(&mut found, &["fields", field], rule, "role");
    }
    for (name, part) in object(kind.get("parts")) {
        of_part(&mut found, name, object(Some(part)));
    }
    for (name, call) in object(kind.get("tags")) {
        alone(&mut found, &["tags", name], call, "op");
    }
    default(&mut found, &["recover"], object(kind.get("recover")), "window", "5m");
    found
}

fn of_part(found: &mut Found, name: &str, part: &Map<String, Value>) {
    for shape in ["config", "switch", "table", "revisions"] {
        for (key, call) in object(part.get(shape)) {
            alone(found, &["parts", name, shape, key], call, "op");
        }
    }
    default(found, &["parts", name, "config", "put"], object(object(part.get("config")).get("put")), "send", "all");
    if let Some([Value::String(field)]) = part.get("fields").and_then(Value::as_array).map(Vec::as_slice) {
        found.push((path(&["parts", name, "fields"]), format!("a single one is `field: {field}`")));
    }
}

/// A mapping that says one thing, which can be said alone.
fn alone(found: &mut Found, at: &[&str], value: &Value, key: &str) {
    let mapping = object(Some(value));
    if let (1, Some(Value::String(word))) = (mapping.len(), mapping.get(key)) {
        found.push((path(at), format!("`{{{key}: {word}}}` is `{word}` for short")));
    }
}

/// A value that is the default.
fn default(found: &mut Found, at: &[&str], mapping: &Map<String, Value>, key: &str, usual: &str) {
    if mapping.get(key).and_then(Value::as_str) == Some(usual) {
        let mut at = path(at);
        at.push(key.to_owned());
        found.push((at, format!("`{key}: {usual}` is the default: leave it out")));
    }
}

/// A list of one name.
fn one(found: &mut Found, at: &[&str], value: Option<&Value>) {
    if let Some([Value::String(name)]) = value.and_then(Value::as_array).map(Vec::as_slice) {
        found.push((path(at), format!("`[{name}]` is `{name}` for short")));
    }
}

/// The mapping that a value is, else an empty one.
fn object(value: Option<&Value>) -> &Map<String, Value> {
    static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    value.and_then(Value::as_object).unwrap_or(&EMPTY)
}

fn path(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}
