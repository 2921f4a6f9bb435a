//! What `-v` tells, on stderr: each cloud call with its namespace, how it ended and how long it took; at the end how
//! often the state was written. Inputs and answers may hold secrets and are never told.

use cso_core::CallError;
use cso_core::port::{Cloud, Effect, Identity, Request};
use serde_json::Value;
use tracing::level_filters::LevelFilter;
use tracing::{debug, info, warn};

/// Starts telling: `1` mutating calls, `2` reads too, `3` whatever the libraries tell.
pub(crate) fn tell(verbose: u8, colors: bool) {
    let level = match verbose {
        0 => return,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(level).with_ansi(colors).init();
}

/// Tells how often the state file was written. A run that found everything as wished writes nothing.
pub(crate) fn wrote(transactions: u64) {
    info!(target: "cso", transactions, "state file");
}

/// A cloud that tells of its calls.
pub(crate) struct Traced<C>(pub(crate) C);

impl<C: Cloud> Cloud for Traced<C> {
    async fn call(&self, request: Request) -> Result<Value, CallError> {
        let action = format!("{}:{}", request.service, request.operation);
        let (region, namespace, effect) = (request.region.clone(), request.namespace.clone(), request.effect);
        let started = tokio::time::Instant::now();
        let result = self.0.call(request).await;
        let took = started.elapsed();
        match (&result, effect) {
            (Ok(_), Effect::Mutates) => info!(target: "cso", %action, %region, %namespace, ?took, "done"),
            (Ok(_), Effect::Reads) => debug!(target: "cso", %action, %region, %namespace, ?took, "read"),
            (Err(error), effect) => {
                let request_id = error.request_id.as_deref().unwrap_or("-");
                let (code, status) = (&error.code, error.status);
                if effect == Effect::Mutates {
                    warn!(target: "cso", %action, %region, %namespace, ?took, %code, ?status, request_id, "failed");
                } else {
                    debug!(target: "cso", %action, %region, %namespace, ?took, %code, ?status, request_id, "not read");
                }
            }
        }
        result
    }

    async fn identity(&self) -> Result<Identity, CallError> {
        self.0.identity().await
    }
}
