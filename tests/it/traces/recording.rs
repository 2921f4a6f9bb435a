//! The recordings of `tests/traces/`: what ACK's own controllers sent and wrote, scenario by scenario.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::rest;

/// One file: a kind and its scenarios.
pub(super) struct Recording {
    /// `sqs_Queue`, as the file is named.
    pub(super) name: String,
    pub(super) service: String,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) account: String,
    pub(super) scenarios: Vec<Scenario>,
}

pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) steps: Vec<Step>,
}

/// What the script did, and what came of it.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) actions: Vec<Action>,
    pub(super) calls: Vec<RecordedCall>,
    /// `None`: as after the step before.
    pub(super) object: Option<Value>,
    pub(super) others: Map<String, Value>,
    /// `None`: as after the step before.
    pub(super) cloud: Option<Value>,
    /// The API server refused the script's change.
    pub(super) refused: bool,
}

#[derive(Clone)]
pub(super) enum Action {
    Apply(Value),
    Patch {
        /// `None`: the object under test.
        object: Option<Value>,
        patch: Value,
        status: bool,
    },
    Delete(Option<Value>),
    Cloud {
        service: String,
        method: String,
        params: Value,
    },
    Restart,
    Wait,
    Faults(BTreeMap<String, Fault>),
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    /// What the cloud answers.
    pub(super) code: Option<String>,
    /// The cloud does it, and the controller dies before the answer.
    #[serde(default)]
    pub(super) kill: bool,
    pub(super) times: Option<u32>,
}

/// A call as it was recorded, in one form for both kinds of protocol.
#[derive(Clone, Debug)]
pub(super) struct RecordedCall {
    pub(super) operation: String,
    pub(super) params: Value,
    pub(super) region: Option<String>,
    pub(super) succeeded: bool,
}

impl RecordedCall {
    /// Whether it may have changed something.
    pub(super) fn mutates(&self) -> bool {
        !["Get", "List", "Describe", "Head"].iter().any(|verb| self.operation.starts_with(verb))
    }
}

/// Reads a file of `tests/traces/`.
pub(super) fn read(name: &str) -> Result<Recording> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../traces/{name}.jsonl"));
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut lines = text.lines();
    let header: Header = serde_json::from_str(lines.next().context("no header")?)?;
    let raw: Vec<RawScenario> = lines.map(serde_json::from_str).collect::<Result<_, _>>()?;
    let scenarios = raw.iter().map(|scenario| scenario.read(&header, &raw)).collect::<Result<_>>()?;
    let Header { service, kind, namespace, account, .. } = header;
    Ok(Recording { name: name.to_owned(), service, kind, namespace, account, scenarios })
}

#[derive(Deserialize)]
struct Header {
    service: String,
    kind: String,
    namespace: String,
    account: String,
    blocks: BTreeMap<String, Vec<Value>>,
}

#[derive(Deserialize)]
struct RawScenario {
    name: String,
    steps: Vec<RawStep>,
}

#[derive(Deserialize)]
struct RawStep {
    /// `SCENARIO/NUMBER` of the step that this one equals.
    #[serde(rename = "as")]
    same_as: Option<String>,
    #[serde(rename = "do", default)]
    script: Value,
    #[serde(default)]
    calls: Vec<Value>,
    #[serde(default)]
    object_after: Value,
    #[serde(default)]
    others_after: Map<String, Value>,
    #[serde(default)]
    cloud_after: Value,
    result: Option<Value>,
}

impl RawScenario {
    fn read(&self, header: &Header, all: &[Self]) -> Result<Scenario> {
        let read = |step: &RawStep| step.original(all)?.read(header).with_context(|| self.name.clone());
        Ok(Scenario { name: self.name.clone(), steps: self.steps.iter().map(read).collect::<Result<_>>()? })
    }
}

impl RawStep {
    fn original<'a>(&'a self, all: &'a [RawScenario]) -> Result<&'a Self> {
        let Some(same_as) = &self.same_as else { return Ok(self) };
        let (name, number) = same_as.split_once('/').with_context(|| same_as.clone())?;
        let number: usize = number.parse()?;
        let scenario = all.iter().find(|scenario| scenario.name == name).with_context(|| same_as.clone())?;
        scenario.steps.get(number - 1).with_context(|| same_as.clone())?.original(all)
    }

    fn read(&self, header: &Header) -> Result<Step> {
        let script = match &self.script {
            Value::Array(actions) => actions.as_slice(),
            one => std::slice::from_ref(one),
        };
        let news = |value: &Value| (value != "=").then(|| value.clone());
        Ok(Step {
            actions: script.iter().map(action).collect::<Result<_>>()?,
            calls: calls(&self.calls, header)?,
            object: news(&self.object_after),
            others: self.others_after.clone(),
            cloud: news(&self.cloud_after),
            refused: self.result.as_ref().is_some_and(|result| result.get("api_error").is_some()),
        })
    }
}

fn action(action: &Value) -> Result<Action> {
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned).context("not a text");
    Ok(if let Some(manifest) = action.get("apply") {
        Action::Apply(manifest.clone())
    } else if let Some(patch) = action.get("patch") {
        let status = action.get("subresource").is_some();
        Action::Patch { object: action.get("object").cloned(), patch: patch.clone(), status }
    } else if let Some(what) = action.get("delete") {
        Action::Delete(what.is_object().then(|| what.clone()))
    } else if let Some(call) = action.get("cloud") {
        let params = call["params"].clone();
        Action::Cloud { service: text(&call["service"])?, method: text(&call["method"])?, params }
    } else if action.get("restart").is_some() {
        Action::Restart
    } else if action.get("wait").is_some() {
        Action::Wait
    } else if let Some(faults) = action.get("fault") {
        Action::Faults(serde_json::from_value(faults.clone())?)
    } else {
        bail!("unknown action {action}")
    })
}

/// The calls with their repetitions and blocks spelt out.
fn calls(recorded: &[Value], header: &Header) -> Result<Vec<RecordedCall>> {
    let mut all = Vec::new();
    for call in recorded {
        if let Some(block) = call.get("block").and_then(Value::as_str) {
            all.extend(calls(header.blocks.get(block).context("an unknown block")?, header)?);
        } else if let Some(times) = call.get("repeat").and_then(Value::as_u64) {
            let inner = calls(call["calls"].as_array().context("nothing to repeat")?, header)?;
            all.extend((0..times).flat_map(|_| inner.clone()));
        } else {
            all.push(RecordedCall {
                operation: call["operation"].as_str().context("a call without operation")?.to_owned(),
                params: rest::input(call).unwrap_or_else(|| structured(&call["params"])),
                region: call.get("region").and_then(Value::as_str).map(ToOwned::to_owned),
                succeeded: matches!(call["status"].as_u64(), Some(200..300)) && call.get("fault").is_none(),
            });
        }
    }
    Ok(all)
}

/// Flattened parameters of the query protocol (`Tags.member.1.Key`, `Attributes.entry.1.value`) as the structure they
/// stand for; others as they are.
fn structured(params: &Value) -> Value {
    let Some(members) = params.as_object() else { return params.clone() };
    let mut out = Map::new();
    for (name, value) in members {
        let parts: Vec<&str> = name.split('.').collect();
        match parts.as_slice() {
            [map, "entry", number, "key"] => {
                let entry = members.get(&format!("{map}.entry.{number}.value")).cloned().unwrap_or_default();
                let key = value.as_str().unwrap_or_default();
                out.entry(*map).or_insert_with(|| Value::Object(Map::new()))[key] = entry;
            }
            [_, "entry", _, "value"] => {}
            [list, "member", number, rest @ ..] => {
                let list = out.entry(*list).or_insert_with(|| Value::Array(Vec::new()));
                let index = number.parse::<usize>().unwrap_or(1).saturating_sub(1);
                if let Value::Array(elements) = list {
                    if elements.len() <= index {
                        elements.resize(index + 1, Value::Null);
                    }
                    match rest {
                        [member] => elements[index][*member] = value.clone(),
                        _ => elements[index] = value.clone(),
                    }
                }
            }
            _ => {
                out.insert(name.clone(), value.clone());
            }
        }
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn flattened_parameters_become_what_they_stand_for() {
        let flat = json!({
            "Name": "t", "Attributes.entry.1.key": "A", "Attributes.entry.1.value": "1",
            "Tags.member.1.Key": "k", "Tags.member.1.Value": "v", "TagKeys.member.1": "one",
        });
        let structure =
            json!({"Name": "t", "Attributes": {"A": "1"}, "Tags": [{"Key": "k", "Value": "v"}], "TagKeys": ["one"]});
        assert_eq!(structured(&flat), structure);
    }
}
