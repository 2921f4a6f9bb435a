//! `restJson1` and `restXml`: method, path, query and headers carry members; the rest is in a body of either format.

mod header;
mod uri;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cso_facts::api::{Location, Member, Operation, Service, Shape, ShapeKind};
use serde_json::{Map, Value};

use super::{
    InputError, ServiceError, Unreadable, WireRequest, WireResponse, host_prefix, json, known_members, scalar, xml,
};

/// What bodies are made of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Xml,
}

/// A body and its type; no type means that there is no body.
type Body = (Option<&'static str>, Vec<u8>);

pub(super) fn encode(
    service: &Service,
    operation: &Operation,
    input: &Value,
    format: Format,
) -> Result<WireRequest, InputError> {
    let none = Map::new();
    let (members, given) = match operation.input.map(|id| service.shape(id)) {
        Some(shape) => (shape.members(), known_members(shape, input)?),
        None => (&[][..], &none),
    };
    let mut headers = header::write(service, members, given)?;
    let (content_type, body) = match payload_of(service, operation.input) {
        Some(member) => payload(service, member, given, format)?,
        None => document(service, operation, members, given, format)?,
    };
    if let Some(content_type) = content_type
        && !headers.iter().any(|(name, _)| name == "content-type")
    {
        headers.push(("content-type".into(), content_type.to_owned()));
    }
    Ok(WireRequest {
        method: operation.method.clone(),
        uri: uri::write(service, &operation.uri, members, given)?,
        host_prefix: host_prefix(service, operation, input)?,
        headers,
        body,
    })
}

/// The member that is the whole body.
fn payload_of(service: &Service, shape: Option<cso_facts::api::ShapeId>) -> Option<&Member> {
    let shape = service.shape(shape?);
    match &shape.kind {
        ShapeKind::Structure { payload: Some(name), .. } => shape.member(name),
        _ => None,
    }
}

fn payload(service: &Service, member: &Member, given: &Map<String, Value>, format: Format) -> Result<Body, InputError> {
    let within = |error: InputError| error.within(&member.name);
    let kind = &service.shape(member.shape).kind;
    let Some(value) = given.get(&member.name).filter(|value| !value.is_null()) else {
        // A structure that is not there is an empty one in JSON, but not in XML.
        let is_object = format == Format::Json && matches!(kind, ShapeKind::Structure { union: false, .. });
        return Ok(if is_object { (Some(JSON), b"{}".to_vec()) } else { (None, Vec::new()) });
    };
    match (kind, format) {
        (ShapeKind::Blob { .. }, _) => Ok((Some("application/octet-stream"), scalar::bytes(value).map_err(within)?)),
        (ShapeKind::String { .. }, _) => Ok((Some("text/plain"), scalar::string(value).map_err(within)?.into())),
        (_, Format::Json) => {
            let body = json::to_wire(service, member.shape, Some(member), value).map_err(within)?;
            Ok((Some(JSON), body.to_string().into_bytes()))
        }
        (_, Format::Xml) => Ok((Some(XML), xml::payload(service, member, value).map_err(within)?.into_bytes())),
    }
}

const JSON: &str = "application/json";
const XML: &str = "application/xml";

/// A body of several members.
fn document(
    service: &Service,
    operation: &Operation,
    members: &[Member],
    given: &Map<String, Value>,
    format: Format,
) -> Result<Body, InputError> {
    let members: Vec<_> = members.iter().filter(|member| member.location == Location::Body).collect();
    if members.is_empty() {
        return Ok((None, Vec::new()));
    }
    match format {
        Format::Json => {
            let body = json::members_to_wire(service, members.iter().copied(), given)?;
            Ok((Some(JSON), body.to_string().into_bytes()))
        }
        Format::Xml => Ok((Some(XML), xml::document(service, operation, &members, given)?.into_bytes())),
    }
}

pub(super) fn decode(
    service: &Service,
    operation: &Operation,
    response: WireResponse<'_>,
    format: Format,
) -> Result<Value, Unreadable> {
    let Some(id) = operation.output else { return Ok(Value::Object(Map::new())) };
    let members = service.shape(id).members();
    let mut output = header::read(service, members, response);
    match payload_of(service, Some(id)) {
        _ if response.body.is_empty() => {}
        Some(member) => {
            output.insert(member.name.clone(), read_payload(service, member, response.body, format)?);
        }
        None => {
            // An answer has no path and no query: what a shared shape puts there is in the body.
            let in_answer =
                |member: &&Member| matches!(member.location, Location::Body | Location::Query | Location::Uri);
            let members: Vec<_> = members.iter().filter(in_answer).collect();
            output.extend(read_members(service, &members, response.body, format)?);
        }
    }
    Ok(Value::Object(output))
}

fn read_payload(service: &Service, member: &Member, body: &[u8], format: Format) -> Result<Value, Unreadable> {
    match (&service.shape(member.shape).kind, format) {
        (ShapeKind::Blob { .. }, _) => Ok(BASE64.encode(body).into()),
        (ShapeKind::String { .. }, _) => Ok(String::from_utf8_lossy(body).into()),
        (_, Format::Json) => json::from_wire(service, member.shape, &json::parse(body)?),
        (_, Format::Xml) => xml::decode_payload(service, member.shape, body),
    }
}

fn read_members(
    service: &Service,
    members: &[&Member],
    body: &[u8],
    format: Format,
) -> Result<Map<String, Value>, Unreadable> {
    match (format, members) {
        (_, []) => Ok(Map::new()),
        (Format::Json, _) => {
            let body = json::object(body)?;
            json::members_from_wire(service, members.iter().copied(), body.as_object().unwrap_or(&Map::new()))
        }
        (Format::Xml, _) => xml::decode_members(service, members, body),
    }
}

/// Whether an answer with the status of success is an error all the same. A payload of bytes is never looked into.
pub(super) fn is_belated_error(service: &Service, operation: &Operation, response: WireResponse<'_>) -> bool {
    let is_text = payload_of(service, operation.output).is_none_or(|member| {
        !matches!(service.shape(member.shape).kind, ShapeKind::Blob { .. } | ShapeKind::String { .. })
    });
    is_text && xml::is_error(response.body)
}

pub(super) fn decode_error(
    service: &Service,
    operation: &Operation,
    response: WireResponse<'_>,
    format: Format,
) -> Result<ServiceError, Unreadable> {
    let has_code = response.headers.contains_key("x-amzn-errortype");
    let mut error = match format {
        _ if response.body.is_empty() && !has_code => return Ok(ServiceError::of_status(response.status)),
        Format::Json => json::decode_error(service, operation, response)?,
        Format::Xml => xml::decode_error(service, operation, response.body)?,
    };
    let shape: Option<&Shape> = error.shape.as_deref().and_then(|name| service.shape_named(name));
    if let (Some(shape), Value::Object(fields)) = (shape, &mut error.fields) {
        fields.extend(header::read(service, shape.members(), response));
    }
    Ok(error)
}
