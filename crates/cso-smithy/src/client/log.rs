//! What is logged of an attempt: what was asked of which region, how that ended, and how long it took. Inputs, answers and
//! the provider's sentences are never logged: they may hold secrets.

use std::time::Duration;

use cso_core::port::Effect;
use tracing::{debug, info, warn};

use super::failure::Failure;
use super::{Call, Served};

/// Logs an attempt: one that may have changed something at `INFO`, or `WARN` if it failed; a read at `DEBUG`.
pub(super) fn attempt(call: &Call<'_>, result: &Result<Served, Failure>, took: Duration) {
    let Call { service, operation, region, effect, .. } = call;
    let service = &service.name;
    match result {
        Ok(Served { request_id, .. }) => {
            let request_id = request_id.as_deref().unwrap_or("-");
            match effect {
                Effect::Mutates => info!(target: "cso::call", service, operation, region, request_id, ?took, "done"),
                Effect::Reads => debug!(target: "cso::call", service, operation, region, request_id, ?took, "read"),
            }
        }
        Err(Failure { code, status, request_id, .. }) => {
            let request_id = request_id.as_deref().unwrap_or("-");
            let status = status.unwrap_or_default();
            match effect {
                Effect::Mutates => {
                    warn!(target: "cso::call", service, operation, region, request_id, ?took, code, status, "failed");
                }
                Effect::Reads => {
                    debug!(target: "cso::call", service, operation, region, request_id, ?took, code, status, "not read");
                }
            }
        }
    }
}
