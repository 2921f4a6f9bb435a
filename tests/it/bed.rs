//! The test bed does what the other stories rely on, on every emulator: judged by boto3, through the proxy and past it.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use cso_testbed::{Action, Emulator, Failure, Kind, Match, Outcome, Proxy, ReadError, Reader, Then};
use serde_json::json;

/// An emulator, the proxy before it, a client that goes through the proxy, and one that goes past it.
struct Bed {
    emulator: Emulator,
    proxy: Proxy,
    through: Reader,
    past: Reader,
}

impl Bed {
    fn start(kind: Kind) -> Result<Self> {
        let emulator = Emulator::start(kind)?;
        let proxy = Proxy::before(emulator.endpoint())?;
        let (through, past) = (Reader::connect(proxy.endpoint())?, Reader::connect(emulator.endpoint())?);
        Ok(Self { emulator, proxy, through, past })
    }

    fn queues(&self) -> Result<usize> {
        let answer = self.past.all("sqs", "ListQueues", json!({}))?;
        Ok(answer["QueueUrls"].as_array().map_or(0, Vec::len))
    }
}

fn code<T>(result: Result<T, ReadError>) -> Option<String> {
    result.err()?.code().map(ToOwned::to_owned)
}

fn calls_are_recorded_and_classified(kind: Kind) -> Result<()> {
    let bed = Bed::start(kind)?;
    let identity = bed.through.call("sts", "GetCallerIdentity", json!({}))?;
    assert_eq!(identity["Account"], bed.emulator.endpoint().account);
    bed.through.call("sns", "CreateTopic", json!({"Name": "news"}))?;
    bed.through.call("secretsmanager", "ListSecrets", json!({}))?;
    let missing = bed.through.call("kms", "DescribeKey", json!({"KeyId": "alias/missing"}));
    assert_eq!(code(missing).as_deref(), Some("NotFoundException"));

    let seen: Vec<_> = bed.proxy.calls().into_iter().map(|call| (call.service, call.operation, call.outcome)).collect();
    let call = |service: &str, operation: &str, status| {
        (service.to_owned(), operation.to_owned(), Outcome::Answered { status })
    };
    let expected = [
        call("sts", "GetCallerIdentity", 200),
        call("sns", "CreateTopic", 200),
        call("secretsmanager", "ListSecrets", 200),
        call("kms", "DescribeKey", 400),
    ];
    assert_eq!(seen, expected);
    let mutating = bed.proxy.mutating();
    assert_eq!(mutating.len(), 1, "{mutating:?}");
    assert_eq!((mutating[0].input["Name"].as_str(), mutating[0].region.as_str()), (Some("news"), "eu-west-1"));

    bed.proxy.clear();
    assert_eq!(bed.proxy.calls(), []);
    bed.through.call("sqs", "ListQueues", json!({}))?;
    assert_eq!(bed.proxy.calls()[0].outcome, Outcome::Answered { status: 200 });
    Ok(())
}

fn a_dropped_reply_leaves_the_effect_and_a_dropped_request_none(kind: Kind) -> Result<()> {
    let bed = Bed::start(kind)?;
    let lost = bed.proxy.on(Match::operation("CreateQueue").containing("first"), Action::DropReply);
    let refused = bed.proxy.on(Match::operation("CreateQueue").containing("second"), Action::DropRequest);

    let first = bed.through.call("sqs", "CreateQueue", json!({"QueueName": "first"}));
    assert!(matches!(first, Err(ReadError::Broken { .. })), "the caller must not know: {first:?}");
    assert_eq!((lost.fired(), bed.queues()?), (1, 1));
    let second = bed.through.call("sqs", "CreateQueue", json!({"QueueName": "second"}));
    assert!(matches!(second, Err(ReadError::Broken { .. })), "{second:?}");
    assert_eq!((refused.fired(), bed.queues()?), (1, 1));

    let outcomes: Vec<_> = bed.proxy.calls().into_iter().map(|call| call.outcome).collect();
    assert_eq!(outcomes, [Outcome::ReplyLost { status: 200 }, Outcome::NeverSent]);
    assert_eq!(bed.proxy.mutating().len(), 1, "only one reached the cloud");
    Ok(())
}

/// One call per protocol, and the codes that only boto3's own parsers can find.
fn injected_errors_are_understood(kind: Kind) -> Result<()> {
    let bed = Bed::start(kind)?;
    let denied = bed.proxy.on(Match::operation("CreateKey"), Action::Fail(Failure::new("AccessDeniedException")));
    let throttled = Failure::new("ThrottlingException").status(503);
    bed.proxy.on(Match::operation("CreateTopic").times(2), Action::Fail(throttled));
    let exists = Failure::new("QueueNameExists").query_code("QueueAlreadyExists");
    bed.proxy.on(Match::operation("CreateQueue"), Action::Fail(exists));
    bed.proxy.on(Match::operation("ListBuckets"), Action::Fail(Failure::new("SlowDown").status(503)));

    assert_eq!(code(bed.through.call("kms", "CreateKey", json!({}))).as_deref(), Some("AccessDeniedException"));
    for _ in 0..2 {
        let topic = bed.through.call("sns", "CreateTopic", json!({"Name": "news"}));
        let Err(ReadError::Aws { code, status, .. }) = topic else { anyhow::bail!("not throttled: {topic:?}") };
        assert_eq!((code.as_str(), status), ("ThrottlingException", 503));
    }
    let queue = json!({"QueueName": "orders"});
    assert_eq!(code(bed.through.call("sqs", "CreateQueue", queue.clone())).as_deref(), Some("QueueAlreadyExists"));
    assert_eq!(code(bed.through.call("s3", "ListBuckets", json!({}))).as_deref(), Some("SlowDown"));

    assert_eq!(denied.fired(), 1);
    assert_eq!(bed.proxy.mutating(), [], "nothing reached the cloud");
    assert_eq!(bed.queues()?, 0);
    bed.through.call("sqs", "CreateQueue", queue)?;
    assert_eq!(bed.queues()?, 1, "the rule was for one call");
    Ok(())
}

/// The places where a crash matters: the hook runs while the cloud does not know yet, and while the caller does not.
fn hooks_run_around_the_effect(kind: Kind) -> Result<()> {
    let bed = Bed::start(kind)?;
    let past = Arc::new(Reader::connect(bed.emulator.endpoint())?);
    let seen = [Arc::new(AtomicUsize::new(usize::MAX)), Arc::new(AtomicUsize::new(usize::MAX))];
    let look = |place: usize, then: Then| {
        let (past, seen) = (Arc::clone(&past), Arc::clone(&seen[place]));
        move |call: &cso_testbed::AwsCall| {
            assert!(call.is_mutating());
            let queues = past.all("sqs", "ListQueues", json!({})).expect("the emulator answers");
            seen.store(queues["QueueUrls"].as_array().map_or(0, Vec::len), Ordering::SeqCst);
            then
        }
    };
    bed.proxy.on(Match::mutating().nth(1), Action::before(look(0, Then::GoOn)));
    bed.proxy.on(Match::mutating().nth(1), Action::after(look(1, Then::HangUp)));

    bed.through.call("sqs", "CreateQueue", json!({"QueueName": "first"}))?;
    let second = bed.through.call("sqs", "CreateQueue", json!({"QueueName": "second"}));
    assert!(matches!(second, Err(ReadError::Broken { .. })), "{second:?}");
    assert_eq!(seen.map(|count| count.load(Ordering::SeqCst)), [0, 2]);
    Ok(())
}

fn reset_forgets_and_drop_ends(kind: Kind) -> Result<()> {
    let mut bed = Bed::start(kind)?;
    let address = bed.emulator.endpoint().address;
    bed.through.call("sqs", "CreateQueue", json!({"QueueName": "orders"}))?;
    assert_eq!(bed.queues()?, 1);
    bed.emulator.reset()?;
    assert_eq!(bed.queues()?, 0);
    drop(bed);
    assert!(TcpStream::connect(address).is_err(), "{} still listens on {address}", kind.name());
    Ok(())
}

on_every_emulator!(
    calls_are_recorded_and_classified,
    a_dropped_reply_leaves_the_effect_and_a_dropped_request_none,
    injected_errors_are_understood,
    hooks_run_around_the_effect,
    reset_forgets_and_drop_ends,
);

#[test]
fn roto_starts_resets_and_ends() -> Result<()> {
    reset_forgets_and_drop_ends(Kind::Roto)
}
