//! A slow API server: each request takes long, one is never answered, an answer drips, a lease is renewed too late.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use cso_testbed::kube::{Action, Match, Proxy};
use cso_testbed::{Kind, Outcome};
use serde_json::json;

use super::scene::{OPERATOR, Scene, Subject};
use crate::running::{Running, until};

/// What a request takes where the server is slow.
const SLOW: Duration = Duration::from_secs(1);

/// Longer than any story waits.
const NEVER: Duration = Duration::from_secs(3600);

/// Longer than the outcome of a call waits for what follows it: from then on it is written alone.
const CLOSING: Duration = Duration::from_secs(6);

/// Longer than that, so that a request is still out then.
const PATIENCE: &str = "9s";

/// What `--lease-duration` is in these stories.
const LEASE: &str = "3s";

fn nowhere() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// How a page answers: its first line.
fn page(at: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(SLOW))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

/// Each resource was made by one call, and there is nothing else.
fn are_made_once(scene: &Scene, count: usize) -> Result<()> {
    let calls = scene.stage.proxy.mutating();
    let made: Vec<_> = calls.iter().filter(|call| call.operation.starts_with("Create")).collect();
    ensure!(made.len() == count, "{count} resources took {} calls: {made:?}", made.len());
    let there = scene.stage.everything()?;
    ensure!(there.len() == count, "there is {there:?}");
    Ok(())
}

/// From the first read on every request takes a second: a leader stays one, is alive, and gets everything done, side by side.
#[test]
fn a_slow_server_is_waited_for() -> Result<()> {
    let scene = Scene::in_a_namespace(Kind::Ministack)?;
    scene.proxy.on(Match::any().by(OPERATOR).always(), Action::Delay(SLOW));
    let pages = nowhere()?;
    let mut command = scene.command(&["--healthz-addr", &pages.to_string()])?;
    let controller = Running::spawn(scene.logs(), command.env("CSO_LEADER_ELECT", "true"))?;
    controller.tells("at work")?;
    let queues: Vec<Subject> = (0..8).map(|number| scene.queue(&format!("q{number}"))).collect();
    let topic = scene.named("sns.services.k8s.aws/v1alpha1", "Topic", "news");
    let began = Instant::now();
    scene.declare_queues(&queues)?;
    scene.declare(&topic, &json!({"name": "news"}))?;
    for object in queues.iter().chain([&topic]) {
        scene.synced(object)?;
        let alive = page(pages, "/healthz")?;
        ensure!(alive.contains("200"), "it is not alive: {alive}");
    }
    // Three writes each, one after the other.
    let took = began.elapsed();
    ensure!(took < SLOW * 9, "nine objects took {took:?}: they waited for each other");
    are_made_once(&scene, 9)?;
    ensure!(!controller.told()?.contains("leadership is not renewed"), "it gave up: {}", controller.told()?);

    for queue in &queues {
        scene.ask_to_delete(queue)?;
    }
    // Some on their way at the old pace, the rest at the new one.
    scene.proxy.behave();
    for queue in &queues {
        scene.gone(queue)?;
    }
    scene.delete(&topic)?;
    scene.leaves_nothing()
}

/// A write without an answer holds up its own object until it counts as lost, and nothing else.
#[test]
fn a_write_that_is_never_answered_holds_up_its_own_object_alone() -> Result<()> {
    let (scene, _controller) = Scene::at_work(&["--request-timeout", PATIENCE])?;
    // Of one the intent, of the other what follows the call.
    let [intent, status] = ["intent", "status"].map(|name| scene.queue(name));
    let held = [
        scene.proxy.on(Match::writes().by(OPERATOR).named("intent").of("queues"), Action::Delay(NEVER)),
        scene.proxy.on(Match::writes().by(OPERATOR).named("status").of("queues/status"), Action::Delay(NEVER)),
    ];
    scene.declare_queues(&[intent.clone(), status.clone()])?;
    until("both wait", || Ok(held.iter().all(|rule| rule.fired() == 1).then_some(())))?;
    let began = Instant::now();
    let mut made = 1;
    while began.elapsed() < CLOSING {
        let name = format!("q{made}");
        scene.make(&scene.queue(&name), &json!({"queueName": name}))?;
        made += 1;
    }
    // Both at this moment, before time passes with a closer look.
    let (calls, cloud) = (scene.proxy.calls(), scene.stage.proxy.mutating());
    let is_held = |name: &str| [&intent.name, &status.name].iter().any(|held| *held == name);
    let out = calls.iter().filter(|call| call.outcome == Outcome::Pending && is_held(&call.target.name)).count();
    ensure!(out == 2, "{out} writes have no answer after {:?}", began.elapsed());
    let begun = cloud.iter().filter(|call| call.operation == "CreateQueue").count();
    ensure!(begun == made, "{begun} calls for {made} queues that could be begun: {cloud:?}");

    for queue in [&intent, &status] {
        scene.synced(queue)?;
    }
    are_made_once(&scene, made + 1)
}

/// Answers that come in small pieces: soon enough, and where it takes too long.
#[test]
fn answers_that_drip_are_taken_or_given_up() -> Result<()> {
    let (scene, _controller) = Scene::at_work(&["--request-timeout", "5s"])?;
    let writes = |name: &str| Match::writes().by(OPERATOR).named(name);
    // Some fifty pieces each. What is given up has taken effect.
    let drips = scene.proxy.on(writes("drips").always(), Action::Drip(Duration::from_millis(10)));
    let ends = scene.proxy.on(writes("ends").times(2), Action::Drip(Duration::from_millis(200)));
    let queues = ["drips", "ends"].map(|name| scene.queue(name));
    scene.declare_queues(&queues)?;
    scene.make(&scene.queue("other"), &json!({"queueName": "other"}))?;
    for queue in &queues {
        scene.synced(queue)?;
    }
    ensure!(drips.fired() >= 3 && ends.fired() == 2, "{} and {} answers dripped", drips.fired(), ends.fired());
    are_made_once(&scene, 3)?;
    for queue in &queues {
        scene.delete(queue)?;
    }
    scene.delete(&scene.queue("other"))?;
    scene.leaves_nothing()
}

/// Renewals that take longer than they may end a leader's term before the next one's begins; with nobody who can renew, nobody
/// acts.
#[test]
fn a_leader_that_renews_too_slowly_stops_before_another_acts() -> Result<()> {
    let scene = Scene::in_a_namespace(Kind::Ministack)?;
    let others = Proxy::before(&scene.cluster)?;
    let replica = |proxy: &Proxy| -> Result<Running> {
        let mut command = scene.command(&["--lease-duration", LEASE])?;
        command.env("CSO_LEADER_ELECT", "true").env("KUBECONFIG", proxy.kubeconfig(OPERATOR)?);
        Running::spawn(scene.logs(), command)
    };
    let first = replica(&scene.proxy)?;
    first.tells("at work")?;
    let second = replica(&others)?;
    second.tells("another leads")?;
    let slow = || (Match::any().by(OPERATOR).of("leases").always(), Action::Delay(SLOW));
    let queues: Vec<Subject> = (0..6).map(|number| scene.queue(&format!("q{number}"))).collect();

    scene.proxy.on(slow().0, slow().1);
    scene.declare_queues(&queues[..2])?;
    first.tells("stands by again")?;
    second.tells("at work")?;
    let mark = scene.proxy.writes().len();
    scene.declare_queues(&queues[2..4])?;
    for queue in &queues[..4] {
        scene.synced(queue)?;
    }
    are_made_once(&scene, 4)?;
    let written = scene.proxy.writes();
    let late: Vec<_> = written[mark..].iter().filter(|call| call.target.resource == "queues").collect();
    ensure!(late.is_empty(), "written after its term: {late:?}");

    others.on(slow().0, slow().1);
    second.tells("stands by again")?;
    scene.declare_queues(&queues[4..])?;
    let tried = |proxy: &Proxy| proxy.calls().iter().filter(|call| call.target.resource == "leases").count();
    let before = [tried(&scene.proxy), tried(&others)];
    until("both have tried again", || {
        Ok((tried(&scene.proxy) > before[0] && tried(&others) > before[1]).then_some(()))
    })?;
    are_made_once(&scene, 4)?;

    for proxy in [&scene.proxy, &others] {
        proxy.behave();
    }
    for queue in &queues {
        scene.synced(queue)?;
    }
    are_made_once(&scene, 6)
}
