//! ECR's pull-through cache rules and creation templates, which no emulator has: what the recordings were answered with.
//! And a memory of platform endpoints, which the emulator has and cannot list.
//!
//! Written from the public API reference. The engine, the script and the reading of the cloud all ask here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};

use super::buckets;

/// When everything happened.
const TIME: f64 = 1_700_000_000.0;
const TIME_TEXT: &str = "2023-11-14T22:13:20Z";

/// An answer as a client gives it: it knows from the API's model which numbers are times.
pub(super) fn decoded(mut answer: Value) -> Value {
    match &mut answer {
        Value::Object(members) => members.values_mut().for_each(|member| *member = decoded(member.take())),
        Value::Array(items) => items.iter_mut().for_each(|item| *item = decoded(item.take())),
        Value::Number(number) if number.as_f64() == Some(TIME) => return TIME_TEXT.into(),
        _ => {}
    }
    answer
}

/// Registries that can be cached: address, name, and whether a credential is needed.
const UPSTREAMS: [(&str, &str, bool); 5] = [
    ("public.ecr.aws", "ecr-public", false),
    ("quay.io", "quay", false),
    ("registry.k8s.io", "k8s", false),
    ("registry-1.docker.io", "docker-hub", true),
    ("ghcr.io", "github-container-registry", true),
];

/// A code and a sentence.
pub(super) type Refusal = (&'static str, &'static str);
type Answer = Result<Value, Refusal>;

/// Resources of both kinds. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Responder(Arc<Mutex<Registry>>);

#[derive(Default)]
struct Registry {
    rules: BTreeMap<String, Value>,
    templates: BTreeMap<String, Value>,
    /// ARNs of platform endpoints that somebody made.
    endpoints: BTreeSet<String>,
    /// Settings of buckets.
    buckets: buckets::Kept,
}

impl Responder {
    /// Keeps what the answer of another cloud says of an endpoint.
    pub(super) fn hear(&self, answer: &Value) {
        let mut registry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        registry.endpoints.extend(answer["EndpointArn"].as_str().map(str::to_owned));
    }

    /// Platform endpoints that were made, of an application; some may be gone.
    pub(super) fn endpoints(&self, application: &Value) -> Vec<String> {
        let registry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = format!("{}/", text(application));
        registry.endpoints.iter().filter(|arn| arn.starts_with(&of)).cloned().collect()
    }

    /// Settings of buckets that were put.
    pub(super) fn buckets(&self) -> buckets::Kept {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).buckets.clone()
    }

    /// The answer, if the operation is one of these kinds'.
    pub(super) fn answer(&self, account: &str, operation: &str, input: &Value) -> Option<Answer> {
        let mut registry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(match operation {
            "CreatePullThroughCacheRule" => registry.create_rule(account, input),
            "DescribePullThroughCacheRules" => {
                let missing = ("PullThroughCacheRuleNotFoundException", "there is no such rule");
                let named = &input["ecrRepositoryPrefixes"];
                let found = chosen(&registry.rules, named);
                if found.is_empty() && named.is_array() {
                    return Some(Err(missing));
                }
                Ok(json!({"pullThroughCacheRules": found}))
            }
            "UpdatePullThroughCacheRule" => {
                let missing = ("PullThroughCacheRuleNotFoundException", "there is no such rule");
                update(&mut registry.rules, &input["ecrRepositoryPrefix"], input, missing)
            }
            "DeletePullThroughCacheRule" => {
                let missing = ("PullThroughCacheRuleNotFoundException", "there is no such rule");
                registry.rules.remove(text(&input["ecrRepositoryPrefix"])).ok_or(missing)
            }
            "CreateRepositoryCreationTemplate" => {
                registry.create_template(input).map(|template| json!({"repositoryCreationTemplate": template}))
            }
            "DescribeRepositoryCreationTemplates" => {
                Ok(json!({"repositoryCreationTemplates": chosen(&registry.templates, &input["prefixes"])}))
            }
            "UpdateRepositoryCreationTemplate" => {
                let missing = ("TemplateNotFoundException", "there is no such template");
                update(&mut registry.templates, &input["prefix"], input, missing)
                    .map(|template| json!({"repositoryCreationTemplate": template}))
            }
            "DeleteRepositoryCreationTemplate" => {
                let missing = ("TemplateNotFoundException", "there is no such template");
                registry
                    .templates
                    .remove(text(&input["prefix"]))
                    .ok_or(missing)
                    .map(|template| json!({"repositoryCreationTemplate": template}))
            }
            _ => return buckets::answer(&mut registry.buckets, operation, input),
        })
    }
}

impl Registry {
    fn create_rule(&mut self, account: &str, input: &Value) -> Answer {
        let prefix = text(&input["ecrRepositoryPrefix"]).to_owned();
        if self.rules.contains_key(&prefix) {
            return Err(("PullThroughCacheRuleAlreadyExistsException", "there is such a rule"));
        }
        let upstream = text(&input["upstreamRegistryUrl"]);
        let private = upstream.contains(".dkr.ecr.").then_some(&("", "ecr", false));
        let known = UPSTREAMS.iter().find(|(address, ..)| *address == upstream).or(private);
        let Some((_, name, guarded)) = known else {
            return Err(("UnsupportedUpstreamRegistryException", "the upstream registry is not supported"));
        };
        if *guarded && input["credentialArn"].is_null() {
            return Err(("InvalidParameterException", "a credential is required for this registry"));
        }
        let mut rule = json!({
            "registryId": account, "upstreamRegistry": name, "upstreamRepositoryPrefix": "ROOT", "createdAt": TIME,
            "updatedAt": TIME,
        });
        merge(&mut rule, input);
        self.rules.insert(prefix, rule.clone());
        Ok(rule)
    }

    fn create_template(&mut self, input: &Value) -> Answer {
        let prefix = text(&input["prefix"]).to_owned();
        if self.templates.contains_key(&prefix) {
            return Err(("TemplateAlreadyExistsException", "there is such a template"));
        }
        let mut template = json!({
            "encryptionConfiguration": {"encryptionType": "AES256"}, "imageTagMutability": "MUTABLE", "createdAt": TIME,
            "updatedAt": TIME,
        });
        merge(&mut template, input);
        let needs_role = template["resourceTags"].is_array()
            || template["encryptionConfiguration"]["encryptionType"].as_str().is_some_and(|kind| kind != "AES256");
        if needs_role && template["customRoleArn"].is_null() {
            return Err(("InvalidParameterException", "customRoleArn must be specified with tags or KMS encryption"));
        }
        self.templates.insert(prefix, template.clone());
        Ok(template)
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Those that are asked for, or all.
fn chosen(all: &BTreeMap<String, Value>, names: &Value) -> Vec<Value> {
    let wanted = |name: &String| names.as_array().is_none_or(|names| names.iter().any(|one| one == name));
    all.iter().filter(|(name, _)| wanted(name)).map(|(_, value)| value.clone()).collect()
}

fn update(all: &mut BTreeMap<String, Value>, name: &Value, input: &Value, missing: Refusal) -> Answer {
    let one = all.get_mut(text(name)).ok_or(missing)?;
    merge(one, input);
    Ok(one.clone())
}

/// What is sent stands; what is sent empty is no more; what is left out stays.
fn merge(target: &mut Value, input: &Value) {
    let Some(target) = target.as_object_mut() else { return };
    for (name, value) in input.as_object().unwrap_or(&Map::new()) {
        if value.as_str() == Some("") || value.as_array().is_some_and(Vec::is_empty) {
            target.remove(name);
        } else {
            target.insert(name.clone(), value.clone());
        }
    }
}
