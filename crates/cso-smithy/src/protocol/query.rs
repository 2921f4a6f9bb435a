//! `awsQuery`: a form in, XML out.

use std::borrow::Cow;

use cso_facts::api::{Member, Operation, Service, ShapeId, ShapeKind, TimestampFormat};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::{
    InputError, ServiceError, Unreadable, WireRequest, WireResponse, host_prefix, known_members, scalar_text,
    timestamp, xml,
};

/// Everything but the unreserved characters of RFC 3986, as AWS encodes for signing.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn encode(service: &Service, operation: &Operation, input: &Value) -> Result<WireRequest, InputError> {
    let mut form = Form { service, body: String::new() };
    form.put("Action", &operation.name);
    form.put("Version", &service.api_version);
    if let Some(shape) = operation.input {
        form.structure("", shape, input)?;
    }
    Ok(WireRequest {
        method: "POST".to_owned(),
        uri: "/".to_owned(),
        host_prefix: host_prefix(service, operation, input)?,
        headers: vec![("content-type", "application/x-www-form-urlencoded".to_owned())],
        body: form.body.into_bytes(),
    })
}

/// A form being written.
struct Form<'s> {
    service: &'s Service,
    body: String,
}

impl Form<'_> {
    fn put(&mut self, key: &str, value: &str) {
        if !self.body.is_empty() {
            self.body.push('&');
        }
        self.body.extend(utf8_percent_encode(key, RESERVED));
        self.body.push('=');
        self.body.extend(utf8_percent_encode(value, RESERVED));
    }

    fn value(&mut self, key: &str, member: &Member, value: &Value) -> Result<(), InputError> {
        let service = self.service;
        let shape = service.shape(member.shape);
        match &shape.kind {
            ShapeKind::Structure { .. } => self.structure(key, member.shape, value),
            ShapeKind::List { member: item, flattened } => self.list(key, item, member.flattened || *flattened, value),
            ShapeKind::Map { key: name, value: entry, flattened } => {
                self.map(key, (name, entry), member.flattened || *flattened, value)
            }
            ShapeKind::Timestamp { format } => {
                let format = member.timestamp_format.or(*format).unwrap_or(TimestampFormat::DateTime);
                self.put(key, &timestamp::text(timestamp::from_value(value)?, format));
                Ok(())
            }
            ShapeKind::Document => Err(InputError::new("is a document, which the query protocol cannot carry")),
            kind => {
                self.put(key, &scalar_text(kind, value)?);
                Ok(())
            }
        }
    }

    fn structure(&mut self, prefix: &str, id: ShapeId, value: &Value) -> Result<(), InputError> {
        let service = self.service;
        let shape = service.shape(id);
        let given = known_members(shape, value)?;
        for member in shape.members() {
            let Some(value) = given.get(&member.name).filter(|value| !value.is_null()) else { continue };
            let key = join(prefix, member_key(service, member));
            self.value(&key, member, value).map_err(|error| error.within(&member.name))?;
        }
        Ok(())
    }

    fn list(&mut self, key: &str, item: &Member, flattened: bool, value: &Value) -> Result<(), InputError> {
        let items = value.as_array().ok_or_else(|| InputError::expected("a list", value))?;
        if items.is_empty() {
            self.put(key, "");
        }
        let key = if flattened { Cow::Borrowed(key) } else { join(key, item.wire_name.as_deref().unwrap_or("member")) };
        for (index, value) in items.iter().enumerate() {
            self.value(&format!("{key}.{}", index + 1), item, value).map_err(|error| error.within(index))?;
        }
        Ok(())
    }

    fn map(
        &mut self,
        key: &str,
        (name, entry): (&Member, &Member),
        flattened: bool,
        value: &Value,
    ) -> Result<(), InputError> {
        let entries = value.as_object().ok_or_else(|| InputError::expected("an object", value))?;
        let key = if flattened { Cow::Borrowed(key) } else { join(key, "entry") };
        for (index, (entry_key, value)) in entries.iter().enumerate() {
            let key = format!("{key}.{}", index + 1);
            self.put(&join(&key, name.wire_name.as_deref().unwrap_or("key")), entry_key);
            let value_key = join(&key, entry.wire_name.as_deref().unwrap_or("value"));
            self.value(&value_key, entry, value).map_err(|error| error.within(entry_key))?;
        }
        Ok(())
    }
}

/// Key of a member. A flattened list is named by its items where they have a name of their own.
fn member_key<'m>(service: &'m Service, member: &'m Member) -> &'m str {
    let items = match &service.shape(member.shape).kind {
        ShapeKind::List { member: item, flattened } if *flattened || member.flattened => item.wire_name.as_deref(),
        _ => None,
    };
    items.or(member.wire_name.as_deref()).unwrap_or(&member.name)
}

fn join<'k>(prefix: &str, key: &'k str) -> Cow<'k, str> {
    if prefix.is_empty() { Cow::Borrowed(key) } else { Cow::Owned(format!("{prefix}.{key}")) }
}

pub(super) fn decode(
    service: &Service,
    operation: &Operation,
    response: WireResponse<'_>,
) -> Result<Value, Unreadable> {
    let Some(shape) = operation.output else { return Ok(Value::Object(Map::new())) };
    xml::decode_result(service, shape, operation.result_wrapper.as_deref(), response.body)
}

pub(super) fn decode_error(
    service: &Service,
    operation: &Operation,
    response: WireResponse<'_>,
) -> Result<ServiceError, Unreadable> {
    xml::decode_error(service, operation, response.body)
}
