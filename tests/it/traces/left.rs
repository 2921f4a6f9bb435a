//! The world as ACK left it: the cloud where the recorded calls bring it, without a controller of ours, and the objects as
//! they were recorded.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use cso_testbed::{Action as OnCall, Failure, Reader};
use serde_json::{Value, json};

use super::RECORDINGS;
use super::compare::{Bindings, Difference};
use super::reading::{self, Sources};
use super::recording::{self, Action, Recording, Scenario, Step};
use super::responder::Responder;
use super::rest;
use super::stage::{HOME, merge};
use crate::controller::scene::condition;

/// Where ACK's controllers were at home.
pub(crate) const REGION: &str = HOME;

/// When ACK did all that.
const TIME: &str = "2026-08-01T00:00:00Z";

/// Scenarios in which ACK shows as in sync what is not as the object says, and why it is not.
const UNTRUE: [(&str, &str); 33] = [
    ("*/adopt-then-gone", "the resource is gone"),
    (
        "ecr_PullThroughCacheRule/read-only",
        "read-only from its birth, it is not ACK's: what is open is shown in its spec",
    ),
    (
        "ecr_Repository/gone-then-resync",
        "scanning that is off was sent as an empty structure, and the emulator keeps it so",
    ),
    ("ecr_Repository/immutable-name", "the same, of a second repository"),
    ("ecr_Repository/immutable-registryID", "an edit of what cannot be changed was ignored"),
    ("ecr_Repository/update-encryptionConfiguration", "the same"),
    ("kms_Alias/ref-key-deleted-first", "what it refers to is gone"),
    ("kms_Grant/read-only-set-later", "an edit of what cannot be changed was ignored"),
    ("kms_Key/adopt-or-create-exists", "it was adopted with a description that cannot be changed any more"),
    ("kms_Key/adopt-or-create-exists-no-fields", "which of two keys is meant is not recorded"),
    ("kms_Key/adopt-with-spec", "it was adopted with a description that cannot be changed any more"),
    ("kms_Key/deletion-window-3", "a deletion window that AWS does not take"),
    ("kms_Key/deletion-window-bad", "the same"),
    (
        "kms_Key/drift-description",
        "a description that was changed elsewhere was not noticed, and cannot be changed back",
    ),
    ("kms_Key/external", "a key without material is not ready for use"),
    ("kms_Key/gone-then-resync", "the key is being deleted, which was not noticed"),
    ("secretsmanager_Secret/adopt-or-create-exists", "replicas are not made when they are asked for"),
    ("secretsmanager_Secret/adopt-or-create-exists-no-fields", "the same"),
    ("secretsmanager_Secret/adopt-with-spec", "the emulator loses the replicas that the create asks for"),
    ("secretsmanager_Secret/create-full", "the same"),
    ("secretsmanager_Secret/invalid-name", "a name that AWS refuses, whose ARN is not recorded"),
    ("secretsmanager_Secret/invalid-secret-deleted-later", "the Secret with the value is gone, which was not noticed"),
    ("sns_PlatformEndpoint/gone-then-resync", "the endpoint is gone, which was not noticed"),
    ("sns_Subscription/adopt-or-create-exists-no-fields", "attributes were left as they were"),
    ("sns_Subscription/immutable-protocol", "an edit of what cannot be changed was ignored"),
    ("sns_Subscription/immutable-topicARN", "the same"),
    ("sns_Subscription/protocol-http", "nobody has confirmed it"),
    ("sns_Subscription/ref-topic-deleted-first", "what it refers to is gone"),
    ("sns_Topic/adopt-or-create-exists", "attributes were left as they were"),
    ("sns_Topic/adopt-or-create-exists-no-fields", "the same"),
    ("sns_Topic/immutable-fifoTopic", "an edit of what cannot be changed was ignored"),
    ("sns_Topic/update-dataProtectionPolicy", "the emulator cannot read it"),
    ("*Feedback", "delivery feedback of a topic was sent in part or never"),
];

/// Every recording of `tests/traces/`.
pub(crate) struct Library(Vec<Recording>);

/// A scenario up to the last step after which ACK showed its object in sync.
pub(crate) struct Tale<'a> {
    recording: &'a Recording,
    scenario: &'a Scenario,
    steps: &'a [Step],
}

/// What ACK left.
pub(crate) struct Left<'a> {
    recording: &'a Recording,
    /// The object that the recording is about, and others of its service that ACK worked on.
    pub(crate) objects: Vec<Value>,
    /// What ACK did not work on: Secrets, and objects of other services.
    pub(crate) others: Vec<Value>,
    /// The objects with their placeholders.
    recorded: Vec<Value>,
    responder: Responder,
    bindings: Bindings,
    id: Option<String>,
}

impl Library {
    pub(crate) fn read() -> Result<Self> {
        Ok(Self(RECORDINGS.iter().map(|name| recording::read(name)).collect::<Result<_>>()?))
    }

    /// The scenarios of each recording in which ACK had its object in sync, and said so rightly.
    pub(crate) fn tales(&self) -> Vec<Vec<Tale<'_>>> {
        self.0
            .iter()
            .map(|recording| recording.scenarios.iter().filter_map(|one| Tale::of(recording, one)).collect())
            .collect()
    }
}

/// The steps until ACK showed the object in sync for the last time before it was deleted.
fn last_in_sync(scenario: &Scenario) -> Option<&[Step]> {
    let deletes = |step: &Step| step.actions.iter().any(|action| matches!(action, Action::Delete(None)));
    let alive = scenario.steps.iter().take_while(|step| !deletes(step));
    let mut is_synced = false;
    let synced = alive.map(|step| {
        if let Some(object) = &step.object {
            is_synced = condition(object, "ACK.ResourceSynced").is_some_and(|synced| synced["status"] == "True");
        }
        is_synced
    });
    let synced: Vec<bool> = synced.collect();
    scenario.steps.get(..=synced.iter().rposition(|is_synced| *is_synced)?)
}

impl<'a> Tale<'a> {
    /// Not of scenarios in which calls fail: what the cloud made of them is not recorded.
    fn of(recording: &'a Recording, scenario: &'a Scenario) -> Option<Self> {
        let fails = |step: &Step| step.actions.iter().any(|action| matches!(action, Action::Faults(_)));
        let name = format!("{}/{}", recording.name, scenario.name);
        let is = |pattern: &str| pattern.strip_prefix('*').map_or(name == pattern, |end| name.ends_with(end));
        if scenario.steps.iter().any(fails) || UNTRUE.iter().any(|(pattern, _)| is(pattern)) {
            return None;
        }
        let steps = last_in_sync(scenario)?;
        Some(Self { recording, scenario, steps })
    }

    /// `sqs_Queue/create-full`
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.recording.name, self.scenario.name)
    }

    /// `create-full`
    pub(crate) fn scenario(&self) -> &'a str {
        &self.scenario.name
    }

    /// Makes the calls that ACK and the script made, before an empty cloud, and insists that it holds what it held then.
    pub(crate) fn replay(&self, cloud: &Reader, address: &str) -> Result<Left<'a>> {
        let mut replay = Replay::new(self.recording, cloud, address);
        for step in self.steps {
            replay.step(step)?;
        }
        replay.end()
    }
}

struct Replay<'a, 'b> {
    recording: &'a Recording,
    cloud: &'b Reader,
    address: &'b str,
    responder: Responder,
    bindings: Bindings,
    /// By kind and name.
    others: BTreeMap<(String, String), Value>,
    /// The latest of the recording about the object, the others of its service, and the cloud.
    object: Value,
    siblings: serde_json::Map<String, Value>,
    held: Value,
    id: Option<String>,
}

impl<'a, 'b> Replay<'a, 'b> {
    fn new(recording: &'a Recording, cloud: &'b Reader, address: &'b str) -> Self {
        let mut bindings = Bindings::new(true);
        bindings.learn("time", TIME);
        bindings.learn("controller-version", &format!("{}-v1.9.9", recording.service));
        Self {
            recording,
            cloud,
            address,
            responder: Responder::default(),
            bindings,
            others: BTreeMap::new(),
            object: Value::Null,
            siblings: serde_json::Map::new(),
            held: Value::Null,
            id: None,
        }
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        step.actions.iter().try_for_each(|action| self.act(action))?;
        for call in step.calls.iter().filter(|call| call.mutates() && call.succeeded) {
            let params = rest::typed(&self.recording.service, &call.operation, &call.params);
            let region = call.region.as_deref().unwrap_or(HOME);
            self.call(region, &self.recording.service, &call.operation, &params)?;
        }
        if let Some(held) = &step.cloud {
            self.held = reading::recorded(&self.recording.name, held);
            // What the provider made up is learnt here.
            self.compare()?;
        }
        if let Some(object) = &step.object {
            self.object = object.clone();
            self.bindings.fill(object, self.address);
        }
        self.siblings.clone_from(&step.others);
        Ok(())
    }

    /// What the script did to the cloud, and to objects that are none of ACK's here.
    fn act(&mut self, action: &Action) -> Result<()> {
        let named = |object: &Value| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (text(&object["kind"]), text(&object["metadata"]["name"]))
        };
        match action {
            Action::Apply(manifest) => {
                let manifest = self.bindings.fill(manifest, self.address);
                self.others.insert(named(&manifest), manifest);
            }
            Action::Patch { object: Some(object), patch, .. } => {
                let patch = self.bindings.fill(patch, self.address);
                let other = self.others.get_mut(&named(object)).context("a patch of nothing")?;
                merge(other, &patch);
            }
            Action::Delete(Some(object)) => drop(self.others.remove(&named(object))),
            Action::Cloud { service, method, params } => self.call(HOME, service, method, params)?,
            _ => {}
        }
        Ok(())
    }

    fn call(&mut self, region: &str, service: &str, operation: &str, params: &Value) -> Result<()> {
        let mut params = params.clone();
        // Of one attempt: the client makes one up.
        params.as_object_mut().map(|members| members.remove("ClientRequestToken"));
        let params = self.bindings.fill(&params, self.address);
        if let Some(answer) = self.responder.answer(&self.recording.account, operation, &params) {
            let refused = |(code, message)| anyhow::anyhow!("{operation}: {code}: {message}");
            return answer.map(drop).map_err(refused);
        }
        let answer = self.cloud.call_in(region, service, operation, params)?;
        self.responder.hear(&answer);
        if let Some(id) = self.bindings.hear(operation, &answer) {
            // A key is asked for by its id, a grant by the id of the first key.
            if self.id.is_none() || self.recording.kind == "Key" {
                self.id = Some(id);
            }
        }
        if let Some(version) = answer["VersionId"].as_str() {
            self.bindings.offer("uuid", version);
        }
        if let Some(token) = answer["GrantToken"].as_str() {
            self.bindings.learn("grant-token", token);
        }
        Ok(())
    }

    fn compare(&mut self) -> Result<Vec<Difference>> {
        let sources = Sources { reader: self.cloud, responder: &self.responder };
        let found = reading::read(self.recording, &sources, self.id.as_deref())?;
        let mut differences = Vec::new();
        // The recordings show no grants of a key that ACK made.
        if self.recording.kind != "Grant" || !self.held.is_null() {
            self.bindings.differences("cloud", &self.held, &found, &mut differences);
        }
        Ok(differences)
    }

    fn end(mut self) -> Result<Left<'a>> {
        let differences = self.compare()?;
        ensure!(differences.is_empty(), "the cloud is not as ACK left it: {differences:?}");
        let mut recorded = vec![("x".to_owned(), self.recording.kind.clone(), self.object.take())];
        for (name, object) in &self.siblings {
            let (kind, name) = name.split_once('/').context("an object without kind")?;
            recorded.push((name.to_owned(), kind.to_owned(), object.clone()));
        }
        let group = format!("{}.services.k8s.aws", self.recording.service);
        let mut objects = Vec::new();
        for (name, kind, object) in &recorded {
            let object = self.bindings.fill(object, self.address);
            objects.push(self.stood(&group, kind, name, object));
        }
        let is_other = |object: &Value| !object["apiVersion"].as_str().is_some_and(|api| api.starts_with(&group));
        let mut others: Vec<Value> = self.others.into_values().filter(is_other).collect();
        for other in &mut others {
            place(other, &self.recording.namespace);
        }
        Ok(Left {
            recording: self.recording,
            objects,
            others,
            recorded: recorded.into_iter().map(|(.., object)| object).collect(),
            responder: self.responder,
            bindings: self.bindings,
            id: self.id,
        })
    }

    /// The object as it stood in the cluster. The recordings leave out what is accidental.
    fn stood(&self, group: &str, kind: &str, name: &str, mut object: Value) -> Value {
        object["apiVersion"] = format!("{group}/v1alpha1").into();
        object["kind"] = kind.into();
        let metadata = &object["metadata"];
        object["metadata"] =
            json!({"name": name, "finalizers": metadata["finalizers"], "annotations": metadata["annotations"]});
        place(&mut object, &self.recording.namespace);
        object
    }
}

/// Puts an object in a namespace, and says when its conditions changed.
fn place(object: &mut Value, namespace: &str) {
    object["metadata"]["namespace"] = namespace.into();
    let conditions = object.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten() {
        condition["lastTransitionTime"] = TIME.into();
    }
}

impl Left<'_> {
    /// The service that ACK's controller was of.
    pub(crate) fn service(&self) -> &str {
        &self.recording.service
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.recording.namespace
    }

    /// What answers where no emulator does.
    pub(crate) fn stand_in(&self) -> OnCall {
        let (responder, account) = (self.responder.clone(), self.recording.account.clone());
        OnCall::answer(move |call| {
            let answer = match call.service.as_str() {
                "ecr" => responder.answer(&account, &call.operation, &call.input)?.map(|answer| answer.to_string()),
                "s3" => responder
                    .answer(&account, &call.operation, &call.input)?
                    .map(|answer| rest::output("s3", &call.operation, &answer)),
                _ => return None,
            };
            Some(answer.map_err(|(code, message)| Failure::new(code).message(message)))
        })
    }

    /// The resource as the independent client sees it.
    pub(crate) fn resource(&self, cloud: &Reader) -> Result<Value> {
        reading::read(self.recording, &Sources { reader: cloud, responder: &self.responder }, self.id.as_deref())
    }

    /// Where the status of one of the objects does not say any more what ACK wrote. It may say more.
    pub(crate) fn lost(&mut self, which: usize, status: &Value) -> Vec<String> {
        let mut found = Vec::new();
        for (name, theirs) in self.recorded[which]["status"].as_object().into_iter().flatten() {
            if name == "conditions" {
                // ACK goes by nothing of what it says of late values, and we say it of those kinds only that have some.
                let is_late = |condition: &&Value| condition["type"] == "ACK.LateInitialized";
                let theirs = theirs.as_array().into_iter().flatten().filter(|theirs| !is_late(theirs));
                let same = |theirs: &&Value| {
                    let mine = status["conditions"].as_array().into_iter().flatten();
                    mine.clone().any(|mine| mine["type"] == theirs["type"] && mine["status"] == theirs["status"])
                };
                found.extend(theirs.filter(|theirs| !same(theirs)).map(|theirs| format!("condition {theirs}")));
            } else {
                let mut differences = Vec::new();
                self.bindings.differences(name, theirs, &status[name], &mut differences);
                found.extend(differences.into_iter().map(|lost| format!("status.{}: {}", lost.path, lost.text)));
            }
        }
        found
    }
}
