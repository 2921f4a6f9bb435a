//! Secrets in manifests: values leave their file only when a call needs them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cso_core::port::{SecretError, Secrets};
use cso_core::{FieldPath, ObjectKey, SecretValue};
use serde_json::Value;

use super::{ManifestSet, files, identity, yaml};

/// What stands in the place of a value.
const REDACTED: &str = "(redacted)";

/// `kubectl apply` keeps a copy of the whole object in here.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

const FIELDS: [&str; 2] = ["data", "stringData"];

/// The secrets port over Secret manifests. Remembers files, never values: each value is read again when it is asked for.
#[derive(Debug)]
pub struct FileSecrets {
    default_namespace: String,
    /// By namespace and name.
    files: RwLock<BTreeMap<(String, String), PathBuf>>,
}

impl FileSecrets {
    /// The Secrets of a set that was loaded with this default namespace.
    pub fn new(set: &ManifestSet, default_namespace: &str) -> Self {
        Self { default_namespace: default_namespace.to_owned(), files: RwLock::new(files_of(set)) }
    }

    /// Goes over to a set that was loaded later.
    pub fn follow(&self, set: &ManifestSet) {
        *self.files.write().unwrap_or_else(PoisonError::into_inner) = files_of(set);
    }

    fn find(&self, file: &Path, key: &ObjectKey) -> Result<Option<Value>, String> {
        let text = files::read(file).map_err(|problem| problem.to_string())?;
        Ok(yaml::documents(&text)
            .into_iter()
            .filter(|document| document.faults.is_empty())
            .filter_map(|document| document.node)
            .find_map(|node| identity::find(node, key, &self.default_namespace)))
    }
}

impl Secrets for FileSecrets {
    async fn secret(&self, namespace: &str, name: &str, key: &str) -> Result<SecretValue, SecretError> {
        self.value(namespace, name, key)
    }
}

impl FileSecrets {
    /// The value of a key of a Secret manifest, as the port gives it.
    pub fn value(&self, namespace: &str, name: &str, key: &str) -> Result<SecretValue, SecretError> {
        let place = (namespace.to_owned(), name.to_owned());
        let missing = || SecretError::Missing { namespace: namespace.to_owned(), name: name.to_owned() };
        let unreadable = |why| SecretError::Unreadable { namespace: namespace.to_owned(), name: name.to_owned(), why };
        let known = self.files.read().unwrap_or_else(PoisonError::into_inner).get(&place).cloned();
        let file = known.ok_or_else(missing)?;
        let object = ObjectKey::new("", "Secret", namespace, name);
        let secret = self.find(&file, &object).map_err(unreadable)?.ok_or_else(missing)?;
        match secret.get("type").and_then(Value::as_str) {
            None | Some("Opaque") => {}
            Some(found) => {
                let (namespace, name) = place;
                return Err(SecretError::WrongType { namespace, name, found: found.to_owned() });
            }
        }
        match value(&secret, key) {
            Ok(Some(value)) => Ok(value),
            Ok(None) => {
                let (namespace, name) = place;
                Err(SecretError::NoKey { namespace, name, key: key.to_owned() })
            }
            Err(why) => Err(unreadable(format!("key `{key}` {why}"))),
        }
    }
}

fn files_of(set: &ManifestSet) -> BTreeMap<(String, String), PathBuf> {
    let secrets = set.manifests.iter().filter(|manifest| is_secret(&manifest.object.key));
    secrets
        .map(|manifest| {
            let key = &manifest.object.key;
            ((key.namespace.clone(), key.name.clone()), manifest.source.file.clone())
        })
        .collect()
}

pub(super) fn is_secret(key: &ObjectKey) -> bool {
    key.group.is_empty() && key.kind == "Secret"
}

/// The value of a key; `stringData` wins, as it does in a cluster.
fn value(secret: &Value, key: &str) -> Result<Option<SecretValue>, &'static str> {
    let of = |field: &str| secret.get(field).and_then(|values| values.get(key)).filter(|value| !value.is_null());
    if let Some(text) = of("stringData") {
        return text.as_str().map(|text| Some(SecretValue::new(text))).ok_or("is not a text");
    }
    let Some(encoded) = of("data") else { return Ok(None) };
    let bytes = decode(encoded.as_str().ok_or("is not a text")?)?;
    String::from_utf8(bytes).map(|text| Some(SecretValue::new(text))).map_err(|_| "is not UTF-8 text")
}

fn decode(encoded: &str) -> Result<Vec<u8>, &'static str> {
    // Encoders break lines; a cluster takes that too.
    let joined: String = encoded.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    STANDARD.decode(joined).map_err(|_| "is not base64")
}

/// What is wrong with the values of a Secret: path, message, help. Never a value.
pub(super) fn check(secret: &Value) -> Vec<(FieldPath, String, Option<String>)> {
    let mut wrong = Vec::new();
    for field in FIELDS {
        let path = FieldPath::root().child(field);
        let values = match secret.get(field) {
            None | Some(Value::Null) => continue,
            Some(Value::Object(values)) => values,
            Some(_) => {
                wrong.push((path, "must be a map of texts".to_owned(), None));
                continue;
            }
        };
        for (key, value) in values {
            let problem = match value.as_str() {
                None if value.is_null() => continue,
                None => Some(("must be a text", "put it in quotes")),
                Some(text) if field == "data" && decode(text).is_err() => {
                    Some(("must be base64", "or write the plain value under `stringData`"))
                }
                Some(_) => None,
            };
            if let Some((message, help)) = problem {
                wrong.push((path.child(key), message.to_owned(), Some(help.to_owned())));
            }
        }
    }
    wrong
}

/// Replaces the values of a Secret, also in the copy that `kubectl` leaves in an annotation.
pub(super) fn redact(secret: &mut Value, annotations: &mut BTreeMap<String, String>) {
    for field in FIELDS {
        match secret.get_mut(field) {
            Some(Value::Object(values)) => values.values_mut().for_each(|value| *value = REDACTED.into()),
            Some(other) => *other = REDACTED.into(),
            None => {}
        }
    }
    if let Some(copy) = secret.pointer_mut("/metadata/annotations").and_then(|found| found.get_mut(LAST_APPLIED)) {
        *copy = REDACTED.into();
    }
    if let Some(copy) = annotations.get_mut(LAST_APPLIED) {
        REDACTED.clone_into(copy);
    }
}
