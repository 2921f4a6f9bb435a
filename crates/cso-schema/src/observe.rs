//! What the world looks like, part by part, and how it reads in the user's words.

use std::collections::BTreeMap;

use cso_core::{FieldPath, Tree};

use crate::convert::{from_api, member_like, tag_map};
use crate::kind::{Arn, Field, Kind, Owner, PartRead, Place, State, TagRead};

/// The answers of one round of reads. `Unknown` is never `Absent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The body's answer below [`crate::kind::BodyRead::at`], in the provider's spelling.
    pub body: Seen,
    /// Answers of parts that have a read of their own, by part name.
    pub parts: BTreeMap<String, Seen>,
    /// Tags by key.
    pub tags: Seen,
    /// Status values found on the way: handles from a lookup or a finder.
    pub found: Tree,
    /// More resources than one answer to what should name one: their handles. A person must choose.
    pub rivals: Vec<String>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Value(Tree),
    Absent,
    /// Could not be read: the reason.
    Unknown(String),
    NotAsked,
}

impl Observation {
    /// Nothing was asked.
    pub const fn nothing() -> Self {
        Self {
            body: Seen::NotAsked,
            parts: BTreeMap::new(),
            tags: Seen::NotAsked,
            found: Tree::object(),
            rivals: Vec::new(),
        }
    }

    /// The resource does not exist.
    pub fn absent() -> Self {
        Self { body: Seen::Absent, ..Self::nothing() }
    }
}

impl Kind {
    /// What was seen of a field, in the user's spelling; `wished` tells how he spells it.
    pub fn seen(&self, field: &Field, observation: &Observation, wished: Option<&Tree>) -> Seen {
        let Some(place) = &field.read else { return Seen::NotAsked };
        let answer = match field.owner {
            Owner::Part(position) => match self.parts.get(position) {
                Some(part) if !matches!(part.read, PartRead::Body) => {
                    observation.parts.get(&part.name).unwrap_or(&Seen::NotAsked)
                }
                _ => &observation.body,
            },
            Owner::Body => &observation.body,
        };
        match answer {
            Seen::Value(answer) => {
                match read_place(answer, place).map(|value| from_api(&field.lens.named(&value), &field.schema)) {
                    // An answer that is the field itself always is there.
                    Some(Tree::Object(members)) if members.is_empty() && is_root(place) => Seen::Absent,
                    Some(value) => Seen::Value(field.lens.get(&value, wished)),
                    None => Seen::Absent,
                }
            }
            other => other.clone(),
        }
    }

    /// The status fields that the answers fill, without conditions.
    pub fn status_of(&self, observation: &Observation) -> Tree {
        let mut status = observation.found.clone();
        if let Seen::Value(body) = &observation.body {
            for field in &self.status {
                if let Some(value) = read_place(body, &field.read) {
                    status.set(&FieldPath::root().child(&field.name), from_api(&value, &field.schema));
                }
            }
            if let Arn::Read(path) = &self.identity.arn
                && let Some(arn) = body.at(path)
            {
                status.set(&FieldPath::root().child("ackResourceMetadata").child("arn"), arn.clone());
            }
        }
        status
    }

    /// The class of the resource's state, over all axes: the first that is not ready, and the value that says so.
    pub fn state(&self, body: &Tree) -> (State, String) {
        for axis in &self.states {
            let found = read_place(body, &axis.at);
            let values: Vec<Option<&str>> = match &found {
                // One for each element; of none there is nothing to say.
                Some(Tree::List(values)) => values.iter().map(Tree::as_str).collect(),
                found if axis.is_of_elements() && found.is_none() => Vec::new(),
                found => vec![found.as_ref().and_then(Tree::as_str)],
            };
            let class = |value: Option<&str>| match value {
                None => axis.unset.clone(),
                Some(value) => axis.classes.get(value).cloned().unwrap_or(State::Busy),
            };
            if let Some(value) = values.into_iter().find(|value| class(*value) != State::Ready) {
                let whose = if axis.is_of_elements() { format!(" ({})", axis.at) } else { String::new() };
                return (class(value), format!("{}{whose}", value.unwrap_or_default()));
            }
        }
        (State::Ready, String::new())
    }

    /// Tags of an answer, by key.
    pub fn tags_in(&self, answer: &Tree) -> BTreeMap<String, Tree> {
        let Some(tags) = &self.tags else { return BTreeMap::new() };
        let at = match &tags.read {
            TagRead::Body(at) | TagRead::Own { at, .. } => at,
        };
        answer.at(at).map(|value| tag_map(value, tags.api_names.as_ref())).unwrap_or_default()
    }

    /// Tags that the user wishes, by key; `None` if he says nothing about them.
    pub fn wished_tags(&self, spec: &Tree) -> Option<BTreeMap<String, Tree>> {
        let tags = self.tags.as_ref()?;
        spec.at(&tags.field).filter(|value| !value.is_null()).map(|value| tag_map(value, tags.surface_names.as_ref()))
    }
}

fn is_root(place: &Place) -> bool {
    matches!(place, Place::Path(path) if path.is_root())
}

/// The value at a place of an answer. Attribute names are matched whatever their spelling; an empty attribute is absent.
pub fn read_place(answer: &Tree, place: &Place) -> Option<Tree> {
    match place {
        Place::Path(path) => answer.gather(path),
        Place::Attribute { map, key } => {
            let value = member_like(answer.member(map)?.as_object()?, key)?;
            (value.as_str() != Some("") && !value.is_null()).then(|| value.clone())
        }
    }
}
