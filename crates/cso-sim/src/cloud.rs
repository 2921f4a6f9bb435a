//! The model cloud.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cso_core::port::{Cloud, Effect, Identity, Request};
use cso_core::{CallError, ErrorClass, Tree};
use cso_schema::kind::{Kind, State};
use serde_json::Value;
use tokio::time::Instant;

use crate::answer::Answers;
use crate::behaviour::{Behaviour, Fault, FaultKind, call_error, unanswered};
use crate::check;
use crate::kill::Kill;
use crate::operations::{Operations, Role, says, template};
use crate::resource::{ACCOUNT, Life, PARTITION, Resource};

/// A cloud that does what compiled kinds say its operations do. Clones share one cloud.
#[derive(Clone, Debug)]
pub struct ModelCloud {
    shared: Arc<Shared>,
    kill: Kill,
}

#[derive(Debug)]
struct Shared {
    kinds: Vec<Arc<Kind>>,
    operations: Operations,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    resources: Vec<Resource>,
    /// The cloud as reads still see it, and for how many reads.
    before: Option<(Vec<Resource>, u32)>,
    /// Names that cannot be used again before a time.
    taken: BTreeMap<String, Instant>,
    behaviour: Behaviour,
    faults: Vec<Fault>,
    made: Vec<Made>,
    wrong: Vec<String>,
    born: u32,
}

/// A call that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    pub service: String,
    pub operation: String,
    pub effect: Effect,
    pub input: Value,
    /// It changed the cloud, or for a read: it answered.
    pub took_effect: bool,
}

/// Operations that answer with what exists when it is as asked for; the others say that it exists.
const IDEMPOTENT_CREATES: [&str; 6] =
    ["CreateGrant", "CreatePlatformApplication", "CreatePlatformEndpoint", "CreateQueue", "CreateTopic", "Subscribe"];
/// Of these, one that makes another resource where the one of its name is not as asked for.
const CREATES_BESIDE: &str = "CreateGrant";
/// Operations that do not mind when there is nothing to delete.
const IDEMPOTENT_DELETES: [&str; 4] = ["DeleteEndpoint", "DeletePlatformApplication", "DeleteTopic", "Unsubscribe"];

/// A refusal before it is a [`CallError`]: code and sentence.
pub(crate) type Refusal = (String, String);
pub(crate) type Answer = Result<Tree, Refusal>;

impl ModelCloud {
    /// An empty cloud that knows these kinds.
    pub fn new(kinds: impl IntoIterator<Item = Arc<Kind>>) -> Self {
        let kinds: Vec<Arc<Kind>> = kinds.into_iter().collect();
        let operations = Operations::of(&kinds);
        let shared = Shared { kinds, operations, inner: Mutex::default() };
        Self { shared: Arc::new(shared), kill: Kill::never() }
    }

    /// The same cloud as seen by a process that dies when `kill` says so.
    #[must_use]
    pub fn seen_by(&self, kill: Kill) -> Self {
        Self { shared: Arc::clone(&self.shared), kill }
    }

    /// From now on the cloud behaves like this.
    pub fn behave(&self, behaviour: Behaviour) {
        self.lock().behaviour = behaviour;
    }

    /// This will go wrong.
    pub fn fail(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Nothing more will go wrong.
    pub fn heal(&self) {
        self.lock().faults.clear();
    }

    /// Resources of a kind that exist.
    pub fn alive(&self, kind: &str) -> Vec<Resource> {
        let inner = self.lock();
        inner.resources.iter().filter(|one| one.kind == kind && one.life == Life::Alive).cloned().collect()
    }

    /// Changes what exists behind everybody's back.
    pub fn meddle(&self, change: impl FnOnce(&mut Vec<Resource>)) {
        change(&mut self.lock().resources);
    }

    /// Puts a resource of somebody else's there.
    pub fn plant(&self, kind: &Kind, region: &str, values: BTreeMap<String, Tree>, tags: BTreeMap<String, Tree>) {
        let mut inner = self.lock();
        inner.born += 1;
        let mut resource = Resource::new(kind, region, values, inner.born);
        resource.tags = tags;
        inner.resources.push(resource);
    }

    /// Every call so far, in order.
    pub fn made(&self) -> Vec<Made> {
        self.lock().made.clone()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        self.lock().made.clear();
    }

    /// Operations of the mutating calls so far, in order.
    pub fn mutations(&self) -> Vec<String> {
        let inner = self.lock();
        inner.made.iter().filter(|made| made.effect == Effect::Mutates).map(|made| made.operation.clone()).collect()
    }

    /// Calls that the API's facts forbid, or that did another thing than their effect says. Always empty, or there is a
    /// bug.
    pub fn wrong(&self) -> Vec<String> {
        self.lock().wrong.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &Request) -> Result<Value, CallError> {
        let action = format!("{}:{}", request.service, request.operation);
        let mut inner = self.lock();
        let fault = inner.next_fault(&request.operation);
        let refused = |code: &str, message: &str| call_error(&action, code, message, 400, ErrorClass::Invalid);
        let mut made = Made {
            service: request.service.clone(),
            operation: request.operation.clone(),
            effect: request.effect,
            input: request.input.clone(),
            took_effect: false,
        };
        let result = match &fault {
            Some(FaultKind::Refused { class, code, status }) => {
                // Some providers repeat what they were sent.
                let message = format!("told to refuse {}", request.input);
                Err(call_error(&action, code, &message, *status, *class))
            }
            Some(FaultKind::RequestLost) => Err(unanswered(&action)),
            _ => inner.perform(&self.shared, request).map_err(|(code, message)| refused(&code, &message)),
        };
        made.took_effect = result.is_ok();
        inner.made.push(made);
        if matches!(fault, Some(FaultKind::ReplyLost)) {
            return Err(unanswered(&action));
        }
        result.map(|answer| answer.shown())
    }
}

impl Cloud for ModelCloud {
    /// A read is no point to die at: it changes nothing, so that it is the same death as after the change before it.
    async fn call(&self, request: Request) -> Result<Value, CallError> {
        if request.effect == Effect::Reads {
            return self.answer(&request);
        }
        self.kill.point().await;
        let answer = self.answer(&request);
        self.kill.point().await;
        answer
    }

    async fn identity(&self) -> Result<Identity, CallError> {
        Ok(Identity { account: ACCOUNT.to_owned(), partition: PARTITION.to_owned() })
    }
}

impl Inner {
    fn next_fault(&mut self, operation: &str) -> Option<FaultKind> {
        let fault = self.faults.iter_mut().find(|fault| fault.operation == operation && fault.times > 0)?;
        fault.times -= 1;
        Some(fault.kind.clone())
    }

    fn perform(&mut self, shared: &Shared, request: &Request) -> Answer {
        let input = Tree::from(request.input.clone());
        if request.service == "resourcegroupstaggingapi" && request.operation == "GetResources" {
            return Ok(self.tagged(shared, &request.region, &input));
        }
        let roles = shared.operations.roles(&request.service, &request.operation);
        // Who names nothing asks for all.
        let lists = || {
            roles.iter().find(|(_, role)| *role == Role::ListAll && input.as_object().is_some_and(BTreeMap::is_empty))
        };
        let meant = self.meant(roles, &input, &request.region).or_else(lists).or_else(|| roles.first());
        let Some((kind, role)) = meant.cloned() else {
            return self.protest(format!("no kind makes {}:{}", request.service, request.operation));
        };
        if role.effect() != request.effect {
            return self.protest(format!("{} went out as {:?}", request.operation, request.effect));
        }
        let shape = kind.api.operation(&request.operation).and_then(|operation| operation.input);
        if let Some(wrong) = shape.and_then(|shape| check::wrong(&input, &kind.api, shape, &request.operation)) {
            return self.protest(wrong);
        }
        match role.effect() {
            Effect::Reads => self.read(&kind, role, &input, &request.region),
            Effect::Mutates => {
                let before = self.resources.clone();
                // One call may be about several things.
                let all: Vec<Role> =
                    roles.iter().filter(|(of, _)| Arc::ptr_eq(of, &kind)).map(|(_, role)| *role).collect();
                let said = all.iter().filter(|role| all.len() == 1 || says(&kind, **role, &input)).copied().collect();
                let result = self.change(&kind, said, &input, &request.region);
                if result.is_ok() && self.behaviour.lag > 0 {
                    self.before = Some((before, self.behaviour.lag));
                }
                result
            }
        }
    }

    /// Refuses a call that should never have been made, and remembers it.
    fn protest(&mut self, wrong: String) -> Answer {
        self.wrong.push(wrong.clone());
        Err(("ValidationException".to_owned(), wrong))
    }

    /// Of the kinds that share an operation, the one whose resource the input names.
    fn meant<'a>(&self, roles: &'a [(Arc<Kind>, Role)], input: &Tree, region: &str) -> Option<&'a (Arc<Kind>, Role)> {
        roles.iter().find(|(kind, role)| self.position(kind, *role, input, region).is_some())
    }

    /// The one resource that a call names.
    pub(crate) fn position(&self, kind: &Kind, role: Role, input: &Tree, region: &str) -> Option<usize> {
        let call = template(kind, role)?;
        self.resources.iter().position(|resource| {
            resource.kind == kind.name() && resource.is_in(kind, region) && resource.is_meant(kind, call, input)
        })
    }

    /// What reads see: the cloud, or for a while the cloud as it was.
    fn seen(&mut self) -> Vec<Resource> {
        match &mut self.before {
            Some((before, left)) if *left > 0 => {
                *left -= 1;
                before.clone()
            }
            _ => self.resources.clone(),
        }
    }

    fn read(&mut self, kind: &Kind, role: Role, input: &Tree, region: &str) -> Answer {
        let Some(template) = template(kind, role) else { return Err(absent(kind)) };
        let seen = self.seen();
        let named: Vec<&Resource> = seen
            .iter()
            .filter(|one| one.kind == kind.name() && one.is_in(kind, region))
            .filter(|one| one.is_meant(kind, template, input))
            .collect();
        let answers = Answers { kind, behaviour: &self.behaviour };
        let addressed = template.inputs.iter().any(|(_, source)| crate::resource::is_address(source));
        let answer = match (role, named.as_slice()) {
            (Role::Read, named) if !named.is_empty() || !addressed => answers.body_read(named),
            // A list of a parent's elements: the parent is looked for by nobody.
            (Role::Find, named) => match &kind.recovery {
                cso_schema::kind::Recovery::Natural(finder) => answers.listed(finder, named),
                _ => Tree::object(),
            },
            (Role::ListAll, named) => match &kind.list {
                Some(listing) => answers.list_all(listing, named),
                None => Tree::object(),
            },
            (Role::Lookup, [one, ..]) if one.life == Life::Alive => match &kind.identity.lookup {
                Some(lookup) => Answers::looked_up(one, &lookup.out),
                None => Tree::object(),
            },
            (Role::PartRead(position), [one, ..]) => match answers.part_read(position, one) {
                Some(answer) => answer,
                None => return Err(not_set(kind, position)),
            },
            (Role::List(position), [one, ..]) => answers.list(position, one),
            (Role::Get(position), [one, ..]) => match answers.get(position, one, input) {
                Some(answer) => answer,
                None => return Err(absent(kind)),
            },
            (Role::TagRead, [one, ..]) => answers.tag_read(one),
            _ => return Err(absent(kind)),
        };
        if let (Role::Read, Some(position)) = (role, self.position(kind, role, input, region)) {
            self.resources[position].busy = self.resources[position].busy.saturating_sub(1);
        }
        Ok(answer)
    }

    /// The tagging API: resources of a type with a tag, soft-deleted ones among them.
    fn tagged(&mut self, shared: &Shared, region: &str, input: &Tree) -> Tree {
        let texts = |tree: Option<&Tree>| -> Vec<String> {
            tree.and_then(Tree::as_list)
                .unwrap_or_default()
                .iter()
                .filter_map(Tree::as_str)
                .map(str::to_owned)
                .collect()
        };
        let types = texts(input.member("ResourceTypeFilters"));
        let filters = input.member("TagFilters").and_then(Tree::as_list).unwrap_or_default();
        let has = |resource: &Resource, filter: &Tree| {
            let values = texts(filter.member("Values"));
            let tag = filter.member("Key").and_then(Tree::as_str).and_then(|key| resource.tags.get(key));
            tag.and_then(Tree::as_str).is_some_and(|tag| values.is_empty() || values.iter().any(|value| value == tag))
        };
        let is_of_type = |resource: &Resource| {
            let kind = shared.kinds.iter().find(|kind| kind.name() == resource.kind);
            kind.is_some_and(|kind| types.contains(&format!("{}:{}", kind.service, kind.name().to_lowercase())))
        };
        let pair = |(key, value): (&String, &Tree)| {
            Tree::Object(BTreeMap::from([("Key".to_owned(), Tree::text(key)), ("Value".to_owned(), value.clone())]))
        };
        let listed = self.seen().into_iter().filter(|one| one.region == region && is_of_type(one));
        let mapped = listed.filter(|one| filters.iter().all(|filter| has(one, filter))).map(|one| {
            let arn = one.arn().map_or(Tree::Null, Tree::text);
            let tags = Tree::List(one.tags.iter().map(pair).collect());
            Tree::Object(BTreeMap::from([("ResourceARN".to_owned(), arn), ("Tags".to_owned(), tags)]))
        });
        Tree::Object(BTreeMap::from([("ResourceTagMappingList".to_owned(), Tree::List(mapped.collect()))]))
    }
}

mod change;

pub(crate) fn absent(kind: &Kind) -> Refusal {
    let code = kind.errors.absent.first().map_or("NotFound", String::as_str);
    (code.to_owned(), format!("there is no such {}", kind.name()))
}

fn not_set(kind: &Kind, position: usize) -> Refusal {
    use cso_schema::kind::PartRead;
    let code = match kind.parts.get(position).map(|part| &part.read) {
        Some(PartRead::Own { none, .. }) => none.first().cloned(),
        _ => None,
    };
    (code.unwrap_or_default(), "it is not set".to_owned())
}

/// The first code of a class in the kind's table.
fn code_of(kind: &Kind, class: ErrorClass) -> Option<String> {
    kind.errors.classes.iter().find(|(_, found)| **found == class).map(|(code, _)| code.clone())
}

fn leaves_tombstone(kind: &Kind) -> bool {
    kind.tombstone.is_some() || kind.states.iter().any(|axis| axis.classes.values().any(|state| *state == State::Gone))
}

fn pause_after_delete(kind: &Kind) -> Option<(&String, &Duration)> {
    kind.errors.later.iter().next()
}
