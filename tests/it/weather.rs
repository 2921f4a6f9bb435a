//! Bad networks, bad servers, wrong clocks, old keys: what passes is waited out with few calls to spare, what does not
//! pass is told, and memory stays bounded. Each story counts the calls that came to nothing.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use cso_testbed::{Action, AwsCall, Failure, Match, Outcome};
use jiff::Timestamp;
use serde_json::json;

use crate::running::{Running, until};
use crate::stage::{APPLY, BRIEFLY, DELETE, QUEUE, Run, Stage, TOPIC, figures};

const WATCH: [&str; 6] = ["apply", "-f", "m", "--watch", "--verify-every", "500ms"];

const BUCKET: &str = "\
apiVersion: s3.services.k8s.aws/v1alpha1
kind: Bucket
metadata: {name: story}
spec: {name: story}
";
const KEY: &str = "\
apiVersion: kms.services.k8s.aws/v1alpha1
kind: Key
metadata: {name: story}
spec: {description: story}
";

/// A manifest of each family of protocols, how its service signs, its create and its read.
const FAMILIES: [(&str, &str, &str, &str); 3] = [
    (QUEUE, "sqs", "CreateQueue", "GetQueueAttributes"),
    (TOPIC, "sns", "CreateTopic", "GetTopicAttributes"),
    (BUCKET, "s3", "CreateBucket", "GetBucketTagging"),
];

/// The stage as new, with this manifest.
fn anew(stage: &mut Stage, manifest: &str) -> Result<()> {
    stage.clear()?;
    stage.write("m/object.yaml", manifest)
}

/// Calls of an operation, or all.
fn count(stage: &Stage, operation: Option<&str>) -> usize {
    stage.proxy.calls().iter().filter(|call| operation.is_none_or(|name| call.operation == name)).count()
}

/// What a network does to the answer of a call that took effect: the call is not made again, it is looked for.
#[test]
fn an_answer_that_is_lost_costs_one_look() -> Result<()> {
    let mut stage = Stage::with(QUEUE)?;
    for (manifest, _, create, _) in FAMILIES {
        anew(&mut stage, manifest)?;
        stage.cso(&APPLY)?.ends(0)?;
        let calm = count(&stage, None);
        for action in [Action::DropReply, Action::Reset, Action::Truncate(0), Action::Truncate(20)] {
            anew(&mut stage, manifest)?;
            let rule = stage.proxy.on(Match::operation(create), action.clone());
            stage.cso(&APPLY)?.ends(0)?;
            let all = count(&stage, None);
            figures(&format!("{create}, {action:?}: {all} calls, {calm} when nothing is lost"));
            ensure!(rule.fired() == 1 && count(&stage, Some(create)) == 1, "{action:?}: {create} was repeated");
            ensure!(all <= calm + 4, "{action:?}: {all} calls instead of {calm}");
            stage.has_one()?;
        }
    }
    Ok(())
}

/// A read is repeated, each time for one call that came to nothing.
#[test]
fn a_read_that_is_lost_is_repeated() -> Result<()> {
    let mut stage = Stage::with(QUEUE)?;
    for (manifest, _, _, read) in FAMILIES {
        anew(&mut stage, manifest)?;
        stage.cso(&APPLY)?.ends(0)?;
        stage.mutations();
        stage.cso(&APPLY)?.ends(0)?;
        let calm = count(&stage, None);
        for action in [
            Action::Reset,
            Action::DropRequest,
            Action::Truncate(7),
            Action::Fail(Failure::new("Bad Gateway").status(502).page()),
            Action::Fail(Failure::new("Hotel Wi-Fi").status(200).page()),
            Action::Fail(Failure::new("InternalFailure").status(500)),
            Action::Fail(Failure::new("ServiceUnavailable").status(503)),
        ] {
            stage.proxy.clear();
            let rule = stage.proxy.on(Match::operation(read).times(3), action.clone());
            stage.cso(&APPLY)?.ends(0)?.tells("nothing to do")?;
            let all = count(&stage, None);
            ensure!(rule.fired() == 3 && all == calm + 3, "{read}, {action:?}: {all} calls instead of {calm} + 3");
            stage.proxy.behave();
        }
    }
    Ok(())
}

/// Everything that a service is asked fails for a while.
#[test]
fn a_burst_of_server_errors_is_sat_out() -> Result<()> {
    let mut stage = Stage::with(QUEUE)?;
    for (manifest, service, create, _) in FAMILIES {
        anew(&mut stage, manifest)?;
        stage.cso(&APPLY)?.ends(0)?;
        let calm = count(&stage, None);
        anew(&mut stage, manifest)?;
        let failure = Failure::new("InternalError").status(500);
        let burst = stage.proxy.on(Match::any().of(service).times(9), Action::Fail(failure));
        stage.cso(&APPLY)?.ends(0)?;
        let (all, creates) = (count(&stage, None), count(&stage, Some(create)));
        figures(&format!("{service}: 9 errors, {all} calls, {creates} of them {create}; {calm} calls without errors"));
        ensure!(burst.fired() == 9, "it met {} errors", burst.fired());
        ensure!(all <= calm + 9 + 6, "{all} calls instead of {calm} + 9");
        stage.has_one()?;
    }
    Ok(())
}

/// Slow is not broken: every answer, byte by byte.
#[test]
fn answers_that_drip_are_drunk() -> Result<()> {
    let mut stage = Stage::with(QUEUE)?;
    for (manifest, ..) in FAMILIES {
        anew(&mut stage, manifest)?;
        stage.cso(&APPLY)?.ends(0)?;
        let calm = count(&stage, None);
        anew(&mut stage, manifest)?;
        stage.proxy.on(Match::any().always(), Action::Drip(Duration::from_millis(1)));
        stage.cso(&APPLY)?.ends(0)?;
        let all = count(&stage, None);
        ensure!(all == calm, "{all} calls instead of {calm}");
        stage.has_one()?;
    }
    Ok(())
}

/// A service that takes its time delays what it is asked, and nothing else.
#[test]
fn a_slow_service_delays_no_other() -> Result<()> {
    let stage = Stage::with(&format!("{QUEUE}---\n{TOPIC}"))?;
    let slow = stage.proxy.on(Match::any().of("sqs").always(), Action::Delay(Duration::from_secs(2)));
    let begun = Instant::now();
    stage.cso(&APPLY)?.ends(0)?;
    let topic = stage.proxy.calls().into_iter().rfind(|call| call.service == "sns").and_then(|call| call.ended);
    let topic = topic.context("no topic")?.duration_since(begun);
    ensure!(slow.fired() >= 1 && topic < Duration::from_secs(2), "the topic took {topic:?}");
    ensure!(stage.everything()?.len() == 2, "there is {:?}", stage.everything()?);
    Ok(())
}

/// A call that does not end holds up nobody else; who does not want to wait for it leaves, and the next run finds out.
#[test]
fn a_drip_that_does_not_end_holds_up_nobody() -> Result<()> {
    let stage = Stage::with(&format!("{QUEUE}---\n{TOPIC}"))?;
    let drip = stage.proxy.on(Match::operation("CreateQueue"), Action::Drip(Duration::from_secs(1)));
    let mut run = Running::start(&stage, &APPLY)?;
    run.tells("sns/Topic default/story: settled")?;
    run.interrupt()?;
    run.tells("finishing 1 call in flight")?;
    run.interrupt()?;
    ensure!(run.end()?.code() == Some(130), "{}", run.told()?);
    run.tells("left with calls in flight")?;
    ensure!(drip.fired() == 1 && count(&stage, Some("CreateQueue")) == 1, "nothing dripped");
    stage.proxy.behave();
    stage.mutations();
    stage.cso(&APPLY)?.ends(0)?;
    ensure!(count(&stage, Some("CreateQueue")) == 0, "it was made again");
    ensure!(stage.everything()?.len() == 2, "there is {:?}", stage.everything()?);
    stage.rests()
}

/// Most memory that a process has had, in MiB.
fn peak(process: &Running) -> Result<usize> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? >> 10)
}

/// Eight objects at once are answered with 100 MB each.
#[test]
fn a_flood_fills_no_memory() -> Result<()> {
    const OBJECTS: usize = 8;
    let mut stage = Stage::with(QUEUE)?;
    for (manifest, flooded, create) in [
        (QUEUE, "GetQueueUrl", "CreateQueue"),
        (TOPIC, "CreateTopic", "CreateTopic"),
        (BUCKET, "CreateBucket", "CreateBucket"),
    ] {
        let objects: Vec<_> = (0..OBJECTS).map(|n| manifest.replace("story", &format!("story-{n}"))).collect();
        anew(&mut stage, &objects.join("---\n"))?;
        let flood = stage.proxy.on(Match::operation(flooded).times(OBJECTS), Action::Flood(100 << 20));
        let watcher = Running::start(&stage, &WATCH)?;
        until("the flood has come", || Ok((flood.fired() == OBJECTS).then_some(())))?;
        watcher.tells("longer than 16777216 bytes")?;
        stage.proxy.behave();
        let seen = peak(&watcher)?;
        figures(&format!("{flooded}: {OBJECTS} answers of 100 MiB at once: {seen} MiB at most"));
        ensure!(seen < 32 * OBJECTS + 64, "{seen} MiB");
        drop(watcher);
        stage.cso(&APPLY)?.ends(0)?;
        ensure!(stage.everything()?.len() == OBJECTS, "there is {:?}", stage.everything()?);
        ensure!(count(&stage, Some(create)) <= 2 * OBJECTS, "{} creates", count(&stage, Some(create)));
        stage.rests()?;
    }
    Ok(())
}

/// Each kind, the code of what is not there, its create and its reads.
const LATE: [(&str, &str, &str, &[&str]); 4] = [
    (QUEUE, "AWS.SimpleQueueService.NonExistentQueue", "CreateQueue", &["GetQueueAttributes", "GetQueueUrl"]),
    (TOPIC, "NotFound", "CreateTopic", &["GetTopicAttributes"]),
    (KEY, "NotFoundException", "CreateKey", &["DescribeKey"]),
    (BUCKET, "NoSuchBucket", "CreateBucket", &["GetBucketTagging", "GetBucketVersioning", "HeadBucket"]),
];

/// With the windows that real clouds need.
fn patiently(stage: &Stage, args: &[&str]) -> Result<Run> {
    Run::of(stage.command(args)?.env_remove("CSO_CONSISTENCY"))
}

/// What was made is not there for some looks.
#[test]
fn what_is_invisible_after_its_create_is_not_made_twice() -> Result<()> {
    const BLIND: usize = 4;
    let mut stage = Stage::with(QUEUE)?;
    for (manifest, absent, create, reads) in LATE {
        anew(&mut stage, manifest)?;
        let made = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&made);
        let after = move |call: &AwsCall| {
            let blind = seen.load(Ordering::SeqCst) && reads.contains(&call.operation.as_str());
            if call.operation == create {
                seen.store(true, Ordering::SeqCst);
            }
            blind
        };
        let failure = Failure::new(absent).status(if absent == "NotFoundException" { 400 } else { 404 });
        let blind = stage.proxy.on(Match::any().when(after).times(BLIND), Action::Fail(failure));
        let run = patiently(&stage, &["apply", "-f", "m", "--wait", "--timeout", "60s"])?.ends(0)?;
        ensure!(blind.fired() == BLIND, "{create}: {} looks in vain\n{run:?}", blind.fired());
        ensure!(count(&stage, Some(create)) == 1, "{create} was made {} times", count(&stage, Some(create)));
        figures(&format!("{create}: invisible for {BLIND} looks, {} calls", count(&stage, None)));
        stage.has_one()?;
    }
    Ok(())
}

/// What was deleted is still there for some looks.
#[test]
fn what_is_visible_after_its_delete_is_not_deleted_in_a_hurry() -> Result<()> {
    const GHOSTLY: usize = 3;
    let mut stage = Stage::with(QUEUE)?;
    for (manifest, service, delete, read) in
        [(QUEUE, "sqs", "DeleteQueue", "GetQueueAttributes"), (TOPIC, "sns", "DeleteTopic", "GetTopicAttributes")]
    {
        anew(&mut stage, manifest)?;
        stage.cso(&APPLY)?.ends(0)?;
        stage.mutations();
        let gone = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&gone);
        let after = move |call: &AwsCall| {
            let ghost = seen.load(Ordering::SeqCst) && call.operation == read;
            if call.operation == delete {
                seen.store(true, Ordering::SeqCst);
            }
            ghost
        };
        let ghosts = stage.proxy.on(Match::any().of(service).when(after).times(GHOSTLY), Action::Stale);
        patiently(&stage, &DELETE)?.ends(0)?;
        ensure!(ghosts.fired() == GHOSTLY, "{delete}: {} old answers", ghosts.fired());
        ensure!(count(&stage, Some(delete)) == 1, "{delete} was made {} times", count(&stage, Some(delete)));
        figures(&format!("{delete}: visible for {GHOSTLY} looks, {} calls", count(&stage, None)));
        ensure!(stage.everything()?.is_empty(), "left: {:?}", stage.everything()?);
        stage.cso(&DELETE)?.ends(0)?.tells("nothing to do")?;
    }
    Ok(())
}

/// The server's clock is an hour off, and it takes no signature that is more than five minutes old or new.
#[test]
fn a_wrong_clock_costs_one_call() -> Result<()> {
    for hours in [1, -1] {
        let stage = Stage::with(&format!("{QUEUE}---\n{TOPIC}"))?;
        let offset = jiff::SignedDuration::from_hours(hours);
        let skewed = move |call: &AwsCall| {
            let signed = Timestamp::strptime("%Y%m%dT%H%M%S%#z", call.signed_at.replace('Z', "+0000"));
            signed.is_ok_and(|signed| (Timestamp::now() + offset).duration_since(signed).abs().as_mins() >= 5)
        };
        let date = (Timestamp::now() + offset).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let failure = Failure::new("RequestTimeTooSkewed").status(403).header("date", date);
        let refused = stage.proxy.on(Match::any().when(skewed).always(), Action::Fail(failure));
        stage.cso(&APPLY)?.ends(0)?;
        ensure!(refused.fired() == 1, "{} calls with a wrong time", refused.fired());
        ensure!(stage.everything()?.len() == 2, "there is {:?}", stage.everything()?);
    }
    Ok(())
}

/// A profile is rewritten while the process runs: its next call is signed with the new key.
#[test]
fn a_rotated_key_is_taken_up_without_a_restart() -> Result<()> {
    for code in ["ExpiredToken", "InvalidClientTokenId"] {
        let stage = Stage::with(QUEUE)?;
        let keys = |id: &str| format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = secret-of-{id}\n");
        stage.write(".aws/credentials", &keys("OLD"))?;
        let mut command = stage.command(&WATCH)?;
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY").env("HOME", stage.path());
        let watcher = Running::spawn(stage.path(), command)?;
        until("a queue", || Ok((stage.everything()?.len() == 1).then_some(())))?;

        stage.write(".aws/credentials", &keys("NEW"))?;
        let old = Match::any().when(|call| call.key_id == "OLD").always();
        let refused = stage.proxy.on(old, Action::Fail(Failure::new(code).status(403)));
        stage.write("m/second.yaml", &QUEUE.replace("story", "second"))?;
        until("a second queue", || Ok((stage.everything()?.len() == 2).then_some(())))
            .with_context(|| format!("{code}: {}", watcher.told().unwrap_or_default()))?;
        figures(&format!("{code}: {} calls with the old key", refused.fired()));
        // One that found out, and what was on its way by then: a check of the first, a look for the second.
        ensure!((1..=3).contains(&refused.fired()), "{} calls with the old key", refused.fired());
        ensure!(stage.proxy.calls().iter().any(|call| call.key_id == "NEW"), "nobody used the new key");
        ensure!(!watcher.told()?.contains("secret-of"), "it tells a secret");
    }
    Ok(())
}

/// A key that ends without a successor is told; once there is one, the next edit needs no restart.
#[test]
fn an_expired_key_is_told_and_healed() -> Result<()> {
    let stage = Stage::with(QUEUE)?;
    let keys = |id: &str| format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = secret-of-{id}\n");
    stage.write(".aws/credentials", &keys("OLD"))?;
    let mut command = stage.command(&WATCH)?;
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY").env("HOME", stage.path());
    let watcher = Running::spawn(stage.path(), command)?;
    until("a queue", || Ok((stage.everything()?.len() == 1).then_some(())))?;
    let old = Match::any().when(|call| call.key_id == "OLD").always();
    let refused = stage.proxy.on(old, Action::Fail(Failure::new("ExpiredToken").status(403)));
    stage.write("m/second.yaml", &QUEUE.replace("story", "second"))?;
    watcher.tells("ExpiredToken")?;
    stage.write(".aws/credentials", &keys("NEW"))?;
    stage.write("m/third.yaml", &QUEUE.replace("story", "third"))?;
    until("three queues", || Ok((stage.everything()?.len() == 3).then_some(())))
        .with_context(|| watcher.told().unwrap_or_default())?;
    figures(&format!("expired: {} calls with the old key", refused.fired()));
    ensure!(refused.fired() <= 12, "{} calls with the old key", refused.fired());
    Ok(())
}

/// A host that nobody knows: told by its name, nothing sent, and nothing forgotten.
#[test]
fn a_host_without_an_address_is_told() -> Result<()> {
    let stage = Stage::with(QUEUE)?;
    let mut command = stage.command(&BRIEFLY)?;
    command.env("AWS_ENDPOINT_URL_SQS", "http://sqs.story.invalid");
    let run = Run::of(&mut command)?.ends(1)?;
    run.tells("sqs/Queue default/story")?.tells("cannot connect to sqs.story.invalid")?;
    let sent: Vec<_> = stage.proxy.calls().into_iter().filter(|call| call.service == "sqs").collect();
    ensure!(sent.is_empty(), "{sent:?}");
    stage.resumes()?;
    ensure!(
        stage.proxy.calls().iter().all(|call| matches!(call.outcome, Outcome::Answered { .. })),
        "no fault is left"
    );
    let url = stage.cloud.call("sqs", "GetQueueUrl", json!({"QueueName": "story"}))?;
    ensure!(url["QueueUrl"].is_string(), "{url}");
    Ok(())
}
