//! Values with holes: what a plan knows now, and what it will only know when it runs.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Number, Value};

use crate::digest::Digest;
use crate::key::ObjectKey;
use crate::path::{FieldPath, Segment};

/// A JSON value in which any place may be a [`Hole`]. Objects are sorted, so equal trees print equal bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Tree>),
    Object(BTreeMap<String, Tree>),
    Hole(Hole),
}

/// A value that is not known yet, or never shown. Only holes may differ between a plan and its execution.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hole {
    /// What an earlier step of the same plan will return.
    Step { step: usize, path: String },
    /// What another object will have in its status or spec once it is ready.
    Reference { object: ObjectKey, path: String },
    /// The idempotency token of the step, derived when it runs.
    Token,
    /// A secret: read when the call is made, known here by its digest only.
    Secret { source: SecretSource, digest: Digest },
}

/// Where a secret value is read from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretSource {
    /// A key of a Secret.
    Secret(SecretKey),
    /// The wish itself has it as plain text, in this field of its spec.
    Spec { field: String },
}

/// A key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretKey {
    pub namespace: String,
    pub name: String,
    pub key: String,
}

impl SecretKey {
    /// The Secret that holds it.
    pub fn object(&self) -> ObjectKey {
        ObjectKey::new("", "Secret", &self.namespace, &self.name)
    }
}

impl Tree {
    /// An object without members.
    pub const fn object() -> Self {
        Self::Object(BTreeMap::new())
    }

    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The members, if it is an object.
    pub const fn as_object(&self) -> Option<&BTreeMap<String, Self>> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// Whether it is null.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// A member of an object.
    pub fn member(&self, name: &str) -> Option<&Self> {
        self.as_object()?.get(name)
    }

    /// The value at a path; `[]` takes the first element. `None` if it is missing or null.
    pub fn at(&self, path: &FieldPath) -> Option<&Self> {
        let mut here = self;
        for segment in path.segments() {
            here = match (segment, here) {
                (Segment::Name(name), Self::Object(members)) => members.get(name)?,
                (Segment::Index(index), Self::List(elements)) => elements.get(*index)?,
                (Segment::Each, Self::List(elements)) => elements.first()?,
                _ => return None,
            };
        }
        (!here.is_null()).then_some(here)
    }

    /// The value at a path in which `[]` stands for all elements of a list: what they have there, as a list. `None` if the
    /// list, or the value without one, is missing or null.
    pub fn gather(&self, path: &FieldPath) -> Option<Self> {
        let segments = path.segments();
        let Some(each) = segments.iter().position(|segment| *segment == Segment::Each) else {
            return self.at(path).cloned();
        };
        let list = self.at(&segments[..each].iter().cloned().collect())?.as_list()?;
        let rest = segments[each + 1..].iter().cloned().collect();
        Some(Self::List(list.iter().filter_map(|element| element.gather(&rest)).collect()))
    }

    /// Puts a value at a path of names and positions, making the objects and list elements on the way. Whatever stood
    /// in the way with another type is replaced.
    pub fn set(&mut self, path: &FieldPath, value: Self) {
        let mut here = self;
        for segment in path.segments() {
            match segment {
                Segment::Name(name) => {
                    if !matches!(here, Self::Object(_)) {
                        *here = Self::object();
                    }
                    let Self::Object(members) = here else { return };
                    here = members.entry(name.clone()).or_insert(Self::Null);
                }
                Segment::Index(_) | Segment::Each => {
                    let index = if let Segment::Index(index) = segment { *index } else { 0 };
                    if !matches!(here, Self::List(_)) {
                        *here = Self::List(Vec::new());
                    }
                    let Self::List(elements) = here else { return };
                    if elements.len() <= index {
                        elements.resize(index + 1, Self::Null);
                    }
                    here = &mut elements[index];
                }
            }
        }
        *here = value;
    }

    /// Takes a value out of its object; `None` if there is nothing at the path. Lists are only walked through.
    pub fn take(&mut self, path: &FieldPath) -> Option<Self> {
        let (last, parents) = path.segments().split_last()?;
        let mut here = self;
        for segment in parents {
            here = match (segment, here) {
                (Segment::Name(name), Self::Object(members)) => members.get_mut(name)?,
                (Segment::Index(index), Self::List(elements)) => elements.get_mut(*index)?,
                _ => return None,
            };
        }
        match (last, here) {
            (Segment::Name(name), Self::Object(members)) => members.remove(name).filter(|value| !value.is_null()),
            _ => None,
        }
    }

    /// All holes, outside in.
    pub fn holes(&self) -> Vec<&Hole> {
        match self {
            Self::Hole(hole) => vec![hole],
            Self::List(elements) => elements.iter().flat_map(Self::holes).collect(),
            Self::Object(members) => members.values().flat_map(Self::holes).collect(),
            _ => Vec::new(),
        }
    }

    /// The plain value, with every hole replaced by what `fill` says; the first hole that cannot be filled is the error.
    pub fn fill<E>(&self, fill: &mut impl FnMut(&Hole) -> Result<Value, E>) -> Result<Value, E> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.clone()),
            Self::List(elements) => {
                Value::Array(elements.iter().map(|element| element.fill(fill)).collect::<Result<_, _>>()?)
            }
            Self::Object(members) => Value::Object(
                members
                    .iter()
                    .map(|(name, member)| Ok((name.clone(), member.fill(fill)?)))
                    .collect::<Result<_, _>>()?,
            ),
            Self::Hole(hole) => fill(hole)?,
        })
    }

    /// The plain value for people and programs to read: each hole becomes its description in angle brackets.
    pub fn shown(&self) -> Value {
        let shown: Result<Value, std::convert::Infallible> = self.fill(&mut |hole| Ok(Value::String(hole.to_string())));
        match shown {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }
}

impl From<Value> for Tree {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => Self::Text(text),
            Value::Array(elements) => Self::List(elements.into_iter().map(Self::from).collect()),
            Value::Object(members) => {
                Self::Object(members.into_iter().map(|(name, member)| (name, Self::from(member))).collect())
            }
        }
    }
}

impl From<&Value> for Tree {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(elements) => Self::List(elements.iter().map(Self::from).collect()),
            Value::Object(members) => Self::from(members),
        }
    }
}

impl From<&Map<String, Value>> for Tree {
    fn from(members: &Map<String, Value>) -> Self {
        Self::Object(members.iter().map(|(name, member)| (name.clone(), Self::from(member))).collect())
    }
}

impl fmt::Display for Hole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step { step, path } => write!(f, "<{path} of step {step}>"),
            Self::Reference { object, path } => write!(f, "<{path} of {object}>"),
            Self::Token => f.write_str("<token>"),
            Self::Secret { digest, .. } => write!(f, "<secret {}>", digest.short()),
        }
    }
}

impl Serialize for Tree {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.shown().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sets_and_reads_nested_places() {
        let mut tree = Tree::object();
        tree.set(&"a.b[1].c".parse().expect("a path"), Tree::text("x"));
        assert_eq!(tree.shown(), json!({"a": {"b": [null, {"c": "x"}]}}));
        assert_eq!(tree.at(&"a.b[1].c".parse().expect("a path")).and_then(Tree::as_str), Some("x"));
        assert_eq!(tree.at(&"a.b[0]".parse().expect("a path")), None);
        assert_eq!(tree.take(&"a.b[1].c".parse().expect("a path")), Some(Tree::text("x")));
        assert_eq!(tree.shown(), json!({"a": {"b": [null, {}]}}));
    }

    #[test]
    fn gathers_what_all_elements_have() {
        let tree = Tree::from(json!({"a": [{"b": 1}, {}, {"b": 2}], "c": [["x"], ["y"]]}));
        let gathered = |path: &str| tree.gather(&path.parse().expect("a path")).map(|found| found.shown());
        assert_eq!(gathered("a[].b"), Some(json!([1, 2])));
        assert_eq!(gathered("a[0].b"), Some(json!(1)));
        assert_eq!(gathered("c[][]"), Some(json!([["x"], ["y"]])));
        assert_eq!(gathered("d[].b"), None);
    }

    #[test]
    fn shows_a_secret_by_its_digest_only() {
        let source =
            SecretSource::Secret(SecretKey { namespace: "default".into(), name: "db".into(), key: "password".into() });
        let digest = crate::DigestKey::from_bytes([7; 32]).digest("spec.secretString", &json!("hunter2"));
        let tree = Tree::Hole(Hole::Secret { source, digest });
        assert!(!tree.shown().to_string().contains("hunter2"));
    }
}
