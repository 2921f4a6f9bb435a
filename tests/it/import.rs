//! What others made is written down, taken over as it is, and managed from then on.

use std::fs;

use anyhow::{Result, ensure};
use cso_testbed::Kind;
use serde_json::{Value, json};

use crate::stage::{APPLY, Stage};

const SECRET: &str = "correct-horse-battery-staple";

/// One of each kind, as somebody made them by hand.
fn furnish(stage: &Stage) -> Result<()> {
    let cloud = &stage.cloud;
    let attributes = json!({"VisibilityTimeout": "45"});
    let queue = cloud.call(
        "sqs",
        "CreateQueue",
        json!({"QueueName": "Orders_1", "Attributes": attributes, "tags": {"team": "blue"}}),
    )?;
    let arn = cloud.call(
        "sqs",
        "GetQueueAttributes",
        json!({"QueueUrl": queue["QueueUrl"], "AttributeNames": ["QueueArn"]}),
    )?;
    let topic = cloud.call("sns", "CreateTopic", json!({"Name": "news", "Attributes": {"DisplayName": "News"}}))?;
    let endpoint = &arn["Attributes"]["QueueArn"];
    let subscription = json!({"TopicArn": topic["TopicArn"], "Protocol": "sqs", "Endpoint": endpoint,
        "Attributes": {"RawMessageDelivery": "true"}});
    cloud.call("sns", "Subscribe", subscription)?;
    let key = cloud.call("kms", "CreateKey", json!({"Description": "of the orders"}))?;
    let key = &key["KeyMetadata"]["KeyId"];
    cloud.call("kms", "EnableKeyRotation", json!({"KeyId": key}))?;
    cloud.call("kms", "CreateAlias", json!({"AliasName": "alias/orders", "TargetKeyId": key}))?;
    cloud.call("ecr", "CreateRepository", json!({"repositoryName": "team/app", "imageTagMutability": "IMMUTABLE"}))?;
    cloud.call("ecr", "CreateRepositoryCreationTemplate", json!({"prefix": "team", "appliedFor": ["REPLICATION"]}))?;
    cloud.call(
        "secretsmanager",
        "CreateSecret",
        json!({"Name": "db", "SecretString": SECRET, "Description": "of db"}),
    )?;
    Ok(())
}

fn secret(stage: &Stage) -> Result<Value> {
    let answer = stage.cloud.call("secretsmanager", "GetSecretValue", json!({"SecretId": "db"}))?;
    Ok(answer["SecretString"].clone())
}

fn what_exists_is_imported(emulator: Kind) -> Result<()> {
    let stage = Stage::open(emulator)?;
    furnish(&stage)?;
    let there = stage.everything()?;
    let run = stage.cso(&["import", "--all", "-d", "m"])?.ends(0)?.tells("secretString")?;
    ensure!(stage.mutations().is_empty(), "an import changed something");
    ensure!(!run.stderr.contains(SECRET) && !run.stdout.contains(SECRET), "a secret was shown");
    let mut files = Vec::new();
    for file in fs::read_dir(stage.path().join("m"))? {
        let file = file?;
        let text = fs::read_to_string(file.path())?;
        ensure!(!text.contains(SECRET), "a secret was written: {text}");
        files.push(file.file_name().to_string_lossy().into_owned());
    }
    ensure!(files.len() == there.len(), "{files:?} of {there:?}");
    for name in
        ["sqs-queue-orders-1.yaml", "sns-topic-news.yaml", "kms-alias-orders.yaml", "ecr-repository-team-app.yaml"]
    {
        ensure!(files.iter().any(|file| file == name), "no {name} in {files:?}");
    }
    let queue = fs::read_to_string(stage.path().join("m/sqs-queue-orders-1.yaml"))?;
    ensure!(queue.contains("visibilityTimeout: \"45\"") && !queue.contains("delaySeconds"), "{queue}");

    stage.cso(&["import", "--all", "-d", "m"])?.ends(1)?.tells("nothing was written")?;
    stage.cso(&["plan", "-f", "m"])?.ends(0)?.tells("nothing to do")?;
    stage.cso(&APPLY)?.ends(0)?;
    let changing: Vec<_> = stage
        .mutations()
        .into_iter()
        .filter(|call| !call.operation.starts_with("Tag"))
        .map(|call| call.operation)
        .collect();
    ensure!(changing.is_empty(), "taking over made {changing:?}");
    ensure!(stage.everything()? == there && secret(&stage)? == SECRET, "taking over changed something");
    stage.rests()?;
    stage.cso(&["import", "--all"])?.ends(0)?.tells("is managed here")?;
    stage.cso(&["delete", "-f", "m"])?.ends(0)?;
    ensure!(stage.everything()?.is_empty(), "left: {:?}", stage.everything()?);
    Ok(())
}

fn one_is_imported_by_name_and_by_arn(emulator: Kind) -> Result<()> {
    let stage = Stage::open(emulator)?;
    furnish(&stage)?;
    let json = ["-o", "json"];
    let import = |kind: &str, name: &str| -> Result<Value> {
        let list = stage.cso(&[&["import", kind, name], json.as_slice()].concat())?.ends(0)?.json()?;
        Ok(list["items"][0].clone())
    };
    let arns = [
        (
            "secret",
            "db",
            stage.cloud.call("secretsmanager", "DescribeSecret", json!({"SecretId": "db"}))?["ARN"].clone(),
        ),
        (
            "repository",
            "team/app",
            stage.cloud.call("ecr", "DescribeRepositories", json!({}))?["repositories"][0]["repositoryArn"].clone(),
        ),
        ("topic", "news", stage.cloud.call("sns", "ListTopics", json!({}))?["Topics"][0]["TopicArn"].clone()),
    ];
    for (kind, name, arn) in arns {
        let by_name = import(kind, name)?;
        let by_arn = import(kind, arn.as_str().unwrap_or_default())?;
        ensure!(by_name == by_arn && by_name["spec"]["name"] == name, "{by_name} {by_arn}");
    }
    stage.cso(&["import", "queue", "nobody"])?.ends(1)?.tells("there is no sqs/Queue `nobody`")?;
    stage.cso(&["import", "queue"])?.ends(2)?;
    ensure!(stage.mutations().is_empty(), "an import changed something");
    Ok(())
}

/// A namespace's manifest protects its objects, also from a delete that does not read it; flags fill what nobody says.
fn a_namespace_speaks_for_its_objects(emulator: Kind) -> Result<()> {
    let stage = Stage::open(emulator)?;
    let namespace = |policy: &str| {
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: prod\n  annotations:\n    \
             sqs.services.k8s.aws/deletion-policy: {policy}\n"
        )
    };
    let queue = "apiVersion: sqs.services.k8s.aws/v1alpha1\nkind: Queue\nmetadata:\n  name: orders\n  namespace: prod\n  \
                 annotations:\n    services.k8s.aws/ignore-field-drift: spec.delaySeconds\nspec:\n  queueName: orders\n";
    stage.write("m/namespace.yaml", &namespace("retain"))?;
    stage.write("m/queue.yaml", queue)?;
    stage.cso(&[&APPLY, ["--default-tag", "for=%K8S_NAMESPACE%"].as_slice()].concat())?.ends(0)?;
    let tags = stage.cloud.call("sqs", "ListQueues", json!({}))?;
    let url = tags["QueueUrls"][0].clone();
    let tags = stage.cloud.call("sqs", "ListQueueTags", json!({"QueueUrl": url}))?;
    ensure!(tags["Tags"]["for"] == "prod", "{tags}");
    let late = json!({"QueueUrl": url, "Attributes": {"DelaySeconds": "7"}});
    stage.cloud.call("sqs", "SetQueueAttributes", late)?;
    stage.write("m/queue.yaml", &format!("{queue}  delaySeconds: \"3\"\n"))?;
    stage.cso(&["plan", "-f", "m", "--default-tag", "for=%K8S_NAMESPACE%"])?.ends(0)?.tells("is left alone")?;
    let there = stage.everything()?;
    stage.cso(&["delete", "-f", "m/queue.yaml"])?.ends(0)?.tells("retain")?;
    ensure!(stage.everything()? == there, "what its namespace protects was deleted");

    stage.write("m/namespace.yaml", &namespace("keep"))?;
    stage.cso(&["plan", "-f", "m"])?.ends(1)?.tells("deletion-policy of namespace prod: `keep`")?;
    Ok(())
}

on_every_emulator!(what_exists_is_imported, one_is_imported_by_name_and_by_arn, a_namespace_speaks_for_its_objects,);
