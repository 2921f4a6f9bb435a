//! One term: standing by, being elected, working, and being deposed or told to stop.
//!
//! What a term knows ends with it. Whoever led may have been cut off in the middle of anything: what it remembers after that
//! is worth less than what the API server tells the next one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use cso_aws::Aws;
use cso_core::ObjectKey;
use cso_core::port::StoreMeta;
use cso_engine::engine::{Ports, Progress};
use cso_engine::run::{Control, Goal};
use cso_engine::world::Kinds;
use cso_kube::identity::Keys;
use cso_kube::rows::Rows;
use cso_kube::secrets::{KubeSecrets, Rotations};
use cso_kube::{Cluster, Feed, Fence, Fenced, KubeStore, News};
use cso_observe::{Measured, Metrics};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::desk::Desk;
use super::news::{Part, take_in};
use super::ours::Ours;
use super::reload::Live;
use crate::clock::SystemClock;
use crate::commands::drive::Signals;
use crate::session;

/// The engine of a controller.
pub(super) type Engine = cso_engine::engine::Engine<Fenced<Measured<Aws>>, KubeStore, KubeSecrets, SystemClock>;

/// The longest that a new leader waits for its watches to tell what its predecessor wrote. One that does not work must not
/// hold up every other kind; an intent for an object of it is only written over the version that was seen.
const CATCH_UP: Duration = Duration::from_secs(10);

/// What outlasts a term.
pub(super) struct Office {
    /// What may change while it works.
    pub(super) live: watch::Receiver<Live>,
    pub(super) kinds: Kinds,
    pub(super) ours: Ours,
    pub(super) cloud: Arc<Aws>,
    pub(super) cluster: Cluster,
    pub(super) meta: StoreMeta,
    pub(super) namespaces: Vec<String>,
    /// Whether we know what there is: only then do we stand for election.
    pub(super) ready: watch::Sender<bool>,
    pub(super) fence: Fence,
    pub(super) metrics: Arc<Metrics>,
    pub(super) desk: Arc<Desk>,
}

/// How a term ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Somebody else leads, or soon may.
    Deposed,
    /// We were told to stop.
    Told,
}

struct Term {
    engine: Arc<Engine>,
    feed: Feed,
    rotations: Rotations,
    happens: UnboundedReceiver<Progress>,
}

impl Office {
    /// Stands by until it may lead, leads until it may not.
    pub(super) async fn term(&self, signals: &mut Signals) -> Result<Ended> {
        let mut term = self.begin().await?;
        tokio::select! {
            () = signals.next() => return Ok(Ended::Told),
            () = self.stand_by(&mut term) => {}
        }
        let objects = term.engine.world().wished().count();
        info!(target: "cso::controller", objects, "at work");
        let engine = Arc::clone(&term.engine);
        let ended = self.lead(term, signals).await;
        self.desk.rests();
        engine.ports().store.flush().await;
        ended
    }

    async fn begin(&self) -> Result<Term> {
        let rows = Arc::new(Rows::default());
        let keys = Keys { digest: self.meta.digest_key.clone() };
        let (resources, meta) = (self.ours.watched().clone(), self.meta.clone());
        let store = KubeStore::new(&self.cluster, meta, resources.clone(), Arc::clone(&rows), self.fence.clone());
        let feed = Feed::start(&self.cluster, resources, rows, keys, self.namespaces.clone());
        let measured = Measured::new(Arc::clone(&self.cloud), Arc::clone(&self.metrics));
        let cloud = Fenced::new(measured, self.fence.clone());
        let secrets = KubeSecrets::new(&self.cluster);
        let rotations = secrets.rotations();
        let ports = Ports { cloud, store, secrets, clock: SystemClock };
        let settings = self.live.borrow().settings.clone();
        let (engine, happens) = session::engine(ports, self.kinds.clone(), settings).await?;
        self.ready.send_replace(false);
        self.desk.begins(&engine, feed.watches());
        Ok(Term { engine, feed, rotations, happens })
    }

    /// Follows what others do until it knows everything and may lead.
    async fn stand_by(&self, term: &mut Term) {
        info!(target: "cso::controller", "reading what there is");
        let mut complete = false;
        loop {
            tokio::select! {
                biased;
                news = term.feed.next() => {
                    let is_last = matches!(news, News::Complete);
                    take_in(&term.engine, news, Part::Follows, &self.ours);
                    if is_last {
                        complete = true;
                        self.desk.is_complete();
                        self.ready.send_replace(true);
                    }
                }
                () = self.fence.opened(), if complete => break,
            }
        }
        if tokio::time::timeout(CATCH_UP, catch_up(term, &self.ours)).await.is_err() {
            warn!(target: "cso::controller", "some watches are behind what was written before: beginning without them");
        }
    }

    /// Works until it is told to stop or may not lead any more, and until what is in flight then is over.
    async fn lead(&self, mut term: Term, signals: &mut Signals) -> Result<Ended> {
        let (control, inbox) = mpsc::unbounded_channel();
        self.desk.works(control.clone());
        // Ends with this function.
        let mut rotating = JoinSet::new();
        rotating.spawn(wake_readers(Arc::clone(&term.engine), term.rotations, control.clone()));
        let mut live = self.live.clone();
        let Live { settings, verify_every } = live.borrow_and_update().clone();
        // They may have changed while it stood by.
        term.engine.change(settings);
        let mut run = JoinSet::new();
        run.spawn(Arc::clone(&term.engine).run(Goal::Keep { verify_every }, inbox));
        let mut end = None;
        loop {
            tokio::select! {
                () = signals.next() => {
                    info!(target: "cso::controller", "stopping: calls in flight are finished and recorded");
                    end = Some(Ended::Told);
                    // A run that is over does not listen, and needs not.
                    let _ = control.send(Control::Stop);
                }
                () = self.fence.closed(), if end.is_none() => {
                    warn!(target: "cso::controller", "leadership is not renewed: finishing what is in flight");
                    end = Some(Ended::Deposed);
                    let _ = control.send(Control::Stop);
                }
                Some(ended) = run.join_next() => {
                    ended??;
                    return Ok(end.unwrap_or(Ended::Told));
                }
                news = term.feed.next() => {
                    let changed = take_in(&term.engine, news, Part::Leads, &self.ours);
                    if !changed.is_empty() {
                        let _ = control.send(Control::Changed(changed));
                    }
                }
                Ok(()) = live.changed() => {
                    let Live { settings, verify_every } = live.borrow_and_update().clone();
                    let _ = control.send(Control::Adjust { settings, goal: Goal::Keep { verify_every } });
                }
                Some(event) = term.happens.recv() => tell(&event),
            }
        }
    }
}

/// Has those objects worked on that read a Secret which is another by now.
async fn wake_readers(engine: Arc<Engine>, mut rotations: Rotations, control: UnboundedSender<Control>) {
    loop {
        let readers = |secret: &ObjectKey| engine.world().referrers(secret);
        let secret = rotations.next(|secret| !readers(secret).is_empty()).await;
        info!(target: "cso::controller", namespace = secret.namespace, name = secret.name, "a Secret is another");
        // A run that is over does not listen, and needs not.
        let _ = control.send(Control::Changed(readers(&secret)));
    }
}

/// Waits until everything that was written before this moment was told and taken in.
async fn catch_up(term: &mut Term, ours: &Ours) {
    let versions = term.feed.versions().await;
    while !term.feed.has_told(&versions) {
        let news = term.feed.next().await;
        take_in(&term.engine, news, Part::Follows, ours);
    }
}

/// Logs what happens to an object, with fields that name it.
macro_rules! told {
    ($log:ident, $object:expr, $($rest:tt)+) => {{
        let object: &ObjectKey = $object;
        let kind = format_args!("{}/{}", object.service(), object.kind);
        $log!(target: "cso::controller", %kind, namespace = object.namespace, name = object.name, $($rest)+)
    }};
}

/// Tells what happens, for people who read logs. What the provider said is not told: it may quote a secret.
fn tell(event: &Progress) {
    match event {
        Progress::Calling { object, step } => told!(info, object, call = step.call.operation, "calls"),
        Progress::Called { object, step, error: Some(error) } => {
            let (class, request_id) = (error.class.label(), error.request_id.as_deref().unwrap_or("-"));
            told!(warn, object, call = step.call.operation, class, request_id, "the call failed");
        }
        Progress::Called { .. } => {}
        Progress::Standing { object, standing } => told!(info, object, stands = standing.message(), "turn"),
        Progress::Owned { object, message }
        | Progress::Exported { object, message }
        | Progress::Forgotten { object, message } => told!(info, object, what = message.as_str(), "turn"),
    }
}
