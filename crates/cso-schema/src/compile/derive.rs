//! The surface of a kind that nobody published: fields, names and types as ACK would make them of the API's members.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cso_core::FieldPath;
use cso_facts::api::{Member, Service, ShapeId, ShapeKind};
use cso_facts::surface::{Column, Schema, SchemaType, Surface};

use super::Compiler;
use super::lookup::shape_at;
use super::parts::part_fields;
use crate::descriptor::{ArnSpec, CallSpec, KindSpec, NameSpec, Names, PartSpec};
use crate::names::{field_name, nearest, plural, same_name};

/// Derives the surface of a kind: `spec` is what its create, its update and its parts take, `status` is what else its read
/// answers.
///
/// What the descriptor names wrongly is left out here, and is the compiler's to tell.
pub(super) fn surface(api: &Service, group: &str, name: &str, kind: &KindSpec) -> Surface {
    let said = kind.surface.clone().unwrap_or_default();
    let deriver = Deriver { api, kind, without: &said.without };
    let spec = deriver.spec();
    let status = deriver.status(&spec);
    Surface {
        group: group.to_owned(),
        version: "v1alpha1".to_owned(),
        kind: name.to_owned(),
        list_kind: format!("{name}List"),
        plural: said.plural.unwrap_or_else(|| plural(name)),
        singular: name.to_ascii_lowercase(),
        short_names: said.short_names,
        namespaced: true,
        columns: columns(),
        spec,
        status,
        ..Surface::default()
    }
}

impl Compiler<'_> {
    /// What is left out is there to be left out.
    pub(super) fn check_without(&mut self, body: ShapeId) {
        let api = Arc::clone(&self.api);
        let input = |call: &CallSpec| api.operation(&call.op).and_then(|operation| operation.input);
        let spec = self.spec;
        let shapes = [&spec.api.create, &spec.api.update].into_iter().filter_map(input).chain([body]);
        let members: BTreeSet<&str> =
            shapes.flat_map(|shape| api.shape(shape).members()).map(|member| member.name.as_str()).collect();
        for name in spec.surface.iter().flat_map(|surface| &surface.without) {
            if !members.contains(name.as_str()) {
                let hint = nearest(name, members.iter().copied());
                let hint = hint.map(|hint| format!("; did you mean {hint}?")).unwrap_or_default();
                self.fail(&["surface"], format!("neither create, update nor the body has a member {name}{hint}"));
            }
        }
    }
}

struct Deriver<'a> {
    api: &'a Service,
    kind: &'a KindSpec,
    without: &'a [String],
}

/// Which way values go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Wishes: members that a request requires are required.
    In,
    /// Answers: nothing is required, and what the model marks as sensitive is left out.
    Out,
}

impl Deriver<'_> {
    fn spec(&self) -> Schema {
        let mut spec = object([]);
        let api = &self.kind.api;
        for (name, member) in self.fields_of(&api.create, NameSpec::in_create) {
            if member.required {
                spec.required.insert(name.clone());
            }
            self.put(&mut spec, name, member.shape);
        }
        for (name, member) in self.fields_of(&api.update, NameSpec::in_update) {
            self.put(&mut spec, name, member.shape);
        }
        for part in self.kind.parts.values() {
            for field in part_fields(part) {
                if let Some(schema) = self.part_field(part, field) {
                    spec.properties.entry(field.to_owned()).or_insert(schema);
                }
            }
        }
        for field in self.kind.inside.values().flat_map(BTreeMap::keys) {
            spec.properties.entry(field.clone()).or_insert_with(|| scalar(SchemaType::String));
        }
        self.tags(&mut spec);
        self.roles(&mut spec);
        self.references(&mut spec);
        spec
    }

    /// The members of the body's create or update that are spec fields.
    fn fields_of(
        &self,
        call: &CallSpec,
        in_call: fn(&NameSpec) -> Option<&str>,
    ) -> impl Iterator<Item = (String, &Member)> {
        let members = self.input(&call.op).iter();
        members.filter_map(move |member| Some((self.field_of(call, member, in_call)?, member)))
    }

    /// The spec field that a member of the body's create or update is, if it is one.
    fn field_of(&self, call: &CallSpec, member: &Member, in_call: fn(&NameSpec) -> Option<&str>) -> Option<String> {
        let name = &member.name;
        let is_tags = self.kind.tags.as_ref().is_some_and(|tags| tags.at_create.as_ref() == Some(name));
        if member.idempotency_token || is_tags || self.kind.inside.contains_key(name) || self.without.contains(name) {
            return None;
        }
        if let Some(value) = call.inputs.get(name) {
            return spec_field(value.as_str()?);
        }
        if let Some(Names(sources)) = self.kind.identity.handle.get(name) {
            return sources.iter().find_map(|source| spec_field(source));
        }
        let named = self.kind.names.iter().find(|(_, names)| in_call(names) == Some(name));
        Some(named.map_or_else(|| field_name(name), |(field, _)| field.clone()))
    }

    fn put(&self, schema: &mut Schema, name: String, shape: ShapeId) {
        schema.properties.entry(name).or_insert_with(|| self.schema(shape, Way::In, &mut Vec::new()));
    }

    /// The type of a part's field: what the calls that write it take.
    fn part_field(&self, part: &PartSpec, field: &str) -> Option<Schema> {
        let named = self.kind.names.get(field).and_then(|names| names.all.as_deref());
        let wanted = part.member.as_deref().or(named).unwrap_or(field);
        let taken = |call: &CallSpec| self.input(&call.op).iter().find(|member| same_name(&member.name, wanted));
        if let Some(config) = &part.config {
            return Some(self.taken(taken(&config.put)?.shape));
        }
        if let Some(revisions) = &part.revisions {
            return Some(self.taken(taken(&revisions.add)?.shape));
        }
        if part.switch.is_some() {
            return Some(scalar(SchemaType::Boolean));
        }
        self.elements(&part.table.as_ref()?.add, part.key.is_some())
    }

    /// The type of a table's field, by what the call that adds elements takes of them.
    fn elements(&self, add: &CallSpec, has_key: bool) -> Option<Schema> {
        let sources: Vec<(&str, ShapeId)> = self
            .input(&add.op)
            .iter()
            .filter_map(|member| Some((add.inputs.get(&member.name)?.as_str()?, member.shape)))
            .collect();
        let shape_of = |wanted: &str| sources.iter().find(|(source, _)| *source == wanted).map(|(_, shape)| *shape);
        if let Some(all) = shape_of("items") {
            return Some(self.taken(all));
        }
        if let Some(one) = shape_of("item") {
            return Some(list_of(self.taken(one)));
        }
        if let (false, Some(value)) = (has_key, shape_of("item.value")) {
            return Some(Schema { additional: Some(Box::new(self.taken(value))), ..Schema::default() });
        }
        // Members of elements, each given to the call for itself.
        let mut element = object([]);
        for (source, shape) in &sources {
            let schema = if let Some(name) = source.strip_prefix("item.") {
                Some((name, self.taken(*shape)))
            } else {
                let list = |name| Some((name, *self.taken(*shape).items?));
                source.strip_prefix("items.").and_then(list)
            };
            element.properties.extend(schema.map(|(name, schema)| (name.to_owned(), schema)));
        }
        (!element.properties.is_empty()).then(|| list_of(element))
    }

    fn taken(&self, shape: ShapeId) -> Schema {
        self.schema(shape, Way::In, &mut Vec::new())
    }

    /// Tags have the form that the create takes them in, or else the call that adds them.
    fn tags(&self, spec: &mut Schema) {
        let Some(tags) = &self.kind.tags else { return };
        let field = tags.field.as_deref().unwrap_or("tags");
        let at_create = tags.at_create.as_deref().and_then(|path| {
            let input = self.api.operation(&self.kind.api.create.op)?.input?;
            shape_at(self.api, input, &path.parse().ok()?)
        });
        let write = tags.add.as_ref().or(tags.put.as_ref());
        let added = write.and_then(|call| {
            let is_tags = |member: &&Member| {
                matches!(self.api.shape(member.shape).kind, ShapeKind::List { .. } | ShapeKind::Map { .. })
            };
            self.input(&call.op).iter().find(is_tags).map(|member| member.shape)
        });
        // A field inside another came with that one.
        if let (false, Some(shape)) = (field.contains('.'), at_create.or(added)) {
            self.put(spec, field.to_owned(), shape);
        }
    }

    /// Secrets are references to keys of Secrets; what only the create takes cannot change.
    fn roles(&self, spec: &mut Schema) {
        for (name, field) in &self.kind.fields {
            let Some(schema) = spec.properties.get_mut(name) else { continue };
            match field.role.as_deref() {
                Some("secret") => *schema = secret_reference(),
                Some("create-only") => schema.immutable = true,
                _ => {}
            }
        }
    }

    /// A reference beside the field that it fills, which is not required then.
    fn references(&self, spec: &mut Schema) {
        for field in self.kind.refs.keys() {
            let (parent, name) = field.rsplit_once('.').map_or((None, field.as_str()), |(at, name)| (Some(at), name));
            let mut steps = parent.into_iter().flat_map(|parent| parent.split('.'));
            let place = steps.try_fold(&mut *spec, |schema, step| schema.properties.get_mut(step));
            let Some(place) = place else { continue };
            let reference = object([("from", object([text("name"), text("namespace")]))]);
            if let Some(stem) = name.strip_suffix("Ref") {
                place.required.retain(|sibling| {
                    !["", "ID", "ARN", "Name"].iter().any(|end| same_name(sibling, &format!("{stem}{end}")))
                });
                place.properties.insert(name.to_owned(), reference);
            } else if name.ends_with("Refs") {
                place.properties.insert(name.to_owned(), list_of(reference));
            }
        }
    }

    fn status(&self, spec: &Schema) -> Schema {
        let mut status = object([
            (
                "ackResourceMetadata",
                Schema {
                    required: ["ownerAccountID", "region"].map(str::to_owned).into(),
                    ..object([text("arn"), text("ownerAccountID"), text("partition"), text("region")])
                },
            ),
            ("conditions", list_of(condition())),
        ]);
        let mut put = |name: String, shape: ShapeId| {
            if let Some(schema) = self.answered(shape, &mut Vec::new()) {
                status.properties.entry(name).or_insert(schema);
            }
        };
        for (call, out) in self.outs() {
            for (to, from) in out {
                let answer = self.api.operation(&call.op).and_then(|operation| operation.output);
                if let (Some(name), Some(shape)) = (to.strip_prefix("status."), self.shape_of(answer, from)) {
                    put(name.to_owned(), shape);
                }
            }
        }
        let body = self.body();
        for (name, from) in &self.kind.status {
            if let Some(shape) = self.shape_of(body, from) {
                put(name.clone(), shape);
            }
        }
        let known = self.read_elsewhere();
        for member in body.map(|body| self.api.shape(body).members()).unwrap_or_default() {
            let is_spec = spec.properties.keys().any(|field| same_name(field, &member.name));
            if !is_spec && !known.contains(member.name.as_str()) && !self.without.contains(&member.name) {
                put(field_name(&member.name), member.shape);
            }
        }
        status
    }

    /// The answers of the body's calls that fill status fields.
    fn outs(&self) -> impl Iterator<Item = (&CallSpec, &BTreeMap<String, String>)> {
        let api = &self.kind.api;
        let parts = self.kind.parts.values().filter_map(|part| part.config.as_ref()).map(|config| &config.put);
        let lookup = self.kind.identity.lookup.as_ref();
        [&api.create, &api.update].into_iter().chain(lookup).chain(parts).map(|call| (call, &call.out))
    }

    /// Members of the body that are not for the status: they are the ARN, the attributes, tags, or a field.
    fn read_elsewhere(&self) -> BTreeSet<&str> {
        let kind = self.kind;
        let arn = match &kind.identity.arn {
            Some(ArnSpec::Path(path)) => Some(path.as_str()),
            _ => None,
        };
        let seen = kind.fields.values().filter_map(|field| field.seen.as_deref());
        let parts = kind.parts.values().flat_map(|part| [part.seen.as_deref(), part.member.as_deref()]).flatten();
        let tags = kind.tags.as_ref().and_then(|tags| tags.seen.as_deref());
        let names = kind.names.values().filter_map(|names| names.all.as_deref());
        let status = kind.status.values().map(String::as_str);
        let maps = kind.inside.keys().map(String::as_str);
        let all = arn.into_iter().chain(seen).chain(parts).chain(tags).chain(names).chain(status).chain(maps);
        all.map(|path| path.split(['.', '[']).next().unwrap_or(path)).collect()
    }

    fn body(&self) -> Option<ShapeId> {
        let read = &self.kind.api.read;
        self.shape_of(self.api.operation(&read.op)?.output, read.at.as_deref().unwrap_or_default())
    }

    fn shape_of(&self, answer: Option<ShapeId>, path: &str) -> Option<ShapeId> {
        let path = if path.is_empty() { FieldPath::root() } else { path.parse().ok()? };
        shape_at(self.api, answer?, &path)
    }

    fn input(&self, operation: &str) -> &[Member] {
        let input = self.api.operation(operation).and_then(|operation| operation.input);
        input.map(|input| self.api.shape(input).members()).unwrap_or_default()
    }

    /// The schema of an answer's shape, unless its values must not be shown.
    fn answered(&self, shape: ShapeId, above: &mut Vec<ShapeId>) -> Option<Schema> {
        (!self.api.shape(shape).sensitive).then(|| self.schema(shape, Way::Out, above))
    }

    /// The schema of a shape. `above` are the shapes that it is in: one that is in itself is not described further.
    fn schema(&self, id: ShapeId, way: Way, above: &mut Vec<ShapeId>) -> Schema {
        if above.contains(&id) {
            return Schema { preserve_unknown: true, ..Schema::default() };
        }
        above.push(id);
        let with_format = |schema_type, format: &str| Schema { format: Some(format.to_owned()), ..scalar(schema_type) };
        let schema = match &self.api.shape(id).kind {
            ShapeKind::Boolean => scalar(SchemaType::Boolean),
            ShapeKind::Integer | ShapeKind::Long => with_format(SchemaType::Integer, "int64"),
            ShapeKind::Float | ShapeKind::Double => scalar(SchemaType::Number),
            // Values of enums are left open, as ACK leaves them: a provider's new one needs no new facts.
            ShapeKind::String { .. } => scalar(SchemaType::String),
            ShapeKind::Blob { .. } => with_format(SchemaType::String, "byte"),
            ShapeKind::Timestamp { .. } => with_format(SchemaType::String, "date-time"),
            ShapeKind::Document => Schema { preserve_unknown: true, ..Schema::default() },
            ShapeKind::List { member, .. } => list_of(self.schema(member.shape, way, above)),
            ShapeKind::Map { value, .. } => {
                Schema { additional: Some(Box::new(self.schema(value.shape, way, above))), ..Schema::default() }
            }
            ShapeKind::Structure { members, .. } => self.structure(members, way, above),
        };
        above.pop();
        schema
    }

    fn structure(&self, members: &[Member], way: Way, above: &mut Vec<ShapeId>) -> Schema {
        let mut schema = object([]);
        for member in members {
            let nested = match way {
                Way::In => Some(self.schema(member.shape, way, above)),
                Way::Out => self.answered(member.shape, above),
            };
            let Some(nested) = nested else { continue };
            let name = field_name(&member.name);
            if way == Way::In && member.required {
                schema.required.insert(name.clone());
            }
            schema.properties.insert(name, nested);
        }
        schema
    }
}

/// The field that a source is, if it is one of the spec's own.
fn spec_field(source: &str) -> Option<String> {
    source.strip_prefix("spec.").filter(|field| !field.contains('.')).map(str::to_owned)
}

fn scalar(schema_type: SchemaType) -> Schema {
    Schema { schema_type, ..Schema::default() }
}

fn list_of(items: Schema) -> Schema {
    Schema { schema_type: SchemaType::Array, items: Some(Box::new(items)), ..Schema::default() }
}

fn object<const N: usize>(properties: [(&str, Schema); N]) -> Schema {
    let properties = properties.map(|(name, schema)| (name.to_owned(), schema));
    Schema { properties: properties.into(), ..Schema::default() }
}

fn text(name: &str) -> (&str, Schema) {
    (name, scalar(SchemaType::String))
}

/// A reference to a key of a Secret.
fn secret_reference() -> Schema {
    Schema {
        required: ["key".to_owned()].into(),
        atomic: true,
        ..object([text("key"), text("name"), text("namespace")])
    }
}

fn condition() -> Schema {
    let time = Schema { format: Some("date-time".to_owned()), ..scalar(SchemaType::String) };
    Schema {
        required: ["status", "type"].map(str::to_owned).into(),
        ..object([("lastTransitionTime", time), text("message"), text("reason"), text("status"), text("type")])
    }
}

/// What `kubectl get` shows of any kind.
fn columns() -> Vec<Column> {
    let column = |name: &str, column_type: &str, json_path: &str| Column {
        name: name.to_owned(),
        json_path: json_path.to_owned(),
        column_type: column_type.to_owned(),
        priority: 0,
    };
    vec![
        column("Synced", "string", ".status.conditions[?(@.type==\"ACK.ResourceSynced\")].status"),
        column("Age", "date", ".metadata.creationTimestamp"),
    ]
}
