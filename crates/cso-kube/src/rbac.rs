//! The rights that a controller needs, and no others: derived from the kinds that it is to manage. Pure.
//!
//! Secrets and `ConfigMap`s are read and written by name: nothing here lists or watches them. People's roles are here too:
//! to look at objects of the kinds, and to declare them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::identity;
use crate::resources::Resource;

/// Name of the service account, of the roles and of their bindings.
pub const NAME: &str = "cso-controller";

/// Names of the roles for people: to look at objects, and to declare them.
pub const READER: &str = "cso-reader";
pub const WRITER: &str = "cso-writer";

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
    /// The namespaces whose objects it manages; all if there is none.
    pub watched: &'a [String],
}

const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// The manifests that grant it: a service account; what it may do everywhere, in the namespaces that it watches, and in its
/// own; and the roles of people.
pub fn manifests(needs: &Needs<'_>) -> Vec<Value> {
    let own = json!({"name": NAME, "namespace": needs.namespace});
    let mut all = vec![json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": own})];
    let mut everywhere = of_the_cluster();
    if needs.watched.is_empty() {
        everywhere.extend(of_objects(needs));
    }
    all.extend(granted(needs, None, &everywhere));
    for namespace in needs.watched {
        let mut rules = of_objects(needs);
        if namespace == needs.namespace {
            rules.extend(at_home());
        }
        all.extend(granted(needs, Some(namespace), &rules));
    }
    if !needs.watched.iter().any(|namespace| namespace == needs.namespace) {
        all.extend(granted(needs, Some(needs.namespace), &at_home()));
    }
    all.extend(of_people(needs.kinds));
    all
}

/// A role with these rules and its binding to the service account, in a namespace or everywhere.
fn granted(needs: &Needs<'_>, namespace: Option<&str>, rules: &[Value]) -> [Value; 2] {
    let prefix = if namespace.is_some() { "" } else { "Cluster" };
    let mut metadata = json!({"name": NAME});
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    let (role, binding) = (format!("{prefix}Role"), format!("{prefix}RoleBinding"));
    let subject = json!({"kind": "ServiceAccount", "name": NAME, "namespace": needs.namespace});
    [
        json!({"apiVersion": RBAC, "kind": role, "metadata": metadata, "rules": rules}),
        json!({
            "apiVersion": RBAC, "kind": binding, "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": NAME}, "subjects": [subject],
        }),
    ]
}

/// Roles for people, who have them by a binding, or by what a cluster's own roles `view` and `edit` take in.
fn of_people(kinds: &[&Resource]) -> [Value; 2] {
    let role = |name: &str, into: &str, verbs: &[&str]| {
        let label = format!("rbac.authorization.k8s.io/aggregate-to-{into}");
        let rules: Vec<Value> = by_group(kinds).iter().map(|(group, plurals)| rule(group, plurals, verbs)).collect();
        json!({
            "apiVersion": RBAC, "kind": "ClusterRole", "rules": rules,
            "metadata": {"name": name, "labels": {label: "true"}},
        })
    };
    [
        role(READER, "view", &["get", "list", "watch"]),
        role(WRITER, "edit", &["get", "list", "watch", "create", "update", "patch", "delete"]),
    ]
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

/// What belongs to no namespace: which kinds are served, and what namespaces say for their objects.
fn of_the_cluster() -> Vec<Value> {
    vec![
        rule("apiextensions.k8s.io", &["customresourcedefinitions"], &["list", "watch"]),
        rule("", &["namespaces"], &["list", "watch"]),
    ]
}

fn of_objects(needs: &Needs<'_>) -> Vec<Value> {
    let mut rules = vec![rule("events.k8s.io", &["events"], &["create"])];
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

/// The kinds' plural names, each once, by group.
fn by_group<'a>(kinds: &[&'a Resource]) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for kind in kinds {
        groups.entry(&kind.group).or_default().insert(&kind.plural);
    }
    groups.into_iter().map(|(group, plurals)| (group, plurals.into_iter().collect())).collect()
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
        let needs =
            Needs { kinds, refers_to, reads_secrets: false, exports: false, namespace: "cso-system", watched: &[] };
        let all = of_objects(&needs);
        let about_keys: Vec<_> =
            all.iter().filter(|rule| rule["apiGroups"] == json!(["kms.services.k8s.aws"])).collect();
        assert_eq!(about_keys, [&rule("kms.services.k8s.aws", &["keys"], &["list", "watch"])]);
    }

    #[test]
    fn only_what_the_kinds_need_is_granted() {
        let queue = queue();
        let needs = Needs {
            kinds: &[&queue],
            refers_to: &[],
            reads_secrets: false,
            exports: false,
            namespace: "cso-system",
            watched: &[],
        };
        let plain = json!(of_objects(&needs)).to_string();
        assert!(plain.contains("queues/status"), "{plain}");
        assert!(!plain.contains("secrets") && !plain.contains("configmaps"), "{plain}");
        let all = of_objects(&Needs { reads_secrets: true, exports: true, ..needs });
        let of = |resource: &str| {
            let rules = all.iter().filter(|rule| rule["resources"] == json!([resource]));
            rules.map(|rule| rule["verbs"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(of("secrets"), [json!(["get", "patch"])]);
        assert_eq!(of("configmaps"), [json!(["patch"])]);
    }

    /// Roles of the controller as `KIND NAMESPACE` with the resources that they are about.
    fn roles(needs: &Needs<'_>) -> Vec<(String, String)> {
        let all = manifests(needs);
        let own = all.iter().filter(|it| it["metadata"]["name"] == NAME && it["rules"].is_array());
        own.map(|role| {
            let place = role["metadata"]["namespace"].as_str().unwrap_or("everywhere");
            (place.to_owned(), role["rules"].to_string())
        })
        .collect()
    }

    #[test]
    fn a_controller_of_some_namespaces_may_touch_objects_in_no_other() {
        let queue = queue();
        let watched = ["shop".to_owned(), "cso-system".to_owned()];
        let needs = Needs {
            kinds: &[&queue],
            refers_to: &[],
            reads_secrets: true,
            exports: true,
            namespace: "cso-system",
            watched: &watched,
        };
        let roles = roles(&needs);
        let places: Vec<&str> = roles.iter().map(|(place, _)| place.as_str()).collect();
        assert_eq!(places, ["everywhere", "shop", "cso-system"]);
        let rules = |at: usize| roles[at].1.as_str();
        assert!(rules(0).contains("customresourcedefinitions") && rules(0).contains("namespaces"));
        assert!(!rules(0).contains("queues") && !rules(0).contains("secrets") && !rules(0).contains("events"));
        assert!(rules(1).contains("queues/status") && !rules(1).contains("leases"));
        assert!(rules(2).contains("queues/status") && rules(2).contains("leases"));
    }

    #[test]
    fn people_look_or_declare_and_neither_touches_a_status() {
        let queue = queue();
        let [reader, writer] = of_people(&[&queue]);
        assert_eq!(reader["rules"][0]["verbs"], json!(["get", "list", "watch"]));
        assert_eq!(reader["metadata"]["labels"], json!({"rbac.authorization.k8s.io/aggregate-to-view": "true"}));
        assert_eq!(writer["metadata"]["labels"], json!({"rbac.authorization.k8s.io/aggregate-to-edit": "true"}));
        assert!(writer["rules"].to_string().contains("delete") && !writer["rules"].to_string().contains("status"));
    }

    #[test]
    fn nothing_is_granted_by_a_star() {
        let queue = queue();
        let needs = Needs {
            kinds: &[&queue],
            refers_to: &[],
            reads_secrets: true,
            exports: true,
            namespace: "cso-system",
            watched: &[],
        };
        assert!(!json!(manifests(&needs)).to_string().contains('*'));
    }
}
