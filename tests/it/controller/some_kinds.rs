//! A controller of some kinds only, beside others who work on the rest.

use anyhow::{Result, ensure};
use cso_testbed::Kind;
use serde_json::{Value, json};

use super::scene::{Scene, Subject};
use crate::running::until;

/// Writes an object's status as its own controller would.
fn tells(scene: &Scene, subject: &Subject, key_id: &str) -> Result<()> {
    let mut object = subject.manifest(&json!({}));
    object["status"] = json!({"keyID": key_id, "conditions": [{"type": "ACK.ResourceSynced", "status": "True"}]});
    scene.reader.merge_into("status", &object)?;
    Ok(())
}

/// The key that the queue is encrypted with.
fn key_of(scene: &Scene, queue: &Value) -> Result<Value> {
    let input = json!({"QueueUrl": queue["status"]["queueURL"], "AttributeNames": ["KmsMasterKeyId"]});
    Ok(scene.stage.cloud.call("sqs", "GetQueueAttributes", input)?["Attributes"]["KmsMasterKeyId"].clone())
}

#[test]
fn other_kinds_are_read_and_left_to_others() -> Result<()> {
    let scene = Scene::in_a_namespace(Kind::Ministack)?;
    let key = scene.named("kms.services.k8s.aws/v1alpha1", "Key", "theirs");
    let topic = scene.named("sns.services.k8s.aws/v1alpha1", "Topic", "theirs");
    let queue = scene.queue("ours");
    scene.declare(&topic, &json!({"name": "theirs"}))?;
    let mark = scene.cluster.audit_mark()?;
    let _controller = scene.controller(&["--reconcile-resources", "sqs/*", "--verify-every", "1h"])?;
    scene.declare(&queue, &json!({"queueName": "ours", "kmsMasterKeyRef": {"from": {"name": "theirs"}}}))?;
    scene.shows(&queue, "ACK.ReferencesResolved", "Unknown")?;
    scene.declare(&key, &json!({"description": "theirs"}))?;
    until("the queue waits for the key that is there now", || {
        let told = scene.shows(&queue, "ACK.ReferencesResolved", "Unknown")?.to_string();
        let waits = format!("waits for kms/Key {}/theirs to be ready", scene.namespace);
        Ok(told.contains(&waits).then_some(()))
    })?;

    tells(&scene, &key, "11111111-2222-3333-4444-555555555555")?;
    let made = scene.synced(&queue)?;
    ensure!(key_of(&scene, &made)? == "11111111-2222-3333-4444-555555555555", "it has another key");
    // Long before the queue would be looked at again.
    tells(&scene, &key, "99999999-2222-3333-4444-555555555555")?;
    until("the queue has the other key", || {
        Ok((key_of(&scene, &made)? == "99999999-2222-3333-4444-555555555555").then_some(()))
    })?;

    scene.delete(&queue)?;
    let written = scene.writes(mark)?;
    ensure!(written.iter().any(|event| event.target.resource == "queues"), "no writes at all: {written:?}");
    let others: Vec<_> = written.iter().filter(|event| ["keys", "topics"].contains(&&*event.target.resource)).collect();
    ensure!(others.is_empty(), "written to what others work on: {others:?}");
    ensure!(scene.stage.mutations().iter().all(|call| call.service == "sqs"), "calls for what others work on");
    Ok(())
}
