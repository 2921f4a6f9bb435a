//! Parts: settings with calls of their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use cso_core::FieldPath;
use serde_json::Value;

use super::lookup::is_value;
use super::{Compiler, Extra};
use crate::descriptor::{CallSpec, PartSpec};
use crate::kind::{CallTemplate, Carried, Field, Part, PartRead, Place, Predicate, Role, Shape as PartShape, Source};

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
                self.fail(&at, format!("the published kind has no field spec.{field}"));
            }
        }
        self.check_part_clear(name, part, &owned);
        let read = match part_get(part) {
            Some(call) => PartRead::Own { call: self.call(&at, call, Extra::None)?, none: call.none.clone() },
            None => PartRead::Body,
        };
        let shape = match (&part.config, &part.switch, &part.table) {
            (Some(config), None, None) => {
                let mut put = self.call(&at, &config.put, Extra::None)?;
                self.carry(&mut put, part, &owned, fields);
                let delete = match &config.delete {
                    Some(delete) => Some(self.call(&at, delete, Extra::None)?),
                    None => None,
                };
                PartShape::Config { put, delete }
            }
            (None, Some(switch), None) => PartShape::Switch {
                enable: self.call(&at, &switch.enable, Extra::None)?,
                disable: self.call(&at, &switch.disable, Extra::None)?,
            },
            (None, None, Some(table)) => {
                let Some(key) = part.key.clone() else {
                    self.fail(&at, "a table needs the `key` of its elements");
                    return None;
                };
                let mut add = self.call(&at, &table.add, Extra::Items)?;
                self.carry_options(&mut add, fields);
                let remove = self.call(&at, &table.remove, Extra::Items)?;
                self.check_items(&at, &owned, [&add, &remove], &key);
                PartShape::Table { key, add, remove }
            }
            _ => {
                self.fail(&at, "a part is exactly one of config, switch or table");
                return None;
            }
        };
        let at_create = owned.iter().all(|field| self.create_place(field).is_some());
        let when = part
            .when
            .iter()
            .filter_map(|(source, accepted)| {
                let path = self.rooted(&at, source, "spec")?;
                for word in accepted.iter().filter(|word| *word != "unset") {
                    if !self.may_be(&path, word) {
                        self.fail(&at, format!("{source} has no value {word}"));
                    }
                }
                let accepted =
                    accepted.iter().map(|word| (word != "unset").then(|| Value::String(word.clone()))).collect();
                Some((Source::Spec(path), accepted))
            })
            .collect();
        Some(Part { name: name.to_owned(), fields: owned, read, shape, at_create, when: Predicate(when) })
    }

    /// `clear` by field speaks of the part's own fields; codes of `none` are errors of the read.
    fn check_part_clear(&mut self, name: &str, part: &PartSpec, owned: &[String]) {
        let at = ["parts", name];
        if let (Some(Value::Object(by_field)), false) = (&part.clear, part.fields.is_empty()) {
            for field in by_field.keys().filter(|field| !owned.contains(field)) {
                self.fail(&at, format!("`clear` speaks of {field}, which is not a field of the part"));
            }
        }
        for code in part_get(part).iter().flat_map(|get| &get.none) {
            if !self.is_error(code) {
                self.fail(&at, format!("{} has no error {code}", self.api.name));
            }
        }
    }

    /// A table's key, and the members of its elements that calls take, exist on the surface.
    fn check_items(&mut self, at: &[&str], owned: &[String], calls: [&CallTemplate; 2], key: &str) {
        let surface = Arc::clone(&self.surface);
        let inputs = calls.into_iter().flat_map(|call| &call.inputs);
        let named = inputs.filter_map(|(_, source)| match source {
            Source::Items(Some(member)) => Some(member.as_str()),
            _ => None,
        });
        for member in named.chain([key]) {
            let has_it = |field: &String| {
                surface.spec.properties.get(field).is_some_and(|field| field.element().properties.contains_key(member))
            };
            if !owned.iter().all(has_it) {
                self.fail(at, format!("elements of the table have no member {member}"));
            }
        }
    }

    /// Whether the create call may take a value for a spec field.
    fn may_be(&self, field: &FieldPath, word: &str) -> bool {
        let Some(Place::Member(member)) = self.create_place(&field.to_string()) else { return true };
        let input = self.api.operation(&self.spec.api.create.op).and_then(|operation| operation.input);
        let member = input.and_then(|input| self.api.shape(input).member(&member));
        member.is_none_or(|member| is_value(&self.api, member.shape, word))
    }

    /// The part's fields, and the options, in its write.
    fn carry(&mut self, put: &mut CallTemplate, part: &PartSpec, owned: &[String], fields: &BTreeMap<String, Field>) {
        for field in owned {
            let wanted = part.member.as_deref().unwrap_or(field);
            if let Some(member) = self.input_member(&put.operation, wanted) {
                put.carries.push(Carried { field: field.clone(), place: Place::Member(member) });
            } else {
                let operation = put.operation.clone();
                self.fail(&["parts"], format!("{operation} takes no member like {wanted}; name it with `member`"));
            }
        }
        self.carry_options(put, fields);
    }

    fn carry_options(&self, put: &mut CallTemplate, fields: &BTreeMap<String, Field>) {
        for field in fields.values().filter(|field| field.role == Role::Option) {
            if let Some(member) = self.input_member(&put.operation, &field.name) {
                put.carries.push(Carried { field: field.name.clone(), place: Place::Member(member) });
            }
        }
    }
}

pub(super) fn part_fields(part: &PartSpec) -> impl Iterator<Item = &str> {
    part.field.iter().chain(&part.fields).map(String::as_str)
}

/// The read of a part's own.
pub(super) fn part_get(part: &PartSpec) -> Option<&CallSpec> {
    let config = part.config.as_ref().and_then(|config| config.get.as_ref());
    config.or_else(|| part.switch.as_ref().and_then(|switch| switch.get.as_ref()))
}
