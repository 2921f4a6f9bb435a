//! The pages, over HTTP/1.1 without TLS: for probes, for scrapers, and for people with a port forward.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::debug;

use crate::metrics::{Metrics, Snapshot};

/// Connections at the same time: readers of these pages are few.
const CONNECTIONS: usize = 64;

/// How long a reader may take to ask.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the pages are about.
pub trait Subject: Send + Sync + 'static {
    /// Why it is not ready; `None` if it is.
    fn unready(&self) -> Option<String>;

    /// What it works without although it is ready, a line each.
    fn lacks(&self) -> Vec<String>;

    /// Counts what is counted when somebody asks.
    fn snapshot(&self) -> impl Future<Output = Snapshot> + Send;

    /// What is queued.
    fn queue(&self) -> impl Future<Output = Value> + Send;

    /// What is watched.
    fn watches(&self) -> Value;
}

/// Which pages there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// `/healthz` and `/readyz`.
    Probes,
    /// `/metrics`, `/debug/queue`, `/debug/watches`.
    Insight,
    /// All of them.
    All,
}

impl Pages {
    fn have(self, path: &str) -> bool {
        match path {
            "/healthz" | "/readyz" => self != Self::Insight,
            "/metrics" | "/debug/queue" | "/debug/watches" => self != Self::Probes,
            _ => false,
        }
    }
}

/// Serves pages until it is dropped.
pub async fn serve<S: Subject>(listener: TcpListener, pages: Pages, subject: Arc<S>, metrics: Arc<Metrics>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        while connections.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Of one connection, or of too many open files, which pass.
            Err(error) => {
                debug!(target: "cso::observe", %error, "a connection is not taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (subject, metrics) = (Arc::clone(&subject), Arc::clone(&metrics));
        let service = service_fn(move |request: Request<Incoming>| {
            let (subject, metrics) = (Arc::clone(&subject), Arc::clone(&metrics));
            async move {
                let page = page(pages, request.method(), request.uri().path(), &*subject, &metrics).await;
                Ok::<_, Infallible>(page)
            }
        });
        connections.spawn(async move {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
            // A reader that leaves is no event.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn page<S: Subject>(
    pages: Pages,
    method: &Method,
    path: &str,
    subject: &S,
    metrics: &Metrics,
) -> Response<Full<Bytes>> {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    const TEXT: &str = "text/plain; charset=utf-8";
    const JSON: &str = "application/json";
    let (status, form, body) = if !pages.have(path) {
        (StatusCode::NOT_FOUND, TEXT, "no such page\n".to_owned())
    } else if !matches!(*method, Method::GET | Method::HEAD) {
        (StatusCode::METHOD_NOT_ALLOWED, TEXT, "pages are only read\n".to_owned())
    } else {
        match path {
            "/readyz" => match subject.unready() {
                Some(why) => (StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{why}\n")),
                None => (StatusCode::OK, TEXT, ready(&subject.lacks())),
            },
            "/metrics" => match metrics.text(&subject.snapshot().await) {
                Ok(text) => (StatusCode::OK, OPEN_METRICS, text),
                Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, TEXT, error.to_string()),
            },
            "/debug/queue" => (StatusCode::OK, JSON, format!("{:#}\n", subject.queue().await)),
            "/debug/watches" => (StatusCode::OK, JSON, format!("{:#}\n", subject.watches())),
            // Whoever answers is alive.
            _ => (StatusCode::OK, TEXT, "ok\n".to_owned()),
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(form));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What a process that is ready says, and what it works without.
fn ready(lacks: &[String]) -> String {
    lacks.iter().fold("ok\n".to_owned(), |page, line| page + line + "\n")
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicBool, Ordering};

    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    #[derive(Default)]
    struct Desk(AtomicBool);

    impl Subject for Desk {
        fn unready(&self) -> Option<String> {
            (!self.0.load(Ordering::Relaxed)).then(|| "still reading".to_owned())
        }

        fn lacks(&self) -> Vec<String> {
            vec!["without keys.kms: forbidden".to_owned()]
        }

        async fn snapshot(&self) -> Snapshot {
            Snapshot { leading: true, ..Snapshot::default() }
        }

        async fn queue(&self) -> Value {
            json!({"readyCount": 0})
        }

        fn watches(&self) -> Value {
            json!({"queues.sqs.services.k8s.aws": {"listed": true}})
        }
    }

    async fn ask(server: SocketAddr, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(server).await.unwrap();
        let head = format!("{request} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    #[tokio::test]
    async fn each_page_is_where_it_belongs_and_says_what_it_should() {
        let desk = Arc::new(Desk::default());
        let metrics = Arc::new(Metrics::new("1.2.3"));
        for pages in [Pages::Probes, Pages::Insight, Pages::All] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let check = async {
                let ask = async |request: &str| ask(address, request).await;
                for (path, probe, says) in [
                    ("/healthz", true, "ok"),
                    ("/readyz", true, "ok\nwithout keys.kms: forbidden\n"),
                    ("/metrics", false, "cso_leading 1"),
                    ("/debug/queue", false, "readyCount"),
                    ("/debug/watches", false, "queues.sqs"),
                ] {
                    desk.0.store(true, Ordering::Relaxed);
                    let there = pages == Pages::All || probe == (pages == Pages::Probes);
                    let (status, body) = ask(&format!("GET {path}")).await;
                    assert_eq!(status, if there { 200 } else { 404 }, "{path} of {pages:?}");
                    assert_eq!(body.contains(says), there, "{path}: {body}");
                    assert_eq!(ask(&format!("DELETE {path}")).await.0, if there { 405 } else { 404 });
                }
                assert_eq!(ask("GET /").await.0, 404);
                desk.0.store(false, Ordering::Relaxed);
                let (status, body) = ask("GET /readyz").await;
                if pages != Pages::Insight {
                    assert_eq!((status, body.as_str()), (503, "still reading\n"));
                }
            };
            tokio::select! {
                () = check => {}
                () = serve(listener, pages, Arc::clone(&desk), Arc::clone(&metrics)) => unreachable!("it serves on"),
            }
        }
    }
}
