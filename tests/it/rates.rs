//! A service that throttles: the real binary finds its pace, serves every namespace, and its user before its own checks.

use std::fmt::Write as _;
use std::sync::Mutex;
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
    stage.cso(&["apply", "-f", "m", "--wait", "--timeout", "120s"])?.ends(0)?;
    let begun = stage.proxy.calls().first().context("no calls")?.arrived;
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

/// A new object does not wait for the checks; an edit of one that is being checked waits for that check at most.
#[test]
fn a_user_goes_before_the_checks() -> Result<()> {
    const QUEUES: usize = 60;
    let stage = Stage::open(Kind::Ministack)?;
    stage.write("m/queues.yaml", &queues("sweep", QUEUES))?;
    let edited = queues("sweep", 1).replace("sweep-0", "edited");
    stage.write("m/edited.yaml", &edited)?;
    stage.cso(&["apply", "-f", "m", "--wait"])?.ends(0)?;
    stage.proxy.clear();
    let throttled = throttle(&stage);
    // More checks than the service takes: there is always one that waits.
    let watcher = Running::start(&stage, &["apply", "-f", "m", "--watch", "--verify-every", "100ms"])?;
    until("the checks are throttled", || Ok((throttled.fired() > 0 && stage.proxy.calls().len() > 150).then_some(())))?;

    let new = queues("sweep", 1).replace("sweep-0", "new");
    stage.write("m/new.yaml", &new)?;
    let new = checks_before(&stage, "CreateQueue", &watcher)?;
    stage
        .write("m/edited.yaml", &edited.replace("queueName: edited", "queueName: edited, visibilityTimeout: \"77\""))?;
    let edit = checks_before(&stage, "SetQueueAttributes", &watcher)?;
    figures(&format!(
        "{QUEUES} checks at {A_SECOND} calls a second: {new} calls before a create, {edit} before an edit"
    ));
    ensure!(new <= 75, "{new} calls went before the new object");
    ensure!(edit <= 4 * QUEUES, "{edit} calls went before the edit");
    Ok(())
}

/// How many calls come from now on before one of this operation is carried out.
fn checks_before(stage: &Stage, operation: &str, watcher: &Running) -> Result<usize> {
    let before = stage.proxy.calls().len();
    let carried_out = |call: &AwsCall| call.operation == operation && call.outcome == Outcome::Answered { status: 200 };
    until(operation, || Ok(stage.proxy.calls().iter().skip(before).position(carried_out)))
        .with_context(|| watcher.told().unwrap_or_default())
}
