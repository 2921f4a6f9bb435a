//! The mutating half of the model cloud.

use std::collections::BTreeMap;

use cso_core::{ErrorClass, FieldPath, Tree};
use cso_facts::surface::SchemaType;
use cso_schema::convert::from_api;
use cso_schema::kind::{
    CallTemplate, Field, Kind, Part, Place, Recovery, Revisions, Role as Means, Send, Shape, Source, Table,
};
use tokio::time::Instant;

use super::{
    Answer, CREATES_BESIDE, IDEMPOTENT_CREATES, IDEMPOTENT_DELETES, Inner, Refusal, absent, code_of, leaves_tombstone,
    not_set, pause_after_delete,
};
use crate::answer::Answers;
use crate::operations::{Role, elements_in, is_same, template};
use crate::resource::{Life, Resource, Revision};

impl Inner {
    /// Makes a call, in each of the roles in which it says something.
    pub(super) fn change(&mut self, kind: &Kind, roles: Vec<Role>, input: &Tree, region: &str) -> Answer {
        let Some((role, template)) = roles.first().and_then(|role| Some((*role, template(kind, *role)?))) else {
            return Err(refusal(kind, ErrorClass::Invalid, "the call says nothing"));
        };
        if role == Role::Create {
            return self.create(kind, template, input, region);
        }
        let Some(position) = self.position(kind, role, input, region) else {
            let forgives = role == Role::Delete && IDEMPOTENT_DELETES.contains(&template.operation.as_str());
            return if forgives { Ok(Tree::object()) } else { Err(absent(kind)) };
        };
        if self.resources[position].life == Life::Tombstone {
            return Err(refusal(kind, ErrorClass::Conflict, "it is scheduled for deletion"));
        }
        if role == Role::Delete {
            if let Some(full) = still_full(kind, &self.resources[position]) {
                return Err(refusal(kind, ErrorClass::Conflict, &format!("it still has {full}")));
            }
            self.delete(kind, position);
            return Ok(Tree::object());
        }
        let ignored = self.behaviour.ignore.get(kind.name()).cloned().unwrap_or_default();
        let resource = &mut self.resources[position];
        let kept: BTreeMap<String, Tree> =
            resource.values.iter().filter(|(name, _)| ignored.contains(*name)).map(own).collect();
        let was_there = resource.clone();
        for (role, template) in roles.into_iter().filter_map(|role| Some((role, self::template(kind, role)?))) {
            if let Err(refused) = apply(resource, kind, role, template, input) {
                *resource = was_there;
                return Err(refused);
            }
        }
        resource.values.retain(|name, _| !ignored.contains(name));
        resource.values.extend(kept);
        if kind.delete.is_none() && !kind.empties.is_empty() && still_full(kind, resource).is_none() {
            self.delete(kind, position);
        }
        Ok(Tree::object())
    }

    fn create(&mut self, kind: &Kind, template: &CallTemplate, input: &Tree, region: &str) -> Answer {
        let mut values = carried(kind, template, input);
        for (member, source) in &template.inputs {
            if let (Source::Spec(path), Some(given)) = (source, input.member(member))
                && let Some((field, rest)) = path.split_first()
                && rest.is_root()
            {
                values.insert(field.to_owned(), given.clone());
            }
        }
        values.retain(|_, value| !is_nothing(value));
        let tags = template.tags.as_ref().and_then(|path| input.at(path)).map(|tags| tags_of(kind, tags));
        let token = template.token.as_ref().and_then(|member| input.member(member)).cloned();
        let identity = identity_of(kind, &values);
        if let Some(position) = self.namesake(kind, region, &identity, token.as_ref())
            && (template.operation != CREATES_BESIDE || self.is_as_asked(position, &values))
        {
            return self.exists(kind, template, position, &values);
        }
        let name = full_name(kind, region, &identity);
        if let (Some(until), Some((code, _))) = (self.taken.get(&name), pause_after_delete(kind))
            && Instant::now() < *until
        {
            return Err((code.clone(), "a resource of this name was deleted a moment ago".to_owned()));
        }
        let ignored = self.behaviour.ignore.get(kind.name());
        values.retain(|field, _| ignored.is_none_or(|ignored| !ignored.contains(field)));
        self.born += 1;
        let mut resource = Resource::new(kind, region, values, self.born);
        resource.tags = tags.unwrap_or_default();
        resource.token = token;
        resource.busy = self.behaviour.busy;
        let answer = Answers { kind, behaviour: &self.behaviour }.created(&resource);
        self.resources.push(resource);
        Ok(answer)
    }

    /// A resource that stands in the way of a new one: of the same name or natural key, or made with the same token.
    fn namesake(&self, kind: &Kind, region: &str, identity: &[Option<Tree>], token: Option<&Tree>) -> Option<usize> {
        let by_token = matches!(kind.recovery, Recovery::Token) && token.is_some();
        self.resources.iter().position(|one| {
            one.kind == kind.name()
                && one.is_in(kind, region)
                && ((!identity.is_empty() && identity_of(kind, &one.values) == identity)
                    || (by_token && one.token.as_ref() == token))
        })
    }

    fn exists(&self, kind: &Kind, template: &CallTemplate, position: usize, asked: &BTreeMap<String, Tree>) -> Answer {
        let same = self.is_as_asked(position, asked);
        let there = &self.resources[position];
        if there.life == Life::Tombstone {
            return Err(refusal(kind, ErrorClass::Invalid, "a resource of this name is scheduled for deletion"));
        }
        let forgives =
            IDEMPOTENT_CREATES.contains(&template.operation.as_str()) || matches!(kind.recovery, Recovery::Token);
        if same && forgives {
            return Ok(Answers { kind, behaviour: &self.behaviour }.created(there));
        }
        Err(refusal(kind, ErrorClass::NotOurs, "it exists already"))
    }

    fn is_as_asked(&self, position: usize, asked: &BTreeMap<String, Tree>) -> bool {
        asked.iter().all(|(field, value)| self.resources[position].values.get(field) == Some(value))
    }

    fn delete(&mut self, kind: &Kind, position: usize) {
        if leaves_tombstone(kind) {
            self.resources[position].life = Life::Tombstone;
            return;
        }
        let gone = self.resources.remove(position);
        if let Some((_, pause)) = pause_after_delete(kind) {
            let name = full_name(kind, &gone.region, &identity_of(kind, &gone.values));
            self.taken.insert(name, Instant::now() + *pause);
        }
    }
}

fn own((name, value): (&String, &Tree)) -> (String, Tree) {
    (name.clone(), value.clone())
}

/// A refusal of a class, or of the next best class that the kind has a code for.
fn refusal(kind: &Kind, class: ErrorClass, message: &str) -> Refusal {
    let code = [class, ErrorClass::Invalid].into_iter().find_map(|class| code_of(kind, class));
    (code.unwrap_or_else(|| "ValidationException".to_owned()), message.to_owned())
}

fn apply(
    resource: &mut Resource,
    kind: &Kind,
    role: Role,
    template: &CallTemplate,
    input: &Tree,
) -> Result<(), Refusal> {
    match role {
        Role::Update => resource.values.extend(carried(kind, template, input)),
        Role::Put(position) => {
            let before = resource.values.clone();
            if let Some(Part { fields, shape: Shape::Config { put, .. }, .. }) = kind.parts.get(position)
                && put.send == Send::All
            {
                // The write is absolute: what it leaves out is no more.
                resource.values.retain(|name, _| !fields.contains(name));
            }
            resource.values.extend(carried(kind, template, input));
            let now = &resource.values;
            let runs = |values: &BTreeMap<String, Tree>, field: &Field| {
                values.get(&field.name).is_some_and(|one| field.is_on(one))
            };
            let mut restarts = kind.fields.values().filter(|field| field.restart);
            if restarts.any(|field| {
                runs(&before, field) && runs(now, field) && before.get(&field.name) != now.get(&field.name)
            }) {
                return Err(refusal(kind, ErrorClass::Invalid, "it cannot be changed while it is on"));
            }
        }
        Role::Unset(position) => {
            let owned = kind.parts.get(position).map(|part| part.fields.clone()).unwrap_or_default();
            let known = resource.values.len();
            resource.values.retain(|name, _| !owned.contains(name));
            if resource.values.len() == known {
                return Err(not_set(kind, position));
            }
        }
        Role::Switch(position, on) => {
            if let Some(field) = kind.parts.get(position).and_then(|part| part.fields.first()) {
                resource.values.insert(field.clone(), Tree::Bool(on));
            }
        }
        Role::Add(position) | Role::Change(position) | Role::Remove(position) => {
            match kind.parts.get(position).map(|part| (&part.shape, part)) {
                Some((Shape::Table(table), part)) => {
                    change_table(resource, kind, (part, table), role, template, input)?;
                    resource.values.extend(carried(kind, template, input));
                }
                Some((Shape::Revisions(revisions), _)) => {
                    change_revisions(resource, kind, revisions, role, input)?;
                }
                _ => {}
            }
        }
        Role::Tag | Role::Retag => {
            let tags = member_of(template, input, &Source::Tags).map(|tags| tags_of(kind, tags));
            if role == Role::Retag {
                resource.tags.clear();
            }
            resource.tags.extend(tags.unwrap_or_default());
        }
        Role::Untag => {
            let keys = member_of(template, input, &Source::TagKeys).and_then(Tree::as_list).unwrap_or_default();
            resource.tags.retain(|key, _| !keys.contains(&Tree::text(key)));
        }
        _ => {}
    }
    resource.values.retain(|_, value| !is_nothing(value));
    Ok(())
}

/// Setting an empty text is how attributes are unset; an empty list is one that nobody set.
fn is_nothing(value: &Tree) -> bool {
    let empty_object = value.as_object().is_some_and(BTreeMap::is_empty);
    value.is_null() || empty_object || value.as_str() == Some("") || value.as_list() == Some(&[])
}

fn member_of<'a>(template: &CallTemplate, input: &'a Tree, wanted: &Source) -> Option<&'a Tree> {
    match template.inputs.iter().find(|(_, source)| source == wanted) {
        Some((member, _)) => input.member(member),
        None => input.at(&template.nested.iter().find(|(_, source)| source == wanted)?.0),
    }
}

/// Adds elements that are not there, changes or removes elements that are; anything else is refused.
fn change_table(
    resource: &mut Resource,
    kind: &Kind,
    (part, table): (&Part, &Table),
    role: Role,
    template: &CallTemplate,
    input: &Tree,
) -> Result<(), Refusal> {
    let Some(field) = part.fields.first().and_then(|name| kind.fields.get(name)) else { return Ok(()) };
    let mut known = resource.values.get(&field.name).map(Table::elements).unwrap_or_default();
    let upserts = table.change.as_ref().is_some_and(|change| is_same(change, &table.add));
    for item in given(kind, field, table, template, input) {
        let at = known.iter().position(|element| table.key(element) == table.key(&item));
        match (at, role) {
            (None, Role::Add(_)) => known.push(item),
            (Some(at), Role::Change(_)) => known[at] = with_fixed(table, &known[at], item),
            (Some(at), Role::Add(_)) if upserts => known[at] = item,
            (Some(at), Role::Remove(_)) => {
                known.remove(at);
            }
            (Some(_), _) => return Err(refusal(kind, ErrorClass::Invalid, "the element is there already")),
            (None, _) => return Err(refusal(kind, ErrorClass::Invalid, "there is no such element")),
        }
    }
    let one = matches!(field.schema.schema_type, SchemaType::String);
    if one && known.len() > 1 {
        return Err(refusal(kind, ErrorClass::Invalid, "there can be only one"));
    }
    let whole = match (field.schema.additional.is_some(), one) {
        (true, _) => Tree::Object(known.iter().filter_map(entry).collect()),
        (false, true) => known.pop().unwrap_or(Tree::Null),
        (false, false) => Tree::List(known),
    };
    resource.values.insert(field.name.clone(), whole);
    Ok(())
}

/// A changed element, with the members that the change cannot carry as they were.
fn with_fixed(table: &Table, known: &Tree, mut item: Tree) -> Tree {
    for name in &table.fixed {
        if let Some(value) = known.member(name) {
            item.set(&FieldPath::root().child(name), value.clone());
        }
    }
    item
}

fn entry(element: &Tree) -> Option<(String, Tree)> {
    Some((element.member("key")?.as_str()?.to_owned(), element.member("value")?.clone()))
}

/// The elements that a call is about, in the published spelling; of those to be removed perhaps only the keys.
fn given(kind: &Kind, field: &Field, table: &Table, template: &CallTemplate, input: &Tree) -> Vec<Tree> {
    let element = |members: Vec<(String, Tree)>| Tree::Object(members.into_iter().collect());
    let named = |part: &Option<String>| part.clone().or_else(|| table.key.clone()).unwrap_or_default();
    let mut one = Vec::new();
    let given = template.inputs.iter().filter_map(|(member, source)| Some(elements_in(source, input.member(member)?)));
    for (source, given) in given.flatten() {
        match (source, given) {
            (Source::Items(None), given) => return Table::elements(&from_api(given, &field.schema)),
            (Source::Items(part), Tree::List(given)) => {
                return given.iter().map(|value| element(vec![(named(part), value.clone())])).collect();
            }
            (Source::Item(None), given) if table.key.is_none() => return vec![given.clone()],
            (Source::Item(None), given) => {
                return vec![from_api(given, field.schema.items.as_deref().unwrap_or(&field.schema))];
            }
            (Source::Item(Some(part)), given) => one.push((part.clone(), given.clone())),
            _ => {}
        }
    }
    debug_assert!(kind.api.operation(&template.operation).is_some());
    if one.is_empty() { Vec::new() } else { vec![element(one)] }
}

/// Adds a version while there is room, or removes one that is not current.
fn change_revisions(
    resource: &mut Resource,
    kind: &Kind,
    revisions: &Revisions,
    role: Role,
    input: &Tree,
) -> Result<(), Refusal> {
    let refuse = |message| Err(refusal(kind, ErrorClass::Invalid, message));
    if let Role::Add(_) = role {
        if resource.revisions.len() >= revisions.keep {
            return refuse("there is no room for another version");
        }
        let carried = carried(kind, &revisions.add, input);
        let superseded = carried.keys().next().and_then(|field| resource.values.get(field)).cloned();
        resource.values.extend(carried);
        resource.add_revision(superseded.as_ref());
        return Ok(());
    }
    let named = |revision: &Revision| Tree::text(revision.name());
    let wanted = revisions.remove.inputs.iter().find(|(_, source)| matches!(source, Source::Item(_)));
    let wanted = wanted.and_then(|(member, _)| input.member(member));
    match resource.revisions.iter().position(|one| Some(&named(one)) == wanted) {
        Some(at) if !resource.revisions[at].current => {
            resource.revisions.remove(at);
            Ok(())
        }
        Some(_) => refuse("the current version cannot be removed"),
        None => refuse("there is no such version"),
    }
}

/// What keeps a resource from being deleted.
fn still_full<'a>(kind: &'a Kind, resource: &Resource) -> Option<&'a str> {
    let full = kind.empties.iter().filter_map(|position| kind.parts.get(*position)).find(|part| match part.shape {
        Shape::Revisions(_) => resource.revisions.len() > 1,
        _ => part.fields.iter().any(|field| resource.values.contains_key(field)),
    });
    full.map(|part| part.name.as_str())
}

/// The fields that a call carries, in the published spelling: the reverse of filling it.
fn carried(kind: &Kind, template: &CallTemplate, input: &Tree) -> BTreeMap<String, Tree> {
    let changed = member_of(template, input, &Source::ChangeKey).and_then(Tree::as_str);
    let fields = template.carries.iter().filter_map(|carried| Some((kind.fields.get(&carried.field)?, &carried.place)));
    fields
        .filter(|(field, _)| field.role != Means::Option)
        .filter_map(|(field, place)| {
            let value = match (changed, place) {
                (Some(changed), place) => {
                    let name = match place {
                        Place::Path(path) => path.to_string(),
                        Place::Attribute { key, .. } => key.clone(),
                    };
                    if changed != name {
                        return None;
                    }
                    member_of(template, input, &Source::ChangeValue)?
                }
                (None, Place::Path(path)) => input.at(path)?,
                (None, Place::Attribute { map, key }) => input.member(map)?.member(key)?,
            };
            Some((field.name.clone(), published(field, value)))
        })
        .collect()
}

/// A secret arrives as text whatever the published field looks like.
fn published(field: &Field, value: &Tree) -> Tree {
    if field.role == Means::Secret { value.clone() } else { from_api(value, &field.schema) }
}

fn tags_of(kind: &Kind, tags: &Tree) -> BTreeMap<String, Tree> {
    match (tags, kind.tags.as_ref().and_then(|tags| tags.api_names.as_ref())) {
        (Tree::Object(map), None) => map.clone(),
        (Tree::List(pairs), Some((key, value))) => pairs
            .iter()
            .filter_map(|pair| Some((pair.member(key)?.as_str()?.to_owned(), pair.member(value)?.clone())))
            .collect(),
        _ => BTreeMap::new(),
    }
}

/// What is unique about a resource of this kind: its name, or its natural key; empty if nothing is.
fn identity_of(kind: &Kind, values: &BTreeMap<String, Tree>) -> Vec<Option<Tree>> {
    let value = |path: &FieldPath| path.split_first().and_then(|(field, rest)| values.get(field)?.at(&rest).cloned());
    kind.identity_fields().into_iter().map(value).collect()
}

fn full_name(kind: &Kind, region: &str, identity: &[Option<Tree>]) -> String {
    let parts: Vec<String> = identity.iter().flatten().map(|part| part.shown().to_string()).collect();
    format!("{region}/{}/{}", kind.name(), parts.join("/"))
}
