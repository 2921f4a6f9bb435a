//! How an attempt failed, before it is told to the caller.

use std::time::Duration;

use cso_core::{CallError, ErrorClass, Outcome};
use cso_facts::api::{Operation, Service, ShapeKind};

use crate::protocol::{EncodeError, ServiceError, Unreadable, WireResponse, codes};

/// A failed attempt.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) request_id: Option<String>,
    pub(super) status: Option<u16>,
    pub(super) outcome: Outcome,
    pub(super) class: ErrorClass,
    pub(super) retry_after: Option<Duration>,
    /// What makes another attempt harmless, whatever the call does.
    pub(super) proof: Option<Proof>,
}

/// Why the service cannot have done anything, and why another attempt may succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// No connection was made.
    NotConnected,
    /// The service said: too fast.
    Throttled,
    /// The credential had expired, and a new one will be fetched.
    StaleCredential,
    /// Our clock was off, and is corrected now.
    ClockSkew,
    /// The bucket is in this region, and nobody else serves it.
    WrongRegion(String),
}

impl Failure {
    /// A failure on our side: nothing was sent.
    pub(super) fn local(code: &str, class: ErrorClass, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            request_id: None,
            status: None,
            outcome: Outcome::Refused,
            class,
            retry_after: None,
            proof: None,
        }
    }

    /// The request left and no usable answer came.
    pub(super) fn lost(code: &str, message: impl Into<String>) -> Self {
        Self { outcome: Outcome::Unknown, ..Self::local(code, ErrorClass::Transient, message) }
    }

    /// The request never left.
    pub(super) fn not_connected(message: impl Into<String>) -> Self {
        Self { proof: Some(Proof::NotConnected), ..Self::local("connect", ErrorClass::Transient, message) }
    }

    /// The service answered with an error; `asked` is the region of the signature that it saw.
    pub(super) fn stated(service: &Service, error: ServiceError, response: WireResponse<'_>, asked: &str) -> Self {
        let throttling = error.shape.as_deref().is_some_and(|name| is_throttling_shape(service, name));
        // An error under the status of success came up in the middle of the work: as doubtful as a server error.
        let status = if (200..300).contains(&response.status) { 500 } else { response.status };
        let (class, outcome) = codes::classify(&error.code, status, throttling);
        let region = header(response, "x-amz-bucket-region").or(error.region.as_deref());
        let proof = match region {
            _ if class == ErrorClass::Throttled => Some(Proof::Throttled),
            _ if codes::is_stale_credential(&error.code) => Some(Proof::StaleCredential),
            Some(region) if codes::is_wrong_region(&error.code) && region != asked => {
                Some(Proof::WrongRegion(region.to_owned()))
            }
            _ => None,
        };
        Self {
            code: error.code,
            message: error.message,
            request_id: request_id(response).or(error.request_id),
            status: Some(response.status),
            outcome,
            class,
            retry_after: retry_after(response),
            proof,
        }
    }

    /// The service, or something in front of it, answered with something else.
    pub(super) fn unreadable(problem: &Unreadable, response: WireResponse<'_>, host: &str) -> Self {
        let content = header(response, "content-type").unwrap_or("unnamed content");
        let status = response.status;
        // A status line alone is enough to know that nothing was done, except where it reports a time-out.
        let (class, outcome) = match status {
            200..=399 => (ErrorClass::Transient, Outcome::Unknown),
            _ => codes::classify("", status, false),
        };
        let hint =
            if content.starts_with("text/html") { "; is a proxy or another server answering there?" } else { "" };
        Self {
            code: "unreadable-answer".to_owned(),
            message: format!("HTTP {status} from {host} with {content}: {problem}{hint}"),
            request_id: request_id(response),
            status: Some(status),
            outcome,
            class,
            retry_after: retry_after(response),
            proof: (class == ErrorClass::Throttled).then_some(Proof::Throttled),
        }
    }

    /// The failure as the caller sees it.
    pub(super) fn of(self, service: &Service, operation: &Operation) -> CallError {
        self.named(&service.name, &operation.name)
    }

    fn named(self, service: &str, operation: &str) -> CallError {
        CallError {
            action: format!("{service}:{operation}"),
            code: self.code,
            message: self.message,
            request_id: self.request_id,
            status: self.status,
            outcome: self.outcome,
            class: self.class,
            retry_after: self.retry_after,
        }
    }
}

impl From<EncodeError> for Failure {
    fn from(error: EncodeError) -> Self {
        let (code, class) = match &error {
            EncodeError::Input(_) => ("invalid-input", ErrorClass::Invalid),
            EncodeError::EventStream { .. } => ("event-stream", ErrorClass::Unsupported),
        };
        Self::local(code, class, error.to_string())
    }
}

/// The model has no such operation.
pub(super) fn unknown_operation(service: &Service, operation: &str) -> CallError {
    let message = format!("service `{}` has no operation `{operation}`", service.name);
    Failure::local("unknown-operation", ErrorClass::Unsupported, message).named(&service.name, operation)
}

fn is_throttling_shape(service: &Service, name: &str) -> bool {
    match service.shape_named(name).map(|shape| &shape.kind) {
        Some(ShapeKind::Structure { error: Some(facts), .. }) => facts.throttling,
        _ => false,
    }
}

fn header<'r>(response: WireResponse<'r>, name: &str) -> Option<&'r str> {
    response.headers.get(name).and_then(|value| value.to_str().ok())
}

/// How the service calls this exchange, for its support.
pub(super) fn request_id(response: WireResponse<'_>) -> Option<String> {
    ["x-amzn-requestid", "x-amz-request-id", "x-amz-id-2"]
        .iter()
        .find_map(|name| header(response, name))
        .map(str::to_owned)
}

/// `Retry-After` in seconds. AWS never sends the date form.
fn retry_after(response: WireResponse<'_>) -> Option<Duration> {
    header(response, "retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs)
}
