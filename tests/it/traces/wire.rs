//! The cloud between the engine and the emulator: records every call, and fails or dies as the script says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cso_aws::Aws;
use cso_core::port::{Cloud, Effect, Identity, Request};
use cso_core::{CallError, ErrorClass, Outcome};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::recording::Fault;
use super::responder::{self, Responder};

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
    /// Answers what no emulator has.
    responder: Responder,
    script: Arc<Mutex<Script>>,
    /// Told when the process is to die.
    killed: Arc<Notify>,
}

#[derive(Default)]
struct Script {
    made: Vec<Made>,
    faults: BTreeMap<String, Fault>,
}

impl Wire {
    pub(super) fn new(aws: Arc<Aws>, responder: Responder) -> Self {
        Self { aws, responder, script: Arc::default(), killed: Arc::default() }
    }

    /// Replaces the faults.
    pub(super) fn inject(&self, faults: BTreeMap<String, Fault>) {
        self.script().faults = faults;
    }

    /// The calls since the last time.
    pub(super) fn take(&self) -> Vec<Made> {
        std::mem::take(&mut self.script().made)
    }

    /// Returns when a scripted death has come.
    pub(super) async fn killed(&self) {
        self.killed.notified().await;
    }

    /// Of the endpoints that were made, those that are there.
    async fn endpoints(&self, request: &Request) -> Result<Value, CallError> {
        let mut found = Vec::new();
        for arn in self.responder.endpoints(&request.input["PlatformApplicationArn"]) {
            let input = json!({"EndpointArn": arn});
            let look = Request { operation: "GetEndpointAttributes".to_owned(), input, ..request.clone() };
            if let Ok(answer) = self.aws.call(look).await {
                found.push(json!({"EndpointArn": arn, "Attributes": answer["Attributes"]}));
            }
        }
        Ok(json!({"Endpoints": found}))
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
        let account = self.aws.identity().await?.account;
        let answer = match self.responder.answer(&account, &request.operation, &request.input) {
            Some(answer) => answer.map(responder::decoded).map_err(|(code, message)| refusal(action, code, message)),
            None if request.operation == "ListEndpointsByPlatformApplication" => self.endpoints(&request).await,
            None => self.aws.call(request).await,
        };
        if let Ok(answer) = &answer {
            self.responder.hear(answer);
        }
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
    let message = "scripted fault";
    CallError { status: Some(status), outcome, class, ..refusal(action, code, message) }
}

/// A call that was answered with no.
fn refusal(action: String, code: &str, message: &str) -> CallError {
    CallError {
        action,
        code: code.to_owned(),
        message: message.to_owned(),
        request_id: None,
        status: Some(400),
        outcome: Outcome::Refused,
        class: ErrorClass::Invalid,
        retry_after: None,
    }
}
