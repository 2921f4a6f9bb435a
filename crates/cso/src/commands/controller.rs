//! `controller`: does for the objects of a cluster what `apply --watch` does for the manifests of a directory.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use cso_core::{Object, ObjectKey};
use cso_engine::engine::Progress;
use cso_engine::run::{Control, Goal};
use cso_kube::identity::{Keys, identity};
use cso_kube::rows::Rows;
use cso_kube::secrets::KubeSecrets;
use cso_kube::{Cluster, Feed, KubeStore, News};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::Exit;
use super::drive::Signals;
use crate::args::{self, Global, Verdict};
use crate::kinds::of_session;
use crate::session::{self, Account, Worker};

type Engine = Worker<KubeStore, KubeSecrets>;

/// Runs until it is told to stop.
pub(super) async fn run(global: &Global, args: &args::Controller) -> Result<Exit> {
    let (global, verify_every) = &honoured(global, args)?;
    let mut signals = Signals::listen()?;
    let account = Account::of(global);
    let kinds = of_session(global)?;
    let place = crate::cluster::place(global);
    let cluster = Cluster::connect(&place).await?;
    let namespace = args.system.system_namespace.as_deref().unwrap_or_else(|| cluster.namespace());
    let meta = identity(&cluster, namespace, true).await?;
    let resources = crate::cluster::resources(&kinds);
    let rows = Arc::new(Rows::default());
    let keys = Keys { digest: meta.digest_key.clone() };
    let store = KubeStore::new(&cluster, meta, resources.clone(), Arc::clone(&rows));
    let mut feed = Feed::start(&cluster, resources, rows, keys, args.watch_namespace.clone());
    let account = account.await?;
    let secrets = KubeSecrets::new(&cluster);
    let (engine, happens) = session::open(global, account, store, secrets, kinds, args.take_back).await?;
    info!(target: "cso::controller", "reading what there is");
    loop {
        tokio::select! {
            () = signals.next() => return Ok(Exit::Interrupted),
            news = feed.next() => match news {
                News::Complete => break,
                news => drop(take_in(&engine, news)),
            },
        }
    }
    info!(target: "cso::controller", objects = engine.world().wishes().count(), "at work");
    let goal = Goal::Keep { verify_every: *verify_every };
    let ended = work(Arc::clone(&engine), goal, feed, happens, signals).await;
    engine.ports().store.flush().await;
    ended
}

/// What the flags of ACK make of ours.
fn honoured(global: &Global, args: &args::Controller) -> Result<(Global, Duration)> {
    let Verdict { refused, without_effect } = args.ack.verdict();
    if !refused.is_empty() {
        bail!("{}", refused.join("\n"));
    }
    for flag in without_effect {
        warn!(target: "cso::controller", flag, "without effect");
    }
    let mut global = global.clone();
    global.allow_cross_namespace = args.ack.cross_namespace().unwrap_or(global.allow_cross_namespace);
    Ok((global, args.ack.verify_every().unwrap_or(args.verify_every)))
}

async fn work(
    engine: Arc<Engine>,
    goal: Goal,
    mut feed: Feed,
    mut happens: UnboundedReceiver<Progress>,
    mut signals: Signals,
) -> Result<Exit> {
    let (control, inbox) = mpsc::unbounded_channel();
    let mut run = JoinSet::new();
    run.spawn(Arc::clone(&engine).run(goal, inbox));
    loop {
        tokio::select! {
            () = signals.next() => {
                info!(target: "cso::controller", "stopping: calls in flight are finished and recorded");
                // A run that is over does not listen, and needs not.
                let _ = control.send(Control::Stop);
            }
            Some(ended) = run.join_next() => {
                ended??;
                return Ok(Exit::Done);
            }
            news = feed.next() => {
                let changed = take_in(&engine, news);
                if !changed.is_empty() {
                    let _ = control.send(Control::Changed(changed));
                }
            }
            Some(event) = happens.recv() => tell(&event),
        }
    }
}

/// Takes news into the engine's world; returns the objects that it concerns.
fn take_in(engine: &Engine, news: News) -> Vec<ObjectKey> {
    match news {
        News::Seen(seen) => {
            let key = seen.object.key.clone();
            if let Some(record) = seen.record {
                engine.world().meet(record);
            }
            if engine.set(seen.object) { vec![key] } else { Vec::new() }
        }
        News::Gone { key, held } => {
            let owned = engine.world().forget(&key).is_some_and(|record| record.ownership.is_ours());
            if owned && held {
                warn!(target: "cso::controller", object = %key, "its finalizer was taken away: its resource is left as it is");
            }
            vec![key]
        }
        News::Namespace { name, annotations } => {
            let inside: Vec<Arc<Object>> =
                engine.world().wishes().filter(|wish| wish.key.namespace == name).map(Arc::clone).collect();
            let renewed = inside
                .into_iter()
                .filter(|wish| engine.set(Object { inherited: Some(annotations.clone()), ..Object::clone(wish) }));
            renewed.map(|wish| wish.key.clone()).collect()
        }
        News::Complete => Vec::new(),
    }
}

/// Tells what happens, for people who read logs.
fn tell(event: &Progress) {
    match event {
        Progress::Calling { object, step } => {
            info!(target: "cso::controller", %object, call = step.call.operation, "calls");
        }
        Progress::Called { object, step, error: Some(error) } => {
            warn!(target: "cso::controller", %object, call = step.call.operation, class = error.class.label(), "the call failed");
        }
        Progress::Called { .. } => {}
        Progress::Standing { object, standing } => {
            info!(target: "cso::controller", %object, stands = standing.message(), "turn");
        }
        Progress::Owned { object, message }
        | Progress::Exported { object, message }
        | Progress::Forgotten { object, message } => {
            info!(target: "cso::controller", %object, message, "turn");
        }
    }
}
