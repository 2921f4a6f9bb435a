//! Killed before and after every write of the state, and with the last write torn: a process of this very program plays
//! `cso` over a store that dies on time, and the real `cso` comes after it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use cso_aws::Aws;
use cso_core::port::{Change, Clock, Store, StoreError, StoreMeta};
use cso_core::{Object, Record};
use cso_engine::engine::{Engine, Ports, Settings};
use cso_engine::run::Goal;
use cso_engine::world::Kinds;
use cso_facts::Catalog;
use cso_local::manifest::{self, FileSecrets};
use cso_local::state::StateFile;
use cso_testbed::Kind;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::mpsc;

use crate::cases::{self, Case};
use crate::scene::{Doing, Scene};
use crate::stage::{APPLY, Stage, Tally};

/// Where the playing process finds what it has to do: a [`Doing`], then a [`Death`].
const PART: &str = "WRITES_PART";
const CHILD: &str = "writes::child_that_dies_at_a_write";

/// Before or after the `n`-th write, from 1; 0 is never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Death {
    after: bool,
    nth: usize,
}

/// A state file whose process dies at one of its writes.
struct Mortal {
    file: StateFile,
    death: Death,
    writes: AtomicUsize,
}

impl Store for Mortal {
    fn meta(&self) -> &StoreMeta {
        self.file.meta()
    }

    async fn load(&self) -> Result<Vec<Record>, StoreError> {
        self.file.load().await
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let here = self.writes.fetch_add(1, Ordering::SeqCst) + 1 == self.death.nth;
        if here && !self.death.after {
            die();
        }
        let result = self.file.commit(changes).await;
        if here {
            die();
        }
        result
    }
}

/// No destructor runs and nothing is flushed, as with SIGKILL.
fn die() -> ! {
    std::process::abort()
}

struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// What `cso apply` and `cso delete` do, one call at a time so that writes have numbers. Says how many there were.
#[tokio::main(flavor = "current_thread")]
async fn play(deleting: bool, death: Death) -> Result<usize> {
    let kinds: Kinds =
        cso_schema::catalog::kinds(Catalog::builtin()).map_err(|wrong| anyhow!("{wrong:?}"))?.into_iter().collect();
    let set = manifest::load(&["m"], "default");
    let file = StateFile::open(Path::new(".cso/state.db"))?;
    let store = Mortal { file, death, writes: AtomicUsize::new(0) };
    let cloud = Aws::from_environment(Catalog::builtin()).await?;
    let ports = Ports { cloud, store, secrets: FileSecrets::new(&set, "default"), clock: Now };
    let settings = Settings {
        region: cso_testbed::REGION.to_owned(),
        concurrency: 1,
        consistency: Some(Duration::ZERO),
        version: "0".to_owned(),
        ..Settings::default()
    };
    // Nobody listens to what happens, and nobody stops it.
    let (progress, _) = mpsc::unbounded_channel();
    let (_control, inbox) = mpsc::unbounded_channel();
    let engine = Arc::new(Engine::open(ports, kinds, settings, progress).await?);
    for manifest in set.manifests.into_iter().filter(|manifest| engine.kinds().of(&manifest.object.key).is_some()) {
        engine.set(Object { deleting, ..manifest.object });
    }
    Arc::clone(&engine).run(Goal::Settle { patience: Duration::from_secs(15) }, inbox).await?;
    Ok(engine.ports().store.writes.load(Ordering::SeqCst))
}

#[test]
#[ignore = "a child of the other tests"]
fn child_that_dies_at_a_write() -> Result<()> {
    let part = std::env::var(PART).context("only started by other tests")?;
    let words: Vec<&str> = part.split(' ').collect();
    let [doing, when, nth] = words[..] else { anyhow::bail!("`{part}`") };
    let writes = play(doing == "Delete", Death { after: when == "after", nth: nth.parse()? })?;
    fs::write("writes", writes.to_string())?;
    Ok(())
}

/// The fields that a story sets: the first one that can be changed, if any can.
fn fields(case: &Case) -> Vec<&str> {
    case.fields.keys().map(String::as_str).take(1).collect()
}

/// Plays until it dies, or to the end: then it says how many writes there were.
fn played(stage: &Stage, doing: Doing, death: Death) -> Result<usize> {
    let when = if death.after { "after" } else { "before" };
    let cso = stage.command(&[])?;
    let mut child = Command::new(std::env::current_exe()?);
    child.args(["--exact", CHILD, "--ignored"]).current_dir(stage.path()).env_clear();
    child.envs(cso.get_envs().filter_map(|(name, value)| Some((name, value?))));
    child.env(PART, format!("{doing:?} {when} {}", death.nth)).stdin(Stdio::null());
    let output = child.output()?;
    // Its death is the point; an end of its own must be a good one.
    let as_meant = if death.nth > 0 { output.status.code().is_none() } else { output.status.success() };
    ensure!(as_meant, "the child ended with {}: {}", output.status, String::from_utf8_lossy(&output.stdout));
    if death.nth > 0 { Ok(death.nth) } else { Ok(fs::read_to_string(stage.path().join("writes"))?.parse()?) }
}

/// The run that comes after: one, at rest, with the value asked for; or none.
fn recovers(scene: &Scene<'_>, doing: Doing) -> Result<()> {
    scene.stage.cso(doing.command())?.ends(0)?;
    if doing == Doing::Delete { scene.is_gone() } else { scene.is_there_once(doing.sets()) }
}

/// Every write of create, update and delete of one kind.
fn every_write_of(kind: &str) -> Result<()> {
    let cases = cases::one_of_each_kind_on(Kind::Ministack)?;
    let case = cases.iter().find(|case| case.kind == kind).context("no such kind")?;
    let fields = fields(case);
    let mut stage = Stage::open(Kind::Ministack)?;
    let mut tally = Tally::default();
    for doing in Doing::all(&fields) {
        Scene::set(case, &fields, &mut stage, doing)?;
        let writes = played(&stage, doing, Death { after: false, nth: 0 })?;
        ensure!(writes > 0, "{doing:?} writes nothing");
        for (nth, after) in (1..=writes).flat_map(|nth| [(nth, false), (nth, true)]) {
            let scene = Scene::set(case, &fields, &mut stage, doing)?;
            let result = played(scene.stage, doing, Death { after, nth }).and_then(|_| recovers(&scene, doing));
            tally.add(format!("{doing:?}, write {nth}, after: {after}"), result);
        }
    }
    tally.close(&format!("{kind}, at state writes"))
}

macro_rules! every_write {
    ($($name:ident: $kind:literal),* $(,)?) => {
        $(#[test] fn $name() -> anyhow::Result<()> { every_write_of($kind) })*
    };
}

every_write!(
    queue: "Queue",
    topic: "Topic",
    subscription: "Subscription",
    repository: "Repository",
    key: "Key",
    alias: "Alias",
    secret: "Secret",
    policy: "Policy",
    role: "Role",
    bucket: "Bucket",
);

/// Where in a log the last write begins: behind the last frame but one that ends a write. The numbers are of its format: a head
/// of 32 bytes with the page's size at 8, and before each page 24 bytes, with the size of the file at 4 if it ends a write.
fn last_write(log: &[u8]) -> Option<usize> {
    let number = |at: usize| Some(u32::from_be_bytes(log.get(at..at + 4)?.try_into().ok()?));
    let frame = 24 + usize::try_from(number(8)?).ok()?;
    let ends = (0..).map(|n| 32 + n * frame).take_while(|at| at + frame <= log.len());
    let ends: Vec<usize> = ends.filter(|at| number(at + 4) != Some(0)).map(|at| at + frame).collect();
    ends.iter().nth_back(1).copied().or(Some(32))
}

/// The create took effect, the process died, and the disk lost the end of the last write, which was its intent: worse than
/// a disk that keeps its word can do. What carries our mark is found by it. What carries none is not taken for ours, and
/// told with what to do.
#[test]
fn a_lost_intent_makes_no_second_one() -> Result<()> {
    let mut stage = Stage::open(Kind::Ministack)?;
    let mut tally = Tally::default();
    for case in &cases::one_of_each_kind_on(Kind::Ministack)? {
        for place in 0..4 {
            tally.add(format!("{}, place {place}", case.id), recovers_without_its_intent(case, &mut stage, place));
        }
    }
    tally.close("logs cut in the last write")
}

/// `place` says where the last write is cut: away, behind its first byte, in the middle, or before its last byte.
fn recovers_without_its_intent(case: &Case, stage: &mut Stage, place: usize) -> Result<()> {
    let fields = fields(case);
    let scene = Scene::set(case, &fields, stage, Doing::Create)?;
    scene.dies_after_its_first_call(&mut scene.stage.command(&APPLY)?)?;
    let path = scene.stage.path().join(".cso/state.db-wal");
    let log = fs::read(&path)?;
    let begin = last_write(&log).context("there is no log")?;
    let length = [begin, begin + 1, usize::midpoint(begin, log.len()), log.len() - 1][place];
    fs::write(&path, &log[..length])?;
    if !case.carries_mark() {
        let run = scene.stage.cso(&APPLY)?.ends(1)?.tells("adoption-policy: adopt")?;
        ensure!(scene.ours()?.len() == 1, "{run:?}");
        scene.declare_with(0, &json!({"services.k8s.aws/adoption-policy": "adopt"}))?;
    }
    recovers(&scene, Doing::Create).with_context(|| format!("cut at {length} of {}", log.len()))
}
