//! `apply --watch`: drift is repaired within the interval, edits are followed, and SIGINT ends it with everything recorded.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cso_testbed::{Action, Kind, Match};
use serde_json::{Value, json};

use crate::running::{Running, until};
use crate::stage::Stage;

fn manifest(timeout: u32) -> String {
    format!(
        "apiVersion: sqs.services.k8s.aws/v1alpha1\nkind: Queue\nmetadata: {{name: story}}\nspec: {{queueName: story, visibilityTimeout: \"{timeout}\"}}\n"
    )
}

fn url(stage: &Stage, name: &str) -> Option<Value> {
    Some(stage.cloud.call("sqs", "GetQueueUrl", json!({"QueueName": name})).ok()?["QueueUrl"].clone())
}

/// Waits until the queue's timeout is as given.
fn shows(stage: &Stage, timeout: u32) -> Result<()> {
    let log = || std::fs::read_to_string(stage.path().join("log")).unwrap_or_default();
    let look = || {
        let Some(url) = url(stage, "story") else { return Ok(None) };
        let input = json!({"QueueUrl": url, "AttributeNames": ["All"]});
        let seen = stage.cloud.call("sqs", "GetQueueAttributes", input)?;
        Ok((seen["Attributes"]["VisibilityTimeout"] == timeout.to_string().as_str()).then_some(()))
    };
    until(&format!("a timeout of {timeout}"), look).with_context(log)
}

#[test]
fn stays_repairs_follows_and_stops() -> Result<()> {
    let stage = Stage::open(Kind::Ministack)?;
    stage.write("m/queue.yaml", &manifest(40))?;
    let mut watcher = Running::start(&stage, &["apply", "-f", "m", "--watch", "--verify-every", "500ms"])?;
    shows(&stage, 40)?;

    let queue = url(&stage, "story").context("no queue")?;
    let drift = json!({"QueueUrl": queue, "Attributes": {"VisibilityTimeout": "5"}});
    stage.cloud.call("sqs", "SetQueueAttributes", drift.clone())?;
    shows(&stage, 40)?;

    stage.write("m/queue.yaml", &manifest(50))?;
    shows(&stage, 50)?;

    // While a manifest is broken, the last good one stays in force.
    stage.write("m/queue.yaml", "kind: [")?;
    watcher.tells("stay in force")?;
    stage.cloud.call("sqs", "SetQueueAttributes", drift)?;
    shows(&stage, 50)?;
    stage.write("m/queue.yaml", &manifest(60))?;
    shows(&stage, 60)?;

    // Another object, whose create is in flight when the interrupt comes: it is finished and recorded.
    let delay = stage.proxy.on(Match::operation("CreateQueue"), Action::Delay(Duration::from_secs(1)));
    stage.write("m/second.yaml", &manifest(70).replace("story", "second"))?;
    until("the second create is in flight", || Ok((delay.fired() == 1).then_some(())))?;
    watcher.interrupt()?;
    let status = watcher.end()?;
    ensure!(status.code() == Some(130), "the watcher ended with {status}");
    ensure!(url(&stage, "second").is_some(), "the call in flight was not finished");
    stage.cso(&["apply", "-f", "m", "--wait"])?.ends(0)?;
    ensure!(stage.everything()?.len() == 2, "there is {:?}", stage.everything()?);
    stage.rests()
}
