//! Making many objects from a directory, beside a client that makes the same calls and nothing else.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use cso_testbed::{Action, Endpoint, Match, Proxy};

use super::report::Row;
use super::samples::Samples;
use super::stage::{self, Stage};

const QUEUES: usize = 1_000;
/// Per queue: look, create, read back.
const CALLS_IN_ALL: f64 = 3.0 * 1_000.0;
/// Each is one run of both, one right after the other, because the machine is not the same a minute later.
const PAIRS: usize = 9;
const TARGET: f64 = 0.90;

/// Under which circumstances the two are compared.
struct Setting {
    concurrency: usize,
    /// The endpoint takes so much longer for each call. Without it, what is compared is how much CPU each needs; with it,
    /// how well each keeps its calls in flight.
    delay: Duration,
}

/// The default, and one that keeps a fast endpoint busy; and the default at the pace of a real service.
const SETTINGS: [Setting; 3] = [
    Setting { concurrency: 32, delay: Duration::ZERO },
    Setting { concurrency: 128, delay: Duration::ZERO },
    Setting { concurrency: 32, delay: Duration::from_millis(20) },
];

pub(super) fn run(stage: &mut Stage) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for setting in &SETTINGS {
        rows.extend(compare(stage, setting)?);
    }
    Ok(rows)
}

fn compare(stage: &mut Stage, setting: &Setting) -> Result<Vec<Row>> {
    let (mut bare, mut ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        // Who goes first changes, so that whatever the first leaves behind harms both alike.
        let (bare_rate, our_rate) = if pair % 2 == 0 {
            let bare = rate(stage, setting, bare_client)?;
            (bare, rate(stage, setting, apply)?)
        } else {
            let ours = rate(stage, setting, apply)?;
            (rate(stage, setting, bare_client)?, ours)
        };
        bare.push(bare_rate);
        ours.push(our_rate);
        ratios.push(our_rate / bare_rate);
    }
    let [bare, ours, ratio] = [bare, ours, ratios].map(|values| Samples::new(values).context("no runs"));
    let (bare, ours, ratio) = (bare?, ours?, ratio?);
    let Setting { concurrency, delay } = setting;
    let place = if delay.is_zero() { String::new() } else { format!(", calls delayed by {} ms", delay.as_millis()) };
    let what = |whose: &str| format!("1,000 queues, `--concurrency {concurrency}`{place}: {whose}");
    Ok(vec![
        Row::told(what("bare client, calls per second"), bare.to_string()),
        Row::told(what("`cso apply --wait`, calls per second"), ours.to_string()),
        Row::held(
            what("share of the bare client's throughput"),
            "at least 0.90",
            ratio.to_string(),
            ratio.median() >= TARGET,
        ),
    ])
}

/// Calls per second of a whole process, start and end included, against a cloud that knows nothing yet.
fn rate(
    stage: &mut Stage,
    setting: &Setting,
    program: impl FnOnce(&Stage, usize, &Endpoint) -> Result<Command>,
) -> Result<f64> {
    stage.cloud.reset()?;
    let proxy = (!setting.delay.is_zero()).then(|| Proxy::before(stage.cloud.endpoint())).transpose()?;
    let endpoint = match &proxy {
        Some(proxy) => {
            proxy.on(Match::any().always(), Action::Delay(setting.delay));
            proxy.endpoint()
        }
        None => stage.cloud.endpoint(),
    };
    let took = stage::timed(program(stage, setting.concurrency, endpoint)?)?;
    Ok(CALLS_IN_ALL / took.as_secs_f64())
}

fn apply(stage: &Stage, concurrency: usize, endpoint: &Endpoint) -> Result<Command> {
    let directory = stage.queues("create", QUEUES)?;
    let args = ["apply", "-f", "queues", "--wait", "--concurrency", &concurrency.to_string()];
    stage.cso(&directory, endpoint, &args)
}

fn bare_client(stage: &Stage, concurrency: usize, endpoint: &Endpoint) -> Result<Command> {
    let directory = stage.directory("bare")?;
    stage::command(&stage.bare_client, &directory, endpoint, &[&QUEUES.to_string(), &concurrency.to_string()])
}
