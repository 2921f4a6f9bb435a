//! As much of an API server as a controller needs, and with room for any number of kinds: a real one takes some megabytes
//! for each definition.
//!
//! Lists in pages, watches, gets, creates and merge patches with a check of the version, over TLS and HTTP/2 as the
//! real one. No validation, no defaults, no access rules, no deletion.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Collected, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A running server. It ends with its value.
pub(super) struct Simulated {
    address: SocketAddr,
    certificate: PathBuf,
    state: Arc<State>,
    _runtime: Runtime,
}

/// Everything it keeps.
#[derive(Default)]
struct State {
    version: AtomicU64,
    writes: AtomicUsize,
    /// By path, such as `apis/GROUP/VERSION/PLURAL`.
    collections: Mutex<BTreeMap<String, Collection>>,
}

#[derive(Default)]
struct Collection {
    /// By namespace and name.
    objects: BTreeMap<(String, String), Value>,
    watches: Vec<UnboundedSender<Bytes>>,
}

/// What a path leads to.
struct Target {
    collection: String,
    namespace: Option<String>,
    name: Option<String>,
}

impl Simulated {
    /// Starts on a free port of the loopback interface. `directory` takes its certificate.
    pub(super) fn start(directory: &Path) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
        let certificate = directory.join("simulated.crt");
        fs::write(&certificate, made.cert.pem())?;
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let state = Arc::<State>::default();
        runtime.spawn(accept(listener, TlsAcceptor::from(Arc::new(tls)), Arc::clone(&state)));
        Ok(Self { address, certificate, state, _runtime: runtime })
    }

    /// A kubeconfig of somebody who may do everything. JSON, which is YAML.
    pub(super) fn kubeconfig(&self, path: &Path) -> Result<()> {
        let cluster = json!({"server": format!("https://{}", self.address), "certificate-authority": self.certificate});
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "simulated", "cluster": cluster}],
            "users": [{"name": "anybody", "user": {}}],
            "contexts": [{"name": "simulated", "context": {"cluster": "simulated", "user": "anybody"}}],
            "current-context": "simulated",
        });
        fs::write(path, config.to_string()).with_context(|| path.display().to_string())
    }

    /// Puts an object in as if it had been made before anybody watched.
    pub(super) fn put(&self, collection: &str, object: Value) {
        self.state.store(collection, object);
    }

    /// Creates and patches so far, but for Events.
    pub(super) fn writes(&self) -> usize {
        self.state.writes.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            // Who hangs up has his reasons.
            let Ok(client) = tls.accept(client).await else { return };
            let service = service_fn(|request| {
                let state = Arc::clone(&state);
                async move { Ok::<_, Infallible>(state.serve(request).await) }
            });
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(client), service).await;
        });
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Collection>> {
        self.collections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        if head.uri.path() == "/version" {
            return answer(
                StatusCode::OK,
                &json!({"major": "1", "minor": "36", "gitVersion": "v1.36.0-simulated", "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": ""}),
            );
        }
        let Some(target) = Target::of(head.uri.path()) else { return missing() };
        let query = head.uri.query().unwrap_or_default();
        match (&head.method, &target.name) {
            (&Method::GET, None) if query.contains("watch=") => self.watch(&target),
            (&Method::GET, None) => self.list(&target, query),
            (&Method::GET, Some(_)) => self.get(&target).map_or_else(missing, |found| answer(StatusCode::OK, &found)),
            (&Method::POST | &Method::PATCH, _) => {
                let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
                match serde_json::from_slice(&body) {
                    Ok(sent) => self.write(&target, sent),
                    Err(_) => status(StatusCode::BAD_REQUEST, "BadRequest"),
                }
            }
            _ => status(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        }
    }

    fn get(&self, target: &Target) -> Option<Value> {
        self.lock().get(&target.collection)?.objects.get(&target.key()).cloned()
    }

    fn list(&self, target: &Target, query: &str) -> Response<Body> {
        let asked = |name: &str| query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        let limit = asked("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX);
        let after = asked("continue").and_then(|place| place.split_once('.'));
        let from = after
            .map_or(Bound::Unbounded, |(namespace, name)| Bound::Excluded((namespace.to_owned(), name.to_owned())));
        let collections = self.lock();
        let objects = collections.get(&target.collection).map(|collection| &collection.objects);
        let all = objects.into_iter().flat_map(|objects| objects.range((from.clone(), Bound::Unbounded)));
        let mut here = all.filter(|((namespace, _), _)| target.namespace.as_ref().is_none_or(|it| it == namespace));
        let mut last = None;
        let items: Vec<&Value> =
            here.by_ref().take(limit).inspect(|(key, _)| last = Some(*key)).map(|(_, it)| it).collect();
        let next = here.next().and(last).map(|(namespace, name)| format!("{namespace}.{name}"));
        let version = self.version.load(Ordering::Relaxed).to_string();
        let metadata = json!({"resourceVersion": version, "continue": next});
        answer(StatusCode::OK, &json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items}))
    }

    fn watch(&self, target: &Target) -> Response<Body> {
        let (sender, receiver) = unbounded_channel();
        self.lock().entry(target.collection.clone()).or_default().watches.push(sender);
        let lines = futures::stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|line| (Ok(Frame::data(line)), receiver))
        });
        Response::new(StreamBody::new(lines).boxed_unsync())
    }

    fn write(&self, target: &Target, sent: Value) -> Response<Body> {
        if target.collection.ends_with("/events") {
            return answer(StatusCode::CREATED, &sent);
        }
        self.writes.fetch_add(1, Ordering::Relaxed);
        if target.name.is_none() {
            return answer(StatusCode::CREATED, &self.store(&target.collection, sent));
        }
        let Some(mut object) = self.get(target) else { return missing() };
        let version = sent.pointer("/metadata/resourceVersion");
        if version.is_some_and(|version| Some(version) != object.pointer("/metadata/resourceVersion")) {
            return status(StatusCode::CONFLICT, "Conflict");
        }
        merge(&mut object, sent);
        answer(StatusCode::OK, &self.store(&target.collection, object))
    }

    /// Keeps an object under a new version, and tells those who watch.
    fn store(&self, collection: &str, mut object: Value) -> Value {
        let version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = version.to_string().into();
        if metadata.get("uid").is_none() {
            metadata["uid"] = format!("00000000-0000-4000-8000-{version:012}").into();
            metadata["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
            metadata["generation"] = 1.into();
        }
        let text = |name: &str| metadata[name].as_str().unwrap_or_default().to_owned();
        let key = (text("namespace"), text("name"));
        let mut collections = self.lock();
        let collection = collections.entry(collection.to_owned()).or_default();
        let kind = if collection.objects.contains_key(&key) { "MODIFIED" } else { "ADDED" };
        if !collection.watches.is_empty() {
            let line = Bytes::from(format!("{}\n", json!({"type": kind, "object": object})));
            collection.watches.retain(|watch| watch.send(line.clone()).is_ok());
        }
        collection.objects.insert(key, object.clone());
        object
    }
}

impl Target {
    fn of(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (prefix, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => (format!("api/{version}"), rest),
            ["apis", group, version, rest @ ..] => (format!("apis/{group}/{version}"), rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
            rest => (None, rest),
        };
        let (plural, rest) = rest.split_first()?;
        Some(Self {
            collection: format!("{prefix}/{plural}"),
            namespace,
            name: rest.first().map(|name| (*name).to_owned()),
        })
    }

    fn key(&self) -> (String, String) {
        (self.namespace.clone().unwrap_or_default(), self.name.clone().unwrap_or_default())
    }
}

/// A JSON merge patch (RFC 7386).
fn merge(object: &mut Value, patch: Value) {
    let Value::Object(changes) = patch else {
        *object = patch;
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (name, change) in changes {
        if change.is_null() {
            object.as_object_mut().map(|members| members.remove(&name));
        } else {
            merge(&mut object[name.as_str()], change);
        }
    }
}

fn answer(status: StatusCode, body: &Value) -> Response<Body> {
    let mut answer = Response::new(Full::from(body.to_string()).boxed_unsync());
    *answer.status_mut() = status;
    answer.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    answer
}

fn status(code: StatusCode, reason: &str) -> Response<Body> {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": reason, "reason": reason, "code": code.as_u16()});
    answer(code, &body)
}

fn missing() -> Response<Body> {
    status(StatusCode::NOT_FOUND, "NotFound")
}
