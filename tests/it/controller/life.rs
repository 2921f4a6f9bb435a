//! The life of objects in a cluster, counted by the API server and the cloud.

use anyhow::{Context as _, Result, ensure};
use cso_testbed::kube::AuditEvent;
use cso_testbed::{AwsCall, Kind};
use serde_json::{Value, json};

use super::scene::{OPERATOR, REQUESTED, Scene, condition};
use crate::running::until;

fn names(calls: &[AwsCall]) -> Vec<&str> {
    calls.iter().map(|call| call.operation.as_str()).collect()
}

fn attribute(scene: &Scene, queue: &str, name: &str) -> Result<String> {
    let url = scene.stage.cloud.call("sqs", "GetQueueUrl", json!({"QueueName": queue}))?["QueueUrl"].clone();
    let all =
        scene.stage.cloud.call("sqs", "GetQueueAttributes", json!({"QueueUrl": url, "AttributeNames": ["All"]}))?;
    Ok(all["Attributes"][name].as_str().unwrap_or_default().to_owned())
}

/// When ACK's own test library takes a change for done: the condition is true, and newer than the change.
fn since(object: &Value) -> Result<String> {
    let synced = condition(object, "ACK.ResourceSynced").context("the object is not synced")?;
    Ok(synced["lastTransitionTime"].as_str().context("a condition has no time")?.to_owned())
}

#[test]
fn a_queue_is_made_changed_left_alone_and_deleted() -> Result<()> {
    let (scene, mut controller) = Scene::at_work(&[])?;
    let queue = scene.queue("orders");
    scene.stage.proxy.clear();
    let mark = scene.cluster.audit_mark()?;

    scene.declare(&queue, &json!({"queueName": "orders", "visibilityTimeout": "45"}))?;
    let made = scene.synced(&queue)?;
    ensure!(attribute(&scene, "orders", "VisibilityTimeout")? == "45", "boto3 sees another time-out");
    let calls = scene.stage.proxy.calls();
    ensure!(calls.iter().filter(|call| call.service != "sts").count() <= 3, "it took {:?}", names(&calls));
    let writes = scene.writes(mark)?;
    ensure!(writes.len() <= 3, "it took {} writes: {writes:?}", writes.len());
    ensure!(made["spec"]["delaySeconds"] == "0", "what the provider chose is not shown: {made}");
    ensure!(made["status"]["ackResourceMetadata"]["arn"].is_string(), "no ARN in {made}");

    let before = since(&made)?;
    scene.stage.proxy.clear();
    let mut spec = made["spec"].clone();
    spec["visibilityTimeout"] = "50".into();
    scene.declare(&queue, &spec)?;
    let changed = until("the change is worked on", || {
        let object = scene.synced(&queue)?;
        Ok((since(&object)? > before).then_some(object))
    })?;
    ensure!(attribute(&scene, "orders", "VisibilityTimeout")? == "50", "boto3 sees another time-out");
    ensure!(names(&scene.stage.mutations()) == ["SetQueueAttributes"], "other calls were made");

    // A controller that comes back has nothing to do, and neither has one that goes on.
    controller.interrupt()?;
    ensure!(controller.end()?.success(), "it ended badly: {}", controller.told()?);
    let mark = scene.cluster.audit_mark()?;
    let controller = scene.controller(&["--verify-every", "1s"])?;
    until("it has looked again, and again", || Ok((scene.stage.proxy.calls().len() >= 4).then_some(())))?;
    ensure!(scene.stage.mutations().is_empty(), "at rest it made calls: {}", controller.told()?);
    ensure!(scene.writes(mark)?.is_empty(), "at rest it wrote {:?}", scene.writes(mark)?);
    ensure!(scene.read(&queue)?.as_ref() == Some(&changed), "at rest the object changed");

    scene.delete(&queue)?;
    scene.leaves_nothing()
}

/// What the provider chose is shown in the spec; whoever takes it out wants what the provider starts with, and it is not put
/// back on the way there.
#[test]
fn what_was_shown_in_the_spec_can_be_taken_out() -> Result<()> {
    let (scene, _controller) = Scene::at_work(&["--verify-every", "1h"])?;
    let queue = scene.queue("orders");
    let attributes = json!({"VisibilityTimeout": "45"});
    scene.stage.cloud.call("sqs", "CreateQueue", json!({"QueueName": "orders", "Attributes": attributes}))?;
    let mut wish = queue.manifest(&json!({"queueName": "orders"}));
    wish["metadata"]["annotations"] = json!({"services.k8s.aws/adoption-policy": "adopt-or-create"});
    scene.reader.create(&wish)?;
    let adopted = scene.synced(&queue)?;
    ensure!(adopted["spec"]["visibilityTimeout"] == "45", "what is there is not shown: {adopted}");

    scene.stage.proxy.clear();
    scene.declare(&queue, &json!({"queueName": "orders"}))?;
    let shown = until("what the provider starts with is shown", || {
        Ok(Some(scene.synced(&queue)?).filter(|object| object["spec"]["visibilityTimeout"].is_string()))
    })?;
    ensure!(shown["spec"]["visibilityTimeout"] == "30", "{shown}");
    ensure!(attribute(&scene, "orders", "VisibilityTimeout")? == "30", "boto3 sees another time-out");
    ensure!(names(&scene.stage.mutations()) == ["SetQueueAttributes"], "{:?}", scene.stage.mutations());
    Ok(())
}

#[test]
fn references_are_waited_for_and_let_go_in_order() -> Result<()> {
    let (scene, _controller) = Scene::at_work(&[])?;
    let topic = scene.named("sns.services.k8s.aws/v1alpha1", "Topic", "news");
    let subscription = scene.named("sns.services.k8s.aws/v1alpha1", "Subscription", "news");
    let endpoint = "arn:aws:sqs:eu-west-1:000000000000:news";
    scene.declare(
        &subscription,
        &json!({"protocol": "sqs", "endpoint": endpoint, "topicRef": {"from": {"name": "news"}}}),
    )?;
    scene.shows(&subscription, "ACK.ReferencesResolved", "Unknown")?;
    ensure!(scene.stage.everything()?.is_empty(), "made too early: {:?}", scene.stage.everything()?);
    scene.declare(&topic, &json!({"name": "news"}))?;
    scene.synced(&subscription)?;
    ensure!(scene.stage.everything()?.len() == 2, "there is {:?}", scene.stage.everything()?);

    scene.ask_to_delete(&topic)?;
    until("the topic waits", || {
        let waits = scene.read(&topic)?.is_some_and(|topic| topic.to_string().contains("is deleted after"));
        Ok(waits.then_some(()))
    })?;
    scene.ask_to_delete(&subscription)?;
    scene.gone(&subscription)?;
    scene.gone(&topic)?;
    scene.leaves_nothing()
}

#[test]
fn a_secret_is_read_by_name_and_its_value_is_nowhere_else() -> Result<()> {
    let scene = Scene::in_a_namespace(Kind::Ministack)?;
    let mark = scene.cluster.audit_mark()?;
    let controller = scene.controller(&[])?;
    let secret = scene.named("secretsmanager.services.k8s.aws/v1alpha1", "Secret", "database");
    scene.declare(&secret, &json!({"name": "database", "secretString": {"name": "values", "key": "password"}}))?;
    scene.shows(&secret, "ACK.Recoverable", "True")?;
    let values = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "values", "namespace": scene.namespace},
        "stringData": {"password": "correct horse"},
    });
    scene.reader.create(&values)?;
    scene.synced(&secret)?;
    let value = scene.stage.cloud.call("secretsmanager", "GetSecretValue", json!({"SecretId": "database"}))?;
    ensure!(value["SecretString"] == "correct horse", "the cloud has {value}");
    let object = scene.read(&secret)?.context("it is there")?.to_string();
    ensure!(!object.contains("correct horse") && !controller.told()?.contains("correct horse"), "the value is told");
    let events = scene.kubectl(&["get", "events", "--namespace", &scene.namespace, "-o", "yaml"])?;
    ensure!(!events.contains("correct horse"), "an event tells the value");
    let is_wide = |event: &AuditEvent| {
        let values =
            ["secrets", "configmaps"].contains(&event.target.resource.as_str()) && event.target.group.is_empty();
        values && event.user == OPERATOR && ["list", "watch"].contains(&event.verb.as_str())
    };
    let mut wide = scene.cluster.audit_since(mark)?;
    wide.retain(is_wide);
    ensure!(wide.is_empty(), "Secrets were listed: {wide:?}");
    Ok(())
}

/// What else is in the target of an export stays; what others do to the exported value is seen at the next look, and undone.
#[test]
fn the_target_of_an_export_is_shared_with_others() -> Result<()> {
    let (scene, _controller) = Scene::at_work(&[])?;
    let target = scene.named("v1", "ConfigMap", "app");
    let mut theirs = target.bare();
    theirs["data"] = json!({"mine": "stays"});
    scene.reader.create(&theirs)?;
    let made = scene.make(&scene.queue("orders"), &json!({"queueName": "orders"}))?;
    let url = &made["status"]["queueURL"];
    let export = scene.named("services.k8s.aws/v1alpha1", "FieldExport", "url");
    let source = json!({"group": "sqs.services.k8s.aws", "kind": "Queue", "name": "orders"});
    let to = json!({"kind": "configmap", "name": "app", "key": "url"});
    let is_exported = || {
        until("the value is exported", || {
            let map = scene.read(&target)?.unwrap_or_default();
            Ok((map["data"] == json!({"mine": "stays", "url": url})).then_some(()))
        })
    };
    scene.declare(&export, &json!({"from": {"resource": source, "path": ".status.queueURL"}, "to": to}))?;
    is_exported()?;

    let look = || -> Result<()> {
        let mut asked = export.bare();
        asked["metadata"]["annotations"] = json!({REQUESTED: jiff::Timestamp::now().to_string()});
        scene.reader.merge(&asked).map(drop).map_err(Into::into)
    };
    let mut changed = target.bare();
    changed["data"] = json!({"url": "elsewhere"});
    scene.reader.merge(&changed)?;
    look()?;
    is_exported()?;
    scene.delete(&target)?;
    look()?;
    scene.shows(&export, "ACK.Recoverable", "True")?;
    scene.reader.create(&theirs)?;
    is_exported()?;
    scene.synced(&export)?;

    scene.delete(&export)?;
    let map = scene.read(&target)?.unwrap_or_default();
    ensure!(map["data"] == json!({"mine": "stays"}), "after the delete there is {map}");
    Ok(())
}

/// A kind is managed from the moment its definition is there, and one kind's absence is nobody else's trouble.
#[test]
fn kinds_come_and_go_with_their_definitions() -> Result<()> {
    let scene = Scene::open()?;
    scene.kubectl(&["delete", "crd", "queues.sqs.services.k8s.aws", "--wait"])?;
    let _controller = scene.controller(&[])?;
    let topic = scene.named("sns.services.k8s.aws/v1alpha1", "Topic", "news");
    scene.declare(&topic, &json!({"name": "news"}))?;
    scene.synced(&topic)?;
    let definitions = scene.stage.path().join("crds.yaml").display().to_string();
    scene.kubectl(&["apply", "--server-side", "-f", &definitions])?;
    scene.kubectl(&[
        "wait",
        "--for",
        "condition=established",
        "--timeout=30s",
        "crd",
        "queues.sqs.services.k8s.aws",
    ])?;
    let queue = scene.queue("orders");
    scene.declare(&queue, &json!({"queueName": "orders"}))?;
    scene.synced(&queue)?;
    Ok(())
}
