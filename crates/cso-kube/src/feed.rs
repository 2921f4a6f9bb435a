//! What the server tells: objects of every kind that it serves, namespaces, and which kinds come and go.
//!
//! One watch a kind. A kind's watch begins when its definition is there and ends with it; an error of one watch is its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use cso_core::ObjectKey;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::ListParams;
use kube::core::{DynamicObject, PartialObjectMeta};
use kube::runtime::watcher::{self, Event, watcher};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::{self, Receiver, Sender, UnboundedSender};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::connect::Cluster;
use crate::error::status;
use crate::identity::Keys;
use crate::object::{self, Seen};
use crate::resources::{Resource, Resources};
use crate::rows::{Rows, version_number};

/// Pauses of a watch that fails, from the first to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(15));

/// News that may wait to be taken: more of it stays with the server, so that a hundred thousand objects are never all on
/// their way at once.
const UNTOLD: usize = 256;

/// How long a kind that cannot be read may keep the others waiting. A refusal is an answer: nobody waits for another.
const UNREAD_AFTER: Duration = Duration::from_secs(30);

/// A watch that has failed and was begun anew says nothing while nothing happens: after this it works.
const QUIET: Duration = Duration::from_secs(60);

/// Kinds that are asked for at the same time.
const LISTS: usize = 16;

/// Something the server told.
#[derive(Debug)]
pub enum News {
    /// An object as it is now. `bare`: nothing that this state remembers stands on it, as far as is known from whatever came
    /// later.
    Seen { seen: Box<Seen>, bare: bool },
    /// An object is no more. `held`: it was to stay, and somebody took our finalizer away.
    Gone { key: ObjectKey, held: bool },
    /// The annotations of a namespace are others now.
    Namespace { name: String, annotations: BTreeMap<String, String> },
    /// Objects of a kind cannot be read, everywhere or in a namespace: nobody knows which there are.
    Hidden { resource: Arc<Resource>, namespace: Option<String> },
    /// They could be read after all, and were told.
    Shown { resource: Arc<Resource>, namespace: Option<String> },
    /// Every object that was there at the start has been told, but for those that cannot be read.
    Complete,
}

/// How the watch of a kind goes.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WatchState {
    /// The kind, if it is one of ours.
    #[serde(skip)]
    pub resource: Option<Arc<Resource>>,
    /// Everything that exists has been told at least once.
    pub listed: bool,
    /// How often everything was told, because the server could not say what had changed.
    pub lists: u64,
    pub events: u64,
    pub errors: u64,
    /// The last error, until the watch works again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The watches of a cluster. They end with it.
pub struct Feed {
    news: Receiver<News>,
    shared: Arc<Shared>,
    resources: Resources,
    _work: JoinSet<()>,
}

/// The version of each object that a server has at one moment.
pub type Versions = BTreeMap<ObjectKey, String>;

/// States of all watches, by what they watch.
pub type Watches = Arc<Mutex<BTreeMap<String, WatchState>>>;

impl Feed {
    /// Starts to follow a cluster. `namespaces`: only these, or all if it is empty.
    pub fn start(
        cluster: &Cluster,
        resources: Resources,
        rows: Arc<Rows>,
        keys: Keys,
        namespaces: Vec<String>,
    ) -> Self {
        let (sender, news) = mpsc::channel(UNTOLD);
        let shared = Arc::new(Shared {
            cluster: cluster.clone(),
            rows,
            keys,
            namespaces,
            annotations: RwLock::default(),
            sender,
            order: Mutex::default(),
            watches: Watches::default(),
        });
        let mut work = JoinSet::new();
        work.spawn(follow(Arc::clone(&shared), resources.clone()));
        Self { news, shared, resources, _work: work }
    }

    /// The next news.
    pub async fn next(&mut self) -> News {
        match self.news.recv().await {
            Some(news) => news,
            // Not while the feed is there: its work holds the other end.
            None => std::future::pending().await,
        }
    }

    /// How the watches go.
    pub fn watches(&self) -> Watches {
        Arc::clone(&self.shared.watches)
    }

    /// Asks for what the server has by now, of each kind that is watched. Whatever was written before is in it. A kind that
    /// cannot be asked for is left out: its watch says why.
    pub async fn versions(&self) -> Versions {
        let watched: Vec<(Arc<Resource>, Option<String>)> = {
            let watches = self.shared.watches.lock().unwrap_or_else(PoisonError::into_inner);
            let everywhere = self.resources.iter().flat_map(|resource| {
                let places = places(&self.shared.namespaces).into_iter();
                places.map(move |place| (Arc::clone(resource), place.cloned()))
            });
            everywhere.filter(|(resource, place)| watches.contains_key(&watch_name(resource, place.as_ref()))).collect()
        };
        let lists = watched.into_iter().map(|(resource, place)| versions_of(&self.shared.cluster, resource, place));
        futures::stream::iter(lists).buffer_unordered(LISTS).map(futures::stream::iter).flatten().collect().await
    }

    /// Whether all of that, or what came after it, was told here and taken from here.
    pub fn has_told(&self, versions: &Versions) -> bool {
        let _order = self.shared.order.lock().unwrap_or_else(PoisonError::into_inner);
        // An object without a row is gone, or is told together with its record later.
        let is_told = |(key, version): (&ObjectKey, &String)| {
            self.shared.rows.get(key).is_none_or(|row| version_number(&row.resource_version) >= version_number(version))
        };
        self.news.is_empty() && versions.iter().all(is_told)
    }
}

struct Shared {
    cluster: Cluster,
    rows: Arc<Rows>,
    keys: Keys,
    namespaces: Vec<String>,
    /// Of each namespace, those annotations that ask for something.
    annotations: RwLock<BTreeMap<String, BTreeMap<String, String>>>,
    sender: Sender<News>,
    /// Held while a row and its news become known: who holds it sees both or none.
    order: Mutex<()>,
    watches: Watches,
}

/// Namespaces first, because each object inherits from its own; then definitions, and a watch for each kind.
async fn follow(shared: Arc<Shared>, resources: Resources) {
    let mut tasks = JoinSet::new();
    let (ready, mut is_ready) = mpsc::unbounded_channel();
    tasks.spawn(follow_namespaces(Arc::clone(&shared), ready.clone()));
    is_ready.recv().await;
    let wanted: BTreeMap<String, Arc<Resource>> =
        resources.iter().map(|resource| (resource.crd_name(), Arc::clone(resource))).collect();
    let api: Api<PartialObjectMeta<CustomResourceDefinition>> = Api::all(shared.cluster.watches());
    let mut watch = Watch::new("customresourcedefinitions", None, api, Arc::clone(&shared.watches));
    let mut kinds = Served { shared, wanted, ready, running: BTreeMap::new(), firsts: Firsts::default(), tasks };
    // Definitions that were told since all are told anew; and whether all were, while nobody knows it yet.
    let mut there: BTreeSet<String> = BTreeSet::new();
    let mut complete = false;
    loop {
        tokio::select! {
            event = watch.next() => match event {
                Ok(Event::Init) => there.clear(),
                Ok(Event::InitApply(crd)) => {
                    let name = crd.metadata.name.unwrap_or_default();
                    kinds.begin(&name);
                    there.insert(name);
                }
                Ok(Event::InitDone) => {
                    // What went while nobody told us.
                    let gone: Vec<String> = kinds.running.keys().filter(|name| !there.contains(*name)).cloned().collect();
                    for name in gone {
                        kinds.end(&name).await;
                    }
                    complete = true;
                }
                Ok(Event::Apply(crd)) => kinds.begin(&crd.metadata.name.unwrap_or_default()),
                Ok(Event::Delete(crd)) => kinds.end(&crd.metadata.name.unwrap_or_default()).await,
                // Whoever may not look at definitions watches every kind, and those that are not served fail alone.
                Err(error) if is_forbidden(&error) && kinds.running.is_empty() => {
                    kinds.begin_all();
                    complete = true;
                }
                Err(_) => {}
            },
            Some((name, first)) = is_ready.recv() => kinds.firsts.note(&name, first),
        }
        if complete && kinds.firsts.are_enough() {
            complete = false;
            kinds.shared.tell(News::Complete).await;
        }
    }
}

/// The kinds that the server serves, each with its watch.
struct Served {
    shared: Arc<Shared>,
    /// The kinds of ours, by the name of their definition.
    wanted: BTreeMap<String, Arc<Resource>>,
    ready: UnboundedSender<(String, First)>,
    running: BTreeMap<String, AbortHandle>,
    firsts: Firsts,
    tasks: JoinSet<()>,
}

/// How far a watch is with what was there when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    /// Not told yet.
    Awaited,
    /// It cannot be read, for now.
    Hidden,
    Told,
}

/// The same of each watch, by its name.
#[derive(Debug, Default)]
struct Firsts(BTreeMap<String, First>);

impl Firsts {
    /// Takes in how far a watch is; of one that ended meanwhile it does not matter.
    fn note(&mut self, name: &str, first: First) {
        if let Some(known) = self.0.get_mut(name) {
            *known = first;
        }
    }

    /// Whether work can begin: nobody is waited for, and not everything is hidden, which is no view of anything.
    fn are_enough(&self) -> bool {
        let is = |wanted| self.0.values().any(|first| *first == wanted);
        !is(First::Awaited) && (is(First::Told) || self.0.is_empty())
    }
}

impl Served {
    fn begin(&mut self, name: &str) {
        if let Some(resource) = self.wanted.get(name).filter(|_| !self.running.contains_key(name)) {
            let watches = places(&self.shared.namespaces).into_iter().map(|place| watch_name(resource, place));
            self.firsts.0.extend(watches.map(|watch| (watch, First::Awaited)));
            let task = follow_kind(Arc::clone(&self.shared), Arc::clone(resource), self.ready.clone());
            self.running.insert(name.to_owned(), self.tasks.spawn(task));
        }
    }

    fn begin_all(&mut self) {
        let names: Vec<String> = self.wanted.keys().cloned().collect();
        for name in names {
            self.begin(&name);
        }
    }

    /// The definition is gone, and every object with it.
    async fn end(&mut self, name: &str) {
        let (Some(task), Some(resource)) = (self.running.remove(name), self.wanted.get(name)) else { return };
        task.abort();
        self.shared.all_gone(resource, None, &BTreeSet::new()).await;
        for place in places(&self.shared.namespaces) {
            let watch = watch_name(resource, place);
            self.shared.watches.lock().unwrap_or_else(PoisonError::into_inner).remove(&watch);
            if self.firsts.0.remove(&watch) == Some(First::Hidden) {
                // There are none any more, which is known without looking.
                self.shared.tell(News::Shown { resource: Arc::clone(resource), namespace: place.cloned() }).await;
            }
        }
    }
}

async fn follow_namespaces(shared: Arc<Shared>, ready: UnboundedSender<(String, First)>) {
    let api: Api<PartialObjectMeta<Namespace>> = Api::all(shared.cluster.watches());
    let mut watch = Watch::new("namespaces", None, api, Arc::clone(&shared.watches));
    let done = |ready: &UnboundedSender<_>| {
        // Nobody waits the second time.
        let _ = ready.send(("namespaces".to_owned(), First::Told));
    };
    loop {
        match watch.next().await {
            Ok(Event::Apply(namespace) | Event::InitApply(namespace)) => {
                let name = namespace.metadata.name.unwrap_or_default();
                let annotations: BTreeMap<String, String> = namespace.metadata.annotations.unwrap_or_default();
                let annotations: BTreeMap<_, _> =
                    annotations.into_iter().filter(|(name, _)| object::is_heard(name)).collect();
                let before = {
                    let mut known = shared.annotations.write().unwrap_or_else(PoisonError::into_inner);
                    known.insert(name.clone(), annotations.clone())
                };
                if before.is_some_and(|before| before != annotations) {
                    shared.tell(News::Namespace { name, annotations }).await;
                }
            }
            Ok(Event::Delete(namespace)) => {
                let name = namespace.metadata.name.unwrap_or_default();
                shared.annotations.write().unwrap_or_else(PoisonError::into_inner).remove(&name);
            }
            Ok(Event::InitDone) => done(&ready),
            // Without the right to look, namespaces say nothing.
            Err(error) if is_forbidden(&error) => done(&ready),
            Ok(Event::Init) | Err(_) => {}
        }
    }
}

async fn follow_kind(shared: Arc<Shared>, resource: Arc<Resource>, ready: UnboundedSender<(String, First)>) {
    let mut watches = JoinSet::new();
    for place in places(&shared.namespaces) {
        let api = objects(&shared.cluster, &resource, place);
        let task = follow_objects(Arc::clone(&shared), Arc::clone(&resource), api, place.cloned(), ready.clone());
        watches.spawn(task);
    }
    while watches.join_next().await.is_some() {}
}

/// Where objects are looked for: everywhere, or in each of these namespaces.
fn places(namespaces: &[String]) -> Vec<Option<&String>> {
    if namespaces.is_empty() { vec![None] } else { namespaces.iter().map(Some).collect() }
}

fn watch_name(resource: &Resource, place: Option<&String>) -> String {
    place.map_or_else(|| resource.crd_name(), |place| format!("{} in {place}", resource.crd_name()))
}

fn objects(cluster: &Cluster, resource: &Resource, place: Option<&String>) -> Api<DynamicObject> {
    match place {
        None => Api::all_with(cluster.watches(), &resource.api()),
        Some(namespace) => resource.in_namespace(cluster.watches(), namespace),
    }
}

async fn versions_of(cluster: &Cluster, resource: Arc<Resource>, place: Option<String>) -> Vec<(ObjectKey, String)> {
    let api = objects(cluster, &resource, place.as_ref());
    let list = api.list_metadata(&ListParams::default()).await.ok();
    let version = |found: PartialObjectMeta<DynamicObject>| {
        let key = object::key(&resource, &found);
        found.metadata.resource_version.map(|version| (key, version))
    };
    list.into_iter().flat_map(|list| list.items).filter_map(version).collect()
}

async fn follow_objects(
    shared: Arc<Shared>,
    resource: Arc<Resource>,
    api: Api<DynamicObject>,
    place: Option<String>,
    ready: UnboundedSender<(String, First)>,
) {
    let name = watch_name(&resource, place.as_ref());
    let mut watch = Watch::new(&name, Some(Arc::clone(&resource)), api, Arc::clone(&shared.watches));
    let mut there = BTreeSet::new();
    let mut first = First::Awaited;
    let began = Instant::now();
    let key = |raw: &DynamicObject| object::key(&resource, raw);
    loop {
        match watch.next().await {
            Ok(Event::Init) => there.clear(),
            Ok(Event::InitApply(raw)) => {
                there.insert(key(&raw));
                shared.seen(&resource, raw).await;
            }
            Ok(Event::InitDone) => {
                shared.all_gone(&resource, place.as_ref(), &there).await;
                there.clear();
                if first == First::Hidden {
                    shared.tell(News::Shown { resource: Arc::clone(&resource), namespace: place.clone() }).await;
                }
                first = First::Told;
                // Nobody listens while the process ends.
                let _ = ready.send((name.clone(), first));
            }
            Ok(Event::Apply(raw)) => shared.seen(&resource, raw).await,
            Ok(Event::Delete(raw)) => {
                shared.gone(key(&raw)).await;
            }
            Err(error) if first == First::Awaited && (is_refused(&error) || began.elapsed() >= UNREAD_AFTER) => {
                warn!(target: "cso::kube", watch = %name, "working without it: what refers to its objects waits");
                shared.tell(News::Hidden { resource: Arc::clone(&resource), namespace: place.clone() }).await;
                first = First::Hidden;
                let _ = ready.send((name.clone(), first));
            }
            Err(_) => {}
        }
    }
}

impl Shared {
    async fn seen(&self, resource: &Resource, raw: DynamicObject) {
        // Nobody listens while the process ends.
        let Ok(permit) = self.sender.reserve().await else { return };
        let namespace = raw.metadata.namespace.as_deref().unwrap_or_default();
        let annotations = self.annotations.read().unwrap_or_else(PoisonError::into_inner);
        let inherited = annotations.get(namespace).cloned().unwrap_or_default();
        drop(annotations);
        let mut seen = object::read(resource, raw, inherited, &self.keys);
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = self.rows.put(seen.object.key.clone(), seen.row.clone());
        if !taken.is_latest {
            // A write of ours was answered with a later version, which is on its way too.
            return;
        }
        if let Some(life) = &mut seen.object.life {
            life.rival = taken.rival;
        }
        // Not one that never had a record, or whose status we wrote a moment ago and whose record comes next.
        let bare = taken.had_record && !seen.sealed;
        permit.send(News::Seen { seen: Box::new(seen), bare });
    }

    /// The objects of a kind, everywhere or in a namespace, but for those that are there.
    async fn all_gone(&self, resource: &Resource, place: Option<&String>, there: &BTreeSet<ObjectKey>) {
        for key in self.rows.of_kind(&resource.group, &resource.kind) {
            let is_meant = place.is_none_or(|place| *place == key.namespace);
            if is_meant && !there.contains(&key) {
                self.gone(key).await;
            }
        }
    }

    async fn gone(&self, key: ObjectKey) {
        let finalizer = object::finalizer(&key);
        let held = self.rows.remove(&key).is_some_and(|row| row.finalizers.contains(&finalizer));
        self.tell(News::Gone { key, held }).await;
    }

    async fn tell(&self, news: News) {
        // Nobody listens while the process ends.
        let _ = self.sender.send(news).await;
    }
}

fn is_forbidden(error: &watcher::Error) -> bool {
    answered(error) == Some(403)
}

/// Whether the server will say the same until somebody changes something: there is no right, or no such kind.
fn is_refused(error: &watcher::Error) -> bool {
    matches!(answered(error), Some(403 | 404))
}

/// The status that a watch was answered with.
fn answered(error: &watcher::Error) -> Option<u16> {
    use watcher::Error::{InitialListFailed, WatchError, WatchStartFailed};
    match error {
        InitialListFailed(error) | WatchStartFailed(error) => status(error),
        WatchError(status) => Some(status.code),
        _ => None,
    }
}

/// A watch that tells how it goes, and pauses after an error.
struct Watch<K> {
    name: String,
    resource: Option<Arc<Resource>>,
    events: std::pin::Pin<Box<dyn futures::Stream<Item = watcher::Result<Event<K>>> + Send>>,
    states: Watches,
    pause: Duration,
    failed: bool,
}

impl<K> Watch<K>
where
    K: kube::Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Clone + Send + Sync,
{
    fn new(name: &str, resource: Option<Arc<Resource>>, api: Api<K>, states: Watches) -> Self {
        let events = Box::pin(watcher(api, watcher::Config::default()));
        Self { name: name.to_owned(), resource, events, states, pause: PAUSES.0, failed: false }
    }

    async fn next(&mut self) -> watcher::Result<Event<K>> {
        if std::mem::take(&mut self.failed) {
            tokio::time::sleep(self.pause).await;
            self.pause = (self.pause * 2).min(PAUSES.1);
        }
        let event = loop {
            tokio::select! {
                // A watch never ends.
                Some(event) = self.events.next() => break event,
                () = tokio::time::sleep(QUIET), if self.fails() => self.note(|name, state| state.works(name)),
            }
        };
        self.take_note(&event);
        event
    }

    /// Whether the last that was heard of it is a failure, after everything had been told once.
    fn fails(&self) -> bool {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.get(&self.name).is_some_and(|state| state.listed && state.error.is_some())
    }

    fn note(&self, change: impl FnOnce(&str, &mut WatchState)) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let state = states.entry(self.name.clone()).or_default();
        state.resource.clone_from(&self.resource);
        change(&self.name, state);
    }

    fn take_note(&mut self, event: &watcher::Result<Event<K>>) {
        match event {
            // It asks, which is no answer.
            Ok(Event::Init) => {}
            Ok(_) => self.pause = PAUSES.0,
            Err(_) => self.failed = true,
        }
        self.note(|name, state| match event {
            Ok(Event::Init) => {}
            Ok(Event::InitDone) => {
                state.works(name);
                state.listed = true;
                state.lists += 1;
            }
            Ok(_) => {
                state.works(name);
                state.events += 1;
            }
            Err(error) => {
                state.errors += 1;
                let message = error.to_string();
                if state.error.as_ref() != Some(&message) {
                    warn!(target: "cso::kube", watch = name, error = %message, "a watch fails and is tried again");
                }
                state.error = Some(message);
            }
        });
    }
}

impl WatchState {
    fn works(&mut self, name: &str) {
        if self.error.take().is_some() {
            info!(target: "cso::kube", watch = name, "a watch works again");
        }
    }
}

#[cfg(test)]
mod tests;
