//! Parts: settings with calls of their own.

use std::collections::BTreeMap;

use cso_facts::surface::Surface;
use serde_json::Value;

use super::{Compiler, Extra};
use crate::descriptor::PartSpec;
use crate::kind::{CallTemplate, Carried, Field, Part, PartRead, Place, Predicate, Role, Shape as PartShape, Source};

impl Compiler<'_> {
    pub(super) fn parts(&mut self, fields: &BTreeMap<String, Field>, surface: &Surface) -> Option<Vec<Part>> {
        let specs: Vec<(&String, &PartSpec)> = self.spec.parts.iter().collect();
        specs.into_iter().map(|(name, part)| self.part(name, part, fields, surface)).collect()
    }

    fn part(
        &mut self,
        name: &str,
        part: &PartSpec,
        fields: &BTreeMap<String, Field>,
        surface: &Surface,
    ) -> Option<Part> {
        let at = ["parts", name];
        let owned: Vec<String> = part_fields(part).map(str::to_owned).collect();
        for field in &owned {
            if !fields.contains_key(field) {
                self.fail(&at, format!("the published kind has no field spec.{field}"));
            }
        }
        let get = part
            .config
            .as_ref()
            .and_then(|c| c.get.clone())
            .or_else(|| part.switch.as_ref().and_then(|s| s.get.clone()));
        let read = match &get {
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
                PartShape::Table { key, add, remove: self.call(&at, &table.remove, Extra::Items)? }
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
                let path = self.rooted(&at, source, "spec", surface)?;
                let accepted =
                    accepted.iter().map(|word| (word != "unset").then(|| Value::String(word.clone()))).collect();
                Some((Source::Spec(path), accepted))
            })
            .collect();
        Some(Part { name: name.to_owned(), fields: owned, read, shape, at_create, when: Predicate(when) })
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
