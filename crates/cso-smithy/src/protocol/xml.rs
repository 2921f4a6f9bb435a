//! XML answers of the query protocols, and of servers that refuse in XML whatever they were asked in.

use cso_facts::api::{Member, Operation, Service, ShapeId, ShapeKind};
use roxmltree::{Document, Node};
use serde_json::{Map, Value};

use super::{ServiceError, Unreadable, codes, error_shape, scalar_value};

/// Reads an output structure, which may be wrapped in one more element.
pub(super) fn decode_result(
    service: &Service,
    shape: ShapeId,
    wrapper: Option<&str>,
    body: &[u8],
) -> Result<Value, Unreadable> {
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let text = utf8(body)?;
    let document = parse(text)?;
    let root = document.root_element();
    // An output without members may come without its wrapper.
    let result = wrapper.map_or(Some(root), |name| child(root, name));
    Ok(result.map_or_else(|| Value::Object(Map::new()), |node| structure(service, shape, node)))
}

/// Reads `<Error>` out of whatever is around it, in each of the four envelopes that AWS uses.
pub(super) fn decode_error(service: &Service, operation: &Operation, body: &[u8]) -> Result<ServiceError, Unreadable> {
    let text = utf8(body)?;
    let document = parse(text)?;
    let root = document.root_element();
    let Some((error, code)) = descendant(root, "Error").and_then(|error| Some((error, child_text(error, "Code")?)))
    else {
        return Err(Unreadable(format!("the answer is a <{}> without an error code", root.tag_name().name())));
    };
    let code = codes::bare(code);
    let shape = error_shape(service, operation, code);
    let fields = shape.map_or_else(Map::new, |shape| members(service, shape.members(), error));
    let message = child_text(error, "Message").or_else(|| child_text(error, "message")).unwrap_or_default();
    let request_id = descendant(root, "RequestId").or_else(|| descendant(root, "RequestID")).and_then(|id| id.text());
    Ok(ServiceError {
        code: code.to_owned(),
        shape: shape.map(|shape| shape.name.clone()),
        message: message.trim().to_owned(),
        fields: Value::Object(fields),
        request_id: request_id.map(str::to_owned),
    })
}

fn utf8(body: &[u8]) -> Result<&str, Unreadable> {
    std::str::from_utf8(body).map_err(|_| Unreadable("the answer is not UTF-8 text".to_owned()))
}

fn parse(text: &str) -> Result<Document<'_>, Unreadable> {
    // The place tells enough; the parser's own text may quote the body.
    Document::parse(text).map_err(|error| Unreadable(format!("the answer is not well-formed XML (at {})", error.pos())))
}

fn structure(service: &Service, id: ShapeId, node: Node<'_, '_>) -> Value {
    Value::Object(members(service, service.shape(id).members(), node))
}

fn members(service: &Service, shape: &[Member], node: Node<'_, '_>) -> Map<String, Value> {
    let read = |member: &Member| Some((member.name.clone(), read_member(service, member, node)?));
    shape.iter().filter_map(read).collect()
}

/// The value of one member of the structure at `parent`, if it is there.
fn read_member(service: &Service, member: &Member, parent: Node<'_, '_>) -> Option<Value> {
    let name = local(member.wire_name.as_deref().unwrap_or(&member.name));
    if member.xml_attribute {
        let attribute = parent.attributes().find(|attribute| attribute.name() == name)?;
        return Some(scalar_value(&service.shape(member.shape).kind, attribute.value()));
    }
    match &service.shape(member.shape).kind {
        ShapeKind::List { member: item, flattened } if *flattened || member.flattened => {
            let name = item.wire_name.as_deref().map_or(name, local);
            let items: Vec<_> = children(parent, name).map(|node| read(service, item.shape, node)).collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        ShapeKind::Map { key, value, flattened } if *flattened || member.flattened => {
            let entries: Map<_, _> =
                children(parent, name).filter_map(|node| entry(service, key, value, node)).collect();
            (!entries.is_empty()).then_some(Value::Object(entries))
        }
        _ => child(parent, name).map(|node| read(service, member.shape, node)),
    }
}

fn read(service: &Service, id: ShapeId, node: Node<'_, '_>) -> Value {
    match &service.shape(id).kind {
        ShapeKind::Structure { .. } => structure(service, id, node),
        ShapeKind::List { member, .. } => {
            // Whatever the items are called: nothing else is ever inside.
            Value::Array(elements(node).map(|item| read(service, member.shape, item)).collect())
        }
        ShapeKind::Map { key, value, .. } => {
            Value::Object(elements(node).filter_map(|node| entry(service, key, value, node)).collect())
        }
        kind => scalar_value(kind, &text_of(node)),
    }
}

fn entry(service: &Service, key: &Member, value: &Member, node: Node<'_, '_>) -> Option<(String, Value)> {
    let key = child(node, local(key.wire_name.as_deref().unwrap_or("key")))?;
    let content = child(node, local(value.wire_name.as_deref().unwrap_or("value")))?;
    Some((text_of(key), read(service, value.shape, content)))
}

/// A name without its namespace prefix.
fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

fn elements<'a, 'i>(node: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(Node::is_element)
}

fn children<'a, 'i>(node: Node<'a, 'i>, name: &str) -> impl Iterator<Item = Node<'a, 'i>> {
    elements(node).filter(move |child| child.tag_name().name() == name)
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    children(node, name).next()
}

fn child_text<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    child(node, name).and_then(|child| child.text())
}

/// The first such element in document order, the node itself included.
fn descendant<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.descendants().find(|node| node.is_element() && node.tag_name().name() == name)
}

/// All text directly below an element: comments and CDATA split it into several nodes.
fn text_of(node: Node<'_, '_>) -> String {
    node.children().filter_map(|child| if child.is_text() { child.text() } else { None }).collect()
}
