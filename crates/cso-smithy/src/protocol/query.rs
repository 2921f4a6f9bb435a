//! `awsQuery` and `ec2Query`: a form in, XML out.

use std::borrow::Cow;

use cso_facts::api::{Member, Operation, Service, ShapeId, ShapeKind, TimestampFormat};
use percent_encoding::utf8_percent_encode;
use serde_json::{Map, Value};

use super::{InputError, RESERVED, Unreadable, WireRequest, WireResponse, host_prefix, known_members, scalar, xml};

/// How the two protocols differ in their requests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Aws,
    /// All lists are flattened, names start with a capital or are stated for requests alone.
    Ec2,
}

pub(super) fn encode(
    service: &Service,
    operation: &Operation,
    input: &Value,
    dialect: Dialect,
) -> Result<WireRequest, InputError> {
    let mut form = Form { service, dialect, body: String::new() };
    form.put("Action", &operation.name);
    form.put("Version", &service.api_version);
    if let Some(shape) = operation.input {
        form.structure("", shape, input)?;
    }
    Ok(WireRequest {
        method: "POST".to_owned(),
        uri: "/".to_owned(),
        host_prefix: host_prefix(service, operation, input)?,
        headers: vec![("content-type".into(), "application/x-www-form-urlencoded".to_owned())],
        body: form.body.into_bytes(),
    })
}

/// A form being written.
struct Form<'s> {
    service: &'s Service,
    dialect: Dialect,
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
            _ => {
                self.put(key, &scalar::member_text(service, member, value, TimestampFormat::DateTime)?);
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
            let name = member_key(service, self.dialect, member);
            let key = join(prefix, &name);
            self.value(&key, member, value).map_err(|error| error.within(&member.name))?;
        }
        Ok(())
    }

    fn list(&mut self, key: &str, item: &Member, flattened: bool, value: &Value) -> Result<(), InputError> {
        let items = value.as_array().ok_or_else(|| InputError::expected("a list", value))?;
        if items.is_empty() && self.dialect == Dialect::Aws {
            self.put(key, "");
        }
        let flattened = flattened || self.dialect == Dialect::Ec2;
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

/// Key of a structure's member.
fn member_key<'m>(service: &'m Service, dialect: Dialect, member: &'m Member) -> Cow<'m, str> {
    match (dialect, &member.query_name) {
        (Dialect::Aws, _) => Cow::Borrowed(xml::element_name(service, member)),
        (Dialect::Ec2, Some(name)) => Cow::Borrowed(name),
        (Dialect::Ec2, None) => Cow::Owned(capitalised(member.wire_name.as_deref().unwrap_or(&member.name))),
    }
}

fn join<'k>(prefix: &str, key: &'k str) -> Cow<'k, str> {
    if prefix.is_empty() { Cow::Borrowed(key) } else { Cow::Owned(format!("{prefix}.{key}")) }
}

fn capitalised(name: &str) -> String {
    let mut rest = name.chars();
    rest.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(rest).collect()
}

pub(super) fn decode(
    service: &Service,
    operation: &Operation,
    response: WireResponse<'_>,
) -> Result<Value, Unreadable> {
    let Some(shape) = operation.output else { return Ok(Value::Object(Map::new())) };
    xml::decode_result(service, shape, operation.result_wrapper.as_deref(), response.body)
}
