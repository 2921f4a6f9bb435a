//! What people ask of objects by annotation, and what they take away.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::scene::{REQUESTED, Scene, Subject, condition};
use crate::running::until;

const RECORD: &str = "service-operator.cloud/record";

fn annotate(scene: &Scene, subject: &Subject, name: &str, value: &Value) -> Result<Value> {
    let object = json!({
        "apiVersion": subject.api, "kind": subject.kind,
        "metadata": {"name": subject.name, "namespace": subject.namespace, "annotations": {name: value}},
    });
    Ok(scene.reader.merge(&object)?)
}

fn attribute(scene: &Scene, name: &str) -> Result<String> {
    let url = scene.stage.cloud.call("sqs", "GetQueueUrl", json!({"QueueName": "orders"}))?["QueueUrl"].clone();
    let input = json!({"QueueUrl": url, "AttributeNames": ["All"]});
    let all = scene.stage.cloud.call("sqs", "GetQueueAttributes", input)?;
    Ok(all["Attributes"][name].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_look_that_is_asked_for_is_made_at_once_and_writes_only_what_differs() -> Result<()> {
    let (scene, _controller) = Scene::at_work(&["--verify-every", "1h"])?;
    let queue = scene.queue("orders");
    scene.declare(&queue, &json!({"queueName": "orders", "visibilityTimeout": "45"}))?;
    scene.synced(&queue)?;

    // Nothing differs: a look, and no write by us.
    let looks = || scene.stage.proxy.calls().iter().filter(|call| call.operation == "GetQueueAttributes").count();
    scene.stage.proxy.clear();
    let mark = scene.cluster.audit_mark()?;
    annotate(&scene, &queue, REQUESTED, &"first".into())?;
    until("it is looked at", || Ok((looks() > 0).then_some(())))?;
    ensure!(scene.stage.mutations().is_empty(), "a look made calls");

    // Drift that the interval would show in an hour.
    let url = scene.stage.cloud.call("sqs", "GetQueueUrl", json!({"QueueName": "orders"}))?["QueueUrl"].clone();
    let drift = json!({"QueueUrl": url, "Attributes": {"VisibilityTimeout": "50"}});
    scene.stage.cloud.call("sqs", "SetQueueAttributes", drift)?;
    ensure!(scene.writes(mark)?.is_empty(), "a look wrote {:?}", scene.writes(mark)?);
    annotate(&scene, &queue, REQUESTED, &"second".into())?;
    until("the drift is repaired", || Ok((attribute(&scene, "VisibilityTimeout")? == "45").then_some(())))?;
    Ok(())
}

#[test]
fn a_record_that_somebody_takes_away_is_written_again() -> Result<()> {
    let (scene, mut controller) = Scene::at_work(&["--verify-every", "1h"])?;
    let queue = scene.queue("orders");
    scene.declare(&queue, &json!({"queueName": "orders"}))?;
    scene.synced(&queue)?;
    let has_record = |object: &Value| object["metadata"]["annotations"][RECORD].is_string();
    // The record is the last write of three.
    until("the record is there", || Ok(scene.read(&queue)?.filter(has_record)))?;
    scene.stage.proxy.clear();
    annotate(&scene, &queue, RECORD, &Value::Null)?;
    until("the record is written again", || Ok(scene.read(&queue)?.filter(has_record)))?;
    ensure!(scene.stage.mutations().is_empty(), "it made calls: {}", controller.told()?);

    // It is one that the next process goes by: it has nothing to do, and the delete is ours to make.
    controller.interrupt()?;
    controller.end()?;
    let mark = scene.cluster.audit_mark()?;
    let _controller = scene.controller(&["--verify-every", "1s"])?;
    scene.stage.proxy.clear();
    until("it has looked", || Ok((scene.stage.proxy.calls().len() >= 2).then_some(())))?;
    ensure!(scene.writes(mark)?.is_empty(), "it wrote {:?}", scene.writes(mark)?);
    scene.delete(&queue)?;
    scene.leaves_nothing()
}

#[test]
fn an_export_says_that_its_target_is_missing_and_goes_on_once_it_is_there() -> Result<()> {
    let (scene, controller) = Scene::at_work(&[])?;
    let queue = scene.queue("orders");
    scene.declare(&queue, &json!({"queueName": "orders"}))?;
    let url = scene.synced(&queue)?["status"]["queueURL"].clone();
    let export = scene.named("services.k8s.aws/v1alpha1", "FieldExport", "url");
    let source = json!({"group": "sqs.services.k8s.aws", "kind": "Queue", "name": "orders"});
    let to = json!({"kind": "configmap", "name": "app", "key": "url"});
    scene.declare(&export, &json!({"from": {"resource": source, "path": ".status.queueURL"}, "to": to}))?;
    let waits = scene.shows(&export, "ACK.Recoverable", "True")?;
    let why = condition(&waits, "ACK.Recoverable").context("it waits")?["message"].clone();
    let namespace = scene.namespace.as_str();
    ensure!(why == format!("ConfigMap {namespace}/app does not exist: the value is exported once it does"), "{why}");

    // It is tried again and said once.
    let refused = || controller.told().map(|told| told.matches("does not exist: the value").count());
    until("it was tried again", || Ok((refused()? >= 2).then_some(())))?;
    let still = scene.read(&export)?.context("it is there")?;
    ensure!(still["metadata"]["resourceVersion"] == waits["metadata"]["resourceVersion"], "written again: {still}");

    let target = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app", "namespace": namespace}});
    scene.reader.create(&target)?;
    scene.synced(&export)?;
    let map = scene.reader.get("v1", "ConfigMap", namespace, "app")?;
    ensure!(map["data"]["url"] == url, "the value is not exported: {map}");
    Ok(())
}
