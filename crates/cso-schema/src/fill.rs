//! From a call template and what is known of an object to the call itself.

use std::collections::{BTreeMap, BTreeSet};

use cso_core::{Call, FieldPath, Hole, Tree};
use cso_facts::api::{ShapeId, ShapeKind};
use serde_json::{Map, Value};

use crate::convert::{as_text, shape_at, tag_tree, to_api};
use crate::kind::{Arn, CallTemplate, Context, Field, Kind, Pattern, PatternPart, Place, Role, Source};

/// Where calls for an object go, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    pub account: String,
    pub region: String,
    pub partition: String,
}

/// What is known of an object when a call is filled.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub kind: &'a Kind,
    /// The wish, references resolved or as holes.
    pub spec: &'a Tree,
    /// What the provider chose for fields that the wish leaves open. Calls go by it where it says in which place the
    /// resource is: one that shows it in the spec makes the same calls.
    pub chosen: &'a Map<String, Value>,
    /// Identifiers and observed values, below `status`.
    pub status: &'a Tree,
    pub surroundings: &'a Surroundings,
    /// Values of options, from annotations.
    pub options: &'a BTreeMap<String, Value>,
    /// Identifiers that are missing come from this step of the plan.
    pub made_by: Option<usize>,
    /// Token of the create whose outcome is not known.
    pub token: Option<&'a str>,
}

/// What a particular call carries beyond its template.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load<'a> {
    /// Fields to send; all that are set if `None`.
    pub fields: Option<&'a BTreeSet<String>>,
    /// Fields that were taken out, and the value that clears them.
    pub cleared: Option<&'a BTreeMap<String, Tree>>,
    /// Elements that a table adds, changes or removes; the first alone for a call that is for one.
    pub items: &'a [Tree],
    /// Tags to set.
    pub tags: Option<&'a BTreeMap<String, Tree>>,
    /// Keys of tags to remove.
    pub tag_keys: &'a [String],
}

/// A required member of a call that nothing fills yet, for example because the resource has no handle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation} needs {member}, which is not known")]
pub struct Unfilled {
    pub operation: String,
    pub member: String,
}

impl Subject<'_> {
    /// The value of a source, if it is known.
    pub fn source(&self, source: &Source) -> Option<Tree> {
        match source {
            Source::Const(value) => Some(Tree::from(value)),
            Source::Spec(path) => self.spec_value(path),
            Source::Status(path) => self.status.at(path).cloned().or_else(|| self.later(&format!("status.{path}"))),
            Source::Token => self.token.map(Tree::text),
            Source::Arn => self.arn().or_else(|| self.later("status.ackResourceMetadata.arn")),
            Source::Context(context) => Some(Tree::text(self.context(*context))),
            Source::Option(name) => self.options.get(name).cloned().map(Tree::from),
            Source::Pattern(pattern) => self.pattern(pattern),
            Source::FirstKnown(sources) => {
                let all: Vec<Tree> = sources.iter().filter_map(|source| self.source(source)).collect();
                let known = all.iter().find(|value| value.holes().is_empty()).cloned();
                known.or_else(|| all.into_iter().next())
            }
            Source::List(sources) => {
                sources.iter().map(|source| self.source(source)).collect::<Option<_>>().map(Tree::List)
            }
            Source::Structure(members) => members
                .iter()
                .map(|(name, source)| Some((name.clone(), self.source(source)?)))
                .collect::<Option<_>>()
                .map(Tree::Object),
            Source::Unless(source, value) => self.source(source).filter(|known| *known != Tree::from(value)),
            Source::ChangeKey
            | Source::ChangeValue
            | Source::Items(_)
            | Source::Item(_)
            | Source::Tags
            | Source::TagKeys => None,
        }
    }

    fn later(&self, path: &str) -> Option<Tree> {
        self.made_by.map(|step| Tree::Hole(Hole::Step { step, path: path.to_owned() }))
    }

    /// A value of the wish, in the provider's spelling.
    fn spec_value(&self, path: &FieldPath) -> Option<Tree> {
        let chosen = || {
            let field = path.split_first().filter(|_| self.kind.identity.within.contains(path))?.0;
            self.chosen.get(field).map(Tree::from)
        };
        let value = self.spec.at(path).cloned().or_else(chosen)?;
        let lens = path.split_first().and_then(|(first, rest)| rest.is_root().then(|| self.kind.fields.get(first))?);
        Some(lens.map_or_else(|| value.clone(), |field| field.lens.put(&value)))
    }

    fn context(&self, context: Context) -> &str {
        match context {
            Context::Account => &self.surroundings.account,
            Context::Region => &self.surroundings.region,
            Context::Partition => &self.surroundings.partition,
        }
    }

    /// The resource's ARN: remembered, or built from its name.
    pub fn arn(&self) -> Option<Tree> {
        let remembered = self.status.member("ackResourceMetadata").and_then(|metadata| metadata.member("arn"));
        match (remembered, &self.kind.identity.arn) {
            (Some(arn), _) if !arn.is_null() => Some(arn.clone()),
            (_, Arn::Pattern(pattern)) => self.pattern(pattern),
            _ => None,
        }
    }

    /// A text with its holes filled; `None` if a field in it is not known.
    pub fn pattern(&self, pattern: &Pattern) -> Option<Tree> {
        let mut text = String::new();
        for part in &pattern.0 {
            match part {
                PatternPart::Text(literal) => text.push_str(literal),
                PatternPart::Context(context) => text.push_str(self.context(*context)),
                PatternPart::Spec { path, default } => {
                    let set = self.spec.at(path).map(|value| value.as_str());
                    let known = match set {
                        Some(known) => known?,
                        None => default.as_deref()?,
                    };
                    text.push_str(self.kind.bare(path, known));
                }
            }
        }
        Some(Tree::Text(text))
    }

    /// The call with everything that is known filled in.
    pub fn fill(&self, template: &CallTemplate, load: &Load<'_>) -> Result<Call, Unfilled> {
        let mut input = BTreeMap::new();
        let carried = self.carried(template, load);
        for (member, source) in &template.inputs {
            let value = match source {
                Source::ChangeKey => carried.first().map(|(_, place, _)| Tree::Text(wire_name(place))),
                Source::ChangeValue => carried.first().map(|(_, _, value)| as_text(value)),
                _ => self.loaded(source, self.shape(template, &FieldPath::root().child(member)), load),
            };
            if let Some(value) = value {
                input.insert(member.clone(), value);
            }
        }
        if !template.inputs.iter().any(|(_, source)| *source == Source::ChangeKey) {
            for (_, place, value) in carried {
                self.place(&mut input, template, place, &value);
            }
        }
        for map in template.carries.iter().filter_map(|carried| carried.place.map()) {
            // A map that nobody says anything in, and that the call must have all the same.
            if !input.contains_key(map) && self.kind.requires(template, map) {
                input.insert(map.to_owned(), Tree::object());
            }
        }
        let mut input = Tree::Object(input);
        for (path, source) in template.nested.iter().filter(|(path, _)| input.at(path).is_none()).collect::<Vec<_>>() {
            if let Some(value) = self.loaded(source, self.shape(template, path), load) {
                input.set(path, value);
            }
        }
        if let (Some(path), Some(tags)) = (&template.tags, load.tags) {
            input.set(path, self.tags(tags));
        }
        if let Some(member) = template.token.as_ref().filter(|member| input.member(member).is_none()) {
            // What the user says himself makes the call repeatable just as well.
            input.set(&FieldPath::root().child(member), Tree::Hole(Hole::Token));
        }
        self.check_required(template, &input)?;
        Ok(Call { service: template.service.clone(), operation: template.operation.clone(), input })
    }

    /// A source that may be of this call alone: its tags, its elements, alone or inside lists and structures.
    fn loaded(&self, source: &Source, shape: Option<ShapeId>, load: &Load<'_>) -> Option<Tree> {
        let api = &self.kind.api;
        match source {
            Source::Items(part) => Some(self.items(shape, part.as_deref(), load.items)),
            Source::Item(part) => self.item(shape, part.as_deref(), load.items),
            Source::List(sources) => {
                let element = match shape.map(|shape| &api.shape(shape).kind) {
                    Some(ShapeKind::List { member, .. }) => Some(member.shape),
                    _ => None,
                };
                sources.iter().map(|source| self.loaded(source, element, load)).collect::<Option<_>>().map(Tree::List)
            }
            Source::Structure(members) => {
                let member = |(name, source): (&String, &Source)| {
                    let shape = shape.and_then(|shape| api.shape(shape).member(name)).map(|member| member.shape);
                    Some((name.clone(), self.loaded(source, shape, load)?))
                };
                members.iter().map(member).collect::<Option<_>>().map(Tree::Object)
            }
            Source::Tags => load.tags.map(|tags| self.tags(tags)),
            Source::TagKeys => Some(Tree::List(load.tag_keys.iter().map(Tree::text).collect())),
            _ => self.source(source),
        }
    }

    /// The fields that ride along, with their values in the provider's spelling.
    fn carried<'t>(&self, template: &'t CallTemplate, load: &Load<'_>) -> Vec<(&Field, &'t Place, Tree)> {
        let mut all = Vec::new();
        for carried in &template.carries {
            let Some(field) = self.kind.fields.get(&carried.field) else { continue };
            let named = load.fields.is_none_or(|fields| fields.contains(&field.name));
            let wanted = named && field.when.holds(|source| self.source(source)) || field.role == Role::Option;
            let value = match load.cleared.and_then(|cleared| cleared.get(&field.name)) {
                Some(cleared) => Some(cleared.clone()),
                None if wanted => self.spec.member(&field.name).filter(|value| !value.is_null()).cloned(),
                None => None,
            };
            if let Some(value) = value {
                all.push((field, &carried.place, field.lens.put(&value)));
            }
        }
        all
    }

    fn place(&self, input: &mut BTreeMap<String, Tree>, template: &CallTemplate, place: &Place, value: &Tree) {
        match place {
            Place::Attribute { map, key } => {
                let map = input.entry(map.clone()).or_insert_with(Tree::object);
                if let Tree::Object(entries) = map {
                    entries.insert(key.clone(), as_text(value));
                }
            }
            Place::Path(path) => {
                let mut whole = Tree::Object(std::mem::take(input));
                whole.set(path, self.spelt(self.shape(template, path), value));
                if let Tree::Object(members) = whole {
                    *input = members;
                }
            }
        }
    }

    fn items(&self, shape: Option<ShapeId>, part: Option<&str>, items: &[Tree]) -> Tree {
        let list = match part {
            Some(part) => Tree::List(items.iter().filter_map(|item| item.member(part).cloned()).collect()),
            None => Tree::List(items.to_vec()),
        };
        self.spelt(shape, &list)
    }

    fn item(&self, shape: Option<ShapeId>, part: Option<&str>, items: &[Tree]) -> Option<Tree> {
        let item = items.first()?;
        let value = match part {
            Some(part) => item.member(part)?,
            None => item,
        };
        Some(self.spelt(shape, value))
    }

    /// The shape of a call's input at a path.
    fn shape(&self, template: &CallTemplate, path: &FieldPath) -> Option<ShapeId> {
        let input = self.kind.api.operation(&template.operation).and_then(|operation| operation.input)?;
        shape_at(&self.kind.api, input, path)
    }

    /// A value in the spelling of a shape.
    fn spelt(&self, shape: Option<ShapeId>, value: &Tree) -> Tree {
        shape.map_or_else(|| value.clone(), |shape| to_api(value, &self.kind.api, shape))
    }

    /// Tags as the API wants them: a map, or a list of key and value.
    fn tags(&self, tags: &BTreeMap<String, Tree>) -> Tree {
        tag_tree(tags, self.kind.tags.as_ref().and_then(|tags| tags.api_names.as_ref()))
    }

    fn check_required(&self, template: &CallTemplate, input: &Tree) -> Result<(), Unfilled> {
        // A call of another service's facts (the tagging API) has constant inputs only.
        if template.service != self.kind.service {
            return Ok(());
        }
        match self
            .kind
            .members_of(template)
            .iter()
            .find(|member| member.required && input.member(&member.name).is_none())
        {
            Some(member) => Err(Unfilled { operation: template.operation.clone(), member: member.name.clone() }),
            None => Ok(()),
        }
    }
}

fn wire_name(place: &Place) -> String {
    match place {
        Place::Path(path) => path.to_string(),
        Place::Attribute { key, .. } => key.clone(),
    }
}
