//! What each emulator gets wrong, as `gaps.toml` lists it: nothing more, and nothing less.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use cso_testbed::{Emulator, Kind, ReadError, Reader};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Gaps {
    probe: Vec<Probe>,
}

/// A fact about AWS, as steps of which the last one asks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Probe {
    /// The fact.
    says: String,
    steps: Vec<Step>,
    /// Emulators for which it does not hold, and what they do instead.
    #[serde(default)]
    gaps: BTreeMap<String, String>,
}

/// One call. In the input, `${name}` stands for what an earlier step kept, `${account}` for the emulator's account.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// `service.Operation`
    call: String,
    #[serde(default)]
    input: Map<String, Value>,
    /// Name and JSON pointer of what later steps need.
    #[serde(default)]
    keep: BTreeMap<String, String>,
    /// The call fails with this code.
    error: Option<String>,
    /// Pointers into the result and what is there.
    #[serde(default)]
    has: BTreeMap<String, Value>,
    /// Pointers to nothing.
    #[serde(default)]
    lacks: Vec<String>,
}

impl Probe {
    /// What differs from AWS, if anything does. A step before the last that fails is an error, not a gap.
    fn run(&self, reader: &Reader, account: &str) -> Result<Option<String>> {
        let (question, setup) = self.steps.split_last().context("a probe without steps")?;
        let mut kept = BTreeMap::from([("account".to_owned(), account.to_owned())]);
        for step in setup {
            let result = step.call(reader, &kept).with_context(|| format!("setting up `{}`", self.says))?;
            for (name, pointer) in &step.keep {
                let value = result.pointer(pointer).and_then(Value::as_str);
                let value = value.with_context(|| format!("{} has no text at {pointer}: {result}", step.call))?;
                kept.insert(name.clone(), value.to_owned());
            }
        }
        Ok(question.difference(question.call(reader, &kept), &kept))
    }
}

impl Step {
    fn call(&self, reader: &Reader, kept: &BTreeMap<String, String>) -> Result<Value, ReadError> {
        let (service, operation) = self.call.split_once('.').unwrap_or((&self.call, ""));
        reader.call(service, operation, filled(&Value::Object(self.input.clone()), kept))
    }

    fn difference(&self, result: Result<Value, ReadError>, kept: &BTreeMap<String, String>) -> Option<String> {
        match (result, &self.error) {
            (Err(error), Some(code)) if error.code() == Some(code) => None,
            (Err(error), _) => Some(error.to_string()),
            (Ok(result), Some(code)) => Some(format!("not {code}, but {result}")),
            (Ok(result), None) => {
                let wrong = self.has.iter().find(|(at, value)| result.pointer(at) != Some(&filled(value, kept)));
                let surplus = self.lacks.iter().find(|at| result.pointer(at).is_some());
                wrong.map(|(at, _)| at).or(surplus).map(|at| format!("{at} is {:?}", result.pointer(at)))
            }
        }
    }
}

/// The value with every `${name}` in its texts replaced.
fn filled(value: &Value, kept: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) => {
            let fill = |text: String, (name, value): (&String, &String)| text.replace(&format!("${{{name}}}"), value);
            Value::String(kept.iter().fold(text.clone(), fill))
        }
        Value::Array(items) => items.iter().map(|item| filled(item, kept)).collect(),
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), filled(member, kept))).collect(),
        other => other.clone(),
    }
}

fn gaps_are_as_listed(kind: Kind) -> Result<()> {
    let gaps: Gaps = toml::from_str(include_str!("gaps.toml"))?;
    let emulator = Emulator::start(kind)?;
    let reader = Reader::connect(emulator.endpoint())?;
    let mut wrong = Vec::new();
    for probe in &gaps.probe {
        match (probe.run(&reader, kind.account()), probe.gaps.get(kind.name())) {
            (Ok(Some(_)), Some(_)) | (Ok(None), None) => {}
            (Ok(Some(difference)), None) => wrong.push(format!("new gap: {}: {difference}", probe.says)),
            (Ok(None), Some(_)) => wrong.push(format!("closed gap, take it off the list: {}", probe.says)),
            (Err(error), _) => wrong.push(format!("{error:#}")),
        }
    }
    ensure!(wrong.is_empty(), "{}:\n{}", kind.name(), wrong.join("\n"));
    Ok(())
}

#[test]
fn ministack_has_the_listed_gaps() -> Result<()> {
    gaps_are_as_listed(Kind::Ministack)
}

#[test]
fn moto_has_the_listed_gaps() -> Result<()> {
    gaps_are_as_listed(Kind::Moto)
}

#[test]
fn every_gap_names_an_emulator() -> Result<()> {
    let gaps: Gaps = toml::from_str(include_str!("gaps.toml"))?;
    for (name, probe) in gaps.probe.iter().flat_map(|probe| probe.gaps.keys().map(move |name| (name, probe))) {
        ensure!(Kind::OPINIONS.iter().any(|kind| kind.name() == name), "`{}` names `{name}`", probe.says);
    }
    Ok(())
}
