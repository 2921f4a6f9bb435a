//! What a kind tells others: its status and its exports.

use std::collections::BTreeMap;
use std::sync::Arc;

use cso_facts::api::ShapeId;

use super::lookup::{member_like, member_place, place};
use super::{Compiler, Extra};
use crate::kind::{BodyRead, Place, Source, StatusField};

impl Compiler<'_> {
    pub(super) fn status(&mut self, read: &BodyRead, body: ShapeId) -> Vec<StatusField> {
        let api = Arc::clone(&self.api);
        let surface = Arc::clone(&self.surface);
        for (name, member) in &self.spec.status {
            if !surface.status.properties.contains_key(name) {
                self.fail(&["status", name], format!("the kind has no field status.{name}"));
            }
            self.answer_path(&["status", name], member, Some(body));
        }
        surface
            .status
            .properties
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "conditions" | "ackResourceMetadata"))
            .filter_map(|(name, schema)| {
                let read = if let Some(said) = self.spec.status.get(name) {
                    place(said, read.attributes.as_deref())
                } else if let Some(member) = member_like(api.shape(body), name) {
                    member_place(&member.name)
                } else {
                    Place::Attribute { map: read.attributes.clone()?, key: name.clone() }
                };
                Some(StatusField { name: name.clone(), schema: schema.clone(), read })
            })
            .collect()
    }

    pub(super) fn exports(&mut self) -> BTreeMap<String, Source> {
        let specs: Vec<(&String, &String)> = self.spec.exports.iter().collect();
        specs
            .into_iter()
            .filter_map(|(name, from)| {
                let secret = from.strip_prefix("spec.").is_some_and(|field| {
                    self.spec.fields.get(field).is_some_and(|field| field.role.as_deref() == Some("secret"))
                });
                if secret {
                    self.fail(&["exports", name], "a secret cannot be exported");
                }
                Some((name.clone(), self.source(&["exports", name], from, Extra::None)?))
            })
            .collect()
    }
}
