//! Connections to an API server: the standard rules of kubeconfig files and of pods, over HTTP/2.
//!
//! The stock client speaks HTTP/1.1, where each watch takes a connection of its own. Over HTTP/2 a connection carries many,
//! but never more than the server's limit, beyond which a request waits for ever without a word: watches are spread over a
//! pool. Writes have a connection of their own, or events would wait behind them.
//!
//! No request waits for ever. A watch must begin in time; what is read or written must be over in time, to the last byte.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Response;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::{BoxError, Layer as _, ServiceBuilder};

use crate::error::KubeError;

/// Connections that watches are spread over. At 80 watches each, which every server allows, they carry 1,600 kinds.
const WATCH_CONNECTIONS: usize = 20;

/// How long a request may take unless told otherwise: a little more than an API server works on a write before it gives up
/// (34 s), so that what we take for lost is not done later.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(35);

/// Which cluster.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Instead of the file that `KUBECONFIG` or the home directory leads to.
    pub kubeconfig: Option<PathBuf>,
    /// Instead of the file's current context.
    pub context: Option<String>,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Requests whose answers are taken as a whole.
    Calls,
    /// Answers that go on.
    Watches,
}

/// A cluster that can be talked to.
#[derive(Clone)]
pub struct Cluster {
    calls: Client,
    lease: Client,
    watches: Arc<[Client]>,
    next: Arc<AtomicUsize>,
    namespace: String,
    server: String,
}

impl Cluster {
    /// Finds the cluster and its credentials. Connects when it is first used.
    pub async fn connect(place: &Place) -> Result<Self, KubeError> {
        Self::connect_within(place, REQUEST_TIMEOUT).await
    }

    /// The same with another time for each request.
    pub async fn connect_within(place: &Place, time: Duration) -> Result<Self, KubeError> {
        let config = config(place).await?;
        let namespace = config.default_namespace.clone();
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        // Leadership is never retried behind its holder's back. Built by the stock builder, which also settles on one
        // provider of cryptography for the process.
        let mut unretried = config.clone();
        unretried.default_retry = false;
        let lease = Client::try_from(unretried).map_err(|error| connect(&error))?;
        let calls = client(&config, Use::Calls, time)?;
        let watches =
            (0..WATCH_CONNECTIONS).map(|_| client(&config, Use::Watches, time)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { calls, lease, watches: watches.into(), next: Arc::default(), namespace, server })
    }

    /// For reads and writes.
    pub fn calls(&self) -> Client {
        self.calls.clone()
    }

    /// For leadership alone.
    pub fn lease(&self) -> Client {
        self.lease.clone()
    }

    /// For one more watch.
    pub fn watches(&self) -> Client {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.watches[next % self.watches.len()].clone()
    }

    /// The namespace of the kubeconfig's context, or of the pod.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The address of the API server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Makes sure that a server answers, so that one that does not is told once and by its address.
    pub async fn reach(&self) -> Result<(), KubeError> {
        match self.calls.apiserver_version().await {
            Ok(_) => Ok(()),
            // Who answers is there, whatever he answers.
            Err(error) if crate::error::status(&error).is_some_and(|status| status != 401) => Ok(()),
            Err(error) if crate::error::status(&error) == Some(401) => {
                Err(KubeError::request(format!("use the cluster at {}", self.server), &error))
            }
            Err(error) => Err(KubeError::Connect { why: format!("{}: {}", self.server, crate::error::why(&error)) }),
        }
    }
}

#[cfg(test)]
impl Cluster {
    /// A cluster behind one client, which need not be one.
    pub(crate) fn behind(calls: Client) -> Self {
        let watches = Arc::from([calls.clone()]);
        let [namespace, server] = ["default", "http://cluster"].map(str::to_owned);
        Self { lease: calls.clone(), calls, watches, next: Arc::default(), namespace, server }
    }
}

async fn config(place: &Place) -> Result<Config, KubeError> {
    let lost = |error: &dyn std::error::Error| KubeError::Config { why: error.to_string() };
    let options = KubeConfigOptions { context: place.context.clone(), ..KubeConfigOptions::default() };
    match &place.kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).map_err(|error| lost(&error))?;
            Config::from_custom_kubeconfig(file, &options).await.map_err(|error| lost(&error))
        }
        None if place.context.is_some() => Config::from_kubeconfig(&options).await.map_err(|error| lost(&error)),
        None => Config::infer().await.map_err(|error| lost(&error)),
    }
}

/// A client over one HTTP/2 connection, or over HTTP/1.1 ones where the server knows no better. `time`: in which an answer must
/// have begun, and one that is taken as a whole must have ended.
fn client(config: &Config, used: Use, time: Duration) -> Result<Client, KubeError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(config.connect_timeout);
    let tls = config.rustls_client_config().map_err(|error| connect(&error))?;
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .enable_http2()
        .wrap_connector(tcp);
    let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .timer(hyper_util::rt::TokioTimer::new())
        .http2_keep_alive_interval(Duration::from_secs(20))
        .http2_keep_alive_while_idle(false)
        .build::<_, Body>(connector);
    let auth = config.auth_layer().map_err(|error| connect(&error))?;
    let headers = config.extra_headers_layer().map_err(|error| connect(&error))?;
    let service = ServiceBuilder::new().option_layer(auth).layer(headers).map_err(BoxError::from).service(http);
    let service = config.base_uri_layer().layer(service);
    let namespace = config.default_namespace.clone();
    let timed = ServiceBuilder::new().timeout(time);
    Ok(match used {
        Use::Calls => ClientBuilder::new(timed.and_then(whole).service(service), namespace).build(),
        Use::Watches => ClientBuilder::new(timed.service(service), namespace).build(),
    })
}

/// An answer with all of its body.
async fn whole(answer: Response<Incoming>) -> Result<Response<Full<Bytes>>, BoxError> {
    let (head, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Response::from_parts(head, Full::new(body)))
}

fn connect(error: &kube::Error) -> KubeError {
    KubeError::Connect { why: crate::error::why(error) }
}
