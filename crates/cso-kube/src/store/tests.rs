//! What is written behind the fence, and what an export's missing target does, before a server in memory.

use std::convert::Infallible;

use cso_core::export::TargetKind;
use cso_core::port::Reach;
use cso_core::record::Intent;
use cso_core::{DigestKey, Exported, Verb};
use jiff::Timestamp;
use kube::client::Body;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use super::*;
use crate::fence::Tenure;

/// Paths that were asked for, in order. `ConfigMap`s are not there; everything else takes what is written.
type Asked = Arc<Mutex<Vec<String>>>;

fn queue() -> Resource {
    Resource {
        group: "sqs.services.k8s.aws".into(),
        version: "v1alpha1".into(),
        kind: "Queue".into(),
        plural: "queues".into(),
        identity: vec!["queueName".into()],
    }
}

fn key() -> ObjectKey {
    ObjectKey::new("sqs.services.k8s.aws", "Queue", "shop", "orders")
}

fn object(version: u32) -> Value {
    json!({
        "apiVersion": "sqs.services.k8s.aws/v1alpha1", "kind": "Queue",
        "metadata": {"name": "orders", "namespace": "shop", "uid": "u", "resourceVersion": version.to_string()},
        "spec": {"queueName": "orders"},
    })
}

fn answer(status: u16, body: &Value) -> http::Response<Body> {
    let body = Body::from(body.to_string().into_bytes());
    http::Response::builder().status(status).header("content-type", "application/json").body(body).unwrap()
}

fn client(asked: &Asked) -> Client {
    let asked = Arc::clone(asked);
    let serve = move |request: http::Request<Body>| {
        let query = request.uri().query().filter(|query| query.contains("dryRun"));
        let path = [Some(request.uri().path()), query].into_iter().flatten().collect::<Vec<_>>().join("?");
        let mut all = asked.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(path.clone());
        let version = u32::try_from(all.len()).unwrap() + 1;
        drop(all);
        let missing =
            json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "no"});
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "app", "namespace": "shop"}});
        let reply = match path.split('/').nth_back(1) {
            Some("configmaps") => answer(404, &missing),
            Some("secrets") => answer(200, &secret),
            _ => answer(200, &object(version)),
        };
        std::future::ready(Ok::<_, Infallible>(reply))
    };
    Client::new(tower::service_fn(serve), "default")
}

/// A store before a server, that knows the object, and what the server is asked for.
fn store(fence: Fence) -> (KubeStore, Asked) {
    let asked = Asked::default();
    let rows = Arc::new(Rows::default());
    let seen: DynamicObject = serde_json::from_value(object(1)).unwrap();
    rows.put(key(), object::row(&queue(), &seen));
    let meta = StoreMeta { id: "0123456789abcdef".to_owned(), digest_key: DigestKey::from_bytes([1; 32]) };
    let resources = std::iter::once(queue()).collect();
    (KubeStore::new(&Cluster::behind(client(&asked)), meta, resources, rows, fence), asked)
}

fn asked(asked: &Asked) -> Vec<String> {
    std::mem::take(&mut *asked.lock().unwrap_or_else(PoisonError::into_inner))
}

fn record() -> Record {
    Record::new(key(), "u".to_owned(), DigestKey::from_bytes([1; 32]).digest("spec", &Value::Null))
}

fn with_intent() -> Record {
    let digest = DigestKey::from_bytes([1; 32]).digest("call", &Value::Null);
    let intent = Intent {
        verb: Verb::Create,
        part: String::new(),
        operation: "CreateQueue".to_owned(),
        digest,
        token: None,
        opened: Timestamp::UNIX_EPOCH,
        generation: 1,
        applies: BTreeMap::new(),
    };
    Record { intent: Some(intent), ..record() }
}

async fn put(store: &KubeStore, record: Record) -> Result<(), String> {
    store.commit(vec![Change::Put(Arc::new(record))]).await.map_err(|error| error.message)
}

#[tokio::test(start_paused = true)]
async fn in_the_last_third_of_a_term_outcomes_are_written_and_no_intents_and_after_it_nothing() {
    let (tenure, seen) = watch::channel(Tenure::None);
    let (store, served) = store(Fence::new(seen));
    let refused = || Err(format!("{} is not written: another replica may lead by now", key()));
    assert_eq!(put(&store, with_intent()).await, refused());
    assert_eq!(put(&store, record()).await, refused());
    assert!(asked(&served).is_empty(), "the server was asked");

    tenure.send_replace(Tenure::of(Instant::now(), Duration::from_secs(15)));
    assert_eq!(put(&store, with_intent()).await, Ok(()));
    assert_eq!(asked(&served).len(), 1);

    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(put(&store, with_intent()).await, refused());
    assert!(asked(&served).is_empty(), "the server was asked");
    assert_eq!(put(&store, record()).await, Ok(()));
    assert_eq!(asked(&served).len(), 1);

    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(put(&store, record()).await, refused());
    assert_eq!(store.commit(vec![Change::Remove(key())]).await.map_err(|error| error.message), refused());
    assert!(asked(&served).is_empty(), "the server was asked");
}

fn exporting(kind: TargetKind) -> Record {
    let [namespace, name, entry] = ["shop", "app", "url"].map(str::to_owned);
    let target = Target { kind, namespace, name, key: entry };
    Record { exported: Some(Exported { target, value: "http://host".to_owned() }), ..record() }
}

/// A delete, or a crash, at any moment finds on the object where its value is.
#[tokio::test]
async fn where_a_value_goes_stands_on_the_object_before_the_value_is_there() {
    let (store, served) = store(Fence::open());
    assert_eq!(put(&store, exporting(TargetKind::Secret)).await, Ok(()));
    let (object, target) =
        ("/apis/sqs.services.k8s.aws/v1alpha1/namespaces/shop/queues/orders", "/api/v1/namespaces/shop/secrets/app");
    assert_eq!(
        asked(&served),
        [&format!("{target}?&dryRun=All&fieldManager=cso&fieldValidation=Ignore"), object, target, object]
    );
}

#[tokio::test]
async fn a_missing_target_of_an_export_is_told_before_anything_is_written_and_the_object_is_still_known() {
    let (store, served) = store(Fence::open());
    let error = store.commit(vec![Change::Put(Arc::new(exporting(TargetKind::ConfigMap)))]).await.unwrap_err();
    assert_eq!(error.reach, Reach::Export);
    assert_eq!(error.message, "ConfigMap shop/app does not exist: the value is exported once it does");
    assert_eq!(
        asked(&served),
        ["/api/v1/namespaces/shop/configmaps/app?&dryRun=All&fieldManager=cso&fieldValidation=Ignore"]
    );
    assert_eq!(put(&store, record()).await, Ok(()));
}
