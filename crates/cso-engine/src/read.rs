//! The read program of a kind, run against a cloud: handle first, then the body, then the parts that somebody cares about.

use std::collections::BTreeMap;

use cso_core::port::{Cloud, Effect, Request};
use cso_core::{Call, CallError, ErrorClass, FieldPath, OwnerMark, Tree, Verb};
use cso_schema::fill::Load;
use cso_schema::kind::{CallTemplate, Finder, PartRead, Recovery, Source, State, TagRead};
use cso_schema::observe::{Observation, Seen};
use serde_json::{Value, json};

use crate::classify::is_absent;
use crate::decide::Input;
use crate::dialect;

/// Reads the cloud for one object.
pub(crate) struct Reader<'a, C> {
    pub(crate) cloud: &'a C,
    pub(crate) input: &'a Input<'a>,
    /// The resource was created a moment ago by us: what the create carried need not be read back.
    pub(crate) fresh: bool,
    /// The store is new: a resource that is marked for this object by another store must be found.
    pub(crate) store_is_new: bool,
}

type Reading<T> = Result<T, CallError>;

impl<C: Cloud> Reader<'_, C> {
    /// One round of reads.
    pub(crate) async fn observe(&self) -> Reading<Observation> {
        let kind = self.input.kind;
        let mut status = self.remembered();
        let mut found = self.adopted();
        if !self.knows_handle(&status) {
            match self.find(&status).await? {
                Handle::Known => {}
                Handle::Found(values) => {
                    lay_over(&mut status, &values);
                    lay_over(&mut found, &values);
                }
                Handle::Absent => return Ok(Observation::absent()),
                Handle::Many(rivals) => return Ok(Observation { rivals, ..Observation::absent() }),
            }
        }
        let body = self.body(&status).await?;
        let mut observation = Observation { body, found, ..Observation::nothing() };
        lay_over(&mut status, &kind.status_of(&observation));
        let Seen::Value(answer) = &observation.body else { return Ok(observation) };
        if kind.state(answer).0 == State::Gone {
            return Ok(observation);
        }
        observation.tags = self.tags(&status, answer).await?;
        if !self.input.deleting {
            observation.parts = self.parts(&status).await?;
        }
        Ok(observation)
    }

    /// Identifiers from the adoption annotation, until the record has its own.
    fn adopted(&self) -> Tree {
        if self.input.record.ownership.is_ours() {
            return Tree::object();
        }
        dialect::adopted_status(self.input.kind, &self.input.policies.adoption_fields)
    }

    /// Identifiers from the record, or from the adoption annotation.
    fn remembered(&self) -> Tree {
        let mut status = self.adopted();
        lay_over(&mut status, &Tree::from(Value::Object(self.input.record.status.clone())));
        status
    }

    fn knows_handle(&self, status: &Tree) -> bool {
        let identity = &self.input.kind.identity;
        let has = |path: &FieldPath| status.at(path).is_some();
        match (&identity.assigned, &identity.lookup) {
            (Some(path), _) => has(path) || status.at(&arn_path()).is_some(),
            (None, Some(lookup)) => lookup.out.iter().all(|(to, _)| has(to)),
            (None, None) => true,
        }
    }

    async fn find(&self, status: &Tree) -> Reading<Handle> {
        let kind = self.input.kind;
        if let Some(lookup) = &kind.identity.lookup {
            return Ok(match self.read(&lookup.call, status).await? {
                Answer::Value(answer) => Handle::Found(outs(&answer, &lookup.out)),
                Answer::Absent | Answer::Unasked => Handle::Absent,
            });
        }
        match &kind.recovery {
            Recovery::Natural(finder) => self.find_natural(finder, status).await,
            Recovery::OwnerTag { resource_type, .. } => self.find_by_mark(resource_type, status).await,
            Recovery::Name | Recovery::Token if kind.is_named_by_user() => Ok(Handle::Known),
            Recovery::Name | Recovery::Token => Ok(Handle::Absent),
        }
    }

    async fn find_natural(&self, finder: &Finder, status: &Tree) -> Reading<Handle> {
        let Answer::Value(answer) = self.read(&finder.call, status).await? else { return Ok(Handle::Absent) };
        let elements = answer.at(&finder.elements).and_then(Tree::as_list).unwrap_or_default();
        Ok(match self.pick(elements, &finder.pick, status) {
            Some(element) => Handle::Found(outs(element, &finder.out)),
            None => Handle::Absent,
        })
    }

    /// Looks for the owner mark where it can matter: after a create of unknown outcome, and while the store is new.
    async fn find_by_mark(&self, resource_type: &str, status: &Tree) -> Reading<Handle> {
        let open = self.input.record.intent.as_ref().is_some_and(|intent| intent.verb == Verb::Create);
        if !open && !self.store_is_new {
            return Ok(Handle::Absent);
        }
        let mut filter = json!({"Key": cso_core::owner::OWNER_TAG});
        if !self.store_is_new {
            filter["Values"] = json!([self.input.mark.to_string()]);
        }
        let input = json!({"TagFilters": [filter], "ResourceTypeFilters": [resource_type]});
        let answer = Tree::from(self.send("resourcegroupstaggingapi", "GetResources", input).await?);
        let mapped = answer.member("ResourceTagMappingList").and_then(Tree::as_list).unwrap_or_default();
        let mut alive = Vec::new();
        for resource in mapped.iter().filter(|resource| self.is_marked_for_us(resource)) {
            let Some(arn) = resource.member("ResourceARN") else { continue };
            let mut candidate = status.clone();
            candidate.set(&arn_path(), arn.clone());
            if let Seen::Value(body) = self.body(&candidate).await?
                && self.input.kind.state(&body).0 != State::Gone
            {
                alive.push(arn.clone());
            }
        }
        Ok(match alive.as_slice() {
            [] => Handle::Absent,
            [arn] => {
                let mut values = Tree::object();
                values.set(&arn_path(), arn.clone());
                Handle::Found(values)
            }
            many => Handle::Many(many.iter().filter_map(Tree::as_str).map(str::to_owned).collect()),
        })
    }

    fn is_marked_for_us(&self, resource: &Tree) -> bool {
        let tags = resource.member("Tags").and_then(Tree::as_list).unwrap_or_default();
        tags.iter()
            .filter(|tag| tag.member("Key").and_then(Tree::as_str) == Some(cso_core::owner::OWNER_TAG))
            .filter_map(|tag| tag.member("Value").and_then(Tree::as_str).and_then(OwnerMark::parse))
            .any(|mark| mark.same_object(self.input.mark))
    }

    async fn body(&self, status: &Tree) -> Reading<Seen> {
        let read = &self.input.kind.read;
        let Answer::Value(answer) = self.read(&read.call, status).await? else { return Ok(Seen::Absent) };
        if read.pick.is_empty() {
            return Ok(answer.at(&read.at).cloned().map_or(Seen::Absent, Seen::Value));
        }
        let (list, _) = split_each(&read.at);
        let elements = answer.at(&list).and_then(Tree::as_list).unwrap_or_default();
        Ok(self.pick(elements, &read.pick, status).cloned().map_or(Seen::Absent, Seen::Value))
    }

    /// The element whose members have the values that were asked for.
    fn pick<'t>(&self, elements: &'t [Tree], pick: &[(FieldPath, Source)], status: &Tree) -> Option<&'t Tree> {
        let subject = self.input.subject(status, None);
        elements
            .iter()
            .find(|element| pick.iter().all(|(member, source)| subject.source(source).as_ref() == element.at(member)))
    }

    async fn tags(&self, status: &Tree, body: &Tree) -> Reading<Seen> {
        let kind = self.input.kind;
        let Some(tags) = &kind.tags else { return Ok(Seen::NotAsked) };
        if self.fresh && tags.at_create {
            return Ok(Seen::NotAsked);
        }
        match &tags.read {
            TagRead::Body(_) => Ok(Seen::Value(Tree::Object(kind.tags_in(body)))),
            TagRead::Own { call, .. } => {
                self.part(call, status, &[], |answer| Tree::Object(kind.tags_in(&answer))).await
            }
        }
    }

    async fn parts(&self, status: &Tree) -> Reading<BTreeMap<String, Seen>> {
        let mut seen = BTreeMap::new();
        for part in &self.input.kind.parts {
            let PartRead::Own { call, none } = &part.read else { continue };
            let stake = part.fields.iter().any(|field| self.has_stake(field));
            if !stake || (self.fresh && part.at_create) {
                continue;
            }
            seen.insert(part.name.clone(), self.part(call, status, none, |answer| answer).await?);
        }
        Ok(seen)
    }

    /// Only what the user set, or once set, is worth a read.
    fn has_stake(&self, field: &str) -> bool {
        self.input.spec.member(field).is_some_and(|value| !value.is_null())
            || self.input.record.applied.contains_key(field)
    }

    /// A part's answer; a read that is denied makes the part unknown, not the object.
    async fn part(
        &self,
        call: &CallTemplate,
        status: &Tree,
        none: &[String],
        value: impl Fn(Tree) -> Tree,
    ) -> Reading<Seen> {
        match self.read(call, status).await {
            Ok(Answer::Value(answer)) => Ok(Seen::Value(value(answer))),
            Ok(Answer::Absent) => Ok(Seen::Absent),
            Ok(Answer::Unasked) => Ok(Seen::NotAsked),
            Err(error) if none.contains(&error.code) => Ok(Seen::Absent),
            Err(error) if error.class == ErrorClass::Denied => {
                Ok(Seen::Unknown(format!("not compared, because it cannot be read ({error})")))
            }
            Err(error) => Err(error),
        }
    }

    /// Makes a read, unless something that it needs does not exist.
    async fn read(&self, template: &CallTemplate, status: &Tree) -> Reading<Answer> {
        let Ok(Call { service, operation, input }) = self.input.subject(status, None).fill(template, &Load::default())
        else {
            return Ok(Answer::Unasked);
        };
        let Ok(input) = input.fill(&mut |_| Err(())) else { return Ok(Answer::Unasked) };
        match self.send(&service, &operation, input).await {
            Ok(answer) => Ok(Answer::Value(Tree::from(answer))),
            Err(error) if is_absent(&self.input.kind.errors, &error) => Ok(Answer::Absent),
            Err(error) => Err(error),
        }
    }

    async fn send(&self, service: &str, operation: &str, input: Value) -> Reading<Value> {
        self.cloud
            .call(Request {
                service: service.to_owned(),
                operation: operation.to_owned(),
                region: self.input.surroundings.region.clone(),
                namespace: self.input.key.namespace.clone(),
                input,
                effect: Effect::Reads,
            })
            .await
    }
}

enum Handle {
    /// The name is handle enough.
    Known,
    Found(Tree),
    Absent,
    Many(Vec<String>),
}

enum Answer {
    Value(Tree),
    Absent,
    /// An input is not known, so there is nothing to ask about.
    Unasked,
}

fn arn_path() -> FieldPath {
    FieldPath::root().child("ackResourceMetadata").child("arn")
}

/// Status values that an answer fills.
pub(crate) fn outs(answer: &Tree, out: &[(FieldPath, FieldPath)]) -> Tree {
    let mut values = Tree::object();
    for (to, from) in out {
        if let Some(value) = answer.at(from) {
            values.set(to, value.clone());
        }
    }
    values
}

/// Puts the members of `top` over those of `base`, at any depth.
pub(crate) fn lay_over(base: &mut Tree, top: &Tree) {
    match (base, top) {
        (Tree::Object(base), Tree::Object(top)) => {
            for (name, value) in top {
                lay_over(base.entry(name.clone()).or_insert(Tree::Null), value);
            }
        }
        (_, Tree::Null) => {}
        (base, top) => *base = top.clone(),
    }
}

/// `Aliases[]` as the list and what follows.
fn split_each(path: &FieldPath) -> (FieldPath, FieldPath) {
    use cso_core::path::Segment;
    let mut list = FieldPath::root();
    let mut rest = FieldPath::root();
    let mut after = false;
    for segment in path.segments() {
        match segment {
            Segment::Each if !after => after = true,
            other if after => rest = rest.with(other.clone()),
            other => list = list.with(other.clone()),
        }
    }
    (list, rest)
}
