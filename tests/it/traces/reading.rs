//! What the cloud holds, read by the independent client in the form of the recordings.

use anyhow::Result;
use cso_testbed::{ReadError, Reader};
use serde_json::{Map, Value, json};

use super::buckets;
use super::recording::Recording;
use super::responder::Responder;
use super::stage::HOME;

/// Members that the recordings leave out, or that tell when somebody looked.
const UNTOLD: [&str; 7] = [
    "AWSAccountId",
    "EffectiveDeliveryPolicy",
    "LastAccessedDate",
    "SubscriptionPrincipal",
    "SubscriptionsConfirmed",
    "SubscriptionsDeleted",
    "SubscriptionsPending",
];

/// Who is asked.
pub(super) struct Sources<'a> {
    pub(super) reader: &'a Reader,
    pub(super) responder: &'a Responder,
}

/// Reads the resource of a recording. `id`: the identifier of a resource that the provider names.
pub(super) fn read(recording: &Recording, sources: &Sources<'_>, id: Option<&str>) -> Result<Value> {
    let aws = Aws(sources.reader);
    let list = |operation: &str, member: &str| {
        let answer = sources.responder.answer(&recording.account, operation, &json!({}));
        answer.and_then(Result::ok).map(|answer| answer[member].clone()).unwrap_or_default()
    };
    let value = match recording.name.as_str() {
        "ecr_PullThroughCacheRule" => list("DescribePullThroughCacheRules", "pullThroughCacheRules"),
        "ecr_RepositoryCreationTemplate" => list("DescribeRepositoryCreationTemplates", "repositoryCreationTemplates"),
        "kms_Grant" => grants(&aws, id)?,
        "sns_PlatformApplication" => platform_application(&aws)?,
        "sns_PlatformEndpoint" => platform_endpoint(&aws, sources.responder)?,
        "sqs_Queue" => queue(&aws)?,
        "kms_Key" => key(&aws, id)?,
        "kms_Alias" => aliases(&aws)?,
        "s3_Bucket" => bucket(&aws, sources.responder)?,
        "secretsmanager_Secret" => secret(&aws)?,
        "ecr_Repository" => repository(&aws)?,
        "sns_Topic" => topic(&aws)?,
        "sns_Subscription" => subscriptions(&aws)?,
        other => anyhow::bail!("nobody knows how to read {other}"),
    };
    Ok(told(&value))
}

/// What a recording says the cloud holds, in the form in which we read it.
pub(super) fn recorded(recording: &str, cloud: &Value) -> Value {
    let told = told(cloud);
    if recording == "s3_Bucket" { buckets::modelled(&told) } else { told }
}

/// The value without what is not compared.
pub(super) fn told(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(told).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| (name, if name == "grants" { sorted(member) } else { member.clone() }))
            .filter(|(name, _)| !UNTOLD.contains(&name.as_str()) && !name.starts_with("Approximate"))
            .map(|(name, member)| (name.clone(), told(&member)))
            .collect(),
        other => other.clone(),
    }
}

/// Grants come in the order of their random identifiers.
fn sorted(grants: &Value) -> Value {
    let mut grants = grants.as_array().cloned().unwrap_or_default();
    grants.sort_by_key(|grant| (grant["GranteePrincipal"].to_string(), grant["Operations"].to_string()));
    Value::Array(grants)
}

struct Aws<'a>(&'a Reader);

impl Aws<'_> {
    fn call(&self, service: &str, operation: &str, params: Value) -> Result<Value, ReadError> {
        self.0.call_in(HOME, service, operation, params)
    }

    /// `None` where the cloud says no.
    fn ask(&self, service: &str, operation: &str, params: Value) -> Result<Option<Value>, ReadError> {
        match self.call(service, operation, params) {
            Ok(answer) => Ok(Some(answer)),
            Err(ReadError::Aws { .. }) => Ok(None),
            Err(broken) => Err(broken),
        }
    }
}

fn queue(aws: &Aws<'_>) -> Result<Value> {
    for name in ["q1", "q1.fifo"] {
        let Some(found) = aws.ask("sqs", "GetQueueUrl", json!({"QueueName": name}))? else { continue };
        let url = &found["QueueUrl"];
        let all = aws.call("sqs", "GetQueueAttributes", json!({"QueueUrl": url, "AttributeNames": ["All"]}))?;
        let tags = aws.call("sqs", "ListQueueTags", json!({"QueueUrl": url}))?;
        let tags = tags.get("Tags").cloned().unwrap_or_else(|| json!({}));
        return Ok(json!({"attributes": all["Attributes"], "tags": tags}));
    }
    Ok(Value::Null)
}

fn key(aws: &Aws<'_>, id: Option<&str>) -> Result<Value> {
    let keys = aws.call("kms", "ListKeys", json!({}))?["Keys"].as_array().map_or(0, Vec::len);
    let Some(id) = id else { return Ok(json!({"keys": keys})) };
    let about = json!({"KeyId": id});
    let named = json!({"KeyId": id, "PolicyName": "default"});
    Ok(json!({
        "keys": keys,
        "key": aws.call("kms", "DescribeKey", about.clone())?["KeyMetadata"],
        "policy": aws.call("kms", "GetKeyPolicy", named)?["Policy"],
        "rotation": aws.ask("kms", "GetKeyRotationStatus", about.clone())?.map(|answer| answer["KeyRotationEnabled"].clone()),
        "tags": aws.call("kms", "ListResourceTags", about)?["Tags"],
    }))
}

/// The recordings leave out what belongs to AWS.
fn aliases(aws: &Aws<'_>) -> Result<Value> {
    let all = aws.call("kms", "ListAliases", json!({}))?;
    let is_aws = |alias: &&Value| alias["AliasName"].as_str().is_some_and(|name| name.starts_with("alias/aws/"));
    let ours: Vec<&Value> = all["Aliases"].as_array().into_iter().flatten().filter(|alias| !is_aws(alias)).collect();
    Ok(json!({"aliases": ours}))
}

fn secret(aws: &Aws<'_>) -> Result<Value> {
    let about = json!({"SecretId": "sec1"});
    let mut value = match aws.call("secretsmanager", "DescribeSecret", about.clone()) {
        Ok(description) => description,
        Err(ReadError::Aws { code, .. }) => json!({"error": code}),
        Err(broken) => return Err(broken.into()),
    };
    if let Some(members) = value.as_object_mut() {
        members.remove("VersionIdsToStages");
    }
    let text = aws.ask("secretsmanager", "GetSecretValue", about.clone())?;
    value["value"] = text.map(|answer| answer["SecretString"].clone()).unwrap_or_default();
    let versions = json!({"SecretId": "sec1", "IncludeDeprecated": true});
    let versions = aws.ask("secretsmanager", "ListSecretVersionIds", versions)?;
    value["versions"] = json!(versions.and_then(|answer| answer["Versions"].as_array().map(Vec::len)).unwrap_or(0));
    Ok(value)
}

fn repository(aws: &Aws<'_>) -> Result<Value> {
    let found = match aws.call("ecr", "DescribeRepositories", json!({"repositoryNames": ["repo1"]})) {
        Ok(answer) => answer["repositories"][0].clone(),
        Err(ReadError::Aws { code, .. }) => return Ok(json!({"error": code})),
        Err(broken) => return Err(broken.into()),
    };
    let about = json!({"repositoryName": "repo1"});
    let text = |operation: &str, member: &str| -> Result<Value, ReadError> {
        Ok(aws.ask("ecr", operation, about.clone())?.map(|answer| answer[member].clone()).unwrap_or_default())
    };
    Ok(json!({
        "policy": text("GetRepositoryPolicy", "policyText")?,
        "lifecyclePolicy": text("GetLifecyclePolicy", "lifecyclePolicyText")?,
        "tags": aws.call("ecr", "ListTagsForResource", json!({"resourceArn": found["repositoryArn"]}))?["tags"],
        "repository": found,
    }))
}

fn topic(aws: &Aws<'_>) -> Result<Value> {
    let topics = aws.call("sns", "ListTopics", json!({}))?;
    let is_ours = |arn: &&str| arn.ends_with(":t1") || arn.ends_with(":t1.fifo");
    let mut arns = topics["Topics"].as_array().into_iter().flatten().filter_map(|topic| topic["TopicArn"].as_str());
    let Some(arn) = arns.find(is_ours) else { return Ok(Value::Null) };
    let all = aws.call("sns", "GetTopicAttributes", json!({"TopicArn": arn}))?;
    let tags = aws.call("sns", "ListTagsForResource", json!({"ResourceArn": arn}))?;
    Ok(json!({"attributes": all["Attributes"], "tags": tags["Tags"]}))
}

fn subscriptions(aws: &Aws<'_>) -> Result<Value> {
    let listed = aws.call("sns", "ListSubscriptions", json!({}))?;
    let mut all = Vec::new();
    for subscription in listed["Subscriptions"].as_array().into_iter().flatten() {
        let mut members: Map<String, Value> = subscription.as_object().cloned().unwrap_or_default();
        let about = json!({"SubscriptionArn": subscription["SubscriptionArn"]});
        if let Some(answer) = aws.ask("sns", "GetSubscriptionAttributes", about)? {
            members.extend(answer["Attributes"].as_object().cloned().unwrap_or_default());
        }
        all.push(Value::Object(members));
    }
    Ok(json!({"subscriptions": all}))
}

fn grants(aws: &Aws<'_>, key: Option<&str>) -> Result<Value> {
    let Some(key) = key else { return Ok(Value::Null) };
    let listed = aws.ask("kms", "ListGrants", json!({"KeyId": key}))?;
    Ok(listed.map_or(Value::Null, |answer| json!({"grants": answer["Grants"]})))
}

fn platform_application(aws: &Aws<'_>) -> Result<Value> {
    let Some(arn) = application_arn(aws)? else { return Ok(Value::Null) };
    Ok(aws.call("sns", "GetPlatformApplicationAttributes", json!({"PlatformApplicationArn": arn}))?["Attributes"]
        .clone())
}

/// Of the one application that the scripts look at.
fn application_arn(aws: &Aws<'_>) -> Result<Option<String>> {
    let all = aws.call("sns", "ListPlatformApplications", json!({}))?;
    let listed = all["PlatformApplications"].as_array().into_iter().flatten();
    let mut arns = listed.filter_map(|application| application["PlatformApplicationArn"].as_str());
    Ok(arns.find(|arn| arn.ends_with(":app/GCM/app1")).map(str::to_owned))
}

/// The first endpoint of the application that is there, or that there was one.
fn platform_endpoint(aws: &Aws<'_>, responder: &Responder) -> Result<Value> {
    let application = json!(application_arn(aws)?);
    let made = responder.endpoints(&application);
    for arn in &made {
        if let Some(answer) = aws.ask("sns", "GetEndpointAttributes", json!({"EndpointArn": arn}))? {
            return Ok(json!({"Attributes": answer["Attributes"]}));
        }
    }
    Ok(if made.is_empty() { Value::Null } else { json!({"error": "NotFound"}) })
}

/// The settings of a bucket, and the calls that read them. The recordings do not tell of object lock.
const SETTINGS: [(&str, &str); 15] = [
    ("accelerate_configuration", "GetBucketAccelerateConfiguration"),
    ("acl", "GetBucketAcl"),
    ("cors", "GetBucketCors"),
    ("encryption", "GetBucketEncryption"),
    ("lifecycle_configuration", "GetBucketLifecycleConfiguration"),
    ("location", "GetBucketLocation"),
    ("logging", "GetBucketLogging"),
    ("notification_configuration", "GetBucketNotificationConfiguration"),
    ("ownership_controls", "GetBucketOwnershipControls"),
    ("policy", "GetBucketPolicy"),
    ("public_access_block", "GetPublicAccessBlock"),
    ("replication", "GetBucketReplication"),
    ("tagging", "GetBucketTagging"),
    ("versioning", "GetBucketVersioning"),
    ("website", "GetBucketWebsite"),
];

/// What is set, and what the emulator lacks and is kept for it.
fn bucket(aws: &Aws<'_>, responder: &Responder) -> Result<Value> {
    let about = json!({"Bucket": "bkt1"});
    if aws.ask("s3", "HeadBucket", about.clone())?.is_none() {
        return Ok(Value::Null);
    }
    let mut all = buckets::state(&responder.buckets(), "bkt1");
    for (name, operation) in SETTINGS {
        let Some(Value::Object(mut answer)) = aws.ask("s3", operation, about.clone())? else { continue };
        answer.retain(|_, value| !value.is_null());
        if !answer.is_empty() {
            all.insert(name.to_owned(), Value::Object(answer));
        }
    }
    Ok(Value::Object(all))
}
