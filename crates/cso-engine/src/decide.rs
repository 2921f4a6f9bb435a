//! The decision: a pure function from what is wanted, seen and remembered to what to do next.
//!
//! No I/O, no await, no clock but the `now` it is given, and no way to fail: a descriptor that could make it fail does
//! not compile. The same function makes the plan that people read and the step that the driver executes.
//!
//! ```text
//! open create intent -> believe it is ours, or wait until it must be visible
//! deleting           -> prove ownership, delete, see it gone
//! absent             -> create          present, not ours -> refuse, adopt or take back
//! busy               -> wait            different -> steps, one mutating call a turn
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cso_core::{
    Difference, Digest, DigestKey, ErrorClass, Intent, ObjectKey, OwnerMark, Ownership, Plan, Record, Step, Tree, Verb,
};
use cso_schema::fill::{Load, Subject, Surroundings, Unfilled};
use cso_schema::kind::{Kind, Recovery, Shape, State};
use cso_schema::observe::{Observation, Seen};
use jiff::Timestamp;
use serde_json::Value;

use crate::dialect::{Adoption, Deletion, Policies};
use crate::differ::{self, Wish};
use crate::ignore;

/// Reason of a wait that only a person or another system can end.
pub const WAITING_FOR_OTHERS: &str = "WaitingForOthers";

/// How long a busy resource is left alone.
const BUSY_PAUSE: Duration = Duration::from_secs(5);

/// Places in [`Record::writes`] beside differences: our create and our delete, until what they did is seen.
pub(crate) const CREATED: &str = "create";
pub(crate) const DELETED: &str = "delete";

/// Everything a decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    pub kind: &'a Kind,
    pub key: &'a ObjectKey,
    /// The wish: references resolved, or holes where a plan looks ahead; secrets as holes.
    pub spec: &'a Tree,
    pub deleting: bool,
    pub policies: &'a Policies,
    pub options: &'a BTreeMap<String, Value>,
    pub surroundings: &'a Surroundings,
    pub observation: &'a Observation,
    pub record: &'a Record,
    /// The mark that our store puts on this object's resource.
    pub mark: &'a OwnerMark,
    /// Tags every resource of ours carries, besides the mark.
    pub default_tags: &'a BTreeMap<String, String>,
    pub digest_key: &'a DigestKey,
    /// Overrides the kinds' consistency windows, for clouds that are known to answer at once.
    pub consistency: Option<Duration>,
    pub now: Timestamp,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// As wanted. `notes` tell what is left alone, and why.
    Settle(Settled),
    /// Something else must happen first; look again after `after` at the latest.
    Wait { reason: &'static str, message: String, after: Duration },
    /// The resource is ours: remember why. No call is made.
    Own { how: Ownership, message: String },
    /// Make the first step's call, then ask again.
    Act(Plan),
    /// A person must change something.
    Blocked { class: ErrorClass, reason: &'static str, message: String },
    /// Let go of the resource without touching it.
    Release { message: String },
    /// The resource is gone: forget the object.
    Gone,
}

/// What a settled object's record should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    pub notes: Vec<String>,
    /// Digests of every wish that holds now.
    pub applied: BTreeMap<String, Digest>,
    /// Provider's choices for fields that the dialect shows.
    pub late: BTreeMap<String, Tree>,
    /// Places in [`Record::writes`] that still differ after repeated writes, and must not be forgotten.
    pub stuck: BTreeSet<String>,
}

impl Input<'_> {
    /// How long an old answer may be given after a write.
    pub fn window(&self, of_kind: Duration) -> Duration {
        self.consistency.unwrap_or(of_kind)
    }

    fn since(&self, then: Timestamp) -> Duration {
        self.now.duration_since(then).try_into().unwrap_or(Duration::ZERO)
    }

    /// What calls are filled from, with the status as far as it is known.
    pub fn subject<'a>(&'a self, status: &'a Tree, made_by: Option<usize>) -> Subject<'a> {
        Subject {
            kind: self.kind,
            spec: self.spec,
            chosen: &self.record.late,
            status,
            surroundings: self.surroundings,
            options: self.options,
            made_by,
            token: self.record.intent.as_ref().and_then(|intent| intent.token.as_deref()),
        }
    }

    /// Tags that the resource should carry.
    pub fn tags(&self) -> BTreeMap<String, Tree> {
        let mut tags: BTreeMap<String, Tree> =
            self.default_tags.iter().map(|(key, value)| (key.clone(), Tree::text(value))).collect();
        tags.extend(self.owner_mark().map(|mark| (cso_core::owner::OWNER_TAG.to_owned(), Tree::text(mark))));
        tags.extend(self.kind.wished_tags(self.spec).unwrap_or_default());
        tags
    }

    /// The mark on our resource: our own, or the one of the lost state it was taken back from, or none.
    fn owner_mark(&self) -> Option<String> {
        match &self.record.ownership {
            Ownership::TakenBack { mark } => Some(mark.clone()),
            Ownership::TakenOver => None,
            _ => Some(self.mark.to_string()),
        }
    }
}

/// Decides.
pub fn decide(input: &Input<'_>) -> Decision {
    if !input.observation.rivals.is_empty() {
        return Decision::Blocked {
            class: ErrorClass::NotOurs,
            reason: "Ambiguous",
            message: format!(
                "more than one resource may be this object's: {}; remove the mark from all but one, or adopt one",
                input.observation.rivals.join(", ")
            ),
        };
    }
    if let Some(blocked) = renamed(input) {
        return blocked;
    }
    let status = known_status(input);
    let body = match &input.observation.body {
        Seen::Unknown(why) => {
            return Decision::Wait { reason: "ReadFailed", message: why.clone(), after: Duration::from_secs(30) };
        }
        Seen::Value(body) => is_there(input, body).then_some(body),
        Seen::Absent | Seen::NotAsked => None,
    };
    if input.deleting {
        return decide_delete(input, body, &status);
    }
    let Some(body) = body else { return decide_absent(input, &status) };
    match ownership(input) {
        Claim::Ours => decide_present(input, body, &status),
        Claim::Take(how, message) => Decision::Own { how, message },
        Claim::NotYet(message) => Decision::Wait { reason: "Recovering", message, after: Duration::from_secs(5) },
        Claim::Foreign(message) => Decision::Blocked { class: ErrorClass::NotOurs, reason: "NotOurs", message },
    }
}

/// A resource of ours, and a wish that names another one. Everything below would look at that other one: our own would be
/// forgotten, and a stranger's taken for ours.
fn renamed(input: &Input<'_>) -> Option<Decision> {
    if !input.record.ownership.is_ours() {
        return None;
    }
    let names = input.kind.address_fields().filter_map(|path| path.split_first().map(|(name, _)| name));
    let changed = |name: &&str| {
        let applied = input.record.applied.get(*name);
        applied.is_some() && applied != differ::wish(input, name).as_ref()
    };
    let name = names.into_iter().find(changed)?;
    let remedy = if input.deleting { "" } else { ", or delete the object and create it anew" };
    Some(Decision::Blocked {
        class: ErrorClass::Invalid,
        reason: "NeedsReplacement",
        message: format!(
            "{} cannot be changed after creation, and the resource has another name; put the old value back{remedy}",
            spec_path(name)
        ),
    })
}

/// The remembered status with what was just found laid over it.
fn known_status(input: &Input<'_>) -> Tree {
    let mut status = Tree::from(&input.record.status);
    if let (Tree::Object(known), Tree::Object(found)) = (&mut status, input.kind.status_of(input.observation)) {
        known.extend(found);
    }
    status
}

/// How long after a create of unknown outcome its resource must be visible to how it is looked for.
fn recovery_window(input: &Input<'_>) -> Duration {
    input.window(match &input.kind.recovery {
        Recovery::OwnerTag { window, .. } => *window,
        Recovery::Name | Recovery::Natural(_) => input.kind.consistency,
        // The same call again answers with the same resource.
        Recovery::Token => Duration::ZERO,
    })
}

/// How long an answer that our new resource is absent is still not believed.
fn not_yet_visible(input: &Input<'_>) -> Option<Duration> {
    let created = input.record.writes.get(CREATED).filter(|_| !input.record.writes.contains_key(DELETED))?;
    let left = input.window(input.kind.consistency).saturating_sub(input.since(created.at));
    (!left.is_zero()).then(|| left.min(Duration::from_secs(2)))
}

fn wait_to_see(after: Duration) -> Decision {
    let message = "the resource was made; waiting until it can be seen".to_owned();
    Decision::Wait { reason: "Settling", message, after }
}

/// Whether an answer means that the resource exists: not in a state that is as good as gone, not soft-deleted.
fn is_there(input: &Input<'_>, body: &Tree) -> bool {
    input.kind.state(body).0 != State::Gone && !is_tombstone(input.kind, body)
}

fn is_tombstone(kind: &Kind, body: &Tree) -> bool {
    kind.tombstone.as_ref().is_some_and(|path| body.at(path).is_some())
}

/// The open intent of a create whose outcome is not known.
fn open_create<'a>(input: &Input<'a>) -> Option<&'a Intent> {
    input.record.intent.as_ref().filter(|intent| intent.verb == Verb::Create)
}

enum Claim {
    Ours,
    Take(Ownership, String),
    NotYet(String),
    Foreign(String),
}

/// Whose resource was seen. Only called when one was.
fn ownership(input: &Input<'_>) -> Claim {
    let seen = seen_mark(input);
    if input.record.ownership.is_ours() {
        return match seen {
            Some(mark) if mark != *input.mark && Some(mark.to_string()) != input.owner_mark() => {
                Claim::Foreign(format!(
                    "the resource now carries the owner mark `{mark}`, not ours: somebody else manages it; \
                 remove the tag `{}` if that is wrong",
                    cso_core::owner::OWNER_TAG
                ))
            }
            _ => Claim::Ours,
        };
    }
    if let Some(mark) = &seen
        && mark == input.mark
    {
        // Without the intent of its create, the record has lost what was applied: it is believed, as of any lost state.
        let how = match open_create(input) {
            Some(_) => Ownership::Created,
            None => Ownership::TakenBack { mark: mark.to_string() },
        };
        return Claim::Take(how, "found again by its owner mark".to_owned());
    }
    if let Some(intent) = open_create(input) {
        // The resource was absent when the intent was opened. A kind that can carry our mark would carry it.
        if !input.kind.can_be_marked() {
            return Claim::Take(Ownership::Created, "our own create took effect".to_owned());
        }
        if seen.is_none()
            && matches!(input.observation.tags, Seen::Value(_) | Seen::Unknown(_))
            && input.since(intent.opened) < input.window(input.kind.consistency)
        {
            return Claim::NotYet("the resource exists; waiting until its tags can be believed".to_owned());
        }
    }
    if let Some(mark) = &seen {
        if mark.same_object(input.mark) && input.policies.take_back {
            return Claim::Take(
                Ownership::TakenBack { mark: mark.to_string() },
                format!("taken back from the lost state {}", mark.state()),
            );
        }
    } else if input.policies.take_back && !input.kind.can_be_marked() {
        return Claim::Take(
            Ownership::TakenBack { mark: input.mark.to_string() },
            "taken back; resources of this kind carry no mark".to_owned(),
        );
    }
    if input.policies.adoption.is_some() {
        return Claim::Take(Ownership::Adopted, "adopted".to_owned());
    }
    if input.policies.read_only {
        return Claim::Ours;
    }
    Claim::Foreign(foreign_message(seen.as_ref(), input))
}

fn foreign_message(mark: Option<&OwnerMark>, input: &Input<'_>) -> String {
    match mark {
        Some(mark) if mark.same_object(input.mark) => format!(
            "the resource exists and carries the mark of this object in another state ({}); \
             run `cso apply --take-back` if that state is lost, or use that state file",
            mark.state()
        ),
        Some(mark) => format!(
            "the resource exists and belongs to another object ({mark}); choose another name, or delete it there first"
        ),
        None => "the resource exists already and was not made by this object; \
                 annotate services.k8s.aws/adoption-policy: adopt to manage it, or choose another name"
            .to_owned(),
    }
}

fn seen_mark(input: &Input<'_>) -> Option<OwnerMark> {
    mark_in(&input.observation.tags)
}

/// The owner mark among the tags that were seen.
pub(crate) fn mark_in(tags: &Seen) -> Option<OwnerMark> {
    let Seen::Value(tags) = tags else { return None };
    tags.member(cso_core::owner::OWNER_TAG).and_then(Tree::as_str).and_then(OwnerMark::parse)
}

fn decide_absent(input: &Input<'_>, status: &Tree) -> Decision {
    if let Seen::Value(body) = &input.observation.body
        && is_tombstone(input.kind, body)
        && input.kind.is_named_by_user()
    {
        return Decision::Blocked {
            class: ErrorClass::Conflict,
            reason: "ScheduledForDeletion",
            message: "a deleted resource of this name is still kept by the provider; \
                      restore it there, or wait until it is gone"
                .to_owned(),
        };
    }
    if let Some(after) = not_yet_visible(input) {
        return wait_to_see(after);
    }
    if let Some(intent) = open_create(input) {
        let window = recovery_window(input);
        let left = window.saturating_sub(input.since(intent.opened));
        if !left.is_zero() {
            return Decision::Wait {
                reason: "Recovering",
                message: format!(
                    "an earlier create may have taken effect; looking for its resource for {} s before making one",
                    window.as_secs()
                ),
                after: left.min(Duration::from_secs(5)),
            };
        }
    }
    if input.policies.read_only {
        return missing("the resource is read-only here and does not exist");
    }
    if input.policies.adoption == Some(Adoption::Adopt) && input.record.ownership != Ownership::Created {
        return missing("the resource to adopt does not exist");
    }
    match create_plan(input, status) {
        Ok(plan) => Decision::Act(plan),
        Err(unfilled) => unfilled_decision(&unfilled),
    }
}

fn missing(message: &str) -> Decision {
    Decision::Blocked { class: ErrorClass::Waiting, reason: "NotFound", message: message.to_owned() }
}

fn unfilled_decision(unfilled: &Unfilled) -> Decision {
    Decision::Blocked { class: ErrorClass::Invalid, reason: "MissingValue", message: unfilled.to_string() }
}

/// Create, then what the create cannot carry.
fn create_plan(input: &Input<'_>, _status: &Tree) -> Result<Plan, Unfilled> {
    let kind = input.kind;
    // What an earlier life left in the status names a resource that is gone.
    let nothing = Tree::object();
    let subject = input.subject(&nothing, None);
    let tags = input.tags();
    // A list of nothing is what a new resource has anyway, and some calls refuse to be told so.
    let is_said = |name: &&String| {
        let empty = input.spec.member(name).is_some_and(|value| value.as_list() == Some(&[]));
        !empty || differ::is_required(kind, &kind.create, name)
    };
    let fields: BTreeSet<String> = kind.fields.keys().filter(is_said).cloned().collect();
    let call = subject.fill(&kind.create, &Load { fields: Some(&fields), tags: Some(&tags), ..Load::default() })?;
    let carried = kind.create.carries.iter().map(|carried| carried.field.as_str());
    let changes = differ::first_writes(input, carried);
    let mut steps = vec![Step { verb: Verb::Create, part: "body".to_owned(), call, changes, note: None }];
    let after = input.subject(&nothing, Some(1));
    for (position, part) in kind.parts.iter().enumerate().filter(|(_, part)| !part.at_create) {
        let wish = Wish { input, subject: &after, observation: &Observation::nothing(), fresh: true };
        if differ::applies(&wish, part) {
            steps.extend(differ::part_steps(&wish, position)?.writes);
        }
    }
    Ok(Plan { verb: Verb::Create, steps, notes: Vec::new() })
}

fn decide_present(input: &Input<'_>, body: &Tree, status: &Tree) -> Decision {
    let (state, value) = input.kind.state(body);
    let blocked = match state {
        State::Ready | State::Gone => None,
        State::Busy => {
            Some(Decision::Wait { reason: "Busy", message: format!("the resource is {value}"), after: BUSY_PAUSE })
        }
        State::Waiting(sentence) => {
            Some(Decision::Wait { reason: WAITING_FOR_OTHERS, message: sentence, after: Duration::from_secs(60) })
        }
        State::Failed => Some(Decision::Blocked {
            class: ErrorClass::Invalid,
            reason: "ResourceFailed",
            message: format!("the provider says the resource is {value}"),
        }),
    };
    if let Some(blocked) = blocked {
        return blocked;
    }
    let (spec, ignored) = ignore::overlay(input);
    let compared = Input { spec: &spec, ..*input };
    let subject = compared.subject(status, None);
    let wish = Wish { input: &compared, subject: &subject, observation: input.observation, fresh: false };
    let found = match differ::differences(&wish) {
        Ok(found) => found,
        Err(unfilled) => return unfilled_decision(&unfilled),
    };
    if let Some(difference) = found.replaces.first() {
        return Decision::Blocked {
            class: ErrorClass::Invalid,
            reason: "NeedsReplacement",
            message: format!(
                "{} cannot be changed after creation ({}); put the old value back, or delete the object and create it anew",
                difference.path,
                differ::change_text(difference)
            ),
        };
    }
    let mut notes = ignored;
    notes.extend(found.notes);
    if input.policies.read_only {
        notes.extend(
            found
                .steps
                .iter()
                .flat_map(|step| &step.changes)
                .map(|change| format!("read-only: {} differs ({})", change.path, differ::change_text(change))),
        );
        return settled(input, notes, BTreeSet::new());
    }
    let mut stuck = BTreeSet::new();
    match guarded(input, found.steps, &mut notes, &mut stuck) {
        Err(wait) => wait,
        Ok(steps) if steps.is_empty() => settled(input, notes, stuck),
        Ok(steps) => Decision::Act(Plan { verb: Verb::Update, steps, notes }),
    }
}

/// The steps that may be made now; or a wait until the effect of an earlier one must be seen.
fn guarded(
    input: &Input<'_>,
    steps: Vec<Step>,
    notes: &mut Vec<String>,
    stuck: &mut BTreeSet<String>,
) -> Result<Vec<Step>, Decision> {
    let mut allowed = Vec::new();
    // Places that hold one thing, which could not be taken out: what should take its place is not sent.
    let mut occupied = BTreeSet::new();
    for step in steps {
        if step.changes.iter().any(|change| occupied.contains(&change.path)) {
            continue;
        }
        match guard(input, &step) {
            Guard::Go => allowed.push(step),
            Guard::Settling(after) => {
                return Err(Decision::Wait {
                    reason: "Settling",
                    message: format!("{} was sent; waiting until the answer shows it", step.call.operation),
                    after,
                });
            }
            Guard::Stuck => {
                notes.extend(step.changes.iter().map(|change| {
                    format!(
                        "{} still differs after two updates ({}): left alone until the object or the resource changes",
                        change.path,
                        differ::change_text(change)
                    )
                }));
                stuck.extend(step.changes.iter().map(|change| written_as(&step, change)));
                let one = step.changes.iter().filter(|change| change.to.is_none());
                let one = one.filter(|change| change.from.as_ref().is_some_and(|from| from.as_list().is_none()));
                occupied.extend(one.map(|change| change.path.clone()));
            }
        }
    }
    Ok(allowed)
}

fn settled(input: &Input<'_>, notes: Vec<String>, stuck: BTreeSet<String>) -> Decision {
    let mut applied = differ::wishes(input);
    // What could not be taken out is still there, and ours.
    for place in &stuck {
        let element = place.split_once(" spec.").and_then(|(_, path)| path.split_once('['));
        if let Some((field, digest)) = element.and_then(|(field, _)| input.record.applied.get_key_value(field)) {
            applied.entry(field.clone()).or_insert_with(|| digest.clone());
        }
    }
    ignore::keep_applied(input, &mut applied);
    Decision::Settle(Settled { notes, applied, late: differ::late(input), stuck })
}

enum Guard {
    Go,
    Settling(Duration),
    Stuck,
}

/// The same differences again: first give the provider time to show the last write, then write once more, then stop.
/// One difference that was not written yet is reason enough to write.
fn guard(input: &Input<'_>, step: &Step) -> Guard {
    let window = input.window(input.kind.consistency);
    if let Some(intent) = in_doubt(input, step) {
        let left = window.saturating_sub(input.since(intent.opened));
        if !left.is_zero() {
            return Guard::Settling(left.min(Duration::from_secs(2)));
        }
    }
    let written = |change: &Difference| {
        let written = input.record.writes.get(&written_as(step, change))?;
        (written.digest == change_digest(input.digest_key, change)).then_some(written)
    };
    let Some(written) = step.changes.iter().map(written).collect::<Option<Vec<_>>>() else { return Guard::Go };
    let Some(waited) = written.iter().map(|written| input.since(written.at)).min() else { return Guard::Go };
    if waited < window {
        return Guard::Settling(window.saturating_sub(waited).min(Duration::from_secs(2)));
    }
    if written.iter().all(|written| written.count >= 2) { Guard::Stuck } else { Guard::Go }
}

/// The open intent of this very call, if it may have taken effect and cannot be made twice: an element that is added again
/// is refused, a revision that is added again costs another one its place.
fn in_doubt<'a>(input: &Input<'a>, step: &Step) -> Option<&'a Intent> {
    let (name, _) = step.part.rsplit_once('.')?;
    let part = input.kind.parts.iter().find(|part| part.name == name)?;
    let once = matches!(part.shape, Shape::Table(_) | Shape::Revisions(_));
    input.record.intent.as_ref().filter(|intent| once && intent.digest == call_digest(input.digest_key, step))
}

/// The place of a difference in [`Record::writes`]. A table removes and adds below one path.
pub(crate) fn written_as(step: &Step, change: &Difference) -> String {
    format!("{} {}", step.part, change.path)
}

/// Digest of a difference: the same value seen and the same wished again has the same digest, whoever caused it.
pub fn change_digest(key: &DigestKey, change: &Difference) -> Digest {
    key.digest(&change.path, &serde_json::json!([change.from, change.to]))
}

/// Digest of a call with its holes in place.
pub fn call_digest(key: &DigestKey, step: &Step) -> Digest {
    key.digest(&step.part, &Value::Array(vec![step.call.operation.clone().into(), step.call.input.shown()]))
}

fn decide_delete(input: &Input<'_>, body: Option<&Tree>, status: &Tree) -> Decision {
    if input.policies.deletion == Deletion::Retain {
        return Decision::Release { message: "the resource is kept: its deletion policy is retain".to_owned() };
    }
    if input.policies.read_only {
        return Decision::Release { message: "the resource is kept: it is read-only here".to_owned() };
    }
    let intent = open_create(input);
    if !input.record.ownership.is_ours() && intent.is_none() {
        return Decision::Release { message: "no resource was made or adopted for this object".to_owned() };
    }
    let Some(body) = body else {
        if let Some(after) = not_yet_visible(input) {
            return wait_to_see(after);
        }
        // A create may still come to light: do not forget it before it must have.
        if let Some(intent) = intent {
            let left = recovery_window(input).saturating_sub(input.since(intent.opened));
            if !left.is_zero() {
                return Decision::Wait {
                    reason: "Recovering",
                    message: "an earlier create may have taken effect; looking for its resource before forgetting it"
                        .to_owned(),
                    after: left.min(Duration::from_secs(5)),
                };
            }
        }
        return Decision::Gone;
    };
    match ownership(input) {
        Claim::Ours => {}
        Claim::Take(how, message) => return Decision::Own { how, message },
        Claim::NotYet(message) => {
            return Decision::Wait { reason: "Recovering", message, after: Duration::from_secs(5) };
        }
        Claim::Foreign(message) => {
            return Decision::Release { message: format!("the resource is not touched: {message}") };
        }
    }
    let subject = input.subject(status, None);
    let delete = input.kind.delete.iter().map(|delete| {
        let call = subject.fill(delete, &Load::default())?;
        Ok(Step { verb: Verb::Delete, part: "body".to_owned(), call, changes: Vec::new(), note: None })
    });
    let delete: Vec<Step> = match delete.collect::<Result<_, _>>() {
        Ok(delete) => delete,
        Err(unfilled) => return unfilled_decision(&unfilled),
    };
    let window = input.window(input.kind.consistency);
    if let Some(written) = input.record.writes.get(DELETED) {
        let waited = input.since(written.at);
        let goes = input.kind.state(body).0 == State::Busy;
        if goes || waited < window {
            return wait_until_gone(if goes {
                BUSY_PAUSE
            } else {
                window.saturating_sub(waited).min(Duration::from_secs(2))
            });
        }
    }
    let wish = Wish { input, subject: &subject, observation: input.observation, fresh: false };
    let mut notes = Vec::new();
    let emptying = match differ::emptying(&wish, &mut notes) {
        Ok(steps) => steps,
        Err(unfilled) => return unfilled_decision(&unfilled),
    };
    match guarded(input, emptying, &mut notes, &mut BTreeSet::new()) {
        Err(wait) => wait,
        Ok(mut steps) => {
            steps.extend(delete);
            // What is gone once it is empty, and is not gone yet.
            if steps.is_empty() {
                return wait_until_gone(BUSY_PAUSE);
            }
            Decision::Act(Plan { verb: Verb::Delete, steps, notes })
        }
    }
}

fn wait_until_gone(after: Duration) -> Decision {
    let message = "the delete was accepted; waiting until the resource is gone".to_owned();
    Decision::Wait { reason: "Deleting", message, after }
}

/// A path below `spec`, as people read it.
pub(crate) fn spec_path(name: &str) -> String {
    format!("spec.{name}")
}
