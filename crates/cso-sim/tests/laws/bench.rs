//! One cloud, one store, one clock; processes come and go.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use cso_core::{Object, ObjectKey, Record, Step, Tree};
use cso_engine::engine::{Engine, Ports, Preview, Progress, Settings};
use cso_engine::run::{Control, Goal, Rest, Summary};
use cso_engine::world::Kinds;
use cso_facts::Catalog;
use cso_schema::kind::{Kind, Ref};
use cso_sim::{Kill, ManualClock, MapSecrets, MemoryStore, ModelCloud};
use proptest::strategy::BoxedStrategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub(crate) const REGION: &str = "eu-central-1";
pub(crate) const NAMESPACE: &str = "default";
/// Calls in flight.
pub(crate) const CONCURRENCY: usize = 4;
/// What every generated secret reference leads to.
pub(crate) const SECRET: &str = "Tr0ub4dor-&3-never-to-be-seen";

/// Every kind of the built-in catalogue.
pub(crate) static KINDS: LazyLock<Vec<Arc<Kind>>> = LazyLock::new(|| {
    let kinds = cso_schema::catalog::kinds(Catalog::builtin()).expect("the built-in descriptors compile");
    kinds.into_iter().map(Arc::new).collect()
});

static ENGINE_KINDS: LazyLock<Kinds> = LazyLock::new(|| KINDS.iter().map(|kind| Kind::clone(kind)).collect());

/// A kind by its name.
pub(crate) fn kind(name: &str) -> &'static Arc<Kind> {
    KINDS.iter().find(|kind| kind.name() == name).expect("a built-in kind")
}

pub(crate) struct Bench {
    kinds: Kinds,
    pub(crate) cloud: ModelCloud,
    pub(crate) store: MemoryStore,
    pub(crate) secrets: MapSecrets,
    pub(crate) clock: ManualClock,
    pub(crate) take_back: bool,
    /// Deletion policy and default tags; the rest is the bench's own.
    pub(crate) settings: Settings,
}

/// What a process did before it ended.
pub(crate) struct Ran {
    /// `None`: it died.
    pub(crate) summary: Option<Summary>,
    pub(crate) progress: Vec<Progress>,
}

type TestEngine = Engine<ModelCloud, MemoryStore, MapSecrets, ManualClock>;

impl Bench {
    pub(crate) fn new() -> Self {
        Self::on(ModelCloud::new(KINDS.iter().cloned()), "0123456789abcdef")
    }

    /// A new state beside what a cloud holds.
    pub(crate) fn on(cloud: ModelCloud, state: &str) -> Self {
        let secrets = MapSecrets::default();
        secrets.set(NAMESPACE, "credentials", "password", SECRET);
        Self {
            kinds: ENGINE_KINDS.clone(),
            cloud,
            store: MemoryStore::new(state),
            secrets,
            clock: ManualClock::start(),
            take_back: false,
            settings: Settings::default(),
        }
    }

    async fn engine(&self, objects: &[Object], kill: &Kill) -> (Arc<TestEngine>, UnboundedReceiver<Progress>) {
        let ports = Ports {
            cloud: self.cloud.seen_by(kill.clone()),
            store: self.store.open(kill.clone()),
            secrets: self.secrets.clone(),
            clock: self.clock,
        };
        let settings = Settings {
            packs: true,
            region: REGION.to_owned(),
            concurrency: CONCURRENCY,
            take_back: self.take_back,
            cross_namespace: false,
            consistency: None,
            version: "0.0.0".to_owned(),
            ..self.settings.clone()
        };
        let (tell, progress) = unbounded_channel();
        let engine = Engine::open(ports, self.kinds.clone(), settings, tell).await.expect("the store opens");
        for object in objects {
            engine.set(object.clone());
        }
        (Arc::new(engine), progress)
    }

    /// A process that works until everything is settled or stuck.
    pub(crate) async fn run(&self, objects: &[Object]) -> Ran {
        self.run_until(objects, Kill::never()).await
    }

    /// The same, unless it is killed.
    pub(crate) async fn run_until(&self, objects: &[Object], kill: Kill) -> Ran {
        let (engine, mut told) = self.engine(objects, &kill).await;
        let (_control, controlled) = unbounded_channel();
        let goal = Goal::Settle { patience: Duration::from_secs(1200) };
        let summary = tokio::select! {
            biased;
            () = kill.died() => None,
            summary = engine.run(goal, controlled) => Some(summary.expect("the store works")),
        };
        let mut progress = Vec::new();
        while let Ok(one) = told.try_recv() {
            progress.push(one);
        }
        Ran { summary, progress }
    }

    /// A process that stays, and looks again every ten minutes.
    pub(crate) async fn stay(&self, objects: &[Object]) -> Stay {
        let (engine, progress) = self.engine(objects, &Kill::never()).await;
        let (control, controlled) = unbounded_channel();
        let goal = Goal::Keep { verify_every: Duration::from_secs(600) };
        let run = Box::pin(async move { engine.run(goal, controlled).await.expect("the store works") });
        Stay { run, _told: progress, _control: control }
    }

    /// What a process that only looks says of one object.
    pub(crate) async fn preview(&self, objects: &[Object], key: &ObjectKey) -> Preview {
        let (engine, _told) = self.engine(objects, &Kill::never()).await;
        engine.preview(key).await
    }

    pub(crate) fn record(&self, key: &ObjectKey) -> Option<Record> {
        self.store.records().expect("records read back").into_iter().find(|record| record.key == *key)
    }

    /// What a reference to the companion stands for.
    pub(crate) fn companion(&self, reference: &Ref) -> Option<Tree> {
        let alive = self.cloud.alive(&reference.kind);
        match reference.path.split_first()? {
            ("spec", path) => alive.first()?.values.get(&path.to_string()).cloned(),
            (_, path) => alive.first()?.identifiers.at(&path).cloned(),
        }
    }
}

/// A process that stays.
pub(crate) struct Stay {
    run: Pin<Box<dyn Future<Output = Summary>>>,
    _told: UnboundedReceiver<Progress>,
    _control: UnboundedSender<Control>,
}

impl Stay {
    /// Lets it work for a while.
    pub(crate) async fn live_for(&mut self, time: Duration) {
        tokio::select! {
            _ = &mut self.run => panic!("who stays does not end"),
            () = tokio::time::sleep(time) => {}
        }
    }
}

impl Ran {
    pub(crate) fn rest(&self, key: &ObjectKey) -> &Rest {
        let summary = self.summary.as_ref().expect("the process lived");
        summary.objects.get(key).expect("the object was worked on")
    }

    /// Fails unless every object ended as wished.
    pub(crate) fn all_settled(&self) -> Result<(), String> {
        let summary = self.summary.as_ref().ok_or("the process died")?;
        let is_open = |rest: &Rest| !matches!(rest, Rest::Settled | Rest::Forgotten);
        let open = summary.objects.iter().filter(|(_, rest)| is_open(rest));
        let open: Vec<String> = open.map(|(key, rest)| format!("{key}: {rest:?}")).collect();
        if open.is_empty() { Ok(()) } else { Err(open.join("; ")) }
    }

    /// The steps whose calls went out, for one object.
    pub(crate) fn called(&self, key: &ObjectKey) -> Vec<Step> {
        let step = |progress: &Progress| match progress {
            Progress::Calling { object, step } if object == key => Some(Step::clone(step)),
            _ => None,
        };
        self.progress.iter().filter_map(step).collect()
    }
}

/// Runs a future in a runtime whose time moves only when nothing else can.
pub(crate) fn paused<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(future)
}

pub(crate) fn object(kind: &Kind, name: &str, spec: Value) -> Object {
    Object {
        key: ObjectKey::new(kind.group(), kind.name(), NAMESPACE, name),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        inherited: None,
        life: None,
        spec: Arc::new(spec),
        deleting: false,
    }
}

pub(crate) fn deleting(object: &Object) -> Object {
    Object { deleting: true, ..object.clone() }
}

pub(crate) fn annotated(object: &Object, name: &str, value: &str) -> Object {
    let mut object = object.clone();
    object.annotations.insert(name.to_owned(), value.to_owned());
    object
}

/// Fails with a sentence unless something holds.
pub(crate) fn ensure(holds: bool, sentence: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(sentence()) }
}

const SEED: &[u8; 32] = b"the laws hold for every kind ...";

/// Checks a property of generated cases of every kind.
pub(crate) fn for_all<C: std::fmt::Debug>(
    cases: u32,
    strategy: impl Fn(&Arc<Kind>) -> BoxedStrategy<C>,
    law: impl Fn(&Arc<Kind>, C) -> Result<(), String>,
) {
    #[expect(clippy::disallowed_methods, reason = "the knob that every user of proptest knows")]
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(cases);
    let mut broken = Vec::new();
    for kind in KINDS.iter() {
        let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, SEED));
        let result = runner.run(&strategy(kind), |case| law(kind, case).map_err(TestCaseError::fail));
        if let Err(error) = result {
            broken.push(format!("{}/{}: {error}", kind.service, kind.name()));
        }
    }
    assert!(broken.is_empty(), "seed `{}`\n{}", String::from_utf8_lossy(SEED), broken.join("\n\n"));
}
