//! S3 through the client and the `Cloud` port, judged by boto3: a protocol of its own, with addresses of its own.

use anyhow::{Context as _, Result, ensure};
use cso_aws::Aws;
use cso_core::port::{Cloud as _, Effect, Purpose, Request};
use cso_core::{CallError, SecretValue};
use cso_facts::Catalog;
use cso_testbed::{Emulator, Kind, Reader};
use serde_json::{Value, json};

const REGION: &str = "eu-west-1";
const BUCKET: &str = "story-of-a-bucket";

/// Both clients of one emulator.
struct Bed {
    runtime: tokio::runtime::Runtime,
    aws: Aws,
    boto3: Reader,
    _emulator: Emulator,
}

impl Bed {
    fn start(kind: Kind) -> Result<Self> {
        let emulator = Emulator::start(kind)?;
        let aws = Aws::fixed(Catalog::builtin(), &emulator.endpoint().url(), "test", &SecretValue::new("test"));
        let boto3 = Reader::connect(emulator.endpoint())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, aws, boto3, _emulator: emulator })
    }

    fn call(&self, effect: Effect, operation: &str, input: Value) -> Result<Value, CallError> {
        self.runtime.block_on(self.aws.call(Request {
            service: "s3".to_owned(),
            operation: operation.to_owned(),
            region: REGION.to_owned(),
            namespace: "default".to_owned(),
            input,
            effect,
            purpose: Purpose::Change,
        }))
    }

    /// Changes the bucket by our client.
    fn put(&self, operation: &str, mut input: Value) -> Result<()> {
        input["Bucket"] = BUCKET.into();
        self.call(Effect::Mutates, operation, input).map(drop).with_context(|| operation.to_owned())
    }

    /// Asks both clients the same; they must have understood the same.
    fn agree(&self, operation: &str) -> Result<Value> {
        let input = json!({"Bucket": BUCKET});
        let ours = self.call(Effect::Reads, operation, input.clone())?;
        let theirs = self.boto3.call("s3", operation, input)?;
        ensure!(ours == theirs, "{operation}: we read {ours}, boto3 {theirs}");
        Ok(ours)
    }
}

fn a_bucket_is_made_changed_read_and_removed(kind: Kind) -> Result<()> {
    let bed = Bed::start(kind)?;
    bed.put("CreateBucket", json!({"CreateBucketConfiguration": {"LocationConstraint": REGION}}))?;
    let tags = json!([{"Key": "team", "Value": "blue & <red>"}, {"Key": "cost centre", "Value": "1 + 1"}]);
    bed.put("PutBucketTagging", json!({"Tagging": {"TagSet": tags}}))?;
    bed.put("PutBucketVersioning", json!({"VersioningConfiguration": {"Status": "Enabled"}}))?;
    let statement = json!({"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
        "Resource": format!("arn:aws:s3:::{BUCKET}/*")});
    let policy = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    bed.put("PutBucketPolicy", json!({"Policy": policy}))?;
    let rules = json!([{"AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["https://a.example", "https://b.example"],
        "MaxAgeSeconds": 60}]);
    bed.put("PutBucketCors", json!({"CORSConfiguration": {"CORSRules": rules}}))?;
    let rule = json!({"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 30}});
    bed.put("PutBucketLifecycleConfiguration", json!({"LifecycleConfiguration": {"Rules": [rule]}}))?;
    let block = json!({"BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": false,
        "RestrictPublicBuckets": false});
    bed.put("PutPublicAccessBlock", json!({"PublicAccessBlockConfiguration": block}))?;

    let answer = bed.agree("GetBucketTagging")?;
    ensure!(answer["TagSet"] == tags, "{answer}");
    ensure!(bed.agree("GetBucketVersioning")?["Status"] == "Enabled");
    ensure!(
        bed.agree("GetBucketPolicy")?["Policy"].as_str().map(serde_json::from_str::<Value>).transpose()?
            == Some(serde_json::from_str(&policy)?)
    );
    ensure!(bed.agree("GetBucketCors")?["CORSRules"] == rules);
    ensure!(bed.agree("GetBucketLifecycleConfiguration")?["Rules"][0]["Expiration"]["Days"] == 30);
    ensure!(bed.agree("GetBucketLocation")?["LocationConstraint"] == REGION);
    ensure!(bed.agree("GetPublicAccessBlock")?["PublicAccessBlockConfiguration"] == block);
    let buckets = bed.call(Effect::Reads, "ListBuckets", json!({}))?;
    ensure!(buckets["Buckets"][0]["Name"] == BUCKET, "{buckets}");

    bed.put("DeleteBucketTagging", json!({}))?;
    let error = bed.boto3.call("s3", "GetBucketTagging", json!({"Bucket": BUCKET})).err().context("tags are left")?;
    ensure!(error.code() == Some("NoSuchTagSet"), "{error}");
    bed.put("DeleteBucket", json!({}))?;
    let left = bed.boto3.all("s3", "ListBuckets", json!({}))?;
    ensure!(left["Buckets"] == json!([]), "{left}");
    Ok(())
}

fn refusals_are_understood(kind: Kind) -> Result<()> {
    let bed = Bed::start(kind)?;
    let refusal = |effect: Effect, operation: &str, input: Value| {
        bed.call(effect, operation, input).err().with_context(|| format!("{operation} is not refused"))
    };
    let gone = json!({"Bucket": "nowhere-to-be-found"});
    let error = refusal(Effect::Reads, "GetBucketVersioning", gone.clone())?;
    ensure!((error.code.as_str(), error.status) == ("NoSuchBucket", Some(404)), "{error}");
    ensure!(!error.message.is_empty() && error.request_id.is_some(), "{error:?}");
    let error = refusal(Effect::Mutates, "DeleteBucket", gone.clone())?;
    ensure!(error.code == "NoSuchBucket", "{error}");
    // An answer to HEAD has no body, so the status is all there is.
    let error = refusal(Effect::Reads, "HeadBucket", gone)?;
    ensure!((error.code.as_str(), error.status) == ("NotFound", Some(404)), "{error}");
    Ok(())
}

on_every_emulator!(a_bucket_is_made_changed_read_and_removed, refusals_are_understood);
