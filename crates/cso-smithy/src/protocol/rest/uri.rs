//! Paths and queries.

use cso_facts::api::{Location, Member, Service, ShapeKind, TimestampFormat};
use percent_encoding::{AsciiSet, utf8_percent_encode};
use serde_json::{Map, Value};

use super::super::{InputError, RESERVED, scalar};

/// A greedy label spans path segments.
const RESERVED_BUT_SLASH: &AsciiSet = &RESERVED.remove(b'/');

/// Path and query of a request.
pub(super) fn write(
    service: &Service,
    template: &str,
    members: &[Member],
    given: &Map<String, Value>,
) -> Result<String, InputError> {
    let (path, constants) = template.split_once('?').unwrap_or((template, ""));
    let mut uri = fill(service, path, members, given)?;
    let mut query = Query { text: constants.to_owned() };
    for member in members.iter().filter(|member| member.location == Location::Query) {
        let Some(value) = given.get(&member.name).filter(|value| !value.is_null()) else { continue };
        query.member(service, member, members, value).map_err(|error| error.within(&member.name))?;
    }
    if !query.text.is_empty() {
        uri.push('?');
        uri.push_str(&query.text);
    }
    Ok(uri)
}

fn wire_name(member: &Member) -> &str {
    member.wire_name.as_deref().unwrap_or(&member.name)
}

/// A path with its `{label}` and `{greedy+}` holes filled.
fn fill(service: &Service, path: &str, members: &[Member], given: &Map<String, Value>) -> Result<String, InputError> {
    let mut filled = String::new();
    let mut rest = path;
    while let Some((before, (hole, after))) = rest.split_once('{').and_then(|(b, r)| Some((b, r.split_once('}')?))) {
        let (name, reserved) = hole.strip_suffix('+').map_or((hole, RESERVED), |name| (name, RESERVED_BUT_SLASH));
        filled.push_str(before);
        let member = members.iter().find(|member| member.location == Location::Uri && wire_name(member) == name);
        let member =
            member.ok_or_else(|| InputError::new("is in the path, but no member of the input").within(name))?;
        let text = label(service, member, given.get(&member.name)).map_err(|error| error.within(&member.name))?;
        filled.extend(utf8_percent_encode(&text, reserved));
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// A member's text in a path. Without one the request would mean the collection instead of the thing, and with a dot
/// segment its neighbour.
fn label(service: &Service, member: &Member, value: Option<&Value>) -> Result<String, InputError> {
    let value = value.filter(|value| !value.is_null()).ok_or_else(|| InputError::new("is part of the path: set it"))?;
    let text = scalar::member_text(service, member, value, TimestampFormat::DateTime)?;
    match &*text {
        "" => Err(InputError::new("is part of the path: it must not be empty")),
        "." | ".." => Err(InputError::new("is part of the path: it must not be `.` or `..`")),
        _ => Ok(text),
    }
}

/// A query string being written.
struct Query {
    text: String,
}

impl Query {
    fn put(&mut self, name: &str, value: &str) {
        if !self.text.is_empty() {
            self.text.push('&');
        }
        self.text.extend(utf8_percent_encode(name, RESERVED));
        self.text.push('=');
        self.text.extend(utf8_percent_encode(value, RESERVED));
    }

    fn member(
        &mut self,
        service: &Service,
        member: &Member,
        others: &[Member],
        value: &Value,
    ) -> Result<(), InputError> {
        let ShapeKind::Map { value: entry, .. } = &service.shape(member.shape).kind else {
            return self.values(service, wire_name(member), member, value);
        };
        let entries = value.as_object().ok_or_else(|| InputError::expected("an object", value))?;
        let is_named = |name: &str| {
            others.iter().any(|other| {
                other.location == Location::Query && wire_name(other) == name && !std::ptr::eq(other, member)
            })
        };
        for (name, value) in entries.iter().filter(|(name, _)| !is_named(name)) {
            self.values(service, name, entry, value).map_err(|error| error.within(name))?;
        }
        Ok(())
    }

    /// One pair, or one for each item of a list.
    fn values(&mut self, service: &Service, name: &str, member: &Member, value: &Value) -> Result<(), InputError> {
        let ShapeKind::List { member: item, .. } = &service.shape(member.shape).kind else {
            self.put(name, &scalar::member_text(service, member, value, TimestampFormat::DateTime)?);
            return Ok(());
        };
        let items = value.as_array().ok_or_else(|| InputError::expected("a list", value))?;
        for (index, value) in items.iter().enumerate() {
            let text = scalar::member_text(service, item, value, TimestampFormat::DateTime);
            self.put(name, &text.map_err(|error| error.within(index))?);
        }
        Ok(())
    }
}
