//! Who a resource is, and how a create is found again.

use std::sync::Arc;
use std::time::Duration;

use cso_core::FieldPath;
use cso_core::path::Segment;
use cso_facts::api::ShapeId;

use super::lookup::{schema_at, shape_at};
use super::{Compiler, Extra};
use crate::descriptor::{ArnPattern, ArnSpec, CallSpec, Names};
use crate::kind::{Arn, CallTemplate, Context, Finder, Identity, Lookup, Pattern, PatternPart, Recovery, Source};
use crate::names::{nearest, same_name};

impl Compiler<'_> {
    pub(super) fn identity(&mut self) -> Option<Identity> {
        let spec = &self.spec.identity;
        let name = self.spec_fields(&["identity", "name"], spec.name.as_ref());
        let within = self.spec_fields(&["identity", "within"], spec.within.as_ref());
        let assigned = match &spec.assigned {
            Some(path) => Some(self.rooted(&["identity", "assigned"], path, "status")?),
            None => None,
        };
        if name.is_empty() == assigned.is_none() {
            self.fail(&["identity"], "say either `name` (chosen by the user) or `assigned` (given by the provider)");
            return None;
        }
        let lookup = match &spec.lookup {
            Some(call) => Some(Lookup {
                call: self.call(&["identity", "lookup"], call, Extra::None)?,
                out: {
                    let answer = self.api.operation(&call.op).and_then(|operation| operation.output);
                    self.outs(&["identity", "lookup"], &call.out, answer)
                },
            }),
            None => None,
        };
        let arn = match &spec.arn {
            None => Arn::None,
            Some(ArnSpec::Path(path)) => Arn::Read(self.path(&["identity", "arn"], path)),
            Some(ArnSpec::Pattern(spec)) => Arn::Pattern(self.arn_pattern(spec)?),
        };
        Some(Identity { name, assigned, within, lookup, arn })
    }

    fn spec_fields(&mut self, at: &[&str], names: Option<&Names>) -> Vec<FieldPath> {
        names.iter().flat_map(|names| &names.0).filter_map(|name| self.rooted(at, name, "spec")).collect()
    }

    /// The body has the ARN where it is said to be.
    pub(super) fn check_arn(&mut self, arn: &Arn, body: ShapeId) {
        if let Arn::Read(path) = arn {
            self.answer_path(&["identity", "arn"], &path.to_string(), Some(body));
        }
    }

    /// Every handle is a member that some call takes.
    pub(super) fn check_handles(&mut self) {
        for member in self.spec.identity.handle.keys().filter(|member| !self.handles.contains(*member)) {
            self.found.push((
                vec!["identity".to_owned(), "handle".to_owned()],
                format!("no call of {} takes a member {member}", self.name),
            ));
        }
    }

    /// A path that starts with `root` and exists on the surface; returned below the root.
    pub(super) fn rooted(&mut self, at: &[&str], text: &str, root: &str) -> Option<FieldPath> {
        let path = self.path(at, text);
        let surface = Arc::clone(&self.surface);
        let schema = if root == "spec" { &surface.spec } else { &surface.status };
        match path.split_first() {
            Some((first, rest)) if first == root => {
                if schema_at(schema, &rest).is_none() {
                    let hint = nearest(&rest.to_string(), schema.properties.keys().map(String::as_str));
                    let hint = hint.map(|hint| format!("; did you mean {root}.{hint}?")).unwrap_or_default();
                    self.fail(at, format!("{} has no field {text}{hint}", self.name));
                    return None;
                }
                Some(rest)
            }
            _ => {
                self.fail(at, format!("`{text}` must start with `{root}.`"));
                None
            }
        }
    }

    fn arn_pattern(&mut self, spec: &ArnPattern) -> Option<Pattern> {
        let at = ["identity", "arn"];
        if !spec.pattern.starts_with("arn:") {
            self.fail(&at, "the pattern of an ARN starts with `arn:`");
        }
        let pattern = self.pattern(&at, &spec.pattern)?;
        let is_text = |part: &PatternPart| matches!(part, PatternPart::Text(_));
        if !spec.one_way && pattern.0.windows(2).any(|pair| !pair.iter().any(is_text)) {
            self.fail(&at, "two holes of a pattern need text between them, or it cannot be read back: say `one-way`");
        }
        Some(pattern)
    }

    /// A text with holes.
    pub(super) fn pattern(&mut self, at: &[&str], text: &str) -> Option<Pattern> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            if open > 0 {
                parts.push(PatternPart::Text(rest[..open].to_owned()));
            }
            let Some(close) = rest.find('}') else {
                self.fail(at, "a pattern has `{` without `}`");
                return None;
            };
            parts.push(match &rest[open + 1..close] {
                "account" => PatternPart::Context(Context::Account),
                "region" => PatternPart::Context(Context::Region),
                "partition" => PatternPart::Context(Context::Partition),
                hole => {
                    let (spec, default) = match hole.split_once(" or ") {
                        Some((spec, default)) => (spec, Some(default.to_owned())),
                        None => (hole, None),
                    };
                    PatternPart::Spec { path: self.rooted(at, spec, "spec")?, default }
                }
            });
            rest = &rest[close + 1..];
        }
        if !rest.is_empty() {
            parts.push(PatternPart::Text(rest.to_owned()));
        }
        Some(Pattern(parts))
    }

    pub(super) fn recovery(&mut self, identity: &Identity, create: &CallTemplate) -> Option<Recovery> {
        let Some(spec) = &self.spec.recover else {
            if !identity.name.is_empty() {
                return Some(Recovery::Name);
            }
            if create.token.is_some() {
                return Some(Recovery::Token);
            }
            self.fail(
                &["identity"],
                "the create can be neither repeated by name nor by token: say how it is found again with `recover`",
            );
            return None;
        };
        if let Some(finder) = &spec.natural {
            let at = ["recover", "natural"];
            let call = CallSpec { op: finder.op.clone(), inputs: finder.inputs.clone(), ..CallSpec::default() };
            let mut call = self.call(&at, &call, Extra::None)?;
            // Members of the finder that are spec fields, such as the parent.
            let api = Arc::clone(&self.api);
            for member in api.operation(&finder.op)?.input.map(|id| api.shape(id).members()).unwrap_or_default() {
                if member.required && !call.inputs.iter().any(|(name, _)| *name == member.name) {
                    call.inputs.push((
                        member.name.clone(),
                        Source::Spec(FieldPath::root().child(&self.spec_field_like(&member.name)?)),
                    ));
                }
            }
            let answer = api.operation(&finder.op).and_then(|operation| operation.output);
            let elements = self.answer_path(&at, &finder.elements, answer);
            let element = answer.and_then(|answer| shape_at(&api, answer, &elements.with(Segment::Each)));
            let pick = self.picks(&at, &finder.pick, element, Extra::Token);
            return Some(Recovery::Natural(Finder { call, elements, pick, out: self.outs(&at, &finder.out, element) }));
        }
        let window = self.duration(&["recover", "window"], spec.window.as_deref()).unwrap_or(Duration::from_secs(300));
        if let Some(resource_type) = &spec.owner_tag {
            Some(Recovery::OwnerTag { resource_type: resource_type.clone(), window })
        } else {
            self.fail(&["recover"], "say `natural` or `owner-tag`");
            None
        }
    }

    /// The spec field spelt like an API member.
    fn spec_field_like(&mut self, member: &str) -> Option<String> {
        let map = self.spec.fields.keys().find(|field| same_name(field, member)).cloned();
        if map.is_none() {
            self.fail(&["recover"], format!("nothing fills the required member {member}"));
        }
        map
    }
}
