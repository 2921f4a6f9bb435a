//! What exists is written down for a cluster: nothing that its objects manage, and nothing that would change one of them.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::json;

use super::scene::{OPERATOR, Scene, Subject};

/// Makes a queue by hand.
fn by_hand(scene: &Scene, name: &str) -> Result<()> {
    scene.stage.cloud.call("sqs", "CreateQueue", json!({"QueueName": name}))?;
    Ok(())
}

/// An object as ACK leaves it, for a queue that exists.
fn left_by_ack(scene: &Scene, name: &str) -> Result<()> {
    let url = scene.stage.cloud.call("sqs", "GetQueueUrl", json!({"QueueName": name}))?["QueueUrl"].clone();
    let mut object = Subject::queue(name).manifest(&json!({"queueName": name}));
    object["metadata"]["finalizers"] = json!(["finalizers.sqs.services.k8s.aws/Queue"]);
    scene.reader.create(&object)?;
    let arn = format!("arn:aws:sqs:eu-west-1:000000000000:{name}");
    let metadata = json!({"arn": arn, "ownerAccountID": "000000000000", "region": "eu-west-1"});
    object["status"] = json!({"ackResourceMetadata": metadata, "queueURL": url, "conditions": []});
    scene.reader.merge_into("status", &object)?;
    Ok(())
}

#[test]
fn what_no_object_manages_is_imported_and_applied_as_it_is() -> Result<()> {
    let scene = Scene::open()?;
    // An object whose name is that of another queue.
    let ours = Subject::queue("orders");
    {
        let _controller = scene.controller(&[])?;
        scene.declare(&ours, &json!({"queueName": "first"}))?;
        scene.synced(&ours)?;
    }
    for name in ["orders", "news", "theirs"] {
        by_hand(&scene, name)?;
    }
    left_by_ack(&scene, "theirs")?;
    let before = scene.read(&ours)?;
    scene.stage.proxy.clear();

    let kubeconfig = scene.cluster.kubeconfig(OPERATOR)?.display().to_string();
    let mark = scene.cluster.audit_mark()?;
    let import = ["import", "queue", "--all", "-d", "m", "--kubeconfig", &kubeconfig];
    let run = scene.stage.cso(&import)?.ends(0)?.tells("kubectl apply -f m --kubeconfig")?;
    for owner in [
        "first is managed in this cluster, as sqs/Queue default/orders: left out",
        "theirs is managed in this cluster, as sqs/Queue default/theirs: left out",
    ] {
        ensure!(run.stderr.contains(owner), "{owner}: {}", run.stderr);
    }
    ensure!(scene.stage.mutations().is_empty(), "an import changed something");
    ensure!(scene.writes(mark)?.is_empty(), "an import wrote {:?}", scene.writes(mark)?);
    let secrets = scene.cluster.audit_since(mark)?.into_iter().filter(|it| it.target.resource == "secrets").count();
    ensure!(secrets == 0, "an import read Secrets");
    let mut files: Vec<String> = Vec::new();
    for file in fs::read_dir(scene.stage.path().join("m"))? {
        files.push(file?.file_name().to_string_lossy().into_owned());
    }
    files.sort();
    ensure!(files.len() == 2 && files[0] == "sqs-queue-news.yaml", "{files:?}");
    ensure!(files[1].starts_with("sqs-queue-orders-"), "one would change the object of its name: {files:?}");
    scene.stage.cso(&["import", "queue", "first", "--kubeconfig", &kubeconfig])?.ends(1)?.tells("managed twice")?;

    let _controller = scene.controller(&[])?;
    let manifests = scene.stage.path().join("m").display().to_string();
    scene.kubectl(&["apply", "-f", &manifests])?;
    scene.synced(&Subject::queue("news"))?;
    let changing: Vec<_> = scene.stage.mutations().into_iter().map(|call| call.operation).collect();
    ensure!(changing.iter().all(|operation| operation == "TagQueue"), "taking over made {changing:?}");
    let after = scene.read(&ours)?;
    ensure!(before.map(|it| it["spec"].clone()) == after.map(|it| it["spec"].clone()), "another object was changed");
    Ok(())
}
