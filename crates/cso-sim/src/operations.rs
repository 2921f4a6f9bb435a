//! What each operation does, as the kinds say.

use std::collections::BTreeMap;
use std::sync::Arc;

use cso_core::Tree;
use cso_core::port::Effect;
use cso_schema::kind::{
    CallTemplate, Kind, PartRead, Place, Recovery, Revisions, Shape, Source, Table, TagRead, TagWrite,
};

/// What an operation does for one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Create,
    Read,
    Lookup,
    Find,
    ListAll,
    Update,
    Delete,
    /// Of the part at a position.
    PartRead(usize),
    /// The list of a part, and the read of one thing on it.
    List(usize),
    Get(usize),
    Put(usize),
    Unset(usize),
    Switch(usize, bool),
    Add(usize),
    Change(usize),
    Remove(usize),
    TagRead,
    Tag,
    Untag,
    /// Replaces all tags.
    Retag,
}

impl Role {
    /// Whether a call in this role changes the cloud.
    pub(crate) const fn effect(self) -> Effect {
        match self {
            Self::Read
            | Self::Lookup
            | Self::Find
            | Self::ListAll
            | Self::PartRead(_)
            | Self::List(_)
            | Self::Get(_)
            | Self::TagRead => Effect::Reads,
            _ => Effect::Mutates,
        }
    }
}

/// Roles by service and operation; one operation may serve several kinds.
#[derive(Debug, Default)]
pub(crate) struct Operations(BTreeMap<(String, String), Roles>);

/// The kinds that use an operation, and for what.
type Roles = Vec<(Arc<Kind>, Role)>;

impl Operations {
    pub(crate) fn of(kinds: &[Arc<Kind>]) -> Self {
        let mut all = Self::default();
        for kind in kinds {
            for (role, template) in templates(kind) {
                let name = (template.service.clone(), template.operation.clone());
                all.0.entry(name).or_default().push((Arc::clone(kind), role));
            }
        }
        all
    }

    pub(crate) fn roles(&self, service: &str, operation: &str) -> &[(Arc<Kind>, Role)] {
        self.0.get(&(service.to_owned(), operation.to_owned())).map_or(&[], Vec::as_slice)
    }
}

/// The template behind a role.
pub(crate) fn template(kind: &Kind, role: Role) -> Option<&CallTemplate> {
    templates(kind).into_iter().find(|(found, _)| *found == role).map(|(_, template)| template)
}

/// Whether two calls look alike.
pub(crate) fn is_same(one: &CallTemplate, other: &CallTemplate) -> bool {
    one.operation == other.operation && one.inputs == other.inputs
}

/// Whether a call says something in a role: where several share an operation, each is about members of its own.
pub(crate) fn says(kind: &Kind, role: Role, input: &Tree) -> bool {
    let Some(template) = template(kind, role) else { return false };
    let carries = template.carries.iter().any(|carried| match &carried.place {
        Place::Path(path) => input.at(path).is_some(),
        Place::Attribute { map, key } => input.member(map).is_some_and(|map| map.member(key).is_some()),
    });
    match role {
        Role::Add(_) | Role::Change(_) | Role::Remove(_) if template.sources().any(is_element) => template
            .inputs
            .iter()
            .any(|(member, source)| input.member(member).is_some_and(|given| !elements_in(source, given).is_empty())),
        _ => carries || template.carries.is_empty(),
    }
}

/// The sources of elements inside a source, each with what a call gives at its place.
pub(crate) fn elements_in<'a>(source: &'a Source, given: &'a Tree) -> Vec<(&'a Source, &'a Tree)> {
    match (source, given) {
        (Source::List(sources), Tree::List(given)) => {
            sources.iter().zip(given).flat_map(|(source, given)| elements_in(source, given)).collect()
        }
        (Source::Structure(members), Tree::Object(_)) => {
            let inside = members.iter().filter_map(|(name, source)| Some(elements_in(source, given.member(name)?)));
            inside.flatten().collect()
        }
        (source, given) if is_element(source) => vec![(source, given)],
        _ => Vec::new(),
    }
}

fn is_element(source: &Source) -> bool {
    matches!(source, Source::Items(_) | Source::Item(_))
}

fn templates(kind: &Kind) -> Vec<(Role, &CallTemplate)> {
    let mut all = vec![(Role::Create, &kind.create), (Role::Read, &kind.read.call)];
    all.extend(kind.delete.iter().map(|delete| (Role::Delete, delete)));
    all.extend(kind.identity.lookup.iter().map(|lookup| (Role::Lookup, &lookup.call)));
    all.extend(kind.update.iter().map(|update| (Role::Update, &update.call)));
    if let Recovery::Natural(finder) = &kind.recovery {
        all.push((Role::Find, &finder.call));
    }
    all.extend(kind.list.iter().map(|list| (Role::ListAll, &list.call)));
    for (position, part) in kind.parts.iter().enumerate() {
        match &part.read {
            PartRead::Body => {}
            PartRead::Own { call, .. } => all.push((Role::PartRead(position), call)),
            PartRead::Listed { list, get, .. } => {
                all.extend([(Role::List(position), list), (Role::Get(position), get)]);
            }
        }
        match &part.shape {
            Shape::Config { put, delete } => {
                all.push((Role::Put(position), &put.call));
                all.extend(delete.iter().map(|delete| (Role::Unset(position), delete)));
            }
            Shape::Switch { enable, disable } => {
                all.extend([(Role::Switch(position, true), enable), (Role::Switch(position, false), disable)]);
            }
            Shape::Table(Table { add, change, remove, .. }) => {
                all.extend([(Role::Add(position), add), (Role::Remove(position), remove)]);
                // One call for both is known by the first of its roles.
                let change = change.iter().filter(|change| !is_same(change, add));
                all.extend(change.map(|change| (Role::Change(position), change)));
            }
            Shape::Revisions(Revisions { add, remove, .. }) => {
                all.extend([(Role::Add(position), add), (Role::Remove(position), remove)]);
            }
        }
    }
    if let Some(tags) = &kind.tags {
        match &tags.write {
            TagWrite::Each { add, remove } => all.extend([(Role::Tag, add), (Role::Untag, remove)]),
            TagWrite::Whole(put) => all.push((Role::Retag, put)),
        }
        if let TagRead::Own { call, .. } = &tags.read {
            all.push((Role::TagRead, call));
        }
    }
    all
}
