//! The scheduler: many objects at once, one turn of each at a time, until there is nothing left to do or it is told to
//! stop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cso_core::export::is_export;
use cso_core::port::{Clock, Cloud, Reach, Secrets, Store, StoreError};
use cso_core::{ErrorClass, Object, ObjectKey, Record};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::classify;
use crate::conditions::Standing;
use crate::decide::WAITING_FOR_OTHERS;
use crate::engine::{Engine, Settings, Turn};
use crate::queue::{Priority, Queue};
use crate::resolve;

/// When a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// When nothing more can be done at once.
    Attempt,
    /// When every object is settled, or stuck until somebody changes something; at the latest after the time given.
    Settle { patience: Duration },
    /// Never: settled objects are looked at again at this interval, and drift is repaired.
    Keep { verify_every: Duration },
}

/// Messages to a run.
#[derive(Debug)]
pub enum Control {
    /// The wishes for these objects changed.
    Changed(Vec<ObjectKey>),
    /// The user decides otherwise, for all objects.
    Adjust { settings: Settings, goal: Goal },
    /// Tell what is going on.
    View(oneshot::Sender<View>),
    /// Start nothing new, finish what is in flight, return.
    Stop,
}

/// What a run has before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// How many objects are due.
    pub ready_count: usize,
    /// How many will be due at a time that is known.
    pub later_count: usize,
    /// Of those that are due, the first [`SHOWN`] by key.
    pub ready: Vec<Ready>,
    /// The first [`SHOWN`] that will be due, by time.
    pub later: Vec<Later>,
    /// Objects with a turn in flight.
    pub in_flight: Vec<ObjectKey>,
}

/// An object that is due, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ready {
    pub object: ObjectKey,
    pub why: Priority,
}

/// An object that will be due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Later {
    pub object: ObjectKey,
    pub at: Timestamp,
}

/// Objects that a [`View`] names of each sort: it is for people.
pub const SHOWN: usize = 1000;

/// How a run left each object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub objects: BTreeMap<ObjectKey, Rest>,
    /// The run was told to stop before it was over.
    pub stopped: bool,
}

/// How an object was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    Settled,
    Forgotten,
    /// Waits for another object, or for a person: time alone does not help.
    Waiting {
        message: String,
    },
    /// Waits for the provider: time will help.
    Pending {
        message: String,
    },
    Failed {
        class: ErrorClass,
        message: String,
    },
    /// Not worked on to the end.
    Unfinished,
}

/// State of one run.
struct Run<C, S, P, K> {
    engine: Arc<Engine<C, S, P, K>>,
    goal: Goal,
    queue: Queue,
    turns: JoinSet<(ObjectKey, Result<Turn, StoreError>)>,
    /// Objects with a turn in flight.
    busy: BTreeMap<ObjectKey, InFlight>,
    /// Counts turns that began or ended, to tell which was first.
    tick: u64,
    /// When an object last settled or was forgotten, while turns are in flight that began before.
    ended: BTreeMap<ObjectKey, u64>,
    /// The next turn of these follows a create of ours.
    fresh: BTreeSet<ObjectKey>,
    /// By what is waited for.
    waiters: BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
    failures: BTreeMap<ObjectKey, u32>,
    rests: BTreeMap<ObjectKey, Rest>,
    /// Objects whose resource was changed since they last settled.
    acted: BTreeSet<ObjectKey>,
}

/// A turn that has begun.
struct InFlight {
    began: u64,
    /// Another turn was asked for meanwhile.
    again: bool,
}

impl<C: Cloud, S: Store, P: Secrets, K: Clock> Engine<C, S, P, K> {
    /// Works on all objects until the goal is reached.
    pub async fn run(
        self: Arc<Self>,
        goal: Goal,
        mut control: UnboundedReceiver<Control>,
    ) -> Result<Summary, StoreError> {
        let keys: Vec<(ObjectKey, Priority)> = {
            let world = self.world();
            let first = |(key, _): (&ObjectKey, _)| {
                let (wish, record) = world.both(key);
                (key.clone(), first_look(goal, wish.as_deref(), record.as_deref()))
            };
            world.wished().map(first).collect()
        };
        let started = self.ports.clock.now();
        let mut run = Run {
            engine: self,
            goal,
            queue: Queue::default(),
            turns: JoinSet::new(),
            busy: BTreeMap::new(),
            tick: 0,
            ended: BTreeMap::new(),
            fresh: BTreeSet::new(),
            waiters: BTreeMap::new(),
            failures: BTreeMap::new(),
            rests: BTreeMap::new(),
            acted: BTreeSet::new(),
        };
        for (key, priority) in keys {
            run.rests.insert(key.clone(), Rest::Unfinished);
            run.queue.push(key, priority);
        }
        let mut stopping = false;
        let mut listening = true;
        loop {
            if !stopping {
                run.start();
            }
            if run.is_over(stopping, started) {
                break;
            }
            let nap = run.nap(started);
            tokio::select! {
                biased;
                Some(done) = run.turns.join_next(), if !run.turns.is_empty() => {
                    // A panic in a turn is a bug; it must not look like success.
                    let (key, result) = done.map_err(|error| StoreError { message: format!("a turn failed: {error}"), reach: Reach::Store, source: None })?;
                    run.finish(key, result?);
                }
                message = control.recv(), if listening => match message {
                    Some(Control::Changed(keys)) => run.changed(keys),
                    Some(Control::Adjust { settings, goal }) => run.adjust(settings, goal),
                    Some(Control::View(asker)) => {
                        // Whoever asked may have stopped waiting.
                        let _ = asker.send(run.view());
                    }
                    Some(Control::Stop) => stopping = true,
                    None => listening = false,
                },
                () = tokio::time::sleep(nap), if !stopping => {}
            }
        }
        let stopped = stopping && run.rests.values().any(|rest| *rest == Rest::Unfinished);
        Ok(Summary { objects: run.rests, stopped })
    }
}

impl<C: Cloud, S: Store, P: Secrets, K: Clock> Run<C, S, P, K> {
    fn now(&self) -> Timestamp {
        self.engine.ports.clock.now()
    }

    /// Starts turns up to the limit.
    fn start(&mut self) {
        let limit = turns_at_once(self.engine.settings().concurrency);
        while self.turns.len() < limit {
            let Some((key, priority)) = self.queue.pop(self.now()) else { break };
            if let Some(turn) = self.busy.get_mut(&key) {
                turn.again = true;
                continue;
            }
            self.tick += 1;
            self.busy.insert(key.clone(), InFlight { began: self.tick, again: false });
            let engine = Arc::clone(&self.engine);
            let fresh = self.fresh.remove(&key);
            self.turns.spawn(async move {
                let result = engine.turn(&key, priority.purpose(), fresh).await;
                (key, result)
            });
        }
    }

    fn view(&self) -> View {
        let (ready, later) = (self.queue.ready(), self.queue.later());
        View {
            ready_count: ready.len(),
            later_count: later.len(),
            ready: ready.take(SHOWN).map(|(key, why)| Ready { object: key.clone(), why }).collect(),
            later: later.take(SHOWN).map(|(key, at)| Later { object: key.clone(), at }).collect(),
            in_flight: self.busy.keys().cloned().collect(),
        }
    }

    fn changed(&mut self, keys: Vec<ObjectKey>) {
        for key in keys {
            self.failures.remove(&key);
            self.wake(&key);
            let world = self.engine.world();
            if world.wish(&key).is_some() {
                self.rests.insert(key.clone(), Rest::Unfinished);
                self.queue.push(key, Priority::UserChange);
            } else {
                // It is gone, or others work on it: what it says now concerns those who refer to it.
                for referrer in world.referrers(&key) {
                    self.queue.push(referrer, Priority::Wake);
                }
                self.rests.insert(key, Rest::Forgotten);
            }
        }
    }

    /// Works by other settings from now on. Where they may decide otherwise about objects all are looked at, as after a start;
    /// where only the interval is another, no later than it says.
    fn adjust(&mut self, settings: Settings, goal: Goal) {
        self.goal = goal;
        if self.engine.change(settings) {
            let keys: Vec<ObjectKey> = self.engine.world().wished().map(|(key, _)| key.clone()).collect();
            for key in keys {
                self.queue.push(key, Priority::Sweep);
            }
            return;
        }
        let Goal::Keep { verify_every } = goal else { return };
        let due = later(self.now(), verify_every);
        for (key, _) in self.rests.iter().filter(|(_, rest)| **rest == Rest::Settled) {
            self.queue.push_at(key.clone(), due, Priority::Sweep);
        }
    }

    fn finish(&mut self, key: ObjectKey, turn: Turn) {
        let (began, again) = self.busy.remove(&key).map_or((0, false), |turn| (turn.began, turn.again));
        let now = self.now();
        if !matches!(turn, Turn::Failed { .. }) {
            self.failures.remove(&key);
        }
        match turn {
            Turn::Again { fresh } => {
                self.acted.insert(key.clone());
                if fresh {
                    self.fresh.insert(key.clone());
                }
                self.queue.push(key.clone(), Priority::Begun);
            }
            Turn::Settled => {
                self.rests.insert(key.clone(), Rest::Settled);
                self.wake(&key);
                let acted = self.acted.remove(&key);
                for referrer in self.engine.world().referrers(&key) {
                    // What is exported may have changed without a call of ours, and looking costs nothing.
                    if acted || is_export(&referrer) {
                        self.queue.push(referrer, Priority::Wake);
                    }
                }
                if let Goal::Keep { verify_every } = self.goal {
                    self.queue.push_at(key.clone(), later(now, verify_every), Priority::Sweep);
                }
            }
            Turn::Later { after, standing } => {
                self.rests.insert(key.clone(), rest_of(standing));
                self.queue.push_at(key.clone(), later(now, after), Priority::Poll);
            }
            Turn::Failed { class, error, message } => {
                let attempt = self.failures.entry(key.clone()).or_default();
                *attempt += 1;
                let errors = self.engine.kinds.of(&key).map(|kind| kind.errors.clone()).unwrap_or_default();
                let pause = classify::pause(&errors, error.as_ref(), class, *attempt);
                self.rests.insert(key.clone(), Rest::Failed { class, message });
                self.queue.push_at(key.clone(), later(now, pause), Priority::Retry);
            }
            Turn::WaitsFor { on, standing } => {
                let message = standing.message().to_owned();
                self.rests.insert(key.clone(), Rest::Waiting { message });
                if self.ended.get(&on).is_some_and(|ended| *ended > began) {
                    // What it waits for happened while it looked.
                    self.queue.push(key.clone(), Priority::Wake);
                } else {
                    self.waiters.entry(on).or_default().insert(key.clone());
                }
            }
            Turn::Forgotten => {
                self.rests.insert(key.clone(), Rest::Forgotten);
                self.wake(&key);
            }
        }
        if again {
            self.queue.push(key, Priority::Wake);
        }
        if self.busy.is_empty() {
            // No turn is left that could have missed an end.
            self.ended.clear();
        }
    }

    /// Makes those that wait for an object due, now and when a turn that began before this ends in waiting.
    fn wake(&mut self, key: &ObjectKey) {
        self.tick += 1;
        self.ended.insert(key.clone(), self.tick);
        for waiter in self.waiters.remove(key).unwrap_or_default() {
            self.queue.push(waiter, Priority::Wake);
        }
    }

    fn is_over(&self, stopping: bool, started: Timestamp) -> bool {
        if !self.turns.is_empty() {
            return false;
        }
        if stopping {
            return true;
        }
        match self.goal {
            Goal::Keep { .. } => false,
            _ if self.queue.has_ready() => false,
            Goal::Attempt => true,
            Goal::Settle { patience } => {
                let waited: Duration = self.now().duration_since(started).try_into().unwrap_or_default();
                waited >= patience || !self.rests.values().any(passes_by_itself)
            }
        }
    }

    /// Until the next object is due, patience ends, or a message comes.
    fn nap(&self, started: Timestamp) -> Duration {
        let now = self.now();
        let until = |at: Timestamp| at.duration_since(now).try_into().unwrap_or(Duration::ZERO);
        let mut nap = self.queue.next_due().map_or(Duration::from_secs(3600), until);
        if let Goal::Settle { patience } = self.goal {
            nap = nap.min(until(later(started, patience)));
        }
        nap.max(Duration::from_millis(1))
    }
}

/// How urgent an object is when work begins. One that was as wished when a process that stays was last left only needs to
/// be looked at: what changed meanwhile comes first.
fn first_look(goal: Goal, wish: Option<&Object>, record: Option<&Record>) -> Priority {
    let is_at_rest = |(wish, record): (&Object, &Record)| {
        let generation = wish.life.as_ref().map(|life| life.generation);
        resolve::is_synced(record) && record.intent.is_none() && generation == Some(record.observed) && !wish.deleting
    };
    match goal {
        Goal::Keep { .. } if wish.zip(record).is_some_and(is_at_rest) => Priority::Sweep,
        _ => Priority::UserChange,
    }
}

/// Turns in flight for so many calls in flight. A turn spends part of its time waiting for the store, where many share one
/// write: with as many turns as calls the cloud would idle meanwhile. One call at a time is one object at a time, in order.
const fn turns_at_once(calls: usize) -> usize {
    if calls <= 1 { 1 } else { calls.saturating_mul(4) }
}

/// Whether time alone may help: failures that pass, and waits for the provider. Waiting for another object does not
/// count: that object's own rest tells.
fn passes_by_itself(rest: &Rest) -> bool {
    match rest {
        Rest::Failed { class, .. } => {
            matches!(class, ErrorClass::Transient | ErrorClass::Throttled | ErrorClass::Conflict)
        }
        Rest::Waiting { .. } | Rest::Settled | Rest::Forgotten => false,
        Rest::Pending { .. } | Rest::Unfinished => true,
    }
}

fn rest_of(standing: Standing) -> Rest {
    match standing {
        Standing::Working { reason: WAITING_FOR_OTHERS, message, .. } | Standing::Unresolved { message } => {
            Rest::Waiting { message }
        }
        Standing::Working { message, .. } => Rest::Pending { message },
        Standing::Failed { class, message, .. } => Rest::Failed { class, message },
        Standing::Synced { .. } => Rest::Settled,
    }
}

fn later(now: Timestamp, after: Duration) -> Timestamp {
    now.checked_add(after).unwrap_or(Timestamp::MAX)
}
