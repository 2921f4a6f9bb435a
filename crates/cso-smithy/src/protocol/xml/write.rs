//! XML bodies of requests.

use std::fmt::Write as _;

use cso_facts::api::{Member, Operation, Service, ShapeKind, TimestampFormat};
use serde_json::{Map, Value};

use super::super::{InputError, known_members, scalar};
use super::element_name;

/// An XML namespace: its prefix, if it has one, and its URI.
type Namespace<'n> = Option<(Option<&'n str>, &'n str)>;

/// A body of one member, or of several below a root that the operation names.
pub(in crate::protocol) fn document(
    service: &Service,
    operation: &Operation,
    members: &[&Member],
    given: &Map<String, Value>,
) -> Result<String, InputError> {
    let name = operation.xml_root.as_deref();
    let shape = operation.input.map(|id| service.shape(id).name.as_str());
    let uri = operation.xml_namespace.as_deref().or(service.xml_namespace.as_deref());
    let mut writer = Writer { service, text: String::new() };
    writer.structure(name.or(shape).unwrap_or_default(), uri.map(|uri| (None, uri)), members, given)?;
    Ok(writer.text)
}

/// A body that is the value of one member.
pub(in crate::protocol) fn payload(service: &Service, member: &Member, value: &Value) -> Result<String, InputError> {
    let mut writer = Writer { service, text: String::new() };
    let inherited = service.xml_namespace.as_deref().map(|uri| (None, uri));
    writer.element(element_name(service, member), namespace(member).or(inherited), member, value)?;
    Ok(writer.text)
}

fn namespace(member: &Member) -> Namespace<'_> {
    member.xml_namespace.as_ref().map(|(prefix, uri)| (prefix.as_deref(), uri.as_str()))
}

/// A body being written.
struct Writer<'s> {
    service: &'s Service,
    text: String,
}

impl Writer<'_> {
    /// A member of a structure.
    fn member(&mut self, member: &Member, value: &Value) -> Result<(), InputError> {
        let service = self.service;
        let name = element_name(service, member);
        match &service.shape(member.shape).kind {
            ShapeKind::List { member: item, flattened } if *flattened || member.flattened => {
                self.items(name, namespace(member).or(namespace(item)), item, value)
            }
            ShapeKind::Map { key, value: entry, flattened } if *flattened || member.flattened => {
                self.entries(name, namespace(member), (key, entry), value)
            }
            _ => self.element(name, namespace(member), member, value),
        }
    }

    /// One element for one value, whichever shape it has.
    fn element(
        &mut self,
        name: &str,
        namespace: Namespace<'_>,
        member: &Member,
        value: &Value,
    ) -> Result<(), InputError> {
        let service = self.service;
        let shape = service.shape(member.shape);
        match &shape.kind {
            ShapeKind::Structure { members, .. } => {
                let members: Vec<_> = members.iter().collect();
                self.structure(name, namespace, &members, known_members(shape, value)?)
            }
            ShapeKind::List { member: item, .. } => {
                self.open(name, namespace);
                let item_name = item.wire_name.as_deref().unwrap_or("member");
                self.items(item_name, self::namespace(item), item, value)?;
                self.close(name);
                Ok(())
            }
            ShapeKind::Map { key, value: entry, .. } => {
                self.open(name, namespace);
                self.entries("entry", None, (key, entry), value)?;
                self.close(name);
                Ok(())
            }
            _ => {
                let text = scalar::member_text(service, member, value, TimestampFormat::DateTime)?;
                self.open(name, namespace);
                self.escape(&text)?;
                self.close(name);
                Ok(())
            }
        }
    }

    fn structure(
        &mut self,
        name: &str,
        namespace: Namespace<'_>,
        members: &[&Member],
        given: &Map<String, Value>,
    ) -> Result<(), InputError> {
        let present: Vec<_> = members
            .iter()
            .filter_map(|member| Some((*member, given.get(&member.name).filter(|value| !value.is_null())?)))
            .collect();
        self.start(name, namespace);
        for (member, value) in present.iter().filter(|(member, _)| member.xml_attribute) {
            self.attribute(member, value).map_err(|error| error.within(&member.name))?;
        }
        self.text.push('>');
        for (member, value) in present.iter().filter(|(member, _)| !member.xml_attribute) {
            self.member(member, value).map_err(|error| error.within(&member.name))?;
        }
        self.close(name);
        Ok(())
    }

    fn items(&mut self, name: &str, namespace: Namespace<'_>, item: &Member, value: &Value) -> Result<(), InputError> {
        let items = value.as_array().ok_or_else(|| InputError::expected("a list", value))?;
        for (index, value) in items.iter().enumerate() {
            self.element(name, namespace, item, value).map_err(|error| error.within(index))?;
        }
        Ok(())
    }

    fn entries(
        &mut self,
        name: &str,
        namespace: Namespace<'_>,
        (key, entry): (&Member, &Member),
        value: &Value,
    ) -> Result<(), InputError> {
        let entries = value.as_object().ok_or_else(|| InputError::expected("an object", value))?;
        for (text, value) in entries {
            self.open(name, namespace);
            self.open(key.wire_name.as_deref().unwrap_or("key"), self::namespace(key));
            self.escape(text)?;
            self.close(key.wire_name.as_deref().unwrap_or("key"));
            let value_name = entry.wire_name.as_deref().unwrap_or("value");
            self.element(value_name, self::namespace(entry), entry, value).map_err(|error| error.within(text))?;
            self.close(name);
        }
        Ok(())
    }

    fn attribute(&mut self, member: &Member, value: &Value) -> Result<(), InputError> {
        let text = scalar::member_text(self.service, member, value, TimestampFormat::DateTime)?;
        // Writing to a string cannot fail.
        let _ = write!(self.text, " {}=\"", member.wire_name.as_deref().unwrap_or(&member.name));
        self.escape(&text)?;
        self.text.push('"');
        Ok(())
    }

    /// A start tag that is open for attributes.
    fn start(&mut self, name: &str, namespace: Namespace<'_>) {
        self.text.extend(["<", name]);
        match namespace {
            Some((Some(prefix), uri)) => self.text.extend([" xmlns:", prefix, "=\"", uri, "\""]),
            Some((None, uri)) => self.text.extend([" xmlns=\"", uri, "\""]),
            None => {}
        }
    }

    fn open(&mut self, name: &str, namespace: Namespace<'_>) {
        self.start(name, namespace);
        self.text.push('>');
    }

    fn close(&mut self, name: &str) {
        self.text.extend(["</", name, ">"]);
    }

    /// Text of an element or attribute. White space that a reader would normalise goes as references.
    fn escape(&mut self, text: &str) -> Result<(), InputError> {
        for c in text.chars() {
            match c {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                '\t' | '\n' | '\r' | '\u{85}' | '\u{2028}' => {
                    let _ = write!(self.text, "&#x{:X};", u32::from(c));
                }
                '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                    return Err(InputError::new("has a control character, which XML cannot carry"));
                }
                _ => self.text.push(c),
            }
        }
        Ok(())
    }
}
