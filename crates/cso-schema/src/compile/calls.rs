//! Calls: operations, their inputs and where the values come from; the body's create, read and update.

use std::collections::BTreeMap;
use std::sync::Arc;

use cso_core::FieldPath;
use cso_facts::api::{Shape, ShapeId, ShapeKind};
use serde_json::Value;

use super::lookup::{member_like, member_place, shape_at};
use super::{Compiler, Extra};
use crate::descriptor::{CallSpec, KindSpec, NameSpec};
use crate::kind::{
    BodyRead, CallTemplate, Carried, Context, Field, Owner, Pick, PickTest, Place, Role, Send, Source, Write,
};
use crate::names::{nearest, same_name};

impl Compiler<'_> {
    /// Whether the API has every operation of the descriptor; without one, all that hangs on it would be told as wrong.
    pub(super) fn operations_exist(&mut self) -> bool {
        let spec = self.spec;
        let calls = written(spec);
        let missing = calls.iter().filter(|(at, call)| self.operation(at, &call.op).is_none());
        missing.count() == 0
    }

    pub(super) fn body_read(&mut self) -> Option<BodyRead> {
        let spec = &self.spec.api.read;
        let call = self.call(&["api", "read"], spec, Extra::None)?;
        let at = self.path(&["api", "read", "at"], spec.at.as_deref().unwrap_or_default());
        let output = self.api.operation(&call.operation).and_then(|operation| operation.output);
        let element = output.and_then(|output| shape_at(&self.api, output, &at));
        let pick = self.picks(&["api", "read", "pick"], &spec.pick, element, Extra::None);
        Some(BodyRead { call, at, pick, attributes: self.spec.inside.keys().next().cloned() })
    }

    pub(super) fn body_shape(&mut self, read: &BodyRead) -> Option<ShapeId> {
        let output = self.api.operation(&read.call.operation)?.output?;
        let shape = shape_at(&self.api, output, &read.at);
        if shape.is_none() {
            self.fail(&["api", "read"], format!("{} does not answer with {}", read.call.operation, read.at));
        }
        shape
    }

    pub(super) fn create(&mut self, fields: &BTreeMap<String, Field>) -> Option<CallTemplate> {
        let at = ["api", "create"];
        let spec = self.spec.api.create.clone();
        let mut create = self.call(&at, &spec, Extra::None)?;
        for field in fields.values() {
            let Some(place) = self.create_place(&field.name) else { continue };
            if let Place::Path(path) = &place {
                let member = path.to_string();
                // A field of that name is the wish itself: it stands before a handle of the same name.
                create.inputs.retain(|(name, _)| *name != member || spec.inputs.contains_key(name));
                if create.inputs.iter().any(|(name, _)| *name == member) {
                    continue;
                }
            }
            create.carries.push(Carried { field: field.name.clone(), place });
        }
        let operation = self.operation(&at, &spec.op)?;
        let api = Arc::clone(&self.api);
        for member in operation.input.map(|id| api.shape(id).members()).unwrap_or_default() {
            let known = create.inputs.iter().any(|(name, _)| *name == member.name)
                || create
                    .nested
                    .iter()
                    .any(|(path, _)| path.split_first().is_some_and(|(name, _)| name == member.name))
                || create.carries.iter().any(|carried| is_below(&carried.place, &member.name))
                || create.token.as_ref() == Some(&member.name);
            if member.required && !known {
                self.fail(&at, format!("{} requires {}, and no field or source fills it", spec.op, member.name));
            }
        }
        Some(create)
    }

    /// Where the create call carries a field.
    pub(super) fn create_place(&self, field: &str) -> Option<Place> {
        let operation = &self.spec.api.create.op;
        let wanted = self.spec.names.get(field).and_then(NameSpec::in_create).unwrap_or(field);
        // A member of its own stands before an entry of the map.
        if let Some(member) = self.input_member(operation, wanted) {
            return Some(member_place(&member));
        }
        let key = self.attribute(field)?;
        let map = self.spec.inside.iter().find(|(_, keys)| keys.contains_key(field)).map(|(map, _)| map.clone())?;
        self.input_member(operation, &map).map(|map| Place::Attribute { map, key })
    }

    /// Only a create has a token, and only one without an idempotency token of its own needs to be told which.
    pub(super) fn check_tokens(&mut self) {
        let api = &self.spec.api;
        for (name, call) in [("read", &api.read), ("update", &api.update), ("delete", &api.delete)] {
            if call.token.is_some() {
                self.fail(&["api", name], "only a create takes a `token`");
            }
        }
    }

    pub(super) fn update(&mut self, fields: &BTreeMap<String, Field>) -> Option<Write> {
        let at = ["api", "update"];
        let spec = self.spec.api.update.clone();
        if spec.op == "none" {
            return None;
        }
        let send = self.send(&at, &spec, Send::Changed)?;
        let extra = if send == Send::One { Extra::Change } else { Extra::None };
        let mut call = self.call(&at, &spec, extra)?;
        for field in fields
            .values()
            .filter(|f| f.owner == Owner::Body && matches!(f.role, Role::Mutable | Role::Secret | Role::Option))
        {
            if let Some(key) = self.attribute(&field.name) {
                let map = self.spec.inside.keys().next().cloned().unwrap_or_default();
                call.carries.push(Carried { field: field.name.clone(), place: Place::Attribute { map, key } });
                continue;
            }
            let wanted = self.spec.names.get(&field.name).and_then(NameSpec::in_update).unwrap_or(&field.name);
            if let Some(member) = self.input_member(&spec.op, wanted) {
                call.inputs.retain(|(name, _)| *name != member);
                call.carries.push(Carried { field: field.name.clone(), place: member_place(&member) });
            }
        }
        let answer = self.api.operation(&spec.op).and_then(|operation| operation.output);
        let out = self.outs(&at, &spec.out, answer);
        Some(Write { call, send, out })
    }

    /// Which fields a write carries.
    pub(super) fn send(&mut self, at: &[&str], spec: &CallSpec, usual: Send) -> Option<Send> {
        Some(match spec.send.as_deref() {
            None => usual,
            Some("changed") => Send::Changed,
            Some("all") => Send::All,
            Some("one") => Send::One,
            Some(other) => {
                self.fail(at, format!("`{other}` is not a way to send: changed, all or one"));
                return None;
            }
        })
    }

    /// What our element of a list must have.
    pub(super) fn picks(
        &mut self,
        at: &[&str],
        pick: &BTreeMap<String, Value>,
        element: Option<ShapeId>,
        extra: Extra,
    ) -> Vec<Pick> {
        pick.iter()
            .filter_map(|(member, wanted)| {
                let test = match wanted {
                    Value::String(text) => PickTest::Equals(self.source(at, text, extra)?),
                    Value::Array(choices) => {
                        let sources = choices.iter().map(|text| self.source(at, text.as_str()?, extra));
                        PickTest::Equals(one_or_first(sources.collect::<Option<_>>()?))
                    }
                    Value::Object(map) => match (map.len(), map.get("pattern"), map.get("ends")) {
                        (1, Some(Value::String(text)), _) => PickTest::Equals(Source::Pattern(self.pattern(at, text)?)),
                        (1, _, Some(Value::String(text))) => PickTest::Ends(self.pattern(at, text)?),
                        _ => return self.no_pick(at, member),
                    },
                    _ => return self.no_pick(at, member),
                };
                Some(Pick { member: self.answer_path(at, member, element), test })
            })
            .collect()
    }

    fn no_pick(&mut self, at: &[&str], member: &str) -> Option<Pick> {
        self.fail(
            at,
            format!("{member}: an element is picked by a source, a list of sources, {{pattern: ...}} or {{ends: ...}}"),
        );
        None
    }

    /// A call's template: what is said, then handles of the same name, then named fields of the identity.
    pub(super) fn call(&mut self, at: &[&str], spec: &CallSpec, extra: Extra) -> Option<CallTemplate> {
        let operation = self.operation(at, &spec.op)?;
        let mut inputs: Vec<(String, Source)> = Vec::new();
        let mut nested = Vec::new();
        let api = Arc::clone(&self.api);
        let input = operation.input.map(|id| api.shape(id));
        for (member, value) in &spec.inputs {
            if member.contains('.') {
                let path = self.path(at, member);
                match operation.input.and_then(|input| shape_at(&api, input, &path)) {
                    Some(shape) => {
                        nested
                            .extend(self.value_source(at, (member, shape), value, extra).map(|source| (path, source)));
                    }
                    None => self.fail(at, format!("{} takes no {member}", spec.op)),
                }
                continue;
            }
            let Some(found) = input.and_then(|shape| shape.member(member)) else {
                let hint = input.and_then(|shape| nearest(member, shape.members().iter().map(|m| m.name.as_str())));
                let hint = hint.map(|hint| format!("; did you mean {hint}?")).unwrap_or_default();
                self.fail(at, format!("{} takes no member {member}{hint}", spec.op));
                continue;
            };
            if let Some(source) = self.value_source(at, (member, found.shape), value, extra) {
                inputs.push((member.clone(), source));
            }
        }
        let mut token = spec.token.clone();
        if let Some(member) = &token
            && input.is_none_or(|shape| shape.member(member).is_none())
        {
            self.fail(at, format!("{} takes no member {member}", spec.op));
        }
        for member in input.map(Shape::members).unwrap_or_default() {
            if inputs.iter().any(|(name, _)| *name == member.name) {
                continue;
            }
            if let Some(sources) = self.spec.identity.handle.get(&member.name) {
                self.handles.insert(member.name.clone());
                let sources: Vec<Source> = sources
                    .0
                    .clone()
                    .iter()
                    .filter_map(|text| self.source(&["identity", "handle"], text, extra))
                    .collect();
                inputs.push((member.name.clone(), one_or_first(sources)));
            } else if let Some(name) = self.identity_field(&member.name) {
                inputs.push((member.name.clone(), Source::Spec(name)));
            } else if member.idempotency_token {
                token = Some(member.name.clone());
            }
        }
        Some(CallTemplate {
            service: self.file.service.clone(),
            operation: spec.op.clone(),
            inputs,
            nested,
            carries: Vec::new(),
            token,
            tags: None,
        })
    }

    /// A spec field that identifies the resource and is called like this member.
    fn identity_field(&self, member: &str) -> Option<FieldPath> {
        let names = self.spec.identity.name.as_ref()?;
        names.0.iter().find_map(|path| {
            let field = path.strip_prefix("spec.")?;
            let called = self.spec.names.get(field).and_then(|name| name.all.as_deref()).unwrap_or(field);
            same_name(called, member).then(|| FieldPath::root().child(field))
        })
    }

    /// A status path and an answer path, for each line of an `out`.
    pub(super) fn outs(
        &mut self,
        at: &[&str],
        out: &BTreeMap<String, String>,
        answer: Option<ShapeId>,
    ) -> Vec<(FieldPath, FieldPath)> {
        out.iter()
            .filter_map(|(to, from)| {
                let to = self.rooted(at, to, "status")?;
                Some((to, self.answer_path(at, from, answer)))
            })
            .collect()
    }

    pub(super) fn input_member(&self, operation: &str, name: &str) -> Option<String> {
        let shape = self.api.operation(operation)?.input?;
        member_like(self.api.shape(shape), name).map(|member| member.name.clone())
    }

    /// The value of a member of a shape.
    fn value_source(
        &mut self,
        at: &[&str],
        (member, shape): (&str, ShapeId),
        value: &Value,
        extra: Extra,
    ) -> Option<Source> {
        match value {
            Value::String(text) => match self.try_source(at, text, extra) {
                Some(source) => Some(source),
                None => self.constant(at, shape, text),
            },
            Value::Object(map) if matches!(self.api.shape(shape).kind, ShapeKind::Structure { .. }) => {
                self.structure(at, shape, map, extra)
            }
            Value::Object(map) if map.len() == 1 && map.contains_key("text") => {
                Some(Source::Const(map["text"].clone()))
            }
            Value::Object(map) if map.len() == 1 && map.contains_key("pattern") => {
                Some(Source::Pattern(self.pattern(at, map["pattern"].as_str()?)?))
            }
            Value::Object(map) if map.len() == 2 && map.contains_key("source") && map.contains_key("unless") => {
                let source = self.source(at, map["source"].as_str().unwrap_or_default(), extra)?;
                Some(Source::Unless(Box::new(source), map["unless"].clone()))
            }
            Value::Array(list) => {
                let api = Arc::clone(&self.api);
                let ShapeKind::List { member: element, .. } = &api.shape(shape).kind else {
                    self.fail(at, format!("{member} is not a list"));
                    return None;
                };
                let element = (element.name.as_str(), element.shape);
                let all: Vec<Source> =
                    list.iter().filter_map(|one| self.value_source(at, element, one, extra)).collect();
                Some(Source::List(all))
            }
            Value::Bool(_) | Value::Number(_) => Some(Source::Const(value.clone())),
            _ => {
                self.fail(
                    at,
                    format!("{member}: a value is a source, a constant, {{text: ...}}, {{pattern: ...}} or {{source: ..., unless: ...}}"),
                );
                None
            }
        }
    }

    /// A structure member by member.
    fn structure(
        &mut self,
        at: &[&str],
        shape: ShapeId,
        said: &serde_json::Map<String, Value>,
        extra: Extra,
    ) -> Option<Source> {
        let api = Arc::clone(&self.api);
        let mut members = BTreeMap::new();
        for (name, value) in said {
            let of = api.shape(shape);
            let Some(found) = of.member(name) else {
                self.fail(at, format!("{} has no member {name}", of.name));
                return None;
            };
            members.insert(name.clone(), self.value_source(at, (name, found.shape), value, extra)?);
        }
        Some(Source::Structure(members))
    }

    /// A bare word is a constant only where the API has an enum with that value.
    fn constant(&mut self, at: &[&str], shape: ShapeId, text: &str) -> Option<Source> {
        let api = Arc::clone(&self.api);
        if let ShapeKind::String { values } = &api.shape(shape).kind
            && values.iter().any(|value| value == text)
        {
            return Some(Source::Const(Value::String(text.to_owned())));
        }
        self.fail(at, format!("`{text}` is neither a source (spec., status., option., ...) nor a value of the member's enum; free text is {{text: ...}}"));
        None
    }

    pub(super) fn source(&mut self, at: &[&str], text: &str, extra: Extra) -> Option<Source> {
        let source = self.try_source(at, text, extra);
        if source.is_none() {
            self.fail(
                at,
                format!("`{text}` is not a source: spec., status., option., arn, account, region or partition"),
            );
        }
        source
    }

    fn try_source(&mut self, at: &[&str], text: &str, extra: Extra) -> Option<Source> {
        Some(match text {
            "arn" => Source::Arn,
            "account" => Source::Context(Context::Account),
            "region" => Source::Context(Context::Region),
            "partition" => Source::Context(Context::Partition),
            "change.key" if extra == Extra::Change => Source::ChangeKey,
            "change.value" if extra == Extra::Change => Source::ChangeValue,
            "items" if extra == Extra::Items => Source::Items(None),
            "item" if matches!(extra, Extra::Items | Extra::Item) => Source::Item(None),
            "token" if extra == Extra::Token => Source::Token,
            _ => match text.split_once('.')? {
                ("spec", _) => Source::Spec(self.rooted(at, text, "spec").unwrap_or_default()),
                ("status", _) => Source::Status(self.rooted(at, text, "status").unwrap_or_default()),
                ("option", name) => {
                    if !self.spec.options.contains_key(name) {
                        self.fail(&["options"], format!("option `{name}` is used but not declared"));
                    }
                    Source::Option(name.to_owned())
                }
                ("items", member) if extra == Extra::Items => Source::Items(Some(member.to_owned())),
                ("item", member) if matches!(extra, Extra::Items | Extra::Item) => {
                    Source::Item(Some(member.to_owned()))
                }
                _ => return None,
            },
        })
    }
}

/// The calls of the body, the parts and the tags, with the keys that lead to them.
pub(super) fn written(kind: &KindSpec) -> Vec<(Vec<&str>, &CallSpec)> {
    let api = &kind.api;
    let mut calls = vec![(vec!["api", "create"], &api.create), (vec!["api", "read"], &api.read)];
    calls.extend([(vec!["api", "update"], &api.update), (vec!["api", "delete"], &api.delete)]);
    calls.retain(|(_, call)| call.op != "none");
    calls.extend(kind.identity.lookup.iter().map(|call| (vec!["identity", "lookup"], call)));
    for (name, part) in &kind.parts {
        let mut add = |shape, key, call| calls.push((vec!["parts", name.as_str(), shape, key], call));
        if let Some(config) = &part.config {
            add("config", "put", &config.put);
            config.get.iter().for_each(|call| add("config", "get", call));
            config.delete.iter().for_each(|call| add("config", "delete", call));
        }
        if let Some(switch) = &part.switch {
            add("switch", "enable", &switch.enable);
            add("switch", "disable", &switch.disable);
            switch.get.iter().for_each(|call| add("switch", "get", call));
        }
        if let Some(table) = &part.table {
            add("table", "add", &table.add);
            add("table", "remove", &table.remove);
            table.list.iter().for_each(|call| add("table", "list", call));
            table.get.iter().for_each(|call| add("table", "get", call));
            table.change.iter().for_each(|call| add("table", "change", call));
        }
        if let Some(revisions) = &part.revisions {
            add("revisions", "list", &revisions.list);
            add("revisions", "get", &revisions.get);
            add("revisions", "add", &revisions.add);
            add("revisions", "remove", &revisions.remove);
        }
    }
    if let Some(tags) = &kind.tags {
        let all = [("read", &tags.read), ("add", &tags.add), ("remove", &tags.remove), ("put", &tags.put)];
        calls.extend(all.into_iter().filter_map(|(key, call)| Some((vec!["tags", key], call.as_ref()?))));
    }
    calls
}

/// Whether a place is in a member, or is it.
fn is_below(place: &Place, member: &str) -> bool {
    match place {
        Place::Path(path) => path.split_first().is_some_and(|(first, _)| first == member),
        Place::Attribute { map, .. } => map == member,
    }
}

fn one_or_first(mut sources: Vec<Source>) -> Source {
    if sources.len() == 1 { sources.remove(0) } else { Source::FirstKnown(sources) }
}
