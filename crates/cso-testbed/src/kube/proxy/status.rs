//! Errors as the API server writes them.

use std::io;

use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use serde_json::{Value, json};

/// An error answer: a `Status` object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    code: u16,
    reason: String,
    message: String,
    retry_after: Option<u32>,
}

impl Status {
    /// An error with the reason that usually goes with its code: 409 is a `Conflict`, 429 `TooManyRequests`.
    pub fn new(code: u16) -> Self {
        let reason = usual_reason(code).to_owned();
        Self { code, message: format!("injected {reason}"), reason, retry_after: None }
    }

    /// ... for another reason: a 409 may be `AlreadyExists`, a 410 `Expired`.
    #[must_use]
    pub fn reason(self, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..self }
    }

    /// ... with this sentence.
    #[must_use]
    pub fn message(self, message: impl Into<String>) -> Self {
        Self { message: message.into(), ..self }
    }

    /// ... and the caller may come back after so many seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    pub(super) fn reason_name(&self) -> &str {
        &self.reason
    }

    /// As in the body of an answer, and in an event of a watch.
    pub(super) fn object(&self) -> Value {
        let mut object = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        });
        if let Some(seconds) = self.retry_after {
            object["details"] = json!({"retryAfterSeconds": seconds});
        }
        object
    }

    pub(super) fn answer(&self) -> Response<BoxBody<Bytes, io::Error>> {
        let body = Full::from(self.object().to_string()).map_err(|never| match never {});
        let mut answer = Response::new(body.boxed());
        *answer.status_mut() = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after {
            answer.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        answer
    }
}

fn usual_reason(code: u16) -> &'static str {
    match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        405 => "MethodNotAllowed",
        409 => "Conflict",
        410 => "Gone",
        413 => "RequestEntityTooLarge",
        422 => "Invalid",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "",
    }
}
