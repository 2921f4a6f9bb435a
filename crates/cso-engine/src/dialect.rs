//! The ACK dialect: what its annotations ask for.

use std::collections::BTreeMap;

use cso_core::path::Segment;
use cso_core::{FieldPath, Object, Tree};
use cso_schema::kind::{Kind, OptionKind};
use cso_schema::names::nearest;
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
    /// Fields below `spec` whose differences are left alone once they were written: see [`ignored`].
    pub ignored: Vec<FieldPath>,
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

/// Reads the policies of an object: its own, else those of its namespace, else the `default`.
pub fn policies(object: &Object, default: Deletion) -> Result<Policies, BadAnnotation> {
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
        Some(text) => deletion(text).ok_or_else(|| bad("deletion-policy", text, NO_POLICY))?,
        None => inherited_deletion(object)?.unwrap_or(default),
    };
    let read_only = match get("read-only") {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(bad("read-only", other, "is neither true nor false")),
    };
    Ok(Policies { adoption, adoption_fields, deletion, read_only, take_back: false, ignored: Vec::new() })
}

const NO_POLICY: &str = "is neither delete nor retain";

fn deletion(text: &str) -> Option<Deletion> {
    match text {
        "delete" => Some(Deletion::Delete),
        "retain" => Some(Deletion::Retain),
        _ => None,
    }
}

/// A namespace says it for each service.
fn inherited_deletion(object: &Object) -> Result<Option<Deletion>, BadAnnotation> {
    let name = format!("{}.{PREFIX}deletion-policy", object.key.service());
    let Some(text) = object.inherits(&name) else { return Ok(None) };
    let bad = || BadAnnotation {
        name: format!("{name} of namespace {}", object.key.namespace),
        value: text.to_owned(),
        why: NO_POLICY.to_owned(),
    };
    deletion(text).map(Some).ok_or_else(bad)
}

/// Says, on an object or on its namespace, that nothing is to be done for it.
pub const PAUSED: &str = "service-operator.cloud/paused";

/// Whether nothing is to be done for an object, and where that is said: by itself, else by its namespace.
pub fn paused(object: &Object) -> Result<Option<String>, BadAnnotation> {
    let namespace = &object.key.namespace;
    let (text, place) = match (object.annotation(PAUSED), object.inherits(PAUSED)) {
        (Some(text), _) => (text, PAUSED.to_owned()),
        (None, Some(text)) => (text, format!("{PAUSED} of namespace {namespace}")),
        (None, None) => return Ok(None),
    };
    match text {
        "true" => Ok(Some(format!("paused by annotation {place}: nothing is called for it until that goes"))),
        "false" => Ok(None),
        _ => Err(BadAnnotation { name: place, value: text.to_owned(), why: "is neither true nor false".to_owned() }),
    }
}

/// The region that an object asks for, or else its namespace.
pub fn region(object: &Object) -> Option<&str> {
    object.annotation("services.k8s.aws/region").or_else(|| object.inherits("services.k8s.aws/default-region"))
}

/// The account that the resources of the object's namespace belong to, if it says one.
pub fn owner_account(object: &Object) -> Option<&str> {
    object.inherits("services.k8s.aws/owner-account-id")
}

/// Whether an annotation is for us, and worth remembering.
pub fn is_ours(annotation: &str) -> bool {
    annotation.contains(PREFIX) || annotation.starts_with("service-operator.cloud/")
}

/// What stands for something else in the value of a default tag.
pub const TOKENS: [&str; 7] = [
    "%CONTROLLER_SERVICE%",
    "%CONTROLLER_VERSION%",
    "%K8S_NAMESPACE%",
    "%K8S_RESOURCE_KIND%",
    "%K8S_RESOURCE_NAME%",
    "%KRO_VERSION%",
    "%MANAGED_BY%",
];

/// The tags that a resource gets besides its owner mark and the user's own; those whose value comes out empty are left out.
pub fn default_tags(
    kind: &Kind,
    object: &Object,
    version: &str,
    templates: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let label = |name: &str| object.labels.get(name).map_or("", String::as_str);
    let fill = |template: &str| {
        let values = [
            &kind.service,
            version,
            &object.key.namespace,
            &object.key.kind,
            &object.key.name,
            label("kro.run/kro-version"),
            label("app.kubernetes.io/managed-by"),
        ];
        let held = TOKENS.iter().zip(values).filter(|(token, _)| template.contains(**token));
        held.fold(template.to_owned(), |text, (token, value)| text.replace(token, value))
    };
    let own = [
        (format!("{PREFIX}controller-version"), "%CONTROLLER_SERVICE%-%CONTROLLER_VERSION%"),
        (format!("{PREFIX}namespace"), "%K8S_NAMESPACE%"),
    ];
    let own = own.iter().map(|(key, template)| (key, *template));
    let all = own.chain(templates.iter().map(|(key, template)| (key, template.as_str())));
    all.map(|(key, template)| (key.clone(), fill(template))).filter(|(_, value)| !value.is_empty()).collect()
}

/// The fields whose later differences are nobody's business, as paths below `spec`.
pub fn ignored(kind: &Kind, object: &Object) -> Result<Vec<FieldPath>, BadAnnotation> {
    let name = format!("{PREFIX}ignore-field-drift");
    let Some(text) = object.annotation(&name) else { return Ok(Vec::new()) };
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    words
        .map(|word| {
            let bad = |why| BadAnnotation { name: name.clone(), value: word.to_owned(), why };
            ignorable(kind, word).map_err(bad)
        })
        .collect()
}

/// The path of a field that may be ignored, or why it may not.
fn ignorable(kind: &Kind, text: &str) -> Result<FieldPath, String> {
    let path: FieldPath = text.parse().map_err(|error: cso_core::path::PathError| error.to_string())?;
    let Some((first, below)) = path.split_first() else { return Err("is not a path such as spec.tags".to_owned()) };
    if first != "spec" || below.is_root() {
        return Err(format!("is not below spec; did you mean `spec.{text}`?"));
    }
    let mut schema = &kind.surface.spec;
    for segment in below.segments() {
        let Segment::Name(step) = segment else {
            return Err("leads into a list: name the field that holds the list".to_owned());
        };
        if schema.items.is_some() || schema.additional.is_some() {
            return Err("leads into a list or a map: name the field that holds it".to_owned());
        }
        schema = schema.properties.get(step).ok_or_else(|| {
            let near = nearest(step, schema.properties.keys().map(String::as_str));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            format!("is not a field of {}: there is no `{step}`{hint}", kind.name())
        })?;
    }
    if kind.is_identity(below.split_first().map_or("", |(field, _)| field)) {
        return Err("says which resource it is, and cannot be ignored".to_owned());
    }
    // A reference stands for the value that it fills.
    Ok(kind.refs.iter().find(|reference| reference.field == below).map_or(below, |reference| reference.fills.clone()))
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
            spec.set(&FieldPath::root().child(name), Tree::text(value));
        }
    }
}

/// Status values that the adoption fields name: handles of the kind, below `status`.
pub fn adopted_status(kind: &Kind, fields: &BTreeMap<String, String>) -> Tree {
    let mut status = Tree::object();
    for (name, value) in fields {
        if name.eq_ignore_ascii_case("arn") {
            let arn = FieldPath::root().child("ackResourceMetadata").child("arn");
            status.set(&arn, Tree::text(value));
        } else if kind.surface.status.properties.contains_key(name) {
            status.set(&FieldPath::root().child(name), Tree::text(value));
        }
    }
    status
}

#[cfg(test)]
mod tests {
    use cso_core::ObjectKey;

    use super::*;

    fn object(own: Option<&str>, inherited: Option<&str>) -> Object {
        let said = |text: &str| (PAUSED.to_owned(), text.to_owned());
        Object {
            key: ObjectKey::new("sqs.services.k8s.aws", "Queue", "shop", "orders"),
            labels: BTreeMap::new(),
            annotations: own.map(said).into_iter().collect(),
            inherited: Some(inherited.map(said).into_iter().collect()),
            spec: Value::Null.into(),
            deleting: false,
            life: None,
        }
    }

    #[test]
    fn an_object_is_paused_by_itself_or_else_by_its_namespace() {
        let says = |own, inherited| paused(&object(own, inherited)).map(|message| message.is_some()).ok();
        assert_eq!(says(None, None), Some(false));
        assert_eq!(says(Some("true"), None), Some(true));
        assert_eq!(says(None, Some("true")), Some(true));
        assert_eq!(says(Some("false"), Some("true")), Some(false));
        // Who can tell what was meant? Nothing is done until somebody says.
        assert_eq!(says(Some("yes"), None), None);
        let message = paused(&object(None, Some("true"))).expect("a truth value").expect("paused");
        assert!(message.contains("of namespace shop"), "{message}");
    }
}
