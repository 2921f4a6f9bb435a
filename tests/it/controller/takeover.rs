//! Objects as the AWS Controllers for Kubernetes leave them are taken over without a word to the cloud, and left as they
//! could take them back.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::scene::{Scene, Subject};
use crate::running::until;

/// A queue as ACK has made it, and the object as ACK has left it.
fn left_by_ack(scene: &Scene, queue: &Subject) -> Result<Value> {
    let tags = json!({"services.k8s.aws/controller-version": "sqs-v1.6.1", "services.k8s.aws/namespace": "default", "team": "blue"});
    let attributes = json!({"VisibilityTimeout": "45"});
    let made = scene.stage.cloud.call(
        "sqs",
        "CreateQueue",
        json!({"QueueName": queue.name, "Attributes": attributes, "tags": tags}),
    )?;
    let arn = format!("arn:aws:sqs:eu-west-1:000000000000:{}", queue.name);
    let mut object = queue.manifest(&json!({
        "queueName": queue.name, "visibilityTimeout": "45", "delaySeconds": "0", "maximumMessageSize": "1048576",
        "messageRetentionPeriod": "345600", "receiveMessageWaitTimeSeconds": "0", "tags": {"team": "blue"},
    }));
    object["metadata"]["finalizers"] = json!(["finalizers.sqs.services.k8s.aws/Queue"]);
    scene.reader.create(&object)?;
    object["status"] = json!({
        "ackResourceMetadata": {"arn": arn, "ownerAccountID": "000000000000", "region": "eu-west-1"},
        "queueURL": made["QueueUrl"],
        "conditions": [{"type": "ACK.ResourceSynced", "status": "True", "lastTransitionTime": "2026-08-01T00:00:00Z",
                        "message": "Resource synced successfully"}],
    });
    Ok(scene.reader.merge_into("status", &object)?)
}

#[test]
fn what_another_controller_made_is_taken_over_and_handed_back() -> Result<()> {
    let scene = Scene::open()?;
    let queue = Subject::queue("orders");
    let left = left_by_ack(&scene, &queue)?;
    scene.stage.proxy.clear();
    let mut controller = scene.controller(&["--verify-every", "1s"])?;
    let taken = scene.synced(&queue)?;
    until("it has looked again", || Ok((scene.stage.proxy.calls().len() >= 4).then_some(())))?;
    ensure!(scene.stage.mutations().is_empty(), "taking over made calls: {}", controller.told()?);
    ensure!(taken["spec"] == left["spec"], "the spec was written: {taken}");
    ensure!(taken["metadata"]["generation"] == left["metadata"]["generation"], "the spec was written: {taken}");
    ensure!(taken["metadata"]["finalizers"] == left["metadata"]["finalizers"], "other finalizers: {taken}");

    // Handed back: everything that the other controller goes by is as it was.
    controller.interrupt()?;
    controller.end()?;
    let back = scene.read(&queue)?.context("it is there")?;
    let of = |object: &Value, path: &str| object.pointer(path).cloned();
    for path in ["/spec", "/metadata/finalizers", "/status/queueURL", "/status/ackResourceMetadata/arn"] {
        ensure!(of(&back, path) == of(&left, path), "{path} is {:?}", of(&back, path));
    }
    let url = &left["status"]["queueURL"];
    let tags = scene.stage.cloud.call("sqs", "ListQueueTags", json!({"QueueUrl": url}))?;
    ensure!(tags["Tags"].as_object().is_some_and(|tags| tags.len() == 3), "other tags: {tags}");

    // What was taken over is changed and deleted like what was made.
    let _controller = scene.controller(&[])?;
    let mut spec = back["spec"].clone();
    spec["visibilityTimeout"] = "50".into();
    scene.declare(&queue, &spec)?;
    scene.synced(&queue)?;
    let calls = scene.stage.mutations();
    ensure!(calls.len() == 1 && calls[0].operation == "SetQueueAttributes", "the change made {calls:?}");
    scene.delete(&queue)?;
    ensure!(scene.stage.everything()?.is_empty(), "left: {:?}", scene.stage.everything()?);
    Ok(())
}

/// Two controllers at one object undo each other's work, and nobody sees why unless one of them says so.
#[test]
fn another_controller_at_an_object_is_told_on_it() -> Result<()> {
    let scene = Scene::open()?;
    let queue = Subject::queue("orders");
    left_by_ack(&scene, &queue)?;
    let _controller = scene.controller(&["--verify-every", "1s"])?;
    let taken = scene.synced(&queue)?;
    let told = |object: &Value| object.to_string().contains("ACK.Advisory");
    ensure!(!told(&taken), "who was here before us is no rival: {taken}");
    let mut object = scene.read(&queue)?.context("it is there")?;
    object["status"]["conditions"] = json!([]);
    scene.reader.merge_into("status", &object)?;
    let shown = scene.shows(&queue, "ACK.Advisory", "True")?;
    let conditions = shown["status"]["conditions"].as_array().context("conditions")?;
    let advice = conditions.iter().find(|it| it["type"] == "ACK.Advisory").context("an advice")?;
    ensure!(advice["reason"] == "AnotherController", "{advice}");
    ensure!(advice["message"].as_str().is_some_and(|text| text.contains("wrote the status")), "{advice}");
    scene.synced(&queue)?;
    ensure!(scene.stage.mutations().is_empty(), "it cost a call");
    Ok(())
}

/// A record is sealed for its object: copied onto another it opens nothing.
#[test]
fn a_neighbours_record_cannot_be_borrowed() -> Result<()> {
    let scene = Scene::open()?;
    let _controller = scene.controller(&[])?;
    let mine = Subject::queue("mine");
    scene.declare(&mine, &json!({"queueName": "mine"}))?;
    let made = scene.synced(&mine)?;
    let thief = Subject { namespace: "thieves".to_owned(), ..Subject::queue("mine") };
    scene.reader.create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "thieves"}}))?;
    let mut copy = thief.manifest(&made["spec"]);
    copy["metadata"]["annotations"] = made["metadata"]["annotations"].clone();
    scene.reader.create(&copy)?;
    scene.shows(&thief, "ACK.Terminal", "True")?;
    scene.delete(&thief)?;
    ensure!(scene.stage.everything()?.len() == 1, "the queue is gone");
    ensure!(!scene.stage.proxy.calls().iter().any(|call| call.operation == "DeleteQueue"), "it was deleted");
    Ok(())
}
