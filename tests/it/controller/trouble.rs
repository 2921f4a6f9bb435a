//! Trouble with the API server: refused and slow writes, lost watches, a server that comes back.

use std::time::Duration;

use anyhow::{Result, ensure};
use cso_testbed::Kind;
use cso_testbed::kube::{Action, End, Match, Status};
use serde_json::json;

use super::scene::{OPERATOR, Scene, Subject};
use crate::running::until;

/// Without etcd: until what was written down before is done, and the rest of the minute.
const OUTAGE: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(50)];

fn writes() -> Match {
    Match::writes().by(OPERATOR).when(|call| call.target.resource == "queues")
}

/// Refused once, in every way a server refuses: the object gets there, once, and rests.
#[test]
fn refused_writes_are_repeated_and_nothing_is_made_twice() -> Result<()> {
    let (scene, _controller) = Scene::at_work(&[])?;
    for (number, code) in [409, 429, 500, 503].into_iter().enumerate() {
        for nth in 1..=3 {
            let queue = scene.queue(&format!("q{number}-{nth}"));
            let refused = scene.proxy.on(writes().named(&queue.name).nth(nth), Action::Fail(Status::new(code)));
            scene.stage.proxy.clear();
            scene.declare(&queue, &json!({"queueName": queue.name}))?;
            scene.synced(&queue)?;
            ensure!(refused.fired() == 1, "write {nth} was never refused with {code}");
            let made = scene.stage.mutations();
            ensure!(made.len() == 1, "{code} at write {nth}: {made:?}");
            scene.delete(&queue)?;
        }
    }
    scene.leaves_nothing()
}

/// Watches that break, or whose history is gone, are begun anew, and nothing is missed.
#[test]
fn lost_watches_are_begun_anew() -> Result<()> {
    let scene = Scene::in_a_namespace(Kind::Ministack)?;
    let watches = || Match::verb("watch").by(OPERATOR).of("queues");
    scene.proxy.on(watches().nth(1), Action::EndWatch { after: 1, end: End::Cut });
    scene.proxy.on(watches().nth(2), Action::EndWatch { after: 1, end: End::Error(Status::new(410)) });
    let _controller = scene.controller(&[])?;
    for number in 0..6 {
        let queue = scene.queue(&format!("q{number}"));
        scene.declare(&queue, &json!({"queueName": queue.name}))?;
        scene.synced(&queue)?;
    }
    for number in 0..6 {
        scene.delete(&scene.queue(&format!("q{number}")))?;
    }
    scene.leaves_nothing()
}

/// The server goes in the middle of the work and comes back; etcd stands still for a while.
#[test]
fn a_server_that_comes_back_finds_the_work_done() -> Result<()> {
    let scene = Scene::open()?;
    let _controller = scene.controller(&[])?;
    let queues: Vec<Subject> = (0..10).map(|number| scene.queue(&format!("q{number}"))).collect();
    scene.declare_queues(&queues)?;
    scene.cluster.stop_api_server();
    scene.cluster.start_api_server()?;
    for queue in &queues {
        scene.synced(queue)?;
    }
    ensure!(scene.stage.everything()?.len() == queues.len(), "there is {:?}", scene.stage.everything()?);
    scene.cluster.pause_etcd()?;
    std::thread::sleep(Duration::from_secs(3));
    scene.cluster.resume_etcd()?;
    for queue in &queues {
        scene.delete(queue)?;
    }
    scene.leaves_nothing()
}

/// What cannot be written down is not begun, drift included; afterwards everything is as it was wished, once.
#[test]
fn a_minute_without_etcd_loses_nothing_and_makes_nothing_twice() -> Result<()> {
    let scene = Scene::open()?;
    let _controller = scene.controller(&["--verify-every", "5s"])?;
    let kept = scene.queue("kept");
    scene.declare(&kept, &json!({"queueName": kept.name, "visibilityTimeout": "45"}))?;
    let url = scene.synced(&kept)?["status"]["queueURL"].clone();
    let queues: Vec<Subject> = (0..8).map(|number| scene.queue(&format!("q{number}"))).collect();
    scene.declare_queues(&queues)?;
    scene.cluster.stop_etcd();
    std::thread::sleep(OUTAGE[0]);
    let mut calls = scene.stage.mutations();
    let call = |operation, input| scene.stage.cloud.call("sqs", operation, input);
    call("SetQueueAttributes", json!({"QueueUrl": url, "Attributes": {"VisibilityTimeout": "99"}}))?;
    std::thread::sleep(OUTAGE[1]);
    let unwritten = scene.stage.mutations();
    ensure!(unwritten.is_empty(), "begun while it could not be written down: {unwritten:?}");

    scene.cluster.start_etcd()?;
    for queue in &queues {
        scene.synced(queue)?;
    }
    until("the drift is repaired", || {
        let seen = call("GetQueueAttributes", json!({"QueueUrl": url, "AttributeNames": ["VisibilityTimeout"]}))?;
        Ok((seen["Attributes"]["VisibilityTimeout"] == "45").then_some(()))
    })?;
    calls.extend(scene.stage.mutations());
    let made = calls.iter().filter(|call| call.operation == "CreateQueue").count();
    ensure!(made == 1 + queues.len(), "{made} queues were made");
    for queue in queues.iter().chain([&kept]) {
        scene.delete(queue)?;
    }
    scene.leaves_nothing()
}
