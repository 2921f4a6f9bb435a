//! From the start of the process to the first call that reaches the cloud.

use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use cso_testbed::{Action, Match, Proxy, Then};

use super::report::Row;
use super::samples::Samples;
use super::stage::{self, Stage};

pub(super) fn run(stage: &mut Stage) -> Result<Vec<Row>> {
    let mut rows = measure(stage, 1, 300)?;
    rows.extend(measure(stage, 1_000, 50)?);
    Ok(rows)
}

/// Applies objects that are as wished, again and again.
fn measure(stage: &mut Stage, objects: usize, runs: usize) -> Result<Vec<Row>> {
    stage.cloud.reset()?;
    let directory = stage.queues("first-call", objects)?;
    let proxy = Proxy::before(stage.cloud.endpoint())?;
    once(stage, &directory, &proxy)?;
    let (mut any, mut of_object) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let (first, object) = once(stage, &directory, &proxy)?;
        any.push(first);
        of_object.push(object);
    }
    let row = |what: &str, times: &[Duration]| -> Result<Row> {
        let samples = Samples::millis(times).context("no runs")?;
        let (p50, p99) = (samples.median(), samples.percentile(99.0));
        let what = format!("start of `cso apply` with {objects} unchanged to {what}, ms");
        let measured = format!("p50 {p50:.1}, p99 {p99:.1}");
        Ok(if objects == 1 {
            Row::held(what, "p50 under 10, p99 under 20", measured, p50 < 10.0 && p99 < 20.0)
        } else {
            Row::told(what, measured)
        })
    };
    Ok(vec![row("the first call (whose account is it)", &any)?, row("the first call for an object", &of_object)?])
}

/// How long it took to the first call of all, and to the first for an object.
fn once(stage: &Stage, directory: &Path, proxy: &Proxy) -> Result<(Duration, Duration)> {
    proxy.behave();
    proxy.clear();
    let (arrived, arrivals) = mpsc::channel();
    for service in ["sts", "sqs"] {
        let arrived = arrived.clone();
        let note = Action::before(move |_| {
            // Nobody waits for it when the run failed.
            let _ = arrived.send((service, Instant::now()));
            Then::GoOn
        });
        proxy.on(Match::any().of(service), note);
    }
    let command = stage.cso(directory, proxy.endpoint(), &["apply", "-f", "queues", "--wait"])?;
    let start = Instant::now();
    stage::timed(command)?;
    let arrivals: Vec<(&str, Instant)> = arrivals.try_iter().collect();
    let first = |service: &str| {
        let found = arrivals.iter().find(|(name, _)| *name == service);
        found.map(|(_, at)| at.duration_since(start)).with_context(|| format!("no call of {service} came"))
    };
    Ok((first("sts")?, first("sqs")?))
}
