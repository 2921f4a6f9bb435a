//! Tags: where they are read, and the calls that write them.

use std::sync::Arc;

use cso_core::FieldPath;
use cso_facts::api::{Member, Service, ShapeId, ShapeKind};

use super::lookup::{schema_at, shape_at};
use super::{Compiler, Extra};
use crate::descriptor::{CallSpec, TagsSpec};
use crate::kind::{CallTemplate, Source, TagRead, TagWrite, Tags};

impl Compiler<'_> {
    pub(super) fn tags(&mut self, spec: &TagsSpec, body: ShapeId) -> Option<Tags> {
        let at = ["tags"];
        let surface = Arc::clone(&self.surface);
        let field = self.path(&at, spec.field.as_deref().unwrap_or("tags"));
        let Some(schema) = schema_at(&surface.spec, &field) else {
            self.fail(&at, format!("the kind has no field spec.{field}"));
            return None;
        };
        let api = Arc::clone(&self.api);
        let (read, tag_shape) = match (&spec.read, &spec.seen) {
            (Some(call), None) => self.tag_read(call)?,
            (None, Some(seen)) => {
                let Some(member) = api.shape(body).member(seen) else {
                    self.fail(&at, format!("the body has no member {seen}"));
                    return None;
                };
                (TagRead::Body(self.path(&at, seen)), member.shape)
            }
            _ => {
                self.fail(&at, "say either `read` (a call) or `seen` (a member of the body)");
                return None;
            }
        };
        let api_names = match &api.shape(tag_shape).kind {
            ShapeKind::List { member, .. } => {
                let members = api.shape(member.shape).members();
                Some((members.first()?.name.clone(), members.get(1)?.name.clone()))
            }
            _ => None,
        };
        let surface_names = match &schema.items {
            Some(items) => {
                let mut names: Vec<&String> = items.properties.keys().collect();
                names.sort_by_key(|name| !name.to_lowercase().ends_with("key"));
                Some(((*names.first()?).clone(), (*names.get(1)?).clone()))
            }
            None => None,
        };
        let write = match (&spec.add, &spec.remove, &spec.put) {
            (Some(add), Some(remove), None) => TagWrite::Each {
                add: self.tag_call(add, Source::Tags)?,
                remove: self.tag_call(remove, Source::TagKeys)?,
            },
            (None, None, Some(put)) => TagWrite::Whole(self.tag_call(put, Source::Tags)?),
            _ => {
                self.fail(&at, "say either `add` and `remove`, or `put` (a call that replaces all tags)");
                return None;
            }
        };
        Some(Tags { field, read, write, at_create: spec.at_create.is_some(), surface_names, api_names })
    }

    fn tag_read(&mut self, call: &CallSpec) -> Option<(TagRead, ShapeId)> {
        let at = ["tags"];
        self.check_none(&at, call);
        let template = self.call(&at, call, Extra::None)?;
        let api = Arc::clone(&self.api);
        let output = self.operation(&at, &call.op)?.output?;
        let Some(member) = api.shape(output).members().iter().find(|member| is_tags(&api, member.shape)) else {
            self.fail(&at, format!("{} does not answer with tags", call.op));
            return None;
        };
        let path = FieldPath::root().child(&member.name);
        Some((TagRead::Own { call: template, at: path, none: call.none.clone() }, member.shape))
    }

    /// The create call takes tags where it is said to.
    pub(super) fn at_create(&mut self) -> Option<FieldPath> {
        let at = ["tags"];
        let create = &self.spec.api.create.op;
        let path = self.path(&at, self.spec.tags.as_ref()?.at_create.as_ref()?);
        let input = self.api.operation(create).and_then(|operation| operation.input);
        if input.and_then(|input| shape_at(&self.api, input, &path)).is_none() {
            self.fail(&at, format!("{create} takes no member {path}"));
        }
        Some(path)
    }

    /// Fills the one place of a tag call that takes tags, or keys of tags: a member, or the one thing inside a member.
    fn tag_call(&mut self, spec: &CallSpec, source: Source) -> Option<CallTemplate> {
        let at = ["tags"];
        let mut call = self.call(&at, spec, Extra::None)?;
        let api = Arc::clone(&self.api);
        let input = self.operation(&at, &spec.op)?.input?;
        let takes = |shape: ShapeId| matches!(api.shape(shape).kind, ShapeKind::List { .. } | ShapeKind::Map { .. });
        let open = |member: &&Member| !call.inputs.iter().any(|(name, _)| *name == member.name);
        let members = api.shape(input).members().iter().filter(open);
        let places = members.filter_map(|member| match api.shape(member.shape).members() {
            _ if takes(member.shape) => Some((member, None)),
            [only] if takes(only.shape) => Some((member, Some(only))),
            _ => None,
        });
        let places: Vec<_> = places.collect();
        match places.first() {
            Some((member, None)) => call.inputs.push((member.name.clone(), source)),
            Some((member, Some(inner))) => {
                call.nested.push((FieldPath::root().child(&member.name).child(&inner.name), source));
            }
            None => {
                self.fail(&at, format!("{} takes no list or map of tags", spec.op));
                return None;
            }
        }
        Some(call)
    }
}

/// Whether a shape is a map of strings, or a list of structures with exactly a key and a value.
fn is_tags(api: &Service, id: ShapeId) -> bool {
    match &api.shape(id).kind {
        ShapeKind::Map { .. } => true,
        ShapeKind::List { member, .. } => {
            let members = api.shape(member.shape).members();
            members.len() == 2 && members.iter().any(|member| member.name.ends_with("Key"))
        }
        _ => false,
    }
}
