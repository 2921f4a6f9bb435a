//! Between the user's spelling and the provider's: both directions from the same names, guided by schema and shape.

use std::collections::BTreeMap;

use cso_core::path::Segment;
use cso_core::{FieldPath, Tree};
use cso_facts::api::{Service, ShapeId, ShapeKind};
use cso_facts::surface::{Schema, SchemaType};

use crate::names::same_name;

/// The provider's form of a surface value: members renamed to the shape's spelling, at any depth.
pub fn to_api(value: &Tree, api: &Service, shape: ShapeId) -> Tree {
    match (value, &api.shape(shape).kind) {
        (Tree::Object(members), ShapeKind::Structure { .. }) => {
            let shape = api.shape(shape);
            let renamed = members.iter().filter(|(_, value)| !value.is_null()).filter_map(|(name, value)| {
                let member =
                    shape.member(name).or_else(|| shape.members().iter().find(|m| same_name(&m.name, name)))?;
                Some((member.name.clone(), to_api(value, api, member.shape)))
            });
            Tree::Object(renamed.collect())
        }
        (Tree::Object(members), ShapeKind::Map { value: element, .. }) => {
            Tree::Object(members.iter().map(|(key, value)| (key.clone(), to_api(value, api, element.shape))).collect())
        }
        (Tree::List(elements), ShapeKind::List { member, .. }) => {
            Tree::List(elements.iter().map(|element| to_api(element, api, member.shape)).collect())
        }
        (_, ShapeKind::String { .. }) => as_text(value),
        _ => value.clone(),
    }
}

/// The surface form of an answer: members that the schema knows, in its spelling and types. Null if there is nothing.
pub fn from_api(value: &Tree, schema: &Schema) -> Tree {
    match (value, schema.schema_type) {
        (Tree::Object(members), SchemaType::Object) if !schema.properties.is_empty() => {
            let renamed = schema.properties.iter().filter_map(|(name, schema)| {
                let value = member_like(members, name)?;
                let value = from_api(value, schema);
                (!value.is_null()).then(|| (name.clone(), value))
            });
            Tree::Object(renamed.collect())
        }
        (Tree::Object(members), SchemaType::Object) => match &schema.additional {
            Some(element) => {
                Tree::Object(members.iter().map(|(key, value)| (key.clone(), from_api(value, element))).collect())
            }
            None => value.clone(),
        },
        (Tree::List(elements), SchemaType::Array) => match &schema.items {
            Some(schema) => Tree::List(elements.iter().map(|element| from_api(element, schema)).collect()),
            None => value.clone(),
        },
        (_, SchemaType::String) => as_text(value),
        (Tree::Text(text), SchemaType::Boolean) => match text.as_str() {
            "true" => Tree::Bool(true),
            "false" => Tree::Bool(false),
            _ => value.clone(),
        },
        (Tree::Text(text), SchemaType::Integer) => {
            text.parse::<i64>().map_or_else(|_| value.clone(), |number| Tree::Number(number.into()))
        }
        _ => value.clone(),
    }
}

/// The shape that a path leads to.
pub fn shape_at(api: &Service, from: ShapeId, path: &FieldPath) -> Option<ShapeId> {
    path.segments().iter().try_fold(from, |here, segment| match (segment, &api.shape(here).kind) {
        (Segment::Name(_), ShapeKind::Map { value, .. }) => Some(value.shape),
        (Segment::Name(name), _) => api.shape(here).member(name).map(|member| member.shape),
        (_, ShapeKind::List { member, .. }) => Some(member.shape),
        _ => None,
    })
}

/// A scalar as the text that attribute maps hold.
pub fn as_text(value: &Tree) -> Tree {
    match value {
        Tree::Bool(flag) => Tree::Text(flag.to_string()),
        Tree::Number(number) => Tree::Text(number.to_string()),
        other => other.clone(),
    }
}

/// A member whatever its spelling.
pub fn member_like<'a>(members: &'a BTreeMap<String, Tree>, name: &str) -> Option<&'a Tree> {
    members.get(name).or_else(|| members.iter().find(|(key, _)| same_name(key, name)).map(|(_, value)| value))
}

/// Tags in either form as a map; names of key and value for the list form.
pub fn tag_map(value: &Tree, names: Option<&(String, String)>) -> BTreeMap<String, Tree> {
    match (value, names) {
        (Tree::Object(map), _) => map.clone(),
        (Tree::List(list), Some((key, value))) => list
            .iter()
            .filter_map(|tag| {
                let name = tag.member(key)?.as_str()?.to_owned();
                Some((name, tag.member(value).cloned().unwrap_or_else(|| Tree::text(""))))
            })
            .collect(),
        _ => BTreeMap::new(),
    }
}

/// The inverse: a map without names, else the list form.
pub fn tag_tree(tags: &BTreeMap<String, Tree>, names: Option<&(String, String)>) -> Tree {
    let Some((key, value)) = names else { return Tree::Object(tags.clone()) };
    let tag = |(name, text): (&String, &Tree)| {
        Tree::Object(BTreeMap::from([(key.clone(), Tree::text(name)), (value.clone(), text.clone())]))
    };
    Tree::List(tags.iter().map(tag).collect())
}
