//! Values to bytes and back, by the service's model. Pure.
//!
//! The three RPC protocols put everything into the body; the REST and EC2 protocols come with their own modules beside
//! [`json`] and [`query`].

pub mod codes;
mod json;
mod query;
pub mod timestamp;
mod xml;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cso_facts::api::{Operation, Protocol, Service, Shape, ShapeKind};
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value};

/// A request without host, credentials and signature.
#[derive(Clone)]
pub struct WireRequest {
    pub method: String,
    /// Path and query, percent-encoded; starts with `/`.
    pub uri: String,
    /// Labels that go before the endpoint's host name, with the last dot.
    pub host_prefix: Option<String>,
    /// Lower-case names.
    pub headers: Vec<(&'static str, String)>,
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

/// An answer that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// Builds the request for one operation.
///
/// # Errors
/// When the input does not fit the operation's input shape, and for a protocol that is not there yet.
pub fn encode(service: &Service, operation: &Operation, input: &Value) -> Result<WireRequest, InputError> {
    match service.protocol {
        Protocol::AwsJson1_0 => json::encode(service, operation, input, "1.0"),
        Protocol::AwsJson1_1 => json::encode(service, operation, input, "1.1"),
        Protocol::AwsQuery => query::encode(service, operation, input),
        protocol @ (Protocol::Ec2Query | Protocol::RestJson1 | Protocol::RestXml) => Err(InputError::new(format!(
            "the protocol {protocol:?} of service `{}` is not supported yet",
            service.name
        ))),
    }
}

/// Whether [`encode`] and [`decode`] speak a protocol.
pub const fn is_supported(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::AwsJson1_0 | Protocol::AwsJson1_1 | Protocol::AwsQuery)
}

/// Reads the answer to one operation.
///
/// # Errors
/// When the body is not what the protocol promises: cut short, HTML, another format.
pub fn decode(service: &Service, operation: &Operation, response: WireResponse<'_>) -> Result<Answer, Unreadable> {
    match (service.protocol, (200..300).contains(&response.status)) {
        (Protocol::AwsJson1_0 | Protocol::AwsJson1_1, true) => {
            json::decode(service, operation, response).map(Answer::Output)
        }
        (Protocol::AwsJson1_0 | Protocol::AwsJson1_1, false) => {
            json::decode_error(service, operation, response).map(Answer::Error)
        }
        (Protocol::AwsQuery, true) => query::decode(service, operation, response).map(Answer::Output),
        (Protocol::AwsQuery, false) => query::decode_error(service, operation, response).map(Answer::Error),
        (protocol, _) => Err(Unreadable(format!("the protocol {protocol:?} is not supported yet"))),
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
    match members.keys().find(|name| shape.member(name).is_none()) {
        Some(stranger) => Err(InputError::new(format!("is not a member of {}", shape.name)).within(stranger)),
        None => Ok(members),
    }
}

/// Text of a scalar for protocols that write text: numbers, booleans, strings, blobs.
fn scalar_text(kind: &ShapeKind, value: &Value) -> Result<String, InputError> {
    match kind {
        ShapeKind::Boolean => {
            value.as_bool().map(|flag| flag.to_string()).ok_or_else(|| InputError::expected("a boolean", value))
        }
        ShapeKind::Integer | ShapeKind::Long => integer(value).map(ToString::to_string),
        ShapeKind::Float | ShapeKind::Double => float(value).map(|number| match number {
            Value::String(name) => name,
            other => other.to_string(),
        }),
        ShapeKind::Blob { .. } => blob(value).map(str::to_owned),
        _ => value.as_str().map(str::to_owned).ok_or_else(|| InputError::expected("a string", value)),
    }
}

/// A whole number.
fn integer(value: &Value) -> Result<&Value, InputError> {
    if value.is_i64() || value.is_u64() { Ok(value) } else { Err(InputError::expected("a whole number", value)) }
}

/// A number, or one of the three names of numbers that JSON cannot write.
fn float(value: &Value) -> Result<Value, InputError> {
    match value {
        Value::Number(_) => Ok(value.clone()),
        Value::String(name) if is_float_name(name) => Ok(value.clone()),
        _ => Err(InputError::expected("a number, \"NaN\", \"Infinity\" or \"-Infinity\"", value)),
    }
}

fn is_float_name(text: &str) -> bool {
    matches!(text, "NaN" | "Infinity" | "-Infinity")
}

/// Base64 text, checked.
fn blob(value: &Value) -> Result<&str, InputError> {
    let text = value.as_str().ok_or_else(|| InputError::expected("base64 text", value))?;
    // The decoder's own error names a byte of what may be a secret.
    BASE64.decode(text).map_err(|_| InputError::new("is not base64 text"))?;
    Ok(text)
}

/// A scalar that arrived as text. Lenient on purpose: a value that the model calls a number but that is not one is
/// handed on as text, because a call that worked must not fail over an attribute nobody looks at.
fn scalar_value(kind: &ShapeKind, text: &str) -> Value {
    let text = match kind {
        ShapeKind::String { .. } => return Value::String(text.to_owned()),
        _ => text.trim(),
    };
    let parsed = match kind {
        ShapeKind::Boolean => text.parse().ok().map(Value::Bool),
        ShapeKind::Integer | ShapeKind::Long => text.parse::<i64>().ok().map(Value::from),
        ShapeKind::Float | ShapeKind::Double if !is_float_name(text) => {
            text.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map(Value::Number)
        }
        ShapeKind::Timestamp { .. } => timestamp::parse(text).map(|time| Value::String(time.to_string())),
        _ => None,
    };
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
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
