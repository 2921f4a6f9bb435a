//! Field exports: what to write for one, and what all of them have written. Pure; the turn that writes is in `engine`.

use std::collections::BTreeMap;

use cso_core::export::{Export, Exported, Target, TargetKind, is_export};
use cso_core::path::{FieldPath, Segment};
use cso_core::{ErrorClass, Object, ObjectKey, Record, export};
use cso_facts::surface::{Schema, SchemaType, Surface};
use cso_schema::names::nearest;
use serde_json::Value;

use crate::object;
use crate::resolve::{hidden, is_synced};

/// Why nothing can be exported now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unexported {
    /// The source is not there, not synced, or has no such value yet: woken when it settles.
    Waits { on: ObjectKey, message: String },
    /// A person must change something.
    Refused { class: ErrorClass, message: String },
}

/// Where exports lead and what is known of their sources.
pub struct Surroundings<'a> {
    /// The record of the source, if it has one.
    pub source: Option<&'a Record>,
    /// Nobody can say whether there is a source.
    pub hidden: bool,
    /// Another export that writes the same key.
    pub rival: Option<&'a ObjectKey>,
    /// Exports may lead into other namespaces.
    pub cross_namespace: bool,
}

/// What a field export is to write now.
pub fn exported(object: &Object, export: &Export, around: &Surroundings<'_>) -> Result<Exported, Unexported> {
    let refused = |message| Err(Unexported::Refused { class: ErrorClass::Invalid, message });
    let Export { source, path, target } = export;
    if target.namespace != object.key.namespace && !around.cross_namespace {
        return refused(format!(
            "spec.to.namespace leads into namespace {}; that is refused unless --allow-cross-namespace is given",
            target.namespace
        ));
    }
    if let Some(rival) = around.rival {
        return refused(format!("{target} is written by {rival} already: give spec.to.key another name"));
    }
    let waits = |message| Err(Unexported::Waits { on: source.clone(), message });
    if around.source.is_none() && around.hidden {
        return waits(format!("waits for {}", hidden(source)));
    }
    let Some(record) = around.source else { return waits(format!("waits for {source}, which is not there yet")) };
    if !is_synced(record) {
        return waits(format!("waits for {source} to be synced"));
    }
    match export::value(&object::shown(record, ""), path) {
        Ok(Some(value)) => Ok(Exported { target: target.clone(), value }),
        Ok(None) => waits(format!("waits for {source} to have {path}")),
        Err(message) => refused(format!("spec.from.path: {source}: {message}")),
    }
}

/// Whether a path leads to a single value of a kind. Nothing else can be waited for.
///
/// # Errors
/// What is wrong, and what helps if that is known.
pub fn leads_to_value(surface: &Surface, path: &FieldPath) -> Result<(), (String, Option<String>)> {
    let Some((root, below)) = path.split_first() else { return Err(("an object has no elements".to_owned(), None)) };
    let mut here: &Schema = match root {
        "spec" => &surface.spec,
        "status" => &surface.status,
        // What every object has.
        "metadata" | "kind" | "apiVersion" => return Ok(()),
        other => {
            let help = nearest(other, ["spec", "status", "metadata"]).map(|near| format!("did you mean `.{near}`?"));
            return Err((format!("has no `.{other}`"), help));
        }
    };
    for segment in below.segments() {
        let next = match segment {
            Segment::Name(name) => here.properties.get(name).or(here.additional.as_deref()),
            Segment::Index(_) | Segment::Each => here.items.as_deref(),
        };
        here = match next {
            Some(next) => next,
            None if here.preserve_unknown => return Ok(()),
            None => {
                let known = here.properties.keys().map(String::as_str);
                let help = match segment {
                    Segment::Name(name) => nearest(name, known).map(|near| format!("did you mean `{near}`?")),
                    Segment::Index(_) | Segment::Each => None,
                };
                return Err((format!("there is nothing at `.{path}`"), help));
            }
        };
    }
    match here.schema_type {
        SchemaType::Array => Err((format!("`.{path}` is a list"), Some("export one of its elements".to_owned()))),
        SchemaType::Object if !here.preserve_unknown => {
            Err((format!("`.{path}` is an object"), Some("export one of its members".to_owned())))
        }
        _ => Ok(()),
    }
}

/// A `ConfigMap` or Secret that exports have filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedObject {
    /// `ConfigMap` or `Secret` of the core group.
    pub key: ObjectKey,
    pub kind: TargetKind,
    /// By key: the export that wrote it, and its value.
    pub data: BTreeMap<String, Entry>,
}

/// One key of an exported object.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    pub from: ObjectKey,
    pub value: String,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("from", &self.from).finish_non_exhaustive()
    }
}

/// The objects that exports have filled, by key.
pub fn objects<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<ExportedObject> {
    let mut objects: BTreeMap<ObjectKey, ExportedObject> = BTreeMap::new();
    for record in records {
        let Some(Exported { target, value }) = &record.exported else { continue };
        let key = target.object();
        let new = || ExportedObject { key: key.clone(), kind: target.kind, data: BTreeMap::new() };
        let entry = Entry { from: record.key.clone(), value: value.clone() };
        objects.entry(key.clone()).or_insert_with(new).data.insert(target.key.clone(), entry);
    }
    objects.into_values().collect()
}

/// The export among these objects that is to write a target, if there is one.
pub fn writer<'a>(
    objects: impl IntoIterator<Item = &'a Object>,
    wanted: impl Fn(&Target) -> bool,
) -> Option<&'a ObjectKey> {
    objects
        .into_iter()
        .filter(|object| is_export(&object.key) && !object.deleting)
        .find(|object| Export::read(&object.key, &object.spec).is_ok_and(|export| wanted(&export.target)))
        .map(|object| &object.key)
}

/// Whether a target is this key of this Secret.
pub fn is_secret_key(target: &Target, namespace: &str, name: &str, key: &str) -> bool {
    target.kind == TargetKind::Secret && target.namespace == namespace && target.name == name && target.key == key
}

/// The source of a field export, if its spec says one.
pub fn source(object: &Object) -> Option<ObjectKey> {
    source_of(&object.key, &object.spec)
}

/// The same of a spec that is remembered.
pub fn source_of(key: &ObjectKey, spec: &Value) -> Option<ObjectKey> {
    is_export(key).then(|| Export::read(key, spec).ok()).flatten().map(|export| export.source)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cso_core::{Condition, ConditionStatus, DigestKey};
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::conditions::SYNCED;

    fn export(path: &str, to: &Value) -> Object {
        let resource = json!({"group": "sqs.services.k8s.aws", "kind": "Queue", "name": "orders"});
        Object {
            key: ObjectKey::new(export::GROUP, export::KIND, "shop", "url"),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            inherited: None,
            life: None,
            spec: Arc::new(json!({"from": {"resource": resource, "path": path}, "to": to})),
            deleting: false,
        }
    }

    fn record(key: ObjectKey) -> Record {
        let digest = DigestKey::from_bytes([1; 32]).digest("spec", &Value::Null);
        Record::new(key, "uid".to_owned(), digest)
    }

    fn source(synced: bool) -> Record {
        let mut source = record(ObjectKey::new("sqs.services.k8s.aws", "Queue", "shop", "orders"));
        source.wish.spec = Arc::new(json!({"queueName": "orders"}));
        source.status.insert("queueURL".to_owned(), "http://host/orders".into());
        source.conditions.push(Condition {
            kind: SYNCED.to_owned(),
            status: if synced { ConditionStatus::True } else { ConditionStatus::False },
            reason: String::new(),
            message: String::new(),
            last_transition_time: Timestamp::UNIX_EPOCH,
        });
        source
    }

    fn decided(object: &Object, around: &Surroundings<'_>) -> Result<String, String> {
        let wanted = Export::read(&object.key, &object.spec).map_err(|error| error.to_string())?;
        match exported(object, &wanted, around) {
            Ok(exported) => Ok(exported.value),
            Err(Unexported::Waits { on, message }) => {
                assert_eq!(on, wanted.source);
                Err(message)
            }
            Err(Unexported::Refused { message, .. }) => Err(format!("refused: {message}")),
        }
    }

    #[test]
    fn a_value_is_exported_once_its_source_is_synced_and_has_it() {
        let (synced, working) = (source(true), source(false));
        let around = |source| Surroundings { source, hidden: false, rival: None, cross_namespace: false };
        let to = json!({"kind": "configmap", "name": "app"});
        let from = |path: &str, source| decided(&export(path, &to), &around(source));
        assert_eq!(from(".status.queueURL", Some(&synced)), Ok("http://host/orders".to_owned()));
        assert_eq!(from(".spec.queueName", Some(&synced)), Ok("orders".to_owned()));
        assert_eq!(from(".metadata.name", Some(&synced)), Ok("orders".to_owned()));
        assert!(from(".status.queueURL", None).is_err_and(|why| why.contains("is not there yet")));
        let unseen = Surroundings { hidden: true, ..around(None) };
        assert!(decided(&export(".status.queueURL", &to), &unseen).is_err_and(|why| why.contains("cannot be read")));
        assert!(from(".status.queueURL", Some(&working)).is_err_and(|why| why.contains("to be synced")));
        assert!(from(".status.arn", Some(&synced)).is_err_and(|why| why.contains("to have status.arn")));
        assert!(from(".spec", Some(&synced)).is_err_and(|why| why.starts_with("refused: spec.from.path")));
    }

    #[test]
    fn another_namespace_and_a_key_that_another_writes_are_refused() {
        let source = source(true);
        let rival = ObjectKey::new(export::GROUP, export::KIND, "shop", "other");
        let elsewhere = export(".status.queueURL", &json!({"kind": "secret", "name": "app", "namespace": "payments"}));
        let around =
            |rival, cross_namespace| Surroundings { source: Some(&source), hidden: false, rival, cross_namespace };
        assert!(decided(&elsewhere, &around(None, false)).is_err_and(|why| why.contains("--allow-cross-namespace")));
        assert!(decided(&elsewhere, &around(None, true)).is_ok());
        assert!(decided(&elsewhere, &around(Some(&rival), true)).is_err_and(|why| why.contains("written by")));
    }

    #[test]
    fn only_what_the_kind_has_one_value_at_is_waited_for() {
        let of_type = |schema_type| Schema { schema_type, ..Schema::default() };
        let text = || of_type(SchemaType::String);
        let object = |name: &str, schema| Schema {
            properties: BTreeMap::from([(name.to_owned(), schema)]),
            ..Schema::default()
        };
        let list = Schema { items: Some(Box::new(text())), ..of_type(SchemaType::Array) };
        let tags = Schema { additional: Some(Box::new(text())), ..Schema::default() };
        let mut status = object("queueURL", text());
        status.properties.insert("all".to_owned(), list);
        let surface = Surface { spec: object("tags", tags), status, ..Surface::default() };
        let wrong = |path: &str| leads_to_value(&surface, &export::parse(path).expect(path)).err();
        for path in [".status.queueURL", ".status.all[0]", ".spec.tags.team", ".metadata.name"] {
            assert_eq!(wrong(path), None, "{path}");
        }
        for (path, told, help) in [
            (".status.queueUrl", "there is nothing at `.status.queueUrl`", Some("did you mean `queueURL`?")),
            (".stats.queueURL", "has no `.stats`", Some("did you mean `.status`?")),
            (".status.all", "`.status.all` is a list", Some("export one of its elements")),
            (".spec.tags", "`.spec.tags` is an object", Some("export one of its members")),
            (".status.queueURL[0]", "there is nothing at `.status.queueURL[0]`", None),
        ] {
            assert_eq!(wrong(path), Some((told.to_owned(), help.map(ToOwned::to_owned))), "{path}");
        }
    }

    #[test]
    fn exported_objects_are_all_values_of_one_target_together() {
        let written = |name: &str, key: &str| {
            let mut record = record(ObjectKey::new(export::GROUP, export::KIND, "shop", name));
            let target = Target {
                kind: TargetKind::ConfigMap,
                namespace: "shop".to_owned(),
                name: "app".to_owned(),
                key: key.to_owned(),
            };
            record.exported = Some(Exported { target, value: name.to_uppercase() });
            record
        };
        let records = [written("a", "one"), source(true), written("b", "two")];
        let [object] = &objects(&records)[..] else { panic!("{:?}", objects(&records)) };
        assert_eq!(object.key, ObjectKey::new("", "ConfigMap", "shop", "app"));
        let data: Vec<(&str, &str)> =
            object.data.iter().map(|(key, entry)| (key.as_str(), entry.value.as_str())).collect();
        assert_eq!(data, [("one", "A"), ("two", "B")]);
    }
}
