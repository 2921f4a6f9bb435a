//! `plan`: every call that apply would make, and none made.

mod cluster;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Result, bail};
use cso_core::port::Secrets;
use cso_core::{Object, ObjectKey, Record};
use cso_engine::engine::Preview;
use cso_engine::resolve::order;
use cso_local::manifest::FileSecrets;
use tokio::task::JoinSet;

use super::{Exit, validate};
use crate::args::{self, Global};
use crate::kinds::of_session;
use crate::manifests::{self, Remembered};
use crate::output::{self, plan};
use crate::session::{self, Account, Choices};
use crate::snapshot::Snapshot;

/// Shows a plan.
pub(super) async fn run(global: &Global, args: &args::Plan) -> Result<Exit> {
    if crate::cluster::is_meant(global) {
        return cluster::run(global, args).await;
    }
    if args.paths.is_empty() {
        bail!("say which manifests: `cso plan -f DIR`; or which cluster: `cso plan --context NAME`");
    }
    // Asked for while manifests are read.
    let account = Account::of(global);
    let kinds = of_session(global)?;
    let snapshot = Snapshot::of(&global.state)?;
    let namespace = session::namespace(global);
    let known = Remembered::of(snapshot.records());
    let declared = manifests::load(&args.paths, namespace, &kinds, &known);
    if validate::refuse(&declared) {
        return Ok(Exit::Failed);
    }
    let gone = gone(snapshot.records().iter(), &declared.objects);
    let leaving: Vec<Object> = if args.prune { gone.iter().map(session::deleted).collect() } else { Vec::new() };
    let reported = if args.prune { Vec::new() } else { gone.into_iter().map(|record| record.key).collect() };
    let edges = declared.edges(&kinds);
    let arriving = order(&edges);
    let mut departing = order(&manifests::edges(&leaving, &kinds));
    departing.reverse();

    let secrets = FileSecrets::new(&declared.set, namespace);
    let choices = Choices { take_back: args.take_back, stays: false };
    let (engine, _progress) = session::open(global, account.await?, snapshot, secrets, kinds, choices).await?;
    for object in declared.objects.into_iter().chain(leaving) {
        engine.set(object);
    }
    let keys: Vec<ObjectKey> = arriving.into_iter().chain(departing).collect();
    show(args, previews(&engine, keys, &edges, global.concurrency).await?, reported)
}

/// Prints a plan.
fn show(args: &args::Plan, planned: Vec<plan::Planned>, reported: Vec<ObjectKey>) -> Result<Exit> {
    let report = plan::Report::new(planned, reported);
    match args.output {
        args::Report::Text => output::result(&report.text()),
        args::Report::Json => output::json(&report)?,
    }
    Ok(match (report.summary.blocked, report.has_changes()) {
        (0, false) => Exit::Done,
        (0, true) => Exit::Changes,
        _ => Exit::Failed,
    })
}

/// Records whose objects nobody declares any more.
pub(super) fn gone<'r>(records: impl Iterator<Item = &'r Record>, declared: &[Object]) -> Vec<Record> {
    let declared: BTreeSet<&ObjectKey> = declared.iter().map(|object| &object.key).collect();
    records.filter(|record| !declared.contains(&record.key)).cloned().collect()
}

/// What would be done about each object, in the order given. Objects are looked at side by side, but none before those that
/// it refers to: what is learnt of them fills its references, and what stops them stops it.
async fn previews<P: Secrets>(
    engine: &Arc<session::Worker<Snapshot, P>>,
    keys: Vec<ObjectKey>,
    edges: &BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
    concurrency: usize,
) -> Result<Vec<plan::Planned>> {
    let mut previews: BTreeMap<ObjectKey, Preview> = BTreeMap::new();
    let mut looks: JoinSet<(ObjectKey, Preview)> = JoinSet::new();
    let mut waiting: Vec<ObjectKey> = keys.clone();
    loop {
        let (ready, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|key| {
            edges
                .get(key)
                .into_iter()
                .flatten()
                .all(|target| previews.contains_key(target) || !edges.contains_key(target))
        });
        waiting = rest;
        for key in ready {
            if let Some(message) = stopped(&key, edges, &previews) {
                previews.insert(key, Preview::Waits { message });
                continue;
            }
            while looks.len() >= concurrency.max(1) {
                take(&mut looks, &mut previews).await?;
            }
            let engine = Arc::clone(engine);
            looks.spawn(async move {
                let preview = engine.preview(&key).await;
                (key, preview)
            });
        }
        // Without a look on its way, what still waits is in a circle.
        if !take(&mut looks, &mut previews).await? && waiting.iter().all(|key| stopped(key, edges, &previews).is_none())
        {
            break;
        }
    }
    for key in waiting {
        previews.insert(key, Preview::Waits { message: "is in a circle of references, or waits for one".to_owned() });
    }
    let planned =
        keys.into_iter().filter_map(|object| Some(plan::Planned { preview: previews.remove(&object)?, object }));
    Ok(planned.collect())
}

/// Takes one finished look in; says whether there was one to wait for.
async fn take(looks: &mut JoinSet<(ObjectKey, Preview)>, previews: &mut BTreeMap<ObjectKey, Preview>) -> Result<bool> {
    let Some(done) = looks.join_next().await else { return Ok(false) };
    let (key, preview) = done?;
    previews.insert(key, preview);
    Ok(true)
}

/// Why an object would only wait: something that it refers to goes nowhere.
fn stopped(
    key: &ObjectKey,
    edges: &BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
    previews: &BTreeMap<ObjectKey, Preview>,
) -> Option<String> {
    let stuck =
        |target: &&ObjectKey| matches!(previews.get(*target), Some(Preview::Blocked { .. } | Preview::Waits { .. }));
    let target = edges.get(key)?.iter().find(stuck)?;
    Some(format!("waits for {target}, which is not going on"))
}
