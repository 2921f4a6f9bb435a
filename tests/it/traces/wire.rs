//! The cloud between the engine and the emulator: records every call, and fails or dies as the script says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cso_aws::Aws;
use cso_core::port::{Cloud, Effect, Identity, Request};
use cso_core::{CallError, ErrorClass, Outcome};
use serde_json::Value;
use tokio::sync::Notify;

use super::recording::Fault;
use super::responder::{self, Kept};

/// A call that the engine made.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) operation: String,
    pub(super) region: String,
    pub(super) input: Value,
    pub(super) succeeded: bool,
    pub(super) mutates: bool,
}

/// A [`Cloud`] with a memory and scripted faults.
#[derive(Clone)]
pub(super) struct Wire {
    aws: Arc<Aws>,
    script: Arc<Mutex<Script>>,
    /// Told when the process is to die.
    killed: Arc<Notify>,
}

#[derive(Default)]
struct Script {
    made: Vec<Made>,
    /// Settings of buckets that the emulator lacks.
    kept: Kept,
    faults: BTreeMap<String, Fault>,
}

impl Wire {
    pub(super) fn new(aws: Arc<Aws>) -> Self {
        Self { aws, script: Arc::default(), killed: Arc::default() }
    }

    /// Replaces the faults.
    pub(super) fn inject(&self, faults: BTreeMap<String, Fault>) {
        self.script().faults = faults;
    }

    /// The calls since the last time.
    pub(super) fn take(&self) -> Vec<Made> {
        std::mem::take(&mut self.script().made)
    }

    /// The settings that are kept for the emulator.
    pub(super) fn kept(&self) -> Kept {
        self.script().kept.clone()
    }

    /// Returns when a scripted death has come.
    pub(super) async fn killed(&self) {
        self.killed.notified().await;
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault for an operation, counted down.
    fn fault(&self, operation: &str) -> Option<Fault> {
        let mut script = self.script();
        let fault = script.faults.get_mut(operation)?;
        let now = fault.clone();
        match &mut fault.times {
            Some(0) => return None,
            Some(times) => *times -= 1,
            None => {}
        }
        Some(now)
    }
}

impl Cloud for Wire {
    async fn call(&self, request: Request) -> Result<Value, CallError> {
        let mut made = Made {
            operation: request.operation.clone(),
            region: request.region.clone(),
            input: request.input.clone(),
            succeeded: false,
            mutates: request.effect == Effect::Mutates,
        };
        let action = format!("{}:{}", request.service, request.operation);
        let fault = self.fault(&request.operation);
        if let Some(code) = fault.as_ref().and_then(|fault| fault.code.as_deref()) {
            self.script().made.push(made);
            return Err(failure(action, code));
        }
        let kept = match request.service.as_str() {
            "s3" => responder::answer(&mut self.script().kept, &request.operation, &request.input),
            _ => None,
        };
        let answer = match kept {
            Some(answer) => answer,
            None => self.aws.call(request).await,
        };
        let kill = fault.is_some_and(|fault| fault.kill);
        made.succeeded = answer.is_ok() && !kill;
        self.script().made.push(made);
        if kill {
            self.killed.notify_one();
            return std::future::pending().await;
        }
        answer
    }

    async fn identity(&self) -> Result<Identity, CallError> {
        self.aws.identity().await
    }
}

/// The failure that a scripted code stands for.
fn failure(action: String, code: &str) -> CallError {
    let (code, status, class, outcome) = match code {
        "denied" => ("AccessDenied", 400, ErrorClass::Denied, Outcome::Refused),
        "throttled" => ("ThrottlingException", 400, ErrorClass::Throttled, Outcome::Refused),
        "broken" => ("InternalFailure", 500, ErrorClass::Transient, Outcome::Unknown),
        other => (other, 400, ErrorClass::Invalid, Outcome::Refused),
    };
    CallError {
        action,
        code: code.to_owned(),
        message: "scripted fault".to_owned(),
        request_id: None,
        status: Some(status),
        outcome,
        class,
        retry_after: None,
    }
}
