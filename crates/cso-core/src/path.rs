//! Paths into manifests and API answers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A dotted path such as `spec.tags[].key`, `Repositories[0].Arn` or `KeyMetadata.Arn`.
///
/// A name that itself holds a dot or a bracket cannot be written; map keys are reached by code, not by paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldPath(Vec<Segment>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segment {
    /// A member of an object.
    Name(String),
    /// An element of a list by position.
    Index(usize),
    /// Every element of a list: `[]`.
    Each,
}

/// Why a text is not a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a path: {reason} at character {at}")]
pub struct PathError {
    text: String,
    at: usize,
    reason: &'static str,
}

impl FieldPath {
    /// The path of nothing: the whole value.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// The steps from the outside in.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Whether this is the whole value.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// This path, then a member.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        self.with(Segment::Name(name.to_owned()))
    }

    /// This path, then an element.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    /// This path, then any step.
    #[must_use]
    pub fn with(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }

    /// This path, then all of another.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        Self(self.0.iter().chain(&other.0).cloned().collect())
    }

    /// The part of a value that is at this path; `[]` takes the first element. `None` if it is missing or null.
    pub fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        let mut here = value;
        for segment in &self.0 {
            here = match segment {
                Segment::Name(name) => here.get(name)?,
                Segment::Index(index) => here.get(index)?,
                Segment::Each => here.get(0)?,
            };
        }
        (!here.is_null()).then_some(here)
    }

    /// The first member name and the rest, if the path starts with a name.
    pub fn split_first(&self) -> Option<(&str, Self)> {
        match self.0.split_first() {
            Some((Segment::Name(name), rest)) => Some((name, Self(rest.to_vec()))),
            _ => None,
        }
    }
}

impl FromIterator<Segment> for FieldPath {
    fn from_iter<I: IntoIterator<Item = Segment>>(segments: I) -> Self {
        Self(segments.into_iter().collect())
    }
}

impl FromStr for FieldPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let fail = |at, reason| PathError { text: text.to_owned(), at, reason };
        let mut segments = Vec::new();
        let mut rest = text;
        let mut expect_name = true;
        while !rest.is_empty() {
            let at = text.len() - rest.len();
            if let Some(inner) = rest.strip_prefix('[') {
                let close = inner.find(']').ok_or_else(|| fail(at, "`[` without `]`"))?;
                let body = &inner[..close];
                segments.push(if body.is_empty() {
                    Segment::Each
                } else {
                    Segment::Index(body.parse().map_err(|_| fail(at, "an index must be a number"))?)
                });
                rest = &inner[close + 1..];
                expect_name = false;
            } else if let Some(inner) = rest.strip_prefix('.') {
                if expect_name {
                    return Err(fail(at, "a name is missing"));
                }
                rest = inner;
                expect_name = true;
            } else {
                if !expect_name {
                    return Err(fail(at, "`.` or `[` is missing"));
                }
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                let name = &rest[..end];
                if name.contains(']') {
                    return Err(fail(at, "`]` without `[`"));
                }
                segments.push(Segment::Name(name.to_owned()));
                rest = &rest[end..];
                expect_name = false;
            }
        }
        if expect_name && !text.is_empty() {
            return Err(fail(text.len(), "a name is missing"));
        }
        Ok(Self(segments))
    }
}

impl TryFrom<String> for FieldPath {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        text.parse()
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> Self {
        path.to_string()
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Name(name) if position == 0 => f.write_str(name)?,
                Segment::Name(name) => write!(f, ".{name}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Each => f.write_str("[]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_what_is_at_its_place() {
        let value = json!({"a": [{"b": 1}, {"b": 2}], "none": null});
        let found = |path: &str| path.parse::<FieldPath>().expect("a path").find(&value).cloned();
        assert_eq!(found("a[1].b"), Some(json!(2)));
        assert_eq!(found("a[].b"), Some(json!(1)));
        assert_eq!(found(""), Some(value.clone()));
        for path in ["none", "a.b", "a[2]", "c"] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn writes_back_what_it_reads() {
        for text in ["", "spec", "spec.tags[].key", "Reservations[0].Instances[1]", "[3].x"] {
            assert_eq!(text.parse::<FieldPath>().map(|path| path.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn says_where_a_text_stops_being_a_path() {
        for (text, at) in [(".a", 0), ("a..b", 2), ("a[", 1), ("a[x]", 1), ("a]", 0), ("a.", 2), ("a[0]b", 4)] {
            assert_eq!(text.parse::<FieldPath>().map_err(|error| error.at), Err(at), "{text}");
        }
    }
}
