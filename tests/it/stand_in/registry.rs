//! ECR's pull-through cache rules and repository creation templates.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Answer, Refusal, TIME, text};

/// Upstream registries: address, name, and whether a credential is needed.
const UPSTREAMS: [(&str, &str, bool); 5] = [
    ("public.ecr.aws", "ecr-public", false),
    ("quay.io", "quay", false),
    ("registry.k8s.io", "k8s", false),
    ("registry-1.docker.io", "docker-hub", true),
    ("ghcr.io", "github-container-registry", true),
];

const NO_RULE: Refusal = ("PullThroughCacheRuleNotFoundException", "there is no such rule");
const NO_TEMPLATE: Refusal = ("TemplateNotFoundException", "there is no such template");

/// Rules and templates of an account in a region, by prefix.
#[derive(Default)]
pub(crate) struct Registry {
    rules: BTreeMap<String, Value>,
    templates: BTreeMap<String, Value>,
}

impl Registry {
    /// The answer, if the operation is about one of them.
    pub(crate) fn answer(&mut self, account: &str, operation: &str, input: &Value) -> Option<Answer> {
        let template = |template| json!({"registryId": account, "repositoryCreationTemplate": template});
        Some(match operation {
            "CreatePullThroughCacheRule" => self.create_rule(account, input),
            "DescribePullThroughCacheRules" => {
                let named = &input["ecrRepositoryPrefixes"];
                let found = chosen(&self.rules, named);
                if found.is_empty() && named.is_array() {
                    return Some(Err(NO_RULE));
                }
                Ok(json!({"pullThroughCacheRules": found}))
            }
            "UpdatePullThroughCacheRule" => update(&mut self.rules, &input["ecrRepositoryPrefix"], input, NO_RULE),
            "DeletePullThroughCacheRule" => self.rules.remove(text(&input["ecrRepositoryPrefix"])).ok_or(NO_RULE),
            "CreateRepositoryCreationTemplate" => self.create_template(input).map(template),
            "DescribeRepositoryCreationTemplates" => {
                let found = chosen(&self.templates, &input["prefixes"]);
                Ok(json!({"registryId": account, "repositoryCreationTemplates": found}))
            }
            "UpdateRepositoryCreationTemplate" => {
                update(&mut self.templates, &input["prefix"], input, NO_TEMPLATE).map(template)
            }
            "DeleteRepositoryCreationTemplate" => {
                self.templates.remove(text(&input["prefix"])).ok_or(NO_TEMPLATE).map(template)
            }
            _ => return None,
        })
    }

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
