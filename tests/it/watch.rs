//! `apply --watch`: drift is repaired within the interval, edits are followed, and SIGINT ends it with everything recorded.

use std::fs::File;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use cso_testbed::{Action, Kind, Match};
use serde_json::{Value, json};

use crate::stage::Stage;

/// Much longer than anything here takes; hit only by a failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// The process that stays. Killed when the story ends early.
struct Watcher(Child);

impl Watcher {
    fn start(stage: &Stage) -> Result<Self> {
        let mut command = stage.command(&["apply", "-f", "m", "--watch", "--verify-every", "500ms"])?;
        let log = File::create(stage.path().join("log"))?;
        Ok(Self(command.stdout(log.try_clone()?).stderr(log).spawn()?))
    }

    fn interrupt(&self) -> Result<()> {
        let status = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status()?;
        ensure!(status.success(), "kill ended with {status}");
        Ok(())
    }

    fn end(&mut self) -> Result<ExitStatus> {
        until("the watcher ends", || Ok(self.0.try_wait()?))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Looks again and again until there is something to see.
fn until<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(seen) = look()? {
            return Ok(seen);
        }
        thread::sleep(Duration::from_millis(20));
    }
    bail!("{what}: not within {} s", PATIENCE.as_secs())
}

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
    let mut watcher = Watcher::start(&stage)?;
    shows(&stage, 40)?;

    let queue = url(&stage, "story").context("no queue")?;
    stage.cloud.call(
        "sqs",
        "SetQueueAttributes",
        json!({"QueueUrl": queue, "Attributes": {"VisibilityTimeout": "5"}}),
    )?;
    shows(&stage, 40)?;

    stage.write("m/queue.yaml", &manifest(50))?;
    shows(&stage, 50)?;

    // While a manifest is broken, the last good one stays in force.
    stage.write("m/queue.yaml", "kind: [")?;
    until("the mistake is told", || {
        Ok(std::fs::read_to_string(stage.path().join("log"))?.contains("stay in force").then_some(()))
    })?;
    stage.cloud.call(
        "sqs",
        "SetQueueAttributes",
        json!({"QueueUrl": queue, "Attributes": {"VisibilityTimeout": "5"}}),
    )?;
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
