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
    /// The kinds of others that those refer to.
    pub refers_to: &'a [&'a Resource],
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
    for (group, plurals) in by_group(needs.kinds) {
        let statuses: Vec<String> = plurals.iter().map(|plural| format!("{plural}/status")).collect();
        let statuses: Vec<&str> = statuses.iter().map(String::as_str).collect();
        rules.push(rule(group, &plurals, &["get", "list", "watch", "patch"]));
        rules.push(rule(group, &statuses, &["patch"]));
    }
    rules.extend(by_group(needs.refers_to).iter().map(|(group, plurals)| rule(group, plurals, &["list", "watch"])));
    rules
}

/// The plurals of kinds, each once, by group.
fn by_group<'a>(kinds: &[&'a Resource]) -> BTreeMap<&'a str, Vec<&'a str>> {
    let names: BTreeSet<(&str, &str)> = kinds.iter().map(|kind| (kind.group.as_str(), kind.plural.as_str())).collect();
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (group, plural) in names {
        groups.entry(group).or_default().push(plural);
    }
    groups
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

    fn resource(group: &str, kind: &str, plural: &str) -> Resource {
        let [group, version, kind, plural] = [group, "v1alpha1", kind, plural].map(str::to_owned);
        Resource { group, version, kind, plural, identity: Vec::new() }
    }

    fn queue() -> Resource {
        resource("sqs.services.k8s.aws", "Queue", "queues")
    }

    #[test]
    fn what_others_work_on_is_read_only() {
        let (queue, key) = (queue(), resource("kms.services.k8s.aws", "Key", "keys"));
        let [kinds, refers_to] = [&[&queue], &[&key]];
        let needs = Needs { kinds, refers_to, reads_secrets: false, exports: false, namespace: "cso-system" };
        let all = everywhere(&needs);
        let about_keys: Vec<_> =
            all.iter().filter(|rule| rule["apiGroups"] == json!(["kms.services.k8s.aws"])).collect();
        assert_eq!(about_keys, [&rule("kms.services.k8s.aws", &["keys"], &["list", "watch"])]);
    }

    #[test]
    fn only_what_the_kinds_need_is_granted() {
        let queue = queue();
        let needs =
            Needs { kinds: &[&queue], refers_to: &[], reads_secrets: false, exports: false, namespace: "cso-system" };
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
        let needs =
            Needs { kinds: &[&queue], refers_to: &[], reads_secrets: true, exports: true, namespace: "cso-system" };
        assert!(!json!(manifests(&needs)).to_string().contains('*'));
    }
}
