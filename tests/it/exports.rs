//! Field exports: values go into a config map and a secret, follow their source, feed other objects, and go with the export.
//! From a directory and in a cluster alike; then what only a state file does.

use anyhow::{Context as _, Result, ensure};
use cso_testbed::Kind;
use serde_json::{Map, Value, json};

use crate::adapter::{Adapter, InCluster};
use crate::cases;
use crate::controller::scene::Subject;
use crate::play::{Play, alike};

use crate::running::{Running, until};
use crate::stage::{APPLY, Stage};

/// A story of an object of a kind and of what is exported of it.
fn exported_of(kind: &str, story: impl Fn(&mut Play<'_>) -> Result<()>) -> Result<()> {
    let cases = cases::one_of_each_kind_on(Kind::Ministack)?;
    let case = cases.iter().find(|case| case.kind == kind).context("there is such a kind")?;
    alike(case, &mut InCluster::open(Kind::Ministack)?, story)
}

/// An export of the object of a play.
fn export(play: &Play<'_>, name: &str, path: &str, to: &Value) -> Value {
    let group = format!("{}.services.k8s.aws", play.case.service());
    let resource = json!({"group": group, "kind": play.case.kind, "name": "story"});
    json!({
        "apiVersion": "services.k8s.aws/v1alpha1", "kind": "FieldExport", "metadata": {"name": name},
        "spec": {"from": {"path": path, "resource": resource}, "to": to},
    })
}

fn delay(seconds: &str) -> Map<String, Value> {
    Map::from_iter([("delaySeconds".to_owned(), seconds.into())])
}

/// Whether a config map or a secret holds these values and no others.
fn holds(adapter: &dyn Adapter, target: &Subject, values: &Value) -> Result<bool> {
    Ok(adapter.data(target)?.as_ref() == Some(values))
}

#[test]
fn values_are_exported_follow_their_source_and_go_with_the_export() -> Result<()> {
    exported_of("Queue", |play| {
        let map = play.named("v1", "ConfigMap", "app");
        let secret = play.named("v1", "Secret", "app");
        play.has_target(&map)?;
        play.has_target(&secret)?;
        play.declares(&delay("3"))?;
        let url =
            play.beside(&export(play, "url", ".status.queueURL", &json!({"kind": "configmap", "name": "app"})))?;
        let to = json!({"kind": "secret", "name": "app", "key": "delay"});
        play.beside(&export(play, "delay", ".spec.delaySeconds", &to))?;
        let plan = play.plan()?.ends(2)?.json()?;
        ensure!(plan["summary"]["export"] == 2, "the plan does not export: {plan}");

        play.settles_until(|adapter| holds(adapter, &secret, &json!({"delay": "Mw=="})))?;
        let address = play.object()?.unwrap_or_default()["status"]["queueURL"].take();
        // Without a word of a key it is called after the export.
        let of_url = json!({format!("{}.url", map.namespace): address});
        ensure!(address.is_string() && play.data(&map)? == Some(of_url), "{:?} is not {address}", play.data(&map)?);
        play.rests()?;
        play.plan()?.ends(0)?;

        play.declares(&delay("4"))?;
        play.plan()?.ends(2)?;
        play.settles_until(|adapter| holds(adapter, &secret, &json!({"delay": "NA=="})))?;
        ensure!(play.operations() == ["SetQueueAttributes"], "the change made {:?}", play.operations());
        play.rests()?;

        play.drops(&url)?;
        ensure!(play.data(&map)?.is_none(), "left: {:?}", play.data(&map)?);
        ensure!(play.data(&secret)?.is_some(), "the other export went too");
        play.rests()?;
        play.goes()?;
        ensure!(play.data(&secret)?.is_none(), "left: {:?}", play.data(&secret)?);
        Ok(())
    })
}

#[test]
fn a_value_of_the_status_follows() -> Result<()> {
    exported_of("Policy", |play| {
        let map = play.named("v1", "ConfigMap", "app");
        play.has_target(&map)?;
        play.declares(&play.case.values(&["policyDocument"], 0))?;
        let to = json!({"kind": "configmap", "name": "app", "key": "version"});
        play.beside(&export(play, "version", ".status.defaultVersionID", &to))?;
        play.settles_until(|adapter| holds(adapter, &map, &json!({"version": "v1"})))?;
        play.declares(&play.case.values(&["policyDocument"], 1))?;
        play.settles_until(|adapter| holds(adapter, &map, &json!({"version": "v2"})))?;
        play.rests()?;
        play.goes().map(drop)
    })
}

/// What the secret `consumer` holds, as boto3 reads it.
fn held(stage: &Stage) -> Option<String> {
    let answer = stage.cloud.call("secretsmanager", "GetSecretValue", json!({"SecretId": "consumer"})).ok()?;
    answer["SecretString"].as_str().map(ToOwned::to_owned)
}

#[test]
fn an_exported_secret_feeds_another_object_and_follows() -> Result<()> {
    exported_of("Queue", |play| {
        play.has_target(&play.named("v1", "Secret", "app"))?;
        play.declares(&delay("3"))?;
        let to = json!({"kind": "secret", "name": "app", "key": "delay"});
        play.beside(&export(play, "delay", ".spec.delaySeconds", &to))?;
        play.beside(&json!({
            "apiVersion": "secretsmanager.services.k8s.aws/v1alpha1", "kind": "Secret", "metadata": {"name": "consumer"},
            "spec": {"name": "consumer", "secretString": {"name": "app", "key": "delay"}},
        }))?;
        play.plan()?.ends(2)?;
        play.settles_until(|adapter| Ok(held(adapter.stage()).as_deref() == Some("3")))?;
        play.rests()?;
        play.plan()?.ends(0)?;
        play.declares(&delay("4"))?;
        play.settles_until(|adapter| Ok(held(adapter.stage()).as_deref() == Some("4")))?;
        play.rests()?;
        play.goes().map(drop)
    })
}

#[test]
fn what_may_not_be_exported_is_refused() -> Result<()> {
    exported_of("Queue", |play| {
        let map = play.named("v1", "ConfigMap", "app");
        let elsewhere = Subject { namespace: "payments".to_owned(), ..map.clone() };
        play.has_target(&map)?;
        play.has_target(&elsewhere)?;
        play.declares(&Map::new())?;
        play.settles()?;

        let to = json!({"kind": "configmap", "name": "app", "key": "url", "namespace": "payments"});
        let url = play.beside(&export(play, "url", ".status.queueURL", &to))?;
        play.plan()?.ends(1)?.tells("--allow-cross-namespace")?;
        play.refuses(&url, &["leads into namespace payments", "--allow-cross-namespace"])?;
        ensure!(play.data(&elsewhere)?.is_none() && play.data(&map)?.is_none(), "it was exported");
        play.goes_on_with(&["--allow-cross-namespace"])?;
        play.settles_until(|adapter| Ok(adapter.data(&elsewhere)?.is_some()))?;
        play.plan()?.ends(0)?;

        // A key that another export writes.
        let rival = play.beside(&export(play, "rival", ".spec.queueName", &to))?;
        play.refuses_to_begin(&rival, "is written by services.k8s.aws/FieldExport")?;
        let to = json!({"kind": "configmap", "name": "app", "key": "name", "namespace": "payments"});
        play.beside(&export(play, "rival", ".spec.queueName", &to))?;
        let both = json!({"name": "story", "url": play.object()?.unwrap_or_default()["status"]["queueURL"]});
        play.settles_until(|adapter| holds(adapter, &elsewhere, &both))?;
        play.goes()?;
        ensure!(play.data(&elsewhere)?.is_none(), "left: {:?}", play.data(&elsewhere)?);
        Ok(())
    })
}

/// What can never be exported is not waited for.
#[test]
fn a_path_that_leads_to_no_value_is_refused() -> Result<()> {
    exported_of("Queue", |play| {
        play.declares(&Map::new())?;
        play.settles()?;
        for (path, told) in [
            (".status.queueUrl", "there is nothing at `.status.queueUrl`"),
            (".status.ackResourceMetadata", "`.status.ackResourceMetadata` is an object"),
            (".status.queueURL | length", "pipes and functions are not supported"),
        ] {
            let bad = play.beside(&export(play, "bad", path, &json!({"kind": "configmap", "name": "app"})))?;
            play.refuses_to_begin(&bad, told)?;
        }
        Ok(())
    })
}

/// While its source is not as it should be, an export waits and says so.
#[test]
fn an_export_waits_for_its_source() -> Result<()> {
    exported_of("Queue", |play| {
        let map = play.named("v1", "ConfigMap", "app");
        play.has_target(&map)?;
        play.behind_our_back(&play.case.foreign)?;
        play.declares(&Map::new())?;
        play.is_refused(&["adopt"])?;
        let to = json!({"kind": "configmap", "name": "app", "key": "url"});
        let url = play.beside(&export(play, "url", ".status.queueURL", &to))?;
        play.plan()?.ends(1)?;
        play.refuses(&url, &["to be synced"])?;
        ensure!(play.data(&map)?.is_none(), "it was exported");
        play.declares_with(&Map::new(), &json!({"services.k8s.aws/adoption-policy": "adopt"}))?;
        play.settles_until(|adapter| Ok(adapter.data(&map)?.is_some()))?;
        play.goes().map(drop)
    })
}

const QUEUE: &str = "\
apiVersion: sqs.services.k8s.aws/v1alpha1
kind: Queue
metadata: {name: orders}
spec: {queueName: orders, delaySeconds: \"3\"}
";

fn manifest(name: &str, path: &str, to: &str) -> String {
    format!(
        "apiVersion: services.k8s.aws/v1alpha1\nkind: FieldExport\nmetadata: {{name: {name}}}\nspec:\n  from:\n    \
         path: {path}\n    resource: {{group: sqs.services.k8s.aws, kind: Queue, name: orders}}\n  to: {to}\n"
    )
}

/// A directory with a queue and two exports of it.
fn directory() -> Result<Stage> {
    let stage = Stage::open(Kind::Ministack)?;
    stage.write("m/queue.yaml", QUEUE)?;
    stage.write("m/url.yaml", &manifest("url", ".status.queueURL", "{kind: configmap, name: app}"))?;
    stage.write("m/delay.yaml", &manifest("delay", ".spec.delaySeconds", "{kind: secret, name: app, key: delay}"))?;
    stage.cso(&["validate", "-f", "m"])?.ends(0)?;
    Ok(stage)
}

/// A state file holds what was exported, and shows it.
#[test]
fn a_state_file_shows_what_was_exported() -> Result<()> {
    let stage = directory()?;
    let plan = stage.cso(&["plan", "-f", "m"])?.ends(2)?;
    let plan =
        plan.tells(".status.queueURL of sqs/Queue default/orders -> ConfigMap default/app key \"default.url\"")?;
    plan.tells("2 to export")?;
    stage.cso(&APPLY)?.ends(0)?.tells("FieldExport default/url: exported to ConfigMap default/app")?;

    let map = stage.cso(&["get", "configmap", "app", "-o", "json"])?.ends(0)?.json()?;
    ensure!(map["kind"] == "ConfigMap" && map["apiVersion"] == "v1", "{map}");
    let secret = stage.cso(&["get", "secret", "app", "-o", "json"])?.ends(0)?.json()?;
    ensure!(secret["data"] == json!({"delay": "(redacted)"}) && secret["type"] == "Opaque", "{secret}");
    stage.cso(&["get", "cm", "app", "-o", "yaml"])?.ends(0)?.tells("default.url: ")?;
    let described = stage.cso(&["describe", "secret", "app"])?.ends(0)?.tells("(redacted), 1 byte")?;
    described.tells("services.k8s.aws/FieldExport default/delay")?;
    stage.cso(&["describe", "fieldexport", "url"])?.ends(0)?.tells("to ConfigMap default/app key \"default.url\"")?;
    stage.cso(&["get"])?.ends(0)?.tells("v1/ConfigMap/app")?.tells("v1/Secret/app")?;
    stage.cso(&["get", "configmap", "other"])?.ends(1)?.tells("holds no exported ConfigMap `other`")?;

    // With its manifest an export goes only by --prune.
    stage.remove("m/url.yaml")?;
    stage.cso(&APPLY)?.ends(0)?.tells("deleted with --prune")?;
    stage.cso(&["get", "configmap", "app"])?.ends(0)?;
    stage.cso(&["plan", "-f", "m", "--prune"])?.ends(2)?.tells("is taken away")?;
    stage.cso(&[&APPLY[..], &["--prune"]].concat())?.ends(0)?.tells("is taken away")?;
    stage.cso(&["get", "configmap", "app"])?.ends(1)?;
    Ok(())
}

/// A user's manifest is never overwritten, whichever was first. In a cluster what others keep in a target stays beside.
#[test]
fn what_a_manifest_declares_is_not_exported_into() -> Result<()> {
    let stage = directory()?;
    stage.cso(&APPLY)?.ends(0)?;
    stage.write("m/secret.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: app}\nstringData: {delay: mine}\n")?;
    for command in ["validate", "plan", "apply"] {
        let run = stage.cso(&[command, "-f", "m"])?.ends(1)?.tells("m/secret.yaml:3:12")?;
        run.tells("an export never writes into what a manifest declares")?;
    }
    stage.remove("m/delay.yaml")?;
    stage.cso(&["apply", "-f", "m"])?.ends(1)?.tells("cso delete fieldexport delay")?;
    stage.cso(&["delete", "fieldexport", "delay"])?.ends(0)?;
    stage.cso(&APPLY)?.ends(0)?;
    Ok(())
}

#[test]
fn an_export_follows_while_a_directory_is_watched() -> Result<()> {
    let stage = directory()?;
    let mut watch = Running::start(&stage, &["apply", "-f", "m", "--watch", "--verify-every", "1h", "-vv"])?;
    let exports = |value: &str| {
        until("the value is exported", || {
            let secret = stage.cso(&["get", "secret", "app", "-o", "json", "--show-secrets"])?;
            Ok((secret.code() == Some(0) && secret.json()?["data"]["delay"] == value).then_some(()))
        })
    };
    exports("Mw==")?;
    stage.write("m/queue.yaml", &QUEUE.replace("\"3\"", "\"4\""))?;
    exports("NA==")?;
    watch.interrupt()?;
    watch.end()?;
    stage.rests()
}
