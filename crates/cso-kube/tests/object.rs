//! An object says what its record remembers, and a record is read back as it was written.

use std::collections::BTreeMap;
use std::sync::Arc;

use cso_core::{Condition, ConditionStatus, Digest, DigestKey, Intent, ObjectKey, Ownership, Record, Verb};
use cso_kube::Resource;
use cso_kube::identity::Keys;
use cso_kube::object::{OBSERVED, Patches, RECORD, finalizer, patches, read, release, row};
use jiff::Timestamp;
use kube::core::DynamicObject;
use serde_json::{Value, json};

fn keys() -> Keys {
    Keys { digest: DigestKey::from_bytes([7; 32]) }
}

fn digest(of: &str) -> Digest {
    keys().digest.digest(of, &Value::Null)
}

fn queues() -> Resource {
    Resource {
        group: "sqs.services.k8s.aws".to_owned(),
        version: "v1alpha1".to_owned(),
        kind: "Queue".to_owned(),
        plural: "queues".to_owned(),
        identity: vec!["queueName".to_owned()],
    }
}

/// An object as somebody has just made it.
fn made() -> Value {
    json!({
        "apiVersion": "sqs.services.k8s.aws/v1alpha1",
        "kind": "Queue",
        "metadata": {
            "name": "orders", "namespace": "shop", "uid": "one", "resourceVersion": "10", "generation": 1,
            "creationTimestamp": "2026-11-21T10:00:00Z",
            "annotations": {"services.k8s.aws/region": "eu-west-1", "somebody.else/says": "hello"},
            "finalizers": ["somebody.else/waits"],
        },
        "spec": {"queueName": "orders", "visibilityTimeout": "45"},
    })
}

fn raw(object: &Value) -> DynamicObject {
    serde_json::from_value(object.clone()).expect("an object")
}

/// RFC 7386.
fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (name, value) in patch {
        if value.is_null() {
            into.as_object_mut().expect("made one above").remove(name);
        } else {
            merge(&mut into[name], value);
        }
    }
}

/// The object once the server has taken the patches, and whether the spec was among them.
fn patched(object: &Value, patches: &Patches) -> Value {
    let mut object = object.clone();
    if let Some(status) = &patches.status {
        merge(&mut object, &json!({"status": status}));
    }
    if let Some(main) = &patches.main {
        let counts = u64::from(main.get("spec").is_some());
        merge(&mut object, main);
        object["metadata"]["generation"] = (object["metadata"]["generation"].as_u64().unwrap_or(1) + counts).into();
    }
    object["metadata"]["resourceVersion"] = "11".into();
    object
}

/// The record of an object that is being made.
fn begun(object: &Value) -> Record {
    let seen = read(&queues(), raw(object), BTreeMap::new(), &keys());
    let life = seen.object.life.expect("the server counts");
    let mut record = Record::new(seen.object.key.clone(), life.uid, digest("spec"));
    record.created = Some(life.began);
    record.wish.spec = Arc::clone(&seen.object.spec);
    record.wish.annotations = seen.object.annotations;
    record.intent = Some(Intent {
        verb: Verb::Create,
        part: "body".to_owned(),
        operation: "CreateQueue".to_owned(),
        digest: digest("call"),
        token: Some("token".to_owned()),
        opened: Timestamp::UNIX_EPOCH,
        generation: 1,
        applies: BTreeMap::new(),
    });
    record
}

/// The same once it is made and settled.
fn settled(object: &Value) -> Record {
    let mut record = begun(object);
    record.intent = None;
    record.ownership = Ownership::Created;
    record.applied.insert("queueName".to_owned(), digest("name"));
    record.status.insert("queueURL".to_owned(), "http://here/orders".into());
    record.conditions = vec![Condition {
        kind: "ACK.ResourceSynced".to_owned(),
        status: ConditionStatus::True,
        reason: String::new(),
        message: "Resource synced successfully".to_owned(),
        last_transition_time: Timestamp::UNIX_EPOCH,
    }];
    record.observed = 1;
    record
}

fn write(object: &Value, record: &Record) -> Patches {
    patches(&queues(), &row(&queues(), &raw(object)), record, &keys())
}

fn read_back(object: &Value) -> Option<Record> {
    read(&queues(), raw(object), BTreeMap::new(), &keys()).record
}

#[test]
fn an_intent_goes_out_with_the_finalizer_onto_the_version_it_was_decided_on() {
    let object = made();
    let record = begun(&object);
    let written = write(&object, &record);
    assert_eq!(written.status, None);
    let main = written.main.clone().expect("the intent");
    assert_eq!(main["metadata"]["uid"], "one");
    assert_eq!(main["metadata"]["resourceVersion"], "10");
    assert_eq!(main["metadata"]["finalizers"], json!(["somebody.else/waits", "finalizers.sqs.services.k8s.aws/Queue"]));
    assert_eq!(main.get("spec"), None);
    let object = patched(&object, &written);
    assert_eq!(read_back(&object), Some(record.clone()));
    assert_eq!(write(&object, &record), Patches::default(), "nothing is written twice");
}

#[test]
fn what_is_settled_is_read_back_and_says_so_to_everybody() {
    let object = made();
    let before = patched(&object, &write(&object, &begun(&object)));
    let record = settled(&object);
    let written = write(&before, &record);
    let after = patched(&before, &written);
    assert_eq!(read_back(&after), Some(record.clone()));
    assert_eq!(after["status"]["queueURL"], "http://here/orders");
    assert_eq!(after["status"]["conditions"][0]["type"], "ACK.ResourceSynced");
    assert_eq!(after["metadata"]["annotations"][OBSERVED], "1");
    assert_eq!(after["metadata"]["annotations"]["somebody.else/says"], "hello");
    assert_eq!(write(&after, &record), Patches::default(), "at rest nothing is written");
    let main = written.main.expect("the intent is closed");
    assert_eq!(main["metadata"].get("resourceVersion"), None, "an outcome goes through whatever changed meanwhile");
}

/// Killed between two calls of a create, a process must know what the first one made.
#[test]
fn a_second_intent_holds_what_the_first_call_brought() {
    let object = made();
    let before = patched(&object, &write(&object, &begun(&object)));
    let mut record = settled(&object);
    record.conditions.clear();
    record.observed = 0;
    record.intent = begun(&object).intent.map(|intent| Intent { verb: Verb::Update, ..intent });
    let written = write(&before, &record);
    assert_eq!(written.status, None, "the status waits for the end");
    assert_eq!(read_back(&patched(&before, &written)), Some(record));
}

#[test]
fn a_value_of_the_providers_is_shown_where_the_spec_is_open() {
    let object = made();
    let mut record = settled(&object);
    record.late.insert("delaySeconds".to_owned(), "0".into());
    record.late.insert("visibilityTimeout".to_owned(), "30".into());
    let written = write(&object, &record);
    let main = written.main.clone().expect("a spec");
    assert_eq!(main["spec"], json!({"delaySeconds": "0"}), "what is wished for stays");
    let after = patched(&object, &written);
    assert_eq!(after["metadata"]["generation"], 2);
    record.late.clear();
    assert_eq!(write(&after, &record), Patches::default());
}

#[test]
fn the_names_of_a_resource_are_remembered_when_its_object_says_others() {
    let object = made();
    let mut renamed = patched(&object, &write(&object, &settled(&object)));
    renamed["spec"] = json!({"queueName": "other", "visibilityTimeout": "50"});
    let record = read_back(&renamed).expect("it is remembered");
    assert_eq!(*record.wish.spec, json!({"queueName": "orders", "visibilityTimeout": "50"}));
}

#[test]
fn a_record_opens_nothing_for_another_object_or_another_state() {
    let object = made();
    let mut written = patched(&object, &write(&object, &settled(&object)));
    written["metadata"]["finalizers"] = json!([]);
    let mut stolen = written.clone();
    stolen["metadata"]["uid"] = "two".into();
    assert_eq!(read_back(&stolen), None);
    let mut forged = written.clone();
    let text = forged["metadata"]["annotations"][RECORD].as_str().expect("a record").replace("created", "adopted");
    forged["metadata"]["annotations"][RECORD] = text.into();
    assert_eq!(read_back(&forged), None);
    let other = Keys { digest: DigestKey::from_bytes([8; 32]) };
    assert!(read(&queues(), raw(&written), BTreeMap::new(), &other).record.is_none());
    assert!(read_back(&written).is_some());
}

#[test]
fn what_another_controller_has_made_is_taken_over_as_it_stands() {
    let mut object = made();
    assert_eq!(read_back(&object), None, "nobody has worked on it");
    object["metadata"]["finalizers"] = json!(["finalizers.sqs.services.k8s.aws/Queue"]);
    assert_eq!(read_back(&object).map(|record| record.ownership), Some(Ownership::None), "nothing was made yet");
    object["status"] = json!({"ackResourceMetadata": {"ownerAccountID": "1", "region": "eu-west-1"}});
    assert_eq!(read_back(&object).map(|record| record.ownership), Some(Ownership::None), "killed before its create");
    object["status"] =
        json!({"queueURL": "http://here/orders", "conditions": [{"type": "ACK.ResourceSynced", "status": "True"}, 7]});
    let record = read_back(&object).expect("it is known");
    assert_eq!(record.ownership, Ownership::TakenOver);
    assert_eq!(record.status.get("queueURL"), Some(&json!("http://here/orders")));
}

#[test]
fn letting_go_takes_what_is_ours_and_nothing_else() {
    let object = made();
    let key = ObjectKey::new("sqs.services.k8s.aws", "Queue", "shop", "orders");
    assert_eq!(release(&row(&queues(), &raw(&object)), &key), None);
    let written = patched(&object, &write(&object, &settled(&object)));
    let release = release(&row(&queues(), &raw(&written)), &key).expect("something to let go of");
    let mut after = written;
    merge(&mut after, &release);
    assert_eq!(after["metadata"]["finalizers"], json!(["somebody.else/waits"]));
    let annotations = json!({"services.k8s.aws/region": "eu-west-1", "somebody.else/says": "hello"});
    assert_eq!(after["metadata"]["annotations"], annotations);
}

#[test]
fn finalizers_are_those_of_the_dialect() {
    let of = |group: &str, kind: &str| finalizer(&ObjectKey::new(group, kind, "n", "a"));
    assert_eq!(of("sqs.services.k8s.aws", "Queue"), "finalizers.sqs.services.k8s.aws/Queue");
    assert_eq!(of("services.k8s.aws", "FieldExport"), "finalizers.services.k8s.aws/FieldExport");
    assert_eq!(of("example.com", "Thing"), "service-operator.cloud/finalizer");
}
