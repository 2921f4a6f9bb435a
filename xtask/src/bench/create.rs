//! Making many objects from a directory, beside a client that makes the same calls and nothing else.

use anyhow::{Context as _, Result};

use super::report::Row;
use super::samples::Samples;
use super::stage::{self, Stage};

const QUEUES: usize = 1_000;
/// Per queue: look, create, read back.
const CALLS: f64 = 3.0;
/// Each is one run of both, one right after the other, because the machine is not the same a minute later.
const PAIRS: usize = 9;
/// The default, and one that keeps a fast endpoint busy.
const CONCURRENCIES: [usize; 2] = [32, 128];
const TARGET: f64 = 0.90;

pub(super) fn run(stage: &mut Stage) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for concurrency in CONCURRENCIES {
        rows.extend(compare(stage, concurrency)?);
    }
    Ok(rows)
}

fn compare(stage: &mut Stage, concurrency: usize) -> Result<Vec<Row>> {
    let (mut bare, mut ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        // Who goes first changes, so that whatever the first leaves behind harms both alike.
        let (bare_rate, our_rate) = if pair % 2 == 0 {
            let bare = bare_client(stage, concurrency)?;
            (bare, apply(stage, concurrency)?)
        } else {
            let ours = apply(stage, concurrency)?;
            (bare_client(stage, concurrency)?, ours)
        };
        bare.push(bare_rate);
        ours.push(our_rate);
        ratios.push(our_rate / bare_rate);
    }
    let [bare, ours, ratio] = [bare, ours, ratios].map(|values| Samples::new(values).context("no runs"));
    let (bare, ours, ratio) = (bare?, ours?, ratio?);
    let what = |whose: &str| format!("1,000 queues, `--concurrency {concurrency}`: {whose}");
    Ok(vec![
        Row::told(what("bare client, calls per second"), bare.to_string()),
        Row::told(what("`cso apply --wait`, calls per second"), ours.to_string()),
        Row::held(what("share of the bare client's throughput"), "at least 0.90", ratio.to_string(), {
            ratio.median() >= TARGET
        }),
    ])
}

/// Calls per second of the whole process, start and end included.
fn apply(stage: &mut Stage, concurrency: usize) -> Result<f64> {
    stage.cloud.reset()?;
    let directory = stage.queues("create", QUEUES)?;
    let concurrency = concurrency.to_string();
    let args = ["apply", "-f", "queues", "--wait", "--concurrency", &concurrency];
    let took = stage::timed(stage.cso(&directory, stage.cloud.endpoint(), &args)?)?;
    Ok(rate(took))
}

/// The same of the bare client.
fn bare_client(stage: &mut Stage, concurrency: usize) -> Result<f64> {
    stage.cloud.reset()?;
    let directory = stage.directory("bare")?;
    let args = [&*QUEUES.to_string(), &*concurrency.to_string()];
    let command = stage::command(&stage.bare_client, &directory, stage.cloud.endpoint(), &args)?;
    Ok(rate(stage::timed(command)?))
}

#[expect(clippy::cast_precision_loss, reason = "a thousand")]
fn rate(took: std::time::Duration) -> f64 {
    QUEUES as f64 * CALLS / took.as_secs_f64()
}
