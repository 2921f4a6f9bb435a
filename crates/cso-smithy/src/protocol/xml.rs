//! XML bodies, for all protocols that have them, and of servers that refuse in XML whatever they were asked in.

mod write;

use cso_facts::api::{Member, Operation, Service, ShapeId, ShapeKind};
use roxmltree::{Document, Node};
use serde_json::{Map, Value};

use super::{ServiceError, Unreadable, codes, error_shape, scalar};

pub(super) use write::{document, payload};

/// Name of a member's element. A flattened list is named by its items where they have a name of their own.
pub(super) fn element_name<'m>(service: &'m Service, member: &'m Member) -> &'m str {
    let items = match &service.shape(member.shape).kind {
        ShapeKind::List { member: item, flattened } if *flattened || member.flattened => item.wire_name.as_deref(),
        _ => None,
    };
    items.or(member.wire_name.as_deref()).unwrap_or(&member.name)
}

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
    with_root(body, |root| {
        // An output without members may come without its wrapper.
        let result = wrapper.map_or(Some(root), |name| child(root, name));
        result.map_or_else(|| Value::Object(Map::new()), |node| read(service, shape, node))
    })
}

/// Reads a body that is one shape, whatever its root is called.
pub(super) fn decode_payload(service: &Service, shape: ShapeId, body: &[u8]) -> Result<Value, Unreadable> {
    with_root(body, |root| read(service, shape, root))
}

/// Reads a body that holds some members of a structure.
pub(super) fn decode_members(
    service: &Service,
    shape: &[&Member],
    body: &[u8],
) -> Result<Map<String, Value>, Unreadable> {
    with_root(body, |root| match shape {
        // S3 says where a bucket is in an element without a structure around it. An empty one is as good as none.
        [only] if root.tag_name().name() == local(element_name(service, only)) && elements(root).next().is_none() => {
            let text = text_of(root);
            let value = (!text.is_empty()).then(|| scalar::value(&service.shape(only.shape).kind, &text));
            value.into_iter().map(|value| (only.name.clone(), value)).collect()
        }
        _ => members(service, shape.iter().copied(), root),
    })
}

/// Whether a body is an error: S3 finds out about some failures after it has sent the status of success.
pub(super) fn is_error(body: &[u8]) -> bool {
    let is_error = |root: Node<'_, '_>| root.tag_name().name() == "Error" && child(root, "Code").is_some();
    // The look is cheap, the parser is not, and nearly all bodies pass by the look alone.
    body.windows(6).any(|window| window == b"<Error") && with_root(body, is_error).unwrap_or(false)
}

/// What `look` makes of a body's root element.
fn with_root<T>(body: &[u8], look: impl FnOnce(Node<'_, '_>) -> T) -> Result<T, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Unreadable("the answer is not UTF-8 text".to_owned()))?;
    // The place tells enough; the parser's own text may quote the body.
    let document = Document::parse(text)
        .map_err(|error| Unreadable(format!("the answer is not well-formed XML (at {})", error.pos())))?;
    Ok(look(document.root_element()))
}

/// Reads `<Error>` out of whatever is around it, in each of the four envelopes that AWS uses.
pub(super) fn decode_error(service: &Service, operation: &Operation, body: &[u8]) -> Result<ServiceError, Unreadable> {
    with_root(body, |root| read_error(service, operation, root))?
}

fn read_error(service: &Service, operation: &Operation, root: Node<'_, '_>) -> Result<ServiceError, Unreadable> {
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
        region: child_text(error, "Region").map(str::to_owned),
    })
}

fn members<'m>(
    service: &Service,
    shape: impl IntoIterator<Item = &'m Member>,
    node: Node<'_, '_>,
) -> Map<String, Value> {
    let read = |member: &Member| Some((member.name.clone(), read_member(service, member, node)?));
    shape.into_iter().filter_map(read).collect()
}

/// The value of one member of the structure at `parent`, if it is there.
fn read_member(service: &Service, member: &Member, parent: Node<'_, '_>) -> Option<Value> {
    let name = local(element_name(service, member));
    if member.xml_attribute {
        let attribute = parent.attributes().find(|attribute| attribute.name() == name)?;
        return Some(scalar::value(&service.shape(member.shape).kind, attribute.value()));
    }
    match &service.shape(member.shape).kind {
        ShapeKind::List { member: item, flattened } if *flattened || member.flattened => {
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
        ShapeKind::Structure { members: shape, .. } => Value::Object(members(service, shape, node)),
        ShapeKind::List { member, .. } => {
            // Whatever the items are called: nothing else is ever inside.
            Value::Array(elements(node).map(|item| read(service, member.shape, item)).collect())
        }
        ShapeKind::Map { key, value, .. } => {
            Value::Object(elements(node).filter_map(|node| entry(service, key, value, node)).collect())
        }
        kind => scalar::value(kind, &text_of(node)),
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
