//! What the embedded facts cost a process that starts.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::report::Row;
use super::samples::Samples;
use super::stage::Stage;

/// Each is a new process, because what is decoded is kept.
const RUNS: usize = 50;

/// What `open_catalog` prints: microseconds.
#[derive(Deserialize)]
struct Told {
    open: f64,
    decode: BTreeMap<String, f64>,
}

pub(super) fn run(stage: &mut Stage) -> Result<Vec<Row>> {
    let mut open = Vec::new();
    let mut decode: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for _ in 0..RUNS {
        let output = Command::new(&stage.open_catalog).output().context("starting open_catalog")?;
        ensure!(output.status.success(), "open_catalog ended with {}", output.status);
        let told: Told = serde_json::from_slice(&output.stdout)?;
        open.push(told.open / 1e3);
        for (service, took) in told.decode {
            decode.entry(service).or_default().push(took / 1e3);
        }
    }
    let open = Samples::new(open).context("no runs")?;
    let mut rows = vec![Row::held("facts: open, ms".to_owned(), "under 5", format!("{open}"), open.median() < 5.0)];
    for (service, times) in decode {
        let times = Samples::new(times).context("no runs")?;
        rows.push(Row::told(format!("facts: decode `{service}` for the first time, ms"), times.to_string()));
    }
    Ok(rows)
}
