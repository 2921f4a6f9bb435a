//! Calls of the independent client as data: later steps use what earlier ones kept.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use cso_testbed::{REGION, ReadError, Reader};
use serde::Deserialize;
use serde_json::{Map, Value};

/// One call. In the input, `${name}` stands for what an earlier step kept, `${account}` for the emulator's account.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// `service.Operation`
    pub(crate) call: String,
    /// Another region than that of most stories.
    region: Option<String>,
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

/// What steps kept, by name.
pub(crate) type Kept = BTreeMap<String, String>;

impl Step {
    pub(crate) fn call(&self, reader: &Reader, kept: &Kept) -> Result<Value, ReadError> {
        let (service, operation) = self.call.split_once('.').unwrap_or((&self.call, ""));
        let region = self.region.as_deref().unwrap_or(REGION);
        reader.call_in(region, service, operation, filled(&Value::Object(self.input.clone()), kept))
    }

    /// Takes what later steps need out of the result.
    fn keep(&self, result: &Value, kept: &mut Kept) -> Result<()> {
        for (name, pointer) in &self.keep {
            let value = result.pointer(pointer).and_then(Value::as_str);
            let value = value.with_context(|| format!("{} has no text at {pointer}: {result}", self.call))?;
            kept.insert(name.clone(), value.to_owned());
        }
        Ok(())
    }

    /// What is not as the step says, if anything is.
    pub(crate) fn difference(&self, result: Result<Value, ReadError>, kept: &Kept) -> Option<String> {
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

/// Makes the calls in order; the result is the last one's.
pub(crate) fn run(steps: &[Step], reader: &Reader, kept: &mut Kept) -> Result<Value> {
    let mut last = Value::Null;
    for step in steps {
        last = step.call(reader, kept)?;
        step.keep(&last, kept)?;
    }
    Ok(last)
}

/// The value with every `${name}` in its texts replaced.
pub(crate) fn filled(value: &Value, kept: &Kept) -> Value {
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
