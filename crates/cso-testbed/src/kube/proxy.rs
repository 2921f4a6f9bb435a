//! A proxy in front of an API server: records every request, and does to chosen ones what networks, overload and crashes
//! do.

mod call;
mod rule;
mod status;
mod watch;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::future::pending;
use std::io;
use std::net::{self, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use http::header::{self, HeaderMap, HeaderName};
use http::{Request, Response, Uri, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::cluster::{Cluster, kubeconfig};
use super::https;
use crate::Outcome;
use crate::error::{Context as _, Error};
use crate::rule::{Matcher as _, Then};
use rule::Hook;

pub use call::Call;
pub use rule::{Action, Match, Rule};
pub use status::Status;
pub use watch::End;

/// What describes one hop or one framing, not the message.
const HOP_HEADERS: [HeaderName; 5] =
    [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE, HeaderName::from_static("keep-alive")];

type Body = BoxBody<Bytes, io::Error>;

/// The witness between a controller and its API server.
///
/// It listens on plain HTTP, 1.1 or 2 with prior knowledge, and forwards over TLS with the caller's own token. Answers
/// are passed on as they come. Rules are asked in the order in which they were made, and the first whose turn it is
/// decides.
pub struct Proxy {
    address: SocketAddr,
    directory: PathBuf,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

struct Shared {
    upstream: SocketAddr,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    tokens: BTreeMap<String, String>,
    arrived: AtomicUsize,
    calls: Mutex<BTreeMap<usize, Call>>,
    rules: Mutex<Vec<Rule>>,
    /// Each watch that goes on, and what cuts it.
    watches: Mutex<BTreeMap<usize, (Call, Arc<Notify>)>>,
}

impl Proxy {
    /// Starts on a free port of the loopback interface, in front of a cluster's API server. It outlives the server's
    /// restarts: while there is none, callers lose their connections.
    pub fn before(cluster: &Cluster) -> Result<Self, Error> {
        let what = || "starting the proxy of the API server".to_owned();
        let tls = https::trusting(&cluster.ca()).context(what)?;
        // Not HTTP/2: its client puts everything on one connection, and stops at the server's limit of streams.
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
        let shared = Arc::new(Shared {
            upstream: cluster.address(),
            client: Client::builder(TokioExecutor::new()).build(connector),
            tokens: cluster.tokens().clone(),
            arrived: AtomicUsize::new(0),
            calls: Mutex::default(),
            rules: Mutex::default(),
            watches: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.context(what)?;
        // Not by tokio's own `bind`: the caller may be a task of another runtime, which must not block on this one.
        let listener = net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context(what)?;
        let address = listener.local_addr().context(what)?;
        listener.set_nonblocking(true).context(what)?;
        let listener = {
            let _within = runtime.enter();
            TcpListener::from_std(listener).context(what)?
        };
        runtime.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, directory: cluster.directory().to_owned(), shared, runtime: Some(runtime) })
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A kubeconfig of a user that leads through this proxy. For clients that send tokens without TLS: `kubectl` and
    /// others in Go do not.
    pub fn kubeconfig(&self, user: &str) -> Result<PathBuf, Error> {
        let token = self.shared.tokens.get(user).ok_or_else(|| Error::UnknownUser { name: user.to_owned() })?;
        let path = self.directory.join(format!("kubeconfig-{user}-through-{}", self.address.port()));
        let text = kubeconfig(&json!({"server": self.url()}), user, token);
        fs::write(&path, text).context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// Every request since the start or the last [`Proxy::clear`], in the order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        locked(&self.shared.calls).values().cloned().collect()
    }

    /// Those that may have changed something: the ones that reached the API server, and the ones on their way.
    pub fn writes(&self) -> Vec<Call> {
        let mut calls = self.calls();
        calls.retain(|call| call.is_write() && (call.outcome == Outcome::Pending || call.outcome.reached_cloud()));
        calls
    }

    /// The watches that go on.
    pub fn watches(&self) -> Vec<Call> {
        locked(&self.shared.watches).values().map(|(call, _)| call.clone()).collect()
    }

    /// Breaks the watches that go on and match, and tells how many. What a match says of turns does not count here.
    pub fn cut(&self, matches: &Match) -> usize {
        let watches = locked(&self.shared.watches);
        let fitting = watches.values().filter(|(call, _)| matches.fits(call));
        fitting.map(|(_, cut)| cut.notify_one()).count()
    }

    /// Forgets the requests so far. Rules stay.
    pub fn clear(&self) {
        locked(&self.shared.calls).clear();
    }

    /// From now on, does something to the requests that match.
    pub fn on(&self, matches: Match, action: Action) -> Rule {
        let rule = Rule::new(matches, action);
        locked(&self.shared.rules).push(rule.clone());
        rule
    }

    /// Drops every rule.
    pub fn behave(&self) {
        locked(&self.shared.rules).clear();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Not by waiting: a hook may block, and this may be a thread of another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        // Ends with its connection, or with the runtime.
        tokio::spawn(attend(client, Arc::clone(&shared)));
    }
}

/// Serves a connection until the caller has enough, or a rule hangs up.
async fn attend(client: TcpStream, shared: Arc<Shared>) {
    // Best effort: without it, small answers come later.
    let _ = client.set_nodelay(true);
    let hang_up = Arc::new(Notify::new());
    let service = service_fn(|request| {
        let (shared, hang_up) = (Arc::clone(&shared), Arc::clone(&hang_up));
        async move {
            let Some(answer) = shared.serve(request).await else {
                hang_up.notify_one();
                return pending().await;
            };
            Ok::<_, Infallible>(answer)
        }
    });
    let server = auto::Builder::new(TokioExecutor::new());
    tokio::select! {
        _ = server.serve_connection(TokioIo::new(client), service) => {}
        () = hang_up.notified() => {}
    }
}

impl Shared {
    /// The answer to a request; nothing if the connection is to be closed instead.
    async fn serve(self: Arc<Self>, request: Request<Incoming>) -> Option<Response<Body>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        let call = self.record(&head, &body);
        let action = locked(&self.rules).iter().find_map(|rule| rule.apply(&call).cloned());
        let then = match &action {
            Some(Action::Fail(status)) => {
                self.conclude(&call, Outcome::Refused { code: status.reason_name().to_owned() });
                return Some(status.answer());
            }
            Some(Action::DropRequest) => Then::HangUp,
            Some(Action::Before(hook)) => run(hook, &call).await,
            Some(Action::Delay(time)) => {
                tokio::time::sleep(*time).await;
                Then::GoOn
            }
            _ => Then::GoOn,
        };
        if then == Then::HangUp {
            self.conclude(&call, Outcome::NeverSent);
            return None;
        }
        self.forward(call, Request::from_parts(head, Full::new(body)), action).await
    }

    /// Lets the API server answer, and does what is to be done then.
    async fn forward(
        self: Arc<Self>,
        call: Call,
        mut request: Request<Full<Bytes>>,
        action: Option<Action>,
    ) -> Option<Response<Body>> {
        let uri = format!("https://{}{}", self.upstream, call.uri);
        *request.uri_mut() = Uri::try_from(uri).ok()?;
        *request.version_mut() = Version::HTTP_11;
        request.headers_mut().remove(header::HOST);
        remove_hop_headers(request.headers_mut());
        let answer = self.client.request(request).await;
        let then = match &action {
            Some(Action::DropReply) => Then::HangUp,
            Some(Action::After(hook)) => run(hook, &call).await,
            _ => Then::GoOn,
        };
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.conclude(&call, Outcome::Broken { why: error.to_string() });
                return None;
            }
        };
        let status = answer.status().as_u16();
        if then == Then::HangUp {
            self.conclude(&call, Outcome::ReplyLost { status });
            return None;
        }
        remove_hop_headers(answer.headers_mut());
        // Before the answer goes out: whoever has the answer must find the call in the log.
        self.conclude(&call, Outcome::Answered { status });
        Some(match action {
            Some(Action::EndWatch { after, end }) => self.watch(call, answer, Some((after, end))),
            Some(Action::Drip(pause)) => {
                answer.headers_mut().remove(header::CONTENT_LENGTH);
                answer.map(|from| watch::dripping(from, pause).boxed())
            }
            _ if call.verb == "watch" && status == 200 => self.watch(call, answer, None),
            _ => answer.map(|body| body.map_err(io::Error::other).boxed()),
        })
    }

    /// Passes a watch on in the background, until it ends of itself, by a rule, or by [`Proxy::cut`].
    fn watch(self: Arc<Self>, call: Call, answer: Response<Incoming>, ending: Option<(usize, End)>) -> Response<Body> {
        let cut = Arc::new(Notify::new());
        let sequence = call.sequence;
        locked(&self.watches).insert(sequence, (call, Arc::clone(&cut)));
        if let Some(call) = locked(&self.calls).get_mut(&sequence) {
            call.ended = None;
        }
        answer.map(|from| {
            let (to, body) = watch::channel();
            tokio::spawn(async move {
                watch::relay(from, to, ending, &cut).await;
                locked(&self.watches).remove(&sequence);
                if let Some(call) = locked(&self.calls).get_mut(&sequence) {
                    call.ended = Some(Instant::now());
                }
            });
            body.boxed()
        })
    }

    fn record(&self, head: &http::request::Parts, body: &Bytes) -> Call {
        let call = Call::read(self.arrived.fetch_add(1, Ordering::SeqCst), head, body, &self.tokens);
        locked(&self.calls).insert(call.sequence, call.clone());
        call
    }

    /// A call that was cleared away while it was on its way needs no ending.
    fn conclude(&self, call: &Call, outcome: Outcome) {
        if let Some(call) = locked(&self.calls).get_mut(&call.sequence) {
            call.ended = Some(Instant::now());
            call.outcome = outcome;
        }
    }
}

/// A hook may block: it kills processes and waits for them. One that panics costs the caller its connection.
async fn run(hook: &Hook, call: &Call) -> Then {
    let (hook, call) = (Arc::clone(hook), call.clone());
    tokio::task::spawn_blocking(move || hook(&call)).await.unwrap_or(Then::HangUp)
}

fn remove_hop_headers(headers: &mut HeaderMap) {
    for name in &HOP_HEADERS {
        headers.remove(name);
    }
}

/// A panicking hook poisons nothing that matters: what is behind the locks is whole after every statement.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
