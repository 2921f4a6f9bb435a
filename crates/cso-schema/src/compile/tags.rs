//! Tags: where they are read, and the calls that add and remove them.

use std::sync::Arc;

use cso_core::FieldPath;
use cso_facts::api::{Service, ShapeId, ShapeKind};

use super::{Compiler, Extra};
use crate::descriptor::{CallSpec, TagsSpec};
use crate::kind::{CallTemplate, Source, TagRead, Tags};

impl Compiler<'_> {
    pub(super) fn tags(&mut self, spec: &TagsSpec, body: ShapeId) -> Option<Tags> {
        let at = ["tags"];
        let surface = Arc::clone(&self.surface);
        let Some(schema) = surface.spec.properties.get("tags") else {
            self.fail(&at, "the published kind has no field spec.tags");
            return None;
        };
        let api = Arc::clone(&self.api);
        let (read, tag_shape) = match (&spec.read, &spec.seen) {
            (Some(call), None) => {
                let template = self.call(&at, call, Extra::None)?;
                let output = self.operation(&at, &call.op)?.output?;
                let member = api.shape(output).members().iter().find(|member| is_tags(&api, member.shape));
                let Some(member) = member else {
                    self.fail(&at, format!("{} does not answer with tags", call.op));
                    return None;
                };
                (TagRead::Own { call: template, at: FieldPath::root().child(&member.name) }, member.shape)
            }
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
        Some(Tags {
            field: "tags".to_owned(),
            read,
            add: self.tag_call(&spec.add, false)?,
            remove: self.tag_call(&spec.remove, true)?,
            at_create: spec.at_create.is_some(),
            surface_names,
            api_names,
        })
    }

    /// The create call takes tags in the member that is named for them.
    pub(super) fn check_at_create(&mut self) {
        let create = &self.spec.api.create.op;
        let Some(member) = self.spec.tags.as_ref().and_then(|tags| tags.at_create.as_ref()) else { return };
        let input = self.api.operation(create).and_then(|operation| operation.input);
        if input.and_then(|input| self.api.shape(input).member(member)).is_none() {
            self.fail(&["tags"], format!("{create} takes no member {member}"));
        }
    }

    /// Fills the one member of a tag call that takes tags, or keys of tags.
    fn tag_call(&mut self, spec: &CallSpec, keys: bool) -> Option<CallTemplate> {
        let at = ["tags"];
        let mut call = self.call(&at, spec, Extra::None)?;
        let api = Arc::clone(&self.api);
        let input = self.operation(&at, &spec.op)?.input?;
        let open = api.shape(input).members().iter().find(|member| {
            !call.inputs.iter().any(|(name, _)| *name == member.name)
                && matches!(api.shape(member.shape).kind, ShapeKind::List { .. } | ShapeKind::Map { .. })
        });
        let Some(member) = open else {
            self.fail(&at, format!("{} takes no list or map of tags", spec.op));
            return None;
        };
        call.inputs.push((member.name.clone(), if keys { Source::TagKeys } else { Source::Tags }));
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
