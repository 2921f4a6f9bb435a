//! Which objects are this process's to work on, and which it only reads because ours refer to them.

use anyhow::Result;
use cso_core::{Object, ObjectKey};
use cso_engine::exports;
use cso_engine::world::Kinds;
use cso_kube::Resources;

use crate::cluster::{self, resource};
use crate::kinds::meant;

/// The kinds that are managed, and those that are watched.
pub(super) struct Ours {
    /// `None`: every kind.
    managed: Option<Resources>,
    watched: Resources,
}

impl Ours {
    /// The kinds that words mean, and those that they refer to; all without a word.
    pub(super) fn of(kinds: &Kinds, words: &[String]) -> Result<Self> {
        if words.is_empty() {
            return Ok(Self { managed: None, watched: cluster::resources(kinds) });
        }
        let chosen = meant(kinds, words)?;
        let watched = chosen.iter().copied().chain(cluster::referred(kinds, &chosen)).map(resource).collect();
        Ok(Self { managed: Some(chosen.into_iter().map(resource).collect()), watched })
    }

    pub(super) const fn watched(&self) -> &Resources {
        &self.watched
    }

    /// Whether an object is to be worked on here. A field export belongs to whoever works on its source.
    pub(super) fn has(&self, object: &Object) -> bool {
        let Some(managed) = &self.managed else { return true };
        let is_managed = |key: &ObjectKey| managed.of(key).is_some();
        is_managed(&object.key) && exports::source(object).is_none_or(|source| is_managed(&source))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use cso_core::export;
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds::builtin;

    fn ours(words: &[&str]) -> Ours {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        Ours::of(&builtin(), &words).expect("known kinds")
    }

    fn object(group: &str, kind: &str, spec: Value) -> Object {
        Object {
            key: ObjectKey::new(group, kind, "shop", "a"),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            inherited: None,
            spec: Arc::new(spec),
            deleting: false,
            life: None,
        }
    }

    fn names(resources: &Resources) -> Vec<String> {
        resources.iter().map(|resource| resource.crd_name()).collect()
    }

    #[test]
    fn what_a_managed_kind_refers_to_is_watched_and_not_managed() {
        let ours = ours(&["queue"]);
        let watched = ["policies.iam.services.k8s.aws", "keys.kms.services.k8s.aws", "queues.sqs.services.k8s.aws"];
        assert_eq!(names(ours.watched()), watched);
        assert!(ours.has(&object("sqs.services.k8s.aws", "Queue", json!({}))));
        assert!(!ours.has(&object("kms.services.k8s.aws", "Key", json!({}))));
    }

    #[test]
    fn a_field_export_belongs_to_its_source() {
        let ours = ours(&["sqs/*", "fieldexport"]);
        let export = |group: &str, kind: &str| {
            let resource = json!({"group": group, "kind": kind, "name": "a"});
            let to = json!({"name": "c", "kind": "configmap"});
            let spec = json!({"from": {"resource": resource, "path": ".status.queueURL"}, "to": to});
            object(export::GROUP, export::KIND, spec)
        };
        assert!(ours.has(&export("sqs.services.k8s.aws", "Queue")));
        assert!(!ours.has(&export("sns.services.k8s.aws", "Topic")));
        assert!(ours.has(&object(export::GROUP, export::KIND, json!({}))), "somebody must say what is wrong with it");
    }

    #[test]
    fn without_a_word_everything_is_ours() {
        let ours = ours(&[]);
        assert!(ours.has(&object("kms.services.k8s.aws", "Key", json!({}))));
        assert_eq!(names(ours.watched()).len(), builtin().iter().count() + 1, "field exports too");
    }
}
