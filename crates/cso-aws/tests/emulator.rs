//! Against a real emulator, by the standard environment. Run with `--ignored` and, for example:
//!
//! ```text
//! GATEWAY_PORT=4566 BIND_HOST=127.0.0.1 IOT_MTLS_ENABLED=0 ministack &
//! AWS_ENDPOINT_URL=http://127.0.0.1:4566 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=eu-west-1 \
//!     cargo test -p cso-aws --test emulator -- --ignored --nocapture
//! ```
#![expect(clippy::print_stdout, reason = "the throughput is for a person to read")]

use std::sync::Arc;

use cso_aws::Aws;
use cso_core::port::{Cloud, Effect, Purpose, Request};
use cso_core::{CallError, ErrorClass, Outcome};
use cso_facts::Catalog;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

async fn aws() -> Aws {
    Aws::from_environment(Catalog::builtin()).await.unwrap()
}

async fn call(aws: &Aws, effect: Effect, action: &str, input: Value) -> Result<Value, CallError> {
    let (service, operation) = action.split_once(':').unwrap();
    aws.call(Request {
        service: service.into(),
        operation: operation.into(),
        region: aws.default_region().unwrap_or("us-east-1").into(),
        namespace: "default".into(),
        input,
        effect,
        purpose: Purpose::Change,
    })
    .await
}

/// A name that no earlier run used.
#[expect(clippy::disallowed_methods, reason = "the only thing that differs between two runs")]
fn name(what: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("{what}-{}", now.as_nanos())
}

#[tokio::test]
#[ignore = "needs an emulator"]
async fn one_resource_of_each_service() {
    let aws = aws().await;
    let identity = aws.identity().await.unwrap();
    assert_eq!((identity.account.len(), identity.partition.as_str()), (12, "aws"));

    let queue = name("queue");
    let input = json!({"QueueName": queue, "Attributes": {"VisibilityTimeout": "45"}, "tags": {"team": "blue"}});
    let url = call(&aws, Effect::Mutates, "sqs:CreateQueue", input).await.unwrap()["QueueUrl"].clone();
    let input = json!({"QueueUrl": url, "AttributeNames": ["All"]});
    let attributes = call(&aws, Effect::Reads, "sqs:GetQueueAttributes", input).await.unwrap();
    assert_eq!(attributes["Attributes"]["VisibilityTimeout"], "45");

    let input = json!({"Name": name("topic"), "Tags": [{"Key": "team", "Value": "blue + red"}]});
    let arn = call(&aws, Effect::Mutates, "sns:CreateTopic", input).await.unwrap()["TopicArn"].clone();
    let tags = call(&aws, Effect::Reads, "sns:ListTagsForResource", json!({"ResourceArn": arn})).await.unwrap();
    assert_eq!(tags["Tags"], json!([{"Key": "team", "Value": "blue + red"}]));

    let key = call(&aws, Effect::Mutates, "kms:CreateKey", json!({"Description": "d"})).await.unwrap();
    let id = key["KeyMetadata"]["KeyId"].clone();
    let key = call(&aws, Effect::Reads, "kms:DescribeKey", json!({"KeyId": id})).await.unwrap();
    assert!(key["KeyMetadata"]["CreationDate"].as_str().unwrap().ends_with('Z'), "{key}");

    let input = json!({"Name": name("secret"), "SecretString": "s3cr3t-s3cr3t"});
    let arn = call(&aws, Effect::Mutates, "secretsmanager:CreateSecret", input).await.unwrap()["ARN"].clone();
    let value = call(&aws, Effect::Reads, "secretsmanager:GetSecretValue", json!({"SecretId": arn})).await.unwrap();
    assert_eq!(value["SecretString"], "s3cr3t-s3cr3t");

    let repository = name("repository");
    let input = json!({"repositoryName": repository});
    call(&aws, Effect::Mutates, "ecr:CreateRepository", input.clone()).await.unwrap();
    let error = call(&aws, Effect::Mutates, "ecr:CreateRepository", input).await.unwrap_err();
    assert_eq!((&*error.code, error.outcome), ("RepositoryAlreadyExistsException", Outcome::Refused), "{error}");
    let all = call(&aws, Effect::Reads, "ecr:DescribeRepositories", json!({})).await.unwrap();
    assert!(all["repositories"].as_array().unwrap().iter().any(|item| item["repositoryName"] == *repository));

    let input = json!({"QueueName": name("gone")});
    let error = call(&aws, Effect::Reads, "sqs:GetQueueUrl", input).await.unwrap_err();
    assert_eq!(error.code, "AWS.SimpleQueueService.NonExistentQueue", "{error}");
    let error = call(&aws, Effect::Reads, "sns:GetTopicAttributes", json!({"TopicArn": "arn:x"})).await.unwrap_err();
    assert_eq!((error.class, error.status.is_some()), (ErrorClass::Invalid, true), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs an emulator"]
async fn many_at_once() {
    const CALLS: usize = 3000;
    let aws = Arc::new(aws().await);
    let prefix = name("many");
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for worker in 0..32 {
        let (aws, prefix) = (Arc::clone(&aws), prefix.clone());
        tasks.spawn(async move {
            for index in (worker..CALLS).step_by(32) {
                let input = json!({"QueueName": format!("{prefix}-{index}")});
                call(&aws, Effect::Mutates, "sqs:CreateQueue", input).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let rate = CALLS as f64 / start.elapsed().as_secs_f64();
    println!("{rate:.0} CreateQueue a second");
    let input = json!({"QueueNamePrefix": prefix, "MaxResults": 500});
    let queues = call(&aws, Effect::Reads, "sqs:ListQueues", input).await.unwrap();
    assert_eq!(queues["QueueUrls"].as_array().unwrap().len(), CALLS);
}
