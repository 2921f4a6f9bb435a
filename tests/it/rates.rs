//! A service that throttles: the real binary finds its pace, serves every namespace, and its user before its own checks.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use cso_testbed::{Action, AwsCall, Failure, Kind, Match, Outcome, Rule};

use crate::running::{Running, until};
use crate::stage::{Stage, figures};

/// Calls that the service takes in a second.
const A_SECOND: u32 = 30;

fn queues(namespace: &str, count: usize) -> String {
    (0..count).fold(String::new(), |mut text, n| {
        let name = format!("{namespace}-{n}");
        let _ = write!(
            text,
            "---\napiVersion: sqs.services.k8s.aws/v1alpha1\nkind: Queue\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{queueName: {name}}}\n"
        );
        text
    })
}

/// From now on the service takes so many calls in a second and throttles the rest.
fn throttle(stage: &Stage) -> Rule {
    let seconds = Mutex::new((Instant::now(), 0));
    let too_many = move |_: &AwsCall| {
        let mut seconds = seconds.lock().expect("whole after every statement");
        if seconds.0.elapsed() >= Duration::from_secs(1) {
            *seconds = (Instant::now(), 0);
        }
        seconds.1 += 1;
        seconds.1 > A_SECOND
    };
    let throttled = Failure::new("ThrottlingException");
    stage.proxy.on(Match::any().of("sqs").when(too_many).always(), Action::Fail(throttled))
}

/// When the last create of a namespace was answered, since a moment.
fn last_create(stage: &Stage, namespace: &str, since: Instant) -> Result<Duration> {
    let ours = |call: &&AwsCall| {
        call.operation == "CreateQueue"
            && call.outcome == Outcome::Answered { status: 200 }
            && call.input["QueueName"].as_str().is_some_and(|name| name.starts_with(namespace))
    };
    let calls = stage.proxy.calls();
    let ended = calls.iter().filter(ours).filter_map(|call| call.ended).max().context("no create")?;
    Ok(ended.duration_since(since))
}

#[test]
fn a_throttled_apply_makes_no_storm_and_starves_nobody() -> Result<()> {
    const LARGE: usize = 80;
    const SMALL: usize = 4;
    let stage = Stage::open(Kind::Ministack)?;
    stage.write("m/large.yaml", &queues("large", LARGE))?;
    stage.write("m/small.yaml", &queues("small", SMALL))?;
    let throttled = throttle(&stage);
    let begun = Instant::now();
    stage.cso(&["apply", "-f", "m", "--wait", "--timeout", "120s"])?.ends(0)?;
    let took = begun.elapsed();
    let all = stage.proxy.calls().iter().filter(|call| call.service == "sqs").count();
    let (refused, served) = (throttled.fired(), all - throttled.fired());
    let (small, large) = (last_create(&stage, "small", begun)?, last_create(&stage, "large", begun)?);
    figures(&format!(
        "{A_SECOND} calls a second: {served} served, {refused} refused, {:.0} s; last create of the small namespace \
         after {:.1} s, of the large one after {:.1} s",
        took.as_secs_f64(),
        small.as_secs_f64(),
        large.as_secs_f64()
    ));
    ensure!(stage.everything()?.len() == LARGE + SMALL, "there is {:?}", stage.everything()?);
    // What is under way when the first throttle comes is 32 calls.
    ensure!((1..=32 + served / 5).contains(&refused), "{refused} refused, {served} served");
    ensure!(small * 2 < large, "the small namespace waited for the large one: {small:?}, {large:?}");
    Ok(())
}

#[test]
fn an_edit_goes_before_the_checks() -> Result<()> {
    const QUEUES: usize = 60;
    let stage = Stage::open(Kind::Ministack)?;
    stage.write("m/queues.yaml", &queues("sweep", QUEUES))?;
    stage.write("m/edited.yaml", &queues("sweep", 1).replace("sweep-0", "edited"))?;
    stage.cso(&["apply", "-f", "m", "--wait"])?.ends(0)?;
    stage.proxy.clear();
    let throttled = throttle(&stage);
    // More checks than the service takes: the lane is never empty.
    let watcher = Running::start(&stage, &["apply", "-f", "m", "--watch", "--verify-every", "100ms"])?;
    until("the checks are throttled", || Ok((throttled.fired() > 0 && stage.proxy.calls().len() > 150).then_some(())))?;

    let before = stage.proxy.calls().len();
    let text = queues("sweep", 1).replace("sweep-0", "edited");
    let edited = text.replace("queueName: edited", "queueName: edited, visibilityTimeout: \"77\"");
    stage.write("m/edited.yaml", &edited)?;
    let set = Arc::new(Mutex::new(None));
    until("the edit is carried out", || {
        let calls = stage.proxy.calls();
        let found = calls.iter().position(|call| {
            call.operation == "SetQueueAttributes" && call.outcome == Outcome::Answered { status: 200 }
        });
        *set.lock().expect("whole") = found;
        Ok(found.map(|_| ()))
    })
    .with_context(|| watcher.told().unwrap_or_default())?;
    let place = set.lock().expect("whole").context("no call")?;
    let calls = stage.proxy.calls();
    let waited = calls[place].arrived.duration_since(calls[before].arrived);
    figures(&format!(
        "an edit among {QUEUES} checks at {A_SECOND} calls a second: carried out {} calls, {:.1} s later",
        place - before,
        waited.as_secs_f64()
    ));
    ensure!(place - before <= 60, "{} calls went before it", place - before);
    Ok(())
}
