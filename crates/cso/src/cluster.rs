//! What commands that talk to a cluster work with.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use cso_engine::world::Kinds;
use cso_kube::{Place, Resource, Resources};
use cso_schema::kind::Kind;

use crate::args::Global;
use crate::kinds::Known;

/// The cluster that the command line means.
pub(crate) fn place(global: &Global) -> Place {
    Place { kubeconfig: global.kubeconfig.clone(), context: global.context.clone() }
}

/// Whether the command line means a cluster instead of a state file.
pub(crate) const fn is_meant(global: &Global) -> bool {
    global.context.is_some() || global.kubeconfig.is_some()
}

/// Refuses to work on a state file for somebody who means a cluster. `instead`: what does it there.
pub(crate) fn refuse(global: &Global, command: &str, instead: &str) -> Result<()> {
    if is_meant(global) {
        bail!(
            "`cso {command}` works on a state file, and --context, --kubeconfig or CSO_CONTEXT names a cluster: there \
             objects are {instead} with kubectl, or with your GitOps tool, and `cso controller` does the work"
        );
    }
    Ok(())
}

/// A kind as an API server names it.
pub(crate) fn resource(kind: Known<'_>) -> Resource {
    let surface = kind.surface();
    Resource {
        group: surface.group.clone(),
        version: surface.version.clone(),
        kind: surface.kind.clone(),
        plural: surface.plural.clone(),
        identity: kind.managed().map(Kind::names).unwrap_or_default(),
    }
}

/// The kinds as an API server names them.
pub(crate) fn resources(kinds: &Kinds) -> Resources {
    Known::all(kinds).map(resource).collect()
}

/// The kinds that these refer to and that are not among them.
pub(crate) fn referred<'a>(kinds: &'a Kinds, chosen: &[Known<'a>]) -> Vec<Known<'a>> {
    let refs = chosen.iter().filter_map(|kind| kind.managed()).flat_map(|kind| &kind.refs);
    let targets: BTreeSet<(&str, &str)> = refs.map(|it| (it.group.as_str(), it.kind.as_str())).collect();
    let is_chosen = |kind: &Kind| chosen.iter().any(|known| *known.surface() == *kind.surface);
    let targets = targets.into_iter().filter_map(|(group, kind)| kinds.named(group, kind));
    targets.filter(|kind| !is_chosen(kind)).map(|kind| Known::Managed(kind)).collect()
}
