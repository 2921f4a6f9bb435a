//! What reads answer, in the provider's spelling and only with members that the API has.

use std::collections::BTreeMap;

use cso_core::path::Segment;
use cso_core::{FieldPath, Tree};
use cso_facts::api::{ShapeId, ShapeKind};
use cso_facts::surface::SchemaType;
use cso_schema::convert::{as_text, member_like, shape_at, to_api};
use cso_schema::kind::{
    Arn, Axis, Field, Finder, Kind, Listing, Owner, PartRead, Pick, PickTest, Place, Revisions, Shape, Source, State,
    Table, TagRead, Target,
};
use cso_schema::names::same_name;

use crate::behaviour::Behaviour;
use crate::check::conform;
use crate::resource::{Life, Resource, Revision, arn_path};
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
        for axis in kind.states.iter().filter(|axis| !axis.is_of_elements()) {
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
        for axis in kind.states.iter().filter(|axis| axis.is_of_elements()) {
            if let (Place::Path(path), Some(value)) = (&axis.at, axis_value(axis, kind, shape, resource)) {
                put_in_each(&mut body, path, &Tree::text(value));
            }
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
            let Place::Path(member) = &status.read else { continue };
            let assigned = resource.identifiers.member(&status.name).cloned();
            let value = match (&kind.identity.arn, assigned) {
                (_, Some(assigned)) => assigned,
                (Arn::Read(at), None) if at == member => continue,
                _ if status.schema.schema_type != SchemaType::String => continue,
                _ if status.schema.format.as_deref() == Some("date-time") => Tree::text("2026-01-01T00:00:00Z"),
                _ => Tree::text(format!("{}-of-{}", status.name, resource.serial)),
            };
            body.set(member, value);
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
            Place::Path(path) => shape.and_then(|shape| shape_at(api, shape, path)),
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
        let value = field.lens.answered(&value);
        let spelt = match (place, member) {
            (Place::Attribute { .. }, _) => as_text(&value),
            // The path leads to each element.
            (Place::Path(path), Some(shape)) if before_each(path).1 => match &value {
                Tree::List(elements) => Tree::List(elements.iter().map(|one| to_api(one, api, shape)).collect()),
                one => to_api(one, api, shape),
            },
            (Place::Path(_), Some(shape)) => to_api(&value, api, shape),
            (Place::Path(_), None) => value,
        };
        put(answer, place, spelt);
    }

    /// A switch is on or off, whoever set it.
    fn is_switch(&self, field: &Field) -> bool {
        let Owner::Part(position) = field.owner else { return false };
        self.kind.parts.get(position).is_some_and(|part| matches!(part.shape, Shape::Switch { .. }))
    }

    /// A field whose part answers "not set" with an error code, that has elements, or that names the resource, has no
    /// default.
    fn is_unset_for_good(&self, field: &Field) -> bool {
        let in_optional_part = match field.owner {
            Owner::Body => false,
            Owner::Part(position) => self.kind.parts.get(position).is_some_and(|part| {
                matches!(&part.read, PartRead::Own { none, .. } if !none.is_empty())
                    || matches!(part.shape, Shape::Table(_))
            }),
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

    /// The list of a part: names of elements, or revisions.
    pub(crate) fn list(&self, position: usize, resource: &Resource) -> Tree {
        let Some(part) = self.kind.parts.get(position) else { return Tree::object() };
        let PartRead::Listed { list, elements, .. } = &part.read else { return Tree::object() };
        let listed: Vec<Tree> = match &part.shape {
            Shape::Revisions(revisions) => {
                // Newest first, as AWS answers.
                resource.revisions.iter().rev().map(|revision| revision_entry(revisions, revision)).collect()
            }
            Shape::Table(table) => {
                let value = part.fields.first().and_then(|field| resource.values.get(field));
                value.map(Table::elements).unwrap_or_default().iter().map(|one| table.key(one).clone()).collect()
            }
            Shape::Config { .. } | Shape::Switch { .. } => Vec::new(),
        };
        let mut answer = Tree::object();
        scatter(&mut answer, elements, Tree::List(listed));
        self.conforming(answer, &list.operation)
    }

    /// One element's value, or a revision's content; `None` if there is no such thing.
    pub(crate) fn get(&self, position: usize, resource: &Resource, input: &Tree) -> Option<Tree> {
        let part = self.kind.parts.get(position)?;
        let PartRead::Listed { get, value: at, .. } = &part.read else { return None };
        let field = part.fields.first().and_then(|name| self.kind.fields.get(name))?;
        let (member, _) = get.inputs.iter().find(|(_, source)| matches!(source, Source::Item(_)))?;
        let asked = input.member(member)?;
        let stored = resource.values.get(&field.name);
        let value = if let Shape::Table(table) = &part.shape {
            let elements = stored.map(Table::elements).unwrap_or_default();
            elements.iter().find(|one| table.key(one) == asked)?.member("value").cloned()
        } else {
            let revision = resource.revisions.iter().find(|one| Tree::text(one.name()) == *asked)?;
            if revision.current { stored.cloned() } else { revision.content.clone() }
        };
        let mut answer = Tree::object();
        if let Some(value) = value {
            let value =
                if self.behaviour.normalise { respelt(&value, field.compare, &field.nested, "") } else { value };
            answer.set(at, field.lens.answered(&value));
        }
        Some(self.conforming(answer, &get.operation))
    }

    /// The finder's list.
    pub(crate) fn listed(&self, finder: &Finder, resources: &[&Resource]) -> Tree {
        let element = |resource: &&Resource| {
            let mut element = Self::looked_up(resource, &finder.out);
            for Pick { member, test } in &finder.pick {
                let value = match test {
                    PickTest::Equals(source) => source.choices().iter().find_map(|source| match source {
                        Source::Spec(path) => resource.values.get(&path.to_string()).cloned(),
                        Source::Pattern(pattern) => resource.spelt(self.kind, pattern).map(Tree::Text),
                        _ => None,
                    }),
                    // The assigned name ends in it, and is there already.
                    PickTest::Ends(_) => None,
                };
                if let Some(value) = value {
                    element.set(member, value);
                }
            }
            element
        };
        let mut answer = Tree::object();
        answer.set(&finder.elements, Tree::List(resources.iter().map(element).collect()));
        self.conforming(answer, &finder.call.operation)
    }

    /// The list of all.
    pub(crate) fn list_all(&self, listing: &Listing, resources: &[&Resource]) -> Tree {
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

fn revision_entry(revisions: &Revisions, revision: &Revision) -> Tree {
    Tree::Object(BTreeMap::from([
        (revisions.key.clone(), Tree::text(revision.name())),
        (revisions.current.clone(), Tree::Bool(revision.current)),
        (revisions.oldest.clone(), Tree::text(format!("2026-01-01T00:00:{:02}Z", revision.number % 60))),
    ]))
}

/// What the body would show at a status path.
pub(crate) fn identifier_like(resource: &Resource, kind: &Kind, path: &FieldPath) -> Option<Tree> {
    let (name, _) = path.split_first()?;
    let status = kind.status.iter().find(|status| status.name == name)?;
    match (&status.read, &kind.identity.arn) {
        (Place::Path(member), Arn::Read(at)) if at == member => resource.identifiers.at(&arn_path()).cloned(),
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
        (Place::Path(path), Some(shape)) => {
            match shape_at(&kind.api, shape, path).map(|shape| &kind.api.shape(shape).kind) {
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
        Place::Path(path) => scatter(answer, path, value),
        Place::Attribute { map, key } => {
            let map = FieldPath::root().child(map);
            let known = answer.at(&map).and_then(Tree::as_object);
            let key = known.and_then(|known| known.keys().find(|known| same_name(known, key))).unwrap_or(key).clone();
            answer.set(&map.child(&key), value);
        }
    }
}

/// Puts a value at a path; a list at one with `[]` as one element each: the reverse of gathering.
fn scatter(answer: &mut Tree, path: &FieldPath, value: Tree) {
    let (list, is_list) = before_each(path);
    let rest: FieldPath = path.segments().iter().skip(list.segments().len() + 1).cloned().collect();
    match value {
        Tree::List(elements) if is_list => {
            let element = |value: Tree| {
                let mut element = Tree::Null;
                scatter(&mut element, &rest, value);
                element
            };
            answer.set(&list, Tree::List(elements.into_iter().map(element).collect()));
        }
        value => answer.set(path, value),
    }
}

/// Puts a value at a path with `[]` into each element that is there.
fn put_in_each(answer: &mut Tree, path: &FieldPath, value: &Tree) {
    let (list, _) = before_each(path);
    let rest: FieldPath = path.segments().iter().skip(list.segments().len() + 1).cloned().collect();
    let elements = answer.at(&list).and_then(Tree::as_list).map(<[Tree]>::to_vec);
    let with = |mut element: Tree| {
        element.set(&rest, value.clone());
        element
    };
    if let Some(elements) = elements {
        answer.set(&list, Tree::List(elements.into_iter().map(with).collect()));
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
