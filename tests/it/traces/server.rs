//! A scenario's objects on a real API server, with what is remembered of each standing on it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use cso_core::port::{Change, Store, StoreError, StoreMeta};
use cso_core::{ObjectKey, Record};
use cso_engine::world::Kinds;
use cso_kube::identity::{Keys, identity};
use cso_kube::object::{self, Seen};
use cso_kube::rows::Rows;
use cso_kube::{Fence, KubeStore, Place, Resource, Resources, crds};
use cso_local::state::StateFile;
use cso_schema::crd;
use cso_testbed::kube::{Cluster, ReadError, Reader};
use serde_json::{Value, json};

/// Whom engine and script log in as.
pub(super) const OPERATOR: &str = "operator";

/// A new definition is served within a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a scenario's objects and records are.
pub(super) enum Home {
    /// In manifests, and in a state file.
    Directory(PathBuf),
    Cluster(Arc<Server>),
}

/// An engine's store in either.
pub(super) enum Memory {
    File(StateFile),
    Objects(KubeStore),
}

impl Store for Memory {
    fn meta(&self) -> &StoreMeta {
        match self {
            Self::File(store) => store.meta(),
            Self::Objects(store) => store.meta(),
        }
    }

    async fn load(&self) -> Result<Vec<Record>, StoreError> {
        match self {
            Self::File(store) => store.load().await,
            Self::Objects(store) => store.load().await,
        }
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        match self {
            Self::File(store) => store.commit(changes).await,
            Self::Objects(store) => store.commit(changes).await,
        }
    }
}

/// The API server, as the engine and as an independent client see it.
pub(super) struct Server {
    cluster: cso_kube::Cluster,
    reader: Reader,
    resources: Resources,
    meta: StoreMeta,
}

impl Server {
    /// Makes a cluster serve the kinds; everything is to happen in one namespace.
    pub(super) async fn open(cluster: &Cluster, kinds: &Kinds, namespace: &str) -> Result<Self> {
        let kubeconfig = cluster.kubeconfig(OPERATOR)?;
        let reader = Reader::connect(&kubeconfig)?;
        let place = Place { kubeconfig: Some(kubeconfig), context: None };
        let cluster = cso_kube::Cluster::connect(&place).await?;
        let namespaced = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        reader.create(&namespaced)?;
        for kind in kinds.iter() {
            crds::install(&cluster, &crd::definition(&kind.surface), PATIENCE).await?;
        }
        let resource = |kind: &Arc<cso_schema::kind::Kind>| Resource {
            group: kind.surface.group.clone(),
            version: kind.surface.version.clone(),
            kind: kind.surface.kind.clone(),
            plural: kind.surface.plural.clone(),
            identity: kind.names(),
        };
        let meta = identity(&cluster, namespace, true).await?;
        Ok(Self { cluster, reader, resources: kinds.iter().map(resource).collect(), meta })
    }

    /// The store of a new process, which knows nothing yet.
    pub(super) fn store(&self, rows: &Arc<Rows>) -> KubeStore {
        KubeStore::new(&self.cluster, self.meta.clone(), self.resources.clone(), Arc::clone(rows), Fence::open())
    }

    fn resource(&self, key: &ObjectKey) -> Result<&Resource> {
        self.resources.of(key).map(Arc::as_ref).with_context(|| format!("nobody serves {key}"))
    }

    /// What names an object to the API server.
    fn manifest(&self, key: &ObjectKey) -> Result<Value> {
        let api_version = format!("{}/{}", key.group, self.resource(key)?.version);
        let metadata = json!({"name": key.name, "namespace": key.namespace});
        Ok(json!({"apiVersion": api_version, "kind": key.kind, "metadata": metadata}))
    }

    pub(super) fn create(&self, key: &ObjectKey, manifest: &Value) -> Result<()> {
        let mut object = manifest.clone();
        object["metadata"]["namespace"] = key.namespace.as_str().into();
        self.reader.create(&object)?;
        Ok(())
    }

    /// Says whether it was let in.
    pub(super) fn patch(&self, key: &ObjectKey, patch: &Value, subresource: &str) -> Result<bool> {
        let mut object = self.manifest(key)?;
        for (name, value) in patch.as_object().into_iter().flatten() {
            match (name.as_str(), value) {
                ("metadata", Value::Object(members)) => {
                    members.iter().for_each(|(name, value)| object["metadata"][name] = value.clone());
                }
                _ => object[name] = value.clone(),
            }
        }
        let done = match subresource {
            "" => self.reader.merge(&object),
            subresource => self.reader.merge_into(subresource, &object),
        };
        match done {
            Ok(_) => Ok(true),
            Err(ReadError::Refused { status: 422, .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn delete(&self, key: &ObjectKey) -> Result<()> {
        let api_version = self.manifest(key)?["apiVersion"].as_str().unwrap_or_default().to_owned();
        match self.reader.delete(&api_version, &key.kind, &key.namespace, &key.name) {
            Ok(_) => Ok(()),
            Err(error) if error.status() == Some(404) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The object as the server has it.
    pub(super) fn get(&self, key: &ObjectKey) -> Result<Option<Value>> {
        let api_version = self.manifest(key)?["apiVersion"].as_str().unwrap_or_default().to_owned();
        match self.reader.get(&api_version, &key.kind, &key.namespace, &key.name) {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The object as the adapter reads it.
    pub(super) fn seen(&self, key: &ObjectKey) -> Result<Option<Seen>> {
        let Some(object) = self.get(key)? else { return Ok(None) };
        let keys = Keys { digest: self.meta.digest_key.clone() };
        Ok(Some(object::read(self.resource(key)?, serde_json::from_value(object)?, BTreeMap::new(), &keys)))
    }

    /// Takes an object away whatever holds it.
    pub(super) fn wipe(&self, key: &ObjectKey) -> Result<()> {
        if self.get(key)?.is_some() {
            self.patch(key, &json!({"metadata": {"finalizers": null}}), "")?;
            self.delete(key)?;
        }
        Ok(())
    }
}
