//! Fields: role, owner, place, comparator and clearing of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use cso_core::FieldPath;
use cso_facts::api::ShapeId;
use cso_facts::surface::{Schema, SchemaType};
use serde_json::{Value, json};

use super::Compiler;
use super::lookup::{is_value, member_like, member_place, place, place_path, shape_at};
use super::parts::{part_fields, part_get};
use super::refs::is_reference;
use crate::compare::Compare;
use crate::descriptor::{FieldSpec, PartSpec, TableSpec};
use crate::kind::{BodyRead, CONTENT, CallTemplate, Clear, Context, Field, Owner, Part, Place, Role, Source, Write};
use crate::names::nearest;

impl Compiler<'_> {
    pub(super) fn fields(&mut self, read: &BodyRead, body: ShapeId) -> BTreeMap<String, Field> {
        let surface = Arc::clone(&self.surface);
        for name in self.spec.fields.keys() {
            if !surface.spec.properties.contains_key(name) {
                let hint = nearest(name, surface.spec.properties.keys().map(String::as_str));
                let hint = hint.map(|hint| format!("; did you mean {hint}?")).unwrap_or_default();
                self.fail(&["fields", name], format!("the kind has no field spec.{name}{hint}"));
            }
        }
        self.check_names(read, body);
        let tags = self.spec.tags.as_ref().map(|tags| tags.field.as_deref().unwrap_or("tags"));
        let holds_tags = |name: &str| tags.is_some_and(|path| path.split('.').next() == Some(name));
        surface
            .spec
            .properties
            .iter()
            .filter(|(name, _)| !is_reference(name, &surface.spec))
            .filter(|(name, _)| !holds_tags(name))
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
        let clear = match (&spec.off, part) {
            (Some(member), _) => Clear::Value(json!({member: false})),
            (None, Some(part)) => Self::part_clear(name, part),
            (None, None) => spec.clear.clone().map_or(Clear::Keep, Clear::Value),
        };
        // What answers have words for is cleared by a value.
        let seen = read.as_ref().filter(|_| spec.words.is_empty());
        self.check_clear(&at, &clear, seen, schema, part, body);
        let start = spec.start.as_ref().and_then(|value| self.start(&at, value, schema));
        let when = self.predicate(&at, &spec.when);
        let answer = self.read_shape(read.as_ref(), part, body);
        let lens = self.lens(&at, &spec, schema, answer);
        // Elements of a table are compared one by one.
        let compared = if part.is_some_and(|part| part.table.is_some()) { schema.element() } else { schema };
        for path in spec.nested.keys().filter(|path| nested_schema(compared, path).is_none()) {
            self.fail(&at, format!("field `{name}` has no member {path}"));
        }
        let compare = spec.compare.as_deref().or_else(|| part.and_then(|part| part.compare.as_deref()));
        Field {
            name: name.to_owned(),
            schema: schema.clone(),
            owner: position.map_or(Owner::Body, Owner::Part),
            role,
            read,
            compare: match (compare, part) {
                // Elements have no order where each is added and removed for itself.
                (None, Some(part)) if part.table.is_some() && part.key.is_none() => Compare::Set,
                (compare, _) => self.compare(&at, compare),
            },
            nested: spec.nested.iter().map(|(path, rule)| (path.clone(), self.compare(&at, Some(rule)))).collect(),
            lens,
            clear,
            start,
            late: spec.late,
            when,
            shared: self.shared(&at, &spec, schema),
            off: self.off(&at, &spec, schema),
            restart: spec.restart,
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
        let listed = part.and_then(|part| part.table.as_ref()).filter(|table| table.get.is_none());
        if let Some(elements) = listed.and_then(|table| table.list.as_ref()).and_then(|list| list.at.as_deref()) {
            let shape = self.answer_shape(part, body);
            return Some(Place::Path(self.answer_path(&at, elements, shape)));
        }
        if let Some(seen) = spec.seen.as_deref().or_else(|| part.and_then(|part| part.seen.as_deref())) {
            if seen == "." {
                return Some(Place::Path(FieldPath::root()));
            }
            let shape = self.answer_shape(part, body);
            self.answer_path(&at, seen, shape);
            return Some(place(seen, read.attributes.as_deref()));
        }
        if let Some(key) = self.attribute(name) {
            return Some(Place::Attribute { map: read.attributes.clone()?, key });
        }
        match part {
            // The reader puts the answer together.
            Some(PartSpec { table: Some(TableSpec { get: Some(_), .. }), .. }) => {
                return Some(Place::Path(FieldPath::root()));
            }
            Some(PartSpec { revisions: Some(_), .. }) => return Some(member_place(CONTENT)),
            _ => {}
        }
        let shape = self.answer_shape(part, body)?;
        let named = self.spec.names.get(name).and_then(|named| named.all.as_deref());
        let candidates = [part.and_then(|part| part.member.as_deref()), named, Some(name)];
        let members = candidates.into_iter().flatten();
        members.filter_map(|wanted| member_like(self.api.shape(shape), wanted)).map(|m| member_place(&m.name)).next()
    }

    /// The shape of the answer that has a part's fields: its own read's, or the body.
    fn answer_shape(&self, part: Option<&PartSpec>, body: ShapeId) -> Option<ShapeId> {
        match part.and_then(part_get) {
            Some(get) => self.api.operation(&get.op)?.output,
            None => Some(body),
        }
    }

    /// The shape of a field in the answer that has it.
    fn read_shape(&self, read: Option<&Place>, part: Option<&PartSpec>, body: ShapeId) -> Option<ShapeId> {
        shape_at(&self.api, self.answer_shape(part, body)?, &place_path(read?))
    }

    /// `names` and `inside` speak of fields that exist, of members that some call has, and of keys that the map may have.
    fn check_names(&mut self, read: &BodyRead, body: ShapeId) {
        let api = Arc::clone(&self.api);
        let surface = Arc::clone(&self.surface);
        let spec = self.spec;
        for field in spec.names.keys() {
            if !surface.spec.properties.contains_key(field) {
                self.fail(&["names", field], format!("the kind has no field spec.{field}"));
            }
        }
        for (field, member) in spec.names.iter().filter_map(|(field, named)| Some((field, named.all.as_ref()?))) {
            let taken =
                [&spec.api.create.op, &spec.api.update.op].iter().any(|op| self.input_member(op, member).is_some());
            if !taken && api.shape(body).member(member).is_none() {
                self.fail(&["names", field], format!("neither create, update nor the body has a member {member}"));
            }
        }
        for (field, spec) in &spec.names {
            let calls = [(&self.spec.api.create.op, &spec.create), (&self.spec.api.update.op, &spec.update)];
            for (operation, member) in calls {
                if let Some(member) = member.as_ref().filter(|member| self.input_member(operation, member).is_none()) {
                    self.fail(&["names", field], format!("{operation} takes no member {member}"));
                }
            }
        }
        for (map, keys) in &spec.inside {
            for (field, key) in keys {
                let at = ["inside", map, field];
                if !surface.spec.properties.contains_key(field) {
                    self.fail(&at, format!("the kind has no field spec.{field}"));
                }
                let known = FieldPath::root().child(map).child(key);
                if read.attributes.as_ref() == Some(map) && shape_at(&api, body, &known).is_none() {
                    self.fail(&at, format!("{} does not answer with {known}", read.call.operation));
                }
            }
        }
    }

    /// The value that clears a field is one that the field can have.
    fn check_clear(
        &mut self,
        at: &[&str],
        clear: &Clear,
        read: Option<&Place>,
        schema: &Schema,
        part: Option<&PartSpec>,
        body: ShapeId,
    ) {
        let Clear::Value(value) = clear else { return };
        if !has_type(value, schema) {
            self.fail(at, format!("`clear: {value}` is not a value of the field"));
        }
        let api = Arc::clone(&self.api);
        let shape = self.read_shape(read, part, body);
        if let (Some(shape), Some(text)) = (shape, value.as_str())
            && !is_value(&api, shape, text)
        {
            self.fail(at, format!("`clear: {text}` is not a value of {}", api.shape(shape).name));
        }
    }

    /// A value that the published field can have, or the one source that is a fact of the surroundings.
    fn start(&mut self, at: &[&str], value: &Value, schema: &Schema) -> Option<Source> {
        if value.as_str() == Some("account") {
            return Some(Source::Context(Context::Account));
        }
        if !has_type(value, schema) {
            self.fail(at, format!("`start: {value}` is not a value of the field"));
            return None;
        }
        Some(Source::Const(value.clone()))
    }

    pub(super) fn attribute(&self, field: &str) -> Option<String> {
        self.spec.inside.values().find_map(|map| map.get(field)).cloned()
    }

    /// Every field can be written as often as it may change, and read back or said not to be.
    pub(super) fn check_fields(
        &mut self,
        fields: &BTreeMap<String, Field>,
        parts: &[Part],
        create: &CallTemplate,
        update: Option<&Write>,
    ) {
        let surface = Arc::clone(&self.surface);
        let carried = |call: &CallTemplate, field: &str| call.carries.iter().any(|carried| carried.field == field);
        for field in fields.values() {
            let at = ["fields", field.name.as_str()];
            let name = &field.name;
            let facts = surface.fields.get(name);
            let immutable = field.schema.immutable || facts.is_some_and(|facts| facts.immutable);
            if immutable && field.role != Role::CreateOnly {
                self.fail(&at, format!("field `{name}` is published as immutable: say `create-only`"));
            }
            let text = field.schema.schema_type == SchemaType::String;
            if field.role == Role::Secret && !text && !field.schema.properties.contains_key("key") {
                self.fail(&at, format!("field `{name}` is neither a text nor a reference to a key of a Secret"));
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

/// Whether a value may stand in a field; members are checked by name.
pub(super) fn has_type(value: &Value, schema: &Schema) -> bool {
    match (value, schema.schema_type) {
        (Value::Object(members), SchemaType::Object) => members.iter().all(|(name, value)| {
            schema.properties.get(name).or(schema.additional.as_deref()).is_some_and(|schema| has_type(value, schema))
        }),
        (Value::Array(elements), SchemaType::Array) => {
            schema.items.as_ref().is_none_or(|schema| elements.iter().all(|element| has_type(element, schema)))
        }
        (Value::String(text), SchemaType::String) => schema.values.is_empty() || schema.values.contains(text),
        (Value::Bool(_), SchemaType::Boolean) | (Value::Number(_), SchemaType::Integer | SchemaType::Number) => true,
        _ => false,
    }
}

/// The schema at a dotted path below a field; `[]` stands for the elements of a list.
fn nested_schema<'a>(schema: &'a Schema, path: &str) -> Option<&'a Schema> {
    path.split('.').try_fold(schema, |schema, name| {
        let found = schema.properties.get(name.trim_end_matches("[]"))?;
        if name.ends_with("[]") { found.items.as_deref() } else { Some(found) }
    })
}
