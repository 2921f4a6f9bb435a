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

/// A key, a topic that is encrypted with it, and a subscription to that topic: the longest chain of the kinds there are.
/// In this order of files the last comes first.
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

pub(super) fn run(stage: &mut Stage) -> Result<Vec<Row>> {
    // The fast cloud does not know all that these kinds need.
    let mut cloud = Emulator::start(Kind::Ministack)?;
    let proxy = Proxy::before(cloud.endpoint())?;
    let mut edges = Vec::new();
    for _ in 0..RUNS {
        cloud.reset()?;
        proxy.clear();
        let directory = stage.directory("chain")?;
        for (name, text) in CHAIN {
            fs::write(directory.join(name), text)?;
        }
        stage::timed(stage.cso(&directory, proxy.endpoint(), &["apply", "-f", ".", "--wait"])?)?;
        let calls = proxy.calls();
        for (target, referrer) in [(is_of_key as Of, is_of_topic as Of), (is_of_topic, is_of_subscription)] {
            edges.push(edge(&calls, target, referrer)?);
        }
    }
    let edges = Samples::millis(&edges).context("no runs")?;
    let (p50, p99) = (edges.median(), edges.percentile(99.0));
    let what = "from the last answer for an object to the first call for one that refers to it, ms".to_owned();
    Ok(vec![Row::held(what, "under 50", format!("p50 {p50:.1}, p99 {p99:.1}"), p99 < 50.0)])
}

/// Whether a call is about an object of the chain.
type Of = fn(&AwsCall) -> bool;

fn is_of_key(call: &AwsCall) -> bool {
    call.service == "kms"
}

fn is_of_topic(call: &AwsCall) -> bool {
    call.service == "sns" && !is_of_subscription(call)
}

fn is_of_subscription(call: &AwsCall) -> bool {
    call.operation.contains("Subscri")
}

/// The time that is ours: from the answer that made the target ready, to the first call for the object that waited for it.
fn edge(calls: &[AwsCall], target: Of, referrer: Of) -> Result<Duration> {
    let ready = calls.iter().filter(|call| target(call)).filter_map(|call| call.ended).max();
    let next = calls.iter().filter(|call| referrer(call)).map(|call| call.arrived).min();
    let (ready, next) = (ready.context("no call for the target")?, next.context("no call for the referrer")?);
    next.checked_duration_since(ready).context("the referrer was worked on before its target was ready")
}
