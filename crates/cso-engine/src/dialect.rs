//! The ACK dialect: what its annotations ask for.

use std::collections::BTreeMap;

use cso_core::{Object, Tree};
use cso_schema::kind::{Kind, OptionKind};
use serde_json::Value;

/// Prefix of ACK's annotations and default tags.
pub const PREFIX: &str = "services.k8s.aws/";

/// Whether a tag is not the user's: AWS's own, or one that every controller writes.
pub fn is_system_tag(key: &str) -> bool {
    key.starts_with("aws:") || key.starts_with(PREFIX)
}

/// What the object's annotations ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    pub adoption: Option<Adoption>,
    /// Identifiers of the resource to adopt, laid into spec and status.
    pub adoption_fields: BTreeMap<String, String>,
    pub deletion: Deletion,
    pub read_only: bool,
    /// The user said `--take-back`: resources marked by a lost state for the same object are ours again.
    pub take_back: bool,
}

/// What to do about a resource that exists already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// It must exist.
    Adopt,
    /// It is made if it does not.
    AdoptOrCreate,
}

/// What a deleted object means for its resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deletion {
    #[default]
    Delete,
    Retain,
}

/// An annotation that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("annotation {name}: `{value}` {why}")]
pub struct BadAnnotation {
    pub name: String,
    pub value: String,
    pub why: String,
}

/// Reads the policies of an object.
pub fn policies(object: &Object) -> Result<Policies, BadAnnotation> {
    let bad = |name: &str, value: &str, why: &str| BadAnnotation {
        name: format!("{PREFIX}{name}"),
        value: value.to_owned(),
        why: why.to_owned(),
    };
    let get = |name: &str| object.annotation(&format!("{PREFIX}{name}"));
    let adoption = match get("adoption-policy") {
        None => None,
        Some("adopt") => Some(Adoption::Adopt),
        Some("adopt-or-create") => Some(Adoption::AdoptOrCreate),
        Some(other) => return Err(bad("adoption-policy", other, "is neither adopt nor adopt-or-create")),
    };
    let adoption_fields = match get("adoption-fields") {
        None => BTreeMap::new(),
        Some(text) => {
            serde_json::from_str(text).map_err(|_| bad("adoption-fields", text, "is not a JSON object of strings"))?
        }
    };
    let deletion = match get("deletion-policy") {
        None | Some("delete") => Deletion::Delete,
        Some("retain") => Deletion::Retain,
        Some(other) => return Err(bad("deletion-policy", other, "is neither delete nor retain")),
    };
    let read_only = match get("read-only") {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(bad("read-only", other, "is neither true nor false")),
    };
    Ok(Policies { adoption, adoption_fields, deletion, read_only, take_back: false })
}

/// The region an object asks for, if it does.
pub fn region(object: &Object) -> Option<&str> {
    object.annotation("services.k8s.aws/region")
}

/// Values of the kind's options, typed and in range.
pub fn options(kind: &Kind, object: &Object) -> Result<BTreeMap<String, Value>, BadAnnotation> {
    let mut values = BTreeMap::new();
    for (name, rule) in &kind.options {
        let bad =
            |value: &str, why: String| BadAnnotation { name: rule.annotation.clone(), value: value.to_owned(), why };
        let value = match (object.annotation(&rule.annotation), &rule.kind) {
            (None, _) => rule.default.clone(),
            (Some(text), OptionKind::Integer { min, max }) => match text.parse::<i64>() {
                Ok(number) if (*min..=*max).contains(&number) => Some(number.into()),
                _ => return Err(bad(text, format!("is not a whole number from {min} to {max}"))),
            },
            (Some(text), OptionKind::Boolean) => match text {
                "true" => Some(true.into()),
                "false" => Some(false.into()),
                _ => return Err(bad(text, "is neither true nor false".to_owned())),
            },
        };
        values.extend(value.map(|value| (name.clone(), value)));
    }
    Ok(values)
}

/// Puts the names that the adoption fields give where the wish leaves them open. Only with `adopt`: what may have to be
/// made must be wished for in full.
pub fn name_adopted(kind: &Kind, policies: &Policies, spec: &mut Tree) {
    if policies.adoption != Some(Adoption::Adopt) {
        return;
    }
    for (name, value) in &policies.adoption_fields {
        let is_open = spec.member(name).is_none_or(Tree::is_null);
        if is_open && kind.surface.spec.properties.contains_key(name) {
            spec.set(&cso_core::FieldPath::root().child(name), Tree::text(value));
        }
    }
}

/// Status values that the adoption fields name: handles of the kind, below `status`.
pub fn adopted_status(kind: &Kind, fields: &BTreeMap<String, String>) -> Tree {
    let mut status = Tree::object();
    for (name, value) in fields {
        if name.eq_ignore_ascii_case("arn") {
            let arn = cso_core::FieldPath::root().child("ackResourceMetadata").child("arn");
            status.set(&arn, Tree::text(value));
        } else if kind.surface.status.properties.contains_key(name) {
            status.set(&cso_core::FieldPath::root().child(name), Tree::text(value));
        }
    }
    status
}
