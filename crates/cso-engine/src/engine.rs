//! One turn of one object: prepare, observe, decide, act, remember.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cso_core::port::{Change, Clock, Cloud, Effect, Event, EventKind, Request, Secrets, Store, StoreError};
use cso_core::record::Written;
use cso_core::tree::SecretSource;
use cso_core::{
    Call, CallError, Digest, ErrorClass, FieldPath, Hole, Intent, LastWish, Object, ObjectKey, Outcome, OwnerMark,
    Ownership, Plan, Record, Step, Tree, Verb,
};
use cso_schema::fill::Surroundings;
use cso_schema::kind::Kind;
use cso_schema::observe::{Observation, Seen};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;

use crate::classify;
use crate::conditions::{Standing, conditions};
use crate::decide::{CREATED, DELETED, Decision, Input, Settled, call_digest, change_digest, decide, written_as};
use crate::dialect::{self, Deletion, Policies};
use crate::identity::{self, Renamed};
use crate::read::{self, Marked, Reader};
use crate::resolve::{self, Mode, Resolver, Unresolved};
use crate::world::{Kinds, World};

/// What the engine works with.
#[derive(Debug)]
pub struct Ports<C, S, P, K> {
    pub cloud: C,
    pub store: S,
    pub secrets: P,
    pub clock: K,
}

/// What the user decided once for all objects.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Region of objects that do not say one.
    pub region: String,
    /// Calls that are made at the same time, over all objects.
    pub concurrency: usize,
    pub take_back: bool,
    pub cross_namespace: bool,
    /// Instead of each kind's consistency window, for clouds that are known to answer at once.
    pub consistency: Option<Duration>,
    /// For the tag that names the controller's version.
    pub version: String,
}

/// Decides and does. Shared by every turn.
pub struct Engine<C, S, P, K> {
    pub(crate) ports: Ports<C, S, P, K>,
    pub(crate) kinds: Kinds,
    pub(crate) settings: Settings,
    world: Mutex<World>,
    marked: Marked,
    progress: UnboundedSender<Progress>,
}

/// What happens, as it happens.
#[derive(Clone, Debug)]
pub enum Progress {
    /// A mutating call goes out.
    Calling { object: ObjectKey, step: Step },
    /// It came back.
    Called { object: ObjectKey, step: Step, error: Option<CallError> },
    /// The object stands differently than before.
    Standing { object: ObjectKey, standing: Standing },
    /// A resource that exists is ours from now on, without a call.
    Owned { object: ObjectKey, message: String },
    /// The object's resource is deleted or let go of.
    Forgotten { object: ObjectKey, message: String },
}

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

/// What a turn prepared before it looked.
struct Prepared {
    kind: Arc<Kind>,
    object: Arc<Object>,
    /// The create under another name of which nobody knows whether it took effect; `spec` has that name.
    renamed: Option<Renamed>,
    record: Record,
    spec: Tree,
    policies: Policies,
    options: BTreeMap<String, Value>,
    surroundings: Surroundings,
    mark: OwnerMark,
    tags: BTreeMap<String, String>,
}

/// Why a turn cannot look.
enum Unprepared {
    Forgotten,
    /// On its way out, and no resource was ever its own.
    Unowned,
    Turn(Box<Turn>),
}

/// Why an object goes without a call.
const UNOWNED: &str = "no resource was made or adopted for this object";

impl<C: Cloud, S: Store, P: Secrets, K: Clock> Engine<C, S, P, K> {
    /// An engine over what the store remembers.
    pub async fn open(
        ports: Ports<C, S, P, K>,
        kinds: Kinds,
        settings: Settings,
        progress: UnboundedSender<Progress>,
    ) -> Result<Self, StoreError> {
        let records = ports.store.load().await?;
        let world = Mutex::new(World::new(records, &kinds));
        Ok(Self { ports, kinds, settings, world, marked: Marked::default(), progress })
    }

    /// The world, locked. A panic of another holder left it as it was before or after one change.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kinds this engine knows.
    pub const fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// The ports this engine drives.
    pub const fn ports(&self) -> &Ports<C, S, P, K> {
        &self.ports
    }

    /// Takes a wish in; says whether it is another than before.
    pub fn set(&self, object: Object) -> bool {
        self.world().set(object, &self.kinds)
    }

    /// Works on one object once. `fresh`: we created its resource a moment ago.
    pub async fn turn(&self, key: &ObjectKey, fresh: bool) -> Result<Turn, StoreError> {
        let mut prepared = match self.prepare(key, Mode::Act).await {
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
            Decision::Act(plan) => self.act(prepared, plan).await,
            Decision::Own { how, message } => {
                if how == Ownership::Created {
                    prepared.record.fulfil();
                }
                prepared.record.ownership = how;
                prepared.record.intent = None;
                Self::learn(&mut prepared, &observation);
                self.save(prepared.record, Some(("Owned", message.clone(), EventKind::Normal))).await?;
                self.tell(Progress::Owned { object: key.clone(), message });
                Ok(Turn::Again { fresh: false })
            }
            Decision::Wait { reason, message, after } => {
                let references = !prepared.kind.refs.is_empty() && has_references(&prepared);
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
        let window = self.settings.consistency.unwrap_or(prepared.kind.consistency);
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
        record.wish.spec = resolve::without_secrets(&prepared.kind, prepared.object.spec.clone());
        self.save(record, None).await?;
        Ok(Turn::Again { fresh: false })
    }

    /// Looks and decides as a turn does, and does nothing. Steps may have holes for what other objects will bring.
    ///
    /// A resource that was found is remembered in the world, and only there: objects that refer to it and are previewed
    /// after it see what a turn would see. So a preview is for an engine that does not act.
    pub async fn preview(&self, key: &ObjectKey) -> Preview {
        let prepared = match self.prepare(key, Mode::Plan).await {
            Ok(prepared) => prepared,
            Err(Unprepared::Forgotten) => return Preview::Nothing { notes: Vec::new() },
            Err(Unprepared::Unowned) => return Preview::Releases { message: UNOWNED.to_owned() },
            Err(Unprepared::Turn(turn)) => return Preview::of_turn(*turn),
        };
        let observation = match self.observe(&prepared, false).await {
            Ok(observation) => observation,
            Err(error) => return Preview::of_turn(failed(&prepared.kind, error)),
        };
        let mut decision = decide(&self.input(&prepared, &observation));
        if prepared.renamed.is_some() && is_nothing_of_ours(&decision) {
            let message = "a create under the name before may have taken effect; it is looked for first".to_owned();
            return Preview::Waits { message };
        }
        let mut first = None;
        // Taking ownership is a decision of its own, without a call: show what comes after it.
        let mut owned = prepared;
        if let Decision::Own { how, message } = decision {
            owned.record.ownership = how;
            owned.record.intent = None;
            first = Some(message);
            decision = decide(&self.input(&owned, &observation));
        }
        if matches!(observation.body, Seen::Value(_)) && owned.record.ownership.is_ours() {
            Self::learn(&mut owned, &observation);
            self.world().remember(owned.record);
        }
        match decision {
            Decision::Act(mut plan) => {
                plan.notes.splice(0..0, first);
                Preview::Steps(plan)
            }
            Decision::Settle(settled) => Preview::Nothing { notes: first.into_iter().chain(settled.notes).collect() },
            Decision::Wait { message, .. } => Preview::Waits { message },
            Decision::Blocked { class, message, .. } => Preview::Blocked { class, message },
            Decision::Release { message } => Preview::Releases { message },
            Decision::Gone | Decision::Own { .. } => {
                Preview::Releases { message: "the resource is gone already".to_owned() }
            }
        }
    }

    fn input<'a>(&'a self, prepared: &'a Prepared, observation: &'a Observation) -> Input<'a> {
        Input {
            kind: &prepared.kind,
            key: &prepared.object.key,
            spec: &prepared.spec,
            deleting: prepared.object.deleting,
            policies: &prepared.policies,
            options: &prepared.options,
            surroundings: &prepared.surroundings,
            observation,
            record: &prepared.record,
            mark: &prepared.mark,
            default_tags: &prepared.tags,
            digest_key: &self.ports.store.meta().digest_key,
            consistency: self.settings.consistency,
            now: self.ports.clock.now(),
        }
    }

    async fn observe(&self, prepared: &Prepared, fresh: bool) -> Result<Observation, CallError> {
        let nothing = Observation::nothing();
        let input = self.input(prepared, &nothing);
        Reader { cloud: &self.ports.cloud, input: &input, fresh, marked: &self.marked }.observe().await
    }

    async fn prepare(&self, key: &ObjectKey, mode: Mode) -> Result<Prepared, Unprepared> {
        let (object, record) = {
            let world = self.world();
            let Some(object) = world.wish(key) else { return Err(Unprepared::Forgotten) };
            (object, resolve::Others::record(&*world, key).cloned())
        };
        let owns = |record: &Record| record.ownership.is_ours() || record.intent.is_some();
        if object.deleting && !record.as_ref().is_some_and(owns) {
            // Whatever else is wrong with the object, it need not stay.
            return Err(Unprepared::Unowned);
        }
        let Some(kind) = self.kinds.of(key).cloned() else {
            return Err(fail(ErrorClass::Unsupported, format!("there is no kind {}/{}", key.group, key.kind)));
        };
        let invalid = |error: dialect::BadAnnotation| fail(ErrorClass::Invalid, error.to_string());
        let mut policies = dialect::policies(&object).map_err(invalid)?;
        policies.take_back = self.settings.take_back;
        let options = dialect::options(&kind, &object).map_err(invalid)?;
        if mode == Mode::Act && object.deleting && policies.deletion == Deletion::Delete {
            self.wait_for_dependents(key)?;
        }
        let named = identity::keep(&kind, record.as_ref(), &object.spec);
        let mut record = self.current_record(&object, record);
        let renamed = named.renamed.filter(|_| !object.deleting);
        if let Some(renamed) = renamed.as_ref().filter(|_| record.ownership.is_ours()) {
            return Err(fail(ErrorClass::Invalid, renamed.message()));
        }
        let spec = if object.deleting { resolve::with_place(&kind, named.spec, &record.place) } else { named.spec };
        let mut spec = self.wish(&kind, &Object { spec, ..Object::clone(&object) }, mode)?;
        dialect::name_adopted(&kind, &policies, &mut spec);
        if !object.deleting && !owns(&record) {
            record.place = resolve::place_of(&kind, &spec);
        }
        let identity =
            self.ports.cloud.identity().await.map_err(|error| Unprepared::Turn(Box::new(failed(&kind, error))))?;
        let region = dialect::region(&object).unwrap_or(&self.settings.region).to_owned();
        let at = "ackResourceMetadata.region".parse().unwrap_or_default();
        let recorded =
            Tree::from(Value::Object(record.status.clone())).at(&at).and_then(Tree::as_str).map(str::to_owned);
        if let Some(recorded) = recorded.filter(|recorded| *recorded != region) {
            return Err(fail(
                ErrorClass::Invalid,
                format!(
                    "the resource is in region {recorded}, and a resource cannot move to {region}; delete and create it anew, or put the region back"
                ),
            ));
        }
        let mark = OwnerMark::new(&self.ports.store.meta().id, key);
        let tags = BTreeMap::from([
            (format!("{}controller-version", dialect::PREFIX), format!("{}-{}", kind.service, self.settings.version)),
            (format!("{}namespace", dialect::PREFIX), key.namespace.clone()),
        ]);
        let surroundings = Surroundings { account: identity.account, partition: identity.partition, region };
        Ok(Prepared { kind, object, renamed, record, spec, policies, options, surroundings, mark, tags })
    }

    fn wait_for_dependents(&self, key: &ObjectKey) -> Result<(), Unprepared> {
        let dependents = self.world().dependents(key);
        match dependents.first() {
            None => Ok(()),
            Some(on) => {
                let message = format!("is deleted after {on}, which refers to it");
                let standing = Standing::Working { reason: "HasDependents", message, references: false };
                Err(Unprepared::Turn(Box::new(Turn::WaitsFor { on: on.clone(), standing })))
            }
        }
    }

    /// The record as it stands for this wish: a changed wish counts a generation up; the name stays that of the resource.
    fn current_record(&self, object: &Object, record: Option<Record>) -> Record {
        let meta = self.ports.store.meta();
        let digest = meta.digest_key.digest("spec", &object.spec);
        let ours = |name: &str| name.contains("services.k8s.aws/") || name.starts_with("service-operator.cloud/");
        let annotations = object.annotations.iter().filter(|(name, _)| ours(name));
        let named = self.kinds.of(&object.key).map(|kind| {
            let named = identity::keep(kind, record.as_ref(), &object.spec);
            resolve::without_secrets(kind, named.spec)
        });
        let wish = LastWish {
            spec: named.unwrap_or_else(|| object.spec.clone()),
            annotations: annotations.map(|(name, value)| (name.clone(), value.clone())).collect(),
        };
        let mut record = record.unwrap_or_else(|| {
            let born = self.ports.clock.now();
            let uid = meta.digest_key.token(&["uid", &object.key.to_string(), &born.as_nanosecond().to_string()]);
            Record { created: Some(born), ..Record::new(object.key.clone(), uid, digest.clone()) }
        });
        if record.spec_digest != digest {
            record.generation += 1;
            record.spec_digest = digest;
        }
        record.wish = wish;
        record.doubt();
        record
    }

    fn wish(&self, kind: &Kind, object: &Object, mode: Mode) -> Result<Tree, Unprepared> {
        let resolver = Resolver {
            kind,
            object,
            secrets: &self.ports.secrets,
            digest_key: &self.ports.store.meta().digest_key,
            cross_namespace: self.settings.cross_namespace,
            mode,
        };
        let resolved = resolver.resolve(&*self.world());
        match resolved {
            Ok(spec) => Ok(spec),
            // What is being deleted needs its names, not its references.
            Err(_) if object.deleting => Ok(Tree::from(object.spec.clone())),
            Err(Unresolved::Reference { on, message }) => {
                let standing = Standing::Unresolved { message };
                Err(Unprepared::Turn(Box::new(Turn::WaitsFor { on, standing })))
            }
            Err(error @ Unresolved::Secret(_)) => Err(fail(ErrorClass::Waiting, error.to_string())),
            Err(Unresolved::Invalid(message)) => Err(fail(ErrorClass::Invalid, message)),
        }
    }

    /// Puts what was seen into the record's status.
    fn learn(prepared: &mut Prepared, observation: &Observation) {
        let mut status = Tree::from(Value::Object(prepared.record.status.clone()));
        read::lay_over(&mut status, &prepared.kind.status_of(observation));
        Self::put_status(prepared, status);
    }

    fn put_status(prepared: &mut Prepared, mut status: Tree) {
        let at = FieldPath::root().child("ackResourceMetadata");
        let surroundings = &prepared.surroundings;
        for (name, value) in [
            ("ownerAccountID", &surroundings.account),
            ("region", &surroundings.region),
            ("partition", &surroundings.partition),
        ] {
            status.set(&at.child(name), Tree::text(value));
        }
        let arn = {
            let record_status = &status;
            let subject = cso_schema::fill::Subject {
                kind: &prepared.kind,
                spec: &prepared.spec,
                status: record_status,
                surroundings,
                options: &prepared.options,
                made_by: None,
                token: None,
            };
            subject.arn()
        };
        if let Some(arn) = arn {
            status.set(&at.child("arn"), arn);
        }
        if let Value::Object(members) = without_empty_lists(status.shown()) {
            prepared.record.status = members;
        }
    }

    async fn settle(
        &self,
        mut prepared: Prepared,
        observation: &Observation,
        settled: Settled,
    ) -> Result<Turn, StoreError> {
        Self::learn(&mut prepared, observation);
        let references = has_references(&prepared);
        let Prepared { kind, mut record, .. } = prepared;
        record.intent = None;
        record.applied = settled.applied;
        let late = Tree::Object(settled.late);
        if let Value::Object(late) = late.shown() {
            record.late = late;
        }
        record.writes.retain(|place, _| settled.stuck.contains(place));
        let has_late = kind.fields.values().any(|field| field.late);
        let standing = Standing::Synced { notes: settled.notes, late: has_late, references };
        let before = std::mem::take(&mut record.conditions);
        record.conditions = conditions(&standing, &before, self.ports.clock.now());
        let was_synced = before.iter().any(|old| {
            record.conditions.iter().any(|new| new.says_the_same(old) && new.kind == crate::conditions::SYNCED)
        });
        let event = (!was_synced).then(|| ("Synced", "as wished".to_owned(), EventKind::Normal));
        let key = record.key.clone();
        self.save(record, event).await?;
        self.tell(Progress::Standing { object: key, standing });
        Ok(Turn::Settled)
    }

    /// Writes the intent, makes the first step's call, writes the outcome.
    async fn act(&self, mut prepared: Prepared, plan: Plan) -> Result<Turn, StoreError> {
        let Some(step) = plan.steps.into_iter().next() else { return Ok(Turn::Settled) };
        let key = prepared.object.key.clone();
        let intent = self.intent(&prepared, &step);
        let sent_before = prepared.record.intent.as_ref().is_some_and(|open| open.verb == Verb::Create);
        prepared.record.intent = Some(intent.clone());
        let (input, secrets) = match self.fill(&step.call, &intent, &prepared.object.spec) {
            Ok(filled) => filled,
            Err(message) => {
                return self.stand(&key, Turn::Failed { class: ErrorClass::Waiting, error: None, message }).await;
            }
        };
        self.save(prepared.record.clone(), None).await?;
        self.tell(Progress::Calling { object: key.clone(), step: step.clone() });
        let request = Request {
            service: step.call.service.clone(),
            operation: step.call.operation.clone(),
            region: prepared.surroundings.region.clone(),
            namespace: key.namespace.clone(),
            input,
            effect: Effect::Mutates,
        };
        let result = self.ports.cloud.call(request).await.map_err(|mut error| {
            error.conceal(secrets);
            error
        });
        self.tell(Progress::Called { object: key.clone(), step: step.clone(), error: result.as_ref().err().cloned() });
        match result {
            Ok(answer) => self.succeeded(prepared, &step, answer).await,
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
        let wishes = crate::differ::wishes(&self.input(prepared, &nothing));
        let mut applies = BTreeMap::new();
        for name in step.changes.iter().filter_map(|change| change.path.strip_prefix("spec.")) {
            applies.insert(name.to_owned(), wishes.get(name).cloned());
            if name == "tags" {
                let tags = wishes.iter().filter(|(name, _)| name.starts_with("tags["));
                applies.extend(tags.map(|(name, digest)| (name.clone(), Some(digest.clone()))));
                applies.remove("tags");
            }
        }
        applies
    }

    /// The call's input, and the secrets in it.
    fn fill(&self, call: &Call, intent: &Intent, spec: &Value) -> Result<(Value, Vec<String>), String> {
        let mut secrets = Vec::new();
        let input = call.input.fill(&mut |hole| match hole {
            Hole::Token => intent.token.clone().map(Value::String).ok_or_else(|| "the call has no token".to_owned()),
            Hole::Secret { source, .. } => {
                let secret = self.secret(source, spec)?;
                secrets.push(secret.clone());
                Ok(Value::String(secret))
            }
            Hole::Step { .. } | Hole::Reference { .. } => Err(format!("{hole} is not known yet")),
        })?;
        Ok((input, secrets))
    }

    fn secret(&self, source: &SecretSource, spec: &Value) -> Result<String, String> {
        match source {
            SecretSource::Secret { namespace, name, key } => {
                let secret = self.ports.secrets.secret(namespace, name, key).map_err(|error| error.to_string())?;
                Ok(secret.reveal().to_owned())
            }
            SecretSource::Spec { field } => {
                let secret = spec.get(field).and_then(Value::as_str);
                secret.map(str::to_owned).ok_or_else(|| format!("spec.{field} has no value"))
            }
        }
    }

    async fn succeeded(&self, mut prepared: Prepared, step: &Step, answer: Value) -> Result<Turn, StoreError> {
        let now = self.ports.clock.now();
        prepared.record.fulfil();
        let event = match step.verb {
            Verb::Create => {
                prepared.record.ownership = Ownership::Created;
                // What an earlier life left behind names a resource that is gone.
                prepared.record.status.clear();
                prepared.record.writes.clear();
                let digest = call_digest(&self.ports.store.meta().digest_key, step);
                prepared.record.writes.insert(CREATED.to_owned(), Written { digest, count: 1, at: now });
                let status = created_status(&prepared.kind, &Tree::from(answer));
                Self::put_status(&mut prepared, status);
                ("Created", format!("{} made the resource", step.call.operation), EventKind::Normal)
            }
            Verb::Update => {
                if let Some(update) =
                    prepared.kind.update.as_ref().filter(|update| update.call.operation == step.call.operation)
                {
                    let mut status = Tree::from(Value::Object(prepared.record.status.clone()));
                    read::lay_over(&mut status, &read::outs(&Tree::from(answer), &update.out));
                    Self::put_status(&mut prepared, status);
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
                let digest = call_digest(&self.ports.store.meta().digest_key, step);
                prepared.record.writes.insert(DELETED.to_owned(), Written { digest, count: 1, at: now });
                ("Deleting", format!("{} was accepted", step.call.operation), EventKind::Normal)
            }
        };
        self.save(prepared.record, Some(event)).await?;
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
        let gone = step.verb != Verb::Create && classify::is_absent(&prepared.kind.errors, &error);
        // "It exists" after an earlier create of ours means that the earlier one came to light: its intent stays open.
        let came_to_light = sent_before && classify::class(&prepared.kind.errors, &error) == ErrorClass::NotOurs;
        if error.outcome == Outcome::Refused && !came_to_light {
            prepared.record.intent = None;
        }
        if gone || came_to_light {
            // Somebody deleted it meanwhile: the next look will tell what that means.
            self.save(prepared.record, None).await?;
            return Ok(Turn::Again { fresh: false });
        }
        let turn = failed(&prepared.kind, error);
        self.stand_with(&prepared.object, Some(prepared.record), turn).await
    }

    /// Writes how an object stands after a turn that could not settle it.
    async fn stand(&self, key: &ObjectKey, turn: Turn) -> Result<Turn, StoreError> {
        let (object, known) = {
            let world = self.world();
            (world.wish(key), resolve::Others::record(&*world, key).cloned())
        };
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
            Self::learn(&mut prepared, observation);
        }
        self.stand_with(&prepared.object, Some(prepared.record), turn).await
    }

    async fn stand_with(&self, object: &Object, record: Option<Record>, turn: Turn) -> Result<Turn, StoreError> {
        let standing = match &turn {
            Turn::Later { standing, .. } | Turn::WaitsFor { standing, .. } => standing.clone(),
            Turn::Failed { class, message, .. } => {
                Standing::Failed { class: *class, message: message.clone(), references: false }
            }
            _ => return Ok(turn),
        };
        let mut record = self.current_record(object, record);
        let before = std::mem::take(&mut record.conditions);
        record.conditions = conditions(&standing, &before, self.ports.clock.now());
        let event = match &standing {
            Standing::Failed { class, message, .. } if record.conditions != before => {
                Some((crate::conditions::reason(*class), message.clone(), EventKind::Warning))
            }
            _ => None,
        };
        self.save(record, event).await?;
        self.tell(Progress::Standing { object: object.key.clone(), standing });
        Ok(turn)
    }

    async fn forget(&self, key: &ObjectKey, message: String) -> Result<Turn, StoreError> {
        let event = self.event(key, "Forgotten", message.clone(), EventKind::Normal);
        self.ports.store.commit(vec![Change::Remove(key.clone()), Change::Event(event)]).await?;
        self.world().forget(key);
        self.tell(Progress::Forgotten { object: key.clone(), message });
        Ok(Turn::Forgotten)
    }

    /// Writes a record if it differs from the one that is remembered.
    async fn save(&self, record: Record, event: Option<(&str, String, EventKind)>) -> Result<(), StoreError> {
        let same = resolve::Others::record(&*self.world(), &record.key) == Some(&record);
        let mut changes = Vec::new();
        if let Some((reason, message, kind)) = event {
            changes.push(Change::Event(self.event(&record.key, reason, message, kind)));
        }
        if !same {
            changes.push(Change::Put(Box::new(record.clone())));
        }
        if !changes.is_empty() {
            self.ports.store.commit(changes).await?;
            self.world().remember(record);
        }
        Ok(())
    }

    fn event(&self, object: &ObjectKey, reason: &str, message: String, kind: EventKind) -> Event {
        Event { at: self.ports.clock.now(), object: object.clone(), kind, reason: reason.to_owned(), message }
    }

    pub(crate) fn tell(&self, progress: Progress) {
        // Nobody listening is fine.
        let _ = self.progress.send(progress);
    }
}

/// Whether what was looked for is not there, or is somebody else's.
fn is_nothing_of_ours(decision: &Decision) -> bool {
    matches!(decision, Decision::Act(_) | Decision::Blocked { class: ErrorClass::NotOurs, .. })
}

fn fail(class: ErrorClass, message: String) -> Unprepared {
    Unprepared::Turn(Box::new(Turn::Failed { class, error: None, message }))
}

fn failed(kind: &Kind, error: CallError) -> Turn {
    let class = classify::class(&kind.errors, &error);
    Turn::Failed { class, message: error.to_string(), error: Some(error) }
}

/// What a turn would do.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Preview {
    Steps(Plan),
    Nothing { notes: Vec<String> },
    Waits { message: String },
    Blocked { class: ErrorClass, message: String },
    Releases { message: String },
}

impl Preview {
    fn of_turn(turn: Turn) -> Self {
        match turn {
            Turn::Failed { class, message, .. } => Self::Blocked { class, message },
            Turn::WaitsFor { standing, .. } | Turn::Later { standing, .. } => {
                Self::Waits { message: standing.message().to_owned() }
            }
            _ => Self::Nothing { notes: Vec::new() },
        }
    }
}

fn has_references(prepared: &Prepared) -> bool {
    !resolve::references(&prepared.kind, &prepared.object.key.namespace, &prepared.object.spec).is_empty()
}

/// The status without lists that hold nothing: the dialect leaves them out.
fn without_empty_lists(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, member)| !member.as_array().is_some_and(Vec::is_empty))
            .map(|(name, member)| (name, without_empty_lists(member)))
            .collect(),
        other => other,
    }
}

/// The status values in a create's answer, which may wrap the resource in one member.
fn created_status(kind: &Kind, answer: &Tree) -> Tree {
    let body = match answer.as_object() {
        Some(members) if members.len() == 1 => {
            members.values().next().filter(|only| only.as_object().is_some()).unwrap_or(answer)
        }
        _ => answer,
    };
    let mut status = kind.status_of(&Observation { body: Seen::Value(body.clone()), ..Observation::nothing() });
    for field in &kind.status {
        let value = body.as_object().and_then(|members| cso_schema::convert::member_like(members, &field.name));
        if let Some(value) = value {
            status.set(&FieldPath::root().child(&field.name), cso_schema::convert::from_api(value, &field.schema));
        }
    }
    read::lay_over(&mut status, &read::outs(answer, &kind.create_out));
    status
}
