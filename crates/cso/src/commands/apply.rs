//! `apply`: makes the cloud as the manifests say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Result;
use cso_core::{ObjectKey, Record};
use cso_engine::run::Goal;
use cso_local::manifest::{FileSecrets, Watch};
use cso_local::state::StateFile;
use cso_schema::kind::Role;

use super::drive::{Editor, Nobody, drive};
use super::{Exit, plan, validate};
use crate::args::{self, Global};
use crate::kinds::of_session;
use crate::logs;
use crate::manifests::{self, Declared, Remembered};
use crate::output;
use crate::session::{self, Account, Choices, Worker};
use crate::snapshot::Snapshot;

/// Applies manifests.
pub(super) async fn run(global: &Global, args: &args::Apply) -> Result<Exit> {
    crate::cluster::refuse(global, "apply", "declared")?;
    // Asked for while manifests are read.
    let account = Account::of(global);
    let kinds = of_session(global)?;
    let namespace = session::namespace(global);
    let paths = &args.manifests.paths;
    // Watched before they are read, so that no edit falls between the two.
    let watch = args.watch.then(|| Watch::new(paths.clone(), Watch::PERIOD));
    let known = Remembered::of(Snapshot::of(&global.state)?.records());
    let declared = manifests::load(paths, namespace, &kinds, &known);
    if validate::refuse(&declared) {
        return Ok(Exit::Failed);
    }
    let Declared { set, objects, .. } = declared;
    let secrets = FileSecrets::new(&set, namespace);
    // The text of every manifest and the place of every field: more than all that a run which stays must keep.
    drop(set);
    let account = account.await?;
    let store = StateFile::open(&global.state)?;
    let choices = Choices { take_back: args.take_back, stays: args.watch };
    let (engine, happens) = session::open(global, account, store, secrets, kinds, choices).await?;

    let records: Vec<Arc<Record>> = engine.world().records().collect();
    let gone = plan::gone(records.iter().map(Arc::as_ref), &objects);
    drop(records);
    for object in objects {
        engine.set(object);
    }
    let mut left = Vec::new();
    for record in gone {
        if args.prune {
            engine.set(session::deleted(&record));
        } else {
            left.push(record.key);
        }
    }
    let goal = match (args.watch, args.wait) {
        (true, _) => Goal::Keep { verify_every: args.verify_every },
        (false, true) => Goal::Settle { patience: args.timeout },
        (false, false) => Goal::Attempt,
    };
    let worker = Arc::clone(&engine);
    let driven = match watch {
        Some(watch) => {
            let follower = Follower { global, args, engine: Arc::clone(&engine), watch };
            drive(worker, goal, happens, args.output, follower).await?
        }
        None => drive(worker, goal, happens, args.output, Nobody).await?,
    };
    logs::wrote(engine.ports().store.transactions());
    driven.map_or(Ok(Exit::Interrupted), |driven| driven.tell(args.output, &left))
}

/// Follows edits of the manifests.
struct Follower<'a> {
    global: &'a Global,
    args: &'a args::Apply,
    engine: Arc<Worker<StateFile, FileSecrets>>,
    watch: Watch,
}

impl Editor for Follower<'_> {
    async fn edits(&mut self) -> (Vec<ObjectKey>, Option<String>) {
        self.watch.changed().await;
        self.reload()
    }
}

impl Follower<'_> {
    /// Takes the manifests in as they are now. While something is wrong with them, the last good ones stay.
    fn reload(&self) -> (Vec<ObjectKey>, Option<String>) {
        let engine = &self.engine;
        let namespace = session::namespace(self.global);
        let known = Remembered::of(&engine.world().records().map(Arc::unwrap_or_clone).collect::<Vec<_>>());
        let declared = manifests::load(&self.args.manifests.paths, namespace, engine.kinds(), &known);
        if !declared.problems.is_empty() {
            let lines: Vec<String> = declared.problems.iter().map(ToString::to_string).collect();
            let text = format!("{}\nthe manifests as they were before stay in force", lines.join("\n"));
            return (Vec::new(), Some(text));
        }
        engine.ports().secrets.follow(&declared.set);
        let wanted: BTreeSet<&ObjectKey> = declared.objects.iter().map(|object| &object.key).collect();
        let gone: BTreeMap<ObjectKey, _> = {
            let world = engine.world();
            let unwanted = world.wished().map(|(key, _)| key).filter(|key| !wanted.contains(key));
            let gone = unwanted.filter_map(|key| world.wish(key)).filter(|wish| !wish.deleting);
            gone.map(|wish| (wish.key.clone(), wish)).collect()
        };
        let mut changed: Vec<ObjectKey> = Vec::new();
        for object in declared.objects {
            let key = object.key.clone();
            // A secret's new value does not show in the object that uses it.
            let reads_secrets = engine
                .kinds()
                .of(&key)
                .is_some_and(|kind| kind.fields.values().any(|field| field.role == Role::Secret));
            if engine.set(object) || reads_secrets {
                changed.push(key);
            }
        }
        let names: Vec<String> = gone.keys().map(ToString::to_string).collect();
        if self.args.prune {
            for (key, wish) in gone {
                engine.set(cso_core::Object { deleting: true, ..(*wish).clone() });
                changed.push(key);
            }
            return (changed, None);
        }
        let text = (!names.is_empty())
            .then(|| format!("{}: manifest gone; kept as last declared: deleted with --prune", names.join(", ")));
        (changed, text.map(|text| output::styled(output::CHANGE, text)))
    }
}
