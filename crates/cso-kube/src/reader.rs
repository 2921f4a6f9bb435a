//! What a cluster holds now, read once: for commands that look and do not stay.

use std::collections::BTreeMap;
use std::sync::Arc;

use cso_core::ObjectKey;
use cso_core::port::{Event, EventKind};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1;
use kube::Api;
use kube::api::ListParams;
use kube::core::{DynamicObject, PartialObjectMeta};
use serde::de::DeserializeOwned;

use crate::connect::Cluster;
use crate::error::KubeError;
use crate::events::REPORTER;
use crate::object::is_heard;
use crate::resources::Resource;

/// Objects that one answer may hold.
const PAGE: u32 = 500;
/// Kinds that are listed at the same time.
const AT_ONCE: usize = 8;

/// Which objects are wanted: all, or those of one namespace or one name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope<'a> {
    pub namespace: Option<&'a str>,
    pub name: Option<&'a str>,
}

/// An object as the server has it, and its kind.
pub type Held = (Arc<Resource>, DynamicObject);

/// The objects of some kinds, by kind, namespace and name; and the kinds that the server does not serve.
pub async fn objects(
    cluster: &Cluster,
    resources: &[Arc<Resource>],
    scope: Scope<'_>,
) -> Result<(Vec<Held>, Vec<Arc<Resource>>), KubeError> {
    let one = |resource: Arc<Resource>| async move {
        let found = of_kind(cluster, &resource, scope).await?;
        Ok::<_, KubeError>((resource, found))
    };
    let work: Vec<_> = resources.iter().cloned().map(one).collect();
    let kinds: Vec<_> = stream::iter(work).buffered(AT_ONCE).try_collect().await?;
    let (mut held, mut unserved) = (Vec::new(), Vec::new());
    for (resource, found) in kinds {
        match found {
            Some(objects) => held.extend(objects.into_iter().map(|object| (Arc::clone(&resource), object))),
            None => unserved.push(resource),
        }
    }
    Ok((held, unserved))
}

/// The objects of a kind; `None` if the server does not serve it.
async fn of_kind(
    cluster: &Cluster,
    resource: &Resource,
    scope: Scope<'_>,
) -> Result<Option<Vec<DynamicObject>>, KubeError> {
    let api = match scope.namespace {
        Some(namespace) => resource.in_namespace(cluster.calls(), namespace),
        None => Api::all_with(cluster.calls(), &resource.api()),
    };
    let fields = scope.name.map(|name| format!("metadata.name={name}")).unwrap_or_default();
    match pages(&api, &fields).await {
        Ok(objects) => Ok(Some(objects)),
        Err(error) if crate::error::status(&error) == Some(404) => Ok(None),
        Err(error) => Err(KubeError::request(format!("list {}", resource.crd_name()), &error)),
    }
}

async fn pages<K>(api: &Api<K>, fields: &str) -> Result<Vec<K>, kube::Error>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let mut params = ListParams::default().fields(fields).limit(PAGE);
    let mut all = Vec::new();
    loop {
        let page = api.list(&params).await?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|more| !more.is_empty()) {
            Some(more) => params = params.continue_token(&more),
            None => return Ok(all),
        }
    }
}

/// Of each namespace, those annotations that ask for something.
pub async fn namespaces(cluster: &Cluster) -> Result<BTreeMap<String, BTreeMap<String, String>>, KubeError> {
    let api: Api<v1::Namespace> = Api::all(cluster.calls());
    let mut params = ListParams::default().limit(PAGE);
    let mut all = BTreeMap::new();
    loop {
        let page = api.list_metadata(&params).await;
        let page = page.map_err(|error| KubeError::request("list namespaces", &error))?;
        all.extend(page.items.into_iter().map(heard));
        match page.metadata.continue_.filter(|more| !more.is_empty()) {
            Some(more) => params = params.continue_token(&more),
            None => return Ok(all),
        }
    }
}

fn heard(namespace: PartialObjectMeta<v1::Namespace>) -> (String, BTreeMap<String, String>) {
    let annotations = namespace.metadata.annotations.unwrap_or_default().into_iter();
    (namespace.metadata.name.unwrap_or_default(), annotations.filter(|(name, _)| is_heard(name)).collect())
}

/// What a controller of ours told about objects, oldest first; of one kind if it is given.
pub async fn events(cluster: &Cluster, resource: Option<&Resource>, scope: Scope<'_>) -> Result<Vec<Event>, KubeError> {
    let api: Api<v1::Event> = match scope.namespace {
        Some(namespace) => Api::namespaced(cluster.calls(), namespace),
        None => Api::all(cluster.calls()),
    };
    let mut fields = vec![format!("reportingComponent={REPORTER}")];
    fields.extend(resource.map(|resource| format!("involvedObject.kind={}", resource.kind)));
    fields.extend(scope.name.map(|name| format!("involvedObject.name={name}")));
    let all = pages(&api, &fields.join(",")).await.map_err(|error| KubeError::request("list events", &error))?;
    let mut events: Vec<Event> = all.into_iter().filter_map(told).collect();
    // The kind of another group may have the same name.
    events.retain(|event| resource.is_none_or(|resource| resource.group == event.object.group));
    events.sort_by(|one, other| (one.at, &one.object).cmp(&(other.at, &other.object)));
    Ok(events)
}

fn told(event: v1::Event) -> Option<Event> {
    let at = match (&event.event_time, &event.last_timestamp, &event.metadata.creation_timestamp) {
        (Some(time), _, _) => time.0,
        (None, Some(time), _) | (None, None, Some(time)) => time.0,
        (None, None, None) => return None,
    };
    let about = event.involved_object;
    let api_version = about.api_version.unwrap_or_default();
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let [kind, namespace, name] = [about.kind, about.namespace, about.name].map(Option::unwrap_or_default);
    Some(Event {
        at,
        object: ObjectKey::new(group, &kind, &namespace, &name),
        kind: if event.type_.as_deref() == Some("Warning") { EventKind::Warning } else { EventKind::Normal },
        reason: event.reason.unwrap_or_default(),
        message: event.message.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_read_as_it_was_told() {
        let event = json!({
            "metadata": {"name": "orders.1"}, "eventTime": "1970-01-01T00:00:01.000000Z", "type": "Warning",
            "reason": "Denied", "message": "no",
            "involvedObject": {
                "apiVersion": "sqs.services.k8s.aws/v1alpha1", "kind": "Queue", "namespace": "shop", "name": "orders",
            },
        });
        let told = told(serde_json::from_value(event).expect("an event")).expect("it has a time");
        assert_eq!(told.object, ObjectKey::new("sqs.services.k8s.aws", "Queue", "shop", "orders"));
        assert_eq!((told.at.as_second(), told.kind, told.reason.as_str()), (1, EventKind::Warning, "Denied"));
    }
}
