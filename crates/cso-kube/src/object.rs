//! The form of an object in Kubernetes, both ways: what it wishes for and what is remembered of it, and the patches that
//! make it say what is to be remembered. Pure.
//!
//! The form is that of the AWS Controllers for Kubernetes: finalizer, annotations, status. What they have no place for
//! stands in one annotation, sealed so that nobody can write another's resource into it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use cso_core::export;
use cso_core::object::Life;
use cso_core::{Condition, ConditionStatus, Digest, DigestKey, Exported, Object, ObjectKey, Ownership, Record, Rival};
use kube::core::DynamicObject;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::identity::Keys;
use crate::resources::Resource;
use crate::rows::Row;
use crate::store::FIELD_MANAGER;

/// What is remembered of an object, sealed.
pub const RECORD: &str = "service-operator.cloud/record";
/// Generation that the conditions are about; the published status has no place for it.
pub const OBSERVED: &str = "service-operator.cloud/observed-generation";
/// Written when a resource was adopted.
pub const ADOPTED: &str = "services.k8s.aws/adopted";

/// An object as it was read.
#[derive(Debug)]
pub struct Seen {
    pub object: Object,
    /// What is remembered of it: none of one that was never worked on.
    pub record: Option<Record>,
    /// The record stands on the object as this state wrote it.
    pub sealed: bool,
    pub row: Row,
}

impl Seen {
    /// The object as a record, of one that others work on: what was sealed into it, by whomever, is not looked at.
    pub fn told(self) -> Record {
        told(self.object, &self.row)
    }
}

/// What a write changes. Each is a JSON merge patch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Patches {
    /// Of metadata and spec.
    pub main: Option<Value>,
    /// Of the status.
    pub status: Option<Value>,
}

/// The record annotation's content.
#[derive(Serialize, Deserialize)]
struct Sealed {
    seal: Digest,
    record: Value,
}

/// The finalizer that holds an object until its resource is gone.
pub fn finalizer(key: &ObjectKey) -> String {
    match key.group.strip_suffix("services.k8s.aws") {
        Some(_) => format!("finalizers.{}/{}", key.group, key.kind),
        None => "service-operator.cloud/finalizer".to_owned(),
    }
}

/// The key of an object of this kind.
pub fn key(resource: &Resource, raw: &impl kube::Resource) -> ObjectKey {
    let metadata = raw.meta();
    let [namespace, name] = [&metadata.namespace, &metadata.name].map(|it| it.as_deref().unwrap_or_default());
    ObjectKey::new(&resource.group, &resource.kind, namespace, name)
}

/// What the server has of an object.
pub fn row(resource: &Resource, raw: &DynamicObject) -> Row {
    let metadata = &raw.metadata;
    let annotations = metadata.annotations.iter().flatten().filter(|(name, _)| is_note(name));
    let spec = raw.data.get("spec").and_then(Value::as_object);
    Row {
        uid: metadata.uid.clone().unwrap_or_default(),
        resource_version: metadata.resource_version.clone().unwrap_or_default(),
        generation: generation(raw),
        finalizers: metadata.finalizers.clone().unwrap_or_default(),
        notes: annotations.map(|(name, text)| (name.clone(), hash(text))).collect(),
        sealed: (resource.group == export::GROUP).then(|| sealed_in(raw)).flatten().map(str::to_owned),
        fields: spec.into_iter().flat_map(Map::keys).cloned().collect(),
        status: raw.data.get("status").filter(|status| status.is_object()).cloned().unwrap_or_else(|| json!({})),
        other: other(raw),
        rival: None,
    }
}

/// Who wrote the status last, of those who are not us.
fn other(raw: &DynamicObject) -> Option<Rival> {
    let entries = raw.metadata.managed_fields.iter().flatten();
    let of_status = entries.filter(|entry| entry.subresource.as_deref() == Some("status"));
    let rivals = of_status.filter_map(|entry| {
        let who = entry.manager.clone().filter(|manager| manager != FIELD_MANAGER)?;
        Some(Rival { who, at: entry.time.as_ref()?.0 })
    });
    rivals.max_by_key(|rival| rival.at)
}

/// The sealed record that an object carries.
fn sealed_in(raw: &DynamicObject) -> Option<&str> {
    raw.metadata.annotations.as_ref()?.get(RECORD).map(String::as_str)
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn generation(raw: &DynamicObject) -> u64 {
    raw.metadata.generation.and_then(|count| count.try_into().ok()).unwrap_or(1)
}

/// Reads an object. `inherited`: the annotations of its namespace.
pub fn read(resource: &Resource, raw: DynamicObject, inherited: BTreeMap<String, String>, keys: &Keys) -> Seen {
    let row = row(resource, &raw);
    let text = sealed_in(&raw).map(str::to_owned);
    let life = Life {
        uid: row.uid.clone(),
        began: raw.metadata.creation_timestamp.as_ref().map(|time| time.0).unwrap_or_default(),
        generation: row.generation,
        rival: None,
    };
    let DynamicObject { metadata, mut data, .. } = raw;
    let [namespace, name] = [metadata.namespace, metadata.name].map(Option::unwrap_or_default);
    let annotations = metadata.annotations.unwrap_or_default().into_iter();
    let labels = metadata.labels.unwrap_or_default().into_iter();
    let object = Object {
        key: ObjectKey::new(&resource.group, &resource.kind, &namespace, &name),
        labels: labels.filter(|(name, _)| is_told(name)).collect(),
        annotations: annotations.filter(|(name, _)| is_heard(name) && !is_note(name)).collect(),
        inherited: Some(inherited),
        spec: Arc::new(data.get_mut("spec").map(Value::take).filter(Value::is_object).unwrap_or_else(|| json!({}))),
        deleting: metadata.deletion_timestamp.is_some(),
        life: Some(life),
    };
    let remembered = text.and_then(|text| unseal(&text, &row.uid, keys));
    let sealed = remembered.is_some();
    let record = record(resource, &object, &row, remembered, keys);
    Seen { object, record, sealed, row }
}

/// An object as a record, to be shown and not to be acted on: its seal is not looked at, for whoever may see an object need
/// not be able to read the key.
pub fn shown(resource: &Resource, raw: DynamicObject) -> Record {
    let nobody = Keys { digest: nobodys_key() };
    let sealed = sealed_in(&raw).and_then(|text| serde_json::from_str::<Sealed>(text).ok());
    let Seen { object, row, .. } = read(resource, raw, BTreeMap::new(), &nobody);
    let members = sealed.and_then(|sealed| match sealed.record {
        Value::Object(members) => Some(members),
        _ => None,
    });
    let remembered = members.and_then(|members| restore(resource, &object, &row, members));
    let Some(mut record) = remembered else {
        let is_managed = is_managed(&object.key, &row);
        let mut record = told(object, &row);
        if is_managed {
            record.ownership = Ownership::TakenOver;
        }
        return record;
    };
    record.generation = row.generation;
    record.wish.spec = object.spec;
    record.wish.annotations = object.annotations;
    record.conditions = conditions(&row.status);
    record
}

/// What an object says of itself, as a record of a resource that nobody here made.
fn told(object: Object, row: &Row) -> Record {
    let digest = nobodys_key().digest("spec", &object.spec);
    let mut record = Record::new(object.key, row.uid.clone(), digest);
    record.created = object.life.map(|life| life.began);
    record.generation = row.generation;
    record.status = without_conditions(&row.status).as_object().cloned().unwrap_or_default();
    record.wish.spec = object.spec;
    record.wish.annotations = object.annotations;
    record.conditions = conditions(&row.status);
    record
}

/// For digests that nothing is compared with.
fn nobodys_key() -> DigestKey {
    DigestKey::from_bytes([0; 32])
}

/// Annotations that are ours to write and nobody's to be woken by.
fn is_note(annotation: &str) -> bool {
    matches!(annotation, RECORD | OBSERVED | ADOPTED)
}

/// Annotations that ask for something.
pub fn is_heard(annotation: &str) -> bool {
    annotation.contains("services.k8s.aws/") || annotation.starts_with("service-operator.cloud/")
}

/// Labels that default tags are made of.
fn is_told(label: &str) -> bool {
    label.starts_with("kro.run/") || label == "app.kubernetes.io/managed-by"
}

fn record(
    resource: &Resource,
    object: &Object,
    row: &Row,
    remembered: Option<Map<String, Value>>,
    keys: &Keys,
) -> Option<Record> {
    let mut record = match remembered {
        Some(members) => restore(resource, object, row, members)?,
        None => taken_over(object, row, keys)?,
    };
    record.conditions = conditions(&row.status);
    Some(record)
}

/// The record in a sealed annotation.
fn restore(resource: &Resource, object: &Object, row: &Row, mut members: Map<String, Value>) -> Option<Record> {
    let life = object.life.as_ref()?;
    let mut spec = Value::clone(&object.spec);
    if let Value::Object(spec) = &mut spec {
        // Its resource has the names that it had, whatever the object says by now.
        spec.retain(|field, _| !resource.identity.contains(field));
        if let Some(Value::Object(names)) = members.remove("names") {
            spec.extend(names);
        }
    }
    members.insert("key".to_owned(), json!(object.key));
    members.insert("uid".to_owned(), life.uid.as_str().into());
    members.insert("created".to_owned(), json!(life.began));
    members.insert("wish".to_owned(), json!({"spec": spec, "annotations": object.annotations}));
    members.entry("status").or_insert_with(|| without_conditions(&row.status));
    serde_json::from_value(Value::Object(members)).ok()
}

/// The record of an object that another controller of the same dialect has worked on.
fn taken_over(object: &Object, row: &Row, keys: &Keys) -> Option<Record> {
    if !row.finalizers.contains(&finalizer(&object.key)) {
        return None;
    }
    let life = object.life.as_ref()?;
    let mut record = Record::new(object.key.clone(), life.uid.clone(), keys.digest.digest("spec", &object.spec));
    record.created = Some(life.began);
    record.generation = life.generation;
    record.wish.spec = Arc::clone(&object.spec);
    record.wish.annotations = object.annotations.clone();
    record.status = without_conditions(&row.status).as_object().cloned().unwrap_or_default();
    if is_managed(&object.key, row) {
        record.ownership = Ownership::TakenOver;
    }
    Some(record)
}

/// Whether an object without a record of ours has a resource that is managed: by a controller of the same dialect.
fn is_managed(key: &ObjectKey, row: &Row) -> bool {
    row.finalizers.contains(&finalizer(key)) && has_made_one(&row.status)
}

/// Whether a status tells of a resource. Account and region are in it before there is one.
fn has_made_one(status: &Value) -> bool {
    let members = status.as_object().into_iter().flat_map(Map::keys);
    let is_synced =
        |condition: &Condition| condition.kind == "ACK.ResourceSynced" && condition.status == ConditionStatus::True;
    status.pointer("/ackResourceMetadata/arn").is_some()
        || members.filter(|name| !["ackResourceMetadata", "conditions"].contains(&name.as_str())).count() > 0
        || conditions(status).iter().any(is_synced)
}

fn without_conditions(status: &Value) -> Value {
    let mut status = status.clone();
    if let Value::Object(members) = &mut status {
        members.remove("conditions");
    }
    status
}

/// The conditions of a status, but for those that cannot be read.
fn conditions(status: &Value) -> Vec<Condition> {
    let all = status.get("conditions").and_then(Value::as_array);
    all.into_iter().flatten().filter_map(|condition| Condition::deserialize(condition).ok()).collect()
}

/// What stands of a record in the annotation: what can be read from the object is left out, such as a status that it shows.
fn sealed(resource: &Resource, record: &Record, row: &Row, is_shown: bool, keys: &Keys) -> Option<String> {
    let Ok(Value::Object(mut members)) = serde_json::to_value(record) else { return None };
    for of_the_object in ["key", "uid", "created", "wish", "conditions", "late"] {
        members.remove(of_the_object);
    }
    let names = resource.names(&record.wish.spec);
    if names.as_object().is_some_and(|names| !names.is_empty()) {
        members.insert("names".to_owned(), names);
    }
    if is_shown {
        members.remove("status");
    } else {
        members.entry("status").or_insert_with(|| json!({}));
    }
    let record = Value::Object(members);
    let seal = seal(&record, &row.uid, keys);
    serde_json::to_string(&Sealed { seal, record }).ok()
}

fn seal(record: &Value, uid: &str, keys: &Keys) -> Digest {
    keys.digest.digest(RECORD, &json!([uid, record]))
}

/// The content of an annotation that this state sealed for this object; nothing of any other.
fn unseal(text: &str, uid: &str, keys: &Keys) -> Option<Map<String, Value>> {
    let sealed: Sealed = serde_json::from_str(text).ok()?;
    if seal(&sealed.record, uid, keys) != sealed.seal {
        return None;
    }
    let Value::Object(members) = sealed.record else { return None };
    Some(members)
}

/// The patches that make an object say what a record remembers. An open intent goes out alone: what it knows of the
/// resource stands in the record until the call has ended.
pub fn patches(resource: &Resource, row: &Row, record: &Record, keys: &Keys) -> Patches {
    let mut status = record.status.clone();
    if !record.conditions.is_empty() {
        status.insert("conditions".to_owned(), json!(record.conditions));
    }
    let (known, status) = (&row.status, Value::Object(status));
    let judged = record.conditions != conditions(known);
    let is_due = judged || record.intent.is_none();
    let status = (is_due && status != *known).then(|| difference(known, &status));
    let is_shown = status.is_some() || Value::Object(record.status.clone()) == without_conditions(known);
    Patches { main: main(resource, row, record, is_shown, keys), status }
}

/// The JSON merge patch (RFC 7386) that makes one value of another: what differs, and nothing for what is to go.
fn difference(from: &Value, to: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (from, to) else { return to.clone() };
    let gone = before.keys().filter(|name| !after.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    let differs = after.iter().filter(|(name, value)| before.get(*name) != Some(value));
    let differs =
        differs.map(|(name, value)| (name.clone(), difference(before.get(name).unwrap_or(&Value::Null), value)));
    gone.chain(differs).collect()
}

fn main(resource: &Resource, row: &Row, record: &Record, is_shown: bool, keys: &Keys) -> Option<Value> {
    let mut metadata = Map::new();
    let mut notes: BTreeMap<&str, String> = BTreeMap::new();
    if let Some(sealed) = sealed(resource, record, row, is_shown, keys) {
        notes.insert(RECORD, sealed);
    }
    if record.observed > 0 {
        notes.insert(OBSERVED, record.observed.to_string());
    }
    if record.ownership == Ownership::Adopted {
        notes.insert(ADOPTED, "true".to_owned());
    }
    let differing: Map<String, Value> = notes
        .into_iter()
        .filter(|(name, text)| row.notes.get(*name) != Some(&hash(text)))
        .map(|(name, text)| (name.to_owned(), text.into()))
        .collect();
    if !differing.is_empty() {
        metadata.insert("annotations".to_owned(), differing.into());
    }
    let finalizer = finalizer(&record.key);
    let is_held = row.finalizers.contains(&finalizer);
    let is_needed = record.ownership.is_ours() || record.intent.is_some() || record.exported.is_some();
    if is_needed != is_held {
        let mut finalizers = row.finalizers.clone();
        finalizers.retain(|other| *other != finalizer);
        finalizers.extend(is_needed.then_some(finalizer));
        metadata.insert("finalizers".to_owned(), json!(finalizers));
    }
    let late: Map<String, Value> = late(row, record).map(|(field, value)| (field.clone(), value.clone())).collect();
    if metadata.is_empty() && late.is_empty() {
        return None;
    }
    let mut patch = json!({});
    // Another object of this name is not the one that this was decided for; and what was decided on an older version of it,
    // or replaces a list that others write to, must not go through.
    metadata.insert("uid".to_owned(), row.uid.as_str().into());
    if record.intent.is_some() || metadata.contains_key("finalizers") || !late.is_empty() {
        metadata.insert("resourceVersion".to_owned(), row.resource_version.as_str().into());
    }
    patch["metadata"] = metadata.into();
    if !late.is_empty() {
        patch["spec"] = late.into();
    }
    Some(patch)
}

/// What a record puts into the spec.
fn late<'a>(row: &Row, record: &'a Record) -> impl Iterator<Item = (&'a String, &'a Value)> {
    record.late.iter().filter(|(field, _)| !row.fields.contains(field))
}

/// Whether the spec has changed since a record was made that puts something into it: what the provider chose belongs into
/// the spec that it was chosen beside, and makes the next generation of that.
pub fn is_overtaken(row: &Row, record: &Record) -> bool {
    late(row, record).next().is_some() && row.generation + 1 != record.generation
}

/// What an object's record says was exported, and where to.
pub fn exported(row: &Row, keys: &Keys) -> Option<Exported> {
    let mut members = unseal(row.sealed.as_deref()?, &row.uid, keys)?;
    serde_json::from_value(members.remove("exported")?).ok()
}

/// The patch that lets go of an object: what the server's copy of it has of ours is taken off. `None` if there is nothing.
pub fn release(row: &Row, key: &ObjectKey) -> Option<Value> {
    let finalizer = finalizer(key);
    let notes: Map<String, Value> = row.notes.keys().map(|name| (name.clone(), Value::Null)).collect();
    let is_held = row.finalizers.contains(&finalizer);
    if notes.is_empty() && !is_held {
        return None;
    }
    let mut metadata = json!({"uid": row.uid, "resourceVersion": row.resource_version});
    if !notes.is_empty() {
        metadata["annotations"] = notes.into();
    }
    if is_held {
        let others: Vec<&String> = row.finalizers.iter().filter(|other| **other != finalizer).collect();
        metadata["finalizers"] = json!(others);
    }
    Some(json!({"metadata": metadata}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues() -> Resource {
        Resource {
            group: "sqs.services.k8s.aws".into(),
            version: "v1alpha1".into(),
            kind: "Queue".into(),
            plural: "queues".into(),
            identity: vec!["queueName".into()],
        }
    }

    fn queue(annotations: &Value) -> DynamicObject {
        let object = json!({
            "apiVersion": "sqs.services.k8s.aws/v1alpha1", "kind": "Queue",
            "metadata": {
                "name": "orders", "namespace": "shop", "uid": "u", "generation": 2, "resourceVersion": "9",
                "creationTimestamp": "1970-01-01T00:00:10Z", "annotations": annotations,
            },
            "spec": {"queueName": "orders"},
            "status": {"queueURL": "http://host/orders"},
        });
        serde_json::from_value(object).expect("an object")
    }

    /// Whoever may write an object of another kind must not make ours believe more than its status says.
    #[test]
    fn what_others_work_on_is_what_it_says() {
        let resource = queues();
        let keys = Keys { digest: DigestKey::from_bytes([1; 32]) };
        let bare = shown(&resource, queue(&json!({})));
        let owned = Record { ownership: Ownership::Created, ..bare };
        let text = sealed(&resource, &owned, &row(&resource, &queue(&json!({}))), true, &keys).expect("plain data");
        let mut raw = queue(&json!({RECORD: text}));
        raw.data["status"]["conditions"] = json!([{"type": "ACK.ResourceSynced", "status": "True"}]);
        let seen = read(&resource, raw, BTreeMap::new(), &keys);
        assert_eq!(seen.record.as_ref().map(|record| record.ownership.clone()), Some(Ownership::Created));
        let told = seen.told();
        assert_eq!((told.ownership, told.generation), (Ownership::None, 2));
        assert_eq!(told.status, *json!({"queueURL": "http://host/orders"}).as_object().expect("members"));
        let conditions: Vec<_> = told.conditions.iter().map(|it| (it.kind.as_str(), it.status)).collect();
        assert_eq!(conditions, [("ACK.ResourceSynced", ConditionStatus::True)], "without a time too");
    }

    /// What the provider chose for the spec of one generation makes the next of it, and goes into no other.
    #[test]
    fn what_the_provider_chose_goes_into_the_spec_that_it_was_chosen_beside() {
        let resource = queues();
        let keys = Keys { digest: DigestKey::from_bytes([1; 32]) };
        let raw = queue(&json!({}));
        let seen = row(&resource, &raw);
        let mut record = Record { generation: 3, ..shown(&resource, raw) };
        record.late = json!({"delaySeconds": "0"}).as_object().cloned().expect("members");
        let patch = patches(&resource, &seen, &record, &keys).main.expect("something to write");
        assert_eq!(
            (&patch["spec"], &patch["metadata"]["resourceVersion"]),
            (&json!({"delaySeconds": "0"}), &json!("9"))
        );
        assert!(!is_overtaken(&seen, &record));
        let edited = Row { generation: 3, ..seen.clone() };
        assert!(is_overtaken(&edited, &record));
        let written = Row { fields: vec!["delaySeconds".to_owned()], ..edited };
        assert!(!is_overtaken(&written, &record), "it is there");
    }

    /// Who only looks needs no key; who acts believes nothing that the key did not seal.
    #[test]
    fn a_record_is_shown_without_the_key_and_believed_only_with_it() {
        let resource = queues();
        let keys = |byte| Keys { digest: DigestKey::from_bytes([byte; 32]) };
        let bare = shown(&resource, queue(&json!({})));
        assert_eq!((bare.ownership.clone(), bare.generation), (Ownership::None, 2));
        assert_eq!(bare.status.get("queueURL"), Some(&json!("http://host/orders")));
        let owned = Record { ownership: Ownership::Created, ..bare };
        let text = sealed(&resource, &owned, &row(&resource, &queue(&json!({}))), true, &keys(1)).expect("plain data");
        let raw = queue(&json!({RECORD: text}));
        assert_eq!(shown(&resource, raw.clone()).ownership, Ownership::Created);
        let read_with = |byte| read(&resource, raw.clone(), BTreeMap::new(), &keys(byte)).record;
        assert_eq!(read_with(1).map(|record| record.ownership), Some(Ownership::Created));
        assert_eq!(read_with(2), None);
    }
}
