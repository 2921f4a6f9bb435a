//! Values to bytes and back, by the service's model. Pure.
//!
//! ```text
//! awsJson1_0, awsJson1_1 --> aws_json --> json
//! restJson1, restXml ------> rest ------> json, xml
//! awsQuery, ec2Query ------> query -----> xml
//! ```

mod aws_json;
mod checksum;
pub mod codes;
mod json;
mod query;
mod rest;
mod scalar;
pub mod timestamp;
mod xml;

use std::borrow::Cow;
use std::fmt;

use cso_facts::api::{Operation, Protocol, Service, Shape, ShapeKind};
use http::{HeaderMap, HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use serde_json::{Map, Value};

use query::Dialect;
use rest::Format;

/// Everything but the unreserved characters of RFC 3986, as AWS encodes for signing.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A request without host, credentials and signature.
#[derive(Clone)]
pub struct WireRequest {
    pub method: String,
    /// Path and query, percent-encoded; starts with `/`.
    pub uri: String,
    /// Labels that go before the endpoint's host name, with the last dot.
    pub host_prefix: Option<String>,
    /// Lower-case names.
    pub headers: Vec<(Cow<'static, str>, String)>,
    pub body: Vec<u8>,
}

/// An answer as it came.
#[derive(Clone, Copy)]
pub struct WireResponse<'a> {
    pub status: u16,
    pub headers: &'a HeaderMap<HeaderValue>,
    pub body: &'a [u8],
}

/// What the service said.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The operation's output; an empty object if it has none.
    Output(Value),
    Error(ServiceError),
}

/// An error that the service stated.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceError {
    /// Without namespace, URI or fault suffix.
    pub code: String,
    /// Name of the error shape in the model, if the model lists the error.
    pub shape: Option<String>,
    pub message: String,
    /// Members of the error shape that were in the answer; an empty object for an unlisted error.
    pub fields: Value,
    /// Where a body carries the request id; the header is the caller's to read.
    pub request_id: Option<String>,
    /// The region that should have been asked, where a body names it.
    pub region: Option<String>,
}

/// An input that does not fit the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", self.place())]
pub struct InputError {
    /// Dot-separated member names from the input down; empty for the input itself.
    pub path: String,
    /// What is wrong. Never holds the value.
    pub problem: String,
}

/// Why no request can be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error(transparent)]
    Input(#[from] InputError),
    /// The operation sends or receives an event stream.
    #[error("operation `{operation}` of service `{service}` works by an event stream, which is not spoken here")]
    EventStream { service: String, operation: String },
}

/// An answer that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// Builds the request for one operation.
///
/// # Errors
/// When the input does not fit the operation's input shape, and for an operation with an event stream.
pub fn encode(service: &Service, operation: &Operation, input: &Value) -> Result<WireRequest, EncodeError> {
    if operation.event_stream {
        return Err(EncodeError::EventStream { service: service.name.clone(), operation: operation.name.clone() });
    }
    let mut request = match service.protocol {
        Protocol::AwsJson1_0 => aws_json::encode(service, operation, input, "1.0"),
        Protocol::AwsJson1_1 => aws_json::encode(service, operation, input, "1.1"),
        Protocol::AwsQuery => query::encode(service, operation, input, Dialect::Aws),
        Protocol::Ec2Query => query::encode(service, operation, input, Dialect::Ec2),
        Protocol::RestJson1 => rest::encode(service, operation, input, Format::Json),
        Protocol::RestXml => rest::encode(service, operation, input, Format::Xml),
    }?;
    checksum::add(service, operation, input, &mut request)?;
    Ok(request)
}

/// Reads the answer to one operation.
///
/// # Errors
/// When the body is not what the protocol promises: cut short, HTML, another format.
pub fn decode(service: &Service, operation: &Operation, response: WireResponse<'_>) -> Result<Answer, Unreadable> {
    if !(200..300).contains(&response.status) {
        return decode_error(service, operation, response).map(Answer::Error);
    }
    match service.protocol {
        Protocol::AwsJson1_0 | Protocol::AwsJson1_1 => aws_json::decode(service, operation, response),
        Protocol::AwsQuery | Protocol::Ec2Query => query::decode(service, operation, response),
        Protocol::RestJson1 => rest::decode(service, operation, response, Format::Json),
        Protocol::RestXml if rest::is_belated_error(service, operation, response) => {
            return decode_error(service, operation, response).map(Answer::Error);
        }
        Protocol::RestXml => rest::decode(service, operation, response, Format::Xml),
    }
    .map(Answer::Output)
}

fn decode_error(
    service: &Service,
    operation: &Operation,
    response: WireResponse<'_>,
) -> Result<ServiceError, Unreadable> {
    match service.protocol {
        Protocol::AwsJson1_0 | Protocol::AwsJson1_1 => json::decode_error(service, operation, response),
        Protocol::AwsQuery | Protocol::Ec2Query => xml::decode_error(service, operation, response.body),
        Protocol::RestJson1 => rest::decode_error(service, operation, response, Format::Json),
        Protocol::RestXml => rest::decode_error(service, operation, response, Format::Xml),
    }
}

/// The operation's host prefix with the input's labels in it.
fn host_prefix(service: &Service, operation: &Operation, input: &Value) -> Result<Option<String>, InputError> {
    let Some(template) = &operation.host_prefix else { return Ok(None) };
    let mut prefix = template.clone();
    let members = operation.input.map_or(&[][..], |shape| service.shape(shape).members());
    for member in members.iter().filter(|member| member.host_label) {
        let label = input.get(&member.name).and_then(Value::as_str).unwrap_or_default();
        let is_label = (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !is_label {
            return Err(
                InputError::new("is part of the host name: 1 to 63 letters, digits and hyphens").within(&member.name)
            );
        }
        prefix = prefix.replace(&format!("{{{}}}", member.name), label);
    }
    Ok(Some(prefix))
}

/// Fills idempotency tokens that the caller left out.
pub fn fill_tokens(service: &Service, operation: &Operation, input: &mut Value, mut token: impl FnMut() -> String) {
    let Some(shape) = operation.input else { return };
    let Value::Object(members) = input else { return };
    for member in service.shape(shape).members() {
        if member.idempotency_token && members.get(&member.name).is_none_or(Value::is_null) {
            members.insert(member.name.clone(), Value::String(token()));
        }
    }
}

impl ServiceError {
    /// An error whose answer has nothing but a status, as every answer to a `HEAD` request.
    fn of_status(status: u16) -> Self {
        let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        Self {
            code: reason.map_or_else(|| status.to_string(), |reason| reason.replace(' ', "")),
            shape: None,
            message: format!("HTTP {status} without a body"),
            fields: Value::Object(Map::new()),
            request_id: None,
            region: None,
        }
    }
}

impl InputError {
    /// A problem at the place where the check runs; [`Self::within`] adds the way there.
    fn new(problem: impl Into<String>) -> Self {
        Self { path: String::new(), problem: problem.into() }
    }

    fn expected(what: &str, value: &Value) -> Self {
        Self::new(format!("must be {what}, not {}", type_name(value)))
    }

    /// The same problem, seen from one level up.
    fn within(mut self, name: impl fmt::Display) -> Self {
        self.path = if self.path.is_empty() { name.to_string() } else { format!("{name}.{}", self.path) };
        self
    }

    fn place(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!("`{}` ", self.path) }
    }
}

/// Words for a JSON type in messages.
const fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The members of a structure, after a check that the shape knows each of them.
fn known_members<'v>(shape: &Shape, value: &'v Value) -> Result<&'v Map<String, Value>, InputError> {
    let members = value.as_object().ok_or_else(|| InputError::expected("an object", value))?;
    if let Some(stranger) = members.keys().find(|name| shape.member(name).is_none()) {
        return Err(InputError::new(format!("is not a member of {}", shape.name)).within(stranger));
    }
    let is_union = matches!(shape.kind, ShapeKind::Structure { union: true, .. });
    match members.values().filter(|value| !value.is_null()).count() {
        count if is_union && count != 1 => {
            Err(InputError::new(format!("must have exactly one member, as {} is a union, not {count}", shape.name)))
        }
        _ => Ok(members),
    }
}

/// The error shape that an answer names, by shape name or by its code on the wire.
fn error_shape<'s>(service: &'s Service, operation: &Operation, code: &str) -> Option<&'s Shape> {
    let named = |shape: &&Shape| {
        let wire = match &shape.kind {
            ShapeKind::Structure { error: Some(facts), .. } => facts.code.as_deref(),
            _ => None,
        };
        wire == Some(code) || shape.name == code
    };
    operation.errors.iter().map(|id| service.shape(*id)).find(named)
}
