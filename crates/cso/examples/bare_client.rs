//! The yardstick of `cargo xtask bench create`: makes queues with the client and nothing else. For each queue it makes
//! the calls that `cso apply` makes, in their order; it remembers, decides and tells nothing.
//!
//! `bare_client QUEUES CONCURRENCY`, with the environment that `cso` takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, bail, ensure};
use cso_aws::Aws;
use cso_core::port::{Cloud as _, Effect, Purpose, Request};
use cso_facts::Catalog;
use mimalloc::MiMalloc;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// The same as that of `cso`: not what is compared.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> Result<()> {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let [queues, concurrency] = numbers[..] else { bail!("usage: bare_client QUEUES CONCURRENCY") };
    let cloud = Arc::new(Aws::from_environment(Catalog::builtin()).await?);
    cloud.identity().await?;
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..concurrency {
        let (cloud, next) = (Arc::clone(&cloud), Arc::clone(&next));
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= queues {
                    return Ok(());
                }
                create(&cloud, &format!("bench-{number:05}")).await?;
            }
        });
    }
    workers.join_all().await.into_iter().collect()
}

/// Looks, creates, reads back.
async fn create(cloud: &Aws, name: &str) -> Result<()> {
    let absent = call(cloud, "GetQueueUrl", Effect::Reads, json!({"QueueName": name})).await;
    ensure!(absent.is_err(), "queue {name} exists already");
    // With as many tags as an object of the bench carries: its own, and the ones that mark it.
    let tags = json!({
        "team": "bench",
        "services.k8s.aws/controller-version": "sqs-0.1.0",
        "services.k8s.aws/namespace": "default",
        "services.k8s.aws/owner": format!("0123456789abcdef/sqs.services.k8s.aws/Queue/default/{name}"),
    });
    let input = json!({"QueueName": name, "Attributes": {"VisibilityTimeout": "45"}, "tags": tags});
    let created = call(cloud, "CreateQueue", Effect::Mutates, input).await?;
    let url = created["QueueUrl"].as_str().context("the answer has no QueueUrl")?;
    let input = json!({"QueueUrl": url, "AttributeNames": ["All"]});
    call(cloud, "GetQueueAttributes", Effect::Reads, input).await?;
    Ok(())
}

async fn call(cloud: &Aws, operation: &str, effect: Effect, input: Value) -> Result<Value> {
    let request = Request {
        service: "sqs".to_owned(),
        operation: operation.to_owned(),
        region: cloud.default_region().context("no region is set")?.to_owned(),
        namespace: "default".to_owned(),
        input,
        effect,
        purpose: Purpose::Change,
    };
    Ok(cloud.call(request).await?)
}
