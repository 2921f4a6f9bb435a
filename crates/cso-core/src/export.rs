//! Field exports: a value of one object, put under a key of a `ConfigMap` or Secret. What a `FieldExport` asks for, the paths
//! that it may use, and what a value looks like when it is exported. Pure; adapters store.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::key::ObjectKey;
use crate::path::{FieldPath, Segment};

/// API group of `FieldExport`, common to all services.
pub const GROUP: &str = "services.k8s.aws";
/// The kind.
pub const KIND: &str = "FieldExport";

/// Whether an object is a field export: it has no resource of its own.
pub fn is_export(key: &ObjectKey) -> bool {
    key.group == GROUP && key.kind == KIND
}

/// What a `FieldExport` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The object that has the value; in the namespace of the `FieldExport`.
    pub source: ObjectKey,
    /// Where the value is in it, for example `status.ackResourceMetadata.arn`.
    pub path: FieldPath,
    pub target: Target,
}

/// One key of a `ConfigMap` or Secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    pub kind: TargetKind,
    pub namespace: String,
    pub name: String,
    pub key: String,
}

/// What a value can be exported to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TargetKind {
    ConfigMap,
    Secret,
}

/// A value as it was exported. Held in the record of its `FieldExport`: the exported objects are all such values together.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exported {
    pub target: Target,
    pub value: String,
}

/// Why a `FieldExport` cannot be understood: a person must change it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct BadExport {
    /// For example `spec.from.path`.
    pub field: &'static str,
    pub message: String,
}

impl TargetKind {
    /// As Kubernetes spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }
}

impl Target {
    /// The object that the key is in.
    pub fn object(&self) -> ObjectKey {
        ObjectKey::new("", self.kind.name(), &self.namespace, &self.name)
    }
}

/// `ConfigMap default/app key "queue-url"`
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{} key \"{}\"", self.kind.name(), self.namespace, self.name, self.key)
    }
}

/// A value may be meant for a Secret, so it is not printed.
impl fmt::Debug for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exported").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Export {
    /// Reads the spec of a `FieldExport`.
    ///
    /// # Errors
    /// With the field that is missing or not understood.
    pub fn read(key: &ObjectKey, spec: &Value) -> Result<Self, BadExport> {
        let text = |pointer: &str| spec.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        let needed = |field: &'static str| {
            let pointer = field.trim_start_matches("spec").replace('.', "/");
            text(&pointer).ok_or_else(|| BadExport { field, message: "is missing".to_owned() })
        };
        let source = ObjectKey::new(
            needed("spec.from.resource.group")?,
            needed("spec.from.resource.kind")?,
            &key.namespace,
            needed("spec.from.resource.name")?,
        );
        let path =
            parse(needed("spec.from.path")?).map_err(|message| BadExport { field: "spec.from.path", message })?;
        let kind = match needed("spec.to.kind")? {
            "configmap" => TargetKind::ConfigMap,
            "secret" => TargetKind::Secret,
            other => {
                let message = format!("`{other}` is neither configmap nor secret");
                return Err(BadExport { field: "spec.to.kind", message });
            }
        };
        let name = needed("spec.to.name")?.to_owned();
        let namespace = text("/to/namespace").unwrap_or(&key.namespace).to_owned();
        let data_key =
            text("/to/key").map_or_else(|| format!("{}.{}", key.namespace, key.name), std::borrow::ToOwned::to_owned);
        if !is_data_key(&data_key) {
            let message = format!("`{data_key}` is not a key: use letters, digits, `-`, `_` and `.`");
            return Err(BadExport { field: "spec.to.key", message });
        }
        Ok(Self { source, path, target: Target { kind, namespace, name, key: data_key } })
    }
}

/// Reads the part of jq's paths that is supported: members as `.a` or `["a"]`, elements as `[0]`, one after the other.
///
/// # Errors
/// A sentence that names the place and what is not supported there.
pub fn parse(text: &str) -> Result<FieldPath, String> {
    const SUPPORTED: &str =
        "supported are members and elements, such as `.status.list[0].name` or `.spec.tags[\"a.b\"]`";
    let fail = |what: &str| Err(format!("`{text}`: {what}; {SUPPORTED}"));
    if !text.starts_with('.') {
        return fail("a path begins with `.`");
    }
    let mut path = FieldPath::root();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix(".[").or_else(|| rest.strip_prefix('[')) {
            let (segment, after) = match subscript(inner) {
                Ok(subscript) => subscript,
                Err(what) => return fail(&what),
            };
            path = path.with(segment);
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('.') {
            let end = inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inner.len());
            if end == 0 || inner.starts_with(|c: char| c.is_ascii_digit()) {
                return fail(match inner.chars().next() {
                    None if path.is_root() => "the whole object is not a value",
                    Some('.') => "`..` is not supported",
                    _ => "a name is missing after `.`",
                });
            }
            path = path.child(&inner[..end]);
            rest = &inner[end..];
        } else {
            let what = match rest.trim_start().chars().next() {
                Some('|') => "pipes and functions are not supported".to_owned(),
                Some('?') => "`?` is not supported".to_owned(),
                Some(other) => format!("`{other}` is not supported in a path; write a name with it as [\"...\"]"),
                None => "white space is not supported".to_owned(),
            };
            return fail(&what);
        }
    }
    Ok(path)
}

/// What is between brackets, and what follows them.
fn subscript(inner: &str) -> Result<(Segment, &str), String> {
    if inner.starts_with('"') {
        let mut values = serde_json::Deserializer::from_str(inner).into_iter::<String>();
        let Some(Ok(name)) = values.next() else { return Err("a text between `[` and `]` does not end".to_owned()) };
        let after = &inner[values.byte_offset()..];
        let after = after.strip_prefix(']').ok_or("`]` is missing after a text")?;
        return Ok((Segment::Name(name), after));
    }
    let (body, after) = inner.split_once(']').ok_or("`]` is missing")?;
    match body.parse::<usize>() {
        Ok(index) => Ok((Segment::Index(index), after)),
        Err(_) if body.is_empty() => Err("`[]`, all elements, is not supported: one value is exported".to_owned()),
        Err(_) if body.contains(':') => Err(format!("the slice `[{body}]` is not supported")),
        Err(_) if body.starts_with('-') => Err(format!("`[{body}]`: positions from the end are not supported")),
        Err(_) => Err(format!("`[{body}]` is neither a position nor a text in double quotes")),
    }
}

/// The value at a path as it is exported: the text itself, numbers and truth values as JSON writes them. `None` when there
/// is nothing, or null.
///
/// # Errors
/// A list or an object is not a value that can be exported.
pub fn value(object: &Value, path: &FieldPath) -> Result<Option<String>, String> {
    let mut here = object;
    for segment in path.segments() {
        let below = match segment {
            Segment::Name(name) => here.get(name),
            Segment::Index(index) => here.get(index),
            Segment::Each => None,
        };
        let Some(below) = below else { return Ok(None) };
        here = below;
    }
    match here {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Bool(_) | Value::Number(_) => Ok(Some(here.to_string())),
        Value::Array(_) => Err(format!("{path} is a list; only texts, numbers and truth values can be exported")),
        Value::Object(_) => Err(format!("{path} is an object; only texts, numbers and truth values can be exported")),
    }
}

/// What Kubernetes takes as a key of a `ConfigMap` or Secret.
fn is_data_key(key: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !key.is_empty() && key.len() <= 253 && key != "." && !key.starts_with("..") && key.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(spec: &Value) -> Result<Export, BadExport> {
        Export::read(&ObjectKey::new(GROUP, KIND, "shop", "url"), spec)
    }

    fn spec(path: &str, to: &Value) -> Value {
        let resource = json!({"group": "sqs.services.k8s.aws", "kind": "Queue", "name": "orders"});
        json!({"from": {"resource": resource, "path": path}, "to": to})
    }

    #[test]
    fn a_spec_is_read_with_acks_defaults() {
        let export = read(&spec(".status.queueURL", &json!({"kind": "configmap", "name": "app"}))).expect("sound");
        assert_eq!(export.source, ObjectKey::new("sqs.services.k8s.aws", "Queue", "shop", "orders"));
        assert_eq!(export.target.to_string(), "ConfigMap shop/app key \"shop.url\"");
        let to = json!({"kind": "secret", "name": "app", "namespace": "other", "key": "URL"});
        let export = read(&spec(".status.queueURL", &to)).expect("sound");
        assert_eq!(export.target.to_string(), "Secret other/app key \"URL\"");
        assert_eq!(export.target.object(), ObjectKey::new("", "Secret", "other", "app"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let field = |spec: &Value| read(spec).expect_err("not sound").field;
        assert_eq!(field(&json!({})), "spec.from.resource.group");
        assert_eq!(field(&spec("", &json!({}))), "spec.from.path");
        assert_eq!(field(&spec("status", &json!({}))), "spec.from.path");
        assert_eq!(field(&spec(".a", &json!({"kind": "ConfigMap", "name": "app"}))), "spec.to.kind");
        assert_eq!(field(&spec(".a", &json!({"kind": "secret"}))), "spec.to.name");
        assert_eq!(field(&spec(".a", &json!({"kind": "secret", "name": "a", "key": "a/b"}))), "spec.to.key");
    }

    #[test]
    fn members_and_elements_are_followed() {
        let object = json!({"a": {"b.c": [null, {"d": 7}], "e": true, "f": "", "g": null}});
        for (path, found) in [
            (".a[\"b.c\"][1].d", Some("7")),
            (".a.[\"b.c\"].[1][\"d\"]", Some("7")),
            (".[\"a\"].e", Some("true")),
            (".a.f", Some("")),
            (".a.g", None),
            (".a[\"b.c\"][0]", None),
            (".a[\"b.c\"][9].d", None),
            (".a[0]", None),
            (".a.e.x", None),
        ] {
            let path = parse(path).expect(path);
            assert_eq!(value(&object, &path).expect("a scalar").as_deref(), found, "{path}");
        }
        for path in [".a", ".a[\"b.c\"]"] {
            let error = value(&object, &parse(path).expect(path)).expect_err(path);
            assert!(error.ends_with("only texts, numbers and truth values can be exported"), "{error}");
        }
    }

    #[test]
    fn what_else_jq_knows_is_refused_by_name() {
        for (path, told) in [
            ("status.arn", "begins with `.`"),
            (".", "the whole object"),
            ("..", "`..` is not supported"),
            (".a..b", "`..` is not supported"),
            (".a.", "a name is missing"),
            (".a[]", "all elements"),
            (".a[1:2]", "the slice `[1:2]`"),
            (".a[-1]", "from the end"),
            (".a[x]", "neither a position nor a text"),
            (".a[\"x]", "does not end"),
            (".a[\"x\"", "`]` is missing"),
            (".a | length", "pipes and functions"),
            (".a?", "`?` is not supported"),
            (".a-b", "`-` is not supported"),
            (".a ", "white space"),
        ] {
            let error = parse(path).expect_err(path);
            assert!(error.contains(told) && error.contains("supported are members"), "{path}: {error}");
        }
    }

    #[test]
    fn a_value_is_not_printed() {
        let target = Target { kind: TargetKind::Secret, namespace: "n".into(), name: "s".into(), key: "k".into() };
        assert!(!format!("{:?}", Exported { target, value: "hunter2".into() }).contains("hunter2"));
    }
}
