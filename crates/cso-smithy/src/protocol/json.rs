//! JSON bodies and errors, for all protocols that have them.

use cso_facts::api::{Member, Operation, Service, Shape, ShapeId, ShapeKind, TimestampFormat};
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value};

use super::{
    InputError, ServiceError, Unreadable, WireResponse, codes, error_shape, known_members, scalar, timestamp,
    type_name, xml,
};

/// A value in its wire form. `via` is the member that led here; it may override the time format.
pub(super) fn to_wire(
    service: &Service,
    id: ShapeId,
    via: Option<&Member>,
    value: &Value,
) -> Result<Value, InputError> {
    let shape = service.shape(id);
    match &shape.kind {
        ShapeKind::Structure { .. } => members_to_wire(service, shape.members(), known_members(shape, value)?),
        ShapeKind::List { member, .. } => {
            let items = value.as_array().ok_or_else(|| InputError::expected("a list", value))?;
            let wire = items
                .iter()
                .enumerate()
                .map(|(index, item)| sparse_to_wire(service, member, item).map_err(|error| error.within(index)));
            wire.collect::<Result<_, _>>().map(Value::Array)
        }
        ShapeKind::Map { value: member, .. } => {
            let entries = value.as_object().ok_or_else(|| InputError::expected("an object", value))?;
            let wire = entries.iter().map(|(key, entry)| {
                let entry = sparse_to_wire(service, member, entry).map_err(|error| error.within(key))?;
                Ok((key.clone(), entry))
            });
            wire.collect::<Result<_, _>>().map(Value::Object)
        }
        ShapeKind::Boolean if value.is_boolean() => Ok(value.clone()),
        ShapeKind::Boolean => Err(InputError::expected("a boolean", value)),
        ShapeKind::Integer | ShapeKind::Long => scalar::integer(value).cloned(),
        ShapeKind::Float | ShapeKind::Double => scalar::float(value),
        ShapeKind::String { .. } => scalar::string(value).map(Value::from),
        ShapeKind::Blob { .. } => scalar::blob(value).map(Value::from),
        ShapeKind::Document => Ok(value.clone()),
        ShapeKind::Timestamp { format } => {
            let time = timestamp::from_value(value)?;
            Ok(match via.and_then(|member| member.timestamp_format).or(*format) {
                None | Some(TimestampFormat::EpochSeconds) => Value::Number(timestamp::seconds(time)),
                Some(format) => Value::String(timestamp::text(time, format)),
            })
        }
    }
}

/// Members of a structure in their wire form, with their wire names.
pub(super) fn members_to_wire<'m>(
    service: &Service,
    members: impl IntoIterator<Item = &'m Member>,
    given: &Map<String, Value>,
) -> Result<Value, InputError> {
    let mut wire = Map::new();
    for member in members {
        let Some(value) = given.get(&member.name).filter(|value| !value.is_null()) else { continue };
        let value = to_wire(service, member.shape, Some(member), value).map_err(|error| error.within(&member.name))?;
        wire.insert(wire_name(member).to_owned(), value);
    }
    Ok(Value::Object(wire))
}

/// Lists and maps may hold nulls.
fn sparse_to_wire(service: &Service, member: &Member, value: &Value) -> Result<Value, InputError> {
    if value.is_null() { Ok(Value::Null) } else { to_wire(service, member.shape, Some(member), value) }
}

fn wire_name(member: &Member) -> &str {
    member.wire_name.as_deref().unwrap_or(&member.name)
}

/// The body as an object; an empty body is an empty object.
pub(super) fn object(body: &[u8]) -> Result<Value, Unreadable> {
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let value = parse(body)?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(Unreadable(format!("the answer is {}, not an object", type_name(&value))))
    }
}

/// The body as JSON of any type.
pub(super) fn parse(body: &[u8]) -> Result<Value, Unreadable> {
    serde_json::from_slice(body).map_err(|error| {
        // The parser's own text may quote the body; its kind and place do not.
        let what = if error.is_eof() { "ends early" } else { "is not JSON" };
        Unreadable(format!("the answer {what} (line {}, column {})", error.line(), error.column()))
    })
}

/// A wire value in the form of values. Members that the model does not know are dropped.
pub(super) fn from_wire(service: &Service, id: ShapeId, wire: &Value) -> Result<Value, Unreadable> {
    let shape = service.shape(id);
    let wrong = || Unreadable(format!("a {} in the answer is {}", shape.name, type_name(wire)));
    match &shape.kind {
        ShapeKind::Structure { members, .. } => {
            members_from_wire(service, members, wire.as_object().ok_or_else(wrong)?).map(Value::Object)
        }
        ShapeKind::List { member, .. } => {
            let items = wire.as_array().ok_or_else(wrong)?.iter();
            items.map(|item| sparse_from_wire(service, member, item)).collect::<Result<_, _>>().map(Value::Array)
        }
        ShapeKind::Map { value: member, .. } => {
            let entries = wire.as_object().ok_or_else(wrong)?.iter();
            let entries = entries.map(|(key, entry)| Ok((key.clone(), sparse_from_wire(service, member, entry)?)));
            entries.collect::<Result<_, _>>().map(Value::Object)
        }
        ShapeKind::Document => Ok(wire.clone()),
        kind => Ok(scalar_from_wire(kind, wire)),
    }
}

/// Members of a structure by their wire names. A null is as good as absent.
pub(super) fn members_from_wire<'m>(
    service: &Service,
    members: impl IntoIterator<Item = &'m Member>,
    wire: &Map<String, Value>,
) -> Result<Map<String, Value>, Unreadable> {
    let mut value = Map::new();
    for member in members {
        if let Some(wire) = wire.get(wire_name(member)).filter(|wire| !wire.is_null()) {
            value.insert(member.name.clone(), from_wire(service, member.shape, wire)?);
        }
    }
    Ok(value)
}

fn sparse_from_wire(service: &Service, member: &Member, wire: &Value) -> Result<Value, Unreadable> {
    if wire.is_null() { Ok(Value::Null) } else { from_wire(service, member.shape, wire) }
}

/// A scalar, with the small liberties that servers take: numbers in quotes, unquoted strings.
fn scalar_from_wire(kind: &ShapeKind, wire: &Value) -> Value {
    match (kind, wire) {
        (ShapeKind::String { .. } | ShapeKind::Blob { .. }, Value::Number(_) | Value::Bool(_)) => {
            Value::String(wire.to_string())
        }
        (ShapeKind::Timestamp { .. }, Value::Number(seconds)) => scalar::value(kind, &seconds.to_string()),
        (_, Value::String(text)) => scalar::value(kind, text),
        _ => wire.clone(),
    }
}

pub(super) fn decode_error(
    service: &Service,
    operation: &Operation,
    response: WireResponse<'_>,
) -> Result<ServiceError, Unreadable> {
    // Some servers answer in XML when they refuse before they know which protocol the caller speaks.
    if response.body.trim_ascii_start().starts_with(b"<") {
        return xml::decode_error(service, operation, response.body);
    }
    let body = object(response.body)?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let header_type = header(response.headers, "x-amzn-errortype");
    let Some(kind) = header_type.or_else(|| text("code")).or_else(|| text("__type")).map(codes::bare) else {
        return Err(Unreadable("the answer names no error code".to_owned()));
    };
    let shape = error_shape(service, operation, kind);
    let query_code = header(response.headers, "x-amzn-query-error").and_then(|value| value.split(';').next());
    let code = query_code.filter(|_| service.query_compatible).unwrap_or(kind);
    let message = text("message").or_else(|| text("Message")).or_else(|| text("errorMessage")).unwrap_or_default();
    let fields = match shape {
        Some(shape) => error_fields(service, shape, &body),
        None => Value::Object(Map::new()),
    };
    Ok(ServiceError {
        code: code.to_owned(),
        shape: shape.map(|shape| shape.name.clone()),
        message: message.to_owned(),
        fields,
        request_id: None,
        region: None,
    })
}

/// The members of an error shape that can be read: a bad detail must not hide the error itself.
fn error_fields(service: &Service, shape: &Shape, body: &Value) -> Value {
    let field = |member: &Member| {
        let wire = body.get(wire_name(member)).filter(|wire| !wire.is_null())?;
        Some((member.name.clone(), from_wire(service, member.shape, wire).ok()?))
    };
    Value::Object(shape.members().iter().filter_map(field).collect())
}

fn header<'h>(headers: &'h HeaderMap<HeaderValue>, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty())
}
