//! The rights that a controller needs, and no others: derived from the kinds that it is to manage. Pure.
//!
//! Secrets and `ConfigMap`s are read and written by name: nothing here lists or watches them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::identity;
use crate::resources::Resource;

/// Name of the service account, of the roles and of their bindings.
pub const NAME: &str = "cso-controller";

/// What a controller does in a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Needs<'a> {
    /// The kinds that it manages.
    pub kinds: &'a [&'a Resource],
    /// Some of them have fields that are read from Secrets.
    pub reads_secrets: bool,
    /// Field exports are among them: they write into Secrets and `ConfigMap`s.
    pub exports: bool,
    /// Where it runs, and keeps its identity and its lease.
    pub namespace: &'a str,
}

/// The manifests that grant it: a service account, what it may do everywhere, and what in its own namespace.
pub fn manifests(needs: &Needs<'_>) -> Vec<Value> {
    let subject = json!({"kind": "ServiceAccount", "name": NAME, "namespace": needs.namespace});
    let role = |kind: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": NAME});
    let metadata = json!({"name": NAME});
    let own = json!({"name": NAME, "namespace": needs.namespace});
    let rbac = "rbac.authorization.k8s.io/v1";
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": own}),
        json!({"apiVersion": rbac, "kind": "ClusterRole", "metadata": metadata, "rules": everywhere(needs)}),
        json!({
            "apiVersion": rbac, "kind": "ClusterRoleBinding", "metadata": metadata,
            "roleRef": role("ClusterRole"), "subjects": [subject],
        }),
        json!({"apiVersion": rbac, "kind": "Role", "metadata": own, "rules": at_home()}),
        json!({
            "apiVersion": rbac, "kind": "RoleBinding", "metadata": own,
            "roleRef": role("Role"), "subjects": [subject],
        }),
    ]
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

fn everywhere(needs: &Needs<'_>) -> Vec<Value> {
    let mut rules = vec![
        rule("apiextensions.k8s.io", &["customresourcedefinitions"], &["list", "watch"]),
        rule("", &["namespaces"], &["list", "watch"]),
        rule("events.k8s.io", &["events"], &["create"]),
    ];
    let mut secrets = Vec::new();
    secrets.extend(needs.reads_secrets.then_some("get"));
    secrets.extend(needs.exports.then_some("patch"));
    if !secrets.is_empty() {
        rules.push(rule("", &["secrets"], &secrets));
    }
    if needs.exports {
        rules.push(rule("", &["configmaps"], &["patch"]));
    }
    let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for kind in needs.kinds {
        groups.entry(&kind.group).or_default().insert(&kind.plural);
    }
    for (group, plurals) in groups {
        let plurals: Vec<&str> = plurals.into_iter().collect();
        let statuses: Vec<String> = plurals.iter().map(|plural| format!("{plural}/status")).collect();
        let statuses: Vec<&str> = statuses.iter().map(String::as_str).collect();
        rules.push(rule(group, &plurals, &["get", "list", "watch", "patch"]));
        rules.push(rule(group, &statuses, &["patch"]));
    }
    rules
}

/// A create cannot be restricted to a name.
fn at_home() -> Vec<Value> {
    let mut identity = rule("", &["secrets"], &["get"]);
    identity["resourceNames"] = json!([identity::NAME]);
    vec![
        identity,
        rule("", &["secrets"], &["create"]),
        rule("coordination.k8s.io", &["leases"], &["get", "create", "update", "patch"]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> Resource {
        Resource {
            group: "sqs.services.k8s.aws".into(),
            version: "v1alpha1".into(),
            kind: "Queue".into(),
            plural: "queues".into(),
            identity: Vec::new(),
        }
    }

    #[test]
    fn only_what_the_kinds_need_is_granted() {
        let queue = queue();
        let needs = Needs { kinds: &[&queue], reads_secrets: false, exports: false, namespace: "cso-system" };
        let plain = json!(everywhere(&needs)).to_string();
        assert!(plain.contains("queues/status"), "{plain}");
        assert!(!plain.contains("secrets") && !plain.contains("configmaps"), "{plain}");
        let all = everywhere(&Needs { reads_secrets: true, exports: true, ..needs });
        let of = |resource: &str| {
            let rules = all.iter().filter(|rule| rule["resources"] == json!([resource]));
            rules.map(|rule| rule["verbs"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(of("secrets"), [json!(["get", "patch"])]);
        assert_eq!(of("configmaps"), [json!(["patch"])]);
    }

    #[test]
    fn nothing_is_granted_by_a_star() {
        let queue = queue();
        let needs = Needs { kinds: &[&queue], reads_secrets: true, exports: true, namespace: "cso-system" };
        assert!(!json!(manifests(&needs)).to_string().contains('*'));
    }
}
