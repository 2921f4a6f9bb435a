//! The promise about mutating calls: at most once, unless the failure proves that nothing was done.

use std::net::TcpListener;

use cso_core::port::Effect;
use cso_core::{CallError, ErrorClass, Outcome};
use cso_facts::api::Protocol;
use cso_smithy::Reply;
use serde_json::{Value, json};

use crate::fixture::{Ledger, call, client, things};
use crate::server::{Act, Server, answer, json as reply};

/// Makes one call against a script; returns its result and how many requests arrived.
async fn run(effect: Effect, script: Vec<Act>) -> (Result<Value, CallError>, usize) {
    let service = things(Protocol::AwsJson1_0);
    let server = Server::play(script).await;
    let result = client(&server.url).call(call(&service, "CreateThing", effect, json!({"Name": "a"})), &()).await;
    (result, server.seen().len())
}

fn ok() -> Act {
    reply(200, r#"{"Names": ["a"]}"#)
}

fn throttled(status: u16) -> Act {
    reply(status, r#"{"__type": "ThrottlingException", "message": "slow down"}"#)
}

type Script = fn() -> Act;

/// Failures after which the thing may exist, by the code that tells them.
const DOUBTFUL: [(&str, Script); 9] = [
    ("connection-lost", || Act::Reset),
    ("connection-lost", || Act::Close),
    ("connection-lost", || Act::CutShort),
    ("timeout", || Act::Hang),
    ("InternalError", || reply(500, r#"{"__type": "InternalError"}"#)),
    ("ServiceUnavailable", || reply(503, r#"{"__type": "ServiceUnavailable"}"#)),
    ("unreadable-answer", || answer(502, "text/html", "<html><body>bad gateway</body></html>")),
    ("unreadable-answer", || reply(200, "{\"Names\": [\"a\"")),
    ("unreadable-answer", || reply(200, "garbage")),
];

#[tokio::test]
async fn a_mutating_call_in_doubt_is_sent_once() {
    for (code, act) in DOUBTFUL {
        let (result, requests) = run(Effect::Mutates, vec![act(), ok()]).await;
        let error = result.unwrap_err();
        assert_eq!((error.code.as_str(), error.outcome, requests), (code, Outcome::Unknown, 1), "{error}");
        assert_eq!(error.class, ErrorClass::Transient, "{error}");
    }
}

#[tokio::test]
async fn a_read_in_doubt_is_sent_again() {
    for (code, act) in DOUBTFUL {
        let (result, requests) = run(Effect::Reads, vec![act(), ok()]).await;
        assert_eq!((result.unwrap(), requests), (json!({"Names": ["a"]}), 2), "{code}");
    }
}

#[tokio::test]
async fn a_throttled_mutating_call_is_sent_again_because_nothing_was_done() {
    for act in [throttled(400), throttled(503), reply(429, "{}"), reply(400, r#"{"__type": "Busy"}"#)] {
        let (result, requests) = run(Effect::Mutates, vec![act, ok()]).await;
        assert_eq!((result.unwrap(), requests), (json!({"Names": ["a"]}), 2));
    }
}

#[tokio::test]
async fn throttling_ends_after_four_attempts() {
    let (result, requests) = run(Effect::Mutates, (0..9).map(|_| throttled(400)).collect()).await;
    let error = result.unwrap_err();
    assert_eq!((error.class, error.outcome, requests), (ErrorClass::Throttled, Outcome::Refused, 4), "{error}");
}

#[tokio::test]
async fn doubt_after_a_throttle_still_ends_the_call() {
    let (result, requests) = run(Effect::Mutates, vec![throttled(400), Act::Reset, ok()]).await;
    assert_eq!((result.unwrap_err().outcome, requests), (Outcome::Unknown, 2));
}

#[tokio::test]
async fn a_refused_connection_proves_that_nothing_was_done() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let service = things(Protocol::AwsJson1_0);
    let client = client(&format!("http://127.0.0.1:{port}"));
    let ledger = Ledger::default();
    let error = client.call(call(&service, "CreateThing", Effect::Mutates, json!({})), &ledger).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.outcome, error.class), ("connect", Outcome::Refused, ErrorClass::Transient));
    assert!(error.message.contains(&format!("127.0.0.1:{port}")), "{error}");
    assert_eq!(*ledger.0.lock().unwrap(), [Reply::Silent; 4]);
}

#[tokio::test]
async fn an_expired_credential_is_renewed_once() {
    let expired = || reply(400, r#"{"__type": "ExpiredTokenException", "message": "old"}"#);
    let (result, requests) = run(Effect::Mutates, vec![expired(), ok()]).await;
    assert_eq!((result.is_ok(), requests), (true, 2));
    let (result, requests) = run(Effect::Mutates, vec![expired(), expired(), ok()]).await;
    let error = result.unwrap_err();
    assert_eq!((error.class, error.outcome, requests), (ErrorClass::Denied, Outcome::Refused, 2), "{error}");
}

#[tokio::test]
async fn a_wrong_clock_is_corrected_from_the_answer() {
    let skewed = Act::Answer {
        status: 400,
        headers: vec![("date", "Tue, 29 Apr 2014 18:30:38 GMT".to_owned())],
        body: r#"{"__type": "InvalidSignatureException"}"#.to_owned(),
    };
    let service = things(Protocol::AwsJson1_0);
    let server = Server::play([skewed, ok()]).await;
    let create = call(&service, "CreateThing", Effect::Mutates, json!({}));
    client(&server.url).call(create, &()).await.unwrap();
    let seen = server.seen();
    assert!(seen[1].head.contains("x-amz-date: 20140429t1830"), "{}", seen[1].head);

    // Without a date that explains it, a refused signature is final.
    let (result, requests) = run(Effect::Mutates, vec![reply(403, r#"{"__type": "InvalidSignatureException"}"#)]).await;
    assert_eq!((result.unwrap_err().class, requests), (ErrorClass::Denied, 1));
}

#[tokio::test]
async fn a_refusal_is_final() {
    for effect in [Effect::Reads, Effect::Mutates] {
        let (result, requests) =
            run(effect, vec![reply(400, r#"{"__type": "a.b#ThingExists:http://x", "message": "m"}"#)]).await;
        let error = result.unwrap_err();
        assert_eq!(
            (error.code.as_str(), error.message.as_str(), error.outcome),
            ("ThingExists", "m", Outcome::Refused)
        );
        assert_eq!((error.class, error.status, requests), (ErrorClass::Invalid, Some(400), 1));
        assert_eq!(error.action, "things:CreateThing");
    }
}
