//! The binary as a file, and how fast it is there.

use std::fs;

use anyhow::{Context as _, Result};

use super::report::Row;
use super::samples::Samples;
use super::stage::{self, Stage};

const RUNS: usize = 100;

pub(super) fn run(stage: &mut Stage) -> Result<Vec<Row>> {
    let bytes = fs::metadata(&stage.cso)?.len();
    let tenths = bytes.div_ceil(100_000);
    let size = format!("{}.{}", tenths / 10, tenths % 10);
    let mut rows = vec![Row::held("binary, stripped, MB".to_owned(), "under 40", size, bytes < 40_000_000)];
    for args in [["--version"], ["kinds"]] {
        let directory = stage.directory("start")?;
        let command = || stage.cso(&directory, stage.cloud.endpoint(), &args);
        let times = (0..RUNS).map(|_| stage::timed(command()?)).collect::<Result<Vec<_>>>()?;
        let times = Samples::millis(&times).context("no runs")?;
        let what = format!("`cso {}` from start to exit, ms", args[0]);
        rows.push(Row::held(what, "under 100", times.to_string(), times.median() < 100.0));
    }
    Ok(rows)
}
