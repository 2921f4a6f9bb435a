//! What the API server tells, taken into the engine's world.

use std::sync::Arc;

use cso_core::{Object, ObjectKey};
use cso_kube::News;
use tracing::warn;

use super::ours::Ours;
use super::term::Engine;

/// Who works on the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Others: what they write is how it is.
    Follows,
    /// We: what we wrote comes back, and may be older than what we know.
    Leads,
}

/// Takes news in; returns the objects that it concerns.
pub(super) fn take_in(engine: &Engine, news: News, part: Part, ours: &Ours) -> Vec<ObjectKey> {
    match news {
        News::Seen { seen, bare } => {
            let key = seen.object.key.clone();
            if !ours.has(&seen.object) {
                return if engine.world().look_on(seen.told()) { vec![key] } else { Vec::new() };
            }
            let is_lost = part == Part::Leads && bare && is_known(engine, &seen.object) && engine.lost_record(&key);
            match (part, seen.record) {
                (Part::Follows, record) => engine.world().follow(&key, record),
                (Part::Leads, Some(record)) => engine.world().meet(record),
                (Part::Leads, None) => {}
            }
            if engine.set(seen.object) || is_lost { vec![key] } else { Vec::new() }
        }
        News::Gone { key, held } => {
            let owned = engine.world().forget(&key).is_some_and(|record| record.ownership.is_ours());
            if owned && held && part == Part::Leads {
                let (kind, namespace, name) = (format!("{}/{}", key.service(), key.kind), &key.namespace, &key.name);
                let message = "its finalizer was taken away: its resource is left as it is";
                warn!(target: "cso::controller", kind, namespace, name, "{message}");
            }
            vec![key]
        }
        News::Namespace { name, annotations } => {
            let inside: Vec<Arc<Object>> = {
                let world = engine.world();
                let keys = world.wished().map(|(key, _)| key).filter(|key| key.namespace == name);
                keys.filter_map(|key| world.wish(key)).collect()
            };
            let renewed = inside
                .into_iter()
                .filter(|wish| engine.set(Object { inherited: Some(annotations.clone()), ..Object::clone(wish) }));
            renewed.map(|wish| wish.key.clone()).collect()
        }
        News::Hidden { resource, namespace } => {
            engine.world().hide(&resource.group, &resource.kind, namespace.as_deref())
        }
        News::Shown { resource, namespace } => {
            engine.world().show(&resource.group, &resource.kind, namespace.as_deref())
        }
        News::Complete => Vec::new(),
    }
}

/// Whether this is the object that we know: of one that was made anew under its name nothing can be lost.
fn is_known(engine: &Engine, object: &Object) -> bool {
    let uid = |object: &Object| object.life.as_ref().map(|life| life.uid.clone());
    engine.world().wish(&object.key).is_some_and(|known| uid(&known) == uid(object))
}
