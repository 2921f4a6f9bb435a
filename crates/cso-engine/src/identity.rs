//! A wish that gets another name while its resource exists, or may exist.
//!
//! Names lead to resources. Looking under the new name would find nothing, make a second resource and lose the first.
//! So the record keeps the name that the resource was made under, and the resource is looked for and deleted by that.

use std::sync::Arc;

use cso_core::{Record, Tree, Verb};
use cso_schema::kind::Kind;
use serde_json::{Map, Value};

/// A spec under the name it had, and how it would be called now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) spec: Arc<Value>,
    pub(crate) renamed: Option<Renamed>,
}

/// Another name for the same object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Renamed {
    /// Spec field.
    pub(crate) field: String,
    pub(crate) from: Value,
    pub(crate) to: Value,
}

impl Renamed {
    /// For people: what happened, and what to do about it.
    pub(crate) fn message(&self) -> String {
        format!(
            "spec.{} cannot be changed after creation ({} -> {}); put the old value back, or delete the object and create it anew",
            self.field, self.from, self.to
        )
    }
}

/// The wish with the identity that its resource has, if there is or may be one.
pub(crate) fn keep(kind: &Kind, record: Option<&Record>, spec: &Arc<Value>) -> Named {
    let fields = record.map_or_else(Vec::new, |record| fixed_fields(kind, record));
    let mut named = Named { spec: Arc::clone(spec), renamed: None };
    let Some(before) = record.map(|record| &record.wish.spec).filter(|before| before.is_object()) else { return named };
    for field in fields {
        let (from, to) = (value_of(before, &field), value_of(spec, &field));
        let is_place = kind.identity.within.iter().any(|path| path.to_string() == field);
        if from.is_null() && (!is_place || record.is_some_and(|record| record.late.get(&field) == Some(to))) {
            // An adopted resource may have its name from an annotation; and where the provider put it may be said later.
            continue;
        }
        if spelt(kind, &field, from) != spelt(kind, &field, to) && named.renamed.is_none() {
            named.renamed = Some(Renamed { field: field.clone(), from: from.clone(), to: to.clone() });
        }
        // Copied only where it says another name than the record.
        if from != to
            && let Value::Object(members) = Arc::make_mut(&mut named.spec)
        {
            put(members, &field, from);
        }
    }
    named
}

/// What identifies the resource: of one that is ours, its name and place, for only they are used to find it again; of one
/// whose create is open, also the natural key; and the references that stand for any of them.
fn fixed_fields(kind: &Kind, record: &Record) -> Vec<String> {
    let open = record.intent.as_ref().is_some_and(|intent| intent.verb == Verb::Create);
    let paths = match (record.ownership.is_ours(), open) {
        (true, _) => kind.address_fields().collect(),
        (false, true) => kind.identity_fields().into_iter().chain(&kind.identity.within).collect(),
        (false, false) => Vec::new(),
    };
    let references = kind.refs.iter().filter(|reference| paths.contains(&&reference.fills));
    let references: Vec<_> = references.map(|reference| &reference.field).collect();
    let fields = paths.into_iter().chain(references).filter_map(|path| path.split_first());
    fields.map(|(first, _)| first.to_owned()).collect()
}

fn value_of<'a>(spec: &'a Value, field: &str) -> &'a Value {
    spec.get(field).unwrap_or(&Value::Null)
}

/// The provider's spelling: with or without its prefix, a name is the same.
fn spelt(kind: &Kind, field: &str, value: &Value) -> Tree {
    let value = Tree::from(value);
    kind.fields.get(field).map_or_else(|| value.clone(), |field| field.lens.put(&value))
}

fn put(members: &mut Map<String, Value>, field: &str, value: &Value) {
    if value.is_null() {
        members.remove(field);
    } else {
        members.insert(field.to_owned(), value.clone());
    }
}

#[cfg(test)]
mod tests {
    use cso_core::{DigestKey, ObjectKey, Ownership};
    use cso_facts::Catalog;
    use serde_json::json;

    use super::*;

    /// A rule that was made without a word of the registry is in that of the account. Who says so later says nothing new.
    #[test]
    fn a_place_that_the_provider_chose_may_be_said_later() {
        let kinds = cso_schema::catalog::service_kinds(Catalog::builtin(), "ecr").expect("it compiles");
        let rule = kinds.iter().find(|kind| kind.name() == "PullThroughCacheRule").expect("a built-in kind");
        let digest = DigestKey::from_bytes([1; 32]).digest("spec", &Value::Null);
        let mut record =
            Record::new(ObjectKey::new("ecr.services.k8s.aws", "PullThroughCacheRule", "n", "a"), "u".into(), digest);
        record.ownership = Ownership::Created;
        record.wish.spec = Arc::new(json!({"ecrRepositoryPrefix": "quay"}));
        record.late = json!({"registryID": "111122223333"}).as_object().cloned().expect("members");
        let said = |registry: &str| {
            let spec = Arc::new(json!({"ecrRepositoryPrefix": "quay", "registryID": registry}));
            let named = keep(rule, Some(&record), &spec);
            (named.renamed.is_some(), named.spec == spec)
        };
        assert_eq!(said("111122223333"), (false, true));
        assert_eq!(said("444455556666"), (true, false), "it is not in that one");
    }
}
