//! `delete`: deletes what manifests, or one object, made; nothing that is not ours.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use cso_core::{Object, ObjectKey, Record};
use cso_engine::run::Goal;
use cso_engine::world::Kinds;
use cso_local::manifest::{FileSecrets, ManifestSet};
use cso_local::state::StateFile;

use super::drive::{Nobody, drive};
use super::{Exit, inspect};
use crate::args::{self, Global};
use crate::kinds::of_session;
use crate::manifests;
use crate::output::{self, STRONG, styled};
use crate::session::{self, Account, Choices};
use crate::snapshot::Snapshot;

/// Deletes objects.
pub(super) async fn run(global: &Global, args: &args::Delete) -> Result<Exit> {
    crate::cluster::refuse(global, "delete", "deleted")?;
    let kinds = of_session(global)?;
    let snapshot = Snapshot::of(&global.state)?;
    let records: BTreeMap<ObjectKey, Record> =
        snapshot.records().iter().map(|record| (record.key.clone(), record.clone())).collect();
    let Some((leaving, unknown)) = leaving(global, args, &kinds, &records)? else { return Ok(Exit::Failed) };
    for key in &unknown {
        output::note(&format!("{}: not in {}: nothing to delete", styled(STRONG, key), global.state.display()));
    }
    if leaving.is_empty() {
        output::result("nothing to do");
        return Ok(Exit::Done);
    }
    let account = Account::of(global).await?;
    let store = StateFile::open(&global.state)?;
    // What is deleted needs no secret.
    let secrets = FileSecrets::new(&ManifestSet::default(), session::namespace(global));
    let (engine, happens) = session::open(global, account, store, secrets, kinds, Choices::default()).await?;
    for object in leaving {
        engine.set(object);
    }
    let goal = if args.wait { Goal::Settle { patience: args.timeout } } else { Goal::Attempt };
    let driven = drive(engine, goal, happens, args.output, Nobody).await?;
    driven.map_or(Ok(Exit::Interrupted), |driven| driven.tell(args.output, &[]))
}

/// The objects on their way out, and those that were named but never made. `None`: the manifests cannot be read.
fn leaving(
    global: &Global,
    args: &args::Delete,
    kinds: &Kinds,
    records: &BTreeMap<ObjectKey, Record>,
) -> Result<Option<(Vec<Object>, Vec<ObjectKey>)>> {
    if let Some(word) = &args.kind {
        let name = args.name.as_deref().ok_or_else(|| anyhow!("say the name of the {word}"))?;
        let record = inspect::the_one(records.values().cloned().collect(), global, kinds, word, name)?;
        return Ok(Some((vec![session::deleted(&record)], Vec::new())));
    }
    let set = cso_local::manifest::load(&args.paths, session::namespace(global));
    if !set.problems.is_empty() {
        let lines: Vec<String> = set.problems.iter().map(ToString::to_string).collect();
        output::note(&format!("{}\nnothing was deleted", lines.join("\n")));
        return Ok(None);
    }
    let namespaces = manifests::Namespaces::of(&set);
    let (mut leaving, mut unknown) = (Vec::new(), Vec::new());
    for manifest in set.manifests.iter().filter(|manifest| !manifests::is_input(&manifest.object.key)) {
        let mut object = namespaces.place(manifest.object.clone());
        if records.contains_key(&object.key) {
            object.deleting = true;
            leaving.push(object);
        } else {
            unknown.push(object.key);
        }
    }
    Ok(Some((leaving, unknown)))
}
