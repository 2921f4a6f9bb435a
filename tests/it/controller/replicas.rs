//! Two replicas: one leads, the other stands by warm; whoever loses leadership makes no call any more.

use std::process::Command;

use anyhow::{Result, ensure};
use cso_testbed::Kind;

use super::scene::{Scene, Subject};
use crate::running::{Running, until};

/// A short term, so that its end can be waited for.
const LEASE: [&str; 2] = ["--lease-duration", "3s"];

/// A replica that stands for election.
fn replica(scene: &Scene) -> Result<Running> {
    let mut command = scene.command(&LEASE)?;
    Running::spawn(scene.logs(), command.env("CSO_LEADER_ELECT", "true").arg("-v"))
}

fn signal(process: &Running, name: &str) -> Result<()> {
    let status = Command::new("kill").args([format!("-{name}"), process.pid().to_string()]).status()?;
    ensure!(status.success(), "kill ended with {status}");
    Ok(())
}

fn queues(scene: &Scene, range: std::ops::Range<usize>) -> Vec<Subject> {
    range.map(|number| scene.queue(&format!("q{number}"))).collect()
}

/// Every queue is as it says, there is one of each, and each took one call.
fn are_made_once(scene: &Scene, queues: &[Subject]) -> Result<()> {
    for queue in queues {
        scene.synced(queue)?;
    }
    let made = scene.stage.proxy.mutating();
    ensure!(made.len() == queues.len(), "{} queues took {} calls: {made:?}", queues.len(), made.len());
    let there = scene.stage.everything()?;
    ensure!(there.len() == queues.len(), "there is {there:?}");
    Ok(())
}

#[test]
fn a_leader_that_stops_hands_over_at_once() -> Result<()> {
    let scene = Scene::in_a_namespace(Kind::Ministack)?;
    let mut first = replica(&scene)?;
    first.tells("at work")?;
    let second = replica(&scene)?;
    let all = queues(&scene, 0..4);
    scene.declare_queues(&all[..2])?;
    are_made_once(&scene, &all[..2])?;
    ensure!(!second.told()?.contains("at work"), "two replicas work: {}", second.told()?);
    first.interrupt()?;
    ensure!(first.end()?.success(), "it ended badly: {}", first.told()?);
    second.tells("at work")?;
    scene.declare_queues(&all[2..])?;
    are_made_once(&scene, &all)
}

#[test]
fn a_leader_that_dies_is_followed_by_one_that_knows_what_it_did() -> Result<()> {
    let scene = Scene::in_a_namespace(Kind::Ministack)?;
    let first = replica(&scene)?;
    first.tells("at work")?;
    let second = replica(&scene)?;
    let all = queues(&scene, 0..12);
    scene.declare_queues(&all)?;
    until("it is in the middle", || Ok((scene.stage.proxy.mutating().len() >= 3).then_some(())))?;
    // Killed: nothing is handed over, and what it was doing stays open.
    drop(first);
    second.tells("at work")?;
    for queue in &all {
        scene.synced(queue)?;
    }
    let there = scene.stage.everything()?;
    ensure!(there.len() == all.len(), "there is {there:?}");
    Ok(())
}

#[test]
fn a_leader_that_was_asleep_makes_no_call_when_it_wakes() -> Result<()> {
    let scene = Scene::in_a_namespace(Kind::Ministack)?;
    let first = replica(&scene)?;
    first.tells("at work")?;
    let second = replica(&scene)?;
    let all = queues(&scene, 0..8);
    scene.declare_queues(&all[..4])?;
    are_made_once(&scene, &all[..4])?;
    signal(&first, "STOP")?;
    scene.declare_queues(&all[4..])?;
    second.tells("at work")?;
    for queue in &all {
        scene.synced(queue)?;
    }
    let before = scene.stage.proxy.mutating().len();
    signal(&first, "CONT")?;
    first.tells("stands by again")?;
    ensure!(scene.stage.proxy.mutating().len() == before, "it acted after its term: {}", first.told()?);
    are_made_once(&scene, &all)
}
