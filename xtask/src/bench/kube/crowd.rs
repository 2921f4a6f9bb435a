//! Many kinds and many objects, before an API server that is simulated.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use cso_testbed::Endpoint;
use futures::{StreamExt as _, TryStreamExt as _};
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use super::simulated::Simulated;
use crate::bench::memory::{Usage, highest};
use crate::bench::report::Row;
use crate::bench::stage::{Running, Stage, command};

const KINDS: usize = 1500;
const OBJECTS: usize = 100_000;
const NAMESPACES: usize = 100;
const GROUP: &str = "sqs.services.k8s.aws";
/// How long rest is watched.
const REST: Duration = Duration::from_mins(1);
const SETTLED_WITHIN: Duration = Duration::from_mins(20);

/// Everything is there before the controller comes, as ACK would have left it.
pub(super) fn run(stage: &mut Stage) -> Result<Vec<Row>> {
    stage.cloud.reset()?;
    let directory = stage.directory("kube-crowd")?;
    fs::create_dir(directory.join("kinds"))?;
    fs::write(directory.join("kinds/sqs.yaml"), kinds())?;
    let server = Simulated::start(&directory)?;
    let kubeconfig = directory.join("kubeconfig");
    server.kubeconfig(&kubeconfig)?;
    make_queues(stage.cloud.endpoint())?;
    fill(&server, stage.cloud.endpoint());

    let pages = ["--metrics-addr", "0", "--healthz-addr", "0"];
    let args = ["controller", "--verify-every", "24h", "--leader-elect=false", "--kinds", "kinds", "-v"];
    let mut command = command(&stage.cso, &directory, stage.cloud.endpoint(), &[&args[..], &pages].concat())?;
    command.env("KUBECONFIG", &kubeconfig);
    let start = Instant::now();
    let controller = Running(command.spawn()?);
    let told = || fs::read_to_string(directory.join("stderr"));
    let deadline = start + SETTLED_WITHIN;
    while told()?.matches("as wished").count() < OBJECTS {
        if Instant::now() > deadline {
            bail!("not all are settled: see {}", directory.join("stderr").display());
        }
        thread::sleep(Duration::from_secs(1));
    }
    let settled = start.elapsed();
    thread::sleep(Duration::from_secs(20));
    let (before, writes) = (Usage::of(controller.0.id())?, server.writes());
    let start = Instant::now();
    thread::sleep(REST);
    let after = Usage::of(controller.0.id())?;
    let cores = (after.cpu - before.cpu) / start.elapsed().as_secs_f64();
    let resident = after.resident.div_ceil(1024);
    let written = server.writes() - writes;
    let what = |what: &str| format!("`cso controller`, 100,000 objects of 1,500 kinds: {what}");
    let told = format!("{resident} (at its highest {})", highest(controller.0.id())?.div_ceil(1024));
    Ok(vec![
        Row::held(what("resident at rest, MB"), "at most 300", told, resident <= 300),
        Row::held(what("CPU at rest, cores"), "at most 0.1", format!("{cores:.3}"), cores <= 0.1),
        Row::held(what("writes to the API server at rest"), "0", written.to_string(), written == 0),
        Row::told(what("until it has looked at all of them, seconds"), format!("{:.0}", settled.as_secs_f64())),
    ])
}

/// Descriptors of queues under other names.
fn kinds() -> String {
    let kinds: Vec<String> = (0..KINDS).map(|number| format!("  Queue{number:04}:\n{QUEUE}")).collect();
    let errors = "errors:\n  absent: [QueueDoesNotExist]";
    format!("service: sqs\n{errors}\nkinds:\n{}", kinds.concat())
}

const QUEUE: &str = r"    surface: derived
    api:
      create: CreateQueue
      read: {op: GetQueueAttributes, in: {AttributeNames: [All]}}
      update: SetQueueAttributes
      delete: DeleteQueue
    identity:
      name: spec.queueName
      handle: {QueueUrl: status.queueURL}
      lookup: {op: GetQueueUrl, out: {status.queueURL: QueueUrl}}
      arn: Attributes.QueueArn
    inside:
      Attributes:
        delaySeconds: DelaySeconds
        messageRetentionPeriod: MessageRetentionPeriod
        receiveMessageWaitTimeSeconds: ReceiveMessageWaitTimeSeconds
        visibilityTimeout: VisibilityTimeout
    fields:
      queueName: {role: create-only, unreadable: true}
      delaySeconds: {compare: number}
      messageRetentionPeriod: {compare: number}
      receiveMessageWaitTimeSeconds: {compare: number}
      visibilityTimeout: {compare: number}
    tags: {at-create: tags, read: ListQueueTags, add: TagQueue, remove: UntagQueue}
";

fn name(number: usize) -> String {
    format!("crowd-{number:06}")
}

/// The queues, as another controller has made them.
fn make_queues(cloud: &Endpoint) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let calls = (0..OBJECTS).map(|number| {
        let tags = json!({"team": "crowd", "services.k8s.aws/controller-version": "sqs-v1.6.1",
                          "services.k8s.aws/namespace": namespace(number)});
        let input = json!({"QueueName": name(number), "Attributes": {"VisibilityTimeout": "45"}, "tags": tags});
        let scope = "20260101/eu-west-1/sqs/aws4_request";
        let request = Request::post(cloud.url())
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", "AmazonSQS.CreateQueue")
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 Credential=test/{scope}, SignedHeaders=host, Signature=0"),
            )
            .body(Full::from(input.to_string()));
        let client = client.clone();
        async move {
            let answer = client.request(request?).await?;
            anyhow::ensure!(answer.status().is_success(), "CreateQueue: {}", answer.status());
            Ok(())
        }
    });
    let made = runtime.block_on(futures::stream::iter(calls).buffer_unordered(32).try_collect::<Vec<()>>());
    made.map(drop).context("making queues")
}

fn namespace(number: usize) -> String {
    format!("team-{:02}", number / KINDS % NAMESPACES)
}

/// Definitions, namespaces, and the objects.
fn fill(server: &Simulated, cloud: &Endpoint) {
    for number in 0..NAMESPACES {
        server.put("api/v1/namespaces", json!({"metadata": {"name": format!("team-{number:02}")}}));
    }
    for number in 0..KINDS {
        let name = format!("queue{number:04}s.{GROUP}");
        let definitions = "apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        server.put(definitions, json!({"metadata": {"name": name}}));
    }
    for number in 0..OBJECTS {
        let kind = number % KINDS;
        server.put(&format!("apis/{GROUP}/v1alpha1/queue{kind:04}s"), object(cloud, number, kind));
    }
}

fn object(cloud: &Endpoint, number: usize, kind: usize) -> Value {
    let (name, account) = (name(number), &cloud.account);
    let arn = format!("arn:aws:sqs:eu-west-1:{account}:{name}");
    let synced = json!({"type": "ACK.ResourceSynced", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z",
                        "message": "Resource synced successfully"});
    json!({
        "apiVersion": format!("{GROUP}/v1alpha1"),
        "kind": format!("Queue{kind:04}"),
        "metadata": {
            "name": name,
            "namespace": namespace(number),
            "finalizers": [format!("finalizers.{GROUP}/Queue{kind:04}")],
        },
        "spec": {
            "queueName": name, "visibilityTimeout": "45", "delaySeconds": "0", "messageRetentionPeriod": "345600",
            "receiveMessageWaitTimeSeconds": "0", "tags": {"team": "crowd"},
        },
        "status": {
            "ackResourceMetadata": {"arn": arn, "ownerAccountID": account, "region": "eu-west-1"},
            "queueURL": format!("{}/{account}/{name}", cloud.url()),
            "conditions": [synced],
        },
    })
}
