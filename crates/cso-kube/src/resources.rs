//! Which kinds there are, as an API server names them.

use std::collections::BTreeMap;
use std::sync::Arc;

use cso_core::ObjectKey;
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client};
use serde_json::Value;

/// A kind as the API server serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
    /// Spec fields that say which resource it is: what a record keeps of a spec.
    pub identity: Vec<String>,
}

impl Resource {
    pub(crate) fn api(&self) -> ApiResource {
        ApiResource {
            group: self.group.clone(),
            version: self.version.clone(),
            api_version: format!("{}/{}", self.group, self.version),
            kind: self.kind.clone(),
            plural: self.plural.clone(),
        }
    }

    /// Requests about objects of this kind in a namespace.
    pub(crate) fn in_namespace(&self, client: Client, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(client, namespace, &self.api())
    }

    /// The name of the custom resource definition.
    pub fn crd_name(&self) -> String {
        format!("{}.{}", self.plural, self.group)
    }

    /// The members of a spec that say which resource it is.
    pub(crate) fn names(&self, spec: &Value) -> Value {
        let member = |field: &String| Some((field.clone(), spec.get(field)?.clone()));
        self.identity.iter().filter_map(member).collect()
    }
}

/// Kinds that this process deals with.
#[derive(Clone, Debug, Default)]
pub struct Resources(BTreeMap<(String, String), Arc<Resource>>);

impl Resources {
    /// The kind of an object.
    pub fn of(&self, key: &ObjectKey) -> Option<&Arc<Resource>> {
        self.0.get(&(key.group.clone(), key.kind.clone()))
    }

    /// Every kind, by group and name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.0.values()
    }
}

impl FromIterator<Resource> for Resources {
    fn from_iter<I: IntoIterator<Item = Resource>>(kinds: I) -> Self {
        let named = |kind: Resource| ((kind.group.clone(), kind.kind.clone()), Arc::new(kind));
        Self(kinds.into_iter().map(named).collect())
    }
}
