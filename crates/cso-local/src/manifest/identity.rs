//! From a document to a manifest: which object it is, and whether it may be called that.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use cso_core::{FieldPath, Object, ObjectKey};
use cso_schema::names::nearest;
use cso_schema::validate::named_type;
use serde_json::{Map, Value};

use super::secrets;
use super::yaml::{Node, Places};
use super::{ApiVersion, Manifest, Position, Problem, Source};

/// A manifest that may still be refused.
pub(super) struct Draft {
    source: Source,
    raw: Value,
    places: Places,
    api_version: Option<ApiVersion>,
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    pub(super) problems: Vec<Problem>,
}

/// The drafts of a document: one, or those of the elements of a list.
pub(super) fn drafts(node: Node, file: &Path, default_namespace: &str) -> Vec<Draft> {
    match into_elements(node) {
        Ok(elements) => elements.into_iter().flat_map(|node| drafts(node, file, default_namespace)).collect(),
        Err(node) => vec![Draft::new(node, file, default_namespace)],
    }
}

/// The document, or element of a list in it, that declares an object. Its values are as written.
pub(super) fn find(node: Node, key: &ObjectKey, default_namespace: &str) -> Option<Value> {
    match into_elements(node) {
        Ok(elements) => elements.into_iter().find_map(|node| find(node, key, default_namespace)),
        Err(Node { value, .. }) => {
            let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
            let group = text("/apiVersion")?.split_once('/').map_or("", |(group, _)| group);
            let namespace = text("/metadata/namespace").unwrap_or(default_namespace);
            let found = ObjectKey::new(group, text("/kind")?, namespace, text("/metadata/name")?);
            (found == *key).then_some(value)
        }
    }
}

/// Takes a `List` or `...List` apart. Elements of a typed list need not repeat its type.
fn into_elements(node: Node) -> Result<Vec<Node>, Node> {
    let kind = node.value.get("kind").and_then(Value::as_str).and_then(|kind| kind.strip_suffix("List"));
    let Some((element_kind, Value::Array(_))) = kind.zip(node.value.get("items")) else { return Err(node) };
    let element_kind = element_kind.to_owned();
    let Node { mut value, places } = node;
    let api_version = value["apiVersion"].take();
    let Value::Array(items) = value["items"].take() else { return Ok(Vec::new()) };
    let typed = |mut value: Value| {
        if let Value::Object(fields) = &mut value
            && !element_kind.is_empty()
        {
            fields.entry("apiVersion").or_insert_with(|| api_version.clone());
            fields.entry("kind").or_insert_with(|| element_kind.clone().into());
        }
        value
    };
    let places = places.into_elements_of("items");
    Ok(items.into_iter().zip(places).map(|(value, places)| Node { value: typed(value), places }).collect())
}

impl Draft {
    fn new(node: Node, file: &Path, default_namespace: &str) -> Self {
        let Node { value, places } = node;
        let source = Source { file: file.to_owned(), line: places.begin().line };
        let mut draft = Self {
            source,
            raw: value,
            places,
            api_version: None,
            kind: None,
            namespace: None,
            name: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            problems: Vec::new(),
        };
        match std::mem::take(&mut draft.raw) {
            Value::Object(fields) => {
                draft.identify(&fields, default_namespace);
                draft.raw = Value::Object(fields);
                draft.keep_secrets();
            }
            other => {
                draft.problem(&FieldPath::root(), format!("a manifest is a map, not {}", named_type(&other)), None);
            }
        }
        draft
    }

    /// Where the object begins.
    pub(super) fn begin(&self) -> Position {
        self.places.begin()
    }

    /// The object's key, once all of it is known: part of a key would name another object.
    pub(super) fn key(&self) -> Option<ObjectKey> {
        let group = &self.api_version.as_ref()?.group;
        Some(ObjectKey::new(group, self.kind.as_ref()?, self.namespace.as_ref()?, self.name.as_ref()?))
    }

    /// The manifest, or what is wrong with it.
    pub(super) fn finish(self) -> Result<Manifest, Vec<Problem>> {
        let (key, api_version) = match (self.key(), self.api_version) {
            (Some(key), Some(api_version)) if self.problems.is_empty() => (key, api_version),
            _ => return Err(self.problems),
        };
        let spec = self.raw.get("spec").filter(|spec| !spec.is_null()).cloned();
        let object = Object {
            key,
            labels: self.labels,
            annotations: self.annotations,
            inherited: None,
            life: None,
            spec: Arc::new(spec.unwrap_or_else(|| Value::Object(Map::new()))),
            deleting: false,
        };
        Ok(Manifest { object, api_version, source: self.source, raw: self.raw, places: self.places })
    }

    fn identify(&mut self, fields: &Map<String, Value>, default_namespace: &str) {
        let root = FieldPath::root();
        if !["apiVersion", "kind", "metadata"].iter().any(|name| fields.contains_key(*name)) {
            let help = Some("move other files out of the directory".to_owned());
            return self.problem(&root, "is not a manifest: it has no apiVersion, kind or metadata".to_owned(), help);
        }
        let api_version = self.required(fields, "apiVersion", &root, "group/version, for example `v1`", is_api_version);
        self.api_version = api_version.map(|text| match text.split_once('/') {
            Some((group, version)) => ApiVersion { group: group.to_owned(), version: version.to_owned() },
            None => ApiVersion { group: String::new(), version: text },
        });
        self.kind = self.required(fields, "kind", &root, "letters and digits, for example `Queue`", is_kind);

        let path = root.child("metadata");
        let metadata = match fields.get("metadata") {
            Some(Value::Object(metadata)) => metadata,
            Some(other) => return self.wrong_type(&path, "a map", other),
            None => return self.missing(&root, "metadata", fields),
        };
        self.name = if metadata.contains_key("generateName") && !metadata.contains_key("name") {
            let help = Some("give it a `name`: without a cluster nobody makes one up".to_owned());
            self.problem(&path.child("generateName"), "an object needs a fixed name".to_owned(), help);
            None
        } else {
            self.required(metadata, "name", &path, SUBDOMAIN, is_subdomain)
        };
        self.namespace = match metadata.get("namespace") {
            None | Some(Value::Null) => Some(default_namespace.to_owned()),
            Some(_) => self.required(metadata, "namespace", &path, LABEL, is_label),
        };
        self.labels = self.texts(metadata, "labels", &path);
        self.annotations = self.texts(metadata, "annotations", &path);
        for (name, value) in self.labels.clone() {
            let at = path.child("labels").child(&name);
            self.check_qualified(&at, &name);
            if !is_label_value(&value) {
                self.problem(&at, format!("`{value}` is not a label value"), Some(format!("use {LABEL_VALUE}")));
            }
        }
        for name in self.annotations.clone().keys() {
            // Kubernetes lets annotations, and only them, be spelt in capitals.
            self.check_qualified(&path.child("annotations").child(name), &name.to_ascii_lowercase());
        }
        // Problems found before the name was known get it now.
        let key = self.key();
        for problem in &mut self.problems {
            problem.object.clone_from(&key);
        }
    }

    /// Takes the values out of a Secret: they are read again when they are needed.
    fn keep_secrets(&mut self) {
        if !self.key().is_some_and(|key| secrets::is_secret(&key)) {
            return;
        }
        for (path, message, help) in secrets::check(&self.raw) {
            self.problem(&path, message, help);
        }
        secrets::redact(&mut self.raw, &mut self.annotations);
    }

    /// A text that must be there and of a form.
    fn required(
        &mut self,
        fields: &Map<String, Value>,
        name: &str,
        inside: &FieldPath,
        form: &str,
        is_valid: fn(&str) -> bool,
    ) -> Option<String> {
        let path = inside.child(name);
        match fields.get(name) {
            None | Some(Value::Null) => self.missing(inside, name, fields),
            Some(Value::String(text)) if is_valid(text) => return Some(text.clone()),
            Some(Value::String(text)) => {
                self.problem(&path, format!("`{text}` is not allowed"), Some(format!("use {form}")));
            }
            Some(other) => self.wrong_type(&path, "a text", other),
        }
        None
    }

    /// A map of texts that may be left out.
    fn texts(&mut self, fields: &Map<String, Value>, name: &str, inside: &FieldPath) -> BTreeMap<String, String> {
        let path = inside.child(name);
        let mut texts = BTreeMap::new();
        match fields.get(name) {
            None | Some(Value::Null) => {}
            Some(Value::Object(members)) => {
                for (name, value) in members {
                    match value {
                        Value::String(text) => drop(texts.insert(name.clone(), text.clone())),
                        other => self.wrong_type(&path.child(name), "a text", other),
                    }
                }
            }
            Some(other) => self.wrong_type(&path, "a map of texts", other),
        }
        texts
    }

    fn check_qualified(&mut self, path: &FieldPath, name: &str) {
        if !is_qualified(name) {
            self.problem(path, format!("`{name}` is not allowed as a name"), Some(format!("use {QUALIFIED}")));
        }
    }

    fn missing(&mut self, inside: &FieldPath, name: &str, fields: &Map<String, Value>) {
        let meant = nearest(name, fields.keys().map(String::as_str)).filter(|meant| *meant != name);
        let at = meant.map_or_else(|| inside.child(name), |meant| inside.child(meant));
        let help = meant.map(|meant| format!("did you mean it by `{meant}`?"));
        let at = self.places.find(&at);
        self.push(at, &inside.child(name), "is missing".to_owned(), help);
    }

    fn wrong_type(&mut self, path: &FieldPath, expected: &str, found: &Value) {
        let quotable = expected == "a text" && (found.is_number() || found.is_boolean());
        let help = quotable.then(|| "put it in quotes".to_owned());
        self.problem(path, format!("must be {expected}, not {}", named_type(found)), help);
    }

    fn problem(&mut self, path: &FieldPath, message: String, help: Option<String>) {
        self.push(self.places.find(path), path, message, help);
    }

    fn push(&mut self, at: Position, path: &FieldPath, message: String, help: Option<String>) {
        let problem = Problem::at(&self.source.file, at, message);
        self.problems.push(Problem { object: self.key(), path: Some(path.clone()), help, ..problem });
    }
}

const SUBDOMAIN: &str =
    "lower-case letters, digits, `-` and `.`, a letter or digit at each end, at most 253 characters";
const LABEL: &str = "lower-case letters, digits and `-`, a letter or digit at each end, at most 63 characters";
const QUALIFIED: &str = "letters, digits, `-`, `_` and `.`, at most 63 characters, with an optional `domain/` in front";
const LABEL_VALUE: &str = "letters, digits, `-`, `_` and `.`, a letter or digit at each end, at most 63 characters";

/// RFC 1123 label, as Kubernetes wants it.
fn is_label(text: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    text.len() <= 63 && text.bytes().all(allowed) && has_alphanumeric_ends(text)
}

/// RFC 1123 subdomain: labels with dots between them, of any length in all but 253.
fn is_subdomain(text: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    text.len() <= 253 && text.split('.').all(|part| part.bytes().all(allowed) && has_alphanumeric_ends(part))
}

fn is_qualified(text: &str) -> bool {
    match text.split_once('/') {
        Some((domain, name)) => is_subdomain(domain) && !name.is_empty() && is_label_value(name),
        None => !text.is_empty() && is_label_value(text),
    }
}

fn is_label_value(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.is_empty() || (text.len() <= 63 && text.bytes().all(allowed) && has_alphanumeric_ends(text))
}

fn is_kind(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_api_version(text: &str) -> bool {
    match text.split_once('/') {
        Some((group, version)) => is_subdomain(group) && is_label(version),
        None => is_label(text),
    }
}

fn has_alphanumeric_ends(text: &str) -> bool {
    let ends = [text.bytes().next(), text.bytes().next_back()];
    ends.iter().all(|end| end.is_some_and(|byte| byte.is_ascii_alphanumeric()))
}
