//! An imported resource as a manifest, and what its object is called.

use std::collections::{BTreeMap, BTreeSet};

use cso_core::DigestKey;
use cso_engine::import::Found;
use cso_schema::kind::Kind;
use serde_json::{Value, json};

/// A manifest to write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Written {
    /// For example `sqs-queue-orders.yaml`.
    pub(crate) stem: String,
    pub(crate) value: Value,
    /// Secret fields that are in it as comments.
    pub(crate) secrets: Vec<String>,
}

/// The object of a found resource.
pub(crate) fn written(kind: &Kind, found: &Found, name: &str, namespace: Option<&str>) -> Written {
    let surface = &kind.surface;
    let mut metadata = json!({"name": name, "annotations": found.annotations});
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    let mut spec = found.spec.clone();
    let (required, optional): (Vec<&String>, Vec<&String>) =
        found.secrets.iter().partition(|field| surface.spec.required.contains(*field));
    for field in required {
        spec.insert(field.clone(), placeholder(name, field));
    }
    Written {
        stem: format!("{}-{}-{name}", kind.service, surface.kind.to_lowercase()),
        value: json!({
            "apiVersion": format!("{}/{}", surface.group, surface.version),
            "kind": surface.kind,
            "metadata": metadata,
            "spec": spec,
        }),
        secrets: optional.into_iter().cloned().collect(),
    }
}

/// A reference to a secret that somebody has yet to declare.
fn placeholder(name: &str, field: &str) -> Value {
    json!({"name": name, "key": field})
}

impl Written {
    /// The manifest as YAML; secret fields are comments at the end of the spec.
    pub(crate) fn yaml(&self) -> anyhow::Result<String> {
        let mut text = super::yaml(&self.value)?.trim_end().to_owned();
        let name = self.value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        for field in &self.secrets {
            text.push_str("\n  # Not imported: the value stays as it is, until a Secret is declared and this is said:");
            let reference = placeholder(name, field).to_string();
            text.extend(["\n  # ", field, ": ", &reference]);
        }
        text.push('\n');
        Ok(text)
    }
}

/// Names of objects for resources of one kind, each with what people call it and what tells it from all others. A name that
/// had to be changed and is not the only one of its form ends in a digest: names do not depend on what else there is. So does
/// one that is taken by an object of another resource.
pub(crate) fn names(resources: &[(&str, &str)], taken: &BTreeSet<&str>) -> Vec<String> {
    let safe: Vec<String> = resources.iter().map(|(name, _)| safe_name(name)).collect();
    let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
    for name in &safe {
        *uses.entry(name).or_default() += 1;
    }
    let named = |((called, identity), safe): (&(&str, &str), &String)| {
        let is_clear = safe == called || uses.get(safe.as_str()) == Some(&1);
        if is_clear && !taken.contains(safe.as_str()) {
            return safe.clone();
        }
        // Not a secret: the fixed key only makes the digest a digest.
        let digest = DigestKey::from_bytes([0; 32]).digest("name", &json!(identity)).to_string();
        format!("{safe}-{}", digest.get(..8).unwrap_or(&digest))
    };
    resources.iter().zip(&safe).map(named).collect()
}

/// Room for a digest in the 253 characters of a name.
const LONGEST: usize = 240;

/// The nearest name that Kubernetes allows.
fn safe_name(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' { c } else { '-' };
    let text: String = name.to_ascii_lowercase().chars().map(allowed).take(LONGEST).collect();
    let labels: Vec<&str> =
        text.split('.').map(|label| label.trim_matches('-')).filter(|label| !label.is_empty()).collect();
    if labels.is_empty() { "unnamed".to_owned() } else { labels.join(".") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_allowed_and_told_apart() {
        assert_eq!(safe_name("Team_Blue/Orders..fifo-"), "team-blue-orders.fifo");
        assert_eq!(safe_name("///"), "unnamed");
        let all = [("orders", "1"), ("Orders", "2"), ("ORDERS", "3"), ("Other", "4")];
        let nothing = BTreeSet::new();
        let named = names(&all, &nothing);
        assert_eq!((named[0].as_str(), named[3].as_str()), ("orders", "other"));
        assert!(named[1].starts_with("orders-") && named[2].starts_with("orders-") && named[1] != named[2]);
        let turned: Vec<_> = all.iter().rev().copied().collect();
        assert!(names(&turned, &nothing).iter().rev().eq(&named), "names depend on the order");
        let beside = names(&all, &BTreeSet::from(["other"]));
        assert!(beside[3].starts_with("other-") && beside[..3] == named[..3], "{beside:?}");
    }

    #[test]
    fn a_secret_is_a_comment() {
        let value = json!({"metadata": {"name": "db"}, "spec": {"name": "db"}});
        let text = Written { stem: String::new(), value: value.clone(), secrets: vec!["secretString".into()] }.yaml();
        let text = text.expect("YAML");
        assert!(text.contains("# secretString: {\"key\":\"secretString\",\"name\":\"db\"}"), "{text}");
        assert_eq!(serde_saphyr::from_str::<Value>(&text).expect("YAML"), value);
    }
}
