//! The list of all resources of a kind.

use std::sync::Arc;

use cso_core::FieldPath;
use cso_core::path::Segment;
use cso_facts::api::{ShapeId, ShapeKind};

use super::lookup::{is_value, shape_at};
use super::{Compiler, Extra};
use crate::descriptor::{CallSpec, GivesSpec, ListSpec};
use crate::kind::{Arn, BodyRead, Identity, Listing, Target};

const AT: [&str; 2] = ["api", "list"];

impl Compiler<'_> {
    pub(super) fn listing(
        &mut self,
        spec: &ListSpec,
        identity: &Identity,
        read: &BodyRead,
        body: ShapeId,
    ) -> Option<Listing> {
        let call = CallSpec { op: spec.op.clone(), inputs: spec.inputs.clone(), ..CallSpec::default() };
        let mut call = self.call(&AT, &call, Extra::None)?;
        // A list asks for all: names and handles that other calls take narrow it down to one.
        call.inputs.retain(|(member, _)| spec.inputs.contains_key(member));
        self.check_list_inputs(spec);
        let api = Arc::clone(&self.api);
        let answer = api.operation(&spec.op).and_then(|operation| operation.output);
        let elements = self.answer_path(&AT, &spec.elements, answer);
        let list = answer.and_then(|answer| shape_at(&api, answer, &elements))?;
        let ShapeKind::List { member, .. } = &api.shape(list).kind else {
            self.fail(&AT, format!("{} of {} is not a list", spec.elements, spec.op));
            return None;
        };
        let element = member.shape;
        let gives: Vec<(Target, FieldPath)> = match &spec.gives {
            GivesSpec::Whole(to) => self.target(to).map(|to| (to, FieldPath::root())).into_iter().collect(),
            GivesSpec::Members(members) => members
                .iter()
                .filter_map(|(to, from)| Some((self.target(to)?, self.answer_path(&AT, from, Some(element)))))
                .collect(),
        };
        self.check_names_one(identity, &gives);
        let unless = spec
            .unless
            .iter()
            .map(|(member, values)| (self.sifted(member, &values.0, [element, body]), values.0.clone()))
            .collect();
        let gives_body = call.operation == read.call.operation && elements.with(Segment::Each) == read.at;
        Some(Listing { call, elements, gives, unless, gives_body })
    }

    fn target(&mut self, text: &str) -> Option<Target> {
        if text.starts_with("spec.") {
            self.rooted(&AT, text, "spec").map(Target::Spec)
        } else {
            self.rooted(&AT, text, "status").map(Target::Status)
        }
    }

    /// A list that must be told a parent lists that parent's, not all.
    fn check_list_inputs(&mut self, spec: &ListSpec) {
        let api = Arc::clone(&self.api);
        let input = api.operation(&spec.op).and_then(|operation| operation.input);
        for member in input.map(|input| api.shape(input).members()).unwrap_or_default() {
            if member.required && !spec.inputs.contains_key(&member.name) {
                self.fail(&AT, format!("{} requires {}: say it with `in`, or leave `list` out", spec.op, member.name));
            }
        }
    }

    /// An element tells enough to read its resource, and to write down its name.
    fn check_names_one(&mut self, identity: &Identity, gives: &[(Target, FieldPath)]) {
        let given = |target: Target| gives.iter().any(|(to, _)| *to == target);
        let arn: FieldPath = FieldPath::root().child("ackResourceMetadata").child("arn");
        let named = !identity.name.is_empty() && identity.name.iter().all(|path| given(Target::Spec(path.clone())));
        let looked_up = identity
            .lookup
            .as_ref()
            .is_some_and(|lookup| lookup.out.iter().all(|(to, _)| given(Target::Status(to.clone()))));
        let assigned = identity.assigned.as_ref().is_some_and(|path| given(Target::Status(path.clone())));
        let by_arn = given(Target::Status(arn)) || looked_up;
        if !named && !assigned && (!by_arn || matches!(identity.arn, Arn::None)) {
            self.fail(&AT, "`gives` does not tell which resource an element is: give its name, its ARN or its handle");
        }
    }

    /// A member of the element or else of the body, and values that it may have; `*` at the end stands for anything.
    fn sifted(&mut self, member: &str, values: &[String], shapes: [ShapeId; 2]) -> FieldPath {
        let api = Arc::clone(&self.api);
        let path = self.path(&AT, member);
        let Some(shape) = shapes.into_iter().find_map(|shape| shape_at(&api, shape, &path)) else {
            self.fail(&AT, format!("neither an element nor the body has {member}"));
            return path;
        };
        for value in values.iter().filter(|value| !value.ends_with('*') && !is_value(&api, shape, value)) {
            self.fail(&AT, format!("{member} has no value {value}"));
        }
        path
    }
}
