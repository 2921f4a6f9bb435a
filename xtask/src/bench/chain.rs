//! How soon an object is worked on after the one that it refers to became ready.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use cso_testbed::{AwsCall, Emulator, Kind, Proxy};

use super::report::Row;
use super::samples::Samples;
use super::stage::{self, Stage};

/// Each is a chain of its own, in a run of its own.
const RUNS: usize = 50;

/// A key, a topic that is encrypted with it, and a subscription to that topic: the longest chain of references of the kinds
/// there are. In this order of files the last comes first.
const CHAIN: [(&str, &str); 3] = [
    (
        "1.yaml",
        "apiVersion: sns.services.k8s.aws/v1alpha1\nkind: Subscription\nmetadata: {name: end}\nspec:\n  protocol: sqs\n  \
         endpoint: arn:aws:sqs:eu-west-1:000000000000:inbox\n  topicRef: {from: {name: middle}}\n",
    ),
    (
        "2.yaml",
        "apiVersion: sns.services.k8s.aws/v1alpha1\nkind: Topic\nmetadata: {name: middle}\nspec:\n  name: middle\n  \
         kmsMasterKeyRef: {from: {name: start}}\n",
    ),
    (
        "3.yaml",
        "apiVersion: kms.services.k8s.aws/v1alpha1\nkind: Key\nmetadata: {name: start}\nspec: {description: d}\n",
    ),
];

/// So many secrets, each of which holds what an export tells of the one before it.
const DEPTH: usize = 10;

pub(super) fn run(stage: &mut Stage) -> Result<Vec<Row>> {
    // The fast cloud does not know all that these kinds need.
    let mut cloud = Emulator::start(Kind::Ministack)?;
    let proxy = Proxy::before(cloud.endpoint())?;
    let (mut references, mut exports) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let files: Vec<(String, String)> = CHAIN.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        let calls = apply(stage, &mut cloud, &proxy, &files)?;
        references.push(edge(&calls, is_of_key, is_of_topic)?);
        references.push(edge(&calls, is_of_topic, is_of_subscription)?);
        let calls = apply(stage, &mut cloud, &proxy, &deep())?;
        for link in 1..DEPTH {
            exports.push(edge(&calls, |call| is_of_secret(call, link - 1), |call| is_of_secret(call, link))?);
        }
    }
    let held = |what: &str, edges: &[Duration]| -> Result<Row> {
        let edges = Samples::millis(edges).context("no runs")?;
        let (p50, p99) = (edges.median(), edges.percentile(99.0));
        Ok(Row::held(what.to_owned(), "under 50", format!("p50 {p50:.1}, p99 {p99:.1}"), p99 < 50.0))
    };
    Ok(vec![
        held("from the last answer for an object to the first call for one that refers to it, ms", &references)?,
        held("10 secrets in a chain, with an export between each two: the same, ms", &exports)?,
    ])
}

/// The calls of an apply of these files to a cloud that knows nothing yet.
fn apply(stage: &Stage, cloud: &mut Emulator, proxy: &Proxy, files: &[(String, String)]) -> Result<Vec<AwsCall>> {
    cloud.reset()?;
    proxy.clear();
    let directory = stage.directory("chain")?;
    for (name, text) in files {
        fs::write(directory.join(name), text)?;
    }
    stage::timed(stage.cso(&directory, proxy.endpoint(), &["apply", "-f", ".", "--wait"])?)?;
    Ok(proxy.calls())
}

/// Secrets in a chain, in files of which the last link comes first.
fn deep() -> Vec<(String, String)> {
    let first = "apiVersion: v1\nkind: Secret\nmetadata: {name: link-0}\nstringData: {arn: none}\n".to_owned();
    let link = |number: usize| {
        let (name, next) = (secret(number), number + 1);
        let own = format!(
            "apiVersion: secretsmanager.services.k8s.aws/v1alpha1\nkind: Secret\nmetadata: {{name: {name}}}\nspec:\n  \
             name: {name}\n  secretString: {{name: link-{number}, key: arn}}\n"
        );
        let export = format!(
            "---\napiVersion: services.k8s.aws/v1alpha1\nkind: FieldExport\nmetadata: {{name: {name}}}\nspec:\n  from:\n    \
             resource: {{group: secretsmanager.services.k8s.aws, kind: Secret, name: {name}}}\n    \
             path: .status.ackResourceMetadata.arn\n  to: {{kind: secret, name: link-{next}, key: arn}}\n"
        );
        // Nobody reads what the last one would tell.
        let text = if next == DEPTH { own } else { own + &export };
        (format!("{:02}.yaml", DEPTH - number), text)
    };
    (0..DEPTH).map(link).chain([("99.yaml".to_owned(), first)]).collect()
}

fn secret(number: usize) -> String {
    format!("deep-{number}")
}

fn is_of_key(call: &AwsCall) -> bool {
    call.service == "kms"
}

fn is_of_topic(call: &AwsCall) -> bool {
    call.service == "sns" && !is_of_subscription(call)
}

fn is_of_subscription(call: &AwsCall) -> bool {
    call.operation.contains("Subscri")
}

/// By its name, or by its ARN, which has the name in it.
fn is_of_secret(call: &AwsCall, number: usize) -> bool {
    let named = ["Name", "SecretId"].iter().filter_map(|member| call.input[*member].as_str());
    call.service == "secretsmanager" && named.into_iter().any(|name| name.contains(&secret(number)))
}

/// The time that is ours: from the answer that made the target ready, to the first call for the object that waited for it.
fn edge(calls: &[AwsCall], target: impl Fn(&AwsCall) -> bool, referrer: impl Fn(&AwsCall) -> bool) -> Result<Duration> {
    let ready = calls.iter().filter(|call| target(call)).filter_map(|call| call.ended).max();
    let next = calls.iter().filter(|call| referrer(call)).map(|call| call.arrived).min();
    let (ready, next) = (ready.context("no call for the target")?, next.context("no call for the referrer")?);
    next.checked_duration_since(ready).context("the referrer was worked on before its target was ready")
}
