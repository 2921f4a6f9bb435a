//! What commands that talk to a cluster work with.

use cso_engine::world::Kinds;
use cso_facts::surface::Surface;
use cso_kube::{Place, Resource, Resources};
use cso_schema::kind::Kind;

use crate::args::Global;
use crate::kinds::Known;

/// The cluster that the command line means.
pub(crate) fn place(global: &Global) -> Place {
    Place { kubeconfig: global.kubeconfig.clone(), context: global.context.clone() }
}

/// The kinds as an API server names them.
pub(crate) fn resources(kinds: &Kinds) -> Resources {
    let resource = |surface: &Surface, kind: Option<&Kind>| Resource {
        group: surface.group.clone(),
        version: surface.version.clone(),
        kind: surface.kind.clone(),
        plural: surface.plural.clone(),
        identity: kind.map(Kind::names).unwrap_or_default(),
    };
    Known::all(kinds).map(|known| resource(known.surface(), known.managed())).collect()
}
