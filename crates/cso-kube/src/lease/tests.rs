//! Candidates over an API server in memory, on a clock that stands still until everybody waits.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

const TERM: Duration = Duration::from_secs(15);

/// A server that has at most one lease. Its watches never tell anything.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Option<Value>>>);

/// What goes wrong between a candidate and the server.
#[derive(Clone, Default)]
struct Line {
    fails: Arc<AtomicBool>,
    hangs: Arc<AtomicBool>,
}

type Request = http::Request<Body>;
type Response = http::Response<Body>;

fn answer(status: u16, body: &Value) -> Response {
    let body = Body::from(body.to_string().into_bytes());
    http::Response::builder().status(status).header("content-type", "application/json").body(body).unwrap()
}

fn refusal(code: u16, reason: &str) -> Response {
    answer(code, &json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason}))
}

impl Server {
    fn lease(&self) -> std::sync::MutexGuard<'_, Option<Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spec(&self) -> BTreeMap<String, Value> {
        let lease = self.lease();
        let spec = lease.as_ref().and_then(|lease| lease["spec"].as_object()).expect("a lease");
        spec.clone().into_iter().collect()
    }

    async fn serve(self, line: Line, request: Request) -> Result<Response, std::convert::Infallible> {
        if line.hangs.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        if line.fails.load(Ordering::Relaxed) {
            return Ok(refusal(500, "InternalError"));
        }
        let (head, body) = request.into_parts();
        let named = head.uri.path().ends_with(NAME);
        if head.method == "GET" && !named {
            return std::future::pending().await;
        }
        let sent: Option<Value> = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).ok();
        let mut lease = self.lease();
        let version = |lease: &Value| lease["metadata"]["resourceVersion"].as_str().map(str::to_owned);
        let known = lease.as_ref().map(|lease| version(lease).expect("a version"));
        Ok(match (head.method.as_str(), sent, known) {
            ("GET", _, Some(_)) => answer(200, lease.as_ref().unwrap()),
            ("GET" | "PUT", _, None) => refusal(404, "NotFound"),
            ("POST", Some(mut sent), None) => {
                sent["metadata"]["resourceVersion"] = "1".into();
                answer(201, lease.insert(sent))
            }
            ("PUT", Some(mut sent), Some(known)) if version(&sent).as_ref() == Some(&known) => {
                let next = known.parse::<u64>().unwrap() + 1;
                sent["metadata"]["resourceVersion"] = next.to_string().into();
                answer(200, lease.insert(sent))
            }
            ("POST" | "PUT", ..) => refusal(409, "Conflict"),
            other => panic!("unexpected: {other:?}"),
        })
    }

    fn candidate(&self, identity: &str, line: &Line) -> Candidate {
        self.candidate_once(watch::channel(true).1, identity, line)
    }

    fn candidate_once(&self, ready: watch::Receiver<bool>, identity: &str, line: &Line) -> Candidate {
        let client = || {
            let (server, line) = (self.clone(), line.clone());
            let service = tower::service_fn(move |request| server.clone().serve(line.clone(), request));
            Client::new(service, "default")
        };
        let candidacy = Candidacy { namespace: "cso-system".to_owned(), identity: identity.to_owned(), duration: TERM };
        Candidate::over([client(), client()], candidacy, ready, Epoch)
    }
}

/// A wall clock that says nothing: no decision may depend on it.
struct Epoch;

impl Clock for Epoch {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

fn sight(holder: Option<&str>, since: Instant) -> Sight {
    Sight { holder: holder.map(str::to_owned), duration: TERM, version: "7".to_owned(), since }
}

#[tokio::test(start_paused = true)]
async fn what_is_done_about_a_lease() {
    let begin = Instant::now();
    let after = |seconds| begin + Duration::from_secs(seconds);
    let until = Move::Wait { until: after(15) };
    for (sight, now, expected) in [
        (None, after(0), Move::Take),
        (Some(sight(None, begin)), after(0), Move::Take),
        (Some(sight(Some("me"), begin)), after(0), Move::Renew),
        (Some(sight(Some("me"), begin)), after(99), Move::Renew),
        (Some(sight(Some("other"), begin)), after(0), until),
        (Some(sight(Some("other"), begin)), after(14), until),
        (Some(sight(Some("other"), begin)), after(15), Move::Take),
    ] {
        assert_eq!(decide(sight.as_ref(), "me", now), expected, "{sight:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_ages_from_when_it_was_first_seen_as_it_is() {
    let begin = Instant::now();
    let lease = |version: &str, holder: &str| Lease {
        metadata: ObjectMeta { resource_version: Some(version.to_owned()), ..ObjectMeta::default() },
        spec: Some(LeaseSpec { holder_identity: Some(holder.to_owned()), ..LeaseSpec::default() }),
    };
    let first = see(None, &lease("1", "other"), TERM, begin);
    assert_eq!((first.since, first.duration), (begin, TERM));
    let later = begin + Duration::from_secs(9);
    assert_eq!(see(Some(first.clone()), &lease("1", "other"), TERM, later), first);
    assert_eq!(see(Some(first.clone()), &lease("2", "other"), TERM, later).since, later);
    assert_eq!(see(Some(first), &lease("2", ""), TERM, later).holder, None);
}

#[test]
fn a_lease_counts_its_holders_and_keeps_the_rest_of_itself() {
    let [first, second] = [1, 2].map(|second| Timestamp::from_second(second).unwrap());
    let made = claim(None, "one", TERM, first);
    let renewed = claim(Some(&made), "one", TERM, second);
    let taken = claim(Some(&renewed), "two", TERM, second);
    let facts = |lease: &Lease| {
        let spec = lease.spec.clone().unwrap();
        (
            spec.holder_identity.unwrap(),
            spec.lease_transitions,
            spec.acquire_time.unwrap().0,
            spec.renew_time.unwrap().0,
        )
    };
    assert_eq!(facts(&made), ("one".to_owned(), Some(0), first, first));
    assert_eq!(facts(&renewed), ("one".to_owned(), Some(0), first, second));
    assert_eq!(facts(&taken), ("two".to_owned(), Some(1), second, second));
    assert_eq!(taken.metadata, made.metadata);
}

#[tokio::test(start_paused = true)]
async fn a_lone_candidate_leads_for_as_long_as_it_is_there() {
    let server = Server::default();
    let candidate = server.candidate("one", &Line::default());
    let fence = candidate.fence();
    fence.opened().await;
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(fence.may_begin());
    }
    assert_eq!(server.spec()["holderIdentity"], "one");
    assert_eq!(server.spec()["leaseDurationSeconds"], 15);
    candidate.resign().await;
    assert!(!fence.may_finish());
    assert_eq!(server.spec()["holderIdentity"], "");
}

#[tokio::test(start_paused = true)]
async fn who_is_not_ready_does_not_stand() {
    let server = Server::default();
    let (ready, seen) = watch::channel(false);
    let candidate = server.candidate_once(seen, "one", &Line::default());
    tokio::time::sleep(TERM).await;
    assert!(server.lease().is_none());
    ready.send_replace(true);
    candidate.fence().opened().await;
    // Not ready any more, it lets its term run out.
    ready.send_replace(false);
    let second = server.candidate("two", &Line::default());
    second.fence().opened().await;
    assert!(!candidate.fence().may_finish());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_for_a_while_costs_no_leadership_and_for_long_costs_it_in_time() {
    let line = Line::default();
    let server = Server::default();
    let candidate = server.candidate("one", &line);
    let fence = candidate.fence();
    fence.opened().await;
    let begin = Instant::now();
    line.fails.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(8)).await;
    line.fails.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(fence.may_begin());
    line.hangs.store(true, Ordering::Relaxed);
    fence.closed().await;
    let closed = begin.elapsed();
    fence.ended().await;
    let rest = begin.elapsed().saturating_sub(closed);
    assert!(rest.abs_diff(TERM / 3) <= Duration::from_millis(2), "{rest:?}");
    // The last renewal was between eight and fourteen seconds after the beginning.
    assert!((18..=24).contains(&closed.as_secs()), "{closed:?}");
    line.hangs.store(false, Ordering::Relaxed);
    fence.opened().await;
}

#[tokio::test(start_paused = true)]
async fn a_second_candidate_stands_by_until_the_first_resigns() {
    let server = Server::default();
    let first = server.candidate("one", &Line::default());
    first.fence().opened().await;
    let second = server.candidate("two", &Line::default());
    tokio::time::sleep(TERM * 10).await;
    assert!(first.fence().may_begin() && !second.fence().may_finish());
    first.resign().await;
    let resigned = Instant::now();
    second.fence().opened().await;
    assert!(resigned.elapsed() <= TERM / 3, "{:?}", resigned.elapsed());
    assert_eq!(server.spec()["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn two_never_lead_at_once_whatever_the_first_one_suffers() {
    for hangs in [true, false] {
        let line = Line::default();
        let server = Server::default();
        let first = server.candidate("one", &line);
        first.fence().opened().await;
        let second = server.candidate("two", &Line::default());
        tokio::time::sleep(TERM).await;
        if hangs { &line.hangs } else { &line.fails }.store(true, Ordering::Relaxed);
        let cut = Instant::now();
        while !second.fence().may_begin() {
            assert!(cut.elapsed() < TERM * 2, "nobody leads");
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(!(first.fence().may_finish() && second.fence().may_finish()), "two lead");
        }
        // Back again, it stands by.
        line.hangs.store(false, Ordering::Relaxed);
        line.fails.store(false, Ordering::Relaxed);
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(second.fence().may_begin() && !first.fence().may_finish());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_taken_or_deleted_is_noticed_at_the_next_renewal() {
    let server = Server::default();
    let candidate = server.candidate("one", &Line::default());
    let fence = candidate.fence();
    fence.opened().await;
    *server.lease() = None;
    tokio::time::sleep(TERM / 2).await;
    assert!(fence.may_begin());
    assert_eq!(server.spec()["holderIdentity"], "one");
    if let Some(lease) = server.lease().as_mut() {
        lease["spec"]["holderIdentity"] = "somebody".into();
        lease["metadata"]["resourceVersion"] = "100".into();
    }
    tokio::time::sleep(TERM / 2).await;
    assert!(!fence.may_finish());
}
