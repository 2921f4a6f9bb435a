//! Scalars as text, for protocols and places that carry nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cso_facts::api::{Member, Service, ShapeKind, TimestampFormat};
use serde_json::Value;

use super::{InputError, timestamp};

/// Text of a scalar member; `times` is the form of timestamps where the model states none.
pub(super) fn member_text(
    service: &Service,
    member: &Member,
    value: &Value,
    times: TimestampFormat,
) -> Result<String, InputError> {
    match &service.shape(member.shape).kind {
        ShapeKind::Timestamp { format } => {
            let format = member.timestamp_format.or(*format).unwrap_or(times);
            Ok(timestamp::text(timestamp::from_value(value)?, format))
        }
        ShapeKind::Structure { .. } | ShapeKind::List { .. } | ShapeKind::Map { .. } | ShapeKind::Document => {
            Err(InputError::new("is more than one text, which this protocol cannot carry here"))
        }
        kind => text(kind, value),
    }
}

/// Text of numbers, booleans, strings and blobs.
fn text(kind: &ShapeKind, value: &Value) -> Result<String, InputError> {
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
        _ => string(value).map(str::to_owned),
    }
}

/// A string.
pub(super) fn string(value: &Value) -> Result<&str, InputError> {
    value.as_str().ok_or_else(|| InputError::expected("a string", value))
}

/// A whole number.
pub(super) fn integer(value: &Value) -> Result<&Value, InputError> {
    if value.is_i64() || value.is_u64() { Ok(value) } else { Err(InputError::expected("a whole number", value)) }
}

/// A number, or one of the three names of numbers that JSON cannot write.
pub(super) fn float(value: &Value) -> Result<Value, InputError> {
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
pub(super) fn blob(value: &Value) -> Result<&str, InputError> {
    bytes(value)?;
    value.as_str().ok_or_else(|| InputError::expected("base64 text", value))
}

/// The bytes behind base64 text.
pub(super) fn bytes(value: &Value) -> Result<Vec<u8>, InputError> {
    let text = value.as_str().ok_or_else(|| InputError::expected("base64 text", value))?;
    // The decoder's own error names a byte of what may be a secret.
    BASE64.decode(text).map_err(|_| InputError::new("is not base64 text"))
}

/// A scalar that arrived as text. Lenient on purpose: a value that the model calls a number but that is not one is
/// handed on as text, because a call that worked must not fail over an attribute nobody looks at.
pub(super) fn value(kind: &ShapeKind, text: &str) -> Value {
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
