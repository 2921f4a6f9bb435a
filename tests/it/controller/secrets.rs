//! A Secret that changes is seen by whoever reads it, without a right to list or watch any.

use anyhow::{Result, ensure};
use cso_testbed::Kind;
use cso_testbed::kube::AuditEvent;
use serde_json::json;

use super::scene::{OPERATOR, Scene};
use crate::running::until;

#[test]
fn a_rotated_secret_reaches_all_that_read_it_within_seconds() -> Result<()> {
    let scene = Scene::in_a_namespace(Kind::Ministack)?;
    let mark = scene.cluster.audit_mark()?;
    let controller = scene.controller(&["--verify-every", "1h"])?;
    let mut values = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "values", "namespace": scene.namespace},
        "stringData": {"password": "correct horse"},
    });
    scene.reader.create(&values)?;
    let names = ["database", "cache", "search"];
    for name in names {
        let secret = scene.named("secretsmanager.services.k8s.aws/v1alpha1", "Secret", name);
        scene.declare(&secret, &json!({"name": name, "secretString": {"name": "values", "key": "password"}}))?;
        scene.synced(&secret)?;
    }
    values["stringData"]["password"] = "battery staple".into();
    scene.reader.merge(&values)?;
    for name in names {
        until(&format!("{name} has the new value"), || {
            let value = scene.stage.cloud.call("secretsmanager", "GetSecretValue", json!({"SecretId": name}))?;
            Ok((value["SecretString"] == "battery staple").then_some(()))
        })?;
    }
    ensure!(!controller.told()?.contains("battery staple"), "the value is told");
    let is_wide = |event: &AuditEvent| {
        let is_secret = event.target.resource == "secrets" && event.target.group.is_empty();
        is_secret && event.user == OPERATOR && ["list", "watch"].contains(&event.verb.as_str())
    };
    let wide: Vec<AuditEvent> = scene.cluster.audit_since(mark)?.into_iter().filter(is_wide).collect();
    ensure!(wide.is_empty(), "Secrets were listed: {wide:?}");
    Ok(())
}
