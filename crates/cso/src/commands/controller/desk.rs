//! What the controller's pages tell: kept where both the work and the pages can reach it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cso_core::ConditionStatus;
use cso_engine::run::{Control, View};
use cso_kube::Fence;
use cso_kube::feed::Watches;
use cso_observe::{Snapshot, Subject};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::term::Engine;

/// How long the work may take to answer a page.
const PATIENCE: Duration = Duration::from_secs(2);

/// What there is to tell.
pub(super) struct Desk {
    fence: Fence,
    term: Mutex<Option<Term>>,
}

struct Term {
    engine: Arc<Engine>,
    watches: Watches,
    complete: bool,
    run: Option<UnboundedSender<Control>>,
}

impl Desk {
    pub(super) const fn new(fence: Fence) -> Self {
        Self { fence, term: Mutex::new(None) }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Term>> {
        self.term.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Term)) {
        if let Some(term) = self.lock().as_mut() {
            change(term);
        }
    }

    /// A term begins to read what there is.
    pub(super) fn begins(&self, engine: &Arc<Engine>, watches: Watches) {
        *self.lock() = Some(Term { engine: Arc::clone(engine), watches, complete: false, run: None });
    }

    /// It knows everything.
    pub(super) fn is_complete(&self) {
        self.change(|term| term.complete = true);
    }

    /// It works.
    pub(super) fn works(&self, run: UnboundedSender<Control>) {
        self.change(|term| term.run = Some(run));
    }

    /// It does not work any more.
    pub(super) fn rests(&self) {
        self.change(|term| term.run = None);
    }

    /// What the run has before it; `None` while there is no run, or it has no time.
    async fn view(&self) -> Option<View> {
        let run = self.lock().as_ref()?.run.clone()?;
        let (asker, answer) = oneshot::channel();
        run.send(Control::View(asker)).ok()?;
        tokio::time::timeout(PATIENCE, answer).await.ok()?.ok()
    }

    fn objects(&self) -> BTreeMap<(String, String, &'static str), usize> {
        let Some(engine) = self.lock().as_ref().map(|term| Arc::clone(&term.engine)) else { return BTreeMap::new() };
        let mut counts = BTreeMap::new();
        let world = engine.world();
        for (key, synced) in world.wished() {
            let state = match synced {
                Some(ConditionStatus::True) => "true",
                Some(ConditionStatus::False) => "false",
                Some(ConditionStatus::Unknown) | None => "unknown",
            };
            *counts.entry((key.group.clone(), key.kind.clone(), state)).or_default() += 1;
        }
        counts
    }

    fn watch_states(&self) -> Option<Watches> {
        self.lock().as_ref().map(|term| Arc::clone(&term.watches))
    }
}

impl Subject for Desk {
    fn unready(&self) -> Option<String> {
        match self.lock().as_ref() {
            Some(term) if term.complete => None,
            _ => Some("still reading what there is: see /debug/watches".to_owned()),
        }
    }

    fn lacks(&self) -> Vec<String> {
        let Some(states) = self.watch_states() else { return Vec::new() };
        let states = states.lock().unwrap_or_else(PoisonError::into_inner);
        let failing = states.iter().filter_map(|(name, state)| Some((name, state.error.as_ref()?)));
        failing.map(|(name, error)| format!("without {name}: {error}")).collect()
    }

    async fn snapshot(&self) -> Snapshot {
        let view = self.view().await.unwrap_or_default();
        let queue = [("ready", view.ready_count), ("later", view.later_count), ("in_flight", view.in_flight.len())];
        let mut failing = BTreeMap::new();
        let mut watches: BTreeMap<_, _> = [("listed", 0), ("listing", 0), ("failing", 0)].into();
        if let Some(states) = self.watch_states() {
            for state in states.lock().unwrap_or_else(PoisonError::into_inner).values() {
                if let (Some(_), Some(resource)) = (&state.error, &state.resource) {
                    *failing.entry((resource.group.clone(), resource.kind.clone())).or_default() += 1;
                }
                let state = match (&state.error, state.listed) {
                    (Some(_), _) => "failing",
                    (None, true) => "listed",
                    (None, false) => "listing",
                };
                *watches.entry(state).or_default() += 1;
            }
        }
        Snapshot { leading: self.fence.may_begin(), objects: self.objects(), queue: queue.into(), watches, failing }
    }

    async fn queue(&self) -> Value {
        let leading = self.fence.may_begin();
        match self.view().await {
            Some(view) => json!({"leading": leading, "queue": view}),
            None => json!({"leading": leading}),
        }
    }

    fn watches(&self) -> Value {
        let states = self.watch_states();
        states.map_or_else(|| json!({}), |states| json!(*states.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}
