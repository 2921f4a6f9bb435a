//! What the embedded catalogue costs, for `cargo xtask bench catalog`: microseconds to open it, and to decode each
//! service for the first time, as one JSON object.

#![expect(clippy::print_stdout, reason = "its result is for xtask, on standard output")]
#![expect(clippy::disallowed_methods, reason = "it measures real time, and has no runtime whose clock to ask")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use cso_facts::Catalog;
use serde_json::json;

fn main() -> Result<()> {
    let (catalog, open) = timed(Catalog::builtin);
    let mut decode = BTreeMap::new();
    for name in catalog.services() {
        let (service, took) = timed(|| catalog.service(name));
        service?;
        decode.insert(name, micros(took));
    }
    println!("{}", json!({"open": micros(open), "decode": decode}));
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed())
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
