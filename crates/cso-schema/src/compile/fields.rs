//! Fields: role, owner, place, comparator and clearing of each.

use std::collections::BTreeMap;

use cso_facts::api::ShapeId;
use cso_facts::surface::{Schema, Surface};
use serde_json::Value;

use super::Compiler;
use super::lookup::{member_like, place};
use super::parts::part_fields;
use super::refs::is_reference;
use crate::compare::Compare;
use crate::descriptor::{FieldSpec, PartSpec};
use crate::kind::{BodyRead, CallTemplate, Clear, Field, Owner, Part, Place, Role, Source, Write};
use crate::lens::Lens;
use crate::names::nearest;

impl Compiler<'_> {
    pub(super) fn fields(&mut self, surface: &Surface, read: &BodyRead, body: ShapeId) -> BTreeMap<String, Field> {
        for name in self.spec.fields.keys() {
            if !surface.spec.properties.contains_key(name) {
                let hint = nearest(name, surface.spec.properties.keys().map(String::as_str));
                let hint = hint.map(|hint| format!("; did you mean {hint}?")).unwrap_or_default();
                self.fail(&["fields", name], format!("the published kind has no field spec.{name}{hint}"));
            }
        }
        let tags = self.spec.tags.is_some();
        surface
            .spec
            .properties
            .iter()
            .filter(|(name, _)| !is_reference(name, &surface.spec))
            .filter(|(name, _)| !tags || *name != "tags")
            .map(|(name, schema)| (name.clone(), self.field(name, schema, read, body)))
            .collect()
    }

    fn field(&mut self, name: &str, schema: &Schema, read: &BodyRead, body: ShapeId) -> Field {
        let at = ["fields", name];
        let spec = self.spec.fields.get(name).cloned().unwrap_or_default();
        let position = self.spec.parts.values().position(|part| part_fields(part).any(|field| field == name));
        let part = position.and_then(|position| self.spec.parts.get_index(position)).map(|(_, part)| part);
        let role = match spec.role.as_deref() {
            None => Role::Mutable,
            Some("create-only") => Role::CreateOnly,
            Some("secret") => Role::Secret,
            Some("option") => Role::Option,
            Some(other) => {
                self.fail(&at, format!("`{other}` is not a role: create-only, secret or option"));
                Role::Mutable
            }
        };
        let read = if spec.unreadable || matches!(role, Role::Secret | Role::Option) {
            None
        } else {
            self.field_place(name, &spec, part, read, body)
        };
        let clear = match part {
            Some(part) => Self::part_clear(name, part),
            None => spec.clear.clone().map_or(Clear::Keep, Clear::Value),
        };
        let compare = spec.compare.as_deref().or_else(|| part.and_then(|part| part.compare.as_deref()));
        Field {
            name: name.to_owned(),
            schema: schema.clone(),
            owner: position.map_or(Owner::Body, Owner::Part),
            role,
            read,
            compare: self.compare(&at, compare),
            nested: spec.nested.iter().map(|(path, rule)| (path.clone(), self.compare(&at, Some(rule)))).collect(),
            lens: spec.prefix.clone().map_or(Lens::Same, Lens::Prefix),
            clear,
            late: spec.late,
        }
    }

    fn compare(&mut self, at: &[&str], name: Option<&str>) -> Compare {
        let Some(name) = name else { return Compare::Exact };
        Compare::by_name(name).unwrap_or_else(|| {
            self.fail(at, format!("`{name}` is not a comparator: {}", Compare::NAMES.join(", ")));
            Compare::Exact
        })
    }

    fn part_clear(name: &str, part: &PartSpec) -> Clear {
        if part.table.is_some() {
            return Clear::Elements;
        }
        if part.config.as_ref().is_some_and(|config| config.delete.is_some()) {
            return Clear::Delete;
        }
        let said = match (&part.clear, part.fields.is_empty()) {
            (Some(Value::Object(by_field)), false) => by_field.get(name),
            (clear, _) => clear.as_ref(),
        };
        match said {
            None => Clear::Keep,
            Some(Value::String(word)) if word == "omit" => Clear::Omit,
            Some(value) => Clear::Value(value.clone()),
        }
    }

    /// Where a field is read: said, in the attribute map, or the member of the same name.
    fn field_place(
        &mut self,
        name: &str,
        spec: &FieldSpec,
        part: Option<&PartSpec>,
        read: &BodyRead,
        body: ShapeId,
    ) -> Option<Place> {
        let at = ["fields", name];
        if let Some(seen) = spec.seen.as_deref().or_else(|| part.and_then(|part| part.seen.as_deref())) {
            return Some(place(seen, read.attributes.as_deref()));
        }
        if let Some(key) = self.attribute(name) {
            let Some(map) = read.attributes.clone() else {
                self.fail(&at, "`inside` names a map that the read does not return");
                return None;
            };
            return Some(Place::Attribute { map, key });
        }
        let get = part.and_then(|part| {
            part.config
                .as_ref()
                .and_then(|config| config.get.as_ref())
                .or_else(|| part.switch.as_ref().and_then(|s| s.get.as_ref()))
        });
        let shape = match get {
            Some(get) => self.operation(&at, &get.op)?.output?,
            None => body,
        };
        let wanted = part
            .and_then(|part| part.member.as_deref())
            .or_else(|| self.spec.names.get(name).map(String::as_str))
            .unwrap_or(name);
        member_like(self.api.shape(shape), wanted).map(|member| Place::Member(member.name.clone()))
    }

    pub(super) fn attribute(&self, field: &str) -> Option<String> {
        self.spec.inside.values().find_map(|map| map.get(field)).cloned()
    }

    /// Every field can be written as often as it may change, and read back or said not to be.
    pub(super) fn check_fields(
        &mut self,
        surface: &Surface,
        fields: &BTreeMap<String, Field>,
        parts: &[Part],
        create: &CallTemplate,
        update: Option<&Write>,
    ) {
        let carried = |call: &CallTemplate, field: &str| call.carries.iter().any(|carried| carried.field == field);
        for field in fields.values() {
            let at = ["fields", field.name.as_str()];
            let name = &field.name;
            let facts = surface.fields.get(name);
            let immutable = field.schema.immutable || facts.is_some_and(|facts| facts.immutable);
            if immutable && field.role != Role::CreateOnly {
                self.fail(&at, format!("field `{name}` is published as immutable: say `create-only`"));
            }
            if facts.is_some_and(|facts| facts.secret) && field.role != Role::Secret {
                self.fail(&at, format!("field `{name}` is published as a secret: say `secret`"));
            }
            let at_create = carried(create, name)
                || create
                    .inputs
                    .iter()
                    .any(|(_, source)| matches!(source, Source::Spec(path) if path.to_string() == *name));
            if field.role == Role::CreateOnly && !at_create {
                self.fail(&at, format!("field `{name}` is create-only, but {} does not carry it", create.operation));
            }
            let updated = match field.owner {
                Owner::Part(position) => parts.get(position).is_some_and(|part| part.fields.contains(name)),
                Owner::Body => update.is_some_and(|update| carried(&update.call, name)),
            };
            if matches!(field.role, Role::Mutable | Role::Secret) && !updated {
                self.fail(
                    &at,
                    format!(
                        "field `{name}` is mutable, but no update call carries it: say `create-only` or add a part"
                    ),
                );
            }
            let unreadable = self.spec.fields.get(name).is_some_and(|spec| spec.unreadable);
            if matches!(field.role, Role::Mutable | Role::CreateOnly) && field.read.is_none() && !unreadable {
                self.fail(&at, format!("field `{name}` is in no answer: say where with `seen`, or `unreadable: true`"));
            }
        }
    }
}
