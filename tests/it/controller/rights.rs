//! The rights that `cso crds rbac` prints, held by a real API server.

use anyhow::{Result, ensure};
use serde_json::json;

use super::scene::{Scene, Subject};
use crate::running::Running;

const NAMESPACE: &str = "cso-system";
const ACCOUNT: &str = "system:serviceaccount:cso-system:cso-controller";

/// A kubeconfig of the controller's service account.
fn kubeconfig(scene: &Scene) -> Result<String> {
    let token = scene.kubectl(&["create", "token", "cso-controller", "--namespace", NAMESPACE])?;
    let cluster = json!({"server": scene.cluster.url(), "certificate-authority": scene.cluster.ca()});
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "here", "cluster": cluster}],
        "users": [{"name": "controller", "user": {"token": token.trim()}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "controller"}}],
    });
    scene.stage.write("kubeconfig", &config.to_string())?;
    Ok(scene.stage.path().join("kubeconfig").display().to_string())
}

#[test]
fn the_rights_that_are_printed_are_enough_and_no_more() -> Result<()> {
    let scene = Scene::open()?;
    scene.reader.create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}))?;
    let rights = scene.stage.cso(&["crds", "rbac"])?.ends(0)?.stdout;
    scene.stage.write("rbac.yaml", &rights)?;
    let path = scene.stage.path().join("rbac.yaml").display().to_string();
    scene.kubectl(&["apply", "-f", &path])?;

    let mark = scene.cluster.audit_mark()?;
    let mut command = scene.command(&["--system-namespace", NAMESPACE])?;
    // It stands for election too: the lease is among the rights.
    command.env("KUBECONFIG", kubeconfig(&scene)?).env("CSO_LEADER_ELECT", "true");
    let controller = Running::spawn(scene.logs(), command)?;
    controller.tells("at work")?;
    let queue = Subject::queue("orders");
    scene.declare(&queue, &json!({"queueName": "orders"}))?;
    scene.synced(&queue)?;
    let secret = Subject::new("secretsmanager.services.k8s.aws/v1alpha1", "Secret", "database");
    scene.reader.create(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "values", "namespace": "default"},
        "stringData": {"password": "correct horse"},
    }))?;
    scene.declare(&secret, &json!({"name": "database", "secretString": {"name": "values", "key": "password"}}))?;
    scene.synced(&secret)?;
    scene.delete(&queue)?;

    let asked = scene.cluster.audit_since(mark)?;
    let refused: Vec<_> = asked.iter().filter(|event| event.user == ACCOUNT && event.code == 403).collect();
    ensure!(refused.is_empty(), "refused: {refused:?}");
    for forbidden in
        [["list", "secrets"], ["watch", "configmaps"], ["create", "pods"], ["delete", "queues.sqs.services.k8s.aws"]]
    {
        let [verb, resource] = forbidden;
        let output = scene.cluster.kubectl(&["auth", "can-i", verb, resource, "--all-namespaces", "--as", ACCOUNT])?;
        ensure!(String::from_utf8_lossy(&output.stdout).trim() == "no", "it may {verb} {resource}");
    }
    Ok(())
}

/// Whether somebody may do something in a namespace.
fn may(scene: &Scene, who: &str, verb: &str, resource: &str, namespace: &str) -> Result<bool> {
    let asked = ["auth", "can-i", verb, resource, "--namespace", namespace, "--as", who];
    let output = scene.cluster.kubectl(&asked)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim() == "yes")
}

#[test]
fn a_controller_of_one_namespace_has_rights_in_no_other_and_people_have_roles_of_their_own() -> Result<()> {
    const QUEUES: &str = "queues.sqs.services.k8s.aws";
    const JANE: &str = "jane@example.com";
    let scene = Scene::open()?;
    for name in [NAMESPACE, "shop"] {
        scene.reader.create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))?;
    }
    let rights = scene.stage.cso(&["crds", "rbac", "--watch-namespace", "shop"])?.ends(0)?.stdout;
    scene.stage.write("rbac.yaml", &rights)?;
    let path = scene.stage.path().join("rbac.yaml").display().to_string();
    scene.kubectl(&["apply", "-f", &path])?;

    let mark = scene.cluster.audit_mark()?;
    let mut command = scene.command(&["--system-namespace", NAMESPACE, "--watch-namespace", "shop"])?;
    command.env("KUBECONFIG", kubeconfig(&scene)?).env("CSO_LEADER_ELECT", "true");
    let controller = Running::spawn(scene.logs(), command)?;
    controller.tells("at work")?;
    let queue = Subject { namespace: "shop".to_owned(), ..Subject::queue("orders") };
    scene.declare(&queue, &json!({"queueName": "orders"}))?;
    scene.synced(&queue)?;
    scene.delete(&queue)?;
    let asked = scene.cluster.audit_since(mark)?;
    let refused: Vec<_> = asked.iter().filter(|event| event.user == ACCOUNT && event.code == 403).collect();
    ensure!(refused.is_empty(), "refused: {refused:?}");
    for (verb, resource) in [("get", QUEUES), ("patch", QUEUES), ("get", "secrets"), ("patch", "configmaps")] {
        ensure!(may(&scene, ACCOUNT, verb, resource, "shop")?, "it may not {verb} {resource}");
        ensure!(!may(&scene, ACCOUNT, verb, resource, "default")?, "it may {verb} {resource} elsewhere");
    }

    let role = ["create", "rolebinding", "jane", "--clusterrole", "cso-writer", "--user", JANE, "--namespace", "shop"];
    scene.kubectl(&role)?;
    ensure!(may(&scene, JANE, "create", QUEUES, "shop")?, "she may not declare a queue");
    ensure!(!may(&scene, JANE, "patch", &format!("{QUEUES}/status"), "shop")?, "she may write a status");
    ensure!(!may(&scene, JANE, "create", QUEUES, "default")?, "she may declare a queue elsewhere");

    // Who may not install definitions is told which right he lacks, not which the controller needs.
    let config = kubeconfig(&scene)?;
    let install = ["crds", "install", "queue", "--kubeconfig", &config];
    scene.stage.cso(&install)?.ends(1)?.tells("needs get, create and patch of customresourcedefinitions")?;
    Ok(())
}
