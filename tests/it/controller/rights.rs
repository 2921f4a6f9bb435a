//! The rights that `cso crds rbac` prints, held by a real API server.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::scene::{Scene, Subject};
use crate::running::{Running, until};

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

/// Applies the rights that are printed, and makes the namespace that the service account is in.
fn grant(scene: &Scene, flags: &[&str]) -> Result<()> {
    scene.reader.create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}))?;
    scene.stage.write("rbac.yaml", &scene.stage.cso(&[&["crds", "rbac"], flags].concat())?.ends(0)?.stdout)?;
    scene.kubectl(&["apply", "-f", &scene.stage.path().join("rbac.yaml").display().to_string()])?;
    Ok(())
}

#[test]
fn the_rights_that_are_printed_are_enough_and_no_more() -> Result<()> {
    let scene = Scene::open()?;
    grant(&scene, &[])?;

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
    scene.reader.create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}))?;
    grant(&scene, &["--watch-namespace", "shop"])?;

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
    let status = ["auth", "can-i", "patch", QUEUES, "--subresource", "status", "--namespace", "shop", "--as", JANE];
    let answer = scene.cluster.kubectl(&status)?.stdout;
    ensure!(String::from_utf8_lossy(&answer).trim() == "no", "she may write a status");
    ensure!(!may(&scene, JANE, "create", QUEUES, "default")?, "she may declare a queue elsewhere");

    // Who may not install definitions is told which right he lacks, not which the controller needs.
    let config = kubeconfig(&scene)?;
    let install = ["crds", "install", "queue", "--kubeconfig", &config];
    scene.stage.cso(&install)?.ends(1)?.tells("needs get, create and patch of customresourcedefinitions")?;
    Ok(())
}

/// Who has the roles that every cluster has needs no other for our objects, once Kubernetes' controller has added ours to them.
#[test]
fn those_who_may_view_and_edit_a_namespace_may_view_and_edit_its_resources() -> Result<()> {
    const QUEUES: &str = "queues.sqs.services.k8s.aws";
    const ROLES: [(&str, &str, bool); 3] = [("view", "ann", false), ("edit", "ben", true), ("admin", "cyd", true)];
    let scene = Scene::governed()?;
    for (role, who, _) in ROLES {
        let bind = ["create", "rolebinding", who, "--clusterrole", role, "--user", who, "--namespace", "default"];
        scene.kubectl(&bind)?;
        ensure!(!may(&scene, who, "get", QUEUES, "default")?, "{who} may look at queues before we say so");
    }
    grant(&scene, &[])?;
    for (role, who, edits) in ROLES {
        let verb = if edits { "create" } else { "get" };
        until(&format!("{role} allows to {verb}"), || Ok(may(&scene, who, verb, QUEUES, "default")?.then_some(())))?;
        ensure!(may(&scene, who, "list", QUEUES, "default")?, "{who} may not look at queues");
        ensure!(may(&scene, who, "delete", QUEUES, "default")? == edits, "{who} may delete queues: {}", !edits);
        ensure!(!may(&scene, who, "get", QUEUES, "kube-system")?, "{who} may look at queues elsewhere");
    }
    // The roles of all have been filled by now.
    ensure!(!may(&scene, "ann", "create", QUEUES, "default")?, "a viewer may create queues");
    Ok(())
}

/// A page of the controller, its head included.
fn page(at: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(at)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The keys' group is not among the rights: everything else is worked on, what refers to a key waits, and once the right is given
/// so are keys.
#[test]
fn a_kind_that_may_not_be_read_keeps_no_other_from_being_worked_on() -> Result<()> {
    const GROUP: &str = "kms.services.k8s.aws";
    const ROLE: [&str; 4] = ["rbac.authorization.k8s.io/v1", "ClusterRole", "", "cso-controller"];
    let scene = Scene::open()?;
    grant(&scene, &[])?;
    let set_rules = |keep: &dyn Fn(&Value) -> bool, all: &Value| -> Result<()> {
        let mut role = scene.reader.get(ROLE[0], ROLE[1], ROLE[2], ROLE[3])?;
        role["rules"] = all.as_array().into_iter().flatten().filter(|rule| keep(rule)).cloned().collect();
        scene.reader.replace(&role)?;
        Ok(())
    };
    let all = scene.reader.get(ROLE[0], ROLE[1], ROLE[2], ROLE[3])?["rules"].clone();
    set_rules(&|rule| !rule["apiGroups"].to_string().contains(GROUP), &all)?;

    let pages = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let address = pages.to_string();
    let flags = ["--system-namespace", NAMESPACE, "--metrics-addr", &address, "--healthz-addr", &address];
    let mut command = scene.command(&flags)?;
    let controller = Running::spawn(scene.logs(), command.env("KUBECONFIG", kubeconfig(&scene)?))?;
    controller.tells("at work")?;
    let key = Subject::new("kms.services.k8s.aws/v1alpha1", "Key", "theirs");
    scene.declare(&key, &json!({"description": "theirs"}))?;
    let plain = Subject::queue("plain");
    scene.make(&plain, &json!({"queueName": "plain"}))?;
    let secured = Subject::queue("secured");
    scene.declare(&secured, &json!({"queueName": "secured", "kmsMasterKeyRef": {"from": {"name": "theirs"}}}))?;
    let waits = scene.shows(&secured, "ACK.ReferencesResolved", "Unknown")?["status"].to_string();
    ensure!(waits.contains("kms/Key default/theirs, and objects of that kind cannot be read"), "{waits}");
    ensure!(scene.stage.everything()?.len() == 1, "there is {:?}", scene.stage.everything()?);

    let series = "cso_failing_watches{group=\"kms.services.k8s.aws\",kind=\"Key\"} 1";
    for (path, says) in [
        ("/readyz", "without keys.kms.services.k8s.aws: "),
        ("/readyz", "200 OK"),
        ("/debug/watches", "forbidden"),
        ("/metrics", series),
    ] {
        let page = page(pages, path)?;
        ensure!(page.contains(says), "{path} does not say `{says}`: {page}");
    }
    // Once each, however often it was tried.
    let told = controller.told()?;
    let lines = told.lines().filter(|line| line.contains("keys.kms.services.k8s.aws")).count();
    ensure!(lines == 2, "{lines} lines about keys: {told}");

    set_rules(&|_| true, &all)?;
    scene.synced(&key)?;
    scene.synced(&secured)?;
    controller.tells("a watch works again")?;
    until("keys are not told as failing any more", || {
        let [metrics, ready] = [page(pages, "/metrics")?, page(pages, "/readyz")?];
        Ok((!metrics.contains(series) && !ready.contains("without keys")).then_some(()))
    })
    .with_context(|| page(pages, "/debug/watches").unwrap_or_default())?;
    ensure!(scene.stage.everything()?.len() == 3, "there is {:?}", scene.stage.everything()?);
    Ok(())
}
