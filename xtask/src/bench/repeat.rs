//! Applying what has not changed: it only reads.

use std::fs;

use anyhow::{Context as _, Result};
use cso_testbed::Proxy;

use super::report::Row;
use super::stage::{self, Stage};

const QUEUES: usize = 1_000;

pub(super) fn run(stage: &mut Stage) -> Result<Vec<Row>> {
    stage.cloud.reset()?;
    let directory = stage.queues("repeat", QUEUES)?;
    let args = ["apply", "-f", "queues", "--wait", "-v"];
    stage::timed(stage.cso(&directory, stage.cloud.endpoint(), &args)?)?;
    let took = stage::timed(stage.cso(&directory, stage.cloud.endpoint(), &args)?)?;
    // Counted in a run of its own, because the witness takes time.
    let proxy = Proxy::before(stage.cloud.endpoint())?;
    stage::timed(stage.cso(&directory, proxy.endpoint(), &args)?)?;
    let (calls, mutating) = (proxy.calls().len(), proxy.mutating().len());
    let transactions = transactions(&fs::read_to_string(directory.join("stderr"))?)?;
    let what = |what: &str| format!("1,000 unchanged queues applied again: {what}");
    Ok(vec![
        Row::held(what("mutating calls"), "0", mutating.to_string(), mutating == 0),
        Row::held(what("state transactions"), "0", transactions.to_string(), transactions == 0),
        Row::told(what("reads"), (calls - mutating).to_string()),
        Row::told(what("seconds"), format!("{:.2}", took.as_secs_f64())),
    ])
}

/// From the line that `-v` tells at the end.
fn transactions(told: &str) -> Result<u64> {
    let number = told.split("transactions=").nth(1).and_then(|rest| rest.split_whitespace().next());
    number.context("`cso apply -v` told no number of transactions")?.parse().context("not a number of transactions")
}
