//! What each operation does, as the kinds say.

use std::collections::BTreeMap;
use std::sync::Arc;

use cso_core::port::Effect;
use cso_schema::kind::{CallTemplate, Kind, PartRead, Recovery, Revisions, Shape, Table, TagRead, TagWrite};

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

fn templates(kind: &Kind) -> Vec<(Role, &CallTemplate)> {
    let mut all = vec![(Role::Create, &kind.create), (Role::Read, &kind.read.call), (Role::Delete, &kind.delete)];
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
                // One operation for both is known by the first of its roles.
                let change = change.iter().filter(|change| change.operation != add.operation);
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
