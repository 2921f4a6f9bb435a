//! Which versions there are, as a new leader asks for them, before a server in memory.

use std::convert::Infallible;

use cso_core::DigestKey;
use kube::Client;
use kube::client::Body;
use serde_json::json;

use super::*;
use crate::rows::Row;

fn resource(kind: &str, plural: &str) -> Resource {
    let [group, version] = ["sqs.services.k8s.aws", "v1alpha1"].map(str::to_owned);
    Resource { group, version, kind: kind.to_owned(), plural: plural.to_owned(), identity: Vec::new() }
}

/// A server with one queue; other kinds cannot be listed.
fn client() -> Client {
    let serve = |request: http::Request<Body>| {
        let is_queues = request.uri().path().ends_with("/queues");
        let metadata = json!({"name": "orders", "namespace": "shop", "uid": "u", "resourceVersion": "7"});
        let api = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": {},
            "items": [{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata}]});
        let refusal =
            json!({"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "no"});
        let (status, body) = if is_queues { (200, api) } else { (403, refusal) };
        let body = Body::from(body.to_string().into_bytes());
        let answer = http::Response::builder().status(status).header("content-type", "application/json").body(body);
        std::future::ready(Ok::<_, Infallible>(answer.unwrap()))
    };
    Client::new(tower::service_fn(serve), "default")
}

/// A feed that watches these kinds, and does nothing else; and where its news come from.
fn feed(watched: &[&str]) -> (Feed, Sender<News>) {
    let (sender, news) = mpsc::channel(1);
    let states = watched.iter().map(|name| ((*name).to_owned(), WatchState::default())).collect();
    let shared = Arc::new(Shared {
        cluster: Cluster::behind(client()),
        rows: Arc::default(),
        keys: Keys { digest: DigestKey::from_bytes([1; 32]) },
        namespaces: Vec::new(),
        annotations: RwLock::default(),
        sender: sender.clone(),
        order: Mutex::default(),
        watches: Arc::new(Mutex::new(states)),
    });
    let resources = [resource("Queue", "queues"), resource("Pipe", "pipes")].into_iter().collect();
    (Feed { news, shared, resources, _work: JoinSet::new() }, sender)
}

fn key() -> ObjectKey {
    ObjectKey::new("sqs.services.k8s.aws", "Queue", "shop", "orders")
}

#[tokio::test]
async fn versions_are_those_of_the_kinds_that_are_watched_and_can_be_listed() {
    let (watching, _sender) = feed(&["queues.sqs.services.k8s.aws", "pipes.sqs.services.k8s.aws"]);
    assert_eq!(watching.versions().await, Versions::from([(key(), "7".to_owned())]));
    let (idle, _sender) = feed(&[]);
    assert_eq!(idle.versions().await, Versions::new());
}

#[tokio::test]
async fn a_version_is_told_once_it_or_a_later_one_was_taken_from_here() {
    let (mut feed, sender) = feed(&["queues.sqs.services.k8s.aws"]);
    let versions = feed.versions().await;
    assert!(feed.has_told(&versions), "an object without a row is told with its record later");
    let put = |version: &str| {
        let row = Row { uid: "u".to_owned(), resource_version: version.to_owned(), ..Row::default() };
        feed.shared.rows.put(key(), row)
    };
    put("6");
    assert!(!feed.has_told(&versions), "an older one is known");
    put("10");
    assert!(feed.has_told(&versions), "versions are numbers: 10 is later than 7");
    sender.try_send(News::Complete).unwrap();
    assert!(!feed.has_told(&versions), "there is news that nobody took");
    feed.next().await;
    assert!(feed.has_told(&versions));
}

/// A write was answered before the events of what it was written over came: those are of no use any more.
#[tokio::test]
async fn what_is_older_than_the_answer_to_a_write_is_not_told() {
    let (mut feed, sender) = feed(&[]);
    let queues = resource("Queue", "queues");
    let version = |version: &str| -> DynamicObject {
        let metadata = json!({"name": "orders", "namespace": "shop", "uid": "u", "resourceVersion": version});
        let api = "sqs.services.k8s.aws/v1alpha1";
        serde_json::from_value(json!({"apiVersion": api, "kind": "Queue", "metadata": metadata})).unwrap()
    };
    feed.shared.rows.put(key(), object::row(&queues, &version("7")));
    feed.shared.seen(&queues, version("6")).await;
    sender.try_send(News::Complete).expect("nothing was told");
    assert!(matches!(feed.next().await, News::Complete));
    feed.shared.seen(&queues, version("8")).await;
    assert!(matches!(feed.next().await, News::Seen { seen, .. } if seen.row.resource_version == "8"));
}

#[test]
fn work_begins_when_nobody_is_waited_for_and_something_can_be_read() {
    let mut firsts = Firsts::default();
    assert!(firsts.are_enough(), "no kind is served");
    firsts.0 =
        [("keys", First::Awaited), ("queues", First::Awaited)].map(|(name, first)| (name.to_owned(), first)).into();
    firsts.note("keys", First::Hidden);
    assert!(!firsts.are_enough(), "queues are waited for");
    firsts.note("queues", First::Hidden);
    assert!(!firsts.are_enough(), "nothing can be read");
    firsts.note("queues", First::Told);
    assert!(firsts.are_enough(), "keys have told that they cannot be read");
    firsts.note("topics", First::Awaited);
    assert!(firsts.are_enough(), "its definition is gone");
}

/// A watch of these events, after which it is quiet.
fn watch(events: Vec<watcher::Result<Event<DynamicObject>>>) -> (Watch<DynamicObject>, Watches) {
    let states = Watches::default();
    let events = Box::pin(futures::stream::iter(events).chain(futures::stream::pending()));
    let name = "queues".to_owned();
    (Watch { name, resource: None, events, states: Arc::clone(&states), pause: PAUSES.0, failed: false }, states)
}

fn forbidden() -> watcher::Error {
    let status = kube::core::Status::failure("no", "Forbidden").with_code(403);
    watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_fails_is_tried_less_and_less_often() {
    let tries = 10;
    let (mut watch, states) = watch((0..tries).flat_map(|_| [Ok(Event::Init), Err(forbidden())]).collect());
    let began = Instant::now();
    for _ in 0..2 * tries {
        // What it says is in the states.
        let _ = watch.next().await;
    }
    // 0.1 s, doubled up to 15 s: 0.1 + 0.2 + ... + 12.8 and the ninth.
    assert_eq!(began.elapsed().as_millis(), 25_500 + 15_000);
    let state = states.lock().unwrap().get("queues").cloned().unwrap();
    assert_eq!((state.errors, state.lists, state.listed), (tries, 0, false));
    assert!(state.error.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_quiet_after_a_failure_works() {
    let error = |states: &Watches| states.lock().unwrap()["queues"].error.clone();
    let (mut watch, states) = watch(vec![Ok(Event::InitDone), Err(forbidden())]);
    for _ in 0..2 {
        let _ = watch.next().await;
    }
    assert!(error(&states).is_some());
    assert!(tokio::time::timeout(QUIET * 2, watch.next()).await.is_err(), "nothing happens");
    assert_eq!(error(&states), None);
}
