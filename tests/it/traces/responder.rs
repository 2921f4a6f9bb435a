//! What the recordings were answered with where no emulator answers: ECR's rules and templates, and settings of buckets. And a
//! memory of platform endpoints, which the emulator has and cannot list.
//!
//! The engine, the script and the reading of the cloud all ask here.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::buckets;
use crate::stand_in::{Answer, Registry, TIME};

/// [`TIME`] as a client gives it.
const TIME_TEXT: &str = "2023-11-14T22:13:20Z";

/// An answer as a client gives it: it knows from the API's model which numbers are times.
pub(super) fn decoded(mut answer: Value) -> Value {
    match &mut answer {
        Value::Object(members) => members.values_mut().for_each(|member| *member = decoded(member.take())),
        Value::Array(items) => items.iter_mut().for_each(|item| *item = decoded(item.take())),
        Value::Number(number) if number.as_f64() == Some(TIME) => return TIME_TEXT.into(),
        _ => {}
    }
    answer
}

/// Resources of both kinds. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Responder(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    registry: Registry,
    /// ARNs of platform endpoints that somebody made.
    endpoints: BTreeSet<String>,
    /// Settings of buckets.
    buckets: buckets::Kept,
}

impl Responder {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what the answer of another cloud says of an endpoint.
    pub(super) fn hear(&self, answer: &Value) {
        self.known().endpoints.extend(answer["EndpointArn"].as_str().map(str::to_owned));
    }

    /// Platform endpoints that were made, of an application; some may be gone.
    pub(super) fn endpoints(&self, application: &Value) -> Vec<String> {
        let of = format!("{}/", application.as_str().unwrap_or_default());
        self.known().endpoints.iter().filter(|arn| arn.starts_with(&of)).cloned().collect()
    }

    /// Settings of buckets that were put.
    pub(super) fn buckets(&self) -> buckets::Kept {
        self.known().buckets.clone()
    }

    /// The answer, if the operation is one of these kinds'.
    pub(super) fn answer(&self, account: &str, operation: &str, input: &Value) -> Option<Answer> {
        let mut known = self.known();
        let of_registry = known.registry.answer(account, operation, input);
        of_registry.or_else(|| buckets::answer(&mut known.buckets, operation, input))
    }
}
