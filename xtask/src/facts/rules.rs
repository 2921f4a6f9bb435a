//! Endpoint rule sets, evaluated once for every region at extraction time, so that no program needs an interpreter.
//!
//! Only what a call without resource parameters, FIPS or dual stack reaches is understood; the rest is an error, not a guess.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use cso_facts::api::{Endpoint, Endpoints};
use cso_facts::partition::{Partition, of_region};
use serde::Deserialize;
use serde_json::Value;

/// botocore's `partitions.json`.
#[derive(Deserialize)]
struct RawPartitions {
    partitions: Vec<RawPartition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPartition {
    id: String,
    outputs: Value,
    region_regex: String,
    regions: BTreeMap<String, Value>,
}

/// Partitions with what rules may ask of them.
pub(super) struct Partitions {
    pub(super) all: Vec<Partition>,
    /// In the order of `all`.
    outputs: Vec<Value>,
}

impl Partitions {
    pub(super) fn read(json: &[u8]) -> Result<Self> {
        let mut raw: RawPartitions = serde_json::from_slice(json).context("partitions.json")?;
        raw.partitions.sort_by(|a, b| a.id.cmp(&b.id));
        let all = raw.partitions.iter().map(RawPartition::facts).collect::<Result<_>>()?;
        Ok(Self { all, outputs: raw.partitions.into_iter().map(|partition| partition.outputs).collect() })
    }

    /// What `aws.partition` gives for a region.
    fn outputs(&self, region: &str) -> Value {
        of_region(&self.all, region)
            .and_then(|found| self.all.iter().position(|partition| partition.name == found.name))
            .map_or(Value::Null, |at| self.outputs[at].clone())
    }
}

impl RawPartition {
    fn facts(&self) -> Result<Partition> {
        let output = |key: &str| {
            let value = self.outputs.get(key).and_then(Value::as_str);
            value.map(ToOwned::to_owned).with_context(|| format!("partition {} lacks {key}", self.id))
        };
        Ok(Partition {
            name: self.id.clone(),
            dns_suffix: output("dnsSuffix")?,
            global_region: output("implicitGlobalRegion")?,
            prefixes: prefixes(&self.region_regex)?,
            regions: self.regions.keys().cloned().collect(),
        })
    }
}

/// The alternatives of `^(us|eu)\-\w+\-\d+$`; every partition's expression has this form.
fn prefixes(regex: &str) -> Result<Vec<String>> {
    let body = regex
        .strip_prefix('^')
        .and_then(|rest| rest.strip_suffix(r"\-\w+\-\d+$"))
        .with_context(|| format!("the region expression `{regex}` has a new form"))?
        .replace(r"\-", "-");
    let (head, alternatives) = match body.split_once('(') {
        Some((head, rest)) => (head, rest.strip_suffix(')').context("unbalanced parenthesis")?),
        None => ("", body.as_str()),
    };
    let mut found: Vec<String> = alternatives.split('|').map(|alternative| format!("{head}{alternative}")).collect();
    found.sort();
    if let Some(odd) = found.iter().find(|prefix| !prefix.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')) {
        bail!("the region expression `{regex}` has a new form: `{odd}`");
    }
    Ok(found)
}

/// A rule set.
#[derive(Deserialize)]
pub(super) struct RuleSet {
    parameters: BTreeMap<String, Parameter>,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Parameter {
    default: Option<Value>,
}

#[derive(Deserialize)]
struct Rule {
    conditions: Vec<Call>,
    #[serde(flatten)]
    then: Then,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Then {
    Tree { rules: Vec<Rule> },
    Endpoint { endpoint: RawEndpoint },
    Error {},
}

#[derive(Deserialize)]
struct RawEndpoint {
    url: Value,
    #[serde(default)]
    properties: Properties,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Properties {
    auth_schemes: Vec<AuthScheme>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthScheme {
    signing_name: Option<String>,
    signing_region: Option<String>,
}

/// A function call, in conditions and as an argument.
#[derive(Deserialize)]
struct Call {
    #[serde(rename = "fn")]
    function: String,
    argv: Vec<Value>,
    assign: Option<String>,
}

/// What a list of rules comes to.
enum Outcome {
    NoMatch,
    /// The rules refuse the parameters.
    Refused,
    Found(Endpoint),
}

/// Values of parameters and assigned variables; `null` is unset.
#[derive(Clone)]
struct Scope<'a> {
    partitions: &'a Partitions,
    values: BTreeMap<String, Value>,
}

impl RuleSet {
    /// The endpoint of one region; `None` when the rules refuse it.
    fn resolve(&self, partitions: &Partitions, region: &str) -> Result<Option<Endpoint>> {
        let mut values: BTreeMap<_, _> =
            self.parameters.iter().map(|(name, it)| (name.clone(), it.default.clone().unwrap_or_default())).collect();
        values.insert("Region".to_owned(), Value::from(region));
        match first(&self.rules, &Scope { partitions, values })? {
            Outcome::Found(endpoint) => Ok(Some(endpoint)),
            Outcome::Refused => Ok(None),
            Outcome::NoMatch => bail!("no rule matches region {region}"),
        }
    }

    /// One endpoint for each partition, and the regions that differ from their partition's. `signing_name` is the service's.
    pub(super) fn fold(&self, partitions: &Partitions, signing_name: &str) -> Result<Endpoints> {
        let mut endpoints = Endpoints::default();
        for partition in &partitions.all {
            let mut found = Vec::new();
            for region in &partition.regions {
                if let Some(mut endpoint) = self.resolve(partitions, region)? {
                    endpoint.signing_name.take_if(|name| name == signing_name);
                    found.push((region.as_str(), endpoint));
                }
            }
            let Some(common) = commonest(&found) else { continue };
            for (region, endpoint) in &found {
                if fill(&common, region) != *endpoint {
                    endpoints.regions.insert((*region).to_owned(), reduce(endpoint, region));
                }
            }
            endpoints.partitions.insert(partition.name.clone(), common);
        }
        Ok(endpoints)
    }
}

/// The template that covers most regions; of equals the one with more holes.
fn commonest(found: &[(&str, Endpoint)]) -> Option<Endpoint> {
    let candidates = found.iter().flat_map(|(region, endpoint)| {
        let holed = Endpoint { host: endpoint.host.replace(region, "{region}"), ..endpoint.clone() };
        [reduce(&holed, region), holed, reduce(endpoint, region), endpoint.clone()]
    });
    let mut best: Option<(usize, Endpoint)> = None;
    for candidate in candidates {
        let covers = found.iter().filter(|(region, endpoint)| fill(&candidate, region) == *endpoint).count();
        if best.as_ref().is_none_or(|(most, _)| covers > *most) {
            best = Some((covers, candidate));
        }
    }
    best.map(|(_, endpoint)| endpoint)
}

/// Leaves the signing region out where it is the region itself.
fn reduce(endpoint: &Endpoint, region: &str) -> Endpoint {
    let signing_region = endpoint.signing_region.clone().filter(|signing| signing != region);
    Endpoint { signing_region, ..endpoint.clone() }
}

/// The full endpoint of a region, its signing region always stated.
fn fill(template: &Endpoint, region: &str) -> Endpoint {
    Endpoint {
        host: template.host.replace("{region}", region),
        signing_region: Some(template.signing_region.clone().unwrap_or_else(|| region.to_owned())),
        signing_name: template.signing_name.clone(),
    }
}

fn first(rules: &[Rule], scope: &Scope<'_>) -> Result<Outcome> {
    for rule in rules {
        let mut scope = scope.clone();
        if !holds(&rule.conditions, &mut scope)? {
            continue;
        }
        let outcome = match &rule.then {
            Then::Tree { rules } => first(rules, &scope)?,
            Then::Endpoint { endpoint } => Outcome::Found(scope.endpoint(endpoint)?),
            Then::Error {} => Outcome::Refused,
        };
        if !matches!(outcome, Outcome::NoMatch) {
            return Ok(outcome);
        }
    }
    Ok(Outcome::NoMatch)
}

fn holds(conditions: &[Call], scope: &mut Scope<'_>) -> Result<bool> {
    for call in conditions {
        let value = scope.call(call)?;
        if matches!(value, Value::Null | Value::Bool(false)) {
            return Ok(false);
        }
        if let Some(name) = &call.assign {
            scope.values.insert(name.clone(), value);
        }
    }
    Ok(true)
}

impl Scope<'_> {
    fn call(&self, call: &Call) -> Result<Value> {
        let argument =
            |at: usize| self.value(call.argv.get(at).with_context(|| format!("{}: too few arguments", call.function))?);
        Ok(match call.function.as_str() {
            "isSet" => Value::from(!argument(0)?.is_null()),
            "not" => Value::from(matches!(argument(0)?, Value::Null | Value::Bool(false))),
            "booleanEquals" | "stringEquals" => Value::from(argument(0)? == argument(1)?),
            "getAttr" => match (argument(0)?, argument(1)?) {
                (record, Value::String(path)) if !path.contains(['.', '[']) => {
                    record.get(path).cloned().unwrap_or_default()
                }
                (_, path) => bail!("getAttr: path {path} is not understood"),
            },
            "aws.partition" => self.partitions.outputs(argument(0)?.as_str().unwrap_or_default()),
            "isValidHostLabel" => Value::from(argument(0)?.as_str().is_some_and(is_host_label)),
            function => bail!("the function `{function}` is not understood"),
        })
    }

    /// An argument: a constant, `{"ref": NAME}` or a nested call.
    fn value(&self, value: &Value) -> Result<Value> {
        match value {
            Value::Object(object) => match object.get("ref").and_then(Value::as_str) {
                Some(name) => Ok(self.values.get(name).cloned().unwrap_or_default()),
                None => self.call(&Call::deserialize(value)?),
            },
            Value::String(template) => self.filled(template).map(Value::from),
            constant => Ok(constant.clone()),
        }
    }

    /// A template with its `{Name}` and `{Name#attribute}` holes filled.
    fn filled(&self, template: &str) -> Result<String> {
        let mut out = String::new();
        let mut rest = template;
        while let Some((before, tail)) = rest.split_once('{') {
            let (hole, after) = tail.split_once('}').with_context(|| format!("`{template}` has an open hole"))?;
            let (name, attribute) =
                hole.split_once('#').map_or((hole, None), |(name, attribute)| (name, Some(attribute)));
            let value = self.values.get(name);
            let value = attribute.map_or(value, |attribute| value.and_then(|value| value.get(attribute)));
            out.push_str(before);
            out.push_str(value.and_then(Value::as_str).with_context(|| format!("`{template}`: {hole} is not set"))?);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn endpoint(&self, raw: &RawEndpoint) -> Result<Endpoint> {
        let url = self.value(&raw.url)?;
        let url = url.as_str().context("the URL is not text")?;
        let host = url.strip_prefix("https://").filter(|host| !host.contains('/'));
        let scheme = raw.properties.auth_schemes.first();
        let filled = |text: Option<&String>| text.map(|text| self.filled(text)).transpose();
        let region = self.values.get("Region").and_then(Value::as_str).map(ToOwned::to_owned);
        Ok(Endpoint {
            host: host.with_context(|| format!("`{url}` is more than a host"))?.to_owned(),
            signing_region: filled(scheme.and_then(|scheme| scheme.signing_region.as_ref()))?.or(region),
            signing_name: filled(scheme.and_then(|scheme| scheme.signing_name.as_ref()))?,
        })
    }
}

fn is_host_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_expressions_become_prefixes() {
        let read = |regex| prefixes(regex).ok();
        assert_eq!(read(r"^(us|eu)\-\w+\-\d+$"), Some(vec!["eu".to_owned(), "us".to_owned()]));
        assert_eq!(read(r"^us\-gov\-\w+\-\d+$"), Some(vec!["us-gov".to_owned()]));
        assert_eq!(read(r"^eusc\-(de)\-\w+\-\d+$"), Some(vec!["eusc-de".to_owned()]));
        assert_eq!(read(r"^us\-.*$"), None, "a new form must be noticed");
    }

    fn endpoint(host: &str, signing_region: &str) -> Endpoint {
        Endpoint { host: host.to_owned(), signing_region: Some(signing_region.to_owned()), signing_name: None }
    }

    #[test]
    fn regional_and_global_services_fold_to_one_template() {
        let regional =
            [("a-b-1", endpoint("x.a-b-1.example", "a-b-1")), ("a-c-1", endpoint("x.a-c-1.example", "a-c-1"))];
        let template = commonest(&regional).expect("a template");
        assert_eq!((template.host.as_str(), template.signing_region), ("x.{region}.example", None));

        let global = [("a-b-1", endpoint("x.example", "a-b-1")), ("a-c-1", endpoint("x.example", "a-b-1"))];
        let template = commonest(&global).expect("a template");
        assert_eq!((template.host.as_str(), template.signing_region.as_deref()), ("x.example", Some("a-b-1")));
        assert!(commonest(&[]).is_none());
    }
}
