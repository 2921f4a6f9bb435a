//! What the stories do to each kind, as `cases.toml` says.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use cso_testbed::Kind;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::stage::Stage;
use crate::steps::{self, Kept, Step, filled};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

/// One object of one kind. `cases.toml` explains the members.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) api: String,
    pub(crate) kind: String,
    #[serde(default)]
    setup: Vec<Step>,
    #[serde(default)]
    secrets: Map<String, Value>,
    spec: Map<String, Value>,
    #[serde(default)]
    pub(crate) foreign: Vec<Step>,
    pub(crate) view: BTreeMap<String, Vec<Step>>,
    pub(crate) drift: Option<Drift>,
    pub(crate) held: Option<Held>,
    pub(crate) immutable: Map<String, Value>,
    #[serde(default)]
    pub(crate) missing: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) nameless: bool,
    #[serde(default)]
    pub(crate) lingers: bool,
    #[serde(default)]
    pub(crate) stood_in: bool,
    #[serde(default)]
    pub(crate) lacks: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) untested: BTreeMap<String, String>,
    #[serde(default, rename = "field")]
    pub(crate) fields: BTreeMap<String, Field>,
}

/// A change behind our back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drift {
    pub(crate) spec: Map<String, Value>,
    pub(crate) at: String,
    pub(crate) steps: Vec<Step>,
}

/// Why the provider refuses to delete the resource.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Held {
    #[serde(default)]
    pub(crate) missing: BTreeMap<String, String>,
    pub(crate) by: Vec<Step>,
    pub(crate) until: Vec<Step>,
    pub(crate) tells: String,
}

/// A mutable field.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Field {
    #[serde(default)]
    pub(crate) with: Map<String, Value>,
    pub(crate) values: [Value; 2],
    sees: Option<[Value; 2]>,
    carries: Option<Vec<Value>>,
    pub(crate) at: String,
    pub(crate) change: Vec<String>,
    removal: Option<Vec<String>>,
    pub(crate) removed: Value,
}

impl Field {
    /// How the first or second value shows.
    pub(crate) fn sees(&self, which: usize) -> &Value {
        self.sees.as_ref().unwrap_or(&self.values).get(which).unwrap_or(&Value::Null)
    }

    /// What the call that sets the second value has in its input.
    pub(crate) fn carries(&self) -> Vec<Value> {
        self.carries.clone().unwrap_or_else(|| vec![self.sees(1).clone()])
    }

    /// The calls that remove it.
    pub(crate) fn removal(&self) -> &[String] {
        self.removal.as_ref().unwrap_or(&self.change)
    }
}

/// Every case.
pub(crate) fn all() -> Result<Vec<Case>> {
    let cases: Cases = toml::from_str(include_str!("cases.toml")).context("reading cases.toml")?;
    Ok(cases.case)
}

/// Every case that an emulator can play.
pub(crate) fn all_on(emulator: Kind) -> Result<Vec<Case>> {
    let mut cases = all()?;
    cases.retain(|case| case.plays_on(emulator));
    Ok(cases)
}

/// The first case of each kind.
pub(crate) fn one_of_each_kind() -> Result<Vec<Case>> {
    let mut cases = all()?;
    cases.retain(|case| case.id == case.kind);
    ensure!(cases.len() == 23, "there are twenty-three kinds");
    Ok(cases)
}

/// The first case of each kind that an emulator can play in full.
pub(crate) fn one_of_each_kind_on(emulator: Kind) -> Result<Vec<Case>> {
    let mut cases = one_of_each_kind()?;
    cases.retain(|case| case.plays_on(emulator) && !case.lacks.contains_key(emulator.name()));
    Ok(cases)
}

/// Kinds whose resources have no tags, so no place for a mark.
const UNMARKED: [&str; 11] = [
    "Alias",
    "Backup",
    "GlobalTable",
    "Grant",
    "Group",
    "PlatformApplication",
    "PlatformEndpoint",
    "PullThroughCacheRule",
    "RepositoryCreationTemplate",
    "ServiceLinkedRole",
    "Subscription",
];

impl Case {
    /// Whether its resource can carry the mark of an owner.
    pub(crate) fn carries_mark(&self) -> bool {
        !UNMARKED.contains(&self.kind.as_str())
    }

    /// Whether it can be played before an emulator. The stand-in is the same before each: one is enough.
    pub(crate) fn plays_on(&self, emulator: Kind) -> bool {
        !self.missing.contains_key(emulator.name()) && (!self.stood_in || emulator == Kind::Ministack)
    }

    /// The service that the kind is of.
    pub(crate) fn service(&self) -> &str {
        self.api.split('.').next().unwrap_or_default()
    }

    /// A stage that is empty but for what the object refers to.
    pub(crate) fn set(&self, stage: &mut Stage) -> Result<Kept> {
        stage.clear()?;
        let mut kept = Kept::from([("account".to_owned(), stage.kind().account().to_owned())]);
        steps::run(&self.setup, &stage.cloud, &mut kept).with_context(|| format!("setting {} up", self.id))?;
        Ok(kept)
    }

    /// The object's spec with more in it; null takes a field out.
    pub(crate) fn spec(&self, more: &Map<String, Value>) -> Map<String, Value> {
        let mut spec = self.spec.clone();
        spec.extend(more.clone());
        spec.retain(|_, value| !value.is_null());
        spec
    }

    /// What a spec has more with the first or second value of each of these fields.
    pub(crate) fn values(&self, fields: &[&str], which: usize) -> Map<String, Value> {
        let mut more = Map::new();
        for name in fields {
            let field = &self.fields[*name];
            more.extend(field.with.clone());
            more.insert((*name).to_owned(), field.values[which].clone());
        }
        more
    }

    /// The object, and the Kubernetes Secret that it reads, if it does.
    pub(crate) fn manifests(&self, kept: &Kept, spec: Map<String, Value>, annotations: &Value) -> [Option<Value>; 2] {
        let metadata = json!({"name": "values"});
        let values = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": self.secrets});
        let metadata = json!({"name": "story", "annotations": annotations});
        let spec = filled(&Value::Object(spec), kept);
        let object = json!({"apiVersion": self.api, "kind": self.kind, "metadata": metadata, "spec": spec});
        [(!self.secrets.is_empty()).then_some(values), Some(object)]
    }

    /// Writes the manifest `m/object.yaml`. JSON is YAML.
    pub(crate) fn declare(&self, stage: &Stage, kept: &Kept, spec: Map<String, Value>) -> Result<()> {
        self.declare_with(stage, kept, spec, &json!({}))
    }

    pub(crate) fn declare_with(
        &self,
        stage: &Stage,
        kept: &Kept,
        spec: Map<String, Value>,
        annotations: &Value,
    ) -> Result<()> {
        let manifests = self.manifests(kept, spec, annotations);
        for (name, manifest) in ["values", "object"].iter().zip(manifests) {
            manifest.map_or(Ok(()), |manifest| stage.write(&format!("m/{name}.yaml"), &manifest.to_string()))?;
        }
        Ok(())
    }

    /// Everything boto3 can say about the case's resource.
    pub(crate) fn portrait(&self, stage: &Stage, kept: &Kept) -> Value {
        let views = self.view.iter().map(|(name, steps)| {
            let answer = steps::run(steps, &stage.cloud, &mut kept.clone());
            // Some policies are missing by an error.
            let mut answer = answer.unwrap_or_else(|error| error.to_string().into());
            // Looking at a secret's value changes this.
            answer.as_object_mut().and_then(|answer| answer.remove("LastAccessedDate"));
            (name.clone(), answer)
        });
        Value::Object(views.collect())
    }

    /// What boto3 sees at `view/pointer`; nothing if it is missing or empty.
    pub(crate) fn see(&self, stage: &Stage, kept: &Kept, at: &str) -> Result<Option<Value>> {
        let (view, pointer) = at.split_once('/').with_context(|| format!("`{at}` has no view"))?;
        let steps = self.view.get(view).with_context(|| format!("`{at}`: there is no such view"))?;
        let answer = match steps::run(steps, &stage.cloud, &mut kept.clone()) {
            Ok(answer) => by_key(answer),
            // Some settings are missing by an error.
            Err(error) if ["NotFound", "NoSuch"].iter().any(|code| error.to_string().contains(code)) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let found = answer.pointer(&format!("/{pointer}")).cloned();
        Ok(found.filter(|value| !value.is_null() && *value != json!("")))
    }

    /// Insists that boto3 sees a value, or nothing.
    pub(crate) fn shows(&self, stage: &Stage, kept: &Kept, at: &str, wanted: Option<&Value>) -> Result<()> {
        let seen = self.see(stage, kept, at)?;
        let wanted = wanted.map(|value| filled(value, kept));
        let same = match (&seen, &wanted) {
            (None, None) => true,
            (Some(seen), Some(wanted)) => alike(seen, wanted),
            _ => false,
        };
        if !same {
            let show = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), Value::to_string);
            bail!("{at} is {}, not {}", show(&seen), show(&wanted));
        }
        Ok(())
    }
}

/// Whether two values mean the same: JSON in a text is read, numbers and booleans equal their texts.
fn alike(a: &Value, b: &Value) -> bool {
    fn plain(value: &Value) -> Value {
        match value {
            Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| value.clone()),
            Value::Array(items) => items.iter().map(plain).collect(),
            Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), plain(member))).collect(),
            other => other.clone(),
        }
    }
    plain(a) == plain(b)
}

/// Whether a value is anywhere in an input.
pub(crate) fn holds(input: &Value, wanted: &Value) -> bool {
    let below = match input {
        Value::Array(items) => items.iter().any(|item| holds(item, wanted)),
        Value::Object(members) => members.values().any(|member| holds(member, wanted)),
        _ => false,
    };
    below || alike(input, wanted)
}

/// The value with each list of keys and values as a map.
fn by_key(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            let pairs: Option<Map<String, Value>> = items.iter().map(pair).collect();
            match pairs.filter(|pairs| !pairs.is_empty()) {
                Some(pairs) => Value::Object(pairs),
                None => items.into_iter().map(by_key).collect(),
            }
        }
        Value::Object(members) => members.into_iter().map(|(name, member)| (name, by_key(member))).collect(),
        other => other,
    }
}

/// `{Key, Value}` in any of AWS's spellings.
fn pair(item: &Value) -> Option<(String, Value)> {
    let members = item.as_object().filter(|members| members.len() == 2)?;
    let member = |end: &str| members.iter().find(|(name, _)| name.to_ascii_lowercase().ends_with(end));
    Some((member("key")?.1.as_str()?.to_owned(), member("value")?.1.clone()))
}
