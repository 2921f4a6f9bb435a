//! Commands that only look at a cluster, witnessed by its audit log.

use anyhow::{Context as _, Result, ensure};
use cso_testbed::Kind;
use serde_json::json;

use super::scene::{ONLOOKER, Scene};

/// Each as somebody who may not write: enough rights, nothing written in the cluster, nothing changed in the cloud.
#[test]
fn who_only_looks_writes_nothing() -> Result<()> {
    let scene = Scene::in_a_namespace(Kind::Ministack)?;
    let mut controller = scene.controller(&[])?;
    let queue = scene.queue("orders");
    scene.declare(&queue, &json!({"queueName": "orders", "visibilityTimeout": "45"}))?;
    scene.synced(&queue)?;
    controller.interrupt()?;
    controller.end()?;
    let before = scene.read(&queue)?.context("it is there")?;
    let wish = queue.manifest(&json!({"queueName": "orders", "visibilityTimeout": "50"}));
    scene.stage.write("m/queue.yaml", &wish.to_string())?;
    scene.stage.mutations();

    let config = scene.cluster.kubeconfig(ONLOOKER)?.display().to_string();
    let place = ["--kubeconfig", &config, "--context", "test", "--namespace", &scene.namespace];
    let system = ["--system-namespace", scene.namespace.as_str()];
    let looks: [(&[&str], i32, &str); 7] = [
        (&[&["plan"], &system[..]].concat(), 0, "nothing to do"),
        (&[&["plan", "-f", "m"], &system[..]].concat(), 2, "SetQueueAttributes"),
        (&["get"], 0, "orders"),
        (&["get", "queues", "-o", "wide"], 0, "orders"),
        (&["get", "queue", "orders", "-o", "json"], 0, "\"visibilityTimeout\": \"45\""),
        (&["describe", "queue", "orders"], 0, "ACK.ResourceSynced"),
        (&["events", "queue", "orders"], 0, "orders"),
    ];
    for (command, code, told) in looks {
        let mark = scene.cluster.audit_mark()?;
        scene.stage.cso(&[command, &place].concat())?.ends(code)?.tells(told)?;
        scene.only_looked(mark).with_context(|| format!("cso {}", command.join(" ")))?;
    }
    let place = ["--kubeconfig", &with_a_program(&scene)?, "--namespace", &scene.namespace];
    scene.stage.cso(&[&["get", "queues"], &place[..]].concat())?.ends(0)?.tells("orders")?;
    ensure!(scene.stage.mutations().is_empty(), "a look changed the cloud");
    ensure!(scene.read(&queue)?.as_ref() == Some(&before), "a look changed the object");
    Ok(())
}

/// A kubeconfig that names a program which gives the credentials, as those of most clusters do.
fn with_a_program(scene: &Scene) -> Result<String> {
    let status = json!({"token": scene.cluster.token(ONLOOKER)?});
    let api = "client.authentication.k8s.io/v1";
    let credential = json!({"apiVersion": api, "kind": "ExecCredential", "status": status});
    let program = json!({
        "apiVersion": api, "command": "/bin/sh", "interactiveMode": "Never",
        "args": ["-c", format!("printf %s '{credential}'")],
    });
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": scene.cluster.url(), "certificate-authority": scene.cluster.ca()}}],
        "users": [{"name": "test", "user": {"exec": program}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    });
    scene.stage.write("kubeconfig", &config.to_string())?;
    Ok(scene.stage.path().join("kubeconfig").display().to_string())
}
