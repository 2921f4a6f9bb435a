//! Who manages what exists already: a state file, or the objects of a cluster. Both are only read.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Result;
use cso_core::{OwnerMark, Record, Tree};
use cso_engine::import::Found;
use cso_kube::reader::{self, Scope};
use cso_kube::{Cluster, Resource, object};
use cso_schema::kind::Kind;

use crate::args::Global;
use crate::cluster;
use crate::kinds::Known;
use crate::snapshot::Snapshot;

/// What is known of resources that somebody manages.
pub(super) struct Owners {
    records: Vec<Record>,
    place: Place,
}

/// Where that is known from.
enum Place {
    /// A state file, and what its marks say of it.
    File { state: String },
    /// A cluster. Its own id stands in a Secret, which nobody needs to be able to read who imports.
    Cluster {
        /// Where manifests that name no namespace end up.
        namespace: String,
        /// Names of definitions that it has not.
        unserved: Vec<String>,
    },
}

impl Owners {
    /// Reads who manages resources of these kinds, in all namespaces: wherever it is, it is managed.
    pub(super) async fn read(global: &Global, kinds: &[Arc<Kind>]) -> Result<Self> {
        if !cluster::is_meant(global) {
            let snapshot = Snapshot::of(&global.state)?;
            let state = snapshot.state().to_owned();
            return Ok(Self { records: snapshot.into_records(), place: Place::File { state } });
        }
        let cluster = Cluster::connect(&cluster::place(global)).await?;
        cluster.reach().await?;
        let resources: Vec<Arc<Resource>> =
            kinds.iter().map(|kind| Arc::new(cluster::resource(Known::Managed(kind)))).collect();
        let (held, unserved) = reader::objects(&cluster, &resources, Scope::default()).await?;
        let records = held.into_iter().map(|(resource, raw)| object::shown(&resource, raw)).collect();
        let namespace = global.namespace.as_deref().unwrap_or_else(|| cluster.namespace()).to_owned();
        let unserved = unserved.iter().map(|resource| resource.crd_name()).collect();
        Ok(Self { records, place: Place::Cluster { namespace, unserved } })
    }

    /// Who manages a resource already, as the end of a sentence about it.
    pub(super) fn of(&self, kind: &Kind, found: &Found) -> Option<String> {
        let record = found.arn.as_deref().and_then(|arn| self.of_kind(kind).find(|record| is_of(record, arn)));
        match (&self.place, &found.mark, record) {
            (Place::File { state }, Some(mark), _) => {
                let whose = if mark.state() == state { "is managed here" } else { "is managed elsewhere" };
                Some(format!("{whose}, as its mark `{mark}` says"))
            }
            (Place::File { .. }, None, Some(record)) => Some(format!("is managed here, as {}", record.key)),
            (Place::Cluster { .. }, _, Some(record)) => Some(format!("is managed in this cluster, as {}", record.key)),
            (Place::Cluster { .. }, Some(mark), None) => Some(format!("is managed {}", self.marked(kind, mark))),
            (_, None, None) => None,
        }
    }

    /// What a mark says that no object of the cluster confirms.
    fn marked(&self, kind: &Kind, mark: &OwnerMark) -> String {
        let named = self.of_kind(kind).find(|record| OwnerMark::new(mark.state(), &record.key) == *mark);
        named.map_or_else(
            || format!("elsewhere, as its mark `{mark}` says"),
            |record| format!("by {}, here or in another cluster, as its mark `{mark}` says", record.key),
        )
    }

    /// Names that objects of a kind have where the manifests are going: one more of such a name would change that object.
    pub(super) fn taken<'a>(&'a self, kind: &Kind) -> BTreeSet<&'a str> {
        let Place::Cluster { namespace, .. } = &self.place else { return BTreeSet::new() };
        self.of_kind(kind)
            .filter(|record| record.key.namespace == *namespace)
            .map(|record| record.key.name.as_str())
            .collect()
    }

    /// What is to be done with the manifests; nothing for those of a state file, which say it in its commands' help.
    /// `from`: where they are, as `kubectl -f` takes it. `wanted`: names of definitions that they need.
    pub(super) fn next(&self, global: &Global, from: &str, wanted: &BTreeSet<String>) -> Option<String> {
        let Place::Cluster { unserved, .. } = &self.place else { return None };
        let chosen = cluster_flags(global);
        let missing: Vec<&str> = unserved.iter().filter(|name| wanted.contains(*name)).map(String::as_str).collect();
        let install = match missing.as_slice() {
            [] => String::new(),
            missing => format!("`cso crds install {}{chosen}`, then ", missing.join(" ")),
        };
        Some(format!(
            "nothing was written to the cluster. Next: {install}`cso plan -f {from}{chosen}` shows what will be done, and \
             `kubectl apply -f {from}{chosen}` makes the controller take the resources over as they are"
        ))
    }

    fn of_kind<'a>(&'a self, kind: &Kind) -> impl Iterator<Item = &'a Record> {
        self.records.iter().filter(|record| record.key.group == kind.group() && record.key.kind == kind.name())
    }
}

/// The flags that lead `cso` and `kubectl` to the same cluster and namespace.
fn cluster_flags(global: &Global) -> String {
    let kubeconfig = global.kubeconfig.as_ref().map(|path| path.display().to_string());
    let flags = [("kubeconfig", &kubeconfig), ("context", &global.context), ("namespace", &global.namespace)];
    flags.into_iter().filter_map(|(name, value)| Some(format!(" --{name} {}", value.as_ref()?))).collect()
}

fn is_of(record: &Record, arn: &str) -> bool {
    let status = Tree::from(&record.status);
    let known = status.member("ackResourceMetadata").and_then(|metadata| metadata.member("arn"));
    record.ownership.is_ours() && known.and_then(Tree::as_str) == Some(arn)
}
