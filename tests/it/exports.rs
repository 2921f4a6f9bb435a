//! Field exports without a cluster: values go into a config map and a secret of the state, follow their source, feed other
//! objects, and go with the export.

use anyhow::{Result, ensure};
use cso_testbed::Kind;
use serde_json::json;

use crate::running::{Running, until};
use crate::stage::{APPLY, Stage};

const QUEUE: &str = "\
apiVersion: sqs.services.k8s.aws/v1alpha1
kind: Queue
metadata: {name: orders}
spec: {queueName: orders, delaySeconds: \"3\"}
";

/// A Secrets Manager secret that holds what was exported.
const CONSUMER: &str = "\
apiVersion: secretsmanager.services.k8s.aws/v1alpha1
kind: Secret
metadata: {name: consumer}
spec: {name: consumer, secretString: {name: app, key: delay}}
";

fn export(name: &str, path: &str, to: &str) -> String {
    format!(
        "apiVersion: services.k8s.aws/v1alpha1\nkind: FieldExport\nmetadata: {{name: {name}}}\nspec:\n  from:\n    \
         path: {path}\n    resource: {{group: sqs.services.k8s.aws, kind: Queue, name: orders}}\n  to: {to}\n"
    )
}

fn stage() -> Result<Stage> {
    let stage = Stage::open(Kind::Ministack)?;
    stage.write("m/queue.yaml", QUEUE)?;
    stage.write("m/url.yaml", &export("url", ".status.queueURL", "{kind: configmap, name: app}"))?;
    stage.write("m/delay.yaml", &export("delay", ".spec.delaySeconds", "{kind: secret, name: app, key: delay}"))?;
    Ok(stage)
}

/// What the consumer holds, as boto3 reads it.
fn held(stage: &Stage) -> Option<String> {
    let answer = stage.cloud.call("secretsmanager", "GetSecretValue", json!({"SecretId": "consumer"})).ok()?;
    answer["SecretString"].as_str().map(ToOwned::to_owned)
}

#[test]
fn values_are_exported_shown_and_taken_away() -> Result<()> {
    let stage = stage()?;
    stage.cso(&["validate", "-f", "m"])?.ends(0)?;
    let plan = stage.cso(&["plan", "-f", "m"])?.ends(2)?;
    let plan =
        plan.tells(".status.queueURL of sqs/Queue default/orders -> ConfigMap default/app key \"default.url\"")?;
    plan.tells("2 to export")?;
    stage.cso(&APPLY)?.ends(0)?.tells("FieldExport default/url: exported to ConfigMap default/app")?;
    stage.rests()?;
    stage.cso(&["plan", "-f", "m"])?.ends(0)?;

    let url = stage.cloud.call("sqs", "GetQueueUrl", json!({"QueueName": "orders"}))?["QueueUrl"].clone();
    let map = stage.cso(&["get", "configmap", "app", "-o", "json"])?.ends(0)?.json()?;
    // The two came by different ports.
    let path = |url: &serde_json::Value| url.as_str().and_then(|url| url.splitn(4, '/').nth(3)).map(ToOwned::to_owned);
    ensure!(path(&url).is_some() && path(&map["data"]["default.url"]) == path(&url), "{map} is not {url}");
    ensure!(map["kind"] == "ConfigMap" && map["apiVersion"] == "v1", "{map}");
    let secret = stage.cso(&["get", "secret", "app", "-o", "json"])?.ends(0)?.json()?;
    ensure!(secret["data"] == json!({"delay": "(redacted)"}) && secret["type"] == "Opaque", "{secret}");
    let shown = stage.cso(&["get", "secret", "app", "-o", "json", "--show-secrets"])?.ends(0)?.json()?;
    ensure!(shown["data"] == json!({"delay": "Mw=="}), "{shown}");
    stage.cso(&["get", "cm", "app", "-o", "yaml"])?.ends(0)?.tells("default.url: ")?;
    let described = stage.cso(&["describe", "secret", "app"])?.ends(0)?.tells("(redacted), 1 byte")?;
    described.tells("services.k8s.aws/FieldExport default/delay")?;
    stage.cso(&["describe", "fieldexport", "url"])?.ends(0)?.tells("to ConfigMap default/app key \"default.url\"")?;
    stage.cso(&["get"])?.ends(0)?.tells("v1/ConfigMap/app")?.tells("v1/Secret/app")?;
    stage.cso(&["get", "configmap", "other"])?.ends(1)?.tells("holds no exported ConfigMap `other`")?;

    // The source changes, and the export with it.
    stage.write("m/queue.yaml", &QUEUE.replace("\"3\"", "\"4\""))?;
    stage.cso(&APPLY)?.ends(0)?.tells("FieldExport default/delay: exported to Secret default/app")?;
    let shown = stage.cso(&["get", "secret", "app", "-o", "json", "--show-secrets"])?.ends(0)?.json()?;
    ensure!(shown["data"]["delay"] == "NA==", "{shown}");

    // The export goes: at once by word, by its manifest only with --prune.
    stage.remove("m/url.yaml")?;
    stage.cso(&APPLY)?.ends(0)?.tells("deleted with --prune")?;
    stage.cso(&["get", "configmap", "app"])?.ends(0)?;
    stage.cso(&["plan", "-f", "m", "--prune"])?.ends(2)?.tells("is taken away")?;
    stage.cso(&[&APPLY[..], &["--prune"]].concat())?.ends(0)?.tells("is taken away")?;
    stage.cso(&["get", "configmap", "app"])?.ends(1)?;
    stage.cso(&["delete", "fieldexport", "delay"])?.ends(0)?;
    stage.cso(&["get", "secret", "app"])?.ends(1)?;
    stage.cso(&["delete", "-f", "m"])?.ends(0)?;
    ensure!(stage.everything()?.is_empty(), "left: {:?}", stage.everything()?);
    Ok(())
}

#[test]
fn an_exported_secret_feeds_another_object_and_follows() -> Result<()> {
    let stage = stage()?;
    stage.write("m/consumer.yaml", CONSUMER)?;
    stage.cso(&["validate", "-f", "m"])?.ends(0)?;
    stage.cso(&APPLY)?.ends(0)?;
    ensure!(held(&stage).as_deref() == Some("3"), "{:?}", held(&stage));
    stage.rests()?;

    let mut watch = Running::start(&stage, &["apply", "-f", "m", "--watch", "--verify-every", "1h", "-vv"])?;
    watch.tells("ended=\"settled\"")?;
    stage.write("m/queue.yaml", &QUEUE.replace("\"3\"", "\"4\""))?;
    until("the consumer follows", || Ok((held(&stage).as_deref() == Some("4")).then_some(())))?;
    watch.interrupt()?;
    watch.end()?;
    stage.rests()
}

#[test]
fn what_may_not_be_exported_is_refused() -> Result<()> {
    let stage = stage()?;
    let elsewhere = export("url", ".status.queueURL", "{kind: configmap, name: app, namespace: payments}");
    stage.write("m/url.yaml", &elsewhere)?;
    stage.cso(&["plan", "-f", "m"])?.ends(1)?.tells("--allow-cross-namespace")?;
    stage.cso(&APPLY)?.ends(1)?.tells("leads into namespace payments")?;
    stage.cso(&["get", "cm", "app"])?.ends(1)?;
    stage.cso(&[&APPLY[..], &["--allow-cross-namespace"]].concat())?.ends(0)?;
    stage.cso(&["get", "cm", "app", "-n", "payments"])?.ends(0)?;

    // A user's manifest is never overwritten, whichever was first.
    stage.write("m/secret.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: app}\nstringData: {delay: mine}\n")?;
    for command in ["validate", "plan", "apply"] {
        let run = stage.cso(&[command, "-f", "m"])?.ends(1)?.tells("m/secret.yaml:3:12")?;
        run.tells("an export never writes into what a manifest declares")?;
    }
    stage.remove("m/delay.yaml")?;
    stage.cso(&["apply", "-f", "m"])?.ends(1)?.tells("cso delete fieldexport delay")?;
    stage.cso(&["delete", "fieldexport", "delay"])?.ends(0)?;
    stage.cso(&[&APPLY[..], &["--allow-cross-namespace"]].concat())?.ends(0)?;
    Ok(())
}
