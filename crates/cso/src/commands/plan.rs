//! `plan`: every call that apply would make, and none made.

use std::collections::BTreeSet;

use anyhow::Result;
use cso_core::{Object, ObjectKey, Record};
use cso_engine::engine::Preview;
use cso_engine::resolve::order;
use cso_local::manifest::FileSecrets;
use tokio::task::JoinSet;

use super::{Exit, validate};
use crate::args::{self, Global};
use crate::kinds::builtin;
use crate::manifests;
use crate::output::{self, plan};
use crate::session::{self, Account};
use crate::snapshot::Snapshot;

/// Shows a plan.
pub(super) async fn run(global: &Global, args: &args::Plan) -> Result<Exit> {
    let kinds = builtin()?;
    let snapshot = Snapshot::of(&global.state)?;
    let namespace = session::namespace(global);
    let declared = manifests::load(&args.manifests.paths, namespace, &kinds, &validate::known(&snapshot));
    if validate::refuse(&declared) {
        return Ok(Exit::Failed);
    }
    let gone = gone(snapshot.records(), &declared.objects);
    let leaving: Vec<Object> = if args.prune { gone.iter().map(session::deleted).collect() } else { Vec::new() };
    let reported = if args.prune { Vec::new() } else { gone.into_iter().map(|record| record.key).collect() };
    let arriving = order(&declared.edges(&kinds));
    let mut departing = order(&manifests::edges(&leaving, &kinds));
    departing.reverse();

    let account = Account::of(global).await?;
    let secrets = FileSecrets::new(&declared.set, namespace);
    let (engine, _progress) = session::open(global, account, snapshot, secrets, kinds, args.take_back).await?;
    for object in declared.objects.into_iter().chain(leaving) {
        engine.set(object);
    }
    let keys: Vec<ObjectKey> = arriving.into_iter().chain(departing).collect();
    let report = plan::Report::new(previews(&engine, keys, global.concurrency).await?, reported);
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
pub(super) fn gone(records: &[Record], declared: &[Object]) -> Vec<Record> {
    let declared: BTreeSet<&ObjectKey> = declared.iter().map(|object| &object.key).collect();
    records.iter().filter(|record| !declared.contains(&record.key)).cloned().collect()
}

/// What would be done about each object, in the order given; looked at side by side.
async fn previews(
    engine: &std::sync::Arc<session::Worker<Snapshot, FileSecrets>>,
    keys: Vec<ObjectKey>,
    concurrency: usize,
) -> Result<Vec<plan::Planned>> {
    let mut previews: Vec<Option<Preview>> = vec![None; keys.len()];
    let mut looks: JoinSet<(usize, Preview)> = JoinSet::new();
    let mut waiting = keys.iter().cloned().enumerate();
    loop {
        while looks.len() < concurrency
            && let Some((position, key)) = waiting.next()
        {
            let engine = std::sync::Arc::clone(engine);
            looks.spawn(async move { (position, engine.preview(&key).await) });
        }
        let Some(done) = looks.join_next().await else { break };
        let (position, preview) = done?;
        previews[position] = Some(preview);
    }
    let planned = keys.into_iter().zip(previews);
    Ok(planned.filter_map(|(object, preview)| Some(plan::Planned { object, preview: preview? })).collect())
}
