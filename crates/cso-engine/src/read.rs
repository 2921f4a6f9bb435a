//! The read program of a kind, run against a cloud: handle first, then the body, then the parts that somebody cares about.

use std::collections::BTreeMap;
use std::sync::Arc;

use cso_core::port::{Cloud, Effect, Purpose, Request};
use cso_core::{Call, CallError, ErrorClass, FieldPath, OwnerMark, Tree, Verb};
use cso_schema::fill::Load;
use cso_schema::kind::{
    CONTENT, CallTemplate, Finder, Part, PartRead, Pick, PickTest, REVISIONS, Recovery, Shape, State, TagRead,
};
use cso_schema::observe::{Observation, Seen};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::classify::is_absent;
use crate::decide::Input;
use crate::dialect;

/// Reads the cloud for one object.
pub(crate) struct Reader<'a, C> {
    pub(crate) cloud: &'a C,
    pub(crate) input: &'a Input<'a>,
    pub(crate) purpose: Purpose,
    pub(crate) extent: Extent<'a>,
    /// Answers of parts that were read a moment ago, and have not been written since.
    pub(crate) known: &'a BTreeMap<String, Seen>,
    /// Resources that carry a mark, shared by the objects of an engine.
    pub(crate) marked: &'a Marked,
}

/// How much is read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Extent<'a> {
    /// What somebody has a stake in.
    Stake,
    /// The same, after our own create a moment ago: what it carried need not be read back.
    Fresh,
    /// Everything that a wish may say. A list may have given the body already.
    All { body: Option<&'a Tree> },
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
        let body = match self.extent {
            Extent::All { body: Some(body) } => Seen::Value(body.clone()),
            _ => self.body(&status).await?,
        };
        let mut observation = Observation { body, found, ..Observation::nothing() };
        lay_over(&mut status, &kind.status_of(&observation));
        let Seen::Value(answer) = &observation.body else { return Ok(observation) };
        if kind.state(answer).0 == State::Gone {
            return Ok(observation);
        }
        observation.tags = self.tags(&status, answer).await?;
        observation.parts = self.parts(&status, &observation).await?;
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
        lay_over(&mut status, &Tree::from(&self.input.record.status));
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
        if !self.knows_key(finder) {
            return Ok(Handle::Absent);
        }
        let Answer::Value(answer) = self.read(&finder.call, status).await? else { return Ok(Handle::Absent) };
        let elements = answer.at(&finder.elements).and_then(Tree::as_list).unwrap_or_default();
        let mut found: Vec<Tree> =
            self.picked(elements, &finder.pick, status).map(|one| outs(one, &finder.out)).collect();
        Ok(match (found.pop(), found.is_empty()) {
            (None, _) => Handle::Absent,
            (Some(only), true) => Handle::Found(only),
            (Some(last), false) => {
                Handle::Many(found.iter().chain([&last]).map(|one| one.shown().to_string()).collect())
            }
        })
    }

    /// A key that holds the create's token names no resource before there is a create.
    fn knows_key(&self, finder: &Finder) -> bool {
        let nothing = Tree::object();
        let subject = self.input.subject(&nothing, None);
        let mut keys = finder.pick.iter().filter_map(Pick::source).filter(|source| source.may_be_token());
        keys.all(|source| subject.source(source).is_some())
    }

    /// Looks for the owner mark: ours after a create of unknown outcome, and that of a lost store before a first create.
    async fn find_by_mark(&self, resource_type: &str, status: &Tree) -> Reading<Handle> {
        let record = &self.input.record;
        let open = record.intent.as_ref().is_some_and(|intent| intent.verb == Verb::Create);
        let mapped = match (open, record.ownership.is_ours()) {
            (true, _) => Arc::new(self.marked_resources(resource_type, Some(self.input.mark)).await?),
            // What we made is gone, or the record would know its handle.
            (false, true) => return Ok(Handle::Absent),
            (false, false) => self.all_marked(resource_type).await?,
        };
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

    /// Every marked resource of a type in the region. Listed once for all objects that are looked for about the same time:
    /// what a lost store made was made long before.
    async fn all_marked(&self, resource_type: &str) -> Reading<Arc<Vec<Tree>>> {
        let place = (self.input.surroundings.region.clone(), resource_type.to_owned());
        let mut lists = self.marked.0.lock().await;
        if let Some((at, list)) = lists.get(&place)
            && self.input.now.duration_since(*at) < LIST_LIFE
        {
            return Ok(Arc::clone(list));
        }
        let list = Arc::new(self.marked_resources(resource_type, None).await?);
        lists.insert(place, (self.input.now, Arc::clone(&list)));
        Ok(list)
    }

    async fn marked_resources(&self, resource_type: &str, mark: Option<&OwnerMark>) -> Reading<Vec<Tree>> {
        let mut filter = json!({"Key": cso_core::owner::OWNER_TAG});
        if let Some(mark) = mark {
            filter["Values"] = json!([mark.to_string()]);
        }
        let input = json!({"TagFilters": [filter], "ResourceTypeFilters": [resource_type]});
        let answer = Tree::from(self.send("resourcegroupstaggingapi", "GetResources", input).await?);
        Ok(answer.member("ResourceTagMappingList").and_then(Tree::as_list).unwrap_or_default().to_vec())
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
        Ok(self.picked(elements, &read.pick, status).next().cloned().map_or(Seen::Absent, Seen::Value))
    }

    /// The elements whose members are as asked for.
    fn picked<'t>(
        &'t self,
        elements: &'t [Tree],
        picks: &'t [Pick],
        status: &'t Tree,
    ) -> impl Iterator<Item = &'t Tree> {
        let subject = self.input.subject(status, None);
        let fits = move |element: &Tree, pick: &Pick| {
            let found = element.at(&pick.member);
            match &pick.test {
                PickTest::Equals(source) => subject.source(source).as_ref() == found,
                PickTest::Ends(pattern) => match subject.pattern(pattern) {
                    Some(Tree::Text(end)) => found.and_then(Tree::as_str).is_some_and(|text| text.ends_with(&end)),
                    _ => true,
                },
            }
        };
        elements.iter().filter(move |element| picks.iter().all(|pick| fits(element, pick)))
    }

    async fn tags(&self, status: &Tree, body: &Tree) -> Reading<Seen> {
        let kind = self.input.kind;
        let Some(tags) = &kind.tags else { return Ok(Seen::NotAsked) };
        if matches!(self.extent, Extent::Fresh) && tags.at_create {
            return Ok(Seen::NotAsked);
        }
        match &tags.read {
            TagRead::Body(_) => Ok(Seen::Value(Tree::Object(kind.tags_in(body)))),
            TagRead::Own { call, none, .. } => {
                let found = self.part(call, status, none, |answer| Tree::Object(kind.tags_in(&answer))).await?;
                // The resource is there: its body was read.
                Ok(if found == Seen::Absent && !none.is_empty() { Seen::Value(Tree::object()) } else { found })
            }
        }
    }

    async fn parts(&self, status: &Tree, observation: &Observation) -> Reading<BTreeMap<String, Seen>> {
        let mut seen = BTreeMap::new();
        for (position, part) in self.input.kind.parts.iter().enumerate() {
            let has_stake = || part.fields.iter().any(|field| self.has_stake(field));
            let is_wanted = match self.extent {
                // Only what must be emptied first.
                _ if self.input.deleting => self.input.kind.empties.contains(&position),
                Extent::Stake => has_stake(),
                Extent::Fresh => !part.at_create && has_stake(),
                Extent::All { .. } => self.exists(part, status, observation),
            };
            if !is_wanted {
                continue;
            }
            if let Some(known) = self.known.get(&part.name) {
                seen.insert(part.name.clone(), known.clone());
                continue;
            }
            let answer = match &part.read {
                PartRead::Body => continue,
                PartRead::Own { call, none } => self.part(call, status, none, |answer| answer).await?,
                PartRead::Listed { list, elements, get, value } => {
                    let listed = |answer: Tree| answer.gather(elements).unwrap_or(Tree::Null);
                    match self.part(list, status, &[], listed).await? {
                        Seen::Value(listed) => self.listed(&part.shape, status, listed, (get, value)).await?,
                        other => other,
                    }
                }
            };
            seen.insert(part.name.clone(), answer);
        }
        Ok(seen)
    }

    /// Whether a part exists for a resource with this body.
    fn exists(&self, part: &Part, status: &Tree, observation: &Observation) -> bool {
        let draft = self.input.kind.draft(&self.input.subject(status, None), observation);
        let spec = Tree::Object(draft.spec);
        part.when.holds(|source| source.in_spec(&spec).cloned())
    }

    /// What a list leads to, put together as [`PartRead::Listed`] says. A delete needs no more than the list.
    async fn listed(
        &self,
        shape: &Shape,
        status: &Tree,
        listed: Tree,
        get: (&CallTemplate, &FieldPath),
    ) -> Reading<Seen> {
        let mut whole = Tree::object();
        for element in listed.as_list().unwrap_or_default() {
            let name = match shape {
                Shape::Revisions(revisions) => {
                    element.member(&revisions.current).and_then(Tree::as_bool).map(|current| {
                        // What the superseded ones say is of no interest.
                        if current { CONTENT } else { "" }
                    })
                }
                _ => element.as_str(),
            };
            let Some(name) = name.filter(|name| !name.is_empty()) else { continue };
            let value =
                if self.input.deleting { Seen::Value(Tree::text("")) } else { self.one(get, status, element).await? };
            match value {
                Seen::Value(value) => whole.set(&FieldPath::root().child(name), value),
                // It went away between the two reads.
                Seen::Absent | Seen::NotAsked => {}
                unknown @ Seen::Unknown(_) => return Ok(unknown),
            }
        }
        if let Shape::Revisions(_) = shape {
            whole.set(&FieldPath::root().child(REVISIONS), listed);
        }
        Ok(Seen::Value(whole))
    }

    /// One thing more of an element that was listed.
    async fn one(&self, (get, at): (&CallTemplate, &FieldPath), status: &Tree, element: &Tree) -> Reading<Seen> {
        let load = Load { items: std::slice::from_ref(element), ..Load::default() };
        let value = |answer: Tree| answer.at(at).cloned().unwrap_or(Tree::Null);
        self.part_with(get, status, &[], &load, value).await
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
        self.part_with(call, status, none, &Load::default(), value).await
    }

    async fn part_with(
        &self,
        call: &CallTemplate,
        status: &Tree,
        none: &[String],
        load: &Load<'_>,
        value: impl Fn(Tree) -> Tree,
    ) -> Reading<Seen> {
        match self.read_with(call, status, load).await {
            Ok(Answer::Value(answer)) => Ok(Seen::Value(value(answer))),
            Ok(Answer::Absent) => Ok(Seen::Absent),
            Ok(Answer::Unasked) => Ok(Seen::NotAsked),
            Err(error) if none.contains(&error.code) => Ok(Seen::Absent),
            Err(error) if error.class == ErrorClass::Denied => {
                Ok(Seen::Unknown(format!("not compared, because it cannot be read ({error})")))
            }
            // Who asks for everything takes what there is.
            Err(error) if matches!(self.extent, Extent::All { .. }) && error.class != ErrorClass::Throttled => {
                Ok(Seen::Unknown(error.to_string()))
            }
            Err(error) => Err(error),
        }
    }

    /// Makes a read, unless something that it needs does not exist.
    async fn read(&self, template: &CallTemplate, status: &Tree) -> Reading<Answer> {
        self.read_with(template, status, &Load::default()).await
    }

    async fn read_with(&self, template: &CallTemplate, status: &Tree, load: &Load<'_>) -> Reading<Answer> {
        let Ok(Call { service, operation, input }) = self.input.subject(status, None).fill(template, load) else {
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
                purpose: self.purpose,
            })
            .await
    }
}

/// Lists of marked resources by region and type.
#[derive(Debug, Default)]
pub(crate) struct Marked(Mutex<BTreeMap<(String, String), MarkedList>>);

/// When a list was made, and what was on it.
type MarkedList = (Timestamp, Arc<Vec<Tree>>);

/// How long such a list serves.
const LIST_LIFE: SignedDuration = SignedDuration::from_secs(30);

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
