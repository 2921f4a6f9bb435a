//! Whether an input is one that the API's model allows.

use cso_core::Tree;
use cso_facts::api::{Service, ShapeId, ShapeKind};

/// What is wrong with an input, by the API's own facts; the first thing found.
pub(crate) fn wrong(value: &Tree, api: &Service, shape: ShapeId, at: &str) -> Option<String> {
    let expected = |what: &str| Some(format!("{at} must be {what}"));
    match (&api.shape(shape).kind, value) {
        (ShapeKind::Structure { members, .. }, Tree::Object(given)) => {
            let unknown = given.keys().find(|name| !members.iter().any(|member| member.name == **name));
            if let Some(unknown) = unknown {
                return Some(format!("{at} has no member {unknown}"));
            }
            if let Some(missing) = members.iter().find(|member| member.required && !given.contains_key(&member.name)) {
                return Some(format!("{at} needs {}", missing.name));
            }
            members
                .iter()
                .find_map(|member| wrong(given.get(&member.name)?, api, member.shape, &format!("{at}.{}", member.name)))
        }
        (ShapeKind::Structure { .. }, _) => expected("a structure"),
        (ShapeKind::List { member, .. }, Tree::List(elements)) => {
            elements.iter().find_map(|element| wrong(element, api, member.shape, &format!("{at}[]")))
        }
        (ShapeKind::List { .. }, _) => expected("a list"),
        (ShapeKind::Map { value: element, .. }, Tree::Object(entries)) => {
            entries.iter().find_map(|(key, entry)| wrong(entry, api, element.shape, &format!("{at}[{key}]")))
        }
        (ShapeKind::Map { .. }, _) => expected("a map"),
        (ShapeKind::Boolean, Tree::Bool(_))
        | (ShapeKind::Integer | ShapeKind::Long | ShapeKind::Float | ShapeKind::Double, Tree::Number(_))
        | (ShapeKind::Blob { .. } | ShapeKind::Timestamp { .. } | ShapeKind::Document, _) => None,
        (ShapeKind::Boolean, _) => expected("a truth value"),
        (ShapeKind::Integer | ShapeKind::Long | ShapeKind::Float | ShapeKind::Double, _) => expected("a number"),
        (ShapeKind::String { values }, Tree::Text(text)) => {
            (!values.is_empty() && !values.contains(text)).then(|| format!("{at} must be one of {}", values.join(", ")))
        }
        (ShapeKind::String { .. }, _) => expected("a text"),
    }
}

/// A value without the members that its shape does not have, so that no answer holds what the API could not say.
pub(crate) fn conform(value: Tree, api: &Service, shape: ShapeId) -> Tree {
    match (value, &api.shape(shape).kind) {
        (Tree::Object(given), ShapeKind::Structure { members, .. }) => Tree::Object(
            given
                .into_iter()
                .filter_map(|(name, value)| {
                    let member = members.iter().find(|member| member.name == name)?;
                    Some((name, conform(value, api, member.shape)))
                })
                .collect(),
        ),
        (Tree::List(elements), ShapeKind::List { member, .. }) => {
            Tree::List(elements.into_iter().map(|element| conform(element, api, member.shape)).collect())
        }
        (value, _) => value,
    }
}
