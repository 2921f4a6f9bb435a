//! Recorded truth: every scenario in which ACK's own controllers were recorded, played to our engine.
//!
//! ```text
//! tests/traces/*.jsonl --> script --> Stage (engine, state file, hand clock) --> Wire (records, faults) --> ministack
//!                     \--> what ACK did  ==?  our calls, our object, the cloud read back by boto3
//! ```
//!
//! Some are played with objects and memory on a real API server too (`from_a_cluster`), by the same measure.
//!
//! Every difference has a reason in `waivers.toml`, and every reason there a difference. `docs/compatibility.md` says
//! how it went; `UPDATE_EXPECT=1` writes it anew. `TRACES=sqs_Queue/update-` plays only the scenarios that begin so, and
//! prints every difference.

mod buckets;
mod compare;
pub(crate) mod left;
mod reading;
mod recording;
mod report;
mod responder;
mod rest;
mod server;
mod stage;
mod waivers;
mod wire;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use cso_aws::Aws;
use cso_core::SecretValue;
use cso_engine::world::Kinds;
use cso_facts::Catalog;
use cso_testbed::kube::{Cluster, ClusterOptions};
use cso_testbed::{Emulator, Kind, Reader};
use serde_json::{Value, json};

use compare::{Bindings, Difference, without_owner_tag};
use recording::{Action, RecordedCall, Recording, Scenario, Step};
use report::Outcome;
use responder::Responder;
use server::{Home, OPERATOR, Server};
use stage::{HOME, Stage};
use waivers::{Class, Waivers};
use wire::Wire;

use crate::page;

/// The recordings, in the order in which they are reported.
const RECORDINGS: [&str; 13] = [
    "ecr_PullThroughCacheRule",
    "ecr_Repository",
    "ecr_RepositoryCreationTemplate",
    "kms_Alias",
    "kms_Grant",
    "kms_Key",
    "s3_Bucket",
    "secretsmanager_Secret",
    "sns_PlatformApplication",
    "sns_PlatformEndpoint",
    "sns_Subscription",
    "sns_Topic",
    "sqs_Queue",
];

/// Scenarios played at the same time, each worker on its own emulator.
const WORKERS: usize = 3;

#[test]
fn scenarios_are_played_as_recorded_or_better() -> Result<()> {
    let only = std::env::var("TRACES").ok();
    let recordings = RECORDINGS.iter().map(|name| recording::read(name)).collect::<Result<Vec<_>>>()?;
    let name_begins = |recording: &Recording, scenario: &Scenario| {
        format!("{}/{}", recording.name, scenario.name).starts_with(only.as_deref().unwrap_or_default())
    };
    let chosen = scenarios(&recordings).filter(|(recording, scenario)| name_begins(recording, scenario));
    let outcomes = play_all(&chosen.map(|one| vec![one]).collect::<Vec<_>>(), None)?;
    let waivers = Waivers::read()?;
    let review = waivers.review(outcomes.iter().flat_map(Outcome::places));
    let mut wrong: Vec<String> = Vec::new();
    for outcome in &outcomes {
        for (place, text) in &outcome.differences {
            if only.is_some() || review.open.contains(place) {
                wrong.push(format!("{place}: {text}"));
            }
        }
    }
    if only.is_none() {
        wrong.extend(review.stale.iter().map(|pattern| format!("waiver without a difference: {pattern}")));
        let told = report::page(&outcomes, &waivers, &review);
        wrong.extend(report::SECTION.check(&page::compatibility(), &told)?);
    }
    ensure!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

/// Whether ACK was recorded with a kind of a service.
pub(crate) fn is_recorded(service: &str, kind: &str) -> bool {
    RECORDINGS.contains(&format!("{service}_{kind}").as_str())
}

/// How many scenarios there are of a kind such as `sqs_Queue`; `None` if it was not recorded.
pub(crate) fn scenarios_of(recording: &str) -> Result<Option<usize>> {
    if !RECORDINGS.contains(&recording) {
        return Ok(None);
    }
    Ok(Some(recording::read(recording)?.scenarios.len()))
}

/// What ACK was recorded to do with a kind and we do not do.
pub(crate) fn open_gaps(recording: &str) -> Result<Vec<String>> {
    let gaps = Waivers::read()?.waiver.into_iter().filter(|waiver| waiver.class == Class::Gap);
    Ok(gaps.filter(|waiver| waiver.speaks_of(recording)).map(|waiver| waiver.reason).collect())
}

/// One in so many scenarios of each kind is played from a cluster too, where each takes several times as long.
const SAMPLE: usize = 10;

/// What is remembered stands on objects of a real API server, and every restart finds it there.
#[test]
fn scenarios_are_played_from_a_cluster_as_from_a_directory() -> Result<()> {
    let only = std::env::var("TRACES").ok();
    let recordings = RECORDINGS.iter().map(|name| recording::read(name)).collect::<Result<Vec<_>>>()?;
    let is_chosen = |number: usize, recording: &Recording, scenario: &Scenario| match &only {
        Some(only) => format!("{}/{}", recording.name, scenario.name).starts_with(only),
        None => number.is_multiple_of(SAMPLE),
    };
    // Those of a recording share a namespace, one after another.
    let mut rounds: Vec<Round<'_>> = Vec::new();
    for recording in &recordings {
        let all = (0..).zip(&recording.scenarios);
        let chosen = all.filter(|(number, scenario)| is_chosen(*number, recording, scenario));
        rounds.push(chosen.map(|(_, scenario)| (recording, scenario)).collect());
    }
    rounds.sort_by_key(|round| std::cmp::Reverse(round.len()));
    let cluster = Cluster::start(&ClusterOptions::new().user(OPERATOR, &["system:masters"]))?;
    let outcomes = play_all(&rounds, Some(&cluster))?;
    let review = Waivers::read()?.review(outcomes.iter().flat_map(Outcome::places));
    let found = outcomes.iter().flat_map(|outcome| &outcome.differences);
    let wrong: Vec<String> = found
        .filter(|(place, _)| only.is_some() || review.open.contains(*place))
        .map(|(place, text)| format!("{place}: {text}"))
        .collect();
    crate::stage::figures(&format!("{} recorded scenarios in a cluster", outcomes.len()));
    ensure!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

/// Scenarios that one worker plays, one after another.
type Round<'a> = Vec<(&'a Recording, &'a Scenario)>;

fn scenarios(recordings: &[Recording]) -> impl Iterator<Item = (&Recording, &Scenario)> {
    recordings.iter().flat_map(|recording| recording.scenarios.iter().map(move |scenario| (recording, scenario)))
}

/// Plays scenarios, from directories or from a cluster; the outcomes in order.
fn play_all(rounds: &[Round<'_>], cluster: Option<&Cluster>) -> Result<Vec<Outcome>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        let work = || -> Result<()> {
            let mut worker = Worker::start(cluster)?;
            loop {
                let index = next.fetch_add(1, Ordering::SeqCst);
                let Some(round) = rounds.get(index) else { return Ok(()) };
                for (number, (recording, scenario)) in round.iter().enumerate() {
                    let place = format!("{}/{}", recording.name, scenario.name);
                    let outcome = worker.play(recording, scenario).with_context(|| place)?;
                    done.lock().unwrap_or_else(PoisonError::into_inner).insert((index, number), outcome);
                }
            }
        };
        let workers: Vec<_> = (0..WORKERS.min(rounds.len())).map(|_| scope.spawn(work)).collect();
        let ends = workers.into_iter().map(|worker| worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?);
        ends.collect::<Result<()>>()
    })?;
    Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect())
}

/// An emulator, the client under test, and the independent client.
struct Worker<'a> {
    cluster: Option<&'a Cluster>,
    /// By namespace.
    servers: BTreeMap<String, Arc<Server>>,
    emulator: Emulator,
    reader: Reader,
    runtime: tokio::runtime::Runtime,
    aws: Arc<Aws>,
    kinds: Kinds,
    scratch: tempfile::TempDir,
    played: usize,
}

impl<'a> Worker<'a> {
    fn start(cluster: Option<&'a Cluster>) -> Result<Self> {
        let emulator = Emulator::start(Kind::Ministack)?;
        let reader = Reader::connect(emulator.endpoint())?;
        let kinds = cso_schema::catalog::kinds(Catalog::builtin()).map_err(|wrong| {
            anyhow::anyhow!("{}", wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        })?;
        let secret = SecretValue::new("test");
        let aws = Aws::fixed(Catalog::builtin(), &emulator.endpoint().url(), "test", &secret);
        Ok(Self {
            cluster,
            servers: BTreeMap::new(),
            emulator,
            reader,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            aws: Arc::new(aws),
            kinds: kinds.into_iter().collect(),
            scratch: tempfile::tempdir()?,
            played: 0,
        })
    }

    fn play(&mut self, recording: &Recording, scenario: &Scenario) -> Result<Outcome> {
        ensure!(self.emulator.endpoint().account == recording.account, "recorded in another account");
        self.emulator.reset()?;
        self.played += 1;
        let responder = Responder::default();
        let wire = Wire::new(Arc::clone(&self.aws), responder.clone());
        let home = self.home(recording)?;
        let stage = self.runtime.block_on(Stage::new(recording, self.kinds.clone(), wire.clone(), home))?;
        let mut play = Play {
            recording,
            reader: &self.reader,
            responder,
            endpoint: self.emulator.endpoint().address.to_string(),
            stage,
            wire,
            // A scenario about what is missing names identifiers that never were.
            bindings: Bindings::new(!scenario.name.contains("missing")),
            object: Value::Null,
            cloud: Value::Null,
            object_id: None,
            script_id: None,
            outcome: Outcome::new(&recording.name, &scenario.name),
        };
        for (number, step) in (1..).zip(&scenario.steps) {
            self.runtime.block_on(play.step(number, step)).with_context(|| format!("step {number}"))?;
        }
        play.stage.clear()?;
        Ok(play.outcome)
    }

    /// Where the next scenario's objects are.
    fn home(&mut self, recording: &Recording) -> Result<Home> {
        let Some(cluster) = self.cluster else {
            return Ok(Home::Directory(self.scratch.path().join(format!("{}.db", self.played))));
        };
        let namespace = &recording.namespace;
        if !self.servers.contains_key(namespace) {
            let server = self.runtime.block_on(Server::open(cluster, &self.kinds, namespace))?;
            self.servers.insert(namespace.clone(), Arc::new(server));
        }
        Ok(Home::Cluster(Arc::clone(&self.servers[namespace])))
    }
}

/// A scenario in progress, with what the recording says should be there.
struct Play<'a> {
    recording: &'a Recording,
    reader: &'a Reader,
    responder: Responder,
    endpoint: String,
    stage: Stage,
    wire: Wire,
    bindings: Bindings,
    object: Value,
    cloud: Value,
    /// Identifiers that the provider gave: of the object's resource, as last seen, and of the script's own.
    object_id: Option<String>,
    script_id: Option<String>,
    outcome: Outcome,
}

impl Play<'_> {
    async fn step(&mut self, number: usize, step: &Step) -> Result<()> {
        let subject = self.subject();
        let mut restore = None;
        for action in &step.actions {
            let before = self.act(action, &subject).await?;
            restore = before.or(restore);
        }
        self.stage.settle().await?;
        let found = self.compare(step).await?;
        self.outcome.add(number, found);
        if let Some(before) = restore.filter(|_| step.refused) {
            // The API server would not have let the change in: it was seen to change nothing, and is taken back.
            self.stage.apply(before)?;
            self.stage.settle().await?;
            self.wire.take();
        }
        Ok(())
    }

    fn subject(&self) -> Value {
        let version = format!("{}.services.k8s.aws/v1alpha1", self.recording.service);
        json!({"apiVersion": version, "kind": self.recording.kind, "metadata": {"name": "x"}})
    }

    /// Does what the script says; gives back what a patched object was before.
    async fn act(&mut self, action: &Action, subject: &Value) -> Result<Option<Value>> {
        match action {
            Action::Apply(manifest) => {
                let manifest = self.bindings.fill(manifest, &self.endpoint);
                self.stage.apply(manifest)?;
            }
            Action::Patch { object, patch, status } => {
                let key = self.stage.key(object.as_ref().unwrap_or(subject));
                let patch = self.bindings.fill(patch, &self.endpoint);
                if *status {
                    self.stage.patch_status(&key, &patch).await?;
                } else {
                    return self.stage.patch(&key, &patch);
                }
            }
            Action::Delete(object) => {
                let key = self.stage.key(object.as_ref().unwrap_or(subject));
                self.stage.delete(&key)?;
            }
            Action::Cloud { service, method, params } => self.change_cloud(service, method, params)?,
            Action::Restart => self.stage.restart().await?,
            Action::Wait => self.stage.settle().await?,
            Action::Faults(faults) => self.wire.inject(faults.clone()),
        }
        Ok(None)
    }

    /// A call behind our back, whose new identifiers the script's placeholders may mean.
    fn change_cloud(&mut self, service: &str, method: &str, params: &Value) -> Result<()> {
        let params = self.bindings.fill(params, &self.endpoint);
        if let Some(answer) = self.responder.answer(&self.recording.account, method, &params) {
            let refused = |(code, message)| anyhow::anyhow!("{method}: {code}: {message}");
            return answer.map(|_| ()).map_err(refused);
        }
        let answer = self.reader.call_in(HOME, service, method, params)?;
        self.responder.hear(&answer);
        if let Some(id) = self.bindings.hear(method, &answer) {
            self.script_id.get_or_insert(id);
        }
        Ok(())
    }

    async fn compare(&mut self, step: &Step) -> Result<Found> {
        let made = self.wire.take();
        let subject = self.stage.key(&self.subject());
        let view = self.stage.view(&subject).await?;
        let now = view.as_ref().and_then(|view| view.pointer("/status/keyID")).and_then(Value::as_str);
        let id = now.or(self.script_id.as_deref()).or(self.object_id.as_deref());
        let sources = reading::Sources { reader: self.reader, responder: &self.responder };
        let cloud = without_owner_tag(&reading::read(self.recording, &sources, id)?);
        self.object_id = now.map(ToOwned::to_owned).or(self.object_id.take());
        if let Some(object) = &step.object {
            self.object = object.clone();
        }
        if let Some(cloud) = &step.cloud {
            self.cloud = reading::recorded(&self.recording.name, cloud);
        }
        let mutating: Vec<_> = made.iter().filter(|call| call.mutates).cloned().collect();
        let mut differences = self.bindings.surplus_calls(&step.calls, &mutating, HOME);
        self.bindings.differences("cloud", &self.cloud, &cloud, &mut differences);
        if !step.refused {
            let expected = self.object.clone();
            self.compare_object("", &expected, view, &mut differences);
            for (name, expected) in &step.others {
                let (kind, name) = name.split_once('/').context("an object without kind")?;
                let group = format!("{}.services.k8s.aws/v1alpha1", self.recording.service);
                let key = json!({"apiVersion": group, "kind": kind, "metadata": {"name": name}});
                let view = self.stage.view(&self.stage.key(&key)).await?;
                self.compare_object(&format!("{kind}/{name}."), expected, view, &mut differences);
            }
        }
        let changes = |call: &&RecordedCall| call.mutates() && call.succeeded;
        Ok(Found {
            differences,
            ours: mutating.iter().filter(|call| call.succeeded).count(),
            acks: step.calls.iter().filter(changes).count(),
            our_reads: made.iter().filter(|call| !call.mutates).count(),
            ack_reads: step.calls.iter().filter(|call| !call.mutates()).count(),
        })
    }

    /// Spec, status and conditions; of conditions only what they say, not how.
    fn compare_object(&mut self, prefix: &str, recorded: &Value, ours: Option<Value>, out: &mut Vec<Difference>) {
        let Some(ours) = ours else {
            if !recorded.is_null() {
                out.push(Difference { path: format!("{prefix}object"), text: "gone, ACK keeps it".to_owned() });
            }
            return;
        };
        if recorded.is_null() {
            out.push(Difference { path: format!("{prefix}object"), text: format!("kept, ACK has none: {ours}") });
            return;
        }
        let mut status = recorded["status"].as_object().cloned().unwrap_or_default();
        let listed = status.remove("conditions").unwrap_or_default();
        let mut conditions = json!({});
        for condition in listed.as_array().into_iter().flatten() {
            conditions[condition["type"].as_str().unwrap_or_default()] = condition["status"].clone();
        }
        let spec = recorded.get("spec").filter(|spec| !spec.is_null()).cloned().unwrap_or_else(|| json!({}));
        for (name, theirs) in [("spec", spec), ("status", Value::Object(status)), ("conditions", conditions)] {
            let first = out.len();
            self.bindings.differences(&format!("{prefix}{name}"), &theirs, &ours[name], out);
            for difference in &mut out[first..] {
                let place = &difference.path[prefix.len()..];
                if let Some(words) = ours["messages"].get(place) {
                    let _ = write!(difference.text, " {words}");
                }
            }
        }
    }
}

/// What a step came to.
struct Found {
    differences: Vec<Difference>,
    /// Mutating calls that took effect.
    ours: usize,
    acks: usize,
    our_reads: usize,
    ack_reads: usize,
}
