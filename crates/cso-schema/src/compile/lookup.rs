//! Lookups in shapes and schemas.

use cso_core::FieldPath;
use cso_facts::api::{Member, Service, Shape, ShapeId, ShapeKind};
use cso_facts::surface::Schema;

use crate::kind::Place;
use crate::names::same_name;

/// A place as descriptors write it: `Map.key` inside the attribute map, else a member.
pub(super) fn place(path: &str, attributes: Option<&str>) -> Place {
    match (path.split_once('.'), attributes) {
        (Some((map, key)), Some(attributes)) if map == attributes => {
            Place::Attribute { map: map.to_owned(), key: key.to_owned() }
        }
        // What is no path is refused where the place is looked up.
        _ => Place::Path(path.parse().unwrap_or_else(|_| FieldPath::root().child(path))),
    }
}

/// The place of a member.
pub(super) fn member_place(name: &str) -> Place {
    Place::Path(FieldPath::root().child(name))
}

/// A member whatever its spelling.
pub(super) fn member_like<'a>(shape: &'a Shape, name: &str) -> Option<&'a Member> {
    shape.member(name).or_else(|| shape.members().iter().find(|member| same_name(&member.name, name)))
}

/// The shape that a path leads to.
pub(super) fn shape_at(api: &Service, from: ShapeId, path: &FieldPath) -> Option<ShapeId> {
    use cso_core::path::Segment;
    path.segments().iter().try_fold(from, |here, segment| match (segment, &api.shape(here).kind) {
        (Segment::Name(key), ShapeKind::Map { key: keys, value, .. }) => {
            is_value(api, keys.shape, key).then_some(value.shape)
        }
        (Segment::Name(name), _) => api.shape(here).member(name).map(|member| member.shape),
        (_, ShapeKind::List { member, .. }) => Some(member.shape),
        _ => None,
    })
}

/// Whether a text may be a value of a shape: an enum lists it, or the shape is no enum.
pub(super) fn is_value(api: &Service, id: ShapeId, text: &str) -> bool {
    match &api.shape(id).kind {
        ShapeKind::String { values } => values.is_empty() || values.iter().any(|value| value == text),
        _ => true,
    }
}

/// The schema that a path leads to.
pub(super) fn schema_at<'a>(schema: &'a Schema, path: &FieldPath) -> Option<&'a Schema> {
    use cso_core::path::Segment;
    path.segments().iter().try_fold(schema, |here, segment| match segment {
        Segment::Name(name) => here.properties.get(name),
        _ => here.items.as_deref(),
    })
}

/// The path of a place, as an answer is asked for it.
pub(super) fn place_path(place: &Place) -> FieldPath {
    match place {
        Place::Path(path) => path.clone(),
        Place::Attribute { map, key } => FieldPath::root().child(map).child(key),
    }
}
