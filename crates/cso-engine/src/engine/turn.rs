//! One turn of one object: prepare, observe, decide, act, remember.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cso_core::export::is_export;
use cso_core::port::{Change, Clock, Cloud, Effect, EventKind, Purpose, Reach, Request, Secrets, Store, StoreError};
use cso_core::record::Written;
use cso_core::tree::SecretSource;
use cso_core::{
    Call, CallError, Condition, Digest, ErrorClass, Hole, Intent, Object, ObjectKey, Outcome, Ownership, Plan, Record,
    Rival, Step, Tree, Verb,
};
use cso_schema::kind::Kind;
use cso_schema::observe::Observation;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tracing::{Instrument as _, Span, debug, info_span};

use super::looks::Look;
use super::prepare::{Prepared, UNOWNED, Unprepared};
use super::status::created_status;
use super::{Engine, Progress};
use crate::conditions::{SYNCED, Standing, conditions, reason};
use crate::decide::{CREATED, DELETED, Decision, Settled, call_digest, change_digest, decide, spec_path, written_as};
use crate::resolve::Mode;
use crate::{classify, differ, identity, read, resolve};

/// How long after a word of another controller he is told of.
const RIVAL_FOR: SignedDuration = SignedDuration::from_mins(10);

/// How a turn ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Something was done: look again at once.
    Again { fresh: bool },
    /// Nothing more to do until something changes.
    Settled,
    /// Look again after a while.
    Later { after: Duration, standing: Standing },
    /// A failure: look again after a pause that grows with failures in a row.
    Failed { class: ErrorClass, error: Option<CallError>, message: String },
    /// Waits for another object.
    WaitsFor { on: ObjectKey, standing: Standing },
    /// The object is no more.
    Forgotten,
}

impl Turn {
    /// In a word or two, for logs.
    const fn gist(&self) -> &'static str {
        match self {
            Self::Again { .. } => "acted",
            Self::Settled => "settled",
            Self::Later { .. } => "looks again later",
            Self::Failed { .. } => "failed",
            Self::WaitsFor { .. } => "waits for another object",
            Self::Forgotten => "forgotten",
        }
    }
}

/// Names the object in everything that is logged while it is worked on.
pub(super) fn span(key: &ObjectKey) -> Span {
    info_span!(
        target: "cso::turn",
        "object",
        kind = %format_args!("{}/{}", key.service(), key.kind),
        namespace = key.namespace,
        name = key.name
    )
}

impl<C: Cloud, S: Store, P: Secrets, K: Clock> Engine<C, S, P, K> {
    /// Works on one object once, in a tracing span that names it. `fresh`: we created its resource a moment ago.
    pub async fn turn(&self, key: &ObjectKey, purpose: Purpose, fresh: bool) -> Result<Turn, StoreError> {
        self.world().take_up(key);
        let work = async {
            let turn = match self.work(key, purpose, fresh).await {
                Err(error) if error.reach != Reach::Store => {
                    Ok(Turn::Failed { class: ErrorClass::Conflict, error: None, message: error.to_string() })
                }
                turn => turn,
            };
            let ended = turn.as_ref().map_or("without its store", Turn::gist);
            debug!(target: "cso::turn", ended, "turn");
            turn
        };
        let turn = work.instrument(span(key)).await;
        if !matches!(turn, Ok(Turn::Again { .. })) {
            self.world().lay_down(key);
        }
        turn
    }

    async fn work(&self, key: &ObjectKey, purpose: Purpose, fresh: bool) -> Result<Turn, StoreError> {
        if let Some(turn) = self.paused(key) {
            return self.stand(key, turn).await;
        }
        if is_export(key) {
            return self.turn_export(key).await;
        }
        let mut prepared = match self.prepare(key, Mode::Act, purpose).await {
            Ok(prepared) => prepared,
            Err(Unprepared::Forgotten) => return Ok(Turn::Forgotten),
            Err(Unprepared::Unowned) => return self.forget(key, UNOWNED.to_owned()).await,
            Err(Unprepared::Turn(turn)) => return self.stand(key, *turn).await,
        };
        let observation = match self.observe(&prepared, fresh).await {
            Ok(observation) => observation,
            Err(error) => {
                let turn = failed(&prepared.kind, error);
                return self.stand(key, turn).await;
            }
        };
        let decision = decide(&self.input(&prepared, &observation));
        if prepared.renamed.is_some() && is_nothing_of_ours(&decision) {
            return self.give_up_name(prepared).await;
        }
        match decision {
            Decision::Settle(settled) => self.settle(prepared, &observation, settled).await,
            Decision::Act(plan) => {
                let look = Look { parts: observation.parts, at: prepared.known.at };
                self.act(prepared, plan, look).await
            }
            Decision::Own { how, message } => {
                if how == Ownership::Created {
                    prepared.record.fulfil();
                }
                prepared.record.ownership = how;
                prepared.record.intent = None;
                prepared.learn(&observation);
                self.save(prepared.record, Some(("Owned", message.clone(), EventKind::Normal))).await?;
                self.tell(Progress::Owned { object: key.clone(), message });
                Ok(Turn::Again { fresh: false })
            }
            Decision::Wait { reason, message, after } => {
                let references = !prepared.kind.refs.is_empty() && prepared.has_references();
                let standing = Standing::Working { reason, message, references };
                self.stand_seen(prepared, &observation, Turn::Later { after, standing }).await
            }
            Decision::Blocked { class, message, .. } => {
                self.stand_seen(prepared, &observation, Turn::Failed { class, error: None, message }).await
            }
            Decision::Release { message } => self.forget(key, message).await,
            Decision::Gone => self.forget(key, "the resource is deleted".to_owned()).await,
        }
    }

    /// The create under the name before did not take effect, once it would be seen: from now on the new name counts.
    async fn give_up_name(&self, prepared: Prepared) -> Result<Turn, StoreError> {
        let mut record = prepared.record;
        let opened = record.intent.as_ref().map_or(Timestamp::MIN, |intent| intent.opened);
        let waited: Duration = self.ports.clock.now().duration_since(opened).try_into().unwrap_or_default();
        let window = prepared.consistency.unwrap_or(prepared.kind.consistency);
        if waited < window {
            let standing = Standing::Working {
                reason: "Recovering",
                message: "a create under the name before may have taken effect; looking for its resource".to_owned(),
                references: false,
            };
            let after = window.saturating_sub(waited).min(Duration::from_secs(5));
            return self.stand(&prepared.object.key, Turn::Later { after, standing }).await;
        }
        record.intent = None;
        record.wish.spec = resolve::without_secrets(&prepared.kind, Arc::clone(&prepared.object.spec));
        self.save(record, None).await?;
        Ok(Turn::Again { fresh: false })
    }

    /// Writes the intent, makes the first step's call, writes the outcome.
    async fn act(&self, mut prepared: Prepared, plan: Plan, look: Look) -> Result<Turn, StoreError> {
        let Some(step) = plan.steps.into_iter().next().map(Arc::new) else { return Ok(Turn::Settled) };
        let key = prepared.object.key.clone();
        let intent = self.intent(&prepared, &step);
        let sent_before = prepared.record.intent.as_ref().is_some_and(|open| open.verb == Verb::Create);
        prepared.record.intent = Some(intent.clone());
        let (input, secrets) = match self.fill(&step.call, &intent, &prepared) {
            Ok(filled) => filled,
            Err(message) => {
                return self.stand(&key, Turn::Failed { class: ErrorClass::Waiting, error: None, message }).await;
            }
        };
        self.save(prepared.record.clone(), None).await?;
        self.tell(Progress::Calling { object: key.clone(), step: Arc::clone(&step) });
        let request = Request {
            service: step.call.service.clone(),
            operation: step.call.operation.clone(),
            region: prepared.surroundings.region.clone(),
            namespace: key.namespace.clone(),
            input,
            effect: Effect::Mutates,
            purpose: prepared.purpose,
        };
        let result = self.ports.cloud.call(request).await.map_err(|mut error| {
            error.conceal(secrets);
            error
        });
        let error = result.as_ref().err().cloned();
        self.tell(Progress::Called { object: key.clone(), step: Arc::clone(&step), error });
        // What a delete looks at is less than what others need.
        if result.is_ok() && step.verb == Verb::Update && !prepared.object.deleting {
            self.looks.keep(&key, look, &step.part);
        }
        match result {
            Ok(answer) => self.succeeded(prepared, &step, intent.digest, answer).await,
            Err(error) => self.call_failed(prepared, &step, error, sent_before).await,
        }
    }

    /// The same attempt again keeps its token; another attempt gets another.
    fn intent(&self, prepared: &Prepared, step: &Step) -> Intent {
        let meta = self.ports.store.meta();
        let record = &prepared.record;
        let digest = call_digest(&meta.digest_key, step);
        let opened = self.ports.clock.now();
        let same = record.intent.as_ref().filter(|open| open.digest == digest && open.operation == step.call.operation);
        let new_token = || {
            let parts = ["call", &record.uid, &step.call.operation, &opened.as_nanosecond().to_string()];
            step.call.input.holes().contains(&&Hole::Token).then(|| meta.digest_key.token(&parts))
        };
        Intent {
            verb: step.verb,
            part: step.part.clone(),
            operation: step.call.operation.clone(),
            digest,
            token: same.map_or_else(new_token, |open| open.token.clone()),
            opened,
            generation: record.generation,
            applies: self.applies(prepared, step),
        }
    }

    /// What a call applies: the wishes it carries, and nothing for the fields it clears.
    fn applies(&self, prepared: &Prepared, step: &Step) -> BTreeMap<String, Option<Digest>> {
        let nothing = Observation::nothing();
        let wishes = differ::wishes(&self.input(prepared, &nothing));
        let tags = prepared.kind.tags.as_ref().map(|tags| tags.field.to_string());
        let is_tags = |name: &str| tags.as_deref() == Some(name);
        let mut applies = BTreeMap::new();
        for name in step.changes.iter().filter_map(|change| change.path.strip_prefix("spec.")) {
            // A tag is a wish of its own; an element is part of one.
            let element_of = name.split_once('[').map(|(field, _)| field).filter(|field| !is_tags(field));
            if let Some(field) = element_of {
                // There may be more elements to remove: nothing is given up before all are gone.
                applies.extend(wishes.get(field).map(|digest| (field.to_owned(), Some(digest.clone()))));
                continue;
            }
            applies.insert(name.to_owned(), wishes.get(name).cloned());
            if is_tags(name) {
                let each = wishes.iter().filter(|(place, _)| place.split('[').next().is_some_and(is_tags));
                applies.extend(each.map(|(place, digest)| (place.clone(), Some(digest.clone()))));
                applies.remove(name);
            }
        }
        applies
    }

    /// The call's input, and the secrets in it.
    fn fill(&self, call: &Call, intent: &Intent, prepared: &Prepared) -> Result<(Value, Vec<String>), String> {
        let mut secrets = Vec::new();
        let input = call.input.fill(&mut |hole| match hole {
            Hole::Token => intent.token.clone().map(Value::String).ok_or_else(|| "the call has no token".to_owned()),
            Hole::Secret { source, .. } => {
                let secret = self.secret(source, prepared)?;
                secrets.push(secret.clone());
                Ok(Value::String(secret))
            }
            Hole::Step { .. } | Hole::Reference { .. } => Err(format!("{hole} is not known yet")),
        })?;
        Ok((input, secrets))
    }

    fn secret(&self, source: &SecretSource, prepared: &Prepared) -> Result<String, String> {
        match source {
            SecretSource::Secret(source) => {
                let secret = resolve::secret(&prepared.secrets, &*self.world(), source);
                secret.map(|secret| secret.reveal().to_owned()).map_err(|error| error.to_string())
            }
            SecretSource::Spec { field } => {
                let secret = prepared.object.spec.get(field).and_then(Value::as_str);
                secret.map(str::to_owned).ok_or_else(|| format!("spec.{field} has no value"))
            }
        }
    }

    /// `digest`: that of the call.
    async fn succeeded(
        &self,
        mut prepared: Prepared,
        step: &Step,
        digest: Digest,
        answer: Value,
    ) -> Result<Turn, StoreError> {
        let now = self.ports.clock.now();
        prepared.record.fulfil();
        let event = match step.verb {
            Verb::Create => {
                prepared.record.ownership = Ownership::Created;
                // What an earlier life left behind names a resource that is gone.
                prepared.record.status.clear();
                prepared.record.writes.clear();
                prepared.record.writes.insert(CREATED.to_owned(), Written { digest, count: 1, at: now });
                let status = created_status(&prepared.kind, &Tree::from(answer));
                prepared.put_status(status);
                ("Created", format!("{} made the resource", step.call.operation), EventKind::Normal)
            }
            Verb::Update => {
                let write = prepared.kind.writes().find(|write| write.call.operation == step.call.operation);
                if let Some(update) = write {
                    let mut status = Tree::from(&prepared.record.status);
                    read::lay_over(&mut status, &read::outs(&Tree::from(answer), &update.out));
                    prepared.put_status(status);
                }
                for change in &step.changes {
                    let digest = change_digest(&self.ports.store.meta().digest_key, change);
                    let place = written_as(step, change);
                    let before = prepared.record.writes.get(&place).filter(|before| before.digest == digest);
                    let count = before.map_or(1, |before| before.count + 1);
                    prepared.record.writes.insert(place, Written { digest, count, at: now });
                }
                let paths: Vec<&str> = step.changes.iter().map(|change| change.path.as_str()).collect();
                ("Updated", format!("{}: {}", step.call.operation, paths.join(", ")), EventKind::Normal)
            }
            Verb::Delete => {
                prepared.record.writes.insert(DELETED.to_owned(), Written { digest, count: 1, at: now });
                ("Deleting", format!("{} was accepted", step.call.operation), EventKind::Normal)
            }
        };
        self.close(prepared.record, event).await?;
        Ok(Turn::Again { fresh: step.verb == Verb::Create })
    }

    /// `sent_before`: an earlier create of unknown outcome was looked for in vain before this one was sent.
    async fn call_failed(
        &self,
        mut prepared: Prepared,
        step: &Step,
        error: CallError,
        sent_before: bool,
    ) -> Result<Turn, StoreError> {
        // To an update the same answer may mean that what it refers to is absent: that is waited for.
        let gone = step.verb == Verb::Delete && classify::is_absent(&prepared.kind.errors, &error);
        // "It exists" after an earlier create of ours means that the earlier one came to light: its intent stays open.
        let came_to_light = sent_before && classify::class(&prepared.kind.errors, &error) == ErrorClass::NotOurs;
        if error.outcome == Outcome::Refused && !came_to_light {
            prepared.record.intent = None;
        }
        // A look may show for a while what is deleted. Deleting it over and over would not help.
        let still_shown = gone && prepared.record.writes.contains_key(DELETED);
        if gone {
            let digest = call_digest(&self.ports.store.meta().digest_key, step);
            let at = self.ports.clock.now();
            prepared.record.writes.insert(DELETED.to_owned(), Written { digest, count: 1, at });
        }
        if still_shown {
            let message = "the provider shows the resource and says that it does not exist".to_owned();
            let turn = Turn::Failed { class: ErrorClass::Transient, error: Some(error), message };
            return self.stand_with(&prepared.object, Some(prepared.record), turn).await;
        }
        if gone || came_to_light {
            // Somebody deleted it meanwhile: the next look will tell what that means.
            self.save(prepared.record, None).await?;
            return Ok(Turn::Again { fresh: false });
        }
        let turn = failed(&prepared.kind, error);
        self.stand_with(&prepared.object, Some(prepared.record), turn).await
    }

    async fn settle(
        &self,
        mut prepared: Prepared,
        observation: &Observation,
        settled: Settled,
    ) -> Result<Turn, StoreError> {
        prepared.learn(observation);
        let references = prepared.has_references();
        let Prepared { kind, object, mut record, .. } = prepared;
        record.intent = None;
        record.applied = settled.applied;
        let late = Tree::Object(settled.late);
        if let Value::Object(late) = late.shown() {
            record.late = late;
        }
        record.writes.retain(|place, _| settled.stuck.contains(place));
        if object.life.is_some() {
            self.wish_late(&mut record);
        }
        let has_late = kind.fields.values().any(|field| field.late);
        let rival = object.life.as_ref().and_then(|life| told_rival(life.rival.as_ref()?, self.ports.clock.now()));
        let standing = Standing::Synced { notes: settled.notes, late: has_late, references, rival };
        let before = self.conclude(&mut record, &standing);
        let was_synced =
            before.iter().any(|old| record.conditions.iter().any(|new| new.says_the_same(old) && new.kind == SYNCED));
        let event = (!was_synced).then(|| ("Synced", "as wished".to_owned(), EventKind::Normal));
        let key = record.key.clone();
        self.save(record, event).await?;
        self.tell(Progress::Standing { object: key, standing });
        Ok(Turn::Settled)
    }

    /// Where the keeper of the object shows what the provider chose in its spec, that is wished for from now on: the record is
    /// that of the spec as it will be.
    fn wish_late(&self, record: &mut Record) {
        let key = &self.ports.store.meta().digest_key;
        if record.late.is_empty() {
            return;
        }
        let Value::Object(spec) = Arc::make_mut(&mut record.wish.spec) else { return };
        for (field, value) in &record.late {
            record.applied.insert(field.clone(), key.digest(&spec_path(field), value));
            spec.insert(field.clone(), value.clone());
        }
        record.spec_digest = key.digest("spec", &record.wish.spec);
        record.generation += 1;
    }

    /// Writes how an object stands after a turn that could not settle it.
    async fn stand(&self, key: &ObjectKey, turn: Turn) -> Result<Turn, StoreError> {
        let (object, known) = self.known(key);
        match object {
            Some(object) => self.stand_with(&object, known, turn).await,
            None => Ok(turn),
        }
    }

    /// The same after a look: what was seen of our resource is shown.
    async fn stand_seen(
        &self,
        mut prepared: Prepared,
        observation: &Observation,
        turn: Turn,
    ) -> Result<Turn, StoreError> {
        if prepared.record.ownership.is_ours() {
            prepared.learn(observation);
        }
        self.stand_with(&prepared.object, Some(prepared.record), turn).await
    }

    pub(super) async fn stand_with(
        &self,
        object: &Object,
        record: Option<Record>,
        turn: Turn,
    ) -> Result<Turn, StoreError> {
        let standing = match &turn {
            Turn::Later { standing, .. } | Turn::WaitsFor { standing, .. } => standing.clone(),
            Turn::Failed { class, message, .. } => {
                Standing::Failed { class: *class, message: message.clone(), references: false }
            }
            _ => return Ok(turn),
        };
        let spec = self
            .kinds
            .of(&object.key)
            .map(|kind| resolve::without_secrets(kind, identity::keep(kind, record.as_ref(), &object.spec).spec));
        let spec = spec.unwrap_or_else(|| Arc::clone(&object.spec));
        let mut record = self.current_record(object, record, spec);
        let before = self.conclude(&mut record, &standing);
        let event = match &standing {
            Standing::Failed { class, message, .. } if record.conditions != before => {
                Some((reason(*class), message.clone(), EventKind::Warning))
            }
            _ => None,
        };
        self.save(record, event).await?;
        self.tell(Progress::Standing { object: object.key.clone(), standing });
        Ok(turn)
    }

    /// Puts the conditions of a standing into a record; returns those before. After a change of the spec all begin anew: who
    /// waits for his change looks at their times.
    pub(super) fn conclude(&self, record: &mut Record, standing: &Standing) -> Vec<Condition> {
        let before = std::mem::take(&mut record.conditions);
        let known: &[Condition] = if record.observed == record.generation { &before } else { &[] };
        record.conditions = conditions(standing, known, self.ports.clock.now());
        record.observed = record.generation;
        before
    }

    pub(super) async fn forget(&self, key: &ObjectKey, message: String) -> Result<Turn, StoreError> {
        let event = self.event(key, "Forgotten", message.clone(), EventKind::Normal);
        self.ports.store.commit(vec![Change::Remove(key.clone()), Change::Event(event)]).await?;
        self.world().forget(key);
        self.lost().remove(key);
        self.tell(Progress::Forgotten { object: key.clone(), message });
        Ok(Turn::Forgotten)
    }
}

/// What to say of another controller that has worked on the object lately.
fn told_rival(rival: &Rival, now: Timestamp) -> Option<String> {
    let Rival { who, at } = rival;
    (now.duration_since(*at) < RIVAL_FOR).then(|| {
        format!(
            "{who} wrote the status of this object, which is managed here: if it is another controller, let only one of the \
             two manage the object"
        )
    })
}

/// Whether what was looked for is not there, or is somebody else's.
pub(super) fn is_nothing_of_ours(decision: &Decision) -> bool {
    matches!(decision, Decision::Act(_) | Decision::Blocked { class: ErrorClass::NotOurs, .. })
}

pub(super) fn failed(kind: &Kind, error: CallError) -> Turn {
    let class = classify::class(&kind.errors, &error);
    Turn::Failed { class, message: error.to_string(), error: Some(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_controller_is_told_of_until_he_has_been_silent_for_a_while() {
        let at = Timestamp::UNIX_EPOCH;
        let rival = Rival { who: "controller".to_owned(), at };
        let told = |after| told_rival(&rival, at + SignedDuration::from_secs(after));
        assert!(told(599).is_some_and(|text| text.starts_with("controller wrote")));
        assert_eq!(told(600), None);
    }
}
