//! How values are spelt: prefixes, lenses, words of answers; and what of them counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use cso_core::FieldPath;
use cso_core::path::Segment;
use cso_facts::api::ShapeId;
use cso_facts::surface::{Schema, SchemaType};
use serde_json::Value;

use super::Compiler;
use super::fields::has_type;
use super::lookup::{is_value, shape_at};
use crate::descriptor::FieldSpec;
use crate::lens::{Answered, Lens};

impl Compiler<'_> {
    /// The one lens of a field. `answer` is the shape in which the field is read.
    pub(super) fn lens(&mut self, at: &[&str], spec: &FieldSpec, schema: &Schema, answer: Option<ShapeId>) -> Lens {
        let said = [spec.prefix.is_some(), spec.lens.is_some(), !spec.words.is_empty(), !spec.members.is_empty()];
        if said.iter().filter(|said| **said).count() > 1 {
            self.fail(at, "a field has one of `prefix`, `lens`, `enum` and `members`");
        }
        if let Some(prefix) = &spec.prefix {
            return Lens::Prefix(prefix.clone());
        }
        if let Some(name) = &spec.lens {
            return Lens::by_name(name).unwrap_or_else(|| {
                self.fail(at, format!("`{name}` is not a lens: url-encoded"));
                Lens::Same
            });
        }
        if !spec.words.is_empty() {
            self.check_words(at, &spec.words, schema, answer);
            return Lens::Words(spec.words.clone());
        }
        if spec.members.is_empty() { Lens::Same } else { Lens::Members(self.answered(at, spec, schema, answer)) }
    }

    /// How answers have the members of a structure, or of each element of a list.
    fn answered(
        &mut self,
        at: &[&str],
        spec: &FieldSpec,
        schema: &Schema,
        answer: Option<ShapeId>,
    ) -> BTreeMap<String, Answered> {
        let api = Arc::clone(&self.api);
        let each = FieldPath::root().with(Segment::Each);
        let answer = answer.map(|answer| shape_at(&api, answer, &each).unwrap_or(answer));
        let mut members = BTreeMap::new();
        for (name, rule) in &spec.members {
            let Some(schema) = schema.element().properties.get(name) else {
                self.fail(at, format!("the field has no member {name}"));
                continue;
            };
            let seen = rule.seen.as_deref();
            let path = seen.map(|seen| self.answer_path(at, seen, answer));
            let found = path.as_ref().and_then(|path| shape_at(&api, answer?, path));
            self.check_words(at, &rule.words, schema, found);
            members.insert(name.clone(), Answered { at: path, words: rule.words.clone() });
        }
        members
    }

    /// Words are those of the API, and stand for values that the field may have.
    fn check_words(&mut self, at: &[&str], words: &BTreeMap<String, Value>, schema: &Schema, answer: Option<ShapeId>) {
        for (word, value) in words {
            if answer.is_some_and(|answer| !is_value(&Arc::clone(&self.api), answer, word)) {
                self.fail(at, format!("answers never have {word} there"));
            }
            if !has_type(value, schema) {
                self.fail(at, format!("{word} stands for {value}, which the published field cannot have"));
            }
        }
    }

    /// The truth member that says whether a setting is on.
    pub(super) fn off(&mut self, at: &[&str], spec: &FieldSpec, schema: &Schema) -> Option<String> {
        if spec.restart && spec.off.is_none() {
            self.fail(at, "only what can be switched `off` can `restart`");
        }
        let member = spec.off.clone()?;
        if schema.properties.get(&member).is_none_or(|member| member.schema_type != SchemaType::Boolean) {
            self.fail(at, format!("`off`: the field has no truth value {member}"));
        }
        if spec.clear.is_some() {
            self.fail(at, "what can be switched `off` needs no `clear`");
        }
        Some(member)
    }

    /// The member by which elements of a shared list are told apart.
    pub(super) fn shared(&mut self, at: &[&str], spec: &FieldSpec, schema: &Schema) -> Option<String> {
        let key = spec.shared.clone()?;
        if schema.items.as_ref().is_none_or(|items| !items.properties.contains_key(&key)) {
            self.fail(at, format!("`shared`: elements have no member {key}"));
        }
        if spec.role.as_deref() != Some("create-only") {
            self.fail(at, "only a `create-only` list is `shared` with other fields");
        }
        Some(key)
    }
}
