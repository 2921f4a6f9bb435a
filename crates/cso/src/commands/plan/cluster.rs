//! The plan of a cluster: what its controller would do, now or with other manifests. The cluster and the cloud are only read.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use cso_core::port::{SecretError, Secrets};
use cso_core::{Object, ObjectKey, SecretValue};
use cso_engine::resolve::order;
use cso_engine::world::Kinds;
use cso_kube::apply::applied;
use cso_kube::identity::{Keys, identity};
use cso_kube::object::{self, Seen};
use cso_kube::reader::{self, Held, Scope};
use cso_kube::secrets::KubeSecrets;
use cso_kube::{Cluster, KubeError, Resources};
use cso_local::manifest::{FileSecrets, ManifestSet};

use super::{previews, show};
use crate::args::{self, Global};
use crate::commands::{Exit, validate};
use crate::kinds::of_session;
use crate::manifests::{self, Declared, Remembered};
use crate::session::{self, Account, Choices};
use crate::snapshot::Snapshot;

/// Shows what would be done.
pub(super) async fn run(global: &Global, args: &args::Plan) -> Result<Exit> {
    if args.prune {
        bail!(
            "--prune is of state files: what a cluster has without a manifest is deleted with kubectl, or by your GitOps tool"
        );
    }
    // Asked for while the cluster is read.
    let account = Account::of(global);
    let kinds = of_session(global)?;
    let cluster = Cluster::connect(&crate::cluster::place(global)).await?;
    cluster.reach().await?;
    let home = args.system.system_namespace.as_deref().unwrap_or_else(|| cluster.namespace());
    let meta = identity(&cluster, home, false).await?;
    let keys = Keys { digest: meta.digest_key.clone() };
    let there = There::read(&cluster, crate::cluster::resources(&kinds), global, args, keys).await?;
    let namespace = global.namespace.as_deref().unwrap_or_else(|| cluster.namespace());
    let seen = there.all();
    let records: Vec<_> = seen.values().filter_map(|seen| seen.record.clone()).collect();
    let (set, planned) = if args.paths.is_empty() {
        let is_asked = |object: &&Object| global.namespace.as_ref().is_none_or(|it| *it == object.key.namespace);
        let all = seen.values().map(|seen| &seen.object).filter(is_asked).cloned();
        (ManifestSet::default(), all.collect())
    } else {
        let known = Remembered::of_cluster(seen.keys().cloned(), &records);
        let declared = manifests::load(&args.paths, namespace, &kinds, &known);
        if validate::refuse(&declared) {
            return Ok(Exit::Failed);
        }
        let Declared { set, objects, .. } = declared;
        let laid = there.with(objects)?;
        (set, laid)
    };

    let (arriving, departing, edges) = in_order(&planned, &kinds);
    let secrets = Layered { declared: FileSecrets::new(&set, namespace), cluster: KubeSecrets::new(&cluster) };
    let store = Snapshot::new(meta, records);
    let choices = Choices { take_back: args.take_back, stays: false };
    let (engine, _progress) = session::open(global, account.await?, store, secrets, kinds, choices).await?;
    for object in seen.into_values().map(|seen| seen.object).chain(planned) {
        engine.set(object);
    }
    let keys = arriving.into_iter().chain(departing).collect();
    show(args, previews(&engine, keys, &edges, global.concurrency).await?, Vec::new())
}

type Edges = BTreeMap<ObjectKey, BTreeSet<ObjectKey>>;

/// What stays, each after what it refers to; what goes, the other way round; and who of the former refers to whom.
fn in_order(planned: &[Object], kinds: &Kinds) -> (Vec<ObjectKey>, Vec<ObjectKey>, Edges) {
    let (going, staying): (Vec<Object>, Vec<Object>) = planned.iter().cloned().partition(|object| object.deleting);
    let edges = manifests::edges(&staying, kinds);
    let mut departing = order(&manifests::edges(&going, kinds));
    departing.reverse();
    (order(&edges), departing, edges)
}

/// What the cluster has.
struct There {
    resources: Resources,
    held: BTreeMap<ObjectKey, Held>,
    unserved: BTreeSet<String>,
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    keys: Keys,
}

impl There {
    async fn read(
        cluster: &Cluster,
        resources: Resources,
        global: &Global,
        args: &args::Plan,
        keys: Keys,
    ) -> Result<Self, KubeError> {
        // Manifests say their namespaces for themselves, and a reference may lead out of the one that is asked for.
        let is_narrow = args.paths.is_empty() && !global.allow_cross_namespace;
        let scope = Scope { namespace: global.namespace.as_deref().filter(|_| is_narrow), name: None };
        let all: Vec<_> = resources.iter().cloned().collect();
        let (held, unserved) = reader::objects(cluster, &all, scope).await?;
        let namespaces = reader::namespaces(cluster).await?;
        let held = held.into_iter().map(|held| (object::key(&held.0, &held.1), held)).collect();
        let unserved = unserved.iter().map(|resource| resource.crd_name()).collect();
        Ok(Self { resources, held, unserved, namespaces, keys })
    }

    /// Everything, as the controller sees it.
    fn all(&self) -> BTreeMap<ObjectKey, Seen> {
        let seen = |(key, (resource, raw)): (&ObjectKey, &Held)| {
            (key.clone(), object::read(resource, raw.clone(), self.inherited(key), &self.keys))
        };
        self.held.iter().map(seen).collect()
    }

    fn inherited(&self, key: &ObjectKey) -> BTreeMap<String, String> {
        self.namespaces.get(&key.namespace).cloned().unwrap_or_default()
    }

    /// What the objects of manifests would be once they are applied.
    fn with(&self, objects: Vec<Object>) -> Result<Vec<Object>, KubeError> {
        let unserved: BTreeSet<String> = objects
            .iter()
            .filter_map(|object| self.resources.of(&object.key))
            .map(|resource| resource.crd_name())
            .filter(|name| self.unserved.contains(name))
            .collect();
        if !unserved.is_empty() {
            return Err(KubeError::Unserved { kinds: unserved.into_iter().collect() });
        }
        Ok(objects.into_iter().map(|object| self.laid(object)).collect())
    }

    fn laid(&self, manifest: Object) -> Object {
        let mut inherited = self.inherited(&manifest.key);
        inherited.extend(manifest.inherited.clone().unwrap_or_default());
        match self.held.get(&manifest.key) {
            Some((resource, raw)) => object::read(resource, applied(raw, &manifest), inherited, &self.keys).object,
            None => Object { inherited: Some(inherited), ..manifest },
        }
    }
}

/// The Secrets of the manifests, and below them those of the cluster.
struct Layered {
    declared: FileSecrets,
    cluster: KubeSecrets,
}

impl Secrets for Layered {
    async fn secret(&self, namespace: &str, name: &str, key: &str) -> Result<SecretValue, SecretError> {
        match self.declared.value(namespace, name, key) {
            Err(SecretError::Missing { .. } | SecretError::NoKey { .. }) => {
                self.cluster.secret(namespace, name, key).await
            }
            told => told,
        }
    }
}
