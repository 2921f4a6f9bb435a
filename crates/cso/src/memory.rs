//! What commands that only look read: objects as records, and what happened to them. A state file and a cluster look the same.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use cso_core::Record;
use cso_core::port::Event;
use cso_kube::reader::{self, Scope};
use cso_kube::{Cluster, KubeError, Resource, object};
use cso_local::state::{EventFilter, StateFile, StateReader};

use crate::args::Global;
use crate::cluster;
use crate::kinds::Known;

/// What is remembered, here or in a cluster.
pub(crate) enum Memory {
    File { path: PathBuf, reader: StateReader },
    Cluster(Cluster),
}

/// Which kinds are asked for.
pub(crate) enum Kinds<'a> {
    /// These, which must be there.
    Named(Vec<Known<'a>>),
    /// Whatever of these is there.
    Any(Vec<Known<'a>>),
}

impl Memory {
    /// What the command line means.
    pub(crate) async fn open(global: &Global) -> Result<Self> {
        if cluster::is_meant(global) {
            let cluster = Cluster::connect(&cluster::place(global)).await?;
            cluster.reach().await?;
            return Ok(Self::Cluster(cluster));
        }
        Ok(Self::File { path: global.state.clone(), reader: StateFile::open_read_only(&global.state)? })
    }

    /// Where that is, for messages.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::File { path, .. } => path.display().to_string(),
            Self::Cluster(cluster) => format!("the cluster at {}", cluster.server()),
        }
    }

    /// Records by key; at least those that are asked for.
    pub(crate) async fn records(&self, kinds: &Kinds<'_>, scope: Scope<'_>) -> Result<Vec<Record>> {
        let cluster = match self {
            Self::File { reader, .. } => return Ok(reader.records()?),
            Self::Cluster(cluster) => cluster,
        };
        let (Kinds::Named(known) | Kinds::Any(known)) = kinds;
        let resources: Vec<Arc<Resource>> =
            known.iter().map(|kind| Arc::new(crate::cluster::resource(*kind))).collect();
        let (held, unserved) = reader::objects(cluster, &resources, scope).await?;
        if matches!(kinds, Kinds::Named(_)) && !unserved.is_empty() {
            let kinds = unserved.iter().map(|resource| resource.crd_name()).collect();
            return Err(KubeError::Unserved { kinds }.into());
        }
        let mut records: Vec<Record> = held.into_iter().map(|(resource, raw)| object::shown(&resource, raw)).collect();
        records.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(records)
    }

    /// What happened, oldest first. `kind`: that of the filter.
    pub(crate) async fn events(&self, filter: &EventFilter, kind: Option<Known<'_>>) -> Result<Vec<Event>> {
        let cluster = match self {
            Self::File { reader, .. } => return Ok(reader.events(filter)?),
            Self::Cluster(cluster) => cluster,
        };
        let resource = kind.map(cluster::resource);
        let scope = Scope { namespace: filter.namespace.as_deref(), name: filter.name.as_deref() };
        let mut events = reader::events(cluster, resource.as_ref(), scope).await?;
        let limit = filter.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        events.drain(..events.len().saturating_sub(limit));
        Ok(events)
    }
}
