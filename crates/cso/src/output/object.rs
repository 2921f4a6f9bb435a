//! A record in the shape of a Kubernetes object, and the cells that printer columns take from it.

use cso_core::Record;
use cso_facts::surface::{Column, Surface};
use jiff::Timestamp;
use serde_json::{Map, Value};

/// The object as `kubectl get -o yaml` would show it.
pub(crate) fn object(record: &Record, surface: Option<&Surface>) -> Value {
    cso_engine::object::shown(record, surface.map_or("", |surface| &surface.version))
}

/// What a column shows of an object at `now`.
pub(crate) fn cell(object: &Value, column: &Column, now: Timestamp) -> String {
    match at(object, &column.json_path) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) if column.column_type == "date" => {
            text.parse().map_or_else(|_| text.clone(), |time| age(time, now))
        }
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// How long ago, in one or two units: `45s`, `12m`, `5h`, `3d`.
pub(crate) fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The value at a path of the `JSONPath` dialect that printer columns use: names, positions, and one test for equality.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let mut here = value;
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (test, after) = inner.split_once(']')?;
            here = element(here, test)?;
            rest = after;
        } else {
            let (name, after) = name(rest.strip_prefix('.').unwrap_or(rest));
            here = here.get(&name)?;
            rest = after;
        }
    }
    Some(here)
}

/// An element by position, or the first that passes a test such as `?(@.type=="Ready")`.
fn element<'a>(list: &'a Value, test: &str) -> Option<&'a Value> {
    let list = list.as_array()?;
    if let Ok(index) = test.parse::<usize>() {
        return list.get(index);
    }
    let (member, wanted) = test.strip_prefix("?(@.")?.strip_suffix(')')?.split_once("==")?;
    let wanted = wanted.trim().trim_matches(['"', '\'']);
    list.iter().find(|element| element.get(member.trim()).and_then(Value::as_str) == Some(wanted))
}

/// A name up to the next `.` or `[`; a backslash takes the next character as it is.
fn name(path: &str) -> (String, &str) {
    let mut name = String::new();
    let mut characters = path.char_indices();
    while let Some((position, character)) = characters.next() {
        match character {
            '.' | '[' => return (name, &path[position..]),
            '\\' => name.extend(characters.next().map(|(_, escaped)| escaped)),
            other => name.push(other),
        }
    }
    (name, "")
}

/// Lists of objects as one value.
pub(crate) fn list(items: Vec<Value>) -> Value {
    let mut list = Map::new();
    list.insert("apiVersion".to_owned(), "v1".into());
    list.insert("kind".to_owned(), "List".into());
    list.insert("items".to_owned(), items.into());
    Value::Object(list)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_find_their_values() {
        let object = json!({
            "spec": {"a.b": 1, "list": [{"x": "first"}]},
            "status": {"conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]},
        });
        for (path, found) in [
            (".status.conditions[?(@.type==\"Ready\")].status", Some(json!("True"))),
            (".status.conditions[?(@.type==\"None\")].status", None),
            (".spec.list[0].x", Some(json!("first"))),
            (".spec.a\\.b", Some(json!(1))),
            (".spec.list[", None),
            (".nothing.here", None),
        ] {
            assert_eq!(at(&object, path), found.as_ref(), "{path}");
        }
    }

    #[test]
    fn ages_are_short() {
        let ago = |seconds| age(Timestamp::UNIX_EPOCH, Timestamp::from_second(seconds).expect("a time"));
        assert_eq!([ago(0), ago(119), ago(120), ago(7_200), ago(172_800)], ["0s", "119s", "2m", "2h", "2d"]);
    }
}
