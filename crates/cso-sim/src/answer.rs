//! What reads answer, in the provider's spelling and only with members that the API has.

use std::collections::BTreeMap;

use cso_core::path::Segment;
use cso_core::{FieldPath, Tree};
use cso_facts::api::{Service, ShapeId, ShapeKind};
use cso_facts::surface::SchemaType;
use cso_schema::convert::{as_text, member_like, to_api};
use cso_schema::kind::{
    Arn, Axis, Field, Finder, Kind, Listing, Owner, PartRead, Place, Shape, Source, State, TagRead, Target,
};
use cso_schema::names::same_name;

use crate::behaviour::Behaviour;
use crate::check::conform;
use crate::resource::{Life, Resource, arn_path};
use crate::spelling::{default_of, respelt, with_defaults};

/// Answers for resources of one kind.
#[derive(Clone, Copy)]
pub(crate) struct Answers<'a> {
    pub(crate) kind: &'a Kind,
    pub(crate) behaviour: &'a Behaviour,
}

impl Answers<'_> {
    /// The body read's answer for the resources that it names.
    pub(crate) fn body_read(&self, resources: &[&Resource]) -> Tree {
        let read = &self.kind.read;
        let mut answer = Tree::object();
        let (list, is_list) = before_each(&read.at);
        if is_list {
            answer.set(&list, Tree::List(resources.iter().map(|resource| self.body(resource)).collect()));
        } else if let Some(resource) = resources.first() {
            let body = self.body(resource);
            if read.at.is_root() { answer = body } else { answer.set(&read.at, body) }
        }
        self.conforming(answer, &read.call.operation)
    }

    fn conforming(&self, answer: Tree, operation: &str) -> Tree {
        let output = self.kind.api.operation(operation).and_then(|operation| operation.output);
        output.map_or_else(Tree::object, |output| conform(answer, &self.kind.api, output))
    }

    /// Everything the body says of a resource.
    pub(crate) fn body(&self, resource: &Resource) -> Tree {
        let kind = self.kind;
        let shape = self.body_shape();
        let mut body = Tree::object();
        self.put_identifiers(resource, &mut body);
        for axis in &kind.states {
            if let Some(value) = axis_value(axis, kind, shape, resource) {
                put(&mut body, &axis.at, Tree::text(value));
            }
        }
        if let (Some(at), Life::Tombstone) = (&kind.tombstone, resource.life) {
            body.set(at, Tree::text("2026-01-01T00:00:00Z"));
        }
        for field in kind.fields.values().filter(|field| self.is_in_body(field)) {
            self.put_field(field, resource, shape, &mut body);
        }
        if let Some(TagRead::Body(at)) = kind.tags.as_ref().map(|tags| &tags.read) {
            body.set(at, self.tags(resource));
        }
        body
    }

    fn put_identifiers(&self, resource: &Resource, body: &mut Tree) {
        let kind = self.kind;
        if let (Arn::Read(at), Some(arn)) = (&kind.identity.arn, resource.arn()) {
            body.set(at, Tree::text(arn));
        }
        for status in &kind.status {
            let Place::Member(member) = &status.read else { continue };
            let assigned = resource.identifiers.member(&status.name).cloned();
            let value = match (&kind.identity.arn, assigned) {
                (_, Some(assigned)) => assigned,
                (Arn::Read(at), None) if at.to_string() == *member => continue,
                _ if status.schema.schema_type != SchemaType::String => continue,
                _ if status.schema.format.as_deref() == Some("date-time") => Tree::text("2026-01-01T00:00:00Z"),
                _ => Tree::text(format!("{}-of-{}", status.name, resource.serial)),
            };
            body.set(&FieldPath::root().child(member), value);
        }
    }

    fn is_in_body(&self, field: &Field) -> bool {
        match field.owner {
            Owner::Body => true,
            Owner::Part(position) => {
                self.kind.parts.get(position).is_some_and(|part| matches!(part.read, PartRead::Body))
            }
        }
    }

    /// Puts a field where it is read; nothing where nobody set it and the provider has no choice of its own.
    fn put_field(&self, field: &Field, resource: &Resource, shape: Option<ShapeId>, answer: &mut Tree) {
        let Some(place) = &field.read else { return };
        let api = &self.kind.api;
        let member = match place {
            Place::Member(name) => shape.and_then(|shape| api.shape(shape).member(name)).map(|member| member.shape),
            Place::Attribute { .. } => None,
        };
        let off = Tree::Bool(false);
        let set = resource.values.get(&field.name).or_else(|| self.is_switch(field).then_some(&off));
        let value = if self.behaviour.defaults && !self.is_unset_for_good(field) {
            let default = default_of(field, api, member);
            Some(set.map_or_else(|| default.clone(), |value| with_defaults(value, &default)))
        } else {
            set.cloned()
        };
        let Some(mut value) = value else { return };
        if self.behaviour.normalise {
            value = respelt(&value, field.compare, &field.nested, "");
        }
        let spelt = match (place, member) {
            (Place::Attribute { .. }, _) => as_text(&value),
            (Place::Member(_), Some(shape)) => to_api(&value, api, shape),
            (Place::Member(_), None) => value,
        };
        put(answer, place, spelt);
    }

    /// A switch is on or off, whoever set it.
    fn is_switch(&self, field: &Field) -> bool {
        let Owner::Part(position) = field.owner else { return false };
        self.kind.parts.get(position).is_some_and(|part| matches!(part.shape, Shape::Switch { .. }))
    }

    /// A field whose part answers "not set" with an error code, or that names the resource, has no default.
    fn is_unset_for_good(&self, field: &Field) -> bool {
        let in_optional_part = match field.owner {
            Owner::Body => false,
            Owner::Part(position) => self
                .kind
                .parts
                .get(position)
                .is_some_and(|part| matches!(&part.read, PartRead::Own { none, .. } if !none.is_empty())),
        };
        in_optional_part || self.kind.is_identity(&field.name)
    }

    /// A part's own read; `None` when the provider says "not set" with an error.
    pub(crate) fn part_read(&self, position: usize, resource: &Resource) -> Option<Tree> {
        let part = self.kind.parts.get(position)?;
        let PartRead::Own { call, none } = &part.read else { return None };
        if !none.is_empty() && part.fields.iter().all(|field| !resource.values.contains_key(field)) {
            return None;
        }
        let output = self.kind.api.operation(&call.operation).and_then(|operation| operation.output);
        let mut answer = Tree::object();
        for field in part.fields.iter().filter_map(|name| self.kind.fields.get(name)) {
            self.put_field(field, resource, output, &mut answer);
        }
        Some(self.conforming(answer, &call.operation))
    }

    /// The tag read's answer.
    pub(crate) fn tag_read(&self, resource: &Resource) -> Tree {
        let mut answer = Tree::object();
        if let Some(TagRead::Own { at, .. }) = self.kind.tags.as_ref().map(|tags| &tags.read) {
            answer.set(at, self.tags(resource));
        }
        answer
    }

    fn tags(&self, resource: &Resource) -> Tree {
        match self.kind.tags.as_ref().and_then(|tags| tags.api_names.as_ref()) {
            None => Tree::Object(resource.tags.clone()),
            Some((key, value)) => {
                let pair = |(name, text): (&String, &Tree)| {
                    Tree::Object(BTreeMap::from([(key.clone(), Tree::text(name)), (value.clone(), text.clone())]))
                };
                let pairs: Vec<Tree> = resource.tags.iter().map(pair).collect();
                Tree::List(if self.behaviour.normalise { pairs.into_iter().rev().collect() } else { pairs })
            }
        }
    }

    /// The create's answer: the body, wrapped or not, and the handles that the kind expects of it.
    pub(crate) fn created(&self, resource: &Resource) -> Tree {
        let kind = self.kind;
        let api = &kind.api;
        let operation = &kind.create.operation;
        let Some(output) = api.operation(operation).and_then(|operation| operation.output) else {
            return Tree::object();
        };
        let body = self.body(resource);
        let known = flat(&body, &resource.identifiers);
        let members = api.shape(output).members();
        let mut answer = match members {
            [only] if matches!(api.shape(only.shape).kind, ShapeKind::Structure { .. }) => {
                let mut answer = Tree::object();
                answer.set(&FieldPath::root().child(&only.name), body);
                answer
            }
            _ => Tree::Object(
                members
                    .iter()
                    .filter_map(|member| Some((member.name.clone(), member_like(&known, &member.name)?.clone())))
                    .collect(),
            ),
        };
        for (status, at) in &kind.create_out {
            if let Some(value) = resource.identifiers.at(status) {
                answer.set(at, value.clone());
            }
        }
        conform(answer, api, output)
    }

    /// The answer that turns a name into a handle.
    pub(crate) fn looked_up(resource: &Resource, out: &[(FieldPath, FieldPath)]) -> Tree {
        let mut answer = Tree::object();
        for (status, at) in out {
            if let Some(value) = resource.identifiers.at(status) {
                answer.set(at, value.clone());
            }
        }
        answer
    }

    /// The finder's list.
    pub(crate) fn listed(&self, finder: &Finder, resources: &[&Resource]) -> Tree {
        let element = |resource: &&Resource| {
            let mut element = Self::looked_up(resource, &finder.out);
            for (at, source) in &finder.pick {
                if let Source::Spec(path) = source
                    && let Some(value) = resource.values.get(&path.to_string())
                {
                    element.set(at, value.clone());
                }
            }
            element
        };
        let mut answer = Tree::object();
        answer.set(&finder.elements, Tree::List(resources.iter().map(element).collect()));
        self.conforming(answer, &finder.call.operation)
    }

    /// The list of all.
    pub(crate) fn list(&self, listing: &Listing, resources: &[&Resource]) -> Tree {
        let element = |resource: &&Resource| {
            if listing.gives_body {
                return self.body(resource);
            }
            let mut element = Tree::object();
            for (target, at) in &listing.gives {
                let value = match target {
                    Target::Spec(path) => resource.values.get(&path.to_string()),
                    Target::Status(path) => resource.identifiers.at(path),
                };
                element.set(at, value.cloned().unwrap_or(Tree::Null));
            }
            element
        };
        let mut answer = Tree::object();
        answer.set(&listing.elements, Tree::List(resources.iter().map(element).collect()));
        self.conforming(answer, &listing.call.operation)
    }

    fn body_shape(&self) -> Option<ShapeId> {
        let read = &self.kind.read;
        let output = self.kind.api.operation(&read.call.operation)?.output?;
        shape_at(&self.kind.api, output, &read.at)
    }
}

/// What the body would show at a status path.
pub(crate) fn identifier_like(resource: &Resource, kind: &Kind, path: &FieldPath) -> Option<Tree> {
    let (name, _) = path.split_first()?;
    let status = kind.status.iter().find(|status| status.name == name)?;
    match (&status.read, &kind.identity.arn) {
        (Place::Member(member), Arn::Read(at)) if at.to_string() == *member => {
            resource.identifiers.at(&arn_path()).cloned()
        }
        _ => None,
    }
}

fn axis_value(axis: &Axis, kind: &Kind, shape: Option<ShapeId>, resource: &Resource) -> Option<String> {
    let wanted = match resource.life {
        Life::Tombstone if axis.classes.values().any(|state| *state == State::Gone) => State::Gone,
        _ if resource.busy > 0 && axis.classes.values().any(|state| *state == State::Busy) => State::Busy,
        _ => State::Ready,
    };
    // The API's own order: `Enabled` comes before `Disabled`.
    let declared: &[String] = match (&axis.at, shape) {
        (Place::Member(name), Some(shape)) => {
            match kind.api.shape(shape).member(name).map(|m| &kind.api.shape(m.shape).kind) {
                Some(ShapeKind::String { values }) => values,
                _ => &[],
            }
        }
        _ => &[],
    };
    let fits = |value: &&String| axis.classes.get(*value) == Some(&wanted);
    declared.iter().find(fits).or_else(|| axis.classes.keys().find(fits)).cloned()
}

/// Members of a body, of its maps, and the last names of identifiers.
fn flat(body: &Tree, identifiers: &Tree) -> BTreeMap<String, Tree> {
    let mut all = BTreeMap::new();
    for tree in [body, identifiers] {
        for (name, value) in tree.as_object().into_iter().flatten() {
            match value {
                Tree::Object(inner) => all.extend(inner.clone()),
                other => {
                    all.insert(name.clone(), other.clone());
                }
            }
        }
    }
    all
}

/// Puts a value at a place; in a map under the key's one spelling.
fn put(answer: &mut Tree, place: &Place, value: Tree) {
    match place {
        Place::Member(name) => answer.set(&FieldPath::root().child(name), value),
        Place::Attribute { map, key } => {
            let map = FieldPath::root().child(map);
            let known = answer.at(&map).and_then(Tree::as_object);
            let key = known.and_then(|known| known.keys().find(|known| same_name(known, key))).unwrap_or(key).clone();
            answer.set(&map.child(&key), value);
        }
    }
}

/// The path up to the first `[]`, and whether there is one.
fn before_each(path: &FieldPath) -> (FieldPath, bool) {
    let mut before = FieldPath::root();
    for segment in path.segments() {
        if *segment == Segment::Each {
            return (before, true);
        }
        before = before.with(segment.clone());
    }
    (before, false)
}

fn shape_at(api: &Service, from: ShapeId, path: &FieldPath) -> Option<ShapeId> {
    path.segments().iter().try_fold(from, |here, segment| match (segment, &api.shape(here).kind) {
        (Segment::Name(name), _) => api.shape(here).member(name).map(|member| member.shape),
        (_, ShapeKind::List { member, .. }) => Some(member.shape),
        _ => None,
    })
}
