//! Members in headers and in the status.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cso_facts::api::{Location, Member, Service, ShapeKind, TimestampFormat};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::super::{InputError, WireResponse, scalar};

type Headers = Vec<(Cow<'static, str>, String)>;

/// Headers of a request. A header that a member names wins over one from a map of headers.
pub(super) fn write(service: &Service, members: &[Member], given: &Map<String, Value>) -> Result<Headers, InputError> {
    let mut headers = Headers::new();
    let present = |location: Location| {
        let value = |member: &Member| given.get(&member.name).filter(|value| !value.is_null());
        members.iter().filter(move |member| member.location == location).filter_map(move |it| Some((it, value(it)?)))
    };
    for (member, value) in present(Location::Header) {
        let text = text(service, member, value).map_err(|error| error.within(&member.name))?;
        put(&mut headers, wire_name(member), text).map_err(|error| error.within(&member.name))?;
    }
    for (member, value) in present(Location::Headers) {
        let entries = value.as_object().ok_or_else(|| InputError::expected("an object", value).within(&member.name))?;
        for (key, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
            let within = |error: InputError| error.within(key).within(&member.name);
            let name = format!("{}{key}", prefix(member));
            if !headers.iter().any(|(taken, _)| taken.eq_ignore_ascii_case(&name)) {
                put(&mut headers, &name, scalar::string(value).map_err(within)?.to_owned()).map_err(within)?;
            }
        }
    }
    Ok(headers)
}

fn wire_name(member: &Member) -> &str {
    member.wire_name.as_deref().unwrap_or(&member.name)
}

/// Prefix of a map of headers. The empty one means all headers.
fn prefix(member: &Member) -> &str {
    member.wire_name.as_deref().unwrap_or_default()
}

fn put(headers: &mut Headers, name: &str, value: String) -> Result<(), InputError> {
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err(InputError::new("is part of a header's name: letters, digits and hyphens only"));
    }
    if !value.is_ascii() || HeaderValue::from_str(&value).is_err() {
        return Err(InputError::new("goes into a header: plain ASCII text without line ends only"));
    }
    headers.push((name.to_ascii_lowercase().into(), value));
    Ok(())
}

fn text(service: &Service, member: &Member, value: &Value) -> Result<String, InputError> {
    match &service.shape(member.shape).kind {
        ShapeKind::List { member: item, .. } => {
            let items = value.as_array().ok_or_else(|| InputError::expected("a list", value))?;
            let one = |(index, value)| text_of_item(service, item, value).map_err(|error| error.within(index));
            Ok(items.iter().enumerate().map(one).collect::<Result<Vec<_>, _>>()?.join(", "))
        }
        ShapeKind::String { .. } if member.json_value => Ok(BASE64.encode(scalar::string(value)?)),
        _ => scalar::member_text(service, member, value, TimestampFormat::HttpDate),
    }
}

/// An item of a list, in quotes where it has what separates items.
fn text_of_item(service: &Service, item: &Member, value: &Value) -> Result<String, InputError> {
    let text = scalar::member_text(service, item, value, TimestampFormat::HttpDate)?;
    let is_string = matches!(service.shape(item.shape).kind, ShapeKind::String { .. });
    if is_string && text.contains([',', '"']) {
        return Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")));
    }
    Ok(text)
}

/// The members that an answer's headers and status carry.
pub(super) fn read(service: &Service, members: &[Member], response: WireResponse<'_>) -> Map<String, Value> {
    let value = |member: &Member| match member.location {
        Location::Header => read_header(service, member, response.headers),
        Location::Headers => Some(read_prefixed(prefix(member), response.headers)),
        Location::StatusCode => Some(response.status.into()),
        Location::Body | Location::Query | Location::Uri => None,
    };
    members.iter().filter_map(|member| Some((member.name.clone(), value(member)?))).collect()
}

fn read_header(service: &Service, member: &Member, headers: &HeaderMap<HeaderValue>) -> Option<Value> {
    let all: Vec<_> =
        headers.get_all(wire_name(member)).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    if all.is_empty() {
        return None;
    }
    let text = all.join(", ");
    match &service.shape(member.shape).kind {
        ShapeKind::List { member: item, .. } => {
            let kind = &service.shape(item.shape).kind;
            let is_http_date = match kind {
                ShapeKind::Timestamp { format } => {
                    item.timestamp_format.or(*format).is_none_or(|format| format == TimestampFormat::HttpDate)
                }
                _ => false,
            };
            let items = if is_http_date { dates(&text) } else { items(&text) };
            Some(items.iter().map(|item| scalar::value(kind, item)).collect())
        }
        ShapeKind::String { .. } if member.json_value => {
            let json = BASE64.decode(text.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            Some(json.unwrap_or(text).into())
        }
        kind @ ShapeKind::String { .. } => Some(scalar::value(kind, &text)),
        _ if text.is_empty() => None,
        kind => Some(scalar::value(kind, &text)),
    }
}

fn read_prefixed(prefix: &str, headers: &HeaderMap<HeaderValue>) -> Value {
    let prefix = prefix.to_ascii_lowercase();
    let entry = |(name, value): (&HeaderName, &HeaderValue)| {
        let key = name.as_str().strip_prefix(&prefix)?;
        Some((key.to_owned(), Value::from(String::from_utf8_lossy(value.as_bytes()))))
    };
    Value::Object(headers.iter().filter_map(entry).collect())
}

/// Items of a list in a header: separated by commas, some of them in quotes.
fn items(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut item = String::new();
    let (mut quoted, mut was_quoted) = (false, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => item.extend(chars.next()),
            '"' => {
                quoted = !quoted;
                was_quoted = true;
            }
            ',' if !quoted => {
                found.push(finished(&mut item, was_quoted));
                was_quoted = false;
            }
            c if c.is_whitespace() && !quoted && (item.is_empty() || was_quoted) => {}
            c => item.push(c),
        }
    }
    if !text.trim().is_empty() {
        found.push(finished(&mut item, was_quoted));
    }
    found
}

fn finished(item: &mut String, was_quoted: bool) -> String {
    let item = std::mem::take(item);
    if was_quoted { item } else { item.trim().to_owned() }
}

/// HTTP dates in a list: each has a comma of its own.
fn dates(text: &str) -> Vec<String> {
    let parts: Vec<_> = text.split(',').map(str::trim).collect();
    parts.chunks(2).map(|date| date.join(", ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_in_headers_are_split_outside_quotes() {
        for (text, expected) in [
            ("", &[][..]),
            ("a", &["a"]),
            ("a, b ,c", &["a", "b", "c"]),
            (r#""b,c", "\"def\"", a"#, &["b,c", "\"def\"", "a"]),
            ("a b, ", &["a b", ""]),
        ] {
            assert_eq!(items(text), expected, "{text}");
        }
        let date = "Mon, 16 Dec 2019 23:48:18 GMT";
        assert_eq!(dates(&format!("{date}, {date}")), [date, date]);
    }
}
