//! Parts: settings with calls of their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use cso_core::FieldPath;
use cso_facts::api::{Service, ShapeId, ShapeKind};
use indexmap::IndexMap;
use serde_json::Value;

use super::lookup::{is_value, member_like, member_place, shape_at};
use super::{Compiler, Extra};
use crate::descriptor::{CallSpec, PartSpec, RevisionsSpec, TableSpec};
use crate::kind::{
    CallTemplate, Carried, Field, Part, PartRead, Place, Predicate, Revisions, Role, Send, Shape as PartShape, Source,
    Table, Write,
};
use crate::lens::Lens;
use crate::names::nearest;

impl Compiler<'_> {
    pub(super) fn parts(&mut self, fields: &BTreeMap<String, Field>) -> Option<Vec<Part>> {
        let specs: Vec<(&String, &PartSpec)> = self.spec.parts.iter().collect();
        specs.into_iter().map(|(name, part)| self.part(name, part, fields)).collect()
    }

    fn part(&mut self, name: &str, part: &PartSpec, fields: &BTreeMap<String, Field>) -> Option<Part> {
        let at = ["parts", name];
        let owned: Vec<String> = part_fields(part).map(str::to_owned).collect();
        for field in &owned {
            if !fields.contains_key(field) {
                let hint = nearest(field, fields.keys().map(String::as_str));
                let hint = hint.map(|hint| format!("; did you mean {hint}?")).unwrap_or_default();
                self.fail(&at, format!("the kind has no field spec.{field}{hint}"));
            }
        }
        self.check_part_clear(name, part, &owned);
        let read = self.part_read(&at, part)?;
        let shape = self.part_shape(&at, part, &owned, fields)?;
        let at_create = owned.iter().all(|field| self.create_place(field).is_some());
        let when = self.predicate(&at, &part.when);
        Some(Part { name: name.to_owned(), fields: owned, read, shape, at_create, when })
    }

    /// Membership tests of spec fields.
    pub(super) fn predicate(&mut self, at: &[&str], when: &IndexMap<String, Vec<String>>) -> Predicate {
        let tests = when.iter().filter_map(|(source, accepted)| {
            let path = self.rooted(at, source, "spec")?;
            for word in accepted.iter().filter(|word| *word != "unset") {
                if !self.may_be(&path, word) {
                    self.fail(at, format!("{source} has no value {word}"));
                }
            }
            let accepted = accepted.iter().map(|word| (word != "unset").then(|| Value::String(word.clone()))).collect();
            Some((Source::Spec(path), accepted))
        });
        Predicate(tests.collect())
    }

    /// `clear` by field speaks of the part's own fields; codes of `none` are errors of the read.
    fn check_part_clear(&mut self, name: &str, part: &PartSpec, owned: &[String]) {
        let at = ["parts", name];
        if let (Some(Value::Object(by_field)), false) = (&part.clear, part.fields.is_empty()) {
            for field in by_field.keys().filter(|field| !owned.contains(field)) {
                self.fail(&at, format!("`clear` speaks of {field}, which is not a field of the part"));
            }
        }
        if let Some(get) = part_get(part) {
            self.check_none(&at, get);
        }
    }

    fn part_shape(
        &mut self,
        at: &[&str],
        part: &PartSpec,
        owned: &[String],
        fields: &BTreeMap<String, Field>,
    ) -> Option<PartShape> {
        match (&part.config, &part.switch, &part.table, &part.revisions) {
            (Some(config), None, None, None) => {
                let mut call = self.call(at, &config.put, Extra::None)?;
                self.carry(at, &mut call, part, owned, fields);
                let answer = self.api.operation(&config.put.op).and_then(|operation| operation.output);
                let out = self.outs(at, &config.put.out, answer);
                let put = Write { call, send: self.send(at, &config.put, Send::All)?, out };
                let delete = match &config.delete {
                    Some(delete) => Some(self.call(at, delete, Extra::None)?),
                    None => None,
                };
                Some(PartShape::Config { put, delete })
            }
            (None, Some(switch), None, None) => Some(PartShape::Switch {
                enable: self.call(at, &switch.enable, Extra::None)?,
                disable: self.call(at, &switch.disable, Extra::None)?,
            }),
            (None, None, Some(table), None) => self.table(at, part, table, owned, fields).map(PartShape::Table),
            (None, None, None, Some(revisions)) => {
                self.revisions(at, part, revisions, owned, fields).map(PartShape::Revisions)
            }
            _ => {
                self.fail(at, "a part is exactly one of config, switch, table or revisions");
                None
            }
        }
    }

    fn part_read(&mut self, at: &[&str], part: &PartSpec) -> Option<PartRead> {
        let listed = match (&part.table, &part.revisions) {
            (Some(TableSpec { list: Some(list), get: Some(get), .. }), _)
            | (None, Some(RevisionsSpec { list, get, .. })) => Some((list, get)),
            _ => None,
        };
        if let Some((list, get)) = listed {
            let answer = self.operation(at, &list.op)?.output;
            let elements = self.answer_path(at, list.at.as_deref().unwrap_or_default(), answer);
            let element = answer.and_then(|answer| shape_at(&self.api, answer, &elements));
            let list = self.call(at, list, Extra::None)?;
            let answer = self.operation(at, &get.op)?.output;
            let value = self.answer_path(at, get.at.as_deref().unwrap_or_default(), answer);
            let get = self.call(at, get, Extra::Item)?;
            self.check_members(at, &[&get], |api, member| {
                element.is_some_and(|element| api.shape(element).member(member).is_some())
            });
            return Some(PartRead::Listed { list, elements, get, value });
        }
        Some(match part_get(part) {
            Some(call) => PartRead::Own { call: self.call(at, call, Extra::None)?, none: call.none.clone() },
            None => PartRead::Body,
        })
    }

    fn table(
        &mut self,
        at: &[&str],
        part: &PartSpec,
        spec: &TableSpec,
        owned: &[String],
        fields: &BTreeMap<String, Field>,
    ) -> Option<Table> {
        let [field] = owned else {
            self.fail(at, "a table has one `field`");
            return None;
        };
        let field = fields.get(field)?;
        let element = field.schema.element();
        let key = match (field.schema.additional.is_some(), element.properties.is_empty(), &part.key) {
            (false, false, Some(key)) => Some(key.clone()),
            (false, false, None) => {
                self.fail(at, "a table needs the `key` of its elements");
                return None;
            }
            (true, _, None) => Some("key".to_owned()),
            (false, true, None) => None,
            (_, _, Some(_)) => {
                self.fail(at, "elements that are no structures have no `key` but themselves, or that of the map");
                return None;
            }
        };
        if matches!(field.lens, Lens::Prefix(_)) {
            self.fail(at, "elements of a table have no prefix");
        }
        let mut add = self.call(at, &spec.add, Extra::Items)?;
        self.carry_options(&mut add, fields);
        self.carry_with(at, &mut add, part, fields);
        let change = match &spec.change {
            Some(change) => Some(self.call(at, change, Extra::Items)?),
            None => None,
        };
        let remove = self.call(at, &spec.remove, Extra::Items)?;
        let calls: Vec<&CallTemplate> = [&add, &remove].into_iter().chain(&change).collect();
        let is_map = field.schema.additional.is_some();
        let has = |member: &str| {
            if is_map { matches!(member, "key" | "value") } else { element.properties.contains_key(member) }
        };
        self.check_members(at, &calls, |_, member| has(member));
        if let Some(key) = part.key.as_ref().filter(|key| !has(key)) {
            self.fail(at, format!("elements have no member {key}"));
        }
        for call in calls.iter().filter(|call| !call.sources().any(is_element)) {
            self.fail(at, format!("{} is not told which elements: say `items` or `item` in `in`", call.operation));
        }
        let names = element.properties.keys();
        let fixed = change.as_ref().and_then(|change| self.carried_element(change));
        let fixed = fixed.map_or_else(Vec::new, |shape| {
            names.filter(|name| member_like(self.api.shape(shape), name).is_none()).cloned().collect()
        });
        let skip = self.skip(at, &part.skip, has);
        Some(Table { key, add, change, fixed, remove, skip })
    }

    /// The shape in which a call takes an element as a whole, where that is a structure.
    fn carried_element(&self, call: &CallTemplate) -> Option<ShapeId> {
        let input = self.api.operation(&call.operation)?.input?;
        let mut inputs = call.inputs.iter();
        inputs.find_map(|(member, source)| {
            let shape = self.api.shape(input).member(member)?.shape;
            self.element_in(source, shape)
        })
    }

    fn element_in(&self, source: &Source, shape: ShapeId) -> Option<ShapeId> {
        match (source, &self.api.shape(shape).kind) {
            (Source::Item(None), ShapeKind::Structure { .. }) => Some(shape),
            (Source::List(sources), ShapeKind::List { member, .. }) => {
                sources.iter().find_map(|source| self.element_in(source, member.shape))
            }
            (Source::Structure(members), _) => members.iter().find_map(|(name, source)| {
                let member = self.api.shape(shape).member(name)?;
                self.element_in(source, member.shape)
            }),
            _ => None,
        }
    }

    /// Elements that are nobody's.
    fn skip(
        &mut self,
        at: &[&str],
        said: &BTreeMap<String, String>,
        has: impl Fn(&str) -> bool,
    ) -> Vec<(String, Source)> {
        let mut skip = Vec::new();
        for (member, source) in said {
            if !has(member) {
                self.fail(at, format!("elements have no member {member}"));
            }
            skip.extend(self.source(at, source, Extra::None).map(|source| (member.clone(), source)));
        }
        skip
    }

    /// Fields of others that the additions of a table carry.
    fn carry_with(&mut self, at: &[&str], call: &mut CallTemplate, part: &PartSpec, fields: &BTreeMap<String, Field>) {
        for name in &part.with {
            let member = self.input_member(&call.operation, name);
            match member.filter(|_| fields.contains_key(name)) {
                Some(member) => call.carries.push(Carried { field: name.clone(), place: member_place(&member) }),
                None => self.fail(at, format!("`with`: {} takes no field {name}", call.operation)),
            }
        }
    }

    fn revisions(
        &mut self,
        at: &[&str],
        part: &PartSpec,
        spec: &RevisionsSpec,
        owned: &[String],
        fields: &BTreeMap<String, Field>,
    ) -> Option<Revisions> {
        if owned.len() != 1 {
            self.fail(at, "revisions have one `field`");
        }
        if spec.keep < 2 {
            self.fail(at, "with less than two revisions there is none to remove: `keep` is at least 2");
        }
        let mut add = self.call(at, &spec.add, Extra::None)?;
        self.carry(at, &mut add, part, owned, fields);
        let remove = self.call(at, &spec.remove, Extra::Item)?;
        let answer = self.operation(at, &spec.list.op)?.output;
        let elements = self.path(at, spec.list.at.as_deref().unwrap_or_default());
        let element = answer.and_then(|answer| shape_at(&self.api, answer, &elements));
        let has = |api: &Service, member: &str| element.is_some_and(|one| api.shape(one).member(member).is_some());
        self.check_members(at, &[&remove], has);
        for member in [&spec.current, &spec.oldest] {
            if !has(&Arc::clone(&self.api), member) {
                self.fail(at, format!("elements have no member {member}"));
            }
        }
        let named = remove.inputs.iter().find_map(|(_, source)| match source {
            Source::Item(Some(member)) => Some(member.clone()),
            _ => None,
        });
        let Some(key) = named else {
            self.fail(at, "`remove` is not told which revision: say `item.MEMBER` in `in`");
            return None;
        };
        Some(Revisions {
            add,
            remove,
            keep: spec.keep,
            key,
            current: spec.current.clone(),
            oldest: spec.oldest.clone(),
        })
    }

    /// Members of elements that calls take exist.
    fn check_members(&mut self, at: &[&str], calls: &[&CallTemplate], has: impl Fn(&Service, &str) -> bool) {
        let api = Arc::clone(&self.api);
        for source in calls.iter().flat_map(|call| call.sources()) {
            if let Source::Items(Some(member)) | Source::Item(Some(member)) = source
                && !has(&api, member)
            {
                self.fail(at, format!("elements have no member {member}"));
            }
        }
    }

    /// The parts that a delete must empty first, by position.
    pub(super) fn empties(&mut self, parts: &[Part]) -> Vec<usize> {
        let names: Vec<String> = self.spec.delete.iter().flat_map(|delete| delete.empty.clone()).collect();
        let mut positions = Vec::new();
        for name in names {
            match parts.iter().position(|part| part.name == name).map(|at| (at, &parts[at].shape)) {
                Some((position, PartShape::Table(_) | PartShape::Revisions(_))) => positions.push(position),
                Some(_) => self.fail(&["delete"], format!("part {name} has nothing in it that could be removed")),
                None => {
                    let hint = nearest(&name, parts.iter().map(|part| part.name.as_str()));
                    let hint = hint.map(|hint| format!("; did you mean {hint}?")).unwrap_or_default();
                    self.fail(&["delete"], format!("there is no part {name}{hint}"));
                }
            }
        }
        positions
    }

    /// Whether the create call may take a value for a spec field.
    fn may_be(&self, field: &FieldPath, word: &str) -> bool {
        let Some(Place::Path(path)) = self.create_place(&field.to_string()) else { return true };
        let input = self.api.operation(&self.spec.api.create.op).and_then(|operation| operation.input);
        let shape = input.and_then(|input| shape_at(&self.api, input, &path));
        shape.is_none_or(|shape| is_value(&self.api, shape, word))
    }

    /// The part's fields, and the options, in its write.
    fn carry(
        &mut self,
        at: &[&str],
        put: &mut CallTemplate,
        part: &PartSpec,
        owned: &[String],
        fields: &BTreeMap<String, Field>,
    ) {
        let api = Arc::clone(&self.api);
        let input = api.operation(&put.operation).and_then(|operation| operation.input);
        for field in owned {
            let named = self.spec.names.get(field).and_then(|named| named.all.as_deref());
            let wanted = part.member.as_deref().or(named).unwrap_or(field);
            if let Some(member) = self.input_member(&put.operation, wanted) {
                put.carries.push(Carried { field: field.clone(), place: member_place(&member) });
                continue;
            }
            let members = input.map(|input| api.shape(input).members()).unwrap_or_default();
            let hint = nearest(wanted, members.iter().map(|member| member.name.as_str()));
            let hint =
                hint.map_or_else(|| "; name it with `member`".to_owned(), |hint| format!("; did you mean {hint}?"));
            self.fail(at, format!("{} takes no member like {wanted}{hint}", put.operation));
        }
        self.carry_options(put, fields);
    }

    fn carry_options(&self, put: &mut CallTemplate, fields: &BTreeMap<String, Field>) {
        for field in fields.values().filter(|field| field.role == Role::Option) {
            if let Some(member) = self.input_member(&put.operation, &field.name) {
                put.carries.push(Carried { field: field.name.clone(), place: member_place(&member) });
            }
        }
    }
}

pub(super) fn part_fields(part: &PartSpec) -> impl Iterator<Item = &str> {
    part.field.iter().chain(&part.fields).map(String::as_str)
}

fn is_element(source: &Source) -> bool {
    matches!(source, Source::Item(_) | Source::Items(_))
}

/// The read of a part's own, where one call is enough.
pub(super) fn part_get(part: &PartSpec) -> Option<&CallSpec> {
    let config = part.config.as_ref().and_then(|config| config.get.as_ref());
    let switch = part.switch.as_ref().and_then(|switch| switch.get.as_ref());
    let table = part.table.as_ref().filter(|table| table.get.is_none()).and_then(|table| table.list.as_ref());
    config.or(switch).or(table)
}
